"""The text of one cell as it is read: signs narrowed if declared, letters composed, trimmed; and a patient's number."""

from collections.abc import Callable, Iterable

import duckdb
import pyarrow as pa

from capla_etl.centres.spec.grammar import Table
from capla_etl.sql import identifier, quote

#: Full-width digits, letters and signs, the ideographic blank and the minus sign, and their plain forms.
_WIDE = "".join(chr(c) for c in range(0xFF01, 0xFF5F)) + "\u3000\u2212"
_NARROW = "".join(chr(c) for c in range(0x21, 0x7F)) + " -"


def narrowed(table: Table, text: str) -> str:
    """SQL of a text, with full-width signs made plain if the table is declared narrow."""
    return f"translate({text}, {quote(_WIDE)}, {quote(_NARROW)})" if table.width == "narrow" else text


def cleaned(table: Table, text: str) -> str:
    """SQL of a cell as it is read: letters composed (é is one sign), plain signs if declared so, trimmed; or null."""
    return f"clean(nfc_normalize({narrowed(table, text)}))"


#: Trimmed from both ends of a cell: blanks, tabs, line ends and no-break spaces; and the same in SQL.
BLANKS = " \t\n\r\xa0"
TRIMMED = quote(BLANKS)
#: SQL of one form of a patient's number: composed letters, no signs without width, no double blanks.
KEY_FORM = r"""case when regexp_full_match(t, '[!-~]+( [!-~]+)*') then t
    else nullif(trim(regexp_replace(regexp_replace(
    nfc_normalize(t), '[\x{200B}-\x{200F}\x{2060}\x{FEFF}\x{00AD}]', '', 'g'), '\s+', ' ', 'g')), '') end"""


def use_cell_forms(con: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the macros ``clean`` (a cell; null if nothing is left) and ``key_form`` (patients' numbers)."""
    con.execute(f"create macro clean(t) as nullif(trim(t, {TRIMMED}), '')")
    con.execute(f"create macro key_form(t) as {KEY_FORM}")


def patient_number(table: Table, column: str) -> str:
    """SQL of the number of a row's patient; ``column``: the key column as SQL. Needs ``use_cell_forms``."""
    return f"key_form({cleaned(table, column)})"


def filled_down(con: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table, named: Callable[[str], str]) -> pa.Table:
    """The rows of one file with the blank cells below a merged one filled in, as ``fill_down`` declares."""
    if not table.fill_down:
        return rows
    con.register("to_fill", rows)
    filled = filled_down_sql(named(column) for column in table.fill_down)
    return con.execute(f"select * replace ({filled}) from to_fill order by source_row").to_arrow_table()


def filled_down_sql(columns: Iterable[str]) -> str:
    """SQL of columns in which a blank cell has the text above it; needs ``use_cell_forms``."""
    return ", ".join(
        f"last_value(clean({c}) ignore nulls) over (order by source_row) as {c}" for c in map(identifier, columns)
    )
