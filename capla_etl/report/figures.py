"""The study's figures as matplotlib figures. The numbers come ready from ``capla_etl.stats``; nothing is estimated here."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from capla_etl.stats.labels import GROUPS

# Colour-blind safe; the report replaces them, and the inks, by its own for light and dark.
COLOURS = {"caplacizumab": "#0b6e75", "control": "#b4531a", "early": "#0b6e75", "delayed": "#6a51a3"}
DASHES = {"caplacizumab": "-", "control": (0, (6, 2)), "early": "-", "delayed": (0, (2, 1.6))}
INK, MUTED, RULE = "#1c2a33", "#5b6b76", "#cfd8dd"

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


def _canvas(groups: int, y_label: str, days: int) -> tuple[Figure, Axes, Axes]:
    """A figure with the curves above and the numbers at risk beneath, sharing the day axis. No global matplotlib state is used."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.7 + 0.22 * groups))
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(2, 1, height_ratios=[10, 0.75 * groups + 0.9], hspace=0.34, left=0.145, right=0.975, top=0.97, bottom=0.045)
        curves, risk = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        curves.set_xlabel("Days from the first plasma exchange")
        curves.set_ylabel(y_label)
        ticks = list(range(0, days + 1, 15))
        for axes in (curves, risk):
            axes.set_xlim(0, days * 1.012)
            axes.set_xticks(ticks)
        curves.grid(axis="y", color=RULE, linewidth=0.7)
        curves.set_axisbelow(True)
        risk.axis("off")
        figure.text(0.975, 0.012, "Synthetic data", ha="right", va="bottom", fontsize=8, color=MUTED)
    return figure, curves, risk


def _numbers_at_risk(axes: Axes, curve: pd.DataFrame, groups: list[str], title: str) -> None:
    days = [day for day in axes.get_xticks() if day <= curve["day"].max()]
    axes.set_ylim(len(groups) - 0.4, -1.2)
    axes.text(-0.012, -0.9, title, ha="right", va="center", fontsize=9, color=MUTED, transform=axes.get_yaxis_transform())
    for line, group in enumerate(groups):
        at_risk = curve[curve["group"] == group].set_index("day")["at_risk"]
        axes.text(-0.012, line, GROUPS[group], ha="right", va="center", fontsize=9, color=COLOURS[group], transform=axes.get_yaxis_transform())
        for day in days:
            axes.text(day, line, "[c]" if math.isnan(at_risk[day]) else f"{int(at_risk[day])}", ha="left" if day == 0 else "center", va="center", fontsize=9, color=INK)


def _band(axes: Axes, own: pd.DataFrame, colour: str) -> None:
    """The 95 % band of one group, where its limits are shown (a protecting profile shows none)."""
    if own[["lower", "upper"]].notna().any(axis=None):
        axes.fill_between(own["day"], 100 * own["lower"], 100 * own["upper"], step="post", color=colour, alpha=0.13, linewidth=0)


def survival_figure(curve: pd.DataFrame) -> Figure:
    """Survival by group with 95 % bands and numbers at risk.

    Args:
        curve: ``study.survival_curve``: group, day, at_risk, survival, lower, upper (fractions).

    Returns:
        A figure whose survival axis starts just below the lowest limit (its label says so) and ends at 100 %.
    """
    import matplotlib

    groups = list(dict.fromkeys(curve["group"]))
    days = int(curve["day"].max())
    lowest = curve[["survival", "lower"]].min().min()
    floor = 0 if pd.isna(lowest) else max(0, 5 * math.floor((100 * lowest - 1) / 5))
    label = "Alive, %" if floor == 0 else f"Alive, % (axis starts at {floor} %)"
    figure, axes, risk = _canvas(len(groups), label, days)
    with matplotlib.rc_context(STYLE):
        for group in groups:
            own = curve[curve["group"] == group]
            colour = COLOURS[group]
            _band(axes, own, colour)
            axes.plot(own["day"], 100 * own["survival"], drawstyle="steps-post", color=colour, linewidth=2, linestyle=DASHES[group],
                      label=GROUPS[group])
        axes.set_ylim(floor, 100.4)
        axes.legend(frameon=False, loc="lower left", handlelength=2.6)
        _numbers_at_risk(risk, curve, groups, "Number at risk")
    return figure


def response_incidence_figure(curve: pd.DataFrame) -> Figure:
    """Cumulative incidence of clinical response by group (death competing) with 95 % bands and numbers not yet responded.

    Args:
        curve: ``study.response_incidence_curve``: group, day, at_risk, incidence, lower, upper, death_incidence (fractions).

    Returns:
        A figure; thin lines at the bottom are death without response.
    """
    import matplotlib

    groups = list(dict.fromkeys(curve["group"]))
    figure, axes, risk = _canvas(len(groups), "Cumulative incidence, %", int(curve["day"].max()))
    with matplotlib.rc_context(STYLE):
        for group in groups:
            own = curve[curve["group"] == group]
            colour = COLOURS[group]
            _band(axes, own, colour)
            axes.plot(own["day"], 100 * own["incidence"], drawstyle="steps-post", color=colour, linewidth=2, linestyle=DASHES[group],
                      label=GROUPS[group])
            axes.plot(own["day"], 100 * own["death_incidence"], drawstyle="steps-post", color=colour, linewidth=0.9, linestyle=DASHES[group])
        axes.plot([], [], color=MUTED, linewidth=0.9, label="thin: death without response")
        axes.set_ylim(0, 100.4)
        axes.legend(frameon=False, loc="center right", handlelength=2.6)
        _numbers_at_risk(risk, curve, groups, "At risk")
    return figure


def svg_text(figure: Figure) -> str:
    """The figure as SVG with real text, the same bytes for the same figure: no date, no random ids."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
