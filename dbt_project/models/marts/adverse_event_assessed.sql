-- Whether each kind of adverse event was assessed and occurred: the denominators of Table 5.
--
-- Grain    one row per patient treated with caplacizumab and kind of adverse event
-- Inputs   patient, adverse_event, stg_adverse_event_assessment, stg_list_absence
-- Source   PROTOCOL 2 (absence from a list), 3.12
-- Unknown  stated as not assessed, or no statement at a centre whose list says nothing about absence: occurred
--          'unknown', assessed 'no'
-- Caveat   not applicable to other patients, who have no row

with kind as (
    select 'major_bleeding' as kind
    union all select 'crnm_bleeding' as kind
    union all select 'minor_bleeding' as kind
    union all select 'injection_site_reaction' as kind
    union all select 'other' as kind
),

reported as (
    select distinct
        patient_id,
        kind
    from {{ ref('adverse_event') }}
),

answered as (
    select
        patient.patient_id,
        kind.kind,
        case
            when reported.patient_id is not null then 'yes'
            when assessment.answer = 'no' then 'no'
            -- "adverse events: none, for patients with caplacizumab"
            when assessment.answer is null and absence.absence = 'none' then 'no'
            else 'unknown'
        end as occurred
    from {{ ref('patient') }} as patient
    cross join kind
    left join reported
        on patient.patient_id = reported.patient_id
        and kind.kind = reported.kind
    left join {{ ref('stg_adverse_event_assessment') }} as assessment
        on patient.patient_id = assessment.patient_id
        and kind.kind = assessment.kind
    left join {{ ref('stg_list_absence') }} as absence
        on patient.centre_id = absence.centre_id
        and absence.list_name = 'adverse_event'
    where patient.treatment_group = 'caplacizumab'
)

select
    cast(patient_id as string) as patient_id,
    cast(kind as string) as kind,
    cast(case when occurred = 'unknown' then 'no' else 'yes' end as string) as assessed,
    cast(occurred as string) as occurred
from answered
order by patient_id, kind
