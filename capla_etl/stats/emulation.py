"""Emulation of a target trial of starting caplacizumab early, in observed courses: clone, censor, weight.

Two strategies are compared from day 0: "start by the end of the grace period" and "do not start". Every patient is
cloned into both, leaves a strategy on the day the course stops agreeing with it, and those who stay are weighted for
those who left. No patient has to be assigned by later events, so there is no immortal time. Weights of groups fixed at
day 0 are in ``weighting``; which covariates confound is decided by the caller.

Assumptions: given the covariates, who starts on a day is unrelated to prognosis, and every patient could have started
and could have stayed without (positivity). Historic controls could not start: using them assumes that the period of
treatment is ignorable given the covariates, which no weight can make up for. Covariates are those of day 0: a start
because the course went badly (rescue) removes patients with a poor prognosis from "do not start", which the covariates
do not show. Loss to follow-up is taken as uninformative, as in Kaplan-Meier.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN
from capla_etl.stats.survival import check_courses
from capla_etl.stats.weighting import NotEstimable, covariate_matrix, separated, standardised

START, NO_START = "start", "do_not_start"
STRATEGIES = (START, NO_START)

#: Last days of the bands of days after the grace period within which the chance of starting is taken as constant; the
#: last band ends at the horizon.
LATE_BANDS_DAYS = (7, 14, 30)

SEPARATED = "not estimable: the covariates separate those who started from those who did not"
NOBODY_STARTED = "not estimable: nobody still followed at the end of the grace period had started"
NOBODY_DIED = "not estimable: nobody died"


class EmulatedTrial(NamedTuple):
    """The result of ``emulated_trial``.

    Attributes:
        strategies: one row per ``strategy`` ('start', 'do_not_start'): ``clones``, ``censored`` (clones that left the
            strategy), ``deaths`` (of clones that had not left), ``largest_weight`` (after truncation) of the clones
            that kept to it.
        hazard_ratio: of starting against not starting: ``estimate``, ``lower``, ``upper`` (95 %), ``reason`` where
            something is NaN.
    """

    strategies: pd.DataFrame
    hazard_ratio: dict[str, float | str | None]


class Courses(NamedTuple):
    """Courses as arrays, one element per patient, cut at the horizon."""

    time: np.ndarray  # int, day of death or of the end of follow-up
    event: np.ndarray  # bool
    start: np.ndarray  # float, day of the first dose; inf: none by the horizon


def read_courses(courses: pd.DataFrame, grace_days: int, horizon_days: int) -> Courses:
    """Check courses and cut them at the horizon; deaths on that day count. As ``emulated_trial``."""
    check_courses(courses, "event")
    if courses["patient_id"].isna().any() or courses["patient_id"].duplicated().any():
        raise ValueError("courses must have one row per patient")
    if grace_days < 0 or grace_days != int(grace_days):
        raise ValueError(f"grace_days must be whole days, 0 or more, found {grace_days}")
    if horizon_days <= grace_days or horizon_days != int(horizon_days):
        raise ValueError(f"horizon_days must be whole days beyond the grace period, found {horizon_days}")
    time, start = courses["time_days"].to_numpy(float), courses["start_day"].to_numpy(float, na_value=NAN)
    if (time % 1 != 0).any() or (start[~np.isnan(start)] % 1 != 0).any():
        raise ValueError("time_days and start_day must be whole days")
    if (start > time).any():
        raise ValueError(f"start_day lies after the end of follow-up in {(start > time).sum()} patients")
    start = np.where(np.isnan(start) | (start > horizon_days), np.inf, np.maximum(start, 0))
    event = courses["event"].to_numpy(bool) & (time <= horizon_days)
    return Courses(np.minimum(time, horizon_days).astype(int), event, start)


def leaving(courses: Courses, grace_days: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By strategy: whether each clone leaves it, and the last day on which its death would count (-1: none).

    Within a day the order is: first dose, then death, then the end of follow-up.

    - "start": a patient who has not started by the end of day ``grace_days`` and is followed beyond that day leaves at
      its end. A death without a dose up to and including day ``grace_days`` counts: the patient could still have
      started.
    - "do_not_start": a patient leaves on the day of the first dose, before any death of that day. A first dose on day 0
      leaves no time at risk; one before day 0 counts as day 0.
    """
    late = (courses.start > grace_days) & (courses.time > grace_days)
    started = np.isfinite(courses.start)
    return {
        START: (late, np.where(late, grace_days, courses.time)),
        NO_START: (started, np.where(started, courses.start - 1, courses.time).astype(int)),
    }


class _Starting(NamedTuple):
    """The model of starting: probability = inverse logit(constant of the period + covariates x coefficients)."""

    constants: np.ndarray  # by period; -inf where no patient starts, and (no patient stays) where all do
    coefficients: np.ndarray


def _fit_starting(covariates: np.ndarray, chances: np.ndarray, starts: np.ndarray) -> _Starting:
    """Pooled logistic regression of starting, by maximum likelihood.

    Args:
        covariates: patients x covariates, standardised.
        chances: patients x periods: days on which the patient could have started.
        starts: patients x periods: 1 where the patient did, else 0.

    Raises:
        NotEstimable: separation.

    Source:
        Newton-Raphson, as R ``glm(cbind(starts, chances - starts) ~ period + covariates, binomial)``. Written here:
        statsmodels needs a row per patient and period.
    """
    total = starts.sum(axis=0)
    fitted = (total > 0) & (total < chances.sum(axis=0))
    constants, coefficients = np.full(len(total), -np.inf), np.zeros(covariates.shape[1])
    if not fitted.any():
        return _Starting(constants, coefficients)
    chances, starts, periods = chances[:, fitted], starts[:, fitted], int(fitted.sum())
    share = starts.sum(axis=0) / chances.sum(axis=0)
    parameters = np.concatenate([np.log(share / (1 - share)), coefficients])
    for _ in range(50):
        logit = parameters[:periods] + (covariates @ parameters[periods:])[:, None]
        chance = 0.5 * (1 + np.tanh(logit / 2))  # inverse logit without overflow
        residual, information = starts - chances * chance, chances * chance * (1 - chance)
        gradient = np.concatenate([residual.sum(axis=0), covariates.T @ residual.sum(axis=1)])
        cross = covariates.T @ information
        of_covariates = (covariates * information.sum(axis=1)[:, None]).T @ covariates
        hessian = np.block([[np.diag(information.sum(axis=0)), cross.T], [cross, of_covariates]])
        # Least squares: redundant covariates change nothing, as in R.
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-11)[0]
        parameters = parameters + step
        if np.abs(step).max() < 1e-9:
            break
    # Separation sends probabilities to 0 or 1 and the steps on without end; only then is the exact answer worth its
    # time.
    suspect = np.abs(step).max() >= 1e-9 or (information[chances > 0] < 1e-7 * chances[chances > 0]).any()
    if suspect and _separated(covariates, chances, starts):
        raise NotEstimable(SEPARATED)
    constants[fitted] = parameters[:periods]
    return _Starting(constants, parameters[periods:])


def _separated(covariates: np.ndarray, chances: np.ndarray, starts: np.ndarray) -> bool:
    started, stayed = np.nonzero(starts > 0), np.nonzero(chances > starts)
    patient, period = (np.concatenate(pair) for pair in zip(started, stayed, strict=True))
    design = np.column_stack([np.eye(chances.shape[1])[period], covariates[patient]])
    return separated(design, np.arange(len(patient)) < len(started[0]))


def _weights(
    courses: Courses, covariates: np.ndarray, grace_days: int, horizon_days: int, truncate_percentile: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Inverse probability of having kept to the strategy so far.

    - "start": 1 up to the end of the grace period; afterwards 1 / P(started by then | followed beyond it, covariates).
    - "do_not_start": 1 / product over the days so far, this one included, of 1 - P(start on the day | alive, not
      started, covariates), with a constant for each day of the grace period and for each band of days after it. On a
      day or in a band in which no patient starts, the chance is 0.

    Returns:
        By strategy: weights of the clones (patients x days 0 to the horizon; 0 when not at risk), and the largest last
        weight of the clones that kept to it (NaN: none did).

    Raises:
        NotEstimable: separation.
    """
    days = np.arange(horizon_days + 1)
    followed, started = courses.time > grace_days, courses.start <= grace_days
    model = _fit_starting(covariates, followed[:, None].astype(float), (followed & started)[:, None].astype(float))
    # All patients followed had started (or none): there is nobody to weight for.
    constant = model.constants[0] if np.isfinite(model.constants[0]) else np.inf
    after_grace = np.exp(np.logaddexp(0, -constant - covariates @ model.coefficients))
    last = {START: np.where(followed, after_grace, 1.0)}
    by_day = {START: np.where(days > grace_days, last[START][:, None], 1.0)}

    ends = [*range(grace_days + 1), *(d for d in LATE_BANDS_DAYS if grace_days < d < horizon_days), horizon_days]
    period_of_day = np.eye(len(ends))[np.searchsorted(ends, days)]  # 1 where a day (row) lies in a period (column)
    days_until = np.cumsum(period_of_day, axis=0)
    last_chance = np.minimum(courses.time, courses.start).astype(int)
    starts = period_of_day[last_chance] * np.isfinite(courses.start)[:, None]
    model = _fit_starting(covariates, days_until[last_chance], starts)
    log_stay = -np.logaddexp(0, model.constants + (covariates @ model.coefficients)[:, None])
    at_risk = leaving(courses, grace_days)
    last_day = at_risk[NO_START][1]
    by_day[NO_START] = np.exp(np.where(last_day[:, None] >= days, -log_stay @ days_until.T, 0))
    last[NO_START] = np.exp(-(log_stay * days_until[np.maximum(last_day, 0)]).sum(axis=1))

    largest = dict.fromkeys(STRATEGIES, NAN)
    for strategy, (left, last_day) in at_risk.items():
        kept = last[strategy][~left]
        if len(kept):
            limit = float(np.percentile(kept, truncate_percentile))
            largest[strategy] = min(kept.max(), limit)
            by_day[strategy] = np.minimum(by_day[strategy], limit)
        by_day[strategy] = by_day[strategy] * (last_day[:, None] >= days)
    return by_day, largest


def emulated_trial(
    courses: pd.DataFrame,
    covariates: list[str],
    *,
    grace_days: int,
    horizon_days: int,
    truncate_percentile: float,
    ties: str = "efron",
) -> EmulatedTrial:
    """Hazard of death if all patients had started by day ``grace_days``, against that if none had by the horizon.

    Needs that every patient could have started and could have gone without, given the covariates: historic controls
    could not start, so that with them the comparison assumes that the period of treatment is ignorable given the
    covariates.

    Args:
        courses: one row per patient: ``patient_id``, ``time_days`` (whole days from day 0 to death or the end of
            follow-up), ``event`` (bool, death), ``start_day`` (whole day of the first dose; missing: never), and the
            covariates: known on day 0, numeric, none missing.
        covariates: names of the columns; without any, nothing is adjusted for.
        grace_days: the last day on which starting agrees with "start".
        horizon_days: last day of follow-up.
        truncate_percentile: weights above this percentile (of the last weights of the clones that kept to the strategy)
            are set to it; 50 to 100.
        ties: as ``cox.cox_regression``.

    Returns:
        The hazard ratio, by weighted Cox regression, and its basis. Its limits are robust, clustered by patient, and
        take the weights as known. A ratio that cannot be estimated is NaN with a reason.

    Raises:
        ValueError: duplicate patients, time that is missing, negative or not in whole days, a missing event, a dose
            after the end of follow-up, a covariate that is not numeric or has a missing value; no patients.

    Source:
        Hernan and Robins 2016 (target trial); Hernan 2018, BMJ 360:k182; Maringe et al., Int J Epidemiol 2020;49:1719;
        Cole and Hernan 2008 (truncation).
    """
    if courses.empty:
        raise ValueError("there are no courses")
    if not 50 <= truncate_percentile <= 100:
        raise ValueError(f"truncate_percentile must lie between 50 and 100, found {truncate_percentile}")
    read = read_courses(courses, grace_days, horizon_days)
    matrix = standardised(covariate_matrix(courses, covariates))
    try:
        weights, largest = _weights(read, matrix, grace_days, horizon_days, truncate_percentile)
    except NotEstimable as reason:
        largest, effect = dict.fromkeys(STRATEGIES, NAN), (NAN, NAN, NAN, str(reason))
    else:
        effect = _hazard_ratio(read, weights, grace_days, ties)
    rows = [
        (strategy, len(courses), int(left.sum()), int((read.event & ~left).sum()), largest[strategy])
        for strategy, (left, _) in leaving(read, grace_days).items()
    ]
    return EmulatedTrial(
        pd.DataFrame(rows, columns=["strategy", "clones", "censored", "deaths", "largest_weight"]),
        dict(zip(("estimate", "lower", "upper", "reason"), effect, strict=True)),
    )


def _hazard_ratio(
    courses: Courses, weights: dict[str, np.ndarray], grace_days: int, ties: str
) -> tuple[float, float, float, str | None]:
    """(hazard ratio, lower, upper, reason) of the weighted Cox regression."""
    from capla_etl.stats.cox import cox_regression

    followed, death_days = courses.time > grace_days, np.unique(courses.time[courses.event])
    if followed.any() and not (followed & (courses.start <= grace_days)).any():
        return NAN, NAN, NAN, NOBODY_STARTED
    if not len(death_days):
        return NAN, NAN, NAN, NOBODY_DIED
    # Only the risk sets of the days with a death count: a row runs from the one before, and over those on which the
    # weight stays the same. Day 0 becomes 1, to have a length.
    days = death_days + 1
    day_before = np.concatenate([[0], days[:-1]])
    parts = []
    for strategy, weight in weights.items():
        patient, column = np.nonzero(weight[:, death_days])
        value = weight[patient, death_days[column]]
        first = np.concatenate([[True], (np.diff(patient) != 0) | (np.diff(value) != 0)])[: len(patient)]
        last = np.concatenate([first[1:], [True]])[: len(patient)]
        patient, end = patient[last], days[column[last]]
        rows = {
            "patient": patient,
            "started": float(strategy == START),
            "start": day_before[column[first]],
            "time_days": end,
            "event": courses.event[patient] & (courses.time[patient] + 1 == end),
            "weight": value[first],
        }
        parts.append(pd.DataFrame(rows))
    clones = pd.concat(parts, ignore_index=True)
    fit = cox_regression(clones, ["started"], start="start", weights="weight", cluster="patient", ties=ties)
    row = fit.table.iloc[0]
    return float(row["hazard_ratio"]), float(row["lower"]), float(row["upper"]), row["reason"]
