"""What a workbook says of its cells beyond their values: percentages, padded numbers, fixed text, months without a day,
errors, formulas without a stored value, hidden rows and columns, struck-out cells, and the first day of its calendar.

The fast reader gives values only. One pass over the sheet's XML adds the rest, only where the sheet has any of it.

What does not belong here: values, headers and rows (workbook.py), and what a text means (harmonising/).
"""

import contextlib
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

from capla_etl.centres.reading.formats.typed_cells import Percentage, Scaled, Worded
from capla_etl.centres.spec.dates import EPOCH

#: Stands in a cell whose formula has no stored result.
WITHOUT_VALUE = "(formula without value)"
#: The number formats of XLSX without a code in the file that show something else than the value. From 27 on they are
#: those of East Asian workbooks, which show a month in one language and a day or time in another.
_BUILT_IN = {9: "0%", 10: "0.00%", 17: "mmm-yy"} | dict.fromkeys((27, 34, 36, 50, 52, 55, 57), "yyyy-mm")
#: Stands in a cell whose number format shows nothing of its number.
HIDDEN = "(hidden by its number format)"
#: Stands in a cell whose number format puts fixed signs between the digits, which is no number to read.
_UNREAD = "(number in a format with fixed signs inside)"
_MOST_COLUMNS = 16_384
#: Fixed text that changes nothing of a number: blanks, brackets and signs, and dashes for zero.
_IDLE = " \u00a0\u2009\u202f()+-\u2212\u2013\u2014"
#: Fixed letters for thousands and millions, which the scale of the format says already.
_SCALE = re.compile(r"[kKMT]|Tsd\.?|Mio\.?")
#: The places of digits in a format, from the first to the last.
_PLACES = re.compile(r"General|@|[0#?](.*[0#?])?[.,]*([eE][+-][0#?]+)?")
#: A format of days or times has one of these letters, which no format of numbers has.
_DAY_OR_TIME = re.compile("[dhsymgbea]", re.IGNORECASE)
#: What the XML of a sheet holds if it says anything beyond values; a writer that uses single quotes may say it too.
_XLSX_MARKS = (b't="e"', b"<f", b":f>", b":f ", b'hidden="1"', b'hidden="true"', b" s='", b" t='", b"hidden='")


@dataclass
class SheetNotes:
    """What one sheet says beyond values.

    ``shown``: (row, column), both from 1 -> what stands for the value. ``epoch``: the day from which day numbers count.
    ``hidden_rows``: those with data. ``hidden_columns``: with data or without. ``struck``: a row per struck-out cell.
    """

    shown: dict[tuple[int, int], str | Decimal | Worded] = field(default_factory=dict)
    epoch: str = EPOCH
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: set[int] = field(default_factory=set)
    struck: list[int] = field(default_factory=list)


def _percentage(value: str) -> Percentage:
    """A stored number as the percentage that is shown, without rounding: 5.4 for 0.054."""
    return Percentage(Decimal(repr(float(value))) * 100)


def shown_number(code: str, value: str, epoch: str = EPOCH) -> str | Decimal | Worded | None:
    """What a number format shows of a number, if that is not the number itself.

    Args:
        code: the format, such as ``0.0%``, ``00000``, ``[<1]0%;0``, ``0,`` (thousands), ``"<"0`` or ``mmm-yy``.
        value: the stored number.
        epoch: the day from which day numbers count.

    Returns:
        A percentage, the number with leading zeros, the number of thousands, a number with fixed text around it, fixed
        text alone, or the month of a first day of a month: spreadsheets make a day of a month that is typed without
        one. Numbers are exact, whatever the decimals of the format.
    """
    number, sections = float(value), _sections(code)
    place = _section(sections, number)
    text = sections[place][1]
    plain = _without_fixed(text)
    if shows_month := _month(plain):
        with contextlib.suppress(OverflowError):  # a number too great for a day stays a number
            day = date.fromisoformat(epoch) + timedelta(days=int(number))
            return _without_day(day.isoformat(), shows_month == "month")
        return None
    if _is_of_days(plain):
        return None
    shown: Decimal = Decimal(repr(number)).normalize()
    percent = "%" in plain
    said = _said(text)
    is_dash = number == 0 and text.strip() and said is None
    if percent or (is_dash and any("%" in _without_fixed(other) for _, other in sections)):
        shown = _percentage(value)
    elif padded := _padded(text, number):
        return padded
    elif thousands := re.search(r"[0#?](,+)(?![0#?,])", plain):
        shown = Scaled((shown / 1000 ** len(thousands[1])).normalize())
    if said is None:
        return shown if isinstance(shown, Percentage | Scaled) else HIDDEN if not text.strip() else None
    before, inside, after = said
    if inside:
        return _UNREAD
    if inside is None:
        return before
    if isinstance(shown, Scaled) and not before.strip(_IDLE) and _SCALE.fullmatch(after.strip(_IDLE)):
        return shown
    if number < 0 and ("-" in before or _negative_alone(sections, place)):
        shown = type(shown)(-shown)
    return Worded(before.lstrip(), shown, after.rstrip())


def _without_fixed(text: str) -> str:
    return re.sub(r"\\.", "", text)


def _is_of_days(plain: str) -> bool:
    """Whether a section without its fixed signs shows a day or time."""
    return _DAY_OR_TIME.search(re.sub(r"General|[eE][+-]", "", plain)) is not None


def _month(plain: str) -> str | None:
    """The least part that a format of a month or year without days shows; None for another format."""
    letters = {*plain.lower()}
    is_of_days = letters & {*"yeb"} or "mmm" in plain.lower()
    if "general" in plain.lower() or letters & {*"0#?dhs"} or not is_of_days:
        return None
    return "month" if "m" in letters else "year"


@lru_cache(maxsize=1000)
def _said(text: str) -> tuple[str, str, str] | tuple[str, None, None] | None:
    """The fixed text of a section before, between and after its digits; of one without digits, the text alone.

    None if it changes nothing of a number.
    """
    masked = re.sub(r"\\.", "__", text)
    places = _PLACES.search(masked)
    if places is None:
        fixed = _fixed(text)
        return (fixed, None, None) if fixed.strip(_IDLE) else None
    first, last = places.span()
    before, inside, after = _fixed(text[:first]), _fixed(text[first:last], inside=True), _fixed(text[last:])
    if not any(part.strip(_IDLE) for part in (before, inside, after)):
        return None
    return before, inside.strip(_IDLE), after


def _fixed(text: str, inside: bool = False) -> str:
    """The fixed signs of a part of a section: escaped ones, and between no digits those that stand for themselves."""
    signs = re.findall(r"\\(.)|(.)", text)
    return "".join(escaped or ("" if inside or sign in "%*_,.?#0@" else sign) for escaped, sign in signs)


def _negative_alone(sections: list[tuple[str | None, str]], place: int) -> bool:
    """Whether a section shows negative numbers alone, and so without a sign of their own."""
    conditions = [condition for condition, _ in sections]
    if not any(conditions):
        return place == 1
    return any(condition in (">=0", ">0") for condition in conditions[:place])


def _without_day(day: str, shows_month: bool) -> str | None:
    """The month or year of a day that stands for one; None for another day."""
    if day[5:10] == "01-01" and not shows_month:
        return day[:4]
    return day[:7] if day[8:10] == "01" and shows_month else None


def _shows_more(code: str) -> bool:
    """Whether a number format shows something else than the number for some number."""
    for _, text in _sections(code):
        plain = _without_fixed(text)
        if _month(plain):
            return True
        if not _is_of_days(plain) and (re.search(r"%|[0#?],+(?![0#?,])", plain) or _said(text) or not text.strip()):
            return True
        if plain.count("0") > 1 and not _is_of_days(plain):
            return True
    return False


@lru_cache(maxsize=1000)
def _sections(code: str) -> list[tuple[str | None, str]]:
    """The sections of a number format: the condition in brackets, and the rest with each fixed sign escaped."""
    escaped = re.sub(r'"([^"]*)"', lambda quoted: "".join(f"\\{sign}" for sign in quoted[1]), code)
    sections = []
    escaped = re.sub(r"\[\$([^\]-]*)(-[^\]]*)?\]", lambda sign: "".join(f"\\{letter}" for letter in sign[1]), escaped)
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
    """Cell styles that change what a number means: style -> its format, if it shows more than the number; and the
    styles that strike cells out."""
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
        if code and _shows_more(code):
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
            if (shown := _xlsx_shown(element, codes.get(style), notes.epoch)) is not None:
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


def _xlsx_shown(cell: ElementTree.Element, code: str | None, epoch: str) -> str | Decimal | Worded | None:
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
_ODS_MARKS += (b"line-through", b"='", b"display-factor", b"date-style", b"number:text", b"currency-symbol")
_ODS_MARKS += (b"number-style",)
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
            if (shown := _ods_shown(cell, codes.get(style))) is not None:
                places = itertools.product(range(row, row + rows), range(column, column + columns))
                notes.shown |= dict.fromkeys(places, shown)
            column += columns
        if filled and element.get(f"{table}visibility") in _HIDDEN:
            notes.hidden_rows += range(row, row + rows)
        row += rows
    return notes


def _ods_shown(cell: ElementTree.Element, code: str | None) -> str | Decimal | Worded | None:
    """What stands for a cell's value; None where the value stands for itself."""
    kind = cell.get(f"{_ODS['office']}value-type")
    value = cell.get(f"{_ODS['office']}value")
    if cell.get(f"{_ODS['table']}formula") and (cell.get(_CALC_TYPE) == "error" or not kind):
        return "".join("".join(text.itertext()) for text in cell.iterfind(f"{_ODS['text']}p")) or WITHOUT_VALUE
    if kind == "percentage":
        shown = shown_number(code, value) if code else None
        return _percentage(value) if shown is None else shown
    if kind == "time" and (parts := _TIME.fullmatch(cell.get(f"{_ODS['office']}time-value", ""))):
        sign, hours, minutes, seconds = parts.groups()
        fraction = seconds.rstrip("0") if "." in seconds else seconds
        return f"{sign}{int(hours):02d}:{minutes}:{fraction.rstrip('.')}"
    if kind == "date" and code:
        return _without_day(cell.get(f"{_ODS['office']}date-value"), "m" in code)
    return shown_number(code, value) if kind in ("float", "currency") and code else None


def _ods_section(style: ElementTree.Element) -> str:
    """One number format as XLSX writes it."""
    code = ""
    for part in style:
        name = part.tag.rpartition("}")[2]
        if name in ("text", "currency-symbol"):
            is_percent = style.tag.endswith("percentage-style") and part.text == "%"
            code += "%" if is_percent else "".join(f"\\{sign}" for sign in part.text or "")
        elif name == "number":
            least = int(part.get(f"{_ODS['number']}min-integer-digits", 0))
            decimals = int(part.get(f"{_ODS['number']}decimal-places", 0))
            code += "0" * (least if decimals == 0 and least > 1 else 1)
            code += "," * (len(part.get(f"{_ODS['number']}display-factor", "1")) // 3)
        elif name in ("scientific-number", "fraction", "text-content"):
            code += "General"
    return code


def _ods_styles(root: ElementTree.Element) -> tuple[dict[str, str], set[str]]:
    """Cell style -> its format as XLSX writes it, if it shows more than the value; and the styles that strike out."""
    style_name, formats = f"{_ODS['style']}name", {}
    sections = {
        style.get(style_name): (style, _ods_section(style))
        for kind in ("number", "percentage", "currency")
        for style in root.iter(f"{_ODS['number']}{kind}-style")
    }
    for name, (style, own) in sections.items():
        code = own
        for mapped in reversed(style.findall(f"{_ODS['style']}map")):
            condition = mapped.get(f"{_ODS['style']}condition", "").replace("value()", "").replace("!=", "<>")
            _, other = sections.get(mapped.get(f"{_ODS['style']}apply-style-name"), (None, None))
            code = f"[{condition}]{other};{code}" if other is not None else code
        if _shows_more(code):
            formats[name] = code
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
