"""What stands on a centre's page: one definition for HTML and PDF.

The page leaves the study group: it holds no patient, no value of one, and nothing by which another centre could be told.
Others are given as medians and as dots in the order of their values, on a coarse grid, without code or size; and not at
all if they are fewer than ``OTHERS_FROM``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from capla_etl.centres.submissions.status import STATUSES
from capla_etl.protocol.wording import worded
from capla_etl.quality.centre_quality import DAILY_SHARE
from capla_etl.report.monitoring import (
    NOT_JUDGED,
    STATES,
    Level,
    by_quantity,
    levels,
    listed_signals,
    newest,
    scale_of,
    sentence,
)
from capla_etl.report.numbers import NONE, fixed, short, thousands

SYNTHETIC = "Synthetic data: no record of a real person is here."
#: With fewer other centres, a median or a dot could be told to be one of them.
OTHERS_FROM = 4
#: At most this many quantities are listed, those nearest to their limits.
MOST_LEVELS = 22
#: The strip of a level goes from this many limits below what is expected to as many above, in steps of this size.
REACH, STEP = 2.5, 0.25


@dataclass(frozen=True)
class Column:
    """A column of a listing; ``share``: of the page's width; ``right``: numbers."""

    heading: str
    share: float
    right: bool = False


@dataclass(frozen=True)
class Strip:
    """A centre's level among the others on one axis, as parts of its length (0 to 1).

    ``own``: the centre. ``others``: (place, how many dots stand there). ``below``, ``above``: the limits of "look".
    """

    own: float
    others: tuple[tuple[float, int], ...]
    severity: str
    below: float = (REACH - 1) / (2 * REACH)
    above: float = (REACH + 1) / (2 * REACH)


@dataclass(frozen=True)
class Listing:
    """A section: heading, a note above the rows, columns, rows of texts or strips, and what is said without rows."""

    heading: str
    columns: list[Column]
    rows: list[list[str | Strip]]
    note: str = ""
    empty: str = ""


@dataclass(frozen=True)
class CentrePage:
    """Everything that a centre's page shows, in its order."""

    centre_id: str
    title: str
    lead: list[str]
    sections: list[Listing] = field(default_factory=list)
    foot: str = ""


#: Shares of eligible patients: column of quality.centre_quality -> what it is, and of whom.
_COMPLETE = {
    "platelets_day0_n": ("Platelet count on day 0", "eligible"),
    "ldh_day0_n": ("LDH on day 0", "eligible"),
    "adamts13_presentation_n": ("ADAMTS13 activity at presentation", "eligible"),
    "daily_counts_n": (f"Counts on {100 * DAILY_SHARE:.0f} % of the days to response", "eligible"),
    "outcome_known_n": ("Alive or dead at day {follow_up_days}", "eligible"),
    "adverse_events_assessed_n": ("Bleeding assessed, under caplacizumab", "caplacizumab"),
}
#: Days: column of quality.centre_quality -> what it is.
_TIMELY = {
    "days_behind_newest_cut_off": "Days behind the newest data cut-off",
    "days_from_last_record_to_cut_off": "Days from the last record to the cut-off",
}


def centre_page(
    centre_id: str,
    quality: pd.DataFrame,
    status: pd.DataFrame,
    query: pd.DataFrame,
    signal: pd.DataFrame,
    monitored: pd.DataFrame,
) -> CentrePage:
    """What one centre's page shows.

    Args:
        centre_id: the centre.
        quality, status, query, signal, monitored: ``quality.centre_quality``, ``.centre_status``, ``.query``,
            ``.signal``, ``.monitored``, of all centres.

    Raises:
        KeyError: no such centre.
    """
    own = status[status["centre_id"] == centre_id]
    if own.empty:
        raise KeyError(f"centre {centre_id} is not in the warehouse; it has {', '.join(sorted(status['centre_id']))}")
    where = own.iloc[0]
    name = "" if pd.isna(where["name"]) else f" ({where['name']})"
    others = int((quality["centre_id"] != centre_id).sum())
    return CentrePage(
        centre_id,
        f"Centre {centre_id}{name}: your data in the study",
        _lead(where, others),
        [
            _signals(centre_id, signal, monitored, status["centre_id"]),
            _levels(centre_id, monitored),
            _quality(centre_id, quality),
            _questions(query[query["centre_id"] == centre_id]),
        ],
        f"Questions to the centre are in the workbook {centre_id}.xlsx. If a signal is correct as it is, please tell us "
        "who confirms it, and why; otherwise send a corrected submission.",
    )


def _day(value) -> str:
    return "none" if pd.isna(value) else str(pd.Timestamp(value).date())


def _lead(where: pd.Series, others: int) -> list[str]:
    in_study = f"In the study: submission of {_day(where['submission'])}."
    if where["status"] != "current":
        received = f"Newest submission received: {_day(where['received_submission'])}."
        in_study = f"{in_study} {received} {sentence(STATUSES[where['status']])}."
    hidden = "" if others >= OTHERS_FROM else f" They are not shown, because they are fewer than {OTHERS_FROM}."
    return [f"{in_study} {SYNTHETIC}", f"Compared with {others} other centre{'' if others == 1 else 's'}.{hidden}"]


def _signals(centre_id: str, signal: pd.DataFrame, monitored: pd.DataFrame, centres: Iterable[str]) -> Listing:
    others = "|".join(re.escape(one) for one in centres if one != centre_id)
    rows = [
        [
            STATES[one["state"]],
            one["quantity"],
            re.sub(rf"\b({others})\b", "another centre", one["words"]) if others else one["words"],
            one["rows"] or "all",
        ]
        for one in listed_signals(signal, monitored)
        if one["centre"] == centre_id
    ]
    return Listing(
        "Signals",
        [Column("Severity", 0.15), Column("Quantity", 0.19), Column("What it looks like", 0.51), Column("Rows", 0.15)],
        rows,
        "Differences that matter and that neither chance nor the usual differences between centres explain."
        if rows
        else "",
        "No signal: nothing in your newest submission differs from the other centres or in itself beyond its limits.",
    )


# ------------------------------------------------------------------ levels


def _levels(centre_id: str, monitored: pd.DataFrame) -> Listing:
    looked = newest(monitored)
    groups = by_quantity(levels(monitored))
    own = {key: one for key, group in groups.items() for one in group if one.centre_id == centre_id}
    shown = sorted(own, key=lambda key: -own[key].tension)[:MOST_LEVELS]
    rows = [_level_row(own[key], groups[key]) for key in own if key in shown]
    left = len(own) - len(shown)
    notes = [
        "Diamond: your centre. Dots: the other centres, in order of their values. Band: where a centre of your size is "
        "expected."
    ]
    if left:
        notes.append(f"{left} more quantit{'y' if left == 1 else 'ies'}, further from the limits, are not listed.")
    unjudged = looked[(looked["centre_id"] == centre_id) & (looked["judged"] != "yes")]
    if len(unjudged):
        why = "; ".join(f"{reason} ({n})" for reason, n in unjudged["why_not"].value_counts(sort=False).items())
        notes.append(f"{sentence(NOT_JUDGED)}: {why}.")
    columns = [
        Column("Quantity", 0.28),
        Column("Yours", 0.1, right=True),
        Column("Others", 0.1, right=True),
        Column("Limits", 0.17, right=True),
        Column("Among the others", 0.35),
    ]
    return Listing("Levels", columns, rows, " ".join(notes), "No quantity could be compared with the others.")


def _level_row(own: Level, group: list[Level]) -> list[str | Strip]:
    natural, unit = scale_of(own.scale).natural, "\u00a0%" if own.scale == "logit" else ""
    others = [level for level in group if level.centre_id != own.centre_id]
    may_be_shown = len(others) >= OTHERS_FROM
    yours, expected, below, above = (
        _figures(natural(value)) for value in (own.estimate, own.expected, own.below, own.above)
    )
    places = pd.Series([_on_grid(_place(own, level.estimate)) for level in others if may_be_shown], dtype=float)
    dots = tuple((float(at), int(n)) for at, n in places.value_counts().sort_index().items())
    check = "" if own.check_name == "level" else f" ({own.check_name.replace('_', ' ')})"
    return [
        f"{sentence(own.quantity)}{check}{f': {own.severity}' if own.severity else ''}",
        yours + unit,
        expected + unit if may_be_shown else NONE,
        f"{below} to {above}{unit}" if may_be_shown else NONE,
        Strip(_place(own, own.estimate), dots, own.severity),
    ]


def _figures(value: float) -> str:
    """A number with three significant figures, and no fewer digits before the point than it has."""
    return short(value, max(0, 2 - math.floor(math.log10(abs(value))))) if value else "0"


def _place(own: Level, value: float) -> float:
    """Place of a value on the strip of a level: in distances of its limits, at most ``REACH`` of them."""
    limit = own.above if value > own.expected else own.below
    distance = abs(limit - own.expected) or 1.0
    return (min(max((value - own.expected) / distance, -REACH), REACH) + REACH) / (2 * REACH)


def _on_grid(place: float) -> float:
    """The place on a coarse grid, from which no exact value can be read."""
    steps = round(2 * REACH / STEP)
    return round(place * steps) / steps


# ------------------------------------------------------------------ completeness, timeliness, questions


def _quality(centre_id: str, quality: pd.DataFrame) -> Listing:
    columns = [Column("", 0.5), Column("Yours", 0.25, right=True), Column("Median of the others", 0.25, right=True)]
    of_centre, others = quality[quality["centre_id"] == centre_id], quality[quality["centre_id"] != centre_id]
    heading = "Completeness and timeliness"
    if of_centre.empty:
        return Listing(heading, columns, [], "", "No submission of yours is in the study.")
    own = of_centre.iloc[0]
    rows = []
    for column, (what, of) in _COMPLETE.items():
        n, total = int(own[column]), int(own[of])
        share = f"{fixed(100 * n / total, 0)}\u00a0% ({n} of {total})" if total else NONE
        shares = 100 * others[column] / others[of].where(others[of] > 0)
        rows.append([worded(what), share, _median(shares, "\u00a0%")])
    for column, what in _TIMELY.items():
        days = NONE if pd.isna(own[column]) else thousands(own[column])
        rows.append([what, days, _median(others[column], "")])
    refused = f"{thousands(own['rows_quarantined'])} rows, {thousands(own['values_quarantined'])} single values"
    rows.append(["Refused", refused, ""])
    return Listing(heading, columns, rows, "Of your eligible patients, unless the line says otherwise.")


def _median(values: pd.Series, unit: str) -> str:
    known = pd.to_numeric(values, errors="coerce").dropna()
    return f"{fixed(known.median(), 0)}{unit}" if len(known) >= OTHERS_FROM else NONE


def _questions(query: pd.DataFrame) -> Listing:
    columns = [Column("Kind", 0.6), Column("Open", 0.2, right=True), Column("Answered", 0.2, right=True)]
    counted = query.assign(is_open=query["status"] == "open").groupby("category", sort=True)["is_open"]
    rows = [[sentence(category), thousands(own.sum()), thousands(len(own) - own.sum())] for category, own in counted]
    return Listing("Questions to your centre", columns, rows, "", "No question.")
