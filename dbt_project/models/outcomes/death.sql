-- Death within {{ var('follow_up_days') }} days of day 0.
--
-- Grain    one row per patient with a day 0
-- Inputs   int_patient_timeline
-- Source   PROTOCOL 3.7 (primary outcome: 3-month survival)
-- Unknown  last seen before the end of follow-up without a day of death: unknown, censored at last_seen_day
-- Caveat   where only the month of death is known the day is placed in it (death_date_precision 'month')

select
    cast(patient_id as string) as patient_id,
    cast(died as string) as died,
    cast(death_day as integer) as death_day,
    cast(death_date_precision as string) as death_date_precision,
    cast(last_seen_day as integer) as last_seen_day,
    cast(
        case
            -- "Death within 90 days of day 0"
            when death_day <= {{ var('follow_up_days') }} then 'yes'
            when last_seen_day >= {{ var('follow_up_days') }} then 'no'
            -- "Alive but last seen before day 90: censored there"
            else 'unknown'
        end as string
    ) as died_by_day_90
from {{ ref('int_patient_timeline') }}
where day0_date is not null
order by patient_id
