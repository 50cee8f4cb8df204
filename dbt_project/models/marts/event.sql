-- Everything that happened to a patient, derived or reported, and where it came from.
--
-- Grain    one row per patient, rule set and event (derived), and per patient and event judged by the centre (reported)
-- Inputs   int_patient_timeline, clinical_response, refractory, exacerbation, unclassified_fall, clinical_remission, relapse,
--          adamts13_recovery, death, rule_set, int_adamts13_counted, daily_series, reported_outcome
-- Source   PROTOCOL 3
-- Unknown  refractory is listed with every status; any other event that did not happen, or is not evaluable, has no row
-- Caveat   derived events are repeated for every rule set; reported ones have none (rule_set null)

with response as (
    select
        rule_set as rule_set,
        patient_id as patient_id,
        'response' as event_type,
        day as day,
        'yes' as status,
        'platelets day ' || cast(day as string) || ': ' || {{ number_text('platelets_10e9_per_l') }}
        || ', day ' || cast(next_count_day as string) || ': ' || {{ number_text('next_platelets_10e9_per_l') }}
        || case
            when ldh_day is null then '; no LDH in the window'
            else '; LDH day ' || cast(ldh_day as string) || ': ' || {{ number_text('ldh_x_uln') }} || ' x ULN'
        end as evidence
    from {{ ref('clinical_response') }}
    where candidate_number = 1
),

refractory as (
    select
        rule_set as rule_set,
        patient_id as patient_id,
        'refractory' as event_type,
        refractory_assessment_day as day,
        refractory as status,
        case
            when fifth_tpe_day is null then 'fewer than {{ var("refractory_after_tpe_days") }} TPE days'
            else 'TPE day number {{ var("refractory_after_tpe_days") }} on day ' || cast(fifth_tpe_day as string)
        end
        || case when response_day is null then '; no response' else '; response day ' || cast(response_day as string) end
        || case
            when baseline_platelets_10e9_per_l is null then ''
            else '; platelets day 0: ' || {{ number_text('baseline_platelets_10e9_per_l') }}
        end
        || case
            when platelets_10e9_per_l is null then ''
            else '; platelets day ' || cast(refractory_assessment_day as string) || ': ' || {{ number_text('platelets_10e9_per_l') }}
        end
        || case
            when ldh_x_uln is null then ''
            else '; LDH day ' || cast(ldh_day as string) || ': ' || {{ number_text('ldh_x_uln') }} || ' x ULN'
        end as evidence
    from {{ ref('refractory') }}
),

fall_text as (
    select
        rule_set,
        patient_id,
        day,
        'platelets day ' || cast(day as string) || ': ' || {{ number_text('platelets_10e9_per_l') }}
        || case
            when next_count_day is null then ''
            else ', day ' || cast(next_count_day as string) || ': ' || {{ number_text('next_platelets_10e9_per_l') }}
        end
        || case when tpe_day is null then '' else '; TPE day ' || cast(tpe_day as string) end as evidence
    from {{ ref('confirmed_fall') }}
    where confirmed = 'yes'
),

exacerbation as (
    select
        exacerbation.rule_set as rule_set,
        exacerbation.patient_id as patient_id,
        'exacerbation' as event_type,
        exacerbation.day as day,
        'yes' as status,
        fall_text.evidence || '; last therapy day ' || cast(exacerbation.last_therapy_day as string) as evidence
    from {{ ref('exacerbation') }} as exacerbation
    inner join fall_text
        on exacerbation.rule_set = fall_text.rule_set
        and exacerbation.patient_id = fall_text.patient_id
        and exacerbation.day = fall_text.day
),

unclassified_fall as (
    select
        unclassified.rule_set as rule_set,
        unclassified.patient_id as patient_id,
        'unclassified_fall' as event_type,
        unclassified.day as day,
        'yes' as status,
        fall_text.evidence || coalesce('; last therapy day ' || cast(unclassified.last_therapy_day as string), '; no therapy known before')
        || '; no remission before' as evidence
    from {{ ref('unclassified_fall') }} as unclassified
    inner join fall_text
        on unclassified.rule_set = fall_text.rule_set
        and unclassified.patient_id = fall_text.patient_id
        and unclassified.day = fall_text.day
),

remission_ranked as (
    select
        remission.rule_set,
        remission.patient_id,
        remission.remission_day,
        remission.criterion_a_day,
        remission.criterion_b_day,
        row_number() over (
            partition by remission.rule_set, remission.patient_id order by remission.episode_number
        ) as remission_number
    from {{ ref('clinical_remission') }} as remission
    where remission.remission_day is not null
),

remission as (
    select
        ranked.rule_set as rule_set,
        ranked.patient_id as patient_id,
        'remission' as event_type,
        ranked.remission_day as day,
        'yes' as status,
        case
            when ranked.remission_day = ranked.criterion_a_day
                then 'ADAMTS13 day ' || cast(ranked.criterion_a_day as string) || ': ' || coalesce(activity.adamts13_comparator, '')
                || {{ number_text('activity.adamts13_percent') }} || ' %'
            else '{{ var("remission_days_without_therapy") }} days without therapy and without fall, since day '
                || cast(ranked.criterion_b_day - {{ var('remission_days_without_therapy') }} as string)
        end as evidence
    from remission_ranked as ranked
    left join {{ ref('int_adamts13_counted') }} as activity
        on ranked.rule_set = activity.rule_set
        and ranked.patient_id = activity.patient_id
        and ranked.criterion_a_day = activity.day
    where ranked.remission_number = 1
),

relapse as (
    select
        relapse.rule_set as rule_set,
        relapse.patient_id as patient_id,
        'relapse' as event_type,
        relapse.day as day,
        relapse.relapse_status as status,
        fall_text.evidence
        || coalesce('; remission day ' || cast(relapse.remission_day as string), '')
        || coalesce('; last therapy day ' || cast(relapse.last_therapy_day as string), '')
        || coalesce(
            '; ADAMTS13 deficient day ' || cast(relapse.adamts13_deficient_day as string),
            '; no deficient ADAMTS13 within {{ var("relapse_adamts13_within_days") }} days'
        ) as evidence
    from {{ ref('relapse') }} as relapse
    inner join fall_text
        on relapse.rule_set = fall_text.rule_set
        and relapse.patient_id = fall_text.patient_id
        and relapse.day = fall_text.day
),

recovery as (
    select
        recovery.rule_set as rule_set,
        recovery.patient_id as patient_id,
        'adamts13_recovery' as event_type,
        recovery.day as day,
        'yes' as status,
        'ADAMTS13 day ' || cast(recovery.day as string) || ': ' || coalesce(activity.adamts13_comparator, '')
        || {{ number_text('activity.adamts13_percent') }} || ' %' as evidence
    from {{ ref('adamts13_recovery') }} as recovery
    inner join {{ ref('int_adamts13_counted') }} as activity
        on recovery.rule_set = activity.rule_set
        and recovery.patient_id = activity.patient_id
        and recovery.day = activity.day
),

death as (
    select
        rule_set.rule_set as rule_set,
        death.patient_id as patient_id,
        'death' as event_type,
        death.death_day as day,
        'yes' as status,
        case death.death_date_precision
            when 'day' then 'date of death as sent'
            when 'month' then 'month of death as sent, day placed within it'
            else 'died, date not known'
        end as evidence
    from {{ ref('death') }} as death
    cross join {{ ref('rule_set') }} as rule_set
    where death.died = 'yes'
),

reported as (
    select
        cast(null as string) as rule_set,
        patient_id as patient_id,
        'response' as event_type,
        response_day as day,
        'yes' as status,
        'as judged by the centre' as evidence
    from {{ ref('reported_outcome') }}
    where response_day is not null
    union all
    select
        cast(null as string) as rule_set,
        patient_id as patient_id,
        'refractory' as event_type,
        cast(null as integer) as day,
        refractory as status,
        'as judged by the centre' as evidence
    from {{ ref('reported_outcome') }}
    where refractory <> 'unknown'
    union all
    select
        cast(null as string) as rule_set,
        patient_id as patient_id,
        'exacerbation' as event_type,
        cast(null as integer) as day,
        exacerbation as status,
        'as judged by the centre' as evidence
    from {{ ref('reported_outcome') }}
    where exacerbation <> 'unknown'
),

event as (
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from response
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from refractory
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from exacerbation
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from unclassified_fall
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from remission
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from relapse
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from recovery
    union all
    select 'derived' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from death
    union all
    select 'reported' as reported_or_derived, rule_set, patient_id, event_type, day, status, evidence from reported
)

select
    cast(event.patient_id as string) as patient_id,
    cast(event.event_type as string) as event_type,
    cast(event.day as integer) as day,
    cast({{ add_days('timeline.day0_date', 'event.day') }} as date) as event_date,
    cast(event.rule_set as string) as rule_set,
    cast(event.status as string) as status,
    cast(event.reported_or_derived as string) as reported_or_derived,
    cast(event.evidence as string) as evidence
from event
inner join {{ ref('int_patient_timeline') }} as timeline
    on event.patient_id = timeline.patient_id
order by patient_id, rule_set nulls last, day nulls last, event_type
