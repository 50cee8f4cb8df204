"""Read a sheet of an XLSX or ODS workbook: dates as ISO text, numbers as their shortest decimal text; errors and empty
formulas are never taken for blank cells."""

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

import pyarrow as pa

from capla_etl.centres.errors import listed
from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable
from capla_etl.centres.reading.formats.typed_cells import cell_text, cell_texts, check_unique
from capla_etl.centres.spec.grammar import Workbook


def _cells_without_value(content: bytes, sheet: str) -> list[tuple[int, int, str]]:
    """Cells with an error, or a formula without value, which the fast reader takes for blank: (row, column, text)."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        names = [n for n in parts.namelist() if n.startswith("xl/worksheets/") and n.endswith(".xml")]
        sheets = [parts.read(name) for name in names]
    if not any(b't="e"' in part or b"<f" in part for part in sheets):
        return []
    import openpyxl

    stored = openpyxl.load_workbook(io.BytesIO(content), data_only=True)[sheet]
    typed = openpyxl.load_workbook(io.BytesIO(content))[sheet]
    return [
        (cell.row, cell.column, str(value if value is not None else "(formula without value)"))
        for row in typed.iter_rows()
        for cell in row
        if (value := stored.cell(cell.row, cell.column).value) is None
        and cell.value is not None
        or cell.data_type == "e"
    ]


_ODS = {
    prefix: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
    for prefix, name in (("table", "table"), ("office", "office"), ("text", "text"))
}
_ERROR_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"


def _ods_cells_without_value(content: bytes, sheet: str) -> list[tuple[int, int, str]]:
    """The same for an ODS sheet: formulas whose result is an error or not stored."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        text = parts.read("content.xml")
    if b":formula" not in text:
        return []
    name, repeated_rows, repeated, formula = (
        f"{{{_ODS['table']}}}{n}" for n in ("name", "number-rows-repeated", "number-columns-repeated", "formula")
    )
    found, row_number = [], 1
    (table,) = (t for t in ElementTree.fromstring(text).iterfind(".//table:table", _ODS) if t.get(name) == sheet)
    for row in table.iterfind(".//table:table-row", _ODS):
        column = 1
        for cell in row:
            is_error = cell.get(_ERROR_TYPE) == "error" or not cell.get(f"{{{_ODS['office']}}}value-type")
            if cell.get(formula) and is_error:
                found.append((row_number, column, "".join(cell.itertext()) or "(formula without value)"))
            column += int(cell.get(repeated, 1))
        row_number += int(row.get(repeated_rows, 1))
    return found


@contextlib.contextmanager
def _whole(content: bytes, kind: str) -> Iterator:
    """Open the workbook; raise one error for any sign of damage."""
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound, XmlError, ZipError

    if not content:
        raise Unreadable("the file is empty.")
    try:
        yield CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (
        CalamineError,
        XmlError,
        ZipError,
        WorksheetNotFound,
        ElementTree.ParseError,
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        raise Unreadable(f"not a complete {kind} workbook; ask the centre to send it again.") from error


def sheet_names(content: bytes) -> list[str]:
    """The sheets of a workbook, in their order.

    Raises:
        Unreadable: the file is no workbook.
    """
    with _whole(content, "XLSX or ODS") as workbook:
        return workbook.sheet_names


def _workbook_rows(content: bytes, declared: Workbook, known_sheets: list[str] | None) -> list[list]:
    with _whole(content, declared.type.upper()) as workbook:
        names, rows, broken = workbook.sheet_names, [], []
        if declared.sheet in names:
            rows = workbook.get_sheet_by_name(declared.sheet).to_python(skip_empty_area=False)
            find_broken = _ods_cells_without_value if declared.type == "ods" else _cells_without_value
            broken = find_broken(content, declared.sheet)
    if declared.sheet not in names:
        raise Unreadable(f"no sheet {declared.sheet!r}; the workbook has: {listed(names)}.")
    if undeclared := [name for name in names if known_sheets is not None and name not in known_sheets]:
        advice = "declare each as a table or under ignored_sheets with a reason."
        raise Unreadable(f"sheet(s) not in the spec: {listed(undeclared)}; {advice}")
    for row, column, found in broken:
        rows[row - 1][column - 1] = found
    return rows


def read_workbook(content: bytes, declared: Workbook, decimals: Decimals, known_sheets: list[str] | None) -> FileTable:
    """Read one sheet.

    Raises:
        Unreadable: no workbook, a missing or undeclared sheet, or cells to the right of the header.
    """
    rows = _workbook_rows(content, declared, known_sheets)
    if len(rows) < declared.header_row:
        raise Unreadable(f"the sheet has {len(rows)} rows; expected the header in row {declared.header_row}.")
    header = [cell_text(cell, f"header cell {i + 1}").strip() for i, cell in enumerate(rows[declared.header_row - 1])]
    while header and not header[-1]:
        header.pop()
    check_unique(header)
    body = rows[declared.header_row :]
    columns = list(zip(*body, strict=True)) if body else [[] for _ in header]
    for values in columns[len(header) :]:
        if filled := [i for i, value in enumerate(values) if value not in ("", None)]:
            row = declared.header_row + 1 + filled[0]
            raise Unreadable(f"row {row} has cells to the right of the last column of the header; expected none.")
    arrays = [cell_texts(list(values), name, decimals.of(name)) for name, values in zip(header, columns, strict=False)]
    numbers = pa.array(range(declared.header_row + 1, declared.header_row + 1 + len(body)), pa.int64())
    return FileTable(header, pa.table([*arrays, numbers], names=[*header, "source_row"]))
