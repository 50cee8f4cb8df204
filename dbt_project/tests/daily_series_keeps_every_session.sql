{{ config(meta={
    "dagster": {"ref": {"name": "daily_series"}},
    "description": "The sessions of the daily series, of the courses and of the session list are the same sessions."
}) }}
with per_patient as (
    select patient_id as patient_id, count(*) as listed, 0 as in_series, 0 as in_courses
    from {{ ref('tpe_session') }}
    group by patient_id
    union all
    select patient_id as patient_id, 0 as listed, cast(sum(tpe_sessions) as bigint) as in_series, 0 as in_courses
    from {{ ref('daily_series') }}
    group by patient_id
    union all
    select patient_id as patient_id, 0 as listed, 0 as in_series, cast(sum(sessions) as bigint) as in_courses
    from {{ ref('tpe_course') }}
    group by patient_id
)

select patient_id as patient_id
from per_patient
group by patient_id
having coalesce(sum(listed), 0) <> coalesce(sum(in_series), 0)
    or coalesce(sum(listed), 0) <> coalesce(sum(in_courses), 0)
