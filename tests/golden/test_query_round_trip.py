"""Round trip of a query workbook: exported, answered with openpyxl, read, applied by the next load, exported again."""

import random
import shutil

import duckdb
import openpyxl
import pandas as pd
import pytest
from tiny_centre import load_centre

from capla_etl import cli, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import answers, corrections
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.status import good_loads
from capla_etl.queries.questions import query_table
from capla_etl.queries.workbook import HEADINGS, write_workbooks


@pytest.fixture(scope="module")
def folders(study_run, tmp_path_factory):
    """Copies of the data and of the published warehouse, where the environment points."""
    root = tmp_path_factory.mktemp("round_trip")
    shutil.copytree(study_run.data_raw, root / "data_raw")
    (root / "warehouse" / "build").mkdir(parents=True)
    shutil.copy(study_run.warehouse / "capla.duckdb", root / "warehouse")
    shutil.copytree(study_run.warehouse / "build" / "centres", root / "warehouse" / "build" / "centres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPLA_DATA_RAW", str(root / "data_raw"))
        patch.setenv("CAPLA_WAREHOUSE", str(root / "warehouse"))
        yield root


def _queries_after_load() -> pd.DataFrame:
    """FR01 loaded again, and the questions that its load raises now; kept in the copied warehouse."""
    load_centre("FR01")
    with duckdb.connect(str(paths.published_database())) as connection:
        assemble(connection)
        table = query_table(connection, list(good_loads().values()))
        connection.register("frame", table)
        connection.execute("create or replace table quality.query as select * from frame")
    return table


def _row(sheet, query_id: str) -> dict:
    """Heading -> cell of one question."""
    return next(
        dict(zip(HEADINGS, cells, strict=True)) for cells in sheet.iter_rows(min_row=2) if cells[0].value == query_id
    )


@pytest.fixture(scope="module")
def before(folders) -> pd.DataFrame:
    with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
        return connection.execute("select * from quality.query where centre_id = 'FR01'").df()


@pytest.fixture(scope="module")
def ids(before) -> dict[str, str]:
    """A value to correct, one to accept, one to leave open."""
    refused = before[before["category"] == "refused_value"].set_index("found")["query_id"]
    return {"corrected": refused["282000"], "accepted": refused["31/02/2021"], "open": refused["54000"]}


@pytest.fixture(scope="module")
def answered(folders, ids):
    """The workbook exported, answered by the centre and read; then everything loaded and exported again."""
    assert cli.main(["queries", "export", "FR01", "--to", str(folders / "sent")]) == 0
    book = openpyxl.load_workbook(folders / "sent" / "FR01.xlsx")
    for status, fill in {
        "corrected": {
            "Answer": "corrected",
            "Correct value": "282",
            "Reason": "typed per mm3",
            "Confirmed by": "Dr A",
            "Date": "2023-07-10",
        },
        "accepted": {
            "Answer": "accepted as is",
            "Reason": "day not known",
            "Confirmed by": "Dr A",
            "Date": "2023-07-10",
        },
    }.items():
        for heading, value in fill.items():
            _row(book["Queries"], ids[status])[heading].value = value
    (folders / "data_raw" / "FR01" / "answers").mkdir()
    book.save(folders / "data_raw" / "FR01" / "answers" / "back.xlsx")
    assert cli.main(["queries", "import"]) == 0
    return _queries_after_load()


def test_statuses_are_as_answered(answered, ids, folders):
    status = answered.set_index("query_id")["status"]
    assert {name: status[query_id] for name, query_id in ids.items()} == {
        "corrected": "corrected",
        "accepted": "accepted",
        "open": "open",
    }
    with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
        (again,) = write_workbooks(connection, ["FR01"], folders / "again")
    sheet = openpyxl.load_workbook(again)["Queries"]
    for name, query_id in ids.items():
        assert _row(sheet, query_id)["Status"].value == name
    assert _row(sheet, ids["corrected"])["Correct value"].value == "282"


def test_the_corrected_value_is_in_the_data_and_the_raw_text_stays(answered, before, ids):
    asked = before.set_index("query_id").loc[ids["corrected"]]
    with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
        place = f"source_file = '{asked['file']}' and source_row = {asked['row_number']}"
        assert connection.execute(
            f"select value from harmonised.lab_result where centre_id = 'FR01' and {place}"
        ).fetchall() == [(282.0,)]
        assert connection.execute(f'select "Résultat" from raw.fr01__bilans where {place}').fetchall() == [("282000",)]
        kept = "select row_number, raw_value, corrected_value, confirmed_by, query_id from quality.correction"
        assert connection.execute(kept).fetchall() == [(asked["row_number"], "282000", "282", "Dr A", ids["corrected"])]
        assert connection.execute("select count(*) from quality.quarantine where raw_value = '282000'").fetchone() == (
            0,
        )


def test_reading_the_same_workbook_again_changes_nothing(answered, folders):
    texts = [(folders / "data_raw" / "FR01" / name).read_bytes() for name in ("answers.yml", "corrections.yml")]
    assert cli.main(["queries", "import", str(folders / "data_raw" / "FR01" / "answers" / "back.xlsx")]) == 0
    assert [(folders / "data_raw" / "FR01" / name).read_bytes() for name in ("answers.yml", "corrections.yml")] == texts
    assert len(corrections(folders / "data_raw" / "FR01")) == 1
    assert len(answers(folders / "data_raw" / "FR01")) == 2


def test_answers_wait_until_a_changed_file_was_loaded(answered, folders, capsys):
    rows = folders / "data_raw" / "FR01" / "2023-06-30" / "bilans.csv"
    sent = rows.read_bytes()
    rows.write_bytes(sent + b"\n")
    try:
        assert cli.main(["queries", "import"]) == 1
    finally:
        rows.write_bytes(sent)
    said = capsys.readouterr().out
    assert "files arrived or changed after the published warehouse was made" in said
    assert "(2023-06-30/bilans.csv). Run `capla study` first" in said


def test_exporting_to_a_file_says_so(answered, folders, capsys):
    assert cli.main(["queries", "export", "FR01", "--to", str(folders / "sent" / "FR01.xlsx")]) == 1
    assert "cannot be written" in capsys.readouterr().out


def test_ids_are_the_same_after_a_rerun_and_in_a_shuffled_file(answered, before, folders):
    rows = folders / "data_raw" / "FR01" / "2023-06-30" / "bilans.csv"
    sent = rows.read_bytes()
    header, *lines = sent.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    rows.write_bytes(header + b"".join(lines))
    try:
        shuffled = _queries_after_load()
    finally:
        rows.write_bytes(sent)
    fr01 = shuffled[shuffled["centre_id"] == "FR01"]
    assert set(fr01["query_id"]) == set(before["query_id"])
    assert fr01.set_index("query_id")["status"].value_counts().to_dict() == {
        "open": len(before) - 2,
        "accepted": 1,
        "corrected": 1,
    }


def test_the_guard_fails_once_the_source_is_fixed(answered, ids, folders):
    rows = folders / "data_raw" / "FR01" / "2023-06-30" / "bilans.csv"
    sent = rows.read_bytes()
    rows.write_bytes(sent.replace(b";282000;", b";282;", 1))
    try:
        said = f"{ids['corrected']}.*the source already shows the corrected value. Remove the correction"
        with pytest.raises(CentreRefused, match=said) as refused:
            load_centre("FR01")
    finally:
        rows.write_bytes(sent)
    assert "282" not in str(refused.value).replace(ids["corrected"], "")
