"""Survival from day 0: Kaplan-Meier, numbers at risk, log-rank.

Events that compete with another are in ``competing_risks``. Who is a patient, and when follow-up ends, is decided in ``study``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def check_courses(courses: pd.DataFrame, outcome: str) -> None:
    """Raises ValueError on a missing or negative ``time_days`` or a missing ``outcome``."""
    time_days = courses["time_days"].astype(float)
    if time_days.isna().any() or (time_days < 0).any():
        raise ValueError("time_days must be given and not negative")
    if courses[outcome].isna().any():
        raise ValueError(f"{outcome} must be given")


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


def survival_at(courses: pd.DataFrame, days: list[int]) -> pd.DataFrame:
    """Kaplan-Meier probability of being alive at fixed days, by group.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to death or censoring), ``event`` (bool).
        days: the time points, in days, ascending.

    Returns:
        One row per (group, day): ``at_risk`` (patients still observed just before the day), ``survival`` (0 to 1),
        ``lower``, ``upper`` (95 %, log(-log)); NaN after the group's last observed time, and no limits while nobody has died.
        Groups in order of first appearance.

    Raises:
        ValueError: a missing or negative ``time_days``, or a missing ``event``.

    Source:
        Kaplan and Meier 1958; limits as R ``survfit(conf.type = "log-log")``; lifelines.
    """
    from lifelines import KaplanMeierFitter

    check_courses(courses, "event")
    parts = []
    for group, members in courses.groupby("group", sort=False):
        time_days = members["time_days"].astype(float)
        fitter = KaplanMeierFitter().fit(time_days, members["event"].astype(bool))
        limits = fitter.confidence_interval_survival_function_
        position = np.searchsorted(limits.index.to_numpy(), days, side="right") - 1
        survival = fitter.survival_function_.iloc[position, 0].to_numpy()
        no_limits = (survival >= 1) | (survival <= 0)
        parts.append(
            pd.DataFrame(
                {
                    "group": group,
                    "day": days,
                    "survival": survival,
                    "lower": np.where(no_limits, np.nan, limits.iloc[position, 0]),
                    "upper": np.where(no_limits, np.nan, limits.iloc[position, 1]),
                }
            )
        )
        parts[-1].loc[parts[-1]["day"] > time_days.max(), ["survival", "lower", "upper"]] = np.nan
    if not parts:
        return pd.DataFrame(columns=["group", "day", "at_risk", "survival", "lower", "upper"])
    curve = pd.concat(parts, ignore_index=True).merge(numbers_at_risk(courses, days), on=["group", "day"], validate="one_to_one")
    return curve[["group", "day", "at_risk", "survival", "lower", "upper"]]


def kaplan_meier(courses: pd.DataFrame, last_day: int) -> pd.DataFrame:
    """The Kaplan-Meier curve, one row for each group and day from 0 to ``last_day``: as ``survival_at``, with cumulative counts.

    Returns:
        The columns of ``survival_at``, and ``deaths`` and ``censored``: patients who died, or whose follow-up ended, up to and
        including the day. Those followed to ``last_day`` are censored there.

    Raises:
        ValueError: as ``survival_at``.
    """
    curve = survival_at(courses, list(range(last_day + 1)))
    for name, occurred in (("deaths", courses["event"].astype(bool)), ("censored", ~courses["event"].astype(bool))):
        times = {group: np.sort(members["time_days"].to_numpy(float)) for group, members in courses[occurred].groupby("group")}
        curve[name] = [
            int(np.searchsorted(times.get(group, np.array([])), day, side="right"))
            for group, day in zip(curve["group"], curve["day"], strict=True)
        ]
    return curve[["group", "day", "at_risk", "deaths", "censored", "survival", "lower", "upper"]]


def log_rank(courses: pd.DataFrame) -> tuple[float, float]:
    """Log-rank test of equal survival between the groups.

    Args:
        courses: as ``survival_at``.

    Returns:
        (chi-squared, p value); NaN with fewer than two groups or without an event.

    Raises:
        ValueError: as ``survival_at``.

    Source:
        Mantel 1966, as R ``survdiff``; lifelines.
    """
    from lifelines.statistics import multivariate_logrank_test

    check_courses(courses, "event")
    if courses["group"].nunique() < 2 or not courses["event"].astype(bool).any():
        return float("nan"), float("nan")
    test = multivariate_logrank_test(courses["time_days"].astype(float), courses["group"], courses["event"].astype(bool))
    return float(test.test_statistic), float(test.p_value)


def difference_of_survival(survival_1: tuple[float, float, float], survival_0: tuple[float, float, float]) -> tuple[float, float, float]:
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
