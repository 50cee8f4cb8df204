-- The days 0 to 9999, to lay out periods day by day.
--
-- Grain    one row per day number
-- Inputs   none
-- Source   PROTOCOL 1: day d is d calendar days after day 0
-- Unknown  nothing is unknown here
-- Caveat   a treatment day later than day 9999 (27 years) would not be laid out

with digit as (
    select 0 as n
    union all select 1 as n
    union all select 2 as n
    union all select 3 as n
    union all select 4 as n
    union all select 5 as n
    union all select 6 as n
    union all select 7 as n
    union all select 8 as n
    union all select 9 as n
)

select cast(thousands.n * 1000 + hundreds.n * 100 + tens.n * 10 + ones.n as integer) as day
from digit as ones
cross join digit as tens
cross join digit as hundreds
cross join digit as thousands
