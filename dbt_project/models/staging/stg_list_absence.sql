-- What it means when a patient has no row in a list that the centre sends for its patients.
--
-- Grain    one row per centre and list
-- Inputs   harmonised.list_absence
-- Source   PROTOCOL 2: the spec declares per list what absence means
-- Unknown  a centre or list without a row here: absence means unknown

select
    cast(centre_id as string) as centre_id,
    cast(list_name as string) as list_name,
    cast(absence as string) as absence
from {{ source('harmonised', 'list_absence') }}
