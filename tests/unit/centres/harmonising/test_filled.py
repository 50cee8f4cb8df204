"""Answers and records that follow from whether a cell is filled in: what fills it must be what the column holds."""

from datetime import date

import pytest
from tiny_centre import PATIENTS

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.check import load_spec

DIED = """died: {column: dead, filled: "yes", blank: "no"},
                 death_date: {column: dead, partial_date_format: "%m/%Y"}"""


def patients(centre, cells: dict[str, str], fields: str = DIED) -> None:
    """A patient for each text of column ``dead``, first treated on 10/01/2020; the submission is of 31/12/2020."""
    assert DIED in PATIENTS
    centre.spec(patients=PATIENTS.replace(DIED, fields))
    rows = (f"P{i};x;F;01/02/1970;10/01/2020;{text};" for i, text in enumerate(cells))
    centre.write("patients.csv", "\n".join(["id;name;sex;born;tpe;dead;seen", *rows]))


def answers(harmonised, cells: dict[str, str], field: str = "died") -> dict[str, str]:
    return dict(zip(cells, harmonised("patient", field), strict=True))


def refused(harmonised, cells: dict[str, str]) -> dict[str, list[str]]:
    """The rules that refuse each text."""
    texts, found = list(cells), {}
    for row, rule in harmonised("quarantine", "row_number", "rule"):
        found.setdefault(texts[row - 2], []).append(rule)
    return found


def test_a_date_of_death_makes_the_answer_yes_and_any_other_text_is_asked_about_once(centre, harmonised):
    expected = {
        "": "no",
        "20/03/2020": "yes",
        "03/2020": "yes",
        "31/12/2020": "yes",
        "01/01/2021": "unknown",
        "31/12/9999": "unknown",
        "01/01/1900": "unknown",
        "alive": "unknown",
        "-": "unknown",
        "0": "unknown",
        "31/02/2020": "unknown",
        "no": "unknown",
    }
    patients(centre, expected)
    assert answers(harmonised, expected) == expected
    assert refused(harmonised, expected) == {
        "01/01/2021": ["after_data_cutoff"],
        "31/12/9999": ["after_data_cutoff"],
        "01/01/1900": ["long_ago"],
        "alive": ["not_a_date"],
        "-": ["not_a_date"],
        "0": ["not_a_date"],
        "31/02/2020": ["not_a_date"],
        "no": ["not_a_date"],
    }


def test_declared_words_fill_the_cell_and_missing_codes_leave_it_blank(centre, harmonised):
    expected = {"dead": "yes", "20/03/2020": "yes", "-": "no", "": "no", "Dead": "unknown"}
    fields = """died: {column: dead, filled: "yes", blank: "no", words: [dead], missing: ["-"]},
                 death_date: {column: dead, missing: ["-"]}"""
    patients(centre, expected, fields)
    assert answers(harmonised, expected) == expected
    days = dict(zip(expected, harmonised("patient", "death_date"), strict=True))
    assert days == dict.fromkeys(expected) | {"20/03/2020": date(2020, 3, 20)}
    assert refused(harmonised, expected) == {"Dead": ["not_a_date"]}


def test_a_missing_code_of_the_date_alone_is_neither_filled_nor_blank(centre, harmonised):
    expected = {"unknown": "unknown", "": "no"}
    patients(centre, expected, DIED.replace("dead, partial", "dead, missing: [unknown], partial"))
    assert answers(harmonised, expected) == expected
    assert refused(harmonised, expected) == {"unknown": ["not_what_fills"]}
    (message,) = harmonised("quarantine", "message")
    assert message.startswith("Filled in, but not with a date, so the answer is unknown")


def test_an_answer_may_name_the_dates_or_the_words_that_fill_its_cell(centre, harmonised):
    expected = {"20/03/2020": "yes", "": "no", "alive": "unknown", "01/01/2021": "unknown", "x": "yes"}
    filled = 'died: {column: dead, filled: "yes", blank: "no", date_format: "%d/%m/%Y", words: [x]}'
    patients(centre, expected, filled)
    assert answers(harmonised, expected) == expected
    assert refused(harmonised, expected) == {"alive": ["not_a_date"], "01/01/2021": ["after_data_cutoff"]}


def test_words_alone_fill_a_cell_of_words(centre, harmonised):
    expected = {"x": "yes", "": "unknown", "X": "unknown", "-": "unknown"}
    patients(centre, expected, 'died: {column: dead, filled: "yes", words: [x]}')
    assert answers(harmonised, expected) == expected
    assert refused(harmonised, expected) == {"X": ["not_what_fills"], "-": ["not_what_fills"]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ('died: {column: dead, filled: "yes", blank: "no"}', "Declare its `date_format` if it holds dates, or `words"),
        ('died: {column: dead, blank: "no", words: [x]}', "found without `filled`"),
        ("died: {column: dead, filled: ja, words: [x]}", "'ja'; expected one of: yes, no, unknown"),
        ('died: {column: dead, filled: "yes", date_format: "%q"}', "found '%q'"),
    ],
)
def test_a_spec_must_say_what_fills_the_cell(centre, fields, said):
    patients(centre, {"": ""}, fields)
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert said in str(refusal.value)


PEX = """
pex:
  file: pex.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records:
    - table: tpe_session
      present: {column: pex}
      fields: {session_date: day, volume_ml: {column: pex, unit: mL, missing: ["-9"]}}
"""


def test_a_volume_makes_an_exchange_and_what_is_none_is_asked_about(centre, harmonised):
    cells = ["3000", "", "-", "0", "0.0", "no", "100", "-9", "-9.0", "<3000"]
    centre.spec(PEX)
    centre.write("pex.csv", "\n".join(["id;day;pex", *(f"A;{11 + i}/01/2020;{pex}" for i, pex in enumerate(cells))]))
    sessions = {day.day - 11: volume for day, volume in harmonised("tpe_session", "session_date", "volume_ml")}
    # 100 mL is an amount, and not plausible: the exchange is kept, its volume unknown
    unknown = dict.fromkeys(["100", "-9", "-9.0", "<3000"])
    assert {cells[i]: volume for i, volume in sessions.items()} == {"3000": 3000, **unknown}
    rules = {cells[row - 2]: rule for row, rule in harmonised("quarantine", "row_number", "rule")}
    assert rules == {
        "-": "not_a_number",
        "0": "out_of_range",
        "0.0": "out_of_range",
        "no": "not_a_number",
        "100": "out_of_range",
        "<3000": "comparator_not_allowed",
    }


def test_a_mark_must_be_declared(centre):
    centre.spec(PEX.replace('volume_ml: {column: pex, unit: mL, missing: ["-9"]}', 'volume_ml: {constant: "3000"}'))
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert "any text in 'pex' would count as filled in. Declare the words" in str(refusal.value)
