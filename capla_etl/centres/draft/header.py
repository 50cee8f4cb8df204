"""Find the header of a table among its first rows: by likeness, never by completeness.

A header's cells are words, are not found below as values, and differ in kind from the cells below them, which are alike
among themselves. Blank, repeated and merged cells count for nothing. A row of a patient must never become names of
columns, which go into a file under version control: without a clear header there is none.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from capla_etl.centres.draft.words import words

#: The header is sought in so many first rows, compared with so many rows below it.
_FIRST_ROWS, _BELOW = 30, 100
#: After the first row that could be the header, so many more are compared with it: other lines of the same header.
_LINES = 3
#: The least share of a column's cells of one kind.
_ALIKE = 0.6
#: The most evidence against a header, and the least share of the compared cells that must speak for it: with no known
#: name among its cells, one, or more. A patient's row hardly ever holds a word that is a name of columns only.
_AGAINST, _SPEAKING = (0.2, 0.34, 0.5), (0.4, 0.4, 0.25)
#: The most evidence against a header that is certain, as a share of what speaks for it.
_DOUBT = 0.1
#: A word above numbers or dates; see ``_contrast``.
_OVER_NUMBERS = -2
#: A header that is repeated on each page is in fewer than one of so many rows.
_PAGES = 10
#: So many cells below show whether a column is a small vocabulary.
_VOCABULARY = 10
#: Codes whose words are values, and no names of columns unless they are known names too.
_VALUES = (
    "answer",
    "assessment",
    "sex",
    "drug",
    "analyte",
    "exchange",
    "diagnosis",
    "death_cause",
    "adverse_event_kind",
)

_NUMBER = re.compile(r"[<>≤≥=]{0,2}\s*[+-]?[\d.,\s']*\d([eE][+-]?\d+)?\s*%?")
_DATE = re.compile(r"\d{1,4}([./-]\d{1,2}){1,2}([./-]\d{1,4})?\.?([T ].*)?|\d{1,2}:\d{2}.*|\d{2,4}年.*")


@dataclass(frozen=True)
class Header:
    """The row of the header, from 1; whether the rows prove it; what is to be said about it."""

    row: int
    certain: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Likeness:
    """What speaks for a row as the header: known names, and cells that differ from those below; what against it.

    ``known``: names that are no values too, as a drug's name is; ``speaking``: cells of which either is so;
    ``compared``: cells with others below them.
    """

    row: int
    known: int
    differ: int
    speaking: int
    against: float
    compared: int
    filled: int

    @property
    def is_clear(self) -> bool:
        """Whether the row is a header beyond doubt."""
        names = min(self.known, 2)
        enough = (self.known >= 1 or self.differ >= 2) and self.speaking >= _SPEAKING[names] * self.compared
        return enough and self.against < _AGAINST[names] * (self.speaking + self.against)


def find_header(rows: list[list[str]]) -> Header | None:
    """The header of a table, or None if no row is clearly one.

    Args:
        rows: the first rows of the table, titles above it included; a few more than a hundred are enough.
    """
    width = max((len(row) for row in rows), default=0)
    grid = [[cell.strip() for cell in row] + [""] * (width - len(row)) for row in rows]
    columns = sum(any(column) for column in zip(*grid, strict=True))
    if not width or _holds_names(grid):
        return None
    clear: list[_Likeness] = []
    for number, row in enumerate(grid[:_FIRST_ROWS], start=1):
        if clear and number > clear[0].row + _LINES:
            break
        filled = sum(map(bool, row))
        labels = sum(map(_is_label, row)) + len(_counts(row))
        if filled < max(1, min(2, columns), columns / 2) or labels < filled / 2:
            continue
        found = _likeness(grid, number)
        if found.is_clear:
            clear.append(found)
    if not clear:
        return None
    best = max(clear, key=lambda found: (found.known, found.differ, found.filled, -found.row))
    proven = len(clear) == 1 and best.differ >= 2 and best.against <= _DOUBT * best.speaking
    return Header(best.row, proven, _notes(grid, best, clear, len(rows[best.row - 1])))


def _notes(grid: list[list[str]], best: _Likeness, clear: list[_Likeness], width: int) -> tuple[str, ...]:
    """What is special about a header: several lines, cells without a name."""
    notes = []
    others = [str(found.row) for found in clear if found is not best]
    below = [str(n) for n in range(best.row + 1, best.row + 1 + _LINES) if _is_second_line(grid, best.row, n)]
    if lines := list(dict.fromkeys([*others, *below])):
        notes.append(
            f"row {' and '.join(lines)} looks like another line of the header (groups, units?); only row {best.row} "
            "gives names, and a line below it is read as data"
        )
    columns = list(zip(*grid[best.row - 1 :], strict=True))[:width]
    if unnamed := [str(i) for i, column in enumerate(columns, start=1) if not column[0] and any(column)]:
        notes.append(f"column{'s' if len(unnamed) > 1 else ''} {', '.join(unnamed[:10])} without a name")
    return tuple(notes)


def _is_second_line(grid: list[list[str]], header: int, number: int) -> bool:
    """Whether a row directly below the header holds nothing but labels, each unlike the cells below it (units)."""
    if number > len(grid) - 2 or (number > header + 1 and not _is_second_line(grid, header, number - 1)):
        return False
    found = _likeness(grid, number)
    numbers = [cell for cell in grid[number - 1] if _kind(cell).startswith(("number", "date"))]
    return not numbers and found.against == 0 and found.differ >= max(1, found.filled / 2)


def _likeness(grid: list[list[str]], number: int) -> _Likeness:
    """Compare one row with the rows below it; a row that repeats it (a page's header) is not compared."""
    row = grid[number - 1]
    rows = grid[number : number + _BELOW]
    below = [other for other in rows if other != row] if rows.count(row) <= len(rows) / _PAGES else rows
    counting = _counts(row)
    known = differ = speaking = compared = 0
    against = 0.0
    for index, cell in enumerate(row):
        texts = [other[index] for other in below if other[index]]
        if not cell or index in counting:
            continue
        is_name, contrast = words().is_known(cell), _contrast(cell, texts)
        if _is_value(cell) and contrast > _OVER_NUMBERS:
            is_name, contrast = False, max(contrast, 1)
        against += contrast if contrast > 0 and (not is_name or contrast > 1) else 0
        known += is_name
        differ += contrast < 0
        speaking += is_name or contrast < 0
        compared += bool(texts)
    filled = sum(map(bool, row))
    if not below and known < max(2, filled / 2):
        known = 0
    return _Likeness(number, known, differ, speaking, against, compared, filled)


def _contrast(cell: str, texts: list[str]) -> float:
    """How a cell compares with those below it: -2 a word above numbers, -1 unlike, 0 open, 0.5 or 1 alike, 2 equal."""
    if not texts:
        return 0
    if cell.casefold() in {text.casefold() for text in texts}:
        return 2
    if _is_label(cell) and len(texts) >= _VOCABULARY and len(set(texts)) <= len(texts) / 4:
        return -1
    kind, count = Counter(map(_kind, texts)).most_common(1)[0]
    if count < _ALIKE * len(texts):
        return 0
    if _kind(cell) == kind:
        # one word above others may be a name above names of people; two words are hardly ever
        return 0.5 if kind.startswith("words ") and " " not in kind.removeprefix("words ") else 1
    if kind in ("number", "date"):
        return _OVER_NUMBERS if _is_label(cell) else 0
    return -1 if _is_label(cell) and kind.startswith("code") else 0


def _holds_names(grid: list[list[str]]) -> bool:
    """Whether the first column holds names of fields: a form, a codebook, or a table with one column a patient."""
    first = [row[0] for row in grid if row[0]]
    known = sum(map(words().is_known, first))
    return len(set(first)) == len(first) and known > max(2, _ALIKE * len(first) / 2)


def _counts(row: list[str]) -> set[int]:
    """Places of numbers that count up by one step (1, 2, 3 or 2019, 2020, 2021): names of days or years."""
    numbers = [(i, int(cell)) for i, cell in enumerate(row) if cell.isascii() and re.fullmatch(r"\d{1,4}", cell)]
    steps = {b - a for (_, a), (_, b) in zip(numbers, numbers[1:], strict=False)}
    return {i for i, _ in numbers} if len(numbers) > 2 and len(steps) == 1 and steps != {0} else set()


@cache
def _is_value(cell: str) -> bool:
    return words().is_missing(cell) or any(words().code(vocabulary, cell) for vocabulary in _VALUES)


def _is_label(cell: str) -> bool:
    """Whether a text can be a name of a column: it has a letter, is no number or date, and is not long."""
    return any(c.isalpha() for c in cell) and len(cell) <= 200 and not _kind(cell).startswith(("number", "date"))


@cache
def _kind(cell: str) -> str:
    """The kind of a text: number, date, a code with the shape of its letters and digits, or words with their shape."""
    if _NUMBER.fullmatch(cell):
        return "number"
    if _DATE.fullmatch(cell):
        return "date"
    letters = re.sub(r"[^\W\d_]", lambda c: "A" if c[0].isupper() else "a", cell)
    shape = re.sub(r"(A+a+|A+|a+)", lambda c: "Aa" if c[0][0] == "A" and c[0][-1] == "a" else c[0][0], letters)
    shape = re.sub(r"\d+", "9", shape)
    return f"code {shape}" if "9" in shape and " " not in shape else f"words {shape}"
