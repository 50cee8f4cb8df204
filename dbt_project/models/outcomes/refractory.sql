-- Refractory: platelets still below {{ var('refractory_platelets_below_10e9_per_l') }} with raised LDH after
-- {{ var('refractory_after_tpe_days') }} days of exchange.
--
-- Grain    one row per rule set and patient with a day 0
-- Inputs   daily_series, clinical_response, int_patient_timeline, int_observed, rule_set
-- Source   PROTOCOL 3.2; IWG 2021 (Cuker et al., Blood 137:1855); `no_response_after_5_tpe`, `not_doubled_day_4`:
--          PROTOCOL 3
-- Unknown  'not_evaluable': no count on the days of assessment, platelets low without LDH in the window, or too few TPE
--          days (death, end of TPE) without response, or the list of exchanges is not complete
-- Caveat   TPE days are counted, not required to be consecutive
-- Caveat   severity belongs to the default definition: under a rule set with another one it is not defined (null)

with population as (
    select
        rule_set.rule_set,
        rule_set.refractory_definition,
        timeline.patient_id,
        response.day as response_day
    from {{ ref('int_patient_timeline') }} as timeline
    cross join {{ ref('rule_set') }} as rule_set
    left join {{ ref('clinical_response') }} as response
        on timeline.patient_id = response.patient_id
        and rule_set.rule_set = response.rule_set
        and response.candidate_number = 1
    where timeline.day0_date is not null
),

measured as (
    {{ daily_series_with_latest_ldh() }}
),

tpe_day as (
    select
        patient_id,
        day,
        row_number() over (partition by patient_id order by day) as tpe_day_number
    from {{ ref('daily_series') }}
    where tpe_sessions > 0
),

-- "TPE days are counted, not required to be consecutive"
fifth_tpe as (
    select
        patient_id,
        day
    from tpe_day
    where tpe_day_number = {{ var('refractory_after_tpe_days') }}
),

-- "the first count on the 1st or 2nd day after the 5th TPE day"
first_count_after as (
    select
        fifth_tpe.patient_id,
        min(measured.day) as day
    from fifth_tpe
    inner join measured
        on fifth_tpe.patient_id = measured.patient_id
        and measured.platelets_10e9_per_l is not null
        and measured.day - fifth_tpe.day between 1 and {{ var('refractory_count_within_days') }}
    group by fifth_tpe.patient_id
),

-- "the latest LDH from 3 days before to that day"
after_5_tpe as (
    select
        first_count_after.patient_id,
        first_count_after.day,
        measured.platelets_10e9_per_l,
        case
            when measured.day - measured.latest_ldh_day <= {{ var('refractory_ldh_window_days') }}
                then measured.latest_ldh_day
        end as ldh_day,
        case
            when measured.day - measured.latest_ldh_day <= {{ var('refractory_ldh_window_days') }}
                then measured.latest_ldh_x_uln
        end as ldh_x_uln
    from first_count_after
    inner join measured
        on first_count_after.patient_id = measured.patient_id
        and first_count_after.day = measured.day
),

-- `not_doubled_day_4`: "platelets not doubled after 4 days and LDH > ULN"; the latest LDH from day 1 to day 4
day_4 as (
    select
        measured.patient_id,
        measured.day,
        measured.platelets_10e9_per_l,
        baseline.platelets_10e9_per_l as baseline_platelets_10e9_per_l,
        case when measured.latest_ldh_day >= 1 then measured.latest_ldh_day end as ldh_day,
        case when measured.latest_ldh_day >= 1 then measured.latest_ldh_x_uln end as ldh_x_uln
    from measured
    left join {{ ref('daily_series') }} as baseline
        on measured.patient_id = baseline.patient_id
        and baseline.day = 0
    where measured.day = {{ var('not_doubled_by_day') }} and measured.platelets_10e9_per_l is not null
),

facts as (
    select
        population.rule_set,
        population.patient_id,
        population.refractory_definition,
        population.response_day,
        coalesce(observed.exchanges_known, 'no') as exchanges_known,
        fifth_tpe.day as fifth_tpe_day,
        case population.refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days' then after_5_tpe.day
            when 'no_response_after_5_tpe' then fifth_tpe.day
            when 'not_doubled_day_4' then day_4.day
        end as assessment_day,
        case population.refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days' then after_5_tpe.platelets_10e9_per_l
            when 'not_doubled_day_4' then day_4.platelets_10e9_per_l
        end as platelets_10e9_per_l,
        case population.refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days' then after_5_tpe.ldh_day
            when 'not_doubled_day_4' then day_4.ldh_day
        end as ldh_day,
        case population.refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days' then after_5_tpe.ldh_x_uln
            when 'not_doubled_day_4' then day_4.ldh_x_uln
        end as ldh_x_uln,
        case population.refractory_definition
            when 'not_doubled_day_4' then day_4.baseline_platelets_10e9_per_l
        end as baseline_platelets_10e9_per_l
    from population
    left join {{ ref('int_observed') }} as observed
        on population.patient_id = observed.patient_id
    left join fifth_tpe
        on population.patient_id = fifth_tpe.patient_id
    left join after_5_tpe
        on population.patient_id = after_5_tpe.patient_id
    left join day_4
        on population.patient_id = day_4.patient_id
),

assessed as (
    select
        facts.*,
        case refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days' then
                case
                    when exchanges_known = 'no' then 'not_evaluable'
                    -- "death or end of TPE before the 5th TPE day without response"
                    when fifth_tpe_day is null and response_day is null then 'not_evaluable'
                    -- "No if responded by that day (inclusive) or before a 5th TPE day"
                    when fifth_tpe_day is null then 'no'
                    when response_day
                        <= coalesce(assessment_day, fifth_tpe_day + {{ var('refractory_count_within_days') }}) then 'no'
                    -- "no count on those two days"
                    when assessment_day is null then 'not_evaluable'
                    when platelets_10e9_per_l >= {{ var('refractory_platelets_below_10e9_per_l') }} then 'no'
                    -- "platelets < 50 without LDH in the window"
                    when ldh_x_uln is null then 'not_evaluable'
                    -- "Yes if platelets < 50 and the latest LDH ... > 1.5 x ULN"
                    when ldh_x_uln > {{ var('refractory_ldh_above_x_uln') }} then 'yes'
                    else 'no'
                end
            when 'no_response_after_5_tpe' then
                case
                    when exchanges_known = 'no' then 'not_evaluable'
                    when fifth_tpe_day is null and response_day is null then 'not_evaluable'
                    when fifth_tpe_day is null or response_day <= fifth_tpe_day then 'no'
                    -- "refractory = no response by the 5th TPE day"
                    else 'yes'
                end
            when 'not_doubled_day_4' then
                case
                    when response_day <= {{ var('not_doubled_by_day') }} then 'no'
                    when platelets_10e9_per_l is null or baseline_platelets_10e9_per_l is null then 'not_evaluable'
                    when platelets_10e9_per_l
                        >= {{ var('not_doubled_factor') }} * baseline_platelets_10e9_per_l then 'no'
                    when ldh_x_uln is null then 'not_evaluable'
                    when ldh_x_uln > {{ var('not_doubled_ldh_above_x_uln') }} then 'yes'
                    else 'no'
                end
        end as refractory
    from facts
)

select
    cast(rule_set as string) as rule_set,
    cast(patient_id as string) as patient_id,
    cast(refractory as string) as refractory,
    cast(
        case
            when refractory_definition <> 'platelets_and_ldh_after_5_tpe_days' then null
            when refractory <> 'yes' then refractory
            -- "severe if platelets < 30 as well"
            when platelets_10e9_per_l < {{ var('severe_refractory_platelets_below_10e9_per_l') }} then 'yes'
            else 'no'
        end as string
    ) as severe_refractory,
    cast(fifth_tpe_day as integer) as fifth_tpe_day,
    cast(assessment_day as integer) as refractory_assessment_day,
    cast(platelets_10e9_per_l as double) as platelets_10e9_per_l,
    cast(baseline_platelets_10e9_per_l as double) as baseline_platelets_10e9_per_l,
    cast(ldh_day as integer) as ldh_day,
    cast(ldh_x_uln as double) as ldh_x_uln,
    cast(response_day as integer) as response_day
from assessed
order by rule_set, patient_id
