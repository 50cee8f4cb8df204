"""`capla centre`: what a submission would bring, before it is loaded; and a draft that never replaces a decision."""

import json

import duckdb
import pytest
from tiny_centre import PATIENTS

from capla_etl import cli, paths
from capla_etl.quality.centre_check import check_centre, needs

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records:
    - {table: lab_result, fields: {result_date: day, platelets_10e9_per_l: {column: plt, unit: 10^9/L}}}
"""


@pytest.fixture
def sent(centre):
    """Two patients; A with two counts two days apart and a count that is no number, B with none."""
    centre.spec(LABS)
    centre.write(
        "labs.csv",
        """
        id;day;plt
        A;11/01/2020;20
        A;13/01/2020;160
        A;14/01/2020;many
        """,
    )
    return centre


def _lacking(check) -> dict:
    return {(r.outcome, r.input): r.patients_without for r in check.outcomes.itertuples()}


def test_nothing_is_loaded_by_a_check(sent):
    check_centre("XX01")
    assert not paths.centre_loads().exists()


def test_rows_and_refusals_are_counted_and_named_by_row(sent):
    check = check_centre("XX01")
    labs = check.ledger[check.ledger["file"] == "labs.csv"].iloc[0]
    assert (labs["rows_received"], labs["rows_loaded"], labs["rows_quarantined"]) == (3, 2, 1)
    assert check.refused[["file", "column_name", "rule", "values_refused", "rows"]].values.tolist() == [
        ["labs.csv", "plt", "not_a_number", 1, "4"]
    ]
    assert "many" not in check.refused.to_string()


def test_coverage_says_where_a_field_is_read_from_and_what_is_not_declared(sent):
    coverage = check_centre("XX01").coverage.set_index(["table_name", "field"])
    assert coverage.loc[("patient", "sex"), ["read_from", "filled", "records"]].tolist() == ["sex", 2, 2]
    assert coverage.loc[("patient", "death_date"), ["filled", "records"]].tolist() == [1, 1], "of those who died"
    assert coverage.loc[("lab_result", "value of platelets"), ["read_from", "filled", "records"]].tolist() == [
        "plt",
        1,
        2,
    ]
    assert coverage.loc[("lab_result", "value of ldh"), "read_from"] == ""
    assert coverage.loc[("patient", "coma"), "read_from"] == ""


def test_each_outcome_says_for_how_many_patients_what_is_lacking(sent):
    lacking = _lacking(check_centre("XX01"))
    assert lacking["clinical response", "platelets"] == 1
    assert lacking["clinical response", "second_count"] == 1
    assert lacking["refractory", "ldh"] == 2
    assert lacking["refractory", "five_exchange_days"] == 2
    assert lacking["death within 90 days", "died_or_not"] == 0
    assert lacking["ADAMTS13 recovery", "adamts13_after_day_0"] == 2


@pytest.mark.parametrize(("second", "lacking"), [("14/01/2020", 1), ("15/01/2020", 2)])
def test_two_counts_belong_together_up_to_three_days_apart(sent, second, lacking):
    sent.write("labs.csv", f"id;day;plt\nA;11/01/2020;20\nA;{second};160\n")
    assert _lacking(check_centre("XX01"))["clinical response", "second_count"] == lacking


def test_a_course_shows_what_was_sent_day_by_day(sent):
    course = check_centre("XX01").courses
    own = course[course["centre_patient_id"] == "A"]
    assert own[["day", "platelets_10e9_per_l"]].dropna().values.tolist() == [[1, "20"], [3, "160"]]
    assert course.loc[course["centre_patient_id"] == "B", "events"].dropna().tolist() == ["died; last contact"]


def test_every_outcome_of_the_study_says_what_it_needs(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as con:
        columns = {
            c
            for (c,) in con.execute(
                """select column_name from duckdb_columns()
                where schema_name = 'outcomes' and table_name = 'patient_outcome'"""
            ).fetchall()
        }
    declared = [c for outcome in needs()["outcomes"].values() for c in outcome["columns"]]
    assert sorted(declared) == sorted(columns - {"patient_id"})
    used = {
        name
        for outcome in needs()["outcomes"].values()
        for name in [*outcome["needs"], *outcome.get("better_with", [])]
    }
    assert used == set(needs()["inputs"])


def test_a_refused_centre_prints_every_problem_and_ends_with_status_1(sent, capsys):
    (sent.submission / "labs.csv").unlink()
    (sent.submission / "other.csv").write_text("a;b\n")
    assert cli.main(["centre", "check", "XX01"]) == 1
    said = capsys.readouterr().out
    assert "labs.csv" in said and "file 1 of 2 (.csv" in said and "2 problem(s)" in said


def test_a_centre_that_is_not_there_is_said(sent, capsys):
    assert cli.main(["centre", "check", "XX99"]) == 1
    assert "each centre's folder needs a spec" in capsys.readouterr().out


def test_machines_read_the_same(sent, capsys):
    assert cli.main(["centre", "check", "XX01", "--json"]) == 1, "a count that is no number must be decided"
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["patients"], found["to_decide"]) == ("can be loaded", 2, 1)
    (counts,) = (r for r in found["readings"] if r["field"] == "platelets_10e9_per_l")
    assert counts["samples"] == [["20", "20"], ["160", "160"]]
    assert cli.main(["centre", "list", "--json"]) == 0
    assert [(c["centre_id"], c["status"]) for c in json.loads(capsys.readouterr().out)] == [("XX01", "not_loaded")]


def test_a_check_ends_with_status_0_if_nothing_must_be_decided(sent):
    sent.write("labs.csv", "id;day;plt\nA;11/01/2020;20\nA;13/01/2020;160")
    assert cli.main(["centre", "check", "XX01"]) == 0


def test_a_check_says_it_in_a_hundred_columns(sent, capsys):
    assert cli.main(["centre", "check", "XX01"]) == 1
    said = capsys.readouterr().out
    assert (
        "2 patients. Nothing was loaded." in said
        and "NOT DECLARED" in said
        and "1 of 2 without a platelet count" in said
    )
    assert max(len(line) for line in said.splitlines() if line.startswith("  ")) <= 130


def test_a_draft_is_written_beside_the_submission_and_never_over_a_spec(sent, capsys):
    (sent.folder / "centre.yml").unlink()
    assert cli.main(["centre", "list"]) == 0
    said = capsys.readouterr().out
    assert "not_described" in said and f"Write one: capla centre draft {sent.folder} --write" in said
    assert cli.main(["centre", "draft", str(sent.folder), "--write"]) == 0
    drafted = (sent.folder / "centre.yml").read_text()
    assert "id: XX01" in drafted and "capla centre check XX01" in capsys.readouterr().out
    sent.spec(LABS, patients=PATIENTS)
    assert cli.main(["centre", "draft", str(sent.folder), "--write"]) == 1
    assert "already exists" in capsys.readouterr().err
    assert (sent.folder / "centre.yml").read_text() != drafted
