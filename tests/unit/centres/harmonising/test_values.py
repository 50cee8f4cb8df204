"""Values: accepted as declared, or refused with their place and reason; never dropped, never silently null."""

import hashlib
import hmac
from datetime import date

import duckdb
import pytest
from tiny_centre import PATIENTS, load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.pseudonym import DEMONSTRATION_KEY, patient_id_sql, use_key

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  decimal: ","
  date_format: "%d/%m/%Y"
  row_kinds: {column: test, kinds: {platelets: [PLT], ldh: [LDH], adamts13: [A13]}}
  records:
    - table: lab_result
      rows: platelets
      fields:
        result_date: date
        platelets_10e9_per_l: {column: value, unit: {column: unit, codes: {G/L: 10^9/L, /mm3: /mm3}}}
    - table: lab_result
      rows: ldh
      fields:
        result_date: date
        ldh_x_uln: {column: value, unit: {column: unit, codes: {U/L: U/L, xULN: x ULN}}, uln: {column: uln}}
    - table: lab_result
      rows: adamts13
      fields:
        result_date: date
        adamts13_percent: {column: value, unit: {column: unit, codes: {"%": "%", IU/mL: IU/mL}}, missing: [ND]}
"""


def judge(centre, loaded, row: str) -> tuple[float, str | None] | str:
    """One lab row of patient A on 12/01/2020 (``test;value;unit;uln``): (value, comparator), else the refusing rule."""
    centre.spec(LABS)
    centre.write("labs.csv", f"id;date;test;value;unit;uln\nA;12/01/2020;{row}")
    load_centre("XX01")
    results, refused = loaded("harmonised.lab_result"), loaded("quality.quarantine")
    assert len(results) + len(refused) <= 1
    if results:
        return results[0]["value"], results[0]["comparator"]
    return refused[0]["rule"] if refused else "no result"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("PLT;12;G/L;", (12.0, None)),
        ("PLT; 12,5 ;G/L;", (12.5, None)),
        ("PLT;12000;/mm3;", (12.0, None)),
        ("PLT;12.000;G/L;", "not_a_number"),  # in a decimal-comma file this is neither 12 nor certainly 12 000
        ("PLT;1,2,3;G/L;", "not_a_number"),
        ("PLT;clumped;G/L;", "not_a_number"),
        ("PLT;1e2;G/L;", (100.0, None)),
        ("PLT;<5;G/L;", "comparator_not_allowed"),
        ("PLT;12;mg/L;", "unit_not_accepted"),
        ("PLT;12;;", "unit_not_accepted"),
        ("PLT;1;G/L;", (1.0, None)),
        ("PLT;0,9;G/L;", "out_of_range"),
        ("PLT;2000;G/L;", (2000.0, None)),
        ("PLT;2001;G/L;", "out_of_range"),
        ("PLT;-1;G/L;", "out_of_range"),
        ("PLT;9999999999;G/L;", "out_of_range"),
        ("PLT;99999999999999999999999999999;G/L;", "out_of_range"),
        ("PLT;;G/L;", "no result"),
        ("LDH;375;U/L;250", (1.5, None)),
        ("LDH;1,7;xULN;", (1.7, None)),
        ("LDH;375;U/L;", "limit_missing"),
        ("LDH;375;U/L;2500", "limit_not_plausible"),
        ("LDH;375;U/L;high", "limit_not_plausible"),
        ("LDH;20;U/L;200", (0.1, None)),
        ("LDH;19;U/L;190", "out_of_range"),
        ("LDH;30000;U/L;300", (100.0, None)),
        ("LDH;30001;U/L;301", "out_of_range"),
        ("A13;<5;%;", (5.0, "<")),
        ("A13;< 5;%;", (5.0, "<")),
        ("A13;<0,05;IU/mL;", (5.0, "<")),
        ("A13;> 100;%;", (100.0, ">")),
        ("A13;<<5;%;", "not_a_number"),
        ("A13;ND;%;", "no result"),
        ("A13;200;%;", (200.0, None)),
        ("A13;201;%;", "out_of_range"),
    ],
)
def test_a_number_is_read_exactly_or_refused(centre, loaded, row, expected):
    assert judge(centre, loaded, row) == expected


@pytest.mark.parametrize(
    ("patient", "day", "expected"),
    [
        ("A", "12/01/2020", date(2020, 1, 12)),
        ("A", "12/01/20", "not_a_date"),
        ("A", "2020-01-12", "not_a_date"),
        ("A", "01/13/2020", "not_a_date"),
        ("A", "31/02/2020", "not_a_date"),
        ("A", "", "required_missing"),
        ("A", "31/12/2020", date(2020, 12, 31)),  # the day of the cut-off
        ("A", "01/01/2021", "after_data_cutoff"),
        ("A", "02/06/2020", date(2020, 6, 2)),  # after the last contact but within the cut-off: kept
        ("B", "20/03/2020", date(2020, 3, 20)),  # the day of death
        ("B", "21/03/2020", "after_death"),
        ("B", "31/01/2020", date(2020, 1, 31)),  # thirty days before the first exchange
        ("B", "30/01/2020", "long_before_first_exchange"),
        ("B", "01/02/1980", "long_before_first_exchange"),  # the day of birth
        ("B", "31/01/1980", "before_birth"),
        ("B", "01/01/0000", "before_birth"),
        ("C", "12/01/2020", "unknown_patient"),
        ("", "12/01/2020", "missing_key"),
        (" A ", "12/01/2020", date(2020, 1, 12)),
    ],
)
def test_a_date_is_one_of_the_calendar_and_possible_in_the_patients_time(centre, loaded, patient, day, expected):
    centre.spec(LABS)
    centre.write("labs.csv", f"id;date;test;value;unit;uln\n{patient};{day};PLT;12;G/L;")
    load_centre("XX01")
    results, refused = loaded("harmonised.lab_result"), loaded("quality.quarantine")
    assert [r["result_date"] for r in results] + [q["rule"] for q in refused] == [expected]


def test_a_refused_value_keeps_its_place_and_raw_text(centre, loaded):
    centre.spec(LABS)
    centre.write("labs.csv", "id;date;test;value;unit;uln\nA;12/01/2020;PLT;12;G/L;\nA;13/01/2020;PLT;clumped;G/L;")
    load_centre("XX01")
    [refused] = loaded("quality.quarantine")
    assert (refused["file"], refused["row_number"], refused["column_name"], refused["raw_value"], refused["scope"]) == (
        "labs.csv",
        3,
        "value",
        "clumped",
        "row",
    )
    assert "',' as decimal mark" in refused["message"]


def test_a_month_of_death_without_a_day_refuses_only_what_lies_after_that_month(centre, loaded):
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;x;F;01/02/1970;10/01/2020;01/2020;20/01/2020")
    centre.spec(LABS)
    centre.write("labs.csv", "id;date;test;value;unit;uln\nA;31/01/2020;PLT;12;G/L;\nA;01/02/2020;PLT;13;G/L;")
    load_centre("XX01")
    [patient] = loaded("harmonised.patient")
    assert (patient["died"], patient["death_date"], patient["death_month"]) == ("yes", None, date(2020, 1, 1))
    assert [q["rule"] for q in loaded("quality.quarantine")] == ["after_death"]


def test_a_refused_optional_cell_leaves_the_record_unknown_there_and_is_not_taken_for_missing(centre, loaded):
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;x;F;01/02/1970;10/01/2020;??;20/01/2020")
    centre.spec()
    load_centre("XX01")
    [patient] = loaded("harmonised.patient")
    assert (patient["died"], patient["death_date"]) == ("unknown", None)
    assert [(q["column_name"], q["rule"], q["scope"]) for q in loaded("quality.quarantine")] == [
        ("dead", "not_a_date", "cell")
    ]


DRUGS = """
drugs:
  file: drugs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records:
    - {table: drug_course, fields: {drug: {constant: caplacizumab}, start_date: from, end_date: to}}
    - table: drug_course
      fields: {drug: {constant: rituximab}, start_date: {column: rituximab_days, separator: " ", study_day: true}}
    - {table: tpe_session, fields: {session_date: {column: tpe_from, run_to: tpe_to}}}
"""


@pytest.mark.parametrize(
    ("start", "end", "expected", "rules"),
    [
        ("10/01/2020", "20/01/2020", (date(2020, 1, 10), date(2020, 1, 20)), []),
        ("", "20/01/2020", (None, date(2020, 1, 20)), []),  # start not recorded: the course is there all the same
        (
            "soon",
            "20/01/2020",
            (None, date(2020, 1, 20)),
            ["not_a_date"],
        ),  # an unreadable start must not make a control of the patient
        ("10/01/2020", "09/01/2020", (date(2020, 1, 10), None), ["end_before_start"]),
    ],
)
def test_a_course_with_a_doubtful_date_is_kept_with_the_date_unknown(centre, loaded, start, end, expected, rules):
    centre.spec(DRUGS)
    centre.write("drugs.csv", f"id;from;to;rituximab_days;tpe_from;tpe_to\nA;{start};{end};;;")
    load_centre("XX01")
    assert [(c["start_date"], c["end_date"]) for c in loaded("harmonised.drug_course")] == [expected]
    assert [q["rule"] for q in loaded("quality.quarantine")] == rules


@pytest.mark.parametrize(
    ("start", "end", "sessions", "rules"),
    [
        ("30/01/2020", "02/02/2020", [date(2020, 1, 30), date(2020, 1, 31), date(2020, 2, 1), date(2020, 2, 2)], []),
        ("30/01/2020", "30/01/2020", [date(2020, 1, 30)], []),
        ("30/01/2020", "29/01/2020", [], ["run_reversed"]),
        ("30/01/2020", "", [], ["run_without_end"]),
        ("", "30/01/2020", [], ["run_without_end"]),
        ("30/01/2020", "08/05/2020", [], ["run_too_long"]),  # the hundredth day
        ("", "", [], []),
    ],
)
def test_a_run_from_to_is_one_session_a_day_inclusive(centre, loaded, start, end, sessions, rules):
    centre.spec(DRUGS)
    centre.write("drugs.csv", f"id;from;to;rituximab_days;tpe_from;tpe_to\nA;01/02/2020;02/02/2020;;{start};{end}")
    load_centre("XX01")
    assert [s["session_date"] for s in loaded("harmonised.tpe_session")] == sessions
    assert [q["rule"] for q in loaded("quality.quarantine")] == rules


def test_a_run_over_days_that_have_an_exchange_is_refused(centre, loaded):
    centre.spec(DRUGS)
    centre.write(
        "drugs.csv",
        "id;from;to;rituximab_days;tpe_from;tpe_to\n"
        "A;;;;30/01/2020;02/02/2020\nA;;;;02/02/2020;04/02/2020\nB;;;;02/03/2020;03/03/2020",
    )
    load_centre("XX01")
    assert [s["session_date"].day for s in loaded("harmonised.tpe_session")] == [30, 31, 1, 2, 2, 3]
    assert [(q["row_number"], q["rule"]) for q in loaded("quality.quarantine")] == [(3, "run_overlaps")]


def test_a_death_before_the_first_exchange_is_refused_not_everything_after_it(centre, loaded):
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;x;F;01/02/1970;10/01/2020;10/01/2019;20/01/2020")
    centre.spec(LABS)
    centre.write("labs.csv", "id;date;test;value;unit;uln\nA;12/01/2020;PLT;12;G/L;")
    load_centre("XX01")
    [patient] = loaded("harmonised.patient")
    assert (patient["died"], patient["death_date"], patient["first_tpe_date"]) == ("yes", None, date(2020, 1, 10))
    assert [q["rule"] for q in loaded("quality.quarantine")] == ["before_first_exchange"]
    assert len(loaded("harmonised.lab_result")) == 1


def test_a_name_that_slipped_into_another_column_is_kept_nowhere(centre, loaded):
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;;F;01/02/1970;10/01/2020;;Secret Person 0612345678")
    centre.spec()
    load_centre("XX01")
    assert [(q["column_name"], q["raw_value"]) for q in loaded("quality.quarantine")] == [
        ("seen", "(withheld: may identify)")
    ]
    assert [row["seen"] for row in loaded("raw.xx01__patients")] == ["(withheld: may identify)"]


@pytest.mark.parametrize(
    ("source", "text", "shown"),
    [
        ('{column: dead, filled: "yes", blank: "no", date_format: "%d/%m/%Y"}', "Secret Person", False),
        ('{column: dead, filled: "yes", blank: "no", words: [dead]}', "Secret Person", False),
        ('{column: dead, filled: "yes", blank: "no", words: [dead]}', "dead", True),
    ],
)
def test_a_name_where_a_date_or_mark_belongs_is_kept_nowhere(centre, harmonised, loaded, source, text, shown):
    own = PATIENTS[PATIENTS.index("died:") : PATIENTS.index("last_contact_date")]
    centre.spec(patients=PATIENTS.replace(own, f"died: {source}, "))
    centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\nA;;F;01/02/1970;10/01/2020;{text};")
    load_centre("XX01")
    kept = text if shown else "(withheld: may identify)"
    assert [row["dead"] for row in loaded("raw.xx01__patients")] == [kept]
    assert {q["raw_value"] for q in loaded("quality.quarantine")} == (set() if shown else {kept})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("X", "found 'X' in 1 row(s)"),
        ("Secret Person", "found a text of 13 characters (not quoted"),
        ("f", "found 'f' in 1 row(s)"),
    ],
)
def test_an_unknown_word_beside_identifying_columns_is_quoted_only_where_it_is_no_name(centre, word, said):
    centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\nA;F;{word};01/02/1970;10/01/2020;;20/01/2020")
    centre.spec()
    with pytest.raises(CentreRefused) as refusal:
        load_centre("XX01")
    assert said in str(refusal.value) and "Secret" not in str(refusal.value)


def test_study_days_listed_in_a_cell_count_from_the_first_exchange(centre, loaded):
    centre.spec(DRUGS)
    centre.write("drugs.csv", "id;from;to;rituximab_days;tpe_from;tpe_to\nA;;;0 7  x;;")
    load_centre("XX01")
    assert [c["start_date"] for c in loaded("harmonised.drug_course")] == [date(2020, 1, 10), date(2020, 1, 17), None]
    assert [(q["raw_value"], q["rule"]) for q in loaded("quality.quarantine")] == [("x", "not_a_whole_number")]


def test_every_row_is_loaded_duplicate_quarantined_or_ignored(centre, loaded):
    centre.spec(LABS)
    centre.write(
        "labs.csv",
        """
        id;date;test;value;unit;uln
        A;12/01/2020;PLT;12;G/L;
        A;12/01/2020;PLT;12;G/L;
        A;12/01/2020;PLT;13;G/L;
        A;12/01/2020;PLT
        Z;12/01/2020;PLT;12;G/L;
        A;13/01/2020;PLT;;G/L;
        ;;;;;
        """,
    )
    load_centre("XX01")
    labs = next(row for row in loaded("quality.ledger") if row["file"] == "labs.csv")
    counts = {k.removeprefix("rows_"): v for k, v in labs.items() if k.startswith("rows_")}
    assert counts == {"received": 7, "loaded": 2, "duplicate": 1, "quarantined": 2, "ignored": 2}


def test_a_second_row_for_a_patient_is_refused_and_the_first_kept(centre, loaded):
    centre.write(
        "patients.csv",
        "id;name;sex;born;tpe;dead;seen\n"
        "A;x;F;01/02/1970;10/01/2020;;20/01/2020\nA;x;M;01/02/1970;10/01/2020;;20/01/2020",
    )
    centre.spec()
    load_centre("XX01")
    assert [p["sex"] for p in loaded("harmonised.patient")] == ["female"]
    assert [(q["row_number"], q["rule"]) for q in loaded("quality.quarantine")] == [(3, "duplicate_patient")]


def test_patient_id_is_the_hmac_of_centre_and_pseudonym():
    con = duckdb.connect()
    use_key(con, DEMONSTRATION_KEY)
    [(computed,)] = con.execute(f"select {patient_id_sql(repr('FR01'), repr('N° 1'))}").fetchall()
    assert computed == hmac.new(DEMONSTRATION_KEY, "FR01|N° 1".encode(), hashlib.sha256).hexdigest()[:16]
