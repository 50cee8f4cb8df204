"""Parts of a draft while it grows: tables, their records, and the fields of each with notes about them."""

from dataclasses import dataclass, field

from capla_etl.centres.draft.detect import Found
from capla_etl.centres.draft.levels import Level
from capla_etl.centres.draft.profile import Column
from capla_etl.centres.spec.grammar import TO_DECIDE


@dataclass
class Entry:
    """One field of a record: the keys of its source and the draft's note about them."""

    source: dict
    note: str


@dataclass
class RecordDraft:
    """One record of a table; ``rows``: the kind of row that holds it."""

    table: str
    fields: dict[str, Entry]
    rows: str | None = None
    present: dict | None = None
    present_note: str = "GUESS: the marks that say that there was one"


@dataclass
class TableDraft:
    """One file, sheet or list of the draft.

    ``file``: its name, or a pattern of it. ``key_identifies``: the only key is an identifying number. ``levels``: what
    the columns' numbers and dates are compared with (levels.py).
    """

    name: str
    file: str
    found: Found
    columns: dict[str, Column]
    levels: dict[str, Level] = field(default_factory=dict)
    key: str = TO_DECIDE
    key_note: str = ""
    key_identifies: bool = False
    options: dict[str, tuple] = field(default_factory=dict)
    kinds: tuple[str, dict[str, list[str]], dict[str, str]] | None = None
    forbidden: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    free_text: dict[str, str] = field(default_factory=dict)
    records: list[RecordDraft] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
