"""Tests of contingency tables: Fisher's exact test and its mid-p value, Boschloo's, chi-squared, trend.

Counts are given group 1 first, group 0 (the reference) second: ``events_1, patients_1, events_0, patients_0``. What cannot
be tested is NaN. Estimates and their limits are in ``proportions`` and ``odds_ratios``, tables in strata in ``strata``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from capla_etl.stats.counts import INFINITE, NAN, root_on_log_scale, two_groups, whole_counts

SAME = 1e-7  # relative: probabilities closer than this are equal, as in R's fisher.test
RXC_TABLES = 5_000_000  # the most tables of one half that ``fisher_rxc`` lists


class Conditional:
    """Distribution of the events of group 1 given the margins of the table, for any odds ratio (noncentral hypergeometric)."""

    def __init__(self, events_1: int, patients_1: int, events_0: int, patients_0: int):
        events = events_1 + events_0
        lowest, highest = max(0, events - patients_0), min(events, patients_1)
        self.support = np.arange(lowest, highest + 1, dtype=float)
        self.observed = events_1 - lowest
        before = self.support[:-1]  # each weight from the one before it: exact where gammaln of large counts is not
        step = np.log((patients_1 - before) * (events - before)) - np.log(
            (before + 1) * (patients_0 - events + before + 1)
        )
        self.log_weight = np.concatenate([[0.0], np.cumsum(step)])

    def probabilities(self, log_odds: float = 0.0) -> np.ndarray:
        """Probability of each number of events, at a log odds ratio."""
        weight = self.log_weight + log_odds * self.support
        weight = np.exp(weight - weight.max())
        return weight / weight.sum()

    def tail(self, log_odds: float, share: float, *, upper: bool) -> float:
        """P(beyond the observed) + ``share`` of P(the observed)."""
        probability = self.probabilities(log_odds)
        beyond = probability[self.observed + 1 :] if upper else probability[: self.observed]
        return float(beyond.sum() + share * probability[self.observed])

    def odds_ratio_at(self, probability: float, share: float, *, upper: bool) -> float:
        """The odds ratio at which a tail has this probability: 0 or infinite when none has."""
        if self.observed == (0 if upper else len(self.support) - 1):
            return 0.0 if upper else INFINITE

        def shortfall(log_odds: float) -> float:
            return (probability - self.tail(log_odds, share, upper=upper)) * (1 if upper else -1)

        return math.exp(root_on_log_scale(shortfall, 0.0))


def fisher(events_1: int, patients_1: int, events_0: int, patients_0: int, *, alternative: str = "two-sided") -> float:
    """p value of Fisher's exact test; NaN when a group has no patients.

    Args:
        alternative: "two-sided"; "greater" or "less" when only more, or fewer, events in group 1 count against no difference.

    Raises:
        ValueError: events outside 0..patients, or an unknown alternative.

    Source:
        Fisher 1935; two-sided the probability of all tables no likelier than this one, as R ``fisher.test``. From the distribution that the conditional
        odds ratio and the mid-p value need as well.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative is two-sided, greater or less, found {alternative}")
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN
    conditional = Conditional(*counts)
    if alternative != "two-sided":
        return min(1.0, conditional.tail(0, 1, upper=alternative == "greater"))
    probability = conditional.probabilities()
    return min(1.0, float(probability[probability <= probability[conditional.observed] * (1 + SAME)].sum()))


def fisher_mid_p(events_1: int, patients_1: int, events_0: int, patients_0: int, *, doubled: bool = False) -> float:
    """Two-sided mid-p value of Fisher's exact test: tables as likely as this one count half.

    Args:
        doubled: twice the smaller mid-p tail instead, the test that belongs to the limits of ``odds_ratio_mid_p``.

    Returns:
        The p value; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Lancaster 1961; Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, 2017, section 4.4;
        ``doubled`` as R epitools ``oddsratio.midp``, ``midp.exact``.
    """
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN
    conditional = Conditional(*counts)
    if doubled:
        return min(1.0, 2 * min(conditional.tail(0, 0.5, upper=upper) for upper in (True, False)))
    probability = conditional.probabilities()
    observed = probability[conditional.observed]
    as_likely = np.abs(probability - observed) <= observed * SAME
    return float(probability[(probability < observed) & ~as_likely].sum() + probability[as_likely].sum() / 2)


def boschloo(events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Two-sided p value of Boschloo's unconditional exact test. Slow: seconds with a thousand patients; never by default.

    Returns:
        The p value, good to about 1e-3 of itself (a search over the common risk); NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients.

    Source:
        Boschloo 1970; scipy ``boschloo_exact``, as R exact2x2 ``boschloo``.
    """
    from scipy.stats import boschloo_exact

    if not two_groups(events_1, patients_1, events_0, patients_0):
        return NAN
    if events_1 + events_0 in (0, patients_1 + patients_0):  # scipy has NaN here
        return 1.0
    # scipy fixes the column totals: a group is a column.
    return min(
        1.0, float(boschloo_exact([[events_1, events_0], [patients_1 - events_1, patients_0 - events_0]]).pvalue)
    )


def _levels(counts: Sequence[Sequence[int]]) -> np.ndarray:
    """The table of counts without the levels that occur in no group."""
    table = np.asarray(counts)
    if not (table >= 0).all():
        raise ValueError(f"counts of patients cannot be negative or missing, found {table.tolist()}")
    return table[:, table.sum(axis=0) > 0]


def chi_squared(counts: list[list[int]], *, continuity_correction: bool = False) -> float:
    """p value of Pearson's chi-squared test.

    Args:
        counts: one list per group, one count per level. Levels that occur in no group are left out.
        continuity_correction: Yates' correction, of tables with two groups and two levels only.

    Returns:
        The p value; NaN when a group is empty or fewer than two levels occur.

    Raises:
        ValueError: negative counts.

    Source:
        scipy ``chi2_contingency``, as R ``chisq.test(correct = FALSE)``, or ``TRUE``.
    """
    from scipy.stats import chi2_contingency

    table = _levels(counts)
    if min(table.shape) < 2 or (table.sum(axis=1) == 0).any():
        return NAN
    return float(chi2_contingency(table, correction=continuity_correction).pvalue)


def _fill(
    remaining: np.ndarray, log_weight: np.ndarray, total: int, log_factorial: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every way to take one level's ``total`` patients out of what remains of the groups.

    Args:
        remaining: one row per partial table, one column per group: patients not placed yet.
        log_weight: minus the log factorials of the cells placed so far, per partial table.

    Returns:
        The same two, one row per longer partial table.
    """
    left = np.full(len(remaining), total)
    for group in range(remaining.shape[1]):
        fewest = np.maximum(left - remaining[:, group + 1 :].sum(axis=1), 0)
        ways = np.minimum(left, remaining[:, group]) - fewest + 1
        if ways.sum() > RXC_TABLES:
            raise ValueError(f"too many tables for an exact test (more than {RXC_TABLES:,}): use the chi-squared test")
        origin = np.repeat(np.arange(len(left)), ways)
        placed = fewest[origin] + np.arange(len(origin)) - np.repeat(np.cumsum(ways) - ways, ways)
        remaining, log_weight, left = (
            remaining[origin],
            log_weight[origin] - log_factorial[placed],
            left[origin] - placed,
        )
        remaining[:, group] -= placed
    return remaining, log_weight


def fisher_rxc(counts: Sequence[Sequence[int]]) -> float:
    """p value of Fisher's exact test of a table with any number of groups and levels (Freeman-Halton).

    The tables with the observed margins are listed in two halves: the rarer levels, then, for each state of the groups they can leave,
    the commoner ones. So no more than the square root of all tables is ever listed at a time. No random numbers.

    Args:
        counts: one list per group, one count per level. Groups and levels without patients are left out.

    Returns:
        The p value; NaN when fewer than two groups or levels have patients.

    Raises:
        ValueError: negative counts, or a table with too many patients to list.

    Source:
        Freeman and Halton 1951; as R ``fisher.test``.
    """
    from scipy.special import gammaln

    table = _levels(counts)
    table = table[table.sum(axis=1) > 0]
    if min(table.shape, default=0) < 2:
        return NAN
    if table.shape[0] > table.shape[1]:
        table = table.T
    log_factorial = gammaln(np.arange(table.sum() + 1) + 1.0)
    groups, levels = np.sort(table.sum(axis=1)), np.sort(table.sum(axis=0))
    constant = log_factorial[groups].sum() + log_factorial[levels].sum() - log_factorial[table.sum()]
    observed = constant - log_factorial[table].sum() + SAME
    half = (len(levels) + 1) // 2
    remaining, begun = groups[None, :], np.zeros(1)
    for total in levels[:half]:
        remaining, begun = _fill(remaining, begun, total, log_factorial)
    # What is left to place depends on the state of the groups only, in any order.
    states = np.sort(remaining, axis=1)
    order = np.lexsort(states.T)
    states, begun = states[order], begun[order]
    starts = np.flatnonzero(np.concatenate([[True], (states[1:] != states[:-1]).any(axis=1)]))
    p_value = 0.0
    for groups_left, begun_here in zip(states[starts], np.split(begun, starts[1:]), strict=True):
        rest, ended = groups_left[None, :], np.zeros(1)
        for total in levels[half:]:
            rest, ended = _fill(rest, ended, total, log_factorial)
        ended = np.sort(ended)
        up_to = np.concatenate([[0.0], np.cumsum(np.exp(ended - ended[-1]))])
        unlikely = np.searchsorted(ended, observed - constant - begun_here, side="right")
        p_value += float((np.exp(constant + begun_here + ended[-1]) * up_to[unlikely]).sum())
    return min(1.0, p_value)


class TrendTest(NamedTuple):
    """Test of a trend in proportions: chi-squared statistic (1 degree of freedom) and p value."""

    chi_squared: float
    p_value: float


def cochran_armitage_trend(
    events: Sequence[int], patients: Sequence[int], scores: Sequence[float] | None = None
) -> TrendTest:
    """Cochran-Armitage test of a trend in proportions over ordered groups.

    Args:
        events, patients: one count per group, in order. Groups without patients are left out.
        scores: where the groups lie; 1, 2, 3... by default.

    Returns:
        ``chi_squared`` and ``p_value``, two-sided; NaN when fewer than two groups have patients, or nobody or everybody has the event.

    Raises:
        ValueError: events outside 0..patients, or lists of different lengths.

    Source:
        Armitage 1955; as R ``prop.trend.test``.
    """
    from scipy.special import chdtrc

    for one_events, one_patients in zip(events, patients, strict=True):
        whole_counts(one_events, one_patients)
    with_event, size = np.asarray(events, dtype=float), np.asarray(patients, dtype=float)
    score = np.arange(1, len(size) + 1, dtype=float) if scores is None else np.asarray(scores, dtype=float)
    if len(score) != len(size):
        raise ValueError(f"as many scores as groups are needed, found {len(score)} for {len(size)}")
    if not 0 < with_event.sum() < size.sum():
        return TrendTest(NAN, NAN)
    risk = with_event.sum() / size.sum()
    centred = score - (size @ score) / size.sum()
    spread = size @ centred**2
    if spread <= 0:
        return TrendTest(NAN, NAN)
    statistic = float((with_event @ centred) ** 2 / (risk * (1 - risk) * spread))
    return TrendTest(statistic, float(chdtrc(1, statistic)))
