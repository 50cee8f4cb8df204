"""Two groups compared within strata (countries, centres) and pooled: Mantel-Haenszel.

Each stratum is given as ``events_1, patients_1, events_0, patients_0``. One table by itself is in ``proportions`` and ``contingency``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from capla_etl.stats.counts import INFINITE, NAN, check_level, normal_quantile, two_groups
from capla_etl.stats.odds_ratios import restricted_odds


class MantelHaenszel(NamedTuple):
    """Pooled odds ratio with limits; tests of no association and of one odds ratio in all strata; strata that inform them."""

    odds_ratio: float
    lower: float
    upper: float
    chi_squared: float
    p_value: float
    chi_squared_corrected: float
    p_value_corrected: float
    breslow_day: float
    breslow_day_p_value: float
    strata: int


class PooledDifference(NamedTuple):
    """Pooled risk difference with limits, and strata that inform it."""

    difference: float
    lower: float
    upper: float
    strata: int


def _strata(tables: Iterable[Sequence[int]]) -> np.ndarray:
    """The strata in which both groups have patients, as columns of counts."""
    return (
        np.array([counts for counts in (two_groups(*table) for table in tables) if counts], dtype=float)
        .reshape(-1, 4)
        .T
    )


def mantel_haenszel(tables: Iterable[Sequence[int]], *, level: float = 0.95) -> MantelHaenszel:
    """Odds ratio (group 1 over group 0) pooled over strata, and its tests.

    Args:
        tables: ``(events_1, patients_1, events_0, patients_0)`` per stratum. Strata in which a group has no patients, or nobody or
            everybody has the event, say nothing about the odds ratio and are left out.

    Returns:
        ``odds_ratio``, ``lower``, ``upper`` (Robins-Breslow-Greenland; NaN when the odds ratio is 0, infinite or NaN); the
        Cochran-Mantel-Haenszel ``chi_squared`` and ``p_value``, with ``_corrected`` for continuity; ``breslow_day`` (homogeneity, without
        Tarone's adjustment, ``strata - 1`` degrees of freedom; NaN with one stratum or no finite odds ratio); ``strata`` used.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Mantel and Haenszel 1959; Robins, Breslow and Greenland 1986; Breslow and Day 1980; as R ``mantelhaen.test``.
        By hand: statsmodels corrects beyond zero, and its p values end at 1e-16.
    """
    from scipy.special import chdtrc

    check_level(level)
    events_1, patients_1, events_0, patients_0 = _strata(tables)
    events, patients = events_1 + events_0, patients_1 + patients_0
    informative = (events > 0) & (events < patients)
    if not informative.any():
        return MantelHaenszel(*[NAN] * 9, 0)
    events_1, patients_1, events_0, patients_0, events, patients = (
        count[informative] for count in (events_1, patients_1, events_0, patients_0, events, patients)
    )
    well_1, well_0 = patients_1 - events_1, patients_0 - events_0

    excess = abs((events_1 - patients_1 * events / patients).sum())
    variance = (patients_1 * patients_0 * events * (patients - events) / (patients**2 * (patients - 1))).sum()
    plain, corrected = excess**2 / variance, (excess - (0.5 if excess >= 0.5 else 0)) ** 2 / variance
    tests = [float(value) for statistic in (plain, corrected) for value in (statistic, chdtrc(1, statistic))]

    above, below = events_1 * well_0 / patients, events_0 * well_1 / patients
    if not above.sum() or not below.sum():
        odds_ratio = INFINITE if above.sum() else 0.0 if below.sum() else NAN
        return MantelHaenszel(odds_ratio, NAN, NAN, *tests, NAN, NAN, int(informative.sum()))
    odds_ratio = float(above.sum() / below.sum())
    agreeing, differing = (events_1 + well_0) / patients, (events_0 + well_1) / patients
    log_variance = (
        (agreeing * above).sum() / (2 * above.sum() ** 2)
        + (agreeing * below + differing * above).sum() / (2 * above.sum() * below.sum())
        + (differing * below).sum() / (2 * below.sum() ** 2)
    )
    factor = math.exp(normal_quantile(level) * math.sqrt(log_variance))

    homogeneity, homogeneity_p = NAN, NAN
    if informative.sum() > 1:
        expected = patients_1 * [
            restricted_odds(odds_ratio, *margins)[0] for margins in zip(events, patients_1, patients_0, strict=True)
        ]
        cells = np.array([expected, patients_1 - expected, events - expected, patients_0 - events + expected])
        homogeneity = float(((events_1 - expected) ** 2 * (1 / cells).sum(axis=0)).sum())
        homogeneity_p = float(chdtrc(informative.sum() - 1, homogeneity))
    return MantelHaenszel(
        odds_ratio, odds_ratio / factor, odds_ratio * factor, *tests, homogeneity, homogeneity_p, int(informative.sum())
    )


def mantel_haenszel_risk_difference(tables: Iterable[Sequence[int]], *, level: float = 0.95) -> PooledDifference:
    """Risk difference (group 1 minus group 0) pooled over strata with Mantel-Haenszel weights and Sato's variance.

    Args:
        tables: ``(events_1, patients_1, events_0, patients_0)`` per stratum. Strata in which a group has no patients are left out.

    Returns:
        ``difference``, ``lower`` and ``upper`` as fractions; NaN without strata. ``strata`` used.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Greenland and Robins 1985; variance of Sato 1989, right for few large and for many small strata; as SAS ``RISKDIFF(COMMON)``.
    """
    check_level(level)
    events_1, patients_1, events_0, patients_0 = _strata(tables)
    if not len(events_1):
        return PooledDifference(NAN, NAN, NAN, 0)
    patients = patients_1 + patients_0
    weight = (patients_1 * patients_0 / patients).sum()
    difference = float(((events_1 * patients_0 - events_0 * patients_1) / patients).sum() / weight)
    slope = (
        patients_1**2 * events_0 - patients_0**2 * events_1 + patients_1 * patients_0 * (patients_0 - patients_1) / 2
    ) / patients**2
    level_part = (events_1 * (patients_0 - events_0) + events_0 * (patients_1 - events_1)) / (2 * patients)
    half_width = normal_quantile(level) * math.sqrt(max(difference * slope.sum() + level_part.sum(), 0)) / float(weight)
    return PooledDifference(difference, difference - half_width, difference + half_width, len(events_1))
