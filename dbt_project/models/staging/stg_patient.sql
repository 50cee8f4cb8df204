-- One row per patient record received, as harmonised, types made explicit.
--
-- Grain    one row per patient record received
-- Inputs   harmonised.patient
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  yes/no answers are 'yes', 'no' or 'unknown', never null; any other value not sent is null

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(sex as string) as sex,
    cast(age_years_at_first_tpe as integer) as age_years_at_first_tpe,
    cast(birth_date_linkage as string) as birth_date_linkage,
    cast(age_years_reported as integer) as age_years_reported,
    cast(diagnosis as string) as diagnosis,
    cast(first_episode as string) as first_episode,
    cast(first_tpe_date as date) as first_tpe_date,
    cast(neurological_involvement as string) as neurological_involvement,
    cast(coma as string) as coma,
    cast(hemoglobin_g_per_dl as double) as hemoglobin_g_per_dl,
    cast(creatinine_umol_per_l as double) as creatinine_umol_per_l,
    cast(troponin_x_uln as double) as troponin_x_uln,
    cast(adamts13_percent as double) as adamts13_percent,
    cast(adamts13_comparator as string) as adamts13_comparator,
    cast(anti_adamts13_u_per_ml as double) as anti_adamts13_u_per_ml,
    cast(corticosteroids as string) as corticosteroids,
    cast(died as string) as died,
    cast(death_date as date) as death_date,
    cast(death_month as date) as death_month,
    cast(death_cause as string) as death_cause,
    cast(last_contact_date as date) as last_contact_date,
    cast(discharge_date as date) as discharge_date,
    cast(icu_days as integer) as icu_days,
    cast(reported_refractory as string) as reported_refractory,
    cast(reported_exacerbation as string) as reported_exacerbation,
    cast(reported_response_date as date) as reported_response_date,
    cast(transferred_from_centre_id as string) as transferred_from_centre_id,
    cast(transferred_from_centre_patient_id as string) as transferred_from_centre_patient_id,
    cast(transferred_from_patient_id as string) as transferred_from_patient_id,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'patient') }}
