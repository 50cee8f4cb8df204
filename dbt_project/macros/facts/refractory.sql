{#- Refractory: the TPE day that starts the assessment, the counts, the LDH in the window, a response in time. -#}
{% macro refractory_facts() -%}
    {%- set tpe_days = var('refractory_after_tpe_days') -%}
    {%- set not_doubled = "refractory_definition = 'not_doubled_day_4'" -%}
    with last_tpe as (
        select patient_id, max(day) as last_tpe_day from tpe_day group by patient_id
    ),

    judged as (
        select
            refractory.*,
            status.refractory_definition,
            status.death_day,
            status.last_seen_day,
            last_tpe.last_tpe_day,
            -- a later response decides nothing
            case status.refractory_definition
                when 'platelets_and_ldh_after_5_tpe_days' then coalesce(
                    refractory_assessment_day,
                    fifth_tpe_day + {{ var('refractory_count_within_days') }},
                    refractory.response_day
                )
                when 'no_response_after_5_tpe' then coalesce(fifth_tpe_day, refractory.response_day)
                else {{ var('not_doubled_by_day') }}
            end as response_counts_by_day
        from {{ ref('refractory') }} as refractory
        inner join status
            on refractory.rule_set = status.rule_set
            and refractory.patient_id = status.patient_id
        left join last_tpe
            on refractory.patient_id = last_tpe.patient_id
    )

    {{ fact('refractory', 1, ordinal(tpe_days) ~ ' TPE day', 'tpe', 'fifth_tpe_day', 'judged', 'not ' ~ not_doubled) }}
    union all
    {{ fact('refractory', 1, 'last TPE day', 'tpe', 'last_tpe_day', 'judged',
        'fifth_tpe_day is null and not ' ~ not_doubled) }}
    union all
    {{ fact('refractory', 1, 'count of day 0', 'platelets', '0', 'judged', 'baseline_platelets_10e9_per_l is not null',
        place=3, text=value_text('; platelets day', '0', 'baseline_platelets_10e9_per_l')) }}
    {%- set counted = value_text('; platelets day', 'refractory_assessment_day', 'platelets_10e9_per_l') %}
    {%- for role, when in [
        ('count of day ' ~ var('not_doubled_by_day'), not_doubled), ('first count after it', 'not ' ~ not_doubled)
    ] %}
    union all
    {{ fact('refractory', 2, role, 'platelets', 'refractory_assessment_day', 'judged',
        'platelets_10e9_per_l is not null and ' ~ when, place=4, text=counted) }}
    {%- endfor %}
    union all
    {{ fact('refractory', 3, 'LDH in the window', 'ldh', 'ldh_day', 'judged', place=5, text=ldh_text()) }}
    union all
    {{ fact('refractory', 4, 'response', 'derived', 'response_day', 'judged',
        "refractory = 'no' and response_day <= response_counts_by_day") }}
    union all
    {{ end_fact('refractory', 5, 'judged', "refractory = 'not_evaluable'") }}
    union all
    {{ remark('refractory', 1, "coalesce('TPE day number " ~ tpe_days ~ " on day ' || cast(fifth_tpe_day as string), "
        ~ "'fewer than " ~ tpe_days ~ " TPE days')", 'judged') }}
    union all
    {{ remark('refractory', 2, 'coalesce(' ~ day_text('response day', 'response_day') ~ ", '; no response')",
        'judged') }}
{%- endmacro %}
