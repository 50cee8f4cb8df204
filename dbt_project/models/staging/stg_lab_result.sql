-- One row per accepted laboratory result of a patient, as harmonised, types made explicit.
--
-- Grain    one row per accepted laboratory result of a patient
-- Inputs   harmonised.lab_result
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  a result that was refused has no row; a null comparator means measured exactly

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(analyte as string) as analyte,
    cast(result_date as date) as result_date,
    cast(value as double) as value,
    cast(comparator as string) as comparator,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'lab_result') }}
