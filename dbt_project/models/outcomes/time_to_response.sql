-- Time to clinical response: from day 0, and from the first dose of caplacizumab.
--
-- Grain    one row per rule set and patient with a response
-- Inputs   clinical_response, int_caplacizumab
-- Source   PROTOCOL 3.9
-- Unknown  first dose not recorded, no caplacizumab, or no response on or after the first dose: the time from the dose
--          is null
-- Caveat   the response after the first dose may be a later one than the patient's first response

with after_first_dose as (
    select
        response.rule_set,
        response.patient_id,
        min(response.day) as day
    from {{ ref('clinical_response') }} as response
    inner join {{ ref('int_caplacizumab') }} as treatment
        on response.patient_id = treatment.patient_id
        and response.day >= treatment.caplacizumab_start_day
    group by response.rule_set, response.patient_id
)

select
    cast(response.rule_set as string) as rule_set,
    cast(response.patient_id as string) as patient_id,
    cast(response.day as integer) as response_day,
    cast(treatment.caplacizumab_start_day as integer) as caplacizumab_start_day,
    -- "the first response on or after that dose"
    cast(after_first_dose.day as integer) as response_day_after_caplacizumab,
    cast(after_first_dose.day - treatment.caplacizumab_start_day as integer) as days_from_caplacizumab_to_response
from {{ ref('clinical_response') }} as response
left join {{ ref('int_caplacizumab') }} as treatment
    on response.patient_id = treatment.patient_id
left join after_first_dose
    on response.rule_set = after_first_dose.rule_set
    and response.patient_id = after_first_dose.patient_id
where response.candidate_number = 1
order by rule_set, patient_id
