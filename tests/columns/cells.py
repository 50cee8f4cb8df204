"""What one cell of a file holds, before it is written in a format.

A cell is None (blank), text, a number, a truth value, a date, a timestamp, a time of day or a duration, or one of the
classes here. What does not belong here: what the cell means (truth.py) and bytes of files (writers.py).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A number cell with a number format of a spreadsheet: ``0%``, ``0.0%``, ``00000``; ``text`` is what it shows."""

    value: float
    number_format: str
    text: str


@dataclass(frozen=True)
class StoredError:
    """A formula whose stored result is an error."""

    text: str = "#DIV/0!"


@dataclass(frozen=True)
class Formula:
    """A formula with its stored result, or without one (None)."""

    result: float | None = None


@dataclass(frozen=True)
class Tagged:
    """A missing value with a letter: ``.a`` of Stata, ``.A`` of SAS."""

    letter: str


@dataclass(frozen=True)
class Labelled:
    """A number with a value label (Stata, SPSS)."""

    value: int
    label: str


Cell = Any

#: Formats and the kinds of cells that each holds. A statistical file and a Parquet file hold one kind a column.
FORMATS = ("csv", "xlsx", "ods", "stata", "spss", "sas_transport", "parquet", "json_lines")
WORKBOOKS = ("xlsx", "ods")
STATISTICAL = ("stata", "spss", "sas_transport")
ONE_KIND_A_COLUMN = (*STATISTICAL, "parquet")
