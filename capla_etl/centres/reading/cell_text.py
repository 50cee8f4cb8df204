"""The text of one cell: full-width signs narrowed, spaces trimmed."""

from capla_etl.centres.spec.grammar import Table
from capla_etl.sql import quote

#: Full-width digits, letters and signs, the ideographic blank and the minus sign, and what stands for them in a table that is declared narrow.
_WIDE = "".join(chr(c) for c in range(0xFF01, 0xFF5F)) + "\u3000\u2212"


_NARROW = "".join(chr(c) for c in range(0x21, 0x7F)) + " -"


def narrowed(table: Table, text: str) -> str:
    """SQL of a text with full-width signs narrow where the table is declared so."""
    return f"translate({text}, {quote(_WIDE)}, {quote(_NARROW)})" if table.width == "narrow" else text


def cleaned(table: Table, text: str) -> str:
    """SQL of a cell as it is read: narrow where declared, blanks around it taken off; null for nothing."""
    return f"clean({narrowed(table, text)})"


#: What is taken off both ends of a cell: blanks, tabs, line ends and the no-break space.
TRIMMED = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"
