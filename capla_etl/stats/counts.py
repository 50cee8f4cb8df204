"""Counts of patients with an event, checked, and what intervals made of them have in common.

The intervals and tests are in ``proportions``, ``odds_ratios``, ``contingency`` and ``strata``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

NAN = float("nan")
INFINITE = float("inf")


def whole_counts(events: int, patients: int) -> tuple[int, int]:
    """The counts as Python's whole numbers, which do not overflow."""
    if not 0 <= events <= patients:
        raise ValueError(f"events must lie between 0 and the number of patients, found {events} of {patients}")
    if events != int(events) or patients != int(patients):
        raise ValueError(f"patients are counted in whole numbers, found {events} of {patients}")
    return int(events), int(patients)


def check_level(level: float) -> None:
    """Raises ValueError on a confidence level outside 0 to 1."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1 (0.95 for 95 %), found {level}")


def two_groups(
    events_1: int, patients_1: int, events_0: int, patients_0: int, level: float = 0.95
) -> tuple[int, int, int, int] | None:
    """The counts, checked; None when a group has no patients."""
    counts = *whole_counts(events_1, patients_1), *whole_counts(events_0, patients_0)
    check_level(level)
    return counts if counts[1] and counts[3] else None


def normal_quantile(level: float) -> float:
    """Two-sided quantile of the normal distribution, 1.96 for 95 %."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def root_on_log_scale(falling: Callable[[float], float], start: float) -> float:
    """The root of a falling function on the log scale, looked for from ``start`` outward."""
    from scipy.optimize import brentq

    value = falling(start)
    if value == 0:
        return start
    step = math.copysign(1, value)
    edge = start + step
    while falling(edge) * value > 0:
        step *= 2
        edge += step
    return float(brentq(falling, start, edge, xtol=1e-13, rtol=1e-14))


def score_quantile(patients: int, level: float) -> float:
    """The normal quantile with Miettinen and Nurminen's factor N / (N - 1) of the variance."""
    return normal_quantile(level) * math.sqrt(patients / (patients - 1))


def ratio_limits(
    statistic: Callable[[float], float],
    critical: float,
    counts: tuple[int, int, int, int],
    has_lower: bool,
    has_upper: bool,
) -> tuple[float, float]:
    """Where a statistic that falls as the log ratio rises is ``critical`` and ``-critical``; 0 and infinite where it never is."""
    events_1, patients_1, events_0, patients_0 = counts
    # Near the estimate, also with empty cells.
    start = math.log((events_1 + 0.5) / (patients_1 + 0.5)) - math.log((events_0 + 0.5) / (patients_0 + 0.5))

    def limit(crossing: float) -> float:
        return math.exp(root_on_log_scale(lambda log_ratio: statistic(log_ratio) - crossing, start))

    return limit(critical) if has_lower else 0.0, limit(-critical) if has_upper else INFINITE
