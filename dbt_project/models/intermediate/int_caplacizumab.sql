-- Treatment group and timing: whether and when caplacizumab was started.
--
-- Grain    one row per patient record received
-- Inputs   int_patient_timeline, drug_course, stg_list_absence
-- Source   PROTOCOL 1 (group, timing)
-- Unknown  no drug recorded at a centre whose list says nothing about absence: the group is null; a course whose start
--          was not recorded: caplacizumab, timing unknown unless another course is known to have started early
-- Caveat   the group is derived and never reported; timing is null for controls

with course as (
    select
        patient_id,
        count(*) as drug_rows,
        count(case when drug = 'caplacizumab' then 1 end) as courses,
        count(case when drug = 'caplacizumab' and start_date is null then 1 end) as courses_without_start,
        count(case when drug = 'caplacizumab' and end_date is null then 1 end) as courses_without_end,
        min(case when drug = 'caplacizumab' then start_day end) as first_recorded_start_day
    from {{ ref('drug_course') }}
    group by patient_id
),

grouped as (
    select
        timeline.patient_id,
        timeline.day0_date,
        coalesce(course.courses, 0) as courses,
        coalesce(course.courses_without_start, 0) as courses_without_start,
        coalesce(course.courses_without_end, 0) as courses_without_end,
        course.first_recorded_start_day,
        case
            -- "caplacizumab = a first dose by day 90 (of unknown start: any dose)"
            when course.first_recorded_start_day <= {{ var('caplacizumab_first_dose_by_day') }} then 'caplacizumab'
            when course.courses_without_start > 0 then 'caplacizumab'
            when timeline.day0_date is null and course.courses > 0 then 'caplacizumab'
            -- "a patient without a row in it had none, unless the codebook says otherwise"
            when course.drug_rows is null and coalesce(absence.absence, 'unknown') <> 'none' then null
            -- "control = none by then"
            else 'control'
        end as treatment_group
    from {{ ref('int_patient_timeline') }} as timeline
    left join course
        on timeline.patient_id = course.patient_id
    left join {{ ref('stg_list_absence') }} as absence
        on timeline.centre_id = absence.centre_id
        and absence.list_name = 'drug_course'
)

select
    patient_id as patient_id,
    cast(treatment_group as string) as treatment_group,
    cast(
        case
            when treatment_group <> 'caplacizumab' then null
            -- "early = first dose on day <= 3, delayed = day >= 4, unknown = start not recorded"
            when first_recorded_start_day <= {{ var('early_start_by_day') }} then 'early'
            when courses_without_start > 0 or day0_date is null then 'unknown'
            when treatment_group = 'caplacizumab' then 'delayed'
        end as string
    ) as timing,
    cast(case when courses_without_start = 0 then first_recorded_start_day end as integer) as caplacizumab_start_day,
    cast(courses as integer) as courses,
    cast(courses_without_start as integer) as courses_without_start,
    cast(courses_without_end as integer) as courses_without_end
from grouped
