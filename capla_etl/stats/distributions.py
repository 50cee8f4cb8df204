"""Distributions by group: medians, their difference, the rank test and standardised mean differences.

Proportions and their tests are in ``proportions`` and ``contingency``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from capla_etl.stats.counts import NAN, Z_95, table_of_counts

LISTED_DIFFERENCES = 4_000_000  # pairs of distinct values that ``hodges_lehmann`` lists
QUANTILES = {2: "averaged_inverted_cdf", 7: "linear"}  # R's type -> numpy's method


def _values(values) -> np.ndarray:
    """The known values, as floats."""
    array = np.asarray(values, dtype=float)
    array = array[~np.isnan(array)]
    if np.isinf(array).any():
        raise ValueError("values must be finite")
    return array


def median_iqr(values, *, quantile_type: int = 7) -> tuple[float, float, float]:
    """Median, first and third quartile of the known values.

    Args:
        values: numbers in any one unit; missing ones (NaN) are left out.
        quantile_type: 7, the default of R, or 2, that of SAS (``PCTLDEF=5``).

    Returns:
        (median, q1, q3) in the unit of the values; NaN without values.

    Raises:
        ValueError: another ``quantile_type``, or infinite values.

    Source:
        Hyndman and Fan 1996; R ``quantile(type = )`` and numpy's methods.
    """
    if quantile_type not in QUANTILES:
        raise ValueError(f"quantile_type must be {' or '.join(map(str, QUANTILES))}, found {quantile_type}")
    present = _values(values)
    if not len(present):
        return NAN, NAN, NAN
    q1, median, q3 = np.quantile(present, [0.25, 0.5, 0.75], method=QUANTILES[quantile_type])
    return float(median), float(q1), float(q3)


def mann_whitney(values_1, values_0, *, continuity_correction: bool = False) -> float:
    """Two-sided p value of the Wilcoxon-Mann-Whitney test: normal approximation, corrected for ties.

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.
        continuity_correction: the default of R ``wilcox.test`` and SAS; without it the p value is that of R
            ``kruskal.test``.

    Returns:
        The p value; NaN when a group has no values or all values are equal.

    Raises:
        ValueError: infinite values.

    Source:
        Mann and Whitney 1947; scipy, as R ``wilcox.test(exact = FALSE, correct = )``.
    """
    from scipy.stats import mannwhitneyu

    groups = _values(values_1), _values(values_0)
    if not all(map(len, groups)) or np.ptp(np.concatenate(groups)) == 0:
        return NAN
    return float(mannwhitneyu(*groups, method="asymptotic", use_continuity=continuity_correction).pvalue)


def hodges_lehmann(values_1, values_0) -> tuple[float, float, float]:
    """Hodges-Lehmann shift (group 1 minus group 0): the median of all pairwise differences, with its 95 % interval.

    The limits are pairwise differences, at ranks from the tie-corrected normal approximation of the Mann-Whitney
    statistic. R ``wilcox.test(conf.int = TRUE, exact = FALSE, correct = FALSE)`` solves for the points at which that
    statistic crosses 0 and its quantiles, to 1e-4. Without ties, R's estimate agrees to 1e-4 and its limits are these
    or the next difference; with ties, R can stop anywhere between two differences. Pairs are counted, not listed:
    memory grows with the number of values, not of pairs.

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.

    Returns:
        (shift, lower, upper) in the unit of the values; NaN when a group has no values.

    Raises:
        ValueError: infinite values.

    Source:
        Hodges and Lehmann 1963; Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3.
    """
    group_1, group_0 = _values(values_1), _values(values_0)
    if not len(group_1) or not len(group_0):
        return NAN, NAN, NAN
    ranked = _ranked_differences(group_1, group_0)
    pairs, patients = len(group_1) * len(group_0), len(group_1) + len(group_0)
    shift = (ranked((pairs + 1) // 2) + ranked(pairs // 2 + 1)) / 2
    ties = np.unique(np.concatenate([group_1, group_0]), return_counts=True)[1].astype(float)
    tie_term = (ties**3 - ties).sum() / (patients * (patients - 1))
    deviation = math.sqrt(max(pairs / 12 * (patients + 1 - tie_term), 0))
    rank = max(math.floor(pairs / 2 - Z_95 * deviation + 0.5), 1)
    return shift, ranked(rank), ranked(pairs + 1 - rank)


def _ranked_differences(group_1: np.ndarray, group_0: np.ndarray) -> Callable[[int], float]:
    """Return a function from a rank (1 is the smallest) to the pairwise difference of that rank."""
    distinct_1, count_1 = np.unique(group_1, return_counts=True)
    distinct_0, count_0 = np.unique(group_0, return_counts=True)

    def by_size(differences: np.ndarray, weights: np.ndarray, below: int) -> Callable[[int], float]:
        order = np.argsort(differences, kind="stable")
        up_to = below + np.cumsum(weights[order])
        return lambda rank: float(differences[order[np.searchsorted(up_to, rank)]])

    if len(distinct_1) * len(distinct_0) <= LISTED_DIFFERENCES:
        return by_size(np.subtract.outer(distinct_1, distinct_0).ravel(), np.outer(count_1, count_0).ravel(), 0)

    at_least = np.concatenate([np.cumsum(count_0[::-1])[::-1], [0]])  # values of group 0 from a position on
    margin = 8 * np.spacing(max(np.abs(group_1).max(), np.abs(group_0).max()))

    def selected(rank: int) -> float:
        """Halve the range of differences until it is as narrow as rounding allows, then list the pairs left in it."""
        lower, upper = distinct_1[0] - distinct_0[-1], distinct_1[-1] - distinct_0[0]
        while upper - lower > margin:
            middle = (lower + upper) / 2
            if count_1 @ at_least[np.searchsorted(distinct_0, distinct_1 - middle)] >= rank:
                upper = middle
            else:
                lower = middle
        first = np.searchsorted(distinct_0, distinct_1 - (upper + margin))
        last = np.searchsorted(distinct_0, distinct_1 - (lower - margin))
        listed = last - first
        of_1 = np.repeat(np.arange(len(distinct_1)), listed)
        of_0 = np.repeat(first, listed) + np.arange(len(of_1)) - np.repeat(np.cumsum(listed) - listed, listed)
        differences, weights = distinct_1[of_1] - distinct_0[of_0], count_1[of_1] * count_0[of_0]
        return by_size(differences, weights, int(count_1 @ at_least[last]))(rank)

    return selected


def smd_continuous(values_1, values_0, *, weights_1=None, weights_0=None) -> float:
    """Absolute standardised mean difference: difference of means over sqrt((s1^2 + s0^2) / 2).

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.
        weights_1, weights_0: one weight per value (>= 0); 1 each by default. Weighted variances are multiplied by
            n / (n - 1), n values with a weight above 0, so that equal weights give the unweighted difference.

    Returns:
        A number without unit; NaN with fewer than two values in a group or no variation.

    Raises:
        ValueError: a negative or missing weight of a known value, or a number of weights other than that of the values.

    Source:
        As R tableone ``ExtractSmd`` of ``CreateTableOne``, and of ``svyCreateTableOne`` with weights.
    """
    moments = [_moments(*group) for group in ((values_1, weights_1), (values_0, weights_0))]
    if None in moments:
        return NAN
    (mean_1, variance_1), (mean_0, variance_0) = moments
    pooled = math.sqrt((variance_1 + variance_0) / 2)
    return abs(mean_1 - mean_0) / pooled if pooled > 0 else NAN


def _moments(values, weights) -> tuple[float, float] | None:
    """Mean and variance of the known values; None with fewer than two."""
    if weights is None:
        present = _values(values)
        return (float(present.mean()), float(present.var(ddof=1))) if len(present) > 1 else None
    array, weight = np.asarray(values, dtype=float), np.asarray(weights, dtype=float)
    if array.shape != weight.shape:
        raise ValueError(f"one weight per value is needed, found {weight.size} for {array.size}")
    weight = weight[~np.isnan(array)]
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("weights must be finite numbers, 0 or more")
    present, weight = _values(array)[weight > 0], weight[weight > 0]
    if len(present) < 2:
        return None
    mean = float(np.average(present, weights=weight))
    variance = float(np.average((present - mean) ** 2, weights=weight))
    return mean, variance * len(present) / (len(present) - 1) if present.min() < present.max() else 0.0


def smd_categorical(counts_1, counts_0) -> float:
    """Standardised difference of a variable with levels: Mahalanobis distance between the vectors of proportions.

    Args:
        counts_1, counts_0: patients, or sums of their weights, per level: the same levels in the same order.

    Returns:
        A number without unit, >= 0; NaN when a group is empty, nothing varies, or the groups have no level in common
        (the difference is then unbounded, though a pseudoinverse would call it small).

    Raises:
        ValueError: negative counts.

    Source:
        Yang and Dalton, SAS Global Forum 2012; as R tableone ``ExtractSmd``.
    """
    counts = table_of_counts([counts_1, counts_0])
    totals = counts.sum(axis=1)
    if (totals == 0).any() or counts.shape[1] < 2:
        return NAN
    # The last level follows from the others.
    proportions = (counts / totals[:, None])[:, 1:]
    difference = proportions[0] - proportions[1]
    covariance = sum(np.diag(p) - np.outer(p, p) for p in proportions) / 2
    if not np.abs(covariance).max() > 0 or not counts.all(axis=0).any():
        return NAN
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))
