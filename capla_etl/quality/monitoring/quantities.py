"""One row per patient with every watched quantity, computed from a centre's harmonised tables.

What does not belong here: which quantities there are (fields/watched.yml), and what is compared (the families).
"""

from collections.abc import Mapping

import duckdb
import pandas as pd
import pyarrow as pa

from capla_etl import fields
from capla_etl.quality.monitoring.watched import SHARE, SOURCES, watched

#: Columns of a patient beside the watched quantities: the row that names the patient and its order, the group, the
#: first exchange, and what is compared between submissions.
ABOUT = ["centre_patient_id", "source_file", "source_sheet", "source_row", "place", "treated", "day0"]
ABOUT += ["sex", "linkage", "platelet_series", "ldh_series"]
#: So many first results of an analyte are a series: no two patients have so many alike, whatever their days.
_SERIES = 10

_VIEWS = """
create temp view patient_day as
select p.*, coalesce(first_session, first_tpe_date) as day0, first_session, last_session,
    patient_id in (select patient_id from drug_course where drug = 'caplacizumab') as treated,
    count(*) over (partition by last_contact_date) as same_contact, count(last_contact_date) over () as contacts,
    count(*) over (partition by birth_date_linkage) as same_birth
from patient p left join (
    select patient_id, min(session_date) as first_session, max(session_date) as last_session
    from tpe_session group by 1
) using (patient_id);

create temp table lab as
select l.patient_id, analyte, value, comparator, result_date, result_date - day0 as day, l.source_row,
    l.source_repetition, last_contact_date, death_date, last_session - day0 as last_exchange_day,
    reported_refractory, reported_exacerbation, adamts13_percent as presentation
from lab_result l join patient_day using (patient_id);

create temp view step as
select patient_id, analyte, day, value, lag(value) over series as previous, last_exchange_day,
    reported_exacerbation
from lab
window series as (partition by patient_id, analyte order by day, source_row, source_repetition);

create temp view same_day as
select patient_id, day, min(value) filter (analyte = 'platelets') as platelets,
    max(value) filter (analyte = 'ldh') as ldh
from lab where analyte in ('platelets', 'ldh') group by 1, 2;

create temp view session as
select patient_id, session_date, session_date - day0 as day, volume_ml, first_count,
    session_date - lag(session_date) over (partition by patient_id order by session_date, t.source_row) as gap
from tpe_session t join patient_day using (patient_id) left join (
    select patient_id, min(result_date) as first_count from lab_result where analyte = 'platelets' group by 1
) using (patient_id);

create temp view drug as
select patient_id, treated, corticosteroids, drug, start_date, start_date - day0 as start_day,
    end_date - day0 as end_day,
    last_session - day0 as last_session_day
from patient_day left join drug_course using (patient_id);

create temp view event as
select patient_id, kind, event_date - day0 as event_day,
    exists (from drug_course d where d.patient_id = p.patient_id and drug = 'caplacizumab'
        and event_date between start_date - 1 and end_date + 30) as under_treatment
from patient_day p left join (
    select patient_id, kind, event_date from adverse_event
    union all select patient_id, kind, null from adverse_event_assessment where answer = 'yes'
) using (patient_id) where treated;
"""


#: Analyte -> name of its series.
_SERIES_OF = {"platelets": "platelet_series", "ldh": "ldh_series"}


def _series(analyte: str) -> str:
    """SQL of a fingerprint of the first results of one analyte; null where there are fewer."""
    of = f"filter (analyte = '{analyte}')"
    return f"case when count(*) {of} = {_SERIES} then md5(string_agg(value, ',' order by n) {of}) end"


def patient_quantities(tables: Mapping[str, pa.Table]) -> pd.DataFrame:
    """Compute every watched quantity of each patient.

    Args:
        tables: harmonised tables by name (``patient``, ``lab_result``, ...), of one centre or several.

    Returns:
        One row per patient, in the order of the file; index ``patient_id``; columns ``ABOUT`` and every watched
        quantity (float; shares 0 or 1; NaN: not known).
    """
    con = duckdb.connect(config={"threads": 1})
    for name in fields.tables():
        con.register(name, tables[name])
    con.execute(_VIEWS)
    frame = con.execute(
        f"""select patient_id, centre_patient_id, source_file, source_sheet, source_row,
            row_number() over (order by source_file, source_sheet, source_row) as place, treated,
            day0 - date '2000-01-01' as day0, sex, birth_date_linkage as linkage, platelet_series, ldh_series
        from patient_day left join (
            select patient_id, {", ".join(f"{_series(analyte)} as {name}" for analyte, name in _SERIES_OF.items())}
            from (select *, row_number() over (
                partition by patient_id, analyte order by day, source_row, source_repetition) as n from lab)
            where n <= {_SERIES} group by 1
        ) using (patient_id) order by place"""
    ).df()
    frame = frame.set_index("patient_id")
    for source in SOURCES:
        columns = ", ".join(
            f"cast({q.value} as {'integer' if q.scale == SHARE else 'double'}) as {name}"
            for name, q in watched().items()
            if q.source == source
        )
        view, grouped = ("patient_day", "") if source == "patient" else (source, "group by patient_id")
        found = con.execute(f"select patient_id, {columns} from {view} {grouped}").df().set_index("patient_id")
        frame = frame.join(found.astype(float))
    return frame
