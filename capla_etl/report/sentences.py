"""What the report says in words about its numbers, computed from ``study.result`` so that words and numbers cannot differ.

No number is estimated here.
"""

from __future__ import annotations

import math

import pandas as pd

from capla_etl.report.tables import fixed, interval


def immortal_time(results: pd.DataFrame) -> str:
    """What immortal time does to the comparison of deaths: the effect as published beside those that take it away.

    Args:
        results: ``study.result`` with table8.

    Returns:
        Two to four sentences; says so where an effect is not estimable.
    """
    own = results[(results["table_id"] == "table8") & (results["statistic"] == "hazard_ratio")]
    effects = {line.row.removeprefix("death:any:"): line for line in own.itertuples() if line.row.startswith("death:any:")}
    published = effects.get("as_published")
    if published is None or pd.isna(published.value):
        return "The hazard ratio of death as published is not estimable, so that nothing can be said of what immortal time does to it."
    said = [
        f"Counted as treated from day 0 whenever caplacizumab began, patients have a hazard ratio of death of {_with_limits(published)}. "
        "Who began on day 5 cannot have died before it: that time is immortal, and counts in favour of the drug."
    ]
    corrected = [
        (f"treated only from the first dose on, {{}}{_of_published(effects.get('time_dependent'), published)}", effects.get("time_dependent")),
        *((f"from landmark day {day}, {{}}", effects[f"landmark_day_{day}"]) for day in _landmarks(effects)),
        ("in the emulated trial, {}", effects.get("clone_censor_weight")),
    ]
    parts = [text.format(_with_limits(line)) for text, line in corrected if line is not None and not pd.isna(line.value)]
    if parts:
        said.append(f"Without immortal time the ratio is: {'; '.join(parts)}.")
    said.append(
        "None of these removes that controls are historic and were treated in another period, nor that who was too ill to wait, or too well to need it, "
        "began at another time."
    )
    return " ".join(said)


def _landmarks(effects: dict) -> list[int]:
    prefix = "landmark_day_"
    return sorted(int(analysis.removeprefix(prefix)) for analysis in effects if analysis.startswith(prefix))


def _with_limits(line) -> str:
    limits = interval(line, 2)
    return f"{fixed(line.value, 2)}{f' (95 % CI {limits})' if limits else ''}"


def _of_published(line, published) -> str:
    """How much of the effect as published is left, on the log scale."""
    if line is None or pd.isna(line.value) or line.value <= 0 or published.value <= 0 or published.value == 1:
        return ""
    left = math.log(line.value) / math.log(published.value)
    return f" ({fixed(100 * left, 0)} % of the log hazard ratio as published)"
