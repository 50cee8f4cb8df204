"""Typed cells as text: the only place where a number, a date or a truth value of a file becomes the text that the rest of the pipeline reads."""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from capla_etl.centres.reading.formats.file_table import Unreadable


def cell_texts(values: list, column: str, decimal: str) -> pa.Array:
    """Typed cells of one column as text, numbers with the decimal mark that the column is read with: the only place where a type becomes text."""
    if all(type(v) is str for v in values):
        return pa.array(values, pa.string())
    texts = (cell_text(v, column) for v in values)
    return pa.array(
        [t.replace(".", decimal) if type(v) in (float, Decimal) else t for t, v in zip(texts, values, strict=True)],
        pa.string(),
    )


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
        return (
            value.date().isoformat()
            if (value.hour, value.minute, value.second) == (0, 0, 0)
            else value.isoformat(sep=" ")
        )
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
        raise Unreadable(
            f"columns {twice[:10]} of the header row have the same names; expected each name once. Is the header row right?"
        )


def numbered(header: list[str]) -> list[str]:
    """Names that are there more than once numbered in their order: "Date", "Date (2)", "Date (3)"."""
    seen: dict[str, int] = {}
    names = []
    for name in header:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
