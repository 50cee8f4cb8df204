"""Survival from day 0: Kaplan-Meier, median, log-rank test, restricted mean.

Events that compete with another are in ``competing_risks``, resampling in ``resampling``. ``capla_etl.tables`` decides
which patients are analysed and when their follow-up ends.

``courses`` is one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to event or censoring), ``event``
(bool). A patient censored on the day of an event is at risk of it. Groups come in order of first appearance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN, Z_95

INTERVALS = ("log-log", "log")


class LogRank(NamedTuple):
    """``chi_squared`` and its ``p_value``."""

    chi_squared: float
    p_value: float


def _given(values: pd.Series) -> np.ndarray:
    """The values as an array of numbers; a missing one is NaN."""
    if values.dtype.kind in "iub" and isinstance(values.dtype, np.dtype):
        return values.to_numpy()
    return values.to_numpy(float, na_value=NAN)


def check_courses(courses: pd.DataFrame, outcome: str) -> None:
    """Check the time and the ``outcome`` (event or cause) of every patient.

    Raises:
        ValueError: a missing, negative or infinite ``time_days``; a missing or impossible ``outcome``.
    """
    time_days, values = _given(courses["time_days"]), _given(courses[outcome])
    if not len(courses):
        return
    if not (time_days.min() >= 0 and time_days.max() < np.inf):
        raise ValueError("time_days must be given, finite and not negative")
    if np.isnan(values.max()):
        raise ValueError(f"{outcome} must be given")
    if outcome == "event" and values.dtype.kind != "b" and not ((values == 0) | (values == 1)).all():
        raise ValueError("event must be true or false")
    if outcome == "cause" and not ((values == 0) | (values == 1) | (values == 2)).all():
        raise ValueError("cause must be 0 (censored), 1 (the event) or 2 (the competing event)")


def course_arrays(courses: pd.DataFrame, outcome: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return checked courses: group names in order of first appearance; per patient group number, time, outcome.

    Raises:
        ValueError: as ``check_courses``; a missing ``group``.
    """
    check_courses(courses, outcome)
    groups, labels = pd.factorize(courses["group"])
    if groups.min(initial=0) < 0:
        raise ValueError("group must be given")
    return np.asarray(labels), groups, _given(courses["time_days"]), _given(courses[outcome]).astype(int)


def checked_weights(weights, patients: int) -> np.ndarray:
    """Return one weight (finite, >= 0) per patient as floats; anything else is a ValueError."""
    array = np.asarray(weights, dtype=float)
    if array.shape != (patients,):
        raise ValueError(f"one weight per patient is needed, found {array.size} weights for {patients} patients")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("weights must be given, finite and not negative")
    return array


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, found {value}")


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
        weights: one per patient; None: all 1.

    Returns:
        (times, ascending: the distinct ones, or for whole days every day to the last; counts of shape (group, outcome,
        time)).
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
    cell = (outcomes * group_count + groups) * width + position
    counts = np.bincount(cell, weights, minlength=group_count * outcome_count * width)
    return distinct, counts.astype(float, copy=False).reshape(outcome_count, group_count, width).swapaxes(0, 1)


def at_risk_and_left(events: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patients at risk at each time, and those of them without an event then; time is the last axis.

    Summed from the end, so that the number is exactly 0, with weights too, once nobody is left.
    """
    at_risk = from_then_on(events + censored)
    return at_risk, at_risk - events


def from_then_on(values: np.ndarray) -> np.ndarray:
    """Sums over each time and all later ones; time is the last axis."""
    return np.ascontiguousarray(values[..., ::-1].cumsum(axis=-1)[..., ::-1])


def before(values: np.ndarray, start: float) -> np.ndarray:
    """A step function just before each time (the last axis); ``start`` before the first."""
    return np.concatenate([np.full((*values.shape[:-1], 1), start), values[..., :-1]], axis=-1)


def divided(numerator: np.ndarray, denominator: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """The quotient; ``otherwise`` where the denominator is 0."""
    empty = denominator == 0
    return np.where(empty, otherwise, numerator / (denominator + empty))


def limits(probability: np.ndarray, standard_error: np.ndarray, interval: str) -> tuple[np.ndarray, np.ndarray]:
    """95 % limits of a probability from its standard error, on the scale of ``interval``.

    Args:
        probability, standard_error: arrays of one shape, fractions.
        interval: "log-log" or "log".

    Returns:
        (lower, upper) within 0 to 1. NaN without a standard error and where the probability is 0, with "log-log" also
        where it is 1.

    Source:
        As R ``survfit(conf.type = ...)``: "log-log" is that of the probability itself, for a cumulative incidence too.
    """
    half_width = Z_95 * standard_error
    inside = (probability > 0) & ((probability < 1) | (interval == "log"))
    p = np.where(inside, probability, NAN)
    if interval == "log":
        return p * np.exp(-half_width / p), np.minimum(p * np.exp(half_width / p), 1)
    factor = np.exp(half_width / (p * -np.log(p)))
    return p**factor, p ** (1 / factor)


class _Curves(NamedTuple):
    """Kaplan-Meier curves; ``labels`` has one name per group, arrays have the shape (group, time) unless noted."""

    labels: np.ndarray
    time_days: np.ndarray  # ascending, one per time
    patients: np.ndarray  # patients observed until then or longer
    events: np.ndarray  # patients with an event at that time
    censored: np.ndarray
    observed: np.ndarray  # whether the group is observed until then or longer
    survival: np.ndarray
    standard_error: np.ndarray  # of survival
    hazard: np.ndarray  # events / (at risk x left), the summand of Greenwood's variance


def _curves(courses: pd.DataFrame, weights=None) -> _Curves:
    """Kaplan-Meier curves by group; weighted when there is a weight per patient."""
    labels, groups, times, events = course_arrays(courses, "event")
    shape = {"group_count": len(labels), "outcome_count": 2}
    distinct, counts = count_by_time(times, events, groups, **shape)
    patients, left = at_risk_and_left(counts[:, 1], counts[:, 0])
    if weights is None:
        at_risk = patients
        hazard = divided(counts[:, 1], at_risk * left)
        curves = [_kaplan_meier(times[own], events[own], distinct) for own in groups == np.arange(len(labels))[:, None]]
        survival = np.stack(curves) if curves else left
        variance = np.cumsum(hazard, axis=1)
    else:
        weights = checked_weights(weights, len(courses))
        _, weighted = count_by_time(times, events, groups, weights=weights, **shape)
        _, squares = count_by_time(times, events, groups, weights=weights**2, **shape)
        at_risk, left = at_risk_and_left(weighted[:, 1], weighted[:, 0])
        hazard = divided(weighted[:, 1], at_risk * left)
        survival = np.cumprod(divided(left, at_risk, 1.0), axis=1)
        # Influence of one patient on log survival: the hazards while at risk, less 1/left from the patient's event on.
        reached = np.cumsum(hazard, axis=1)
        at_event = reached - divided(1.0, left)
        later = from_then_on(squares.sum(axis=1)) - squares.sum(axis=1)
        variance = later * reached**2 + np.cumsum(squares[:, 0] * reached**2 + squares[:, 1] * at_event**2, axis=1)
    error = np.where(survival > 0, survival * np.sqrt(variance), NAN)
    return _Curves(labels, distinct, patients, counts[:, 1], counts[:, 0], at_risk > 0, survival, error, hazard)


def _kaplan_meier(times: np.ndarray, events: np.ndarray, at_times: np.ndarray) -> np.ndarray:
    from lifelines import KaplanMeierFitter

    return KaplanMeierFitter().fit(times, events).survival_function_at_times(at_times).to_numpy()


class StepFunctions:
    """Reads values (group, time) of step functions at given days, and those of patients at risk just before them."""

    def __init__(self, labels: np.ndarray, time_days: np.ndarray, days: list[int]) -> None:
        self.labels, self.days, at_days = labels, days, np.asarray(days, dtype=float)
        self.position = np.searchsorted(time_days, at_days, side="right")
        self.first = np.searchsorted(time_days, at_days, side="left")

    def on(self, values: np.ndarray, start: float) -> np.ndarray:
        """The values on each day; ``start`` before the first time."""
        return np.concatenate([np.full((len(values), 1), start), values], axis=1)[:, self.position]

    def just_before(self, values: np.ndarray) -> np.ndarray:
        """The values at the first time that is no earlier than the day; 0 after the last time."""
        return np.concatenate([values, np.zeros((len(values), 1), dtype=values.dtype)], axis=1)[:, self.first]

    def table(self, **columns: np.ndarray) -> pd.DataFrame:
        """One row per (group, day), with columns of the shape (group, day)."""
        keys = {
            "group": np.repeat(self.labels, len(self.days)),
            "day": np.tile(np.asarray(self.days), len(self.labels)),
        }
        return pd.DataFrame(keys | {name: values.ravel() for name, values in columns.items()})


def survival_at(courses: pd.DataFrame, days: list[int], *, interval: str = "log-log", weights=None) -> pd.DataFrame:
    """Kaplan-Meier probability of being alive at fixed days, by group.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to death or censoring), ``event``
            (bool).
        days: the time points, in days.
        interval: scale of the limits: "log-log" or "log".
        weights: one per patient (>= 0, such as an inverse probability), for a weighted curve.

    Returns:
        One row per (group, day): ``at_risk`` (patients still observed just before the day, never weighted),
        ``survival`` (0 to 1), ``standard_error`` (of survival; Greenwood, with weights robust, taking the weights as
        known), ``lower``, ``upper`` (95 %), ``deaths`` and ``censored`` (patients who died, or whose follow-up ended,
        by the end of the day). NaN after the group's last observed time. No error or limits once nobody is left; no
        log(-log) limits while nobody has died ("log" limits are both 1 then, as in R). Groups by first appearance.

    Raises:
        ValueError: a missing ``group`` or ``event``, a missing or negative ``time_days`` or weight, an unknown
            interval.

    Source:
        Kaplan and Meier 1958; lifelines. Written here: Greenwood's error (1926), as R ``survfit(conf.type = ...)``, and
        the weighted curve, as R ``survfit(weights, robust = TRUE)``; lifelines has one type of interval and no robust
        error.
    """
    check_choice("interval", interval, INTERVALS)
    curves = _curves(courses, weights)
    at = StepFunctions(curves.labels, curves.time_days, days)
    # Observed at a later or the same distinct time: the day is within the group's follow-up.
    observed = at.just_before(curves.observed)
    survival = np.where(observed, at.on(curves.survival, 1.0), NAN)
    error = np.where(observed, at.on(curves.standard_error, 0.0), NAN)
    lower, upper = limits(survival, error, interval)
    return at.table(
        at_risk=at.just_before(curves.patients).astype(int),
        survival=survival,
        standard_error=error,
        lower=lower,
        upper=upper,
        deaths=at.on(curves.events.cumsum(axis=1), 0).astype(int),
        censored=at.on(curves.censored.cumsum(axis=1), 0).astype(int),
    )


def kaplan_meier(courses: pd.DataFrame, last_day: int, *, interval: str = "log-log") -> pd.DataFrame:
    """The Kaplan-Meier curve, one row per group and day from 0 to ``last_day``: as ``survival_at``, without the error.

    Patients followed to ``last_day`` are censored there.
    """
    curve = survival_at(courses, list(range(last_day + 1)), interval=interval)
    return curve[["group", "day", "at_risk", "deaths", "censored", "survival", "lower", "upper"]]


def _first_at_half(times: np.ndarray, curve: np.ndarray) -> float:
    """First time at which a falling curve is at 0.5 or below, or the middle of a rest at 0.5; NaN if never."""
    tolerance = np.sqrt(np.finfo(float).eps)
    at_or_below = np.flatnonzero(curve < 0.5 + tolerance)
    if not len(at_or_below):
        return NAN
    first = at_or_below[0]
    below = np.flatnonzero(curve < curve[first])
    if abs(curve[first] - 0.5) < tolerance and len(below):
        return float((times[first] + times[below[0]]) / 2)
    return float(times[first])


def median_survival(courses: pd.DataFrame, *, interval: str = "log-log", weights=None) -> pd.DataFrame:
    """Median survival time by group, from the Kaplan-Meier curve.

    Args:
        courses, interval, weights: as ``survival_at``.

    Returns:
        One row per group: ``patients``, ``events`` (never weighted), ``median``, ``lower``, ``upper`` (days; 95 %): the
        first days at which the curve and its limits are at one half or below, or the middle of a rest at one half. NaN
        where one never is.

    Raises:
        ValueError: as ``survival_at``.

    Source:
        Brookmeyer and Crowley, Biometrics 1982;38:29; as R ``print(survfit)``.
    """
    check_choice("interval", interval, INTERVALS)
    curves = _curves(courses, weights)
    three = curves.survival, *limits(curves.survival, curves.standard_error, interval)
    rows = []
    for index, (group, seen) in enumerate(zip(curves.labels, curves.observed, strict=True)):
        medians = (_first_at_half(curves.time_days[seen], curve[index][seen]) for curve in three)
        rows.append((group, int(curves.patients[index].max()), int(curves.events[index].sum()), *medians))
    return pd.DataFrame(rows, columns=["group", "patients", "events", "median", "lower", "upper"])


def log_rank(courses: pd.DataFrame) -> LogRank:
    """Log-rank test of equal survival between two or more groups.

    Args:
        courses: as ``survival_at``.

    Returns:
        (``chi_squared``, ``p_value``), degrees of freedom one less than the groups in which an event is expected. NaN
        with fewer than two groups, without an event, or when the groups are never at risk together.

    Raises:
        ValueError: as ``survival_at``.

    Source:
        Mantel 1966, as R ``survdiff``. Written here: the p value of statsmodels differs by up to 2e-13 of itself, and
        printed results stay the same to the last bit.
    """
    from scipy.special import chdtrc

    labels, groups, times, events = course_arrays(courses, "event")
    _, counts = count_by_time(times, events, groups, group_count=len(labels), outcome_count=2)
    at_risk, _ = at_risk_and_left(counts[:, 1], counts[:, 0])
    all_events, all_at_risk = counts[:, 1].sum(axis=0), at_risk.sum(axis=0)
    share = at_risk / all_at_risk
    expected = share @ all_events
    compared = np.flatnonzero(expected > 0)[1:]  # the first group follows from the others
    spread = all_events * divided(all_at_risk - all_events, all_at_risk - 1)
    covariance = (np.diag(share @ spread) - (share * spread) @ share.T)[np.ix_(compared, compared)]
    if not len(compared) or np.linalg.matrix_rank(covariance) < len(compared):
        return LogRank(NAN, NAN)
    difference = (counts[:, 1].sum(axis=1) - expected)[compared]
    chi_squared = float(difference @ np.linalg.solve(covariance, difference))
    return LogRank(chi_squared, float(chdtrc(len(compared), chi_squared)))


def restricted_mean(courses: pd.DataFrame, horizon_days: float) -> pd.DataFrame:
    """Restricted mean survival time by group: mean days alive of the first ``horizon_days``, the area under the curve.

    Args:
        courses: as ``survival_at``.
        horizon_days: end of the period, > 0.

    Returns:
        One row per group: ``rmst``, ``standard_error`` (Greenwood), ``lower``, ``upper`` (95 %, normal; NaN without a
        death before the horizon), all in days; ``reason``: why there is no mean (the group is not observed to the
        horizon and its curve is not 0 there), otherwise empty.

    Raises:
        ValueError: as ``survival_at``; a horizon that is not above 0.

    Source:
        Irwin 1949; as R ``summary(survfit, rmean = horizon)``. Written here: lifelines' variance ignores censoring.
    """
    if not 0 < horizon_days < np.inf:
        raise ValueError(f"horizon_days must be above 0, found {horizon_days}")
    curves = _curves(courses)
    within = curves.time_days < horizon_days
    steps = np.diff(np.concatenate([[0.0], curves.time_days[within], [horizon_days]]))
    survival = curves.survival[:, within]
    mean = steps[0] + survival @ steps[1:]
    area = np.cumsum((survival * steps[1:])[:, ::-1], axis=1)[:, ::-1]  # under the curve from each time to the horizon
    error = np.sqrt((area**2 * curves.hazard[:, within]).sum(axis=1))
    # Observed at the horizon or later, or nobody left before it.
    known = (curves.observed & (curves.time_days >= horizon_days)).any(axis=1) | (survival == 0).any(axis=1)
    mean, error = np.where(known, mean, NAN), np.where(known, error, NAN)
    half_width = np.where(error > 0, Z_95 * error, NAN)
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


def restricted_mean_difference(courses: pd.DataFrame, horizon_days: float) -> dict[str, float | str]:
    """Difference of restricted mean survival time: first group (in order of first appearance) minus the second.

    Args:
        courses, horizon_days: as ``restricted_mean``.

    Returns:
        ``estimate``, ``lower``, ``upper`` (days, 95 %), ``p_value`` (Wald), and ``reason``: why there is no estimate or
        no limits, otherwise empty.

    Raises:
        ValueError: as ``restricted_mean``; more than two groups.

    Source:
        Uno et al., J Clin Oncol 2014;32:2380; as R survRM2 ``rmst2``.
    """
    from scipy.special import ndtr

    means = restricted_mean(courses, horizon_days)
    if len(means) > 2:
        raise ValueError(f"two groups are compared, found {len(means)}")
    found = dict.fromkeys(("estimate", "lower", "upper", "p_value"), NAN)
    reason = "a group is missing" if len(means) < 2 else next((reason for reason in means["reason"] if reason), "")
    if reason:
        return found | {"reason": reason}
    estimate, error = means["rmst"][0] - means["rmst"][1], np.hypot(*means["standard_error"])
    if not error > 0:
        return found | {"estimate": estimate, "reason": "no event before the horizon"}
    half_width, p_value = Z_95 * error, float(2 * ndtr(-abs(estimate) / error))
    limits = {"lower": estimate - half_width, "upper": estimate + half_width}
    return {"estimate": estimate, **limits, "p_value": p_value, "reason": ""}


def difference_of_survival(
    survival_1: tuple[float, float, float], survival_0: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Difference of two independent survival probabilities with a 95 % interval from theirs (square and add).

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
