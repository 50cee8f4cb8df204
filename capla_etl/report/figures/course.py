"""The course of one patient as a figure, for members of the study: results, treatment and events by day.

Nothing is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from capla_etl.centres.submissions import kind_of_data
from capla_etl.report.figures.study_figures import INK, MUTED, RULE, STYLE, empty_figure

#: Days up to here have equal width; later ones are drawn closer and closer, so that the acute phase stays readable.
_EVEN_DAYS = 14
_TICKS = (0, 2, 4, 6, 8, 10, 12, 14, 21, 30, 45, 60, 90, 180, 365, 730)

#: Width of a letter of an event's name, as a part of the panel's width.
_LETTER = 0.0105

_PLATELETS, _LDH, _ADAMTS13, _DRUG = "#0b6e75", "#b4531a", "#6a51a3", "#c9a227"
_DRUGS = {"caplacizumab": "Caplacizumab", "rituximab": "Rituximab", "corticosteroid": "Corticosteroid"}
_EVENTS = {
    "response": ("Response", "#2e7d32"),
    "refractory": ("Refractory", "#b71c1c"),
    "exacerbation": ("Exacerbation", "#b71c1c"),
    "unclassified_fall": ("Unclassified fall", "#8d6e63"),
    "remission": ("Remission", "#2e7d32"),
    "relapse": ("Relapse", "#b71c1c"),
    "adamts13_recovery": ("ADAMTS13 recovery", "#6a51a3"),
    "death": ("Death", INK),
}


@dataclass(frozen=True)
class Course:
    """What is drawn of one patient.

    Attributes:
        title: who it is.
        daily_series: ``marts.daily_series`` of the patient.
        drug_course: drug, start_day, end_day (either may be unknown).
        event: event_type, day, status of ``marts.event`` under one rule set.
        last_seen_day: last sign of life, or death (``died``); None where there is no day 0.
        platelet_threshold, ldh_threshold, adamts13_thresholds: dashed lines.
    """

    title: str
    daily_series: pd.DataFrame
    drug_course: pd.DataFrame
    event: pd.DataFrame
    last_seen_day: int | None
    died: bool
    platelet_threshold: float
    ldh_threshold: float
    adamts13_thresholds: tuple[float, float]


def course_figure(course: Course) -> Figure:
    """The course of one patient: four panels that share the day axis, events as vertical lines named at the top.

    The day axis is even to day 14 and logarithmic after it. A result below the limit of quantification is drawn as an
    open triangle at its limit.
    """
    import matplotlib
    from matplotlib.ticker import FuncFormatter, NullLocator

    with matplotlib.rc_context(STYLE):
        events = _events_by_day(course.event)
        figure = empty_figure(9.6, 7.4 + 0.16 * len(events))
        grid = figure.add_gridspec(
            4,
            1,
            height_ratios=[3.2, 2, 2, 1.5],
            hspace=0.16,
            left=0.15,
            right=0.965,
            bottom=0.095,
            top=0.93 - 0.022 * len(events),
        )
        panels = [figure.add_subplot(grid[i]) for i in range(4)]
        platelets, ldh, adamts13, treatment = panels
        last_day = _last_day(course)
        for axes in panels:
            axes.set_xscale("symlog", linthresh=_EVEN_DAYS, linscale=1.6)
            axes.set_xlim(-0.6, last_day * 1.06)
            axes.set_xticks([tick for tick in _TICKS if tick <= last_day])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda day, _: f"{day:.0f}"))
            axes.tick_params(axis="x", labelbottom=axes is treatment)
            axes.grid(axis="x", color=RULE, linewidth=0.5)
            axes.set_axisbelow(True)
        for axes, column, label, colour, thresholds in (
            (platelets, "platelets_10e9_per_l", "Platelets,\n10⁹/L", _PLATELETS, (course.platelet_threshold,)),
            (ldh, "ldh_x_uln", "LDH,\n× ULN", _LDH, (course.ldh_threshold,)),
            (adamts13, "adamts13_percent", "ADAMTS13,\n%", _ADAMTS13, course.adamts13_thresholds),
        ):
            _measured(axes, course.daily_series, column, label, colour, thresholds)
        _treatment(treatment, course, last_day)
        treatment.set_xlabel(f"Days from the first plasma exchange (even to day {_EVEN_DAYS}, closer after)")
        _mark_events(panels, events)
        figure.text(0.15, 0.972, course.title, ha="left", va="center", fontsize=12, fontweight="bold")
        figure.text(0.965, 0.972, kind_of_data.short(), ha="right", va="center", fontsize=9, color=MUTED)
        figure.text(0.965, 0.013, _end_text(course), ha="right", va="bottom", fontsize=8, color=MUTED)
    return figure


def _last_day(course: Course) -> float:
    """The last day with something to show, at least the even part of the axis."""
    drugs = course.drug_course[["start_day", "end_day"]].stack().dropna()
    return float(max([_EVEN_DAYS, *course.daily_series["day"], *course.event["day"], *drugs]))


def _end_text(course: Course) -> str:
    if course.last_seen_day is None:
        return "No plasma exchange is known: no day 0."
    return f"{'Died' if course.died else 'Last seen'} on day {course.last_seen_day}."


def _measured(
    axes: Axes, series: pd.DataFrame, column: str, label: str, colour: str, thresholds: tuple[float, ...]
) -> None:
    """One quantity by day, with the thresholds of the protocol."""
    known = series[series[column].notna()]
    limited = (
        known["adamts13_comparator"].notna() if column == "adamts13_percent" else pd.Series(False, index=known.index)
    )
    axes.plot(known["day"], known[column], color=colour, linewidth=1.4, marker="o", markersize=4.5)
    hollow = {"marker": "v", "markersize": 7, "markerfacecolor": "white", "markeredgecolor": colour}
    axes.plot(known.loc[limited, "day"], known.loc[limited, column], linestyle="", **hollow)
    for threshold in thresholds:
        # Two thresholds are close together: the lower one is named below its line, the upper one above.
        above = "center" if len(thresholds) == 1 else "bottom" if threshold == max(thresholds) else "top"
        axes.axhline(threshold, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        style = {"transform": axes.get_yaxis_transform(), "fontsize": 8, "color": MUTED}
        axes.text(1.004, threshold, f"{threshold:g}", ha="left", va=above, **style)
    axes.set_ylim(0, 1.12 * max([*known[column], *thresholds]))
    axes.set_ylabel(label, rotation=0, ha="right", va="center")
    axes.yaxis.set_label_coords(-0.06, 0.5)


def _treatment(axes: Axes, course: Course, last_day: float) -> None:
    """Exchanges as ticks, drugs as bars; a bar says so if its start or end was not recorded."""
    lanes = ["TPE", *[name for drug, name in _DRUGS.items() if (course.drug_course["drug"] == drug).any()]]
    exchanged = course.daily_series[course.daily_series["tpe_sessions"].fillna(0) > 0]
    axes.vlines(exchanged["day"], -0.32, 0.32, color=INK, linewidth=2.2)
    for row in exchanged[exchanged["tpe_sessions"] > 1].itertuples():
        axes.text(row.day, -0.36, f"{int(row.tpe_sessions)}", ha="center", va="bottom", fontsize=8)
    for row in course.drug_course.itertuples():
        lane = lanes.index(_DRUGS[row.drug])
        start, end = row.start_day, row.end_day
        if row.drug == "rituximab":
            axes.plot([start], [lane], marker="D", markersize=6, color=_PLATELETS, linestyle="")
            continue
        left, right = (0 if pd.isna(start) else max(start, -0.5)), (last_day if pd.isna(end) else end)
        colour = _DRUG if row.drug == "caplacizumab" else "#9aa7b0"
        # A day is as wide as from one midnight to the next.
        alpha = 0.45 if pd.isna(start) or pd.isna(end) else 1
        axes.barh(lane, right - left + 0.8, left=left - 0.4, height=0.5, color=colour, alpha=alpha, linewidth=0)
        for unknown, x, words, side in (
            (pd.isna(start), left, "start not recorded ", "left"),
            (pd.isna(end), right, "end not recorded ", "right"),
        ):
            if unknown:
                axes.text(x, lane, words, ha=side, va="center", fontsize=8)
    axes.set_ylim(len(lanes) - 0.45, -0.6)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.tick_params(axis="y", length=0)


def _events_by_day(event: pd.DataFrame) -> list[tuple[int, str, str]]:
    """(day, text, colour) of the events, with one text per day."""
    by_day: dict[int, list[tuple[str, str]]] = {}
    for row in event.itertuples():
        by_day.setdefault(int(row.day), []).append(_EVENTS[row.event_type])
    # ADAMTS13 recovery matters least of the events of a day: it is named last and gives no colour.
    ordered = {
        day: sorted(named, key=lambda one: one == _EVENTS["adamts13_recovery"]) for day, named in sorted(by_day.items())
    }
    return [
        (day, f"{' and '.join(name for name, _ in named)}, day {day}", named[0][1]) for day, named in ordered.items()
    ]


def _mark_events(panels: list[Axes], events: list[tuple[int, str, str]]) -> None:
    """A line through every panel, and its name above the first; a name near the right edge stands left of its line."""
    for number, (day, text, colour) in enumerate(events):
        for axes in panels:
            axes.axvline(day, color=colour, linewidth=1.1, alpha=0.75)
        height = 6 + 14 * (len(events) - 1 - number)
        low, high = panels[0].transData.transform([(-0.6, 0), (panels[0].get_xlim()[1], 0)])[:, 0]
        place = (panels[0].transData.transform((day, 0))[0] - low) / (high - low)
        side = "right" if place + _LETTER * len(text) > 1 else "left"
        style = {"xycoords": panels[0].get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
        panels[0].annotate(
            text,
            (day, 1),
            xytext=(-3 if side == "right" else 3, height),
            ha=side,
            va="center",
            fontsize=9,
            color=colour,
            # A name left of its line covers the lines of earlier events instead of being crossed by them.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            zorder=4 + number,
            **style,
        )
        line = {"arrowstyle": "-", "color": colour, "linewidth": 1.1, "alpha": 0.75, "shrinkA": 0, "shrinkB": 0}
        panels[0].annotate("", (day, 1), xytext=(0, height + 5), arrowprops=line, **style)


def save_course(figure: Figure, path: Path) -> None:
    """Write the figure as PNG or SVG, by the name of the file; the same bytes for the same figure.

    Raises:
        ValueError: another kind of file.
    """
    import matplotlib

    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ValueError(f"a course is drawn as .png or .svg, not {path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, format=kind, dpi=150, facecolor="white", metadata=metadata)
