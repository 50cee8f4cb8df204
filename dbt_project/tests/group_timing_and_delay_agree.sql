{{ config(meta={
    "dagster": {"ref": {"name": "patient"}},
    "description": "The caplacizumab group has a timing, delayed starts a reason; other patients have neither."
}) }}
select patient_id as patient_id
from {{ ref('patient') }}
where (coalesce(treatment_group, '') = 'caplacizumab') <> (timing is not null)
    or (coalesce(timing, '') = 'delayed') <> (delay_reason is not null)
