{{ config(meta={
    "dagster": {"ref": {"name": "patient_outcome_by_rule_set"}},
    "description": "Every eligible patient has an outcome row under every rule set, and nobody else has one."
}) }}
with expected as (
    select
        rule_set.rule_set,
        patient.patient_id
    from {{ ref('patient') }} as patient
    cross join {{ ref('rule_set') }} as rule_set
    where patient.eligible
)

select
    expected.patient_id as expected_patient_id,
    outcome.patient_id as found_patient_id
from expected
full outer join {{ ref('patient_outcome_by_rule_set') }} as outcome
    on expected.rule_set = outcome.rule_set
    and expected.patient_id = outcome.patient_id
where expected.patient_id is null or outcome.patient_id is null
