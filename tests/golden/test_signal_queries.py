"""A signal of central monitoring becomes a question to its centre, without a patient, that the centre can answer."""

import shutil
from dataclasses import replace
from datetime import date

import duckdb
import openpyxl
import pyarrow as pa
import pytest

from capla_etl import paths
from capla_etl.centres.harmonising.corrections import Answered
from capla_etl.centres.spec.check import load_spec
from capla_etl.quality.monitoring.signal import LOOK, SIGNAL, STOP, Signal
from capla_etl.queries.questions import derive, field_columns, with_answers
from capla_etl.queries.workbook import HEADINGS, write_workbooks

SEEN = Signal("HU01", STOP, "level", "median", "ldh", "ldh_x_uln", "a ratio of 2.0", "0.8 to 1.3", "As if the limit "
              "of normal were half.", 1e-9, 41, "labor.txt", "", "LDH", [3, 9])  # fmt: skip


@pytest.fixture
def warehouse(built_warehouse, tmp_path):
    """The published warehouse with other signals: opened, to be asked."""
    copied = shutil.copyfile(built_warehouse, tmp_path / "capla.duckdb")
    connection = duckdb.connect(str(copied))

    def with_signals(*signals: Signal) -> duckdb.DuckDBPyConnection:
        rows = [signal.as_row() | {"submission": date(2023, 6, 30)} for signal in signals]
        connection.register("seen", pa.Table.from_pylist(rows, schema=SIGNAL))
        connection.execute("create or replace table quality.signal as select * from seen")
        return connection

    yield with_signals
    connection.close()


def _asked(connection):
    columns = field_columns([load_spec(path) for path in sorted(paths.data_raw().glob("*/centre.yml"))])
    derived = derive(connection, columns)
    return derived[derived["category"] == "monitoring"]


def test_each_open_signal_is_one_question(warehouse):
    confirmed = replace(SEEN, quantity="hemoglobin", status="confirmed")
    of_patients = replace(SEEN, severity=LOOK, quantity="platelets", rows=[], patient_numbers=["HU001", "HU007"])
    asked = _asked(warehouse(SEEN, of_patients, confirmed))
    assert asked["row_numbers"].tolist() in (["3, 9", ""], ["", "3, 9"])
    question = asked[asked["row_numbers"] == "3, 9"].iloc[0]
    assert (question["patient_id"], question["centre_patient_id"], question["column_name"]) == (None, "", "")
    assert (question["file"], question["occurrences"], question["found"]) == ("labor.txt", 2, "a ratio of 2.0")
    assert "column 'LDH': As if the limit of normal were half." in question["question"]
    assert "'Accepted as is' means" in question["question"]
    (other,) = asked.loc[asked["row_numbers"] == "", "question"]
    assert "Patients: HU001, HU007." in other and "Patients" not in question["question"]


def test_the_id_stays_while_file_rows_and_finding_change(warehouse):
    (before,) = _asked(warehouse(SEEN))["query_id"]
    (after,) = _asked(warehouse(replace(SEEN, file="labor_2.txt", rows=[], found="a ratio of 2.1")))["query_id"]
    (other,) = _asked(warehouse(replace(SEEN, quantity="platelets")))["query_id"]
    assert before == after != other


@pytest.mark.parametrize(("found", "status"), [("a ratio of 2.0", "accepted"), ("a ratio of 2.1", "open")])
def test_an_answer_holds_while_the_finding_is_the_same(warehouse, found, status):
    connection = warehouse(replace(SEEN, found=found))
    asked = _asked(connection)
    answer = Answered(
        query=asked["query_id"].iloc[0], status="accepted", category="monitoring", kind="median",
        found="a ratio of 2.0", question="?", first_seen=date(2023, 6, 30), answered_by="Dr A",
        answered_on=date(2023, 7, 5),
    )  # fmt: skip
    patients = connection.execute("select centre_id, centre_patient_id, patient_id from harmonised.patient").df()
    seen = dict.fromkeys(asked["query_id"], date(2023, 6, 30))
    (row,) = with_answers(asked, {"HU01": [answer]}, patients, seen).to_dict("records")
    assert (row["status"], row["found"]) == (status, found)


def test_a_centre_whose_first_submission_is_held_back_has_a_workbook(warehouse, tmp_path):
    connection = warehouse(replace(SEEN, centre_id="XX01"))
    connection.execute("update quality.monitored set centre_id = 'XX01' where centre_id = 'HU01'")
    connection.execute("update quality.query set centre_id = 'XX01', found = '=1' where centre_id = 'HU01'")
    (path,) = write_workbooks(connection, ["XX01"], tmp_path)
    book = openpyxl.load_workbook(path)
    assert book.worksheets[0]["A1"].value == "Queries to centre XX01, submission of 2023-06-30"
    assert book["Queries"].max_row > 1 and [c.value for c in book["Queries"][1]] == HEADINGS
