{#- A number as a person writes it: "160", not "160.0"; two decimals at most. Null stays null. -#}
{% macro number_text(number) -%}
    case
        when {{ number }} = round({{ number }}) then cast(cast(round({{ number }}) as bigint) as string)
        else cast(round({{ number }}, 2) as string)
    end
{%- endmacro %}

{#- A whole number as "5th". -#}
{% macro ordinal(number) -%}
    {%- if number % 100 in (11, 12, 13) -%}{{ number }}th
    {%- else -%}{{ number }}{{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }}
    {%- endif -%}
{%- endmacro %}
