{#- The daily series with the latest LDH up to and including each day: patient_id, day, platelets_10e9_per_l,
    latest_ldh_day, latest_ldh_x_uln. The definition that asks decides how old an LDH may be. The largest day with an
    LDH so far is the latest; of the days that share it, only that day has an LDH. -#}
{% macro daily_series_with_latest_ldh() -%}
    select
        patient_id,
        day,
        platelets_10e9_per_l,
        latest_ldh_day,
        max(ldh_x_uln) over (partition by patient_id, latest_ldh_day) as latest_ldh_x_uln
    from (
        select
            patient_id,
            day,
            platelets_10e9_per_l,
            ldh_x_uln,
            max(case when ldh_x_uln is not null then day end) over (
                partition by patient_id order by day rows between unbounded preceding and current row
            ) as latest_ldh_day
        from {{ ref('daily_series') }}
    ) as dated
{%- endmacro %}
