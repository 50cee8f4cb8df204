"""The study's tables (PROTOCOL section 4): one public function each, data frames in, rows of ``study.result`` out.

Tables of outcomes (2, 3, 4 and the curves) are in ``outcomes``, Table 7 in ``agreement``, Table 8 in ``robustness``. How a number is estimated is in
``proportions`` and ``baseline``; how a cell is made in ``cells``; how it is printed in ``labels`` and the report. Reading and writing does not belong here.

``patient`` is ``marts.patient`` (every record received), ``outcome`` ``outcomes.patient_outcome`` (eligible patients). Every table but the flow
is about eligible patients whose group is known.
"""

from __future__ import annotations

import pandas as pd

from capla_etl.stats.contingency import chi_squared
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.distributions import smd_categorical
from capla_etl.tables import cells
from capla_etl.tables.labels import TABLES
from capla_etl.tables.population import ARMS, arms_of, eligible_patients
from capla_etl.tables.results import frame

# --------------------------------------------------------------------------------------------------------------------- flow


# ------------------------------------------------------------------------------------------------------------------ table 1

TABLE_1_ANSWERS = ("female", "first_episode", "neurological_involvement", "coma", "corticosteroids", "rituximab")
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
    arms = dict(zip(ARMS, arms_of(eligible), strict=True))
    one, two = arms.values()
    rows = []
    for row in TABLES["table1"].rows:
        if row in TABLE_1_ANSWERS:
            tallies = {arm: cells.tally(members[row]) for arm, members in arms.items()}
            rows += [cells.percent("table1", row, arm, counted) for arm, counted in tallies.items()]
            rows.append(
                cells.proportions_test("table1", row, *tallies.values(), caveat="unadjusted", conventions=conventions)
            )
            rows.append(cells.smd_of_answers("table1", row, *tallies.values()))
        elif row in TABLE_1_VALUES:
            column = TABLE_1_VALUES[row]
            for arm, members in arms.items():
                caveat = _limits_caveat(members) if row == "adamts13_percent" else None
                rows += cells.quartiles("table1", row, arm, members[column], caveat=caveat, conventions=conventions)
            rows.append(
                cells.rank_test("table1", row, one[column], two[column], caveat="unadjusted", conventions=conventions)
            )
            rows.append(cells.smd_of_values("table1", row, one[column], two[column]))
    return frame(rows + _severity_levels(arms))


def _limits_caveat(patients: pd.DataFrame) -> str | None:
    """Results below quantification enter a median at their limit: how many."""
    below = int((patients["adamts13_comparator"].notna() & patients["adamts13_percent"].notna()).sum())
    return cells.if_any(below, "results below or above quantification enter at their limit")


def _severity_levels(arms: dict[str, pd.DataFrame]) -> list[dict]:
    """The distribution of the French severity score; its test and SMD stand on row ``french_severity_score_0``."""
    rows, counts = [], []
    for arm, members in arms.items():
        scores = members["french_severity_score"].value_counts()
        counts.append([int(scores.get(level, 0)) for level in range(5)])
        known = members["french_severity_score"].notna().sum()
        for level, number in enumerate(counts[-1]):
            rows.append(
                cells.percent(
                    "table1", f"french_severity_score_{level}", arm, cells.Tally(number, int(known), len(members))
                )
            )
    rows.append(
        cells.p_value(
            "table1",
            "french_severity_score_0",
            chi_squared(counts),
            method="p over all scores: Pearson's chi-squared test",
            reason="no score known in a group",
            caveat="unadjusted",
        )
    )
    rows.append(cells.smd("table1", "french_severity_score_0", smd_categorical(*counts)))
    return rows


# ------------------------------------------------------------------------------------------------------------ tables 5 and 6


# ------------------------------------------------------------------------------------------------------------- as published
