-- Unclassified fall: a confirmed fall before any remission, but more than
-- {{ var('exacerbation_within_days_of_therapy') }} days after therapy.
--
-- Grain    one row per rule set, patient and unclassified fall
-- Inputs   int_fall, rule_set
-- Source   PROTOCOL 3.5: "listed, neither exacerbation nor relapse"
-- Unknown  no therapy known before the fall: unclassified
-- Caveat   such a fall occurs only where remission was not reached because follow-up or a known end of treatment is
--          lacking

select
    cast(fall.rule_set as string) as rule_set,
    cast(fall.patient_id as string) as patient_id,
    cast(fall.fall_day as integer) as day,
    cast(fall.response_day as integer) as response_day,
    cast(fall.last_therapy_day as integer) as last_therapy_day,
    cast(fall.days_after_therapy as integer) as days_after_therapy
from {{ ref('int_fall') }} as fall
inner join {{ ref('rule_set') }} as rule_set
    on fall.rule_set = rule_set.rule_set
where rule_set.fall_classification = 'by_remission'
    and fall.remission_day_before is null
    and coalesce(fall.days_after_therapy > {{ var('exacerbation_within_days_of_therapy') }}, true)
order by rule_set, patient_id, day
