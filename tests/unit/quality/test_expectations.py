"""Suites are read strictly, errors and warnings are told apart, rows are named by key and values stay unseen."""

import json
import re

import duckdb
import pytest

from capla_etl import fields, paths
from capla_etl.quality import data_docs, suites, validation

SUITE = """
table: marts.patient
grain: [centre_id, centre_patient_id]
derived_columns:
  months_in_icu: "icu_days / 30.0"
expectations:
  - {expect: expect_column_values_to_be_between, column: platelets, range_of: platelets_10e9_per_l,
     severity: error, why: "Unit.", act: "Query."}
  - {expect: expect_column_values_to_not_be_null, column: sex, each: centre_id, where: "eligible",
     severity: warning, why: "Table 1.", act: "Complete."}
  - {expect: expect_column_values_to_be_between, column: months_in_icu, max_value: 3,
     severity: warning, why: "Long.", act: "Confirm."}
"""
VALUE = 77_777  # an impossible count: must be found by no one but the centre


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "EXPECTATIONS", tmp_path)
    return tmp_path


def _write(folder, text):
    (folder / "marts.patient.yml").write_text(text, encoding="utf-8")


def _warehouse(*rows):
    con = duckdb.connect()
    con.execute("create schema marts")
    con.execute(
        "create table marts.patient (centre_id varchar, centre_patient_id varchar, platelets double, sex varchar, "
        "icu_days integer, eligible boolean)"
    )
    for row in rows:
        con.execute("insert into marts.patient values (?, ?, ?, ?, ?, ?)", row)
    return con


@pytest.mark.parametrize(
    ("written", "typo", "message"),
    [
        (
            'where: "eligible"',
            "mostyl: 0.9",
            r"marts\.patient\.yml: expectations\[2\]\.mostyl: found 'mostyl'; expected one of .*mostly",
        ),
        (
            'where: "eligible"',
            "mostly: 90",
            r"expectations\[2\]\.mostly: found 90; expected a share above 0, at most 1",
        ),
        (
            "to_not_be_null",
            "to_not_be_nul",
            r"expectations\[2\]\.expect: found 'expect_column_values_to_not_be_nul'; expected one of",
        ),
        (
            "severity: error",
            "severity: fatal",
            r"expectations\[1\]\.severity: found 'fatal'; expected error or warning",
        ),
        (
            "range_of: platelets_10e9_per_l",
            "range_of: platelets",
            r"expectations\[1\]\.range_of: found 'platelets'; expected a field of fields\.yml",
        ),
        (
            "max_value: 3",
            "max_value: {parameter: adult_age}",
            r"expectations\[3\]\.max_value\.parameter: found 'adult_age'; expected a parameter",
        ),
        (', why: "Table 1."', "", r"expectations\[2\]\.why: found None; expected the key 'why', which is missing"),
        ("table: marts.patient", "table: marts.patients", r"table: found 'marts\.patients'; expected 'marts\.patient'"),
    ],
)
def test_a_typo_is_refused_and_the_message_says_where_and_what_is_expected(folder, written, typo, message):
    assert SUITE.count(written) == 1
    _write(folder, SUITE.replace(written, typo))
    with pytest.raises(suites.SuiteError, match=message):
        suites.suites()


def test_a_column_that_the_table_does_not_have_is_refused(folder):
    _write(folder, SUITE.replace("column: sex", "column: gender"))
    with pytest.raises(suites.SuiteError, match="found gender; expected one of .*sex"):
        validation.validate(_warehouse(), ["marts.patient"])


def test_a_range_is_the_one_of_the_field(folder):
    _write(folder, SUITE)
    kwargs = suites.suites()["marts.patient"].rules[0].kwargs
    assert [kwargs["min_value"], kwargs["max_value"]] == list(fields.fields()["platelets_10e9_per_l"].range)


def test_errors_and_warnings_are_told_apart_and_rows_are_named_without_values(folder, tmp_path):
    _write(folder, SUITE)
    con = _warehouse(
        ("AT01", "1", 12, "female", 2, True),
        ("AT01", "2", VALUE, "male", None, True),  # error
        ("FR01", "3", None, None, 200, True),  # two warnings; a count that is not known breaks no range
        ("FR01", "4", 2000, None, 90, False),  # not eligible; both limits are inclusive
    )
    docs = tmp_path / "docs"
    [result] = validation.validate(con, ["marts.patient"], docs)

    assert (result.passed, result.failed_errors, result.failed_warnings, result.expectations) == (False, 1, 2, 4)
    by_column = {f["column"]: f for f in result.failures}
    assert by_column["platelets"]["severity"] == "error"
    assert by_column["platelets"]["failing_rows"] == [{"centre_id": "AT01", "centre_patient_id": "2"}]
    assert by_column["platelets"]["act"] == "Query."
    assert by_column["sex"] | {"failing_rows": None} == {
        "expectation": "expect_column_values_to_not_be_null",
        "column": "sex",
        "where": "centre_id == 'FR01' and (eligible)",
        "severity": "warning",
        "why": "Table 1.",
        "act": "Complete.",
        "failing_count": 1,
        "failing_percent": 100.0,
        "observed": None,
        "failing_rows": None,
    }
    assert by_column["months_in_icu"]["failing_rows"] == [{"centre_id": "FR01", "centre_patient_id": "3"}]

    index = data_docs.build_data_docs(docs)
    page = (docs / "marts.patient.html").read_text()
    for text in (page, index.read_text(), json.dumps(result.failures), (docs / "marts.patient.json").read_text()):
        assert str(VALUE) not in text and f"{VALUE:,}" not in text
    for text in (page, index.read_text()):
        assert "Synthetic data" in text
        fetched = re.findall(r"""(?:src|href)=["']([^"'#]+)|url\(([^)]+)""", text)
        assert {a or b for a, b in fetched} <= {
            "index.html",
            "marts.patient.html",
            *(f"assets/{f.name}" for f in (docs / "assets").iterdir()),
        }


@pytest.mark.parametrize("rows", [[("AT01", "1", 1, "female", 90, True)], []], ids=["plausible", "empty"])
def test_data_without_fault_and_an_empty_table_pass(folder, rows):
    _write(folder, SUITE)
    [result] = validation.validate(_warehouse(*rows), ["marts.patient"])
    assert result.passed and result.failures == []


def test_every_harmonised_table_has_a_suite_and_names_only_its_columns():
    declared = suites.suites()
    for name, table in fields.tables().items():
        suite = declared[f"harmonised.{name}"]
        known = {*table.columns, *fields.KEY_COLUMNS, *fields.SOURCE_COLUMNS, *suite.derived_columns}
        named = {column for rule in suite.rules for column in rule.columns}
        assert named | set(suite.grain) <= known
