-- The fall that ends an episode, with what decides its kind: remission before it, days since therapy.
--
-- Grain    one row per rule set, patient and confirmed fall that ends an episode
-- Inputs   clinical_remission, int_therapy_day
-- Source   PROTOCOL 3.5, 3.6
-- Unknown  last_therapy_day null: no therapy is known before the fall
-- Caveat   therapy on the day of the fall itself answers it and does not count as therapy before it

with fall as (
    select
        rule_set,
        patient_id,
        episode_number,
        response_day,
        fall_day,
        -- the first remission of the patient lies in the first episode that has one
        min(remission_day) over (partition by rule_set, patient_id) as first_remission_day
    from {{ ref('clinical_remission') }}
),

-- "the last therapy day strictly before it"
last_therapy as (
    select
        fall.rule_set,
        fall.patient_id,
        fall.episode_number,
        max(therapy.day) as day
    from fall
    inner join {{ ref('int_therapy_day') }} as therapy
        on fall.rule_set = therapy.rule_set
        and fall.patient_id = therapy.patient_id
        and therapy.day < fall.fall_day
    group by fall.rule_set, fall.patient_id, fall.episode_number
)

select
    fall.rule_set as rule_set,
    fall.patient_id as patient_id,
    cast(fall.episode_number as integer) as episode_number,
    cast(fall.response_day as integer) as response_day,
    cast(fall.fall_day as integer) as fall_day,
    cast(
        case when fall.first_remission_day < fall.fall_day then fall.first_remission_day end as integer
    ) as remission_day_before,
    cast(last_therapy.day as integer) as last_therapy_day,
    cast(fall.fall_day - last_therapy.day as integer) as days_after_therapy
from fall
left join last_therapy
    on fall.rule_set = last_therapy.rule_set
    and fall.patient_id = last_therapy.patient_id
    and fall.episode_number = last_therapy.episode_number
where fall.fall_day is not null
