{#- Response: the count, the next count and the LDH that meet the criteria; else the highest count and the end. -#}
{% macro clinical_response_facts() -%}
    with met as (
        select * from {{ ref('clinical_response') }} where candidate_number = 1
    ),

    highest_count as (
        select
            patient_id,
            day,
            row_number() over (partition by patient_id order by platelets_10e9_per_l desc, day) as choice
        from {{ ref('daily_series') }}
        where platelets_10e9_per_l is not null
    ),

    not_met as (
        select status.*, highest_count.day as highest_count_day
        from status
        left join highest_count
            on status.patient_id = highest_count.patient_id
            and highest_count.choice = 1
        where status.response <> 'yes'
    )

    {{ fact('response', 1, 'count', 'platelets', 'day', 'met',
        place=1, text=value_text('platelets day', 'day', 'platelets_10e9_per_l')) }}
    union all
    {{ fact('response', 2, 'next count', 'platelets', 'next_count_day', 'met',
        place=2, text=value_text(', day', 'next_count_day', 'next_platelets_10e9_per_l')) }}
    union all
    {{ fact('response', 3, 'LDH in the window', 'ldh', 'ldh_day', 'met', place=3, text=ldh_text()) }}
    union all
    {{ remark('response', 3, "'; no LDH in the window'", 'met', 'ldh_day is null') }}
    union all
    {{ fact('response', 1, 'highest count', 'platelets', 'highest_count_day', 'not_met') }}
    union all
    {{ end_fact('response', 2, 'not_met') }}
{%- endmacro %}
