-- The rule sets side by side: the default and its variants, each as the switches that the definitions read.
--
-- Grain    one row per rule set
-- Inputs   none: declared here, once
-- Source   PROTOCOL 3, "Side by side with the default, one switch each"
-- Unknown  nothing is unknown here
-- Caveat   a variant differs from the default in one switch only, except tpe2017, which counts TPE alone as therapy and
--          calls every later fall a relapse

with declared as (
    select
        'iwg2021' as rule_set,
        'Default: International Working Group 2021' as description,
        'yes' as response_needs_ldh,
        'platelets_and_ldh_after_5_tpe_days' as refractory_definition,
        'tpe_and_caplacizumab' as therapy_counted,
        'by_remission' as fall_classification,
        0 as adamts13_plasma_window_days
    union all
    select
        'tpe2017',
        'Exacerbation at most {{ var("exacerbation_within_days_of_therapy") }} days after the last TPE, '
        || 'relapse after that; caplacizumab ignored', 'yes',
        'platelets_and_ldh_after_5_tpe_days', 'tpe_only', 'by_days_after_tpe', 0
    union all
    select
        'no_response_after_5_tpe',
        'Refractory: no response by the {{ ordinal(var("refractory_after_tpe_days")) }} TPE day', 'yes',
        'no_response_after_5_tpe', 'tpe_and_caplacizumab', 'by_remission', 0
    union all
    select
        'not_doubled_day_4',
        'Refractory: platelets not doubled after {{ var("not_doubled_by_day") }} days and LDH above normal', 'yes',
        'not_doubled_day_4', 'tpe_and_caplacizumab', 'by_remission', 0
    union all
    select
        'platelets_only', 'Response: platelet normalisation without the LDH part', 'no',
        'platelets_and_ldh_after_5_tpe_days', 'tpe_and_caplacizumab', 'by_remission', 0
    union all
    select
        'adamts13_plasma_window', 'ADAMTS13 activity soon after a TPE is donor plasma and not counted', 'yes',
        'platelets_and_ldh_after_5_tpe_days', 'tpe_and_caplacizumab', 'by_remission',
        {{ var('adamts13_plasma_window_days') }}
)

select
    cast(rule_set as string) as rule_set,
    cast(description as string) as description,
    cast(case when rule_set = '{{ var("default_rule_set") }}' then 'yes' else 'no' end as string) as is_default,
    cast(response_needs_ldh as string) as response_needs_ldh,
    cast(refractory_definition as string) as refractory_definition,
    cast(therapy_counted as string) as therapy_counted,
    cast(fall_classification as string) as fall_classification,
    cast(adamts13_plasma_window_days as integer) as adamts13_plasma_window_days
from declared
order by rule_set
