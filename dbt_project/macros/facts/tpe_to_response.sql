{#- TPE to response: each TPE day up to the response. -#}
{% macro tpe_to_response_facts() -%}
    with counted as (
        select
            status.rule_set,
            status.patient_id,
            tpe_day.tpe_day_number,
            tpe_day.day
        from status
        inner join tpe_day
            on status.patient_id = tpe_day.patient_id
            and tpe_day.day <= status.response_day
    )

    {{ fact('tpe_to_response', 'tpe_day_number', 'TPE day', 'tpe', 'day', 'counted') }}
{%- endmacro %}
