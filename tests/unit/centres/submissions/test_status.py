"""A refused submission changes nothing: the last good load stays, and the status says so."""

import os
import shutil
from datetime import date

import duckdb
import pytest
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.status import as_published, centre_status, good_loads, received, record_published


def _status() -> tuple:
    (status,) = centre_status()
    return status.status, str(status.submission), str(status.received), bool(status.problems)


def _refused() -> None:
    with pytest.raises(CentreRefused):
        load_centre("XX01")


@pytest.fixture
def loaded_centre(centre):
    """XX01 with its submission of 2020-12-31 loaded."""
    centre.spec()
    load_centre("XX01")
    return centre


def test_a_loaded_submission_is_current(loaded_centre):
    assert _status() == ("current", "2020-12-31", "2020-12-31", False)


DAY = date(2020, 12, 31)


def _publish() -> None:
    paths.published_database().write_bytes(b"a warehouse")
    record_published()


def _as_published(published: dict) -> str:
    (status,) = as_published(centre_status(), published)
    return status.status


def test_a_load_is_current_only_when_it_is_in_the_published_study(loaded_centre):
    assert _as_published({}) == "loaded", "nothing is published"
    _publish()
    assert _as_published({"XX01": DAY}) == "current"
    spec = loaded_centre.folder / "centre.yml"
    spec.write_text(spec.read_text().replace("Nowhere", "Somewhere"))
    load_centre("XX01")
    assert _as_published({"XX01": DAY}) == "loaded", "loaded again, by another spec, in a run that published nothing"
    _publish()
    assert _as_published({"XX01": DAY}) == "current"


def test_of_another_published_warehouse_only_the_day_is_known(loaded_centre):
    _publish()
    paths.published_database().write_bytes(b"an earlier version")
    os.utime(paths.published_database(), (0, 0))
    assert _as_published({"XX01": DAY}) == "current"
    assert _as_published({"XX01": date(2020, 6, 30)}) == _as_published({"XX01": None}) == "loaded"


def test_a_centre_that_waits_is_said_to_wait_whatever_is_published(loaded_centre):
    _publish()
    (loaded_centre.submission / "patients.csv").write_text("id;sex\n")
    assert _as_published({"XX01": DAY}) == "waiting"


def test_a_centre_that_nobody_has_loaded_stops_the_assembly(centre):
    centre.spec()
    assert _status() == ("not_loaded", "None", "2020-12-31", False)
    with duckdb.connect() as con, pytest.raises(CentreRefused, match="load the centre first"):
        assemble(con)


def test_files_that_no_spec_describes_are_named_and_stop_nobody(loaded_centre):
    (loaded_centre.folder.parent / "XX02" / "2020-12-31").mkdir(parents=True)
    (loaded_centre.folder.parent / "XX02" / "2020-12-31" / "labs.csv").write_text("id;plt\n")
    (loaded_centre.folder.parent / "notes").mkdir()
    with duckdb.connect() as con:
        assemble(con)
        rows = con.execute(
            """select centre_id, status, submission::varchar, received_submission::varchar
            from quality.centre_status order by 1"""
        ).fetchall()
    assert rows == [("XX01", "current", "2020-12-31", "2020-12-31"), ("XX02", "not_described", None, "2020-12-31")]


def test_a_newer_submission_waits_until_it_is_looked_at(loaded_centre):
    shutil.copytree(loaded_centre.submission, loaded_centre.folder / "2021-06-30")
    assert _status() == ("current", "2020-12-31", "2021-06-30", False), "the same content is no new submission"
    (loaded_centre.folder / "2021-06-30" / "patients.csv").write_text("id;sex\n")
    assert _status() == ("waiting", "2020-12-31", "2021-06-30", False)


def test_a_refused_submission_leaves_the_last_good_one_with_its_own_spec_and_answers(loaded_centre):
    spec_before = (loaded_centre.folder / "centre.yml").read_text()
    (loaded_centre.folder / "centre.yml").write_text("centre: {id: XX01")
    _refused()
    assert _status() == ("refused", "2020-12-31", "2020-12-31", True)
    assert good_loads()["XX01"].spec.centre.name == "Nowhere"
    with duckdb.connect() as con:
        assemble(con)
        assert con.execute("select count(*) from harmonised.patient").fetchone() == (2,)
        assert con.execute(
            "select status, submission::varchar, problem like '%centre.yml%' from quality.centre_status"
        ).fetchone() == ("refused", "2020-12-31", True)
    (loaded_centre.folder / "centre.yml").write_text(spec_before)
    load_centre("XX01")
    assert _status() == ("current", "2020-12-31", "2020-12-31", False)


def test_answers_that_cannot_be_read_refuse_the_centre_and_not_the_study(loaded_centre):
    (loaded_centre.folder / "answers.yml").write_text("- query: Q-1\n")
    _refused()
    assert _status()[0] == "refused"


def test_a_centre_whose_folder_is_gone_stays_in_the_study_and_is_shown_as_gone(loaded_centre):
    shutil.rmtree(loaded_centre.folder)
    assert _status() == ("missing", "2020-12-31", "None", True)
    with duckdb.connect() as con:
        assemble(con)
        assert con.execute("select count(*) from harmonised.patient").fetchone() == (2,)


def test_a_study_without_any_good_load_is_not_assembled(centre):
    centre.spec(head="centre: {id: XX01, name: Nowhere, country: XX}")
    _refused()
    with duckdb.connect() as con, pytest.raises(CentreRefused, match="lists"):
        assemble(con)


def test_loads_of_another_day_are_not_mixed_with_todays(loaded_centre, monkeypatch):
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-01")
    with pytest.raises(CentreRefused, match="as of another day"):
        good_loads()


def test_names_of_files_do_not_count_and_contents_and_specs_do(loaded_centre):
    before = received(loaded_centre.folder)
    (loaded_centre.submission / "patients.csv").rename(loaded_centre.submission / "renamed.csv")
    assert received(loaded_centre.folder) == before
    (loaded_centre.submission / "more.csv").write_text("a;b\n")
    with_more = received(loaded_centre.folder)
    assert with_more != before
    (loaded_centre.folder / "corrections.yml").write_text("[]")
    assert received(loaded_centre.folder) not in (before, with_more)


def test_a_centre_that_changed_its_files_is_loaded_though_the_submission_before_cannot_be_compared(
    loaded_centre, loaded
):
    newer = loaded_centre.folder / "2021-06-30"
    newer.mkdir()
    text = (loaded_centre.submission / "patients.csv").read_text().replace("id;name", "number;name", 1)
    (newer / "patients.csv").write_text(text)
    spec = loaded_centre.folder / "centre.yml"
    spec.write_text(spec.read_text().replace("key: id", "key: number"))
    load_centre("XX01")
    assert [(c["change"], str(c["previous_submission"])) for c in loaded("quality.submission_change")] == [
        ("not_comparable", "2020-12-31")
    ]
    assert paths.centre_loads().joinpath("XX01", "load.json").exists()
