-- Therapeutic plasma exchange sessions, with their day.
--
-- Grain    one row per therapeutic plasma exchange session of a patient
-- Inputs   stg_tpe_session, int_day_zero
-- Source   PROTOCOL 1 (day 0 is the first session), 2
-- Unknown  a null volume was not sent; a patient without a row had none where the centre's list is complete
-- Caveat   several sessions on one day are several rows; a TPE day is a day with at least one

select
    cast(session.patient_id as string) as patient_id,
    cast(
        row_number() over (
            partition by session.patient_id
            order by
                session.session_date nulls last,
                session.source_file nulls last,
                session.source_sheet nulls last,
                session.source_row nulls last
        ) as integer
    ) as session_number,
    cast({{ days_between('day_zero.day0_date', 'session.session_date') }} as integer) as day,
    cast(session.session_date as date) as session_date,
    cast(session.volume_ml as double) as volume_ml,
    cast(session.centre_id as string) as centre_id,
    cast(session.submission as date) as submission,
    cast(session.source_file as string) as source_file,
    cast(session.source_sheet as string) as source_sheet,
    cast(session.source_row as bigint) as source_row
from {{ ref('stg_tpe_session') }} as session
inner join {{ ref('int_day_zero') }} as day_zero
    on session.patient_id = day_zero.patient_id
order by patient_id, session_number
