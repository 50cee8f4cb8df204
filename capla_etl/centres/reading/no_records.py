"""Rows that are no records: blank rows, totals below the data, headers repeated, and a second table below the first.

What does not belong here: rows with more or fewer cells than the header (formats/), and rows that name nobody
(harmonising/harmonise.py).
"""

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.reading.cell_text import BLANKS
from capla_etl.centres.reading.formats.file_table import Unreadable, arrow_names
from capla_etl.centres.spec.grammar import Spec, Table, columns_named, measured_columns

#: A row with at least this many words where numbers and dates are read may be a header.
_FEWEST_WORDS = 2


def _measured(table: Table, header: list[str]) -> list[str]:
    """Columns of a file that are read as numbers or dates."""
    return [column for name in measured_columns(table) for column in columns_named(name, header)]


def _trimmed(rows: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.utf8_trim(rows[column], BLANKS), "")


def known_numbers(table: Table, rows: pa.Table, named: Callable[[str], str]) -> set[str]:
    """Patient numbers of rows that hold a digit in a column of numbers or dates: certainly records."""
    measured = {named(c) for c in _measured(table, rows.column_names)} - {table.key}
    holds = pa.chunked_array([pa.array([False] * rows.num_rows)])
    for column in measured:
        holds = pc.or_(holds, pc.match_substring_regex(pc.fill_null(rows[column], ""), "[0-9]"))
    return set(_trimmed(rows, named(table.key)).filter(holds).to_pylist()) - {""}


def set_aside(
    spec: Spec, table: Table, rows: pa.Table, header: list[str], patients: set[str]
) -> tuple[pa.Table, list[tuple[int, str, str, str]]]:
    """Part the records of a file from its other rows.

    Args:
        spec, table: the declarations.
        rows: text columns in the order of the header, and source_row.
        header: the exact names of the columns.
        patients: numbers of certain patients; a row of theirs is no footer.

    Returns:
        The records; and (row number, status, rule, message) of the others.

    Raises:
        Unreadable: a row inside the data looks like another header.
    """
    cells = {name: _trimmed(rows, own) for name, own in zip(header, arrow_names(header), strict=True)}
    blank = pa.chunked_array([pa.array([True] * rows.num_rows)])
    for texts in cells.values():
        blank = pc.and_(blank, pc.equal(texts, ""))
    footers = getattr(table.format, "footer_starts_with", [])
    pattern = "^(" + "|".join(map(re.escape, footers)) + ")" if footers else "[^\\s\\S]"
    numbers = pa.array(sorted(patients), pa.string())
    footer = pc.and_(
        pc.match_substring_regex(cells[header[0]], pattern), pc.invert(pc.is_in(cells[table.key], numbers))
    )
    # a header names no patient: only rows whose number has no digit, or is the name of its own column, can be one
    wordy = pc.or_(
        pc.equal(cells[table.key], table.key), pc.invert(pc.match_substring_regex(cells[table.key], "[0-9]"))
    )
    aside = [(n, "ignored", "blank_row", "Blank row.") for n in rows["source_row"].filter(blank).to_pylist()]
    footer = pc.and_(footer, pc.invert(blank))
    aside += [
        (n, "ignored", "totals_row", "Totals or footer row.") for n in rows["source_row"].filter(footer).to_pylist()
    ]
    others = pc.or_(blank, footer)
    suspects = pc.indices_nonzero(pc.and_(wordy, pc.invert(others)))
    measured = {header.index(c) for c in _measured(table, header)}
    # as the file writes them: names without the number of a repeated one, or of a column without a name
    written = [re.sub(r" \(\d+\)$|^\(column \d+\)$", "", name) for name in header]
    words = {*spec.missing, *(m for r in table.records for s in r.fields.values() for m in s.missing)}
    names = {name.casefold() for name in written} - {""}
    repeated = set()
    for index, *line in zip(suspects.to_pylist(), *(cells[n].take(suspects).to_pylist() for n in header), strict=True):
        number = rows["source_row"][index].as_py()
        if line in (header, written):
            aside.append((number, "ignored", "repeated_header", "The header, repeated."))
            repeated.add(number)
        elif _is_header(line, line[header.index(table.key)], measured, names, words, patients):
            raise Unreadable(
                f"row {number} looks like the header of another table: it has words where numbers and dates are "
                "expected. Ask the centre for one table a sheet or file."
            )
    if repeated:
        others = pc.or_(others, pc.is_in(rows["source_row"], pa.array(sorted(repeated), pa.int64())))
    return rows.filter(pc.invert(others)), aside


def _is_header(
    cells: list[str], key: str, measured: set[int], names: set[str], words: set[str], patients: set[str]
) -> bool:
    """Whether a row inside the data has the likeness of a header.

    It names the key column and another one; or it has distinct words, none with a digit, in most columns of numbers and
    dates, none of them a missing code, and either names a column or no known patient.
    """
    filled = [cell.casefold() for cell in cells if cell]
    named = sum(cell in names for cell in filled)
    if len(filled) < _FEWEST_WORDS or len(set(filled)) < len(filled):
        return False
    if key.casefold() in names and (named >= _FEWEST_WORDS or not any(re.search(r"\d", cell) for cell in filled)):
        return True
    texts = [cells[i] for i in measured if cells[i]]
    if any(re.search(r"\d", cell) for cell in filled) or set(texts) & words:
        return False
    least = min(len(measured), max(_FEWEST_WORDS, len(measured) // 2 + 1))
    return len(texts) >= max(least, 1) and (named > 0 or key not in patients)
