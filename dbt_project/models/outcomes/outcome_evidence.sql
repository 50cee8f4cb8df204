-- The facts that decided each outcome, and the row of the centre's file that each was read from.
--
-- Grain    one row per rule set, patient with a day 0, outcome, occurrence of it and deciding fact
-- Inputs   int_outcome_status, rule_set, clinical_response, refractory, confirmed_fall, exacerbation, unclassified_fall, clinical_remission,
--          relapse, failure, death, adamts13_recovery, time_to_response, int_adamts13_counted, int_therapy_day, int_caplacizumab,
--          int_patient_timeline, daily_series, lab_result, tpe_session, drug_course, adverse_event, stg_patient
-- Source   PROTOCOL 3; the facts are those that each definition names
-- Unknown  a fact that is missing has no row: an outcome 'not_evaluable' shows what there is and the last day that the patient was seen
-- Caveat   of several results of a day only the one that counts is named (PROTOCOL 2); of equal ones, and of several exchanges on a day,
--          the first as marts.lab_result and marts.tpe_session number them
-- Caveat   a fact of kind 'derived' is the day of another outcome, which has its own facts here: it was read from no file

with status as (
    select
        status.rule_set,
        status.patient_id,
        status.response_day,
        status.response,
        status.exacerbation,
        status.remission_day,
        status.remission,
        status.relapse,
        rule_set.refractory_definition,
        case when death.death_day is null then 'last_seen' else 'death' end as end_kind,
        death.last_seen_day,
        death.died_by_day_90
    from {{ ref('int_outcome_status') }} as status
    inner join {{ ref('rule_set') }} as rule_set
        on status.rule_set = rule_set.rule_set
    inner join {{ ref('death') }} as death
        on status.patient_id = death.patient_id
),

-- ---------------------------------------------------------------- the results, exchanges and courses that count, with their rows

result_ranked as (
    select
        patient_id,
        analyte,
        day,
        result_number,
        value,
        comparator,
        source_file,
        source_sheet,
        source_row,
        row_number() over (
            partition by patient_id, analyte, day
            order by
                -- "the lowest platelet count, the highest LDH, the lowest ADAMTS13 activity is the day's"
                case when analyte = 'ldh' then -value else value end nulls last,
                case when comparator = '<' then 1 when comparator is null then 2 else 3 end,
                result_number
        ) as rank_of_day
    from {{ ref('lab_result') }}
    where day >= 0
),

result_of_day as (
    select
        patient_id,
        analyte,
        day,
        'lab_result' as source_table,
        result_number as source_number,
        value,
        comparator,
        source_file,
        source_sheet,
        source_row
    from result_ranked
    where rank_of_day = 1
    union all
    -- "ADAMTS13 at presentation is the day-0 activity where no result of that day is sent"
    select
        presentation.patient_id,
        'adamts13' as analyte,
        0 as day,
        'patient' as source_table,
        1 as source_number,
        presentation.adamts13_percent as value,
        presentation.adamts13_comparator as comparator,
        presentation.source_file,
        presentation.source_sheet,
        presentation.source_row
    from {{ ref('stg_patient') }} as presentation
    left join result_ranked as measured
        on presentation.patient_id = measured.patient_id
        and measured.analyte = 'adamts13'
        and measured.day = 0
        and measured.rank_of_day = 1
    where presentation.adamts13_percent is not null and measured.patient_id is null
),

session_ranked as (
    select
        patient_id,
        day,
        session_number,
        source_file,
        source_sheet,
        source_row,
        row_number() over (partition by patient_id, day order by session_number) as rank_of_day,
        count(*) over (partition by patient_id, day) as sessions
    from {{ ref('tpe_session') }}
    where day >= 0
),

tpe_of_day as (
    select
        patient_id,
        day,
        session_number,
        sessions,
        row_number() over (partition by patient_id order by day) as tpe_day_number,
        source_file,
        source_sheet,
        source_row
    from session_ranked
    where rank_of_day = 1
),

course as (
    select
        patient_id,
        course_number,
        start_day,
        end_day,
        -- a course whose start was not recorded counts from day 0; without recorded end its first day only
        coalesce(start_day, 0) as first_therapy_day,
        coalesce(end_day, start_day, 0) as last_therapy_day,
        source_file,
        source_sheet,
        source_row
    from {{ ref('drug_course') }}
    where drug = 'caplacizumab'
),

-- ---------------------------------------------------------------- response

highest_count as (
    select
        patient_id,
        day,
        row_number() over (partition by patient_id order by platelets_10e9_per_l desc, day) as choice
    from {{ ref('daily_series') }}
    where platelets_10e9_per_l is not null
),

response as (
    select rule_set, patient_id, 'response' as outcome, 1 as occurrence, 1 as fact_number,
        'count' as role, 'platelets' as kind, day
    from {{ ref('clinical_response') }}
    where candidate_number = 1
    union all
    select rule_set, patient_id, 'response' as outcome, 1 as occurrence, 2 as fact_number,
        'next count' as role, 'platelets' as kind, next_count_day as day
    from {{ ref('clinical_response') }}
    where candidate_number = 1
    union all
    select rule_set, patient_id, 'response' as outcome, 1 as occurrence, 3 as fact_number,
        'LDH in the window' as role, 'ldh' as kind, ldh_day as day
    from {{ ref('clinical_response') }}
    where candidate_number = 1 and ldh_day is not null
    union all
    select status.rule_set, status.patient_id, 'response' as outcome, 1 as occurrence, 1 as fact_number,
        'highest count' as role, 'platelets' as kind, highest_count.day
    from status
    inner join highest_count
        on status.patient_id = highest_count.patient_id
        and highest_count.choice = 1
    where status.response <> 'yes'
    union all
    select rule_set, patient_id, 'response' as outcome, 1 as occurrence, 2 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day
    from status
    where response <> 'yes'
),

-- ---------------------------------------------------------------- refractory

last_tpe_day as (
    select
        patient_id,
        max(day) as day
    from tpe_of_day
    group by patient_id
),

judged_refractory as (
    select
        refractory.*,
        status.refractory_definition,
        status.end_kind,
        status.last_seen_day,
        last_tpe_day.day as last_tpe_day
    from {{ ref('refractory') }} as refractory
    inner join status
        on refractory.rule_set = status.rule_set
        and refractory.patient_id = status.patient_id
    left join last_tpe_day
        on refractory.patient_id = last_tpe_day.patient_id
),

refractory as (
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 1 as fact_number,
        '{{ var("refractory_after_tpe_days") }}th TPE day' as role, 'tpe' as kind, fifth_tpe_day as day
    from judged_refractory
    where fifth_tpe_day is not null and refractory_definition <> 'not_doubled_day_4'
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 1 as fact_number,
        'last TPE day' as role, 'tpe' as kind, last_tpe_day as day
    from judged_refractory
    where fifth_tpe_day is null and last_tpe_day is not null and refractory_definition <> 'not_doubled_day_4'
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 1 as fact_number,
        'count of day 0' as role, 'platelets' as kind, 0 as day
    from judged_refractory
    where baseline_platelets_10e9_per_l is not null
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 2 as fact_number,
        case refractory_definition when 'not_doubled_day_4' then 'count of day {{ var("not_doubled_by_day") }}' else 'first count after it' end as role,
        'platelets' as kind, refractory_assessment_day as day
    from judged_refractory
    where platelets_10e9_per_l is not null
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 3 as fact_number,
        'LDH in the window' as role, 'ldh' as kind, ldh_day as day
    from judged_refractory
    where ldh_day is not null
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 4 as fact_number,
        'response' as role, 'derived' as kind, response_day as day
    from judged_refractory
    -- a later response decides nothing
    where refractory = 'no'
        and response_day <= case refractory_definition
            when 'platelets_and_ldh_after_5_tpe_days'
                then coalesce(refractory_assessment_day, fifth_tpe_day + {{ var('refractory_count_within_days') }}, response_day)
            when 'no_response_after_5_tpe' then coalesce(fifth_tpe_day, response_day)
            else {{ var('not_doubled_by_day') }}
        end
    union all
    select rule_set, patient_id, 'refractory' as outcome, 1 as occurrence, 5 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day
    from judged_refractory
    where refractory = 'not_evaluable'
),

-- ---------------------------------------------------------------- falls: exacerbation, unclassified, relapse

fall as (
    select rule_set, patient_id, 'exacerbation' as outcome, exacerbation_number as occurrence, day,
        response_day, cast(null as integer) as remission_day, last_therapy_day, cast(null as integer) as adamts13_deficient_day
    from {{ ref('exacerbation') }}
    union all
    select rule_set, patient_id, 'unclassified_fall' as outcome,
        row_number() over (partition by rule_set, patient_id order by day) as occurrence, day,
        response_day, cast(null as integer) as remission_day, last_therapy_day, cast(null as integer) as adamts13_deficient_day
    from {{ ref('unclassified_fall') }}
    union all
    select rule_set, patient_id, 'relapse' as outcome, 1 as occurrence, day,
        cast(null as integer) as response_day, remission_day, last_therapy_day, adamts13_deficient_day
    from {{ ref('relapse') }}
),

-- a therapy day is a TPE day where there was an exchange, else a day of a caplacizumab course
last_therapy as (
    select
        fall.rule_set,
        fall.patient_id,
        fall.outcome,
        fall.occurrence,
        fall.last_therapy_day as day,
        case when tpe_of_day.day is null then 'caplacizumab' else 'tpe' end as kind
    from fall
    left join tpe_of_day
        on fall.patient_id = tpe_of_day.patient_id
        and fall.last_therapy_day = tpe_of_day.day
    where fall.last_therapy_day is not null
),

fall_confirmed as (
    select
        fall.*,
        case
            when confirmed_fall.next_count_day - confirmed_fall.day <= {{ var('fall_confirm_within_days') }} then confirmed_fall.next_count_day
        end as next_count_day,
        confirmed_fall.tpe_day
    from fall
    inner join {{ ref('confirmed_fall') }} as confirmed_fall
        on fall.rule_set = confirmed_fall.rule_set
        and fall.patient_id = confirmed_fall.patient_id
        and fall.day = confirmed_fall.day
),

fall_fact as (
    select rule_set, patient_id, outcome, occurrence, 1 as fact_number,
        'response before it' as role, 'derived' as kind, response_day as day
    from fall_confirmed
    where response_day is not null
    union all
    select rule_set, patient_id, outcome, occurrence, 1 as fact_number,
        'remission before it' as role, 'derived' as kind, remission_day as day
    from fall_confirmed
    where remission_day is not null
    union all
    select rule_set, patient_id, outcome, occurrence, 2 as fact_number,
        'count below {{ var("fall_platelets_below_10e9_per_l") }}' as role, 'platelets' as kind, day
    from fall_confirmed
    union all
    select rule_set, patient_id, outcome, occurrence, 3 as fact_number,
        'next count' as role, 'platelets' as kind, next_count_day as day
    from fall_confirmed
    where next_count_day is not null
    union all
    select rule_set, patient_id, outcome, occurrence, 4 as fact_number,
        'TPE answering it' as role, 'tpe' as kind, tpe_day as day
    from fall_confirmed
    where tpe_day is not null
    union all
    select rule_set, patient_id, outcome, occurrence, 5 as fact_number,
        'last therapy day' as role, kind, day
    from last_therapy
    union all
    select rule_set, patient_id, outcome, occurrence, 6 as fact_number,
        'deficient ADAMTS13' as role, 'adamts13' as kind, adamts13_deficient_day as day
    from fall_confirmed
    where adamts13_deficient_day is not null
),

no_exacerbation as (
    select rule_set, patient_id, 'exacerbation' as outcome, 1 as occurrence, 1 as fact_number,
        'response' as role, 'derived' as kind, response_day as day
    from status
    where exacerbation <> 'yes' and response_day is not null
    union all
    select rule_set, patient_id, 'exacerbation' as outcome, 1 as occurrence, 2 as fact_number,
        'remission' as role, 'derived' as kind, remission_day as day
    from status
    where exacerbation <> 'yes' and remission_day is not null
    union all
    select rule_set, patient_id, 'exacerbation' as outcome, 1 as occurrence, 3 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day
    from status
    where exacerbation = 'not_evaluable'
),

no_relapse as (
    select rule_set, patient_id, 'relapse' as outcome, 1 as occurrence, 1 as fact_number,
        'remission' as role, 'derived' as kind, remission_day as day
    from status
    where relapse <> 'yes' and remission_day is not null
    union all
    select rule_set, patient_id, 'relapse' as outcome, 1 as occurrence, 2 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day
    from status
    where relapse <> 'yes'
),

-- ---------------------------------------------------------------- remission

remission_ranked as (
    select
        rule_set,
        patient_id,
        response_day,
        criterion_a_day,
        criterion_b_day,
        remission_day,
        row_number() over (partition by rule_set, patient_id order by episode_number) as choice
    from {{ ref('clinical_remission') }}
    where remission_day is not null
),

reached as (
    select
        rule_set,
        patient_id,
        response_day,
        remission_day,
        case when remission_day = criterion_a_day then 'a' else 'b' end as criterion,
        remission_day - {{ var('remission_days_without_therapy') }} as base_day
    from remission_ranked
    where choice = 1
),

-- "for each therapy day s with no therapy on s+1": the last one by the day from which the 30 days are counted
last_before_pause as (
    select
        reached.rule_set,
        reached.patient_id,
        max(therapy.day) as day
    from reached
    inner join {{ ref('int_therapy_day') }} as therapy
        on reached.rule_set = therapy.rule_set
        and reached.patient_id = therapy.patient_id
        and therapy.day <= reached.base_day
    where reached.criterion = 'b'
    group by reached.rule_set, reached.patient_id
),

remission as (
    select rule_set, patient_id, 'remission' as outcome, 1 as occurrence, 1 as fact_number,
        'response' as role, 'derived' as kind, response_day as day, cast(null as integer) as course_number
    from reached
    union all
    select rule_set, patient_id, 'remission' as outcome, 1 as occurrence, 2 as fact_number,
        'recovered ADAMTS13' as role, 'adamts13' as kind, remission_day as day, cast(null as integer) as course_number
    from reached
    where criterion = 'a'
    union all
    select pause.rule_set, pause.patient_id, 'remission' as outcome, 1 as occurrence, 2 as fact_number,
        'last therapy day' as role, case when tpe_of_day.day is null then 'caplacizumab' else 'tpe' end as kind, pause.day,
        cast(null as integer) as course_number
    from last_before_pause as pause
    left join tpe_of_day
        on pause.patient_id = tpe_of_day.patient_id
        and pause.day = tpe_of_day.day
    union all
    select rule_set, patient_id, 'remission' as outcome, 1 as occurrence, 3 as fact_number,
        '{{ var("remission_days_without_therapy") }} days without therapy' as role, 'derived' as kind, remission_day as day,
        cast(null as integer) as course_number
    from reached
    where criterion = 'b'
    union all
    select rule_set, patient_id, 'remission' as outcome, 1 as occurrence, 1 as fact_number,
        'response' as role, 'derived' as kind, response_day as day, cast(null as integer) as course_number
    from status
    where remission <> 'yes' and response_day is not null
    union all
    select status.rule_set, status.patient_id, 'remission' as outcome, 1 as occurrence, 2 as fact_number,
        'course without recorded end' as role, 'caplacizumab' as kind, cast(null as integer) as day, min(course.course_number) as course_number
    from status
    inner join course
        on status.patient_id = course.patient_id
        and course.end_day is null
    where status.remission = 'not_evaluable' and status.response_day is not null
    group by status.rule_set, status.patient_id
    union all
    select rule_set, patient_id, 'remission' as outcome, 1 as occurrence, 3 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day,
        cast(null as integer) as course_number
    from status
    where remission <> 'yes'
),

-- ---------------------------------------------------------------- failure, death, times, ADAMTS13

failure as (
    select failure.rule_set, failure.patient_id, 'failure' as outcome, 1 as occurrence, 1 as fact_number,
        'response' as role, 'derived' as kind, failure.response_day as day
    from {{ ref('failure') }} as failure
    where failure.response_day is not null
    union all
    select failure.rule_set, failure.patient_id, 'failure' as outcome, 1 as occurrence, 2 as fact_number,
        case status.end_kind when 'death' then 'death' else 'last seen' end as role, status.end_kind as kind, status.last_seen_day as day
    from {{ ref('failure') }} as failure
    inner join status
        on failure.rule_set = status.rule_set
        and failure.patient_id = status.patient_id
    where failure.failure <> 'no'
),

death as (
    select rule_set, patient_id, 'died_by_day_{{ var("follow_up_days") }}' as outcome, 1 as occurrence, 1 as fact_number,
        case end_kind when 'death' then 'death' else 'last seen' end as role, end_kind as kind, last_seen_day as day
    from status
),

tpe_to_response as (
    select status.rule_set, status.patient_id, 'tpe_to_response' as outcome, 1 as occurrence, tpe_of_day.tpe_day_number as fact_number,
        'TPE day' as role, 'tpe' as kind, tpe_of_day.day
    from status
    inner join tpe_of_day
        on status.patient_id = tpe_of_day.patient_id
        and tpe_of_day.day <= status.response_day
),

first_dose as (
    select
        treatment.patient_id,
        treatment.caplacizumab_start_day as day,
        min(course.course_number) as course_number
    from {{ ref('int_caplacizumab') }} as treatment
    inner join course
        on treatment.patient_id = course.patient_id
        and treatment.caplacizumab_start_day = course.start_day
    group by treatment.patient_id, treatment.caplacizumab_start_day
),

from_first_dose as (
    select response.rule_set, response.patient_id, 'days_from_caplacizumab_to_response' as outcome, 1 as occurrence, 1 as fact_number,
        'first dose' as role, 'caplacizumab' as kind, first_dose.day, first_dose.course_number
    from {{ ref('time_to_response') }} as response
    inner join first_dose
        on response.patient_id = first_dose.patient_id
    where response.response_day_after_caplacizumab is not null
    union all
    select rule_set, patient_id, 'days_from_caplacizumab_to_response' as outcome, 1 as occurrence, 2 as fact_number,
        'first response on or after it' as role, 'derived' as kind, response_day_after_caplacizumab as day, cast(null as integer) as course_number
    from {{ ref('time_to_response') }}
    where response_day_after_caplacizumab is not null
),

highest_activity as (
    select
        rule_set,
        patient_id,
        day,
        row_number() over (partition by rule_set, patient_id order by adamts13_percent desc, day) as choice
    from {{ ref('int_adamts13_counted') }}
    where day >= 1
),

recovery as (
    select rule_set, patient_id, 'adamts13_recovery' as outcome, 1 as occurrence, 1 as fact_number,
        'recovered ADAMTS13' as role, 'adamts13' as kind, day
    from {{ ref('adamts13_recovery') }}
    union all
    select highest.rule_set, highest.patient_id, 'adamts13_recovery' as outcome, 1 as occurrence, 1 as fact_number,
        'highest activity after day 0' as role, 'adamts13' as kind, highest.day
    from highest_activity as highest
    left join {{ ref('adamts13_recovery') }} as recovered
        on highest.rule_set = recovered.rule_set
        and highest.patient_id = recovered.patient_id
    where highest.choice = 1 and recovered.patient_id is null
),

-- "an exacerbation after the end of a caplacizumab course (the last one ended before it)"
stopped as (
    select
        exacerbation.rule_set,
        exacerbation.patient_id,
        exacerbation.exacerbation_number,
        exacerbation.day as exacerbation_day,
        course.course_number,
        course.end_day,
        row_number() over (
            partition by exacerbation.rule_set, exacerbation.patient_id, exacerbation.exacerbation_number
            order by course.end_day desc nulls last, course.course_number
        ) as choice
    from {{ ref('exacerbation') }} as exacerbation
    inner join course
        on exacerbation.patient_id = course.patient_id
        and (
            course.end_day < exacerbation.day
            or (course.end_day is null and (course.start_day is null or course.start_day < exacerbation.day))
        )
),

latest_activity as (
    select
        stopped.rule_set,
        stopped.patient_id,
        stopped.exacerbation_number,
        max(activity.day) as day
    from stopped
    inner join {{ ref('int_adamts13_counted') }} as activity
        on stopped.rule_set = activity.rule_set
        and stopped.patient_id = activity.patient_id
        and activity.day between 1 and stopped.exacerbation_day
    where stopped.choice = 1
    group by stopped.rule_set, stopped.patient_id, stopped.exacerbation_number
),

after_stop as (
    select rule_set, patient_id, 'exacerbation_after_stop_undetectable' as outcome, exacerbation_number as occurrence, 1 as fact_number,
        'exacerbation' as role, 'derived' as kind, exacerbation_day as day, cast(null as integer) as course_number
    from stopped
    where choice = 1
    union all
    select rule_set, patient_id, 'exacerbation_after_stop_undetectable' as outcome, exacerbation_number as occurrence, 2 as fact_number,
        case when end_day is null then 'course without recorded end' else 'end of the course before it' end as role, 'caplacizumab' as kind,
        end_day as day, course_number
    from stopped
    where choice = 1
    union all
    select rule_set, patient_id, 'exacerbation_after_stop_undetectable' as outcome, exacerbation_number as occurrence, 3 as fact_number,
        'latest activity by then' as role, 'adamts13' as kind, day, cast(null as integer) as course_number
    from latest_activity
),

fact as (
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from response
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from refractory
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from fall_fact
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from no_exacerbation
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from no_relapse
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, course_number from remission
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from failure
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from death
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from tpe_to_response
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, course_number from from_first_dose
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, cast(null as integer) as course_number from recovery
    union all
    select rule_set, patient_id, outcome, occurrence, fact_number, role, kind, day, course_number from after_stop
),

-- ---------------------------------------------------------------- where each fact was read

-- the course that a day of therapy belongs to, where the fact does not name one
course_of_day as (
    select
        fact.patient_id,
        fact.day,
        min(course.course_number) as course_number
    from fact
    inner join course
        on fact.patient_id = course.patient_id
        and fact.day between course.first_therapy_day and course.last_therapy_day
    where fact.kind = 'caplacizumab' and fact.course_number is null
    group by fact.patient_id, fact.day
),

-- what the patient was last seen by: the stated last contact, else the latest dated record
dated_sign as (
    select patient_id, last_contact_date as sign_date, 1 as priority, 'patient' as source_table, 1 as source_number,
        source_file, source_sheet, source_row
    from {{ ref('stg_patient') }}
    union all
    select patient_id, discharge_date as sign_date, 2 as priority, 'patient' as source_table, 1 as source_number,
        source_file, source_sheet, source_row
    from {{ ref('stg_patient') }}
    union all
    select patient_id, session_date as sign_date, 3 as priority, 'tpe_session' as source_table, session_number as source_number,
        source_file, source_sheet, source_row
    from {{ ref('tpe_session') }}
    union all
    select patient_id, start_date as sign_date, 4 as priority, 'drug_course' as source_table, course_number as source_number,
        source_file, source_sheet, source_row
    from {{ ref('drug_course') }}
    union all
    select patient_id, result_date as sign_date,
        case analyte when 'platelets' then 5 when 'ldh' then 6 else 7 end as priority,
        'lab_result' as source_table, result_number as source_number,
        source_file, source_sheet, source_row
    from {{ ref('lab_result') }}
    union all
    select patient_id, event_date as sign_date, 8 as priority, 'adverse_event' as source_table, adverse_event_number as source_number,
        source_file, source_sheet, source_row
    from {{ ref('adverse_event') }}
),

last_seen as (
    select
        dated_sign.*,
        row_number() over (partition by dated_sign.patient_id order by dated_sign.priority, dated_sign.source_number) as choice
    from dated_sign
    inner join {{ ref('int_patient_timeline') }} as timeline
        on dated_sign.patient_id = timeline.patient_id
        and dated_sign.sign_date = {{ add_days('timeline.day0_date', 'timeline.last_seen_day') }}
),

-- what each kind of fact is looked up by; null for the other kinds
keyed as (
    select
        fact.*,
        case when fact.kind in ('platelets', 'ldh', 'adamts13') then fact.day end as result_day,
        case when fact.kind = 'tpe' then fact.day end as tpe_day,
        case when fact.kind = 'caplacizumab' then coalesce(fact.course_number, course_of_day.course_number) end as known_course_number,
        case when fact.kind = 'last_seen' then fact.patient_id end as seen_patient_id,
        case when fact.kind = 'death' then fact.patient_id end as dead_patient_id
    from fact
    left join course_of_day
        on fact.patient_id = course_of_day.patient_id
        and fact.day = course_of_day.day
),

placed as (
    select
        keyed.*,
        result.value as result_value,
        result.comparator,
        tpe_of_day.sessions,
        case
            when tpe_of_day.session_number is not null then 'tpe_session'
            when course.course_number is not null then 'drug_course'
            when keyed.kind = 'death' then 'patient'
            else coalesce(result.source_table, last_seen.source_table)
        end as source_table,
        case
            when keyed.kind = 'death' then 1
            else coalesce(result.source_number, tpe_of_day.session_number, course.course_number, last_seen.source_number)
        end as source_number,
        coalesce(result.source_file, tpe_of_day.source_file, course.source_file, last_seen.source_file, patient.source_file) as source_file,
        coalesce(result.source_sheet, tpe_of_day.source_sheet, course.source_sheet, last_seen.source_sheet, patient.source_sheet) as source_sheet,
        coalesce(result.source_row, tpe_of_day.source_row, course.source_row, last_seen.source_row, patient.source_row) as source_row
    from keyed
    left join result_of_day as result
        on keyed.patient_id = result.patient_id
        and keyed.kind = result.analyte
        and keyed.result_day = result.day
    left join tpe_of_day
        on keyed.patient_id = tpe_of_day.patient_id
        and keyed.tpe_day = tpe_of_day.day
    left join course
        on keyed.patient_id = course.patient_id
        and keyed.known_course_number = course.course_number
    left join last_seen
        on keyed.seen_patient_id = last_seen.patient_id
        and last_seen.choice = 1
    left join {{ ref('stg_patient') }} as patient
        on keyed.dead_patient_id = patient.patient_id
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
    cast(case when kind = 'tpe' then sessions else result_value end as double) as value,
    cast(comparator as string) as comparator,
    cast(source_table as string) as source_table,
    cast(source_number as integer) as source_number,
    cast(source_file as string) as source_file,
    cast(source_sheet as string) as source_sheet,
    cast(source_row as bigint) as source_row
from placed
order by rule_set, patient_id, outcome, occurrence, fact_number
