-- ADAMTS13 activities that count as the patient's own under each rule set.
--
-- Grain    one row per rule set, patient and day with an activity that counts
-- Inputs   daily_series, rule_set
-- Source   PROTOCOL 3, "a window of N days after a TPE in which ADAMTS13 is donor plasma and not counted"
-- Unknown  no row: not measured, or not counted under this rule set
-- Caveat   the activity of a TPE day itself is assumed to be sampled before the exchange and counts, unless another TPE
--          preceded it within the window

with activity as (
    select
        rule_set.rule_set,
        rule_set.adamts13_plasma_window_days,
        series.patient_id,
        series.day,
        series.adamts13_percent,
        series.adamts13_comparator
    from {{ ref('daily_series') }} as series
    cross join {{ ref('rule_set') }} as rule_set
    where series.adamts13_percent is not null
),

donor_plasma as (
    select distinct
        activity.rule_set,
        activity.patient_id,
        activity.day
    from activity
    inner join {{ ref('daily_series') }} as tpe
        on activity.patient_id = tpe.patient_id
        and tpe.tpe_sessions > 0
        and activity.day - tpe.day between 1 and activity.adamts13_plasma_window_days
)

select
    activity.rule_set as rule_set,
    activity.patient_id as patient_id,
    activity.day as day,
    activity.adamts13_percent as adamts13_percent,
    activity.adamts13_comparator as adamts13_comparator
from activity
left join donor_plasma
    on activity.rule_set = donor_plasma.rule_set
    and activity.patient_id = donor_plasma.patient_id
    and activity.day = donor_plasma.day
where donor_plasma.day is null
