"""Declared corrections of what a centre sent, and the answers that they come from: two YAML files next to the spec.

``corrections.yml`` is applied to the text of every load before it is harmonised. A correction states what it expects to
find, and stops the centre once the source shows something else. ``answers.yml`` keeps every answered query as it was
asked. Files as sent are never edited.

What does not belong here: finding queries (capla_etl.queries.questions) and workbooks for answers
(capla_etl.queries.workbook).
"""

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading.read import EARLIER_ROW, RawTable
from capla_etl.centres.spec.grammar import Spec, withheld_columns, withheld_note
from capla_etl.centres.spec.yaml_text import NotYaml, read_yaml

CORRECTIONS, ANSWERS = "corrections.yml", "answers.yml"
#: Columns of ``quality.correction``.
CORRECTION = fields.arrow_schema(
    "centre_id file sheet row_number:count column_name raw_value corrected_value reason confirmed_by confirmed_on:date "
    "query_id"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Correction(_Strict):
    """One cell that the centre corrected: its row (``where``), what it shows and should be, why, and who confirms it.

    ``table`` is a table of the spec; ``where``, ``expected`` and ``corrected`` are text as in the file. It applies from
    ``submission`` on. ``rows``: how many rows ``where`` identified when it was declared; one of them showed
    ``expected``.
    """

    query: str
    submission: date
    table: str
    where: dict[str, str] = Field(min_length=1)
    rows: int = Field(default=1, ge=1)
    column: str
    expected: str
    corrected: str
    reason: str = Field(min_length=1)
    confirmed_by: str = Field(min_length=1)
    confirmed_on: date


class Answered(_Strict):
    """One query as it was asked, and the centre's answer."""

    query: str
    status: Literal["accepted", "corrected"]
    category: str
    kind: str
    patient: str = ""
    file: str = ""
    sheet: str = ""
    rows: str = ""
    occurrences: int = 1
    column: str = ""
    found: str = ""
    question: str
    first_seen: date
    corrected: str = ""
    reason: str = ""
    answered_by: str = Field(min_length=1)
    answered_on: date


def read_declared(folder: Path, name: str, model: type[BaseModel]) -> list:
    """Read the entries of one of the two files; none without a file.

    Raises:
        CentreRefused: not YAML, or an entry with an unknown, missing or wrong key.
    """
    path = folder / name
    if not path.is_file():
        return []
    label = f"{folder.name}/{name}"
    try:
        entries = read_yaml(path) or []
    except NotYaml as error:
        raise CentreRefused(folder.name, [f"{label}{error}"]) from error
    if not isinstance(entries, list):
        raise CentreRefused(folder.name, [f"{label}: expected a list of entries, each beginning with `- query:`."])
    found, problems = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            found.append(model.model_validate(entry))
        except ValidationError as error:
            keys = ", ".join(f"{'.'.join(map(str, e['loc'])) or 'the entry'} ({e['msg']})" for e in error.errors())
            problems.append(f"{label}, entry {number}: {keys}; see docs/QUERIES.md.")
    if problems:
        raise CentreRefused(folder.name, problems)
    return found


def corrections(folder: Path) -> list[Correction]:
    """Every correction that a centre has declared."""
    return read_declared(folder, CORRECTIONS, Correction)


def corrections_in_force(folder: Path, submission: date, as_of: date | None = None) -> list[Correction]:
    """Corrections that apply to a submission; for an earlier state, those confirmed by then."""
    return [c for c in corrections(folder) if c.submission <= submission and (as_of is None or c.confirmed_on <= as_of)]


def answers(folder: Path, as_of: date | None = None) -> list[Answered]:
    """Every query that a centre has answered; for an earlier state, those answered by then."""
    return [a for a in read_declared(folder, ANSWERS, Answered) if as_of is None or a.answered_on <= as_of]


def content_hash_with(content_hash: str, declared: list[Correction]) -> str:
    """The hash of a submission's content and the corrections in force; unchanged without any."""
    if not declared:
        return content_hash
    return hashlib.sha256("\n".join([content_hash, *(c.model_dump_json() for c in declared)]).encode()).hexdigest()


def place(raw: RawTable, source_row: int) -> tuple[str, int]:
    """File and row as the ledger and the quarantine name them; an earlier submission's file with its folder."""
    back, row = divmod(source_row, EARLIER_ROW)
    return (f"{raw.earlier_submissions[back - 1]}/{raw.file}" if back else raw.file), row


def _found(raw: RawTable | None, correction: Correction) -> int:
    """Index of the one row that a correction means.

    Raises:
        LookupError: the source shows something else; with what it shows and what to do.
    """
    if raw is None:
        raise LookupError(
            f"the spec has no table {correction.table!r}. Name one of its tables, or remove the correction."
        )
    missing = [c for c in [*correction.where, correction.column] if raw.named(c) not in raw.rows.column_names]
    if missing:
        advice = "(identifying columns cannot be corrected). Remove the correction."
        raise LookupError(f"{raw.file} has no column {missing[0]!r} {advice}")
    mask = pa.array([True] * raw.rows.num_rows)
    for column, text in correction.where.items():
        mask = pc.and_(mask, pc.equal(raw.rows[raw.named(column)], text))
    same_row = pc.indices_nonzero(mask).to_pylist()
    values = raw.rows[raw.named(correction.column)].take(pa.array(same_row, pa.int64())).to_pylist()
    where = f"{raw.file}, column {correction.column!r}"
    if not same_row:
        advice = "If the source was fixed or the row withdrawn, remove the correction."
        raise LookupError(f"{where}: no row matches `where` (not found). {advice}")
    exact = [index for index, value in zip(same_row, values, strict=True) if value == correction.expected]
    if len(same_row) == correction.rows and len(exact) == 1:
        return exact[0]
    if len(same_row) > correction.rows or exact:
        raise LookupError(
            f"{where}: {len(same_row)} rows match `where`, {len(exact)} of them with the expected value; expected "
            f"{correction.rows} and 1. Add columns to `where`, or remove the correction and ask the centre again."
        )
    if correction.corrected in values:
        raise LookupError(f"{where}: the source already shows the corrected value. Remove the correction.")
    raise LookupError(
        f"{where}: the source shows neither the expected nor the corrected value. Remove the correction, or ask the "
        "centre again."
    )


def apply_corrections(raws: list[RawTable], declared: list[Correction], spec: Spec) -> tuple[list[RawTable], pa.Table]:
    """Put declared corrections into the text of a submission.

    Args:
        raws: tables as sent, forbidden columns left out.
        declared: the corrections in force.
        spec: the centre's spec.

    Returns:
        The tables with the corrected cells, and one row of ``quality.correction`` per correction. Each correction is
        judged by the tables as sent.

    Raises:
        CentreRefused: a correction does not match exactly one row with the expected value; all such corrections at
            once.
    """
    by_name = {raw.name: raw for raw in raws}
    cells: dict[tuple[str, str], dict[int, str]] = {}
    applied, problems = [], []
    for correction in declared:
        raw = by_name.get(correction.table)
        try:
            index = _found(raw, correction)
            if index in cells.get((raw.name, correction.column), {}):
                where = f"{raw.file}, column {correction.column!r}"
                raise LookupError(f"{where}: another correction changes the same cell. Remove one of them.")
        except LookupError as error:
            where = f"{spec.centre.id}/{CORRECTIONS}"
            problems.append(f"{where}: the correction of query {correction.query} cannot be applied: {error}")
            continue
        cells.setdefault((raw.name, correction.column), {})[index] = correction.corrected
        file, row = place(raw, raw.rows["source_row"][index].as_py())
        withheld = withheld_columns(spec.tables[raw.name]).get(correction.column)
        note = withheld_note(withheld) if withheld else ""
        applied.append(
            {
                **correction.model_dump(include={"reason", "confirmed_by", "confirmed_on"}),
                "centre_id": spec.centre.id,
                "file": file,
                "sheet": raw.sheet,
                "row_number": row,
                "column_name": correction.column,
                "raw_value": note or correction.expected,
                "corrected_value": note or correction.corrected,
                "query_id": correction.query,
            }
        )
    if problems:
        raise CentreRefused(spec.centre.id, problems)
    for (name, column), changed in cells.items():
        by_name[name] = replace(
            by_name[name], rows=_with_cells(by_name[name].rows, by_name[name].named(column), changed)
        )
    return [by_name[raw.name] for raw in raws], pa.Table.from_pylist(applied, schema=CORRECTION)


def as_sent(table: pa.Table, applied: pa.Table) -> pa.Table:
    """Return a table of schema ``raw`` with corrected cells as the centre sent them (birth dates withheld in both)."""
    if not applied.num_rows:
        return table
    columns = (table[c].to_pylist() for c in fields.PLACE_COLUMNS)
    places = {key: index for index, key in enumerate(zip(*columns, strict=True))}
    for row in applied.to_pylist():
        index = places.get((row["file"], row["sheet"], row["row_number"]))
        if index is not None and row["column_name"] in table.column_names:
            table = _with_cells(table, row["column_name"], {index: row["raw_value"]})
    return table


def _with_cells(table: pa.Table, column: str, cells: dict[int, str]) -> pa.Table:
    """Replace some cells of one text column of a table."""
    values = table[column].to_pylist()
    for index, value in cells.items():
        values[index] = value
    return table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
