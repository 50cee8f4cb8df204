-- Exacerbation after stopping caplacizumab with ADAMTS13 still undetectable.
--
-- Grain    one row per rule set and patient with a day 0
-- Inputs   int_outcome_status, exacerbation, int_adamts13_counted, drug_course, int_caplacizumab
-- Source   PROTOCOL 3.11
-- Unknown  'unknown': no activity measured after day 0 and by the exacerbation, or one that cannot decide; the end of
--          the course not recorded; exacerbation itself not evaluable under caplacizumab
-- Caveat   'no' also stands for patients without caplacizumab or without exacerbation: it is no denominator by itself

-- "an exacerbation after the end of a caplacizumab course (the last one ended before it)"
with after_stop as (
    select
        exacerbation.rule_set,
        exacerbation.patient_id,
        exacerbation.day,
        max(case when course.end_day < exacerbation.day then 1 else 0 end) as stop_is_known
    from {{ ref('exacerbation') }} as exacerbation
    inner join {{ ref('drug_course') }} as course
        on exacerbation.patient_id = course.patient_id
        and course.drug = 'caplacizumab'
        and (
            course.end_day < exacerbation.day
            -- nobody knows whether a course without recorded end had ended by then
            or (course.end_day is null and (course.start_day is null or course.start_day < exacerbation.day))
        )
    group by exacerbation.rule_set, exacerbation.patient_id, exacerbation.day
),

-- "the latest activity measured after day 0, on or before the exacerbation day"
latest_activity_day as (
    select
        after_stop.rule_set,
        after_stop.patient_id,
        after_stop.day,
        max(activity.day) as activity_day
    from after_stop
    inner join {{ ref('int_adamts13_counted') }} as activity
        on after_stop.rule_set = activity.rule_set
        and after_stop.patient_id = activity.patient_id
        and activity.day between 1 and after_stop.day
    group by after_stop.rule_set, after_stop.patient_id, after_stop.day
),

judged as (
    select
        after_stop.rule_set,
        after_stop.patient_id,
        case
            -- "is < 10 %; none measured: unknown"
            when {{ adamts13_surely_below(
                'activity.adamts13_percent', 'activity.adamts13_comparator', var('undetectable_adamts13_below_percent')
            ) }} and after_stop.stop_is_known = 1 then 'yes'
            when {{ adamts13_surely_at_least(
                'activity.adamts13_percent', 'activity.adamts13_comparator', var('undetectable_adamts13_below_percent')
            ) }} then 'no'
            else 'unknown'
        end as undetectable
    from after_stop
    left join latest_activity_day as latest
        on after_stop.rule_set = latest.rule_set
        and after_stop.patient_id = latest.patient_id
        and after_stop.day = latest.day
    left join {{ ref('int_adamts13_counted') }} as activity
        on latest.rule_set = activity.rule_set
        and latest.patient_id = activity.patient_id
        and latest.activity_day = activity.day
),

per_patient as (
    select
        rule_set,
        patient_id,
        count(case when undetectable = 'yes' then 1 end) as undetectable,
        count(case when undetectable = 'unknown' then 1 end) as undecided
    from judged
    group by rule_set, patient_id
)

select
    cast(status.rule_set as string) as rule_set,
    cast(status.patient_id as string) as patient_id,
    cast(
        case
            when per_patient.undetectable > 0 then 'yes'
            when per_patient.undecided > 0 then 'unknown'
            when status.exacerbation = 'not_evaluable' and treatment.treatment_group = 'caplacizumab' then 'unknown'
            else 'no'
        end as string
    ) as exacerbation_after_stop_undetectable
from {{ ref('int_outcome_status') }} as status
left join {{ ref('int_caplacizumab') }} as treatment
    on status.patient_id = treatment.patient_id
left join per_patient
    on status.rule_set = per_patient.rule_set
    and status.patient_id = per_patient.patient_id
order by rule_set, patient_id
