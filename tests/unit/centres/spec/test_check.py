"""Specs: what is refused before a file is read, with a message that says what to do."""

import unicodedata
from datetime import date

import pytest
from tiny_centre import HEAD, PATIENTS

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.check import load_spec


def problems(centre, **spec: str) -> str:
    centre.spec(**spec)
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert "Traceback" not in str(refusal.value) and "{'" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("born", "said"),
    [
        (
            '{column: born, date_format: "%d/%m/%y"}',
            "two_digit_years_from missing; %y alone would read a birth in 1934",
        ),
        ('{column: born, date_format: "%d/%m/%Y", two_digit_years_from: 1925}', "have no two-digit years (%y); remove"),
        ('{column: born, date_format: "%d/%m/%y", two_digit_years_from: 25}', "found 25; expected a year from 1850"),
        ('{column: born, date_format: "%d/%m/%y", two_digit_years_from: soon}', "two_digit_years_from: found 'soon'"),
        ("{constant: last year}", "found 'last year'; expected %d/%m/%Y or an ISO date"),
        ('{constant: "31/02/1980"}', "expected %d/%m/%Y or an ISO date"),
    ],
)
def test_a_birth_needs_its_century_and_a_constant_date_is_one(centre, born, said):
    assert said in problems(centre, patients=PATIENTS.replace("birth_date: born", f"birth_date: {born}"))


def test_the_format_of_the_table_counts_for_a_birth_too(centre):
    two_digits = PATIENTS.replace('date_format: "%d/%m/%Y"', 'date_format: "%d/%m/%y"')
    assert "birth_date: two_digit_years_from missing" in problems(centre, patients=two_digits)
    declared = two_digits.replace("birth_date: born", "birth_date: {column: born, two_digit_years_from: 1925}")
    centre.spec(patients=declared)
    load_spec(centre.folder / "centre.yml")


@pytest.mark.parametrize("day", ['"2020-01-10"', '"10/01/2020"'])
def test_a_constant_date_is_in_the_declared_format_or_iso(centre, harmonised, day):
    constant = PATIENTS.replace("first_tpe_date: tpe", f"first_tpe_date: {{constant: {day}}}")
    centre.spec(patients=constant.replace("forbidden:", "ignored: {tpe: the same for all}\n    forbidden:"))
    assert set(harmonised("patient", "first_tpe_date")) == {date(2020, 1, 10)}


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Viena", "found 'Europe/Viena'; expected a time zone by its IANA name, such as Europe/Vienna or UTC"),
        ("MEZ", "found 'MEZ'; expected a time zone"),
        ("../etc/passwd", "expected a time zone"),
    ],
)
def test_a_zone_is_an_iana_name(centre, zone, said):
    assert said in problems(centre, head=f"{HEAD}zone: {zone}\n")
    of_table = PATIENTS.replace("    key: id", f"    key: id\n    zone: {zone}")
    assert "tables.patients.zone" in problems(centre, patients=of_table)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/Sao_Paulo"])
def test_a_known_zone_is_accepted(centre, zone):
    centre.spec(head=f"{HEAD}zone: {zone}\n")
    assert load_spec(centre.folder / "centre.yml").zone == zone


def test_a_column_cannot_be_both_used_and_forbidden(centre):
    said = problems(centre, patients=PATIENTS.replace("{name: name}", "{name: name, seen: place}"))
    assert "column 'seen' is used and forbidden" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "found an empty document; expected the keys centre, lists, tables"),
        ("# nothing yet\n", "found an empty document"),
        ("- centre\n- lists\n", "found a list; expected the keys"),
        ("centre\n", "found a text; expected the keys"),
        ("? [a]\n: b\n", "found a key that is no text"),
        (HEAD + "tables: [a]\n", "tables: found a list; expected"),
        (HEAD + "tables: {patients: {file: {a: b}}}\n", "file: found a mapping; expected"),
    ],
)
def test_a_document_of_another_kind_is_named_in_words(centre, content, said):
    centre.spec()
    (centre.folder / "centre.yml").write_text(content, encoding="utf-8")
    with pytest.raises(CentreRefused) as refusal:
        load_spec(centre.folder / "centre.yml")
    assert said in str(refusal.value) and "['" not in str(refusal.value) and "{'" not in str(refusal.value)


def test_words_are_compared_with_composed_letters(centre, harmonised):
    """A Mac writes é as two signs, in a file or in a spec."""
    decomposed = unicodedata.normalize("NFD", "décédée")
    centre.spec(patients=PATIENTS.replace("{F: female, M: male}", f"{{Féminin: female, {decomposed}: male}}"))
    feminin = unicodedata.normalize("NFD", "Féminin")
    centre.write(
        "patients.csv",
        f"id;name;sex;born;tpe;dead;seen\nA;x;{feminin};01/02/1970;10/01/2020;;\nB;x;décédée;01/02/1970;10/01/2020;;",
    )
    assert harmonised("patient", "sex") == ["female", "male"]


LIST = """
list:
  file: list.csv
  format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
  key: id
  date_format: "%d/%m/%Y"
  records: [{{table: {table}, fields: {{{fields}}}}}]
"""
PLATELETS = "platelets_10e9_per_l: {column: plt, unit: 10^9/L}"


@pytest.mark.parametrize(
    ("table", "fields", "said"),
    [
        ("patient", "last_contact_date: {column: d, study_day: true}", "not allowed for a patient's own dates"),
        ("patient", "death_date: {column: d, study_day: sdtm}", "not allowed for a patient's own dates"),
        ("patient", "icu_days: {column: d, unit: days, study_day: true}", "study_day: not allowed for icu_days"),
        ("patient", "discharge_date: {column: d, separator: ','}", "separator: not allowed for discharge_date"),
        ("tpe_session", "session_date: {column: d, study_day: true, run_to: e}", "run_to: not allowed with study_day"),
        ("tpe_session", "session_date: {column: d, separator: ',', run_to: e}", "separator: not allowed with run_to"),
        ("lab_result", f"result_date: {{column: d, run_to: e}}, {PLATELETS}", "run_to: not allowed for result_date"),
        ("lab_result", f"result_date: {{column: d, separator: ','}}, {PLATELETS}", "separator: not allowed for result"),
        (
            "drug_course",
            "drug: {constant: rituximab}, start_date: {column: d, separator: ','}, end_date: e",
            "beside end_date would give each the same end",
        ),
        ("patient", "age_years_reported: {column: v, unit: months}", "no whole numbers of years; ask the centre for y"),
        ("patient", "icu_days: {column: v, unit: {column: u, codes: {h: hours}}}", "no whole numbers of days"),
        ("patient", 'coma: {column: c, vocabulary: {x: "yes", "": "no"}}', "an empty word; write `blank: no`"),
        ("patient", 'coma: {column: c, vocabulary: {x: "yes"}, blank: never}', "blank: found 'never'; expected one of"),
        ("patient", 'coma: {column: c, vocabulary: {x: "yes"}, filled: "yes"}', "filled: found with a vocabulary"),
        ("patient", 'icu_days: {column: c, unit: days, blank: "0"}', "not allowed for fields of type integer"),
    ],
)
def test_a_key_that_would_be_read_wrongly_is_refused(centre, table, fields, said):
    assert said in problems(centre, tables=LIST.format(table=table, fields=fields))


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("lab_result", f"result_date: {{column: d, study_day: true}}, {PLATELETS}"),
        ("tpe_session", "session_date: {column: d, run_to: e}"),
        ("tpe_session", "session_date: {column: d, study_day: true, separator: ','}"),
        ("adverse_event", "kind: {constant: other}, event_date: {column: d, separator: ','}"),
        ("patient", "icu_days: {column: v, unit: weeks}"),
        ("patient", 'coma: {column: c, vocabulary: {x: "yes"}, blank: "no"}'),
    ],
)
def test_the_same_keys_are_accepted_where_they_have_a_meaning(centre, table, fields):
    centre.spec(LIST.format(table=table, fields=fields))
    load_spec(centre.folder / "centre.yml")


def said_of(centre, **spec: str) -> str:
    """What is said of a spec; nothing if it is accepted."""
    centre.spec(**spec)
    try:
        load_spec(centre.folder / "centre.yml")
    except CentreRefused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("formats", "differ"),
    [
        ('["%d/%m/%Y", "%m/%d/%Y"]', True),
        ('["%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M"]', True),
        ('[iso8601, "%Y-%d-%m"]', True),
        ('["%d/%m/%y", "%y/%m/%d"]', True),
        ('["%d/%m/%Y", "%-d/%-m/%Y"]', False),
        ('[iso, iso8601, date_cell, excel_day_number, "%d.%m.%Y"]', False),
        ('["%d.%m.%Y", "%d/%m/%Y", "%Y%m%d"]', False),
    ],
)
def test_formats_that_read_one_text_as_two_days_are_refused(centre, formats, differ):
    said = said_of(centre, patients=PATIENTS.replace('date_format: "%d/%m/%Y"', f"date_format: {formats}"))
    assert ("read the same text differently" in said) == differ, said


KINDS = """
labs:
  file: labs.csv
  format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
  key: id
  date_format: iso
  row_kinds: {kinds}
  records:
    - table: lab_result
      rows: plt
      fields: {{result_date: day, platelets_10e9_per_l: {{column: v, unit: 10^9/L}}}}
"""


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ("{column: test, kinds: {plt: [PLT]}, ignored: {CRP: not a study field}}", ""),
        ("{column: test, kinds: {plt: [PLT], other: [PLT]}}", "the word 'PLT' stands more than once"),
        (
            "{column: test, kinds: {plt: [PLT]}, ignored: {PLT: not a study field}}",
            "the word 'PLT' stands more than once",
        ),
    ],
)
def test_a_word_is_of_one_kind(centre, kinds, said):
    found = said_of(centre, tables=KINDS.format(kinds=kinds))
    assert (said in found) if said else not found
