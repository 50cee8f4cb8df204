{{ config(meta={
    "dagster": {"ref": {"name": "daily_series"}},
    "description": "The sessions of the daily series (from day 0), the courses and the list are the same sessions."
}) }}
-- a session before the stated first one is asked about (quality.query) and lies before the series: it is in no day
with per_patient as (
    select patient_id as patient_id, centre_id as centre_id, count(*) as listed,
        count(case when day >= 0 then 1 end) as listed_from_day_0, 0 as in_series, 0 as in_courses
    from {{ ref('tpe_session') }}
    group by patient_id, centre_id
    union all
    select patient_id as patient_id, null as centre_id, 0 as listed, 0 as listed_from_day_0,
        cast(sum(tpe_sessions) as bigint) as in_series, 0 as in_courses
    from {{ ref('daily_series') }}
    group by patient_id
    union all
    select patient_id as patient_id, null as centre_id, 0 as listed, 0 as listed_from_day_0, 0 as in_series,
        cast(sum(sessions) as bigint) as in_courses
    from {{ ref('tpe_course') }}
    group by patient_id
)

select
    max(centre_id) as centre_id, patient_id as patient_id, sum(listed) as listed,
    sum(listed_from_day_0) as listed_from_day_0, sum(in_series) as in_series, sum(in_courses) as in_courses
from per_patient
group by patient_id
having coalesce(sum(listed_from_day_0), 0) <> coalesce(sum(in_series), 0)
    or coalesce(sum(listed), 0) <> coalesce(sum(in_courses), 0)
