"""A cell of a workbook is what it shows: percentages, leading zeros, errors, times; what it cannot say is a note.

Expected texts are what a spreadsheet shows for the stored value and format.
"""

import datetime as dt
import io
import zipfile

import openpyxl
import pytest

from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import Decimals, FileTable, Unreadable
from capla_etl.centres.reading.formats.workbook_cells import shown_number
from capla_etl.centres.spec.grammar import Workbook

XLSX = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def xlsx(cells: str, styles: str = "", space: str = XLSX, properties: str = "", columns: str = "") -> bytes:
    """A minimal workbook with sheet "S" of ready rows; ``styles``: numFmts, fonts and cellXfs as XML."""
    package = "http://schemas.openxmlformats.org/package/2006"
    office = RELATIONS if space == XLSX else "http://purl.oclc.org/ooxml/officeDocument/relationships"
    related = f'<Relationships xmlns="{package}/relationships">'
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    types = "".join(
        f'<Override PartName="/xl/{part}.xml" ContentType="{main}.{kind}+xml"/>'
        for part, kind in (("workbook", "sheet.main"), ("worksheets/sheet1", "worksheet"), ("styles", "styles"))
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{types}</Types>",
        "_rels/.rels": f'{related}<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": f'{related}<Relationship Id="rId7" Type="{office}/worksheet" '
        f'Target="worksheets/sheet1.xml"/><Relationship Id="rId8" Type="{office}/styles" Target="styles.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{space}" xmlns:r="{office}">{properties}'
        '<sheets><sheet name="S" sheetId="1" r:id="rId7"/></sheets></workbook>',
        "xl/styles.xml": f'<styleSheet xmlns="{space}">{styles}</styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}">{columns}<sheetData>{cells}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, xml in parts.items():
            archive.writestr(name, xml)
    return file.getvalue()


def text(place: str, word: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{word}</t></is></c>'


HEADER = f'<row r="1">{text("A1", "ID")}{text("B1", "X")}</row>'


def below_header(*cells: str) -> str:
    """Rows with the patients A, B, ... and a cell each in column B."""
    rows = (f'<row r="{n}">{text(f"A{n}", chr(63 + n))}{cell}</row>' for n, cell in enumerate(cells, 2))
    return HEADER + "".join(rows)


def read(content: bytes, kind: str = "xlsx", sheet: str = "S", decimal: str = ".") -> FileTable:
    return formats.read(content, Workbook(type=kind, sheet=sheet), Decimals(decimal))


def column(table: FileTable, name: str = "X") -> list[str]:
    return table.rows[name].to_pylist()


def written(fill, sheet: str = "S") -> bytes:
    """A workbook made by openpyxl with ID and X in row 1."""
    book = openpyxl.Workbook()
    book.active.title = sheet
    book.active.append(["ID", "X"])
    fill(book.active)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def cells_with(*values_and_formats: tuple) -> bytes:
    def fill(sheet):
        for number, (value, format_) in enumerate(values_and_formats, 2):
            sheet.append([f"P{number}", value])
            sheet.cell(number, 2).number_format = format_

    return written(fill)


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0%", "0.05", "5%"),
        ("0.00%", "0.28999999999999998", "29%"),
        ("[Red]0%", "0.62", "62%"),
        ("0.0%;[Red]-0.0%", "-0.125", "-12.5%"),
        ('0%;-0%;"-"', "0", "0%"),
        ("[<1]0%;0", "0.5", "50%"),
        ("[<1]0%;0", "20", None),
        ("0;0%", "0.5", None),
        ("0;0%", "-0.5", "-50%"),
        ('0%;-0%;"-"', "0.0", "0%"),
        ("0%", "0", "0%"),
        ("0,", "0", "0"),
        ('0" %"', "5", "5 %"),
        (r"0\%", "5", "5%"),
        ('"<"0', "5", "<5"),
        (r"\<0", "5", "<5"),
        ("<0.0", "4.75", "<4.75"),
        ('">"0', "100", ">100"),
        ('[<5]"<5";0', "3", "<5"),
        ('[<5]"<5";0', "5", None),
        ('0;-0;"<1"', "0", "<1"),
        ('0;-0;"<1"', "7", None),
        ('0%;-0%;"<1%"', "0", "<1%"),
        ('"<"0%', "0.05", "<5%"),
        ('0;"<"0', "-5", "<5"),
        ('[>=0]0;"<"0', "-5", "<5"),
        ('0" mg";-0" mg"', "-5", "-5 mg"),
        ('0" mg"', "-5", "-5 mg"),
        ('"n.d."', "10", "n.d."),
        (";;;", "5", "(hidden by its number format)"),
        ("0;-0;;@", "0", "(hidden by its number format)"),
        ("0;-0;;@", "7", None),
        ('0.0" \u00b5mol/L"', "11", "11 \u00b5mol/L"),
        ("[$mg/dL] 0", "5", "mg/dL 5"),
        ("[$-407]0.0", "5", None),
        ('General" mg/dL"', "5", "5 mg/dL"),
        ('"P-"0', "7", "P-7"),
        ('0"."0,', "150000", "(number in a format with fixed signs inside)"),
        (r"#\ ##0", "1500", None),
        ("0;(0)", "-7", None),
        ("0;[Red]0", "-7", None),
        ('_-* #,##0_-;-* #,##0_-;_-* "-"_-;_-@_-', "0", None),
        ('_-* #,##0_-;-* #,##0_-;_-* "-"_-;_-@_-', "7", None),
        ("@", "7", None),
        ("# ?/?", "0.5", None),
        ("0.00E+00", "12", None),
        ("0_%", "5", None),
        ("General", "5", None),
        ("00000", "7", "00007"),
        ("00000", "123456", "123456"),
        ("00000", "7.5", None),
        ("00000", "-7", None),
        ("#000", "7", "007"),
        ('"P"000', "7", "P007"),
        ("000-00-0000", "12345678", "012-34-5678"),
        ("[<=9999999]000-0000;(000) 000-0000", "4155551234", "(415) 555-1234"),
        (r"00\.00\.0000", "1022020", "01.02.2020"),
        ("0.00", "7", None),
        ("#,##0", "7000", None),
        ("0", "7", None),
        ("0,", "150000", "150"),
        ('#,##0.0,"k"', "12500", "12.5"),
        ("0.00,,", "1500000", "1.5"),
        ('[>999]0,"K";0', "500", None),
        ("0,0", "150000", None),
        ("mmm-yy", "43891", "2020-03"),
        ("mmm-yy", "43892", None),
        ('yyyy"年"m"月"', "43891", "2020-03"),
        ("[$-409]mmmm yyyy", "43891", "2020-03"),
        ("mmm'yy", "43891", "2020-03"),
        ('[$-411]ge"年"m"月"', "43891", "2020-03"),
        ('"ca. "mmm yyyy', "43891", "2020-03"),
        ("mmmm", "43891", "2020-03"),
        ("mm:ss", "43891", None),
        ("yyyy", "1e12", None),
        ("yyyy", "43831", "2020"),
        ("yyyy", "43891", None),
        ("dd/mm/yyyy", "43891", None),
        ("yyyy-mm-dd hh:mm", "43891", None),
    ],
)
def test_what_a_number_format_shows(code, value, shown):
    """None: the number itself. A percentage is exact, whatever its decimals. Day 43,891 is 1 March 2020: so a
    spreadsheet stores "03/2020", and shows no day."""
    from capla_etl.centres.reading.formats.typed_cells import cell_text

    found = shown_number(code, value)
    assert (found if found is None else cell_text(found, "X")) == shown


def test_percentages_are_read_as_shown_with_the_decimal_mark_of_the_column_and_counted():
    content = cells_with((0.05, "0%"), (0.054, "0.0%"), (62, "General"), (None, "0%"), ("n.a.", "0%"), (1, "0%"))
    assert column(read(content)) == ["5%", "5.4%", "62", "", "n.a.", "100%"]
    assert column(read(content, decimal=",")) == ["5%", "5,4%", "62", "", "n.a.", "100%"]
    assert read(content).numbers == {"X": {"percent": 3, "plain": 1}}


def test_thousands_are_read_as_shown_and_said_and_a_month_has_no_day():
    content = cells_with((150_000, "0,"), (dt.date(2020, 3, 1), "mmm-yy"), (dt.date(2020, 3, 1), "dd/mm/yyyy"))
    assert column(read(content)) == ["150", "2020-03", "2020-03-01"]
    assert read(content).notes == ["column 'X': 1 cell(s) show thousands; they are read so."]
    mac = '<row r="2"><c r="A2" s="1"><v>42429</v></c></row>'
    styles = '<cellXfs><xf numFmtId="0"/><xf numFmtId="17"/></cellXfs>'
    table = read(xlsx(f'<row r="1">{text("A1", "X")}</row>{mac}', styles, properties='<workbookPr date1904="true"/>'))
    assert column(table) == ["2020-03"]


def test_the_unit_that_the_spec_declares_may_stand_in_the_number_format_and_no_other():
    content = cells_with((1.2, '0.0" mg/dL"'), (11, '0" \u00b5mol/L"'), (0.9, "0.0"))
    table = formats.read(content, Workbook(type="xlsx", sheet="S"), Decimals(",", units={"X": "mg/dL"}))
    assert column(table) == ["1,2", "11 \u00b5mol/L", "0,9"]
    micro = formats.read(content, Workbook(type="xlsx", sheet="S"), Decimals(units={"X": "\u03bcmol/L"}))
    assert column(micro) == ["1.2 mg/dL", "11", "0.9"]


def test_numbers_shown_in_thousands_are_counted_beside_plain_ones_and_zero_is_alike_in_both():
    content = cells_with((150_000, '[>999]0,"K";0'), (500, '[>999]0,"K";0'), (0, "0"), (150_000, '#,##0.0,"k"'))
    assert column(read(content)) == ["150", "500", "0", "150"]
    assert read(content).numbers == {"X": {"thousands": 2, "plain": 1}}


@pytest.mark.parametrize("number", [27, 34, 36, 50, 52, 55, 57])
def test_month_formats_of_east_asian_workbooks_have_a_number_and_no_code(number):
    styles = f'<cellXfs><xf numFmtId="0"/><xf numFmtId="{number}"/></cellXfs>'
    cells = below_header('<c r="B2" s="1"><v>43891</v></c>', '<c r="B3" s="1"><v>43892</v></c>')
    assert column(read(xlsx(cells, styles)))[0] == "2020-03"


def test_a_number_of_more_digits_than_a_spreadsheet_keeps_is_read_and_said():
    table = read(cells_with((1234567890123456, "0"), (123456789012345, "0")))
    assert column(table) == ["1234567890123456", "123456789012345"]
    assert table.notes == ["column 'X': 1 number(s) have more than 15 digits; a spreadsheet rounds them."]


@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_an_old_workbook_and_one_with_a_password_are_named(kind):
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
    with pytest.raises(Unreadable, match=rf"old Excel workbook \(\.xls\) or has a password; expected {kind.upper()}"):
        read(content, kind)


def test_a_padded_number_is_the_text_that_is_shown():
    assert column(read(cells_with((7, "00000"), (7, "0"), ("007", "@")))) == ["00007", "7", "007"]


def test_a_style_without_a_number_counts_too():
    """The first style of the workbook is that of cells that name none."""
    styles = '<cellXfs><xf numFmtId="9"/></cellXfs>'
    assert column(read(xlsx(below_header('<c r="B2"><v>0.4</v></c>'), styles))) == ["40%"]


def test_a_stored_error_stands_in_its_cell_and_an_empty_text_is_blank():
    cells = (
        '<c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c>',
        '<c r="B3" t="e"><v>#N/A</v></c>',
        '<c r="B4" t="str"><f>""</f><v></v></c>',
        '<c r="B5"><f>B2+1</f></c>',
        '<c r="B6"><f>1+1</f><v>2</v></c>',
        '<c r="B7" t="str"><f>"a"&amp;"b"</f><v>ab</v></c>',
        '<c r="B8" t="b"><v>1</v></c>',
        '<c r="B9"/>',
    )
    expected = ["#DIV/0!", "#N/A", "", "(formula without value)", "2", "ab", "true", ""]
    assert column(read(xlsx(below_header(*cells)))) == expected
    assert column(read(xlsx(below_header(*cells), space=STRICT))) == expected


def test_a_formula_without_value_outside_the_used_range_is_named_with_its_cell():
    below = below_header('<c r="B2"><v>1</v></c>') + '<row r="5"><c r="B5"><f>B2</f></c></row>'
    table = read(xlsx(below))
    assert column(table) == ["1", "", "", "(formula without value)"]
    assert table.rows["source_row"].to_pylist() == [2, 3, 4, 5]
    right = below_header('<c r="B2"><v>1</v></c><c r="AB2"><f>B2</f></c>')
    with pytest.raises(Unreadable, match="cell AB2 is filled, to the right of the last column of the header"):
        read(xlsx(right))


def test_a_value_to_the_right_of_the_header_is_named_with_its_cell():
    with pytest.raises(Unreadable, match="cell D3 is filled"):
        read(written(lambda sheet: (sheet.append(["A", 1]), sheet.append(["B", 2, None, "note"]))))


def test_rows_that_begin_further_down_and_right_keep_their_numbers():
    """The used range begins at B3; row and column numbers are those of the spreadsheet."""
    content = xlsx(
        f'<row r="3">{text("B3", "ID")}{text("C3", "X")}</row>'
        f'<row r="5">{text("B5", "A")}<c r="C5" s="1"><v>0.5</v></c></row>',
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="10"/></cellXfs>',
    )
    table = formats.read(content, Workbook(type="xlsx", sheet="S", header_row=3))
    assert table.header == ["(column 1)", "ID", "X"]
    assert (column(table), table.rows["source_row"].to_pylist()) == (["", "50%"], [4, 5])


def test_times_of_day_durations_and_timestamps_are_text():
    content = cells_with(
        (dt.time(8, 30), "hh:mm"),
        (dt.timedelta(hours=26, minutes=30), "[h]:mm:ss"),
        (dt.datetime(2021, 3, 5, 8, 30), "yyyy-mm-dd hh:mm"),
        (dt.datetime(2021, 3, 5), "yyyy-mm-dd"),
        (True, "General"),
    )
    assert column(read(content)) == ["08:30:00", "26:30:00", "2021-03-05 08:30:00", "2021-03-05", "true"]


def test_day_numbers_count_from_the_workbook_s_own_day_and_date_cells_are_right_in_both():
    """Day 43,842 of the 1900 system and 42,380 of the 1904 system are 11 January 2020."""
    styles = '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
    old = read(xlsx(below_header('<c r="B2" s="1"><v>43841</v></c>', '<c r="B3"><v>43841</v></c>'), styles))
    assert (column(old), old.epoch) == (["2020-01-11", "43841"], "1899-12-30")
    cells = below_header('<c r="B2" s="1"><v>42379</v></c>', '<c r="B3"><v>42379</v></c>')
    mac = read(xlsx(cells, styles, properties='<workbookPr date1904="1"/>'))
    assert (column(mac), mac.epoch) == (["2020-01-11", "42379"], "1904-01-01")


def test_hidden_rows_and_columns_and_struck_cells_are_read_and_counted():
    def fill(sheet):
        for number in range(2, 7):
            sheet.append([f"P{number}", number])
        sheet.row_dimensions[3].hidden = True
        sheet.row_dimensions[5].hidden = True
        sheet.row_dimensions[40].hidden = True  # no data
        sheet.column_dimensions["B"].hidden = True
        sheet.column_dimensions["F"].hidden = True  # no column of the header
        sheet["B4"].font = openpyxl.styles.Font(strike=True)

    table = read(written(fill))
    assert column(table)[:5] == ["2", "3", "4", "5", "6"]
    assert table.notes == [
        "2 row(s) with data are hidden; they are read.",
        "column(s) X are hidden; they are read.",
        "1 cell(s) are struck out; they are read.",
    ]


def test_a_plain_sheet_has_no_notes_and_a_hidden_one_says_so():
    assert read(cells_with((1, "General"))).notes == []

    def fill(sheet):
        sheet.append(["A", 1])
        sheet.parent.create_sheet("other")
        sheet.sheet_state = "hidden"

    assert read(written(fill)).notes == ["The sheet is hidden; it is read."]


def test_merged_cells_are_said():
    def fill(sheet):
        sheet.append(["A", 1])
        sheet.append([None, 2])
        sheet.merge_cells("A2:A3")

    table = read(written(fill))
    assert (column(table, "ID"), table.notes) == (["A", ""], ["1 merged area(s): only the first cell has the value."])


ODS_STYLES = """
<number:number-style style:name="N4"><number:text>&lt;</number:text><number:number number:min-integer-digits="1"/>
</number:number-style>
<number:number-style style:name="N5P0"><number:number number:min-integer-digits="1"/></number:number-style>
<number:number-style style:name="N5"><number:text>-</number:text><number:number number:min-integer-digits="1"/>
<style:map style:condition="value()&gt;=0" style:apply-style-name="N5P0"/></number:number-style>
<number:number-style style:name="N6P0"><number:text>&lt;5</number:text></number:number-style>
<number:number-style style:name="N6"><number:number number:min-integer-digits="1"/>
<style:map style:condition="value()&lt;5" style:apply-style-name="N6P0"/></number:number-style>
<number:percentage-style style:name="N7"><number:text>&gt;</number:text><number:number
number:min-integer-digits="1"/><number:text>%</number:text></number:percentage-style>
<style:style style:name="below" style:family="table-cell" style:data-style-name="N4"/>
<style:style style:name="signed" style:family="table-cell" style:data-style-name="N5"/>
<style:style style:name="below five" style:family="table-cell" style:data-style-name="N6"/>
<style:style style:name="above" style:family="table-cell" style:data-style-name="N7"/>
<number:number-style style:name="N1"><number:number number:decimal-places="0" number:min-integer-digits="5"/>
</number:number-style>
<number:number-style style:name="N2"><number:number number:min-integer-digits="1" number:display-factor="1000"/>
</number:number-style>
<number:date-style style:name="N3"><number:month/><number:text>/</number:text><number:year/></number:date-style>
<style:style style:name="thousands" style:family="table-cell" style:data-style-name="N2"/>
<style:style style:name="month" style:family="table-cell" style:data-style-name="N3"/>
<style:style style:name="padded" style:family="table-cell" style:data-style-name="N1"/>
<style:style style:name="gone" style:family="table-cell">
<style:text-properties style:text-line-through-style="solid"/></style:style>
"""


def ods(rows: str, settings: str = "", columns: str = "") -> bytes:
    """A minimal ODS workbook with sheet "S"; ``rows`` follow the header ID, X."""
    uses = {"table": "table", "office": "office", "text": "text", "style": "style", "number": "datastyle"}
    spaces = " ".join(f'xmlns:{p}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for p, n in uses.items())
    spaces += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    header = ods_row(ods_text("ID"), ods_text("X"))
    body = (
        f"<office:document-content {spaces}><office:automatic-styles>{ODS_STYLES}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{settings}"
        f'<table:table table:name="S">{columns}{header}{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        space = 'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"'
        archive.writestr("META-INF/manifest.xml", f"<manifest:manifest {space}/>")
        archive.writestr("content.xml", body)
    return file.getvalue()


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_text(word: str) -> str:
    return f'<table:table-cell office:value-type="string"><text:p>{word}</text:p></table:table-cell>'


def ods_cell(kind: str, value: str, attributes: str = "", shown: str = "x") -> str:
    name = {"time": "time-value", "date": "date-value"}.get(kind, "value")
    return (
        f'<table:table-cell office:value-type="{kind}" office:{name}="{value}" {attributes}>'
        f"<text:p>{shown}</text:p></table:table-cell>"
    )


def test_ods_cells_are_read_as_shown():
    error = (
        '<table:table-cell table:formula="of:=1/0" office:value-type="string" calcext:value-type="error">'
        "<office:annotation><text:p>look here</text:p></office:annotation><text:p>#DIV/0!</text:p></table:table-cell>"
    )
    cells = {
        ods_cell("percentage", "0.054"): "5,4%",
        ods_cell("float", "7", 'table:style-name="padded"'): "00007",
        ods_cell("float", "7.5"): "7,5",
        ods_cell("percentage", "0"): "0%",
        ods_cell("float", "5", 'table:style-name="below"'): "<5",
        ods_cell("float", "-7", 'table:style-name="signed"'): "-7",
        ods_cell("float", "3", 'table:style-name="below five"'): "<5",
        ods_cell("float", "6", 'table:style-name="below five"'): "6",
        ods_cell("percentage", "0.6", 'table:style-name="above"'): ">60%",
        ods_cell("float", "1500", 'table:style-name="thousands"'): "1,5",
        ods_cell("date", "2020-03-01", 'table:style-name="month"'): "2020-03",
        ods_cell("date", "2020-03-02", 'table:style-name="month"'): "2020-03-02",
        ods_cell("time", "PT08H30M00S"): "08:30:00",
        ods_cell("time", "PT26H30M00S"): "26:30:00",
        ods_cell("date", "2021-03-05T08:30:00"): "2021-03-05 08:30:00",
        ods_cell("date", "2021-03-05"): "2021-03-05",
        error: "#DIV/0!",
        '<table:table-cell table:formula="of:=[.A1]"/>': "(formula without value)",
    }
    content = ods("".join(ods_row(ods_text("P"), cell) for cell in cells))
    assert column(read(content, "ods", decimal=",")) == list(cells.values())


def test_repeated_ods_rows_and_cells_are_each_a_percentage():
    rows = ods_row(ods_text("A"), ods_cell("percentage", "0.5"), attributes='table:number-rows-repeated="3"')
    empty = '<table:table-cell table:number-columns-repeated="1000"/>'
    rows += ods_row(empty, attributes='table:number-rows-repeated="1000000"')
    table = read(ods(rows), "ods")
    assert (column(table)[:3], table.numbers) == (["50%"] * 3, {"X": {"percent": 3}})


def test_notes_of_an_ods_sheet():
    rows = ods_row(ods_text("A"), ods_cell("float", "1", 'table:style-name="gone"'))
    rows += ods_row(ods_text("B"), ods_cell("float", "2"), attributes='table:visibility="filter"')
    columns = '<table:table-column/><table:table-column table:visibility="collapse"/>'
    settings = '<table:calculation-settings><table:null-date table:date-value="1904-01-01"/>'
    table = read(ods(rows, settings + "</table:calculation-settings>", columns), "ods")
    assert table.epoch == "1904-01-01"
    assert table.notes == [
        "1 row(s) with data are hidden; they are read.",
        "column(s) X are hidden; they are read.",
        "1 cell(s) are struck out; they are read.",
    ]


def test_the_padded_style_of_an_ods_column_holds_for_cells_without_one():
    columns = '<table:table-column/><table:table-column table:default-cell-style-name="padded"/>'
    assert column(read(ods(ods_row(ods_text("A"), ods_cell("float", "7")), columns=columns), "ods")) == ["00007"]
