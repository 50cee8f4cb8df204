-- Day 0: the date of the first therapeutic plasma exchange.
--
-- Grain    one row per patient record received
-- Inputs   stg_patient, stg_tpe_session
-- Source   PROTOCOL 1
-- Unknown  neither a session nor a stated first exchange: day 0 is null, and the patient had no TPE as far as is known
-- Caveat   the sessions decide; a stated date counts only where no session of the patient is recorded (day0_source 'stated')

with first_session as (
    select
        patient_id,
        min(session_date) as session_date
    from {{ ref('stg_tpe_session') }}
    group by patient_id
)

select
    patient.patient_id as patient_id,
    cast(coalesce(first_session.session_date, patient.first_tpe_date) as date) as day0_date,
    cast(
        case
            when first_session.session_date is not null then 'sessions'
            when patient.first_tpe_date is not null then 'stated'
        end as varchar
    ) as day0_source
from {{ ref('stg_patient') }} as patient
left join first_session
    on patient.patient_id = first_session.patient_id
