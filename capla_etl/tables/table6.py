"""Table 6: deaths by day, by days from the first dose, by cause."""

import pandas as pd

from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables import cells
from capla_etl.tables.labels import DEATH_CAUSES, TABLES
from capla_etl.tables.population import eligible_patients, in_group


def deaths(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """The deaths behind Table 6, one row per eligible patient who died by the end of follow-up. For insiders only.

    Returns:
        patient_id, treatment_group, timing, death_day, death_date_precision, days_from_first_dose (NaN without a
        recorded start, or when the first dose came after death), death_cause; by group and day.
    """
    eligible = eligible_patients(patient)
    died = eligible[(eligible["death_day"] <= follow_up_days) & eligible["treatment_group"].notna()]
    days = died["death_day"] - died["caplacizumab_start_day"]
    died = died.assign(days_from_first_dose=days.where((days >= 0) & (died["treatment_group"] == "caplacizumab")))
    order = ["treatment_group", "death_day", "patient_id"]
    columns = [
        "patient_id",
        "treatment_group",
        "timing",
        "death_day",
        "death_date_precision",
        "days_from_first_dose",
        "death_cause",
    ]
    return died.sort_values(order)[columns].reset_index(drop=True)


def of_cause(died: pd.DataFrame) -> dict[str, pd.Series]:
    """Row of Table 6 -> which deaths have that cause (bool)."""
    causes = {f"cause_{cause.lower()}": died["death_cause"] == cause for cause in DEATH_CAUSES}
    return causes | {"cause_not_stated": died["death_cause"].isna()}


def table6(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Deaths by the end of follow-up: day, days from the first dose, causes.

    Returns:
        Rows of table ``table6``; groups caplacizumab, early, delayed, unknown (start not recorded), control.
    """
    eligible, died = eligible_patients(patient), deaths(patient, follow_up_days=follow_up_days)
    sheet = cells.Sheet("table6", conventions)
    for group in TABLES["table6"].groups:
        members = in_group(eligible, group)
        chosen = died[died["patient_id"].isin(members["patient_id"])]
        unknown = int(((members["died"] == "yes") & members["death_day"].isna()).sum())
        sheet.count(
            "deaths",
            group,
            len(chosen),
            len(members),
            method=f"deaths on day {follow_up_days} or before; N all patients",
            caveat=cells.if_any(unknown, "more died on an unknown day"),
        )
        imprecise = int((chosen["death_date_precision"] == "month").sum())
        about = cells.if_any(imprecise, "known to the month, taken as its middle")
        for row in ("death_day", "days_from_first_dose")[: 1 if group == "control" else 2]:
            sheet.quartiles(row, group, chosen[row], caveat=about)
        for row, with_cause in of_cause(chosen).items():
            number = int(with_cause.sum())
            sheet.count(row, group, number, len(chosen), method="cause as the centre states it; N deaths")
    return sheet.frame()
