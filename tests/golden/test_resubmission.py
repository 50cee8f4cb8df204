"""FR01 sends again: what the difference report names, what is kept of a withdrawn patient, how a state is rebuilt.

The second submission (2023-09-15) withdraws FR-0004, adds FR-0999, corrects one count of FR-0003 from 162 to 131, and
repairs faults.
"""

import csv
import json
import shutil
from datetime import date

import duckdb
import pytest

from capla_etl import paths
from capla_etl.defs.differences import since_the_release
from capla_etl.defs.resources import Study, Warehouse
from capla_etl.paths import ROOT
from capla_etl.releases import freeze
from capla_etl.releases.fingerprints import table_digests


@pytest.fixture(scope="module")
def resubmitted(run_study, tmp_path_factory):
    """A run of the study on the ten submissions and a second one of FR01; it rebuilds the state before that one."""
    folder = tmp_path_factory.mktemp("resubmitted")
    shutil.copytree(ROOT / "data_raw", folder / "data_raw")
    shutil.copytree(ROOT / "tests/golden/resubmissions/FR01/2023-09-15", folder / "data_raw/FR01/2023-09-15")
    run = run_study(folder / "data_raw", folder / "warehouse", folder / "dagster_home")
    assert run.status == 0, run.output
    return run


@pytest.fixture
def con(resubmitted):
    with duckdb.connect(str(resubmitted.warehouse / "capla.duckdb"), read_only=True) as connection:
        yield connection


def _table(resubmitted, name: str) -> list[dict]:
    with open(resubmitted.warehouse / "differences" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_difference_report_names_exactly_the_patients_added_withdrawn_and_corrected(resubmitted):
    assert [
        (p["centre_id"], p["centre_patient_id"], p["change"], p["what"]) for p in _table(resubmitted, "patients")
    ] == [
        ("FR01", "FR-0003", "corrected", "results"),
        ("FR01", "FR-0004", "withdrawn", ""),
        ("FR01", "FR-0999", "added", ""),
    ]
    changed = [row for row in _table(resubmitted, "sent") if row["change"] == "changed" and row["study_field"]]
    assert [(row["row_key"], row["column_name"], row["value_before"], row["value_after"]) for row in changed] == [
        ("FR-0003 · 01/11/2019 · Plaquettes", "Résultat", "162", "131")
    ]
    page = (resubmitted.warehouse / "differences/differences.html").read_text(encoding="utf-8")
    assert all(patient in page for patient in ("FR-0003", "FR-0004", "FR-0999")) and "Synthetic data" in page


def test_the_report_lists_every_number_of_tables_1_and_2_that_moved(study_run, resubmitted):
    (since,) = json.loads((resubmitted.warehouse / "differences/summary.json").read_text(encoding="utf-8"))
    assert since["counts"][:4] == [
        ["submissions", 1],
        ["patients added", 1],
        ["patients withdrawn", 1],
        ["patients corrected", 1],
    ]
    assert (
        len(since["numbers"])
        == _moved_in_tables_1_and_2(study_run.warehouse / "capla.duckdb", resubmitted.warehouse / "capla.duckdb")
        > 0
    )
    assert f"Numbers of Tables 1 and 2 that moved: {len(since['numbers'])}" in (
        resubmitted.warehouse / "report.html"
    ).read_text(encoding="utf-8")


def _moved_in_tables_1_and_2(before, after) -> int:
    """Count the printed numbers of the two tables that differ between the warehouses, without the product's code."""
    rows = []
    for database in (before, after):
        with duckdb.connect(str(database), read_only=True) as connection:
            query = """select table_id, row, "group", statistic, value, n, n_assessed, lower, upper, p_value
                from study.result where table_id in ('table1', 'table2')"""
            rows.append({r[:4]: r[4:] for r in connection.execute(query).fetchall()})
    return sum(rows[0].get(key) != rows[1].get(key) for key in {*rows[0], *rows[1]})


def test_the_corrected_count_moves_the_response_by_a_day(resubmitted):
    moved = {
        o["outcome"]: (o["before"], o["after"])
        for o in _table(resubmitted, "outcomes")
        if o["centre_patient_id"] == "FR-0003"
    }
    # Counts from 01/11/2019, day 5: 162 became 131, so that the first count of 150 or more is that of day 6.
    assert moved == {
        "response_day": ("5", "6"),
        "days_from_caplacizumab_to_response": ("4", "5"),
        "tpe_days_to_response": ("6", "7"),
        "tpe_sessions_to_response": ("6", "7"),
    }


def test_every_study_number_that_moved_is_named_and_no_other(resubmitted, study_run):
    identity = ("table_id", "row", "group", "statistic")
    columns = ", ".join(f'"{c}"' for c in (*identity, "value", "n", "n_assessed", "lower", "upper", "p_value"))
    states = []
    for run in (study_run, resubmitted):
        with duckdb.connect(str(run.warehouse / "capla.duckdb"), read_only=True) as connection:
            states.append(
                {row[:4]: row[4:] for row in connection.execute(f"select {columns} from study.result").fetchall()}
            )
    before, after = states
    moved = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {tuple(row[c] for c in identity) for row in _table(resubmitted, "numbers")} == moved
    assert ("table2", "died_by_day_90", "caplacizumab", "percent") in moved


def test_only_the_fact_of_withdrawal_is_kept_of_a_withdrawn_patient(con):
    withdrawn = con.execute(
        "select centre_id, submission, centre_patient_id, rows_removed from quality.withdrawn_patient"
    ).fetchall()
    assert withdrawn == [("FR01", date(2023, 9, 15), "FR-0004", 87)]
    columns = con.execute(
        "select table_schema, table_name, column_name from information_schema.columns "
        "where data_type = 'VARCHAR' and table_name <> 'withdrawn_patient'"
    ).fetchall()
    for schema, table, column in columns:
        found = con.execute(
            f'select count(*) from {schema}."{table}" where contains("{column}", \'FR-0004\')'
        ).fetchone()
        assert found == (0,), f"{schema}.{table}.{column}"


def test_the_outputs_hold_no_outcome_of_a_withdrawn_patient(resubmitted):
    assert "FR-0004" not in {o["centre_patient_id"] for o in _table(resubmitted, "outcomes")}


def test_the_history_names_the_current_submission_and_the_files_of_each(con):
    states = con.execute(
        "select distinct submission, status from quality.submission_history where centre_id = 'FR01' order by 1"
    ).fetchall()
    assert states == [(date(2023, 6, 30), "superseded"), (date(2023, 9, 15), "current")]
    assert con.execute("select count(*) from quality.submission_history where length(sha256) <> 64").fetchone() == (0,)


def test_the_state_before_is_rebuilt_to_the_byte(resubmitted, study_run):
    rebuilt = resubmitted.warehouse / "build/as_of/2023-09-14/capla.duckdb"
    with (
        duckdb.connect(str(rebuilt), read_only=True) as again,
        duckdb.connect(str(study_run.warehouse / "capla.duckdb"), read_only=True) as before,
    ):
        assert table_digests(again) == table_digests(before)
    for name in ("result.csv", "table2.csv", "survival.svg", "queries/FR01.xlsx", "protected/table2.csv"):
        assert (study_run.warehouse / "outputs" / name).read_bytes() == (
            rebuilt.parent / "outputs" / name
        ).read_bytes(), name


@pytest.fixture(scope="module")
def frozen(study_run, tmp_path_factory):
    """A folder with copies of the data and of the published study, and a release of it; made once. Read only."""
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copytree(study_run.warehouse, folder / "warehouse", ignore=shutil.ignore_patterns("build"))
    shutil.copytree(study_run.warehouse / "build" / "centres", folder / "warehouse" / "build" / "centres")
    shutil.copyfile(study_run.warehouse / "build" / "accepted.txt", folder / "warehouse" / "build" / "accepted.txt")
    shutil.copytree(ROOT / "data_raw", folder / "data_raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPLA_DATA_RAW", str(folder / "data_raw"))
        patch.setenv("CAPLA_WAREHOUSE", str(folder / "warehouse"))
        freeze.freeze("first", freeze.check_free("first"))
    return folder


@pytest.fixture
def release(frozen, resubmitted, tmp_path, monkeypatch):
    """A copy of that release, to be changed. To verify it, the state that the other run rebuilt is taken."""
    shutil.copytree(frozen, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setattr(freeze, "rebuild", lambda *_: resubmitted.warehouse / "build/as_of/2023-09-14/capla.duckdb")
    return freeze.release_folder("first")


def test_a_release_verifies_as_identical_and_is_never_overwritten(release):
    assert freeze.verify("first").differs == []
    with pytest.raises(freeze.ReleaseRefused, match="exists .* and is never changed"):
        freeze.freeze("first", freeze.check_free("first"))


def test_verifying_says_what_differs(release, tmp_path):
    patients = tmp_path / "data_raw/FR01/2023-06-30/patients.csv"
    patients.write_bytes(patients.read_bytes().replace(b"FR-0001;", b"FR-9001;"))
    (release / "report.html").chmod(0o644)
    (release / "report.html").write_text("changed", encoding="utf-8")
    assert freeze.verify("first").differs == [
        "frozen file differs: report.html",
        "input of FR01 differs: 2023-06-30/patients.csv",
    ]


def test_a_changed_cell_of_the_frozen_warehouse_is_found(release):
    (release / "capla.duckdb").chmod(0o644)
    with duckdb.connect(str(release / "capla.duckdb")) as connection:
        connection.execute(
            "update harmonised.lab_result set value = value + 1 "
            "where patient_id = (select min(patient_id) from harmonised.lab_result)"
        )
    differs = freeze.verify("first").differs
    assert (
        "frozen file differs: capla.duckdb" in differs
        and "table of the frozen warehouse differs: harmonised.lab_result" in differs
    )


def test_a_damaged_release_is_reported_as_damaged(release):
    (release / "capla.duckdb").chmod(0o644)
    (release / "capla.duckdb").write_bytes(b"no database")
    assert freeze.verify("first").differs == [
        "the release itself is damaged: IOException on reading its manifest or warehouse"
    ]


def test_a_later_submission_does_not_change_what_a_release_is_made_from(release, tmp_path):
    shutil.copytree(ROOT / "tests/golden/resubmissions/FR01/2023-09-15", tmp_path / "data_raw/FR01/2023-09-15")
    assert freeze.verify("first").differs == []


def test_what_moved_since_the_newest_release_is_listed(release, resubmitted, tmp_path):
    shutil.copy(resubmitted.warehouse / "capla.duckdb", paths.build_database())
    since = since_the_release(Warehouse(study=Study()), tmp_path / "differences")
    assert since["sentence"].startswith("Since the release first")
    assert len(since["numbers"]) == _moved_in_tables_1_and_2(release / "capla.duckdb", paths.build_database()) > 0
    with (tmp_path / "differences/since_release/patients.csv").open(encoding="utf-8", newline="") as file:
        assert [(p["centre_patient_id"], p["change"]) for p in csv.DictReader(file)] == [
            ("FR-0003", "corrected"),
            ("FR-0004", "withdrawn"),
            ("FR-0999", "added"),
        ]


def test_an_unknown_release_is_answered_with_the_names_of_those_that_exist(release):
    with pytest.raises(freeze.ReleaseRefused, match=r"no release 'second'; releases: first"):
        freeze.verify("second")
