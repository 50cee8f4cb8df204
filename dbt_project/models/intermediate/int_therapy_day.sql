-- Days of therapy as each rule set counts them.
--
-- Grain    one row per rule set, patient and therapy day
-- Inputs   daily_series, rule_set
-- Source   PROTOCOL 2 (therapy day); 3, `tpe2017`: caplacizumab ignored
-- Unknown  a course without recorded start counts from day 0; the days after the first of a course without recorded end
--          are unknown and not listed
-- Caveat   no row is no therapy only as far as the centre's lists are complete

select
    rule_set.rule_set as rule_set,
    series.patient_id as patient_id,
    series.day as day
from {{ ref('daily_series') }} as series
cross join {{ ref('rule_set') }} as rule_set
where (rule_set.therapy_counted = 'tpe_and_caplacizumab' and series.therapy_day = 'yes')
    or (rule_set.therapy_counted = 'tpe_only' and series.tpe_sessions > 0)
