"""Columns of known truth are read right or objected to; and the verdict that says so catches planted wrong readings."""

from datetime import date
from types import SimpleNamespace

import pyarrow as pa
import pytest

from capla_etl.centres.errors import CentreRefused

from . import verdict
from .__main__ import examples, run
from .centres import CentreOf, FileOf
from .truth import UNREADABLE, Column, File, Patient
from .verdict import FAILED, OBJECTED, PART, READ, REFUSED, SILENT, UNSEEN

SMALL_RUN = 150


@pytest.fixture(scope="module")
def small_run() -> list[verdict.Verdict]:
    """The verdicts of a few centres, the same in every run."""
    return run(SMALL_RUN, seed=11)


def test_no_column_is_read_wrongly_in_silence(small_run):
    for answer in (SILENT, FAILED):
        wrong = examples(small_run, answer, at_most=20)
        assert not wrong, f"{answer}:\n{wrong}"


def test_no_column_is_refused_although_it_is_right(small_run):
    refused = examples(small_run, REFUSED, at_most=20)
    assert not refused, f"{REFUSED}:\n{refused}"


def test_the_small_run_has_every_class(small_run):
    assert {v.column.mode for v in small_run} == {"right", "fault", "wrong"}
    assert {v.column.kind for v in small_run} == {"number", "date", "code", "key"}
    assert len({v.file.file.kind for v in small_run}) == 8


# -------------------------------------------------------------------- the verdict itself

PATIENTS = [Patient(f"P{n}", date(1980, 1, n), date(2020, 1, n)) for n in (1, 2, 3)]
FILE, PLACE = "t1.csv", {"source_record": "t1.1", "source_sheet": ""}


def a_column(mode: str = "right", truth=(10.0, None, 30.0), **more) -> Column:
    source = {"column": "V00001", "unit": "10^9/L"}
    cells = ["10", None, "30"]
    return Column(
        "number", "lab_result", "platelets_10e9_per_l", "value", "V00001", cells, list(truth), source, "", mode, **more
    )


def rows(*values: float | None, key: int | None = None, signs=(None, None, None)) -> list[dict]:
    """Harmonised rows as the product gives them: none for a missing value."""
    return [
        {
            **PLACE,
            "source_file": FILE,
            "source_row": n + 2,
            "centre_patient_id": PATIENTS[key if key is not None else n].key,
            "value": value,
            "comparator": signs[n],
        }
        for n, value in enumerate(values)
        if value is not None
    ]


def objection(row: int, column: str = "V00001") -> dict:
    said = {"rule": "not_a_number", "message": "Not a valid number."}
    return {"file": FILE, "sheet": "", "row_number": row, "column_name": column, **said}


def answer_for(monkeypatch, column: Column, result: list[dict] | Exception, quarantine: tuple = ()) -> str:
    """The verdict of one column where the product gives these rows, or raises."""
    keys = [patient.key for patient in PATIENTS]
    plain = {"DAY": ["2020-02-01"] * 3, "COUNT": ["100"] * 3}
    options = {"encoding": "utf-8", "delimiter": ";", "line_end": "\n", "gzip": False}
    born = {"BORN": ["1980-01-01"] * 3, "TPE": ["2020-01-01"] * 3}
    files = [
        FileOf("patients", File("csv"), PATIENTS, keys, born, [], options),
        FileOf("t1", File("csv"), PATIENTS, keys, plain, [column], options),
    ]

    def judged(_: str):
        if isinstance(result, Exception):
            raise result
        schema = pa.schema([(name, pa.int64() if "row" in name else pa.string()) for name in objection(0)])
        tables = {
            "harmonised.lab_result": pa.Table.from_pylist(result),
            "quality.quarantine": pa.Table.from_pylist(list(quarantine), schema=schema),
        }
        return SimpleNamespace(tables=tables)

    monkeypatch.setattr(verdict, "judged", judged)
    (found,) = verdict.verdicts(CentreOf(PATIENTS, files), "a test")
    return found.answer


def test_values_equal_to_the_truth_are_read_right(monkeypatch):
    assert answer_for(monkeypatch, a_column(), rows(10.0, None, 30.0)) == READ
    assert answer_for(monkeypatch, a_column(), rows(10.0 + 5e-9, None, 30.0)) == READ


@pytest.mark.parametrize(
    "read",
    [
        rows(100.0, None, 30.0),
        rows(10.0 + 1e-7, None, 30.0),
        rows(10.0, 20.0, 30.0),
        rows(None, None, 30.0),
        rows(30.0, None, 10.0),
        rows(10.0, None, 30.0, key=0),
        [*rows(10.0, None, 30.0), *rows(10.0, None, 30.0)],
    ],
    ids=["factor", "digits", "missing filled", "value lost", "rows exchanged", "other patient", "rows doubled"],
)
def test_a_planted_wrong_reading_is_found(monkeypatch, read):
    assert answer_for(monkeypatch, a_column(), read) == SILENT


def test_a_lost_comparator_is_found(monkeypatch):
    column = a_column(comparators=["<=", None, None])
    assert answer_for(monkeypatch, column, rows(10.0, None, 30.0, signs=("<=", None, None))) == READ
    assert answer_for(monkeypatch, column, rows(10.0, None, 30.0)) == SILENT


def test_an_objection_to_another_cell_column_or_file_excuses_nothing(monkeypatch):
    read = rows(100.0, None, 30.0)
    elsewhere = {**objection(2), "file": "t2.csv"}
    for other in (objection(4), objection(2, "V00002"), elsewhere):
        assert answer_for(monkeypatch, a_column(), read, (other,)) == SILENT


def test_a_wrong_value_that_is_kept_is_wrong_even_with_an_objection(monkeypatch):
    assert answer_for(monkeypatch, a_column(), rows(100.0, None, 30.0), (objection(2),)) == SILENT


def test_a_right_cell_that_is_refused_is_refused_although_right(monkeypatch):
    assert answer_for(monkeypatch, a_column(), rows(None, None, 30.0), (objection(2),)) == REFUSED


def test_a_cell_that_cannot_be_read_must_be_objected_to(monkeypatch):
    column = a_column("fault", truth=(UNREADABLE, None, 30.0))
    assert answer_for(monkeypatch, column, rows(None, None, 30.0), (objection(2),)) == OBJECTED
    assert answer_for(monkeypatch, column, rows(None, None, 30.0)) == SILENT
    assert answer_for(monkeypatch, column, rows(10.0, None, 30.0)) == SILENT


def test_under_a_wrong_spec_silence_is_told_from_part_and_from_what_cannot_be_seen(monkeypatch):
    read, one_refused = rows(100.0, None, 300.0), rows(None, None, 300.0)
    assert answer_for(monkeypatch, a_column("wrong"), read) == SILENT
    assert answer_for(monkeypatch, a_column("wrong", seen=False), read) == UNSEEN
    assert answer_for(monkeypatch, a_column("wrong"), one_refused, (objection(2),)) == PART
    both = (objection(2), objection(4))
    assert answer_for(monkeypatch, a_column("wrong"), [], both) == OBJECTED


@pytest.mark.parametrize("problem", ["XX01/2020/t1.csv, column 'V00001': found 'x'.", "XX01/2020/t1.csv: cut short."])
def test_a_refusal_answers_for_the_column_or_file_that_it_names(monkeypatch, problem):
    stopped = CentreRefused("XX01", [problem])
    assert answer_for(monkeypatch, a_column(), stopped) == REFUSED
    assert answer_for(monkeypatch, a_column("wrong"), stopped) == OBJECTED


def test_a_failure_is_no_objection(monkeypatch):
    assert answer_for(monkeypatch, a_column("wrong"), IndexError("V00001")) == FAILED
