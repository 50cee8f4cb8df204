"""Profile the cells of one column; no cell is shown but words that occur often in a small vocabulary.

What does not belong here: what a column means (recognise.py).
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from capla_etl.centres.draft.words import words

#: A column of at most this many different texts, each this often on average, is a vocabulary whose words may be shown.
MOST_WORDS, TIMES_EACH = 20, 3
#: At most so many different words stand in a column of dates.
MOST_WORDS_BESIDE = 3
#: The share of cells of one kind that makes a column that kind; the others are faults or missing codes.
MOSTLY = 0.9
#: The share of dates that may be invalid in every order, as faults of the data.
MOST_FAULTS = 0.005

_NUMBER = re.compile(
    r"[<>≤≥]?=?\s*[+-]?(\d{1,9}([.,]\d+)?(E[+-]?\d{1,2})?|\d{1,3}([.,\s]\d{3})+([.,]\d+)?)\s*%?", re.IGNORECASE
)
_COMPARED = re.compile(r"[<>≤≥]")
#: Three numbers with a sign between, whose order is open; a time of day may follow.
_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(\.?)(?:\s(\d{1,2}):\d{2}(:\d{2})?)?")
_YEAR_MONTH_DAY = re.compile(r"\d{4}年\d{1,2}月\d{1,2}日")
_ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}(:\d{2}){0,2}([.,]\d+)?(Z|[+-]\d{2}(:?\d{2})?)?")
_UNIVERSAL = re.compile(r"\d{4}-\d{2}-\d{2}[T ].*(Z|[+-]00(:?00)?)")
#: The last day that can be read as a month.
_LAST_MONTH = 12
#: Places of day, month and year among the three numbers.
_ORDERS = {"day first": (1, 3, 4), "month first": (3, 1, 4), "year first": (4, 3, 1)}
_DIGITS = re.compile(r"\d+")


@dataclass
class DateOrder:
    """How the dates of a column are written.

    ``formats``: the formats needed, each proven. ``either``: alternative formats that the column cannot tell apart.
    ``why``: the proof in words. ``partial``: a format of months without days. ``mixture``: what shows that a
    spreadsheet may have turned only some texts into dates, and those in another order. ``universal``: how many of its
    timestamps are in universal time.
    """

    formats: list[str]
    why: str
    either: list[str] = field(default_factory=list)
    partial: str | None = None
    language: str | None = None
    mixture: str | None = None
    universal: int = 0

    @property
    def has_two_digit_years(self) -> bool:
        """Whether a year is written with two digits."""
        return any("%y" in written for written in [*self.formats, *self.either])


@dataclass
class Column:
    """One column: its texts with how often each occurs, blanks left out."""

    name: str
    texts: Counter
    rows: int
    wide: bool = False
    missing: list[str] = field(default_factory=list)

    @property
    def filled(self) -> int:
        """Cells that are not blank."""
        return sum(self.texts.values())

    @property
    def values(self) -> Counter:
        """Texts without the missing codes."""
        return Counter({t: n for t, n in self.texts.items() if t not in self.missing})

    @property
    def unique(self) -> bool:
        """Whether every row has a text of its own."""
        return self.filled == self.rows == len(self.texts)

    @property
    def counts_rows(self) -> bool:
        """Whether its texts are 1, 2, 3 ...: any two tables share those."""
        return set(self.texts) == {str(n) for n in range(1, len(self.texts) + 1)}

    @cached_property
    def is_vocabulary(self) -> bool:
        """Few words, each several times."""
        return 0 < len(self.values) <= MOST_WORDS and sum(self.values.values()) >= TIMES_EACH * len(self.values)

    @cached_property
    def is_number(self) -> bool:
        """Nearly all texts are numbers, with or without a comparator."""
        return self._share(lambda t: _NUMBER.fullmatch(t) is not None) >= MOSTLY

    @cached_property
    def has_comparators(self) -> bool:
        """Some of the numbers have "<" or ">" before them."""
        return any(_COMPARED.match(t) for t in self.values)

    @cached_property
    def percentages(self) -> int:
        """Cells that are percentages."""
        return sum(n for t, n in self.values.items() if t.endswith("%"))

    @cached_property
    def is_whole_number(self) -> bool:
        """Nearly all texts are whole numbers of at most four digits."""
        return self._share(lambda t: re.fullmatch(r"-?\d{1,4}", t) is not None) >= MOSTLY

    @cached_property
    def dates(self) -> DateOrder | None:
        """How its dates are written; None for a column that holds none."""
        return _date_order(self.values)

    def decimal(self) -> tuple[str | None, str]:
        """The proven decimal mark, and its proof: a mark before other than three digits cannot separate thousands."""
        marks = {mark: [t for t in self.values if re.search(rf"\d\{mark}\d", t)] for mark in ".,"}
        in_threes = {mark: re.compile(rf"\d\{mark}\d{{3}}(?!\d)") for mark in marks}
        proven = {mark for mark, texts in marks.items() if any(not in_threes[mark].search(t) for t in texts)}
        if len(proven) == 1:
            return proven.pop(), "digits after it are not in threes"
        if not any(marks.values()):
            return None, "no number has one"
        return None, "numbers can be read with either mark" if not proven else "numbers are written with both marks"

    def numbers(self, decimal: str) -> list[float]:
        """Its numbers, read with a decimal mark."""
        other = "," if decimal == "." else "."
        found = []
        for text, count in self.values.items():
            if _NUMBER.fullmatch(text):
                plain = re.sub(r"[<>≤≥=%\s]", "", text).replace(other, "").replace(decimal, ".")
                found += [float(plain)] * count
        return found

    def _share(self, is_such) -> float:
        total = sum(self.values.values())
        return sum(n for t, n in self.values.items() if is_such(t)) / total if total else 0.0


def column_of(name: str, cells: list[str], wide: bool = False) -> Column:
    """Profile a column's cells; missing codes are the known ones that cannot be values next to the others."""
    texts = Counter(text for cell in cells if (text := cell.strip(" \t\r\n\u00a0\u3000")))
    column = Column(name, texts, len(cells), wide)
    codes = [t for t in texts if words().is_missing(t)]
    numeric = [t for t in codes if re.fullmatch(r"-?\d+(\.\d+)?", t)]
    others = [t for t in texts if t not in codes]
    rest = Column(name, Counter({t: texts[t] for t in others}), len(cells))
    plain = [t for t in others if not any(c.isdigit() for c in t)]
    numbered = Column(name, Counter({t: texts[t] for t in others if t not in plain}), len(cells))
    if others and rest.dates:
        column.missing = codes
    elif 0 < len(plain) <= MOST_WORDS_BESIDE and numbered.dates:
        column.missing = [*codes, *plain]  # "alive" among dates of death
    elif others and rest.is_number:
        # -9 among numbers from 3 to 600 is no number; 99 among them may be one
        far = [t for t in numeric if t.startswith("-") or t.startswith("9999")]
        column.missing = [*far, *(t for t in codes if t not in numeric)]
    elif not (column.is_vocabulary and len(others) <= MOST_WORDS and _are_answers(others)):
        column.missing = [t for t in codes if t not in numeric]
    return column


def _are_answers(texts: list[str]) -> bool:
    """Whether the other words are answers, so that "unknown" is an answer too and no missing cell."""
    return bool(texts) and all(words().code("answer", t) or words().code("assessment", t) for t in texts)


def _date_order(values: Counter) -> DateOrder | None:
    texts = list(values)
    if not texts:
        return None
    if _all_are(texts, _YEAR_MONTH_DAY):
        return DateOrder(["%Y年%-m月%-d日"], "year, month and day are named")
    if any(_ISO_TIME.fullmatch(t) for t in texts) and _all_are(texts, re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")):
        universal = sum(n for t, n in values.items() if _UNIVERSAL.fullmatch(t))
        return DateOrder(["iso8601"], "ISO 8601 with a time of day", universal=universal)
    if worded := _in_words(texts):
        return worded
    matches = [m for t in texts if (m := _DATE.fullmatch(t))]
    serials = [t for t in texts if re.fullmatch(r"[34]\d{4}", t)]
    months = [t for t in texts if re.fullmatch(r"\d{2}[./-]\d{4}|\d{4}[./-]\d{2}", t)]
    counted = sum(n for t, n in values.items() if t not in serials and t not in months)
    if not matches or sum(values[m[0]] for m in matches) < MOSTLY * counted:
        return None
    if sum(any(_is_day(m[d], m[mo], m[y]) for d, mo, y in _ORDERS.values()) for m in matches) < MOSTLY * len(matches):
        return None
    shapes: dict[tuple, list[re.Match]] = {}
    for match in matches:
        time = (match[6] is not None, match[7] is not None)
        shapes.setdefault((match[2], len(match[1]) == 4, len(match[4]) == 4, match[5], time), []).append(match)
    found = [_by_numbers(group) for group in sorted(shapes.values(), key=len, reverse=True)]
    others = [t for t in texts if not _DATE.fullmatch(t) and t not in serials]
    formats = [f for order in found for f in order.formats] + (["excel_day_number"] if serials else [])
    either = next((order.either for order in found if order.either), [])
    why = "; ".join(dict.fromkeys(order.why for order in found))
    if undecided := next((order for order in found if not order.formats and not order.either), None):
        formats, either, why = [], [], undecided.why
    return DateOrder(formats, why, either, _partial(others, matches[0][2]), mixture=_mixture(matches))


def _mixture(matches: list[re.Match]) -> str | None:
    """What shows that a spreadsheet turned some texts into dates: all of those have a day that can be a month."""
    dates = [int(m[4]) for m in matches if len(m[1]) == 4]
    texts = [(int(m[1]), int(m[3])) for m in matches if len(m[1]) < 3]
    if not dates or not texts or max(dates) > _LAST_MONTH:
        return None
    if all(max(text) > _LAST_MONTH for text in texts):
        return (
            f"all {len(dates)} dates written year first have a day of at most 12, all {len(texts)} others a day above "
            "12: a spreadsheet may have turned the first into dates with day and month exchanged"
        )
    return None


def _all_are(texts: list[str], shape: re.Pattern) -> bool:
    return sum(shape.fullmatch(t) is not None for t in texts) >= MOSTLY * len(texts)


def _in_words(texts: list[str]) -> DateOrder | None:
    """Dates with the name of a month: the language whose names fit most, and the format of the commonest shape."""
    from capla_etl.fields import months

    def numbers_as_tokens(text: str) -> str:
        return _DIGITS.sub(lambda d: "%Y" if len(d[0]) == 4 else "%-d", text)

    if not any(re.search(r"\d", t) and re.search(r"[^\W\d_]{3}", t) for t in texts[:50]):
        return None
    best: tuple[int, str, str] | None = None
    for language, forms in months().items():
        for form, token in (("full", "%B"), ("short", "%b")):
            names = "|".join(sorted(forms[form], key=len, reverse=True))
            fits = Counter()
            for text in texts:
                if hit := re.fullmatch(rf"(.*?)({names})(\.?)(.*)", text.lower()):
                    point = hit[3] if token == "%B" else ""
                    fits[numbers_as_tokens(hit[1]) + token + point + numbers_as_tokens(hit[4])] += 1
            if fits:
                shape, count = fits.most_common(1)[0]
                whole = count >= MOSTLY * len(texts) and shape.count("%-d") == 1 and "%Y" in shape
                if whole and (best is None or count > best[0]):
                    best = (count, shape, language)
    return DateOrder([best[1]], f"the month is in words ({best[2]})", language=best[2]) if best else None


def _by_numbers(matches: list[re.Match]) -> DateOrder:
    """Find the orders of day, month and year in which every date is valid."""
    sign, point = matches[0][2], matches[0][5]
    padded = all(len(part) != 1 for m in matches for part in (m[1], m[3], m[4]))
    day, month = ("%d", "%m") if padded else ("%-d", "%-m")
    hour = "%H" if all(len(m[6] or "00") == 2 for m in matches) else "%-H"
    time = f" {hour}:%M" * (matches[0][6] is not None) + ":%S" * (matches[0][7] is not None)
    fits, faults = {}, 0
    for name, (d, m, y) in _ORDERS.items():
        tokens = [token for _, token in sorted(((d, day), (m, month), (y, "{y}")))]
        wrong = sum(not _is_day(match[d], match[m], match[y]) for match in matches)
        if wrong <= MOST_FAULTS * len(matches):
            faults = wrong
            fits[name] = sign.join(tokens).format(y="%Y" if len(matches[0][y]) == 4 else "%y") + point + time
    if not fits:
        return DateOrder([], "the dates are written in more than one order")
    if len(fits) > 1:
        return DateOrder([], f"{' or '.join(fits)}: every date can be read each way", list(fits.values()))
    (name,) = fits
    invalid = f" ({faults} of them are invalid in any order)" if faults else ""
    return DateOrder([fits[name]], f"{name}: the dates are valid in no other order{invalid}")


def _is_day(day: str, month: str, year: str) -> bool:
    if len(year) not in (2, 4) or len(day) > 2 or len(month) > 2:
        return False
    try:
        date(int(year) if len(year) == 4 else 2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _partial(others: list[str], sign: str) -> str | None:
    """Months without a day among the dates: "03/2021" or "2021-03"."""
    shapes = {f"%m{sign}%Y": rf"\d{{2}}\{sign}\d{{4}}", f"%Y{sign}%m": rf"\d{{4}}\{sign}\d{{2}}"}
    return next((f for f, shape in shapes.items() if others and any(re.fullmatch(shape, t) for t in others)), None)
