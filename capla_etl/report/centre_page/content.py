"""What stands on a centre's page: one definition for HTML and PDF.

The page leaves the study group: it holds no patient, no value of one, and nothing by which another centre could be
told. Others are given as medians and as dots in the order of their values, on a coarse grid, without code or size; and
not at all if they are fewer than ``OTHERS_FROM``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from capla_etl.centres.submissions import kind_of_data
from capla_etl.centres.submissions.status import STATUSES
from capla_etl.protocol.wording import worded
from capla_etl.quality.centre_quality import DAILY_SHARE
from capla_etl.quality.monitoring.signal import FAMILIES
from capla_etl.report.monitoring import (
    STATES,
    Level,
    by_quantity,
    levels,
    listed_signals,
    newest,
    quantity_label,
    sentence,
)
from capla_etl.report.numbers import NONE, fixed, thousands

#: With fewer other centres, a median or a dot could be told to be one of them.
OTHERS_FROM = 4
#: Two pages hold so many signals, and so many quantities less three for each signal: those nearest to their limits.
MOST_SIGNALS, MOST_LEVELS = 12, 60
#: So many rows of a signal are named on the page.
ROWS_NAMED = 8
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
    rows: list[list[str | Strip]]  # a single text is a heading among the rows
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
    version: str,
) -> CentrePage:
    """What one centre's page shows.

    Args:
        centre_id: the centre.
        quality, status, query, signal, monitored: ``quality.centre_quality``, ``.centre_status``, ``.query``,
            ``.signal``, ``.monitored``, of all centres.
        version: name of the state of the study.

    Raises:
        KeyError: no such centre.
    """
    own = status[status["centre_id"] == centre_id]
    if own.empty:
        raise KeyError(f"centre {centre_id} is not in the warehouse; it has {', '.join(sorted(status['centre_id']))}")
    where = own.iloc[0]
    name = "" if pd.isna(where["name"]) else f" ({where['name']})"
    signals = _signals(centre_id, signal, monitored, status["centre_id"])
    others = int((quality["centre_id"] != centre_id).sum())
    return CentrePage(
        centre_id,
        f"Centre {centre_id}{name}: your data in the study",
        _lead(where, others),
        [
            signals,
            _quality(centre_id, quality),
            _questions(query[query["centre_id"] == centre_id]),
            _levels(centre_id, monitored, MOST_LEVELS - 3 * len(signals.rows)),
        ],
        f"Questions to your centre are in the workbook {centre_id}.xlsx. If the data behind a signal are correct, "
        "please tell us who confirms it, and why; otherwise send a corrected submission. "
        f"Version {version} of the study.",
    )


def _day(value) -> str:
    return "none" if pd.isna(value) else str(pd.Timestamp(value).date())


def _lead(where: pd.Series, others: int) -> list[str]:
    in_study = f"In the study: submission of {_day(where['submission'])}."
    if where["status"] != "current":
        received = f"Newest submission received: {_day(where['received_submission'])}."
        in_study = f"{in_study} {received} {sentence(STATUSES[where['status']])}."
    hidden = "" if others >= OTHERS_FROM else f" They are not shown, because they are fewer than {OTHERS_FROM}."
    return [
        f"{in_study} {kind_of_data.sentence()}",
        f"Compared with {others} other centre{'' if others == 1 else 's'}.{hidden}",
    ]


def _signals(centre_id: str, signal: pd.DataFrame, monitored: pd.DataFrame, centres: Iterable[str]) -> Listing:
    others = "|".join(re.escape(one) for one in centres if one != centre_id)
    rows = [
        [
            STATES[one["state"]],
            one["quantity"],
            re.sub(rf"\b({others})\b", "another centre", one["words"]) if others else one["words"],
            _rows(one),
        ]
        for one in listed_signals(signal, monitored)
        if one["centre"] == centre_id
    ]
    note = "Differences that matter and that neither chance nor the usual differences between centres explain."
    if len(rows) > MOST_SIGNALS:
        note += f" {len(rows) - MOST_SIGNALS} more are not listed: resolve these first."
    return Listing(
        "Signals",
        [Column("Severity", 0.15), Column("Quantity", 0.19), Column("What it looks like", 0.51), Column("Rows", 0.15)],
        rows[:MOST_SIGNALS],
        note if rows else "",
        "No signal: nothing in your newest submission differs from the other centres or in itself beyond its limits.",
    )


def _rows(one: dict) -> str:
    """The first rows of a signal; patients are named in the workbook alone."""
    named = one["rows"].split(", ") if one["rows"] else []
    if not named:
        return "see the workbook" if one["patient_numbers"] else "all"
    return ", ".join(named[:ROWS_NAMED]) + (" ..." if len(named) > ROWS_NAMED else "")


# ------------------------------------------------------------------ levels


def _levels(centre_id: str, monitored: pd.DataFrame, most: int) -> Listing:
    looked = newest(monitored)
    found = levels(monitored)
    groups = by_quantity(found)
    own = {(one.check_name, one.quantity): one for one in found if one.centre_id == centre_id}
    shown = sorted(own, key=lambda key: -own[key].tension)[:most]
    rows: list[list[str | Strip]] = []
    for family, words in FAMILIES.items():
        of_family = [_level_row(own[key], groups[key]) for key in own if key in shown and own[key].family == family]
        rows += [[words], *of_family] if of_family else []
    left = len(own) - len(shown)
    notes = [
        "Diamond: your centre. Dots: the other centres, in order of their values. Band: where a centre of your size is "
        "expected. Percentages are of patients; other quantities are compared with the others (patients of the same "
        "treatment): × a ratio, + and \u2212 a difference."
    ]
    if left:
        notes.append(f"{left} more quantit{'y' if left == 1 else 'ies'}, further from the limits, are not listed.")
    unjudged = looked[(looked["centre_id"] == centre_id) & (looked["judged"] != "yes")]
    if len(unjudged):
        reasons = unjudged["why_not"].str.replace(r"^known in \d+ patients.*", "known in too few patients", regex=True)
        why = "; ".join(f"{reason} ({n})" for reason, n in reasons.value_counts(sort=False).items())
        notes.append(f"Checks that could not be made: {why}.")
    columns = [
        Column("Quantity", 0.42),
        Column("Yours", 0.09, right=True),
        Column("Others", 0.09, right=True),
        Column("Expected", 0.17, right=True),
        Column("Among the others", 0.23),
    ]
    return Listing("Levels", columns, rows, " ".join(notes), "No quantity could be compared with the others.")


def _level_row(own: Level, group: list[Level]) -> list[str | Strip]:
    others = [level for level in group if level.centre_id != own.centre_id]
    may_be_shown = len(others) >= OTHERS_FROM
    places = pd.Series([_on_grid(_place(own, level.estimate)) for level in others if may_be_shown], dtype=float)
    dots = tuple((float(at), int(n)) for at, n in places.value_counts().sort_index().items())
    return [
        quantity_label(own.quantity) + (f": {own.severity}" if own.severity else ""),
        own.text(own.estimate),
        own.text(own.expected) if may_be_shown else NONE,
        f"{own.text(own.below)} to {own.text(own.above)}" if may_be_shown else NONE,
        Strip(_place(own, own.estimate), dots, own.severity),
    ]


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
