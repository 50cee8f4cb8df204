{#- Remission: the response and the activity (a), or the last therapy and the pause (b); else what is missing. -#}
{% macro clinical_remission_facts() -%}
    {%- set pause = var('remission_days_without_therapy') -%}
    with ranked as (
        select
            remission.*,
            row_number() over (partition by rule_set, patient_id order by episode_number) as choice
        from {{ ref('clinical_remission') }} as remission
        where remission_day is not null
    ),

    reached as (
        select
            ranked.*,
            activity.adamts13_percent,
            activity.adamts13_comparator,
            coalesce(ranked.remission_day = ranked.criterion_a_day, false) as by_adamts13
        from ranked
        left join {{ ref('int_adamts13_counted') }} as activity
            on ranked.rule_set = activity.rule_set
            and ranked.patient_id = activity.patient_id
            and ranked.criterion_a_day = activity.day
        where ranked.choice = 1
    ),

    -- "for each therapy day s with no therapy on s+1": the last one by the day from which the days without are counted
    last_before_pause as (
        select
            reached.rule_set,
            reached.patient_id,
            max(therapy.day) as day
        from reached
        inner join {{ ref('int_therapy_day') }} as therapy
            on reached.rule_set = therapy.rule_set
            and reached.patient_id = therapy.patient_id
            and therapy.day <= reached.remission_day - {{ pause }}
        where not reached.by_adamts13
        group by reached.rule_set, reached.patient_id
    ),

    last_therapy as (
        select last_before_pause.*, tpe_day.day is not null as is_tpe
        from last_before_pause
        left join tpe_day
            on last_before_pause.patient_id = tpe_day.patient_id
            and last_before_pause.day = tpe_day.day
    ),

    without_end as (
        select
            status.rule_set,
            status.patient_id,
            min(course.course_number) as course_number
        from status
        inner join course
            on status.patient_id = course.patient_id
            and course.end_day is null
        where status.remission = 'not_evaluable' and status.response_day is not null
        group by status.rule_set, status.patient_id
    )

    {{ fact('remission', 1, 'response', 'derived', 'response_day', 'reached') }}
    union all
    {{ fact('remission', 2, 'recovered ADAMTS13', 'adamts13', 'remission_day', 'reached', 'by_adamts13',
        place=1, text=adamts13_text('remission_day')) }}
    union all
    {{ fact('remission', 2, 'last therapy day', 'tpe', 'day', 'last_therapy', 'is_tpe') }}
    union all
    {{ fact('remission', 2, 'last therapy day', 'caplacizumab', 'day', 'last_therapy', 'not is_tpe') }}
    union all
    {{ fact('remission', 3, pause ~ ' days without therapy', 'derived', 'remission_day', 'reached', 'not by_adamts13',
        place=1, text="'" ~ pause ~ " days without therapy and without fall, since day ' || cast(remission_day - "
        ~ pause ~ ' as string)') }}
    union all
    {{ fact('remission', 1, 'response', 'derived', 'response_day', 'status', "remission <> 'yes'") }}
    union all
    {{ fact('remission', 2, 'course without recorded end', 'caplacizumab', 'cast(null as integer)', 'without_end',
        course='course_number') }}
    union all
    {{ end_fact('remission', 3, 'status', "remission <> 'yes'") }}
{%- endmacro %}
