"""Forms of numbers: which texts have the shape of a number in a declared notation, and which number such a text is.

A number may have a sign, a power of ten (``1.5E+02``) and, where the field accepts it, a comparator before it or a
percent sign after it. Marks between thousands must be declared: ``12.000`` may be 12 or 12,000.

What does not belong here: units (fields/units.py), and what becomes of an invalid text (values.py).
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from capla_etl.sql import quote

#: Comparators as centres write them -> in one form.
COMPARATORS = {"<=": "<=", "=<": "<=", "≤": "<=", "≦": "<=", ">=": ">=", "=>": ">=", "≥": ">=", "≧": ">="} | {
    "<": "<",
    ">": ">",
}
#: Blanks within a number: plain, no-break, thin, and narrow no-break.
_BLANKS = " \u00a0\u2009\u202f"
_MINUS = "\u2212"
#: Marks between thousands that stand for one another.
_SAME_MARK = dict.fromkeys(_BLANKS, _BLANKS) | dict.fromkeys("'’", "'’")


@dataclass(frozen=True)
class Notation:
    """How a column writes numbers: its decimal mark, and the mark between thousands if there is one."""

    decimal: str
    thousands: str | None = None

    @property
    def _marks(self) -> str:
        return _SAME_MARK.get(self.thousands, self.thousands) if self.thousands else ""

    @cache  # noqa: B019 -- notations are few, and live as long as the process
    def pattern(self, percent: bool = False) -> str:
        """Regular expression that a number matches in full; with a comparator before it, and a percent sign if so."""
        mark = re.escape(self.decimal)
        # no number of thousands begins with 0: "0.120" is a decimal number in another notation
        whole = rf"([1-9][0-9]{{0,2}}([{self._marks}][0-9]{{3}})+|[0-9]+)" if self._marks else "[0-9]+"
        sign, power = rf"[{_BLANKS}]*[+{_MINUS}-]?[{_BLANKS}]*", rf"([eE][+{_MINUS}-]?[0-9]{{1,3}})?"
        comparator = "(" + "|".join(COMPARATORS) + ")?"
        after = f"([{_BLANKS}]*%)?" if percent else ""
        return rf"{comparator}{sign}({whole}({mark}[0-9]+)?|{mark}[0-9]+){power}{after}"

    def plain_sql(self, text: str) -> str:
        """SQL of a text of that shape with a decimal point, and without its comparator, blanks and other marks."""
        dropped = "".join(dict.fromkeys("".join(COMPARATORS) + "%" + _BLANKS + self._marks))
        return f"translate({text}, {quote(self.decimal + _MINUS + dropped)}, '.-')"

    def number(self, text: str, percent: bool = False) -> Decimal | None:
        """The number that a text of a spec is, its comparator left out; None for any other text."""
        if not re.fullmatch(self.pattern(percent), text):
            return None
        plain = text.translate({ord(c): None for c in "".join(COMPARATORS) + "%" + _BLANKS + self._marks})
        return Decimal(plain.replace(_MINUS, "-").replace(self.decimal, "."))


def comparator(text: str) -> str:
    """The comparator that a text of a spec begins with, in one form; '' without one."""
    return COMPARATORS.get(text[:2], COMPARATORS.get(text[:1], ""))


def comparator_sql(text: str) -> str:
    """SQL of the comparator that a text begins with, in one form; '' without one."""
    two = {written: means for written, means in COMPARATORS.items() if len(written) == 2}
    one = {written: means for written, means in COMPARATORS.items() if len(written) == 1}
    branches = (
        f"when left({text}, {len(written)}) = {quote(written)} then {quote(means)}"
        for written, means in (two | one).items()
    )
    return f"case {' '.join(branches)} else '' end"
