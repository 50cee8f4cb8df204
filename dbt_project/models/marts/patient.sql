-- Patients as the study uses them: group, timing, baseline, follow-up, eligibility.
--
-- Grain    one row per patient record received, eligible or not
-- Inputs   stg_patient, int_patient_timeline, int_caplacizumab, daily_series, drug_course, stg_list_absence,
--          refractory, exacerbation, int_same_patient
-- Source   PROTOCOL 1 (groups, eligibility), 2 (presentation), 4 (severity score)
-- Unknown  yes/no columns say 'unknown'; a rule of eligibility that cannot be assessed excludes nobody and is flagged
--          (diagnosis_stated, age_assessed, adamts13_assessed 'no')
-- Caveat   delay_reason uses the default rule set; delayed starters have by design lived to their first dose
-- Caveat   a drug given is evidence: a corticosteroid row outweighs the centre's 'no'

with drug as (
    select
        patient_id,
        count(case when drug = 'rituximab' then 1 end) as rituximab_rows,
        count(case when drug = 'corticosteroid' then 1 end) as corticosteroid_rows
    from {{ ref('drug_course') }}
    group by patient_id
),

first_exacerbation as (
    select
        patient_id,
        min(day) as day
    from {{ ref('exacerbation') }}
    where rule_set = '{{ var("default_rule_set") }}'
    group by patient_id
),

assembled as (
    select
        patient.*,
        timeline.day0_date,
        timeline.day0_source,
        timeline.last_seen_day,
        timeline.death_day,
        timeline.death_date_precision,
        timeline.died as died_as_known,
        treatment.treatment_group,
        treatment.timing,
        treatment.caplacizumab_start_day,
        same_patient.same_patient_as,
        day_0.platelets_10e9_per_l as platelets_10e9_per_l_day0,
        day_0.ldh_x_uln as ldh_x_uln_day0,
        -- "ADAMTS13 at presentation is the day-0 activity where no result of that day is sent", and vice versa
        case
            when patient.adamts13_percent is not null then patient.adamts13_percent
            else day_0.adamts13_percent
        end as presentation_percent,
        case
            when patient.adamts13_percent is not null then patient.adamts13_comparator
            else day_0.adamts13_comparator
        end as presentation_comparator,
        patient.age_years_at_first_tpe as age_years,
        coalesce(absence.absence, 'unknown') as drug_absence,
        coalesce(drug.rituximab_rows, 0) as rituximab_rows,
        coalesce(drug.corticosteroid_rows, 0) as corticosteroid_rows,
        refractory.refractory as refractory_status,
        refractory.refractory_assessment_day,
        first_exacerbation.day as first_exacerbation_day
    from {{ ref('stg_patient') }} as patient
    inner join {{ ref('int_patient_timeline') }} as timeline
        on patient.patient_id = timeline.patient_id
    inner join {{ ref('int_caplacizumab') }} as treatment
        on patient.patient_id = treatment.patient_id
    left join {{ ref('daily_series') }} as day_0
        on patient.patient_id = day_0.patient_id
        and day_0.day = 0
    left join {{ ref('stg_list_absence') }} as absence
        on patient.centre_id = absence.centre_id
        and absence.list_name = 'drug_course'
    left join drug
        on patient.patient_id = drug.patient_id
    left join {{ ref('refractory') }} as refractory
        on patient.patient_id = refractory.patient_id
        and refractory.rule_set = '{{ var("default_rule_set") }}'
    left join first_exacerbation
        on patient.patient_id = first_exacerbation.patient_id
    left join {{ ref('int_same_patient') }} as same_patient
        on patient.patient_id = same_patient.patient_id
),

judged as (
    select
        assembled.*,
        -- "Each exclusion is one box of the flow diagram, in this order"
        case
            -- "A diagnosis that a centre does not state counts as iTTP (flagged)"
            when diagnosis <> 'ittp' then 'not_ittp'
            -- ">= 18 years on day 0"
            when age_years < {{ var('adult_age_years') }} then 'under_18'
            -- "at least one TPE"
            when day0_date is null then 'no_tpe'
            -- "ADAMTS13 activity at presentation < 10 % (not measured: kept and flagged)"
            when {{ adamts13_surely_at_least(
                'presentation_percent', 'presentation_comparator', var('adamts13_deficient_below_percent')
            ) }} then 'adamts13_not_deficient'
            -- "controls only with day 0 from 2015-01-01 to 2018-12-31"
            when treatment_group = 'control'
                and (
                    day0_date < cast('{{ var("control_day0_from") }}' as date)
                    or day0_date > cast('{{ var("control_day0_to") }}' as date)
                ) then 'control_out_of_window'
            when same_patient_as is not null then 'reported_twice'
        end as exclusion_reason,
        case
            when {{ adamts13_surely_at_least(
                'presentation_percent', 'presentation_comparator', var('adamts13_deficient_below_percent')
            ) }} then 'yes'
            when {{ adamts13_surely_below(
                'presentation_percent', 'presentation_comparator', var('adamts13_deficient_below_percent')
            ) }} then 'yes'
            else 'no'
        end as adamts13_assessed,
        case when age_years is null then 'no' else 'yes' end as age_assessed,
        -- French severity score: "cerebral involvement 1; LDH > 10 x ULN 1; age > 40 1, > 60 2"
        case neurological_involvement when 'yes' then 1 when 'no' then 0 end as cerebral_points,
        case
            when ldh_x_uln_day0 > {{ var('severity_ldh_above_x_uln') }} then 1
            when ldh_x_uln_day0 is not null then 0
        end as ldh_points,
        case
            when age_years > {{ var('severity_age_high_above_years') }} then 2
            when age_years > {{ var('severity_age_above_years') }} then 1
            when age_years is not null then 0
        end as age_points
    from assembled
)

select
    cast(patient_id as string) as patient_id,
    cast(centre_id as string) as centre_id,
    cast(centre_patient_id as string) as centre_patient_id,
    cast(submission as date) as submission,
    cast(treatment_group as string) as treatment_group,
    cast(timing as string) as timing,
    cast(
        case
            when timing <> 'delayed' then null
            -- "rescue when the derived refractory assessment (yes) or a derived exacerbation lies on or before the
            -- first-dose day"
            when refractory_status = 'yes' and refractory_assessment_day <= caplacizumab_start_day then 'rescue'
            when first_exacerbation_day <= caplacizumab_start_day then 'rescue'
            when timing = 'delayed' then 'slow_response'
        end as string
    ) as delay_reason,
    cast(day0_date as date) as day0_date,
    cast(day0_source as string) as day0_source,
    cast(age_years as integer) as age_years,
    cast(sex as string) as sex,
    cast(first_episode as string) as first_episode,
    cast(neurological_involvement as string) as neurological_involvement,
    cast(coma as string) as coma,
    cast(hemoglobin_g_per_dl as double) as hemoglobin_g_per_dl,
    cast(creatinine_umol_per_l as double) as creatinine_umol_per_l,
    cast(troponin_x_uln as double) as troponin_x_uln,
    cast(platelets_10e9_per_l_day0 as double) as platelets_10e9_per_l_day0,
    cast(ldh_x_uln_day0 as double) as ldh_x_uln_day0,
    cast(presentation_percent as double) as adamts13_percent,
    cast(presentation_comparator as string) as adamts13_comparator,
    cast(case when presentation_percent is null then 'no' else 'yes' end as string) as presentation_adamts13_known,
    cast(anti_adamts13_u_per_ml as double) as anti_adamts13_u_per_ml,
    cast(cerebral_points + ldh_points + age_points as integer) as french_severity_score,
    cast(
        case
            when corticosteroid_rows > 0 then 'yes'
            when corticosteroids <> 'unknown' then corticosteroids
            when drug_absence = 'none' then 'no'
            else 'unknown'
        end as string
    ) as corticosteroids,
    cast(
        case
            when rituximab_rows > 0 then 'yes'
            when drug_absence = 'none' then 'no'
            else 'unknown'
        end as string
    ) as rituximab,
    cast(caplacizumab_start_day as integer) as caplacizumab_start_day,
    cast(last_seen_day as integer) as last_seen_day,
    cast(died_as_known as string) as died,
    cast(death_day as integer) as death_day,
    cast(death_date_precision as string) as death_date_precision,
    cast(death_cause as string) as death_cause,
    cast({{ days_between('day0_date', 'discharge_date') }} as integer) as discharge_day,
    cast(icu_days as integer) as icu_days,
    cast(case when diagnosis is null then 'no' else 'yes' end as string) as diagnosis_stated,
    cast(age_assessed as string) as age_assessed,
    cast(adamts13_assessed as string) as adamts13_assessed,
    cast(
        case
            when transferred_from_patient_id is not null then transferred_from_patient_id
            when transferred_from_centre_id is not null or transferred_from_centre_patient_id is not null
                then coalesce(transferred_from_centre_id, '') || ':' || coalesce(transferred_from_centre_patient_id, '')
        end as string
    ) as transferred_from,
    cast(exclusion_reason is null as boolean) as eligible,
    cast(exclusion_reason as string) as exclusion_reason,
    cast(same_patient_as as string) as same_patient_as
from judged
order by patient_id
