-- Every outcome of the protocol under every rule set.
--
-- Grain    one row per rule set and eligible patient
-- Inputs   patient, int_outcome_status, refractory, failure, death, time_to_response, tpe_to_response,
--          adamts13_recovery, exacerbation_after_stop
-- Source   PROTOCOL 3
-- Unknown  statuses are 'not_evaluable' or 'unknown' as their own models say; a null day: not reached, not evaluable or
--          not known
-- Caveat   the same patient appears once per rule set: never add over rule sets

select
    cast(status.rule_set as string) as rule_set,
    cast(status.patient_id as string) as patient_id,
    cast(status.response_day as integer) as response_day,
    cast(status.response as string) as response,
    cast(status.response_ldh_assessable as string) as response_ldh_assessable,
    cast(refractory.refractory as string) as refractory,
    cast(refractory.severe_refractory as string) as severe_refractory,
    cast(refractory.refractory_assessment_day as integer) as refractory_assessment_day,
    cast(status.exacerbation_day as integer) as exacerbation_day,
    cast(status.exacerbation as string) as exacerbation,
    cast(status.exacerbation_count as integer) as exacerbation_count,
    cast(status.unclassified_fall_day as integer) as unclassified_fall_day,
    cast(status.remission_day as integer) as remission_day,
    cast(status.remission as string) as remission,
    cast(status.relapse_day as integer) as relapse_day,
    cast(status.relapse as string) as relapse,
    cast(status.relapse_status as string) as relapse_status,
    cast(failure.failure as string) as failure,
    cast(death.died_by_day_90 as string) as died_by_day_90,
    cast(tpe_to_response.tpe_days_to_response as integer) as tpe_days_to_response,
    cast(tpe_to_response.tpe_sessions_to_response as integer) as tpe_sessions_to_response,
    cast(time_to_response.days_from_caplacizumab_to_response as integer) as days_from_caplacizumab_to_response,
    cast(recovery.day as integer) as adamts13_recovery_day,
    cast(after_stop.exacerbation_after_stop_undetectable as string) as exacerbation_after_stop_undetectable
from {{ ref('int_outcome_status') }} as status
inner join {{ ref('patient') }} as patient
    on status.patient_id = patient.patient_id
    and patient.eligible
left join {{ ref('refractory') }} as refractory
    on status.rule_set = refractory.rule_set
    and status.patient_id = refractory.patient_id
left join {{ ref('failure') }} as failure
    on status.rule_set = failure.rule_set
    and status.patient_id = failure.patient_id
left join {{ ref('death') }} as death
    on status.patient_id = death.patient_id
left join {{ ref('tpe_to_response') }} as tpe_to_response
    on status.rule_set = tpe_to_response.rule_set
    and status.patient_id = tpe_to_response.patient_id
left join {{ ref('time_to_response') }} as time_to_response
    on status.rule_set = time_to_response.rule_set
    and status.patient_id = time_to_response.patient_id
left join {{ ref('adamts13_recovery') }} as recovery
    on status.rule_set = recovery.rule_set
    and status.patient_id = recovery.patient_id
left join {{ ref('exacerbation_after_stop') }} as after_stop
    on status.rule_set = after_stop.rule_set
    and status.patient_id = after_stop.patient_id
order by rule_set, patient_id
