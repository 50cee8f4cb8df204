"""What monitoring says: a signal for each difference that matters, and a line for everything that was looked at."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from dataclasses import fields as names_of

import pandas as pd

from capla_etl import fields
from capla_etl.centres.errors import said_place

STOP, LOOK = "stop", "look"
#: Families of checks, in the order in which they are shown.
FAMILIES = {
    "level": "Level of each quantity",
    "mixture": "Two levels in one column",
    "shape": "Shape of the values",
    "dates": "Dates",
    "within_patients": "Within patients",
    "completeness": "Categories and completeness",
    "between_columns": "Between columns",
    "between_submissions": "Between submissions",
}
#: At most this many rows are named in a signal; the rest is counted.
ROWS_NAMED = 20

#: Columns of ``quality.signal``.
SIGNAL = fields.arrow_schema(
    "signal_id centre_id submission:date severity family check_name quantity field file sheet column_name "
    "found expected looks_like p_value:number patients:count rows patient_numbers status reason confirmed_by "
    "confirmed_on:date"
)
#: Columns of ``quality.monitored``.
MONITORED = fields.arrow_schema(
    "centre_id submission:date family check_name quantity field judged why_not scale estimate:number "
    "standard_error:number expected:number look_below:number look_above:number p_value:number patients:count severity"
)


@dataclass(frozen=True)
class Signal:
    """A difference that matters and that chance and natural differences between centres do not give.

    ``severity``: ``stop`` holds the submission back, ``look`` is listed. ``found``, ``expected``: figures of many
    patients, never of one. ``looks_like``: the likely reason, in words. ``p_value``: how likely so large a difference
    is by chance, the number of checks of a centre accounted for. ``patients``: how many patients it rests on.
    ``patient_numbers``: the patients who show it, by the centre's own numbers, and ``rows``: their rows, where the file
    is the one that names the patients; at most ``ROWS_NAMED``; none: all of them.
    ``status``: ``open``, or ``confirmed`` by a person in the centre's spec, with the reason. An open signal has a
    reason if a confirmation no longer fits.
    """

    centre_id: str
    severity: str
    family: str
    check_name: str
    quantity: str
    field: str
    found: str
    expected: str
    looks_like: str
    p_value: float
    patients: int
    file: str = ""
    sheet: str = ""
    column_name: str = ""
    rows: list[int] = field(default_factory=list)
    patient_numbers: list[str] = field(default_factory=list)
    status: str = "open"
    reason: str = ""
    confirmed_by: str = ""
    confirmed_on: str | None = None

    @property
    def signal_id(self) -> str:
        """Hash of what the signal is about (centre, check, quantity); the same while the finding changes."""
        parts = [self.centre_id, self.check_name, self.quantity]
        return "S-" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:10]

    @property
    def holds_back(self) -> bool:
        """Whether it keeps the submission out of the study."""
        return self.severity == STOP and self.status == "open"

    @property
    def in_words(self) -> str:
        """One sentence for people: where, what, and what it looks like."""
        place = said_place(self.file, self.sheet) + (f", column {self.column_name!r}" if self.column_name else "")
        lapsed = f" {self.reason}" if self.reason and self.status == "open" else ""
        return f"{place or 'patients'}: {self.looks_like} Found {self.found}; expected {self.expected}.{lapsed}"

    @classmethod
    def from_row(cls, row: Mapping) -> "Signal":
        """The signal that a row of ``quality.signal`` holds."""
        day = row["confirmed_on"]
        values = {one.name: row[one.name] for one in names_of(cls)} | {
            "rows": [int(number) for number in row["rows"].split(", ") if number],
            "patient_numbers": [number for number in row["patient_numbers"].split(", ") if number],
            "confirmed_on": day and str(day)[:10],
        }
        return cls(**values)

    def as_row(self) -> dict:
        """The signal as a row of ``quality.signal``, but for the submission."""
        listed = {name: ", ".join(map(str, getattr(self, name))) for name in ("rows", "patient_numbers")}
        return {"signal_id": self.signal_id, **asdict(self), **listed}


@dataclass(frozen=True)
class Monitored:
    """Everything that was looked at in one centre.

    ``signals``: what matters. ``looked_at``: one row per check and quantity, columns of ``MONITORED``; ``judged`` is
    'yes' or 'no', with the reason in ``why_not``.
    """

    centre_id: str
    signals: list[Signal]
    looked_at: pd.DataFrame

    @property
    def stops(self) -> list[Signal]:
        """Signals that hold the submission back."""
        return [signal for signal in self.signals if signal.holds_back]
