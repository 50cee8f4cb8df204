"""The header of a table is found by likeness; a row of a patient never becomes names."""

import random

import openpyxl
import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.detect import detect
from capla_etl.centres.draft.header import find_header

HEADER = ["patient_id", "name", "sex", "platelets (G/L)", "date"]
PATIENTS = [
    ["P01", "Anna Muster", "f", "12", "2021-03-05"],
    ["P02", "Bert Beispiel", "m", "30", "2021-03-06"],
    ["P03", "Cora Exempel", "f", "150", "2021-03-17"],
    ["P04", "Dan Sample", "m", "99", "2021-03-18"],
]
PEOPLE = [row[1] for row in PATIENTS]


def _row(rows):
    header = find_header(rows)
    return header and header.row


@pytest.mark.parametrize(
    ("above", "header", "row"),
    [
        ([], HEADER, 1),
        ([], ["", *HEADER[1:]], 1),
        ([], ["patient_id", "name", "", "", "date"], 1),
        ([], ["patient_id", "value", "value", "value", "date"], 1),
        ([], ["patient_id", "Labor", "", "", ""], None),
        ([["Export of the study"]], HEADER, 2),
        ([["Export of the study\nVienna, 2021"], [], ["as of", "2021-04-01"]], HEADER, 4),
        ([], ["kood", "nimi", "sugu", "tromb", "kuup"], 1),
    ],
)
def test_a_blank_repeated_or_merged_name_and_titles_above_do_not_move_the_header(above, header, row):
    assert _row([*above, header, *PATIENTS]) == row


def test_a_table_without_a_header_has_none_wherever_it_begins():
    assert _row(PATIENTS) is None
    assert _row([["Export"], *PATIENTS]) is None
    assert _row([*PATIENTS[:1]]) is None
    assert _row([]) is None


def test_the_names_of_a_form_or_codebook_and_of_one_column_a_patient_are_no_header():
    """Patients across: their names would become names of columns."""
    across = [list(column) for column in zip(HEADER, *PATIENTS, strict=True)]
    assert _row(across) is None
    assert (
        _row([["Variable", "Meaning"], ["sex", "f = female"], ["died", "1 = yes"], ["diagnosis", "as stated"]]) is None
    )


def test_numbers_that_count_up_are_names_of_days():
    rows = [["patient_id", "1", "2", "3", "4"], *([f"P{i}", "12", "30", "45", "150"] for i in range(9))]
    assert _row(rows) == 1


def test_several_lines_and_cells_without_a_name_are_said():
    units = ["", "", "", "(G/L)", ""]
    header = find_header([HEADER, units, *PATIENTS])
    assert header.row == 1 and "row 2 looks like another line of the header" in header.notes[0]
    header = find_header([["", *HEADER], *([str(i), *row] for i, row in enumerate(PATIENTS, start=1))])
    assert header.notes == ("column 1 without a name",)


def test_a_header_repeated_on_each_page_is_a_header():
    page = [[f"P{i}", "Anna Muster", "f", str(10 + i), "2021-03-05"] for i in range(12)]
    assert _row([HEADER, *page, HEADER, *page]) == 1


def test_no_row_of_many_random_tables_of_patients_becomes_a_header():
    pick = random.Random(20230630)
    kinds = {
        "number": lambda i: f"P{i:02}",
        "name": lambda i: f"{pick.choice(['Anna', 'Rita', 'Fritz'])} {pick.choice(['Muster', 'Alter', 'Dia'])}",
        "sex": lambda i: pick.choice(["weiblich", "männlich"]),
        "count": lambda i: str(pick.randint(3, 300)),
        "below": lambda i: pick.choice(["unter 5", "12", "ca. 40", "n.d."]),
        "date": lambda i: f"{pick.randint(1, 28):02}.03.2021",
        "drug": lambda i: pick.choice(["Caplacizumab", "Rituximab", "Prednisolon"]),
        "test": lambda i: pick.choice(["LDH", "Thrombozyten", "ADAMTS13"]),
        "unit": lambda i: pick.choice(["U/L", "G/L"]),
        "remark": lambda i: pick.choice(["", "kein Kontakt seit Mai", "Rentner"]),
    }
    taken = []
    for _ in range(600):
        columns = [kinds[pick.choice(list(kinds))] for _ in range(pick.randint(2, 8))]
        rows = [[cell(i) for cell in columns] for i in range(pick.choice([1, 2, 5, 30]))]
        taken += [rows[_row(rows) - 1]] if _row(rows) else []
    assert taken == []


def _csv(path, rows, end="\n", tail=""):
    text = "".join(",".join(f'"{cell}"' if "\n" in cell else cell for cell in row) + tail + end for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_without_a_clear_header_is_not_drafted_and_no_patient_is_named(tmp_path):
    draft = draft_centre(_csv(tmp_path / "a.csv", PATIENTS))
    said = draft.centre_yml + "\n".join(draft.summary)
    assert draft.tables == [] and "NOT READ: a.csv: no row is clearly a header" in said
    assert [person for person in PEOPLE if person.split()[0] in said] == [] and "P01" not in said


def test_r_row_names_leave_the_header_in_row_1(tmp_path):
    rows = [["", *HEADER], *([str(i), *row] for i, row in enumerate(PATIENTS, start=1))]
    (table,) = draft_centre(_csv(tmp_path / "a.csv", rows)).tables
    assert table.found.format.header_row == 1 and table.key == "patient_id"
    (reason,) = [table.ignored[name] for name in table.columns if name not in HEADER]
    assert reason == "row numbers without a name in the header; no study field"


@pytest.mark.parametrize("change", [lambda row, i: [str(i), *row], lambda row, i: [*row, ""]])
def test_rows_with_one_cell_more_than_the_header_are_read_or_said(tmp_path, change):
    rows = [HEADER, *(change(row, i) for i, row in enumerate(PATIENTS, start=1))]
    draft = draft_centre(_csv(tmp_path / "a.csv", rows))
    assert draft.tables or "the header has 5" in draft.unreadable[0]
    assert all({"patient_id", "platelets (G/L)"} <= set(table.columns) for table in draft.tables)
    assert not any(person in draft.centre_yml for person in PEOPLE)


def test_a_workbook_names_the_sheets_that_are_no_tables_and_the_empty_ones(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Lab"
    for row in [["Export"], [], HEADER, *PATIENTS]:
        book.active.append(row)
    book.create_sheet("Patients").append(PATIENTS[0])
    book.create_sheet("Empty")
    book.save(tmp_path / "a.xlsx")
    draft = draft_centre(tmp_path / "a.xlsx")
    (table,) = draft.tables
    assert (table.found.format.sheet, table.found.format.header_row) == ("Lab", 3)
    assert "NOT READ: a.xlsx: sheet 'Patients': no row is clearly a header" in draft.centre_yml
    assert 'ignored_sheets:\n  Patients: "TO_DECIDE' in draft.centre_yml and "  Empty: empty\n" in draft.centre_yml
    assert PEOPLE[0] not in draft.centre_yml


def test_a_sheet_is_read_twice_however_far_down_its_header_is(tmp_path, monkeypatch):
    from capla_etl.centres.reading import formats

    book = openpyxl.Workbook()
    for row in [*([f"title {i}"] for i in range(9)), HEADER, *PATIENTS]:
        book.active.append(row)
    book.active["G12"] = "=1+1"
    book.active["G10"] = "sum"
    book.save(tmp_path / "a.xlsx")
    reads = []
    whole = formats.read
    monkeypatch.setattr(formats, "read", lambda *args: reads.append(args) or whole(*args))
    ((found,), _) = detect(tmp_path / "a.xlsx")
    assert found.format.header_row == 10 and len(reads) == 1
