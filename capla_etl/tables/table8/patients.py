"""Who is analysed in Table 8, with which covariates, and each of its outcomes as an event over time or a yes/no answer.

How an effect is estimated is in ``effects``; which analyses there are in ``table8``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from capla_etl.stats import competing_risks
from capla_etl.tables.population import eligible_outcomes

NAN = float("nan")
EXPOSED = "exposed"

#: Baseline covariates of adjusted and weighted analyses: column here -> (column of marts.patient, transformation). What
#: was given after day 0 (rituximab, corticosteroids) is not among them: it can follow from the course.
COVARIATES: dict[str, tuple[str, Callable]] = {
    "age_years": ("age_years", lambda values: values),
    "female": ("sex", lambda values: values.map({"female": 1.0, "male": 0.0})),
    "first_episode": ("first_episode", lambda values: values.map({"yes": 1.0, "no": 0.0})),
    "neurological_involvement": ("neurological_involvement", lambda values: values.map({"yes": 1.0, "no": 0.0})),
    "log_platelets": ("platelets_10e9_per_l_day0", np.log),
    "log_ldh": ("ldh_x_uln_day0", np.log),
    "log_creatinine": ("creatinine_umol_per_l", np.log),
}
#: Covariates that too many patients lack for the main model: imputed for an analysis of their own.
OFTEN_MISSING: dict[str, tuple[str, Callable]] = {
    "log_troponin": ("troponin_x_uln", lambda values: np.log1p(values)),
    "log_anti_adamts13": ("anti_adamts13_u_per_ml", lambda values: np.log1p(values)),
}


@dataclass(frozen=True)
class Outcome:
    """An outcome of Table 8.

    Attributes:
        name: row id.
        over_time: whether it is analysed as time to an event (a hazard ratio), else as a risk (a risk ratio).
        prepare: patients -> what is analysed: adds ``time_days`` and ``event`` (over time), or ``event`` (float: 1, 0,
            NaN not evaluable), ``event_day`` (day of the event; NaN: none) and ``decided_day`` (day from which the
            answer stands; NaN: the end of follow-up).
        by_rule: whether it depends on the rule set; one that gives every patient the same is not repeated.
    """

    name: str
    over_time: bool
    prepare: Callable[[pd.DataFrame, int], pd.DataFrame]
    by_rule: bool = True

    def decides_as(self, data: pd.DataFrame, other: pd.DataFrame) -> bool:
        """Whether two prepared sets of patients say the same of everybody."""
        decisive = ["time_days", "event"] if self.over_time else ["event", "event_day", "decided_day"]
        return data[["patient_id", *decisive]].equals(other[["patient_id", *decisive]])


def analysed_patients(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """Eligible patients of both groups as the analyses need them.

    Args:
        patient: ``marts.patient``.
        outcome: outcomes under one rule set, one row per eligible patient.
        follow_up_days: last day of follow-up.

    Returns:
        ``population.eligible_outcomes`` of the patients whose group is known, and ``exposed`` (1.0 caplacizumab, 0.0
        control), ``start_day`` (first dose; NaN for control and where not recorded), ``start_known`` (bool),
        ``end_day`` (death or last seen, cut at the end of follow-up; NaN not known), ``died`` (bool, by then), ``lost``
        (bool: alive when last seen before it), and the covariates.
    """
    patients = eligible_outcomes(patient, outcome)
    patients = patients[patients["treatment_group"].isin(["caplacizumab", "control"])].reset_index(drop=True)
    died = patients["death_day"] <= follow_up_days
    end_day = patients["death_day"].fillna(patients["last_seen_day"]).clip(upper=follow_up_days)
    exposed = patients["treatment_group"] == "caplacizumab"
    columns = {
        EXPOSED: exposed.astype(float),
        "start_day": patients["caplacizumab_start_day"].where(exposed),
        "start_known": ~exposed | patients["caplacizumab_start_day"].notna(),
        "end_day": end_day,
        "died": died,
        "lost": ~died & ~(end_day >= follow_up_days),
        **{
            name: transform(patients[column]).astype(float)
            for name, (column, transform) in (COVARIATES | OFTEN_MISSING).items()
        },
    }
    return patients.assign(**columns)


def _death(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    return _followed(patients.assign(time_days=patients["end_day"], event=patients["died"]))


def _followed(patients: pd.DataFrame) -> pd.DataFrame:
    """Without those whose follow-up is not known, or ended before day 0: they have no time at risk."""
    return patients[patients["time_days"] >= 0]


def _first(day: str, patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Time to the day of an outcome; death without it ends observation (a cause-specific hazard)."""
    happened = patients[day] <= follow_up_days
    cause = np.select(
        [happened, patients["died"]], [competing_risks.EVENT, competing_risks.COMPETING], competing_risks.CENSORED
    )
    return _followed(
        patients.assign(time_days=patients[day].where(happened, patients["end_day"]), event=happened, cause=cause)
    )


def _answer(answer: str, day: str | None, patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """A yes/no outcome: 1, 0, or NaN (not evaluable); decided on the day of the event, else at the end of follow-up."""
    event = patients[answer].map({"yes": 1.0, "no": 0.0})
    event_day = (
        pd.to_numeric(patients[day]).astype(float).where(event == 1) if day else pd.Series(NAN, index=patients.index)
    )
    return patients.assign(event=event, event_day=event_day, decided_day=event_day)


def _failure(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """A response has decided it; a failure is decided at the end of follow-up."""
    decided = _answer("failure", None, patients, follow_up_days)
    return decided.assign(decided_day=decided["response_day"].where(decided["event"] == 0))


def _refractory(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Decided at its assessment, with either answer, or by a response before."""
    decided = _answer("refractory", "refractory_assessment_day", patients, follow_up_days)
    assessed = pd.to_numeric(patients["refractory_assessment_day"]).astype(float)
    return decided.assign(decided_day=pd.concat([assessed, patients["response_day"]], axis=1).min(axis=1))


def _exacerbation(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Of all patients, as the abstract: not evaluable counts as without."""
    return _answer(
        "exacerbation",
        "exacerbation_day",
        patients.assign(exacerbation=patients["exacerbation"].where(patients["exacerbation"] == "yes", "no")),
        follow_up_days,
    )


DEATH = Outcome("death", True, _death, by_rule=False)
FAILURE = Outcome("failure", False, _failure)
RESPONSE = Outcome("response", True, partial(_first, "response_day"))
REFRACTORY = Outcome("refractory", False, _refractory)
EXACERBATION = Outcome("exacerbation", False, _exacerbation)
RECOVERY = Outcome("adamts13_recovery", True, partial(_first, "adamts13_recovery_day"))
OUTCOMES = (DEATH, FAILURE, RESPONSE, REFRACTORY, EXACERBATION, RECOVERY)
