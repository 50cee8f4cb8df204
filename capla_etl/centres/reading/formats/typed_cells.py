"""Typed cells as text: the only place where a number, date, time or truth value of a file becomes text.

What does not belong here: what a text means (harmonising/values.py).
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa

from capla_etl.centres.reading.formats.file_table import Decimals, Unreadable
from capla_etl.centres.spec.grammar import declared_for

#: Whole numbers from here on are written as powers of ten.
_MOST_IN_DIGITS = 1e21


class Percentage(Decimal):
    """A number that its file shows as a percentage: 5.4 for a stored 0.054, as text "5.4%"."""


class Scaled(Decimal):
    """A number that its file shows in thousands or millions: 150 for a stored 150000, as text "150"."""


@dataclass(frozen=True)
class Worded:
    """A number that its file shows with fixed text around it, as text "<5" or "11 µmol/L"."""

    before: str
    number: Decimal
    after: str


def cell_texts(values: list, column: str, decimals: Decimals) -> pa.Array:
    """Typed cells of one column as text, numbers with the column's decimal mark and without its own declared unit."""
    mark, unit = decimals.of(column), declared_for(decimals.units, column)

    def text(value) -> str:
        if isinstance(value, Worded):
            is_unit = unit is not None and _one_form(value.after) == _one_form(unit)
            return f"{value.before}{text(value.number)}{'' if is_unit else value.after}"
        plain = cell_text(value, column)
        return plain.replace(".", mark) if isinstance(value, float | Decimal) else plain

    if not all(type(v) is str for v in values):
        values = [text(v) for v in values]
    return pa.array(values, pa.string())


def numbers_shown(values: list) -> Counter:
    """How many numbers of a column are shown as "percent", in "thousands", and "plain"; zero is alike in each."""
    kinds = {Percentage: "percent", Scaled: "thousands"}
    numbers = [value.number if isinstance(value, Worded) else value for value in values]
    return Counter(
        kinds.get(type(n), "plain")
        for n in numbers
        if type(n) in (float, int, Decimal, *kinds) and (n or type(n) in kinds)
    )


def _one_form(unit: str) -> str:
    """A unit without blanks, and with one of the two signs for micro."""
    return unicodedata.normalize("NFKC", "".join(unit.split()))


def cell_text(value, column: str) -> str:
    """One typed cell as text, without loss: times of day and durations as "08:30:00", days without their midnight.

    Raises:
        Unreadable: a cell of a type that is neither text, number, date, time nor truth value.
    """
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < _MOST_IN_DIGITS
        return f"{Decimal(repr(value)).normalize():f}" if is_whole else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return _without_zeros(value.isoformat())
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, Percentage):
        return f"{value.normalize():f}%"
    if isinstance(value, Worded):
        return f"{value.before}{cell_text(value.number, column)}{value.after}"
    if isinstance(value, Decimal):
        return format(value, "f")
    kind = type(value).__name__
    raise Unreadable(f"holds a cell of type {kind}; expected text, numbers, dates or times.", column)


def _timestamp(value: datetime) -> str:
    """A day at midnight as the day alone; a timestamp with a zone in UTC, with Z."""
    if value.tzinfo is not None:
        return _without_zeros(value.astimezone(UTC).replace(tzinfo=None).isoformat()) + "Z"
    return _without_zeros(value.isoformat(sep=" ")).removesuffix(" 00:00:00")


def _without_zeros(text: str) -> str:
    """The fraction of a second without zeros at its end."""
    return text.rstrip("0") if "." in text else text


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds; more than 24 hours stay hours: "26:30:00"."""
    size = abs(value)
    minutes, seconds = divmod(size.days * 86_400 + size.seconds, 60)
    fraction = _without_zeros(f".{size.microseconds:06d}") if size.microseconds else ""
    sign = "-" if value < timedelta() else ""
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{fraction}"
