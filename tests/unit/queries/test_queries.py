"""Query workbooks and declared corrections: what is refused, what is kept, and that a cell sent is never a formula."""

from datetime import date

import openpyxl
import pandas as pd
import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import Answered
from capla_etl.centres.reading.read import read_submission
from capla_etl.centres.spec.check import load_spec
from capla_etl.queries.answers import Answer, AnswersRefused, declare
from capla_etl.queries.questions import COLUMNS, KINDS, field_columns, first_seen, with_answers
from capla_etl.queries.workbook import HEADINGS, read_answers, workbook_bytes

ASKED = {
    "query_id": "Q-1", "centre_id": "XX01", "patient_id": "p", "centre_patient_id": "A", "category": "refused_value",
    "kind": "out_of_range", "file": "labs.csv", "sheet": "", "row_number": 2, "row_numbers": "2", "occurrences": 1,
    "column_name": "count", "found": "=HYPERLINK(1)", "question": "Which?",
}  # fmt: skip
CORRECTED = {
    "Answer": "corrected",
    "Correct value": "12",
    "Reason": "typing error",
    "Confirmed by": "Dr A",
    "Date": "2021-01-05",
}
ACCEPTED = {"Answer": "accepted as is", "Confirmed by": "Dr A", "Date": "2021-01-05"}


def _queries(*changes: dict) -> pd.DataFrame:
    derived = pd.DataFrame([ASKED | change for change in changes or [{}]])
    return with_answers(
        derived,
        {},
        pd.DataFrame(columns=["centre_id", "centre_patient_id", "patient_id"]),
        dict.fromkeys(derived["query_id"], date(2020, 12, 31)),
    )


@pytest.fixture
def answer(tmp_path):
    """Writes a workbook with one question, fills in cells of its row, and reads it."""

    def fill(cells: dict, queries: pd.DataFrame | None = None):
        queries = _queries() if queries is None else queries
        path = tmp_path / "XX01.xlsx"
        path.write_bytes(workbook_bytes("XX01", queries, date(2020, 12, 31)))
        book = openpyxl.load_workbook(path)
        for heading, value in cells.items():
            book["Queries"].cell(2, HEADINGS.index(heading) + 1).value = value
        book.save(path)
        return read_answers(path, queries)

    return fill


def test_a_cell_sent_is_text_and_never_a_formula(tmp_path):
    path = tmp_path / "XX01.xlsx"
    path.write_bytes(
        workbook_bytes(
            "XX01",
            _queries(*({"query_id": f"Q-{i}", "found": f"{c}1+1\x01"} for i, c in enumerate("=+-@"))),
            date(2020, 12, 31),
        )
    )
    found = [row[HEADINGS.index("Found")] for row in openpyxl.load_workbook(path)["Queries"].iter_rows(min_row=2)]
    assert [(cell.data_type, cell.quotePrefix, cell.number_format) for cell in found] == [("s", True, "@")] * 4


def test_the_same_questions_give_the_same_bytes():
    assert workbook_bytes("XX01", _queries(), date(2020, 12, 31)) == workbook_bytes(
        "XX01", _queries(), date(2020, 12, 31)
    )


def test_only_the_answers_of_open_questions_can_be_filled_in(tmp_path):
    queries = _queries({}, {"query_id": "Q-2"})
    queries.loc[queries["query_id"] == "Q-2", "status"] = "accepted"
    path = tmp_path / "XX01.xlsx"
    path.write_bytes(workbook_bytes("XX01", queries, date(2020, 12, 31)))
    book = openpyxl.load_workbook(path)
    unlocked = {cell.coordinate for row in book["Queries"].iter_rows() for cell in row if not cell.protection.locked}
    assert unlocked == {f"{c}2" for c in "LMNOP"}
    assert book["Queries"].protection.sheet and book["Queries"].freeze_panes == "B2"
    assert "Synthetic" in book["Read me"]["A2"].value


def test_a_blank_answer_is_open(answer):
    assert answer({}) == []


def test_an_answer_is_read(answer):
    (read,) = answer(CORRECTED)
    assert (read.row, read.query_id, read.answer, read.corrected_value, read.confirmed_on) == (
        2,
        "Q-1",
        "corrected",
        "12",
        date(2021, 1, 5),
    )


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (CORRECTED | {"Query": "Q-9"}, "row 2: the query 'Q-9' is not known"),
        (CORRECTED | {"Found": "13"}, r"row 2: a locked cell was changed \(Found\)"),
        (CORRECTED | {"Row": "3"}, r"row 2: a locked cell was changed \(Row\)"),
        (CORRECTED | {"Correct value": None}, "corrected, but Correct value is empty"),
        (CORRECTED | {"Reason": " "}, "corrected, but Reason is empty"),
        (CORRECTED | {"Confirmed by": None}, "corrected, but Confirmed by is empty"),
        (CORRECTED | {"Date": "5/1/21"}, "Date: found '5/1/21'; write it as YYYY-MM-DD"),
        (CORRECTED | {"Correct value": 1.5}, "Correct value: found a number or date cell"),
        (CORRECTED | {"Correct value": "=1+1"}, "Correct value: found a formula"),
        (CORRECTED | {"Date": None}, "row 2: corrected, but Date is empty. Fill it in"),
        (ACCEPTED | {"Date": None}, "row 2: accepted as is, but Date is empty. Fill it in"),
        (ACCEPTED | {"Confirmed by": None}, "row 2: accepted as is, but Confirmed by is empty. Fill it in"),
        ({"Answer": "perhaps"}, "Answer: found 'perhaps'"),
        ({"Reason": "why not"}, "Answer is blank but Reason is filled in"),
        (ACCEPTED | {"Correct value": "12"}, "Correct value is filled in"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(answer, cells, said):
    with pytest.raises(AnswersRefused, match=said):
        answer(cells)


def test_a_question_without_a_column_cannot_be_corrected(answer):
    with pytest.raises(AnswersRefused, match="points to no single cell"):
        answer(CORRECTED, _queries({"column_name": ""}))


def test_another_file_is_no_workbook(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"no zip")
    with pytest.raises(AnswersRefused, match="not a whole XLSX workbook"):
        read_answers(tmp_path / "x.xlsx", _queries())


@pytest.mark.parametrize(
    ("change", "applied", "kept"),
    [
        ({}, (), [("accepted", "")]),
        ({}, ("Q-2",), [("accepted", "found then")]),
        ({"patient": "left"}, (), []),
        ({"patient": ""}, (), []),
        ({"category": "suspected_same_patient"}, (), []),
    ],
)
def test_an_answered_question_that_is_no_longer_asked_keeps_no_data_of_a_patient_who_left(change, applied, kept):
    said = {
        "query": "Q-2",
        "status": "accepted",
        "category": "refused_value",
        "kind": "not_a_date",
        "patient": "A",
        "found": "found then",
    }
    said |= {
        "question": "When?",
        "first_seen": date(2020, 12, 31),
        "answered_by": "Dr A",
        "answered_on": date(2021, 1, 5),
    }
    patients = pd.DataFrame([{"centre_id": "XX01", "centre_patient_id": "A", "patient_id": "p"}])
    table = with_answers(
        pd.DataFrame([ASKED]),
        {"XX01": [Answered(**said | change)]},
        patients,
        {"Q-1": date(2020, 12, 31)},
        frozenset(applied),
    )
    assert list(table.loc[table["query_id"] == "Q-2", ["status", "found"]].itertuples(index=False, name=None)) == kept


def test_every_kind_is_named_once_and_asks():
    assert len({(k.category, k.kind) for k in KINDS}) == len(KINDS)
    assert all("Accepted as is" in k.question for k in KINDS)
    assert list(_queries().columns) == list(COLUMNS)


# ------------------------------------------------------------------ declared corrections

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records:
    - {table: lab_result, fields: {result_date: day, platelets_10e9_per_l: {column: count, unit: 10^9/L}}}
"""
CORRECTION = """
- query: Q-1
  submission: 2020-12-31
  table: labs
  where: {id: A, day: 12/01/2020}
  column: count
  expected: "31000"
  corrected: "31"
  reason: typed per mm3
  confirmed_by: Dr A
  confirmed_on: 2021-01-05
"""


@pytest.fixture
def labs(centre):
    """The tiny centre with two counts of patient A, the second 1000 times too high, and one declared correction."""
    centre.spec(LABS)
    centre.write("labs.csv", "id;day;count\nA;11/01/2020;20\nA;12/01/2020;31000")
    (centre.folder / "corrections.yml").write_text(CORRECTION, encoding="utf-8")
    return centre


def test_a_correction_is_applied_and_recorded(labs, loaded):
    declared = (labs.folder / "corrections.yml").read_text(encoding="utf-8")
    (labs.folder / "corrections.yml").unlink()
    before = load_centre("XX01")
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [20]
    (labs.folder / "corrections.yml").write_text(declared, encoding="utf-8")
    after = load_centre("XX01")
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [20, 31]
    assert [r["count"] for r in loaded("raw.xx01__labs")] == ["20", "31000"]
    (kept,) = loaded("quality.correction")
    assert (kept["file"], kept["row_number"], kept["column_name"], kept["raw_value"], kept["corrected_value"]) == (
        "labs.csv",
        3,
        "count",
        "31000",
        "31",
    )
    assert before.content_hash != after.content_hash


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("A;12/01/2020;31", "already shows the corrected value. Remove the correction"),
        ("A;12/01/2020;32", "shows neither the expected nor the corrected value"),
        ("A;13/01/2020;31000", "not found"),
        ("A;12/01/2020;31000\nA;12/01/2020;31000", "2 rows match `where`"),
        ("A;12/01/2020;31000\nA;12/01/2020;31", "2 rows match `where`"),
    ],
)
def test_a_correction_fails_once_the_source_shows_something_else(labs, rows, said):
    labs.write("labs.csv", "id;day;count\n" + rows)
    with pytest.raises(CentreRefused, match=said) as refused:
        load_centre("XX01")
    assert "Q-1" in str(refused.value) and "31000" not in str(refused.value)


def test_a_correction_of_an_identifying_column_is_refused(labs):
    (labs.folder / "corrections.yml").write_text(
        CORRECTION.replace("table: labs", "table: patients").replace("column: count", "column: name"), encoding="utf-8"
    )
    with pytest.raises(CentreRefused, match="cannot be corrected"):
        load_centre("XX01")


def test_an_unknown_key_of_a_correction_is_refused(labs):
    (labs.folder / "corrections.yml").write_text(CORRECTION + "  until: 2022-01-01\n", encoding="utf-8")
    with pytest.raises(CentreRefused, match="entry 1: until"):
        load_centre("XX01")


def test_a_correction_is_not_in_force_before_it_was_confirmed(labs, loaded, monkeypatch):
    monkeypatch.setenv("CAPLA_AS_OF", "2020-12-31")
    load_centre("XX01")
    assert loaded("quality.correction") == []
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-05")
    load_centre("XX01")
    assert len(loaded("quality.correction")) == 1


# ------------------------------------------------------------------ from an answer to a correction

ANSWER = Answer(2, "Q-1", "corrected", "31", "typed per mm3", "Dr A", date(2021, 1, 5))
OF_ROW_3 = ASKED | {"row_numbers": "3", "found": "31000", "status": "open", "first_seen": pd.Timestamp("2020-12-31")}


@pytest.fixture
def declared(labs):
    """What is declared once the question about row 3 of the labs is answered."""
    (labs.folder / "corrections.yml").unlink()

    def run(**change) -> str:
        declare(labs.folder, [ANSWER], {"Q-1": OF_ROW_3 | change})
        return (labs.folder / "corrections.yml").read_text(encoding="utf-8")

    return run


def test_an_answer_becomes_a_correction_of_the_one_row(declared):
    assert "where:\n    id: A\n    day: 12/01/2020\n" in declared()


@pytest.mark.parametrize("category", ["refused_value", "contradiction"])
def test_an_answer_is_not_given_to_another_patient(labs, declared, category):
    labs.write("labs.csv", "id;day;count\nA;11/01/2020;20\nB;12/01/2020;31000")
    with pytest.raises(AnswersRefused, match="row 2: Q-1: the row is another patient's now"):
        declared(category=category)
    assert not (labs.folder / "corrections.yml").exists()


def test_a_row_that_only_the_cell_itself_tells_apart_is_corrected_while_all_its_like_are_there(labs, declared):
    labs.write("labs.csv", "id;day;count\nA;12/01/2020;20\nA;12/01/2020;31000")
    assert "\n  rows: 2\n" in declared()
    load_centre("XX01")
    for rows in (
        "A;12/01/2020;31000",
        "A;12/01/2020;31000\nA;12/01/2020;20\nA;12/01/2020;21",
        "A;12/01/2020;31000\nA;12/01/2020;31000",
    ):
        labs.write("labs.csv", "id;day;count\n" + rows)
        with pytest.raises(CentreRefused, match="the correction of query Q-1 cannot be applied"):
            load_centre("XX01")


def test_a_duplicate_row_is_not_corrected(labs, declared):
    labs.write("labs.csv", "id;day;count\nA;12/01/2020;31000\nA;12/01/2020;31000")
    with pytest.raises(AnswersRefused, match="holds the same row several times.*send the file again"):
        declared()


def test_a_row_of_an_earlier_submission_is_looked_for_in_that_one(centre):
    centre.spec(LABS.replace("  key: id", "  key: id\n  row_key: [id, day]\n  incremental: true"))
    centre.write("labs.csv", "id;day;count\nA;11/01/2020;31000")
    spec = load_spec(centre.folder / "centre.yml")
    old = read_submission(spec, centre.submission)
    centre.write("labs.csv", "id;day;count\nB;11/01/2020;20")
    days = [(date(2020, 6, 30), old), (date(2020, 12, 31), read_submission(spec, centre.submission))]
    asked = [{"query_id": "Q-1", "file": "2020-06-30/labs.csv"}, {"query_id": "Q-2", "file": "labs.csv"}]
    derived = pd.DataFrame([ASKED | a for a in asked])
    assert first_seen(derived, field_columns([spec]), spec, days) == {
        "Q-1": date(2020, 6, 30),
        "Q-2": date(2020, 12, 31),
    }
