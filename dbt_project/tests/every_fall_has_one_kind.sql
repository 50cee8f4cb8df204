{{ config(meta={
    "dagster": {"ref": {"name": "exacerbation"}},
    "description": "A fall has at most one kind: exacerbation, relapse or unclassified; before any relapse it has one."
}) }}
with kind as (
    select rule_set as rule_set, patient_id as patient_id, day as day from {{ ref('exacerbation') }}
    union all
    select rule_set as rule_set, patient_id as patient_id, day as day from {{ ref('unclassified_fall') }}
    union all
    select rule_set as rule_set, patient_id as patient_id, day as day from {{ ref('relapse') }}
),

kinds as (
    select
        rule_set,
        patient_id,
        day,
        count(*) as kinds
    from kind
    group by rule_set, patient_id, day
)

select
    fall.rule_set as rule_set,
    fall.patient_id as patient_id,
    fall.fall_day as day
from {{ ref('int_fall') }} as fall
left join kinds
    on fall.rule_set = kinds.rule_set
    and fall.patient_id = kinds.patient_id
    and fall.fall_day = kinds.day
left join {{ ref('relapse') }} as relapse
    on fall.rule_set = relapse.rule_set
    and fall.patient_id = relapse.patient_id
where coalesce(kinds.kinds, 0) <> 1
    and (relapse.day is null or fall.fall_day <= relapse.day)
