-- Clinical response: platelets at least {{ var('response_platelets_from_10e9_per_l') }}, held by the next count, with
-- LDH below {{ var('response_ldh_below_x_uln') }} times normal.
--
-- Grain    one row per rule set, patient and day that meets the criteria of a response
-- Inputs   daily_series, rule_set, int_ischemic_organ_event
-- Source   PROTOCOL 3.1; IWG 2021 (Cuker et al., Blood 137:1855), where "sustained" has no number
-- Unknown  no LDH in the window: that part is not assessable and does not block (ldh_assessable 'no'); no next count
--          within the confirmation days: not a response on this day
-- Caveat   candidate 1 is the response of the episode; the later ones restart the clock after a confirmed fall

with measured as (
    {{ daily_series_with_latest_ldh() }}
),

platelet_count as (
    select
        patient_id,
        day,
        platelets_10e9_per_l,
        latest_ldh_day,
        latest_ldh_x_uln,
        lead(day) over (partition by patient_id order by day) as next_count_day,
        lead(platelets_10e9_per_l) over (partition by patient_id order by day) as next_platelets_10e9_per_l
    from measured
    where platelets_10e9_per_l is not null
),

-- "the first day d whose count is >= 150 and whose next count, at most 3 days later, is >= 150 too"
held as (
    select
        patient_id,
        day,
        platelets_10e9_per_l,
        next_count_day,
        next_platelets_10e9_per_l,
        -- "the latest LDH from day d-3 to day d inclusive"
        case when day - latest_ldh_day <= {{ var('response_ldh_window_days') }} then latest_ldh_day end as ldh_day,
        case when day - latest_ldh_day <= {{ var('response_ldh_window_days') }} then latest_ldh_x_uln end as ldh_x_uln
    from platelet_count
    where platelets_10e9_per_l >= {{ var('response_platelets_from_10e9_per_l') }}
        and next_platelets_10e9_per_l >= {{ var('response_platelets_from_10e9_per_l') }}
        and next_count_day - day <= {{ var('response_confirm_within_days') }}
),

-- "a recorded new ischaemic organ event after d and up to the next count's day blocks it"
blocked as (
    select distinct
        held.patient_id,
        held.day
    from held
    inner join {{ ref('int_ischemic_organ_event') }} as organ_event
        on held.patient_id = organ_event.patient_id
        and organ_event.day > held.day
        and organ_event.day <= held.next_count_day
)

select
    cast(rule_set.rule_set as string) as rule_set,
    cast(held.patient_id as string) as patient_id,
    cast(
        row_number() over (partition by rule_set.rule_set, held.patient_id order by held.day) as integer
    ) as candidate_number,
    cast(held.day as integer) as day,
    cast(held.platelets_10e9_per_l as double) as platelets_10e9_per_l,
    cast(held.next_count_day as integer) as next_count_day,
    cast(held.next_platelets_10e9_per_l as double) as next_platelets_10e9_per_l,
    cast(held.ldh_day as integer) as ldh_day,
    cast(held.ldh_x_uln as double) as ldh_x_uln,
    cast(case when held.ldh_x_uln is null then 'no' else 'yes' end as string) as ldh_assessable
from held
cross join {{ ref('rule_set') }} as rule_set
left join blocked
    on held.patient_id = blocked.patient_id
    and held.day = blocked.day
where blocked.day is null
    -- "< 1.5 x ULN; with no LDH in those days the LDH part is not assessable and does not block"
    and (
        rule_set.response_needs_ldh = 'no'
        or held.ldh_x_uln is null
        or held.ldh_x_uln < {{ var('response_ldh_below_x_uln') }}
    )
order by rule_set, patient_id, day
