{{ config(meta={
    "dagster": {"ref": {"name": "patient"}},
    "description": "An eligible record has no reason; a duplicate names the record kept; each record is here once."
}) }}
select patient_id as patient_id
from {{ ref('patient') }}
where eligible <> (exclusion_reason is null)
    or (exclusion_reason = 'reported_twice' and same_patient_as is null)
    or same_patient_as = patient_id
union all
select received.patient_id as patient_id
from {{ ref('stg_patient') }} as received
left join {{ ref('patient') }} as patient
    on received.patient_id = patient.patient_id
where patient.patient_id is null
