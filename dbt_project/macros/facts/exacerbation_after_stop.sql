{#- Exacerbation after the stop: the exacerbation, the end of the course before it, the latest activity by then. -#}
{% macro exacerbation_after_stop_facts() -%}
    {%- set outcome = 'exacerbation_after_stop_undetectable' -%}
    -- "an exacerbation after the end of a caplacizumab course (the last one ended before it)"
    with ranked as (
        select
            exacerbation.rule_set,
            exacerbation.patient_id,
            exacerbation.exacerbation_number,
            exacerbation.day,
            course.course_number,
            course.end_day,
            row_number() over (
                partition by exacerbation.rule_set, exacerbation.patient_id, exacerbation.exacerbation_number
                order by course.end_day desc nulls last, course.course_number
            ) as choice
        from {{ ref('exacerbation') }} as exacerbation
        inner join course
            on exacerbation.patient_id = course.patient_id
            and (
                course.end_day < exacerbation.day
                or (course.end_day is null and (course.start_day is null or course.start_day < exacerbation.day))
            )
    ),

    stopped as (
        select * from ranked where choice = 1
    ),

    latest_activity as (
        select
            stopped.rule_set,
            stopped.patient_id,
            stopped.exacerbation_number,
            max(activity.day) as day
        from stopped
        inner join {{ ref('int_adamts13_counted') }} as activity
            on stopped.rule_set = activity.rule_set
            and stopped.patient_id = activity.patient_id
            and activity.day between 1 and stopped.day
        group by stopped.rule_set, stopped.patient_id, stopped.exacerbation_number
    )

    {{ fact(outcome, 1, 'exacerbation', 'derived', 'day', 'stopped', occurrence='exacerbation_number') }}
    union all
    {{ fact(outcome, 2, 'end of the course before it', 'caplacizumab', 'end_day', 'stopped', 'end_day is not null',
        'exacerbation_number', 'course_number') }}
    union all
    {{ fact(outcome, 2, 'course without recorded end', 'caplacizumab', 'end_day', 'stopped', 'end_day is null',
        'exacerbation_number', 'course_number') }}
    union all
    {{ fact(outcome, 3, 'latest activity by then', 'adamts13', 'day', 'latest_activity',
        occurrence='exacerbation_number') }}
{%- endmacro %}
