"""The text of one cell: full-width signs narrowed, spaces trimmed."""

from capla_etl.centres.spec.grammar import Table
from capla_etl.sql import quote

#: Full-width digits, letters and signs, the ideographic blank and the minus sign, and their plain forms.
_WIDE = "".join(chr(c) for c in range(0xFF01, 0xFF5F)) + "\u3000\u2212"
_NARROW = "".join(chr(c) for c in range(0x21, 0x7F)) + " -"


def narrowed(table: Table, text: str) -> str:
    """SQL of a text, with full-width signs made plain if the table is declared narrow."""
    return f"translate({text}, {quote(_WIDE)}, {quote(_NARROW)})" if table.width == "narrow" else text


def cleaned(table: Table, text: str) -> str:
    """SQL of a cell as it is read: letters composed (é is one sign), plain signs if declared so, trimmed; or null."""
    return f"clean(nfc_normalize({narrowed(table, text)}))"


#: Trimmed from both ends of a cell: blanks, tabs, line ends and no-break spaces.
TRIMMED = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"
