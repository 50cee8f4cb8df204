"""Files of eight formats from tables of cells. SAS data sets (sas7bdat) cannot be written by any library known here.

What does not belong here: what a cell means (truth.py).
"""

import gzip
import io
import json
import re
import tempfile
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from .cells import Cell, Formula, Labelled, Shown, StoredError, Tagged

SHEET = "Sheet 1"


def write(kind: str, columns: dict[str, list[Cell]], options: dict) -> bytes:
    """One file.

    Args:
        kind: one of ``FORMATS``.
        columns: header -> its cells, all of one length.
        options: ``encoding``, ``delimiter``, ``line_end``, ``gzip``, ``title_rows``, ``epoch_1904``, ``hidden_rows``,
            ``shown`` (header -> header as written), ``version``; each where the format has it.
    """
    header = [options.get("shown", {}).get(name, name) for name in columns]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    if kind == "csv":
        return _csv(header, rows, options)
    if kind == "json_lines":
        return "".join(_json_line(header, row) for row in rows).encode()
    if kind == "xlsx":
        return _xlsx(header, rows, options)
    if kind == "ods":
        return _ods(header, rows, options)
    if kind == "parquet":
        return _parquet(dict(zip(header, columns.values(), strict=True)))
    return _statistical(kind, dict(zip(header, columns.values(), strict=True)), options)


# -------------------------------------------------------------------- text


def _csv(header: list[str], rows: list[list], options: dict) -> bytes:
    delimiter, end = options.get("delimiter", ";"), options.get("line_end", "\n")

    def quoted(text: str | None) -> str:
        text = text or ""
        special = any(sign in text for sign in (delimiter, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if special else text

    titles = [f"Export {n + 1}" for n in range(options.get("title_rows", 0))]
    lines = [*titles, *(delimiter.join(map(quoted, row)) for row in [header, *rows])]
    content = "".join(line + end for line in lines).encode(options.get("encoding", "utf-8"))
    return gzip.compress(content) if options.get("gzip") else content


def _json_line(header: list[str], row: list) -> str:
    """Null for a blank; numbers with their own digits."""
    parts = []
    for name, cell in zip(header, row, strict=True):
        value = str(cell) if isinstance(cell, Decimal) else json.dumps(cell, ensure_ascii=False)
        parts.append(f"{json.dumps(name, ensure_ascii=False)}: {value}")
    return "{" + ", ".join(parts) + "}\n"


# -------------------------------------------------------------------- workbooks


def _xlsx(header: list[str], rows: list[list], options: dict) -> bytes:
    import openpyxl
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book = openpyxl.Workbook()
    if options.get("epoch_1904"):
        book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    sheet.title = SHEET
    titles = options.get("title_rows", 0)
    for n in range(titles):
        sheet.cell(n + 1, 1, f"Export {n + 1}")
    for column, name in enumerate(header, 1):
        sheet.cell(titles + 1, column, name)
    for number, row in enumerate(rows, titles + 2):
        for column, cell in enumerate(row, 1):
            _xlsx_cell(sheet.cell(number, column), cell)
    for number in options.get("hidden_rows", ()):
        sheet.row_dimensions[titles + 2 + number].hidden = True
    file = io.BytesIO()
    book.save(file)
    return _with_stored_results(file.getvalue())


def _xlsx_cell(cell, value: Cell) -> None:
    if isinstance(value, Shown):
        cell.value, cell.number_format = value.value, value.number_format
    elif isinstance(value, StoredError):
        cell.value, cell.data_type = value.text, "e"
    elif isinstance(value, Formula):
        cell.value = "=1+1" if value.result is None else f"={value.result!r}*1"
    elif isinstance(value, Decimal):
        cell.value = float(value)
    elif isinstance(value, str):
        cell.value, cell.data_type = value, "s"
    elif isinstance(value, datetime):
        cell.value, cell.number_format = value, "yyyy-mm-dd hh:mm:ss"
    elif isinstance(value, date):
        cell.value, cell.number_format = value, "dd/mm/yyyy"
    elif isinstance(value, time):
        cell.value, cell.number_format = value, "hh:mm:ss"
    elif isinstance(value, timedelta):
        cell.value, cell.number_format = value, "[hh]:mm:ss"
    elif value is not None:
        cell.value = value


def _with_stored_results(content: bytes) -> bytes:
    """The workbook with the results of its formulas ``=<number>*1`` stored, as a spreadsheet program stores them."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        kept = {name: parts.read(name) for name in parts.namelist()}
    name = "xl/worksheets/sheet1.xml"
    kept[name] = re.sub(rb"<f>([-0-9.e]+)\*1</f><v\s*(?:/>|></v>)", rb"<f>\1*1</f><v>\1</v>", kept[name])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        for part, content in kept.items():
            parts.writestr(part, content)
    return file.getvalue()


_NAMESPACES = (
    " ".join(
        f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in (
            ("office", "office"),
            ("table", "table"),
            ("text", "text"),
            ("style", "style"),
            ("number", "datastyle"),
            ("of", "of"),
        )
    )
    + ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0" office:version="1.3"'
)
_ODS_STYLES = """<office:automatic-styles>
<number:number-style style:name="N1"><number:number number:decimal-places="0" number:min-integer-digits="5"/>
</number:number-style>
<number:percentage-style style:name="N2"><number:number number:decimal-places="1" number:min-integer-digits="1"/>
<number:text>%</number:text></number:percentage-style>
<style:style style:name="zeros" style:family="table-cell" style:data-style-name="N1"/>
<style:style style:name="percent" style:family="table-cell" style:data-style-name="N2"/>
<style:style style:name="shown" style:family="table-row"/>
</office:automatic-styles>"""


def _ods(header: list[str], rows: list[list], options: dict) -> bytes:
    titles = [[f"Export {n + 1}"] for n in range(options.get("title_rows", 0))]
    hidden = {n + len(titles) + 1 for n in options.get("hidden_rows", ())}
    lines = [
        f"<table:table-row{' table:visibility=' + quoteattr('filter') if n in hidden else ''}>"
        + "".join(map(_ods_cell, row))
        + "</table:table-row>"
        for n, row in enumerate([*titles, header, *rows])
    ]
    epoch = (
        '<table:calculation-settings><table:null-date table:date-value="1904-01-01"/></table:calculation-settings>'
        if options.get("epoch_1904")
        else ""
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_NAMESPACES}>{_ODS_STYLES}<office:body>'
        f"<office:spreadsheet>{epoch}<table:table table:name={quoteattr(SHEET)}>"
        f'<table:table-column table:number-columns-repeated="{len(header)}"/>{"".join(lines)}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
        'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("mimetype", kind, compress_type=zipfile.ZIP_STORED)
        parts.writestr("content.xml", content)
        parts.writestr("META-INF/manifest.xml", manifest)
    return file.getvalue()


def _ods_text(text: str) -> str:
    """Blanks that XML would lose are elements."""
    spaced = re.sub(r"^ +| +$|(?<= ) +", lambda blanks: f'<text:s text:c="{len(blanks[0])}"/>', escape(text))
    return f"<text:p>{spaced}</text:p>"


def _ods_cell(value: Cell) -> str:
    def cell(kind: str, attribute: str, stored: str, text: str, more: str = "") -> str:
        both = f'office:value-type="{kind}" calcext:value-type="{kind}" office:{attribute}="{stored}"'
        return f"<table:table-cell {both}{more}>{_ods_text(text)}</table:table-cell>"

    if value is None:
        return "<table:table-cell/>"
    if isinstance(value, bool):
        return cell("boolean", "boolean-value", str(value).lower(), str(value).upper())
    if isinstance(value, int | float | Decimal):
        return cell("float", "value", str(value), str(value))
    if isinstance(value, Shown):
        percent = "%" in value.number_format
        style = f' table:style-name="{"percent" if percent else "zeros"}"'
        return cell("percentage" if percent else "float", "value", repr(value.value), value.text, style)
    if isinstance(value, StoredError):
        formula = 'table:formula="of:=1/0" office:value-type="string" office:string-value=""'
        return (
            f'<table:table-cell {formula} calcext:value-type="error"><text:p>{value.text}</text:p></table:table-cell>'
        )
    if isinstance(value, Formula):
        if value.result is None:
            return '<table:table-cell table:formula="of:=1+1"/>'
        formula = f' table:formula="of:={value.result!r}*1"'
        return cell("float", "value", repr(value.result), repr(value.result), formula)
    if isinstance(value, datetime):
        return cell("date", "date-value", value.isoformat(timespec="seconds"), value.strftime("%d/%m/%Y %H:%M"))
    if isinstance(value, date):
        return cell("date", "date-value", value.isoformat(), value.strftime("%d/%m/%Y"))
    if isinstance(value, time):
        return cell("time", "time-value", value.strftime("PT%HH%MM%SS"), value.strftime("%H:%M:%S"))
    if isinstance(value, timedelta):
        minutes = int(value.total_seconds()) // 60
        stored = f"PT{minutes // 60:02}H{minutes % 60:02}M00S"
        return cell("time", "time-value", stored, f"{minutes // 60:02}:{minutes % 60:02}:00")
    text = 'office:value-type="string" calcext:value-type="string"'
    return f"<table:table-cell {text}>{_ods_text(value)}</table:table-cell>"


# -------------------------------------------------------------------- columns of one kind


def _parquet(columns: dict[str, list]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def array(cells: list) -> "pa.Array":
        filled = [cell for cell in cells if cell is not None]
        if filled and all(isinstance(cell, datetime) for cell in filled):
            return pa.array(cells, pa.timestamp("us", tz="UTC" if filled[0].tzinfo else None))
        return pa.array(cells)

    file = io.BytesIO()
    pq.write_table(pa.table({name: array(cells) for name, cells in columns.items()}), file)
    return file.getvalue()


#: A number that no column holds, and its eight bytes in IBM's form: replaced by SAS's special missing values.
_STAND_IN, _STAND_IN_BYTES = -123456789.0, bytes.fromhex("c775bcd150000000")


def _statistical(kind: str, columns: dict[str, list], options: dict) -> bytes:
    import pandas as pd
    import pyreadstat

    kept, labels, formats, tags = {}, {}, {}, {}
    for name, cells in columns.items():
        filled = [cell for cell in cells if cell is not None]
        if any(isinstance(cell, Labelled) for cell in filled):
            labels[name] = {cell.value: cell.label for cell in filled if isinstance(cell, Labelled)}
            cells = [cell.value if isinstance(cell, Labelled) else cell for cell in cells]
        if letters := sorted({cell.letter for cell in filled if isinstance(cell, Tagged)}):
            tags[name] = letters
        if not filled or all(isinstance(cell, str) for cell in filled):
            kept[name] = pd.Series(["" if cell is None else cell for cell in cells], dtype=object)
        elif all(isinstance(cell, date) for cell in filled):
            timed = isinstance(filled[0], datetime)
            formats[name] = _DATE_FORMATS[kind][timed]
            kept[name] = pd.Series(cells, dtype="datetime64[ns]" if timed else object)
        elif letters and kind == "stata":
            plain = [
                cell.letter if isinstance(cell, Tagged) else None if cell is None else float(cell) for cell in cells
            ]
            kept[name] = pd.Series(plain, dtype=object)
        else:
            plain = [_STAND_IN if isinstance(cell, Tagged) else cell for cell in cells]
            kept[name] = pd.Series([None if cell is None else float(cell) for cell in plain], dtype=float)
    frame = pd.DataFrame(kept)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        formats = {name: chosen for name, chosen in formats.items() if chosen}
        if kind == "stata":
            options = {"variable_value_labels": labels, "missing_user_values": tags, "variable_format": formats}
            pyreadstat.write_dta(frame, path, **options)
        elif kind == "spss":
            missing = options.get("user_missing", {})
            ranges = {name: codes for name, codes in missing.items() if name in kept}
            pyreadstat.write_sav(
                frame, path, variable_value_labels=labels, missing_ranges=ranges, variable_format=formats
            )
        else:
            pyreadstat.write_xport(
                frame, path, file_format_version=options.get("version", 8), table_name="DATA", variable_format=formats
            )
        content = path.read_bytes()
    for letters in tags.values() if kind == "sas_transport" else ():
        content = content.replace(_STAND_IN_BYTES, letters[0].upper().encode() + bytes(7))
    return content


#: Display formats of days and of timestamps.
_DATE_FORMATS = {"stata": ("%td", "%tc"), "spss": ("DATE11", "DATETIME20"), "sas_transport": ("DATE9.", "DATETIME20.")}
