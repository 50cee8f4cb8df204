"""Distributions by group: medians, their difference, rank tests and standardised mean differences.

Proportions and their tests are in ``proportions``.
"""

from __future__ import annotations

import math

import numpy as np

NAN = float("nan")


def _values(values) -> np.ndarray:
    """The values that are there, as floats."""
    array = np.asarray(values, dtype=float)
    return array[~np.isnan(array)]


def median_iqr(values) -> tuple[float, float, float]:
    """Median, first and third quartile of the values that are there (R's type 7 quantiles).

    Args:
        values: numbers in any one unit; missing ones (NaN) are left out.

    Returns:
        (median, q1, q3) in the unit of the values; NaN without values.

    Source:
        Hyndman and Fan 1996, definition 7: R ``quantile`` and numpy by default.
    """
    present = _values(values)
    if not len(present):
        return NAN, NAN, NAN
    q1, median, q3 = np.quantile(present, [0.25, 0.5, 0.75])
    return float(median), float(q1), float(q3)


def mann_whitney(values_1, values_0) -> float:
    """Two-sided p value of the Wilcoxon-Mann-Whitney test: normal approximation, tie-corrected, no continuity correction.

    Returns:
        The p value; NaN when a group has no values or all values are equal.

    Source:
        scipy ``mannwhitneyu(method="asymptotic")``; with two groups equal to R ``kruskal.test``. scipy's exact method ignores ties.
    """
    from scipy.stats import mannwhitneyu

    group_1, group_0 = _values(values_1), _values(values_0)
    if not len(group_1) or not len(group_0) or len(np.unique(np.concatenate([group_1, group_0]))) < 2:
        return NAN
    return float(mannwhitneyu(group_1, group_0, alternative="two-sided", method="asymptotic", use_continuity=False).pvalue)


def hodges_lehmann(values_1, values_0) -> tuple[float, float, float]:
    """Hodges-Lehmann shift (group 1 minus group 0): the median of all pairwise differences, with its 95 % interval.

    The interval is made of order statistics of the pairwise differences, at ranks from the tie-corrected normal approximation of the
    Mann-Whitney statistic. Pairs are counted by distinct value, so that whole days cost nothing at any number of patients.

    Returns:
        (shift, lower, upper) in the unit of the values; NaN when a group has no values.

    Source:
        Hodges and Lehmann 1963; Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3.
    """
    from scipy.stats import norm

    group_1, group_0 = _values(values_1), _values(values_0)
    if not len(group_1) or not len(group_0):
        return NAN, NAN, NAN
    distinct_1, count_1 = np.unique(group_1, return_counts=True)
    distinct_0, count_0 = np.unique(group_0, return_counts=True)
    pair_difference, position = np.unique(np.subtract.outer(distinct_1, distinct_0).ravel(), return_inverse=True)
    pairs_up_to = np.cumsum(np.bincount(position, weights=np.outer(count_1, count_0).ravel()))
    pairs = len(group_1) * len(group_0)

    def ranked(rank: float) -> float:
        return float(pair_difference[np.searchsorted(pairs_up_to, rank)])

    shift = (ranked(math.floor((pairs + 1) / 2)) + ranked(math.ceil((pairs + 1) / 2))) / 2
    patients = len(group_1) + len(group_0)
    ties = np.unique(np.concatenate([group_1, group_0]), return_counts=True)[1].astype(float)
    tie_term = (ties**3 - ties).sum() / (patients * (patients - 1)) if patients > 1 else 0
    deviation = math.sqrt(max(pairs / 12 * (patients + 1 - tie_term), 0))
    rank = max(math.floor(pairs / 2 - float(norm.ppf(0.975)) * deviation + 0.5), 1)
    return shift, ranked(rank), ranked(pairs + 1 - rank)


def smd_continuous(values_1, values_0) -> float:
    """Absolute standardised mean difference: difference of means over sqrt((s1^2 + s0^2) / 2).

    Returns:
        A number without unit; NaN with fewer than two values in a group or no variation.

    Source:
        As R tableone ``ExtractSmd``.
    """
    group_1, group_0 = _values(values_1), _values(values_0)
    if len(group_1) < 2 or len(group_0) < 2:
        return NAN
    pooled = math.sqrt((group_1.var(ddof=1) + group_0.var(ddof=1)) / 2)
    return abs(group_1.mean() - group_0.mean()) / pooled if pooled > 0 else NAN


def smd_categorical(counts_1, counts_0) -> float:
    """Standardised difference of a variable with two or more levels: Mahalanobis distance between the vectors of proportions.

    Args:
        counts_1, counts_0: patients per level, the same levels in the same order.

    Returns:
        A number without unit, >= 0; NaN when a group is empty or nothing varies.

    Source:
        Yang and Dalton, SAS Global Forum 2012; as R tableone ``ExtractSmd``.
    """
    counts = np.array([counts_1, counts_0], dtype=float)
    counts = counts[:, counts.sum(axis=0) > 0]
    totals = counts.sum(axis=1)
    if (totals == 0).any() or counts.shape[1] < 2:
        return NAN
    # The last level follows from the others.
    proportions = (counts / totals[:, None])[:, 1:]
    difference = proportions[0] - proportions[1]
    covariance = sum(np.diag(p) - np.outer(p, p) for p in proportions) / 2
    if not np.abs(covariance).max() > 0:
        return NAN
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))
