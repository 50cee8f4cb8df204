-- Everything that happened to a patient, derived or reported, and where it came from.
--
-- Grain    one row per patient, rule set and event (derived), and per patient and event judged by the centre (reported)
-- Inputs   int_patient_timeline, int_outcome_status, int_outcome_fact, refractory, exacerbation, unclassified_fall,
--          adamts13_recovery, death, rule_set, reported_outcome
-- Source   PROTOCOL 3
-- Unknown  refractory is listed with every status; any other event that did not happen, or is not evaluable, has no row
-- Caveat   derived events are repeated for every rule set; reported ones have none (rule_set null)

with told as (
    select
        rule_set,
        patient_id,
        case outcome when 'died_by_day_90' then 'death' else outcome end as event_type,
        occurrence,
        {{ joined_text('text', 'place') }} as evidence
    from {{ ref('int_outcome_fact') }}
    where place is not null
    group by rule_set, patient_id, outcome, occurrence
),

derived as (
    select rule_set, patient_id, 'response' as event_type, 1 as occurrence, response_day as day, 'yes' as status
    from {{ ref('int_outcome_status') }}
    where response_day is not null
    union all
    select rule_set, patient_id, 'refractory', 1, refractory_assessment_day, refractory from {{ ref('refractory') }}
    union all
    select rule_set, patient_id, 'exacerbation', exacerbation_number, day, 'yes' from {{ ref('exacerbation') }}
    union all
    select
        rule_set, patient_id, 'unclassified_fall',
        row_number() over (partition by rule_set, patient_id order by day), day, 'yes'
    from {{ ref('unclassified_fall') }}
    union all
    select rule_set, patient_id, 'remission', 1, remission_day, 'yes'
    from {{ ref('int_outcome_status') }}
    where remission_day is not null
    union all
    select rule_set, patient_id, 'relapse', 1, relapse_day, relapse_status
    from {{ ref('int_outcome_status') }}
    where relapse_day is not null
    union all
    select rule_set, patient_id, 'adamts13_recovery', 1, day, 'yes' from {{ ref('adamts13_recovery') }}
    union all
    select rule_set.rule_set, death.patient_id, 'death', 1, death.death_day, 'yes'
    from {{ ref('death') }} as death
    cross join {{ ref('rule_set') }} as rule_set
    where death.died = 'yes'
),

reported as (
    select patient_id, 'response' as event_type, response_day as day, 'yes' as status
    from {{ ref('reported_outcome') }}
    where response_day is not null
    union all
    select patient_id, 'refractory', null, refractory from {{ ref('reported_outcome') }} where refractory <> 'unknown'
    union all
    select patient_id, 'exacerbation', null, exacerbation
    from {{ ref('reported_outcome') }}
    where exacerbation <> 'unknown'
),

event as (
    select
        derived.rule_set, derived.patient_id, derived.event_type, derived.day, derived.status, 'derived' as origin,
        told.evidence
    from derived
    left join told
        on derived.rule_set = told.rule_set
        and derived.patient_id = told.patient_id
        and derived.event_type = told.event_type
        and derived.occurrence = told.occurrence
    union all
    select null, patient_id, event_type, day, status, 'reported', 'as judged by the centre' from reported
)

select
    cast(event.patient_id as string) as patient_id,
    cast(event.event_type as string) as event_type,
    cast(event.day as integer) as day,
    cast({{ add_days('timeline.day0_date', 'event.day') }} as date) as event_date,
    cast(event.rule_set as string) as rule_set,
    cast(event.status as string) as status,
    cast(event.origin as string) as reported_or_derived,
    cast(event.evidence as string) as evidence
from event
inner join {{ ref('int_patient_timeline') }} as timeline
    on event.patient_id = timeline.patient_id
order by patient_id, rule_set nulls last, day nulls last, event_type
