"""``capla centre page``: says where the published pages are, or writes them elsewhere; refuses an unknown centre."""

import itertools
import json

import duckdb
import pandas as pd
import pytest
from monitoring_frames import CENTRES, DAY, monitored, signal, signal_frame

from capla_etl import cli, paths
from capla_etl.fields import meanings


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """A published warehouse of two centres with what the pages are made from."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    centres = {code: CENTRES[code] for code in ("AT01", "DE01")}
    quality = [
        dict.fromkeys(meanings.columns("quality.centre_quality"), 0) | {"centre_id": code, "eligible": patients}
        for code, patients in centres.items()
    ]
    status = {"name": "Wien", "country": "AT", "status": "current", "submission": DAY, "received_submission": DAY}
    frames = {
        "centre_quality": pd.DataFrame(quality).assign(status="current", data_cut_off=DAY),
        "centre_status": pd.DataFrame([{"centre_id": code} | status for code in centres]),
        "query": pd.DataFrame([("DE01", "contradiction", "open")], columns=["centre_id", "category", "status"]),
        "signal": signal_frame(signal()),
        "monitored": monitored(centres),
    }
    with duckdb.connect(str(paths.published_database())) as con:
        con.execute("create schema quality")
        for name, frame in frames.items():
            con.register("frame", frame)
            con.execute(f"create table quality.{name} as from frame")
        con.execute("create schema study; create table study.version as select '2023-06-30-0123456789' as version")
    paths.centre_pages().mkdir(parents=True)
    for code, kind in itertools.product(centres, ("html", "pdf")):
        (paths.centre_pages() / f"{code}.{kind}").write_text("as published")
    return tmp_path


def test_a_page_is_written_where_it_says_and_states_the_version(warehouse, capsys):
    assert cli.main(["centre", "page", "DE01", "--to", str(warehouse / "there")]) == 0
    written = [warehouse / "there" / f"DE01.{kind}" for kind in ("html", "pdf")]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    page = written[0].read_text(encoding="utf-8")
    assert "as if in mg/dL" in page and "Version 2023-06-30-0123456789 of the study." in page
    assert written[1].exists()


def test_what_is_published_is_not_written_again(warehouse, capsys):
    assert cli.main(["centre", "page", "--json"]) == 0
    places = json.loads(capsys.readouterr().out)
    assert places == [
        str(paths.centre_pages() / f"{code}.{kind}") for code in ("AT01", "DE01") for kind in ("html", "pdf")
    ]
    assert {path.read_text() for path in paths.centre_pages().iterdir()} == {"as published"}


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_unknown_centre_is_named_with_those_that_are_known(warehouse, capsys, elsewhere):
    assert cli.main(["centre", "page", "XX01", *(["--to", str(warehouse / "there")] if elsewhere else [])]) == 1
    said = capsys.readouterr().err
    assert "XX01" in said and "AT01, DE01" in said
    assert not (warehouse / "there").exists()


def test_without_a_published_warehouse_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    assert cli.main(["centre", "page", "AT01"]) == 1
    assert "run `capla study` first" in capsys.readouterr().err
