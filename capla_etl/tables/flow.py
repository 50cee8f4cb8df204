"""The flow diagram's counts (STROBE): received, refused, excluded, analysed."""

import pandas as pd

from capla_etl.tables import cells
from capla_etl.tables.labels import EXCLUSIONS
from capla_etl.tables.population import TIMINGS, arms_of, eligible_patients
from capla_etl.tables.results import frame


def flow(patient: pd.DataFrame, ledger: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Records received, refused and excluded, and the groups that are left; each step subtracts exactly.

    Args:
        patient: ``marts.patient``.
        ledger: ``quality.ledger``.
        quarantine: ``quality.quarantine``; its rows of scope ``cell`` are values refused in rows that were kept.

    Returns:
        Rows of table ``flow``, statistic ``count``; group ``all`` and one group per centre.

    Raises:
        ValueError: the ledger does not balance, or the patients of a step are not those of the step before less the excluded.
    """
    parts = ["rows_loaded", "rows_duplicate", "rows_quarantined", "rows_ignored"]
    unbalanced = ledger[ledger["rows_received"] != ledger[parts].sum(axis=1)]
    if len(unbalanced):
        first = unbalanced.iloc[0]
        raise ValueError(
            f"the ledger does not balance: {first['centre_id']} {first['file']} {first['sheet'] or ''}".rstrip()
        )
    eligible_patients(patient)
    centres = sorted(set(patient["centre_id"]) | set(ledger["centre_id"]))
    rows = []
    for group in ("all", *centres):
        own_ledger = ledger if group == "all" else ledger[ledger["centre_id"] == group]
        own = patient if group == "all" else patient[patient["centre_id"] == group]
        rows += _ledger_counts(group, own_ledger, "rows", "rows of all files and sheets (quality.ledger)")
        refused_values = (quarantine["scope"] == "cell") & ((group == "all") | (quarantine["centre_id"] == group))
        rows.append(
            cells.count(
                "flow",
                "values_quarantined",
                group,
                int(refused_values.sum()),
                method="single values refused, their row kept (quality.quarantine)",
            )
        )
        rows += _patient_counts(group, own)
    return frame(rows)


def _ledger_counts(group: str, ledger: pd.DataFrame, prefix: str, method: str) -> list[dict]:
    return [
        cells.count("flow", f"{prefix}_{what}", group, int(ledger[f"rows_{what}"].sum()), method=method)
        for what in ("received", "duplicate", "quarantined", "ignored", "loaded")
    ]


def _patient_counts(group: str, patient: pd.DataFrame) -> list[dict]:
    eligible = patient[patient["eligible"].astype(bool)]
    capla, control = arms_of(eligible)
    delayed = capla[capla["timing"] == "delayed"]
    reasons = {reason: int((patient["exclusion_reason"] == reason).sum()) for reason in EXCLUSIONS}
    steps = {
        "patient_records": len(patient),
        **{f"excluded_{reason}": number for reason, number in reasons.items()},
        "excluded": sum(reasons.values()),
        "eligible": len(eligible),
        "caplacizumab": len(capla),
        "control": len(control),
        "group_unknown": int(eligible["treatment_group"].isna().sum()),
        **{
            timing if timing != "unknown" else "timing_unknown": int((capla["timing"] == timing).sum())
            for timing in TIMINGS
        },
        **{reason: int((delayed["delay_reason"] == reason).sum()) for reason in ("rescue", "slow_response")},
    }
    sums = {
        "patient_records": ("excluded", "eligible"),
        "eligible": ("caplacizumab", "control", "group_unknown"),
        "caplacizumab": ("early", "delayed", "timing_unknown"),
        "delayed": ("rescue", "slow_response"),
    }
    for whole, parts in sums.items():
        if steps[whole] != sum(steps[part] for part in parts):
            raise ValueError(
                f"flow, {group}: {whole} is {steps[whole]}, its parts are {[(part, steps[part]) for part in parts]}"
            )
    method = (
        "patient records (marts.patient); exclusions in the protocol's order, each patient under the first that applies"
    )
    return [cells.count("flow", row, group, number, method=method) for row, number in steps.items()]
