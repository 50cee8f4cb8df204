"""What the report says in words about its numbers, from ``study.result``, so that words and numbers cannot differ.

No number is estimated here.
"""

from __future__ import annotations

import math

import pandas as pd

from capla_etl.protocol.wording import worded
from capla_etl.report.numbers import fixed, interval


def immortal_time(results: pd.DataFrame) -> list[str]:
    """What immortal time does to the comparison of deaths: the effect as published, and effects without immortal time.

    Args:
        results: ``study.result`` with table8.

    Returns:
        A few paragraphs; a single one if the effect as published is not estimable.
    """
    own = results[(results["table_id"] == "table8") & (results["statistic"] == "hazard_ratio")]
    prefix = "death:any:"
    effects = {
        line.row.removeprefix(prefix): line
        for line in own.itertuples()
        if line.row.startswith(prefix) and not pd.isna(line.value)
    }
    published, dated = effects.get("as_published"), effects.get("time_dependent")
    if published is None:
        return [
            "The hazard ratio of death as published is not estimable, so nothing can be said about the effect of "
            "immortal time on it."
        ]
    said = [
        "If patients count as treated from day 0 whenever caplacizumab was started, the hazard ratio of death is "
        f"{_with_limits(published)}. "
        + worded(
            "A patient who started on day {early_start_by_day+2} cannot have died before day {early_start_by_day+2}; "
            "that time is immortal."
        )
    ]
    if dated is not None:
        direction = "neither way"
        if dated.value != published.value:
            direction = f"{'in favour of' if dated.value > published.value else 'against'} the drug"
        said.append(
            "If patients count as treated only from the first dose on, the ratio is "
            f"{_with_limits(dated)}{_of_published(dated, published)}. Here, immortal time works {direction}."
        )
    landmark = "landmark_day_"
    days = sorted(int(name.removeprefix(landmark)) for name in effects if name.startswith(landmark))
    others = {
        **{
            f"{landmark}{day}": f"patients alive beyond day {day}, started by then against not (yet) started"
            for day in days
        },
        "clone_censor_weight": "emulated trial, start within the grace period against no start",
        "delayed_excluded": "early starters alone against control",
    }
    parts = [f"{text}: {_with_limits(effects[name])}" for name, text in others.items() if name in effects]
    if parts:
        said.append(
            "Other questions, in which delayed starters do not count as treated before their first dose: "
            f"{'; '.join(parts)}. These may differ from the ratio as published for reasons other than immortal time."
        )
    said.append(
        "None of these analyses removes the bias of historic controls treated in an earlier period, or confounding by "
        "indication: patients too ill to wait, or too well to need the drug, started at other times."
    )
    return said


def _with_limits(line) -> str:
    limits = interval(line, 2)
    return f"{fixed(line.value, 2)}{f' (95 % CI {limits})' if limits else ''}"


def _of_published(line, published) -> str:
    """How much of the effect as published is left, on the log scale."""
    if line.value <= 0 or published.value <= 0 or published.value == 1:
        return ""
    left = math.log(line.value) / math.log(published.value)
    return f" ({fixed(100 * left, 0)} % of the log hazard ratio as published)"
