"""Sensitivity of a result to the unobserved: unmeasured confounding (E-value) and patients lost (tipping point).

Imputation of covariates is in ``imputation``. Which analyses are run and printed does not belong here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from capla_etl.stats.contingency import fisher
from capla_etl.stats.counts import NAN, whole_counts

SIGNIFICANCE = 0.05


class EValue(NamedTuple):
    """E-value of an estimate, and of the confidence limit nearer to no effect."""

    point: float
    limit: float


def e_value(estimate: float, lower: float, upper: float) -> EValue:
    """How strongly, in risk ratios, a confounder must be tied to treatment and outcome to explain the effect away.

    Args:
        estimate, lower, upper: a risk ratio, or the odds or hazard ratio of a rare outcome, with its confidence limits;
            NaN where there is none.

    Returns:
        ``point`` and ``limit``, both >= 1; the limit is 1 when the interval includes 1. NaN where the estimate or the
        limit is NaN; infinite for a ratio of 0.

    Raises:
        ValueError: a negative ratio, or limits that do not enclose the estimate.

    Source:
        VanderWeele and Ding, Ann Intern Med 2017;167:268, table 2; as R EValue ``evalues.RR``.
    """
    if any(ratio < 0 for ratio in (estimate, lower, upper)):
        raise ValueError(f"a ratio must be 0 or more, found {estimate} ({lower} to {upper})")
    if lower > estimate or upper < estimate or lower > upper:
        raise ValueError(f"the limits must enclose the estimate, found {estimate} ({lower} to {upper})")
    if math.isnan(estimate):
        return EValue(NAN, NAN)
    nearest = lower if estimate > 1 else upper
    crosses = nearest <= 1 if estimate > 1 else nearest >= 1
    return EValue(_of_ratio(estimate), 1.0 if crosses else _of_ratio(nearest))


def _of_ratio(ratio: float) -> float:
    """The E-value of a risk ratio; a ratio below 1 counts as its inverse."""
    if ratio in (0, math.inf):
        return math.inf
    away = ratio if ratio >= 1 else 1 / ratio
    return away + math.sqrt(away * (away - 1))


def _check(*groups: tuple[int, int, int]) -> None:
    for events, patients, lost in groups:
        whole_counts(events, patients)
        if not lost >= 0:
            raise ValueError(f"the number of patients lost cannot be negative, found {lost}")


def worst_case(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> tuple[int, int, int, int]:
    """The counts if every patient lost in group 1, and none lost in group 0, had the event.

    Args:
        events_1, patients_1: patients of group 1 with the event, and observed; ``lost_1``: not observed, in addition to
            them. Group 0 likewise.

    Returns:
        ``(events_1, patients_1, events_0, patients_0)``, as the functions of ``proportions`` take them.

    Raises:
        ValueError: events outside 0..patients, or a negative number lost.
    """
    _check((events_1, patients_1, lost_1), (events_0, patients_0, lost_0))
    return events_1 + lost_1, patients_1 + lost_1, events_0, patients_0 + lost_0


def best_case(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> tuple[int, int, int, int]:
    """The counts if no patient lost in group 1, and every patient lost in group 0, had the event: as ``worst_case``."""
    _check((events_1, patients_1, lost_1), (events_0, patients_0, lost_0))
    return events_1, patients_1 + lost_1, events_0 + lost_0, patients_0 + lost_0


def smallest_tipping_point(
    events_1: int, patients_1: int, lost_1: int, events_0: int, patients_0: int, lost_0: int
) -> int | None:
    """Fewest events among the lost of group 1, with none among those of group 0, at which Fisher's p is 0.05 or more.

    Args:
        events_1, patients_1, lost_1, events_0, patients_0, lost_0: as ``worst_case``.

    Returns:
        That number: 0 when the difference is not significant to begin with, None when no number of events takes
        significance away (or a group has no patients).

    Raises:
        ValueError: as ``worst_case``.

    Source:
        Yan, Lee and Li, Stat Biopharm Res 2009;1:404.
    """
    _check((events_1, patients_1, lost_1), (events_0, patients_0, lost_0))
    for among in range(lost_1 + 1):
        if fisher(events_1 + among, patients_1 + lost_1, events_0, patients_0 + lost_0) >= SIGNIFICANCE:
            return among
    return None
