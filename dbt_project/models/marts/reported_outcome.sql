-- What the centre itself judged, beside the derived outcomes and never instead of them.
--
-- Grain    one row per patient record received
-- Inputs   stg_patient, int_day_zero
-- Source   PROTOCOL 3, last paragraph of the rule variants; Table 7
-- Unknown  'unknown': the centre did not say
-- Caveat   by the centre's own criteria, which may differ from the protocol's

select
    cast(patient.patient_id as string) as patient_id,
    cast(patient.reported_refractory as string) as refractory,
    cast(patient.reported_exacerbation as string) as exacerbation,
    cast({{ days_between('day_zero.day0_date', 'patient.reported_response_date') }} as integer) as response_day
from {{ ref('stg_patient') }} as patient
inner join {{ ref('int_day_zero') }} as day_zero
    on patient.patient_id = day_zero.patient_id
order by patient_id
