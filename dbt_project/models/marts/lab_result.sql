-- Laboratory results as accepted, in the study's units, with their day.
--
-- Grain    one row per accepted laboratory result of a patient
-- Inputs   stg_lab_result, int_day_zero
-- Source   PROTOCOL 2
-- Unknown  a refused result has no row here (it is in quality.quarantine); the day is null where day 0 is unknown
-- Caveat   several results on a day are several rows, also before day 0; daily_series keeps the one that counts

select
    cast(result.patient_id as string) as patient_id,
    cast(
        row_number() over (
            partition by result.patient_id, result.analyte
            order by
                result.result_date nulls last,
                result.source_file nulls last,
                result.source_sheet nulls last,
                result.source_row nulls last,
                result.value nulls last,
                result.comparator nulls last
        ) as integer
    ) as result_number,
    cast(result.analyte as string) as analyte,
    cast({{ days_between('day_zero.day0_date', 'result.result_date') }} as integer) as day,
    cast(result.result_date as date) as result_date,
    cast(result.value as double) as value,
    cast(result.comparator as string) as comparator,
    cast(result.centre_id as string) as centre_id,
    cast(result.submission as date) as submission,
    cast(result.source_file as string) as source_file,
    cast(result.source_sheet as string) as source_sheet,
    cast(result.source_row as bigint) as source_row
from {{ ref('stg_lab_result') }} as result
inner join {{ ref('int_day_zero') }} as day_zero
    on result.patient_id = day_zero.patient_id
order by patient_id, analyte, result_number
