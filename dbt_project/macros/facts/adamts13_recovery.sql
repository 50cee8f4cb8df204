{#- ADAMTS13 recovery: the activity that recovered; without one, the highest after day 0. -#}
{% macro adamts13_recovery_facts() -%}
    with ranked as (
        select
            activity.*,
            recovered.day as recovery_day,
            row_number() over (
                partition by activity.rule_set, activity.patient_id
                order by activity.adamts13_percent desc, activity.day
            ) as choice
        from {{ ref('int_adamts13_counted') }} as activity
        left join {{ ref('adamts13_recovery') }} as recovered
            on activity.rule_set = recovered.rule_set
            and activity.patient_id = recovered.patient_id
        where activity.day >= 1
    )

    {{ fact('adamts13_recovery', 1, 'recovered ADAMTS13', 'adamts13', 'day', 'ranked', 'day = recovery_day',
        place=1, text=adamts13_text('day')) }}
    union all
    {{ fact('adamts13_recovery', 1, 'highest activity after day 0', 'adamts13', 'day', 'ranked',
        'choice = 1 and recovery_day is null') }}
{%- endmacro %}
