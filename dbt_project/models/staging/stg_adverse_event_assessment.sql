-- Kinds of adverse event for which the centre states whether they occurred or were not assessed, as harmonised, types
-- explicit.
--
-- Grain    one row per patient and kind of adverse event for which the centre states whether it occurred or was not
--          assessed
-- Inputs   harmonised.adverse_event_assessment
-- Source   PROTOCOL 2; columns as declared in capla_etl/fields
-- Unknown  'not_assessed' is an answer of its own; no row means that the centre sends no such statement

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(kind as string) as kind,
    cast(answer as string) as answer,
    cast(submission as date) as submission,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from {{ source('harmonised', 'adverse_event_assessment') }}
