{#- The statement of the facts that decide an outcome. Each outcome model has its own in macros/facts/<model>.sql, made
    of the macros below; int_outcome_fact collects them; outcome_evidence takes the facts, marts.event the text.
    `source` is a relation with rule_set and patient_id; `day` an expression on it. A fact without a day has no row,
    unless it names its course. `text` is what marts.event says of the fact, at `place` in its sentence. -#}
{% macro fact(
    outcome, number, role, kind, day, source, when='true', occurrence='1', course=none, place=none, text=none
) -%}
    select
        rule_set, patient_id, '{{ outcome }}' as outcome, {{ occurrence }} as occurrence, {{ number }} as fact_number,
        nullif('{{ role }}', '') as role, nullif('{{ kind }}', '') as kind, {{ day }} as day,
        {{ course or 'cast(null as integer)' }} as course_number, {{ place or 'cast(null as integer)' }} as place,
        {{ text or 'cast(null as string)' }} as text
    from {{ source }}
    where {{ when }}{% if course is none %} and {{ day }} is not null{% endif %}
{%- endmacro %}

{#- Text of marts.event that is no fact: something that was not found, or that decided nothing. -#}
{% macro remark(outcome, place, text, source, when='true', occurrence='1') -%}
    {{ fact(outcome, 'cast(null as integer)', '', '', 'cast(null as integer)', source, when, occurrence,
        'cast(null as integer)', place, text) }}
{%- endmacro %}

{#- The end of what is known of a patient, where it limits the answer: death, or the day last seen. -#}
{% macro end_fact(outcome, number, source, when='true') -%}
    {{ fact(outcome, number, 'death', 'death', 'last_seen_day', source, when ~ " and death_day is not null") }}
    union all
    {{ fact(outcome, number, 'last seen', 'last_seen', 'last_seen_day', source, when ~ " and death_day is null") }}
{%- endmacro %}

{#- "platelets day 5: 160", from SQL expressions. -#}
{% macro value_text(name, day, value) -%}
    '{{ name }} ' || cast({{ day }} as string) || ': ' || {{ number_text(value) }}
{%- endmacro %}

{#- "; last therapy day 5". -#}
{% macro day_text(name, day) -%}
    '; {{ name }} ' || cast({{ day }} as string)
{%- endmacro %}

{#- "; LDH day 5: 1.2 x ULN", of the columns ldh_day and ldh_x_uln. -#}
{% macro ldh_text() -%}
    {{ value_text('; LDH day', 'ldh_day', 'ldh_x_uln') }} || ' x ULN'
{%- endmacro %}

{#- "ADAMTS13 day 5: <10 %". -#}
{% macro adamts13_text(day) -%}
    'ADAMTS13 day ' || cast({{ day }} as string) || ': ' || coalesce(adamts13_comparator, '')
    || {{ number_text('adamts13_percent') }} || ' %'
{%- endmacro %}
