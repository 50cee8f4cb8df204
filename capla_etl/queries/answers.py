"""A centre's answers to questions: accepted values kept, corrected cells declared."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import (
    ANSWERS,
    CORRECTIONS,
    Answered,
    Correction,
    answers,
    apply_corrections,
    corrections_in_force,
    place,
    read_declared,
)
from capla_etl.centres.harmonising.harmonise import Harmoniser
from capla_etl.centres.harmonising.pseudonym import patient_key
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Spec, Table, source_columns, withheld_columns
from capla_etl.centres.submissions.history import distinct_submissions, read_current

#: What a query can be answered with.
ACCEPTED, CORRECTED = "accepted as is", "corrected"


_HEADER = "# Written by `capla queries import`; see docs/QUERIES.md.\n"


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
    """Answers that cannot be used. Each problem names the row of the workbook and what to do."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


def write(folder: Path, new_answers: list[Answered], new_corrections: list[Correction]) -> None:
    """Add answers and corrections to a centre's two files, in place of earlier ones to the same queries."""
    answered = {a.query for a in new_answers}
    for name, model, new in ((ANSWERS, Answered, new_answers), (CORRECTIONS, Correction, new_corrections)):
        before = read_declared(folder, name, model)
        entries = [*(e for e in before if e.query not in answered), *new]
        if entries != before:
            plain = [e.model_dump(mode="json", exclude_defaults=True) for e in entries]
            text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
            fresh = (folder / name).with_suffix(".yml.new")
            fresh.write_text(_HEADER + text, encoding="utf-8")
            fresh.replace(folder / name)


def declare(folder: Path, given: list[Answer], asked: dict[str, dict], as_of: date | None = None) -> list[Answered]:
    """Write down a centre's answers, and its corrections as declared ones, after a trial load of the centre with them.

    Args:
        folder: the centre's folder.
        given: its answers.
        asked: query_id -> row of ``quality.query``.
        as_of: date up to which submissions count.

    Returns:
        The answers that are new; one that was given before is not written again.

    Raises:
        AnswersRefused: an answer contradicts one in force, the source no longer shows what the query found, or a
            correction cannot be read; then nothing is written.
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
            problems.append(
                f"row {answer.row}: {answer.query_id} already has another answer. To change it, first remove it from "
                f"{ANSWERS} and {CORRECTIONS}."
            )
            continue
        try:
            if answer.answer == CORRECTED:
                new_corrections += _corrections_of(answer, query, spec, raws, in_study, current)
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
    """Whether the same answer was given before; the row may have moved."""
    said = ("status", "corrected", "reason", "answered_by", "answered_on")
    return before is not None and all(getattr(before, name) == getattr(now, name) for name in said)


def _try(
    folder: Path, spec: Spec, raws: list[RawTable], answered: set[str], new: list[Correction], as_of: date | None
) -> None:
    """Refuse corrections with which the centre would not load."""
    if not new:
        return
    current = new[0].submission
    kept = [c for c in corrections_in_force(folder, current, as_of) if c.query not in answered]
    try:
        corrected, _ = apply_corrections(raws, [*kept, *new], spec)
        Harmoniser(spec, corrected, current, patient_key()).run()
    except CentreRefused as refused:
        said = [f"with these corrections the centre would be refused: {p}" for p in refused.problems]
        raise AnswersRefused(said) from refused


def _corrections_of(
    answer: Answer, query: dict, spec: Spec, raws: list[RawTable], in_study: list[RawTable], current: date
) -> Iterator[Correction]:
    """One correction for each row that a query is about. ``in_study``: the tables with the corrections in force.

    Raises:
        ValueError: the source does not show what the query found.
    """
    rows = [int(n) for n in query["row_numbers"].split(",") if n.strip()]
    if not rows or len(rows) < query["occurrences"]:
        raise ValueError(
            "it is about too many rows, or rows of several submissions, to be corrected one by one. Leave it open and "
            "send a corrected submission."
        )
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
            raise ValueError(
                "the row is another patient's now. Run `capla study`, export the workbook and answer it again."
            )
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
    raise ValueError(
        "the file, row or column is not in the current submission. Run `capla study` and export the workbook again."
    )


def _corrected_cell(cell: str, query: dict, value: str) -> str:
    """The whole cell after the correction: a refused value may be one part of it."""
    found = query["found"]
    if query["category"] != "refused_value" or cell.strip() == found.strip() or found.startswith("(withheld"):
        return value
    if found and cell.count(found) == 1:
        return cell.replace(found, value)
    raise ValueError(
        "the cell does not show what the query found: the cause is elsewhere, or the source has changed. Answer "
        "another question, or export the workbook again."
    )


def _where(table: Table, raw: RawTable, index: int, column: str) -> tuple[dict[str, str], int]:
    """The columns that tell a row from all others, as few as possible, and the number of rows that they identify.

    The patient comes first, then columns that the study reads; no free text. They identify more than one row only if
    the cell to correct tells it from the others.

    Raises:
        ValueError: the row is duplicated.
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
