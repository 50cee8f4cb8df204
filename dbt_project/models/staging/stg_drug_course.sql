-- One row per course (caplacizumab, corticosteroid) or dose (rituximab) of a drug in a patient, as harmonised, types
-- made explicit.
--
-- Grain    one row per course (caplacizumab, corticosteroid) or dose (rituximab) of a drug in a patient
-- Inputs   harmonised.drug_course
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  a null start or end was not recorded; what no row means is in stg_list_absence

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(drug as string) as drug,
    cast(start_date as date) as start_date,
    cast(end_date as date) as end_date,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'drug_course') }}
