"""The ten submissions: what the pipeline read, compared with what other readers and a person found in the files."""

import csv
import gzip
import io
import json
import re
from datetime import datetime

import duckdb
import openpyxl
import pyreadstat
import pytest

from capla_etl import paths

SUBMITTED = paths.ROOT / "data_raw"


def _delimited(path, encoding, delimiter):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.reader(io.StringIO(content.decode(encoding), newline=""), delimiter=delimiter))


def _rows_as_sent() -> dict[tuple[str, str, str], int]:
    """(centre, file, sheet) -> rows below the header, counted by readers that the pipeline does not use."""
    counts = {}
    for centre, encoding, delimiter in (
        ("FR01", "cp1252", ";"),
        ("HU01", "cp1250", "\t"),
        ("US01", "utf-8", "|"),
        ("UK01", "utf-8", ","),
    ):
        for path in (SUBMITTED / centre / "2023-06-30").iterdir():
            counts[centre, path.name, ""] = len(_delimited(path, encoding, delimiter)) - 1
    for centre, name, header_row in (
        ("DE01", "Capla500_Koeln.xlsx", 4),
        ("BR01", "RJ_capla.xlsx", 1),
        ("IT01", "dati_milano.xlsx", 1),
    ):
        for sheet in openpyxl.load_workbook(SUBMITTED / centre / "2023-06-30" / name, read_only=True):
            counts[centre, name, sheet.title] = sheet.max_row - header_row
    for centre, name, reader in (
        ("AT01", "ttp_wien_pat.dta", pyreadstat.read_dta),
        ("AT01", "ttp_wien_verlauf.dta", pyreadstat.read_dta),
        ("ES01", "pacientes.sav", pyreadstat.read_sav),
        ("ES01", "analitica.sav", pyreadstat.read_sav),
    ):
        counts[centre, name, ""] = reader(str(SUBMITTED / centre / "2023-06-30" / name), metadataonly=True)[
            1
        ].number_rows
    lines = (SUBMITTED / "CA01/2023-06-30/toronto.ndjson").read_text(encoding="utf-8").splitlines()
    subjects = [json.loads(line) for line in lines]
    counts["CA01", "toronto.ndjson", ""] = len(subjects)
    for name in [key for key, value in subjects[0].items() if isinstance(value, list)]:
        counts["CA01", "toronto.ndjson", name] = sum(len(subject[name]) for subject in subjects)
    return counts


@pytest.fixture
def con(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        yield connection


def test_the_ledger_has_every_file_and_sheet_with_all_its_rows(con):
    ledger = {
        row[:3]: row[3]
        for row in con.execute("select centre_id, file, sheet, rows_received from quality.ledger").fetchall()
    }
    assert ledger == _rows_as_sent()


# Found by reading the files: centre, file, row as a spreadsheet shows it, column, text, rule.
FAULTS = [
    ("FR01", "bilans.csv", 9795, "Date", "31/02/2021", "not_a_date"),
    ("FR01", "bilans.csv", 1401, "Date", "03/09/2031", "after_data_cutoff"),
    ("FR01", "bilans.csv", 1785, "Date", "30/03/2031", "after_data_cutoff"),
    ("FR01", "bilans.csv", 25888, "Date", "02/01/2031", "after_data_cutoff"),
    ("FR01", "bilans.csv", 28259, "Date", "05/09/2031", "after_data_cutoff"),
    ("FR01", "bilans.csv", 4852, "Résultat", "amas", "not_a_number"),
    ("FR01", "bilans.csv", 5562, "Résultat", "282000", "out_of_range"),
    ("FR01", "bilans.csv", 8369, "Résultat", "54000", "out_of_range"),
    ("FR01", "bilans.csv", 11278, "Résultat", "321000", "out_of_range"),
    ("FR01", "bilans.csv", 25479, "Résultat", "179000", "out_of_range"),
    ("FR01", "bilans.csv", 27111, "Résultat", "195000", "out_of_range"),
    ("FR01", "bilans.csv", 32733, "Résultat", "233000", "out_of_range"),
    ("DE01", "Capla500_Koeln.xlsx", 22646, "Wert", "-1", "out_of_range"),
    ("DE01", "Capla500_Koeln.xlsx", 22647, "Wert", "-1", "out_of_range"),
]
# Results of patients that FR01 did not send. Study days of ES0056 have no first exchange to count from.
FAULTS_OF_PATIENTS = {("FR01", "unknown_patient"): {"FR-0901", "FR-0911", "FR-0921"}}


def test_every_fault_in_the_files_is_in_the_quarantine_and_nothing_else_is(con):
    found = con.execute(
        "select centre_id, file, row_number, column_name, raw_value, rule from quality.quarantine"
    ).fetchall()
    by_cell = sorted(row for row in found if row[5] not in ("unknown_patient", "no_reference_day"))
    assert by_cell == sorted(FAULTS)
    assert {row[4] for row in found if row[5] == "unknown_patient"} == FAULTS_OF_PATIENTS["FR01", "unknown_patient"]
    undated = """select distinct p.centre_patient_id from quality.quarantine q join marts.patient p using (patient_id)
        where rule = 'no_reference_day'"""
    assert con.execute(undated).fetchall() == [("ES0056",)]
    assert con.execute("select sum(rows_duplicate) from quality.ledger where file = 'bilans.csv'").fetchone() == (25,)
    assert con.execute("select sum(rows_duplicate) from quality.ledger").fetchone() == (25,)


def test_every_exclusion_is_one_that_the_files_show(con):
    excluded = con.execute(
        "select exclusion_reason, centre_id || ' ' || centre_patient_id from marts.patient where not eligible"
    ).fetchall()
    by_reason: dict[str, set] = {}
    for reason, patient in excluded:
        by_reason.setdefault(reason, set()).add(patient)
    assert by_reason == {
        "not_ittp": {"FR01 FR-0218", "DE01 K028"},  # PTT congénital, hereditäre TTP
        "under_18": {"FR01 FR-0031", "DE01 K095", "ES01 ES0067", "UK01 165", "BR01 4006"},
        "no_tpe": {"FR01 FR-0391", "DE01 K049", "ES01 ES0056", "UK01 217"},
        "adamts13_not_deficient": {
            "FR01 FR-0206",
            "FR01 FR-0224",
            "DE01 K091",
            "CA01 TOR-031",
            "HU01 HU001",
            "IT01 MI_041",
            "US01 3188ea6c",
        },
        "control_out_of_window": {"FR01 FR-0133", "DE01 K206", "ES01 ES0090"},
        "reported_twice": {"DE01 K900", "DE01 K901", "DE01 K902"},  # verlegt von Wien 1, 2, 3
    }


# One value of each kind of source, as a person reads it in the file:
# patient, analyte, date, value in the study's unit, comparator.
RESULTS = [
    ("BR01", "4001", "platelets", "2020-02-10", 18.0, None),  # "18.000" per mm3
    ("DE01", "K007", "platelets", "2019-04-10", 228.0, None),  # date left as the day number 43565
    ("DE01", "K001", "platelets", "2021-09-10", 10.0, None),
    ("IT01", "MI_001", "ldh", "2022-02-07", 4.96, None),  # 1240 U/L over 250
    ("IT01", "MI_001", "adamts13", "2022-02-07", 5.0, "<"),  # "<0,05" IU/mL
    ("HU01", "HU001", "platelets", "2018-12-14", 15.0, None),
    ("US01", "9e3779b1", "platelets", "2021-02-25", 14.0, None),  # 2/25/2021
    ("UK01", "101", "adamts13", "2019-07-20", 5.0, "<"),
    ("CA01", "TOR-001", "adamts13", "2020-08-29", 5.0, "<"),
    ("CA01", "TOR-001", "platelets", "2020-08-22", 12.0, None),
]


@pytest.mark.parametrize(("centre", "patient", "analyte", "day", "value", "comparator"), RESULTS)
def test_a_result_reads_as_a_person_reads_it(con, centre, patient, analyte, day, value, comparator):
    query = """select l.value, l.comparator from marts.lab_result l join marts.patient p using (patient_id)
        where p.centre_id = ? and p.centre_patient_id = ? and l.analyte = ? and l.result_date = cast(? as date)"""
    assert con.execute(query, [centre, patient, analyte, day]).fetchall() == [(pytest.approx(value), comparator)]


def test_counts_as_published_where_the_data_were_made_to_have_them(con):
    groups = con.execute(
        "select treatment_group, timing, delay_reason, count(*) from marts.patient where eligible group by all"
    ).fetchall()
    assert {row[:3]: row[3] for row in groups} == {
        ("caplacizumab", "early", None): 715,
        ("caplacizumab", "delayed", "rescue"): 63,
        ("caplacizumab", "delayed", "slow_response"): 155,
        ("caplacizumab", "unknown", None): 9,
        ("control", None, None): 495,
    }


# Names and telephone numbers as FR01 and DE01 send them.
FORBIDDEN = r"NOM-0\d{3}|NACHNAME-0\d{3}|(^|[^0-9.])0600000\d{3}($|[^0-9])"


def test_the_files_carry_the_forbidden_values_that_are_searched_for():
    patients = (SUBMITTED / "FR01/2023-06-30/patients.csv").read_text(encoding="cp1252")
    assert "NOM-0000;0600000000" in patients and re.search(FORBIDDEN, patients)
    assert (
        openpyxl.load_workbook(SUBMITTED / "DE01/2023-06-30/Capla500_Koeln.xlsx")["Stammdaten"]["B5"].value
        == "NACHNAME-0000"
    )


def _birth_dates_as_sent() -> set[str]:
    """Birth dates as the files write them, and in ISO form, read without the pipeline."""
    sent = set()
    for centre, path, encoding, delimiter, column in (
        ("FR01", "patients.csv", "cp1252", ";", "Date de naissance"),
        ("HU01", "betegek.txt", "cp1250", "\t", "Születési dátum"),
        ("US01", "demog.psv.gz", "utf-8", "|", "DOB"),
    ):
        header, *rows = _delimited(SUBMITTED / centre / "2023-06-30" / path, encoding, delimiter)
        sent |= {row[header.index(column)] for row in rows}
    lines = (SUBMITTED / "CA01/2023-06-30/toronto.ndjson").read_text(encoding="utf-8").splitlines()
    sent |= {json.loads(line)["birthDate"] for line in lines}
    for name, sheet, header_row, column in (
        ("DE01/2023-06-30/Capla500_Koeln.xlsx", "Stammdaten", 4, "Geb.-Datum"),
        ("BR01/2023-06-30/RJ_capla.xlsx", "Pacientes", 1, "Nascimento"),
    ):
        cells = list(
            openpyxl.load_workbook(SUBMITTED / name, read_only=True)[sheet].iter_rows(
                min_row=header_row, values_only=True
            )
        )
        values = [row[cells[0].index(column)] for row in cells[1:]]
        sent |= {str(value.date() if isinstance(value, datetime) else value) for value in values}
    for name, reader, column in (
        ("AT01/2023-06-30/ttp_wien_pat.dta", pyreadstat.read_dta, "gebdat"),
        ("ES01/2023-06-30/pacientes.sav", pyreadstat.read_sav, "FNAC"),
    ):
        sent |= {str(value) for value in reader(str(SUBMITTED / name))[0][column]}
    sent |= {f"{y}-{m}-{d}" for d, m, y in (text.split("/") for text in sent if re.fullmatch(r"\d\d/\d\d/\d{4}", text))}
    return {text for text in sent if re.search(r"\D", text) and re.search(r"\d{4}", text)}


BIRTH_DATES = _birth_dates_as_sent()


def _dates_in(text: str) -> set[str]:
    return set(re.findall(r"(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\.?(?!\d)", text))


def test_the_files_carry_the_birth_dates_that_are_searched_for():
    assert len(BIRTH_DATES) > 1500
    assert {"31/07/1967", "1967-07-31"} <= BIRTH_DATES


def _not_a_value_of(rows: str, con, place: str) -> None:
    """Fail if a row holds a forbidden value, or a birth date as a cell or within a text."""
    described = con.execute(f"describe select * from {rows}").fetchall()
    cells = [f'cast("{name}" as varchar)' for name, kind, *_ in described if kind in ("VARCHAR", "DATE", "TIMESTAMP")]
    if not cells:
        return
    text = f"concat_ws(chr(10), {', '.join(cells)})"
    assert con.execute(f"select count(*) from {rows} where regexp_matches({text}, ?)", [FORBIDDEN]).fetchone() == (
        0,
    ), place
    dates = f"select unnest(regexp_extract_all({text}, '[0-9]+[./-][0-9]+[./-][0-9]+[.]?')) as found from {rows}"
    assert not {d for (d,) in con.execute(f"select distinct found from ({dates})").fetchall()} & BIRTH_DATES, place


def test_no_forbidden_value_and_no_birth_date_reaches_the_warehouse(con):
    tables = con.execute("select table_schema, table_name from information_schema.tables").fetchall()
    assert len(tables) > 60
    for schema, table in tables:
        _not_a_value_of(f'{schema}."{table}"', con, f"{schema}.{table}")


def test_no_forbidden_value_and_no_birth_date_reaches_a_load_or_a_table_of_the_outputs(study_run):
    files = list(study_run.warehouse.rglob("*.parquet"))
    assert len(files) > 100
    with duckdb.connect() as con:
        for path in files:
            _not_a_value_of(f"read_parquet('{path}')", con, str(path))


def test_a_patient_sent_by_two_centres_is_found_without_a_birth_date(con):
    pairs = con.execute(
        """select a.centre_id, a.centre_patient_id, b.centre_id, b.centre_patient_id
            from harmonised.patient a join harmonised.patient b using (sex, birth_date_linkage, first_tpe_date)
            where a.centre_id < b.centre_id order by all"""
    ).fetchall()
    assert pairs == [("AT01", "1", "DE01", "K900"), ("AT01", "2", "DE01", "K901"), ("AT01", "3", "DE01", "K902")]


def test_the_free_text_that_could_identify_is_withheld_and_counted(con):
    scan = con.execute(
        "select centre_id, file, column_name, texts, withheld, links, formulas from quality.free_text_scan"
    ).fetchall()
    assert scan == [("FR01", "patients.csv", "Commentaires", 14, 1, 1, 1)]
    withheld = con.execute(
        "select \"N° patient\", Commentaires from raw.fr01__patients where Commentaires like '(withheld%'"
    ).fetchall()
    assert withheld == [("FR-0018", "(withheld: link, formula)")]


def test_no_forbidden_value_and_no_birth_date_reaches_an_output_or_a_log(study_run):
    files = [
        p
        for folder in (study_run.warehouse, study_run.dagster_home)
        for p in folder.rglob("*")
        if p.is_file() and p.suffix not in (".duckdb", ".parquet")
    ]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert not re.search(FORBIDDEN.encode(), content), path
        assert not _dates_in(content.decode("latin-1")) & BIRTH_DATES, path
    assert not re.search(FORBIDDEN, study_run.output)
    assert not _dates_in(study_run.output) & BIRTH_DATES
