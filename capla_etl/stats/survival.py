"""Survival from day 0: Kaplan-Meier, numbers at risk, median, log-rank tests, restricted mean.

Events that compete with another are in ``competing_risks``, resampling in ``resampling``. Who is a patient, and when follow-up ends, is
decided in ``study``.

``courses`` is one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to event or censoring), ``event`` (bool). A patient
censored on the day of an event is at risk of it. Groups come in order of first appearance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

NAN = float("nan")
INTERVALS = ("log-log", "log", "plain")


class LogRank(NamedTuple):
    """``chi_squared`` and its ``p_value``."""

    chi_squared: float
    p_value: float


def _given(values: pd.Series) -> np.ndarray:
    """The values as an array of numbers; a missing one is NaN."""
    return (
        values.to_numpy()
        if values.dtype.kind in "iub" and isinstance(values.dtype, np.dtype)
        else values.to_numpy(float, na_value=NAN)
    )


def check_courses(courses: pd.DataFrame, outcome: str) -> None:
    """Raises ValueError on a missing, negative or infinite ``time_days``, or a missing or impossible ``outcome`` (event or cause)."""
    time_days, values = _given(courses["time_days"]), _given(courses[outcome])
    if not len(courses):
        return
    if not (time_days.min() >= 0 and time_days.max() < np.inf):
        raise ValueError("time_days must be given, finite and not negative")
    if np.isnan(values.max()):
        raise ValueError(f"{outcome} must be given")
    if outcome == "event" and values.dtype.kind != "b" and not ((values == 0) | (values == 1)).all():
        raise ValueError("event must be true or false")
    if outcome == "cause" and (values.min() < 0 or (values.dtype.kind == "f" and (values != np.floor(values)).any())):
        raise ValueError("cause must be 0 (censored) or the whole number of a cause")


def course_arrays(courses: pd.DataFrame, outcome: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Checked courses as arrays: (group names in order of first appearance; per patient the number of the group, time, outcome).

    Raises:
        ValueError: as ``check_courses``; a missing ``group``.
    """
    check_courses(courses, outcome)
    groups, labels = pd.factorize(courses["group"])
    if groups.min(initial=0) < 0:
        raise ValueError("group must be given")
    return np.asarray(labels), groups, _given(courses["time_days"]), _given(courses[outcome]).astype(int)


def check_interval(interval: str) -> None:
    """Raises ValueError on an unknown type of interval."""
    if interval not in INTERVALS:
        raise ValueError(f"interval must be one of {', '.join(INTERVALS)}, found {interval}")


def count_by_time(
    times: np.ndarray,
    outcomes: np.ndarray,
    groups: np.ndarray,
    *,
    group_count: int,
    outcome_count: int,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Patients (or their summed weights) by group, outcome and time: all that the estimators need of the data.

    Args:
        times: one per patient, >= 0.
        outcomes: whole numbers 0 to ``outcome_count`` - 1, one per patient; 0 is censored.
        groups: whole numbers 0 to ``group_count`` - 1, one per patient.
        weights: one per patient, if they are not all 1.

    Returns:
        (times, ascending: the distinct ones, or if they are whole days, every day to the last; counts of shape (group, outcome, time)).
    """
    if not len(times):
        return np.empty(0), np.zeros((group_count, outcome_count, 0))
    last = times.max()
    whole = times.astype(np.int64, copy=False) if last < 4 * len(times) + 1000 else None
    if whole is not None and (whole is times or (whole == times).all()):  # whole days need no sorting
        distinct, position = np.arange(int(last) + 1.0), whole
    else:
        distinct, position = np.unique(times, return_inverse=True)
    width = len(distinct)
    cell = outcomes * (group_count * width)
    cell += position
    if group_count > 1:
        cell += groups * width
    counts = np.bincount(cell, weights, minlength=group_count * outcome_count * width)
    return distinct, counts.astype(float, copy=False).reshape(outcome_count, group_count, width).swapaxes(0, 1)


def at_risk_and_left(events: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patients at risk at each time, and of those the ones without an event then; time is the last axis.

    Summed from the end, so that nobody left is exactly 0 also with weights.
    """
    at_risk = np.ascontiguousarray((events + censored)[..., ::-1].cumsum(axis=-1)[..., ::-1])
    return at_risk, at_risk - events


def divided(numerator: np.ndarray, denominator: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """The quotient, and ``otherwise`` where the denominator is 0."""
    empty = denominator == 0
    return np.where(empty, otherwise, numerator / (denominator + empty))


def limits(probability: np.ndarray, standard_error: np.ndarray, interval: str) -> tuple[np.ndarray, np.ndarray]:
    """95 % limits of a probability from its standard error, on the scale of ``interval``.

    Args:
        probability, standard_error: arrays of one shape, fractions.
        interval: "log-log", "log" or "plain".

    Returns:
        (lower, upper) within 0 to 1. NaN without a standard error; with "log" where the probability is 0, with "log-log" where it is 0 or 1.

    Source:
        As R ``survfit(conf.type = ...)``: "log-log" is that of the probability itself, for a cumulative incidence too.
    """
    from scipy.special import ndtri

    half_width = float(ndtri(0.975)) * standard_error
    if interval == "plain":
        return np.maximum(probability - half_width, 0), np.minimum(probability + half_width, 1)
    inside = (probability > 0) & ((probability < 1) | (interval == "log"))
    p = np.where(inside, probability, NAN)
    if interval == "log":
        return p * np.exp(-half_width / p), np.minimum(p * np.exp(half_width / p), 1)
    factor = np.exp(half_width / (p * -np.log(p)))
    return p**factor, p ** (1 / factor)


class _Curves(NamedTuple):
    """Kaplan-Meier curves of all groups; arrays of shape (group, time) unless said."""

    labels: np.ndarray  # group names, one per group
    time_days: np.ndarray  # ascending, one per time
    patients: np.ndarray  # patients observed until then or longer
    events: np.ndarray  # patients with an event at that time
    observed: np.ndarray  # whether the group is observed until then or longer
    survival: np.ndarray
    standard_error: np.ndarray  # of survival
    hazard: np.ndarray  # events / (at risk x left), the summand of Greenwood's variance; weighted if there are weights
    left: np.ndarray
    squares: np.ndarray | None  # summed squared weights by (group, censored or event, time)


def _curves(courses: pd.DataFrame) -> _Curves:
    """Kaplan-Meier curves by group; ``courses`` may have a ``weight`` (>= 0)."""
    labels, groups, times, events = course_arrays(courses, "event")
    shape = {"group_count": len(labels), "outcome_count": 2}
    distinct, counts = count_by_time(times, events, groups, **shape)
    patients, _ = at_risk_and_left(counts[:, 1], counts[:, 0])
    weighted, squares = counts, None
    if "weight" in courses:
        weight = courses["weight"].to_numpy(float, na_value=NAN)
        if not ((weight >= 0) & (weight < np.inf)).all():
            raise ValueError("weight must be given, finite and not negative")
        _, weighted = count_by_time(times, events, groups, weights=weight, **shape)
        _, squares = count_by_time(times, events, groups, weights=weight**2, **shape)
    at_risk, left = at_risk_and_left(weighted[:, 1], weighted[:, 0])
    if squares is None:
        survival = (
            np.stack(
                [
                    _kaplan_meier(times[groups == group], events[groups == group], distinct)
                    for group in range(len(labels))
                ]
            )
            if len(labels)
            else left
        )
    else:
        survival = np.cumprod(divided(left, at_risk, 1.0), axis=1)
    hazard = divided(weighted[:, 1], at_risk * left)
    if squares is None:
        variance = np.cumsum(hazard, axis=1)
    else:
        # Influence of one patient on log survival: the hazards while at risk, less 1/left from the own event on.
        reached = np.cumsum(hazard, axis=1)
        at_event = reached - divided(1.0, left)
        later = np.cumsum(squares.sum(axis=1)[:, ::-1], axis=1)[:, ::-1] - squares.sum(axis=1)
        variance = later * reached**2 + np.cumsum(squares[:, 0] * reached**2 + squares[:, 1] * at_event**2, axis=1)
    error = np.where(survival > 0, survival * np.sqrt(variance), NAN)
    return _Curves(labels, distinct, patients, counts[:, 1], at_risk > 0, survival, error, hazard, left, squares)


def _kaplan_meier(times: np.ndarray, events: np.ndarray, at_times: np.ndarray) -> np.ndarray:
    from lifelines import KaplanMeierFitter

    return KaplanMeierFitter().fit(times, events).survival_function_at_times(at_times).to_numpy()


def _at_days(values: np.ndarray, position: np.ndarray, before: float) -> np.ndarray:
    """Step functions (group, time) at the days whose last time is ``position``; ``before`` where that is -1."""
    return np.concatenate([np.full((len(values), 1), before), values], axis=1)[:, position + 1]


def numbers_at_risk(courses: pd.DataFrame, days: list[int]) -> pd.DataFrame:
    """Patients still observed just before each day: those whose ``time_days`` is that day or later.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to event or censoring).
        days: the time points, in days.

    Returns:
        One row per (group, day): ``at_risk``. Groups in order of first appearance.

    Source:
        As R ``summary(survfit)$n.risk``. Written here: lifelines counts at the end of the day and prints 0 on the last one.
    """
    rows = [
        {"group": group, "day": day, "at_risk": int((members["time_days"] >= day).sum())}
        for group, members in courses.groupby("group", sort=False)
        for day in days
    ]
    return pd.DataFrame(rows, columns=["group", "day", "at_risk"])


def survival_at(courses: pd.DataFrame, days: list[int], *, interval: str = "log-log") -> pd.DataFrame:
    """Kaplan-Meier probability of being alive at fixed days, by group.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to death or censoring), ``event`` (bool); with
            ``weight`` (>= 0, such as an inverse probability) the curve is weighted.
        days: the time points, in days.
        interval: scale of the limits: "log-log", "log" or "plain".

    Returns:
        One row per (group, day): ``at_risk`` (patients still observed just before the day, never weighted), ``survival`` (0 to 1),
        ``standard_error`` (of survival; Greenwood, with weights robust and taking the weights as known), ``lower``, ``upper`` (95 %).
        NaN after the group's last observed time. No error or limits once nobody is left; no log(-log) limits while nobody has died
        ("log" and "plain" limits are both 1 then, as in R). Groups in order of first appearance.

    Raises:
        ValueError: a missing ``group`` or ``event``, a missing or negative ``time_days`` or ``weight``, an unknown interval.

    Source:
        Kaplan and Meier 1958; lifelines. Greenwood 1926, as R ``survfit(conf.type = ...)``, and the weighted curve, as R
        ``survfit(weights, robust = TRUE)``, are written here: lifelines has one type of interval and no robust error.
    """
    check_interval(interval)
    curves = _curves(courses)
    at_days = np.asarray(days, dtype=float)
    position = np.searchsorted(curves.time_days, at_days, side="right") - 1
    first = np.searchsorted(curves.time_days, at_days, side="left")
    at_risk = np.concatenate([curves.patients, np.zeros((len(curves.labels), 1))], axis=1)[:, first].astype(int)
    # Observed at a later or the same distinct time: the day is within the group's follow-up.
    unobserved = ~np.concatenate([curves.observed, np.zeros((len(curves.labels), 1), dtype=bool)], axis=1)[:, first]
    survival = np.where(unobserved, NAN, _at_days(curves.survival, position, 1.0))
    error = np.where(unobserved, NAN, _at_days(curves.standard_error, position, 0.0))
    lower, upper = limits(survival, error, interval)
    return pd.DataFrame(
        {
            "group": np.repeat(curves.labels, len(at_days)),
            "day": np.tile(np.asarray(days), len(curves.labels)),
            "at_risk": at_risk.ravel(),
            "survival": survival.ravel(),
            "standard_error": error.ravel(),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
        }
    )


def kaplan_meier(courses: pd.DataFrame, last_day: int, *, interval: str = "log-log") -> pd.DataFrame:
    """The Kaplan-Meier curve, one row for each group and day from 0 to ``last_day``: as ``survival_at``, with cumulative counts.

    Returns:
        The columns of ``survival_at`` without the standard error, and ``deaths`` and ``censored``: patients who died, or whose follow-up
        ended, up to and including the day. Those followed to ``last_day`` are censored there.

    Raises:
        ValueError: as ``survival_at``.
    """
    curve = survival_at(courses, list(range(last_day + 1)), interval=interval)
    for name, occurred in (("deaths", courses["event"].astype(bool)), ("censored", ~courses["event"].astype(bool))):
        times = {
            group: np.sort(members["time_days"].to_numpy(float))
            for group, members in courses[occurred].groupby("group")
        }
        curve[name] = [
            int(np.searchsorted(times.get(group, np.array([])), day, side="right"))
            for group, day in zip(curve["group"], curve["day"], strict=True)
        ]
    return curve[["group", "day", "at_risk", "deaths", "censored", "survival", "lower", "upper"]]


def _first_at_half(times: np.ndarray, curve: np.ndarray) -> float:
    """First time at which a falling curve is at 0.5 or below; where it rests at 0.5, the middle of that rest. NaN if never."""
    tolerance = np.sqrt(np.finfo(float).eps)
    at_or_below = np.flatnonzero(curve < 0.5 + tolerance)
    if not len(at_or_below):
        return NAN
    first = at_or_below[0]
    below = np.flatnonzero(curve < curve[first])
    if abs(curve[first] - 0.5) < tolerance and len(below):
        return float((times[first] + times[below[0]]) / 2)
    return float(times[first])


def median_survival(courses: pd.DataFrame, *, interval: str = "log-log") -> pd.DataFrame:
    """Median survival time by group, from the Kaplan-Meier curve.

    Args:
        courses: as ``survival_at``, ``weight`` included.
        interval: scale of the limits of the curve: "log-log", "log" or "plain".

    Returns:
        One row per group: ``patients``, ``events`` (never weighted), ``median``, ``lower``, ``upper`` (days; 95 %): the first days at
        which the curve and its limits are at one half or below, or the middle of a rest at one half. NaN where one never is.

    Raises:
        ValueError: as ``survival_at``.

    Source:
        Brookmeyer and Crowley, Biometrics 1982;38:29; as R ``print(survfit)``.
    """
    check_interval(interval)
    curves = _curves(courses)
    lower, upper = limits(curves.survival, curves.standard_error, interval)
    rows = []
    for index, group in enumerate(curves.labels):
        seen = curves.observed[index]
        medians = (
            _first_at_half(curves.time_days[seen], curve[index][seen]) for curve in (curves.survival, lower, upper)
        )
        rows.append((group, int(curves.patients[index].max()), int(curves.events[index].sum()), *medians))
    return pd.DataFrame(rows, columns=["group", "patients", "events", "median", "lower", "upper"])


def _log_rank(
    courses: pd.DataFrame, strata: str | None, rho: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(group names, patients, observed, expected, covariance of observed - expected), summed over the strata."""
    labels, groups, times, events = course_arrays(courses, "event")
    stratum = np.zeros(len(courses), dtype=int) if strata is None else pd.factorize(courses[strata])[0]
    size = len(labels)
    patients, observed, expected, covariance = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros((size, size))
    for number in range(stratum.max(initial=-1) + 1):
        own = stratum == number
        _, counts = count_by_time(times[own], events[own], groups[own], group_count=size, outcome_count=2)
        at_risk, _ = at_risk_and_left(counts[:, 1], counts[:, 0])
        all_events, all_at_risk = counts[:, 1].sum(axis=0), at_risk.sum(axis=0)
        share = at_risk / all_at_risk
        survival = np.cumprod(1 - all_events / all_at_risk)
        weight = np.concatenate([[1.0], survival[:-1]]) ** rho
        spread = weight**2 * all_events * divided(all_at_risk - all_events, all_at_risk - 1)
        patients += counts.sum(axis=(1, 2))
        observed += counts[:, 1] @ weight
        expected += share @ (weight * all_events)
        covariance += np.diag(share @ spread) - (share * spread) @ share.T
    return labels, patients.astype(int), observed, expected, covariance


def log_rank(courses: pd.DataFrame, *, strata: str | None = None, rho: float = 0) -> LogRank:
    """Log-rank test of equal survival between two or more groups, its stratified and its weighted (Fleming-Harrington) forms.

    Args:
        courses: as ``survival_at``; a ``weight`` is not used.
        strata: name of the column of strata; a patient without a stratum is left out.
        rho: power of the pooled survival just before each event that weights it: 0 log-rank, 1 Peto-Peto.

    Returns:
        (``chi_squared``, ``p_value``), degrees of freedom one less than the groups in which an event is expected. NaN with fewer than two
        groups, without an event, or when the groups are never at risk together.

    Raises:
        ValueError: as ``survival_at``.

    Source:
        Mantel 1966; Harrington and Fleming, Biometrika 1982;69:553; as R ``survdiff``. Written here: lifelines has no strata.
    """
    from scipy.special import chdtrc

    _, _, observed, expected, covariance = _log_rank(courses, strata, rho)
    compared = np.flatnonzero(expected > 0)[1:]  # the first group follows from the others
    covariance = covariance[np.ix_(compared, compared)]
    if not len(compared) or np.linalg.matrix_rank(covariance) < len(compared):
        return LogRank(NAN, NAN)
    difference = (observed - expected)[compared]
    chi_squared = float(difference @ np.linalg.solve(covariance, difference))
    return LogRank(chi_squared, float(chdtrc(len(compared), chi_squared)))


def log_rank_counts(courses: pd.DataFrame, *, strata: str | None = None, rho: float = 0) -> pd.DataFrame:
    """What ``log_rank`` compares: observed and expected events of each group.

    Args:
        courses, strata, rho: as ``log_rank``.

    Returns:
        One row per group: ``patients`` (those with a stratum), ``observed``, ``expected`` (events, weighted if ``rho`` is not 0; summed
        over strata), ``variance`` (of observed - expected).

    Raises:
        ValueError: as ``survival_at``.

    Source:
        As R ``survdiff``: ``n``, ``obs``, ``exp`` and the diagonal of ``var``.
    """
    labels, patients, observed, expected, covariance = _log_rank(courses, strata, rho)
    return pd.DataFrame(
        {
            "group": labels,
            "patients": patients,
            "observed": observed,
            "expected": expected,
            "variance": covariance.diagonal(),
        }
    )


def restricted_mean(courses: pd.DataFrame, horizon_days: float) -> pd.DataFrame:
    """Restricted mean survival time by group: mean days alive of the first ``horizon_days``, the area under the Kaplan-Meier curve.

    Args:
        courses: as ``survival_at``, ``weight`` included.
        horizon_days: end of the period, > 0.

    Returns:
        One row per group: ``rmst``, ``standard_error`` (Greenwood; with weights robust, the weights taken as known), ``lower``, ``upper``
        (95 %, normal; NaN without a death before the horizon), all in days; ``reason``: why there is no mean (the group is not observed
        to the horizon and its curve is not 0 there), otherwise empty.

    Raises:
        ValueError: as ``survival_at``; a horizon that is not above 0.

    Source:
        Irwin 1949; as R ``summary(survfit, rmean = horizon)``. Written here: lifelines' variance ignores censoring.
    """
    from scipy.special import ndtri

    if not 0 < horizon_days < np.inf:
        raise ValueError(f"horizon_days must be above 0, found {horizon_days}")
    curves = _curves(courses)
    within = curves.time_days < horizon_days
    steps = np.diff(np.concatenate([[0.0], curves.time_days[within], [horizon_days]]))
    survival, hazard, left = (values[:, within] for values in (curves.survival, curves.hazard, curves.left))
    mean = steps[0] + survival @ steps[1:]
    area = np.cumsum((survival * steps[1:])[:, ::-1], axis=1)[:, ::-1]  # under the curve from each time to the horizon
    if curves.squares is None:
        variance = (area**2 * hazard).sum(axis=1)
    else:
        # Influence of one patient: as in the curve, each change of log survival weighing the area after it.
        reached = np.cumsum(area * hazard, axis=1)
        censored, events = curves.squares[:, 0], curves.squares[:, 1]
        total = reached[:, -1] if within.any() else np.zeros(len(mean))
        variance = (censored[:, within] * reached**2 + events[:, within] * (reached - divided(area, left)) ** 2).sum(
            axis=1
        )
        variance = variance + (censored + events)[:, ~within].sum(axis=1) * total**2
    error = np.sqrt(variance)
    # Observed at the horizon or later, or nobody left before it.
    known = (curves.observed & (curves.time_days >= horizon_days)).any(axis=1) | ((survival == 0).any(axis=1))
    mean, error = np.where(known, mean, NAN), np.where(known, error, NAN)
    half_width = np.where(error > 0, float(ndtri(0.975)) * error, NAN)
    return pd.DataFrame(
        {
            "group": curves.labels,
            "rmst": mean,
            "standard_error": error,
            "lower": mean - half_width,
            "upper": mean + half_width,
            "reason": np.where(known, "", "not observed to the horizon"),
        }
    )


def restricted_mean_difference(courses: pd.DataFrame, horizon_days: float) -> pd.DataFrame:
    """Two groups compared by their restricted mean survival time: first group (in order of first appearance) against the second.

    Args:
        courses, horizon_days: as ``restricted_mean``.

    Returns:
        Three rows, ``measure``: "difference" (days, first minus second), "ratio" (first over second), "rmtl_ratio" (ratio of the time
        lost, horizon minus mean); ``estimate``, ``lower``, ``upper`` (95 %; ratios on the log scale), ``p_value`` (Wald),
        ``reason`` why there is no estimate or no limits, otherwise empty.

    Raises:
        ValueError: as ``restricted_mean``; more than two groups.

    Source:
        Uno et al., J Clin Oncol 2014;32:2380; as R survRM2 ``rmst2``.
    """
    from scipy.special import ndtr, ndtri

    means = restricted_mean(courses, horizon_days)
    if len(means) > 2:
        raise ValueError(f"two groups are compared, found {len(means)}")
    reason = "a group is missing" if len(means) < 2 else next((reason for reason in means["reason"] if reason), "")
    values = np.full(2, NAN) if reason else means["rmst"].to_numpy()
    errors = np.full(2, NAN) if reason else means["standard_error"].to_numpy()
    z, rows = float(ndtri(0.975)), []
    for measure, quantity in (("difference", None), ("ratio", values), ("rmtl_ratio", horizon_days - values)):
        if quantity is None:
            estimate, centre, error = values[0] - values[1], values[0] - values[1], np.hypot(*errors)
        elif (quantity > 0).all():
            estimate, centre, error = (
                quantity[0] / quantity[1],
                np.log(quantity[0] / quantity[1]),
                np.hypot(*(errors / quantity)),
            )
        else:
            estimate, centre, error = (0.0 if quantity[1] > 0 else NAN), NAN, NAN
        no_limits = not error > 0
        lower, upper = (NAN, NAN) if no_limits else (centre - z * error, centre + z * error)
        p_value = NAN if no_limits else float(2 * ndtr(-abs(centre) / error))
        if quantity is not None:
            lower, upper = np.exp(lower), np.exp(upper)
        rows.append(
            (measure, estimate, lower, upper, p_value, reason or ("no event before the horizon" if no_limits else ""))
        )
    return pd.DataFrame(rows, columns=["measure", "estimate", "lower", "upper", "p_value", "reason"])


def difference_of_survival(
    survival_1: tuple[float, float, float], survival_0: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Difference of two independent survival probabilities with a 95 % interval from their own intervals (square and add).

    Args:
        survival_1, survival_0: (estimate, lower, upper) as fractions.

    Returns:
        (difference, lower, upper), group 1 minus group 0; the limits are NaN when one of the intervals is.

    Source:
        Zou and Donner, Stat Med 2008;27:1693 (the method behind Newcombe's interval of a risk difference).
    """
    (s1, l1, u1), (s0, l0, u0) = survival_1, survival_0
    difference = s1 - s0
    return difference, difference - np.hypot(s1 - l1, u0 - s0), difference + np.hypot(u1 - s1, s0 - l0)
