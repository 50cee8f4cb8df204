-- One row per therapeutic plasma exchange session of a patient, as harmonised, types made explicit.
--
-- Grain    one row per therapeutic plasma exchange session of a patient
-- Inputs   harmonised.tpe_session
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  a null volume was not sent; what no row means is in stg_list_absence

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(session_date as date) as session_date,
    cast(volume_ml as double) as volume_ml,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'tpe_session') }}
