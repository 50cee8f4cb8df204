"""Survival, response and ADAMTS13 recovery over time: the curves, and their tables at the printed days."""

import pandas as pd

from capla_etl.stats import competing_risks, survival
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables.cells import Sheet
from capla_etl.tables.courses import first_event_courses, survival_courses
from capla_etl.tables.groups import Groups, arms, timings
from capla_etl.tables.labels import EFFECT_CAVEAT, TABLES
from capla_etl.tables.population import eligible_outcomes, eligible_patients

#: Printed days of the curves; the end of follow-up is added.
SURVIVAL_DAYS = (0, 7, 15, 30, 45, 60, 75)
RESPONSE_DAYS = (3, 5, 7, 10, 14, 30)
ADAMTS13_DAYS = (7, 14, 21, 30, 45, 60)
_TOO_LONG = "nobody observed that long"


def kaplan_meier(conventions: Conventions) -> str:
    """The method text of a Kaplan-Meier estimate."""
    return f"Kaplan-Meier; 95 % CI {conventions.survival}"


def survival_cell(sheet: Sheet, row: str, point, patients: int, caveat: str | None) -> None:
    """The survival of a group at a day: ``point`` is a row of ``stats.survival.survival_at``."""
    sheet.add(
        row,
        point.group,
        "percent",
        100 * point.survival,
        (100 * point.lower, 100 * point.upper),
        n_assessed=patients,
        method=kaplan_meier(sheet.conventions),
        reason=_TOO_LONG,
        caveat="no interval: nobody had died, or nobody was left" if pd.isna(point.lower) else None,
        always=caveat,
    )


def survival_curve(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """``study.survival_curve``: one row per group and day from 0 to the end of follow-up.

    Returns:
        group, day, at_risk (just before the day), deaths and censored (up to and including it), survival, lower, upper
        (fractions).
    """
    courses, _ = survival_courses(arms(eligible_patients(patient)), follow_up_days=follow_up_days)
    return survival.kaplan_meier(courses, follow_up_days, interval=conventions.survival_interval)


def survival_table(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Survival and numbers at risk at the printed days.

    Returns:
        Rows of table ``survival`` (``survival_day_30``: statistics percent and at_risk); groups caplacizumab, control.
    """
    courses, caveats = survival_courses(arms(eligible_patients(patient)), follow_up_days=follow_up_days)
    patients, sheet = courses["group"].value_counts(), Sheet("survival", conventions)
    days = _printed_days(SURVIVAL_DAYS, follow_up_days)
    for point in survival.survival_at(courses, days, interval=conventions.survival_interval).itertuples():
        row, number = f"survival_day_{point.day}", int(patients[point.group])
        survival_cell(sheet, row, point, number, caveats[point.group])
        counts = {"n": point.at_risk, "n_assessed": number}
        method = "patients still observed just before the day"
        sheet.add(row, point.group, "at_risk", point.at_risk, method=method, **counts)
    return sheet.frame()


def _printed_days(days: tuple[int, ...], follow_up_days: int) -> list[int]:
    return [day for day in days if day < follow_up_days] + [follow_up_days]


def _responders_by_timing(patients: pd.DataFrame) -> Groups:
    """Control, early, delayed; patients whose start was not recorded are in no group."""
    return {
        group: members for group, members in timings(patients).items() if group in TABLES["response_incidence"].groups
    }


def _incidence_curve(groups: Groups, event_day: str, follow_up_days: int, conventions: Conventions) -> pd.DataFrame:
    courses, _ = first_event_courses(groups, event_day, follow_up_days=follow_up_days)
    by = {"interval": conventions.survival_interval, "variance": conventions.incidence_variance}
    curve = competing_risks.aalen_johansen(courses, list(range(follow_up_days + 1)), **by)
    curve = curve.rename(columns={"competing_incidence": "death_incidence"})
    return curve[["group", "day", "at_risk", "incidence", "lower", "upper", "death_incidence"]]


def response_incidence_curve(
    patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """``study.response_incidence_curve``: one row per group (control, early, delayed) and day from 0 to the end of
    follow-up.

    Returns:
        group, day, at_risk (neither responded nor died, just before the day), incidence, lower, upper of response,
        death_incidence (death without response); fractions.
    """
    groups = _responders_by_timing(eligible_outcomes(patient, outcome))
    return _incidence_curve(groups, "response_day", follow_up_days, conventions)


def adamts13_incidence_curve(
    patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """``study.adamts13_incidence_curve``: as ``response_incidence_curve``, of ADAMTS13 recovery by treatment group."""
    groups = arms(eligible_outcomes(patient, outcome))
    return _incidence_curve(groups, "adamts13_recovery_day", follow_up_days, conventions)


def _incidence_table(
    sheet: Sheet, groups: Groups, event: str, event_day: str, days: tuple[int, ...], follow_up_days: int, test: str
) -> pd.DataFrame:
    """Incidence of an event at the printed days; on the last also death without it, and Gray's test."""
    courses, caveats = first_event_courses(groups, event_day, follow_up_days=follow_up_days)
    patients, by = courses["group"].value_counts(), sheet.conventions
    found = competing_risks.aalen_johansen(
        courses, _printed_days(days, follow_up_days), interval=by.survival_interval, variance=by.incidence_variance
    )
    method = (
        f"Aalen-Johansen from day 0, death without {event} competing; 95 % CI {by.survival}, "
        f"{by.incidence_variance.replace('_', '-')} error"
    )
    for point in found.itertuples():
        common = {"n_assessed": int(patients[point.group]), "method": method, "always": caveats[point.group]}
        row, reason = f"{event}_by_day_{point.day}", _TOO_LONG
        limits = 100 * point.lower, 100 * point.upper
        sheet.add(row, point.group, "percent", 100 * point.incidence, limits, reason=reason, **common)
        if point.day == follow_up_days:
            death = 100 * point.competing_incidence
            sheet.add(f"death_without_{row}", point.group, "percent", death, reason=reason, **common)
    gray, null = (competing_risks.gray_test(courses, variance=variance).p_value for variance in ("gray", "null"))
    if pd.isna(gray) and not pd.isna(null):
        test += (
            ", with the hypergeometric variance: that of Gray is not positive when nearly all of a group have had "
            "the event"
        )
    p, reason = null if pd.isna(gray) else gray, "one group only, or no event"
    sheet.p_value(f"{event}_by_day_{follow_up_days}", p, method=test, reason=reason, caveat=EFFECT_CAVEAT)
    return sheet.frame()


def response_incidence(
    patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """Cumulative incidence of clinical response, and of death without it, at the printed days.

    Returns:
        Rows of table ``response_incidence`` (``response_by_day_7``, ``death_without_response_by_day_90``); groups
        control, early, delayed, and difference: Gray's test of the three curves.
    """
    sheet, groups = (
        Sheet("response_incidence", conventions),
        _responders_by_timing(eligible_outcomes(patient, outcome)),
    )
    test = "p: Gray's test of equal incidence in all three groups"
    return _incidence_table(sheet, groups, "response", "response_day", RESPONSE_DAYS, follow_up_days, test)


def adamts13_incidence(
    patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """Cumulative incidence of ADAMTS13 recovery, and of death without it, at the printed days.

    Returns:
        Rows of table ``adamts13_incidence`` (``recovery_by_day_30``, ``death_without_recovery_by_day_90``); groups
        caplacizumab, control, and difference: Gray's test.
    """
    sheet, groups = Sheet("adamts13_incidence", conventions), arms(eligible_outcomes(patient, outcome))
    test = "p: Gray's test of equal incidence"
    return _incidence_table(sheet, groups, "recovery", "adamts13_recovery_day", ADAMTS13_DAYS, follow_up_days, test)
