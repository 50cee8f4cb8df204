"""Study tables as one workbook: each table as printed, and every number behind them as a number.

What is printed does not belong here (``tables``, ``beneath``). Text is written as text, so that no cell is ever a formula.
"""

from __future__ import annotations

import io
import re
from functools import cache

import pandas as pd

from capla_etl.office import same_bytes
from capla_etl.report.layout import (
    Edition,
    closing_notes,
    headings,
    is_text,
    neighbours,
    notes,
    number_and_name,
    one_line,
    used_in,
    value_text,
)
from capla_etl.report.printed_tables import PrintedTable
from capla_etl.tables.labels import STATISTICS, SYNTHETIC

README_SHEET, RESULTS_SHEET, PARAMETERS_SHEET = "Read me", "results", "Parameters"
_LABEL_WIDTH, _LEAST_WIDTH, _LINE = 52, 12, 14.0  # characters, characters, points
_NOTE_WIDTH = 110
_FONT = "Arial"


def xlsx_bytes(tables: list[PrintedTable], results: pd.DataFrame, edition: Edition) -> bytes:
    """The workbook: what it is, one sheet per table, the parameters as used, and ``study.result`` whole.

    Args:
        tables: in the order of the sheets.
        results: ``study.result``; its numbers are written as numbers, unrounded.
        edition: what all documents of the run have in common.

    Returns:
        The file; the same input gives the same bytes.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.properties.creator, book.properties.title, book.properties.description = "capla_etl", "Study tables", SYNTHETIC
    names = sheet_names([table.title for table in tables])
    _readme(book.active, dict(zip(names, tables, strict=True)), edition)
    for name, table in zip(names, tables, strict=True):
        _table(book.create_sheet(name), table, edition)
    lines = [
        (p.name, p.value if isinstance(p.value, int | float) else value_text(p), p.source, users)
        for p, users in used_in(tables, edition)
    ]
    _listing(
        book.create_sheet(PARAMETERS_SHEET),
        pd.DataFrame(lines, columns=["parameter", "value", "rule and source", "used in"], dtype="object"),
    )
    _listing(book.create_sheet(RESULTS_SHEET), results)
    content = io.BytesIO()
    book.save(content)
    return same_bytes(content.getvalue(), edition.data_cut_off)


def sheet_names(titles: list[str]) -> list[str]:
    """The name of each table's sheet: "Table 2", or as much of its title as a sheet's name may have; each once."""
    names: list[str] = []
    taken = {name.casefold() for name in (README_SHEET, RESULTS_SHEET, PARAMETERS_SHEET)}
    for title in titles:
        number, text = number_and_name(title)
        stem = f"Table {number}" if number is not None else re.sub(r"[\\/*?:\[\]]", " ", text).strip("' ")
        stem = stem if len(stem) <= 31 else stem[:32].rsplit(" ", 1)[0][:31]
        name, copy = stem, 2
        while name.casefold() in taken:
            name, copy = f"{stem[:28]} {copy}", copy + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _write(sheet, row: int, column: int, value, *, bold: bool = False, size: float = 10, **alignment):
    """One cell; a text stays one whatever it begins with."""
    cell = _plain(sheet, row, column, value)
    cell.font, cell.alignment = _font(bold, size), _alignment(**alignment)
    return cell


def _plain(sheet, row: int, column: int, value):
    """One cell in the default style, which costs the least."""
    cell = sheet.cell(row, column)
    if value is not None and value != "":
        cell.value = value
        if isinstance(value, str):
            cell.data_type = "s"
            if value[0] in "=+-@\t\r":
                cell.number_format, cell.quotePrefix = "@", True
    return cell


@cache
def _font(bold: bool, size: float):
    from openpyxl.styles import Font

    return Font(name=_FONT, bold=bold, size=size)


@cache
def _alignment(**alignment):
    from openpyxl.styles import Alignment

    return Alignment(vertical="top", **alignment)


def _readme(sheet, tables: dict[str, PrintedTable], edition: Edition) -> None:
    sheet.title = README_SHEET
    sheet.column_dimensions["A"].width = _NOTE_WIDTH
    units = "; ".join(f"{statistic}: {unit}" for statistic, unit in STATISTICS.items())
    lines = [
        "Caplacizumab in immune-mediated TTP: study tables",
        SYNTHETIC,
        *([edition.notice] if edition.notice else []),
        f"Data cut-off {edition.data_cut_off.isoformat()}.",
        "",
        *(f"Sheet '{name}': {table.title}" for name, table in tables.items()),
        "These sheets hold the numbers as they are printed, as text. Letters after a row refer to the notes beneath the table.",
        f"Sheet '{PARAMETERS_SHEET}': every threshold and definition as used, with its source.",
        f"Sheet '{RESULTS_SHEET}': every number behind the tables once, unrounded, with its counts (n of n_assessed), limits, method and caveat.",
        f"Unit of value, lower and upper by statistic. {units}.",
    ]
    for number, line in enumerate(lines, start=1):
        _write(sheet, number, 1, line, bold=number == 1, size=14 if number == 1 else 11, wrap_text=True)
        sheet.row_dimensions[number].height = 20 if number == 1 else _LINE * _lines(line, _NOTE_WIDTH)
    _print_setup(sheet, None)


def _lines(text: str, width: float) -> int:
    """How many lines a text takes in a column of that width, which Excel counts in digits: other characters are narrower on average."""
    return max(1, -(-len(text) // int(1.1 * width)))


def _table(sheet, table: PrintedTable, edition: Edition) -> None:
    """The table as printed: title, what the data are, headings, rows, notes."""
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont
    from openpyxl.styles import Border, Side

    side = ["left" if text else "center" for text in is_text(table)]
    last = len(table.columns) + 1
    wide = _set_widths(sheet, table)
    _write(sheet, 1, 1, table.title, bold=True, size=12)
    _write(sheet, 2, 1, SYNTHETIC)
    head = _headings(sheet, 3, table, side)
    number = head
    for heading, rows in table.sections:
        if heading:
            number += 1
            _write(sheet, number, 1, heading, bold=True)
        for row in rows:
            number += 1
            label = _write(
                sheet, number, 1, row.label, horizontal="left", wrap_text=True, indent=2 if row.indented else 0
            )
            if row.marks:
                plain, raised = InlineFont(rFont=_FONT, sz=10), InlineFont(rFont=_FONT, sz=10, vertAlign="superscript")
                label.value = CellRichText(TextBlock(plain, row.label), TextBlock(raised, row.marks))
            sheet.row_dimensions[number].height = _LINE * _lines(f"{row.label}{row.marks}", _LABEL_WIDTH)
            for position, (cell, align) in enumerate(zip(row.cells, side, strict=True), start=2):
                _write(sheet, number, position, one_line(cell), horizontal=align)
    for position in range(1, last + 1):
        sheet.cell(number, position).border = Border(bottom=Side("medium", color="000000"))
    for text in (
        *notes(table),
        *(f"{letter}  {text}" for letter, text in table.footnotes),
        *closing_notes(table, edition),
    ):
        number += 1
        sheet.merge_cells(start_row=number, start_column=1, end_row=number, end_column=last)
        _write(sheet, number, 1, text, size=9, wrap_text=True)
        sheet.row_dimensions[number].height = _LINE * _lines(text, wide)
    sheet.freeze_panes = sheet.cell(head + 1, 2)
    sheet.sheet_view.showGridLines = False
    _print_setup(sheet, f"1:{head}")


def _set_widths(sheet, table: PrintedTable) -> float:
    """Sets the width of each column to its longest text; returns their sum, in characters."""
    from openpyxl.utils import get_column_letter

    widths = [float(_LABEL_WIDTH)]
    for position, (above, heading) in enumerate(headings(table)):
        share = len(above) / sum(over == above for over, _ in headings(table))
        cells = [one_line(row.cells[position]) for _, rows in table.sections for row in rows]
        widths.append(max(_LEAST_WIDTH, share, *(len(text) + 2 for text in (heading.main, heading.sub, *cells))))
    for position, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(position)].width = width
    return sum(widths)


def _headings(sheet, first: int, table: PrintedTable, side: list[str]) -> int:
    """Writes the headings from that row on, between two rules; returns the row of the columns' own."""
    from openpyxl.styles import Border, Side

    runs = neighbours(table, list(range(len(table.columns))))
    head = first + 1 if any(above for above, _ in runs) else first
    for position, ((_, heading), align) in enumerate(zip(headings(table), side, strict=True), start=2):
        _write(
            sheet,
            head,
            position,
            "\n".join(text for text in (heading.main, heading.sub) if text),
            bold=True,
            horizontal=align,
            wrap_text=True,
        )
    sheet.row_dimensions[head].height = _LINE * (2 if any(column.sub for column in table.columns) else 1)
    thick, thin = Side("medium", color="000000"), Side("thin", color="000000")
    for position in range(1, len(table.columns) + 2):
        sheet.cell(first, position).border = Border(top=thick)
        sheet.cell(head, position).border = Border(top=thick if head == first else None, bottom=thin)
    for above, run in runs:
        if above:
            _write(sheet, first, run[0] + 2, above, bold=True, horizontal="center")
            for column in run:
                sheet.cell(first, column + 2).border = Border(top=thick, bottom=thin)
            sheet.merge_cells(start_row=first, start_column=run[0] + 2, end_row=first, end_column=run[-1] + 2)
    return head


def _listing(sheet, frame: pd.DataFrame) -> None:
    """A data frame as it is: numbers as numbers, nothing where there is none, a filter over the headings."""
    from openpyxl.utils import get_column_letter

    for position, name in enumerate(frame.columns, start=1):
        _write(sheet, 1, position, str(name), bold=True)
        longest = frame[name].map(lambda value: 0 if pd.isna(value) else len(str(value))).max() if len(frame) else 0
        sheet.column_dimensions[get_column_letter(position)].width = min(60, max(len(str(name)) + 3, longest + 2))
    for number, row in enumerate(frame.itertuples(index=False), start=2):
        for position, value in enumerate(row, start=1):
            if not pd.isna(value):
                _plain(sheet, number, position, value)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(frame.columns))}{len(frame) + 1}"
    _print_setup(sheet, "1:1")


def _print_setup(sheet, title_rows: str | None) -> None:
    sheet.oddFooter.center.text = SYNTHETIC
    sheet.page_setup.orientation, sheet.page_setup.paperSize, sheet.page_setup.fitToHeight = (
        "landscape",
        sheet.PAPERSIZE_A4,
        0,
    )
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = title_rows
