-- What is known of a patient day by day: the results that count, exchanges, caplacizumab.
--
-- Grain    one row per patient and day (from day 0) with a result, an exchange or a day of treatment
-- Inputs   int_patient_timeline, int_caplacizumab, stg_patient, lab_result, tpe_session, drug_course, int_day_spine
-- Source   PROTOCOL 2
-- Unknown  a null result was not measured (or refused); tpe_sessions is null on days without a session where the list
--          of sessions lacks the first one (only its date is known); on_caplacizumab is 'unknown' before the end of a
--          course without recorded start and after the start of a course without recorded end, and throughout where it
--          is not known whether the patient had the drug
-- Caveat   "Nothing before day 0 is person-time": earlier results and treatment are not here
-- Caveat   therapy_day counts a course without recorded start from day 0, one without recorded end on its first day
--          only

with patient as (
    select
        patient_id,
        day0_source
    from {{ ref('int_patient_timeline') }}
    where day0_date is not null
),

-- "Several results on a day: the lowest platelet count, the highest LDH ... is the day's"
platelets_and_ldh as (
    select
        patient_id,
        day,
        min(case when analyte = 'platelets' then value end) as platelets_10e9_per_l,
        max(case when analyte = 'ldh' then value end) as ldh_x_uln
    from {{ ref('lab_result') }}
    where day >= 0 and analyte in ('platelets', 'ldh')
    group by patient_id, day
),

-- "... the lowest ADAMTS13 activity is the day's"; of equal values "< 5" is lower than 5, and "> 5" higher
adamts13_ranked as (
    select
        patient_id,
        day,
        value,
        comparator,
        row_number() over (
            partition by patient_id, day
            order by
                value nulls last,
                case comparator when '<' then 1 when '<=' then 2 when '>=' then 4 when '>' then 5 else 3 end,
                result_number
        ) as rank_of_day
    from {{ ref('lab_result') }}
    where day >= 0 and analyte = 'adamts13'
),

adamts13_measured as (
    select
        patient_id,
        day,
        value,
        comparator
    from adamts13_ranked
    where rank_of_day = 1
),

-- "ADAMTS13 at presentation is the day-0 activity where no result of that day is sent"
adamts13 as (
    select
        patient_id as patient_id,
        day as day,
        value as adamts13_percent,
        comparator as adamts13_comparator
    from adamts13_measured
    union all
    select
        presentation.patient_id as patient_id,
        0 as day,
        presentation.adamts13_percent as adamts13_percent,
        presentation.adamts13_comparator as adamts13_comparator
    from {{ ref('stg_patient') }} as presentation
    left join adamts13_measured as measured
        on presentation.patient_id = measured.patient_id
        and measured.day = 0
    where presentation.adamts13_percent is not null and measured.patient_id is null
),

tpe as (
    select
        patient_id,
        day,
        count(*) as sessions
    from {{ ref('tpe_session') }}
    where day >= 0
    group by patient_id, day
),

caplacizumab as (
    select
        patient_id,
        start_day,
        end_day,
        -- a course whose start was not recorded counts from day 0; without recorded end its first day only
        coalesce(start_day, 0) as first_therapy_day,
        coalesce(end_day, start_day, 0) as last_therapy_day
    from {{ ref('drug_course') }}
    where drug = 'caplacizumab'
),

caplacizumab_day as (
    select distinct
        caplacizumab.patient_id,
        spine.day
    from caplacizumab
    inner join {{ ref('int_day_spine') }} as spine
        on spine.day between caplacizumab.first_therapy_day and caplacizumab.last_therapy_day
),

day_with_data as (
    select patient_id, day from platelets_and_ldh
    union
    select patient_id, day from adamts13
    union
    select patient_id, day from tpe
    union
    select patient_id, day from caplacizumab_day
),

-- 1: within a recorded course (of a course without recorded end only the first day is sure); 2: may be within a course
caplacizumab_state as (
    select
        day_with_data.patient_id,
        day_with_data.day,
        min(
            case
                when day_with_data.day = caplacizumab.start_day then 1
                when day_with_data.day between caplacizumab.start_day and caplacizumab.end_day then 1
                else 2
            end
        ) as state
    from day_with_data
    inner join caplacizumab
        on day_with_data.patient_id = caplacizumab.patient_id
        and day_with_data.day >= coalesce(caplacizumab.start_day, 0)
        and (caplacizumab.end_day is null or day_with_data.day <= caplacizumab.end_day)
    group by day_with_data.patient_id, day_with_data.day
)

select
    cast(day_with_data.patient_id as string) as patient_id,
    cast(day_with_data.day as integer) as day,
    cast(platelets_and_ldh.platelets_10e9_per_l as double) as platelets_10e9_per_l,
    cast(platelets_and_ldh.ldh_x_uln as double) as ldh_x_uln,
    cast(adamts13.adamts13_percent as double) as adamts13_percent,
    cast(adamts13.adamts13_comparator as string) as adamts13_comparator,
    cast(
        case
            when tpe.sessions > 0 then tpe.sessions
            when patient.day0_source in ('sessions', 'contradiction') then 0
        end as integer
    ) as tpe_sessions,
    cast(
        case
            when caplacizumab_state.state = 1 then 'yes'
            when caplacizumab_state.state = 2 or treatment.treatment_group is null then 'unknown'
            else 'no'
        end as string
    ) as on_caplacizumab,
    -- "therapy day = a TPE day or a day within a caplacizumab course (inclusive ...)"
    cast(
        case when tpe.sessions > 0 or caplacizumab_day.day is not null then 'yes' else 'no' end as string
    ) as therapy_day
from day_with_data
inner join patient
    on day_with_data.patient_id = patient.patient_id
left join {{ ref('int_caplacizumab') }} as treatment
    on day_with_data.patient_id = treatment.patient_id
left join platelets_and_ldh
    on day_with_data.patient_id = platelets_and_ldh.patient_id
    and day_with_data.day = platelets_and_ldh.day
left join adamts13
    on day_with_data.patient_id = adamts13.patient_id
    and day_with_data.day = adamts13.day
left join tpe
    on day_with_data.patient_id = tpe.patient_id
    and day_with_data.day = tpe.day
left join caplacizumab_day
    on day_with_data.patient_id = caplacizumab_day.patient_id
    and day_with_data.day = caplacizumab_day.day
left join caplacizumab_state
    on day_with_data.patient_id = caplacizumab_state.patient_id
    and day_with_data.day = caplacizumab_state.day
order by patient_id, day
