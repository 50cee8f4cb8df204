"""What a workbook says of its cells beyond their values: percentages, padded numbers, months without a day, errors,
formulas without a stored value, hidden rows and columns, struck-out cells, the day from which day numbers count.

The fast reader gives values only. One pass over the sheet's XML adds the rest, only where the sheet has any of it.

What does not belong here: values, headers and rows (workbook.py), and what a text means (harmonising/).
"""

import io
import itertools
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from xml.etree import ElementTree

from capla_etl.centres.reading.formats.typed_cells import Percentage

#: Stands in a cell whose formula has no stored result.
WITHOUT_VALUE = "(formula without value)"
#: The number formats of XLSX without a code in the file that show something else than the value.
_BUILT_IN = {9: "0%", 10: "0.00%", 17: "mmm-yy"}
_MOST_COLUMNS = 16_384
#: A format of years, with or without months, and without days.
_MONTH = re.compile(r"[mM ./,年月-]*[yY]+[mM ./,年月-]*")
#: What a format holds that shows something else than the value.
_SHOWS_MORE = re.compile(r"%|00|[0#?],+(?![0#?,])|^[^dDhHsS]*[yY][^dDhHsS]*$")
#: What the XML of a sheet holds if it says anything beyond values; a writer that uses single quotes may say it too.
_XLSX_MARKS = (b't="e"', b"<f", b":f>", b":f ", b'hidden="1"', b'hidden="true"', b" s='", b" t='", b"hidden='")


@dataclass
class SheetNotes:
    """What one sheet says beyond values.

    ``shown``: (row, column), both from 1 -> what stands for the value. ``epoch``: the day from which day numbers count.
    ``hidden_rows``: those with data. ``hidden_columns``: with data or without. ``struck``: a row per struck-out cell.
    """

    shown: dict[tuple[int, int], str | Decimal] = field(default_factory=dict)
    epoch: str = "1899-12-30"
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: set[int] = field(default_factory=set)
    struck: list[int] = field(default_factory=list)


def _percentage(value: str) -> Percentage:
    """A stored number as the percentage that is shown, without rounding: 5.4 for 0.054."""
    return Percentage(Decimal(repr(float(value))) * 100)


def shown_number(code: str, value: str, epoch: str = "1899-12-30") -> str | Decimal | None:
    """What a number format shows of a number, if that is not the number itself.

    Args:
        code: the format, such as ``0.0%``, ``00000``, ``[<1]0%;0``, ``0,`` (thousands) or ``mmm-yy``.
        value: the stored number.
        epoch: the day from which day numbers count.

    Returns:
        A percentage, the number with leading zeros, the number of thousands, or the month of a first day of a month:
        spreadsheets make a day of a month that is typed without one.
    """
    number, sections = float(value), _sections(code)
    section = _section(sections, number)
    percent = ["%" in re.sub(r"\\.", "", text) for _, text in sections]
    if percent[section] or (number == 0 and any(percent)):
        return _percentage(value)
    text = sections[section][1]
    if thousands := re.search(r"[0#?](,+)(?![0#?,])", re.sub(r"\\.", "", text)):
        return (Decimal(repr(number)) / 1000 ** len(thousands[1])).normalize()
    if month := _MONTH.fullmatch(re.sub(r"\\.", "", text)):
        day = date.fromisoformat(epoch) + timedelta(days=int(number))
        return _without_day(day.isoformat(), "m" in month[0].lower())
    return _padded(text, number)


def _without_day(day: str, shows_month: bool) -> str | None:
    """The month or year of a day that stands for one; None for another day."""
    if day[5:10] == "01-01" and not shows_month:
        return day[:4]
    return day[:7] if day[8:10] == "01" and shows_month else None


@lru_cache(maxsize=1000)
def _sections(code: str) -> list[tuple[str | None, str]]:
    """The sections of a number format: the condition in brackets, and the rest with each fixed sign escaped."""
    escaped = re.sub(r'"([^"]*)"', lambda quoted: "".join(f"\\{sign}" for sign in quoted[1]), code)
    sections = []
    for text in re.split(r"(?<!\\);", escaped)[:3]:
        conditions = re.findall(r"\[([<>=]+-?[\d.]+)\]", text)
        # _ leaves a gap as wide as the next sign, * repeats it, brackets hold colours and languages
        text = re.sub(r"\\.|\[[^\]]*\]|[_*].", lambda part: part[0] if part[0][0] == "\\" else "", text)
        sections.append((conditions[0] if conditions else None, text))
    return sections


def _section(sections: list[tuple[str | None, str]], number: float) -> int:
    """The section that shows a number: the first whose condition holds; else positive, negative, zero in this order."""
    if not any(condition for condition, _ in sections):
        of_sign = 1 if number < 0 else 2 if number == 0 else 0
        return of_sign if of_sign < len(sections) else 0
    for i, (condition, _) in enumerate(sections):
        if condition is None:
            return i
        sign, limit = re.fullmatch(r"([<>=]+)(.*)", condition).groups()
        limit = float(limit)
        if {
            "<": number < limit,
            ">": number > limit,
            "=": number == limit,
            "<=": number <= limit,
            ">=": number >= limit,
            "<>": number != limit,
        }[sign]:
            return i
    return len(sections) - 1


def _padded(code: str, number: float) -> str | None:
    """A whole number in a format of zeros and fixed signs (``00000``, ``000-00``) as it is shown; None for another."""
    signs = [(sign, bool(escape) or sign not in "0#") for escape, sign in re.findall(r"(\\?)(.)", code)]
    zeros = [sign for sign, fixed in signs if not fixed].count("0")
    if zeros < 2 or number < 0 or not number.is_integer() or re.search(r"[^0# ()/+-]", re.sub(r"\\.", "", code)):
        return None
    left = list(f"{int(number):0{zeros}d}")
    shown: list[str] = []
    places = sum(not fixed for _, fixed in signs)
    for sign, fixed in reversed(signs):
        if fixed:
            shown.append(sign)
            continue
        places -= 1
        if left:
            shown.append(left.pop())
        if not places:  # the first place of the format takes the digits that have no place of their own
            shown += reversed(left)
    return "".join(reversed(shown))


def _named(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Elements of a local name: the transitional and the strict form of XLSX have different namespaces."""
    return (e for e in element.iter() if e.tag.rpartition("}")[2] == name)


def _is_true(text: str | None) -> bool:
    return text in ("1", "true", "on")


class _Package:
    """The parts of an XLSX file and what they relate to."""

    def __init__(self, content: bytes):
        self.parts = zipfile.ZipFile(io.BytesIO(content))
        self.names = {name.replace("\\", "/").lower(): name for name in self.parts.namelist()}

    def read(self, name: str) -> bytes | None:
        """The content of a part; None without one."""
        found = self.names.get(name.lower())
        return self.parts.read(found) if found else None

    def target(self, of: str, wanted: str) -> str:
        """The part that a part relates to, by the relation's id or the end of its type; empty without one."""
        folder, name = posixpath.split(of)
        relations = self.read(posixpath.join(folder, "_rels", f"{name}.rels"))
        for relation in ElementTree.fromstring(relations) if relations else []:
            if relation.get("Id") == wanted or relation.get("Type", "").endswith(f"/{wanted}"):
                return posixpath.normpath(posixpath.join("/", folder, relation.get("Target"))).lstrip("/")
        return ""


def xlsx_notes(content: bytes, sheet: str) -> SheetNotes:
    """Notes of one sheet of an XLSX workbook."""
    package, notes = _Package(content), SheetNotes()
    book_name = package.target("", "officeDocument") or "xl/workbook.xml"
    book = ElementTree.fromstring(package.read(book_name))
    if any(_is_true(properties.get("date1904")) for properties in _named(book, "workbookPr")):
        notes.epoch = "1904-01-01"
    entry = next(s for s in _named(book, "sheet") if s.get("name") == sheet)
    relation = next(value for name, value in entry.attrib.items() if name.endswith("}id"))
    xml = package.read(package.target(book_name, relation)) or b""
    codes, struck = _xlsx_styles(package.read(package.target(book_name, "styles")))
    marks = [*_XLSX_MARKS, *(f's="{style}"'.encode() for style in {*codes, *struck})]
    if 0 in codes or 0 in struck or any(mark in xml for mark in marks):
        _read_xlsx_cells(xml, codes, struck, notes)
    return notes


def _xlsx_styles(xml: bytes | None) -> tuple[dict[int, str], set[int]]:
    """Cell styles that change what a number means: style -> its format, if it shows percentages or leading zeros; and
    the styles that strike cells out."""
    if not xml:
        return {}, set()
    root = ElementTree.fromstring(xml)
    codes = _BUILT_IN | {int(f.get("numFmtId")): f.get("formatCode", "") for f in _named(root, "numFmt")}
    fonts = [
        any(strike.get("val", "1") not in ("0", "false", "off") for strike in _named(font, "strike"))
        for fonts in _named(root, "fonts")
        for font in fonts
    ]
    found, struck = {}, set()
    for style, cell_format in enumerate(next(_named(root, "cellXfs"), [])):
        code = codes.get(int(cell_format.get("numFmtId", 0)), "")
        if _SHOWS_MORE.search(code):
            found[style] = code
        font = int(cell_format.get("fontId", 0))
        if font < len(fonts) and fonts[font]:
            struck.add(style)
    return found, struck


def _position(reference: str) -> tuple[int, int]:
    """(row, column) of a reference such as "AB12"."""
    letters = reference.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return int(reference[len(letters) :]), column


def _read_xlsx_cells(xml: bytes, codes: dict[int, str], struck: set[int], notes: SheetNotes) -> None:
    row = column = 0
    for event, element in ElementTree.iterparse(io.BytesIO(xml), events=("start", "end")):
        name = element.tag.rpartition("}")[2]
        if event == "start":
            if name == "row":
                row, column = int(element.get("r", row + 1)), 0
        elif name == "c":
            row, column = _position(element.get("r")) if element.get("r") else (row, column + 1)
            style = int(element.get("s", 0))
            if shown := _xlsx_shown(element, codes.get(style), notes.epoch):
                notes.shown[row, column] = shown
            if style in struck and len(element):
                notes.struck.append(row)
        elif name == "row":
            if _is_true(element.get("hidden")) and any(len(cell) for cell in element):
                notes.hidden_rows.append(row)
            element.clear()
        elif name == "col" and _is_true(element.get("hidden")):
            last = min(int(element.get("max")), _MOST_COLUMNS)
            notes.hidden_columns.update(range(int(element.get("min")), last + 1))


def _xlsx_shown(cell: ElementTree.Element, code: str | None, epoch: str) -> str | Decimal | None:
    """What stands for a cell's value; None where the value stands for itself."""
    parts = {part.tag.rpartition("}")[2]: part for part in cell}
    kind, value = cell.get("t", "n"), parts["v"].text if "v" in parts else None
    if kind == "e":
        return value or "#ERROR"
    if value is None:
        is_empty_text = kind == "str" and "v" in parts
        return WITHOUT_VALUE if "f" in parts and not is_empty_text else None
    return shown_number(code, value, epoch) if code and kind == "n" else None


_ODS = {
    prefix: f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}"
    for prefix, name in (
        ("table", "table"),
        ("office", "office"),
        ("style", "style"),
        ("number", "datastyle"),
        ("text", "text"),
    )
}
_CALC_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_ODS_MARKS = (
    b":formula=",
    b'"percentage"',
    b'"time"',
    b'"collapse"',
    b'"filter"',
    b"min-integer-digits",
    b":null-date",
)
_ODS_MARKS += (b"line-through", b"='", b"display-factor", b"date-style")
_HIDDEN = ("collapse", "filter")
_TIME = re.compile(r"(-?)PT(\d+)H(\d+)M(\d+(?:\.\d+)?)S")


def ods_notes(content: bytes, sheet: str) -> SheetNotes:
    """Notes of one sheet of an ODS workbook."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        xml = parts.read("content.xml")
    notes, table = SheetNotes(), _ODS["table"]
    if not any(mark in xml for mark in _ODS_MARKS):
        return notes
    root = ElementTree.fromstring(xml)
    if (null_date := root.find(f".//{table}null-date")) is not None:
        notes.epoch = null_date.get(f"{table}date-value", notes.epoch)
    codes, struck = _ods_styles(root)
    own = next(t for t in root.iter(f"{table}table") if t.get(f"{table}name") == sheet)
    column_styles: list[str | None] = []
    for element in own.iter(f"{table}table-column"):
        repeated = min(int(element.get(f"{table}number-columns-repeated", 1)), _MOST_COLUMNS)
        if element.get(f"{table}visibility") in _HIDDEN:
            notes.hidden_columns.update(range(len(column_styles) + 1, len(column_styles) + repeated + 1))
        column_styles += [element.get(f"{table}default-cell-style-name")] * repeated
    row = 1
    for element in own.iter(f"{table}table-row"):
        rows, column, filled = int(element.get(f"{table}number-rows-repeated", 1)), 1, False
        for cell in element:
            columns = int(cell.get(f"{table}number-columns-repeated", 1))
            by_column = column_styles[column - 1] if column <= len(column_styles) else None
            style = cell.get(f"{table}style-name", by_column)
            if cell.get(f"{_ODS['office']}value-type"):
                filled = True
                notes.struck += [*range(row, row + rows)] * columns if style in struck else []
            if shown := _ods_shown(cell, codes.get(style)):
                places = itertools.product(range(row, row + rows), range(column, column + columns))
                notes.shown |= dict.fromkeys(places, shown)
            column += columns
        if filled and element.get(f"{table}visibility") in _HIDDEN:
            notes.hidden_rows += range(row, row + rows)
        row += rows
    return notes


def _ods_shown(cell: ElementTree.Element, code: str | None) -> str | Decimal | None:
    """What stands for a cell's value; None where the value stands for itself."""
    kind = cell.get(f"{_ODS['office']}value-type")
    value = cell.get(f"{_ODS['office']}value")
    if cell.get(f"{_ODS['table']}formula") and (cell.get(_CALC_TYPE) == "error" or not kind):
        return "".join("".join(text.itertext()) for text in cell.iterfind(f"{_ODS['text']}p")) or WITHOUT_VALUE
    if kind == "percentage":
        return _percentage(value)
    if kind == "time" and (parts := _TIME.fullmatch(cell.get(f"{_ODS['office']}time-value", ""))):
        sign, hours, minutes, seconds = parts.groups()
        fraction = seconds.rstrip("0") if "." in seconds else seconds
        return f"{sign}{int(hours):02d}:{minutes}:{fraction.rstrip('.')}"
    if kind == "date" and code:
        return _without_day(cell.get(f"{_ODS['office']}date-value"), "m" in code)
    return shown_number(code, value) if kind == "float" and code else None


def _ods_styles(root: ElementTree.Element) -> tuple[dict[str, str], set[str]]:
    """Cell style -> its format as XLSX writes it, if it shows more than the value; and the styles that strike out."""
    style_name, formats = f"{_ODS['style']}name", {}
    for style in root.iter(f"{_ODS['number']}number-style"):
        number = style.find(f"{_ODS['number']}number")
        if number is None:
            continue
        least = int(number.get(f"{_ODS['number']}min-integer-digits", 0))
        if factor := len(number.get(f"{_ODS['number']}display-factor", "1")) // 3:
            formats[style.get(style_name)] = "0" + "," * factor
        elif least > 1 and int(number.get(f"{_ODS['number']}decimal-places", 0)) == 0:
            fixed = ("".join(f"\\{sign}" for sign in part.text or "") for part in style)
            formats[style.get(style_name)] = "".join(
                "0" * least if part is number else text for part, text in zip(style, fixed, strict=True)
            )
    for style in root.iter(f"{_ODS['number']}date-style"):
        parts = {part.tag.rpartition("}")[2] for part in style}
        if "year" in parts and not parts & {"day", "hours", "week-of-year", "quarter"}:
            formats[style.get(style_name)] = "yyyy-mm" if "month" in parts else "yyyy"
    codes, struck = {}, set()
    for style in root.iter(f"{_ODS['style']}style"):
        if (data := style.get(f"{_ODS['style']}data-style-name")) in formats:
            codes[style.get(style_name)] = formats[data]
        for text in style.iterfind(f"{_ODS['style']}text-properties"):
            if text.get(f"{_ODS['style']}text-line-through-style", "none") != "none":
                struck.add(style.get(style_name))
    return codes, struck
