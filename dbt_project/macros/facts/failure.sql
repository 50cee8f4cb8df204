{#- Failure: the response; without one in time, the end. -#}
{% macro failure_facts() -%}
    with judged as (
        select
            failure.*,
            status.death_day,
            status.last_seen_day
        from {{ ref('failure') }} as failure
        inner join status
            on failure.rule_set = status.rule_set
            and failure.patient_id = status.patient_id
    )

    {{ fact('failure', 1, 'response', 'derived', 'response_day', 'judged') }}
    union all
    {{ end_fact('failure', 2, 'judged', "failure <> 'no'") }}
{%- endmacro %}
