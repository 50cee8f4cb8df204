"""Central monitoring as figures: centre by check, and funnel plots. Nothing is judged here."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from capla_etl.quality.monitoring.signal import FAMILIES, LOOK, STOP
from capla_etl.quality.monitoring.watched import LOG
from capla_etl.report.figures.study_figures import (
    COLOURS,
    INK,
    MUTED,
    RULE,
    SOFT,
    STYLE,
    SURFACE,
    WARM,
    empty_figure,
    say_kind_of_data,
)
from capla_etl.report.monitoring import (
    CONFIRMED,
    NOT_JUDGED,
    NOTHING,
    SCALES,
    STATES,
    Grid,
    Level,
    check_label,
    grid,
    most_tension,
    quantity_label,
)

#: The figures of central monitoring, and what stands beneath them.
CAPTIONS = {
    "monitoring_grid": "Central monitoring: every centre by every check",
    "monitoring_funnels": "Funnel plots: each centre's level beside that of the others, by its number of patients",
}
_STRONG = COLOURS["control"]


@dataclass(frozen=True)
class Mark:
    """How a state is drawn; the letter tells it apart without colour."""

    letter: str
    fill: str
    edge: str
    ink: str


MARKS = {
    STOP: Mark("S", _STRONG, _STRONG, SURFACE),
    LOOK: Mark("L", WARM, _STRONG, INK),
    CONFIRMED: Mark("C", SURFACE, MUTED, INK),
    NOTHING: Mark("·", SOFT, SOFT, MUTED),
    NOT_JUDGED: Mark("/", SURFACE, RULE, MUTED),
}

# ------------------------------------------------------------------ centre by check

#: Inches: width of the figure and of the centres' names; height of a row and of the legend; length of a letter.
_WIDTH, _NAMES, _ROW, _LEGEND, _LETTER = 8.4, 0.62, 0.25, 0.55, 0.078
#: At most this many columns are as wide as a row is high and a half.
_WIDEST = 0.38


def _columns(found: Grid) -> list[tuple[str, int | None]]:
    """Headings of the columns: each family before its checks, with the place of the check (None for a family)."""
    columns: list[tuple[str, int | None]] = []
    family = None
    for place, (of, check) in enumerate(found.checks):
        if of != family:
            columns.append((FAMILIES[of], None))
            family = of
        columns.append((check_label(check), place))
    return columns


def _grid_box(found: Grid) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of the cells as parts of the figure."""
    height = _grid_height(found)
    columns = len(_columns(found))
    right = min(_NAMES + columns * _WIDEST, _WIDTH - 0.1)
    bottom = _LEGEND / height
    return _NAMES / _WIDTH, bottom, right / _WIDTH, bottom + _ROW * len(found.centres) / height


def _grid_height(found: Grid) -> float:
    """Inches: the longest heading, the rows, and the legend."""
    return 0.2 + _LETTER * max(len(heading) for heading, _ in _columns(found)) + _ROW * len(found.centres) + _LEGEND


def grid_figure(found: Grid) -> Figure:
    """Every centre (rows) by every check (columns, by family); a mark in each cell, and a legend beneath."""
    import matplotlib

    with matplotlib.rc_context(STYLE | {"font.size": 8.5}):
        figure = empty_figure(_WIDTH, _grid_height(found))
        left, bottom, right, top = _grid_box(found)
        axes = figure.add_axes((left, bottom, right - left, top - bottom))
        columns = _columns(found)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(found.centres), 0)
        axes.axis("off")
        for row, centre in enumerate(found.centres):
            axes.text(-0.25, row + 0.5, centre, ha="right", va="center", color=INK)
        for x, (heading, place) in enumerate(columns):
            style = {"fontweight": "bold"} if place is None else {}
            axes.text(x + 0.5, -0.25, heading, rotation=90, ha="center", va="bottom", color=INK, **style)
            for row in range(len(found.centres)):
                if place is not None and (state := found.cells[row][place].state):
                    _mark(axes, x, row, MARKS[state])
        _legend(figure, found)
        say_kind_of_data(figure, 0.985, 0.008)
    return figure


def _mark(axes: Axes, x: float, y: float, mark: Mark, width: float = 0.92) -> None:
    from matplotlib.patches import Rectangle

    gap = (1 - width) / 2
    axes.add_patch(Rectangle((x + gap, y + 0.06), width, 0.88, facecolor=mark.fill, edgecolor=mark.edge, linewidth=0.8))
    axes.text(x + 0.5, y + 0.53, mark.letter, ha="center", va="center_baseline", color=mark.ink, fontweight="bold")


def _legend(figure: Figure, found: Grid) -> None:
    """The marks and what they mean, in one line."""
    axes = figure.add_axes((_NAMES / _WIDTH, 0.2 / _grid_height(found), 0.9, _ROW / _grid_height(found)))
    axes.axis("off")
    axes.set_xlim(0, _WIDTH * 0.9 / _ROW)
    axes.set_ylim(1, 0)
    x = 0.0
    for state, words in STATES.items():
        _mark(axes, x, 0, MARKS[state])
        axes.text(x + 1.25, 0.53, words, ha="left", va="center_baseline", color=INK)
        x += 2.0 + 0.066 * len(words) / _ROW


def grid_hover(found: Grid) -> dict:
    """What is said of each cell at the pointer: centre by centre (x, y, text), places in parts of the figure."""
    left, bottom, right, top = _grid_box(found)
    columns = _columns(found)
    width, height = (right - left) / len(columns), (top - bottom) / len(found.centres)
    points = [
        [
            [left + width * (x + 0.5), 1 - top + height * (row + 0.5), cells[place].words]
            for x, (_, place) in enumerate(columns)
            if place is not None
        ]
        for row, cells in enumerate(found.cells)
    ]
    return {"kind": "points", "width": width, "height": height, "rows": points}


# ------------------------------------------------------------------ funnel plots

_ACROSS = 2
#: Inches: a panel's height; the margins of its axes: left, right, top, bottom.
_PANEL, _MARGINS = 2.75, (0.62, 0.12, 0.36, 0.5)
#: Inches beneath the last panels.
_FOOT = 0.42


def _panel_box(place: int, count: int) -> tuple[float, float, float, float]:
    """Left, bottom, width, height of a panel's axes as parts of the figure."""
    rows = math.ceil(count / _ACROSS)
    height, width = rows * _PANEL + _FOOT, _WIDTH / _ACROSS
    left, right, top, bottom = _MARGINS
    row, column = divmod(place, _ACROSS)
    y = _FOOT + (rows - 1 - row) * _PANEL + bottom
    return (
        (column * width + left) / _WIDTH,
        y / height,
        (width - left - right) / _WIDTH,
        (_PANEL - top - bottom) / height,
    )


def _limits(group: list[Level]) -> tuple[float, float, float, float]:
    """First and last number of patients (on a log scale), lowest and highest value of a panel."""
    patients = [level.patients for level in group]
    values = [
        level.against_others(value)
        for level in group
        for value in (level.estimate, level.below, level.above, level.expected)
    ]
    if group[0].scale == LOG:
        spare = (max(values) / min(values)) ** 0.06
        return min(patients) / 1.25, max(patients) * 1.35, min(values) / spare, max(values) * spare
    spare = 0.06 * (max(values) - min(values) or 1)
    return min(patients) / 1.25, max(patients) * 1.35, min(values) - spare, max(values) + spare


def _part(value: float, low: float, high: float, log: bool) -> float:
    """Place of a value on an axis, 0 at its beginning and 1 at its end."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def funnels_figure(groups: list[list[Level]]) -> Figure:
    """A funnel plot for each quantity: patients (x, log scale), level against the others (y), limits of "look".

    Args:
        groups: for each panel the levels of all centres.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE | {"font.size": 8.5}):
        figure = empty_figure(_WIDTH, math.ceil(len(groups) / _ACROSS) * _PANEL + _FOOT)
        for place, group in enumerate(groups):
            _funnel(figure.add_axes(_panel_box(place, len(groups))), sorted(group, key=lambda level: level.patients))
        figure.text(
            0.015,
            0.012,
            "Square: stop.  Triangle: look.  Circle: no signal.  Dashed: limits for a centre of that size.",
            ha="left",
            va="bottom",
            fontsize=8,
            color=INK,
        )
        say_kind_of_data(figure, 0.985, 0.012)
    return figure


_POINTS = {
    STOP: {"marker": "s", "markersize": 6.5, "color": _STRONG},
    LOOK: {"marker": "^", "markersize": 6.5, "color": _STRONG, "markerfacecolor": SURFACE, "markeredgewidth": 1.4},
    "": {"marker": "o", "markersize": 4.5, "color": COLOURS["caplacizumab"]},
}


def _funnel(axes: Axes, group: list[Level]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    first, last, low, high = _limits(group)
    log = group[0].scale == LOG
    axes.set_xscale("log")
    axes.set_xlim(first, last)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    patients = [level.patients for level in group]
    middle = group[0].against_others(group[0].expected)
    for limit in ("below", "above"):
        values = [level.against_others(getattr(level, limit)) for level in group]
        axes.plot(patients, values, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.axhline(middle, color=RULE, linewidth=0.9, zorder=0)
    for level in group:
        value = level.against_others(level.estimate)
        axes.plot([level.patients], [value], linestyle="", **_POINTS[level.severity])
    _name_points(axes, group)
    axes.xaxis.set_major_locator(FixedLocator([n for n in _TICKS if first <= n <= last]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    if log:
        axes.yaxis.set_major_locator(FixedLocator(_ratio_ticks(low, high)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("Patients", labelpad=1)
    title = textwrap.fill(f"{quantity_label(group[0].quantity)}: {SCALES[group[0].scale].said}", 58)
    axes.text(-0.13, 1.04, title, transform=axes.transAxes, fontsize=8.5, fontweight="bold", color=INK)


#: Numbers of patients at which the axis may have a tick.
_TICKS = [a * 10**b for b in range(6) for a in (1, 2, 5)]


def _ratio_ticks(low: float, high: float) -> list[float]:
    """Four to eight ticks of a log axis of ratios: the coarsest steps that give so many."""
    steps = (
        [10.0**k for k in range(-8, 9)],
        [a * 10.0**k for k in range(-4, 5) for a in (1, 2, 5)],
        [a * 10.0**k for k in range(-4, 5) for a in (1, 1.5, 2, 3, 5, 7)],
        [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4],
        [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4],
        [0.9 + 0.01 * k for k in range(21)],
    )
    found = [[tick for tick in ticks if low <= tick <= high] for ticks in steps]
    return next((ticks for ticks in found if len(ticks) >= 4), found[-1])


#: Where a name may stand beside its point, in points: the nearest free place is taken.
_PLACES = [
    (dx * far, dy * far, "left" if dx > 0 else "right" if dx < 0 else "center")
    for far in (1, 1.9, 3)
    for dx, dy in ((6, 0), (-6, 0), (5, 7), (-5, 7), (5, -7), (-5, -7), (0, 10), (0, -10))
]


def _name_points(axes: Axes, group: list[Level]) -> None:
    """Write each centre's code beside its point, where nothing stands yet; a name without a place is left out."""
    scale = 72 / axes.figure.dpi
    box = axes.get_window_extent()
    width, height = 22.0, 7.5  # points that a code of four letters takes
    points = [
        tuple(v * scale for v in axes.transData.transform((level.patients, level.against_others(level.estimate))))
        for level in group
    ]
    taken = [(x - 3.5, y - 3.5, x + 3.5, y + 3.5) for x, y in points]
    left, bottom, right, top = (v * scale for v in (box.x0, box.y0, box.x1, box.y1))
    # Those outside their limits are named first.
    for level, (x, y) in sorted(zip(group, points, strict=True), key=lambda pair: -pair[0].tension):
        for dx, dy, align in _PLACES:
            start = x + dx - {"left": 0, "center": width / 2, "right": width}[align]
            own = (start, y + dy - height / 2, start + width, y + dy + height / 2)
            inside = own[0] >= left and own[2] <= right and own[1] >= bottom and own[3] <= top
            if inside and not any(_overlap(own, other) for other in taken):
                taken.append(own)
                far = abs(dx) + abs(dy) > 14
                line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
                axes.annotate(
                    level.centre_id,
                    (level.patients, level.against_others(level.estimate)),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha=align,
                    va="center",
                    fontsize=7,
                    color=INK,
                    fontweight="bold" if level.severity else "normal",
                    bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
                    arrowprops=line if far else None,
                )
                break


def _overlap(one: tuple, other: tuple) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def funnels_hover(groups: list[list[Level]]) -> dict:
    """What is said of each centre at the pointer: panel by panel (x, y, text), places in parts of the figure."""
    rows = []
    for place, group in enumerate(groups):
        left, bottom, width, height = _panel_box(place, len(groups))
        first, last, low, high = _limits(group)
        log = group[0].scale == LOG
        rows.append(
            [
                [
                    left + width * _part(level.patients, first, last, True),
                    1 - bottom - height * _part(level.against_others(level.estimate), low, high, log),
                    _said(level),
                ]
                for level in sorted(group, key=lambda level: level.patients)
            ]
        )
    return {"kind": "points", "width": 0.02, "height": 0.02 * _WIDTH / _funnels_height(groups), "rows": rows}


def _funnels_height(groups: list[list[Level]]) -> float:
    return math.ceil(len(groups) / _ACROSS) * _PANEL + _FOOT


def _said(level: Level) -> str:
    scale = SCALES[level.scale]
    own, below, above = (level.against_others(v) for v in (level.estimate, level.below, level.above))
    state = STATES.get(level.severity, "no signal")
    return (
        f"{level.centre_id}, {quantity_label(level.quantity)}: {own:.3g} {scale.said} "
        f"(limits {below:.3g} to {above:.3g}); {level.patients} patients; {state}."
    )


# ------------------------------------------------------------------ both


def monitoring_figures(signal: pd.DataFrame, monitored: pd.DataFrame) -> tuple[dict[str, Figure], dict[str, dict]]:
    """The figures of central monitoring by name, and what each says at the pointer.

    Args:
        signal, monitored: ``quality.signal``, ``quality.monitored``.
    """
    if monitored.empty:
        return {}, {}
    found, groups = grid(signal, monitored), most_tension(monitored)
    drawn, said = {"monitoring_grid": grid_figure(found)}, {"monitoring_grid": grid_hover(found)}
    if groups:
        drawn["monitoring_funnels"], said["monitoring_funnels"] = funnels_figure(groups), funnels_hover(groups)
    return drawn, said
