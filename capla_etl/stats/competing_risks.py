"""Cumulative incidence of an event that death can precede: Aalen-Johansen, Gray's test, Fine-Gray regression.

Plain survival is in ``survival``.

``courses`` is one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0), ``cause`` (0 censored, 1 event, 2
competing event). Ties are taken as they are. Groups come in order of first appearance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN
from capla_etl.stats.cox import wald_columns
from capla_etl.stats.survival import (
    INTERVALS,
    StepFunctions,
    at_risk_and_left,
    before,
    check_choice,
    check_courses,
    count_by_time,
    course_arrays,
    divided,
    limits,
)

CENSORED, EVENT, COMPETING = 0, 1, 2
VARIANCES = ("infinitesimal_jackknife", "aalen")


class GrayTest(NamedTuple):
    """``statistic`` (chi-squared), its ``p_value`` and ``degrees_of_freedom``."""

    statistic: float
    p_value: float
    degrees_of_freedom: int


def _running(constant: np.ndarray, linear: np.ndarray, square: np.ndarray, to_come: np.ndarray) -> np.ndarray:
    """Running sums over time of terms that are quadratic in the incidence still to come (``to_come``), at each time.

    The incidence still to come, not the incidence so far: late slopes are large, and digits would be lost.
    """
    return constant.cumsum(axis=-1) - (2 * linear.cumsum(axis=-1) - square.cumsum(axis=-1) * to_come) * to_come


def _jackknife_variance(
    counts: np.ndarray, at_risk: np.ndarray, left: np.ndarray, per_event: np.ndarray, incidence: np.ndarray
) -> np.ndarray:
    """Infinitesimal-jackknife variance of the incidence: sum over patients of their squared influence on it.

    Patients with the same time and outcome have the same influence; after their time it is linear in the incidence to
    come.
    """
    censored, events, others = counts
    all_events, nobody = events + others, left == 0
    lost = (1 - nobody) / (left + nobody)  # nobody left: survival is 0 and stays so
    reached = (all_events * lost / at_risk).cumsum(axis=-1)  # loss of log survival of those at risk
    while_at_risk = (per_event * events * (before(reached, 0.0) - 1 / at_risk)).cumsum(axis=-1)
    to_come = incidence[..., -1:] - incidence
    slope = reached - lost  # after an event
    if_censored = while_at_risk + reached * to_come
    if_other = while_at_risk + slope * to_come
    if_event = if_other + per_event
    by_censored, by_event, by_other = censored * if_censored, events * if_event, others * if_other
    past = _running(
        by_censored * if_censored + by_event * if_event + by_other * if_other,
        by_censored * reached + (by_event + by_other) * slope,
        censored * reached**2 + all_events * slope**2,
        to_come,
    )
    return (left - censored) * while_at_risk**2 + past


def _aalen_variance(counts: np.ndarray, at_risk: np.ndarray, survival: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """Aalen's variance of the incidence, with the tie correction of cmprsk."""
    hazard, other_hazard = (
        events * (1 - divided(np.maximum(events - 1, 0), at_risk - 1)) * (before(survival, 1.0) / at_risk) ** 2
        for events in counts[EVENT:]
    )
    to_come = incidence[..., -1:] - incidence
    slope = divided(-1.0, survival)
    if_other = slope * to_come
    if_event = 1 + if_other
    return _running(
        hazard * if_event**2 + other_hazard * if_other**2,
        (hazard * if_event + other_hazard * if_other) * slope,
        (hazard + other_hazard) * slope**2,
        to_come,
    )


def aalen_johansen(
    courses: pd.DataFrame, days: list[int], *, variance: str = "infinitesimal_jackknife", interval: str = "log-log"
) -> pd.DataFrame:
    """Cumulative incidence of an event at fixed days by group, with a competing event.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0), ``cause`` (0 censored, 1 event,
            2 competing event).
        days: the time points, in days.
        variance: "infinitesimal_jackknife" or "aalen".
        interval: scale of the limits: "log-log" or "log".

    Returns:
        One row per (group, day): ``at_risk`` (patients with neither event and still observed just before the day),
        ``incidence`` (0 to 1), ``standard_error``, ``lower``, ``upper`` (95 %; none while the incidence is 0) and
        ``competing_incidence``; NaN after the group's last observed time. Groups in order of first appearance.

    Raises:
        ValueError: a missing ``group`` or ``cause``, a missing or negative ``time_days``, an unknown variance or
            interval.

    Source:
        Aalen and Johansen 1978; estimate, jackknife error and limits as R ``survfit(conf.type = ...)`` with a
        multi-state endpoint; Aalen's variance (Scand J Stat 1978;5:141) as R cmprsk ``cuminc()$var``. Written here:
        lifelines breaks ties by random jitter.
    """
    check_choice("variance", variance, VARIANCES)
    check_choice("interval", interval, INTERVALS)
    labels, groups, times, causes = course_arrays(courses, "cause")
    time_days, counts = count_by_time(times, causes, groups, group_count=len(labels), outcome_count=3)
    counts = counts.swapaxes(0, 1)
    observed, left = at_risk_and_left(counts[EVENT] + counts[COMPETING], counts[CENSORED])
    nobody = observed == 0
    at_risk = observed + nobody
    survival = ((left + nobody) / at_risk).cumprod(axis=-1)
    per_event = before(survival, 1.0) / at_risk
    incidence, competing = ((per_event * events).cumsum(axis=-1) for events in counts[EVENT:])
    squared_error = (
        _aalen_variance(counts, at_risk, survival, incidence)
        if variance == "aalen"
        else _jackknife_variance(counts, at_risk, left, per_event, incidence)
    )
    at = StepFunctions(labels, time_days, days)
    at_risk = at.just_before(observed)
    values = incidence, np.sqrt(np.maximum(squared_error, 0)), competing
    incidence, error, competing = (np.where(at_risk > 0, at.on(value, 0.0), NAN) for value in values)
    lower, upper = limits(incidence, error, interval)
    return at.table(
        at_risk=at_risk.astype(int),
        incidence=incidence,
        standard_error=error,
        lower=lower,
        upper=upper,
        competing_incidence=competing,
    )


def _gray_scores(counts: np.ndarray, variance: str) -> tuple[np.ndarray, np.ndarray]:
    """Gray's scores of all groups, and their covariance (NaN where Gray's formula gives a negative variance).

    Args:
        counts: patients by (group, censored / event / competing event, distinct time).
    """
    censored, by_group, competing = counts.swapaxes(0, 1)
    events = by_group.sum(axis=0)
    at_risk, left = at_risk_and_left(by_group + competing, censored)
    survival = np.cumprod(divided(left, at_risk, 1.0), axis=1)
    survival_before = before(survival, 1.0)
    incidence_before = before(np.cumsum(divided(survival_before * by_group, at_risk), axis=1), 0.0)

    # h and R of the paper: the weight of a group in the pooled incidence, and in the null expectation of its events.
    h = divided(at_risk, survival_before)
    h_total = h.sum(axis=0)
    r = h * (1 - incidence_before)
    r_total = r.sum(axis=0)
    part = divided(r, r_total)
    score = (by_group - events * part).sum(axis=1)
    if variance == "null":
        spread = events * divided(np.maximum(r_total - events, 0), np.maximum(r_total - 1, 0))
        return score, np.diag(part @ spread) - (part * spread) @ part.T

    pooled = np.cumsum(divided(events, h_total))
    a = h * (np.eye(len(h))[:, :, None] - divided(h, h_total)[:, None, :])
    a = np.where((at_risk > 0)[:, None, :], a, 0)
    c = np.cumsum(a * divided(events, h_total * (1 - before(pooled, 0.0))), axis=2)
    remaining = c[:, :, -1:] - c
    ratio = divided(1 - pooled, survival)
    own = np.where(survival > 0, 1 - ratio, 1)
    ties = 1 - divided(np.maximum(events - 1, 0), h_total * survival_before - 1)
    spread = np.where(at_risk > 0, ties * divided(survival_before * events, h_total * at_risk), 0)
    if (spread < 0).any():
        return score, np.full((len(h), len(h)), NAN)
    influence = a + own * remaining
    covariance = np.einsum("ikt,jkt,kt->ij", influence, influence, spread)
    ties = 1 - divided(np.maximum(competing - 1, 0), at_risk - 1)
    spread = np.where(survival > 0, ties * divided(survival_before**2 * competing, at_risk**2), 0)
    influence = ratio * remaining
    return score, covariance + np.einsum("ikt,jkt,kt->ij", influence, influence, spread)


def gray_test(courses: pd.DataFrame, *, variance: str = "gray") -> GrayTest:
    """Gray's test of equal cumulative incidence of the event between two or more groups.

    Args:
        courses: as ``aalen_johansen``.
        variance: "gray" as in the paper; "null" the hypergeometric variance of a log-rank test on the same risk sets.
            "null" stays positive where "gray" does not: with many ties, when nearly all of a group have had the event.

    Returns:
        (``statistic``, ``p_value``, ``degrees_of_freedom``). NaN and 0 with fewer than two groups. NaN without an
        event, when the scores of the groups do not vary freely (the groups are never at risk together), or when the
        variance is not positive (cmprsk then prints a meaningless number).

    Raises:
        ValueError: a missing ``group`` or ``cause``, a missing or negative ``time_days``, an unknown variance.

    Source:
        Gray, Ann Stat 1988;16:1141; as R cmprsk ``cuminc()$Tests``. Written here: no kept library has it.
    """
    from scipy.special import chdtrc

    check_choice("variance", variance, ("gray", "null"))
    labels, groups, times, causes = course_arrays(courses, "cause")
    df = len(labels) - 1
    if df < 1:
        return GrayTest(NAN, NAN, 0)
    _, counts = count_by_time(times, causes, groups, group_count=len(labels), outcome_count=3)
    score, covariance = _gray_scores(counts, variance)
    score, covariance = score[:-1], covariance[:-1, :-1]  # the last group follows from the others
    if np.isnan(covariance).any() or np.linalg.matrix_rank(covariance) < df or np.linalg.eigvalsh(covariance)[0] <= 0:
        return GrayTest(NAN, NAN, df)
    statistic = float(score @ np.linalg.solve(covariance, score))
    return GrayTest(statistic, float(chdtrc(df, statistic)), df)


class _RiskSets(NamedTuple):
    """The risk sets of a Fine-Gray model, which do not change with the coefficients; patients sorted by time."""

    times: np.ndarray
    event: np.ndarray  # whether the patient has the event
    competing: np.ndarray  # whether the patient has the competing event
    censoring: np.ndarray  # probability of not being censored before the patient's time
    event_times: np.ndarray  # distinct times of the event
    event_counts: np.ndarray
    first: np.ndarray  # index of the first patient at or after each event time
    event_censoring: np.ndarray  # probability of not being censored before each event time


def _risk_sets(times: np.ndarray, causes: np.ndarray) -> _RiskSets:
    """Kaplan-Meier of the censoring just before each time, and the risk sets at the event times."""
    distinct, counts = count_by_time(times, causes, np.zeros(len(times), dtype=int), group_count=1, outcome_count=3)
    censored, events, competing = counts[0]
    at_risk, left = at_risk_and_left(censored, events + competing)
    uncensored_before = before(np.cumprod(divided(left, at_risk, 1.0)), 1.0)
    has_event = events > 0
    return _RiskSets(
        times,
        causes == EVENT,
        causes == COMPETING,
        uncensored_before[np.searchsorted(distinct, times)],
        distinct[has_event],
        events[has_event],
        np.searchsorted(times, distinct[has_event]),
        uncensored_before[has_event],
    )


def _sums_so_far(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2, ... rows."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


def _risk_set_sums(values: np.ndarray, risk: _RiskSets) -> np.ndarray:
    """Sums of ``values`` (patient, column) over the weighted risk set at each event time.

    The set has the patients without an event, and those with a competing event, weighted by the chance of not having
    been censored since.
    """
    observed = np.cumsum(values[::-1], axis=0)[::-1][risk.first]
    after = _sums_so_far(np.where(risk.competing, 1 / risk.censoring, 0)[:, None] * values)[risk.first]
    return observed + risk.event_censoring[:, None] * after


class _Point(NamedTuple):
    """The log pseudo-likelihood (Breslow) at one vector of coefficients, and its derivatives."""

    value: float
    score: np.ndarray
    information: np.ndarray
    ratio: np.ndarray  # hazard ratio of each patient to the highest
    total: np.ndarray  # its sum over the risk set at each event time
    mean: np.ndarray  # mean covariates of the risk set at each event time


def _at(coef: np.ndarray, x: np.ndarray, products: np.ndarray, risk: _RiskSets) -> _Point:
    size = x.shape[1]
    linear = x @ coef
    ratio = np.exp(linear - linear.max())
    sums = _risk_set_sums(ratio[:, None] * np.column_stack([np.ones(len(x)), x, products]), risk)
    total = sums[:, 0]
    mean = sums[:, 1 : size + 1] / total[:, None]
    second = (sums[:, size + 1 :] / total[:, None]).reshape(-1, size, size)
    value = (linear[risk.event] - linear.max()).sum() - risk.event_counts @ np.log(total)
    score = x[risk.event].sum(axis=0) - risk.event_counts @ mean
    information = np.einsum("t,tij->ij", risk.event_counts, second - mean[:, :, None] * mean[:, None, :])
    return _Point(value, score, information, ratio, total, mean)


def _covariance(x: np.ndarray, point: _Point, risk: _RiskSets) -> np.ndarray:
    """Robust covariance of the coefficients: each patient's part in the score, and in the estimated censoring."""
    # The baseline hazard, and times the mean covariates.
    hazard = (risk.event_counts / point.total)[:, None] * np.column_stack([np.ones(len(point.total)), point.mean])
    weighted = risk.event_censoring[:, None] * hazard
    so_far, to_come = _sums_so_far(hazard), _sums_so_far(weighted[::-1])[::-1]
    passed = np.searchsorted(risk.event_times, risk.times, side="right")

    def compensator(sums: np.ndarray) -> np.ndarray:
        return x * sums[:, :1] - sums[:, 1:]

    influence = -point.ratio[:, None] * compensator(so_far[passed])
    after_competing = np.where(risk.competing, point.ratio / risk.censoring, 0)[:, None]
    influence -= after_competing * compensator(to_come[passed])
    influence[risk.event] += x[risk.event] - point.mean[passed[risk.event] - 1]

    earlier, until = (np.searchsorted(risk.times, risk.times, side=side) for side in ("left", "right"))
    competed = _sums_so_far(after_competing * np.column_stack([np.ones(len(x)), x]))[earlier]
    ahead = to_come[np.searchsorted(risk.event_times, risk.times, side="left")]
    q = competed[:, 1:] * ahead[:, :1] - competed[:, :1] * ahead[:, 1:]
    # The change of the censoring hazard by each patient who is censored.
    change = np.where(~risk.event & ~risk.competing, 1 / (len(x) - earlier), 0)[:, None]
    influence += change * q - _sums_so_far(change**2 * q)[until]
    inverse = np.linalg.inv(point.information)
    return inverse @ (influence.T @ influence) @ inverse


def _fit_fine_gray(x: np.ndarray, risk: _RiskSets) -> tuple[np.ndarray, np.ndarray] | str:
    """Newton's method on standardised covariates: coefficients and covariance, or the reason why there are none."""
    size = x.shape[1]
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    coef = np.zeros(size)
    point = _at(coef, x, products, risk)
    if np.linalg.matrix_rank(point.information, tol=1e-9) < size:
        return "no information: no variation among the patients at risk"
    # A finite maximum is reached in about ten steps; on the way to infinity each step stays as long as the last.
    for _ in range(25):
        if np.linalg.matrix_rank(point.information, tol=1e-9) < size:
            break
        step = np.linalg.solve(point.information, point.score)
        step *= min(1, 10 / max(np.abs(x @ step).max(), 1e-300))  # a leap could lose a whole risk set to rounding
        if np.abs(step).max() < 1e-9:
            return coef + step, _covariance(x, point, risk)
        for _ in range(20):
            candidate = _at(coef + step, x, products, risk)
            if candidate.value >= point.value - 1e-12 * abs(point.value):
                break
            step = step / 2
        coef, point = coef + step, candidate
    return "monotone likelihood: the covariates separate the events, a coefficient is infinite"


def fine_gray(courses: pd.DataFrame, covariates: list[str]) -> pd.DataFrame:
    """Fine-Gray regression of the subdistribution hazard of the event.

    Args:
        courses: one row per patient: ``time_days``, ``cause`` as ``aalen_johansen``, and the covariates; ``group`` is
            not used.
        covariates: names of numeric columns; patients in whom one is missing are left out.

    Returns:
        One row per covariate: ``term``, ``coef`` (log subdistribution hazard ratio per unit), ``standard_error``
        (robust, with the estimation of the censoring distribution), ``subdistribution_hazard_ratio``, ``lower``,
        ``upper`` (95 %), ``p_value`` (Wald); ``patients``, ``events`` used; ``reason``: why there is no estimate,
        otherwise empty.

    Raises:
        ValueError: a missing ``cause``, a missing or negative ``time_days``, an infinite covariate.

    Source:
        Fine and Gray, JASA 1999;94:496; as R cmprsk ``crr``. Written here: the errors of the Python packages leave out
        the censoring term or use other ties.
    """
    check_courses(courses, "cause")
    x = courses[covariates].to_numpy(float, na_value=NAN)
    if np.isinf(x).any():
        raise ValueError("covariates must be finite")
    complete = ~np.isnan(x).any(axis=1)
    times, causes = courses["time_days"].to_numpy(float)[complete], courses["cause"].to_numpy(int)[complete]
    order = np.argsort(times, kind="stable")
    x, times, causes = x[complete][order], times[order], causes[order]
    coef, error, reasons = np.full(len(covariates), NAN), np.full(len(covariates), NAN), [""] * len(covariates)
    events = int((causes == EVENT).sum())
    if not events:
        reasons = ["no event of the cause"] * len(covariates)
    else:
        scale = x.std(axis=0)
        varies = scale > 1e-12 * np.maximum(np.abs(x).max(axis=0), 1e-300)
        standard = np.divide(x - x.mean(axis=0), scale, out=np.zeros_like(x), where=varies)
        used: list[int] = []
        for column in range(len(covariates)):
            if not varies[column]:
                reasons[column] = "no variation"
            elif np.linalg.matrix_rank(standard[:, [*used, column]], tol=1e-7 * np.sqrt(len(x))) > len(used):
                used.append(column)
            else:
                reasons[column] = "follows from the covariates before it"
        fit = _fit_fine_gray(standard[:, used], _risk_sets(times, causes)) if used else ""
        if isinstance(fit, str):
            reasons = [reason or fit for reason in reasons]
        else:
            coef[used], error[used] = fit[0] / scale[used], np.sqrt(fit[1].diagonal()) / scale[used]
    numbers = wald_columns("subdistribution_hazard_ratio", coef, error)
    table = {"term": covariates, "coef": coef, "standard_error": error, **numbers}
    return pd.DataFrame(table | {"patients": len(x), "events": events, "reason": reasons})
