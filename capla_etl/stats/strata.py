"""Two groups compared within strata (countries, centres) and pooled: Mantel-Haenszel.

Each stratum is given as ``events_1, patients_1, events_0, patients_0``. Single tables are in ``proportions``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from capla_etl.stats.counts import INFINITE, NAN, Z_95, two_groups


class MantelHaenszel(NamedTuple):
    """Pooled odds ratio with limits; tests of no association and of one odds ratio in all strata; strata used."""

    odds_ratio: float
    lower: float
    upper: float
    chi_squared: float
    p_value: float
    breslow_day: float
    breslow_day_p_value: float
    strata: int


class PooledDifference(NamedTuple):
    """Pooled risk difference with limits, and strata used."""

    difference: float
    lower: float
    upper: float
    strata: int


def _strata(tables: Iterable[Sequence[int]]) -> np.ndarray:
    """The strata in which both groups have patients, one row each."""
    return np.array([counts for table in tables if (counts := two_groups(*table))], dtype=float).reshape(-1, 4)


def mantel_haenszel(tables: Iterable[Sequence[int]]) -> MantelHaenszel:
    """Odds ratio (group 1 over group 0) pooled over strata, and its tests.

    Args:
        tables: ``(events_1, patients_1, events_0, patients_0)`` per stratum. A stratum without information on the odds
            ratio is left out: a group has no patients, or the event occurs in nobody or everybody.

    Returns:
        ``odds_ratio``, ``lower``, ``upper`` (95 %, Robins-Breslow-Greenland; NaN when the odds ratio is 0, infinite or
        NaN); the Cochran-Mantel-Haenszel ``chi_squared`` and ``p_value`` without continuity correction; ``breslow_day``
        (homogeneity, without Tarone's adjustment, ``strata - 1`` degrees of freedom; NaN with one stratum or no finite
        odds ratio) and its p value; ``strata`` used.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Mantel and Haenszel 1959; Robins, Breslow and Greenland 1986; Breslow and Day 1980; as R ``mantelhaen.test``; by
        statsmodels, but for p values, which there end at 1e-16.
    """
    from scipy.special import chdtrc
    from statsmodels.stats.contingency_tables import StratifiedTable

    informative = [
        np.array([[events_1, patients_1 - events_1], [events_0, patients_0 - events_0]])
        for events_1, patients_1, events_0, patients_0 in _strata(tables)
        if 0 < events_1 + events_0 < patients_1 + patients_0
    ]
    strata = len(informative)
    if not strata:
        return MantelHaenszel(*[NAN] * 7, 0)
    pooled = StratifiedTable(informative)
    chi_squared = float(pooled.test_null_odds().statistic)
    test = chi_squared, float(chdtrc(1, chi_squared))
    above, below = (sum(table[0, i] * table[1, 1 - i] for table in informative) for i in (0, 1))
    if not above or not below:
        odds_ratio = INFINITE if above else 0.0 if below else NAN
        return MantelHaenszel(odds_ratio, NAN, NAN, *test, NAN, NAN, strata)
    homogeneity = float(pooled.test_equal_odds().statistic) if strata > 1 else NAN
    return MantelHaenszel(
        float(pooled.oddsratio_pooled),
        *map(float, pooled.oddsratio_pooled_confint()),
        *test,
        homogeneity,
        float(chdtrc(strata - 1, homogeneity)),
        strata,
    )


def mantel_haenszel_risk_difference(tables: Iterable[Sequence[int]]) -> PooledDifference:
    """Risk difference (group 1 minus group 0) pooled over strata with Mantel-Haenszel weights and Sato's variance.

    Args:
        tables: ``(events_1, patients_1, events_0, patients_0)`` per stratum. Strata in which a group has no patients
            are left out.

    Returns:
        ``difference``, ``lower`` and ``upper`` (95 %) as fractions; NaN without strata. ``strata`` used.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Greenland and Robins 1985; variance of Sato 1989, valid for few large and for many small strata; as SAS
        ``RISKDIFF(COMMON)``.
    """
    events_1, patients_1, events_0, patients_0 = _strata(tables).T
    if not len(events_1):
        return PooledDifference(NAN, NAN, NAN, 0)
    patients = patients_1 + patients_0
    weight = (patients_1 * patients_0 / patients).sum()
    difference = float(((events_1 * patients_0 - events_0 * patients_1) / patients).sum() / weight)
    slope = (
        patients_1**2 * events_0 - patients_0**2 * events_1 + patients_1 * patients_0 * (patients_0 - patients_1) / 2
    ) / patients**2
    constant = (events_1 * (patients_0 - events_0) + events_0 * (patients_1 - events_1)) / (2 * patients)
    half_width = Z_95 * math.sqrt(max(difference * slope.sum() + constant.sum(), 0)) / float(weight)
    return PooledDifference(difference, difference - half_width, difference + half_width, len(events_1))
