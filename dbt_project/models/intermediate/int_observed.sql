-- What was observed of a patient at all: whether silence can be read as "no".
--
-- Grain    one row per patient with a day in the daily series
-- Inputs   daily_series
-- Source   PROTOCOL 2, "Missing is never no"
-- Unknown  platelets_counted 'no': not one count, so that no response cannot be told from not looking;
--          exchanges_known 'no': the list of exchanges is not complete, so that TPE days cannot be counted

select
    cast(patient_id as string) as patient_id,
    cast(case when count(platelets_10e9_per_l) > 0 then 'yes' else 'no' end as string) as platelets_counted,
    cast(case when count(tpe_sessions) = count(*) then 'yes' else 'no' end as string) as exchanges_known
from {{ ref('daily_series') }}
group by patient_id
