"""The whole study by the command that users run: what it publishes, and what it keeps when it refuses a centre."""

import re
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from capla_etl import cli
from capla_etl.paths import ROOT
from capla_etl.releases import freeze
from capla_etl.releases.fingerprints import table_digests


def test_everything_is_published(study_run):
    published = {path.name for path in study_run.warehouse.iterdir() if not path.name.startswith(".")}
    assert {"capla.duckdb", "outputs", "data_docs", "report.html", "build"} <= published
    assert not (study_run.warehouse / "capla.duckdb.wal").exists()
    outputs = {path.name for path in (study_run.warehouse / "outputs").iterdir()}
    assert {
        "result.csv",
        "result.parquet",
        *(f"table{number}.csv" for number in range(1, 9)),
        "survival.svg",
        "survival.png",
        "response_incidence.svg",
        "adamts13_incidence.svg",
        "forest.svg",
        "balance.svg",
        "tables.docx",
        "tables.xlsx",
        "tables.tex",
    } <= outputs
    assert {path.stem for path in (study_run.warehouse / "outputs" / "html").iterdir()} >= {
        f"table{number}" for number in range(1, 9)
    }


def test_whatever_the_umask_all_that_was_written_is_its_owners_alone(study_run):
    """The run had the umask 0: folders are 0700, files 0600."""
    found = [p for root in (study_run.warehouse, study_run.dagster_home) for p in (root, *root.rglob("*"))]
    assert len(found) > 300
    is_open = {
        str(path): oct(mode) for path in found if (mode := path.lstat().st_mode) & 0o077 and not path.is_symlink()
    }
    assert not is_open


def test_every_centre_has_a_page_that_names_no_other_centre_and_no_patient(study_run, built_warehouse):
    pages = sorted((study_run.warehouse / "outputs" / "centres").glob("*.html"))
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        centres = [
            c for (c,) in connection.execute("select centre_id from harmonised.submission order by 1").fetchall()
        ]
        patients = [p for (p,) in connection.execute("select patient_id from marts.patient").fetchall()]
    assert [page.stem for page in pages] == centres
    for page in pages:
        assert page.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        text = page.read_text(encoding="utf-8")
        shown = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
        assert [c for c in centres if c != page.stem and c in shown] == []
        assert [p for p in patients if p in shown] == []
        assert "Synthetic data" in shown and "default-src 'none'" in shown
    report = (study_run.warehouse / "report.html").read_text(encoding="utf-8")
    assert '<section id="monitoring"' in report and 'href="outputs/centres/' in report


def test_the_printed_numbers_do_not_contradict_each_other(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        assert connection.execute("select count(*), sum(failed) from study.audit where compared > 0").fetchone() == (
            16,
            0,
        )
        assert connection.execute(
            "select sum(failed) from quality.check_result where source = 'self-audit'"
        ).fetchone() == (0,)


@pytest.mark.parametrize(
    ("name", "test"), [("protocol", "Fisher's exact test"), ("r", "Pearson's chi-squared test, Yates correction")]
)
def test_tables_can_be_made_by_the_defaults_of_another_package(study_run, tmp_path, monkeypatch, name, test):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(study_run.warehouse))
    assert cli.main(["tables", str(tmp_path), "--conventions", name]) == 0
    results = pd.read_csv(tmp_path / "result.csv")
    own = results[
        (results["table_id"] == "table2") & (results["row"] == "refractory") & (results["statistic"] == "p_value")
    ]
    assert own["method"].tolist() == [f"p: {test}"]
    published = pd.read_csv(study_run.warehouse / "outputs" / "result.csv")
    assert (results["value"].equals(published["value"])) == (name == "protocol")


def test_it_says_where_things_are_and_how_long_they_took(study_run):
    for place in ("capla.duckdb", "outputs", "report.html", "data_docs/index.html"):
        assert str(study_run.warehouse / place) in study_run.output
    assert "Wall time" in study_run.output
    assert "synthetic" in study_run.output


def test_all_ten_centres_are_in(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        assert connection.execute("select count(distinct centre_id) from marts.patient").fetchone() == (10,)
        assert connection.execute(
            "select count(*) from quality.ledger "
            "where rows_received <> rows_loaded + rows_duplicate + rows_quarantined + rows_ignored"
        ).fetchone() == (0,)


def test_the_report_needs_no_network_and_says_synthetic(study_run):
    pages = [study_run.warehouse / "report.html", *(study_run.warehouse / "data_docs").glob("*.html")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "synthetic" in text.lower(), page.name
        assert 'src="http' not in text and 'rel="stylesheet" href="http' not in text, page.name


@pytest.fixture(scope="module")
def refused_run(run_study, study_run, tmp_path_factory):
    """A second run, in copies: FR01's patients lack a column; the spec of XX01, never loaded yet, cannot be read."""
    folder = tmp_path_factory.mktemp("refused")
    shutil.copytree(ROOT / "data_raw", folder / "data_raw")
    shutil.copytree(study_run.warehouse, folder / "warehouse")
    patients = folder / "data_raw" / "FR01" / "2023-06-30" / "patients.csv"
    patients.write_bytes(patients.read_bytes().replace(b"Date de naissance", b"Naissance", 1))
    (folder / "data_raw" / "XX01" / "2023-06-30").mkdir(parents=True)
    (folder / "data_raw" / "XX01" / "centre.yml").write_text("centre: {id: XX01", encoding="utf-8")
    return run_study(folder / "data_raw", folder / "warehouse", folder / "dagster_home")


def _tables(warehouse: Path) -> dict[str, str]:
    with duckdb.connect(str(warehouse / "capla.duckdb"), read_only=True) as connection:
        digests = table_digests(connection, ("harmonised", "marts", "outcomes", "study"))
    return {table: digest for table, digest in digests.items() if table != "study.version"}


def test_a_refused_centre_stays_at_its_last_good_submission_and_the_others_go_on(refused_run, study_run):
    assert _tables(refused_run.warehouse) == _tables(study_run.warehouse)
    assert not list((refused_run.warehouse / "build" / "centres").glob("XX01"))


def test_a_refused_centre_is_explained_without_a_trace(refused_run):
    assert refused_run.status == 1
    assert "PUBLISHED WITHOUT THE NEWEST SUBMISSION of 2 centre(s)" in refused_run.output
    for word in ("FR01", "patients.csv", "Date de naissance", "XX01/centre.yml"):
        assert word in refused_run.output
    assert "Traceback" not in refused_run.output


def test_a_refused_centre_is_shown_where_people_look(refused_run):
    """The warehouse and the centre's check in Dagster both say that its newest submission is not in the study."""
    with duckdb.connect(str(refused_run.warehouse / "capla.duckdb"), read_only=True) as connection:
        behind = connection.execute(
            "select centre_id, status, submission::varchar, problem like '%Date de naissance%' "
            "from quality.centre_status where status <> 'current'"
        ).fetchall()
    assert behind == [("FR01", "refused", "2023-06-30", True), ("XX01", "not_loaded", None, False)]
    with dg.DagsterInstance.from_config(str(refused_run.dagster_home)) as instance:
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [dg.AssetCheckKey(dg.AssetKey(["centre", c]), "accepted") for c in ("FR01", "AT01")]
        )
    passed = {
        key.asset_key.path[-1]: record.event.dagster_event.asset_check_evaluation_data.passed
        for key, record in records.items()
    }
    assert passed == {"FR01": False, "AT01": True}


def test_a_state_with_a_refused_centre_cannot_be_frozen(refused_run, monkeypatch):
    monkeypatch.setenv("CAPLA_DATA_RAW", str(refused_run.data_raw))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(refused_run.warehouse))
    with pytest.raises(freeze.ReleaseRefused, match="FR01, XX01"):
        freeze.freeze("behind", freeze.check_free("behind"))
