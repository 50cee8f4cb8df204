-- Day 0: the date of the first therapeutic plasma exchange.
--
-- Grain    one row per patient record received
-- Inputs   stg_patient, stg_tpe_session
-- Source   PROTOCOL 1
-- Unknown  neither a session nor a stated first exchange: day 0 is null, and the patient had no TPE as far as is known
-- Caveat   the stated date decides where there is one: a session that was refused or mistyped must not move every
--          outcome in silence. day0_source says where the two disagree: 'contradiction' (a session lies on the stated
--          day, another one before it), 'sessions_incomplete' (no session lies on the stated day, so the list of
--          sessions lacks at least the first)

with session_days as (
    select
        patient.patient_id,
        min(tpe.session_date) as first_session_date,
        max(case when tpe.session_date = patient.first_tpe_date then 1 else 0 end) as stated_day_has_session
    from {{ ref('stg_patient') }} as patient
    inner join {{ ref('stg_tpe_session') }} as tpe
        on patient.patient_id = tpe.patient_id
    group by patient.patient_id
)

select
    patient.patient_id as patient_id,
    cast(coalesce(patient.first_tpe_date, session_days.first_session_date) as date) as day0_date,
    cast(
        case
            when session_days.first_session_date is null and patient.first_tpe_date is null then null
            when session_days.first_session_date is null then 'stated'
            when patient.first_tpe_date is null then 'sessions'
            when session_days.stated_day_has_session = 0 then 'sessions_incomplete'
            when session_days.first_session_date < patient.first_tpe_date then 'contradiction'
            else 'sessions'
        end as string
    ) as day0_source
from {{ ref('stg_patient') }} as patient
left join session_days
    on patient.patient_id = session_days.patient_id
