"""Declared corrections of what a centre sent, and the answers that they come from: two YAML files beside the centre's spec.

``corrections.yml`` is applied to the text of every load before it is harmonised. A correction is guarded by what it expects to find: it
stops the centre once the source shows something else. ``answers.yml`` keeps every answered query as it was asked. Files as sent are never edited.

What does not belong here: how queries are found (capla_etl.quality.queries) and the workbooks that centres answer in (capla_etl.quality.workbook).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonise import Harmoniser
from capla_etl.centres.history import distinct_submissions, read_current
from capla_etl.centres.pseudonym import patient_key
from capla_etl.centres.read import EARLIER_ROW, RawTable
from capla_etl.centres.spec import Spec, Table, load_spec, source_columns, withheld_columns, withheld_note

CORRECTIONS = "corrections.yml"
ANSWERS = "answers.yml"

#: What a query can be answered with.
ACCEPTED, CORRECTED = "accepted as is", "corrected"

#: Columns of ``quality.correction``.
CORRECTION = pa.schema(
    [
        ("centre_id", pa.string()),
        ("file", pa.string()),
        ("sheet", pa.string()),
        ("row_number", pa.int64()),
        ("column_name", pa.string()),
        ("raw_value", pa.string()),
        ("corrected_value", pa.string()),
        ("reason", pa.string()),
        ("confirmed_by", pa.string()),
        ("confirmed_on", pa.date32()),
        ("query_id", pa.string()),
    ]
)

_HEADER = "# Synthetic data. Written by `capla queries import`; see docs/QUERIES.md.\n"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Correction(_Strict):
    """One cell that the centre corrected: the row that ``where`` identifies, what it shows, what it should be, why and who says so.

    ``table`` is a table of the spec; ``where``, ``expected`` and ``corrected`` are text as in the file. It applies from ``submission`` on.
    ``rows``: how many rows ``where`` identified when it was declared, only one of which showed ``expected``.
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


@dataclass(frozen=True)
class Answer:
    """What a centre answered to one query. ``row`` is the row of its workbook, for messages."""

    row: int
    query_id: str
    answer: str
    corrected_value: str
    reason: str
    confirmed_by: str
    confirmed_on: date


class AnswersRefused(Exception):
    """Answers cannot be used; each problem names the row of the workbook and what to do."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


def _read(folder: Path, name: str, model: type[BaseModel]) -> list:
    """Entries of one of the two files; none where there is no file.

    Raises:
        CentreRefused: not YAML, or an entry with an unknown, missing or wrong key.
    """
    path = folder / name
    if not path.is_file():
        return []
    label = f"{folder.name}/{name}"
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CentreRefused(folder.name, [f"{label}: not readable as YAML."]) from error
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
    return _read(folder, CORRECTIONS, Correction)


def corrections_in_force(folder: Path, submission: date, as_of: date | None = None) -> list[Correction]:
    """Corrections that apply to a submission; of an earlier state, those confirmed by then."""
    return [c for c in corrections(folder) if c.submission <= submission and (as_of is None or c.confirmed_on <= as_of)]


def answers(folder: Path, as_of: date | None = None) -> list[Answered]:
    """Every query that a centre has answered; of an earlier state, those answered by then."""
    return [a for a in _read(folder, ANSWERS, Answered) if as_of is None or a.answered_on <= as_of]


def write(folder: Path, new_answers: list[Answered], new_corrections: list[Correction]) -> None:
    """Add answers and corrections to a centre's two files; what was answered before to the same queries is replaced."""
    answered = {a.query for a in new_answers}
    for name, model, new in ((ANSWERS, Answered, new_answers), (CORRECTIONS, Correction, new_corrections)):
        before = _read(folder, name, model)
        entries = [*(e for e in before if e.query not in answered), *new]
        if entries != before:
            text = yaml.safe_dump([e.model_dump(mode="json", exclude_defaults=True) for e in entries], sort_keys=False, allow_unicode=True, width=140)
            fresh = (folder / name).with_suffix(".yml.new")
            fresh.write_text(_HEADER + text, encoding="utf-8")
            fresh.replace(folder / name)


def declare(folder: Path, given: list[Answer], asked: dict[str, dict], as_of: date | None = None) -> list[Answered]:
    """Keep a centre's answers, and what it corrected as declared corrections, after a trial of what they do to the centre's load.

    Args:
        folder: the centre's folder.
        given: its answers.
        asked: query_id -> row of ``quality.query``.
        as_of: date up to which submissions count.

    Returns:
        The answers that are new; one that was given before is not written again.

    Raises:
        AnswersRefused: an answer contradicts one that is already in force, or the source no longer shows what the query found, or a correction
            cannot be read; nothing is written then.
    """
    spec = load_spec(folder / "centre.yml")
    raws = read_current(spec, folder, as_of)
    current = date.fromisoformat(distinct_submissions(folder, as_of)[-1].name)
    in_study, _ = apply_corrections(raws, corrections_in_force(folder, current, as_of), spec)
    before = {a.query: a for a in answers(folder)}
    new_answers, new_corrections, problems = [], [], []
    for answer in given:
        query = asked[answer.query_id]
        answered = _answered(answer, query)
        if _same(before.get(answer.query_id), answered):
            continue
        if query["status"] != "open":
            problems.append(f"row {answer.row}: {answer.query_id} is answered otherwise already. To answer it anew, remove it from {ANSWERS} and {CORRECTIONS} first.")
            continue
        try:
            new_corrections += list(_corrections_of(answer, query, spec, raws, in_study, current)) if answer.answer == CORRECTED else []
            new_answers.append(answered)
        except ValueError as error:
            problems.append(f"row {answer.row}: {answer.query_id}: {error}")
    if problems:
        raise AnswersRefused(problems)
    _try(folder, spec, raws, {a.query for a in new_answers}, new_corrections, as_of)
    write(folder, new_answers, new_corrections)
    return new_answers


def _answered(answer: Answer, query: dict) -> Answered:
    return Answered(
        query=answer.query_id,
        status="corrected" if answer.answer == CORRECTED else "accepted",
        category=query["category"],
        kind=query["kind"],
        patient=query["centre_patient_id"] or "",
        file=query["file"],
        sheet=query["sheet"],
        rows=query["row_numbers"],
        occurrences=int(query["occurrences"]),
        column=query["column_name"],
        found=query["found"],
        question=query["question"],
        first_seen=query["first_seen"].date(),
        corrected=answer.corrected_value,
        reason=answer.reason,
        answered_by=answer.confirmed_by,
        answered_on=answer.confirmed_on,
    )


def _same(before: Answered | None, now: Answered) -> bool:
    """Whether the same answer was given before, wherever the row is now."""
    said = ("status", "corrected", "reason", "answered_by", "answered_on")
    return before is not None and all(getattr(before, name) == getattr(now, name) for name in said)


def _try(folder: Path, spec: Spec, raws: list[RawTable], answered: set[str], new: list[Correction], as_of: date | None) -> None:
    """Apply the corrections to the load as it would be made, and refuse those that stop it."""
    if not new:
        return
    current = new[0].submission
    kept = [c for c in corrections_in_force(folder, current, as_of) if c.query not in answered]
    try:
        corrected, _ = apply_corrections(raws, [*kept, *new], spec)
        Harmoniser(spec, corrected, current, patient_key()).run()
    except CentreRefused as refused:
        raise AnswersRefused([f"with these corrections the centre would be refused: {p}" for p in refused.problems]) from refused


def _corrections_of(answer: Answer, query: dict, spec: Spec, raws: list[RawTable], in_study: list[RawTable], current: date) -> Iterator[Correction]:
    """One correction for each row that a query is about; ``ValueError`` where the source does not show what the query found.

    ``in_study`` are the tables with the corrections in force: the row's patient may be one of them.
    """
    rows = [int(n) for n in query["row_numbers"].split(",") if n.strip()]
    if not rows or len(rows) < query["occurrences"]:
        raise ValueError("it is about too many rows, or rows of several submissions, to be corrected one by one. Leave it open and send a corrected submission.")
    column = query["column_name"]
    for raw, read in zip(raws, in_study, strict=True):
        if raw.sheet != query["sheet"] or column not in raw.rows.column_names:
            continue
        places = {place(raw, number): index for index, number in enumerate(raw.rows["source_row"].to_pylist())}
        indices = [places[(query["file"], row)] for row in rows if (query["file"], row) in places]
        if len(indices) != len(rows):
            continue
        patients = [(read.rows[spec.tables[raw.name].key][index].as_py() or "").strip() for index in indices]
        if query["centre_patient_id"] and set(patients) != {query["centre_patient_id"]}:
            raise ValueError("the row is another patient's now. Run `capla study`, export the workbook again and answer it anew.")
        for index in indices:
            cell = raw.rows[column][index].as_py()
            where, identified = _where(spec.tables[raw.name], raw, index, column)
            yield Correction(
                query=answer.query_id,
                submission=current,
                table=raw.name,
                where=where,
                rows=identified,
                column=column,
                expected=cell,
                corrected=_corrected_cell(cell, query, answer.corrected_value),
                reason=answer.reason,
                confirmed_by=answer.confirmed_by,
                confirmed_on=answer.confirmed_on,
            )
        return
    raise ValueError("the file, row or column is not in the current submission. Run `capla study` and export the workbook again.")


def _corrected_cell(cell: str, query: dict, value: str) -> str:
    """The whole cell after the correction: a refused value may be one part of it."""
    found = query["found"]
    if query["category"] != "refused_value" or cell.strip() == found.strip() or found.startswith("(withheld"):
        return value
    if found and cell.count(found) == 1:
        return cell.replace(found, value)
    raise ValueError("the cell does not show what the query found, so the cause is elsewhere or the source has changed. Answer it with another question, or export again.")


def _where(table: Table, raw: RawTable, index: int, column: str) -> tuple[dict[str, str], int]:
    """Fewest columns of a row that tell it from every other row, and how many rows they identify: the patient first, then those that the study
    reads; no free text. More than one row only if the cell to correct tells it from the others.
    """
    withheld = withheld_columns(table)
    read = [c for r in table.records for s in r.fields.values() for c in source_columns(s)]
    kinds = [table.row_kinds.column] if table.row_kinds else []
    where: dict[str, str] = {}
    same = pa.array([True] * raw.rows.num_rows)
    for candidate in dict.fromkeys([table.key, *table.row_key, *kinds, *read]):
        if candidate == column or candidate in withheld or candidate not in raw.rows.column_names:
            continue
        value = raw.rows[candidate][index].as_py()
        narrower = pc.and_(same, pc.equal(raw.rows[candidate], value))
        if not where or pc.sum(narrower).as_py() < pc.sum(same).as_py():
            where[candidate], same = value, narrower
        if pc.sum(same).as_py() == 1:
            return where, 1
    shown = pc.and_(same, pc.equal(raw.rows[column], raw.rows[column][index].as_py()))
    if where and pc.sum(shown).as_py() == 1:
        return where, pc.sum(same).as_py()
    raise ValueError("the file holds the same row several times. Leave it open and send the file again, corrected.")


def content_hash_with(content_hash: str, declared: list[Correction]) -> str:
    """The hash of a submission's content, together with the corrections in force; without any, as it is."""
    if not declared:
        return content_hash
    return hashlib.sha256("\n".join([content_hash, *(c.model_dump_json() for c in declared)]).encode()).hexdigest()


def place(raw: RawTable, source_row: int) -> tuple[str, int]:
    """File and row as the ledger and the quarantine name them: rows of an earlier submission with its folder."""
    back, row = divmod(source_row, EARLIER_ROW)
    return (f"{raw.earlier_submissions[back - 1]}/{raw.file}" if back else raw.file), row


def _found(raw: RawTable | None, correction: Correction) -> tuple[int | None, str]:
    """Index of the one row that a correction means, or what the source shows instead."""
    if raw is None:
        return None, f"the spec has no table {correction.table!r}. Name one of its tables, or remove the correction."
    missing = [c for c in [*correction.where, correction.column] if c not in raw.rows.column_names or c == "source_row"]
    if missing:
        return None, f"{raw.file} has no column {missing[0]!r} (identifying columns cannot be corrected). Remove the correction."
    mask = pa.array([True] * raw.rows.num_rows)
    for column, text in correction.where.items():
        mask = pc.and_(mask, pc.equal(raw.rows[column], text))
    same_row = pc.indices_nonzero(mask).to_pylist()
    values = raw.rows[correction.column].take(pa.array(same_row, pa.int64())).to_pylist()
    where = f"{raw.file}, column {correction.column!r}"
    if not same_row:
        return None, f"{where}: no row is identified by it any more (not found). If the source was fixed or the row withdrawn, remove the correction."
    exact = [index for index, value in zip(same_row, values, strict=True) if value == correction.expected]
    if len(same_row) == correction.rows and len(exact) == 1:
        return exact[0], ""
    if len(same_row) > correction.rows or exact:
        return None, (
            f"{where}: {len(same_row)} rows are identified by it, {len(exact)} with the expected value; expected {correction.rows} and one. "
            "Add columns to `where`, or remove the correction and ask the centre again."
        )
    if correction.corrected in values:
        return None, f"{where}: the source shows the corrected value already. The source was fixed: remove the correction."
    return None, f"{where}: the source shows another value than the expected one. The source was fixed: remove the correction, or ask the centre again."


def apply_corrections(raws: list[RawTable], declared: list[Correction], spec: Spec) -> tuple[list[RawTable], pa.Table]:
    """Put declared corrections into the text of a submission.

    Args:
        raws: tables as sent, forbidden columns left out.
        declared: the corrections in force.
        spec: the centre's spec.

    Returns:
        The tables with the corrected cells, and one row of ``quality.correction`` per correction. Each correction is judged by the tables as sent.

    Raises:
        CentreRefused: a correction does not find exactly one row that shows the value it expects; all such corrections at once.
    """
    by_name = {raw.name: raw for raw in raws}
    cells: dict[tuple[str, str], dict[int, str]] = {}
    applied, problems = [], []
    for correction in declared:
        raw = by_name.get(correction.table)
        index, problem = _found(raw, correction)
        if index is not None and index in cells.get((raw.name, correction.column), {}):
            problem = f"{raw.file}, column {correction.column!r}: another correction changes the same cell. Remove one of them."
        if problem:
            problems.append(f"{spec.centre.id}/{CORRECTIONS}: the correction of query {correction.query} cannot be applied: {problem}")
            continue
        cells.setdefault((raw.name, correction.column), {})[index] = correction.corrected
        file, row = place(raw, raw.rows["source_row"][index].as_py())
        withheld = withheld_columns(spec.tables[raw.name]).get(correction.column)
        note = withheld_note(withheld) if withheld else ""
        applied.append(
            {
                "centre_id": spec.centre.id,
                "file": file,
                "sheet": raw.sheet,
                "row_number": row,
                "column_name": correction.column,
                "raw_value": note or correction.expected,
                "corrected_value": note or correction.corrected,
                "reason": correction.reason,
                "confirmed_by": correction.confirmed_by,
                "confirmed_on": correction.confirmed_on,
                "query_id": correction.query,
            }
        )
    if problems:
        raise CentreRefused(spec.centre.id, problems)
    for (name, column), changed in cells.items():
        by_name[name] = replace(by_name[name], rows=_with_cells(by_name[name].rows, column, changed))
    return [by_name[raw.name] for raw in raws], pa.Table.from_pylist(applied, schema=CORRECTION)


def as_sent(table: pa.Table, applied: pa.Table) -> pa.Table:
    """A table of schema ``raw`` with the cells that corrections changed as the centre sent them (birth dates withheld in both)."""
    if not applied.num_rows:
        return table
    places = {key: index for index, key in enumerate(zip(*(table[c].to_pylist() for c in ("source_file", "source_sheet", "source_row")), strict=True))}
    for row in applied.to_pylist():
        index = places.get((row["file"], row["sheet"], row["row_number"]))
        if index is not None and row["column_name"] in table.column_names:
            table = _with_cells(table, row["column_name"], {index: row["raw_value"]})
    return table


def _with_cells(table: pa.Table, column: str, cells: dict[int, str]) -> pa.Table:
    """A table with some cells of one text column replaced."""
    values = table[column].to_pylist()
    for index, value in cells.items():
        values[index] = value
    return table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))
