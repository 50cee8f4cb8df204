-- The ends of a patient's time: day 0, death, last sign of life, last seen.
--
-- Grain    one row per patient record received
-- Inputs   int_day_zero, stg_patient, stg_lab_result, stg_tpe_session, stg_drug_course, stg_adverse_event
-- Source   PROTOCOL 1 (day 0), 2 (a result after the stated last contact extends the last sign of life), 3 "Partial
--          dates"
-- Unknown  died without any date: died is 'yes', death_day null; the survival statuses that need the day are then
--          unknown
-- Caveat   a month of death without a day is its middle, moved after the last sign of life and not after the last
--          contact (nothing between them: the last contact), and kept within that month; death_date_precision says
--          'month'
-- Caveat   a stated date or month of death is evidence of death whatever the yes/no answer says

with dated_sign as (
    select patient_id as patient_id, result_date as sign_date from {{ ref('stg_lab_result') }}
    union all
    select patient_id as patient_id, session_date as sign_date from {{ ref('stg_tpe_session') }}
    union all
    select patient_id as patient_id, start_date as sign_date from {{ ref('stg_drug_course') }}
    union all
    select patient_id as patient_id, event_date as sign_date from {{ ref('stg_adverse_event') }}
    union all
    select patient_id as patient_id, discharge_date as sign_date from {{ ref('stg_patient') }}
    union all
    select patient_id as patient_id, day0_date as sign_date from {{ ref('int_day_zero') }}
),

last_sign as (
    select
        patient_id,
        max(sign_date) as last_sign_of_life_date
    from dated_sign
    group by patient_id
),

dated as (
    select
        patient.patient_id,
        patient.centre_id,
        patient.last_contact_date,
        patient.death_date,
        patient.death_month,
        day_zero.day0_date,
        day_zero.day0_source,
        last_sign.last_sign_of_life_date,
        case
            when patient.death_date is not null or patient.death_month is not null then 'yes'
            else patient.died
        end as died,
        {{ add_days('patient.death_month', 14) }} as middle_of_month,
        {{ last_day_of_month('patient.death_month') }} as end_of_month,
        {{ add_days('last_sign.last_sign_of_life_date', 1) }} as day_after_last_sign
    from {{ ref('stg_patient') }} as patient
    inner join {{ ref('int_day_zero') }} as day_zero
        on patient.patient_id = day_zero.patient_id
    left join last_sign
        on patient.patient_id = last_sign.patient_id
),

-- "a month without a day is taken as the middle of the month, moved into the interval that the patient's other dates
-- allow (after the last sign of life, not after the last contact), and flagged"
moved_after_last_sign as (
    select
        dated.*,
        case
            when day_after_last_sign > middle_of_month then day_after_last_sign
            else middle_of_month
        end as earliest_death_date
    from dated
),

moved_before_last_contact as (
    select
        moved_after_last_sign.*,
        case
            when last_contact_date < earliest_death_date then last_contact_date
            else earliest_death_date
        end as allowed_death_date
    from moved_after_last_sign
),

placed as (
    select
        moved_before_last_contact.*,
        case
            when death_date is not null then death_date
            when allowed_death_date < death_month then death_month
            when allowed_death_date > end_of_month then end_of_month
            else allowed_death_date
        end as placed_death_date
    from moved_before_last_contact
),

last_seen as (
    select
        placed.*,
        case
            when placed_death_date is not null then placed_death_date
            when last_sign_of_life_date is null or last_contact_date > last_sign_of_life_date then last_contact_date
            else last_sign_of_life_date
        end as last_seen_date
    from placed
)

select
    patient_id as patient_id,
    centre_id as centre_id,
    cast(day0_date as date) as day0_date,
    cast(day0_source as string) as day0_source,
    cast(died as string) as died,
    cast(placed_death_date as date) as death_date,
    cast(
        case
            when death_date is not null then 'day'
            when placed_death_date is not null then 'month'
        end as string
    ) as death_date_precision,
    cast({{ days_between('day0_date', 'placed_death_date') }} as integer) as death_day,
    cast(last_sign_of_life_date as date) as last_sign_of_life_date,
    cast(last_contact_date as date) as last_contact_date,
    cast({{ days_between('day0_date', 'last_seen_date') }} as integer) as last_seen_day
from last_seen
