-- The same patient reported by two centres: which record is kept, and which is linked to it.
--
-- Grain    one row per record that is linked to another record of the same patient
-- Inputs   stg_patient, int_day_zero, daily_series
-- Source   PROTOCOL 1, "The same patient reported by two centres"
-- Unknown  a centre that releases no birth dates can be linked by a stated transfer only
-- Caveat   a record is never deleted and not merged into the one kept
-- Caveat   in a chain of transfers each record is linked to the one it came from

with result_days as (
    select
        patient_id,
        count(*) as result_days
    from {{ ref('daily_series') }}
    group by patient_id
),

record as (
    select
        patient.patient_id,
        patient.centre_id,
        patient.sex,
        patient.birth_date_linkage,
        patient.transferred_from_patient_id,
        day_zero.day0_date,
        coalesce(result_days.result_days, 0) as result_days
    from {{ ref('stg_patient') }} as patient
    inner join {{ ref('int_day_zero') }} as day_zero
        on patient.patient_id = day_zero.patient_id
    left join result_days
        on patient.patient_id = result_days.patient_id
),

-- "the record of the centre named as the transfer's origin is kept"
by_transfer as (
    select
        record.patient_id,
        origin.patient_id as same_patient_as,
        1 as priority,
        origin.result_days,
        origin.centre_id
    from record
    inner join record as origin
        on record.transferred_from_patient_id = origin.patient_id
        and record.patient_id <> origin.patient_id
    -- two records that name each other as origin: the one with more daily results is kept, as if none were stated
    where coalesce(origin.transferred_from_patient_id, '') <> record.patient_id
        or origin.result_days > record.result_days
        or (origin.result_days = record.result_days and origin.patient_id < record.patient_id)
),

-- "same sex, birth date and day 0 where both send a birth date" (equal birth dates have equal linkage values); "none
-- stated: the one with more daily results"
by_identity as (
    select
        record.patient_id,
        other.patient_id as same_patient_as,
        2 as priority,
        other.result_days,
        other.centre_id
    from record
    inner join record as other
        on record.sex = other.sex
        and record.birth_date_linkage = other.birth_date_linkage
        and record.day0_date = other.day0_date
        and record.centre_id <> other.centre_id
    where coalesce(record.transferred_from_patient_id, '') <> other.patient_id
        and coalesce(other.transferred_from_patient_id, '') <> record.patient_id
        and (
            other.result_days > record.result_days
            or (other.result_days = record.result_days and other.centre_id < record.centre_id)
        )
),

linked as (
    select patient_id, same_patient_as, priority, result_days, centre_id from by_transfer
    union all
    select patient_id, same_patient_as, priority, result_days, centre_id from by_identity
),

ranked as (
    select
        linked.*,
        row_number() over (
            partition by patient_id
            order by priority, result_days desc nulls last, centre_id nulls last, same_patient_as nulls last
        ) as choice
    from linked
)

select
    cast(patient_id as string) as patient_id,
    cast(same_patient_as as string) as same_patient_as,
    cast(case when priority = 1 then 'stated_transfer' else 'same_identity' end as string) as linked_by
from ranked
where choice = 1
