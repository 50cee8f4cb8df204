-- Adverse events as reported, whether as an event or only as "occurred".
--
-- Grain    one row per adverse event of a patient
-- Inputs   stg_adverse_event, stg_adverse_event_assessment, int_day_zero
-- Source   PROTOCOL 3.12; ISTH (Schulman 2005, Kaatz 2015)
-- Unknown  day or site null: not recorded; an event known only from the statement that this kind occurred has neither
-- Caveat   reported under caplacizumab only: no row in other patients is not "none" but "not applicable"

with event as (
    select
        patient_id as patient_id,
        centre_id as centre_id,
        kind as kind,
        event_date as event_date,
        site as site,
        'event' as reported_as,
        submission as submission,
        source_file as source_file,
        source_sheet as source_sheet,
        source_row as source_row
    from {{ ref('stg_adverse_event') }}
    union all
    select
        assessment.patient_id as patient_id,
        assessment.centre_id as centre_id,
        assessment.kind as kind,
        cast(null as date) as event_date,
        cast(null as string) as site,
        'assessment' as reported_as,
        assessment.submission as submission,
        assessment.source_file as source_file,
        assessment.source_sheet as source_sheet,
        assessment.source_row as source_row
    from {{ ref('stg_adverse_event_assessment') }} as assessment
    left join {{ ref('stg_adverse_event') }} as listed
        on assessment.patient_id = listed.patient_id
        and assessment.kind = listed.kind
    where assessment.answer = 'yes' and listed.patient_id is null
)

select
    cast(event.patient_id as string) as patient_id,
    cast(
        row_number() over (
            partition by event.patient_id
            order by
                event.event_date nulls last,
                event.kind nulls last,
                event.site nulls last,
                event.source_file nulls last,
                event.source_sheet nulls last,
                event.source_row nulls last
        ) as integer
    ) as adverse_event_number,
    cast(event.kind as string) as kind,
    cast({{ days_between('day_zero.day0_date', 'event.event_date') }} as integer) as day,
    cast(event.site as string) as site,
    cast(event.event_date as date) as event_date,
    cast(event.reported_as as string) as reported_as,
    cast(event.centre_id as string) as centre_id,
    cast(event.submission as date) as submission,
    cast(event.source_file as string) as source_file,
    cast(event.source_sheet as string) as source_sheet,
    cast(event.source_row as bigint) as source_row
from event
inner join {{ ref('int_day_zero') }} as day_zero
    on event.patient_id = day_zero.patient_id
order by patient_id, adverse_event_number
