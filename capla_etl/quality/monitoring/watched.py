"""The quantities that monitoring watches, as declared in ``fields/watched.yml``."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from capla_etl import fields
from capla_etl.protocol.wording import worded
from capla_etl.quality.monitoring.signal import FAMILIES

LOG, LINEAR, SHARE = "log", "linear", "share"
#: What a quantity may be computed from (quantities.py), and the harmonised table behind it.
SOURCES = {
    "patient": "patient",
    "lab": "lab_result",
    "step": "lab_result",
    "same_day": "lab_result",
    "session": "tpe_session",
    "drug": "drug_course",
    "event": "adverse_event",
}


@dataclass(frozen=True)
class Quantity:
    """One watched quantity; its attributes are explained at the top of watched.yml.

    ``natural`` is None where practice may differ by any amount.
    """

    name: str
    field: str
    source: str
    value: str
    meaning: str
    scale: str
    matters: float
    natural: float | None
    why: str
    family: str = "level"
    typical: tuple[float, float] | None = None
    typical_source: str = ""
    complete: bool = False
    as_sent: bool = False
    may_sort: bool = False
    fixed: bool = False
    never_less: bool = False
    list: str = ""
    of_treated: bool = False
    calendar: bool = False
    unit: str = ""

    def compared(self, values: np.ndarray) -> np.ndarray:
        """The values on the scale on which they are compared; what has no place there is NaN."""
        if self.scale != LOG:
            return values
        return np.log(np.where(values > 0, values, np.nan))

    def limit(self, declared: float) -> float:
        """``matters`` or ``natural`` on the scale of comparison: logarithm of a ratio, units, or a share of 1."""
        return {LOG: np.log, LINEAR: float, SHARE: lambda points: points / 100}[self.scale](declared)


def _quantity(name: str, declared: dict) -> Quantity:
    found = dict(declared)
    quantity = Quantity(
        name=name,
        source=found.pop("from"),
        meaning=worded(found.pop("is")),
        value=worded(found.pop("value")),
        typical=tuple(found.pop("typical")) if "typical" in found else None,
        typical_source=found.pop("source", ""),
        **found,
    )
    if quantity.family not in FAMILIES or quantity.scale not in (LOG, LINEAR, SHARE) or quantity.source not in SOURCES:
        raise ValueError(f"watched.yml: {name}: unknown family, scale or source")
    if quantity.typical and not quantity.typical_source:
        raise ValueError(f"watched.yml: {name}: a typical range needs its source")
    return quantity


@cache
def watched() -> dict[str, Quantity]:
    """Every watched quantity by name, in the order of the file.

    Raises:
        ValueError: a declaration is incomplete or has an unknown word.
        TypeError: a declaration has an unknown key.
    """
    return {name: _quantity(name, declared) for name, declared in fields.load("watched.yml").items()}
