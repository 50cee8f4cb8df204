"""Formats that a centre may send: each read right, or refused with what was found and where, from one tiny centre."""

import io
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from openpyxl import Workbook
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused

DATA = Path(__file__).parent / "data"
LAB = """
labs:
  file: "{file}"
  format: {format}
  key: ID
  {options}
  records:
    - table: lab_result
      fields: {{result_date: {{column: DAY{date}}}, platelets_10e9_per_l: {{column: PLT, unit: 10^9/L}}}}
"""


def lab(file: str, format_: str, date_: str = ", date_format: iso", options: str = "") -> str:
    return LAB.format(file=file, format=format_, date=date_, options=options or "decimal: .")


def results(loaded) -> list[tuple]:
    return [(r["centre_patient_id"], str(r["result_date"]), r["value"]) for r in loaded("harmonised.lab_result")]


def refused(loaded) -> list[tuple]:
    return [(r["row_number"], r["column_name"], r["rule"]) for r in loaded("quality.quarantine")]


EXPECTED = [("A", "2020-01-11", 20.0), ("B", "2020-03-02", 55.5)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp932", "utf-8"])
def test_text_in_any_encoding(centre, loaded, encoding):
    centre.spec(
        lab(
            "labs.txt",
            f'{{type: delimited, encoding: {encoding}, delimiter: "\\t"}}',
            options='ignored: {"備考": remark}',
        )
    )
    centre.write("labs.txt", "ID\tDAY\tPLT\t備考\nA\t2020-01-11\t20\t\nB\t2020-03-02\t55.5\t再検\n", encoding)
    load_centre("XX01")
    assert results(loaded) == EXPECTED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ID\tDAY\tPLT\nA\t2020-01-11\t20\n".encode("utf-16")[:-1], "byte 54 cannot be read as utf-16"),
        ("ID\tDAY\tPLT\nA\t2020-01-11\t20\n".encode("utf-16-be"), "the delimiter and the encoding right"),
    ],
)
def test_a_truncated_or_otherwise_ordered_utf_16_file_is_refused(centre, content, said):
    centre.spec(
        lab(
            "labs.txt",
            '{type: delimited, encoding: utf-16-le, delimiter: "\\t"}'.replace(
                "utf-16-le", "utf-16" if "byte" in said else "utf-16-le"
            ),
        )
    )
    centre.write("labs.txt", content)
    with pytest.raises(CentreRefused, match=said):
        load_centre("XX01")


def test_full_width_signs_are_numerals_where_the_table_says_so_and_stay_as_sent_in_raw(centre, loaded):
    text = "ID,DAY,PLT\nＡ,２０２０年１月１１日,２０\nＢ,2020年3月2日,５５．５\n"
    centre.spec(
        lab(
            "labs.csv",
            "{type: delimited, encoding: cp932, delimiter: ','}",
            ', date_format: "%Y年%-m月%-d日"',
            "width: narrow",
        )
    )
    centre.write("labs.csv", text, "cp932")
    load_centre("XX01")
    assert results(loaded) == EXPECTED
    assert [r["PLT"] for r in loaded("raw.xx01__labs")] == ["２０", "５５．５"]


def test_full_width_signs_are_refused_where_nothing_is_said(centre, loaded):
    centre.spec(lab("labs.csv", "{type: delimited, encoding: utf-8, delimiter: ','}"))
    centre.write("labs.csv", "ID,DAY,PLT\nA,2020-01-11,２０\nB,2020-03-02,55.5\n")
    load_centre("XX01")
    assert (results(loaded), refused(loaded)) == (EXPECTED[1:], [(2, "PLT", "not_a_number")])


FRAME = pd.DataFrame({"ID": ["A", "B"], "DAY": ["2020-01-11", "2020-03-02"], "PLT": [20.0, 55.5]})


def test_sas_transport(centre, loaded):
    frame = FRAME.assign(DAY=[date(2020, 1, 11), date(2020, 3, 2)])
    pyreadstat.write_xport(
        frame, centre.submission / "labs.xpt", file_format_version=5, table_name="LB", variable_format={"DAY": "DATE9."}
    )
    centre.spec(lab("labs.xpt", "{type: sas_transport}", ", date_format: date_cell"))
    load_centre("XX01")
    assert results(loaded) == EXPECTED


@pytest.mark.parametrize("version", [5, 8])
def test_a_special_missing_value_of_sas_is_no_blank(centre, loaded, version):
    """SAS writes .A as the letter and seven zero bytes; 55.5 is the only number of the second row."""
    path = centre.submission / "labs.xpt"
    pyreadstat.write_xport(FRAME, path, file_format_version=version)
    content, number = path.read_bytes(), bytes.fromhex("4237800000000000")
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, b"A" + bytes(7)))
    centre.spec(lab("labs.xpt", "{type: sas_transport}"))
    load_centre("XX01")
    assert (results(loaded), refused(loaded)) == (EXPECTED[:1], [(2, "PLT", "not_a_number")])
    centre.spec(lab("labs.xpt", "{type: sas_transport}").replace("unit: 10^9/L", 'unit: 10^9/L, missing: [".A"]'))
    load_centre("XX01")
    assert (results(loaded), refused(loaded)) == (EXPECTED[:1], [])


def test_a_sas_data_set(centre, loaded):
    """Written by R.

    haven::write_sas(data.frame(ID = c("A", "B"), DAY = as.Date(c("2020-01-11", "2020-03-02")), PLT = c(20, 55.5)), ...)
    """
    centre.write("labs.sas7bdat", (DATA / "labs.sas7bdat").read_bytes())
    centre.spec(lab("labs.sas7bdat", "{type: sas}", ", date_format: date_cell"))
    load_centre("XX01")
    assert results(loaded) == EXPECTED


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("labs.xpt", "sas_transport"),
        ("labs.sas7bdat", "sas"),
        ("labs.parquet", "parquet"),
        ("labs.ods", "{type: ods, sheet: S}"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_refused(centre, file, kind):
    centre.spec(lab(file, kind if kind.startswith("{") else f"{{type: {kind}}}"))
    centre.write(file, "ID;DAY;PLT\n")
    with pytest.raises(CentreRefused, match=f"{file}.*(not readable|is damaged|not a complete)"):
        load_centre("XX01")


def test_parquet_with_typed_columns(centre, loaded):
    table = pa.table(
        {
            "ID": pa.array(["A", "B"]).dictionary_encode(),
            "DAY": pa.array([datetime(2020, 1, 11), datetime(2020, 3, 2)], pa.timestamp("ms")),
            "PLT": pa.array([20.0, 55.5], pa.float32()),
            "DOSE": pa.array([Decimal("0.10"), None], pa.decimal128(5, 2)),
        }
    )
    pq.write_table(table, centre.submission / "labs.parquet")
    centre.spec(lab("labs.parquet", "{type: parquet}", ", date_format: date_cell", "ignored: {DOSE: no study field}"))
    load_centre("XX01")
    assert results(loaded) == EXPECTED
    assert [r["DOSE"] for r in loaded("raw.xx01__labs")] == ["0.10", ""]


def test_a_float_of_single_precision_is_its_shortest_number(centre, loaded):
    pq.write_table(
        pa.table({"ID": ["A"], "DAY": ["2020-01-11"], "PLT": pa.array([20.1], pa.float32())}),
        centre.submission / "labs.parquet",
    )
    centre.spec(lab("labs.parquet", "{type: parquet}"))
    load_centre("XX01")
    assert results(loaded) == [("A", "2020-01-11", 20.1)]


def test_a_nested_column_of_parquet_is_refused_by_name(centre):
    pq.write_table(
        pa.table({"ID": ["A"], "DAY": ["2020-01-11"], "PLT": [[20, 30]]}), centre.submission / "labs.parquet"
    )
    centre.spec(lab("labs.parquet", "{type: parquet}"))
    with pytest.raises(CentreRefused, match="column 'PLT' is of type list"):
        load_centre("XX01")


def ods(cells: list[list[str]], sheet: str = "S") -> bytes:
    """A minimal ODS workbook of ready cells."""
    names = ["table", "office", "text"]
    spaces = (
        " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in names)
        + ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    )
    rows = "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in cells)
    body = (
        f'<office:document-content {spaces} office:version="1.2"><office:body><office:spreadsheet>'
        f'<table:table table:name="{sheet}">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        parts.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        parts.writestr("content.xml", body)
    return file.getvalue()


def cell(value) -> str:
    if isinstance(value, date):
        shown = f"<text:p>{value:%d/%m/%y}</text:p>"
        return f'<table:table-cell office:value-type="date" office:date-value="{value}">{shown}</table:table-cell>'
    if isinstance(value, float):
        shown = f"<text:p>{value}</text:p>"
        return f'<table:table-cell office:value-type="float" office:value="{value}">{shown}</table:table-cell>'
    return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'


HEADER = [cell(name) for name in ("ID", "DAY", "PLT")]
ROWS = [[cell("A"), cell(date(2020, 1, 11)), cell(20.0)], [cell("B"), cell(date(2020, 3, 2)), cell(55.5)]]


def test_an_ods_workbook(centre, loaded):
    centre.write("labs.ods", ods([HEADER, *ROWS]))
    centre.spec(lab("labs.ods", "{type: ods, sheet: S}", ", date_format: date_cell"))
    load_centre("XX01")
    assert results(loaded) == EXPECTED


def counts(centre, *cells: tuple) -> None:
    """A workbook with platelet counts, each with its number format."""
    book = Workbook()
    book.active.title = "S"
    book.active.append(["ID", "DAY", "PLT"])
    for number, (value, code) in enumerate(cells, 2):
        book.active.append(["A", f"2020-01-{number + 9}", value])
        book.active.cell(number, 3).number_format = code
    book.save(centre.submission / "labs.xlsx")
    centre.spec(lab("labs.xlsx", "{type: xlsx, sheet: S}"))


def test_fixed_text_of_a_number_format_is_read_and_another_unit_refused(centre, loaded):
    counts(centre, (20, "0"), (21, '0" 10^9/L"'), (5, '"<"0'), (20_000, '0" /\u00b5L"'), (10, '"n.d."'))
    load_centre("XX01")
    assert [value for *_, value in results(loaded)] == [20.0, 21.0]
    rules = [(4, "comparator_not_allowed"), (5, "not_a_number"), (6, "not_a_number")]
    assert refused(loaded) == [(row, "PLT", rule) for row, rule in rules]


def test_numbers_in_thousands_among_plain_ones_stop_the_centre(centre, loaded):
    counts(centre, (150_000, '[>999]0,"K";0'), (500, '[>999]0,"K";0'))
    with pytest.raises(CentreRefused, match="'PLT': 1 cells are numbers shown in thousands and 1 are plain numbers"):
        load_centre("XX01")
    counts(centre, (150_000, '0,"K"'), (85_000, '0,"K"'))
    load_centre("XX01")
    assert [value for *_, value in results(loaded)] == [150.0, 85.0]


def test_a_typed_number_has_no_marks_between_thousands(centre, loaded):
    """99.999 is a number below 100 as JSON writes it; the text "120.000" of the same column is 120,000."""
    numbers = ['"120.000"', "120000.25", "1e5", "99.999"]
    texts = (f'{{"ID": "A", "DAY": "2020-01-{11 + i}", "PLT": {number}}}' for i, number in enumerate(numbers))
    centre.write("labs.jsonl", "\n".join(texts))
    spec = lab("labs.jsonl", "{type: json_lines}", options='decimal: ","')
    centre.spec(spec.replace("unit: 10^9/L", 'unit: /mm3, thousands: "."'))
    load_centre("XX01")
    assert [value for *_, value in results(loaded)] == [120.0, 120.00025, 100.0]
    assert refused(loaded) == [(4, "PLT", "out_of_range")]


def test_an_error_in_an_ods_cell_is_no_blank(centre, loaded):
    error = (
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value="" '
        'calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell>'
    )
    centre.write("labs.ods", ods([HEADER, ROWS[0], [cell("B"), cell(date(2020, 3, 2)), error]]))
    centre.spec(lab("labs.ods", "{type: ods, sheet: S}", ", date_format: date_cell"))
    load_centre("XX01")
    assert (results(loaded), refused(loaded)) == (EXPECTED[:1], [(3, "PLT", "not_a_number")])


def test_a_sheet_of_an_ods_workbook_that_is_not_declared_is_refused(centre):
    centre.write("labs.ods", ods([HEADER, *ROWS], sheet="Other"))
    centre.spec(lab("labs.ods", "{type: ods, sheet: S}"))
    with pytest.raises(CentreRefused, match="no sheet 'S'; the workbook has 1 other"):
        load_centre("XX01")


@pytest.mark.parametrize(
    ("language", "format_", "first", "second"),
    [
        ("en", "%-d %B %Y", "11 January 2020", "2 march 2020"),
        ("en", "%-d-%b-%Y", "11-JAN-2020", "2-Mar-2020"),
        ("en", "%b %-d, %y", "Jan 11, 20", "Mar. 2, 20"),
        ("fr", "%-d %b %Y", "11 janv. 2020", "2 mars 2020"),
        ("de", "%-d. %B %Y", "11. Jänner 2020", "2. März 2020"),
        ("es", "%-d de %B de %Y", "11 de enero de 2020", "2 de marzo de 2020"),
        ("it", "%-d %B %Y", "11 gennaio 2020", "2 marzo 2020"),
        ("pt", "%-d de %B de %Y", "11 de janeiro de 2020", "2 de março de 2020"),
        ("hu", "%Y. %b %-d.", "2020. jan. 11.", "2020. márc. 2."),
        ("nl", "%-d %b %Y", "11 jan 2020", "2 mrt 2020"),
    ],
)
def test_dates_in_words(centre, loaded, language, format_, first, second):
    centre.spec(
        lab(
            "labs.txt",
            '{type: delimited, encoding: utf-8, delimiter: "|"}',
            f', date_format: "{format_}", date_language: {language}',
        )
    )
    centre.write("labs.txt", f"ID|DAY|PLT\nA|{first}|20\nB|{second}|55.5\n")
    load_centre("XX01")
    assert results(loaded) == EXPECTED


@pytest.mark.parametrize(
    "text", ["31 February 2020", "11 Janvier 2020", "11 Jan 2020", "January 2020", "11 January 20"]
)
def test_a_date_in_words_that_is_none_is_refused(centre, loaded, text):
    centre.spec(
        lab(
            "labs.txt",
            '{type: delimited, encoding: utf-8, delimiter: "|"}',
            ', date_format: "%-d %B %Y", date_language: en',
        )
    )
    centre.write("labs.txt", f"ID|DAY|PLT\nA|{text}|20\nB|2 March 2020|55.5\n")
    load_centre("XX01")
    assert (results(loaded), refused(loaded)) == (EXPECTED[1:], [(2, "DAY", "not_a_date")])


def test_names_of_months_need_their_language(centre):
    centre.spec(lab("labs.txt", '{type: delimited, encoding: utf-8, delimiter: "|"}', ', date_format: "%-d %B %Y"'))
    with pytest.raises(CentreRefused, match="expected a language of: en, fr"):
        load_centre("XX01")


REDCAP = """
redcap:
  file: labels.csv
  format: {type: delimited, encoding: utf-8, delimiter: ",", duplicate_columns: numbered}
  key: Record ID
  date_format: iso
  row_kinds:
    column: Repeat Instrument
    kinds: {lab: [Laboratory], exchange: [Plasma exchange]}
    ignored: {"": baseline form, read as the patient table}
  ignored: {Repeat Instance: number of the row, "Complete?": form status, "Complete? (2)": form status}
  records:
    - table: lab_result
      rows: lab
      fields: {result_date: Date, platelets_10e9_per_l: {column: Platelets, unit: 10^9/L}}
    - {table: tpe_session, rows: exchange, fields: {session_date: Date (2)}}
    - table: drug_course
      rows: exchange
      present: {column: "Given the same day (choice=Rituximab)", "yes": [Checked], "no": [Unchecked]}
      fields: {drug: {constant: rituximab}, start_date: Date (2)}
"""
REDCAP_ROWS = """\
Record ID,Repeat Instrument,Repeat Instance,Date,Platelets,Complete?,Date,\
Given the same day (choice=Rituximab),Complete?
A,,,,,,,,
A,Laboratory,1,2020-01-11,20,Complete,,,
A,Plasma exchange,1,,,,2020-01-12,Checked,Complete
B,Laboratory,1,2020-03-02,55.5,Complete,,,
B,Plasma exchange,1,,,,2020-03-02,Unchecked,Complete
"""


def test_a_redcap_export_with_labels(centre, loaded):
    """Labels of two forms repeat: numbered in their order. A ticked box is "Checked" in a column of its own."""
    centre.spec(REDCAP.replace("baseline form, read as the patient table", "baseline form"))
    centre.write("labels.csv", REDCAP_ROWS)
    load_centre("XX01")
    assert results(loaded) == EXPECTED
    assert [(r["centre_patient_id"], str(r["session_date"])) for r in loaded("harmonised.tpe_session")] == [
        ("A", "2020-01-12"),
        ("B", "2020-03-02"),
    ]
    assert [(r["centre_patient_id"], r["drug"], str(r["start_date"])) for r in loaded("harmonised.drug_course")] == [
        ("A", "rituximab", "2020-01-12")
    ]


def test_a_label_that_is_there_twice_is_refused_where_nothing_is_said(centre):
    centre.spec(
        REDCAP.replace(", duplicate_columns: numbered", "").replace(
            "baseline form, read as the patient table", "baseline form"
        )
    )
    centre.write("labels.csv", REDCAP_ROWS)
    with pytest.raises(CentreRefused, match=r"columns 4, 6, 7, 9 have duplicate names"):
        load_centre("XX01")


SDTM = """
lb:
  file: lb.xpt
  format: {type: sas_transport}
  key: USUBJID
  row_kinds: {column: LBTESTCD, kinds: {platelets: [PLAT]}, ignored: {CREAT: not day by day}}
  ignored: {LBSTRESN: same as LBORRES, LBORRESU: always 10^9/L}
  records:
    - table: lab_result
      rows: platelets
      fields:
        result_date: {column: LBDTC, date_format: iso8601}
        platelets_10e9_per_l: {column: LBORRES, unit: 10^9/L}
pr:
  file: pr.xpt
  format: {type: sas_transport}
  key: USUBJID
  row_kinds: {column: PRTRT, kinds: {exchange: [PLASMA EXCHANGE]}}
  records:
    - {table: tpe_session, rows: exchange, fields: {session_date: {column: PRSTDY, study_day: sdtm}}}
"""


def test_sdtm_domains(centre, loaded):
    """ISO 8601 with or without a time; study day 1 is the first exchange, day -1 the day before, without a day 0."""
    lb = pd.DataFrame(
        {
            "USUBJID": ["A", "A", "B", "A"],
            "LBTESTCD": ["PLAT", "PLAT", "PLAT", "CREAT"],
            "LBORRES": ["20", "30", "55.5", "80"],
            "LBDTC": ["2020-01-11T08:30", "2020-01", "2020-03-02", "2020-01-11"],
            "LBORRESU": "10^9/L",
            "LBSTRESN": [20.0, 30.0, 55.5, 80.0],
        }
    )
    pr = pd.DataFrame({"USUBJID": ["A"] * 4, "PRTRT": "PLASMA EXCHANGE", "PRSTDY": [1.0, 2.0, 0.0, -1.0]})
    pyreadstat.write_xport(lb, centre.submission / "lb.xpt", file_format_version=5)
    pyreadstat.write_xport(pr, centre.submission / "pr.xpt", file_format_version=5)
    centre.spec(SDTM)
    load_centre("XX01")
    assert results(loaded) == EXPECTED
    assert [str(r["session_date"]) for r in loaded("harmonised.tpe_session")] == [
        "2020-01-10",
        "2020-01-11",
        "2020-01-09",
    ]
    assert refused(loaded) == [(2, "LBDTC", "not_a_date"), (3, "PRSTDY", "no_study_day_zero")]
