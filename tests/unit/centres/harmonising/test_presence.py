"""Records: which rows hold one, when a date is missing, and what a blank cell means."""

from datetime import date

import pytest
from tiny_centre import PATIENTS

from capla_etl.centres.errors import CentreRefused

COURSE = "{drug: {column: drug, vocabulary: {capla: caplacizumab, ritux: rituximab}}, start_date: from, end_date: to}"
EVENT = "{kind: {column: drug, vocabulary: {bleed: major_bleeding}}, event_date: from, site: {column: to, vocabulary: "
EVENT += "{arm: bruising}}}"
SESSION = "{session_date: from, volume_ml: {column: drug, unit: mL}}"
RUN = '{session_date: {column: from, run_to: to, missing: ["?"]}, volume_ml: {column: drug, unit: mL}}'


def rows(centre, records: list[tuple[str, str]], rows: list[str], header: str = "id;drug;from;to") -> None:
    """A file of rows without number of the patient A, read by records of (table, fields)."""
    listed = "\n".join(f"    - {{table: {table}, fields: {fields}}}" for table, fields in records)
    used = " ".join(fields for _, fields in records)
    ignored = ", ".join(f"{c}: not read" for c in header.split(";")[1:] if c not in used and c[:-1] + "{k}" not in used)
    centre.spec(
        "list:\n  file: list.csv\n  format: {type: delimited, encoding: utf-8, delimiter: ';'}\n  key: id\n"
        f"  date_format: '%d/%m/%Y'\n  ignored: {{{ignored}}}\n  records:\n{listed}"
    )
    centre.write("list.csv", "\n".join([header, *rows]))


@pytest.mark.parametrize(
    ("row", "courses", "rules"),
    [
        ("A;capla;12/01/2020;", [("caplacizumab", date(2020, 1, 12), None)], []),
        ("A;capla;;", [("caplacizumab", None, None)], []),
        ("A;;;", [], []),
        ("A;;12/01/2020;", [], ["required_missing"]),
        ("Z;capla;;", [], ["unknown_patient"]),
    ],
)
def test_a_row_that_names_a_drug_is_a_course_even_without_dates(centre, harmonised, row, courses, rules):
    rows(centre, [("drug_course", COURSE)], [row, "B;;02/03/2020;03/03/2020", "B;capla;02/03/2020;"])
    found = harmonised("drug_course", "centre_patient_id", "drug", "start_date", "end_date")
    assert [f[1:] for f in found if f[0] == "A"] == courses
    assert [rule for number, rule in harmonised("quarantine", "row_number", "rule") if number == 2] == rules


def test_an_undeclared_drug_without_dates_stops_the_centre(centre, harmonised):
    rows(centre, [("drug_course", COURSE)], ["A;capla;12/01/2020;", "A;other;;"])
    with pytest.raises(CentreRefused, match="found 'other' in 1 row"):
        harmonised("drug_course", "drug")


def test_a_constant_drug_with_blank_dates_is_no_course(centre, harmonised):
    fields = "{drug: {constant: rituximab}, start_date: from, end_date: to}"
    rows(centre, [("drug_course", fields)], ["A;;;", "B;1;?;"], "id;note;from;to")
    assert harmonised("drug_course", "centre_patient_id") == ["B"]


def test_a_drug_without_a_day_in_its_list_is_a_course(centre, harmonised):
    fields = "{drug: {column: drug, vocabulary: {ritux: rituximab}}, start_date: {column: from, separator: ','}}"
    listed = ["A;ritux;", "A;ritux;12/01/2020, 19/01/2020", "B;ritux;,", "B;;"]
    rows(centre, [("drug_course", fields)], listed, "id;drug;from")
    found = harmonised("drug_course", "source_row", "start_date")
    assert found == [(2, None), (3, date(2020, 1, 12)), (3, date(2020, 1, 19)), (4, None)]


@pytest.mark.parametrize(
    ("row", "events"),
    [
        ("A;bleed;;", [("major_bleeding", None, None)]),
        ("A;bleed;;arm", [("major_bleeding", None, "bruising")]),
        ("A;;;", []),
    ],
)
def test_an_event_of_a_kind_is_one_even_without_date_and_site(centre, harmonised, row, events):
    rows(centre, [("adverse_event", EVENT)], [row])
    assert harmonised("adverse_event", "kind", "event_date", "site") == events


@pytest.mark.parametrize(
    ("row", "rules"), [("A;3100;;", ["required_missing"]), ("A;;;", []), ("Z;3100;;", ["unknown_patient"])]
)
@pytest.mark.parametrize("fields", [SESSION, RUN])
def test_a_volume_without_a_date_is_asked_about(centre, harmonised, row, rules, fields):
    rows(centre, [("tpe_session", fields)], [row])
    assert harmonised("tpe_session", "session_date") == []
    assert harmonised("quarantine", "rule") == rules


@pytest.mark.parametrize("end", ["", "?"])
def test_a_missing_code_is_no_end_of_a_run(centre, harmonised, end):
    rows(centre, [("tpe_session", RUN)], [f"A;;12/01/2020;{end}", "A;;?;?", "A;;14/01/2020;15/01/2020"])
    assert harmonised("quarantine", "row_number", "rule") == [(2, "run_without_end")]
    assert [d.day for d in harmonised("tpe_session", "session_date")] == [14, 15]


def test_a_volume_that_several_exchanges_share_makes_none(centre, harmonised):
    of = "{{session_date: {}, volume_ml: {{column: drug, unit: mL}}}}"
    rows(centre, [("tpe_session", of.format(day)) for day in ("from", "to")], ["A;3100;12/01/2020;", "B;3100;;"])
    assert harmonised("tpe_session", "centre_patient_id", "volume_ml") == [("A", 3100)]
    assert harmonised("quarantine", "rule") == []


def test_a_volume_beside_repeated_dates_makes_no_exchange(centre, harmonised):
    rows(
        centre,
        [("tpe_session", "{session_date: 'day{k}', volume_ml: {column: drug, unit: mL}}")],
        ["A;3100;12/01/2020;"],
        "id;drug;day1;day2",
    )
    assert harmonised("tpe_session", "source_repetition") == [1]
    assert harmonised("quarantine", "rule") == []


@pytest.mark.parametrize(
    "answer",
    [
        '{column: drug, filled: "yes", blank: not_assessed, words: [x]}',
        '{column: drug, vocabulary: {x: "yes", n: "no"}, blank: not_assessed, missing: [n.d.]}',
    ],
)
def test_a_blank_cell_with_a_meaning_is_an_answer(centre, harmonised, answer):
    fields = f"{{kind: {{constant: major_bleeding}}, answer: {answer}}}"
    rows(centre, [("adverse_event_assessment", fields)], ["A;x;1", "B;;2"], "id;drug;row")
    found = harmonised("adverse_event_assessment", "centre_patient_id", "answer")
    assert found == [("A", "yes"), ("B", "not_assessed")]


def test_a_blank_word_of_a_vocabulary_is_no_missing_code(centre, harmonised):
    coma = 'coma: {column: cm, vocabulary: {x: "yes"}, blank: "no", missing: [n.d.]}'
    centre.spec(patients=PATIENTS.replace("sex: {", f"{coma}, sex: {{"))
    cells = {"x": "yes", "": "no", "n.d.": "unknown"}
    listed = (f"P{i};x;F;01/02/1970;10/01/2020;;;{text}" for i, text in enumerate(cells))
    centre.write("patients.csv", "\n".join(["id;name;sex;born;tpe;dead;seen;cm", *listed]))
    assert harmonised("patient", "coma") == list(cells.values())


@pytest.mark.parametrize(
    ("text", "number"),
    [("Wien 12", "12"), ("Wien 12 34", "12 34"), ("Wien  AT-7 (alt) ", "AT-7 (alt)"), ("Wien", None), ("Wien ", None)],
)
def test_everything_after_the_first_separator_is_the_number_there(centre, harmonised, text, number):
    source = 'transferred_from: {column: was, separator: " ", centres: {Wien: AT01}}'
    centre.spec(patients=PATIENTS.replace("sex: {", f"{source}, sex: {{"))
    centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen;was\nA;x;F;01/02/1970;10/01/2020;;;{text}")
    if number:
        assert harmonised("patient", "transferred_from_centre_patient_id") == [number]
    else:
        with pytest.raises(CentreRefused, match="Wien <number>"):
            harmonised("patient", "sex")
