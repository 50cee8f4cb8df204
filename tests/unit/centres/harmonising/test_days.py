"""Days of a centre: its time zone, the century of its two-digit years, and the epoch of its file."""

from dataclasses import replace
from datetime import date

import pytest
from tiny_centre import HEAD, PATIENTS

from capla_etl.centres.harmonising.harmonise import Harmoniser
from capla_etl.centres.harmonising.pseudonym import DEMONSTRATION_KEY
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.submissions.history import read_current

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: [iso8601, excel_day_number]
  records:
    - {table: lab_result, fields: {result_date: date, platelets_10e9_per_l: {column: value, unit: 10^9/L}}}
"""


@pytest.mark.parametrize(
    ("of_centre", "of_table", "expected"),
    [
        ("", "", "zone_missing"),
        ("Europe/Vienna", "", date(2020, 1, 12)),
        ("", "Europe/Vienna", date(2020, 1, 12)),
        ("Europe/Vienna", "UTC", date(2020, 1, 11)),
        ("UTC", "", date(2020, 1, 11)),
    ],
)
def test_the_zone_of_a_table_goes_before_that_of_the_centre(centre, harmonised, of_centre, of_table, expected):
    head = HEAD + (f"zone: {of_centre}\n" if of_centre else "")
    centre.spec(LABS.replace("  key: id", f"  key: id\n  zone: {of_table}" if of_table else "  key: id"), head=head)
    centre.write("labs.csv", "id;date;value\nA;2020-01-11T23:00:00Z;12")
    found = harmonised("lab_result", "result_date") + harmonised("quarantine", "rule")
    assert found == [expected]


def test_a_refused_time_says_what_to_declare_and_spares_the_others(centre, harmonised):
    centre.spec(LABS)
    centre.write("labs.csv", "id;date;value\nA;2020-01-11T23:00:00Z;12\nA;2020-01-12T23:00:00+01:00;13\nA;12:00;14")
    assert harmonised("lab_result", "result_date") == [date(2020, 1, 12)]
    assert harmonised("quarantine", "row_number", "rule") == [(2, "zone_missing"), (4, "not_a_date")]
    assert "Declare `zone` for the centre or the table in centre.yml" in harmonised("quarantine", "message")[0]


@pytest.mark.parametrize(("epoch", "expected"), [("1899-12-30", date(2020, 1, 12)), ("1904-01-01", date(2020, 1, 12))])
def test_day_numbers_count_from_the_epoch_of_their_file(centre, epoch, expected):
    number = (expected - date.fromisoformat(epoch)).days
    centre.spec(LABS)
    centre.write("labs.csv", f"id;date;value\nA;{number};12\nA;{number}.75;13")
    spec = load_spec(centre.folder / "centre.yml")
    raws = [replace(raw, epoch=epoch) for raw in read_current(spec, centre.folder, None)]
    results = Harmoniser(spec, raws, date(2020, 12, 31), DEMONSTRATION_KEY).run().table("lab_result")
    assert results["result_date"].to_pylist() == [expected, expected]


@pytest.mark.parametrize(
    ("born", "texts"),
    [
        (
            '{column: born, date_format: "%d/%m/%y", two_digit_years_from: 1925}',
            {"01/02/34": 85, "01/02/25": 94, "01/02/00": 19, "01/02/1934": None},
        ),
        ('{column: born, date_format: "%d/%m/%y", two_digit_years_from: 1900}', {"01/02/00": 119, "01/02/99": 20}),
    ],
)
def test_two_digit_years_of_birth_have_the_declared_century(centre, harmonised, born, texts):
    centre.spec(patients=PATIENTS.replace("birth_date: born", f"birth_date: {born}"))
    rows = (f"P{i};x;F;{text};10/01/2020;;" for i, text in enumerate(texts))
    centre.write("patients.csv", "\n".join(["id;name;sex;born;tpe;dead;seen", *rows]))
    assert dict(zip(texts, harmonised("patient", "age_years_at_first_tpe"), strict=True)) == texts


@pytest.mark.parametrize(
    ("pivot", "refused"),
    [("", {"34": "out_of_range"}), (", two_digit_years_from: 1925", {"x4": "not_a_number", "4": "out_of_range"})],
)
def test_a_two_digit_year_of_birth_needs_its_century(centre, harmonised, pivot, refused):
    centre.spec(patients=PATIENTS.replace("birth_date: born", "birth_year: {column: born" + pivot + "}"))
    texts = ["1934", "34", "x4", "4"]
    rows = (f"P{i};x;F;{text};10/01/2020;;" for i, text in enumerate(texts))
    centre.write("patients.csv", "\n".join(["id;name;sex;born;tpe;dead;seen", *rows]))
    rules = {texts[row - 2]: rule for row, rule in harmonised("quarantine", "row_number", "rule")}
    assert refused.items() <= rules.items() and "1934" not in rules
    assert ("34" in rules) == (not pivot)
