{#- Death: the day of death or the day last seen. -#}
{% macro death_facts() -%}
    {{ end_fact('died_by_day_90', 1, 'status') }}
    union all
    {{ remark('died_by_day_90', 1, "case death_date_precision when 'day' then 'date of death as sent' "
        ~ "when 'month' then 'month of death as sent, day placed within it' else 'died, date not known' end",
        'status', "died = 'yes'") }}
{%- endmacro %}
