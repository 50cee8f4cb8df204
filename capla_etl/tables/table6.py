"""Table 6: deaths by day, by days from the first dose, by cause."""

import pandas as pd

from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables import cells
from capla_etl.tables.labels import DEATH_CAUSES, TABLES
from capla_etl.tables.population import ARMS, eligible_patients
from capla_etl.tables.results import frame


def deaths(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """The deaths behind Table 6, one row per eligible patient who died by the end of follow-up, by group and day. For insiders only.

    Returns:
        patient_id, treatment_group, timing, death_day, death_date_precision, days_from_first_dose (NaN without a recorded start, or
        when the first dose came after death), death_cause.
    """
    eligible = eligible_patients(patient)
    died = eligible[(eligible["death_day"] <= follow_up_days) & eligible["treatment_group"].notna()].copy()
    days = died["death_day"] - died["caplacizumab_start_day"]
    died["days_from_first_dose"] = days.where((days >= 0) & (died["treatment_group"] == "caplacizumab"))
    columns = [
        "patient_id",
        "treatment_group",
        "timing",
        "death_day",
        "death_date_precision",
        "days_from_first_dose",
        "death_cause",
    ]
    return died.sort_values(["treatment_group", "death_day", "patient_id"])[columns].reset_index(drop=True)


def table6(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Deaths by the end of follow-up: day, days from the first dose, causes.

    Returns:
        Rows of table ``table6``; groups caplacizumab, early, delayed, unknown (start not recorded), control.
    """
    eligible = eligible_patients(patient)
    died = deaths(patient, follow_up_days=follow_up_days)
    rows = []
    for group in TABLES["table6"].groups:
        column, is_arm = ("treatment_group", True) if group in ARMS else ("timing", False)
        capla = eligible["treatment_group"].notna() if is_arm else eligible["treatment_group"] == "caplacizumab"
        members = eligible[capla & (eligible[column] == group)]
        chosen = died[died["patient_id"].isin(members["patient_id"])]
        unknown = int(((members["died"] == "yes") & members["death_day"].isna()).sum())
        rows.append(
            cells.count(
                "table6",
                "deaths",
                group,
                len(chosen),
                len(members),
                method=f"deaths on day {follow_up_days} or before; N all patients",
                caveat=cells.if_any(unknown, "more died on an unknown day"),
            )
        )
        about = cells.if_any(
            int((chosen["death_date_precision"] == "month").sum()), "known to the month, taken as its middle"
        )
        rows += cells.quartiles(
            "table6", "death_day", group, chosen["death_day"], caveat=about, conventions=conventions
        )
        if group != "control":
            rows += cells.quartiles(
                "table6",
                "days_from_first_dose",
                group,
                chosen["days_from_first_dose"],
                caveat=about,
                conventions=conventions,
            )
        for cause in (*DEATH_CAUSES, None):
            row = f"cause_{cause.lower()}" if cause else "cause_not_stated"
            number = int((chosen["death_cause"] == cause).sum() if cause else chosen["death_cause"].isna().sum())
            rows.append(
                cells.count("table6", row, group, number, len(chosen), method="cause as the centre states it; N deaths")
            )
    return frame(rows)
