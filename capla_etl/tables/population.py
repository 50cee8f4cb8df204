"""The patients that the tables are about: eligible, by treatment group and timing."""

import pandas as pd

ARMS = ("caplacizumab", "control")
TIMINGS = ("early", "delayed", "unknown")
DELAY_REASONS = ("rescue", "slow_response")


def eligible_patients(patient: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients with the numeric columns used here as floats (NaN where unknown).

    Raises:
        ValueError: a duplicate patient_id, an eligible patient with an exclusion reason, or an excluded one without.
    """
    if patient["patient_id"].duplicated().any():
        raise ValueError("marts.patient has a duplicate patient_id")
    eligible = patient["eligible"].astype(bool)
    contradictory = patient.loc[eligible == patient["exclusion_reason"].notna(), "patient_id"]
    if len(contradictory):
        raise ValueError(
            f"{len(contradictory)} patients are eligible with a reason for exclusion, or excluded without one"
        )
    numeric = [
        "age_years",
        "hemoglobin_g_per_dl",
        "creatinine_umol_per_l",
        "troponin_x_uln",
        "adamts13_percent",
        "anti_adamts13_u_per_ml",
        "french_severity_score",
        "platelets_10e9_per_l_day0",
        "ldh_x_uln_day0",
        "caplacizumab_start_day",
        "last_seen_day",
        "death_day",
    ]
    chosen = patient[eligible].copy()
    untyped = [name for name in numeric if chosen[name].dtype == object]
    chosen[untyped] = chosen[untyped].apply(pd.to_numeric)
    return chosen.astype(dict.fromkeys(numeric, float)).reset_index(drop=True)


def eligible_outcomes(patient: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients with their outcomes: one row per patient.

    Raises:
        ValueError: an eligible patient without outcomes, or outcomes of a patient who is not eligible.
    """
    eligible = eligible_patients(patient)
    if set(eligible["patient_id"]) != set(outcome["patient_id"]):
        raise ValueError("outcomes.patient_outcome does not hold exactly the eligible patients")
    numeric = [
        "response_day",
        "tpe_days_to_response",
        "tpe_sessions_to_response",
        "days_from_caplacizumab_to_response",
        "adamts13_recovery_day",
        "refractory_assessment_day",
        "exacerbation_day",
    ]
    own = [column for column in outcome.columns if column == "patient_id" or column not in eligible.columns]
    merged = eligible.merge(outcome[own], on="patient_id", validate="one_to_one")
    merged[numeric] = merged[numeric].apply(pd.to_numeric).astype(float)
    return merged


def arms_of(patients: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(caplacizumab, control)."""
    return tuple(patients[patients["treatment_group"] == arm] for arm in ARMS)


def in_group(patients: pd.DataFrame, group: str) -> pd.DataFrame:
    """The patients of an arm, or of a timing under caplacizumab."""
    if group in ARMS:
        return patients[patients["treatment_group"] == group]
    return patients[(patients["treatment_group"] == "caplacizumab") & (patients["timing"] == group)]
