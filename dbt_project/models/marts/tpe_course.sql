-- Courses of therapeutic plasma exchange: sessions that follow each other closely.
--
-- Grain    one row per patient and course of therapeutic plasma exchange
-- Inputs   tpe_session
-- Source   PROTOCOL 2; the protocol names no gap, so `tpe_course_gap_days` is this project's
-- Unknown  the total volume is null when the volume of any session of the course was not sent
-- Caveat   a description only: no outcome is derived from courses

with session as (
    select
        patient_id,
        session_number,
        day,
        volume_ml,
        lag(day) over (partition by patient_id order by session_number) as previous_day
    from {{ ref('tpe_session') }}
),

-- sessions at most this many days apart are one course
marked as (
    select
        session.*,
        case
            when previous_day is not null and day - previous_day <= {{ var('tpe_course_gap_days') }} then 0
            else 1
        end as opens_course
    from session
),

numbered as (
    select
        marked.*,
        sum(opens_course) over (
            partition by patient_id order by session_number rows between unbounded preceding and current row
        ) as course_number
    from marked
)

select
    cast(patient_id as string) as patient_id,
    cast(course_number as integer) as course_number,
    cast(min(day) as integer) as start_day,
    cast(max(day) as integer) as end_day,
    cast(count(distinct day) as integer) as tpe_days,
    cast(count(*) as integer) as sessions,
    cast(case when count(volume_ml) = count(*) then sum(volume_ml) end as double) as total_volume_ml
from numbered
group by patient_id, course_number
order by patient_id, course_number
