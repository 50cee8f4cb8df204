"""Patient numbers: one form, no rounded ones; a record in doubt gets no results; fields from several files."""

import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records: [{table: lab_result, fields: {result_date: day, platelets_10e9_per_l: {column: plt, unit: 10^9/L}}}]
"""
ROW = "x;F;01/02/1970;10/01/2020;;01/06/2020"


def load(centre, loaded, patients: str, labs: str) -> tuple[list[str], list[str], list[tuple]]:
    """Load patients (a number, or a whole row) and results; return whose were kept, and (file, rule) of the others."""
    rows = [row if ";" in row else f"{row};{ROW}" for row in patients.split("|")]
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\n" + "\n".join(rows))
    centre.write(
        "labs.csv", "id;day;plt\n" + "\n".join(f"{key};12/01/2020;{20 + i}" for i, key in enumerate(labs.split("|")))
    )
    centre.spec(LABS)
    load_centre("XX01")
    patients_of, results_of = (
        [r["centre_patient_id"] for r in loaded(f"harmonised.{name}")] for name in ("patient", "lab_result")
    )
    return patients_of, results_of, [(q["file"], q["rule"]) for q in loaded("quality.quarantine")]


@pytest.mark.parametrize("sent", ["A1", " A1 ", "A\u200b1", "A1\ufeff", "\u00a0A1"])
def test_signs_that_nobody_sees_are_no_part_of_a_number(centre, loaded, sent):
    assert load(centre, loaded, "A1", sent) == (["A1"], ["A1"], [])
    assert load(centre, loaded, sent, "A1") == (["A1"], ["A1"], [])


def test_composed_and_decomposed_letters_are_one(centre, loaded):
    assert load(centre, loaded, "e\u0301 1", "\u00e9 1") == (["\u00e9 1"], ["\u00e9 1"], [])


@pytest.mark.parametrize(("one", "other"), [("A1", "a1"), ("007", "7"), ("P-07", "P-7"), ("A 1", "A1")])
def test_numbers_that_are_nearly_alike_are_asked_about_and_get_no_results(centre, loaded, one, other):
    patients, results, refused = load(centre, loaded, f"{one}|{other}|B2", f"{one}|{other}|B2")
    assert (patients, results) == ([one, "B2"], ["B2"])
    assert refused[0] == ("labs.csv", "record_in_doubt") and ("patients.csv", "number_alike") in refused


@pytest.mark.parametrize(("one", "other"), [("A1", "A2"), ("10", "1"), ("100", "10"), ("A", "AA"), ("1-10", "11-0")])
def test_different_numbers_are_different_patients(centre, loaded, one, other):
    assert load(centre, loaded, f"{one}|{other}", f"{one}|{other}") == ([one, other], [one, other], [])


def test_results_of_a_record_that_another_row_contradicts_are_held_back(centre, loaded):
    other = "A;x;M;01/02/1970;10/01/2020;;01/06/2020"
    patients, results, refused = load(centre, loaded, f"A|{other}|B", "A|B")
    assert (patients, results) == (["A", "B"], ["B"])
    assert refused == [("labs.csv", "record_in_doubt"), ("patients.csv", "duplicate_patient")]


@pytest.mark.parametrize("rounded", ["1.23457E+15", "1,23457E+15", "1e+16", "2E+09"])
def test_a_number_that_a_spreadsheet_rounded_is_none(centre, loaded, rounded):
    patients, results, refused = load(centre, loaded, f"{rounded}|B", f"{rounded}|B")
    assert (patients, results) == (["B"], ["B"])
    assert refused == [("labs.csv", "rounded_number"), ("patients.csv", "rounded_number")]


@pytest.mark.parametrize("word", ["#N/A", "#REF!", "#NAME?", "(formula without value)", "nan", "NULL"])
def test_an_error_or_a_word_for_nothing_names_no_patient(centre, loaded, word):
    patients, results, refused = load(centre, loaded, f"{word}|B", f"{word}|B")
    assert (patients, results) == (["B"], ["B"])
    assert refused == [("labs.csv", "no_number"), ("patients.csv", "no_number")]


@pytest.mark.parametrize("number", ["#12", "NA-1", "N1"])
def test_a_number_that_only_looks_like_an_error_is_one(centre, loaded, number):
    assert load(centre, loaded, number, number)[1] == [number]


@pytest.mark.parametrize("number", ["12E5", "1E-05", "E+12", "3.5"])
def test_a_number_with_an_e_is_one(centre, loaded, number):
    assert load(centre, loaded, number, number)[0] == [number]


@pytest.mark.parametrize("bare", ["Total;;;;;;", "n = 3;;;;;;"])
def test_a_row_with_nothing_but_a_number_is_asked_about(centre, loaded, bare):
    assert load(centre, loaded, f"A|{bare}", "A") == (["A"], ["A"], [("patients.csv", "nothing_but_key")])


# ---------------------------------------------------------------- fields from several files

BASELINE = """
baseline:
  file: lb.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  row_kinds: {column: test, kinds: {hgb: [HGB], creat: [CREAT]}, ignored: {CRP: not a study field}}
  records:
    - table: patient
      rows: hgb
      fields: {hemoglobin_g_per_dl: {column: result, unit: {column: unit, codes: {g/dL: g/dL, g/L: g/L}}}}
    - table: patient
      rows: creat
      fields: {creatinine_umol_per_l: {column: result, unit: {column: unit, codes: {mg/dL: mg/dL}}}}
"""


@pytest.fixture
def baseline(centre, loaded):
    """Load laboratory rows ``id;test;result;unit`` of one row a test; return haemoglobin, creatinine, rules by row."""

    def load_rows(*rows: str) -> tuple[list, dict]:
        centre.spec(BASELINE)
        centre.write("lb.csv", "\n".join(["id;test;result;unit", *rows]))
        load_centre("XX01")
        values = [(p["hemoglobin_g_per_dl"], p["creatinine_umol_per_l"]) for p in loaded("harmonised.patient")]
        return values, {q["row_number"]: q["rule"] for q in loaded("quality.quarantine")}

    return load_rows


def test_one_row_a_test_fills_the_patients_record(baseline, loaded):
    values, refused = baseline("B;HGB;92;g/L", "A;CREAT;1.5;mg/dL", "A;HGB;8.5;g/dL", "A;CRP;5;mg/L", "B;CREAT;;mg/dL")
    assert values == [(8.5, pytest.approx(132.6)), (9.2, None)] and not refused
    assert {r["sex"] for r in loaded("harmonised.patient")} == {"female", "male"}


def test_a_second_value_is_asked_about_and_an_equal_one_is_none(baseline):
    values, refused = baseline("A;HGB;8.5;g/dL", "A;HGB;9.5;g/dL", "A;HGB;85;g/L")
    assert values[0][0] == 8.5 and refused == {3: "second_value"}


def test_a_test_of_nobody_known_makes_no_patient(baseline):
    values, refused = baseline("C;HGB;8.5;g/dL")
    assert values == [(None, None), (None, None)] and refused == {2: "unknown_patient"}


def test_two_tables_that_give_one_record_are_one_patient(centre, loaded):
    """Each patient once, with what either table gives; a field that both give otherwise is asked about."""
    centre.spec(
        """
        more:
          file: more.csv
          format: {type: delimited, encoding: utf-8, delimiter: ";"}
          key: id
          date_format: "%d/%m/%Y"
          records:
            - table: patient
              fields: {discharge_date: home, last_contact_date: seen, coma: {column: coma, vocabulary: {y: "yes"}}}
        """
    )
    centre.write("more.csv", "id;home;seen;coma\nA;20/01/2020;01/06/2020;y\nB;;21/03/2020;")
    load_centre("XX01")
    patients = loaded("harmonised.patient")
    assert [(p["centre_patient_id"], str(p["discharge_date"]), p["coma"]) for p in patients] == [
        ("A", "2020-01-20", "yes"),
        ("B", "None", "unknown"),
    ]
    assert [(q["file"], q["column_name"], q["rule"]) for q in loaded("quality.quarantine")] == [
        ("more.csv", "seen", "second_value")
    ]


MORE = """
more:
  file: more.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records:
    - table: patient
      fields:
        adamts13_percent: {column: act, unit: "%"}
        death_date: {column: died, partial_date_format: "%m/%Y"}
again:
  file: again.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  records: [{table: patient, fields: {adamts13_percent: {column: act, unit: "%"}}}]
"""


@pytest.mark.parametrize(
    ("first", "second", "kept", "asked"),
    [("10", "<10", (10, None), True), ("<10", "10", (10, "<"), True), ("<10", "< 10", (10, "<"), False)],
)
def test_a_result_and_its_comparator_are_one_value(centre, loaded, first, second, kept, asked):
    centre.spec(MORE)
    centre.write("more.csv", f"id;act;died\nA;{first};")
    centre.write("again.csv", f"id;act\nA;{second}")
    load_centre("XX01")
    patient = loaded("harmonised.patient")[0]
    assert (patient["adamts13_percent"], patient["adamts13_comparator"]) == kept
    assert [q["rule"] for q in loaded("quality.quarantine")] == (["second_value"] if asked else [])


@pytest.mark.parametrize(
    ("sent", "kept", "asked"),
    [("20/03/2020", "2020-03-20", False), ("03/2020", "2020-03-20", True), ("21/03/2020", "2020-03-20", True)],
)
def test_a_day_of_death_and_a_month_are_compared(centre, loaded, sent, kept, asked):
    """B died on 20/03/2020 by the list of patients."""
    centre.spec(MORE)
    centre.write("more.csv", f"id;act;died\nB;;{sent}")
    centre.write("again.csv", "id;act\nA;5")
    load_centre("XX01")
    patient = loaded("harmonised.patient")[1]
    assert (str(patient["death_date"]), patient["death_month"]) == (kept, None)
    assert [q["rule"] for q in loaded("quality.quarantine")] == (["second_value"] if asked else [])


def test_a_month_of_death_from_a_second_file_is_kept(centre, loaded):
    centre.spec(MORE)
    centre.write("more.csv", "id;act;died\nA;;07/2020")
    centre.write("again.csv", "id;act\nA;5")
    load_centre("XX01")
    assert str(loaded("harmonised.patient")[0]["death_month"]) == "2020-07-01"
    (added,) = (r for r in loaded("quality.added_field") if r["field"] == "death_date")
    assert (added["source_file"], added["source_row"]) == ("more.csv", 2)


def test_a_row_of_nobody_without_values_is_asked_about(centre, loaded):
    """The title of a second table, say."""
    centre.spec(LABS)
    centre.write("labs.csv", "id;day;plt\nA;12/01/2020;20\nRituximab;;\nB;;")
    load_centre("XX01")
    assert [(q["row_number"], q["rule"]) for q in loaded("quality.quarantine")] == [(3, "unknown_patient")]


def test_numbers_below_a_merged_cell_are_filled_down(centre, loaded):
    labs = LABS.replace("  key: id", "  key: id\n  fill_down: [id]")
    centre.spec(labs)
    centre.write("labs.csv", "id;day;plt\nA;12/01/2020;20\n;13/01/2020;30\nB;02/03/2020;40\n;03/03/2020;50")
    load_centre("XX01")
    results = [(r["centre_patient_id"], r["value"]) for r in loaded("harmonised.lab_result")]
    assert results == [("A", 20), ("A", 30), ("B", 40), ("B", 50)] and not loaded("quality.quarantine")
    assert [r["id"] for r in loaded("raw.xx01__labs")] == ["A", "", "B", ""], "as sent"


def test_a_cell_is_not_filled_down_unless_declared(centre, loaded):
    patients, results, refused = load(centre, loaded, "A", "A|")
    assert results == ["A"] and refused == [("labs.csv", "missing_key")]


def test_most_results_of_nobody_known_still_stop_the_centre(centre, loaded):
    with pytest.raises(CentreRefused, match="unknown_patient 30"):
        load(centre, loaded, "A", "|".join(["A", *(f"Z{i}" for i in range(30))]))
