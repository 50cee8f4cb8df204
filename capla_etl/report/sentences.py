"""What the report says in words about its numbers, computed from ``study.result`` so that words and numbers cannot differ.

No number is estimated here.
"""

from __future__ import annotations

import math

import pandas as pd

from capla_etl.report.numbers import fixed, interval


def immortal_time(results: pd.DataFrame) -> list[str]:
    """What immortal time does to the comparison of deaths: the effect as published beside those that take it away.

    Args:
        results: ``study.result`` with table8.

    Returns:
        A few paragraphs; one that says so where the effect as published is not estimable.
    """
    own = results[(results["table_id"] == "table8") & (results["statistic"] == "hazard_ratio")]
    effects = {
        line.row.removeprefix("death:any:"): line for line in own.itertuples() if line.row.startswith("death:any:")
    }
    published, dated = effects.get("as_published"), effects.get("time_dependent")
    if published is None or pd.isna(published.value):
        return [
            "The hazard ratio of death as published is not estimable, so that nothing can be said of what immortal time does to it."
        ]
    said = [
        f"Counted as treated from day 0 whenever caplacizumab began, patients have a hazard ratio of death of {_with_limits(published)}. Who began on day 5 "
        "cannot have died before it: that time is immortal."
    ]
    if dated is not None and not pd.isna(dated.value):
        direction = (
            "in favour of the drug"
            if dated.value > published.value
            else "against the drug"
            if dated.value < published.value
            else "neither way"
        )
        said.append(
            f"The same question without it: treated only from the first dose on, the ratio is {_with_limits(dated)}{_of_published(dated, published)}. "
            f"Immortal time counts {direction} here."
        )
    others = [
        *(
            (
                f"among those alive beyond day {day}, begun by then against not (yet) begun: {{}}",
                effects[f"landmark_day_{day}"],
            )
            for day in _landmarks(effects)
        ),
        ("emulated trial, start within the grace period against no start: {}", effects.get("clone_censor_weight")),
        ("early starters alone against control: {}", effects.get("delayed_excluded")),
    ]
    parts = [text.format(_with_limits(line)) for text, line in others if line is not None and not pd.isna(line.value)]
    if parts:
        said.append(
            f"Other questions, in which delayed starters do not count as treated for what came before their first dose: {'; '.join(parts)}. These may differ from the "
            "ratio as published for other reasons than immortal time."
        )
    said.append(
        "None of this removes that controls are historic and were treated in another period, nor that who was too ill to wait, or too well to need it, began "
        "at another time."
    )
    return said


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
