"""A start of treatment during follow-up: rows before and after it, and the patients at a landmark day."""

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN
from capla_etl.stats.cox import check_not_negative, follow_up


def _first_exposure(courses: pd.DataFrame, start_day: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days of follow-up, events and days of first exposure (inf: never), checked."""
    time_days, happened = follow_up(courses)
    check_not_negative(time_days)
    first_day = pd.to_numeric(courses[start_day]).to_numpy(dtype=float, na_value=NAN)
    return time_days, happened, np.where(np.isnan(first_day), np.inf, first_day)


def expand_time_dependent(courses: pd.DataFrame, *, start_day: str, exposure: str = "exposed") -> pd.DataFrame:
    """Intervals of patients whose exposure begins during follow-up: unexposed until then, exposed from then on.

    Time is in whole days, and a day's first dose comes before its events: intervals meet half a day before the first
    dose, so that an event on that day counts as exposed. Follow-up begins half a day before day 0, so that a patient is
    at risk of an event on day 0; a patient who is exposed on day 0 (or before) is so throughout. A first dose after the
    end of follow-up never counts.

    Args:
        courses: one row per patient: ``time_days`` (days to event or censoring, >= 0) and ``event`` (whether it was the
            event).
        start_day: column of the day of the first dose; NaN: never.
        exposure: name of the new column.

    Returns:
        One or two rows per patient, in order: the columns of ``courses``, ``time_days`` now the end of the interval,
        ``event`` (bool) true in the patient's last one only, ``exposure`` (0 or 1) and ``interval_start_days``.

    Raises:
        ValueError: a missing or negative time, or a missing event.
    """
    time_days, happened, first_day = _first_exposure(courses, start_day)
    split = (first_day > 0) & (first_day <= time_days)
    meeting = first_day - 0.5
    rows = courses.assign(
        interval_start_days=np.where(split, meeting, -0.5), time_days=time_days, event=happened
    ).assign(**{exposure: (first_day <= time_days).astype(int)})
    earlier = rows[split].assign(interval_start_days=-0.5, time_days=meeting[split], event=False, **{exposure: 0})
    order = np.argsort(np.concatenate([np.flatnonzero(split), np.arange(len(courses))]), kind="stable")
    return pd.concat([earlier, rows]).iloc[order].reset_index(drop=True)


def landmark(courses: pd.DataFrame, *, day: float, start_day: str, exposure: str = "exposed") -> pd.DataFrame:
    """Patients still observed at a landmark day, grouped by exposure up to that day, followed from there.

    Patients who have the event, or are last seen, on the landmark day itself are still observed: they are kept, with 0
    days of follow-up, and their events count. A first dose on the landmark day counts as exposed, a later one does not.

    Args:
        courses, start_day, exposure: as ``expand_time_dependent``.
        day: the landmark, in days from day 0.

    Returns:
        The rows of patients with ``time_days`` >= ``day``, ``time_days`` counted from the landmark, with ``exposure``
        (0 or 1).

    Raises:
        ValueError: a missing or negative time, or a missing event.

    Source:
        Anderson, Cain and Gelber, J Clin Oncol 1983;1:710.
    """
    time_days, happened, first_day = _first_exposure(courses, start_day)
    followed = courses.assign(time_days=time_days - day, event=happened, **{exposure: (first_day <= day).astype(int)})
    return followed[time_days >= day].reset_index(drop=True)
