"""Bootstrap intervals (percentile, 95 %) of survival, restricted mean survival and cumulative incidence.

Estimates with their model-based intervals are in ``survival`` and ``competing_risks``.

All patients of a group with the same time and outcome are alike to these estimators. The patients of a group are therefore a table of
counts, and drawing as many patients with replacement is one multinomial draw over its cells: the same distribution at a cost that
does not grow with the patients when times are whole days. Groups are resampled apart, each keeping its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.competing_risks import EVENT, as_outcomes
from capla_etl.stats.survival import count_by_time, course_arrays, divided

NAN = float("nan")
CELLS_AT_ONCE = 4_000_000  # draws held in memory together


class BootstrapDifference(NamedTuple):
    """First group minus second: ``estimate``, its ``standard_error`` over the replicates, ``lower``, ``upper``."""

    estimate: float
    standard_error: float
    lower: float
    upper: float


class _Group(NamedTuple):
    """One group: counts of patients by (outcome, time), the times, and its generator of random numbers."""

    label: object
    times: np.ndarray
    counts: np.ndarray
    generator: np.random.Generator


def _groups(courses: pd.DataFrame, outcome: str, *, cause: int | None, replicates: int, seed: int) -> list[_Group]:
    """The groups in order of first appearance; the random numbers of each depend on the seed and its rank by name, not on the row order."""
    if "weight" in courses:
        raise ValueError("weights cannot be resampled by cells: leave the column weight out")
    if replicates < 2:
        raise ValueError(f"replicates must be 2 or more, found {replicates}")
    labels, groups, times, outcomes = course_arrays(courses, outcome)
    outcomes = outcomes if cause is None else as_outcomes(outcomes, cause)
    rank = np.argsort(np.argsort(labels.astype(str), kind="stable"), kind="stable")
    size, found = 2 if cause is None else 3, []
    for index, label in enumerate(labels):
        own = groups == index
        distinct, counts = count_by_time(
            times[own], outcomes[own], np.zeros(own.sum(), dtype=int), group_count=1, outcome_count=size
        )
        found.append(_Group(label, distinct, counts[0], np.random.default_rng([seed, int(rank[index])])))
    return found


def _draws(group: _Group, last: float, replicates: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Resampled counts up to ``last``, some replicates at a time.

    Yields:
        (times; at risk, by replicate and time; counts by replicate, outcome and time). The first replicate is the data themselves.
    """
    within = (group.times <= last) & group.counts.any(axis=0)
    times, shape = group.times[within], (len(group.counts), int(within.sum()))
    patients = int(group.counts.sum())
    inside = group.counts[:, within].ravel()
    occupied = np.flatnonzero(inside)
    # All who are observed longer are one cell: nothing that comes later matters.
    chances = np.append(inside[occupied], patients - inside.sum()) / patients
    at_once = max(CELLS_AT_ONCE // max(inside.size, 1), 1)
    for start in range(0, replicates + 1, at_once):
        size = min(at_once, replicates + 1 - start)
        counts = np.zeros((size, inside.size))
        counts[:, occupied] = group.generator.multinomial(patients, chances, size=size)[:, :-1]
        if start == 0:
            counts[0] = inside
        counts = counts.reshape(size, *shape)
        leaving = counts.sum(axis=1)
        yield times, patients - leaving.cumsum(axis=1) + leaving, counts


def _survival(at_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Kaplan-Meier curves by (replicate, time); level once nobody is at risk."""
    return (1 - divided(counts[:, 1:].sum(axis=1), at_risk)).cumprod(axis=1)


def _survival_at(days: np.ndarray) -> Callable:
    def statistic(times: np.ndarray, at_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
        survival = np.concatenate([np.ones((len(counts), 1)), _survival(at_risk, counts)], axis=1)
        return survival[:, np.searchsorted(times, days, side="right")]

    return statistic


def _incidence_at(days: np.ndarray) -> Callable:
    def statistic(times: np.ndarray, at_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
        start = np.ones((len(counts), 1))
        before = np.concatenate([start, _survival(at_risk, counts)], axis=1)[:, :-1]
        incidence = np.concatenate([0 * start, (before * divided(counts[:, 1], at_risk)).cumsum(axis=1)], axis=1)
        return incidence[:, np.searchsorted(times, days, side="right")]

    return statistic


def _restricted_mean(horizon_days: float) -> Callable:
    def statistic(times: np.ndarray, at_risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
        survival = np.concatenate([np.ones((len(counts), 1)), _survival(at_risk, counts)], axis=1)
        return survival @ np.diff(np.concatenate([[0.0], times, [horizon_days]]))[:, None]

    return statistic


def _replicates(group: _Group, statistic: Callable, ends: np.ndarray, replicates: int) -> np.ndarray:
    """The statistic of the data (row 0) and of each replicate; NaN where ``ends`` is after the group's follow-up."""
    values = np.concatenate([statistic(*draw) for draw in _draws(group, ends.max(initial=0), replicates)])
    values[:, ends > group.times[group.counts.any(axis=0)].max()] = NAN
    return values


def _summary(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(estimate, standard error, lower, upper) from the data (row 0) and the replicates; no limits where they do not vary."""
    estimate, drawn = values[0], values[1:]
    error = drawn.std(axis=0, ddof=1)
    lower, upper = np.where(error > 1e-14, np.quantile(drawn, [0.025, 0.975], axis=0), NAN)
    return estimate, error, lower, upper


def _by_group_and_day(groups: list[_Group], days: list[int], statistic: Callable, replicates: int) -> pd.DataFrame:
    """One row per (group, day): estimate, standard_error, lower, upper."""
    columns, parts = ("estimate", "standard_error", "lower", "upper"), []
    for group in groups:
        values = _summary(_replicates(group, statistic, np.asarray(days, dtype=float), replicates))
        parts.append(pd.DataFrame({"group": group.label, "day": days, **dict(zip(columns, values, strict=True))}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["group", "day", *columns])


def _difference(
    groups: list[_Group], statistic: Callable, end: float, replicates: int, *, area: bool = False
) -> BootstrapDifference:
    """First group minus second, from independent replicates; NaN when one is missing or not observed to the end.

    ``area``: of an area under the curve, which is known for good once the curve is 0.
    """
    if len(groups) > 2:
        raise ValueError(f"two groups are compared, found {len(groups)}")
    if len(groups) < 2:
        return BootstrapDifference(NAN, NAN, NAN, NAN)
    known = [min(end, group.times[-1]) if area and not group.counts[0, -1] else end for group in groups]
    first, second = (
        _replicates(group, statistic, np.array([until]), replicates) for group, until in zip(groups, known, strict=True)
    )
    return BootstrapDifference(*(float(value[0]) for value in _summary(first - second)))


def bootstrap_survival(courses: pd.DataFrame, days: list[int], *, replicates: int = 2000, seed: int) -> pd.DataFrame:
    """Kaplan-Meier survival at fixed days by group, with bootstrap percentile intervals.

    Args:
        courses: as ``survival.survival_at``, without ``weight``.
        days: the time points, in days.
        replicates: number of resamples.
        seed: of the random numbers, a whole number >= 0; the same seed gives the same limits, in any order of the rows of a group.

    Returns:
        One row per (group, day): ``estimate`` (of the data, 0 to 1), ``standard_error`` (over the replicates), ``lower``, ``upper``
        (95 %). NaN after the group's last observed time; no limits where no replicate differs. A replicate that happens to end before
        the day keeps its last value, as R does with ``extend = TRUE``.

    Raises:
        ValueError: as ``survival.survival_at``; a column ``weight``.

    Source:
        Efron, JASA 1981;76:312; percentile interval as R boot ``boot.ci(type = "perc")``, quantiles of type 7.
    """
    groups = _groups(courses, "event", cause=None, replicates=replicates, seed=seed)
    return _by_group_and_day(groups, days, _survival_at(np.asarray(days, dtype=float)), replicates)


def bootstrap_survival_difference(
    courses: pd.DataFrame, day: float, *, replicates: int = 2000, seed: int
) -> BootstrapDifference:
    """Difference of Kaplan-Meier survival at one day: first group (in order of first appearance) minus second.

    Args:
        courses, replicates, seed: as ``bootstrap_survival``.
        day: the time point, in days.

    Returns:
        (``estimate``, ``standard_error``, ``lower``, ``upper``), fractions; NaN when a group is missing or not observed to the day.

    Raises:
        ValueError: as ``bootstrap_survival``; more than two groups.

    Source:
        As ``bootstrap_survival``.
    """
    groups = _groups(courses, "event", cause=None, replicates=replicates, seed=seed)
    return _difference(groups, _survival_at(np.array([day], dtype=float)), day, replicates)


def bootstrap_restricted_mean_difference(
    courses: pd.DataFrame, horizon_days: float, *, replicates: int = 2000, seed: int
) -> BootstrapDifference:
    """Difference of restricted mean survival time: first group (in order of first appearance) minus second.

    Args:
        courses, replicates, seed: as ``bootstrap_survival``.
        horizon_days: end of the period, > 0.

    Returns:
        (``estimate``, ``standard_error``, ``lower``, ``upper``), days; NaN when a group is missing, or not observed to the horizon while
        its curve is not 0.

    Raises:
        ValueError: as ``bootstrap_survival``; more than two groups; a horizon that is not above 0.

    Source:
        As ``bootstrap_survival``.
    """
    if not 0 < horizon_days < np.inf:
        raise ValueError(f"horizon_days must be above 0, found {horizon_days}")
    groups = _groups(courses, "event", cause=None, replicates=replicates, seed=seed)
    return _difference(groups, _restricted_mean(horizon_days), horizon_days, replicates, area=True)


def bootstrap_incidence(
    courses: pd.DataFrame, days: list[int], *, cause: int = EVENT, replicates: int = 2000, seed: int
) -> pd.DataFrame:
    """Cumulative incidence of one cause at fixed days by group, with bootstrap percentile intervals.

    Args:
        courses: as ``competing_risks.aalen_johansen``.
        days, replicates, seed: as ``bootstrap_survival``.
        cause: the cause whose incidence is wanted; all others compete.

    Returns:
        As ``bootstrap_survival``; ``estimate`` is the incidence.

    Raises:
        ValueError: as ``competing_risks.aalen_johansen``; a column ``weight``.

    Source:
        As ``bootstrap_survival``.
    """
    groups = _groups(courses, "cause", cause=cause, replicates=replicates, seed=seed)
    return _by_group_and_day(groups, days, _incidence_at(np.asarray(days, dtype=float)), replicates)
