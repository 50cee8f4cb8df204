"""Proportions of independent patients and their comparison between two groups.

Printing and the choice of denominators do not belong here.
"""

from __future__ import annotations

import math

import numpy as np

NAN = float("nan")


def _check(events: int, patients: int) -> None:
    if not 0 <= events <= patients:
        raise ValueError(f"events must lie between 0 and the number of patients, found {events} of {patients}")


def wilson(events: int, patients: int) -> tuple[float, float]:
    """Wilson score interval (95 %) of a proportion.

    Args:
        events: patients with the event.
        patients: patients assessed.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Wilson 1927; statsmodels ``proportion_confint(method="wilson")``.
    """
    from statsmodels.stats.proportion import proportion_confint

    _check(events, patients)
    if patients == 0:
        return NAN, NAN
    lower, upper = proportion_confint(events, patients, method="wilson")
    return float(lower), float(upper)


def newcombe_difference(events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[float, float, float]:
    """Risk difference (group 1 minus group 0) with Newcombe's hybrid score interval (95 %).

    Returns:
        (difference, lower, upper) as fractions, -1 to 1; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Newcombe 1998, method 10; statsmodels. Its own "score" interval is not used: statsmodels 0.15 has it wrong.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    _check(events_1, patients_1)
    _check(events_0, patients_0)
    if not patients_1 or not patients_0:
        return NAN, NAN, NAN
    lower, upper = confint_proportions_2indep(events_1, patients_1, events_0, patients_0, method="newcomb", compare="diff")
    return events_1 / patients_1 - events_0 / patients_0, float(lower), float(upper)


def risk_ratio(events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[float, float, float]:
    """Risk ratio (group 1 over group 0) with the Wald interval (95 %) on the log scale.

    Returns:
        (ratio, lower, upper). The limits are NaN when a group has no event, or everybody has it; the ratio too when group 0 has none.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Katz 1978, as R epitools ``riskratio.wald``.
    """
    from scipy.stats import norm

    _check(events_1, patients_1)
    _check(events_0, patients_0)
    if not patients_1 or not patients_0 or not events_0:
        return NAN, NAN, NAN
    ratio = (events_1 / patients_1) / (events_0 / patients_0)
    if not events_1:
        return 0.0, NAN, NAN
    log_error = math.sqrt(1 / events_1 - 1 / patients_1 + 1 / events_0 - 1 / patients_0)
    if not log_error:  # everybody has the event, in both groups
        return ratio, NAN, NAN
    half_width = float(norm.ppf(0.975)) * log_error
    return ratio, ratio * math.exp(-half_width), ratio * math.exp(half_width)


def fisher(events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Two-sided p value of Fisher's exact test; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        scipy ``fisher_exact``, as R ``fisher.test``.
    """
    from scipy.stats import fisher_exact

    _check(events_1, patients_1)
    _check(events_0, patients_0)
    if not patients_1 or not patients_0:
        return NAN
    table = [[events_1, patients_1 - events_1], [events_0, patients_0 - events_0]]
    return float(fisher_exact(table).pvalue)


def chi_squared(counts: list[list[int]]) -> float:
    """p value of Pearson's chi-squared test, without continuity correction.

    Args:
        counts: one list per group, one count per level. Levels that occur in no group are left out.

    Returns:
        The p value; NaN when a group is empty or fewer than two levels occur.

    Source:
        scipy ``chi2_contingency``, as R ``chisq.test(correct = FALSE)``.
    """
    from scipy.stats import chi2_contingency

    table = np.asarray(counts)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return NAN
    return float(chi2_contingency(table, correction=False).pvalue)
