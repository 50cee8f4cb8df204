"""Office files (XLSX, DOCX): written without the clock, so that the same content gives the same bytes on every day.

What is in such a file does not belong here.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date
from functools import cache

README, README_WIDTH = "Read me", 110
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_FIRST = "[Content_Types].xml"
_PROPERTIES = "docProps/core.xml"
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def saved(document, day: date) -> bytes:
    """The bytes of an openpyxl workbook or python-docx document; ``day`` stands for the dates in its properties."""
    content = io.BytesIO()
    document.save(content)
    return same_bytes(content.getvalue(), day)


def same_bytes(content: bytes, day: date) -> bytes:
    """The office file with its parts in a fixed order and without the clock.

    Args:
        content: the file as its library wrote it (a zip archive).
        day: stands for the dates in the file's properties.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist(), key=lambda n: (n != _FIRST, n)):
            part = source.read(name)
            if name == _PROPERTIES:
                part = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", f"{day.isoformat()}T00:00:00Z".encode(), part)
            target.writestr(zipfile.ZipInfo(name, _FIXED_TIME), part, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def writable(text: str) -> str:
    """The text with line ends as spreadsheets keep them, and characters that XML and UTF-8 cannot hold replaced."""
    return _UNWRITABLE.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n")


def all_writable(content):
    """The same lists, tuples, mappings and data classes with every text in them ``writable``."""
    if isinstance(content, str):
        return writable(content)
    if isinstance(content, Mapping):
        return {all_writable(key): all_writable(value) for key, value in content.items()}
    if type(content) in (list, tuple):
        return type(content)(map(all_writable, content))
    if is_dataclass(content):
        names = [field.name for field in fields(content) if field.init]
        return replace(content, **{name: all_writable(getattr(content, name)) for name in names})
    return content


def write_cell(sheet, row: int, column: int, value):
    """Write one cell of an openpyxl sheet. Text is never taken for a formula; "" and None leave the cell empty.

    Returns:
        The cell, in the default style.
    """
    cell = sheet.cell(row, column)
    if value is not None and value != "":
        cell.value = writable(value) if isinstance(value, str) else value
        if isinstance(value, str):
            cell.data_type = "s"
            if value[0] in "=+-@\t\r":
                cell.number_format, cell.quotePrefix = "@", True
    return cell


@cache
def font(**style):
    """A font of a sheet, made once."""
    from openpyxl.styles import Font

    return Font(**style)


@cache
def alignment(**style):
    """An alignment of a sheet, made once; the text stands at the top of its cell."""
    from openpyxl.styles import Alignment

    return Alignment(vertical="top", **style)


def write_readme(sheet, lines: list[str], name: str | None = None, line_height: float | None = None) -> None:
    """Fill the sheet that is read first: a heading, then a line of text each, wrapped.

    Args:
        sheet: an empty sheet.
        lines: the heading first.
        name: of the font; None for the library's.
        line_height: in points; None leaves heights to the program that opens the file.
    """
    sheet.title = README
    set_widths(sheet, [README_WIDTH])
    for number, line in enumerate(lines, start=1):
        first = number == 1
        cell = write_cell(sheet, number, 1, line)
        cell.font, cell.alignment = font(name=name, bold=first, size=14 if first else 11), alignment(wrap_text=True)
        if line_height:
            sheet.row_dimensions[number].height = 20 if first else line_height * lines_of(line, README_WIDTH)


def lines_of(text: str, width: float) -> int:
    """How many lines a text takes in a column of that width. Excel counts digits; other characters are narrower."""
    return max(1, -(-len(text) // int(1.1 * width)))


def set_widths(sheet, widths: list[float]) -> None:
    """Set the widths of the first columns, in characters."""
    from openpyxl.utils import get_column_letter

    for position, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(position)].width = width


def as_listing(sheet, columns: int, rows: int, freeze: str = "A2") -> None:
    """Keep the headings of a list in view and give them a filter."""
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = freeze
    sheet.auto_filter.ref = f"A1:{get_column_letter(columns)}{rows}"


def for_print(sheet, footer: str, title_rows: str | None = None) -> None:
    """Print the sheet on A4 landscape, as wide as the page, with a footer; ``title_rows`` ("1:3") are repeated."""
    sheet.oddFooter.center.text = footer
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
    sheet.page_setup.fitToHeight, sheet.sheet_properties.pageSetUpPr.fitToPage = 0, True
    sheet.print_title_rows = title_rows
