"""Submissions over time: known by content, whole or by rows, compared by key and column."""

from datetime import date

from tiny_centre import PATIENT_ROWS, load_centre, text

LABS = """
labs:
  file: labs*.csv
  format: {{type: delimited, encoding: utf-8, delimiter: ";"}}
  key: id
  row_key: [id, date]
  {incremental}
  date_format: "%d/%m/%Y"
  ignored: {{room: room}}
  records:
    - {{table: lab_result, fields: {{result_date: date, platelets_10e9_per_l: {{column: plt, unit: 10^9/L}}}}}}
"""
FIRST = "id;date;plt;room\nA;12/01/2020;12;1\nA;13/01/2020;30;1\nB;02/03/2020;20;1"
WITHOUT_B = PATIENT_ROWS.replace("B;Hidden Person;M;01/02/1980;01/03/2020;20/03/2020;20/03/2020", "")
SECOND = "id;date;plt;room\nA;13/01/2020;31;2\nA;14/01/2020;60;1"


def _again(centre, day: str, labs: str, name: str = "labs.csv", patients: str = PATIENT_ROWS) -> None:
    folder = centre.folder / day
    folder.mkdir()
    (folder / "patients.csv").write_text(text(patients), encoding="utf-8")
    (folder / name).write_text(text(labs), encoding="utf-8")


def _counts(loaded) -> list[tuple]:
    return [
        (r["result_date"].day, r["value"], r["source_file"], r["source_row"])
        for r in sorted(loaded("harmonised.lab_result"), key=lambda r: r["result_date"])
    ]


def test_a_full_resubmission_replaces_everything(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: false"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", SECOND)
    load_centre("XX01")
    assert _counts(loaded) == [(13, 31.0, "labs.csv", 2), (14, 60.0, "labs.csv", 3)]


def test_an_incremental_file_replaces_rows_by_key_and_keeps_the_others_where_they_came_from(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: true"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", SECOND)
    load_centre("XX01")
    assert _counts(loaded) == [
        (12, 12.0, "2020-12-31/labs.csv", 2),
        (13, 31.0, "labs.csv", 2),
        (14, 60.0, "labs.csv", 3),
        (2, 20.0, "2020-12-31/labs.csv", 4),
    ]
    assert [
        (c["change"], c["row_key"]) for c in loaded("quality.submission_change") if c["column_name"] in ("", "plt")
    ] == [("added", "A · 14/01/2020"), ("changed", "A · 13/01/2020")]
    assert loaded("quality.withdrawn_patient") == []
    [ledger] = [row for row in loaded("quality.ledger") if row["file"] == "labs.csv"]
    assert (ledger["rows_received"], ledger["rows_loaded"]) == (4, 4)


def test_of_a_patient_who_left_no_row_of_an_earlier_submission_stays(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: true"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", SECOND, patients=WITHOUT_B)
    load_centre("XX01")
    assert [day for day, *_ in _counts(loaded)] == [12, 13, 14]
    assert {row["id"] for row in loaded("raw.xx01__labs")} == {"A"} and loaded("quality.quarantine") == []
    assert [(w["centre_patient_id"], w["rows_removed"]) for w in loaded("quality.withdrawn_patient")] == [("B", 2)]


def test_without_a_row_key_rows_are_matched_within_the_patient_and_their_values_not_kept(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: false").replace("row_key: [id, date]", "row_key: []"))
    centre.write("labs.csv", "id;date;plt;room\nA;12/01/2020;12;1\nB;12/01/2020;12;1")
    _again(centre, "2021-01-31", "id;date;plt;room\nB;12/01/2020;12;1")
    load_centre("XX01")
    changes = [(c["change"], c["centre_patient_id"], c["row_key"]) for c in loaded("quality.submission_change")]
    assert changes == [("removed", "A", "A · a row of labs.csv")]


def test_the_same_files_under_another_date_and_name_are_no_new_submission(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: false"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", FIRST, name="labs_final.csv")
    assert load_centre("XX01").submission == "2020-12-31"
    history = {
        (row["submission"], row["file"]): (row["status"], row["first_seen_submission"])
        for row in loaded("quality.submission_history")
    }
    assert history[date(2021, 1, 31), "labs_final.csv"] == ("same content", date(2020, 12, 31))
    assert history[date(2020, 12, 31), "labs.csv"] == ("current", date(2020, 12, 31))
    assert loaded("quality.submission_change") == []


def test_an_earlier_state_is_loaded_as_of_a_day(centre, loaded, monkeypatch):
    centre.spec(LABS.format(incremental="incremental: false"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", SECOND)
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-30")
    assert load_centre("XX01").submission == "2020-12-31"
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-31")
    assert load_centre("XX01").submission == "2021-01-31"


def test_changes_are_listed_by_key_and_column_and_values_only_of_study_fields(centre, loaded):
    centre.spec(LABS.format(incremental="incremental: false"))
    centre.write("labs.csv", FIRST)
    _again(centre, "2021-01-31", SECOND, patients=WITHOUT_B)
    load_centre("XX01")
    changes = [
        (c["change"], c["row_key"], c["column_name"], c["value_before"], c["value_after"])
        for c in loaded("quality.submission_change")
    ]
    assert sorted(changes, key=str) == [
        ("added", "A · 14/01/2020", "", None, None),
        ("changed", "A · 13/01/2020", "plt", "30", "31"),
        ("changed", "A · 13/01/2020", "room", None, None),
        ("removed", "A · 12/01/2020", "", None, None),
    ]
    assert [(w["centre_patient_id"], w["rows_removed"]) for w in loaded("quality.withdrawn_patient")] == [("B", 2)]


def test_rows_of_earlier_submissions_are_matched_in_the_form_in_which_they_are_read(centre, loaded):
    """Cells below a merged one belong to the patient above, and a number with a sign of no width is the same number."""
    filled = LABS.format(incremental="incremental: true").replace("row_key:", "fill_down: [id]\n  row_key:")
    centre.spec(filled)
    centre.write(
        "labs.csv", "id;date;plt;room\nA\u200b;12/01/2020;12;1\n;13/01/2020;30;1\nB;02/03/2020;20;1\n;03/03/2020;21;1"
    )
    _again(centre, "2021-01-31", "id;date;plt;room\nA;13/01/2020;31;2\n;14/01/2020;60;1")
    load_centre("XX01")
    assert [(day, value) for day, value, *_ in _counts(loaded)] == [(12, 12), (13, 31), (14, 60), (2, 20), (3, 21)]
    assert loaded("quality.withdrawn_patient") == [] and loaded("quality.quarantine") == []


def test_two_files_that_have_exchanged_their_names_are_another_submission(centre, loaded):
    two = LABS.format(incremental="incremental: false").replace("labs*.csv", "labs.csv")
    centre.spec(two + two.replace("labs:", "others:").replace("labs.csv", "others.csv"))
    centre.write("labs.csv", "id;date;plt;room\nA;12/01/2020;12;1")
    centre.write("others.csv", "id;date;plt;room\nA;13/01/2020;30;1")
    _again(centre, "2021-01-31", "id;date;plt;room\nA;13/01/2020;30;1")
    (centre.folder / "2021-01-31" / "others.csv").write_text("id;date;plt;room\nA;12/01/2020;12;1\n", encoding="utf-8")
    load_centre("XX01")
    assert str(loaded("harmonised.submission")[0]["submission"]) == "2021-01-31"
    assert {(r["source_file"], r["value"]) for r in loaded("harmonised.lab_result")} == {
        ("labs.csv", 30),
        ("others.csv", 12),
    }
