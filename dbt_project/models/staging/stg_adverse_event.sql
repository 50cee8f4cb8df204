-- One row per adverse event reported under caplacizumab, as harmonised, types made explicit.
--
-- Grain    one row per adverse event reported under caplacizumab
-- Inputs   harmonised.adverse_event
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  a null date or site was not recorded; what no row means is in stg_list_absence

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(kind as string) as kind,
    cast(event_date as date) as event_date,
    cast(site as string) as site,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'adverse_event') }}
