"""Read a sheet of an XLSX or ODS workbook: dates as ISO text, numbers as their shortest decimal text; errors and empty
formulas are never taken for blank cells."""

import contextlib
import io
import unicodedata
from collections.abc import Iterator
from xml.etree import ElementTree

from capla_etl.centres.errors import letters, listed
from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable, named, table_of
from capla_etl.centres.reading.formats.typed_cells import cell_text, cell_texts, numbers_shown
from capla_etl.centres.reading.formats.unpack import DAMAGED_ZIP
from capla_etl.centres.reading.formats.workbook_cells import SheetNotes, ods_notes, xlsx_notes
from capla_etl.centres.reading.formats.workbook_extent import check_workbook
from capla_etl.centres.spec.grammar import Workbook

#: How an old Excel workbook begins, and one with a password.
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: What a damaged workbook raises, beyond errors of its reader.
_BROKEN = (*DAMAGED_ZIP, ElementTree.ParseError, OSError, LookupError, ArithmeticError, AttributeError, TypeError)
_BROKEN += (StopIteration,)
#: A spreadsheet keeps 15 digits of a number that is typed in.
_MOST_DIGITS = 10**15


@contextlib.contextmanager
def _whole(content: bytes, kind: str) -> Iterator:
    """Open the workbook; raise one error for any sign of damage."""
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound, XmlError, ZipError

    if not content:
        raise Unreadable("the file is empty.")
    if content.startswith(_OLE):
        raise Unreadable(
            f"the file is an old Excel workbook (.xls) or has a password; expected {kind}. Ask the centre to save it "
            "so, without a password."
        )
    try:
        check_workbook(content)
        yield CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (CalamineError, XmlError, ZipError, WorksheetNotFound, *_BROKEN) as error:
        raise Unreadable(f"not a complete {kind} workbook; ask the centre to send it again.") from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of the reader's Rust; Python has no name for it
            raise Unreadable(f"the {kind} workbook is damaged; ask the centre to send it again.") from None
        raise


def sheet_names(content: bytes) -> list[str]:
    """The sheets of a workbook, in their order.

    Raises:
        Unreadable: the file is no workbook.
    """
    with _whole(content, "XLSX or ODS") as workbook:
        return [unicodedata.normalize("NFC", name) for name in workbook.sheet_names]


def _sheet(
    content: bytes, declared: Workbook, known_sheets: list[str] | None
) -> tuple[list[list], SheetNotes, list[str]]:
    """The cells of a sheet, what it says beyond them, and what a reader should know of the sheet as a whole."""
    from python_calamine import SheetVisibleEnum

    with _whole(content, declared.type.upper()) as workbook:
        kept = {unicodedata.normalize("NFC", name): name for name in workbook.sheet_names}
        if name := kept.get(unicodedata.normalize("NFC", declared.sheet)):
            sheet = workbook.get_sheet_by_name(name)
            rows = sheet.to_python(skip_empty_area=False)
            areas = sheet.merged_cell_ranges or []
            notes = (ods_notes if declared.type == "ods" else xlsx_notes)(content, name)
            is_hidden = any(s.name == name and s.visible != SheetVisibleEnum.Visible for s in workbook.sheets_metadata)
    if not name:
        raise Unreadable(f"no sheet {declared.sheet!r}; the workbook has {len(kept)} other sheet(s).")
    names = list(kept)
    if undeclared := [i for i, name in enumerate(names, 1) if known_sheets is not None and name not in known_sheets]:
        advice = "declare each as a table or under ignored_sheets with a reason."
        raise Unreadable(f"sheet(s) not in the spec: {listed(undeclared)} of {len(names)}; {advice}")
    said = ["The sheet is hidden; it is read."] if is_hidden else []
    if merged := sum(first[0] >= declared.header_row and first[0] < last[0] for first, last in areas):
        said.append(f"{merged} merged area(s): only the first cell has the value.")
    return rows, notes, said


def _said(notes: SheetNotes, header: list[str], header_row: int) -> list[str]:
    """Sentences about the rows below the header: hidden rows and columns, struck-out cells."""
    said = []
    if hidden := sum(row > header_row for row in notes.hidden_rows):
        said.append(f"{hidden} row(s) with data are hidden; they are read.")
    if hidden := [name for i, name in enumerate(header, 1) if i in notes.hidden_columns]:
        said.append(f"column(s) {listed(hidden)} are hidden; they are read.")
    if struck := sum(row > header_row for row in notes.struck):
        said.append(f"{struck} cell(s) are struck out; they are read.")
    return said


def read_workbook(content: bytes, declared: Workbook, decimals: Decimals, known_sheets: list[str] | None) -> FileTable:
    """Read one sheet; a cell is what it shows: a percentage, a number with leading zeros, an error.

    Raises:
        Unreadable: no workbook, a missing or undeclared sheet, or cells to the right of the header.
    """
    rows, notes, said = _sheet(content, declared, known_sheets)
    header_row = declared.header_row
    if len(rows) < header_row:
        raise Unreadable(f"the sheet has {len(rows)} rows; expected the header in row {header_row}.")
    width = max(map(len, rows))
    rows += [[""] * width for _ in range(max((row for row, _ in notes.shown), default=0) - len(rows))]
    for (row, column), shown in notes.shown.items():
        if column <= width:
            rows[row - 1][column - 1] = shown
    header = [cell_text(cell, f"header cell {i}").strip() for i, cell in enumerate(rows[header_row - 1], 1)]
    while header and not header[-1]:
        header.pop()
    header, body = named(header), rows[header_row:]
    columns = list(zip(*body, strict=True)) if body else [[] for _ in header]
    outside = [place for place in notes.shown if place[0] > header_row and place[1] > width]
    for place, values in enumerate(columns[len(header) :], len(header) + 1):
        outside += [(header_row + 1 + i, place) for i, value in enumerate(values) if value not in ("", None)]
    if outside:
        row, column = min(outside)
        cell = f"{letters(column)}{row}"
        raise Unreadable(f"cell {cell} is filled, to the right of the last column of the header; expected none there.")
    arrays = [cell_texts(list(v), name, decimals) for name, v in zip(header, columns, strict=False)]
    numbers = list(range(header_row + 1, header_row + 1 + len(body)))
    said += _said(notes, header, header_row)
    counted = {name: numbers_shown(values) for name, values in zip(header, columns, strict=False)}
    shown = {name: dict(of) for name, of in counted.items() if {*of} - {"plain"}}
    said += [
        f"column {name!r}: {of['thousands']} cell(s) show thousands; they are read so."
        for name, of in shown.items()
        if "thousands" in of
    ]
    for name, values in zip(header, columns, strict=False):
        if rounded := sum(type(v) in (int, float) and abs(v) >= _MOST_DIGITS for v in values):
            said.append(f"column {name!r}: {rounded} number(s) have more than 15 digits; a spreadsheet rounds them.")
    return table_of(header, arrays, numbers, epoch=notes.epoch, notes=said, numbers=shown)
