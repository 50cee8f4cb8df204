-- New ischaemic organ events, which block a clinical response. None of the centres sends them: typed and empty.
--
-- Grain    one row per patient and ischaemic organ event
-- Inputs   none: a centre that sends this event type is added here
-- Source   PROTOCOL 3.1 (event type `ischemic_organ_event`)
-- Unknown  no row: none recorded
-- Caveat   without this list a response rests on platelets and LDH alone

select
    cast(null as string) as patient_id,
    cast(null as integer) as day
where 1 = 0
