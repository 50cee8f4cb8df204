{{ config(meta={
    "dagster": {"ref": {"name": "patient"}},
    "description": "The links of a duplicate end, within three, at a record that is linked to no other."
}) }}
select linked.patient_id as patient_id
from {{ ref('patient') }} as linked
left join {{ ref('patient') }} as second
    on linked.same_patient_as = second.patient_id
left join {{ ref('patient') }} as third
    on second.same_patient_as = third.patient_id
where linked.same_patient_as is not null
    and (second.patient_id is null or third.same_patient_as is not null)
