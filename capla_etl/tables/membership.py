"""Which patients stand behind each printed number: the numerator and denominator of every n/N, the patients of every median.

The populations and answers are those of ``study``; nothing is estimated here. For insiders: patient by patient, never part of an output.
"""

from __future__ import annotations

import pandas as pd

from capla_etl.tables import population, table1, table2_to_4, table6
from capla_etl.tables.courses import survival_courses
from capla_etl.tables.groups import Groups, arms, rituximab_groups, timings
from capla_etl.tables.labels import ADVERSE_EVENTS, DEATH_CAUSES, EXCLUSIONS, TABLES
from capla_etl.tables.table5 import site_id

COLUMNS = ["table_id", "row", "group", "patient_id", "counted"]
NUMERATOR, DENOMINATOR, VALUE = "numerator", "denominator", "value"


def result_patient(
    patient: pd.DataFrame,
    outcome: pd.DataFrame,
    daily_series: pd.DataFrame,
    adverse_event_assessed: pd.DataFrame,
    adverse_event: pd.DataFrame,
    table5: pd.DataFrame,
    *,
    follow_up_days: int,
) -> pd.DataFrame:
    """``study.result_patient``: the patients of every n, N and median of flow and Tables 1 to 6.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        daily_series: patient_id, day and adamts13_percent of ``marts.daily_series``.
        adverse_event_assessed: one row per patient and kind: ``occurred``.
        adverse_event: one row per event: ``kind``, ``site``.
        table5: ``study.table5``, for the sites of major bleeding that it prints.
        follow_up_days: last day of follow-up.

    Returns:
        One row per table_id, row, group, patient_id and ``counted``: 'denominator' (one of N), 'numerator' (one of n) or 'value' (one of the
        n whose value a median is made of). A patient of a numerator is in the denominator too. Sorted.
    """
    patients = table2_to_4.with_adamts13_measured(population.eligible_outcomes(patient, outcome), daily_series)
    members = [
        *_flow(patient),
        *_table1(patient),
        *_outcomes("table2", arms(patients), follow_up_days),
        *_outcomes("table3", timings(patients), follow_up_days),
        *_outcomes("table4", rituximab_groups(patients), follow_up_days),
        *_table5(patient, adverse_event_assessed, adverse_event, table5),
        *_table6(patient, follow_up_days),
    ]
    return pd.concat(members, ignore_index=True).astype("string").sort_values(COLUMNS, ignore_index=True)


def _members(table_id: str, row: str, group: str, patients: pd.Series, counted: str) -> pd.DataFrame:
    listed = pd.DataFrame({"patient_id": patients.to_numpy()})
    return listed.assign(table_id=table_id, row=row, group=group, counted=counted)[COLUMNS]


def _of_answers(table_id: str, row: str, group: str, patients: pd.DataFrame, answers: pd.Series) -> list[pd.DataFrame]:
    """Patients with "yes" of those with "yes" or "no". ``answers`` is indexed as ``patients``, or as part of them."""
    ids = patients["patient_id"].reindex(answers.index)
    return [
        _members(table_id, row, group, ids[answers == "yes"], NUMERATOR),
        _members(table_id, row, group, ids[answers.isin(["yes", "no"])], DENOMINATOR),
    ]


def _of_values(table_id: str, row: str, group: str, patients: pd.DataFrame, values: pd.Series) -> list[pd.DataFrame]:
    """Patients whose value is known, of those who could have one."""
    ids = patients["patient_id"].reindex(values.index)
    return [
        _members(table_id, row, group, ids[values.notna()], VALUE),
        _members(table_id, row, group, ids, DENOMINATOR),
    ]


def _flow(patient: pd.DataFrame) -> list[pd.DataFrame]:
    """The boxes that count patients; those that count rows and values of files have none."""
    eligible = patient["eligible"].astype(bool)
    caplacizumab = eligible & (patient["treatment_group"] == "caplacizumab")
    delayed = caplacizumab & (patient["timing"] == "delayed")
    boxes = {
        "patient_records": pd.Series(True, index=patient.index),
        **{f"excluded_{reason}": patient["exclusion_reason"] == reason for reason in EXCLUSIONS},
        "excluded": patient["exclusion_reason"].isin(list(EXCLUSIONS)),
        "eligible": eligible,
        "caplacizumab": caplacizumab,
        "control": eligible & (patient["treatment_group"] == "control"),
        "group_unknown": eligible & patient["treatment_group"].isna(),
        **{
            timing if timing != "unknown" else "timing_unknown": caplacizumab & (patient["timing"] == timing)
            for timing in population.TIMINGS
        },
        **{reason: delayed & (patient["delay_reason"] == reason) for reason in ("rescue", "slow_response")},
    }
    members = []
    for row, box in boxes.items():
        inside = patient[box.fillna(False).astype(bool)]
        members.append(_members("flow", row, "all", inside["patient_id"], NUMERATOR))
        members += [
            _members("flow", row, centre, own["patient_id"], NUMERATOR) for centre, own in inside.groupby("centre_id")
        ]
    return members


def _table1(patient: pd.DataFrame) -> list[pd.DataFrame]:
    members = []
    for arm, own in arms(population.eligible_patients(patient)).items():
        own = own.assign(female=own["sex"].map({"female": "yes", "male": "no"}))
        for row in table1.TABLE_1_ANSWERS:
            members += _of_answers("table1", row, arm, own, own[row])
        for row, column in table1.TABLE_1_VALUES.items():
            members += _of_values("table1", row, arm, own, own[column])
        score = own.dropna(subset="french_severity_score")["french_severity_score"]
        for level in range(5):
            members += _of_answers(
                "table1", f"french_severity_score_{level}", arm, own, (score == level).map({True: "yes", False: "no"})
            )
    return members


def _outcomes(table_id: str, groups: Groups, follow_up_days: int) -> list[pd.DataFrame]:
    """The rows that a table of outcomes prints, in its groups."""
    rows = TABLES[table_id].rows
    courses, _ = survival_courses(groups, follow_up_days=follow_up_days)
    followed = {group: own["patient_id"] for group, own in courses.groupby("group")}
    members = [
        _members(table_id, row, group, own, DENOMINATOR)
        for row in ("survival_3_months", "restricted_mean_survival")
        if row in rows
        for group, own in followed.items()
    ]
    for group, own in groups.items():
        printed = [row for row in rows if row not in table2_to_4.ONLY_CAPLACIZUMAB or not group.startswith("control")]
        for row, answers in table2_to_4.outcome_answers(own).items():
            members += _of_answers(table_id, row, group, own, answers) if row in printed else []
        for row, values in table2_to_4.outcome_days(own, follow_up_days=follow_up_days).items():
            members += _of_values(table_id, row, group, own, values) if row in printed else []
    return members


def _table5(
    patient: pd.DataFrame, adverse_event_assessed: pd.DataFrame, adverse_event: pd.DataFrame, table5: pd.DataFrame
) -> list[pd.DataFrame]:
    own = arms(population.eligible_patients(patient))["caplacizumab"]
    occurred = adverse_event_assessed.pivot(index="patient_id", columns="kind", values="occurred")
    occurred = occurred.reindex(index=own["patient_id"], columns=list(ADVERSE_EVENTS)).set_axis(own.index)
    yes, assessed = occurred == "yes", occurred.isin(["yes", "no"])
    any_yes = yes.any(axis=1).map({True: "yes", False: "no"})
    members = _of_answers(
        "table5", "any_adverse_event", "caplacizumab", own, any_yes.where(assessed.any(axis=1), "unknown")
    )
    members += _of_answers(
        "table5", "any_adverse_event_all_assessed", "caplacizumab", own, any_yes.where(assessed.all(axis=1), "unknown")
    )
    for kind in ADVERSE_EVENTS:
        members += _of_answers("table5", kind, "caplacizumab", own, occurred[kind])
    major = adverse_event[
        (adverse_event["kind"] == "major_bleeding") & adverse_event["patient_id"].isin(own["patient_id"])
    ]
    bled_at = major["site"].fillna("site not stated").map(site_id)
    for row in dict.fromkeys(row for row in table5["row"] if row.startswith("major_bleeding_")):
        at_site = major.loc[bled_at == row.removeprefix("major_bleeding_"), "patient_id"].drop_duplicates()
        members.append(_members("table5", row, "caplacizumab", at_site, NUMERATOR))
        members.append(
            _members("table5", row, "caplacizumab", own.loc[assessed["major_bleeding"], "patient_id"], DENOMINATOR)
        )
    return members


def _table6(patient: pd.DataFrame, follow_up_days: int) -> list[pd.DataFrame]:
    eligible, died = population.eligible_patients(patient), table6.deaths(patient, follow_up_days=follow_up_days)
    members = []
    for group in TABLES["table6"].groups:
        is_arm = group in population.ARMS
        of_group = eligible["treatment_group" if is_arm else "timing"] == group
        own = eligible[of_group & (is_arm | (eligible["treatment_group"] == "caplacizumab"))]
        chosen = died[died["patient_id"].isin(own["patient_id"])]
        members += [
            _members("table6", "deaths", group, chosen["patient_id"], NUMERATOR),
            _members("table6", "deaths", group, own["patient_id"], DENOMINATOR),
        ]
        members += _of_values("table6", "death_day", group, chosen, chosen["death_day"])
        if group != "control":
            members += _of_values("table6", "days_from_first_dose", group, chosen, chosen["days_from_first_dose"])
        for cause in (*DEATH_CAUSES, None):
            row = f"cause_{cause.lower()}" if cause else "cause_not_stated"
            of_cause = chosen["death_cause"] == cause if cause else chosen["death_cause"].isna()
            members.append(_members("table6", row, group, chosen.loc[of_cause, "patient_id"], NUMERATOR))
            members.append(_members("table6", row, group, chosen["patient_id"], DENOMINATOR))
    return members
