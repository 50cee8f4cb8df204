-- The day and status of response, exacerbation, remission and relapse.
--
-- Grain    one row per rule set and patient with a day 0
-- Inputs   death, rule_set, int_observed, clinical_response, clinical_remission, exacerbation, unclassified_fall,
--          relapse
-- Source   PROTOCOL 3.1 and the paragraph after 3.6
-- Unknown  'not_evaluable': without a response, or not followed far enough to say no (for a response also: no count at
--          all)
-- Caveat   a response is looked for throughout the follow-up, not only to the end of the primary follow-up

with response as (
    select
        rule_set,
        patient_id,
        day,
        ldh_assessable
    from {{ ref('clinical_response') }}
    where candidate_number = 1
),

remission as (
    select
        rule_set,
        patient_id,
        min(remission_day) as day,
        min(criterion_b_evaluable) as criterion_b_evaluable
    from {{ ref('clinical_remission') }}
    group by rule_set, patient_id
),

exacerbation as (
    select
        rule_set,
        patient_id,
        min(day) as day,
        count(*) as exacerbations
    from {{ ref('exacerbation') }}
    group by rule_set, patient_id
),

unclassified as (
    select
        rule_set,
        patient_id,
        min(day) as day
    from {{ ref('unclassified_fall') }}
    group by rule_set, patient_id
)

select
    rule_set.rule_set as rule_set,
    death.patient_id as patient_id,
    cast(response.day as integer) as response_day,
    cast(
        case
            when response.day is not null then 'yes'
            when death.died = 'yes' then 'no'
            when observed.platelets_counted = 'yes' and death.last_seen_day >= {{ var('follow_up_days') }} then 'no'
            else 'not_evaluable'
        end as string
    ) as response,
    cast(response.ldh_assessable as string) as response_ldh_assessable,
    cast(exacerbation.day as integer) as exacerbation_day,
    cast(
        case
            -- "not evaluable without a response; yes when found; no when not found and followed to remission
            -- (exacerbation) ..."
            when response.day is null then 'not_evaluable'
            when exacerbation.day is not null then 'yes'
            when remission.day is not null then 'no'
            else 'not_evaluable'
        end as string
    ) as exacerbation,
    cast(coalesce(exacerbation.exacerbations, 0) as integer) as exacerbation_count,
    cast(unclassified.day as integer) as unclassified_fall_day,
    cast(remission.day as integer) as remission_day,
    cast(
        case
            -- "... to day 90 (remission) ..."
            when response.day is null then 'not_evaluable'
            when remission.day is not null then 'yes'
            when remission.criterion_b_evaluable = 'no' then 'not_evaluable'
            when death.last_seen_day >= {{ var('follow_up_days') }} then 'no'
            else 'not_evaluable'
        end as string
    ) as remission,
    cast(relapse.day as integer) as relapse_day,
    cast(
        case
            -- "... to the last sign of life after remission (relapse); else not evaluable"
            when response.day is null then 'not_evaluable'
            when relapse.day is not null then 'yes'
            when remission.day is not null then 'no'
            else 'not_evaluable'
        end as string
    ) as relapse,
    cast(relapse.relapse_status as string) as relapse_status
from {{ ref('death') }} as death
cross join {{ ref('rule_set') }} as rule_set
left join {{ ref('int_observed') }} as observed
    on death.patient_id = observed.patient_id
left join response
    on death.patient_id = response.patient_id
    and rule_set.rule_set = response.rule_set
left join remission
    on death.patient_id = remission.patient_id
    and rule_set.rule_set = remission.rule_set
left join exacerbation
    on death.patient_id = exacerbation.patient_id
    and rule_set.rule_set = exacerbation.rule_set
left join unclassified
    on death.patient_id = unclassified.patient_id
    and rule_set.rule_set = unclassified.rule_set
left join {{ ref('relapse') }} as relapse
    on death.patient_id = relapse.patient_id
    and rule_set.rule_set = relapse.rule_set
