-- The facts that decide each outcome. Each outcome states its own, once, in macros/facts/<model>.sql.
--
-- Grain    one row per rule set, patient, outcome, occurrence of it and fact; and per remark of marts.event that is no
--          fact
-- Inputs   int_outcome_status, rule_set, death, every outcome model, int_adamts13_counted, int_therapy_day,
--          int_caplacizumab, daily_series, tpe_session, drug_course
-- Source   PROTOCOL 3; the facts are those that each definition names
-- Unknown  a fact that is missing has no row
-- Caveat   fact_number null: a remark, which decides nothing

with status as (
    select
        status.*,
        rule_set.refractory_definition,
        death.died,
        death.death_day,
        death.death_date_precision,
        death.last_seen_day
    from {{ ref('int_outcome_status') }} as status
    inner join {{ ref('rule_set') }} as rule_set
        on status.rule_set = rule_set.rule_set
    inner join {{ ref('death') }} as death
        on status.patient_id = death.patient_id
),

tpe_day as (
    select
        patient_id,
        day,
        row_number() over (partition by patient_id order by day) as tpe_day_number
    from {{ ref('tpe_session') }}
    where day >= 0
    group by patient_id, day
),

course as (
    select
        patient_id,
        course_number,
        start_day,
        end_day
    from {{ ref('drug_course') }}
    where drug = 'caplacizumab'
),

fact as (
    {%- for facts in [
        clinical_response_facts(), refractory_facts(), exacerbation_facts(), unclassified_fall_facts(), relapse_facts(),
        clinical_remission_facts(), failure_facts(), death_facts(), tpe_to_response_facts(), time_to_response_facts(),
        adamts13_recovery_facts(), exacerbation_after_stop_facts()
    ] %}
    select * from ({{ facts }}) as stated
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    cast(rule_set as string) as rule_set,
    cast(patient_id as string) as patient_id,
    cast(outcome as string) as outcome,
    cast(occurrence as integer) as occurrence,
    cast(fact_number as integer) as fact_number,
    cast(role as string) as role,
    cast(kind as string) as kind,
    cast(day as integer) as day,
    cast(course_number as integer) as course_number,
    cast(place as integer) as place,
    cast(text as string) as text
from fact
