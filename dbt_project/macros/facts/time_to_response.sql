{#- First dose to response: the course with the first dose, and the first response on or after it. -#}
{% macro time_to_response_facts() -%}
    {%- set outcome = 'days_from_caplacizumab_to_response' -%}
    with timed as (
        select
            response.rule_set,
            response.patient_id,
            response.response_day_after_caplacizumab,
            treatment.caplacizumab_start_day,
            min(course.course_number) as course_number
        from {{ ref('time_to_response') }} as response
        inner join {{ ref('int_caplacizumab') }} as treatment
            on response.patient_id = treatment.patient_id
        inner join course
            on treatment.patient_id = course.patient_id
            and treatment.caplacizumab_start_day = course.start_day
        where response.response_day_after_caplacizumab is not null
        group by
            response.rule_set, response.patient_id, response.response_day_after_caplacizumab,
            treatment.caplacizumab_start_day
    )

    {{ fact(outcome, 1, 'first dose', 'caplacizumab', 'caplacizumab_start_day', 'timed', course='course_number') }}
    union all
    {{ fact(outcome, 2, 'first response on or after it', 'derived', 'response_day_after_caplacizumab', 'timed') }}
{%- endmacro %}
