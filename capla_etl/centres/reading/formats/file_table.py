"""The result of reading a file of any format, its column names, and the error for files that cannot be read."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.limits import MOST_CELLS, MOST_COLUMNS, MOST_ROWS
from capla_etl.centres.spec.dates import EPOCH
from capla_etl.centres.spec.grammar import declared_for

#: Names that the pipeline gives to columns of its own.
_OURS = ("source_row", "source_file", "source_sheet", "row_status")
_OURS += ("capla_kind", "capla_status", "capla_copy", "capla_ignored")


class Unreadable(Exception):
    """A file that cannot be read as declared; the message is for the data manager and holds no value of the file.

    ``column``: the one that the message is about. Its name is no part of the message, as the spec may not declare it.
    """

    def __init__(self, message: str, column: str = ""):
        self.message, self.column = message, column
        super().__init__(f"column {column!r} {message}" if column else message)

    def __reduce__(self):
        """As it comes from another process."""
        return Unreadable, (self.message, self.column)

    def said(self, declared: Collection[str]) -> str:
        """The message with the column's name only if it is declared."""
        is_declared = not self.column or self.column in declared
        return str(self) if is_declared else f"a column that is not in the spec {self.message}"


@dataclass(frozen=True)
class FileTable:
    """One file, sheet or list as sent.

    ``header`` holds the exact column names. ``rows`` holds one text column per name, called as ``arrow_names`` says,
    plus ``source_row`` (int64). ``set_aside`` lists rows that are not data or not readable: (row number, status
    'ignored' or 'quarantined', rule, message). ``epoch`` is the day from which the file counts day numbers. ``notes``
    says what a reader of the file should know: hidden rows, struck out cells; counts and places, never a value.
    ``numbers``: column with numbers that are shown otherwise than stored -> how many are shown as "percent", in
    "thousands" (or millions), and "plain".
    """

    header: list[str]
    rows: pa.Table
    set_aside: list[tuple[int, str, str, str]] = field(default_factory=list)
    epoch: str = EPOCH
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decimals:
    """How numbers of typed cells become text.

    Decimal marks: of the table, and of single columns. ``units``: column -> its declared unit, which a number format
    may repeat.
    """

    table: str = "."
    columns: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def of(self, column: str) -> str:
        """The mark of a column."""
        return declared_for(self.columns, column) or self.table


def in_one_form(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts with each accented letter as one sign (Unicode NFC); some systems write two."""
    return texts if pc.all(pc.string_is_ascii(texts)).as_py() else pc.utf8_normalize(texts, "NFC")


def named(header: list[str]) -> list[str]:
    """Column names in one Unicode form, without blanks around them; one without a name is called "(column 3)"."""
    return [unicodedata.normalize("NFC", name).strip() or f"(column {i})" for i, name in enumerate(header, 1)]


def arrow_names(header: list[str]) -> list[str]:
    """Names for columns in SQL, where case does not count: "PLT", "plt (2)"; else the names themselves.

    Which one keeps its name depends on the names alone, so that two submissions agree.
    """
    taken, names = set(_OURS), {}
    for name in sorted(header):
        own, number = name, 1
        while own.lower() in taken:
            number += 1
            own = f"{name} ({number})"
        taken.add(own.lower())
        names[name] = own
    return [names[name] for name in header]


def table_of(header: list[str], columns: list, rows: list[int], **rest) -> FileTable:
    """A FileTable of columns of text.

    Raises:
        Unreadable: two columns of one name.
    """
    check_extent(len(rows), len(header))
    check_unique(header)
    arrays = [*map(in_one_form, columns), pa.array(rows, pa.int64())]
    return FileTable(header, pa.table(arrays, names=[*arrow_names(header), "source_row"]), **rest)


def check_extent(rows: int, columns: int) -> None:
    """Refuse a table with more rows, columns or cells than ``limits.py`` allows."""
    for found, most, what in (
        (columns, MOST_COLUMNS, "columns"),
        (rows, MOST_ROWS, "rows"),
        (rows * columns, MOST_CELLS, "cells"),
    ):
        if found > most:
            raise Unreadable(f"the table has {found:,} {what}; expected at most {most:,}. Ask the centre what it is.")


def check_unique(header: list[str]) -> None:
    """Refuse a header with two equal names; by position, since a row that is no header may hold a patient's data."""
    places: dict[str, list[int]] = {}
    for i, name in enumerate(header, 1):
        places.setdefault(name, []).append(i)
    if twice := sorted(i for found in places.values() if len(found) > 1 for i in found):
        columns = ", ".join(map(str, twice[:10]))
        raise Unreadable(f"columns {columns} have duplicate names; expected each name once. Is the header row right?")


def numbered(header: list[str]) -> list[str]:
    """Number duplicate names: "Date", "Date (2)", "Date (3)"."""
    seen: dict[str, int] = {}
    names = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
