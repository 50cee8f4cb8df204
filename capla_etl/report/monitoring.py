"""What central monitoring found, as the report and the centres' pages show it: states, levels and signals in words.

Nothing is judged here (``quality.monitoring``), and no figure is drawn (``figures.monitoring_figures``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from capla_etl.quality.monitoring.signal import FAMILIES, LOOK, STOP, Signal
from capla_etl.quality.monitoring.watched import LINEAR, LOG, SHARE, watched
from capla_etl.report.numbers import fixed, short

CONFIRMED, NOTHING, NOT_JUDGED = "confirmed", "nothing", "not_judged"
#: What a centre and a check can be, the worst first, in words.
STATES = {
    STOP: "stop",
    LOOK: "look (loaded)",
    CONFIRMED: "confirmed by a person",
    NOTHING: "nothing found",
    NOT_JUDGED: "not judged",
}
#: At most this many funnel plots are shown.
FUNNELS = 6


#: Checks whose names alone say too little.
_CHECKS = {
    "share": "Proportion",
    "typical": "Published range",
    "outside": "Beyond the others",
    "ordered": "Sorted alone",
    "repeated": "Repeated values",
    "rounded": "Rounding",
    "spike": "One value too often",
    "missing": "Missing values",
    "cut": "Cut at the end",
    "full_sheet": "Full sheet",
    "changed": "Changed since the last",
}


def sentence(name: str) -> str:
    """An identifier in words: "level_by_time" is "Level by time"."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def check_label(check: str) -> str:
    """A check in words."""
    return _CHECKS.get(check, sentence(check))


def quantity_label(quantity: str) -> str:
    """A watched quantity, or a pair of them ("a ~ b"), in words."""
    meanings = [watched()[one].meaning if one in watched() else one for one in quantity.split(" ~ ")]
    return sentence(" and ".join(meaning.removeprefix("the ") for meaning in meanings))


def newest(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of each centre's newest submission that was looked at, loaded or held back."""
    return frame[frame["submission"] == frame.groupby("centre_id")["submission"].transform("max")]


def signals_of(frame: pd.DataFrame) -> list[Signal]:
    """The signals of ``quality.signal``; the worst first, then by centre."""
    known = frame.astype(object).where(frame.notna(), None)
    signals = [Signal.from_row(row) for row in known.to_dict("records")]
    return sorted(signals, key=lambda s: (list(STATES).index(state_of(s)), s.centre_id, s.check_name, s.quantity))


def state_of(signal: Signal) -> str:
    """The state that a signal gives its centre and check."""
    return CONFIRMED if signal.status == CONFIRMED else signal.severity


# ------------------------------------------------------------------ centre by check


@dataclass(frozen=True)
class Cell:
    """A centre and a check: the worst state of its quantities (empty: the check does not apply), and why in words."""

    state: str
    words: str


@dataclass(frozen=True)
class Grid:
    """Every centre by every check; ``checks``: (family, check) in the order of ``FAMILIES``; ``cells``: by centre."""

    centres: list[str]
    checks: list[tuple[str, str]]
    cells: list[list[Cell]]


def grid(signal: pd.DataFrame, monitored: pd.DataFrame) -> Grid:
    """What each check found in each centre's newest submission.

    Args:
        signal: ``quality.signal``.
        monitored: ``quality.monitored``.
    """
    looked = newest(monitored)
    found: dict[tuple[str, str, str], list[Signal]] = {}
    # A signal of a submission that a newer one replaced says nothing about the centre now.
    current = signal.merge(looked[["centre_id", "submission"]].drop_duplicates(), on=["centre_id", "submission"])
    for one in signals_of(current):
        found.setdefault((one.centre_id, one.family, one.check_name), []).append(one)
    order = list(FAMILIES)
    pairs = looked[["family", "check_name"]].drop_duplicates().itertuples(index=False, name=None)
    checks = sorted(pairs, key=lambda pair: order.index(pair[0]))
    centres = sorted(looked["centre_id"].unique())
    by_place = dict(list(looked.groupby(["centre_id", "family", "check_name"], sort=False)))
    cells = [[_cell(centre, *check, found, by_place) for check in checks] for centre in centres]
    return Grid(centres, checks, cells)


def _cell(centre: str, family: str, check: str, found: dict, by_place: dict) -> Cell:
    place = f"{centre}, {FAMILIES[family]}, {check_label(check)}"
    signals, looked = found.get((centre, family, check), []), by_place.get((centre, family, check))
    if signals:
        said = " ".join(f"{quantity_label(one.quantity)}: {one.in_words}" for one in signals)
        return Cell(state_of(signals[0]), f"{place}: {STATES[state_of(signals[0])]}. {said}")
    if looked is None:
        return Cell("", f"{place}: does not apply.")
    judged = int((looked["judged"] == "yes").sum())
    if told := [severity for severity in (STOP, LOOK) if severity in set(looked["severity"])]:
        return Cell(told[0], f"{place}: {STATES[told[0]]}; part of another signal of the same column.")
    if judged:
        return Cell(NOTHING, f"{place}: {judged} {'quantity' if judged == 1 else 'quantities'} judged, nothing found.")
    why = "; ".join(dict.fromkeys(looked["why_not"].dropna()))
    return Cell(NOT_JUDGED, f"{place}: not judged{f' ({why})' if why else ''}.")


# ------------------------------------------------------------------ levels


@dataclass(frozen=True)
class Scale:
    """How estimates on a scale are compared with the others and written.

    ``against``: an estimate beside what is expected. ``said``: what that is. ``text``: an estimate as it stands, with
    the decimals that half the width of its limits deserves.
    """

    against: Callable[[float, float], float]
    said: str
    text: Callable[[float, float], str]


def _decimals(size: float) -> int:
    """Decimals that give a number of this size two significant figures."""
    return max(0, 1 - math.floor(math.log10(size))) if size > 0 else 2


def _ratio(value: float, half: float) -> str:
    ratio = math.exp(value)
    return f"×\u00a0{fixed(ratio, max(2, _decimals(ratio)) if ratio < 10 else 0)}"


def _difference(value: float, half: float) -> str:
    text = fixed(value, _decimals(half))
    return f"+{text}" if value > 0 and text.strip("0.") else text


#: Estimates are logarithms of ratios to the others, differences from them, or shares of the patients (0 to 1).
SCALES = {
    LOG: Scale(lambda x, others: math.exp(x - others), "times the others", _ratio),
    LINEAR: Scale(lambda x, others: x - others, "above the others", _difference),
    SHARE: Scale(
        lambda x, others: 100 * (x - others), "points above the others", lambda x, half: f"{short(100 * x)}\u00a0%"
    ),
}


@dataclass(frozen=True)
class Level:
    """One centre in one quantity: estimate and limits on the scale on which they were judged."""

    centre_id: str
    family: str
    check_name: str
    quantity: str
    scale: str
    patients: int
    estimate: float
    expected: float
    below: float
    above: float
    severity: str

    @property
    def tension(self) -> float:
        """Distance from what is expected, 1 at the limit on that side."""
        limit = self.above if self.estimate > self.expected else self.below
        difference, distance = abs(self.estimate - self.expected), abs(limit - self.expected)
        return difference / distance if distance else math.inf if difference else 0.0

    def text(self, value: float) -> str:
        """A value of this scale as it is written: shares as they are, others beside what is expected."""
        beside = value if self.scale == SHARE else value - self.expected
        return SCALES[self.scale].text(beside, (self.above - self.below) / 2)

    def against_others(self, value: float) -> float:
        """A value of this scale beside what is expected from the others."""
        return SCALES[self.scale].against(value, self.expected)


def levels(monitored: pd.DataFrame) -> list[Level]:
    """Every centre and quantity that was judged against limits, in the newest submission, in the table's order."""
    numbers = ["estimate", "expected", "look_below", "look_above", "patients"]
    judged = newest(monitored)
    judged = judged[(judged["judged"] == "yes") & judged[numbers].notna().all(axis=1)]
    return [
        Level(
            *(row.centre_id, row.family, row.check_name, row.quantity, row.scale, int(row.patients)),
            *(row.estimate, row.expected, row.look_below, row.look_above),
            severity="" if pd.isna(row.severity) else row.severity,
        )
        for row in judged.itertuples()
    ]


def by_quantity(found: list[Level]) -> dict[tuple[str, str], list[Level]]:
    """Levels of all centres by (check, quantity)."""
    grouped: dict[tuple[str, str], list[Level]] = {}
    for level in found:
        grouped.setdefault((level.check_name, level.quantity), []).append(level)
    return grouped


def most_tension(monitored: pd.DataFrame, most: int = FUNNELS) -> list[list[Level]]:
    """The quantities to draw: those with signals first, then those in which a centre is nearest to its limits."""

    def rank(group: list[Level]) -> tuple[int, float]:
        worst = max(({STOP: 2, LOOK: 1}.get(level.severity, 0) for level in group), default=0)
        return worst, max(level.tension for level in group)

    groups = [group for group in by_quantity(levels(monitored)).values() if len(group) > 1]
    return sorted(groups, key=rank, reverse=True)[:most]


# ------------------------------------------------------------------ in words


def listed_signals(signal: pd.DataFrame, monitored: pd.DataFrame) -> Iterator[dict]:
    """One row per signal of the newest submissions: what a person reads."""
    current = signal.merge(newest(monitored)[["centre_id", "submission"]].drop_duplicates())
    days = dict(zip(current["centre_id"], current["submission"], strict=True))
    for one in signals_of(current):
        yield {
            "centre": one.centre_id,
            "submission": str(pd.Timestamp(days[one.centre_id]).date()),
            "state": state_of(one),
            "family": FAMILIES[one.family],
            "quantity": quantity_label(one.quantity),
            "words": one.in_words,
            "patients": one.patients,
            "rows": ", ".join(map(str, one.rows)),
            "patient_numbers": ", ".join(one.patient_numbers),
            "confirmed": _confirmed(one),
        }


def _confirmed(one: Signal) -> str:
    if one.status != CONFIRMED:
        return "no"
    day = f", {pd.Timestamp(one.confirmed_on).date()}" if one.confirmed_on else ""
    return f"by {one.confirmed_by}{day}: {one.reason}"
