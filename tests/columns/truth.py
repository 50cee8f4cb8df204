"""Columns of known truth: the values first, then the cells that state them, then the words of the spec for them.

A column is ``right`` (the spec describes it), has a ``fault`` (a few cells that cannot be read, or that somebody
damaged) or a ``wrong`` spec. ``seen`` is False where neither the cells nor the other columns show the mistake.

Ranges, factors and names of months are written here from their sources a second time, so that a mistake in the
product's own lists is found. What does not belong here: files (writers.py), whole centres (centres.py).
"""

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from .cells import ONE_KIND_A_COLUMN, STATISTICAL, WORKBOOKS, Cell, Formula, Labelled, Shown, StoredError, Tagged

#: The value of a cell that cannot be read: it must be objected to.
UNREADABLE = object()


@dataclass(frozen=True)
class Patient:
    """A patient whom every file of a centre knows."""

    key: str
    born: date
    first_tpe: date


@dataclass(frozen=True)
class File:
    """What one file decides for all of its columns."""

    kind: str
    narrow: bool = False
    zone: str | None = None
    epoch_1904: bool = False

    @property
    def holds_text_only(self) -> bool:
        return self.kind == "csv"


@dataclass(frozen=True)
class Column:
    """One column of a file.

    ``truth``: row -> value in the study's unit, None (missing) or UNREADABLE. ``comparators``: row -> '<', '<=',
    '>', '>=' or None, for fields that have one. ``source``: the spec's entry; ``beside``: further columns that it
    needs; ``others``: other fields of its record. ``what`` names its class in the report; ``style`` says how a
    column with a fault is written.
    """

    kind: str
    table: str
    field: str
    compared: str
    name: str
    cells: list[Cell]
    truth: list
    source: dict
    what: str
    mode: str = "right"
    seen: bool = True
    comparators: list | None = None
    beside: dict[str, list[Cell]] = field(default_factory=dict)
    others: dict = field(default_factory=dict)
    user_missing: tuple = ()
    shown: str | None = None
    style: str = ""


# -------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Quantity:
    """A measured quantity: its table, typical levels and plausible range in the study's unit, and how it is sent.

    ``units``: unit of the spec -> (factor to the study's unit, decimals as laboratories give them).
    """

    table: str
    levels: tuple[float, float]
    plausible: tuple[float, float]
    units: dict[str, tuple[Fraction, int]]
    whole: bool = False
    censored: bool = False


def _units(*units: tuple[str, str, int]) -> dict[str, tuple[Fraction, int]]:
    return {unit: (Fraction(factor), decimals) for unit, factor, decimals in units}


#: 1 mmol/L of haem is 16114.5 mg/L (ICSH, J Clin Pathol 1996;49:271); creatinine 88.4 umol/L is 1 mg/dL, as is usual;
#: 1 ukat is 60 U.
QUANTITIES = {
    "hemoglobin_g_per_dl": Quantity(
        "patient",
        (5.5, 15),
        (2, 25),
        _units(("g/dL", "1", 1), ("g/L", "0.1", 0), ("mmol/L", "1.61145", 1), ("g/dl", "1", 1)),
    ),
    "creatinine_umol_per_l": Quantity(
        "patient",
        (45, 700),
        (10, 2500),
        _units(
            ("umol/L", "1", 0), ("mg/dL", "88.4", 2), ("mmol/L", "1000", 3), ("mg/L", "8.84", 1), ("µmol/l", "1", 0)
        ),
    ),
    "troponin_x_uln": Quantity("patient", (0.2, 900), (0, 100000), _units(("x ULN", "1", 2))),
    "anti_adamts13_u_per_ml": Quantity(
        "patient", (5, 300), (0, 10000), _units(("U/mL", "1", 1), ("AU/mL", "1", 1), ("kU/L", "1", 1))
    ),
    "icu_days": Quantity("patient", (0, 60), (0, 365), _units(("days", "1", 0), ("Tage", "1", 0)), whole=True),
    "platelets_10e9_per_l": Quantity(
        "lab_result",
        (3, 450),
        (1, 2000),
        _units(
            ("10^9/L", "1", 0),
            ("/mm3", "0.001", 0),
            ("10^4/uL", "10", 1),
            ("万/µL", "10", 1),
            ("K/uL", "1", 0),
            ("G/L", "1", 0),
            ("Tsd/µl", "1", 0),
            ("10*3/uL", "1", 0),
            ("cells/mm3", "0.001", 0),
        ),
    ),
    "ldh_x_uln": Quantity(
        "lab_result",
        (0.5, 12),
        (0.1, 100),
        _units(("x ULN", "1", 2), ("U/L", "1", 0), ("U/l", "1", 0), ("ukat/L", "60", 2)),
    ),
    "adamts13_percent": Quantity(
        "lab_result",
        (0.5, 110),
        (0, 200),
        _units(("%", "1", 1), ("IU/dL", "1", 1), ("IU/mL", "100", 3), ("U/mL", "100", 3), ("IU/L", "0.1", 0)),
        censored=True,
    ),
    "volume_ml": Quantity(
        "tpe_session",
        (1500, 4500),
        (300, 12000),
        _units(("mL", "1", 0), ("L", "1000", 2), ("dL", "100", 1), ("ml", "1", 0)),
    ),
}
LAB_FIELDS = ("platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent", "volume_ml")
PATIENT_NUMBERS = tuple(name for name, quantity in QUANTITIES.items() if quantity.table == "patient")

#: 5 % in the units of ADAMTS13.
_FIVE_PERCENT = {"%": "5", "IU/dL": "5", "IU/mL": "0.05", "U/mL": "0.05", "IU/L": "50"}
#: A missing code that no number can be, and numbers that no study field can be.
_MISSING_WORDS = ("n.a.", "ND", "nicht bekannt", "-", "?")
_MISSING_NUMBERS = (-99, -9, -1)
_PADDING = (" ", "  ", "\u00a0", "\t")


def _sometimes(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _wide(text: str) -> str:
    """Full-width signs, as Japanese spreadsheets hold them."""
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)


def _padded(rng: random.Random, text: str, file: File) -> str:
    usable = _PADDING if file.kind in ("csv", "json_lines", "parquet") else _PADDING[:2]
    return rng.choice(("", *usable)) + text + rng.choice(("", *usable))


def _level(rng: random.Random, low: float, high: float) -> float:
    """More low levels than high ones, as in patients."""
    return low + (high - low) * rng.random() ** 2


def _grouped(digits: str, separator: str) -> str:
    """Digits in groups of three."""
    groups = []
    while len(digits) > 3:
        groups.insert(0, digits[-3:])
        digits = digits[:-3]
    return separator.join([digits, *groups])


def _number_text(value: Decimal, mark: str, thousands: str | None, exponent: bool) -> str:
    if exponent:
        return f"{value:.4E}".replace(".", mark)
    whole, _, rest = f"{value:f}".partition(".")
    return (_grouped(whole, thousands) if thousands else whole) + (mark + rest if rest else "")


def _sent(rng: random.Random, quantity: Quantity, unit: str) -> Decimal:
    """A number as a laboratory gives it in this unit."""
    factor, decimals = quantity.units[unit]
    level = Decimal(repr(_level(rng, *quantity.levels) / float(factor)))
    return round(level, decimals) if decimals else Decimal(int(round(level)))


def number(rng: random.Random, file: File, patients: list[Patient], name: str, wanted: str, mode: str) -> Column:
    """A column of numbers of one quantity."""
    quantity = QUANTITIES[wanted]
    unit = rng.choice(list(quantity.units))
    others = [other for other in quantity.units if other != unit and wanted != "ldh_x_uln"]
    by_row = bool(others) and _sometimes(rng, 0.15)
    units = [rng.choice((unit, others[0])) if by_row else unit for _ in patients]
    factors = [quantity.units[of_row][0] for of_row in units]
    sent = [_sent(rng, quantity, of_row) for of_row in units]
    limits, beside, source = None, {}, {"column": name, "unit": unit, "decimal": rng.choice((".", ","))}
    if by_row:
        source["unit"] = {"column": f"{name}E", "codes": {f"[{of_row}]": of_row for of_row in (unit, others[0])}}
        beside[f"{name}E"] = [f"[{of_row}]" for of_row in units]
    if wanted == "ldh_x_uln" and unit != "x ULN":
        limits = _limits(rng, file, name, len(patients), factors[0], source, beside)
        multiples = [_sent(rng, quantity, "x ULN") for _ in patients]
        sent = [round(m * limit, quantity.units[unit][1]) for m, limit in zip(multiples, limits, strict=True)]
    truth = [
        float(Fraction(s) / Fraction(limits[i]) if limits else Fraction(s) * factors[i]) for i, s in enumerate(sent)
    ]
    drawn = _Drawn(rng, file, name, wanted, quantity, unit, sent, truth, source, beside, by_row)
    styled = _number_cells(drawn)
    column = Column(
        "number",
        quantity.table,
        wanted,
        "value" if quantity.table == "lab_result" else wanted,
        name,
        styled.cells,
        styled.truth,
        drawn.source,
        f"{unit}{' and others by row' if by_row else ''}, {styled.style}",
        comparators=styled.comparators,
        beside=beside,
    )
    if mode != "wrong":
        column = _with_missing(rng, file, column, declared=True)
        return column if mode == "right" else _number_fault(drawn, styled, column)
    return _number_wrong(drawn, styled, column)


def _limits(
    rng: random.Random, file: File, name: str, rows: int, factor: Fraction, source: dict, beside: dict
) -> list[Decimal]:
    """The laboratory's upper limits of LDH in the unit of the results: one for all, or one a row."""
    usual = [round(Decimal(limit) / int(factor), 2) for limit in (220, 248, 250, 255)]
    usual = [limit if limit != limit.to_integral() else Decimal(int(limit)) for limit in usual]
    limits = [rng.choice(usual) for _ in range(rows)]
    if _sometimes(rng, 0.5):
        source["uln"] = {"constant": str(limits[0]).replace(".", source["decimal"])}
        return [limits[0]] * rows
    source["uln"] = {"column": f"{name}U"}
    written = [str(limit).replace(".", source["decimal"]) for limit in limits]
    whole = all(limit == int(limit) for limit in limits)
    beside[f"{name}U"] = [int(limit) for limit in limits] if whole and not file.holds_text_only else written
    return limits


@dataclass
class _Drawn:
    rng: random.Random
    file: File
    name: str
    wanted: str
    quantity: Quantity
    unit: str
    sent: list[Decimal]
    truth: list
    source: dict
    beside: dict
    by_row: bool


@dataclass
class _Styled:
    style: str
    text: bool
    cells: list
    truth: list
    comparators: list | None
    mark: str = "."
    thousands: str | None = None


def _number_cells(drawn: _Drawn) -> _Styled:
    """The cells of a column of numbers, in one way of writing them."""
    rng, file, sent = drawn.rng, drawn.file, drawn.sent
    percent = drawn.unit == "%" and not drawn.by_row
    mark = drawn.source["decimal"]
    truth = list(drawn.truth)
    comparators = [None] * len(sent) if drawn.quantity.censored else None
    styles = ["text"] if file.holds_text_only else ["number"] * 2 + ["text"]
    if file.kind in WORKBOOKS:
        styles += ["formula results", "mixed"] + (["percent cells"] * 3 if percent else [])
    if file.kind in ("json_lines", "parquet"):
        styles.append("decimals")
    style = rng.choice(styles)
    if style == "number":
        whole = all(s == int(s) for s in sent)
        return _Styled(style, False, [int(s) if whole else float(s) for s in sent], truth, comparators, mark)
    if style == "decimals":
        return _Styled(style, False, list(sent), truth, comparators, mark)
    if style == "formula results":
        return _Styled(style, False, [Formula(float(s)) for s in sent], truth, comparators, mark)
    if style == "percent cells":
        cells = [Shown(float(s / 100), "0.0%", f"{s:.1f}%") for s in sent]
        return _Styled(style, False, cells, truth, comparators, mark)
    options = ["plain"] * 3 + ["thousands", "exponent", "padded"]
    if percent:
        options += ["percent sign"] * 2
    if comparators:
        options += ["comparators"] * 3 + ["comparator column"] + ([] if drawn.by_row else ["code for below"])
    if file.narrow:
        options += ["full-width"] * 3
    chosen = rng.choice(options)
    thousands = None
    if chosen == "thousands":
        thousands = rng.choice([s for s in (".", ",", " ") if s != mark])
        drawn.source["thousands"] = thousands
    cells: list = [_number_text(s, mark, thousands, chosen == "exponent") for s in sent]
    if chosen == "exponent":
        # four digits after the mark are all of these numbers that the text states
        for i, s in enumerate(sent):
            stated = Fraction(Decimal(f"{s:.4E}"))
            truth[i] = truth[i] * float(stated / Fraction(s)) if s else truth[i]
    if chosen == "percent sign":
        cells = [cell + rng.choice(("%", " %")) for cell in cells]
    if chosen == "comparators":
        signs = {"<": "<", "<=": "<=", "≤": "<=", ">": ">", ">=": ">=", "≥": ">="}
        for i in range(0, len(cells), 3):
            sign = rng.choice(list(signs))
            cells[i], comparators[i] = sign + rng.choice(("", " ")) + cells[i], signs[sign]
    if chosen == "comparator column":
        column = f"{drawn.name}O"
        drawn.source["comparator"] = {"column": column, "codes": {"<": "<", "=": "", ">": ">"}}
        comparators[:] = [rng.choice((None, None, "<", ">")) for _ in cells]
        drawn.beside[column] = [sign or "=" for sign in comparators]
    if chosen == "code for below":
        drawn.source["stands_for"] = {"0": f"<{_FIVE_PERCENT[drawn.unit]}".replace(".", mark)}
        for i in range(0, len(cells), 4):
            cells[i], comparators[i], truth[i] = rng.choice(("0", f"0{mark}0")), "<", 5.0
    if chosen == "padded":
        cells = [_padded(rng, cell, file) for cell in cells]
    if chosen == "full-width":
        cells = [_wide(cell) for cell in cells]
    if style == "mixed" and chosen in ("plain", "thousands", "padded"):
        cells = [float(sent[i]) if i % 2 else cell for i, cell in enumerate(cells)]
    return _Styled(f"{style} {chosen}, decimal {mark}", True, cells, truth, comparators, mark, thousands)


def _put(column: Column, rows: list[int], cells: list, truth: list) -> Column:
    """The column with other cells in some rows."""
    new, known = list(column.cells), list(column.truth)
    signs = list(column.comparators) if column.comparators else None
    beside = {name: list(values) for name, values in column.beside.items()}
    for row, cell, value in zip(rows, cells, truth, strict=True):
        new[row], known[row] = cell, value
        if signs:
            signs[row] = None
            if f"{column.name}O" in beside:
                beside[f"{column.name}O"][row] = "="
    return replace(column, cells=new, truth=known, comparators=signs, beside=beside)


def _some(rng: random.Random, rows: int, at_most: int = 3) -> list[int]:
    return rng.sample(range(rows), rng.randint(1, at_most))


def _is_text(column: Column) -> bool:
    return all(isinstance(cell, str) for cell in column.cells if cell is not None)


def _missing_cell(rng: random.Random, file: File, column: Column) -> tuple[Cell, str, tuple]:
    """A missing code as this column can hold it: the cell, its word in the spec, SPSS's declaration of it."""
    if _is_text(column) or (file.kind in WORKBOOKS and _sometimes(rng, 0.5)):
        word = rng.choice(_MISSING_WORDS)
        return word, word, ()
    code = rng.choice(_MISSING_NUMBERS)
    is_number = all(isinstance(cell, int | float) for cell in column.cells if cell is not None)
    if file.kind == "spss" and is_number and _sometimes(rng, 0.7):
        return code, str(code), (code,)
    if file.kind == "stata" and is_number and _sometimes(rng, 0.7):
        letter = rng.choice("abz")
        return Tagged(letter), f".{letter}", ()
    if file.kind == "sas_transport" and is_number and _sometimes(rng, 0.7):
        return Tagged("A"), ".A", ()
    return code, str(code), ()


def _with_missing(rng: random.Random, file: File, column: Column, declared: bool) -> Column:
    """Some blank cells, and sometimes some with a missing code."""
    rows = _some(rng, len(column.cells))
    column = _put(column, rows, [None] * len(rows), [None] * len(rows))
    is_date = any(isinstance(cell, date) for cell in column.cells)
    if declared and (_sometimes(rng, 0.6) or (is_date and file.kind in ONE_KIND_A_COLUMN)):
        return column
    cell, word, user_missing = _missing_cell(rng, file, column)
    if isinstance(cell, int) and (file.kind == "parquet" or any(isinstance(c, Decimal) for c in column.cells)):
        cell = type(next(c for c in column.cells if c is not None))(cell)
    rows = _some(rng, len(column.cells))
    column = _put(column, rows, [cell] * len(rows), [None if declared else UNREADABLE] * len(rows))
    said = "declared" if declared else "not declared"
    column = replace(column, user_missing=user_missing, what=f"{column.what}, missing code {said}")
    if declared:
        column.source["missing"] = [word]
    return column


def _number_fault(drawn: _Drawn, styled: _Styled, column: Column) -> Column:
    """A few cells that nobody can read."""
    rng, kind = drawn.rng, drawn.file.kind
    rows = _some(rng, len(column.cells), 2)
    usual = styled.mark
    typing = ("12x", "1O5", f"12{usual}{usual}5", f"12{usual}", "20 G", "12-15", "1e", "ca. 50", "12/5", "..", "05.Mai")
    faults: dict[str, Callable[[], Cell]] = {}
    if kind not in ONE_KIND_A_COLUMN or _is_text(column):
        faults["typing error"] = lambda: rng.choice(typing)
    if kind in WORKBOOKS:
        faults |= {
            "stored error": lambda: StoredError(rng.choice(("#DIV/0!", "#N/A", "#VALUE!"))),
            "formula without value": Formula,
            "time of day": lambda: time(rng.randint(1, 23), 30),
            "duration": lambda: timedelta(hours=rng.randint(25, 40), minutes=30),
            "date cell": lambda: date(2021, rng.randint(1, 12), rng.randint(1, 28)),
            "truth value": lambda: True,
        }
    if kind == "json_lines":
        faults["truth value"] = lambda: True
    top = Fraction(repr(float(drawn.quantity.plausible[1]))) * 3 / min(f for f, _ in drawn.quantity.units.values())
    if drawn.wanted == "ldh_x_uln":
        top = Fraction(90000)
    beyond: Cell = float(top)
    if _is_text(column):
        beyond = str(int(top))
    elif any(isinstance(cell, Decimal) for cell in column.cells):
        beyond = Decimal(int(top))
    elif any(isinstance(cell, Shown) for cell in column.cells):
        beyond = Shown(float(top) / 100, "0.0%", f"{float(top)}%")
    elif any(isinstance(cell, int) for cell in column.cells):
        beyond = int(top)
    faults["far out of range"] = lambda: beyond
    fault = rng.choice(list(faults))
    cells = [faults[fault]() for _ in rows]
    column = _put(column, rows, cells, [UNREADABLE] * len(rows))
    return replace(column, mode="fault", what=fault, style=column.what)


def _thousands_show(column: Column, styled: _Styled, plausible: tuple[float, float]) -> bool:
    """Whether a cell shows that the two marks are exchanged: it is no number then, or an implausible one."""
    own, other = re.escape(styled.mark), re.escape(styled.thousands)
    for cell, truth in zip(column.cells, column.truth, strict=True):
        if not isinstance(cell, str) or not isinstance(truth, float):
            continue
        text = cell.strip()
        if not re.fullmatch(rf"[0-9]{{1,3}}({own}[0-9]{{3}})*({other}[0-9]+)?|[0-9]+", text):
            return True
        exchanged = truth / 1000 ** text.count(styled.thousands) * 1000 ** text.count(styled.mark)
        if not plausible[0] <= exchanged <= plausible[1]:
            return True
    return False


def _number_wrong(drawn: _Drawn, styled: _Styled, column: Column) -> Column:
    """The same column with a spec that is slightly wrong."""
    rng, quantity, source = drawn.rng, drawn.quantity, dict(drawn.source)
    low, high = quantity.plausible
    mistakes = ["missing code"]
    own = quantity.units[drawn.unit][0]
    others = [unit for unit, (factor, _) in quantity.units.items() if factor != own]
    if others and not drawn.by_row and drawn.wanted != "ldh_x_uln":
        mistakes += ["unit"] * 3
    marked = [cell for cell in column.cells if isinstance(cell, str) and styled.mark in cell]
    if marked and len(marked) > 2 and styled.thousands is None:
        mistakes += ["decimal mark"] * 2
    if styled.thousands in (".", ","):
        mistakes += ["thousands"] * 2
    if styled.style == "percent cells":
        mistakes += ["percent cells mixed with plain numbers"] * 3
    mistake = rng.choice(mistakes)
    if mistake == "missing code":
        return replace(_with_missing(rng, drawn.file, column, declared=False), mode="wrong", what="other missing code")
    seen = True
    if mistake == "unit":
        source["unit"] = rng.choice(others)
        ratio = float(quantity.units[source["unit"]][0] / own)
        percent = (
            "%" in "".join(cell for cell in column.cells if isinstance(cell, str)) or styled.style == "percent cells"
        )
        read = [value * ratio for value in column.truth if value is not None]
        seen = any(not low <= value <= high for value in read) or (percent and ratio != 1)
    elif mistake == "decimal mark":
        source["decimal"] = "," if styled.mark == "." else "."
    elif mistake == "thousands":
        source["decimal"] = styled.thousands
        source["thousands"] = styled.mark
        seen = _thousands_show(column, styled, quantity.plausible)
    else:
        rows = _some(rng, len(column.cells), 6)
        cells = [float(drawn.sent[row] / 100) for row in rows]
        column = _put(column, rows, cells, [column.truth[row] for row in rows])
    what = f"other {mistake}" if mistake in ("unit", "decimal mark", "thousands") else mistake
    return replace(column, source=source, mode="wrong", what=what, seen=seen)


# -------------------------------------------------------------------- dates

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "hu": "január február március április május június július augusztus szeptember október november december",
}
_SHORT = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "de": "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "es": "ene feb mar abr may jun jul ago sep oct nov dic",
    "it": "gen feb mar apr mag giu lug ago set ott nov dic",
    "nl": "jan feb mrt apr mei jun jul aug sep okt nov dec",
}
_PATTERNS = [
    (order, f"{a}{s}{b}{s}{c}")
    for order, (a, b, c) in {
        "DMY": ("%d", "%m", "%Y"),
        "MDY": ("%m", "%d", "%Y"),
        "YMD": ("%Y", "%m", "%d"),
        "YDM": ("%Y", "%d", "%m"),
    }.items()
    for s in ("/", ".", "-", " ", "")
    if order != "YDM" or s
] + [
    ("DMY", "%-d/%-m/%Y"),
    ("DMY", "%-d.%-m.%Y"),
    ("MDY", "%-m/%-d/%Y"),
    ("YMD", "%Y.%m.%d."),
    ("YMD", "%Y年%-m月%-d日"),
    ("YMD", "%Y/%-m/%-d"),
]
_SWAPPED = str.maketrans({"d": "m", "m": "d"})
#: Zones far from and near to Greenwich, with and without summer time.
ZONES = ("Europe/Vienna", "Europe/Madrid", "America/Sao_Paulo", "Asia/Tokyo", "America/New_York", "Europe/London")


def _rendered(day: date, pattern: str, language: str | None = None) -> str:
    """A date in a pattern; the months in words of a language."""
    parts = {
        "%-d": str(day.day),
        "%-m": str(day.month),
        "%d": f"{day.day:02}",
        "%m": f"{day.month:02}",
        "%Y": str(day.year),
        "%y": f"{day.year % 100:02}",
    }
    if language:
        parts["%B"] = _MONTHS[language].split()[day.month - 1]
        parts["%b"] = _SHORT.get(language, _MONTHS[language]).split()[day.month - 1]
    for token, text in parts.items():
        pattern = pattern.replace(token, text)
    return pattern


#: Field -> its table, first and last day after the first exchange, other fields of its record.
DATES = {
    "result_date": ("lab_result", 0, 400, {"platelets_10e9_per_l": {"column": "COUNT", "unit": "10^9/L"}}),
    "session_date": ("tpe_session", 0, 60, {}),
    "start_date": ("drug_course", 0, 60, {"drug": {"constant": "rituximab"}}),
    "end_date": ("drug_course", 5, 90, {"drug": {"constant": "corticosteroid"}}),
    "event_date": ("adverse_event", 0, 90, {"kind": {"constant": "other"}}),
    "discharge_date": ("patient", 8, 60, {}),
    "last_contact_date": ("patient", 60, 500, {}),
    "reported_response_date": ("patient", 2, 20, {}),
}
LIST_DATES = tuple(name for name, (table, *_) in DATES.items() if table != "patient")
PATIENT_DATES = tuple(name for name, (table, *_) in DATES.items() if table == "patient")
#: Dates that judge others: alone in their centre. A birth date is kept in no table; the age tells it.
REFERENCE_DATES = ("birth_date", "first_tpe_date", "death_date")
_OF_PATIENT = ("patient", 3, 90, {})
_OPTIONAL = {"start_date", "end_date", "event_date", "discharge_date", "last_contact_date", "reported_response_date"}


def _days(rng: random.Random, patients: list[Patient], wanted: str) -> list[date]:
    if wanted == "birth_date":
        return [patient.born for patient in patients]
    if wanted == "first_tpe_date":
        return [patient.first_tpe for patient in patients]
    _, first, last, _ = DATES.get(wanted, _OF_PATIENT)
    return [patient.first_tpe + timedelta(rng.randint(first, last)) for patient in patients]


def _date_styles(file: File, workable_zone: bool, of_patient: bool) -> list[str]:
    styles = ["pattern"] * 4 + ["iso", "iso8601", "month in words", "month in words", "two-digit year"]
    styles += [] if of_patient else ["study day"]
    if file.kind in WORKBOOKS:
        styles += ["date cells"] * 2 + ["timestamp cells"] * 2 + ["date cells and texts", "day numbers"]
    elif file.kind == "csv":
        styles += ["day numbers as text"]
    else:
        styles += ["day numbers"]
    if file.kind in (*STATISTICAL, "parquet"):
        styles += ["date cells"] * 2 + ["timestamp cells"] * 2
    if workable_zone:
        styles += ["instants in UTC"] * 2 + ["instants with offset"]
        if file.kind == "parquet":
            styles += ["timestamps with a zone"] * 3
    return styles


@dataclass
class _Dates:
    """Days, the cells that state them, and the spec's words."""

    style: str
    cells: list
    source: dict
    days: list[date]
    pattern: str | None = None


def _date_cells(rng: random.Random, file: File, patients: list[Patient], days: list[date], style: str) -> _Dates:
    """The cells of a column of dates, in one way of writing them."""

    def source(date_format, **more) -> dict:
        return {"date_format": date_format, **more}

    times = [time(rng.randint(0, 23), rng.randint(0, 59)) for _ in days]
    stamps = [datetime.combine(day, moment) for day, moment in zip(days, times, strict=True)]
    if style == "pattern":
        _, pattern = rng.choice(_PATTERNS)
        texts = [_rendered(day, pattern) for day in days]
        return _Dates(f"pattern {pattern}", texts, source(pattern), days, pattern)
    if style == "iso":
        return _Dates(style, [day.isoformat() for day in days], source(rng.choice(("iso", "iso8601"))), days)
    if style == "iso8601":
        shapes = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
        shape = rng.choice(shapes)
        return _Dates(f"{style} {shape}", [stamp.strftime(shape) for stamp in stamps], source("iso8601"), days)
    if style == "month in words":
        language = rng.choice(list(_MONTHS))
        token = rng.choice(("%B", "%b")) if language in _SHORT else "%B"
        pattern = rng.choice((f"%-d {token} %Y", f"%d-{token}-%Y", f"{token} %-d, %Y", f"%-d. {token} %Y"))
        change = rng.choice((str, str.upper, str.lower))
        texts = [change(_rendered(day, pattern, language)) for day in days]
        return _Dates(f"{style}, {language} {token}", texts, source(pattern, date_language=language), days)
    if style == "two-digit year":
        pattern = rng.choice(("%d.%m.%y", "%m/%d/%y", "%-d/%-m/%y", "%y-%m-%d"))
        texts = [_rendered(day, pattern) for day in days]
        first = rng.choice((1930, 1950))
        return _Dates(style, texts, source(pattern, two_digit_years_from=str(first)), days, pattern)
    if style == "study day":
        sdtm = _sometimes(rng, 0.5)
        counts = [(day - p.first_tpe).days for day, p in zip(days, patients, strict=True)]
        counts = [count + 1 if sdtm and count >= 0 else count for count in counts]
        cells = [str(count) for count in counts] if file.holds_text_only else counts
        return _Dates(f"{style}{', sdtm' if sdtm else ''}", cells, {"study_day": "sdtm" if sdtm else "true"}, days)
    if style == "date cells":
        return _Dates(style, list(days), source("date_cell"), days)
    if style == "timestamp cells":
        return _Dates(style, stamps, source("date_cell"), days)
    if style == "date cells and texts":
        pattern = rng.choice(("%d/%m/%Y", "%d.%m.%Y", "%m/%d/%Y"))
        real = [i % 2 == 0 for i in range(len(days))]
        cells = [day if is_real else _rendered(day, pattern) for day, is_real in zip(days, real, strict=True)]
        return _Dates(style, cells, source(["date_cell", pattern]), days, pattern)
    if style in ("day numbers", "day numbers as text"):
        first = date(1904, 1, 1) if file.epoch_1904 else date(1899, 12, 30)
        numbers = [(day - first).days for day in days]
        cells = [str(n) for n in numbers] if style.endswith("text") else numbers
        epoch = "1904" if file.epoch_1904 else "1900"
        return _Dates(f"{style}, {epoch}", cells, source("excel_day_number"), days)
    zone = ZoneInfo(file.zone)
    midnights = _sometimes(rng, 0.5)
    local = [datetime.combine(day, time(0) if midnights else t, zone) for day, t in zip(days, times, strict=True)]
    at = "midnight" if midnights else "times of day"
    if style == "timestamps with a zone":
        return _Dates(f"{style}, {at}", [stamp.astimezone(UTC) for stamp in local], source("iso8601"), days)
    if style == "instants in UTC":
        texts = [stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in local]
        return _Dates(f"{style}, {at}", texts, source("iso8601"), days)
    elsewhere = ZoneInfo(rng.choice(ZONES))
    texts = [stamp.astimezone(elsewhere).isoformat(timespec="seconds") for stamp in local]
    return _Dates(f"{style}, {at}", texts, source("iso8601"), days)


def dates(rng: random.Random, file: File, patients: list[Patient], name: str, wanted: str, mode: str) -> Column:
    """A column of dates."""
    days = _days(rng, patients, wanted)
    table, _, _, others = DATES.get(wanted, _OF_PATIENT)
    if mode == "wrong":
        return _as_age(_date_wrong(rng, file, patients, name, wanted, days), patients)
    style = rng.choice(_date_styles(file, file.zone is not None, of_patient=table == "patient"))
    written = _date_cells(rng, file, patients, days, style)
    texts = all(isinstance(cell, str) for cell in written.cells)
    what = written.style
    if texts and file.narrow and _sometimes(rng, 0.4):
        written.cells, what = [_wide(cell) for cell in written.cells], f"{what}, full-width"
    elif texts and _sometimes(rng, 0.15):
        written.cells, what = [_padded(rng, cell, file) for cell in written.cells], f"{what}, padded"
    elif texts and style == "month in words" and _sometimes(rng, 0.2):
        written.cells = [unicodedata.normalize("NFD", cell) for cell in written.cells]
        what = f"{what}, NFD"
    column = Column(
        "date",
        table,
        wanted,
        wanted,
        name,
        written.cells,
        written.days,
        {"column": name, **written.source},
        what,
        others=others,
    )
    if wanted in _OPTIONAL:
        column = _with_missing(rng, file, column, declared=True)
    return _as_age(column if mode == "right" else _date_fault(rng, file, column, written), patients)


def _as_age(column: Column, patients: list[Patient]) -> Column:
    """Compare a birth date by the completed years at the first exchange: birth dates are kept in no table."""
    if column.field != "birth_date":
        return column

    def age(born: date, at: date) -> int:
        return at.year - born.year - ((at.month, at.day) < (born.month, born.day))

    truth = [
        age(born, patient.first_tpe) if isinstance(born, date) else born
        for born, patient in zip(column.truth, patients, strict=True)
    ]
    return replace(column, truth=truth, compared="age_years_at_first_tpe")


def _date_fault(rng: random.Random, file: File, column: Column, written: _Dates) -> Column:
    """A few cells that are no dates, or dates that cannot be."""
    faults: dict[str, Callable[[int], Cell]] = {}
    if _is_text(column) or file.kind in WORKBOOKS or file.kind == "json_lines":
        typing = (
            "2O20-01-05",
            "2020-02-31",
            "31/02/2020",
            "00.05.2020",
            "13/13/2020",
            "2020-1",
            "03/2020",
            "early May",
            "20200105x",
            "5.5",
            "2020-01-05-06",
            "T25:61:00",
        )
        faults["typing error"] = lambda _: rng.choice(typing)
    if written.pattern and "%Y" in written.pattern and _is_text(column):
        faults["year typed wrongly"] = lambda row: _rendered(
            written.days[row].replace(year=rng.choice((1900, 2052, 2202)), day=min(written.days[row].day, 28)),
            written.pattern,
        )
    if file.kind in WORKBOOKS:
        faults |= {
            "stored error": lambda _: StoredError(rng.choice(("#REF!", "#N/A", "#VALUE!"))),
            "formula without value": lambda _: Formula(),
            "time of day": lambda _: time(8, 30),
            "truth value": lambda _: False,
        }
    if all(isinstance(cell, date) for cell in column.cells if cell is not None):
        whole = datetime if any(isinstance(cell, datetime) for cell in column.cells) else date
        more = {"tzinfo": UTC} if "zone" in written.style else {}
        faults["far in the future"] = lambda _: whole(2052, 1, 5, **more)
    if not faults:
        return column
    fault = rng.choice(list(faults))
    rows = _some(rng, len(column.cells), 2)
    column = _put(column, rows, [faults[fault](row) for row in rows], [UNREADABLE] * len(rows))
    return replace(column, mode="fault", what=fault, style=column.what)


def _spread_days(rng: random.Random, days: list[date], early: bool) -> list[date]:
    """The days with only days of the month up to 12 (``early``), or with some beyond."""
    if early:
        return [day.replace(day=(day.day - 1) % 12 + 1) for day in days]
    beyond = rng.sample(range(len(days)), 3)
    return [day.replace(day=rng.randint(13, 28)) if i in beyond else day for i, day in enumerate(days)]


def _date_wrong(
    rng: random.Random, file: File, patients: list[Patient], name: str, wanted: str, days: list[date]
) -> Column:
    """A column of dates with a spec that is slightly wrong."""
    table, _, _, others = DATES.get(wanted, _OF_PATIENT)

    def column(what: str, written: _Dates, source: dict | None = None, seen: bool = True, truth=None) -> Column:
        entry = {"column": name, **written.source, **(source or {})}
        return Column(
            "date",
            table,
            wanted,
            wanted,
            name,
            written.cells,
            truth or written.days,
            entry,
            what,
            "wrong",
            seen,
            others=others,
        )

    mistakes = ["order of day and month"] * 3 + ["missing code", "pattern", "century"]
    if file.kind in ("csv", "json_lines", "parquet", *STATISTICAL):
        mistakes += ["epoch"]
    mistakes += ["no zone declared"] if file.zone is None else ["zone"]
    if file.kind in WORKBOOKS:
        mistakes += ["dates converted by a spreadsheet"] * 2
    mistake = rng.choice(mistakes)
    if mistake == "order of day and month":
        seen = not _sometimes(rng, 0.1)
        changed = _spread_days(rng, days, early=not seen)
        swappable = [p for o, p in _PATTERNS if o in ("DMY", "MDY", "YMD") and not p.endswith(("日", "."))]
        pattern = rng.choice(swappable)
        written = _Dates(pattern, [_rendered(day, pattern) for day in changed], {}, changed, pattern)
        return column("other order of day and month", written, {"date_format": pattern.translate(_SWAPPED)}, seen)
    if mistake == "missing code":
        style = rng.choice(("pattern", "iso"))
        written = _date_cells(rng, file, patients, days, style)
        pattern = written.pattern or "%Y-%m-%d"
        code = rng.choice(
            ("unknown", "9999", _rendered(date(1900, 1, 1), pattern), _rendered(date(9999, 12, 31), pattern))
        )
        built = column("other missing code", written)
        rows = _some(rng, len(days))
        return _put(built, rows, [code] * len(rows), [UNREADABLE] * len(rows))
    if mistake == "pattern":
        written = _date_cells(rng, file, patients, days, "iso")
        return column("other pattern", written, {"date_format": rng.choice(("%d.%m.%Y", "%d/%m/%Y", "%Y.%m.%d"))})
    if mistake == "century":
        pattern = rng.choice(("%d.%m.%y", "%m/%d/%y"))
        written = _Dates(pattern, [_rendered(day, pattern) for day in days], {"date_format": pattern}, days, pattern)
        return column("other century", written, {"two_digit_years_from": rng.choice(("1900", "1910"))})
    if mistake == "epoch":
        begins = rng.choice((date(1904, 1, 1), date(1960, 1, 1)))
        numbers = [(day - begins).days for day in days]
        cells = [str(n) for n in numbers] if file.holds_text_only else numbers
        seen = wanted not in REFERENCE_DATES[:2]
        written = _Dates("", cells, {"date_format": "excel_day_number"}, days)
        return column(f"other epoch ({begins.year})", written, seen=seen)
    if mistake == "no zone declared":
        zone = ZoneInfo(rng.choice(("Europe/Vienna", "Asia/Tokyo")))
        stamps = [datetime.combine(day, time(0), zone).astimezone(UTC) for day in days]
        cells = stamps if file.kind == "parquet" else [stamp.strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in stamps]
        return column("no zone declared", _Dates("", cells, {"date_format": "iso8601"}, days))
    if mistake == "zone":
        far = [zone for zone in ZONES if zone != file.zone]
        zone, midnights = ZoneInfo(rng.choice(far)), _sometimes(rng, 0.7)
        moments = [time(0) if midnights else time(rng.randint(0, 23), 30) for _ in days]
        stamps = [datetime.combine(d, t, zone).astimezone(UTC) for d, t in zip(days, moments, strict=True)]
        cells = [stamp.strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in stamps]
        what = f"other zone, {'midnights' if midnights else 'times of day'}"
        return column(what, _Dates("", cells, {"date_format": "iso8601"}, days), seen=False)
    changed = _spread_days(rng, days, early=False)
    converted = [
        day.replace(day=day.month, month=day.day) if day.day <= 12 else _rendered(day, "%d/%m/%Y") for day in changed
    ]
    written = _Dates("", converted, {"date_format": ["date_cell", "%d/%m/%Y"]}, changed)
    return column("dates converted by a spreadsheet of another country", written)


# -------------------------------------------------------------------- codes

_ANSWERS = {
    "de": {"ja": "yes", "nein": "no", "weiß nicht": "unknown"},
    "fr": {"oui": "yes", "non": "no", "indéterminé": "unknown"},
    "es": {"sí": "yes", "no": "no", "desconocido": "unknown"},
    "pt": {"sim": "yes", "não": "no", "ignorado": "unknown"},
    "ja": {"はい": "yes", "いいえ": "no", "不明": "unknown"},
    "hu": {"igen": "yes", "nem": "no", "nem ismert": "unknown"},
    "numbers": {"1": "yes", "0": "no", "9": "unknown"},
    "study": {"yes": "yes", "no": "no", "unknown": "unknown"},
}
_WORDS = {
    "sex": {
        "de": {"weiblich": "female", "männlich": "male"},
        "fr": {"féminin": "female", "masculin": "male"},
        "hu": {"nő": "female", "férfi": "male"},
        "numbers": {"2": "female", "1": "male"},
        "study": {"female": "female", "male": "male"},
    },
    "death_cause": {
        "fr": {"PTT": "iTTP", "hémorragie": "haemorrhage", "cardiaque": "cardiac", "infection": "infection"},
        "numbers": {"1": "iTTP", "2": "haemorrhage", "3": "cardiac", "4": "infection", "5": "other"},
        "study": {"iTTP": "iTTP", "cardiac": "cardiac", "other": "other"},
    },
    "diagnosis": {"de": {"iTTP": "ittp", "cTTP (Upshaw-Schulman)": "congenital_ttp"}, "numbers": {"1": "ittp"}},
    "drug": {
        "de": {"Cablivi®": "caplacizumab", "MabThera": "rituximab", "Prednisolon": "corticosteroid"},
        "numbers": {"1": "caplacizumab", "2": "rituximab", "3": "corticosteroid"},
        "study": {"caplacizumab": "caplacizumab", "rituximab": "rituximab"},
    },
    "kind": {
        "fr": {"saignement majeur": "major_bleeding", "réaction au site": "injection_site_reaction", "autre": "other"},
        "numbers": {"1": "major_bleeding", "2": "minor_bleeding", "3": "other"},
    },
    "site": {
        "es": {"encías": "gingival", "orina": "urinary tract", "erupción": "rash"},
        "ja": {"鼻出血": "epistaxis", "発熱": "fever", "頭痛": "headache"},
        "study": {"epistaxis": "epistaxis", "rash": "rash", "fever": "fever"},
    },
    "answer": {
        "de": {"ja": "yes", "nein": "no", "nicht erhoben": "not_assessed"},
        "numbers": {"1": "yes", "0": "no", "8": "not_assessed"},
    },
}
_ANSWER_FIELDS = (
    "first_episode",
    "neurological_involvement",
    "coma",
    "corticosteroids",
    "reported_refractory",
    "reported_exacerbation",
)
PATIENT_CODES = (*_ANSWER_FIELDS, "death_cause", "diagnosis", "sex")
_DAY = {"column": "DAY", "date_format": "iso"}
_CODE_LISTS = {
    "drug": ("drug_course", {"start_date": _DAY}),
    "kind": ("adverse_event", {"event_date": _DAY}),
    "site": ("adverse_event", {"kind": {"constant": "other"}, "event_date": _DAY}),
    "answer": ("adverse_event_assessment", {"kind": {"constant": "major_bleeding"}}),
}
LIST_CODES = tuple(_CODE_LISTS)


def codes(rng: random.Random, file: File, patients: list[Patient], name: str, wanted: str, mode: str) -> Column:
    """A column of words or numbers that stand for the study's codes."""
    by_language = _ANSWERS if wanted in _ANSWER_FIELDS else _WORDS[wanted]
    language = rng.choice(list(by_language))
    words = dict(by_language[language])
    table, others = _CODE_LISTS.get(wanted, ("patient", {}))
    drawn = [rng.choice(list(words)) for _ in patients]
    for word, row in zip(words, rng.sample(range(len(patients)), len(words)), strict=True):
        drawn[row] = word
    truth: list = [words[word] for word in drawn]
    vocabulary: dict | str = words
    cells: list = list(drawn)
    what = "words"
    if language == "study":
        vocabulary, what = rng.choice(("study", words)), "the study's codes"
    if language == "numbers":
        what = "numbers as text"
        if not file.holds_text_only and _sometimes(rng, 0.7):
            cells, what = [int(word) for word in drawn], "numbers"
    elif file.kind in ("stata", "spss") and _sometimes(rng, 0.4):
        numbered = {word: n for n, word in enumerate(words, 1)}
        cells, what = [Labelled(numbered[word], word) for word in drawn], "value labels"
    elif wanted in _ANSWER_FIELDS and file.kind in ("parquet", "json_lines", *WORKBOOKS) and _sometimes(rng, 0.2):
        cells = [rng.choice((True, False)) for _ in patients]
        vocabulary, what = {"true": "yes", "false": "no"}, "truth values"
        words, truth = vocabulary, ["yes" if cell else "no" for cell in cells]
    if what in ("words", "the study's codes"):
        choice = rng.random()
        if choice < 0.15:
            cells, what = [unicodedata.normalize("NFD", word) for word in cells], f"{what}, NFD in the file"
        elif choice < 0.3 and isinstance(vocabulary, dict):
            vocabulary = {unicodedata.normalize("NFD", word): code for word, code in words.items()}
            what = f"{what}, NFD in the spec"
        elif choice < 0.45:
            cells, what = [_padded(rng, word, file) for word in cells], f"{what}, padded"
        elif file.narrow and choice < 0.7:
            cells, what = [_wide(word) for word in cells], f"{what}, full-width"
    column = Column(
        "code",
        table,
        wanted,
        wanted,
        name,
        cells,
        truth,
        {"column": name, "vocabulary": vocabulary},
        what,
        others=others,
    )
    blank = "unknown" if wanted in _ANSWER_FIELDS else None
    if wanted not in ("drug", "kind"):
        rows = _some(rng, len(cells))
        column = _put(column, rows, [None] * len(rows), [blank] * len(rows))
    if mode == "right":
        return column
    rows = _some(rng, len(cells), 2)
    if mode == "fault":
        strange: dict[str, Cell] = {"undeclared word": "jein"}
        if file.kind in ONE_KIND_A_COLUMN and not _is_text(column):
            strange = {"undeclared number": 7}
            if what == "truth values":
                return column
            if what == "value labels":
                strange = {"number without a label": Labelled(7, "jein")}
        if file.kind in WORKBOOKS:
            strange |= {
                "stored error": StoredError("#N/A"),
                "formula without value": Formula(),
                "time of day": time(8, 30),
                "date cell": date(2021, 3, 5),
            }
        fault = rng.choice(list(strange))
        return replace(
            _put(column, rows, [strange[fault]] * len(rows), [UNREADABLE] * len(rows)), mode="fault", what=fault
        )
    if not isinstance(vocabulary, dict) or len(vocabulary) < 2 or _sometimes(rng, 0.4):
        code = "weiß nicht mehr" if _is_text(column) else 77
        if what in ("value labels", "truth values"):
            return replace(column, mode="right")
        column = _put(column, rows, [code] * len(rows), [UNREADABLE] * len(rows))
        return replace(column, mode="wrong", what="other missing code")
    if _sometimes(rng, 0.1):
        first, second = list(vocabulary)[:2]
        swapped = vocabulary | {first: vocabulary[second], second: vocabulary[first]}
        return replace(
            column, source={**column.source, "vocabulary": swapped}, mode="wrong", what="words swapped", seen=False
        )
    lacking = dict(list(vocabulary.items())[1:])
    return replace(column, source={**column.source, "vocabulary": lacking}, mode="wrong", what="a word not declared")
