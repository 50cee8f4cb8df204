"""Table 1: baseline characteristics and treatment by group."""

import pandas as pd

from capla_etl.stats.contingency import chi_squared
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.distributions import smd_categorical
from capla_etl.tables import cells
from capla_etl.tables.groups import Groups, arms
from capla_etl.tables.labels import TABLES
from capla_etl.tables.population import eligible_patients

TABLE_1_ANSWERS = ("female", "first_episode", "neurological_involvement", "coma", "corticosteroids", "rituximab")
#: Row -> column of ``marts.patient``.
TABLE_1_VALUES = {
    "age_years": "age_years",
    "hemoglobin_g_per_dl": "hemoglobin_g_per_dl",
    "platelets_10e9_per_l": "platelets_10e9_per_l_day0",
    "ldh_x_uln": "ldh_x_uln_day0",
    "creatinine_umol_per_l": "creatinine_umol_per_l",
    "troponin_x_uln": "troponin_x_uln",
    "adamts13_percent": "adamts13_percent",
    "anti_adamts13_u_per_ml": "anti_adamts13_u_per_ml",
    "french_severity_score": "french_severity_score",
}


def table1(patient: pd.DataFrame, *, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Baseline by group: n/N (%) or median (IQR), p and standardised mean difference.

    Args:
        patient: ``marts.patient``.
        conventions: definition of quartiles, corrections of tests.

    Returns:
        Rows of table ``table1``; groups caplacizumab, control, difference.
    """
    eligible = eligible_patients(patient)
    eligible["female"] = eligible["sex"].map({"female": "yes", "male": "no"})
    groups, sheet = arms(eligible), cells.Sheet("table1", conventions)
    for row in TABLES["table1"].rows:
        if row in TABLE_1_ANSWERS:
            tallies = [cells.tally(members[row]) for members in groups.values()]
            for arm, counted in zip(groups, tallies, strict=True):
                sheet.percent(row, arm, counted)
            sheet.proportions_test(row, *tallies, caveat="unadjusted")
            sheet.smd_of_answers(row, *tallies)
        elif row in TABLE_1_VALUES:
            values = [members[TABLE_1_VALUES[row]] for members in groups.values()]
            for (arm, members), known in zip(groups.items(), values, strict=True):
                caveat = _limits_caveat(members) if row == "adamts13_percent" else None
                sheet.quartiles(row, arm, known, caveat=caveat)
            sheet.rank_test(row, *values, caveat="unadjusted")
            sheet.smd_of_values(row, *values)
    _severity_levels(sheet, groups)
    return sheet.frame()


def _limits_caveat(patients: pd.DataFrame) -> str | None:
    """Results below quantification enter a median at their limit: how many."""
    below = int((patients["adamts13_comparator"].notna() & patients["adamts13_percent"].notna()).sum())
    return cells.if_any(below, "results below or above quantification enter at their limit")


def _severity_levels(sheet: cells.Sheet, groups: Groups) -> None:
    """The distribution of the French severity score; its test and SMD stand on row ``french_severity_score_0``."""
    counts = []
    for arm, members in groups.items():
        scores = members["french_severity_score"].value_counts()
        counts.append([int(scores.get(level, 0)) for level in range(5)])
        for level, number in enumerate(counts[-1]):
            sheet.percent(f"french_severity_score_{level}", arm, cells.Tally(number, int(scores.sum()), len(members)))
    method, reason = "p over all scores: Pearson's chi-squared test", "no score known in a group"
    sheet.p_value("french_severity_score_0", chi_squared(counts), method=method, reason=reason, caveat="unadjusted")
    sheet.smd("french_severity_score_0", smd_categorical(*counts))
