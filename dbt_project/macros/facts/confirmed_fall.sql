{#- A fall of any kind: the low count, what confirms it, what came before it. `source` is the model of the kind;
    `occurrence` numbers a patient's falls of this kind; `before` is what must lie before it: response or remission. -#}
{% macro fall_facts(outcome, source, occurrence, before) -%}
    with fall as (
        select
            kind_of_fall.*,
            {{ occurrence }} as occurrence,
            confirmed.platelets_10e9_per_l,
            confirmed.next_count_day,
            confirmed.next_platelets_10e9_per_l,
            confirmed.next_count_day - confirmed.day <= {{ var('fall_confirm_within_days') }} as next_count_in_time,
            confirmed.tpe_day,
            -- a therapy day is a TPE day where there was an exchange, else a day of a caplacizumab course
            tpe_day.day is not null as last_therapy_is_tpe
        from {{ source }} as kind_of_fall
        inner join {{ ref('confirmed_fall') }} as confirmed
            on kind_of_fall.rule_set = confirmed.rule_set
            and kind_of_fall.patient_id = confirmed.patient_id
            and kind_of_fall.day = confirmed.day
        left join tpe_day
            on kind_of_fall.patient_id = tpe_day.patient_id
            and kind_of_fall.last_therapy_day = tpe_day.day
    )

    {%- set next_text = value_text(', day', 'next_count_day', 'next_platelets_10e9_per_l') %}
    {%- set low = 'count below ' ~ var('fall_platelets_below_10e9_per_l') %}
    {{ fact(outcome, 1, before ~ ' before it', 'derived', before ~ '_day', 'fall', occurrence='occurrence',
        place=4 if before == 'remission', text=day_text('remission day', 'remission_day') if before == 'remission') }}
    union all
    {{ fact(outcome, 2, low, 'platelets', 'day', 'fall', occurrence='occurrence',
        place=1, text=value_text('platelets day', 'day', 'platelets_10e9_per_l')) }}
    union all
    {{ fact(outcome, 3, 'next count', 'platelets', 'next_count_day', 'fall', 'next_count_in_time',
        'occurrence', place=2, text=next_text) }}
    union all
    {{ remark(outcome, 2, next_text, 'fall', 'not next_count_in_time', 'occurrence') }}
    union all
    {{ fact(outcome, 4, 'TPE answering it', 'tpe', 'tpe_day', 'fall', occurrence='occurrence',
        place=3, text=day_text('TPE day', 'tpe_day')) }}
    {%- for kind, when in [('tpe', 'last_therapy_is_tpe'), ('caplacizumab', 'not last_therapy_is_tpe')] %}
    union all
    {{ fact(outcome, 5, 'last therapy day', kind, 'last_therapy_day', 'fall', when, 'occurrence',
        place=5, text=day_text('last therapy day', 'last_therapy_day')) }}
    {%- endfor %}
{%- endmacro %}
