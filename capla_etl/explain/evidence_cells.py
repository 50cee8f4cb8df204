"""From the rows of files that evidence names to the cells: which column was read, and the text that stands there as sent.

The spec of the centre says which columns a record is read from; where a row holds several records (repeated columns, runs from-to, several
courses) the one whose date and value match is taken. Nothing is read from files: schema ``raw`` has them as sent, without forbidden columns.
"""

from __future__ import annotations

import duckdb
import pandas as pd

from capla_etl import fields as study
from capla_etl.centres.harmonising.values import RecordSql
from capla_etl.centres.spec.grammar import Record, Spec, Table, source_columns
from capla_etl.sql import identifier, quote, texts

#: Study fields that are looked at, by harmonised table: enough to find the record, and what a person wants to see of it.
LOOKED_AT = {
    "lab_result": ["result_date", "platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent"],
    "tpe_session": ["session_date"],
    "drug_course": ["drug", "start_date", "end_date"],
    "adverse_event": ["kind", "event_date", "site"],
    "patient": ["adamts13_percent", "died", "death_date", "last_contact_date", "discharge_date"],
}
#: The fields of the patient's own row that a kind of fact was read from.
OF_PATIENT = {"adamts13": ["adamts13_percent"], "death": ["died", "death_date"]}
COLUMNS = {
    "patient_id": "string",
    "kind": "string",
    "source_table": "string",
    "source_number": "Int64",
    "cell_number": "Int64",
    "field": "string",
    "raw_table": "string",
    "source_file": "string",
    "source_sheet": "string",
    "source_row": "Int64",
    "source_column": "string",
    "raw_text": "string",
    "declared": "string",
}
_BLANKS = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"


def evidence_cells(connection: duckdb.DuckDBPyConnection, specs: dict[str, Spec]) -> pd.DataFrame:
    """The cells behind ``outcomes.outcome_evidence``.

    Args:
        connection: a warehouse with schemas raw, harmonised, marts and outcomes; only temporary tables are made in it.
        specs: centre_id -> its spec.

    Returns:
        One row per record that evidence names (patient_id, kind, source_table, source_number) and cell of it: ``field`` (the study field,
        'centre_patient_id' for the cell that names the patient, 'kind_of_row' for the one that says what the row is), ``raw_table`` (of
        schema raw), source_file, source_sheet, source_row, ``source_column``, ``raw_text`` as sent, and ``declared``: what the spec adds (a
        unit, an upper limit of normal). Blank cells have no row.
    """
    connection.execute(f"create or replace temp macro clean(t) as nullif(trim(t, {_BLANKS}), '')")
    kinds = " ".join(f"when {quote(kind)} then [{', '.join(map(quote, names))}]" for kind, names in OF_PATIENT.items())
    connection.execute(f"create or replace temp macro of_patient(kind) as case kind {kinds} else [] end")
    connection.execute(_WANTED)
    connection.execute(
        """create or replace temp table lineage_read (
            raw_table varchar, record integer, place bigint, k integer, patient_id varchar, target varchar, analyte varchar,
            first_date date, last_date date, value double, comparator varchar, drug varchar, end_date date)"""
    )
    connection.execute(
        "create or replace temp table lineage_column (raw_table varchar, record integer, position integer, field varchar, source_column varchar, declared varchar)"
    )
    connection.execute(
        "create or replace temp table lineage_text (raw_table varchar, place bigint, source_file varchar, source_sheet varchar, source_row bigint, source_column varchar, raw_text varchar)"
    )
    present = {
        name
        for (name,) in connection.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall()
    }
    for centre_id, spec in specs.items():
        for name, table in spec.tables.items():
            if (raw_table := f"{centre_id.lower()}__{name}") in present:
                _read_table(connection, spec, name, table, raw_table)
    cells = connection.execute(_CELLS).df()
    for temporary in ("lineage_wanted", "lineage_read", "lineage_column", "lineage_text"):
        connection.execute(f"drop table {temporary}")
    return cells.astype(COLUMNS)


#: Records that evidence names, with what the harmonised record says.
_WANTED = """
create or replace temp table lineage_wanted as
with named as (
    select distinct e.patient_id, e.kind, e.source_table, e.source_number, e.source_file, e.source_sheet, e.source_row,
           case when e.kind in ('platelets', 'ldh', 'adamts13', 'tpe', 'last_seen') then e.day end as day,
           case when e.kind in ('platelets', 'ldh', 'adamts13') then e.value end as value,
           case when e.kind in ('platelets', 'ldh', 'adamts13') then e.comparator end as comparator
    from outcomes.outcome_evidence e
    where e.source_table is not null
)
select named.*, patient.centre_id, course.drug, course.end_date,
       coalesce(course.start_date, cast(patient.day0_date + named.day as date)) as date_of_record
from named
join marts.patient patient using (patient_id)
left join marts.drug_course course
    on named.source_table = 'drug_course' and course.patient_id = named.patient_id and course.course_number = named.source_number
"""

#: Of the records of a row, the one that fits best; then its columns, then their texts.
_CELLS = """
with fitting as (
    select w.patient_id, w.kind, w.source_table, w.source_number, w.source_file, w.source_sheet, w.source_row, r.raw_table, r.place, r.record, r.k,
           case when w.kind = 'last_seen' and w.source_table = 'patient'
               then case when w.date_of_record = r.first_date then ['last_contact_date'] else ['discharge_date'] end
               else of_patient(w.kind) end as of_patient,
           row_number() over (
               partition by w.patient_id, w.kind, w.source_table, w.source_number
               order by
                   case when w.source_table = 'patient' or coalesce(w.date_of_record between r.first_date and r.last_date, w.date_of_record is null and r.first_date is null)
                       then 0 else 1 end,
                   case when r.end_date is not distinct from w.end_date then 0 else 1 end,
                   case when abs(r.value - w.value) <= 1e-9 * abs(w.value) and r.comparator is not distinct from w.comparator then 0 else 1 end,
                   r.raw_table, r.record, r.k
           ) as choice
    from lineage_wanted w
    join (select distinct raw_table, place, source_file, source_sheet, source_row from lineage_text) t
        on t.source_file = w.source_file and t.source_sheet = w.source_sheet and t.source_row = w.source_row
       and starts_with(t.raw_table, lower(w.centre_id) || '__')
    join lineage_read r
        on r.raw_table = t.raw_table and r.place = t.place and r.patient_id = w.patient_id and r.target = w.source_table
       and (r.analyte is null or r.analyte = w.kind or w.kind = 'last_seen')
       and (r.drug is null or w.drug is null or r.drug = w.drug)
)
select f.patient_id, f.kind, f.source_table, f.source_number,
       row_number() over (partition by f.patient_id, f.kind, f.source_table, f.source_number order by c.position) as cell_number,
       c.field, f.raw_table, f.source_file, f.source_sheet, f.source_row, x.source_column, x.raw_text, c.declared
from fitting f
join lineage_column c on c.raw_table = f.raw_table and c.record = f.record
join lineage_text x
    on x.raw_table = f.raw_table and x.place = f.place and x.source_column = replace(c.source_column, '{k}', cast(f.k as varchar))
where f.choice = 1 and (f.source_table <> 'patient' or c.field in ('centre_patient_id', 'kind_of_row') or list_contains(f.of_patient, c.field))
order by f.patient_id, f.kind, f.source_table, f.source_number, cell_number
"""


def _read_table(connection: duckdb.DuckDBPyConnection, spec: Spec, name: str, table: Table, raw_table: str) -> None:
    """Every record that the wanted rows of one raw table hold, and the texts of those rows."""
    relation = f"raw.{identifier(raw_table)}"
    header = [
        c
        for (c,) in connection.execute(
            "select column_name from duckdb_columns() where schema_name = 'raw' and table_name = ? order by column_index",
            [raw_table],
        ).fetchall()
    ]
    texts_of_row = [c for c in header if c not in ("source_file", "source_sheet", "source_row", "row_status")]
    wanted = f"""(source_file, source_sheet, source_row) in
        (select (source_file, source_sheet, source_row) from lineage_wanted where centre_id = {quote(spec.centre.id)})"""
    # A table can hold rows of several submissions, so that a row number alone does not name a row: here the place in the table does.
    connection.execute(
        f"""create or replace temp table data_{name} as
        select * replace (row_number() over (order by source_file, source_sheet, source_row) as source_row), source_row as row_in_file,
               row_status as capla_status, {_kind_of_row(table)} as capla_kind
        from {relation} where {wanted}"""
    )
    connection.execute(
        f"""insert into lineage_text select {quote(raw_table)}, source_row, source_file, source_sheet, row_in_file, source_column, raw_text
        from (unpivot (from data_{name}) on {", ".join(identifier(c) for c in texts_of_row)} into name source_column value raw_text)
        where trim(raw_text, {_BLANKS}) <> ''"""
    )
    for number, record in enumerate(table.records):
        looked_at = {
            field: source for field, source in record.fields.items() if field in LOOKED_AT.get(record.table, ())
        }
        if looked_at:
            _read_record(
                connection,
                spec,
                name,
                table,
                record.model_copy(update={"fields": looked_at}),
                number,
                raw_table,
                texts_of_row,
            )
    connection.execute(f"drop table data_{name}")


def _kind_of_row(table: Table) -> str:
    """SQL of what kind of row a row is, as the spec's ``row_kinds`` say."""
    if not table.row_kinds:
        return "cast(null as varchar)"
    word = f"coalesce(clean({identifier(table.row_kinds.column)}), '')"
    branches = " ".join(
        f"when {word} in {texts(words)} then {quote(kind)}" for kind, words in table.row_kinds.kinds.items()
    )
    return f"case {branches} else {quote(table.row_kinds.otherwise) if table.row_kinds.otherwise else 'null'} end"


def _read_record(
    connection: duckdb.DuckDBPyConnection,
    spec: Spec,
    name: str,
    table: Table,
    record: Record,
    number: int,
    raw_table: str,
    header: list[str],
) -> None:
    """What one record of the spec reads from the wanted rows, and the columns that it is read from."""
    built = RecordSql(spec, name, table, record, header)
    values = {p.name: f"cast({p.value} as {p.sql_type})" for p in built.parse_all()}
    dates = ("result_date", "session_date", "start_date", "event_date", "last_contact_date")
    first = next((values[field] for field in dates if field in values), "cast(null as date)")
    # A run from-to is one record a day.
    last = values.get("run_end", first)
    columns = {
        "first_date": first,
        "last_date": last,
        "value": values.get("value") or values.get("adamts13_percent") or "null",
        "comparator": values.get("comparator") or values.get("adamts13_comparator") or "null",
        "drug": values.get("drug", "null"),
        "end_date": values.get("end_date", "null"),
    }
    patient = f"select * from harmonised.patient where centre_id = {quote(spec.centre.id)}"
    connection.execute(
        f"""insert into lineage_read
        select {quote(raw_table)}, {number}, b.source_row, b.k, p.patient_id, {quote(record.table)}, {quote(built.analyte) if built.analyte else "null"}, {", ".join(columns.values())}
        from ({built.base()}) b join ({patient}) p on p.centre_patient_id = b.{built.aliases[table.key]} where {built.present()}"""
    )
    read = [("centre_patient_id", table.key, None)]
    if table.row_kinds:
        read.append(("kind_of_row", table.row_kinds.column, None))
    for field, source in record.fields.items():
        declared = study.fields()[field]
        said = [source.unit] if isinstance(source.unit, str) and source.unit else []
        if declared.analyte == "ldh" and source.uln and source.uln.constant:
            said.append(f"upper limit of normal {source.uln.constant}")
        said += [f"{word} stands for {meaning}" for word, meaning in source.stands_for.items()]
        read += [
            (field, column, (", ".join(said) or None) if column == source.column else None)
            for column in source_columns(source)
        ]
    rows = [(raw_table, number, position, *cell) for position, cell in enumerate(read)]
    connection.executemany("insert into lineage_column values (?, ?, ?, ?, ?, ?)", rows)
