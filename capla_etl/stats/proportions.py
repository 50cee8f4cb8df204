"""Proportions of independent patients and their comparison between two groups.

Counts are given group 1 first, group 0 (the reference) second: ``events_1, patients_1, events_0, patients_0``. Estimates and limits are
fractions, limits 95 % unless ``level`` says otherwise. A limit that the data leave open is infinite (ratios) or the edge of the scale;
what cannot be estimated is NaN. Printing, the choice of denominators and regression do not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

NAN = float("nan")
INFINITE = float("inf")
SAME = 1e-7  # relative: probabilities closer than this are equal, as in R's fisher.test
RXC_TABLES = 5_000_000  # the most tables of one half that ``fisher_rxc`` lists


def _check(events: int, patients: int) -> tuple[int, int]:
    """The counts as Python's whole numbers, which do not overflow."""
    if not 0 <= events <= patients:
        raise ValueError(f"events must lie between 0 and the number of patients, found {events} of {patients}")
    if events != int(events) or patients != int(patients):
        raise ValueError(f"patients are counted in whole numbers, found {events} of {patients}")
    return int(events), int(patients)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1 (0.95 for 95 %), found {level}")


def _counts(events_1: int, patients_1: int, events_0: int, patients_0: int, level: float = 0.95) -> tuple[int, int, int, int] | None:
    """The counts, checked; None when a group has no patients."""
    counts = *_check(events_1, patients_1), *_check(events_0, patients_0)
    _check_level(level)
    return counts if counts[1] and counts[3] else None


def _quantile(level: float) -> float:
    """Two-sided quantile of the normal distribution, 1.96 for 95 %."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _root(falling: Callable[[float], float], start: float) -> float:
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


# One proportion


def wilson(events: int, patients: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion.

    Args:
        events: patients with the event.
        patients: patients assessed.
        level: confidence level, 0 to 1.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Wilson 1927; statsmodels, as R ``prop.test(correct = FALSE)``.
    """
    return _confidence_interval(events, patients, "wilson", level)


def _confidence_interval(events: int, patients: int, method: str, level: float) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    events, patients = _check(events, patients)
    _check_level(level)
    if patients == 0:
        return NAN, NAN
    lower, upper = proportion_confint(events, patients, alpha=1 - level, method=method)
    # Rounding must not move a limit off the edge that it stands on.
    return float(lower) if events else 0.0, float(upper) if events < patients else 1.0


def clopper_pearson(events: int, patients: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a proportion.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Clopper and Pearson 1934; statsmodels, as R ``binom.test``.
    """
    return _confidence_interval(events, patients, "beta", level)


def mid_p_interval(events: int, patients: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion with half the probability of what was observed (mid-p): less cautious than Clopper-Pearson.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Lancaster 1961; Berry and Armitage 1995. The limits at which the mid-p tail is (1 - level) / 2.
    """
    from scipy.optimize import brentq
    from scipy.special import bdtr

    events, patients = _check(events, patients)
    _check_level(level)
    if patients == 0:
        return NAN, NAN
    tail = (1 - level) / 2

    def below(proportion: float) -> float:
        """P(fewer events) + P(as many) / 2."""
        fewer = float(bdtr(events - 1, patients, proportion)) if events else 0.0
        return (fewer + float(bdtr(events, patients, proportion))) / 2

    lower = float(brentq(lambda p: below(p) - (1 - tail), 0, 1, xtol=1e-15, rtol=1e-14)) if events else 0.0
    upper = float(brentq(lambda p: below(p) - tail, 0, 1, xtol=1e-15, rtol=1e-14)) if events < patients else 1.0
    return lower, upper


# Risk difference and risk ratio


def newcombe_difference(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Risk difference (group 1 minus group 0) with Newcombe's hybrid score interval.

    Returns:
        (difference, lower, upper) as fractions, -1 to 1; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Newcombe 1998, method 10: from the Wilson intervals of both groups.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    risk_1, risk_0 = events_1 / patients_1, events_0 / patients_0
    (lower_1, upper_1), (lower_0, upper_0) = wilson(events_1, patients_1, level=level), wilson(events_0, patients_0, level=level)
    difference = risk_1 - risk_0
    return difference, difference - math.hypot(risk_1 - lower_1, upper_0 - risk_0), difference + math.hypot(upper_1 - risk_1, risk_0 - lower_0)


def _restricted_difference(difference: float, events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[float, float]:
    """Most likely risks of groups 1 and 0 among those that differ by ``difference`` (root of a cubic equation)."""
    patients, events = patients_1 + patients_0, events_1 + events_0
    square = (patients_1 + 2 * patients_0) * difference - patients - events
    linear = (patients_0 * difference - patients - 2 * events_0) * difference + events
    constant = events_0 * difference * (1 - difference)
    third = square / (3 * patients)
    halves = third**3 - square * linear / (6 * patients**2) + constant / (2 * patients)
    radius = math.copysign(math.sqrt(max(third**2 - linear / (3 * patients), 0)), halves)
    angle = (math.pi + math.acos(max(-1, min(1, halves / radius**3)))) / 3 if radius else 0
    risk_0 = 2 * radius * math.cos(angle) - third
    risk_0 = max(0.0, -difference, min(1.0, 1 - difference, risk_0))
    return max(0.0, min(1.0, risk_0 + difference)), risk_0


def _difference_score(difference: float, events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Score statistic of a risk difference (about normal), without Miettinen and Nurminen's factor."""
    risk_1, risk_0 = _restricted_difference(difference, events_1, patients_1, events_0, patients_0)
    variance = risk_1 * (1 - risk_1) / patients_1 + risk_0 * (1 - risk_0) / patients_0
    excess = events_1 / patients_1 - events_0 / patients_0 - difference
    if variance <= 0:
        return 0.0 if excess == 0 else math.copysign(1e9, excess)
    return excess / math.sqrt(variance)


def _score_quantile(patients: int, level: float) -> float:
    """The normal quantile with Miettinen and Nurminen's factor N / (N - 1) of the variance."""
    return _quantile(level) * math.sqrt(patients / (patients - 1))


def miettinen_nurminen_difference(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Risk difference (group 1 minus group 0) with Miettinen and Nurminen's score interval; defined with zero cells.

    Returns:
        (difference, lower, upper) as fractions, -1 to 1; NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Miettinen and Nurminen 1985, with the factor N / (N - 1); as R ratesci ``scoreci(skew = FALSE)`` and SAS ``RISKDIFF(CL=MN)``.
        By hand: statsmodels 0.15 has one coefficient wrong.
    """
    from scipy.optimize import brentq

    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    difference = events_1 / patients_1 - events_0 / patients_0
    critical = _score_quantile(patients_1 + patients_0, level)
    lower, upper = -1.0, 1.0
    if difference > -1:
        lower = float(brentq(lambda d: _difference_score(d, *counts) - critical, -1, difference, xtol=1e-14, rtol=1e-14))
    if difference < 1:
        upper = float(brentq(lambda d: _difference_score(d, *counts) + critical, difference, 1, xtol=1e-14, rtol=1e-14))
    return difference, lower, upper


def farrington_manning(events_1: int, patients_1: int, events_0: int, patients_0: int, *, margin: float = 0.0) -> float:
    """Two-sided p value of the score test that the risk difference (group 1 minus group 0) is ``margin``.

    With a margin of 0 this is Pearson's chi-squared test.

    Returns:
        The p value; NaN when a group has no patients, or all patients or none have the event and ``margin`` is 0.

    Raises:
        ValueError: events outside 0..patients, or a margin not between -1 and 1.

    Source:
        Farrington and Manning 1990; as SAS ``RISKDIFF(EQUAL METHOD=FM)``.
    """
    from scipy.special import ndtr

    if not -1 < margin < 1:
        raise ValueError(f"a margin of a risk difference lies between -1 and 1, found {margin}")
    counts = _counts(events_1, patients_1, events_0, patients_0)
    if not counts or (margin == 0 and events_1 + events_0 in (0, patients_1 + patients_0)):
        return NAN
    return 2 * float(ndtr(-abs(_difference_score(margin, *counts))))


def risk_ratio(events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95) -> tuple[float, float, float]:
    """Risk ratio (group 1 over group 0) with the Wald interval on the log scale.

    Returns:
        (ratio, lower, upper). The limits are NaN when a group has no event, or everybody has it; the ratio too when group 0 has none.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Katz 1978, as R epitools ``riskratio.wald``.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts or not events_0:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    ratio = (events_1 / patients_1) / (events_0 / patients_0)
    if not events_1:
        return 0.0, NAN, NAN
    log_error = math.sqrt(1 / events_1 - 1 / patients_1 + 1 / events_0 - 1 / patients_0)
    if not log_error:  # everybody has the event, in both groups
        return ratio, NAN, NAN
    half_width = _quantile(level) * log_error
    return ratio, ratio * math.exp(-half_width), ratio * math.exp(half_width)


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


def miettinen_nurminen_ratio(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Risk ratio (group 1 over group 0) with Miettinen and Nurminen's score interval; limits exist with zero cells.

    Returns:
        (ratio, lower, upper). The ratio is NaN when group 0 has no event, with an infinite upper limit; the lower limit is 0 when group 1
        has none. All NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Miettinen and Nurminen 1985, with the factor N / (N - 1); as R ratesci ``scoreci(contrast = "RR", skew = FALSE)``.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    ratio = (events_1 / patients_1) / (events_0 / patients_0) if events_0 else NAN
    critical = _score_quantile(patients_1 + patients_0, level)
    return ratio, *_ratio_limits(lambda log_ratio: _ratio_score(math.exp(log_ratio), *counts), critical, counts, bool(events_1), bool(events_0))


def _ratio_limits(
    statistic: Callable[[float], float], critical: float, counts: tuple[int, int, int, int], has_lower: bool, has_upper: bool
) -> tuple[float, float]:
    """Where a statistic that falls as the log ratio rises is ``critical`` and ``-critical``; 0 and infinite where it never is."""
    events_1, patients_1, events_0, patients_0 = counts
    # Near the estimate, also with empty cells.
    start = math.log((events_1 + 0.5) / (patients_1 + 0.5)) - math.log((events_0 + 0.5) / (patients_0 + 0.5))

    def limit(crossing: float) -> float:
        return math.exp(_root(lambda log_ratio: statistic(log_ratio) - crossing, start))

    return limit(critical) if has_lower else 0.0, limit(-critical) if has_upper else INFINITE


# Odds ratio


def _sample_odds_ratio(events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Cross-product ratio; infinite with a zero below only, NaN with a zero above and below."""
    above, below = events_1 * (patients_0 - events_0), (patients_1 - events_1) * events_0
    if below:
        return above / below
    return INFINITE if above else NAN


def _odds_ratio_bounded(events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[bool, bool]:
    """Whether the data bound the odds ratio below and above."""
    return bool(events_1 and patients_0 - events_0), bool(events_0 and patients_1 - events_1)


def odds_ratio_wald(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Odds ratio (group 1 over group 0) with the Wald interval on the log scale.

    Returns:
        (odds ratio, lower, upper). With a zero cell the odds ratio is 0, infinite or NaN and the limits are NaN.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Woolf 1955, as R epitools ``oddsratio.wald``.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    cells = events_1, patients_1 - events_1, events_0, patients_0 - events_0
    odds_ratio = _sample_odds_ratio(*counts)
    if not all(cells):
        return odds_ratio, NAN, NAN
    half_width = _quantile(level) * math.sqrt(sum(1 / cell for cell in cells))
    return odds_ratio, odds_ratio * math.exp(-half_width), odds_ratio * math.exp(half_width)


def _restricted_odds(odds_ratio: float, events: int, patients_1: int, patients_0: int) -> tuple[float, float, float, float]:
    """Most likely risks of groups 1 and 0 among those with this odds ratio, given all ``events``; each followed by its complement, so that
    risks near 1 stay exact."""

    def risk_in_0(ratio: float, number: int) -> float:
        square = patients_0 * (ratio - 1)
        linear = patients_1 * ratio + patients_0 - number * (ratio - 1)
        root = math.sqrt(max(linear**2 + 4 * square * number, 0))
        # Of the two ways to write the root of the quadratic equation, the one that does not subtract like from like.
        return 2 * number / (linear + root) if linear > 0 else (root - linear) / (2 * square)

    risk_0 = risk_in_0(odds_ratio, events)
    no_risk_0 = risk_in_0(1 / odds_ratio, patients_1 + patients_0 - events)
    risk_0, no_risk_0 = (risk_0, 1 - risk_0) if risk_0 < 0.5 else (1 - no_risk_0, no_risk_0)
    both = odds_ratio * risk_0 + no_risk_0
    return odds_ratio * risk_0 / both, no_risk_0 / both, risk_0, no_risk_0


def _excess(events: int, patients: int, risk: float, no_risk: float) -> float:
    """Observed minus expected events."""
    return events - patients * risk if risk < 0.5 else patients * no_risk - (patients - events)


def _odds_score(odds_ratio: float, events_1: int, patients_1: int, events_0: int, patients_0: int) -> float:
    """Score statistic of an odds ratio."""
    risk_1, no_risk_1, risk_0, no_risk_0 = _restricted_odds(odds_ratio, events_1 + events_0, patients_1, patients_0)
    variance = 1 / (patients_1 * risk_1 * no_risk_1) + 1 / (patients_0 * risk_0 * no_risk_0)
    return _excess(events_1, patients_1, risk_1, no_risk_1) * math.sqrt(variance)


def miettinen_nurminen_odds_ratio(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Odds ratio (group 1 over group 0) with Miettinen and Nurminen's score interval; limits exist with zero cells.

    Returns:
        (odds ratio, lower, upper); 0 and infinite limits where the data leave them open; all NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Miettinen and Nurminen 1985, with the factor N / (N - 1); as R ratesci ``scoreci(contrast = "OR", skew = FALSE)``.
        By hand: statsmodels divides by zero with a zero cell.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    critical = _score_quantile(patients_1 + patients_0, level)
    limits = _ratio_limits(lambda log_odds: _odds_score(math.exp(log_odds), *counts), critical, counts, *_odds_ratio_bounded(*counts))
    return _sample_odds_ratio(*counts), *limits


def odds_ratio_profile(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Odds ratio (group 1 over group 0) with profile-likelihood limits: those of a logistic regression on the group.

    Returns:
        (odds ratio, lower, upper); 0 and infinite limits where the data leave them open; all NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Venzon and Moolgavkar 1988; as SAS ``OR(CL=LR)`` and R ``confint(glm(family = binomial))``.
    """
    from scipy.special import xlogy

    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    observed = np.array([events_1, patients_1 - events_1, events_0, patients_0 - events_0], dtype=float)
    most_likely = observed / np.repeat([patients_1, patients_0], 2)

    def root_of_deviance(log_odds: float) -> float:
        """Signed, so that it falls as the odds ratio rises."""
        risks = np.array(_restricted_odds(math.exp(log_odds), events_1 + events_0, patients_1, patients_0))
        deviance = 2 * float(xlogy(observed, most_likely / risks).sum())
        return math.copysign(math.sqrt(max(deviance, 0)), _excess(events_1, patients_1, *risks[:2]))

    limits = _ratio_limits(root_of_deviance, _quantile(level), counts, *_odds_ratio_bounded(*counts))
    return _sample_odds_ratio(*counts), *limits


class _Conditional:
    """Distribution of the events of group 1 given the margins of the table, for any odds ratio (noncentral hypergeometric)."""

    def __init__(self, events_1: int, patients_1: int, events_0: int, patients_0: int):
        events = events_1 + events_0
        lowest, highest = max(0, events - patients_0), min(events, patients_1)
        self.support = np.arange(lowest, highest + 1, dtype=float)
        self.observed = events_1 - lowest
        before = self.support[:-1]  # each weight from the one before it: exact where gammaln of large counts is not
        step = np.log((patients_1 - before) * (events - before)) - np.log((before + 1) * (patients_0 - events + before + 1))
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

        return math.exp(_root(shortfall, 0.0))


def odds_ratio_conditional(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Conditional maximum-likelihood odds ratio (group 1 over group 0) with Fisher's exact interval.

    Returns:
        (odds ratio, lower, upper); 0 and infinite where the data leave them open. The odds ratio is NaN when nobody or everybody has the
        event (R prints 0). All NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Cornfield 1956; as R ``fisher.test``, whose limits are good to about 1e-4 only, and scipy ``contingency.odds_ratio``.
        By hand, because the same distribution serves the mid-p limits and scipy takes ten times as long.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    conditional = _Conditional(*counts)
    tail = (1 - level) / 2
    last = len(conditional.support) - 1
    if not last:
        estimate = NAN
    elif conditional.observed in (0, last):
        estimate = INFINITE if conditional.observed else 0.0
    else:
        # As many events expected as observed.
        estimate = math.exp(_root(lambda log_odds: events_1 - float(conditional.probabilities(log_odds) @ conditional.support), 0.0))
    return estimate, conditional.odds_ratio_at(tail, 1, upper=True), conditional.odds_ratio_at(tail, 1, upper=False)


def odds_ratio_mid_p(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Median-unbiased odds ratio (group 1 over group 0) with the exact mid-p interval: half of what was observed counts as beyond.

    Returns:
        (odds ratio, lower, upper); 0 and infinite where the data leave them open. The odds ratio is NaN when nobody or everybody has the
        event. All NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Rothman and Greenland, Modern Epidemiology, 1998; as R epitools ``oddsratio.midp``, which solves to about 1e-5 only.
    """
    counts = _counts(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    conditional = _Conditional(*counts)
    tail = (1 - level) / 2
    last = len(conditional.support) - 1
    if not last:
        estimate = NAN
    elif conditional.observed == last:
        estimate = INFINITE
    else:
        estimate = conditional.odds_ratio_at(0.5, 0.5, upper=True)
    return estimate, conditional.odds_ratio_at(tail, 0.5, upper=True), conditional.odds_ratio_at(tail, 0.5, upper=False)


# Tests


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
    counts = _counts(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN
    conditional = _Conditional(*counts)
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
    counts = _counts(events_1, patients_1, events_0, patients_0)
    if not counts:
        return NAN
    conditional = _Conditional(*counts)
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

    if not _counts(events_1, patients_1, events_0, patients_0):
        return NAN
    if events_1 + events_0 in (0, patients_1 + patients_0):  # scipy has NaN here
        return 1.0
    # scipy fixes the column totals: a group is a column.
    return min(1.0, float(boschloo_exact([[events_1, events_0], [patients_1 - events_1, patients_0 - events_0]]).pvalue))


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


def _fill(remaining: np.ndarray, log_weight: np.ndarray, total: int, log_factorial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        remaining, log_weight, left = remaining[origin], log_weight[origin] - log_factorial[placed], left[origin] - placed
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


def cochran_armitage_trend(events: Sequence[int], patients: Sequence[int], scores: Sequence[float] | None = None) -> TrendTest:
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
        _check(one_events, one_patients)
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


# Strata


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
    return np.array([counts for counts in (_counts(*table) for table in tables) if counts], dtype=float).reshape(-1, 4).T


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

    _check_level(level)
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
    factor = math.exp(_quantile(level) * math.sqrt(log_variance))

    homogeneity, homogeneity_p = NAN, NAN
    if informative.sum() > 1:
        expected = patients_1 * [_restricted_odds(odds_ratio, *margins)[0] for margins in zip(events, patients_1, patients_0, strict=True)]
        cells = np.array([expected, patients_1 - expected, events - expected, patients_0 - events + expected])
        homogeneity = float(((events_1 - expected) ** 2 * (1 / cells).sum(axis=0)).sum())
        homogeneity_p = float(chdtrc(informative.sum() - 1, homogeneity))
    return MantelHaenszel(odds_ratio, odds_ratio / factor, odds_ratio * factor, *tests, homogeneity, homogeneity_p, int(informative.sum()))


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
    _check_level(level)
    events_1, patients_1, events_0, patients_0 = _strata(tables)
    if not len(events_1):
        return PooledDifference(NAN, NAN, NAN, 0)
    patients = patients_1 + patients_0
    weight = (patients_1 * patients_0 / patients).sum()
    difference = float(((events_1 * patients_0 - events_0 * patients_1) / patients).sum() / weight)
    slope = (patients_1**2 * events_0 - patients_0**2 * events_1 + patients_1 * patients_0 * (patients_0 - patients_1) / 2) / patients**2
    level_part = (events_1 * (patients_0 - events_0) + events_0 * (patients_1 - events_1)) / (2 * patients)
    half_width = _quantile(level) * math.sqrt(max(difference * slope.sum() + level_part.sum(), 0)) / float(weight)
    return PooledDifference(difference, difference - half_width, difference + half_width, len(events_1))


# What is printed


class RiskComparison(NamedTuple):
    """Two groups' risks compared, group 1 against group 0, as printed: estimates with limits, and one p value with its name."""

    difference: float
    difference_lower: float
    difference_upper: float
    ratio: float
    ratio_lower: float
    ratio_upper: float
    odds_ratio: float
    odds_ratio_lower: float
    odds_ratio_upper: float
    p_value: float
    p_method: str


def compare_risks(events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95) -> RiskComparison:
    """The study's comparison of two risks, valid at any counts.

    Returns:
        Risk difference (Newcombe limits), risk ratio and odds ratio (Miettinen-Nurminen limits, which exist with zero cells), and the p
        value of Fisher's exact test. All NaN when a group has no patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        The functions of this module.
    """
    counts = events_1, patients_1, events_0, patients_0
    return RiskComparison(
        *newcombe_difference(*counts, level=level),
        *miettinen_nurminen_ratio(*counts, level=level),
        *miettinen_nurminen_odds_ratio(*counts, level=level),
        fisher(*counts),
        "Fisher's exact test",
    )
