"""The result of reading a file of any format, and the error for files that cannot be read."""

from dataclasses import dataclass, field

import pyarrow as pa


class Unreadable(Exception):
    """A file that cannot be read as declared; the message is for the data manager and holds no value of the file."""


@dataclass(frozen=True)
class FileTable:
    """One file, sheet or list as sent.

    ``rows`` holds one text column per column of ``header``, plus ``source_row`` (int64). ``set_aside`` lists rows that
    are not data or not readable: (row number, status 'ignored' or 'quarantined', rule, message). ``epoch`` is the day
    from which the file counts day numbers. ``notes`` says what a reader of the file should know: hidden rows, struck
    out cells; counts and places, never a value. ``percentages``: column -> cells that are numbers in a percent format.
    """

    header: list[str]
    rows: pa.Table
    set_aside: list[tuple[int, str, str, str]] = field(default_factory=list)
    epoch: str = "1899-12-30"
    notes: list[str] = field(default_factory=list)
    percentages: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Decimals:
    """Decimal marks with which numbers of typed cells become text: of the table, and of single columns."""

    table: str = "."
    columns: dict[str, str] = field(default_factory=dict)

    def of(self, column: str) -> str:
        """The mark of a column."""
        return self.columns.get(column, self.table)
