-- Every outcome of the protocol under the default rule set.
--
-- Grain    one row per eligible patient
-- Inputs   patient_outcome_by_rule_set
-- Source   PROTOCOL 3; the default rule set is the variable `default_rule_set`
-- Unknown  statuses are 'not_evaluable' or 'unknown' as their own models say; a null day: not reached, not evaluable or
--          not known
-- Caveat   what the centre itself judged stands beside it in marts.reported_outcome, never instead of it

select
    cast(patient_id as string) as patient_id,
    cast(response_day as integer) as response_day,
    cast(response as string) as response,
    cast(response_ldh_assessable as string) as response_ldh_assessable,
    cast(refractory as string) as refractory,
    cast(severe_refractory as string) as severe_refractory,
    cast(refractory_assessment_day as integer) as refractory_assessment_day,
    cast(exacerbation_day as integer) as exacerbation_day,
    cast(exacerbation as string) as exacerbation,
    cast(exacerbation_count as integer) as exacerbation_count,
    cast(unclassified_fall_day as integer) as unclassified_fall_day,
    cast(remission_day as integer) as remission_day,
    cast(remission as string) as remission,
    cast(relapse_day as integer) as relapse_day,
    cast(relapse as string) as relapse,
    cast(relapse_status as string) as relapse_status,
    cast(failure as string) as failure,
    cast(died_by_day_90 as string) as died_by_day_90,
    cast(tpe_days_to_response as integer) as tpe_days_to_response,
    cast(tpe_sessions_to_response as integer) as tpe_sessions_to_response,
    cast(days_from_caplacizumab_to_response as integer) as days_from_caplacizumab_to_response,
    cast(adamts13_recovery_day as integer) as adamts13_recovery_day,
    cast(exacerbation_after_stop_undetectable as string) as exacerbation_after_stop_undetectable
from {{ ref('patient_outcome_by_rule_set') }}
where rule_set = '{{ var("default_rule_set") }}'
order by patient_id
