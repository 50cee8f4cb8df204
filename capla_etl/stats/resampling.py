"""Bootstrap interval (percentile, 95 %) of a difference of survival.

Model-based intervals are in ``survival``.

All patients of a group with the same time and outcome are alike to the estimator. The patients of a group are therefore
a table of counts, and drawing as many patients with replacement is one multinomial draw over its cells: the same
distribution at a cost that does not grow with the number of patients when times are whole days. Groups are resampled
separately, each keeping its size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN
from capla_etl.stats.survival import count_by_time, course_arrays, divided

CELLS_AT_ONCE = 4_000_000  # draws held in memory together


class BootstrapDifference(NamedTuple):
    """First group minus second: ``estimate``, its ``standard_error`` over the replicates, ``lower``, ``upper``."""

    estimate: float
    standard_error: float
    lower: float
    upper: float


def _survival(counts: np.ndarray, patients: int) -> np.ndarray:
    """Kaplan-Meier survival after the last time, by replicate; ``counts``: (replicate, censored or event, time)."""
    leaving = counts.sum(axis=1)
    at_risk = patients - leaving.cumsum(axis=1) + leaving
    surviving = 1 - divided(counts[:, 1], at_risk)
    return np.column_stack([np.ones(len(counts)), surviving]).cumprod(axis=1)[:, -1]


def _replicates(
    times: np.ndarray, events: np.ndarray, day: float, replicates: int, generator: np.random.Generator
) -> np.ndarray:
    """Survival of a group on a day: in the data (row 0) and in each replicate; NaN after the group's follow-up."""
    if day > times.max():
        return np.full(replicates + 1, NAN)
    distinct, counts = count_by_time(times, events, np.zeros(len(times), dtype=int), group_count=1, outcome_count=2)
    inside = counts[0][:, (distinct <= day) & counts[0].any(axis=0)]
    shape, inside, patients = inside.shape, inside.ravel(), len(times)
    occupied = np.flatnonzero(inside)
    # All patients who are observed longer are one cell: their later course does not matter.
    chances = np.append(inside[occupied], patients - inside.sum()) / patients
    at_once = max(CELLS_AT_ONCE // max(inside.size, 1), 1)
    found = []
    for start in range(0, replicates + 1, at_once):
        size = min(at_once, replicates + 1 - start)
        drawn = np.zeros((size, inside.size))
        drawn[:, occupied] = generator.multinomial(patients, chances, size=size)[:, :-1]
        if start == 0:
            drawn[0] = inside
        found.append(_survival(drawn.reshape(size, *shape), patients))
    return np.concatenate(found)


def bootstrap_survival_difference(
    courses: pd.DataFrame, day: float, *, replicates: int = 2000, seed: int
) -> BootstrapDifference:
    """Difference of Kaplan-Meier survival at one day: first group (in order of first appearance) minus second.

    Args:
        courses: as ``survival.survival_at``.
        day: the time point, in days.
        replicates: number of resamples.
        seed: of the random numbers, a whole number >= 0; the same seed gives the same limits, in any order of the rows
            of a group.

    Returns:
        (``estimate``, ``standard_error``, ``lower``, ``upper``), fractions; NaN when a group is missing or not observed
        to the day, no limits where no replicate differs. A replicate that happens to end before the day keeps its last
        value, as R does with ``extend = TRUE``.

    Raises:
        ValueError: as ``survival.survival_at``; more than two groups; fewer than two replicates.

    Source:
        Efron, JASA 1981;76:312; percentile interval as R boot ``boot.ci(type = "perc")``, quantiles of type 7.
    """
    if replicates < 2:
        raise ValueError(f"replicates must be 2 or more, found {replicates}")
    labels, groups, times, events = course_arrays(courses, "event")
    if len(labels) > 2:
        raise ValueError(f"two groups are compared, found {len(labels)}")
    if len(labels) < 2:
        return BootstrapDifference(NAN, NAN, NAN, NAN)
    # The random numbers of a group depend on the seed and its rank by name, not on the order of the rows.
    rank = np.argsort(np.argsort(labels.astype(str), kind="stable"), kind="stable")
    first, second = (
        _replicates(times[own], events[own], day, replicates, np.random.default_rng([seed, int(rank[index])]))
        for index, own in enumerate((groups == 0, groups == 1))
    )
    estimate, drawn = first[0] - second[0], (first - second)[1:]
    error = drawn.std(ddof=1)
    lower, upper = np.quantile(drawn, [0.025, 0.975]) if error > 1e-14 else (NAN, NAN)
    return BootstrapDifference(float(estimate), float(error), float(lower), float(upper))
