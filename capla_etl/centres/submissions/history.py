"""Submissions over time: which is current, what each contained, what changed from one to the next, which patients left.

Content identifies a submission, not name or time: one with the same files as the one before is not a new submission.
For a withdrawn patient we keep only the fact of withdrawal.

What does not belong here: what moved in outcomes and study numbers because of it (capla_etl.releases.compare).
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from capla_etl import fields
from capla_etl.centres.files import sha256, shown
from capla_etl.centres.reading.cell_text import cleaned, filled_down, patient_number, use_cell_forms
from capla_etl.centres.reading.read import (
    EARLIER_ROW,
    RawTable,
    called,
    current_submission,
    read_submission,
    submissions,
)
from capla_etl.centres.spec.grammar import Spec, Table, naming_records, source_columns, withheld_columns
from capla_etl.sql import identifier, quote, texts

#: Columns of the tables that a load keeps about its submissions.
_CHANGED = "file sheet change centre_patient_id row_key column_name value_before value_after study_field"
CHANGE = fields.arrow_schema(f"centre_id submission:date previous_submission:date {_CHANGED}")
WITHDRAWN = fields.arrow_schema("centre_id submission:date centre_patient_id rows_removed:count")
HISTORY = fields.arrow_schema("centre_id submission:date status file sha256 bytes:count first_seen_submission:date")


def file_hashes(submission: Path) -> dict[str, str]:
    """File name -> SHA-256 of its content."""
    return {shown(p.name): sha256(p).hexdigest() for p in sorted(submission.iterdir()) if p.is_file()}


def distinct_submissions(centre_folder: Path, as_of: date | None = None) -> list[Path]:
    """Submissions up to a date, oldest first, without those with the same files as the one before.

    A file may be sent again under another name (exports name the day). Two files that have exchanged their names are
    other files.
    """
    kept: list[Path] = []
    last: dict[str, str] = {}
    for submission in submissions(centre_folder, as_of):
        files = file_hashes(submission)
        renamed = files.keys() != last.keys() and sorted(files.values()) == sorted(last.values())
        if files != last and not renamed:
            kept.append(submission)
        last = files
    return kept


def history(centre_folder: Path, spec: Spec, as_of: date | None = None) -> pa.Table:
    """One row per file received: its content, and the first submission with that content.

    A file that the spec does not declare has its place instead of its name, which may be a patient's.
    """
    distinct = [p.name for p in distinct_submissions(centre_folder, as_of)]
    first_seen: dict[str, date] = {}
    rows = []
    for submission in submissions(centre_folder, as_of):
        day = date.fromisoformat(submission.name)
        status = "current" if submission.name == distinct[-1] else "superseded"
        status = status if submission.name in distinct else "same content"
        files = sorted(p for p in submission.iterdir() if p.is_file())
        for path in files:
            sha = sha256(path).hexdigest()
            rows.append(
                {
                    "centre_id": centre_folder.name,
                    "submission": day,
                    "status": status,
                    "file": called(spec, path),
                    "sha256": sha,
                    "bytes": path.stat().st_size,
                    "first_seen_submission": first_seen.setdefault(sha, day),
                }
            )
    return pa.Table.from_pylist(rows, schema=HISTORY)


def read_current(spec: Spec, centre_folder: Path, as_of: date | None = None) -> list[RawTable]:
    """Read the current submission; tables declared ``incremental`` also hold earlier rows that were not sent again.

    Raises:
        CentreRefused: a submission cannot be read as the spec says.
    """
    distinct = distinct_submissions(centre_folder, as_of)
    if not distinct:
        current_submission(centre_folder, as_of)
    raws = read_submission(spec, distinct[-1])
    incremental = [raw for raw in raws if spec.tables[raw.name].incremental]
    if not incremental:
        return raws
    for back, submission in enumerate(reversed(distinct[:-1]), start=1):
        earlier = {raw.name: raw for raw in read_submission(spec, submission)}
        for raw in incremental:
            _add_earlier_rows(raw, earlier[raw.name], spec.tables[raw.name], back)
            raw.earlier_submissions.append(submission.name)
    patients = _patients(spec, raws)
    for raw in incremental:
        _leave_out_others(raw, spec.tables[raw.name], patients)
    return raws


def _leave_out_others(raw: RawTable, table: Table, patients: set[str]) -> None:
    """Leave out the earlier rows of patients who are no longer in the study."""
    con = _connection()
    con.register("arrived", raw.rows)
    theirs = f"{patient_number(table, identifier(raw.named(table.key)))} in {texts(patients)}" if patients else "false"
    query = f"from arrived where source_row < {EARLIER_ROW} or {theirs} order by source_row"
    raw.rows = con.execute(query).to_arrow_table()


def _connection() -> duckdb.DuckDBPyConnection:
    """A connection that compares cells and patient numbers in the form in which they are read."""
    con = duckdb.connect(config={"threads": 1})
    use_cell_forms(con)
    return con


def _row_key_cells(raw: RawTable, table: Table) -> Iterator[str]:
    """SQL of the cells that say which earlier row a row replaces, in the form in which they are read."""
    for column in table.row_key:
        cell = identifier(raw.named(column))
        yield f"coalesce({patient_number(table, cell) if column == table.key else cleaned(table, cell)}, '')"


def _add_earlier_rows(raw: RawTable, earlier: RawTable, table: Table, back: int) -> None:
    """Add the rows of an earlier submission whose key was not sent again, numbered apart from later rows."""
    con = _connection()
    if back == 1:
        raw.rows = filled_down(con, table, raw.rows, raw.named)
    con.register("later", raw.rows)
    con.register("earlier", filled_down(con, table, earlier.rows, earlier.named))
    names = {c: raw.named(c) for c in raw.header}
    kept = [c for c, name in names.items() if name in raw.rows.column_names]
    later, before = (", ".join(identifier(r.named(c)) for c in kept) for r in (raw, earlier))
    key, key_before = (", ".join(_row_key_cells(r, table)) for r in (raw, earlier))
    raw.rows = con.execute(
        f"""select {later}, source_row from later
        union all
        select {before}, source_row + {back * EARLIER_ROW} from earlier
        where ({key_before}) not in (select ({key}) from later)
        order by source_row"""
    ).to_arrow_table()


def _study_columns(table: Table, header: list[str]) -> dict[str, str]:
    """Column -> its study fields; none for columns whose values are not shown (ignored ones, dates of birth)."""
    read_into: dict[str, list[str]] = {c: [] for c in header}
    for record in table.records:
        for name, source in record.fields.items():
            for column in source_columns(source):
                if column in read_into and name not in read_into[column]:
                    read_into[column].append(name)
    return {c: "" if c in withheld_columns(table) else ", ".join(names) for c, names in read_into.items()}


def _row_key(table: Table) -> list[str]:
    """Columns that identify a row: as declared, else the patient for one row a patient, else the whole row."""
    if table.row_key:
        return table.row_key
    return [table.key] if any(r.table == "patient" for r in table.records) and not table.row_kinds else []


def compare(
    spec: Spec, before: list[RawTable], after: list[RawTable], days: tuple[date, date]
) -> tuple[pa.Table, pa.Table]:
    """Compare two submissions as sent: what changed, and which patients left.

    Args:
        spec: the centre's spec.
        before, after: the two submissions, forbidden columns left out.
        days: dates of the two submissions.

    Returns:
        The changes, one row per row added or removed and per column changed; and one row per patient who left. Rows of
        patients who left are not listed as changes; values of removed rows, and of columns without a study field, are
        not kept.
    """
    con = duckdb.connect(config={"threads": 1})
    con.execute("create macro clean(t) as coalesce(trim(t), '')")
    raws = {"before": {r.name: r for r in before}, "after": {r.name: r for r in after}}
    patients = {side: _patients(spec, list(tables.values())) for side, tables in raws.items()}
    left = sorted(patients["before"] - patients["after"])
    con.execute(f"create table changes ({', '.join(f'{column} varchar' for column in _CHANGED.split())})")
    removed_of = dict.fromkeys(left, 0)
    for name, table in spec.tables.items():
        if name in raws["before"] and name in raws["after"]:
            _compare_table(con, table, raws["before"][name], raws["after"][name], removed_of)
    changes = con.execute(
        f"""select {quote(spec.centre.id)} as centre_id, date '{days[1]}' as submission,
            date '{days[0]}' as previous_submission, *
        from changes where centre_patient_id not in {texts(left) if left else "('')"} order by all"""
    ).to_arrow_table()
    of = {"centre_id": spec.centre.id, "submission": days[1]}
    gone = [{**of, "centre_patient_id": p, "rows_removed": n} for p, n in removed_of.items()]
    return changes.cast(CHANGE), pa.Table.from_pylist(gone, schema=WITHDRAWN)


def _patients(spec: Spec, raws: list[RawTable]) -> set[str]:
    """The patients of a submission: keys of the rows that name one."""
    found: set[str] = set()
    con = _connection()
    for raw in raws:
        table = spec.tables[raw.name]
        kinds = [table.records[number - 1].rows for name, number in naming_records(spec) if name == raw.name]
        if not kinds:
            continue
        con.register("arrived", raw.rows)
        where = ""
        if table.row_kinds and table.row_kinds.otherwise not in kinds:
            words = [w for kind, words in table.row_kinds.kinds.items() if kind in kinds for w in words]
            where = f"where coalesce(clean({identifier(raw.named(table.row_kinds.column))}), '') in {texts(words)}"
        query = f"select distinct {patient_number(table, identifier(raw.named(table.key)))} from arrived {where}"
        found |= {p for (p,) in con.execute(query).fetchall() if p}
        con.unregister("arrived")
    return found


def _compare_table(
    con: duckdb.DuckDBPyConnection, table: Table, before: RawTable, after: RawTable, removed_of: dict[str, int]
) -> None:
    """Match the rows of one file by their key (and order among equal keys), and compare them column by column."""
    columns = [c for c in after.header if after.named(c) in after.rows.column_names and c in before.header]
    name_of = {c: identifier(after.named(c)) for c in columns}
    shown = _study_columns(table, columns)
    declared = _row_key(table)
    key = declared or [table.key, *(c for c in columns if shown[c] and c != table.key)]
    for side, raw in (("before", before), ("after", after)):
        con.register("arrived", raw.rows)
        cells = ", ".join(f"clean({identifier(raw.named(c))}) as {name}" for c, name in name_of.items())
        keyed = ", ".join(name_of[c] for c in key)
        label = " || ' · ' || ".join(name_of[c] for c in key)
        said = label if declared else f"{name_of[table.key]} || ' · a row of ' || {quote(raw.file)}"
        con.execute(
            f"""create or replace temp table side_{side} as
            select *, {label} as capla_key, {said} as capla_label,
                row_number() over (partition by {keyed} order by {", ".join(name_of.values())}) as capla_copy
            from (select {cells} from arrived)"""
        )
        con.unregister("arrived")
    patient = name_of[table.key]
    place = f"{quote(after.file)}, {quote(after.sheet)}"
    for side, other, change in (("after", "before", "added"), ("before", "after", "removed")):
        rows = f"side_{side} anti join side_{other} using (capla_key, capla_copy)"
        con.execute(
            f"insert into changes select {place}, '{change}', {patient}, capla_label, '', null, null, '' from {rows}"
        )
        if change == "removed":
            for gone, count in con.execute(f"select {patient}, count(*) from {rows} group by 1").fetchall():
                if gone in removed_of:
                    removed_of[gone] += count
    for column in (c for c in columns if c not in key):
        name = name_of[column]
        values = f"b.{name}, a.{name}" if shown[column] else "null, null"
        con.execute(
            f"""insert into changes
            select {place}, 'changed', a.{patient}, a.capla_label, {quote(column)}, {values}, {quote(shown[column])}
            from side_after a join side_before b using (capla_key, capla_copy) where a.{name} <> b.{name}"""
        )
