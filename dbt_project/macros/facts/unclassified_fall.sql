{#- Unclassified fall: each fall. -#}
{% macro unclassified_fall_facts() -%}
    {{ fall_facts('unclassified_fall', ref('unclassified_fall'),
        'row_number() over (partition by kind_of_fall.rule_set, kind_of_fall.patient_id order by kind_of_fall.day)',
        'response') }}
    union all
    {{ remark('unclassified_fall', 5, "'; no therapy known before'", 'fall', 'last_therapy_day is null',
        'occurrence') }}
    union all
    {{ remark('unclassified_fall', 6, "'; no remission before'", 'fall', occurrence='occurrence') }}
{%- endmacro %}
