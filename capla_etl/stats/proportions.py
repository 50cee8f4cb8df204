"""Proportions of independent patients, and their difference and ratio between two groups, with 95 % limits.

Counts are given group 1 first, group 0 (the reference) second: ``events_1, patients_1, events_0, patients_0``.
Estimates and limits are fractions. A limit that the data leave open is infinite (ratios) or the edge of the scale; a
quantity that cannot be estimated is NaN. Tests are in ``contingency``. Printing and the choice of denominators do not
belong here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from capla_etl.stats.counts import INFINITE, NAN, Z_95, two_groups, whole_counts


def wilson(events: int, patients: int) -> tuple[float, float]:
    """Wilson score interval of a proportion.

    Args:
        events: patients with the event.
        patients: patients assessed.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Wilson 1927, as R ``prop.test(correct = FALSE)``. A closed form: a library call takes a hundred times as long,
        and every percentage has an interval.
    """
    events, patients = whole_counts(events, patients)
    if patients == 0:
        return NAN, NAN
    proportion, spread = events / patients, Z_95**2 / patients
    half_width = math.sqrt(spread * (proportion * (1 - proportion) + spread / 4))
    lower = (proportion + spread / 2 - half_width) / (1 + spread) if events else 0.0
    upper = (proportion + spread / 2 + half_width) / (1 + spread) if events < patients else 1.0
    return lower, upper


def newcombe_difference(events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[float, float, float]:
    """Risk difference (group 1 minus group 0) with Newcombe's hybrid score interval.

    Returns:
        (difference, lower, upper) as fractions, -1 to 1; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Newcombe 1998, method 10: from the Wilson intervals of both groups. Written here: statsmodels differs by 1e-16,
        and printed results stay the same to the last bit.
    """
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    risk_1, risk_0 = events_1 / patients_1, events_0 / patients_0
    (lower_1, upper_1), (lower_0, upper_0) = wilson(events_1, patients_1), wilson(events_0, patients_0)
    difference = risk_1 - risk_0
    return (
        difference,
        difference - math.hypot(risk_1 - lower_1, upper_0 - risk_0),
        difference + math.hypot(upper_1 - risk_1, risk_0 - lower_0),
    )


def _ratio_score(ratio: float, events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Score statistic of a risk ratio at the most likely risks that have it (root of a quadratic equation)."""
    patients, events = patients_1 + patients_0, events_1 + events_0
    linear = patients_1 * ratio + events_1 + patients_0 + events_0 * ratio
    root = math.sqrt(max(linear**2 - 4 * patients * ratio * events, 0))
    risk_0 = min(2 * events / (linear + root), 1.0, 1 / ratio)
    risk_1 = min(ratio * risk_0, 1.0)
    variance = risk_1 * (1 - risk_1) / patients_1 + ratio**2 * risk_0 * (1 - risk_0) / patients_0
    excess = events_1 / patients_1 - ratio * events_0 / patients_0
    return excess / math.sqrt(variance) if variance > 0 else 0.0


def _root(falling: Callable[[float], float], start: float) -> float:
    """Find the root of a falling function, searching outward from ``start``."""
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


def miettinen_nurminen_ratio(
    events_1: int, patients_1: int, events_0: int, patients_0: int
) -> tuple[float, float, float]:
    """Risk ratio (group 1 over group 0) with Miettinen and Nurminen's score interval; limits exist with zero cells.

    Returns:
        (ratio, lower, upper). The ratio is NaN when group 0 has no event, with an infinite upper limit; the lower limit
        is 0 when group 1 has none. All NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Miettinen and Nurminen 1985, with the factor N / (N - 1) of the variance; as R ratesci
        ``scoreci(contrast = "RR", skew = FALSE)``.
    """
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    patients = patients_1 + patients_0
    critical = Z_95 * math.sqrt(patients / (patients - 1))
    # Near the estimate, also with empty cells.
    start = math.log((events_1 + 0.5) / (patients_1 + 0.5)) - math.log((events_0 + 0.5) / (patients_0 + 0.5))

    def limit(score: float) -> float:
        return math.exp(_root(lambda log_ratio: _ratio_score(math.exp(log_ratio), *counts) - score, start))

    ratio = (events_1 / patients_1) / (events_0 / patients_0) if events_0 else NAN
    return ratio, limit(critical) if events_1 else 0.0, limit(-critical) if events_0 else INFINITE
