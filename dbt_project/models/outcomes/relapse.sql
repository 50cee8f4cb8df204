-- Relapse: the first confirmed fall after remission.
--
-- Grain    one row per rule set and patient with a relapse
-- Inputs   int_fall, int_adamts13_counted, rule_set
-- Source   PROTOCOL 3.6; IWG 2021 (Cuker et al., Blood 137:1855); `tpe2017`: Scully et al., J Thromb Haemost
--          2017;15:312
-- Unknown  no deficient ADAMTS13 near the fall, measured or not: relapse_status 'unconfirmed'
-- Caveat   under `tpe2017` a late fall is a relapse whether or not remission was reached

with late_fall as (
    select
        fall.rule_set,
        fall.patient_id,
        fall.fall_day,
        fall.remission_day_before,
        fall.last_therapy_day,
        row_number() over (partition by fall.rule_set, fall.patient_id order by fall.fall_day) as fall_number
    from {{ ref('int_fall') }} as fall
    inner join {{ ref('rule_set') }} as rule_set
        on fall.rule_set = rule_set.rule_set
    where
        -- "the first confirmed fall after the day of remission"
        (rule_set.fall_classification = 'by_remission' and fall.remission_day_before is not null)
        -- `tpe2017`: "exacerbation <= 30 days after the last TPE, relapse after that"
        or (
            rule_set.fall_classification = 'by_days_after_tpe'
            and coalesce(fall.days_after_therapy > {{ var('exacerbation_within_days_of_therapy') }}, true)
        )
),

-- "confirmed when ADAMTS13 activity < 10 % within 7 days either side"
deficient as (
    select
        late_fall.rule_set,
        late_fall.patient_id,
        min(activity.day) as day
    from late_fall
    inner join {{ ref('int_adamts13_counted') }} as activity
        on late_fall.rule_set = activity.rule_set
        and late_fall.patient_id = activity.patient_id
        and activity.day - late_fall.fall_day
        between -{{ var('relapse_adamts13_within_days') }} and {{ var('relapse_adamts13_within_days') }}
    where late_fall.fall_number = 1
        and {{ adamts13_surely_below(
            'activity.adamts13_percent', 'activity.adamts13_comparator', var('relapse_adamts13_below_percent')
        ) }}
    group by late_fall.rule_set, late_fall.patient_id
)

select
    cast(late_fall.rule_set as string) as rule_set,
    cast(late_fall.patient_id as string) as patient_id,
    cast(late_fall.fall_day as integer) as day,
    cast(late_fall.remission_day_before as integer) as remission_day,
    cast(late_fall.last_therapy_day as integer) as last_therapy_day,
    cast(deficient.day as integer) as adamts13_deficient_day,
    cast(case when deficient.day is null then 'unconfirmed' else 'confirmed' end as string) as relapse_status
from late_fall
left join deficient
    on late_fall.rule_set = deficient.rule_set
    and late_fall.patient_id = deficient.patient_id
where late_fall.fall_number = 1
order by rule_set, patient_id
