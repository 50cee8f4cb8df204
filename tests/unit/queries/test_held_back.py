"""What is asked of a submission that is held back can be answered; other questions wait until it is in the study."""

import shutil
from datetime import date

import duckdb
import openpyxl
import pandas as pd
import pytest
from tiny_centre import load_centre

from capla_etl import cli, paths
from capla_etl.centres.submissions.load import receive
from capla_etl.queries.questions import with_answers
from capla_etl.queries.workbook import HEADINGS, workbook_bytes

ASKED = {
    "query_id": "Q-1", "centre_id": "XX01", "patient_id": None, "centre_patient_id": "", "category": "monitoring",
    "kind": "median", "file": "patients.csv", "sheet": "", "row_number": None, "row_numbers": "", "occurrences": 1,
    "column_name": "", "found": "a median of 3", "question": "Is it so?",
}  # fmt: skip
ANSWER = {"Answer": "accepted as is", "Reason": "a ward", "Confirmed by": "Dr A", "Date": "2021-07-05"}


@pytest.fixture
def answered(centre):
    """The published study has the submission of 2020; that of 2021 is held back. Imports an answer to one question."""
    centre.spec()
    load_centre("XX01")
    history = paths.centre_loads() / "XX01" / "quality.submission_history.parquet"
    with duckdb.connect(str(paths.published_database())) as connection:
        connection.execute("create schema quality")
        connection.execute(f"create table quality.submission_history as from read_parquet('{history}')")
    newer = centre.folder / "2021-06-30"
    shutil.copytree(centre.submission, newer)
    (newer / "patients.csv").write_text((newer / "patients.csv").read_text().replace(";M;", ";F;"))
    receive("XX01")

    def run(category: str) -> int:
        nobody = pd.DataFrame(columns=["centre_id", "centre_patient_id", "patient_id"])
        asked = pd.DataFrame([ASKED | {"category": category}])
        queries = with_answers(asked, {}, nobody, {"Q-1": date(2021, 6, 30)})
        with duckdb.connect(str(paths.published_database())) as connection:
            connection.execute("create or replace table quality.query as from queries")
        path = centre.folder / "answered.xlsx"
        path.write_bytes(workbook_bytes("XX01", queries, date(2021, 6, 30)))
        book = openpyxl.load_workbook(path)
        for heading, value in ANSWER.items():
            book["Queries"].cell(2, HEADINGS.index(heading) + 1).value = value
        book.save(path)
        return cli.main(["queries", "import", str(path)])

    run.kept = centre.folder / "answers.yml"
    return run


def test_an_answer_to_a_signal_of_a_submission_that_is_held_back_is_kept(answered):
    assert answered("monitoring") == 0
    assert "a median of 3" in answered.kept.read_text(encoding="utf-8")


def test_an_answer_to_another_question_waits_until_the_study_holds_the_submission(answered, capsys):
    assert answered("contradiction") == 1
    assert "2021-06-30/patients.csv" in capsys.readouterr().out
    assert not answered.kept.exists()
