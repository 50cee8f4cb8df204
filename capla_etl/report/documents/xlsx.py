"""Study tables as one workbook: each table as printed, and every number behind them as a number.

What is printed does not belong here (``layout``), nor how a workbook is written (``capla_etl.office``).
"""

from __future__ import annotations

import re

import pandas as pd

from capla_etl.office import (
    README,
    alignment,
    all_writable,
    as_listing,
    font,
    for_print,
    lines_of,
    saved,
    set_widths,
    write_cell,
    write_readme,
)
from capla_etl.report.layout import (
    PARAMETERS_HEADINGS,
    Edition,
    Page,
    Panel,
    beneath,
    laid_out,
    number_and_name,
    one_line,
    used_in,
    value_text,
)
from capla_etl.report.printed_tables import PrintedTable
from capla_etl.tables.labels import STATISTICS, about_the_data

RESULTS_SHEET, PARAMETERS_SHEET = "results", "Parameters"
# In characters: nothing wraps, so a shared heading needs room on its line.
_ROOM = Page(label=52, padding=2, least=12, spread=True)
_LINE = 14.0  # points
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

    tables, edition = all_writable((tables, edition))
    book = Workbook()
    book.properties.creator, book.properties.title, book.properties.description = (
        "capla_etl",
        "Study tables",
        about_the_data(),
    )
    names = sheet_names([table.title for table in tables])
    _readme(book.active, dict(zip(names, tables, strict=True)), edition)
    for name, table in zip(names, tables, strict=True):
        _table(book.create_sheet(name), table, edition)
    lines = [
        (p.name, p.value if isinstance(p.value, int | float) else value_text(p), p.source, users)
        for p, users in used_in(tables, edition)
    ]
    columns = [name.lower() for name in PARAMETERS_HEADINGS]
    _listing(book.create_sheet(PARAMETERS_SHEET), pd.DataFrame(lines, columns=columns, dtype="object"))
    _listing(book.create_sheet(RESULTS_SHEET), results)
    return saved(book, edition.data_cut_off)


def sheet_names(titles: list[str]) -> list[str]:
    """The name of each table's sheet, each once: "Table 2", or as much of its title as a sheet's name may have."""
    names: list[str] = []
    taken = {name.casefold() for name in (README, RESULTS_SHEET, PARAMETERS_SHEET)}
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


def _write(sheet, row: int, column: int, value, bold: bool = False, size: float = 10, **aligned):
    cell = write_cell(sheet, row, column, value)
    cell.font, cell.alignment = font(name=_FONT, bold=bold, size=size), alignment(**aligned)
    return cell


def _readme(sheet, tables: dict[str, PrintedTable], edition: Edition) -> None:
    units = "; ".join(f"{statistic}: {unit}" for statistic, unit in STATISTICS.items())
    lines = [
        "Caplacizumab in immune-mediated TTP: study tables",
        about_the_data(),
        *([edition.notice] if edition.notice else []),
        edition.stated,
        "",
        *(f"Sheet '{name}': {table.title}" for name, table in tables.items()),
        "These sheets show the numbers as printed, as text. Letters after a row refer to the notes under the table.",
        f"Sheet '{PARAMETERS_SHEET}': every threshold and definition as used, with its source.",
        f"Sheet '{RESULTS_SHEET}': every number behind the tables once, unrounded, with its counts (n of n_assessed), "
        "limits, method and caveat.",
        f"Unit of value, lower and upper by statistic. {units}.",
    ]
    write_readme(sheet, lines, _FONT, _LINE)
    for_print(sheet, about_the_data())


def _table(sheet, table: PrintedTable, edition: Edition) -> None:
    """The table as printed: title, what the data are, headings, rows, notes."""
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont
    from openpyxl.styles import Border, Side

    (panel,) = laid_out(table, _ROOM).panels
    side = ["left" if left else "center" for left in panel.left]
    set_widths(sheet, panel.widths)
    _write(sheet, 1, 1, table.title, bold=True, size=12)
    _write(sheet, 2, 1, about_the_data())
    number = head = _headings(sheet, 3, panel, side)
    for heading, rows in panel.sections:
        if heading:
            number += 1
            _write(sheet, number, 1, heading, bold=True)
        for row in rows:
            number += 1
            indent = 2 if row.indented else 0
            label = _write(sheet, number, 1, row.label, horizontal="left", wrap_text=True, indent=indent)
            if row.marks:
                plain, raised = InlineFont(rFont=_FONT, sz=10), InlineFont(rFont=_FONT, sz=10, vertAlign="superscript")
                label.value = CellRichText(TextBlock(plain, row.label), TextBlock(raised, row.marks))
            sheet.row_dimensions[number].height = _LINE * lines_of(f"{row.label}{row.marks}", _ROOM.label)
            for position, (cell, align) in enumerate(zip(row.cells, side, strict=True), start=2):
                _write(sheet, number, position, one_line(cell), horizontal=align)
    last = len(panel.widths)
    for position in range(1, last + 1):
        sheet.cell(number, position).border = Border(bottom=Side("medium", color="000000"))
    notes = [
        f"{letter}  {text.rstrip('; ').removesuffix('.')}" if letter else text
        for note in beneath(table, edition)
        for letter, text in note
    ]
    for text in notes:
        number += 1
        sheet.merge_cells(start_row=number, start_column=1, end_row=number, end_column=last)
        _write(sheet, number, 1, text, size=9, wrap_text=True)
        sheet.row_dimensions[number].height = _LINE * lines_of(text, sum(panel.widths))
    sheet.freeze_panes = sheet.cell(head + 1, 2)
    sheet.sheet_view.showGridLines = False
    for_print(sheet, about_the_data(), f"1:{head}")


def _headings(sheet, first: int, panel: Panel, side: list[str]) -> int:
    """Write the headings from that row on, between two rules; returns the row of the columns' own."""
    from openpyxl.styles import Border, Side

    head = first + 1 if panel.has_over else first
    for position, (heading, align) in enumerate(zip(panel.headings, side, strict=True), start=2):
        text = "\n".join(text for text in (heading.main, heading.sub) if text)
        _write(sheet, head, position, text, bold=True, horizontal=align, wrap_text=True)
    sheet.row_dimensions[head].height = _LINE * (2 if any(heading.sub for heading in panel.headings) else 1)
    thick, thin = Side("medium", color="000000"), Side("thin", color="000000")
    for position in range(1, len(panel.widths) + 1):
        sheet.cell(first, position).border = Border(top=thick)
        sheet.cell(head, position).border = Border(top=thick if head == first else None, bottom=thin)
    start = 2
    for above, count in panel.over:
        end = start + count - 1
        if above:
            _write(sheet, first, start, above, bold=True, horizontal="center")
            for column in range(start, end + 1):
                sheet.cell(first, column).border = Border(top=thick, bottom=thin)
            sheet.merge_cells(start_row=first, start_column=start, end_row=first, end_column=end)
        start = end + 1
    return head


def _listing(sheet, frame: pd.DataFrame) -> None:
    """A data frame as it is: numbers as numbers, missing values empty, a filter over the headings."""
    widths = []
    for position, name in enumerate(frame.columns, start=1):
        _write(sheet, 1, position, str(name), bold=True)
        longest = frame[name].map(lambda value: 0 if pd.isna(value) else len(str(value))).max() if len(frame) else 0
        widths.append(min(60, max(len(str(name)) + 3, longest + 2)))
    set_widths(sheet, widths)
    for number, row in enumerate(frame.itertuples(index=False), start=2):
        for position, value in enumerate(row, start=1):
            if not pd.isna(value):
                write_cell(sheet, number, position, value)
    as_listing(sheet, len(frame.columns), len(frame) + 1)
    for_print(sheet, about_the_data(), "1:1")
