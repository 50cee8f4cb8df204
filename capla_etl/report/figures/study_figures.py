"""The study's figures as matplotlib figures. The numbers come from ``study``; nothing is estimated here."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from capla_etl.report.printed_tables import PrintedTable

from capla_etl.centres.submissions import kind_of_data
from capla_etl.tables.labels import COVARIATE_LABELS, GROUPS, SENSITIVITY_OUTCOMES

#: The ratios that a forest plot shows, by the abbreviation printed before each.
RATIO_NAMES = {"hazard_ratio": "HR", "risk_ratio": "RR", "odds_ratio": "OR", "subdistribution_hazard_ratio": "sHR"}

# Safe for colour-blind readers; the report replaces these and the inks by its own, for light and dark.
COLOURS = {"caplacizumab": "#0b6e75", "control": "#b4531a", "early": "#0b6e75", "delayed": "#6a51a3"}
DASHES = {"caplacizumab": "-", "control": (0, (6, 2)), "early": "-", "delayed": (0, (2, 1.6))}
INK, MUTED, RULE = "#1c2a33", "#5b6b76", "#cfd8dd"
#: The page itself, a quiet and a warm ground.
SURFACE, SOFT, WARM = "#fefefe", "#f0f5f5", "#f9ebe1"

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "capla",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
}


#: Said on a figure of a protecting profile.
_ROUNDED = "From rounded counts: the exact curve lies somewhere in the shaded range"
#: Width of a curve: an exact one (False) leads the eye, of a rounded one (True) the range does.
_WIDTH = {False: 2.0, True: 1.0}
#: Where the day axis of a figure of curves begins and ends, as parts of its width; its length in last days.
_AXIS_LEFT, _AXIS_RIGHT, _AXIS_SPARE = 0.145, 0.975, 1.012
#: Where curves and numbers at risk begin and end, as parts of the height; their distance in their mean height.
_TOP, _BOTTOM, _BETWEEN = 0.97, 0.045, 0.34
#: Where the plot of the balance of covariates lies: left, bottom, width, height as parts of the figure.
_BALANCE_AXES = (0.27, 0.19, 0.7, 0.72)


def _risk_height(groups: int) -> float:
    """Height of the numbers at risk where that of the curves is ten."""
    return 0.75 * groups + 0.9


def _curves_end(groups: int) -> float:
    """Where the curves' axes end, as a part of the figure's height from its top (matplotlib's gridspec)."""
    both = 2 * (_TOP - _BOTTOM) / (2 + _BETWEEN)
    return 1 - _TOP + both * 10 / (10 + _risk_height(groups))


def empty_figure(width: float, height: float) -> Figure:
    """An empty figure, without global state of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def say_kind_of_data(figure: Figure, x: float = 0.975, y: float = 0.012) -> None:
    """Say on a figure whether its data are synthetic."""
    figure.text(x, y, kind_of_data.short(), ha="right", va="bottom", fontsize=8, color=MUTED)


def _canvas(groups: int, y_label: str, days: int, rounded: bool = False) -> tuple[Figure, Axes, Axes]:
    """A figure with the curves above and the numbers at risk beneath, sharing the day axis."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = empty_figure(8.4, 4.7 + 0.22 * groups)
        grid = figure.add_gridspec(
            2,
            1,
            height_ratios=[10, _risk_height(groups)],
            hspace=_BETWEEN,
            left=_AXIS_LEFT,
            right=_AXIS_RIGHT,
            top=_TOP,
            bottom=_BOTTOM,
        )
        curves, risk = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        curves.set_xlabel("Days from the first plasma exchange")
        curves.set_ylabel(y_label)
        ticks = list(range(0, days + 1, 15))
        for axes in (curves, risk):
            axes.set_xlim(0, days * _AXIS_SPARE)
            axes.set_xticks(ticks)
        curves.grid(axis="y", color=RULE, linewidth=0.7)
        curves.set_axisbelow(True)
        risk.axis("off")
        say_kind_of_data(figure)
        if rounded:
            figure.text(0.012, 0.012, _ROUNDED, ha="left", va="bottom", fontsize=8, color=MUTED)
    return figure, curves, risk


def _numbers_at_risk(axes: Axes, curve: pd.DataFrame, groups: list[str], title: str) -> None:
    days = [day for day in axes.get_xticks() if day <= curve["day"].max()]
    axes.set_ylim(len(groups) - 0.4, -1.2)
    style = {"va": "center", "fontsize": 9}
    left = style | {"ha": "right", "transform": axes.get_yaxis_transform()}
    axes.text(-0.012, -0.9, title, color=MUTED, **left)
    for line, group in enumerate(groups):
        at_risk = curve[curve["group"] == group].set_index("day")["at_risk"]
        axes.text(-0.012, line, GROUPS[group], color=COLOURS[group], **left)
        for day in days:
            shown = "[c]" if math.isnan(at_risk[day]) else f"{int(at_risk[day])}"
            axes.text(day, line, shown, ha="left" if day == 0 else "center", color=INK, **style)


def _band(axes: Axes, own: pd.DataFrame, colour: str) -> None:
    """The band of one group, if it has limits."""
    if own[["lower", "upper"]].notna().any(axis=None):
        limits = (100 * own[name] for name in ("lower", "upper"))
        axes.fill_between(own["day"], *limits, step="post", color=colour, alpha=0.13, linewidth=0)


def _curve(axes: Axes, own: pd.DataFrame, column: str, group: str, **style) -> None:
    style = {"drawstyle": "steps-post", "color": COLOURS[group], "linestyle": DASHES[group]} | style
    axes.plot(own["day"], 100 * own[column], **style)


def survival_figure(curve: pd.DataFrame, rounded: bool = False) -> Figure:
    """Survival by group with 95 % bands and numbers at risk.

    Args:
        curve: ``study.survival_curve``: group, day, at_risk, survival, lower, upper (fractions).
        rounded: the curve is that of a protecting profile: its band is where the exact curve lies, and says so.

    Returns:
        A figure whose survival axis starts just below the lowest limit (its label says so) and ends at 100 %.
    """
    import matplotlib

    groups = list(dict.fromkeys(curve["group"]))
    days = int(curve["day"].max())
    lowest = curve[["survival", "lower"]].min().min()
    floor = 0 if pd.isna(lowest) else max(0, 5 * math.floor((100 * lowest - 1) / 5))
    label = "Alive, %" if floor == 0 else f"Alive, % (axis starts at {floor} %)"
    figure, axes, risk = _canvas(len(groups), label, days, rounded)
    with matplotlib.rc_context(STYLE):
        for group in groups:
            own = curve[curve["group"] == group]
            _band(axes, own, COLOURS[group])
            _curve(axes, own, "survival", group, linewidth=_WIDTH[rounded], label=GROUPS[group])
        axes.set_ylim(floor, 100.4)
        axes.legend(frameon=False, loc="lower left", handlelength=2.6)
        _numbers_at_risk(risk, curve, groups, "Number at risk")
    return figure


def response_incidence_figure(curve: pd.DataFrame, rounded: bool = False) -> Figure:
    """Cumulative incidence of clinical response by group, death competing, with 95 % bands and numbers at risk.

    Args:
        curve: ``study.response_incidence_curve``: group, day, at_risk, incidence, lower, upper, death_incidence
            (fractions).
        rounded: as for ``survival_figure``.

    Returns:
        A figure; thin lines at the bottom are death without response.
    """
    return _incidence_figure(curve, "thin: death without response", "center right", rounded)


def adamts13_incidence_figure(curve: pd.DataFrame, rounded: bool = False) -> Figure:
    """Cumulative incidence of ADAMTS13 recovery by group (death competing), as ``response_incidence_figure``.

    Args:
        curve: ``study.adamts13_incidence_curve``.
        rounded: as for ``survival_figure``.
    """
    return _incidence_figure(curve, "thin: death without recovery", "upper left", rounded)


def _incidence_figure(curve: pd.DataFrame, thin: str, legend: str, rounded: bool) -> Figure:
    import matplotlib

    groups = list(dict.fromkeys(curve["group"]))
    figure, axes, risk = _canvas(len(groups), "Cumulative incidence, %", int(curve["day"].max()), rounded)
    with matplotlib.rc_context(STYLE):
        for group in groups:
            own = curve[curve["group"] == group]
            _band(axes, own, COLOURS[group])
            _curve(axes, own, "incidence", group, linewidth=_WIDTH[rounded], label=GROUPS[group])
            _curve(axes, own, "death_incidence", group, linewidth=0.9)
        axes.plot([], [], color=MUTED, linewidth=0.9, label=thin)
        axes.set_ylim(0, 100.4)
        axes.legend(frameon=False, loc=legend, handlelength=2.6)
        _numbers_at_risk(risk, curve, groups, "At risk")
    return figure


# Rows that the headings above and the axis below a forest plot take.
_FOREST_ABOVE, _FOREST_BELOW = 2.4, 2.6


def forest_figure(table: PrintedTable, results: pd.DataFrame) -> Figure:
    """Forest plot of Table 8: every ratio with its interval, one section for each outcome and rule set.

    Args:
        table: Table 8 as printed (``tables.printed_sensitivity``).
        results: ``study.result``.

    Returns:
        A figure with counts and effects as text on a logarithmic axis that all rows share. An interval that leaves the
        axis ends in an arrow; an effect that is not estimable has no mark.
    """
    import matplotlib

    low, high = 0.02, 8
    lines = _forest_lines(table, results)
    inches = 0.165
    above, below = _FOREST_ABOVE, _FOREST_BELOW
    with matplotlib.rc_context(STYLE | {"font.size": 8}):
        figure = empty_figure(8.4, inches * (len(lines) + above + below))
        height = len(lines) * inches / figure.get_figheight()
        axes = figure.add_axes((0.565, below * inches / figure.get_figheight(), 0.235, height))
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.axvline(1, color=MUTED, linewidth=0.8)
        ticks = ("0.05", "0.1", "0.2", "0.5", "1", "2", "5")
        axes.set_xticks([float(tick) for tick in ticks], labels=ticks)
        axes.minorticks_off()
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Ratio, caplacizumab against control (log scale)")
        place = axes.get_yaxis_transform()

        def write(x: float, y: float, text: str, **style) -> None:
            axes.text(x, y, text, transform=place, va="center", **{"ha": "left", "color": INK} | style)

        left, middle, right = -2.39, -0.3, 1.03
        for x, text, align in (
            (middle - 0.32, "Caplacizumab\nn/N", "right"),
            (middle + 0.25, "Control\nn/N", "right"),
            (right, "Ratio (95 % CI)", "left"),
        ):
            write(x, -1.6, text, ha=align, color=MUTED)
        for y, line in enumerate(lines):
            if not line.label:
                continue
            if line.heading:
                write(left, y, line.label, fontweight="bold")
                continue
            write(left + (0.06 if line.indented else 0), y, line.label)
            write(middle - 0.32, y, line.counts[0], ha="right")
            write(middle + 0.25, y, line.counts[1], ha="right")
            write(right, y, line.text)
            if line.value is None:
                continue
            shown = [min(max(limit, low), high) for limit in (line.lower, line.upper)]
            axes.plot(shown, [y, y], color=COLOURS["caplacizumab"], linewidth=1.1, solid_capstyle="butt")
            for limit, end, mark in ((line.lower, low, "<"), (line.upper, high, ">")):
                if (limit < end) if mark == "<" else (limit > end):
                    axes.plot([end], [y], marker=mark, markersize=4, color=COLOURS["caplacizumab"], clip_on=False)
            if low <= line.value <= high:
                axes.plot([line.value], [y], marker="s", markersize=3.6, color=COLOURS["caplacizumab"])
        say_kind_of_data(figure, 0.985, 0.004)
    return figure


@dataclass(frozen=True)
class _ForestLine:
    label: str
    outcome: str
    heading: bool = False
    indented: bool = False
    counts: tuple[str, str] = ("", "")
    text: str = ""
    value: float | None = None
    lower: float = math.nan
    upper: float = math.nan


def forest_by_outcome(table: PrintedTable, results: pd.DataFrame, whole: Image) -> dict[str, Image]:
    """The forest plot in parts that fit a page, one per outcome, by caption; headings and axis are repeated.

    Args:
        table, results: as ``forest_figure``.
        whole: that figure, drawn; the parts are cut from it.
    """
    from PIL import Image

    lines = _forest_lines(table, results)
    row = whole.height / (len(lines) + _FOREST_ABOVE + _FOREST_BELOW)
    first, last = _FOREST_ABOVE * row, (_FOREST_ABOVE + len(lines)) * row
    parts = {}
    for outcome in dict.fromkeys(line.outcome for line in lines):
        own = [number for number, line in enumerate(lines) if line.outcome == outcome]
        pieces = [(0, first), (first + own[0] * row, first + (own[-1] + 1) * row), (last, whole.height)]
        strips = [whole.crop((0, round(top), whole.width, round(bottom))) for top, bottom in pieces]
        part = Image.new("RGB", (whole.width, sum(strip.height for strip in strips)), "white")
        top = 0
        for strip in strips:
            part.paste(strip, (0, top))
            top += strip.height
        parts[f"{CAPTIONS['forest']}: {SENSITIVITY_OUTCOMES[outcome]}"] = part
    return parts


def _forest_lines(table: PrintedTable, results: pd.DataFrame) -> list[_ForestLine]:
    """The rows of Table 8 that are ratios, under their headings, with their numbers."""
    ratios = results[
        (results["table_id"] == "table8") & (results["group"] == "difference") & results["statistic"].isin(RATIO_NAMES)
    ]
    numbers = {line.row: line for line in ratios.itertuples()}
    lines = []
    for heading, rows in table.sections:
        outcome = rows[0].row_id.split(":")[0]
        lines += [*([_ForestLine("", outcome)] if lines else []), _ForestLine(heading, outcome, heading=True)]
        for row in rows:
            if (line := numbers.get(row.row_id)) is None:
                continue
            value, limits = row.cells[3].main, row.cells[3].sub
            text = f"{RATIO_NAMES[line.statistic]} {value}" + (f" ({limits})" if limits else "")
            known = not (pd.isna(line.value) or pd.isna(line.lower) or pd.isna(line.upper))
            numbers_of = {"value": line.value, "lower": line.lower, "upper": line.upper} if known else {}
            counts = (row.cells[0].main, row.cells[1].main)
            lines.append(_ForestLine(row.label, outcome, indented=row.indented, counts=counts, text=text, **numbers_of))
    return lines


def balance_figure(balance: pd.DataFrame) -> Figure:
    """Standardised mean differences of the covariates before and after weighting.

    Args:
        balance: ``study.balance``: weights, covariate, smd_before, smd_after.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        covariates = list(dict.fromkeys(balance["covariate"]))
        figure = empty_figure(8.4, 1.5 + 0.3 * len(covariates))
        axes = figure.add_axes(_BALANCE_AXES)

        def mark(weights: str, smd: str, **style) -> None:
            own = balance.loc[balance["weights"] == weights, smd]
            axes.plot(own, range(len(own)), linestyle="none", **style)

        hollow = {"color": COLOURS["control"], "markerfacecolor": "none"}
        mark("iptw", "smd_before", marker="o", label="Unweighted", **hollow)
        filled = {"color": COLOURS["caplacizumab"]}
        mark("iptw", "smd_after", marker="s", label="Inverse-probability weights", **filled)
        mark("overlap", "smd_after", marker="^", label="Overlap weights", **filled)
        axes.axvline(0.1, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(left=-0.005)
        axes.set_yticks(range(len(covariates)), labels=[COVARIATE_LABELS[covariate] for covariate in covariates])
        axes.set_ylim(len(covariates) - 0.5, -0.5)
        axes.set_xlabel("Absolute standardised mean difference (dashed: 0.1)")
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
        say_kind_of_data(figure)
    return figure


#: The figures of the study in the order in which they are shown, and what stands beneath them in documents.
CAPTIONS = {
    "survival": "Survival to the end of follow-up (Kaplan-Meier)",
    "response_incidence": "Cumulative incidence of clinical response, death competing",
    "adamts13_incidence": "Cumulative incidence of ADAMTS13 recovery, death competing",
    "forest": "Every effect of Table 8 with its 95 % interval",
    "balance": "Balance of the groups before and after weighting",
}


def study_figures(
    frames: dict[str, pd.DataFrame], tables: dict[str, PrintedTable], *, rounded: bool = False
) -> dict[str, Figure]:
    """The study's figures by name, as far as their data exist.

    Args:
        frames: ``result``, ``balance`` and the curves of schema ``study``, by name.
        tables: the printed tables, by id.
        rounded: the curves are those of a protecting profile.
    """
    curves = {
        "survival": survival_figure,
        "response_incidence": response_incidence_figure,
        "adamts13_incidence": adamts13_incidence_figure,
    }
    drawn = {
        name: draw(frames[f"{name}_curve"], rounded)
        for name, draw in curves.items()
        if len(frames.get(f"{name}_curve", ()))
    }
    if "table8" in tables:
        drawn["forest"] = forest_figure(tables["table8"], frames["result"])
    if len(frames.get("balance", ())):
        drawn["balance"] = balance_figure(frames["balance"])
    return drawn


def hover_data(frames: dict[str, pd.DataFrame], tables: dict[str, PrintedTable]) -> dict[str, dict]:
    """What the report says at the pointer, by figure: the numbers drawn, and their place in parts of width and height.

    Args:
        frames, tables: as ``study_figures``.
    """
    found: dict[str, dict] = {}
    for name, estimate in (
        ("survival", "survival"),
        ("response_incidence", "incidence"),
        ("adamts13_incidence", "incidence"),
    ):
        curve = frames.get(f"{name}_curve")
        if curve is None or not len(curve):
            continue
        groups = [{"name": GROUPS[group], "rows": []} for group in dict.fromkeys(curve["group"])]
        for said, (_, own) in zip(groups, curve.groupby("group", sort=False), strict=True):
            for r in own.itertuples():
                percents = [_percent(value) for value in (getattr(r, estimate), r.lower, r.upper)]
                said["rows"].append([int(r.day), *percents, None if pd.isna(r.at_risk) else int(r.at_risk)])
        last = int(curve["day"].max()) * _AXIS_SPARE
        found[name] = {
            "kind": "curve",
            "left": _AXIS_LEFT,
            "right": _AXIS_RIGHT,
            "last": last,
            "top": 1 - _TOP,
            "bottom": _curves_end(len(groups)),
            "groups": groups,
        }
    if "table8" in tables:
        lines = _forest_lines(tables["table8"], frames["result"])
        height = len(lines) + _FOREST_ABOVE + _FOREST_BELOW
        said, heading = [], ""
        for line in lines:
            heading = line.label if line.heading else heading
            counts = "Caplacizumab {}, control {}".format(*line.counts)
            said.append(
                heading if line.heading or not line.label else f"{heading}: {line.label}. {counts}; {line.text}"
            )
        found["forest"] = {
            "kind": "rows",
            "top": _FOREST_ABOVE / height,
            "bottom": 1 - _FOREST_BELOW / height,
            "rows": said,
        }
    balance = frames.get("balance")
    if balance is not None and len(balance):
        rows = []
        for covariate, own in balance.groupby("covariate", sort=False):
            after = ", ".join(f"{r.weights} {r.smd_after:.3f}" for r in own.itertuples())
            rows.append(f"{COVARIATE_LABELS[covariate]}: unweighted {own['smd_before'].iloc[0]:.3f}; weighted {after}")
        _, bottom, _, height = _BALANCE_AXES
        found["balance"] = {"kind": "rows", "top": 1 - bottom - height, "bottom": 1 - bottom, "rows": rows}
    return found


def _percent(fraction: float) -> float | None:
    return None if pd.isna(fraction) else round(100 * fraction, 2)


def svg_text(figure: Figure) -> str:
    """The figure as SVG with real text, the same bytes for the same figure: no date, no random ids."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
