{#- The only place for functions that engines spell differently. Each takes and gives SQL expressions. Another engine
    adds its own `<adapter>__<name>`; a model never calls such a function itself. -#}

{#- Whole days from one DATE to another, INTEGER; negative when `to_date` is earlier. -#}
{% macro days_between(from_date, to_date) -%}
    {{ return(adapter.dispatch('days_between')(from_date, to_date)) }}
{%- endmacro %}
{% macro duckdb__days_between(from_date, to_date) -%}
    cast(date_diff('day', {{ from_date }}, {{ to_date }}) as integer)
{%- endmacro %}

{#- A DATE moved by whole days, DATE. -#}
{% macro add_days(date_expression, days) -%}
    {{ return(adapter.dispatch('add_days')(date_expression, days)) }}
{%- endmacro %}
{% macro duckdb__add_days(date_expression, days) -%}
    cast({{ date_expression }} + cast({{ days }} as integer) as date)
{%- endmacro %}

{#- The last day of a DATE's month, DATE. -#}
{% macro last_day_of_month(date_expression) -%}
    {{ return(adapter.dispatch('last_day_of_month')(date_expression)) }}
{%- endmacro %}
{% macro duckdb__last_day_of_month(date_expression) -%}
    cast(last_day({{ date_expression }}) as date)
{%- endmacro %}

{#- The texts of a group as one, in the order of `place`. -#}
{% macro joined_text(text, place) -%}
    {{ return(adapter.dispatch('joined_text')(text, place)) }}
{%- endmacro %}
{% macro duckdb__joined_text(text, place) -%}
    string_agg({{ text }}, '' order by {{ place }})
{%- endmacro %}
