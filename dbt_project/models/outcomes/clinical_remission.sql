-- Clinical remission: from a response on, ADAMTS13 of at least {{ var('remission_adamts13_from_percent') }} %, or
-- {{ var('remission_days_without_therapy') }} days without therapy and without a fall.
--
-- Grain    one row per rule set, patient and response that starts an episode
-- Inputs   int_episode, int_adamts13_counted, int_therapy_day, int_patient_timeline, int_observed, drug_course,
--          rule_set
-- Source   PROTOCOL 3.4; IWG 2021 (Cuker et al., Blood 137:1855)
-- Unknown  a caplacizumab course without recorded end, or exchanges not completely known: criterion (b) is not
--          evaluable (criterion_b_evaluable 'no'); not followed through the days without therapy: (b) is not met
-- Caveat   a remission lies strictly before the fall that ends its episode: one reached on that very day does not count
-- Caveat   the patient's remission is that of the first episode that has one

with episode as (
    select
        episode.rule_set,
        episode.patient_id,
        episode.episode_number,
        episode.response_day,
        episode.fall_day,
        timeline.last_seen_day,
        rule_set.therapy_counted
    from {{ ref('int_episode') }} as episode
    inner join {{ ref('int_patient_timeline') }} as timeline
        on episode.patient_id = timeline.patient_id
    inner join {{ ref('rule_set') }} as rule_set
        on episode.rule_set = rule_set.rule_set
),

-- "(a) the first ADAMTS13 activity >= 20 %, on or after the response day"
criterion_a as (
    select
        episode.rule_set,
        episode.patient_id,
        episode.episode_number,
        min(activity.day) as day
    from episode
    inner join {{ ref('int_adamts13_counted') }} as activity
        on episode.rule_set = activity.rule_set
        and episode.patient_id = activity.patient_id
        and activity.day >= episode.response_day
        and (episode.fall_day is null or activity.day < episode.fall_day)
    where {{ adamts13_surely_at_least(
        'activity.adamts13_percent', 'activity.adamts13_comparator', var('remission_adamts13_from_percent')
    ) }}
    group by episode.rule_set, episode.patient_id, episode.episode_number
),

-- "If the end of a caplacizumab course is unknown, (b) is not evaluable"
without_end as (
    select distinct patient_id
    from {{ ref('drug_course') }}
    where drug = 'caplacizumab' and end_day is null
),

evaluable as (
    select
        episode.*,
        case
            when coalesce(observed.exchanges_known, 'no') = 'no' then 'no'
            when episode.therapy_counted = 'tpe_and_caplacizumab' and without_end.patient_id is not null then 'no'
            else 'yes'
        end as criterion_b_evaluable
    from episode
    left join {{ ref('int_observed') }} as observed
        on episode.patient_id = observed.patient_id
    left join without_end
        on episode.patient_id = without_end.patient_id
),

therapy as (
    select
        rule_set,
        patient_id,
        day,
        lead(day) over (partition by rule_set, patient_id order by day) as next_day
    from {{ ref('int_therapy_day') }}
),

-- "(b) for each therapy day s with no therapy on s+1, let b be the later of s and the response day"
pause as (
    select distinct
        evaluable.rule_set,
        evaluable.patient_id,
        evaluable.episode_number,
        evaluable.fall_day,
        evaluable.last_seen_day,
        case when therapy.day > evaluable.response_day then therapy.day else evaluable.response_day end as base_day
    from evaluable
    inner join therapy
        on evaluable.rule_set = therapy.rule_set
        and evaluable.patient_id = therapy.patient_id
        and (therapy.next_day is null or therapy.next_day > therapy.day + 1)
    where evaluable.criterion_b_evaluable = 'yes'
),

-- "the earliest b+30 such that no therapy lies in b+1..b+30, no confirmed fall after the response lies on or before
-- b+30, and the patient was followed to b+30"
interrupted as (
    select distinct
        pause.rule_set,
        pause.patient_id,
        pause.episode_number,
        pause.base_day
    from pause
    inner join therapy
        on pause.rule_set = therapy.rule_set
        and pause.patient_id = therapy.patient_id
        and therapy.day - pause.base_day between 1 and {{ var('remission_days_without_therapy') }}
),

criterion_b as (
    select
        pause.rule_set,
        pause.patient_id,
        pause.episode_number,
        min(pause.base_day + {{ var('remission_days_without_therapy') }}) as day
    from pause
    left join interrupted
        on pause.rule_set = interrupted.rule_set
        and pause.patient_id = interrupted.patient_id
        and pause.episode_number = interrupted.episode_number
        and pause.base_day = interrupted.base_day
    where interrupted.base_day is null
        and (pause.fall_day is null or pause.fall_day > pause.base_day + {{ var('remission_days_without_therapy') }})
        and pause.last_seen_day >= pause.base_day + {{ var('remission_days_without_therapy') }}
    group by pause.rule_set, pause.patient_id, pause.episode_number
)

select
    cast(evaluable.rule_set as string) as rule_set,
    cast(evaluable.patient_id as string) as patient_id,
    cast(evaluable.episode_number as integer) as episode_number,
    cast(evaluable.response_day as integer) as response_day,
    cast(evaluable.fall_day as integer) as fall_day,
    cast(criterion_a.day as integer) as criterion_a_day,
    cast(criterion_b.day as integer) as criterion_b_day,
    cast(evaluable.criterion_b_evaluable as string) as criterion_b_evaluable,
    -- "the earlier of (a) ... (b)"
    cast(
        case
            when criterion_b.day is null or criterion_a.day <= criterion_b.day then criterion_a.day
            else criterion_b.day
        end as integer
    ) as remission_day
from evaluable
left join criterion_a
    on evaluable.rule_set = criterion_a.rule_set
    and evaluable.patient_id = criterion_a.patient_id
    and evaluable.episode_number = criterion_a.episode_number
left join criterion_b
    on evaluable.rule_set = criterion_b.rule_set
    and evaluable.patient_id = criterion_b.patient_id
    and evaluable.episode_number = criterion_b.episode_number
order by rule_set, patient_id, episode_number
