-- Confirmed fall: platelets below {{ var('fall_platelets_below_10e9_per_l') }} after a response, held by the next count
-- or answered by an exchange.
--
-- Grain    one row per rule set, patient and low count after the first response
-- Inputs   daily_series, clinical_response
-- Source   PROTOCOL 3.3; IWG 2021 (Cuker et al., Blood 137:1855)
-- Unknown  no count within the confirmation days and no exchange: not a fall, listed with confirmed 'unknown'
-- Caveat   other causes of thrombocytopenia are not ruled out here

with platelet_count as (
    select
        patient_id,
        day,
        platelets_10e9_per_l,
        lead(day) over (partition by patient_id order by day) as next_count_day,
        lead(platelets_10e9_per_l) over (partition by patient_id order by day) as next_platelets_10e9_per_l
    from {{ ref('daily_series') }}
    where platelets_10e9_per_l is not null
),

-- "a count < 150 after a response"
low_after_response as (
    select
        response.rule_set,
        platelet_count.patient_id,
        platelet_count.day,
        platelet_count.platelets_10e9_per_l,
        platelet_count.next_count_day,
        platelet_count.next_platelets_10e9_per_l,
        -- "confirmed by the next count (at most 3 days later) < 150"
        case
            when platelet_count.next_count_day - platelet_count.day <= {{ var('fall_confirm_within_days') }}
                then platelet_count.next_platelets_10e9_per_l < {{ var('fall_platelets_below_10e9_per_l') }}
        end as held_by_next_count
    from platelet_count
    inner join {{ ref('clinical_response') }} as response
        on platelet_count.patient_id = response.patient_id
        and response.candidate_number = 1
        and platelet_count.day > response.day
    where platelet_count.platelets_10e9_per_l < {{ var('fall_platelets_below_10e9_per_l') }}
),

-- "or by a TPE on that day or the 3 days after"
answered as (
    select
        low_after_response.rule_set,
        low_after_response.patient_id,
        low_after_response.day,
        min(tpe.day) as tpe_day
    from low_after_response
    inner join {{ ref('daily_series') }} as tpe
        on low_after_response.patient_id = tpe.patient_id
        and tpe.tpe_sessions > 0
        and tpe.day - low_after_response.day between 0 and {{ var('fall_confirm_within_days') }}
    group by low_after_response.rule_set, low_after_response.patient_id, low_after_response.day
)

select
    cast(low_after_response.rule_set as string) as rule_set,
    cast(low_after_response.patient_id as string) as patient_id,
    cast(low_after_response.day as integer) as day,
    cast(low_after_response.platelets_10e9_per_l as double) as platelets_10e9_per_l,
    cast(low_after_response.next_count_day as integer) as next_count_day,
    cast(low_after_response.next_platelets_10e9_per_l as double) as next_platelets_10e9_per_l,
    cast(answered.tpe_day as integer) as tpe_day,
    cast(
        case
            when low_after_response.held_by_next_count or answered.tpe_day is not null then 'yes'
            when not low_after_response.held_by_next_count then 'no'
            else 'unknown'
        end as string
    ) as confirmed
from low_after_response
left join answered
    on low_after_response.rule_set = answered.rule_set
    and low_after_response.patient_id = answered.patient_id
    and low_after_response.day = answered.day
order by rule_set, patient_id, day
