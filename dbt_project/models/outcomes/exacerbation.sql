-- Exacerbation: a confirmed fall after a response, before any remission, within
-- {{ var('exacerbation_within_days_of_therapy') }} days of therapy.
--
-- Grain    one row per rule set, patient and exacerbation
-- Inputs   int_fall, rule_set
-- Source   PROTOCOL 3.5; IWG 2021 (Cuker et al., Blood 137:1855); `tpe2017`: Scully et al., J Thromb Haemost
--          2017;15:312
-- Unknown  no row says nothing about patients without response or not followed to remission: see the status in
--          patient_outcome
-- Caveat   a later fall without remission is an unclassified fall, not an exacerbation

with fall as (
    select
        fall.rule_set,
        fall.patient_id,
        fall.response_day,
        fall.fall_day,
        fall.remission_day_before,
        fall.last_therapy_day,
        fall.days_after_therapy,
        rule_set.fall_classification,
        -- "at most 30 days after the last therapy day strictly before it"
        case
            when fall.days_after_therapy <= {{ var('exacerbation_within_days_of_therapy') }} then 1
            else 0
        end as soon_after_therapy
    from {{ ref('int_fall') }} as fall
    inner join {{ ref('rule_set') }} as rule_set
        on fall.rule_set = rule_set.rule_set
),

counted as (
    select
        fall.*,
        sum(1 - soon_after_therapy) over (
            partition by rule_set, patient_id order by fall_day rows between unbounded preceding and current row
        ) as late_falls_so_far
    from fall
),

exacerbation as (
    select counted.*
    from counted
    where soon_after_therapy = 1
        and (
            -- "for which no remission lies before the day of the fall"
            (fall_classification = 'by_remission' and remission_day_before is null)
            -- `tpe2017`: "exacerbation <= 30 days after the last TPE, relapse after that"
            or (fall_classification = 'by_days_after_tpe' and late_falls_so_far = 0)
        )
)

select
    cast(rule_set as string) as rule_set,
    cast(patient_id as string) as patient_id,
    cast(row_number() over (partition by rule_set, patient_id order by fall_day) as integer) as exacerbation_number,
    cast(fall_day as integer) as day,
    cast(response_day as integer) as response_day,
    cast(last_therapy_day as integer) as last_therapy_day,
    cast(days_after_therapy as integer) as days_after_therapy
from exacerbation
order by rule_set, patient_id, day
