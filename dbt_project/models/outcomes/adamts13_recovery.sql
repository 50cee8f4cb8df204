-- ADAMTS13 recovery: the first activity of at least {{ var('recovery_adamts13_from_percent') }} % after day 0.
--
-- Grain    one row per rule set and patient with a recovery
-- Inputs   int_adamts13_counted
-- Source   PROTOCOL 3.10
-- Unknown  no row: not recovered as far as measured; an activity that cannot decide (below a higher value, above a
--          lower one) does not count
-- Caveat   soon after a TPE the activity may be the donor's: rule set adamts13_plasma_window leaves those days out

select
    cast(rule_set as string) as rule_set,
    cast(patient_id as string) as patient_id,
    cast(min(day) as integer) as day
from {{ ref('int_adamts13_counted') }}
-- "the first activity >= 20 % after day 0"
where day >= 1
    and {{ adamts13_surely_at_least('adamts13_percent', 'adamts13_comparator', var('recovery_adamts13_from_percent')) }}
group by rule_set, patient_id
order by rule_set, patient_id
