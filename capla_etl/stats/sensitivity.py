"""How far a result depends on what was not observed: unmeasured confounding (E-value) and patients lost (tipping point).

Pure numbers in. Imputation of covariates is in ``imputation``; which analyses are run and printed does not belong here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from capla_etl.stats.contingency import fisher
from capla_etl.stats.proportions import miettinen_nurminen_ratio, newcombe_difference

NAN = float("nan")
SCALES = ("rr", "or", "hr")


class EValue(NamedTuple):
    """E-value of an estimate, and of the confidence limit nearer to no effect."""

    point: float
    limit: float


def e_value(estimate: float, lower: float, upper: float, *, scale: str = "rr", rare: bool = False) -> EValue:
    """How strongly a confounder must be tied to both treatment and outcome, as risk ratios, to explain the effect away.

    Args:
        estimate, lower, upper: a ratio with its confidence limits, in the same scale; NaN where there is none.
        scale: "rr" (risk ratio), "or" (odds ratio) or "hr" (hazard ratio).
        rare: the outcome is rare (under some 15 % at the end of follow-up), so that odds and hazard ratios stand for risk ratios.
            Otherwise an odds ratio is taken to its square root and a hazard ratio converted.

    Returns:
        ``point`` and ``limit``, both >= 1; the limit is 1 when the interval includes 1. NaN where the estimate or the limit is NaN;
        infinite for a ratio of 0.

    Raises:
        ValueError: an unknown scale, a negative ratio, or limits that do not enclose the estimate.

    Source:
        VanderWeele and Ding, Ann Intern Med 2017;167:268, table 2; as R EValue ``evalues.RR``, ``evalues.OR`` and ``evalues.HR``.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is one of {', '.join(SCALES)}, found {scale}")
    if any(ratio < 0 for ratio in (estimate, lower, upper)):
        raise ValueError(f"a ratio cannot be negative, found {estimate} ({lower} to {upper})")
    if lower > estimate or upper < estimate or lower > upper:
        raise ValueError(f"the limits must enclose the estimate, found {estimate} ({lower} to {upper})")
    if math.isnan(estimate):
        return EValue(NAN, NAN)
    nearest = lower if estimate > 1 else upper
    crosses = nearest <= 1 if estimate > 1 else nearest >= 1
    return EValue(
        _of_risk_ratio(_as_risk_ratio(estimate, scale, rare)),
        1.0 if crosses else _of_risk_ratio(_as_risk_ratio(nearest, scale, rare)),
    )


def _as_risk_ratio(ratio: float, scale: str, rare: bool) -> float:
    """The risk ratio that an odds or hazard ratio comes close to."""
    if scale == "rr" or rare or ratio in (0, math.inf):
        return ratio
    if scale == "or":
        return math.sqrt(ratio)
    return (1 - 0.5 ** math.sqrt(ratio)) / (1 - 0.5 ** math.sqrt(1 / ratio))


def _of_risk_ratio(ratio: float) -> float:
    """The E-value of a risk ratio; one below 1 counts as its inverse."""
    if ratio in (0, math.inf):
        return math.inf
    away = ratio if ratio >= 1 else 1 / ratio
    return away + math.sqrt(away * (away - 1))


def _check(events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int) -> None:
    for events, patients, lost in ((events_1, patients_1, lost_1), (events_0, patients_0, lost_0)):
        if not 0 <= events <= patients:
            raise ValueError(
                f"events must lie between 0 and the number of patients observed, found {events} of {patients}"
            )
        if not lost >= 0:
            raise ValueError(f"the number of patients lost cannot be negative, found {lost}")


def worst_case(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> tuple[int, int, int, int]:
    """The counts if every patient lost in group 1, and none lost in group 0, had the event.

    Returns:
        ``(events_1, patients_1, events_0, patients_0)``, as the functions of ``proportions`` take them.

    Raises:
        ValueError: events outside 0..patients, or a negative number lost.
    """
    _check(events_1, patients_1, lost_1, events_0, patients_0, lost_0)
    return events_1 + lost_1, patients_1 + lost_1, events_0, patients_0 + lost_0


def best_case(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> tuple[int, int, int, int]:
    """The counts if no patient lost in group 1, and every one lost in group 0, had the event.

    Returns:
        ``(events_1, patients_1, events_0, patients_0)``, as the functions of ``proportions`` take them.

    Raises:
        ValueError: events outside 0..patients, or a negative number lost.
    """
    _check(events_1, patients_1, lost_1, events_0, patients_0, lost_0)
    return events_1, patients_1 + lost_1, events_0 + lost_0, patients_0 + lost_0


def tipping_point(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> pd.DataFrame:
    """The comparison of two risks for every possible number of events among the patients lost.

    Args:
        events_1, patients_1: patients of group 1 with the event and observed; ``lost_1``: not observed, on top of them. Group 0 likewise.

    Returns:
        One row per (``lost_events_1``, ``lost_events_0``), in that order: the counts with the lost added (``events_1``, ``patients_1``,
        ``events_0``, ``patients_0``), ``difference`` (fraction, Newcombe limits ``difference_lower``, ``difference_upper``), ``ratio``
        (Miettinen-Nurminen limits ``ratio_lower``, ``ratio_upper``) and ``p_value`` (Fisher).

    Raises:
        ValueError: events outside 0..patients, or a negative number lost.

    Source:
        Yan, Lee and Li, Stat Biopharm Res 2009;1:404.
    """
    _check(events_1, patients_1, lost_1, events_0, patients_0, lost_0)
    rows = []
    for among_1 in range(lost_1 + 1):
        for among_0 in range(lost_0 + 1):
            counts = events_1 + among_1, patients_1 + lost_1, events_0 + among_0, patients_0 + lost_0
            rows.append(
                (
                    among_1,
                    among_0,
                    *counts,
                    *newcombe_difference(*counts),
                    *miettinen_nurminen_ratio(*counts),
                    fisher(*counts),
                )
            )
    columns = ["lost_events_1", "lost_events_0", "events_1", "patients_1", "events_0", "patients_0"]
    columns += [f"{measure}{which}" for measure in ("difference", "ratio") for which in ("", "_lower", "_upper")]
    return pd.DataFrame(rows, columns=[*columns, "p_value"])


def smallest_tipping_point(
    events_1: int,
    patients_1: int,
    lost_1: int,
    events_0: int,
    patients_0: int,
    lost_0: int,
    *,
    significance: float = 0.05,
) -> int | None:
    """Fewest events among group 1's lost, with none among group 0's lost, at which Fisher's p value reaches ``significance``.

    Returns:
        That number: 0 when the difference is not significant to begin with, None when no number of events takes significance away (or a
        group has no patients).

    Raises:
        ValueError: events outside 0..patients, or a negative number lost.

    Source:
        The rows of ``tipping_point`` with ``lost_events_0`` 0.
    """
    _check(events_1, patients_1, lost_1, events_0, patients_0, lost_0)
    reached = (
        among
        for among in range(lost_1 + 1)
        if fisher(events_1 + among, patients_1 + lost_1, events_0, patients_0 + lost_0) >= significance
    )
    return next(reached, None)
