-- Failure to achieve clinical response: no response by day {{ var('follow_up_days') }}, death before response included.
--
-- Grain    one row per rule set and patient with a day 0
-- Inputs   clinical_response, death, rule_set, int_observed
-- Source   PROTOCOL 3.8
-- Unknown  alive without response and last seen before then: 'not_evaluable'; alive and platelets never counted:
--          likewise
-- Caveat   a patient who died on an unknown day without response failed to respond, whenever that was

select
    cast(rule_set.rule_set as string) as rule_set,
    cast(death.patient_id as string) as patient_id,
    cast(response.day as integer) as response_day,
    cast(
        case
            when response.day <= {{ var('follow_up_days') }} then 'no'
            -- "death before response included"
            when death.died = 'yes' then 'yes'
            when observed.platelets_counted = 'yes' and death.last_seen_day >= {{ var('follow_up_days') }} then 'yes'
            -- "alive without response and last seen before day 90: not evaluable"
            else 'not_evaluable'
        end as string
    ) as failure
from {{ ref('death') }} as death
cross join {{ ref('rule_set') }} as rule_set
left join {{ ref('clinical_response') }} as response
    on death.patient_id = response.patient_id
    and rule_set.rule_set = response.rule_set
    and response.candidate_number = 1
left join {{ ref('int_observed') }} as observed
    on death.patient_id = observed.patient_id
order by rule_set, patient_id
