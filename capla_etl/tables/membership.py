"""Which patients stand behind each printed number: the numerator and denominator of every n/N, the patients of every
median.

The populations and answers are those of the tables; nothing is estimated here. For insiders: patient by patient, never
part of an output.
"""

import pandas as pd

from capla_etl.tables import flow, population, table1, table2_to_4, table5, table6
from capla_etl.tables.courses import survival_courses
from capla_etl.tables.groups import Groups, arms, rituximab_groups, timings
from capla_etl.tables.labels import TABLES
from capla_etl.tables.structure import SCORES

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
        One row per table_id, row, group, patient_id and ``counted``: 'denominator' (one of N), 'numerator' (one of n)
        or 'value' (one of the n whose value a median is made of). A patient of a numerator is in the denominator too.
        Sorted.
    """
    patients = table2_to_4.with_adamts13_measured(population.eligible_outcomes(patient, outcome), daily_series)
    members = _Members()
    _flow(members, patient)
    _table1(members, patient)
    for table_id, groups in (("table2", arms), ("table3", timings), ("table4", rituximab_groups)):
        _outcomes(members, table_id, groups(patients), follow_up_days)
    _table5(members, patient, adverse_event_assessed, adverse_event, table5)
    _table6(members, patient, follow_up_days)
    return pd.concat(members.parts, ignore_index=True).astype("string").sort_values(COLUMNS, ignore_index=True)


class _Members:
    """Patients by the number that they stand behind."""

    def __init__(self) -> None:
        self.parts: list[pd.DataFrame] = []

    def add(self, table_id: str, row: str, group: str, patients: pd.Series, counted: str) -> None:
        listed = pd.DataFrame({"patient_id": patients.to_numpy()})
        self.parts.append(listed.assign(table_id=table_id, row=row, group=group, counted=counted)[COLUMNS])

    def answers(self, table_id: str, row: str, group: str, patients: pd.DataFrame, answers: pd.Series) -> None:
        """Patients with "yes" of those with "yes" or "no". ``answers`` has the index of ``patients``, or part of it."""
        ids = patients["patient_id"].reindex(answers.index)
        self.add(table_id, row, group, ids[answers == "yes"], NUMERATOR)
        self.add(table_id, row, group, ids[answers.isin(["yes", "no"])], DENOMINATOR)

    def values(self, table_id: str, row: str, group: str, patients: pd.DataFrame, values: pd.Series) -> None:
        """Patients whose value is known, of those who could have one."""
        ids = patients["patient_id"].reindex(values.index)
        self.add(table_id, row, group, ids[values.notna()], VALUE)
        self.add(table_id, row, group, ids, DENOMINATOR)


def _flow(members: _Members, patient: pd.DataFrame) -> None:
    """The boxes that count patients; those that count rows and values of files have none."""
    for row, box in flow.boxes(patient).items():
        inside = patient[box]
        for group, own in (("all", inside), *inside.groupby("centre_id")):
            members.add("flow", row, group, own["patient_id"], NUMERATOR)


def _table1(members: _Members, patient: pd.DataFrame) -> None:
    for arm, own in arms(population.eligible_patients(patient)).items():
        own = own.assign(female=own["sex"].map({"female": "yes", "male": "no"}))
        for row in table1.TABLE_1_ANSWERS:
            members.answers("table1", row, arm, own, own[row])
        for row, column in table1.TABLE_1_VALUES.items():
            members.values("table1", row, arm, own, own[column])
        known = own["french_severity_score"].dropna()
        for level, row in enumerate(SCORES):
            members.answers("table1", row, arm, own, (known == level).map({True: "yes", False: "no"}))


def _outcomes(members: _Members, table_id: str, groups: Groups, follow_up_days: int) -> None:
    """The rows that a table of outcomes prints, in its groups."""
    rows = TABLES[table_id].rows
    courses, _ = survival_courses(groups, follow_up_days=follow_up_days)
    for group, own in courses.groupby("group"):
        for row in rows.keys() & {"survival_3_months", "restricted_mean_survival"}:
            members.add(table_id, row, group, own["patient_id"], DENOMINATOR)
    for group, own in groups.items():
        printed = [row for row in rows if row not in table2_to_4.ONLY_CAPLACIZUMAB or not group.startswith("control")]
        for row, answers in table2_to_4.outcome_answers(own).items():
            if row in printed:
                members.answers(table_id, row, group, own, answers)
        for row, values in table2_to_4.outcome_days(own, follow_up_days=follow_up_days).items():
            if row in printed:
                members.values(table_id, row, group, own, values)


def _table5(
    members: _Members,
    patient: pd.DataFrame,
    adverse_event_assessed: pd.DataFrame,
    adverse_event: pd.DataFrame,
    printed: pd.DataFrame,
) -> None:
    own = arms(population.eligible_patients(patient))[table5.CAPLACIZUMAB]
    answers = table5.event_answers(own, adverse_event_assessed)
    for row, given in answers.items():
        members.answers("table5", row, table5.CAPLACIZUMAB, own, given)
    major = table5.major_bleedings(own, adverse_event)
    assessed = own.loc[answers["major_bleeding"].isin(["yes", "no"]), "patient_id"]
    for row in dict.fromkeys(row for row in printed["row"] if row.startswith("major_bleeding_")):
        at_site = major.loc[major["site"].map(table5.site_id) == row.removeprefix("major_bleeding_"), "patient_id"]
        members.add("table5", row, table5.CAPLACIZUMAB, at_site.drop_duplicates(), NUMERATOR)
        members.add("table5", row, table5.CAPLACIZUMAB, assessed, DENOMINATOR)


def _table6(members: _Members, patient: pd.DataFrame, follow_up_days: int) -> None:
    eligible, died = population.eligible_patients(patient), table6.deaths(patient, follow_up_days=follow_up_days)
    for group in TABLES["table6"].groups:
        own = population.in_group(eligible, group)
        chosen = died[died["patient_id"].isin(own["patient_id"])]
        members.add("table6", "deaths", group, chosen["patient_id"], NUMERATOR)
        members.add("table6", "deaths", group, own["patient_id"], DENOMINATOR)
        for row in ("death_day", "days_from_first_dose")[: 1 if group == "control" else 2]:
            members.values("table6", row, group, chosen, chosen[row])
        for row, with_cause in table6.of_cause(chosen).items():
            members.add("table6", row, group, chosen.loc[with_cause, "patient_id"], NUMERATOR)
            members.add("table6", row, group, chosen["patient_id"], DENOMINATOR)
