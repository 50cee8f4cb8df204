"""Follow-up times and events of each patient, as the survival and competing-risk estimators read them."""

import numpy as np
import pandas as pd

from capla_etl.stats import competing_risks
from capla_etl.tables import cells
from capla_etl.tables.groups import Groups
from capla_etl.tables.results import join_caveats


def survival_courses(groups: Groups, *, follow_up_days: int) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time to death or censoring, cut at the end of follow-up.

    Args:
        groups: eligible patients by group.
        follow_up_days: last day of follow-up; a death on that day counts.

    Returns:
        ``courses`` for ``capla_etl.stats.survival`` (patient_id, group, time_days, event), groups in the order given;
        and by group a caveat that counts the patients censored early, those who died on an unknown day (censored when
        last seen) and those left out.
    """
    parts, caveats = [], {}
    for group, members in groups.items():
        died_by_then = members["death_day"] <= follow_up_days
        time_days = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        usable = time_days >= 0
        day_unknown = (members["died"] == "yes") & members["death_day"].isna()
        censored = usable & ~died_by_then & (time_days < follow_up_days)
        caveats[group] = join_caveats(
            cells.if_any(int((censored & ~day_unknown).sum()), f"censored before day {follow_up_days}"),
            cells.if_any(int((censored & day_unknown).sum()), "died on an unknown day, censored when last seen"),
            cells.if_any(int((~usable).sum()), "left out: follow-up not known"),
        )
        parts.append(_courses(group, members, time_days, event=died_by_then)[usable])
    return pd.concat(parts, ignore_index=True), caveats


def first_event_courses(
    groups: Groups, event_day: str, *, follow_up_days: int
) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time from day 0 to an event, death without it, or censoring, cut at the end of follow-up.

    Args:
        groups: eligible patients by group, with their outcomes.
        event_day: column of the day of the event. An event on the day of death counts as the event.
        follow_up_days: last day of follow-up.

    Returns:
        ``courses`` for ``capla_etl.stats.competing_risks`` (patient_id, group, time_days, cause: 1 event, 2 death
        without it), groups in the order given; and by group a caveat that counts those censored early and those left
        out.
    """
    parts, caveats = [], {}
    for group, members in groups.items():
        happened = members[event_day] <= follow_up_days
        died = ~happened & (members["death_day"] <= follow_up_days)
        end = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        time_days = members[event_day].where(happened, end)
        usable = time_days >= 0
        censored = int((usable & ~happened & ~died & (time_days < follow_up_days)).sum())
        caveats[group] = join_caveats(
            cells.if_any(censored, f"censored before day {follow_up_days}"),
            cells.if_any(int((~usable).sum()), "left out: follow-up not known"),
            "delayed starters have by design lived to their first dose" if group == "delayed" else None,
        )
        kinds = [competing_risks.EVENT, competing_risks.COMPETING]
        cause = np.select([happened, died], kinds, competing_risks.CENSORED)
        parts.append(_courses(group, members, time_days, cause=cause)[usable])
    return pd.concat(parts, ignore_index=True), caveats


def _courses(group: str, members: pd.DataFrame, time_days: pd.Series, **ends) -> pd.DataFrame:
    return pd.DataFrame({"patient_id": members["patient_id"], "group": group, "time_days": time_days, **ends})
