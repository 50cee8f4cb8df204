{#- An activity with a comparator against a threshold (PROTOCOL 2): "< 5" is surely below 10; "< 20" is undecided
    against 10. Both macros give a BOOLEAN that is never null: not measured and not decided are false for both. -#}

{#- The activity is certainly below the threshold: measured below it, "< v" with v at most the threshold, or
    "<= v" with v below it. -#}
{% macro adamts13_surely_below(percent, comparator, threshold) -%}
    coalesce(
        case
            when {{ comparator }} is null then {{ percent }} < {{ threshold }}
            when {{ comparator }} = '<' then {{ percent }} <= {{ threshold }}
            when {{ comparator }} = '<=' then {{ percent }} < {{ threshold }}
        end, false
    )
{%- endmacro %}

{#- The activity certainly reaches the threshold: measured at or above it, or "> v" or ">= v" with v at least
    the threshold. -#}
{% macro adamts13_surely_at_least(percent, comparator, threshold) -%}
    coalesce(
        case
            when {{ comparator }} is null then {{ percent }} >= {{ threshold }}
            when {{ comparator }} in ('>', '>=') then {{ percent }} >= {{ threshold }}
        end, false
    )
{%- endmacro %}
