"""The flow diagram as SVG, drawn from table ``flow`` of ``study.result``; the page's CSS gives it its style."""

from __future__ import annotations

from html import escape

import pandas as pd

from capla_etl.report.numbers import thousands
from capla_etl.tables.labels import EXCLUSIONS, TABLES

_WIDTH = 960
_LINE = 21


class _Drawing:
    """Boxes and connectors, collected in drawing order."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, title: str, number: float | None, lines: list[str] = (), kind: str = ""
    ) -> float:
        """Draw a box with a title, its number on the right and smaller lines below; returns the y of its lower edge."""
        height = 40 + _LINE * len(lines) + (6 if lines else 0)
        self.parts.append(f'<rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="7"/>')
        self.parts.append(f'<text class="box-title" x="{x + 14}" y="{y + 25.5}">{escape(title)}</text>')
        if number is not None:
            self.parts.append(
                f'<text class="box-number" x="{x + width - 14}" y="{y + 25.5}">{thousands(number)}</text>'
            )
        for position, line in enumerate(lines):
            label, _, count = line.rpartition("\t")
            base = y + 49 + _LINE * position
            self.parts.append(f'<text class="box-line" x="{x + 14}" y="{base}">{escape(label or count)}</text>')
            if label:
                self.parts.append(f'<text class="box-line end" x="{x + width - 14}" y="{base}">{escape(count)}</text>')
        return y + height

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line through the points that ends in an arrow head."""
        path = " L".join(f"{x} {y}" for x, y in points)
        self.parts.append(f'<path class="arrow" d="M{path}" marker-end="url(#flow-head)"/>')


def flow_svg(results: pd.DataFrame) -> str:
    """The flow of all centres: rows received and refused, records, exclusions, groups, timing and reason of delay.

    Args:
        results: ``study.result`` with table ``flow``.
    """
    own = results[(results["table_id"] == "flow") & (results["group"] == "all")]
    count = dict(zip(own["row"], own["value"].astype(float), strict=True))
    centres = results.loc[(results["table_id"] == "flow") & (results["group"] != "all"), "group"].nunique()
    label = TABLES["flow"].rows
    drawing = _Drawing()
    left, width, side, side_width = 20, 430, 520, 420
    middle = left + width / 2

    def lines(*rows: str) -> list[str]:
        return [f"{label[row]}\t{thousands(count[row])}" for row in rows]

    refused = ["rows_duplicate", "rows_quarantined", "rows_ignored"]
    accepted = [
        f"Rows accepted\t{thousands(count['rows_loaded'])}",
        f"Single values quarantined in accepted rows\t{thousands(count['values_quarantined'])}",
    ]
    title = f"Rows received from {centres} centres" if centres else "Rows received"
    bottom = drawing.box(left, 16, width, title, count["rows_received"], accepted)
    not_loaded = sum(count[row] for row in refused)
    side_bottom = drawing.box(side, 16, side_width, "Not loaded", not_loaded, lines(*refused), "aside")
    drawing.arrow((left + width, 36), (side - 3, 36))
    y = max(bottom + 34, side_bottom + 24)
    drawing.arrow((middle, bottom), (middle, y - 3))

    reasons = lines(*(f"excluded_{reason}" for reason in EXCLUSIONS))
    records_bottom = drawing.box(left, y, width, "Patient records", count["patient_records"])
    excluded_bottom = drawing.box(side, y, side_width, "Excluded", count["excluded"], reasons, "aside")
    drawing.arrow((left + width, y + 20), (side - 3, y + 20))
    eligible_y = max(records_bottom + 34, excluded_bottom - 40)
    drawing.arrow((middle, records_bottom), (middle, eligible_y - 3))
    unknown = [f"{label['group_unknown']}, in no table\t{thousands(count['group_unknown'])}"]
    eligible_bottom = drawing.box(
        *(left, eligible_y, width, "Eligible patients", count["eligible"]),
        unknown if count["group_unknown"] else [],
        "strong",
    )

    arms_y = max(eligible_bottom, excluded_bottom) + 44
    fork_y = arms_y - 22
    for group, x, arm_width in (("caplacizumab", left, 650), ("control", 700, 240)):
        arm = x + arm_width / 2
        drawing.arrow((middle, eligible_bottom), (middle, fork_y), (arm, fork_y), (arm, arms_y - 3))
        arm_bottom = drawing.box(x, arms_y, arm_width, label[group], count[group], kind=group)

    capla_middle, timing_y = left + 650 / 2, arm_bottom + 44
    delayed = lines("rescue", "slow_response")
    x = left
    for row, box_width, inside in (("early", 180, []), ("delayed", 204, delayed), ("timing_unknown", 238, [])):
        own = x + box_width / 2
        fork = timing_y - 22
        drawing.arrow((capla_middle, arm_bottom), (capla_middle, fork), (own, fork), (own, timing_y - 3))
        drawing.box(x, timing_y, box_width, label[row], count[row], inside, row)
        x += box_width + 14
    height = timing_y + 40 + 2 * _LINE + 6 + 16
    records, excluded, eligible, capla, control = (
        thousands(count[row]) for row in ("patient_records", "excluded", "eligible", "caplacizumab", "control")
    )
    summary = (
        f"{records} patient records, {excluded} excluded, {eligible} eligible: {capla} with caplacizumab and {control} "
        "controls."
    )
    return (
        f'<svg class="flow" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-labelledby="flow-title flow-desc">'
        f'<title id="flow-title">Flow of patient records</title><desc id="flow-desc">{escape(summary)}</desc>'
        '<defs><marker id="flow-head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="head" d="M0 0.6 L7 4 L0 7.4 Z"/></marker></defs>'
        f"{''.join(drawing.parts)}</svg>"
    )
