{{ config(meta={
    "dagster": {"ref": {"name": "patient_outcome_by_rule_set"}},
    "description": "A status is yes exactly when its day is known, and what follows a response lies after it."
}) }}
select
    rule_set as rule_set,
    patient_id as patient_id
from {{ ref('patient_outcome_by_rule_set') }}
where (response = 'yes') <> (response_day is not null)
    or (exacerbation = 'yes') <> (exacerbation_day is not null)
    or (exacerbation_count > 0) <> (exacerbation_day is not null)
    or (remission = 'yes') <> (remission_day is not null)
    or (relapse = 'yes') <> (relapse_day is not null)
    or (relapse_day is null) <> (relapse_status is null)
    or exacerbation_day <= response_day
    or remission_day < response_day
    or relapse_day <= response_day
    or (severe_refractory = 'yes' and refractory <> 'yes')
