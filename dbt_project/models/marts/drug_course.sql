-- Courses of caplacizumab and corticosteroids and doses of rituximab, with their days.
--
-- Grain    one row per course (caplacizumab, corticosteroid) or dose (rituximab) of a drug in a patient
-- Inputs   stg_drug_course, int_day_zero
-- Source   PROTOCOL 1, 2
-- Unknown  a null start or end was not recorded; all days are null where day 0 is unknown
-- Caveat   days before day 0 are negative here and no person-time anywhere

select
    cast(course.patient_id as string) as patient_id,
    cast(
        row_number() over (
            partition by course.patient_id
            order by
                course.drug nulls last,
                course.start_date nulls last,
                course.end_date nulls last,
                course.source_file nulls last,
                course.source_sheet nulls last,
                course.source_row nulls last
        ) as integer
    ) as course_number,
    cast(course.drug as string) as drug,
    cast({{ days_between('day_zero.day0_date', 'course.start_date') }} as integer) as start_day,
    cast({{ days_between('day_zero.day0_date', 'course.end_date') }} as integer) as end_day,
    cast(course.start_date as date) as start_date,
    cast(course.end_date as date) as end_date,
    cast(course.centre_id as string) as centre_id,
    cast(course.submission as date) as submission,
    cast(course.source_file as string) as source_file,
    cast(course.source_sheet as string) as source_sheet,
    cast(course.source_row as bigint) as source_row
from {{ ref('stg_drug_course') }} as course
inner join {{ ref('int_day_zero') }} as day_zero
    on course.patient_id = day_zero.patient_id
order by patient_id, course_number
