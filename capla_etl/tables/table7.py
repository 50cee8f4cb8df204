"""Table 7: the outcomes that the rules derive against what the centres themselves judged.

Neither is the truth: a centre may go by other criteria. What a centre is asked about a disagreement does not belong
here.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables import cells
from capla_etl.tables.population import ARMS, eligible_patients

GROUPS = ("all", *ARMS)

#: Yes/no outcomes that centres report too, and the day of the derived one.
ANSWERS = {"refractory": "refractory_assessment_day", "exacerbation": "exacerbation_day"}

#: The four cells of agreement: row suffix, derived, reported.
FOUR_CELLS = (
    ("both_yes", "yes", "yes"),
    ("derived_only", "yes", "no"),
    ("reported_only", "no", "yes"),
    ("both_no", "no", "no"),
)

WITHIN_DAYS = 1
KAPPA = "Cohen's kappa; 95 % CI from its large-sample standard error (Fleiss, Cohen and Everitt 1969)"


class Kappa(NamedTuple):
    """Cohen's kappa with its 95 % interval."""

    value: float
    lower: float
    upper: float


def cohen_kappa(counts: list[list[int]]) -> Kappa:
    """Agreement of two raters beyond chance.

    Args:
        counts: square table of patients: first rater's category by second rater's, the same categories in the same
            order.

    Returns:
        kappa (1: perfect, 0: as by chance) and its limits; NaN without patients, or when both raters put everybody in
            one category.

    Raises:
        ValueError: the table is not square, or a count is negative.

    Source:
        Cohen 1960; standard error of Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323, as R ``vcd::Kappa``;
        statsmodels.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.asarray(counts)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or (table < 0).any():
        raise ValueError("kappa needs a square table of counts")
    patients = table.sum()
    if not patients or (table.sum(axis=0) * table.sum(axis=1)).sum() == patients**2:
        return Kappa(*[float("nan")] * 3)
    found = cohens_kappa(table)
    return Kappa(float(found.kappa), float(found.kappa_low), float(min(found.kappa_upp, 1)))


def compared(patient: pd.DataFrame, outcome: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients whose group is known, with derived and reported outcomes.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        reported: ``marts.reported_outcome``.

    Returns:
        One row per patient: patient_id, centre_id, treatment_group; for each outcome its derived and its ``reported_*``
            value, the days as floats.

    Raises:
        ValueError: a patient without a row in ``outcome`` or ``reported``.
    """
    patients = eligible_patients(patient)
    patients = patients.loc[patients["treatment_group"].isin(ARMS), ["patient_id", "centre_id", "treatment_group"]]
    derived = outcome[["patient_id", *ANSWERS, *ANSWERS.values(), "response_day"]]
    judged = reported[["patient_id", *ANSWERS, "response_day"]].rename(
        columns=lambda name: name if name == "patient_id" else f"reported_{name}"
    )
    both = patients.merge(derived, on="patient_id", validate="one_to_one").merge(
        judged, on="patient_id", validate="one_to_one"
    )
    if len(both) != len(patients):
        raise ValueError("an eligible patient has no derived or no reported outcomes")
    days = [*ANSWERS.values(), "response_day", "reported_response_day"]
    both[days] = both[days].apply(pd.to_numeric).astype(float)
    return both


def table7(
    patient: pd.DataFrame, outcome: pd.DataFrame, reported: pd.DataFrame, *, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """Agreement of derived and reported outcomes, over the patients in whom both are known.

    Args:
        patient, outcome, reported: as ``compared``.

    Returns:
        Rows of table ``table7``; groups all, caplacizumab, control.
    """
    both = compared(patient, outcome, reported)
    sheet = cells.Sheet("table7", conventions)
    for group in GROUPS:
        members = both if group == "all" else both[both["treatment_group"] == group]
        for row in ANSWERS:
            _answer_cells(sheet, row, group, members[row], members[f"reported_{row}"])
        _day_cells(sheet, group, members["response_day"] - members["reported_response_day"])
    return sheet.frame()


def _known(one: pd.Series, two: pd.Series) -> pd.Series:
    """Whether both judgements are yes or no."""
    return one.isin(["yes", "no"]) & two.isin(["yes", "no"])


def _answer_cells(sheet: cells.Sheet, row: str, group: str, derived: pd.Series, reported: pd.Series) -> None:
    known = _known(derived, reported)
    number = {name: int(((derived == one) & (reported == two)).sum()) for name, one, two in FOUR_CELLS}
    patients = int(known.sum())
    for name, count in number.items():
        sheet.count(f"{row}_{name}", group, count, patients, method="patients; N in whom both are known")
    method = "n/N of the patients in whom both are known; 95 % CI Wilson"
    sheet.percent(f"{row}_agreement", group, cells.answers(derived == reported, known), method=method)
    four = list(number.values())
    value, *limits = cohen_kappa([four[:2], four[2:]])
    reason = "nobody with both known, or both say the same of everybody"
    sheet.add(f"{row}_kappa", group, "kappa", value, limits, n_assessed=patients, method=KAPPA, reason=reason)


def _day_cells(sheet: cells.Sheet, group: str, difference: pd.Series) -> None:
    method = "median and quartiles ({}) of derived minus reported day, of the patients with both"
    sheet.quartiles("response_day_difference", group, difference, method=method)
    method = "n/N of the patients with a derived and a reported day; 95 % CI Wilson"
    for row, days in (("response_day_exact", 0), (f"response_day_within_{WITHIN_DAYS}", WITHIN_DAYS)):
        agree = cells.answers(difference.abs() <= days, difference.notna())
        sheet.percent(row, group, agree, method=method)


def disagreements(patient: pd.DataFrame, outcome: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    """The disagreements behind Table 7, one row per patient and outcome. For insiders only.

    Args:
        patient, outcome, reported: as ``compared``.

    Returns:
        outcome, patient_id, centre_id, treatment_group, derived, reported ('yes', 'no', or the day: 'day 5'),
        derived_day, reported_day (centres report no day of refractory and exacerbation), days_difference (derived minus
        reported); by outcome, centre and patient.
    """
    both = compared(patient, outcome, reported)
    people = ["patient_id", "centre_id", "treatment_group"]
    parts = []
    for row, day in ANSWERS.items():
        judged = both[f"reported_{row}"]
        found = both[_known(both[row], judged) & (both[row] != judged)]
        columns = {"derived": found[row], "reported": found[f"reported_{row}"], "derived_day": found[day]}
        parts.append(found[people].assign(outcome=row, **columns))
    found = both[(both["response_day"] - both["reported_response_day"]).abs() > 0]
    days = {"derived": found["response_day"], "reported": found["reported_response_day"]}
    texts = {name: [f"day {day:.0f}" for day in own] for name, own in days.items()}
    numbers = {f"{name}_day": own for name, own in days.items()}
    parts.append(found[people].assign(outcome="response_day", **texts, **numbers))
    columns = ["outcome", *people, "derived", "reported", "derived_day", "reported_day"]
    listing = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    listing[columns[-2:]] = listing[columns[-2:]].astype(float).astype("Int64")
    listing["days_difference"] = listing["derived_day"] - listing["reported_day"]
    return listing.sort_values(["outcome", "centre_id", "patient_id"]).reset_index(drop=True)
