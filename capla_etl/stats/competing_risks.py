"""Cumulative incidence of an event when another one (death) can come first: Aalen-Johansen, Gray's test, Fine-Gray regression.

Plain survival is in ``survival``, resampling in ``resampling``.

``courses`` is one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0), ``cause`` (0 censored, 1 event, 2 competing event;
further causes compete too). Ties are taken as they are. Groups come in order of first appearance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.survival import (
    at_risk_and_left,
    check_courses,
    check_interval,
    count_by_time,
    course_arrays,
    divided,
    limits,
)

NAN = float("nan")
CENSORED, EVENT, COMPETING = 0, 1, 2
VARIANCES = ("infinitesimal_jackknife", "aalen")


class Incidence(NamedTuple):
    """Incidence curves of one cause; arrays of shape (group, time) unless said."""

    time_days: np.ndarray  # ascending, one per time
    at_risk: np.ndarray  # patients without any event and observed until then or longer
    incidence: np.ndarray
    standard_error: np.ndarray
    competing_incidence: np.ndarray  # of all other causes together
    competing_standard_error: np.ndarray


class GrayTest(NamedTuple):
    """``statistic`` (chi-squared), its ``p_value`` and ``degrees_of_freedom``."""

    statistic: float
    p_value: float
    degrees_of_freedom: int


def _before(values: np.ndarray, start: float) -> np.ndarray:
    """A step function just before each time (the last axis), ``start`` before the first."""
    before = np.empty_like(values)
    before[..., :1], before[..., 1:] = start, values[..., :-1]
    return before


def as_outcomes(causes: np.ndarray, cause: int) -> np.ndarray:
    """Causes as 0 censored, 1 the cause of interest, 2 any other."""
    if cause == EVENT and causes.max(initial=0) <= COMPETING:
        return causes
    table = np.full(max(causes.max(initial=0), cause) + 1, COMPETING)
    table[CENSORED], table[cause] = CENSORED, EVENT
    return table[causes]


def _running(constant: np.ndarray, linear: np.ndarray, square: np.ndarray, to_come: np.ndarray) -> np.ndarray:
    """Running sums over time of terms that are quadratic in the incidence still to come (``to_come``), at each time.

    Still to come, not come so far: late slopes are large, and digits would be lost.
    """
    return constant.cumsum(axis=-1) - (2 * linear.cumsum(axis=-1) - square.cumsum(axis=-1) * to_come) * to_come


def _jackknife_variance(
    censored: np.ndarray,
    events: np.ndarray,
    at_risk: np.ndarray,
    left: np.ndarray,
    per_event: np.ndarray,
    incidence: np.ndarray,
) -> np.ndarray:
    """Infinitesimal-jackknife variance of the incidence of both outcomes: sum over patients of their squared influence on it.

    Patients with the same time and outcome have the same influence; after their time it is linear in the incidence still to come.
    """
    nobody = left == 0
    lost = (1 - nobody) / (left + nobody)  # nobody left: survival is 0 and stays so
    all_events, other_events = events[0] + events[1], events[::-1]
    reached = (all_events * lost / at_risk).cumsum(axis=-1)  # loss of log survival of those at risk
    while_at_risk = (per_event * events * (_before(reached, 0.0) - 1 / at_risk)).cumsum(axis=-1)
    to_come = incidence[..., -1:] - incidence
    slope = reached - lost  # after an event
    if_censored = while_at_risk + reached * to_come
    if_other = while_at_risk + slope * to_come
    if_event = if_other + per_event
    by_censored, by_event, by_other = censored * if_censored, events * if_event, other_events * if_other
    past = _running(
        by_censored * if_censored + by_event * if_event + by_other * if_other,
        by_censored * reached + (by_event + by_other) * slope,
        censored * reached**2 + all_events * slope**2,
        to_come,
    )
    return (left - censored) * while_at_risk**2 + past


def _aalen_variance(events: np.ndarray, at_risk: np.ndarray, survival: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """Aalen's variance of the incidence of both outcomes, with the tie correction of cmprsk."""
    ties = 1 - divided(np.maximum(events - 1, 0), at_risk - 1)
    hazard = events * ties * (_before(survival, 1.0) / at_risk) ** 2
    other_hazard = hazard[::-1]
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


def incidence_curves(
    times: np.ndarray,
    causes: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    cause: int = EVENT,
    variance: str = "infinitesimal_jackknife",
) -> Incidence:
    """Aalen-Johansen curves at all times, from arrays: the fast way, without a table of courses.

    Args:
        times: one per patient, >= 0.
        causes: one per patient, int: 0 censored, or the number of a cause.
        groups: whole numbers from 0, one per patient; all one group if not given.
        cause: the cause of interest; all others compete.
        variance: as ``aalen_johansen``.

    Returns:
        ``Incidence``, at the times of all groups together; a group's curves stay level after its last time.

    Source:
        As ``aalen_johansen``.
    """
    groups = np.zeros(len(times), dtype=int) if groups is None else groups
    curve_times, counts = count_by_time(
        times, as_outcomes(causes, cause), groups, group_count=int(groups.max(initial=-1)) + 1, outcome_count=3
    )
    censored, events = counts[:, CENSORED], counts[:, EVENT:].swapaxes(0, 1)
    at_risk, left = at_risk_and_left(events[0] + events[1], censored)
    nobody = at_risk == 0
    at_risk_or_1 = at_risk + nobody
    survival = ((left + nobody) / at_risk_or_1).cumprod(axis=-1)
    per_event = _before(survival, 1.0) / at_risk_or_1
    incidence = (per_event * events).cumsum(axis=-1)
    if variance == "aalen":
        squared_error = _aalen_variance(events, at_risk_or_1, survival, incidence)
    else:
        squared_error = _jackknife_variance(censored, events, at_risk_or_1, left, per_event, incidence)
    error = np.sqrt(np.maximum(squared_error, 0))
    return Incidence(curve_times, at_risk, incidence[0], error[0], incidence[1], error[1])


def aalen_johansen(
    courses: pd.DataFrame,
    days: list[int],
    *,
    cause: int = EVENT,
    variance: str = "infinitesimal_jackknife",
    interval: str = "log-log",
) -> pd.DataFrame:
    """Cumulative incidence of an event at fixed days by group, with a competing event.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0), ``cause`` (0 censored, 1 event,
            2 competing event).
        days: the time points, in days.
        cause: the cause whose incidence is wanted; all others compete.
        variance: "infinitesimal_jackknife" or "aalen".
        interval: scale of the limits: "log-log", "log" or "plain".

    Returns:
        One row per (group, day): ``at_risk`` (patients with neither event and still observed just before the day), ``incidence``
        (0 to 1), ``standard_error``, ``lower``, ``upper`` (95 %; with "log-log" and "log" none while the incidence is 0) and
        ``competing_incidence``; NaN after the group's last observed time. Groups in order of first appearance.

    Raises:
        ValueError: a missing ``group`` or ``cause``, a missing or negative ``time_days``, an unknown variance or interval.

    Source:
        Aalen and Johansen 1978; estimate, jackknife error and limits as R ``survfit(conf.type = ...)`` with a multi-state endpoint;
        Aalen's variance (Scand J Stat 1978;5:141) as R cmprsk ``cuminc()$var``. Written here: lifelines breaks ties by random jitter.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance must be one of {', '.join(VARIANCES)}, found {variance}")
    check_interval(interval)
    labels, groups, times, causes = course_arrays(courses, "cause")
    curves = incidence_curves(times, causes, groups, cause=cause, variance=variance)
    at_days = np.asarray(days, dtype=float)
    position = np.searchsorted(curves.time_days, at_days, side="right")
    first = np.searchsorted(curves.time_days, at_days, side="left")
    nobody = np.zeros((len(labels), 1))
    at_risk = np.concatenate([curves.at_risk, nobody], axis=1)[:, first]

    def at(values: np.ndarray) -> np.ndarray:
        return np.where(at_risk > 0, np.concatenate([nobody, values], axis=1)[:, position], NAN)

    incidence, error = at(curves.incidence), at(curves.standard_error)
    lower, upper = limits(incidence, error, interval)
    return pd.DataFrame(
        {
            "group": np.repeat(labels, len(at_days)),
            "day": np.tile(np.asarray(days), len(labels)),
            "at_risk": at_risk.astype(int).ravel(),
            "incidence": incidence.ravel(),
            "standard_error": error.ravel(),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
            "competing_incidence": at(curves.competing_incidence).ravel(),
        }
    )


def _gray_scores(counts: np.ndarray, rho: float, variance: str) -> tuple[np.ndarray, np.ndarray]:
    """Gray's scores of all groups within one stratum, and their covariance (NaN where Gray's formula gives a negative variance).

    Args:
        counts: patients by (group, censored / cause / other cause, distinct time).
    """
    at_risk, left = at_risk_and_left(counts[:, EVENT] + counts[:, COMPETING], counts[:, CENSORED])
    survival = np.cumprod(divided(left, at_risk, 1.0), axis=1)
    before = _before(survival, 1.0)
    incidence_before = _before(np.cumsum(divided(before * counts[:, EVENT], at_risk), axis=1), 0.0)
    events = counts[:, EVENT].sum(axis=0)

    # h and R of the paper: what a group weighs in the pooled incidence, and in the null expectation of its events.
    h = divided(at_risk, before)
    h_total = h.sum(axis=0)
    r = h * (1 - incidence_before)
    pooled = np.cumsum(divided(events, h_total))
    pooled_before = _before(pooled, 0.0)
    weight = np.maximum(1 - pooled_before, 0) ** rho
    r_total = r.sum(axis=0)
    score = (weight * (counts[:, EVENT] - events * divided(r, r_total))).sum(axis=1)
    if variance == "null":
        part = divided(r, r_total)
        spread = weight**2 * events * divided(np.maximum(r_total - events, 0), np.maximum(r_total - 1, 0))
        return score, np.diag(part @ spread) - (part * spread) @ part.T

    share = divided(h, h_total)
    a = weight * h * (np.eye(len(h))[:, :, None] - share[:, None, :])
    a = np.where((at_risk > 0)[:, None, :], a, 0)
    c = np.cumsum(a * divided(events, h_total * (1 - pooled_before)), axis=2)
    remaining = c[:, :, -1:] - c
    ratio = divided(1 - pooled, survival)
    own = np.where(survival > 0, 1 - ratio, 1)
    ties = 1 - divided(np.maximum(events - 1, 0), h_total * before - 1)
    spread = np.where(at_risk > 0, ties * divided(before * events, h_total * at_risk), 0)
    if (spread < 0).any():
        return score, np.full((len(h), len(h)), NAN)
    influence = a + own * remaining
    covariance = np.einsum("ikt,jkt,kt->ij", influence, influence, spread)
    competing = counts[:, COMPETING]
    ties = 1 - divided(np.maximum(competing - 1, 0), at_risk - 1)
    spread = np.where(survival > 0, ties * divided(before**2 * competing, at_risk**2), 0)
    influence = ratio * remaining
    return score, covariance + np.einsum("ikt,jkt,kt->ij", influence, influence, spread)


def gray_test(
    courses: pd.DataFrame, *, cause: int = EVENT, strata: str | None = None, rho: float = 0, variance: str = "gray"
) -> GrayTest:
    """Gray's test of equal cumulative incidence of one cause between two or more groups.

    Args:
        courses: as ``aalen_johansen``.
        cause: the cause whose incidence is compared; all others compete.
        strata: name of the column of strata; a patient without a stratum is left out.
        rho: power of 1 minus the pooled incidence that weights the differences over time.
        variance: "gray" as in the paper; "null" the hypergeometric variance of a log-rank test on the same risk sets, which stays positive
            where that of the paper does not: with many ties, when nearly everybody of a group has had the event.

    Returns:
        (``statistic``, ``p_value``, ``degrees_of_freedom``); NaN and 0 with fewer than two groups, NaN without an event of the cause, when the
        scores of the groups do not vary freely (the groups are never at risk together), or when the variance is not positive (cmprsk prints a
        number then that means nothing).

    Raises:
        ValueError: a missing ``group`` or ``cause``, a missing or negative ``time_days``, an unknown variance.

    Source:
        Gray, Ann Stat 1988;16:1141; as R cmprsk ``cuminc()$Tests``. Written here: no library with a suitable licence has strata.
    """
    from scipy.special import chdtrc

    if variance not in ("gray", "null"):
        raise ValueError(f"variance must be gray or null, found {variance}")
    if strata is not None:
        courses = courses[courses[strata].notna()]
    labels, groups, times, causes = course_arrays(courses, "cause")
    outcomes = as_outcomes(causes, cause)
    stratum = np.zeros(len(courses), dtype=int) if strata is None else pd.factorize(courses[strata])[0]
    size = len(labels)
    if size < 2:
        return GrayTest(NAN, NAN, 0)
    score, covariance = np.zeros(size), np.zeros((size, size))
    for number in range(stratum.max() + 1):
        own = stratum == number
        _, counts = count_by_time(times[own], outcomes[own], groups[own], group_count=size, outcome_count=3)
        stratum_score, stratum_covariance = _gray_scores(counts, rho, variance)
        score += stratum_score
        covariance += stratum_covariance
    score, covariance = score[:-1], covariance[:-1, :-1]  # the last group follows from the others
    if (
        np.isnan(covariance).any()
        or np.linalg.matrix_rank(covariance) < size - 1
        or np.linalg.eigvalsh(covariance)[0] <= 0
    ):
        return GrayTest(NAN, NAN, size - 1)
    statistic = float(score @ np.linalg.solve(covariance, score))
    return GrayTest(statistic, float(chdtrc(size - 1, statistic)), size - 1)


class _Weighting(NamedTuple):
    """The risk sets of a Fine-Gray model that do not change with the coefficients; patients sorted by time."""

    times: np.ndarray
    event: np.ndarray  # patient has the cause of interest
    competing: np.ndarray  # patient has another cause
    censoring: np.ndarray  # probability of not being censored before the patient's time
    event_times: np.ndarray  # distinct times of the cause of interest
    event_counts: np.ndarray
    first: np.ndarray  # index of the first patient at or after each event time
    event_censoring: np.ndarray  # probability of not being censored before each event time


def _weighting(times: np.ndarray, outcomes: np.ndarray) -> _Weighting:
    """Kaplan-Meier of the censoring just before each time, and the risk sets at the times of the cause of interest."""
    distinct, counts = count_by_time(times, outcomes, np.zeros(len(times), dtype=int), group_count=1, outcome_count=3)
    at_risk, left = at_risk_and_left(counts[0, CENSORED], counts[0, EVENT] + counts[0, COMPETING])
    uncensored_before = _before(np.cumprod(divided(left, at_risk, 1.0)), 1.0)
    has_event = counts[0, EVENT] > 0
    event_times = distinct[has_event]
    return _Weighting(
        times,
        outcomes == EVENT,
        outcomes == COMPETING,
        uncensored_before[np.searchsorted(distinct, times)],
        event_times,
        counts[0, EVENT][has_event],
        np.searchsorted(times, event_times),
        uncensored_before[has_event],
    )


def _risk_set_sums(values: np.ndarray, risk: _Weighting) -> np.ndarray:
    """Sums of ``values`` (patient, column) over the weighted risk set at each event time: those without event, and those with a
    competing event weighted by the chance of not having been censored since."""
    observed = np.cumsum(values[::-1], axis=0)[::-1][risk.first]
    after = np.cumsum(np.where(risk.competing, 1 / risk.censoring, 0)[:, None] * values, axis=0)
    after = np.concatenate([np.zeros((1, values.shape[1])), after])[risk.first]
    return observed + risk.event_censoring[:, None] * after


def _fine_gray_derivatives(coef: np.ndarray, x: np.ndarray, products: np.ndarray, risk: _Weighting) -> tuple:
    """(log pseudo-likelihood (Breslow), score, information; hazard ratio of each patient to the highest, and at each event time its
    sum over the risk set and the mean covariates)."""
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
    return value, score, information, ratio, total, mean


def _fine_gray_covariance(
    x: np.ndarray, information: np.ndarray, ratio: np.ndarray, total: np.ndarray, mean: np.ndarray, risk: _Weighting
) -> np.ndarray:
    """Robust covariance of the coefficients: each patient's part in the score, and in the estimated censoring that weights it."""
    hazard = (risk.event_counts / total)[:, None] * np.column_stack(
        [np.ones(len(total)), mean]
    )  # baseline, and times mean covariates
    weighted = risk.event_censoring[:, None] * hazard
    start = np.zeros((1, hazard.shape[1]))
    so_far = np.concatenate([start, np.cumsum(hazard, axis=0)])
    to_come = np.concatenate([np.cumsum(weighted[::-1], axis=0)[::-1], start])
    passed = np.searchsorted(risk.event_times, risk.times, side="right")

    def compensator(sums: np.ndarray) -> np.ndarray:
        return x * sums[:, :1] - sums[:, 1:]

    influence = -ratio[:, None] * compensator(so_far[passed])
    after_competing = np.where(risk.competing, ratio / risk.censoring, 0)[:, None]
    influence -= after_competing * compensator(to_come[passed])
    influence[risk.event] += x[risk.event] - mean[passed[risk.event] - 1]

    earlier, until = (np.searchsorted(risk.times, risk.times, side=side) for side in ("left", "right"))
    competed = np.concatenate([start, np.cumsum(after_competing * np.column_stack([np.ones(len(x)), x]), axis=0)])[
        earlier
    ]
    ahead = to_come[np.searchsorted(risk.event_times, risk.times, side="left")]
    q = competed[:, 1:] * ahead[:, :1] - competed[:, :1] * ahead[:, 1:]
    censored = ~risk.event & ~risk.competing
    change = np.where(censored, 1 / (len(x) - earlier), 0)[:, None]  # of the censoring hazard, by each who is censored
    influence += change * q - np.concatenate([start[:, 1:], np.cumsum(change**2 * q, axis=0)])[until]
    inverse = np.linalg.inv(information)
    return inverse @ (influence.T @ influence) @ inverse


def _fit_fine_gray(x: np.ndarray, risk: _Weighting) -> tuple[np.ndarray, np.ndarray] | str:
    """Newton's method on standardised covariates: coefficients and their covariance, or the reason why there are none."""
    size = x.shape[1]
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    coef = np.zeros(size)
    value, score, information, *at_event_times = _fine_gray_derivatives(coef, x, products, risk)
    if np.linalg.matrix_rank(information, tol=1e-9) < size:
        return "no information: no variation among the patients at risk"
    for _ in range(
        25
    ):  # a finite maximum is reached in about ten steps; on the way to infinity each step stays as long as the last
        if np.linalg.matrix_rank(information, tol=1e-9) < size:
            break
        step = np.linalg.solve(information, score)
        step *= min(1, 10 / max(np.abs(x @ step).max(), 1e-300))  # a leap could lose a whole risk set to rounding
        if np.abs(step).max() < 1e-9:
            return coef + step, _fine_gray_covariance(x, information, *at_event_times, risk)
        for _ in range(20):
            new_value, new_score, new_information, *new_at_event_times = _fine_gray_derivatives(
                coef + step, x, products, risk
            )
            if new_value >= value - 1e-12 * abs(value):
                break
            step = step / 2
        coef, value, score, information, at_event_times = (
            coef + step,
            new_value,
            new_score,
            new_information,
            new_at_event_times,
        )
    return "monotone likelihood: the covariates separate the events, a coefficient is infinite"


def fine_gray(courses: pd.DataFrame, covariates: list[str], *, cause: int = EVENT) -> pd.DataFrame:
    """Fine-Gray regression of the subdistribution hazard of one cause.

    Args:
        courses: one row per patient: ``time_days``, ``cause`` as ``aalen_johansen``, and the covariates; ``group`` is not used.
        covariates: names of numeric columns; a patient in whom one is missing is left out.
        cause: the cause of interest; all others compete.

    Returns:
        One row per covariate: ``term``, ``coef`` (log subdistribution hazard ratio per unit), ``standard_error`` (robust, with the
        estimation of the censoring distribution), ``subdistribution_hazard_ratio``, ``lower``, ``upper`` (95 %), ``p_value`` (Wald);
        ``patients``, ``events`` used; ``reason``: why there is no estimate, otherwise empty.

    Raises:
        ValueError: a missing ``cause``, a missing or negative ``time_days``, an infinite covariate.

    Source:
        Fine and Gray, JASA 1999;94:496; as R cmprsk ``crr``. Written here: the errors of the Python packages leave out the censoring
        term or use other ties.
    """
    from scipy.special import ndtr, ndtri

    check_courses(courses, "cause")
    x = courses[covariates].to_numpy(float, na_value=NAN)
    if np.isinf(x).any():
        raise ValueError("covariates must be finite")
    complete = ~np.isnan(x).any(axis=1)
    times, outcomes = (
        courses["time_days"].to_numpy(float)[complete],
        as_outcomes(courses["cause"].to_numpy(int)[complete], cause),
    )
    order = np.argsort(times, kind="stable")
    x, times, outcomes = x[complete][order], times[order], outcomes[order]
    coef, error, reasons = np.full(len(covariates), NAN), np.full(len(covariates), NAN), [""] * len(covariates)
    events = int((outcomes == EVENT).sum())
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
        fit = _fit_fine_gray(standard[:, used], _weighting(times, outcomes)) if used else ""
        if isinstance(fit, str):
            reasons = [reason or fit for reason in reasons]
        else:
            coef[used], error[used] = fit[0] / scale[used], np.sqrt(fit[1].diagonal()) / scale[used]
    half_width = float(ndtri(0.975)) * error
    return pd.DataFrame(
        {
            "term": covariates,
            "coef": coef,
            "standard_error": error,
            "subdistribution_hazard_ratio": np.exp(coef),
            "lower": np.exp(coef - half_width),
            "upper": np.exp(coef + half_width),
            "p_value": 2 * ndtr(-np.abs(divided(coef, error, NAN))),
            "patients": len(x),
            "events": events,
            "reason": reasons,
        }
    )
