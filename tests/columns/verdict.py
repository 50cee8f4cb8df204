"""Judge centres of known truth by the product's public way in, and compare every cell with its truth.

What does not belong here: how a value is read. Only what came out, what was refused, and what the messages name.
"""

import hashlib
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.judge import judged

from .centres import CODE, CentreOf, FileOf, record_numbers, write_centre
from .truth import UNREADABLE, Column

#: The answers of a verdict: what became of a column.
READ, OBJECTED, PART, REFUSED, SILENT, FAILED, UNSEEN = (
    "read right",
    "objected to",
    "objected to in part",
    "refused although right",
    "read wrongly in silence",
    "failed without an objection",
    "cannot be seen from the column",
)
_FAILURE = "an unexpected failure"
_KEY = hashlib.sha256(b"columns").hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What became of a column, with one example for the person who mends it."""

    column: Column
    file: FileOf
    seed: str
    answer: str
    example: str = ""


@contextmanager
def data_raw() -> Iterator[Path]:
    """A folder that the product takes for its data folder."""
    folder = Path(tempfile.mkdtemp(prefix="columns"))
    places = {"CAPLA_DATA_RAW": str(folder / "data_raw"), "CAPLA_WAREHOUSE": str(folder / "warehouse")}
    with mock.patch.dict(os.environ, {**places, "CAPLA_PATIENT_KEY": _KEY, "CAPLA_AS_OF": ""}):
        yield folder / "data_raw"
    shutil.rmtree(folder, ignore_errors=True)


def verdicts(centre: CentreOf, seed: str) -> list[Verdict]:
    """The verdict of every column of a centre.

    A refusal that names columns answers for these, and the centre is judged again without them. One that names a file
    alone, or nothing, is put to halves of the columns until one is left.
    """
    with data_raw() as folder:
        return list(_verdicts(centre, seed, folder))


def _verdicts(centre: CentreOf, seed: str, folder: Path) -> Iterator[Verdict]:
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        write_centre(centre, folder)
        try:
            tables = {name: table.to_pylist() for name, table in judged(CODE).tables.items() if "." in name}
        except CentreRefused as refused:
            problems = refused.problems
        except Exception as error:  # a failure of the product is no objection that a person could act on
            problems = [f"{_FAILURE}: {type(error).__name__}: {error}"]
        else:
            yield from _compared(centre, tables, seed)
            return
        found = [(column, problem) for problem in problems for column in _named(centre, problem)]
        named = {id(column): problem for column, problem in found if not problem.startswith(_FAILURE)}
        if not named:
            yield from _in_parts(centre, seed, folder, problems)
            return
        for of in centre.files:
            yield from (_refused(column, of, seed, named[id(column)]) for column in of.columns if id(column) in named)
        centre = _without(centre, set(named))
        if not any(of.columns for of in centre.files):
            return


def _named(centre: CentreOf, problem: str) -> list[Column]:
    """The columns that a problem names, by themselves or by their place in the spec."""
    plain = unicodedata.normalize("NFC", problem)
    found = []
    for of in centre.files:
        for column in of.columns:
            names = [column.name, *column.beside] if column.kind != "key" else []
            record = f"tables.{of.table}.records[{record_numbers(of)[column.name] - 1}].fields"
            place = f"{record}.{column.field}" if of.of_patients else record
            if any(name in plain for name in names) or f"{place}." in f"{plain.replace(':', '.')}.":
                found.append(column)
    return found


def _without(centre: CentreOf, dropped: set[int]) -> CentreOf:
    files = [replace(of, columns=[c for c in of.columns if id(c) not in dropped]) for of in centre.files]
    return CentreOf(centre.patients, [of for of in files if of.columns or of.table == "patients"])


def _in_parts(centre: CentreOf, seed: str, folder: Path, problems: list[str]) -> Iterator[Verdict]:
    """Find the columns that a refusal is about, which names a file or nothing: keys first, then halves of the rest."""
    columns = [(of, column) for of in centre.files for column in of.columns]
    every = {id(column) for _, column in columns}
    named = [of for of in centre.files if any(of.name in p or f"tables.{of.table}." in p for p in problems)]
    suspects = [(of, column) for of, column in columns if of in named] or columns
    if rest := every - {id(column) for _, column in suspects}:
        yield from _verdicts(_without(centre, every - rest), seed, folder)
    if len(suspects) == 1:
        yield _refused(*reversed(suspects[0]), seed, problems[0])
        return
    for of, key in [(of, column) for of, column in suspects if column.kind == "key"]:
        for verdict in _verdicts(_without(centre, every - {id(key)}), seed, folder):
            yield verdict
            if verdict.answer != READ:  # the keys are answered for; the others have keys as in the patient table
                of.key, of.fill_down = [patient.key for patient in of.patients], False
    others = [column for _, column in suspects if column.kind != "key"]
    middle = (len(others) + 1) // 2
    for half in filter(None, (others[:middle], others[middle:])):
        yield from _verdicts(_without(centre, every - {id(column) for column in half}), seed, folder)


def _refused(column: Column, of: FileOf, seed: str, problem: str) -> Verdict:
    """The centre was refused over this column: right, unless spec and file are."""
    answer = FAILED if problem.startswith(_FAILURE) else REFUSED if column.mode == "right" else OBJECTED
    return Verdict(column, of, seed, answer, problem)


def _compared(centre: CentreOf, tables: dict[str, list[dict]], seed: str) -> Iterator[Verdict]:
    """Every column against the harmonised tables and the quarantine."""
    objections: dict[tuple, str] = {}
    for row in tables["quality.quarantine"]:
        name = unicodedata.normalize("NFC", row["column_name"] or "")
        objections[row["file"], row["row_number"], name] = f"{row['rule']}: {row['message']}"
    read: dict[tuple, list[dict]] = {}
    for name, rows in tables.items():
        if name.startswith("harmonised.") and rows and "source_record" in rows[0]:
            for row in rows:
                of_patient = name == "harmonised.patient"
                place = ("", row["centre_patient_id"]) if of_patient else (row["source_record"], row["source_row"])
                read.setdefault(place, []).append(row)
    for of in centre.files:
        numbers = record_numbers(of)
        for column in of.columns:
            yield _verdict(column, of, numbers[column.name], read, objections, seed)


def _verdict(column: Column, of: FileOf, number: int, read: dict, objections: dict, seed: str) -> Verdict:
    silent, refused, objected, example = 0, 0, 0, ""
    for row, truth in enumerate(column.truth):
        place = of.row_number(row, column)
        patient = of.patients[row].key
        records = read.get(("", patient) if of.of_patients else (f"{of.table}.{number}", place), [])
        names = ["", "ID", "RESULT" if of.one_row_a_test else column.name, *column.beside]
        said = next((objections[of.name, place, name] for name in names if (of.name, place, name) in objections), None)
        sign = column.comparators[row] if column.comparators else None
        found = records[0].get(column.compared) if records else None
        found_sign = records[0].get("comparator") if records else None
        equal = len(records) <= 1 and truth is not UNREADABLE and _equal(found, truth) and found_sign == sign
        if records and records[0]["centre_patient_id"] != patient:
            equal, said = False, None
        objected += said is not None
        if truth is UNREADABLE and said and found in (None, "unknown"):
            continue
        if not equal and (said is None or found not in (None, "unknown")):
            silent += 1
            example = f"cell {column.cells[row]!r} in row {place}: read as {found!r} {found_sign or ''}, truth " + (
                "unreadable" if truth is UNREADABLE else f"{truth!r} {sign or ''}"
            )
        elif said is not None and truth is not UNREADABLE:
            refused += 1
            example = example or f"cell {column.cells[row]!r} in row {place}: {said}"
    return Verdict(column, of, seed, _answer(column, silent, refused, objected), example)


def _equal(found, truth) -> bool:
    """To 1e-9 of the truth."""
    if isinstance(truth, float) and isinstance(found, int | float):
        return abs(found - truth) <= 1e-9 * abs(truth)
    return found == truth


def _answer(column: Column, silent: int, refused: int, objected: int) -> str:
    if column.mode == "wrong":
        if not silent:
            return OBJECTED if objected else READ
        if objected:
            return PART
        return SILENT if column.seen else UNSEEN
    if silent:
        return SILENT
    if refused:
        return REFUSED
    return OBJECTED if objected and column.mode != "right" else READ
