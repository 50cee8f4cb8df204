{{ config(meta={
    "dagster": {"ref": {"name": "patient"}},
    "description": "Of the records of one patient at most one is analysed."
}) }}
select linked.patient_id as patient_id
from {{ ref('patient') }} as linked
inner join {{ ref('patient') }} as kept
    on linked.same_patient_as = kept.patient_id
where linked.eligible and kept.eligible
