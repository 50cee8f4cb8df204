{{ config(meta={
    "dagster": {"ref": {"name": "rule_set"}},
    "description": "The variable `default_rule_set` names one of the rule sets."
}) }}
select count(*) as default_rule_sets
from {{ ref('rule_set') }}
where is_default = 'yes'
having count(*) <> 1
