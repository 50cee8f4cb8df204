"""Odds ratios of two groups: Wald, score, profile likelihood, conditional and mid-p.

Counts are given group 1 first, group 0 (the reference) second: ``events_1, patients_1, events_0, patients_0``. A limit that the
data leave open is 0 or infinite; what cannot be estimated is NaN. Adjusted odds ratios are in ``firth``.
"""

from __future__ import annotations

import math

import numpy as np

from capla_etl.stats.contingency import Conditional
from capla_etl.stats.counts import (
    INFINITE,
    NAN,
    normal_quantile,
    ratio_limits,
    root_on_log_scale,
    score_quantile,
    two_groups,
)


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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    cells = events_1, patients_1 - events_1, events_0, patients_0 - events_0
    odds_ratio = _sample_odds_ratio(*counts)
    if not all(cells):
        return odds_ratio, NAN, NAN
    half_width = normal_quantile(level) * math.sqrt(sum(1 / cell for cell in cells))
    return odds_ratio, odds_ratio * math.exp(-half_width), odds_ratio * math.exp(half_width)


def restricted_odds(
    odds_ratio: float, events: int, patients_1: int, patients_0: int
) -> tuple[float, float, float, float]:
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
    risk_1, no_risk_1, risk_0, no_risk_0 = restricted_odds(odds_ratio, events_1 + events_0, patients_1, patients_0)
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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    critical = score_quantile(patients_1 + patients_0, level)
    limits = ratio_limits(
        lambda log_odds: _odds_score(math.exp(log_odds), *counts), critical, counts, *_odds_ratio_bounded(*counts)
    )
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

    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    observed = np.array([events_1, patients_1 - events_1, events_0, patients_0 - events_0], dtype=float)
    most_likely = observed / np.repeat([patients_1, patients_0], 2)

    def root_of_deviance(log_odds: float) -> float:
        """Signed, so that it falls as the odds ratio rises."""
        risks = np.array(restricted_odds(math.exp(log_odds), events_1 + events_0, patients_1, patients_0))
        deviance = 2 * float(xlogy(observed, most_likely / risks).sum())
        return math.copysign(math.sqrt(max(deviance, 0)), _excess(events_1, patients_1, *risks[:2]))

    limits = ratio_limits(root_of_deviance, normal_quantile(level), counts, *_odds_ratio_bounded(*counts))
    return _sample_odds_ratio(*counts), *limits


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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    conditional = Conditional(*counts)
    tail = (1 - level) / 2
    last = len(conditional.support) - 1
    if not last:
        estimate = NAN
    elif conditional.observed in (0, last):
        estimate = INFINITE if conditional.observed else 0.0
    else:
        # As many events expected as observed.
        estimate = math.exp(
            root_on_log_scale(
                lambda log_odds: events_1 - float(conditional.probabilities(log_odds) @ conditional.support), 0.0
            )
        )
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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    conditional = Conditional(*counts)
    tail = (1 - level) / 2
    last = len(conditional.support) - 1
    if not last:
        estimate = NAN
    elif conditional.observed == last:
        estimate = INFINITE
    else:
        estimate = conditional.odds_ratio_at(0.5, 0.5, upper=True)
    return estimate, conditional.odds_ratio_at(tail, 0.5, upper=True), conditional.odds_ratio_at(tail, 0.5, upper=False)
