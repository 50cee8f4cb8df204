"""Small marts for the tests of tables and report: one line per patient, everything not said is ordinary or unknown."""

import pandas as pd

PATIENT = {
    "centre_id": "FR01",
    "treatment_group": "caplacizumab",
    "timing": None,
    "delay_reason": None,
    "age_years": 45,
    "sex": "female",
    "first_episode": "yes",
    "neurological_involvement": "no",
    "coma": "no",
    "hemoglobin_g_per_dl": 8.5,
    "creatinine_umol_per_l": 90.0,
    "troponin_x_uln": None,
    "adamts13_percent": 5.0,
    "adamts13_comparator": "<",
    "anti_adamts13_u_per_ml": None,
    "french_severity_score": 1,
    "corticosteroids": "yes",
    "rituximab": "no",
    "caplacizumab_start_day": None,
    "last_seen_day": 200,
    "death_day": None,
    "death_date_precision": None,
    "death_cause": None,
    "died": "no",
    "platelets_10e9_per_l_day0": 12.0,
    "ldh_x_uln_day0": 4.0,
    "eligible": True,
    "exclusion_reason": None,
}
OUTCOME = {
    "response": "yes",
    "response_day": 5,
    "refractory": "no",
    "severe_refractory": "no",
    "refractory_assessment_day": 6,
    "exacerbation": "no",
    "exacerbation_day": None,
    "remission": "yes",
    "relapse": "no",
    "relapse_status": None,
    "failure": "no",
    "died_by_day_90": "no",
    "tpe_days_to_response": 6,
    "tpe_sessions_to_response": 6,
    "days_from_caplacizumab_to_response": None,
    "adamts13_recovery_day": None,
    "exacerbation_after_stop_undetectable": "no",
}
EARLY = {"timing": "early", "caplacizumab_start_day": 1}
DELAYED = {"timing": "delayed", "delay_reason": "slow_response", "caplacizumab_start_day": 6}
CONTROL = {"treatment_group": "control"}


def patients(*lines: dict) -> pd.DataFrame:
    """``marts.patient``: p0, p1, ... from what each line says beyond PATIENT."""
    return pd.DataFrame([{"patient_id": f"p{number}", **PATIENT, **line} for number, line in enumerate(lines)])


def outcomes(*lines: dict) -> pd.DataFrame:
    """``outcomes.patient_outcome``: p0, p1, ... from what each line says beyond OUTCOME."""
    return pd.DataFrame([{"patient_id": f"p{number}", **OUTCOME, **line} for number, line in enumerate(lines)])


def ledger(**changes) -> pd.DataFrame:
    """``quality.ledger`` of one file."""
    row = {
        "centre_id": "FR01",
        "submission": pd.Timestamp("2023-06-30"),
        "file": "patients.csv",
        "sheet": None,
        "rows_received": 10,
        "rows_loaded": 7,
        "rows_duplicate": 1,
        "rows_quarantined": 2,
        "rows_ignored": 0,
        "cells_quarantined": 3,
    }
    return pd.DataFrame([row | changes])


def quarantine(*scopes: str) -> pd.DataFrame:
    """``quality.quarantine``: one line per scope given."""
    columns = ["centre_id", "file", "rule", "scope"]
    return pd.DataFrame([("FR01", "patients.csv", "out_of_range", scope) for scope in scopes], columns=columns)


def value(results: pd.DataFrame, row: str, group: str, statistic: str) -> pd.Series:
    """One cell of ``study.result``."""
    own = results[(results["row"] == row) & (results["group"] == group) & (results["statistic"] == statistic)]
    assert len(own) == 1, f"{row} {group} {statistic}: {len(own)} cells"
    return own.iloc[0]
