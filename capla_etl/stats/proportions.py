"""Proportions of independent patients, and their difference and ratio between two groups.

Counts are given group 1 first, group 0 (the reference) second: ``events_1, patients_1, events_0, patients_0``. Estimates and limits are
fractions, limits 95 % unless ``level`` says otherwise. A limit that the data leave open is infinite (ratios) or the edge of the scale;
what cannot be estimated is NaN. Tests are in ``contingency``, odds ratios in ``odds_ratios``; printing and the choice of denominators do not belong here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from capla_etl.stats.contingency import fisher
from capla_etl.stats.counts import (
    NAN,
    check_level,
    normal_quantile,
    ratio_limits,
    score_quantile,
    two_groups,
    whole_counts,
)
from capla_etl.stats.odds_ratios import miettinen_nurminen_odds_ratio


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
        Wilson 1927, as R ``prop.test(correct = FALSE)``. A closed form: a library call takes a hundred times as long, and every percentage has one.
    """
    events, patients = whole_counts(events, patients)
    check_level(level)
    if patients == 0:
        return NAN, NAN
    proportion, spread = events / patients, normal_quantile(level) ** 2 / patients
    half_width = math.sqrt(spread * (proportion * (1 - proportion) + spread / 4))
    lower = (proportion + spread / 2 - half_width) / (1 + spread) if events else 0.0
    upper = (proportion + spread / 2 + half_width) / (1 + spread) if events < patients else 1.0
    return lower, upper


def clopper_pearson(events: int, patients: int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a proportion.

    Returns:
        (lower, upper) as fractions, 0 to 1; NaN without patients.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Clopper and Pearson 1934; statsmodels, as R ``binom.test``.
    """
    from statsmodels.stats.proportion import proportion_confint

    events, patients = whole_counts(events, patients)
    check_level(level)
    if patients == 0:
        return NAN, NAN
    lower, upper = proportion_confint(events, patients, alpha=1 - level, method="beta")
    return float(lower), float(upper)


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

    events, patients = whole_counts(events, patients)
    check_level(level)
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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    risk_1, risk_0 = events_1 / patients_1, events_0 / patients_0
    (lower_1, upper_1), (lower_0, upper_0) = (
        wilson(events_1, patients_1, level=level),
        wilson(events_0, patients_0, level=level),
    )
    difference = risk_1 - risk_0
    return (
        difference,
        difference - math.hypot(risk_1 - lower_1, upper_0 - risk_0),
        difference + math.hypot(upper_1 - risk_1, risk_0 - lower_0),
    )


def _restricted_difference(
    difference: float, events_1: int, patients_1: int, events_0: int, patients_0: int
) -> tuple[float, float]:
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

    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    difference = events_1 / patients_1 - events_0 / patients_0
    critical = score_quantile(patients_1 + patients_0, level)
    lower, upper = -1.0, 1.0
    if difference > -1:
        lower = float(
            brentq(lambda d: _difference_score(d, *counts) - critical, -1, difference, xtol=1e-14, rtol=1e-14)
        )
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
    counts = two_groups(events_1, patients_1, events_0, patients_0)
    if not counts or (margin == 0 and events_1 + events_0 in (0, patients_1 + patients_0)):
        return NAN
    return 2 * float(ndtr(-abs(_difference_score(margin, *counts))))


def risk_ratio(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Risk ratio (group 1 over group 0) with the Wald interval on the log scale.

    Returns:
        (ratio, lower, upper). The limits are NaN when a group has no event, or everybody has it; the ratio too when group 0 has none.

    Raises:
        ValueError: events outside 0..patients, or a level outside 0..1.

    Source:
        Katz 1978, as R epitools ``riskratio.wald``.
    """
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts or not events_0:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    ratio = (events_1 / patients_1) / (events_0 / patients_0)
    if not events_1:
        return 0.0, NAN, NAN
    log_error = math.sqrt(1 / events_1 - 1 / patients_1 + 1 / events_0 - 1 / patients_0)
    if not log_error:  # everybody has the event, in both groups
        return ratio, NAN, NAN
    half_width = normal_quantile(level) * log_error
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
    counts = two_groups(events_1, patients_1, events_0, patients_0, level)
    if not counts:
        return NAN, NAN, NAN
    events_1, patients_1, events_0, patients_0 = counts
    ratio = (events_1 / patients_1) / (events_0 / patients_0) if events_0 else NAN
    critical = score_quantile(patients_1 + patients_0, level)
    return ratio, *ratio_limits(
        lambda log_ratio: _ratio_score(math.exp(log_ratio), *counts), critical, counts, bool(events_1), bool(events_0)
    )


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


def compare_risks(
    events_1: int, patients_1: int, events_0: int, patients_0: int, *, level: float = 0.95
) -> RiskComparison:
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
