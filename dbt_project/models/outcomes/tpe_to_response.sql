-- Plasma exchange needed to the response: TPE days, and sessions beside them.
--
-- Grain    one row per rule set and patient with a response
-- Inputs   clinical_response, daily_series
-- Source   PROTOCOL 3.9: "TPE days up to and including the response day; sessions are counted beside"
-- Unknown  null where the list of exchanges is not complete
-- Caveat   an exchange on the response day itself is counted

select
    cast(response.rule_set as string) as rule_set,
    cast(response.patient_id as string) as patient_id,
    cast(response.day as integer) as response_day,
    cast(
        case when count(series.tpe_sessions) = count(*) then count(nullif(series.tpe_sessions, 0)) end as integer
    ) as tpe_days_to_response,
    cast(
        case when count(series.tpe_sessions) = count(*) then sum(series.tpe_sessions) end as integer
    ) as tpe_sessions_to_response
from {{ ref('clinical_response') }} as response
inner join {{ ref('daily_series') }} as series
    on response.patient_id = series.patient_id
    and series.day <= response.day
where response.candidate_number = 1
group by response.rule_set, response.patient_id, response.day
order by rule_set, patient_id
