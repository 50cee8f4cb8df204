"""A protected version is renewed only when nobody, or at least ten patients, differ from every one that was shown."""

import shutil
from collections import Counter

import duckdb
import pandas as pd
import pytest

from capla_etl import paths, study_tables
from capla_etl.disclosure.profiles import profile
from capla_etl.disclosure.protected_results import protect_results
from capla_etl.releases import shown
from capla_etl.tables.results import cell, frame


@pytest.fixture(autouse=True)
def nothing_shown_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    for name in ("CAPLA_SHOWN", "CAPLA_AS_OF", "CAPLA_RULE_SET"):
        monkeypatch.delenv(name, raising=False)


def results_of(patients: int) -> pd.DataFrame:
    return frame([cell("flow", "eligible", "all", "count", patients, n=patients, method="count")])


def people(number: int, *, other: int = 0) -> Counter[str]:
    """So many patients, of whom some have other values than those of the same number."""
    return Counter([f"other {n}" for n in range(other)] + [f"patient {n}" for n in range(other, number)])


def show(patients: Counter[str]) -> shown.Plan:
    """Publish what may be shown of these patients, and return the plan."""
    results, folder = results_of(patients.total()), shown.staged(paths.outputs()) / "protected"
    plan = shown.plan(results, patients, shown.earlier())
    if plan.near:
        shown.keep(plan, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        protected = protect_results(results, profile("protected"), plan.publications)
        protected.to_parquet(folder / "result.parquet", index=False)
    shown.stage(results, patients, plan, folder)
    shown.record()
    return plan


def printed() -> float | None:
    """The count of eligible patients that the published version shows; None: suppressed."""
    value = pd.read_parquet(shown.staged(paths.outputs()) / "protected" / "result.parquet")["value"].iloc[0]
    return None if pd.isna(value) else value


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        pytest.param(12, 13, 10, id="12 and 13 would print 10 and 15: one patient was added"),
        pytest.param(10, 9, 10, id="10 and 9 would print 10 and nothing: it was ten, and is nine"),
        pytest.param(12, 21, 10, id="nine more cannot be told from one more"),
        pytest.param(12, 22, 20, id="ten more"),
        pytest.param(30, 20, 20, id="ten fewer"),
        pytest.param(30, 30, 30, id="nobody differs"),
    ],
)
def test_a_version_is_renewed_when_nobody_or_ten_patients_differ(before, now, after):
    show(people(before))
    show(people(now))
    assert printed() == after


@pytest.mark.parametrize(("other", "renewed"), [(0, True), (1, False), (9, False), (10, True)])
def test_patients_with_other_values_count_as_those_who_come_or_go(other, renewed):
    show(people(50))
    assert (show(people(50, other=other)).near is None) == renewed
    assert shown.stays() == (not renewed)


def test_each_version_that_was_shown_counts_not_only_the_last():
    """40, then 55, then 41 patients: fourteen fewer than the last, but one more than the first."""
    show(people(40))
    show(people(55))
    assert show(people(41)).near is not None and printed() == 55


def test_a_variant_near_the_study_shows_nothing(monkeypatch):
    show(people(50))
    monkeypatch.setenv("CAPLA_RULE_SET", "another")
    plan = show(people(50, other=3))
    assert plan.near is not None and plan.kept is None
    folder = shown.staged(paths.outputs()) / "protected"
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    assert "Fewer patients differ from a version that was shown before" in (folder / "README.md").read_text()
    assert len(shown.earlier()) == 1


def test_a_variant_is_remembered_for_the_study(monkeypatch):
    monkeypatch.setenv("CAPLA_RULE_SET", "another")
    show(people(50))
    monkeypatch.delenv("CAPLA_RULE_SET")
    assert show(people(50, other=3)).near is not None


def test_the_same_version_is_remembered_once():
    show(people(50))
    show(people(50))
    assert [version.folder.name for version in shown.earlier()] == ["0001"]
    show(people(80))
    assert [version.folder.name for version in shown.earlier()] == ["0001", "0002"]


def test_the_same_patients_are_shown_as_the_first_time():
    """A release that is recomputed beside the same versions gives the same files."""
    show(people(50))
    show(people(80))
    assert [version.folder.name for version in show(people(80)).beside] == ["0001"]
    assert [folder.name for folder in shown.beside_published()] == ["0001"]


def test_a_version_whose_files_are_gone_stops_everything():
    """Nobody could say what it told."""
    show(people(50))
    (paths.shown() / "0001" / "patients.txt").unlink()
    with pytest.raises(OSError, match=r"patients\.txt"):
        show(people(80))


def test_a_version_that_was_not_written_to_its_end_is_none():
    show(people(50))
    shutil.copytree(paths.shown() / "0001", paths.shown() / ".0002.new")
    assert [version.folder.name for version in shown.earlier()] == ["0001"]


@pytest.fixture
def one_table(monkeypatch):
    table = study_tables.StudyTable("any", "One row per patient.", len, {"patient": "patient", "other": "study.any"})
    monkeypatch.setattr(shown, "study_tables", lambda: [table])
    with duckdb.connect() as connection:
        connection.execute("create table patient (patient_id text, submission date, age int)")
        connection.execute("insert into patient values ('a', '2024-01-01', 40), ('b', '2024-01-01', 50)")
        yield connection


def test_a_patient_with_another_value_differs(one_table):
    before = shown.patients_of(one_table)
    one_table.execute("update patient set age = 41 where patient_id = 'a'")
    assert shown.differing(before, shown.patients_of(one_table)) == 1


def test_a_resubmission_of_the_same_values_changes_nobody(one_table):
    before = shown.patients_of(one_table)
    one_table.execute("update patient set submission = '2024-02-01', patient_id = patient_id || '2'")
    assert shown.differing(before, shown.patients_of(one_table)) == 0


def test_two_patients_alike_count_as_two(one_table):
    one_table.execute("insert into patient values ('c', '2024-01-01', 40)")
    before = shown.patients_of(one_table)
    assert before.total() == 3
    one_table.execute("delete from patient where patient_id = 'c'")
    assert shown.differing(before, shown.patients_of(one_table)) == 1
