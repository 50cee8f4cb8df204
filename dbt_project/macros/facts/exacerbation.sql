{#- Exacerbation: each fall; without one, the response, the remission that ended the time at risk, or the end. -#}
{% macro exacerbation_facts() -%}
    {{ fall_facts('exacerbation', ref('exacerbation'), 'kind_of_fall.exacerbation_number', 'response') }}
    union all
    {{ fact('exacerbation', 1, 'response', 'derived', 'response_day', 'status', "exacerbation <> 'yes'") }}
    union all
    {{ fact('exacerbation', 2, 'remission', 'derived', 'remission_day', 'status', "exacerbation <> 'yes'") }}
    union all
    {{ end_fact('exacerbation', 3, 'status', "exacerbation = 'not_evaluable'") }}
{%- endmacro %}
