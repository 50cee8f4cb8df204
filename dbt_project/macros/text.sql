{#- A number as a person writes it: "160", not "160.0"; two decimals at most. Null stays null. -#}
{% macro number_text(number) -%}
    case
        when {{ number }} = round({{ number }}) then cast(cast(round({{ number }}) as bigint) as string)
        else cast(round({{ number }}, 2) as string)
    end
{%- endmacro %}
