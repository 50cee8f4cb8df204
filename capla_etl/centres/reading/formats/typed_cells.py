"""Typed cells as text: the only place where a number, date or truth value of a file becomes text."""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from capla_etl.centres.reading.formats.file_table import Unreadable


def cell_texts(values: list, column: str, decimal: str) -> pa.Array:
    """Typed cells of one column as text, numbers with the column's decimal mark."""

    def text(value) -> str:
        plain = cell_text(value, column)
        return plain.replace(".", decimal) if type(value) in (float, Decimal) else plain

    plain = all(type(v) is str for v in values)
    return pa.array(values if plain else [text(v) for v in values], pa.string())


def cell_text(value, column: str) -> str:
    """One typed cell as text, without loss.

    Raises:
        Unreadable: a cell of a type that is neither text, number, date nor truth value.
    """
    if value is None or value != value:
        return ""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        at_midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.date().isoformat() if at_midnight else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    raise Unreadable(f"column {column!r} holds a cell of type {type(value).__name__}; expected text, numbers or dates.")


def check_unique(header: list[str]) -> None:
    """Refuse a header with two equal names; by position, since a row that is no header may hold a patient's data."""
    folded = [name.casefold() for name in header]
    twice = [i + 1 for i, name in enumerate(folded) if folded.count(name) > 1]
    if twice:
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
