"""Distributions by group: medians, their difference, rank tests and standardised mean differences.

Proportions and their tests are in ``proportions``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

NAN = float("nan")
EXACT_STEPS = 3_000_000_000  # additions that ``mann_whitney_exact`` may take: some seconds
LISTED_DIFFERENCES = 4_000_000  # pairs of distinct values that ``hodges_lehmann`` lists
QUANTILES = {
    1: "inverted_cdf",
    2: "averaged_inverted_cdf",
    3: "closest_observation",
    4: "interpolated_inverted_cdf",
    5: "hazen",
    6: "weibull",
    7: "linear",
    8: "median_unbiased",
    9: "normal_unbiased",
}  # numpy's names of R's types


def _values(values) -> np.ndarray:
    """The values that are there, as floats."""
    array = np.asarray(values, dtype=float)
    array = array[~np.isnan(array)]
    if np.isinf(array).any():
        raise ValueError("values must be finite")
    return array


def median_iqr(values, *, quantile_type: int = 7) -> tuple[float, float, float]:
    """Median, first and third quartile of the values that are there.

    Args:
        values: numbers in any one unit; missing ones (NaN) are left out.
        quantile_type: R's type, 1 to 9. R's default is 7, that of SAS (``PCTLDEF=5``) is 2, that of SPSS and Minitab 6.

    Returns:
        (median, q1, q3) in the unit of the values; NaN without values.

    Raises:
        ValueError: an unknown ``quantile_type``, or infinite values.

    Source:
        Hyndman and Fan 1996; R ``quantile(type = )`` and numpy's methods.
    """
    if quantile_type not in QUANTILES:
        raise ValueError(f"quantile_type is one of R's types 1 to 9, found {quantile_type}")
    present = _values(values)
    if not len(present):
        return NAN, NAN, NAN
    q1, median, q3 = np.quantile(present, [0.25, 0.5, 0.75], method=QUANTILES[quantile_type])
    return float(median), float(q1), float(q3)


def mann_whitney(values_1, values_0, *, continuity_correction: bool = False) -> float:
    """Two-sided p value of the Wilcoxon-Mann-Whitney test: normal approximation, tie-corrected.

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.
        continuity_correction: as R ``wilcox.test`` and SAS do by default; without it, with two groups, equal to R ``kruskal.test``.

    Returns:
        The p value; NaN when a group has no values or all values are equal.

    Source:
        Mann and Whitney 1947, as R ``wilcox.test(exact = FALSE, correct = )``. Written here: scipy's ``mannwhitneyu`` gives the same number and takes
        ten times as long, which is most of the time of Table 1.
    """
    from scipy.special import ndtr

    group_1, group_0 = _values(values_1), _values(values_0)
    distinct, position, counts = np.unique(np.concatenate([group_1, group_0]), return_inverse=True, return_counts=True)
    if not len(group_1) or not len(group_0) or len(distinct) < 2:
        return NAN
    size_1, size_0, size = len(group_1), len(group_0), len(position)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    excess = abs(midranks[position[:size_1]].sum() - size_1 * (size + 1) / 2) - (0.5 if continuity_correction else 0)
    ties = (counts.astype(float) ** 3 - counts).sum() / (size * (size - 1))
    return min(1.0, float(2 * ndtr(-excess / math.sqrt(size_1 * size_0 / 12 * (size + 1 - ties)))))


def mann_whitney_exact(values_1, values_0) -> float:
    """Two-sided p value of the Wilcoxon-Mann-Whitney test from the exact permutation distribution, ties included.

    Returns:
        P(the rank sum lies at least as far from its expectation as observed); NaN when a group has no values or all values are equal.

    Raises:
        ValueError: too many values (some two hundred in each group).

    Source:
        Streitberg and Röhmel 1986 (shift algorithm); as SAS ``NPAR1WAY`` ``EXACT WILCOXON`` and R coin
        ``wilcox_test(distribution = "exact")``. By hand: scipy's exact method and R's ``wilcox.test`` ignore ties.
    """
    from scipy.stats import rankdata

    group_1, group_0 = _values(values_1), _values(values_0)
    if len(group_1) > len(group_0):
        group_1, group_0 = group_0, group_1
    if not len(group_1) or len(np.unique(np.concatenate([group_1, group_0]))) < 2:
        return NAN
    ranks = np.rint(2 * rankdata(np.concatenate([group_1, group_0]))).astype(int)  # midranks, doubled: whole numbers
    ranks //= np.gcd.reduce(ranks)
    drawn, patients, ordered = len(group_1), len(ranks), np.sort(ranks)
    largest = int(ordered[-drawn:].sum())
    if drawn * patients * largest > EXACT_STEPS:
        raise ValueError(
            f"too many values for the exact test ({len(group_1)} and {len(group_0)}): use the normal approximation"
        )
    # Each patient is drawn with the same chance; once ``drawn`` of them are, all draws are as likely. chance[k, s]: k drawn, rank sum s.
    share = drawn / patients
    chance = np.zeros((drawn + 1, largest + 1))
    chance[0, 0] = 1
    for number, rank in enumerate(ordered, start=1):
        most = min(number, drawn)
        reached = chance[: most + 1, : ordered[number - most : number].sum() + 1]
        with_this = share * reached[:-1, : reached.shape[1] - rank]
        reached *= 1 - share
        reached[1:, rank:] += with_this
    # Times ``patients``: the distance from the expected sum in whole numbers.
    distance = np.abs(patients * np.arange(largest + 1) - drawn * ranks.sum())
    observed = abs(patients * int(ranks[:drawn].sum()) - drawn * int(ranks.sum()))
    return min(1.0, float(chance[drawn, distance >= observed].sum() / chance[drawn].sum()))


def welch_t(values_1, values_0) -> float:
    """Two-sided p value of Welch's t test (variances may differ).

    Returns:
        The p value; NaN with fewer than two values in a group, or no variation within the groups.

    Source:
        scipy ``ttest_ind(equal_var=False)``, as R ``t.test``.
    """
    from scipy.stats import ttest_ind

    groups = [_values(values_1), _values(values_0)]
    if min(map(len, groups)) < 2 or not _varies_within(groups):
        return NAN
    return float(ttest_ind(*groups, equal_var=False).pvalue)


def one_way_anova(*groups) -> float:
    """p value of one-way analysis of variance (equal variances); with two groups Student's t test.

    Args:
        groups: the values of each group; groups without values are left out.

    Returns:
        The p value; NaN with fewer than two groups, or no variation within the groups.

    Source:
        scipy ``f_oneway``, as R ``oneway.test(var.equal = TRUE)``.
    """
    from scipy.stats import f_oneway

    present = [values for values in map(_values, groups) if len(values)]
    if len(present) < 2 or not _varies_within(present):
        return NAN
    return float(f_oneway(*present).pvalue)


def kruskal_wallis(*groups) -> float:
    """p value of the Kruskal-Wallis test, tie-corrected.

    Args:
        groups: the values of each group; groups without values are left out.

    Returns:
        The p value; NaN with fewer than two groups, or all values equal.

    Source:
        scipy ``kruskal``, as R ``kruskal.test``.
    """
    from scipy.stats import kruskal

    present = [values for values in map(_values, groups) if len(values)]
    if len(present) < 2 or len(np.unique(np.concatenate(present))) < 2:
        return NAN
    return float(kruskal(*present).pvalue)


def _varies_within(groups: list[np.ndarray]) -> bool:
    """Whether the values of any group differ among themselves."""
    return any(values.min() < values.max() for values in groups)


def hodges_lehmann(values_1, values_0, *, level: float = 0.95) -> tuple[float, float, float]:
    """Hodges-Lehmann shift (group 1 minus group 0): the median of all pairwise differences, with its interval.

    The interval is made of order statistics of the pairwise differences, at ranks from the tie-corrected normal approximation of the
    Mann-Whitney statistic. R ``wilcox.test(conf.int = TRUE, exact = FALSE, correct = FALSE)`` solves for the points at which that statistic
    crosses 0 and its quantiles, to 1e-4: without ties its estimate is this one to 1e-4 and its limits are these or the next difference;
    with ties it can stop anywhere between two differences. Pairs are counted, not listed: memory grows with the values, not the pairs.

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.
        level: confidence level, 0 to 1.

    Returns:
        (shift, lower, upper) in the unit of the values; NaN when a group has no values.

    Raises:
        ValueError: infinite values, or a level outside 0..1.

    Source:
        Hodges and Lehmann 1963; Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3.
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1 (0.95 for 95 %), found {level}")
    group_1, group_0 = _values(values_1), _values(values_0)
    if not len(group_1) or not len(group_0):
        return NAN, NAN, NAN
    ranked = _ranked_differences(group_1, group_0)
    pairs = len(group_1) * len(group_0)
    shift = (ranked((pairs + 1) // 2) + ranked(pairs // 2 + 1)) / 2
    patients = len(group_1) + len(group_0)
    ties = np.unique(np.concatenate([group_1, group_0]), return_counts=True)[1].astype(float)
    tie_term = (ties**3 - ties).sum() / (patients * (patients - 1)) if patients > 1 else 0
    deviation = math.sqrt(max(pairs / 12 * (patients + 1 - tie_term), 0))
    rank = max(math.floor(pairs / 2 - float(ndtri((1 + level) / 2)) * deviation + 0.5), 1)
    return shift, ranked(rank), ranked(pairs + 1 - rank)


def _ranked_differences(group_1: np.ndarray, group_0: np.ndarray) -> Callable[[int], float]:
    """A function that gives the pairwise difference of a rank, from 1 (the smallest)."""
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

    def pairs_up_to(difference: float) -> int:
        return int(count_1 @ at_least[np.searchsorted(distinct_0, distinct_1 - difference)])

    def selected(rank: int) -> float:
        """Halve the range of differences until it is as narrow as rounding allows, then list the pairs left in it."""
        lower, upper = distinct_1[0] - distinct_0[-1], distinct_1[-1] - distinct_0[0]
        while upper - lower > margin:
            middle = (lower + upper) / 2
            if pairs_up_to(middle) >= rank:
                upper = middle
            else:
                lower = middle
        first = np.searchsorted(distinct_0, distinct_1 - (upper + margin))
        last = np.searchsorted(distinct_0, distinct_1 - (lower - margin))
        listed = last - first
        of_1 = np.repeat(np.arange(len(distinct_1)), listed)
        of_0 = np.repeat(first, listed) + np.arange(len(of_1)) - np.repeat(np.cumsum(listed) - listed, listed)
        return by_size(
            distinct_1[of_1] - distinct_0[of_0], count_1[of_1] * count_0[of_0], int(count_1 @ at_least[last])
        )(rank)

    return selected


def smd_continuous(values_1, values_0, *, weights_1=None, weights_0=None) -> float:
    """Absolute standardised mean difference: difference of means over sqrt((s1^2 + s0^2) / 2).

    Args:
        values_1, values_0: numbers in one unit; missing ones (NaN) are left out.
        weights_1, weights_0: one weight per value (>= 0); 1 each by default. Weighted variances carry n / (n - 1), n values with a weight
            above 0, so that equal weights give the unweighted difference.

    Returns:
        A number without unit; NaN with fewer than two values in a group or no variation.

    Raises:
        ValueError: a negative or missing weight of a value that is there, or not as many weights as values.

    Source:
        As R tableone ``ExtractSmd`` of ``CreateTableOne``, and of ``svyCreateTableOne`` with weights.
    """
    moments = [_weighted_moments(*group) for group in ((values_1, weights_1), (values_0, weights_0))]
    if any(moment is None for moment in moments):
        return NAN
    (mean_1, variance_1), (mean_0, variance_0) = moments
    pooled = math.sqrt((variance_1 + variance_0) / 2)
    return abs(mean_1 - mean_0) / pooled if pooled > 0 else NAN


def _weighted_moments(values, weights) -> tuple[float, float] | None:
    """Mean and variance of the values that are there; None with fewer than two."""
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


def smd_proportion(events_1: float, patients_1: float, events_0: float, patients_0: float) -> float:
    """Absolute standardised difference of two proportions: their difference over sqrt((p1 (1 - p1) + p0 (1 - p0)) / 2).

    Args:
        events_1, patients_1, events_0, patients_0: counts, or sums of weights.

    Returns:
        A number without unit; NaN when a group is empty or nothing varies.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Austin 2009; as R tableone ``ExtractSmd`` of a variable with two levels.
    """
    for events, patients in ((events_1, patients_1), (events_0, patients_0)):
        if not 0 <= events <= patients:
            raise ValueError(f"events must lie between 0 and the number of patients, found {events} of {patients}")
    return smd_categorical([patients_1 - events_1, events_1], [patients_0 - events_0, events_0])


def smd_categorical(counts_1, counts_0) -> float:
    """Standardised difference of a variable with two or more levels: Mahalanobis distance between the vectors of proportions.

    Args:
        counts_1, counts_0: patients, or sums of their weights, per level: the same levels in the same order.

    Returns:
        A number without unit, >= 0; NaN when a group is empty, nothing varies, or the groups have no level in common (the difference is
        then without bound, though a pseudoinverse would call it small).

    Raises:
        ValueError: negative counts.

    Source:
        Yang and Dalton, SAS Global Forum 2012; as R tableone ``ExtractSmd``.
    """
    counts = np.array([counts_1, counts_0], dtype=float)
    if not (counts >= 0).all():
        raise ValueError(f"counts of patients cannot be negative or missing, found {counts.tolist()}")
    counts = counts[:, counts.sum(axis=0) > 0]
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
