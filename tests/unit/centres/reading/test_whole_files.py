"""A file is read whole or not at all: cut short, several data sets, foreign bytes, rows that fit no header."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import FileTable, Unreadable
from capla_etl.centres.spec.grammar import Delimited, JsonLines, Parquet, Sas, SasTransport, Spss, Stata

#: Patients with a code each; the last row is unlike the others.
FRAME = pd.DataFrame({"ID": [f"A{n}" for n in range(1, 41)], "X": [float(n) for n in range(1, 41)]})
LABELS = {"X": {1: "one", 40: "forty"}}


def csv(text: str | bytes, **options) -> FileTable:
    content = text if isinstance(text, bytes) else text.encode()
    return formats.read(content, Delimited(type="delimited", **{"encoding": "utf-8", "delimiter": ","} | options))


def cells(table: FileTable) -> list[list[str]]:
    return [list(row.values())[:-1] for row in table.rows.to_pylist()]


def written(path, kind: str, **options) -> bytes:
    write = {"stata": pyreadstat.write_dta, "spss": pyreadstat.write_sav, "sas_transport": pyreadstat.write_xport}
    write[kind](FRAME, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("declared", "options"),
    [
        (Stata(type="stata"), {"version": 15, "variable_value_labels": LABELS}),
        (Stata(type="stata"), {"version": 13, "variable_value_labels": LABELS}),
        (Stata(type="stata"), {"version": 12, "variable_value_labels": LABELS}),
        (Stata(type="stata"), {"version": 8, "variable_value_labels": LABELS}),
        (Spss(type="spss"), {"variable_value_labels": LABELS}),
        (Spss(type="spss"), {"variable_value_labels": LABELS, "compress": True}),
        (Spss(type="spss"), {"variable_value_labels": LABELS, "row_compress": True}),
        (SasTransport(type="sas_transport"), {"file_format_version": 5}),
        (SasTransport(type="sas_transport"), {"file_format_version": 8}),
    ],
)
def test_a_file_cut_anywhere_is_refused_and_the_whole_one_is_read(tmp_path, declared, options):
    """Two cuts cannot be seen: a transport file of version 5 before its first row, and a Stata file before 13 without
    any label. The first has no rows, which is refused later; the second is said."""
    content = written(tmp_path / "x", declared.type, **options)
    assert formats.read(content, declared).rows.num_rows == 40
    unseen = []
    for length in {*range(1, len(content), 37), *range(len(content) - 90, len(content))}:
        try:
            table = formats.read(content[:length], declared)
        except Unreadable:
            continue
        unseen.append((table.rows.num_rows, table.notes))
    assert all(rows == 0 or notes for rows, notes in unseen) and len(unseen) <= 1


def test_a_stata_file_cut_before_its_labels_says_that_codes_are_read(tmp_path):
    content = written(tmp_path / "x", "stata", version=12, variable_value_labels=LABELS)
    before_labels = len(written(tmp_path / "x", "stata", version=12))
    table = formats.read(content[:before_labels], Stata(type="stata"))
    assert table.notes == ["column 'X': its value labels are not in the file; its codes are read."]


def test_sas_files_cut_short_are_refused():
    content = (Path(__file__).parent / "data" / "labs.sas7bdat").read_bytes()
    for length in range(1, len(content), 997):
        with pytest.raises(Unreadable):
            formats.read(content[:length], Sas(type="sas"))


def two_members(tmp_path) -> bytes:
    """A transport file with the data sets LB and DM: the second member follows the first."""
    pyreadstat.write_xport(FRAME, tmp_path / "lb", file_format_version=5, table_name="LB")
    pyreadstat.write_xport(FRAME.head(2), tmp_path / "dm", file_format_version=5, table_name="DM")
    return (tmp_path / "lb").read_bytes() + (tmp_path / "dm").read_bytes()[240:]


@pytest.mark.parametrize(("member", "rows"), [("LB", 40), ("dm", 2)])
def test_the_spec_chooses_one_of_several_data_sets(tmp_path, member, rows):
    table = formats.read(two_members(tmp_path), SasTransport(type="sas_transport", member=member))
    assert (table.rows.num_rows, cells(table)[-1]) == (rows, [f"A{rows}", str(rows)])


def test_several_data_sets_and_none_chosen_or_another_are_refused(tmp_path):
    with pytest.raises(Unreadable, match="the file holds 2 data sets; expected one of them as `member`"):
        formats.read(two_members(tmp_path), SasTransport(type="sas_transport"))
    with pytest.raises(Unreadable, match="no data set 'AE'; the file has 2 other"):
        formats.read(two_members(tmp_path), SasTransport(type="sas_transport", member="AE"))


@pytest.mark.parametrize("kind", [Spss, Stata, SasTransport])
def test_bytes_in_another_encoding_name_the_option_that_declares_it(tmp_path, kind):
    """A letter of another encoding at the very end of a text is one that readers drop in silence."""
    name = {Spss: "spss", Stata: "stata", SasTransport: "sas_transport"}[kind]
    write = {"spss": pyreadstat.write_sav, "stata": pyreadstat.write_dta, "sas_transport": pyreadstat.write_xport}[name]
    write(pd.DataFrame({"ID": ["caf+", "tea"]}), tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    assert content.count(b"caf+") == 1
    content = content.replace(b"caf+", b"caf\xe9")
    with pytest.raises(Unreadable, match="a text is not in .*; declare the right `encoding` in the spec"):
        formats.read(content, kind(type=name))
    assert cells(formats.read(content, kind(type=name, encoding="latin-1"))) == [["café"], ["tea"]]
    with pytest.raises(Unreadable, match="unknown encoding 'klingon'"):
        formats.read(content, kind(type=name, encoding="klingon"))


def test_utf_8_in_a_stata_file_that_knows_none_is_refused_until_declared(tmp_path):
    pyreadstat.write_dta(pd.DataFrame({"ID": ["café"]}), tmp_path / "x", version=12)
    content = (tmp_path / "x").read_bytes()
    with pytest.raises(Unreadable, match="valid UTF-8, but are read as cp1252; declare `encoding: utf-8`"):
        formats.read(content, Stata(type="stata"))
    assert cells(formats.read(content, Stata(type="stata", encoding="utf-8"))) == [["café"]]


@pytest.mark.parametrize(
    ("place", "other"),
    [(b"OBSV8   HEADER RECORD!!!!!!!  ", b"12"), (b"OBSV8   HEADER RECORD!!!!!!!", b"x"), (b"!!!!!!!000000", b"9")],
)
def test_a_transport_file_with_a_damaged_count_is_refused(tmp_path, place, other):
    """The count of rows as "12  2" or with a letter, and one of more variables than the file has."""
    pyreadstat.write_xport(FRAME.head(2), tmp_path / "x", file_format_version=8)
    content = bytearray((tmp_path / "x").read_bytes())
    at = content.rindex(place) + len(place)
    content[at : at + len(other)] = other
    with pytest.raises(Unreadable, match="damaged|cut off"):
        formats.read(bytes(content), SasTransport(type="sas_transport"))


# ------------------------------------------------------------------------------------------- delimited


def test_a_last_line_without_end_is_said_and_one_that_is_too_short_is_refused():
    assert csv("ID,X\nA,1\nB,2\n").notes == []
    table = csv("ID,X\nA,1\nB,2")
    assert (cells(table), table.notes) == (
        [["A", "1"], ["B", "2"]],
        ["The last line has no end; make sure that the file was not cut off."],
    )
    with pytest.raises(Unreadable, match="the last line has no end and fewer cells than the header"):
        csv("ID,X\nA,1\nB")
    table = csv("ID,X\nA,1\nTotal: 1", footer_starts_with=["Total"])
    assert [status for _, status, _, _ in table.set_aside] == ["quarantined"]


@pytest.mark.parametrize(
    "text",
    [
        'ID,X\n"A","1"\n"B","2',
        'ID,X\nA,1\nB,"2\n',
        'ID,X\nA,"1\nB,2\nC,3\n',
        'ID,X\nA,"',
        'ID,X\n"A","1"""\n"B","2""',
        'ID,X\rA,1\rB,"2',
    ],
)
def test_a_file_that_ends_inside_a_quotation_mark_is_refused(text):
    with pytest.raises(Unreadable, match="a quotation mark opened in row [23] is not closed, or the file was cut off"):
        csv(text)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_rows_inside_a_quotation_mark_are_seen_whatever_ends_a_line(end):
    """The mark that opens in row 2 is closed by the one of row 4, so that row 3 would be lost."""
    lines = ["ID,DAY,NOTE", 'A,2020-01-11,"x', "B,2020-01-12,y", 'C,2020-01-13,"z', "D,2020-01-14,"]
    with pytest.raises(Unreadable, match="a quotation mark opened in row 2 is not closed: whole rows follow"):
        csv(end.join(lines) + end)
    mixed = "\n".join(lines).replace("x\n", "x\r").replace("y\n", "y\r") + "\n"
    with pytest.raises(Unreadable, match="a quotation mark opened in row 2 is not closed: whole rows follow"):
        csv(mixed)
    whole = end.join([lines[0], 'A,2020-01-11,"x"', *lines[4:]]) + end
    assert cells(csv(whole)) == [["A", "2020-01-11", "x"], ["D", "2020-01-14", ""]]


@pytest.mark.parametrize("remark", ["fever, rash,\nthen cough, pain, rest", "a,b,c\r\nd,e,f", "x\n1,2,3"])
def test_a_remark_of_several_lines_with_delimiters_is_no_row(remark):
    """No line of it has a date where the rows have theirs."""
    table = csv(f'ID,DAY,NOTE\nA,2020-01-11,"{remark}"\nB,2020-01-12,\n')
    assert cells(table) == [["A", "2020-01-11", remark], ["B", "2020-01-12", ""]]


@pytest.mark.parametrize("end", ["\x1a", "\x1a\r\n", "\n\x1a\x1a"])
def test_the_end_of_file_sign_of_dos_is_no_row(end):
    table = csv(f"ID,X\nA,1\nB,2{end}")
    assert (cells(table), table.set_aside) == ([["A", "1"], ["B", "2"]], [])


@pytest.mark.parametrize("columns", [1001, 1002, 3000])
def test_a_file_may_have_any_number_of_columns(columns):
    header = [f"x{n}" for n in range(columns)]
    table = csv(",".join(header) + "\n" + ",".join(map(str, range(columns))) + "\n")
    assert cells(table) == [[str(n) for n in range(columns)]]
    broken = ",".join(header) + '\n"' + ",".join(map(str, range(columns))) + "\n" + ",".join(map(str, range(columns)))
    with pytest.raises(Unreadable, match="a quotation mark|not readable as delimited text|fewer cells"):
        csv(broken + "\n")


def test_a_delimiter_at_the_end_of_the_rows_alone_is_read_and_said():
    table = csv("ID,X\nA,1,\nB,,\n")
    assert (table.header, cells(table)) == (["ID", "X"], [["A", "1"], ["B", ""]])
    assert table.notes == ["Every row ends with a delimiter that the header lacks."]


def test_one_row_with_a_cell_too_many_is_refused_alone():
    table = csv("ID,X\nA,1,\nB,2\n")
    assert (cells(table), [row for row, *_ in table.set_aside]) == ([["B", "2"]], [2])


def test_row_names_of_r_are_a_column_without_a_name():
    """write.csv leaves the first cell of the header empty; write.table leaves it out."""
    expected = (["(column 1)", "ID", "X"], [["1", "A", "1"], ["3", "B", "2"]])
    for header in ('"","ID","X"', '"ID","X"'):
        table = csv(f'{header}\n"1","A",1\n"3","B",2\n')
        assert (table.header, cells(table)) == expected
    assert csv('"ID","X"\n"1","A",1\n').notes == [
        "The first column has no name; it holds row numbers as R writes them."
    ]


def test_rows_of_one_cell_more_that_are_no_row_numbers_are_refused():
    """A decimal comma in a file with commas makes a cell of its own."""
    with pytest.raises(Unreadable, match=r"the rows have 3 cells, but the header has 2.*row\.names = FALSE"):
        csv("ID,X\nA,1,5\nB,2,5\n")


def test_two_encodings_in_one_file_are_said():
    with pytest.raises(Unreadable, match="begins with the mark of UTF-8, but byte 11 is not UTF-8"):
        csv(b"\xef\xbb\xbfID,X\nA,M\xfcller\n")
    with pytest.raises(Unreadable, match="begins with the mark of UTF-8"):
        csv(b"\xef\xbb\xbfID,X\nA,M\xfcller\n", encoding="cp1252")


def test_a_title_of_several_lines_counts_as_the_one_row_that_a_spreadsheet_shows():
    table = csv('"Export\nof 2021",\nID,X\nA,1\n', header_row=2)
    assert (table.header, cells(table), table.rows["source_row"].to_pylist()) == (["ID", "X"], [["A", "1"]], [3])


LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ","}
  key: ID
  records:
    - table: lab_result
      fields:
        result_date: {column: DAY, date_format: iso}
        platelets_10e9_per_l: {column: PLT, unit: 10^9/L}
"""


def test_a_header_that_is_repeated_among_the_rows_is_no_data(centre, loaded):
    centre.spec(LABS)
    centre.write("labs.csv", "ID,DAY,PLT\nA,2020-01-11,20\nID,DAY,PLT\nB,2020-03-02,55\n")
    load_centre("XX01")
    assert [(r["centre_patient_id"], r["source_row"]) for r in loaded("harmonised.lab_result")] == [("A", 2), ("B", 4)]
    ledger = next(r for r in loaded("quality.ledger") if r["file"] == "labs.csv")
    assert (ledger["rows_received"], ledger["rows_loaded"], ledger["rows_ignored"]) == (3, 2, 1)
    assert loaded("quality.quarantine") == []


@pytest.mark.parametrize("second", ["ID,DAY,LDH", "ID,PLT,DAY"])
def test_the_header_of_a_second_table_stops_the_file(centre, second):
    """The rows below it would be read as values of other columns."""
    centre.spec(LABS)
    centre.write("labs.csv", f"ID,DAY,PLT\nA,2020-01-11,20\n{second}\nB,2020-03-02,480\n")
    with pytest.raises(CentreRefused, match="row 3 looks like the header of another table"):
        load_centre("XX01")


def test_a_column_without_name_and_values_needs_no_declaration_and_one_with_values_does(centre, loaded):
    centre.spec(LABS)
    centre.write("labs.csv", "ID,DAY,PLT,,\nA,2020-01-11,20,,\n")
    load_centre("XX01")
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [20.0]
    centre.write("labs.csv", "ID,DAY,PLT,,\nA,2020-01-11,20,,x\n")
    with pytest.raises(CentreRefused, match=r"column\(s\) not in the spec: 5 \(E\); declare each"):
        load_centre("XX01")
    centre.spec(LABS.replace("  records:", '  ignored: {"(column 5)": remark}\n  records:'))
    load_centre("XX01")
    centre.write("labs.csv", "ID,DAY,PLT,,\nA,2020-01-11,20,,\n")
    load_centre("XX01")


def test_one_cell_may_be_longer_than_a_million_letters():
    long = "x\n" * 700_000
    assert cells(csv(f'ID,X\nA,"{long}"\nB,2\n')) == [["A", long], ["B", "2"]]


# ------------------------------------------------------------------------------------------- JSON


def json_lines(text: str, path: str | None = None) -> FileTable:
    return formats.read(text.encode(), JsonLines(type="json_lines", list=path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[\n{"id": 1},\n{"id": 2}\n]\n', "one JSON list as a whole; expected JSON lines"),
        ('[{"id": 1}, {"id": 2}]', "one JSON list as a whole"),
        ('{\n  "id": 1\n}\n', "one JSON object as a whole"),
        ('{"id": 1}\n{"id": 2, "x', "the last line has no end and is no JSON object; the file was cut off"),
        ("id;x\n1;2\n", "no line is a JSON object"),
    ],
)
def test_json_in_another_arrangement_is_named(text, said):
    with pytest.raises(Unreadable, match=said):
        json_lines(text)


def test_a_broken_line_is_refused_alone_and_a_whole_last_line_needs_no_end():
    table = json_lines('{"id": "A"}\nx\n{"id": "B"}')
    assert (cells(table), [(row, rule) for row, _, rule, _ in table.set_aside]) == ([["A"], ["B"]], [(2, "not_json")])
    assert json_lines('{"id": "A"}').rows.num_rows == 1


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"id": "B", "x": NaN}', "not_json"),
        ('{"id": "\\ud800"}', "not_json"),
        ("{}", "not_json"),
        ("[" * 100_000, "not_json"),
        ('{"id": "B", "id": "C"}', "repeated_key"),
        ('{"id": "B", "a": {"x": 1, "x": 2}}', "repeated_key"),
        ('{"id": "B", "a.x": 1, "a": {"x": 2}}', "repeated_key"),
    ],
)
def test_a_line_that_cannot_be_read_for_sure_is_set_aside(line, rule):
    table = json_lines(f'{{"id": "A"}}\n{line}\n')
    assert (cells(table), [(row, r) for row, _, r, _ in table.set_aside]) == ([["A"]], [(2, rule)])


def test_a_flipped_bit_in_a_page_of_parquet_is_refused_where_the_file_has_checksums():
    whole = io.BytesIO()
    table = pa.table({"id": [f"P{i}" for i in range(50)], "plt": list(range(50))})
    pq.write_table(table, whole, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(whole.getvalue())
    assert formats.read(bytes(content), Parquet(type="parquet")).rows.num_rows == 50
    place = content.index(b"P31")
    content[place + 2] ^= 1  # P30, which would be read as another patient
    with pytest.raises(Unreadable, match="the Parquet file is damaged; ask the centre to send it again"):
        formats.read(bytes(content), Parquet(type="parquet"))


@pytest.mark.parametrize("line", ['{"id": "A", "x": NaN}', '{"id": "A", "x": -Infinity}', '{"id": "A", "x": 1,}'])
def test_json_that_the_standard_does_not_know_is_no_line(line):
    found = formats.read(f'{{"id": "B", "x": 1}}\n{line}\n'.encode(), JsonLines(type="json_lines"))
    assert [aside[:3] for aside in found.set_aside] == [(2, "quarantined", "not_json")]
