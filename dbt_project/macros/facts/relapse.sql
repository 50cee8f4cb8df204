{#- Relapse: the fall and the ADAMTS13 that confirms it; without one, the remission and the end. -#}
{% macro relapse_facts() -%}
    {{ fall_facts('relapse', ref('relapse'), '1', 'remission') }}
    union all
    {{ fact('relapse', 6, 'deficient ADAMTS13', 'adamts13', 'adamts13_deficient_day', 'fall',
        place=6, text=day_text('ADAMTS13 deficient day', 'adamts13_deficient_day')) }}
    union all
    {{ remark('relapse', 6, "'; no deficient ADAMTS13 within " ~ var('relapse_adamts13_within_days') ~ " days'", 'fall',
        'adamts13_deficient_day is null') }}
    union all
    {{ fact('relapse', 1, 'remission', 'derived', 'remission_day', 'status', "relapse <> 'yes'") }}
    union all
    {{ end_fact('relapse', 2, 'status', "relapse <> 'yes'") }}
{%- endmacro %}
