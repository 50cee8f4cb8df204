-- Responses and the falls that end them: each response starts the clock again.
--
-- Grain    one row per rule set, patient and episode (a response, to the first confirmed fall after it)
-- Inputs   clinical_response, confirmed_fall
-- Source   PROTOCOL 3.5, "The next response starts the clock again; a patient can have several"
-- Unknown  fall_day null: no confirmed fall after this response
-- Caveat   days that meet the response criteria within an episode, and falls between episodes, open and close nothing

with marker as (
    select
        rule_set as rule_set,
        patient_id as patient_id,
        day as day,
        'response' as kind
    from {{ ref('clinical_response') }}
    union all
    select
        rule_set as rule_set,
        patient_id as patient_id,
        day as day,
        'fall' as kind
    from {{ ref('confirmed_fall') }}
    where confirmed = 'yes'
),

with_previous as (
    select
        marker.*,
        lag(kind) over (partition by rule_set, patient_id order by day, kind) as previous_kind
    from marker
),

-- a response after a fall (or the first one) opens an episode, a fall after a response closes it
turning_point as (
    select
        rule_set,
        patient_id,
        day,
        kind
    from with_previous
    where (kind = 'response' and coalesce(previous_kind, 'fall') = 'fall')
        or (kind = 'fall' and previous_kind = 'response')
),

paired as (
    select
        turning_point.*,
        lead(day) over (partition by rule_set, patient_id order by day) as next_day
    from turning_point
)

select
    rule_set as rule_set,
    patient_id as patient_id,
    cast(row_number() over (partition by rule_set, patient_id order by day) as integer) as episode_number,
    cast(day as integer) as response_day,
    cast(next_day as integer) as fall_day
from paired
where kind = 'response'
