{{ config(meta={
    "dagster": {"ref": {"name": "patient"}},
    "description": "Timing belongs to the caplacizumab group, a reason for the delay to delayed starts, and to each of them one."
}) }}
select patient_id as patient_id
from {{ ref('patient') }}
where (coalesce(treatment_group, '') = 'caplacizumab') <> (timing is not null)
    or (coalesce(timing, '') = 'delayed') <> (delay_reason is not null)
