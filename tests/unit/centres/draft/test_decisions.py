"""What the files do not prove and what would change numbers is left to people: ``TO_DECIDE`` with the evidence."""

import openpyxl
import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.profile import column_of
from capla_etl.centres.spec.grammar import TO_DECIDE


def _draft(tmp_path, header, rows, name="labs.csv"):
    (tmp_path / name).write_text("\n".join(";".join(row) for row in [header, *rows]) + "\n")
    return draft_centre(tmp_path / name)


def _labs(dates, values=None):
    values = values or [str(20 + i) for i in range(len(dates))]
    return [[f"P{i % 3}", day, value] for i, (day, value) in enumerate(zip(dates, values, strict=True))]


def _field(draft, name):
    return next(r.fields[name] for t in draft.tables for r in t.records if name in r.fields)


LABS = ["patient_id", "date", "PLT (G/L)"]


def test_the_order_of_day_and_month_is_proven_by_a_day_above_12_or_left_to_people(tmp_path):
    proven = _draft(tmp_path, LABS, _labs([f"{d:02}/03/2021" for d in range(1, 14)]))
    assert "date_format" not in _field(proven, "result_date").source
    assert proven.tables[0].options["date_format"][0] == "%d/%m/%Y"
    open_ = _draft(tmp_path, LABS, _labs([f"{d:02}/03/2021" for d in range(1, 13)]))
    entry = _field(open_, "result_date")
    assert entry.source["date_format"] == TO_DECIDE and "%d/%m/%Y or %m/%d/%Y" in entry.note


def test_another_columns_order_does_not_decide(tmp_path):
    header = ["patient_id", "sex", "birth date", "first TPE date", "PLT (G/L)"]
    rows = [[f"P{i}", "fm"[i % 2], f"{13 + i}/03/1970", f"0{i + 1}/03/2021", "12"] for i in range(9)]
    draft = _draft(tmp_path, header, rows)
    assert "date_format" not in _field(draft, "birth_date").source
    entry = _field(draft, "first_tpe_date")
    assert entry.source["date_format"] == TO_DECIDE and "other dates of the table are %d/%m/%Y" in entry.note


@pytest.mark.parametrize(
    ("days", "texts", "asked"), [((1, 12), (13, 14), True), ((1, 13), (13, 14), False), ((1, 12), (12, 13), False)]
)
def test_date_cells_up_to_day_12_beside_texts_above_are_asked_about(tmp_path, days, texts, asked):
    """An English spreadsheet makes dates of 11/01 and 12/01, and leaves 13/01 as it is."""
    book = openpyxl.Workbook()
    book.active.append(LABS)
    from datetime import date

    cells = [date(2020, month, day) for day in days for month in (1, 2)] + [f"{d}/01/2020" for d in texts for _ in "ab"]
    for i, cell in enumerate(cells):
        book.active.append([f"P{i % 3}", cell, 20 + i])
    book.save(tmp_path / "labs.xlsx")
    entry = _field(draft_centre(tmp_path / "labs.xlsx"), "result_date")
    assert (entry.source.get("date_format") == TO_DECIDE) == asked
    assert ("day and month exchanged" in entry.note) == asked


def test_dates_in_two_orders_are_left_to_people(tmp_path):
    entry = _field(_draft(tmp_path, LABS, _labs(["13/01/2020", "14/01/2020", "01/15/2020"] * 3)), "result_date")
    assert entry.source["date_format"] == TO_DECIDE and "more than one order" in entry.note


@pytest.mark.parametrize(
    ("cells", "formats", "universal"),
    [
        (["2021-03-05 08:30:00", "2021-03-06"], ["iso8601"], 0),
        (["2020-01-10T23:00:00Z", "2020-01-11T23:00:00Z"], ["iso8601"], 10),
        (["2020-01-10T23:00:00+01:00", "2020-01-11"], ["iso8601"], 0),
        (["13.03.2021 08:30", "14.03.2021 09:15"], ["%d.%m.%Y %H:%M"], 0),
        (["13.03.2021 8:30:00", "14.03.2021 10:15:00"], ["%d.%m.%Y %-H:%M:%S"], 0),
    ],
)
def test_times_of_day_are_part_of_the_format(cells, formats, universal):
    order = column_of("x", cells * 5).dates
    assert (order.formats, order.universal) == (formats, universal)


def test_a_zone_is_asked_for_where_times_are_universal(tmp_path):
    zoned = _draft(tmp_path, LABS, _labs([f"2020-01-{10 + i}T23:00:00Z" for i in range(9)]))
    assert zoned.tables[0].options["zone"][0] == TO_DECIDE
    local = _draft(tmp_path, LABS, _labs([f"2020-01-{10 + i}T23:00:00" for i in range(9)]))
    assert "zone" not in local.tables[0].options


PATIENTS = ["patient_id", "sex", "birth date", "first TPE date", "date of death", "ICU days", "last contact"]


def _patients(**columns):
    rows = []
    for i in range(12):
        usual = [f"P{i}", "fm"[i % 2], f"{13 + i}.03.34", f"{13 + i}.03.2020", "", str(i), f"{13 + i}.06.2020"]
        rows.append([columns[name][i] if name in columns else cell for name, cell in zip(PATIENTS, usual, strict=True)])
    return rows


def test_the_century_of_births_is_asked_for_and_of_no_other_date(tmp_path):
    draft = _draft(tmp_path, PATIENTS, _patients())
    assert _field(draft, "birth_date").source["two_digit_years_from"] == TO_DECIDE
    assert "two_digit_years_from" not in _field(draft, "first_tpe_date").source
    draft = _draft(tmp_path, PATIENTS, _patients(**{"birth date": [f"{13 + i}.03.1934" for i in range(12)]}))
    assert "two_digit_years_from" not in _field(draft, "birth_date").source


def test_a_date_of_death_alone_leaves_open_who_lives_and_what_words_beside_it_mean(tmp_path):
    deaths = ["14.05.2020", "15.05.2020", "16.05.2020", *["alive", "-", ""] * 3]
    draft = _draft(tmp_path, PATIENTS, _patients(**{"date of death": deaths}))
    died = _field(draft, "died").source
    assert (died["filled"], died["blank"]) == ("yes", TO_DECIDE)
    assert died["missing"] == [f"{TO_DECIDE}: -", f"{TO_DECIDE}: alive"]


@pytest.mark.parametrize(
    ("cells", "unit", "said"),
    [
        (["5%", "25%", "62%"], "%", "every cell is a percentage"),
        (["5%", "25%", "0.62"], TO_DECIDE, "percentages and 3 plain numbers"),
        (["5", "25", "62"], TO_DECIDE, "the numbers go from 5 to 62"),
    ],
)
def test_a_unit_comes_from_the_header_or_the_cells_and_never_from_the_level(tmp_path, cells, unit, said):
    draft = _draft(tmp_path, ["patient_id", "date", "ADAMTS13"], _labs([f"2020-01-1{i}" for i in range(9)], cells * 3))
    entry = _field(draft, "adamts13_percent")
    assert entry.source["unit"] == unit and said in entry.note


def test_percentages_beside_plain_numbers_are_asked_about_whatever_the_header_says(tmp_path):
    rows = _labs([f"2020-01-1{i}" for i in range(9)], ["5%", "25%", "0.62"] * 3)
    entry = _field(_draft(tmp_path, ["patient_id", "date", "ADAMTS13 (%)"], rows), "adamts13_percent")
    assert entry.source["unit"] == TO_DECIDE


def test_a_birth_date_or_one_date_for_all_rows_of_a_patient_dates_no_result(tmp_path):
    for header, days in (("birth date", "13.03.1970"), ("Aufnahme", "13.03.2020")):
        rows = [[f"P{i % 3}", days.replace("13", str(13 + i % 3)), str(20 + i)] for i in range(9)]
        draft = _draft(tmp_path, ["patient_id", header, "PLT (G/L)"], rows)
        assert draft.tables[0].records == [] and TO_DECIDE in draft.tables[0].ignored["PLT (G/L)"]
    rows = [[f"P{i % 3}", f"{10 + i}.03.2020", str(20 + i)] for i in range(9)]
    assert "GUESS" in _field(_draft(tmp_path, ["patient_id", "xyz", "PLT (G/L)"], rows), "result_date").note


def test_a_study_field_that_never_changes_is_used_or_left_to_people(tmp_path):
    rows = [[*row, "iTTP", "M31.1", ""] for row in _patients()]
    draft = _draft(tmp_path, [*PATIENTS, "diagnosis", "code of it", "coma"], rows)
    assert _field(draft, "diagnosis").source["vocabulary"]
    assert "the same in every row" in draft.tables[0].ignored["code of it"]
    assert draft.tables[0].ignored["code of it"].startswith(TO_DECIDE)
    labs = [[*row, "f", ""] for row in _labs([f"2020-01-1{i}" for i in range(9)])]
    ignored = _draft(tmp_path, [*LABS, "sex", "unknown"], labs).tables[0].ignored
    assert ignored["sex"].startswith(TO_DECIDE) and ignored["unknown"] == "empty in every row"


def test_a_mark_for_an_event_leaves_open_what_a_blank_means(tmp_path):
    rows = [[*row, "x" if i % 2 else "", "ja" if i % 2 else "nein"] for i, row in enumerate(_patients())]
    draft = _draft(tmp_path, [*PATIENTS, "major bleeding", "minor bleeding"], rows)
    marked, answered = (r.fields["answer"].source for t in draft.tables for r in t.records if "answer" in r.fields)
    assert (marked["filled"], marked["words"], marked["blank"]) == ("yes", ["x"], TO_DECIDE)
    assert answered["vocabulary"] == {"ja": "yes", "nein": "no"}


def test_one_row_a_test_gives_results_and_values_of_the_patient(tmp_path):
    """Haemoglobin once a patient is the patient's; creatinine twice is left to people; sodium is no study field."""
    tests = [("PLAT", "20", "10^9/L"), ("LDH", "900", "U/L"), ("HGB", "8.1", "g/dL"), ("CREAT", "90", "umol/L")]
    tests += [("CREAT", "95", "umol/L"), ("SODIUM", "140", "mmol/L")]
    rows = [[f"P{i}", *test, f"2020-01-{10 + i}"] for i in range(5) for test in tests]
    draft = _draft(tmp_path, ["USUBJID", "LBTESTCD", "LBORRES", "LBORRESU", "LBDTC"], rows, "lb.csv")
    (table,) = draft.tables
    assert [(r.table, r.rows) for r in table.records] == [
        ("lab_result", "platelets"),
        ("lab_result", "ldh"),
        ("patient", "hemoglobin"),
    ]
    assert table.records[2].fields["hemoglobin_g_per_dl"].source["unit"]["codes"] == {"g/dL": "g/dL"}
    _, kinds, ignored = table.kinds
    assert kinds["hemoglobin"] == ["HGB"] and "several rows" in ignored["CREAT"] and TO_DECIDE in ignored["SODIUM"]


def test_keys_that_only_count_the_rows_prove_no_shared_patients(tmp_path):
    for name, keys in (("labs", [str(i + 1) for i in range(9)]), ("more", [str(i + 1) for i in range(9)])):
        rows = [[key, f"2020-01-1{i}", str(20 + i)] for i, key in enumerate(keys)]
        _draft(tmp_path, LABS, rows, f"{name}.csv")
    assert all(t.key_note.startswith("GUESS") for t in draft_centre(tmp_path).tables)
    for name in ("labs", "more"):
        _draft(tmp_path, LABS, [[f"T{i}", f"2020-01-1{i}", str(20 + i)] for i in range(9)], f"{name}.csv")
    assert all(t.key_note.startswith("certain") for t in draft_centre(tmp_path).tables)


def test_numbered_columns_beyond_a_hundred_are_one_group(tmp_path):
    header = ["patient_id", *(f"v{k}" for k in range(1, 241))]
    rows = [[f"P{i}", *(str((i * k) % 97) for k in range(1, 241))] for i in range(9)]
    assert list(_draft(tmp_path, header, rows).tables[0].columns) == ["patient_id", "v{k}"]
