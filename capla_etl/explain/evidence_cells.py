"""From the records that evidence names to the cells they were read from: the column, and its text as sent.

A harmonised row names the record of the centre's spec, and the repetition of repeated columns, that it was read by: so
cells are a join of facts to harmonised rows to rows as sent. No value is parsed again, and no file is opened: schema
``raw`` has the texts, without forbidden columns.
"""

import duckdb
import pandas as pd

from capla_etl import fields
from capla_etl.centres.reading.cell_text import TRIMMED
from capla_etl.centres.spec.grammar import Source, Spec, source_columns
from capla_etl.sql import identifier, quote

#: Fields of each harmonised table whose cells are shown.
SHOWN = {
    "lab_result": ["result_date", "platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent"],
    "tpe_session": ["session_date"],
    "drug_course": ["drug", "start_date", "end_date"],
    "adverse_event": ["kind", "event_date", "site"],
    "patient": ["adamts13_percent", "died", "death_date", "last_contact_date", "discharge_date"],
}
_TEXTS = "kind source_table field raw_table source_file source_sheet source_column raw_text declared"
_NUMBERS = "source_number cell_number source_row"
#: Columns that ingestion adds to a raw table.
_ADDED = ("source_file", "source_sheet", "source_row", "row_status")


def evidence_cells(connection: duckdb.DuckDBPyConnection, specs: dict[str, Spec]) -> pd.DataFrame:
    """Find the cells behind ``outcomes.outcome_evidence``.

    Args:
        connection: a warehouse with schemas raw, harmonised, marts and outcomes; only temporary tables are made in it.
        specs: centre_id -> its spec.

    Returns:
        One row per record that evidence names (patient_id, kind, source_table, source_number) and cell of it: ``field``
        (the study field; 'centre_patient_id' for the cell that names the patient, 'kind_of_row' for the one that says
        what the row is), ``raw_table`` (of schema raw), source_file, source_sheet, source_row, ``source_column``,
        ``raw_text`` as sent, and ``declared``: what the spec adds (a unit, an upper limit of normal). Blank cells have
        no row.
    """
    connection.execute(_READ_BY)
    connection.execute(_READ_ELSEWHERE)
    connection.execute(
        """create or replace temp table lineage_text (raw_table varchar, source_file varchar, source_sheet varchar,
        source_row bigint, source_column varchar, raw_text varchar)"""
    )
    for raw_table in [f"{centre.lower()}__{name}" for centre, spec in specs.items() for name in spec.tables]:
        _keep_texts(connection, raw_table)
    columns = [column for centre_id, spec in specs.items() for column in _columns_of(centre_id, spec)]
    names = ["centre_id", "source_record", "raw_table", "position", "field", "source_column", "declared"]
    connection.register("lineage_column", pd.DataFrame(columns, columns=names))
    cells = connection.execute(_CELLS).df()
    connection.unregister("lineage_column")
    for temporary in ("lineage_read", "lineage_text"):
        connection.execute(f"drop table {temporary}")
    types = dict.fromkeys(["patient_id", *_TEXTS.split()], "string") | dict.fromkeys(_NUMBERS.split(), "Int64")
    return cells.astype(types)


#: Records that evidence names, each with the one harmonised row that it is and, of the patient's own row, the fields
#: that the fact was read from. Several rows that say the same (one day, one value) are read by different records or
#: repetitions: the first stands for them.
_READ_BY = """
create or replace temp table lineage_read as
with named as (
    select distinct
        patient_id, kind, source_table, source_number, source_file, source_sheet, source_row,
        case when kind in ('platelets', 'ldh', 'adamts13', 'tpe', 'last_seen') then day end as day,
        case when kind in ('platelets', 'ldh', 'adamts13') then value end as value,
        case when kind in ('platelets', 'ldh', 'adamts13') then comparator end as comparator
    from outcomes.outcome_evidence
    where source_table is not null
),
wanted as (
    select named.*, course.drug, course.end_date,
        coalesce(course.start_date, cast(patient.day0_date + named.day as date)) as record_date
    from named
    join marts.patient patient using (patient_id)
    left join marts.drug_course course
        on named.source_table = 'drug_course'
        and (course.patient_id, course.course_number) = (named.patient_id, named.source_number)
),
kept as (
    select 'lab_result' as source_table, * rename (result_date as record_date) from harmonised.lab_result
    union all by name
    select 'tpe_session' as source_table, * rename (session_date as record_date) from harmonised.tpe_session
    union all by name
    select 'drug_course' as source_table, * rename (start_date as record_date) from harmonised.drug_course
    union all by name
    select 'adverse_event' as source_table, * rename (event_date as record_date) from harmonised.adverse_event
    union all by name
    select 'patient' as source_table, * rename (last_contact_date as record_date) from harmonised.patient
)
select wanted.*, kept.centre_id, kept.source_record, kept.source_repetition,
    case wanted.kind
        when 'adamts13' then ['adamts13_percent']
        when 'death' then ['died', 'death_date']
        else [if(kept.record_date = wanted.record_date, 'last_contact_date', 'discharge_date')]
    end as of_patient
from wanted
join kept using (patient_id, source_table, source_file, source_sheet, source_row)
where wanted.source_table = 'patient'
    or kept.record_date is not distinct from wanted.record_date
    and kept.drug is not distinct from wanted.drug
    and (wanted.source_table <> 'drug_course' or kept.end_date is not distinct from wanted.end_date)
    and (wanted.value is null or (kept.analyte, kept.value) = (wanted.kind, wanted.value))
    and (wanted.value is null or kept.comparator is not distinct from wanted.comparator)
qualify row_number() over (
    partition by wanted.patient_id, wanted.kind, wanted.source_table, wanted.source_number
    order by split_part(kept.source_record, '.', 1), cast(split_part(kept.source_record, '.', 2) as integer),
        kept.source_repetition
) = 1
"""

#: The same for fields of a patient that another row gave: that row has their cells.
_READ_ELSEWHERE = """
insert into lineage_read
select r.* replace (
    a.source_file as source_file, a.source_sheet as source_sheet, a.source_row as source_row,
    a.source_record as source_record, a.source_repetition as source_repetition, [a.field] as of_patient
)
from lineage_read r join quality.added_field a using (patient_id)
where r.source_table = 'patient' and list_contains(r.of_patient, a.field)
"""

_CELLS = """
select
    r.patient_id, r.kind, r.source_table, r.source_number,
    row_number() over (
        partition by r.patient_id, r.kind, r.source_table, r.source_number order by c.position
    ) as cell_number,
    c.field, c.raw_table, r.source_file, r.source_sheet, r.source_row, t.source_column, t.raw_text, c.declared
from lineage_read r
join lineage_column c using (centre_id, source_record)
join lineage_text t
    on (t.raw_table, t.source_file, t.source_sheet, t.source_row)
        = (c.raw_table, r.source_file, r.source_sheet, r.source_row)
    and t.source_column = replace(c.source_column, '{k}', coalesce(cast(r.source_repetition as varchar), ''))
where r.source_table <> 'patient'
    or c.field in ('centre_patient_id', 'kind_of_row')
    or list_contains(r.of_patient, c.field)
order by r.patient_id, r.kind, r.source_table, r.source_number, cell_number
"""


def _keep_texts(connection: duckdb.DuckDBPyConnection, raw_table: str) -> None:
    """Keep the filled cells of the rows that are wanted of one raw table."""
    query = "select column_name from duckdb_columns() where schema_name = 'raw' and table_name = ?"
    columns = [c for (c,) in connection.execute(query, [raw_table]).fetchall() if c not in _ADDED]
    if columns:
        connection.execute(
            f"""insert into lineage_text
            select {quote(raw_table)}, source_file, source_sheet, source_row, source_column, raw_text
            from (unpivot (
                from raw.{identifier(raw_table)} semi join lineage_read using (source_file, source_sheet, source_row)
            ) on {", ".join(map(identifier, columns))} into name source_column value raw_text)
            where trim(raw_text, {TRIMMED}) <> ''"""
        )


def _columns_of(centre_id: str, spec: Spec) -> list[tuple]:
    """List the columns that each record of a spec is read from, in the order in which their cells are shown."""
    found = []
    for name, table in spec.tables.items():
        for number, record in enumerate(table.records, start=1):
            read = [("centre_patient_id", table.key, None)]
            if table.row_kinds:
                read.append(("kind_of_row", table.row_kinds.column, None))
            for field, source in record.fields.items():
                if field in SHOWN.get(record.table, ()):
                    of_value = _declared(field, source)
                    read += [(field, c, of_value if c == source.column else None) for c in source_columns(source)]
            place = (centre_id, f"{name}.{number}", f"{centre_id.lower()}__{name}")
            found += [(*place, position, *cell) for position, cell in enumerate(read)]
    return found


def _declared(field: str, source: Source) -> str | None:
    """Say what the spec adds to a cell: its unit, the upper limit of normal, what a code stands for."""
    said = [source.unit] if isinstance(source.unit, str) and source.unit else []
    if fields.fields()[field].analyte == "ldh" and source.uln and source.uln.constant:
        said.append(f"upper limit of normal {source.uln.constant}")
    said += [f"{word} stands for {meaning}" for word, meaning in source.stands_for.items()]
    return ", ".join(said) or None
