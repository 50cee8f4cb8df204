"""Cumulative incidence of an event when another one (death) can come first.

Plain survival is in ``survival``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from capla_etl.stats.survival import check_courses

CENSORED, EVENT, COMPETING = 0, 1, 2


def _incidence(times: np.ndarray, causes: np.ndarray, cause: int, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Aalen-Johansen incidence of one cause at ``days`` and its infinitesimal-jackknife standard error."""
    distinct = np.unique(times)
    at_risk = (times[None, :] >= distinct[:, None]).sum(axis=1).astype(float)
    all_events = np.array([((times == t) & (causes != CENSORED)).sum() for t in distinct], dtype=float)
    events = np.array([((times == t) & (causes == cause)).sum() for t in distinct], dtype=float)
    survival = np.cumprod(1 - all_events / at_risk)
    before = np.concatenate([[1.0], survival[:-1]])
    incidence = np.cumsum(before * events / at_risk)

    # Patients with the same time and cause have the same influence: one row per such class, one column per distinct time.
    classes, patients = np.unique(np.column_stack([times, causes]), axis=0, return_counts=True)
    observed = classes[:, :1] >= distinct[None, :]
    here = classes[:, :1] == distinct[None, :]
    any_event = here & (classes[:, 1:] != CENSORED)
    this_event = here & (classes[:, 1:] == cause)
    left = np.where(at_risk > all_events, at_risk - all_events, np.inf)  # nobody left: survival is 0 and stays so
    log_survival = -np.cumsum((any_event - observed * all_events / at_risk) / left, axis=1)
    log_before = np.concatenate([np.zeros((len(classes), 1)), log_survival[:, :-1]], axis=1)
    influence = np.cumsum(before / at_risk * (log_before * events + this_event - observed * events / at_risk), axis=1)
    error = np.sqrt((patients[:, None] * influence**2).sum(axis=0))

    position = np.searchsorted(distinct, days, side="right")
    return np.concatenate([[0.0], incidence])[position], np.concatenate([[0.0], error])[position]


def aalen_johansen(courses: pd.DataFrame, days: list[int]) -> pd.DataFrame:
    """Cumulative incidence of an event at fixed days by group, with a competing event.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0), ``cause`` (0 censored, 1 event,
            2 competing event).
        days: the time points, in days, ascending.

    Returns:
        One row per (group, day): ``at_risk`` (patients with neither event and still observed just before the day), ``incidence``
        (0 to 1), ``standard_error`` (infinitesimal jackknife), ``lower``, ``upper`` (95 %, log(-log); none while the
        incidence is 0) and ``competing_incidence``; NaN after the group's last observed time. Groups in order of first appearance.

    Raises:
        ValueError: a missing or negative ``time_days``, or a missing ``cause``.

    Source:
        Aalen and Johansen 1978; estimate and error as R ``survfit`` with a multi-state endpoint. Written here: lifelines breaks ties
        by random jitter.
    """
    from scipy.stats import norm

    check_courses(courses, "cause")
    z = float(norm.ppf(0.975))
    at_days = np.asarray(days, dtype=float)
    parts = []
    for group, members in courses.groupby("group", sort=False):
        times, causes = members["time_days"].to_numpy(float), members["cause"].to_numpy(int)
        incidence, error = _incidence(times, causes, EVENT, at_days)
        competing, _ = _incidence(times, causes, COMPETING, at_days)
        inside = (incidence > 0) & (incidence < 1)
        p = np.where(inside, incidence, 0.5)
        half_width = z * error / ((1 - p) * -np.log1p(-p))
        part = pd.DataFrame(
            {
                "group": group,
                "day": days,
                "at_risk": (times[None, :] >= at_days[:, None]).sum(axis=1),
                "incidence": incidence,
                "standard_error": error,
                "lower": np.where(inside, 1 - (1 - p) ** np.exp(-half_width), np.nan),
                "upper": np.where(inside, 1 - (1 - p) ** np.exp(half_width), np.nan),
                "competing_incidence": competing,
            }
        )
        part.loc[at_days > times.max(), ["incidence", "standard_error", "lower", "upper", "competing_incidence"]] = np.nan
        parts.append(part)
    columns = ["group", "day", "at_risk", "incidence", "standard_error", "lower", "upper", "competing_incidence"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
