"""Tests of contingency tables: Fisher's exact test and Pearson's chi-squared test. A test that is not possible is NaN.

Estimates and their limits are in ``proportions``, tables in strata in ``strata``.
"""

from __future__ import annotations

import numpy as np

from capla_etl.stats.counts import NAN, table_of_counts, two_groups

SAME = 1e-7  # relative: probabilities closer than this are equal, as in R's fisher.test


def fisher(events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Two-sided p value of Fisher's exact test; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Fisher 1935: the probability of all tables no likelier than this one, as R ``fisher.test``. Written here: the p
        value of scipy differs by up to 9e-14 of itself, and printed results stay the same to the last bit.
    """
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN
    events_1, patients_1, events_0, patients_0 = counts
    events = events_1 + events_0
    lowest = max(0, events - patients_0)
    # Each weight from the one before it: exact where gammaln of large counts is not.
    before = np.arange(lowest, min(events, patients_1), dtype=float)
    steps = np.log((patients_1 - before) * (events - before)) - np.log(
        (before + 1) * (patients_0 - events + before + 1)
    )
    log_weight = np.concatenate([[0.0], np.cumsum(steps)])
    weight = np.exp(log_weight - log_weight.max())
    probability = weight / weight.sum()
    return min(1.0, float(probability[probability <= probability[events_1 - lowest] * (1 + SAME)].sum()))


def chi_squared(counts: list[list[int]], *, continuity_correction: bool = False) -> float:
    """p value of Pearson's chi-squared test.

    Args:
        counts: one list per group, one count per level. Levels that occur in no group are left out.
        continuity_correction: Yates' correction, which applies only to tables of two groups and two levels.

    Returns:
        The p value; NaN when a group is empty or fewer than two levels occur.

    Raises:
        ValueError: negative counts.

    Source:
        scipy ``chi2_contingency``, as R ``chisq.test(correct = FALSE)``, or ``TRUE``.
    """
    from scipy.stats import chi2_contingency

    table = table_of_counts(counts)
    if min(table.shape) < 2 or (table.sum(axis=1) == 0).any():
        return NAN
    return float(chi2_contingency(table, correction=continuity_correction).pvalue)
