-- The facts that decided each outcome, and the row of the centre's file that each was read from.
--
-- Grain    one row per rule set, patient with a day 0, outcome, occurrence of it and deciding fact
-- Inputs   int_outcome_fact, int_patient_timeline, lab_result, tpe_session, drug_course, adverse_event, stg_patient
-- Source   PROTOCOL 3; which facts decide is stated in macros/facts, an outcome a file
-- Unknown  a fact that is missing has no row: an outcome 'not_evaluable' shows the facts there are and the last day
--          seen
-- Caveat   of several results of a day only the one that counts is named (PROTOCOL 2); of equal ones, and of several
--          exchanges on a day, the first as marts.lab_result and marts.tpe_session number them
-- Caveat   a fact of kind 'derived' is the day of another outcome, which has its own facts here: it was read from no
--          file

{%- set source = 'source_file, source_sheet, source_row' %}

with result_ranked as (
    select
        result.*,
        row_number() over (
            partition by patient_id, analyte, day
            order by
                -- "the lowest platelet count, the highest LDH, the lowest ADAMTS13 activity is the day's"
                case when analyte = 'ldh' then -value else value end nulls last,
                case comparator when '<' then 1 when '<=' then 2 when '>=' then 4 when '>' then 5 else 3 end,
                result_number
        ) as rank_of_day
    from {{ ref('lab_result') }} as result
    where day >= 0
),

session_ranked as (
    select
        session.*,
        row_number() over (partition by patient_id, day order by session_number) as rank_of_day,
        count(*) over (partition by patient_id, day) as sessions
    from {{ ref('tpe_session') }} as session
    where day >= 0
),

-- what the patient was last seen by: the stated last contact, else the latest dated record
dated_sign as (
    select
        patient_id, last_contact_date as sign_date, 1 as priority, 'patient' as source_table, 1 as source_number,
        {{ source }}
    from {{ ref('stg_patient') }}
    union all
    select patient_id, discharge_date, 2, 'patient', 1, {{ source }} from {{ ref('stg_patient') }}
    union all
    select patient_id, session_date, 3, 'tpe_session', session_number, {{ source }} from {{ ref('tpe_session') }}
    union all
    select patient_id, start_date, 4, 'drug_course', course_number, {{ source }} from {{ ref('drug_course') }}
    union all
    select
        patient_id, result_date, case analyte when 'platelets' then 5 when 'ldh' then 6 else 7 end, 'lab_result',
        result_number, {{ source }}
    from {{ ref('lab_result') }}
    union all
    select patient_id, event_date, 8, 'adverse_event', adverse_event_number, {{ source }}
    from {{ ref('adverse_event') }}
),

last_seen as (
    select
        dated_sign.*,
        row_number() over (
            partition by dated_sign.patient_id order by dated_sign.priority, dated_sign.source_number
        ) as choice
    from dated_sign
    inner join {{ ref('int_patient_timeline') }} as timeline
        on dated_sign.patient_id = timeline.patient_id
        and dated_sign.sign_date = {{ add_days('timeline.day0_date', 'timeline.last_seen_day') }}
),

-- every record that a fact can be read from, by the day (result, exchange), course number (caplacizumab) or 0 that
-- names it
record as (
    select
        patient_id, analyte as kind, day as key, value, comparator, 'lab_result' as source_table,
        result_number as source_number, {{ source }}
    from result_ranked
    where rank_of_day = 1
    union all
    -- "ADAMTS13 at presentation is the day-0 activity where no result of that day is sent"
    select patient_id, 'adamts13', 0, adamts13_percent, adamts13_comparator, 'patient', 1, {{ source }}
    from {{ ref('stg_patient') }}
    where adamts13_percent is not null
        and patient_id not in (select patient_id from result_ranked where analyte = 'adamts13' and day = 0)
    union all
    select patient_id, 'tpe', day, sessions, null, 'tpe_session', session_number, {{ source }}
    from session_ranked
    where rank_of_day = 1
    union all
    select patient_id, 'caplacizumab', course_number, null, null, 'drug_course', course_number, {{ source }}
    from {{ ref('drug_course') }}
    where drug = 'caplacizumab'
    union all
    select patient_id, 'last_seen', 0, null, null, source_table, source_number, {{ source }}
    from last_seen
    where choice = 1
    union all
    select patient_id, 'death', 0, null, null, 'patient', 1, {{ source }} from {{ ref('stg_patient') }}
),

-- the course that a day of therapy belongs to, where the fact does not name one; a course whose start was not recorded
-- counts from day 0, one without recorded end on its first day only
course_of_day as (
    select
        fact.patient_id,
        fact.day,
        min(course.course_number) as course_number
    from {{ ref('int_outcome_fact') }} as fact
    inner join {{ ref('drug_course') }} as course
        on fact.patient_id = course.patient_id
        and course.drug = 'caplacizumab'
        and fact.day between coalesce(course.start_day, 0) and coalesce(course.end_day, course.start_day, 0)
    where fact.kind = 'caplacizumab' and fact.course_number is null
    group by fact.patient_id, fact.day
),

keyed as (
    select
        fact.*,
        case
            when fact.kind = 'caplacizumab' then coalesce(fact.course_number, course_of_day.course_number)
            when fact.kind in ('death', 'last_seen') then 0
            else fact.day
        end as key
    from {{ ref('int_outcome_fact') }} as fact
    left join course_of_day
        on fact.patient_id = course_of_day.patient_id
        and fact.day = course_of_day.day
    where fact.fact_number is not null
)

select
    cast(keyed.rule_set as string) as rule_set,
    cast(keyed.patient_id as string) as patient_id,
    cast(keyed.outcome as string) as outcome,
    cast(keyed.occurrence as integer) as occurrence,
    cast(keyed.fact_number as integer) as fact_number,
    cast(keyed.role as string) as role,
    cast(keyed.kind as string) as kind,
    cast(keyed.day as integer) as day,
    cast(record.value as double) as value,
    cast(record.comparator as string) as comparator,
    cast(record.source_table as string) as source_table,
    cast(record.source_number as integer) as source_number,
    cast(record.source_file as string) as source_file,
    cast(record.source_sheet as string) as source_sheet,
    cast(record.source_row as bigint) as source_row
from keyed
left join record
    on keyed.patient_id = record.patient_id
    and keyed.kind = record.kind
    and keyed.key = record.key
order by rule_set, patient_id, outcome, occurrence, fact_number
