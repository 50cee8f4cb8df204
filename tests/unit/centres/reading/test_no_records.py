"""Rows that are no records: counted where they do no harm; a second table stops the file."""

import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";", footer_starts_with: [Sum, Total]}
  key: id
  date_format: "%d/%m/%Y"
  records: [{table: lab_result, fields: {result_date: day, platelets_10e9_per_l: {column: plt, unit: 10^9/L}}}]
"""
PATIENT = "x;F;01/02/1970;10/01/2020;;01/06/2020"


@pytest.fixture
def lines(centre, loaded):
    """Load rows of the laboratory; return whose results were kept, and how many rows are ignored."""

    def load(*rows: str, patients: str = "A|B") -> tuple[list, int]:
        known = "\n".join(f"{key};{PATIENT}" for key in patients.split("|"))
        centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\n{known}")
        centre.spec(LABS)
        centre.write("labs.csv", "\n".join(["id;day;plt", *rows]))
        load_centre("XX01")
        kept = [r["centre_patient_id"] for r in loaded("harmonised.lab_result")]
        (ledger,) = (r for r in loaded("quality.ledger") if r["file"] == "labs.csv")
        return kept, ledger["rows_ignored"]

    return load


def test_a_footer_is_counted_and_not_read(lines):
    assert lines("A;11/01/2020;20", "Sum;;20", "Total 1;;", "Sum01;;") == (["A"], 3)


def test_a_patient_whose_number_begins_like_a_footer_is_a_patient(lines):
    assert lines("Sum01;11/01/2020;20", "Sum;;20", patients="A|Sum01") == (["Sum01"], 1)


def test_a_repeated_header_is_counted_and_not_read(lines):
    assert lines("A;11/01/2020;20", "id;day;plt", "B;11/01/2020;30") == (["A", "B"], 1)


@pytest.mark.parametrize("header", ["id;day;ldh", "ID;Day;LDH", "patient;day;ldh", "Pat.;Datum;Wert"])
def test_a_header_of_other_columns_below_the_data_stops_the_file(lines, header):
    with pytest.raises(CentreRefused, match="labs.csv: row 3 looks like the header of another table"):
        lines("A;11/01/2020;20", header, "A;12/01/2020;480")


@pytest.mark.parametrize("row", ["A;12/01/2020;clotted", "A;unknown;unknown", "B;;clotted", "A;clotted;12"])
def test_a_row_with_words_for_values_is_no_header(lines, row):
    assert lines("A;11/01/2020;20", row)[0] == ["A"]


def test_a_file_with_nothing_but_blank_rows_and_footers_has_no_results(lines):
    assert lines(";;", "Sum;;") == ([], 2)
