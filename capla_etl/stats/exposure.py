"""A start of treatment during follow-up: rows before and after it, and the patients at a landmark day."""

import numpy as np
import pandas as pd

from capla_etl.stats.cox import NAN, numeric_column


def _first_exposure(
    courses: pd.DataFrame, time: str, event: str, start_day: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days of follow-up, events and days of first exposure (inf: never), checked."""
    time_days, happened = numeric_column(courses, time, "time"), numeric_column(courses, event, "event") == 1
    if (time_days < 0).any():
        raise ValueError(f"time {time} must not be negative")
    first_day = pd.to_numeric(courses[start_day]).to_numpy(dtype=float, na_value=NAN)
    return time_days, happened, np.where(np.isnan(first_day), np.inf, first_day)


def expand_time_dependent(
    courses: pd.DataFrame,
    *,
    start_day: str,
    time: str = "time_days",
    event: str = "event",
    exposure: str = "exposed",
    start: str = "interval_start_days",
) -> pd.DataFrame:
    """Intervals of patients whose exposure begins during follow-up: unexposed until then, exposed from then on.

    Time is in whole days, and a day's first dose comes before its events: intervals meet half a day before the first dose, so that an event
    on that day counts as exposed. Follow-up begins half a day before day 0, so that events on day 0 have somebody at risk; who is exposed
    on day 0 (or before) is so throughout. A first dose after the end of follow-up never counts.

    Args:
        courses: one row per patient.
        start_day: column of the day of the first dose; NaN: never.
        time, event: columns of days to event or censoring (>= 0) and of whether it was the event.
        exposure, start: names of the new columns.

    Returns:
        One or two rows per patient, in order: the columns of ``courses``, ``time`` now the end of the interval, ``event`` (bool) true in the
        patient's last one only, and ``exposure`` (0 or 1) and ``start`` (days).

    Raises:
        ValueError: a missing or negative time, or a missing event.
    """
    time_days, happened, first_day = _first_exposure(courses, time, event, start_day)
    split = (first_day > 0) & (first_day <= time_days)
    before = courses[split].assign(**{start: -0.5, time: first_day[split] - 0.5, event: False, exposure: 0})
    after = courses.assign(
        **{
            start: np.where(split, first_day - 0.5, -0.5),
            time: time_days,
            event: happened,
            exposure: (first_day <= time_days).astype(int),
        }
    )
    order = np.argsort(np.concatenate([np.flatnonzero(split), np.arange(len(courses))]), kind="stable")
    return pd.concat([before, after]).iloc[order].reset_index(drop=True)


def landmark(
    courses: pd.DataFrame,
    *,
    day: float,
    start_day: str,
    time: str = "time_days",
    event: str = "event",
    exposure: str = "exposed",
) -> pd.DataFrame:
    """Patients still observed at a landmark day, grouped by what they had received by then, followed from there.

    Who has the event, or is last seen, on the landmark day itself is still observed: they are kept, with 0 days of follow-up, and their
    events count. A first dose on the landmark day counts as exposed, a later one does not.

    Args:
        courses: one row per patient.
        day: the landmark, in days from day 0.
        start_day, time, event: as ``expand_time_dependent``.
        exposure: name of the new column.

    Returns:
        The rows of patients with ``time`` >= ``day``, ``time`` counted from the landmark, with ``exposure`` (0 or 1).

    Raises:
        ValueError: a missing or negative time, or a missing event.

    Source:
        Anderson, Cain and Gelber, J Clin Oncol 1983;1:710.
    """
    time_days, happened, first_day = _first_exposure(courses, time, event, start_day)
    observed = time_days >= day
    followed = courses.assign(**{time: time_days - day, event: happened, exposure: (first_day <= day).astype(int)})
    return followed[observed].reset_index(drop=True)
