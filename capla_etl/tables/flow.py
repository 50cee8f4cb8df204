"""The flow diagram's counts (STROBE): received, refused, excluded, analysed."""

import pandas as pd

from capla_etl.tables.cells import Sheet
from capla_etl.tables.labels import EXCLUSIONS
from capla_etl.tables.population import DELAY_REASONS, TIMINGS, eligible_patients
from capla_etl.tables.structure import FLOW_SUMS


def flow(patient: pd.DataFrame, ledger: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Records received, refused and excluded, and the groups that are left; each step subtracts exactly.

    Args:
        patient: ``marts.patient``.
        ledger: ``quality.ledger``.
        quarantine: ``quality.quarantine``; its rows of scope ``cell`` are values refused in rows that were kept.

    Returns:
        Rows of table ``flow``, statistic ``count``; group ``all`` and one group per centre.

    Raises:
        ValueError: the ledger does not balance, or the patients of a step are not those of the step before less the
            excluded.
    """
    unbalanced = ledger[ledger["rows_received"] != ledger[list(FLOW_SUMS["rows_received"])].sum(axis=1)]
    if len(unbalanced):
        first = unbalanced.iloc[0]
        raise ValueError(
            f"the ledger does not balance: {first['centre_id']} {first['file']} {first['sheet'] or ''}".rstrip()
        )
    eligible_patients(patient)
    sheet = Sheet("flow")
    for group in ("all", *sorted(set(patient["centre_id"]) | set(ledger["centre_id"]))):
        received, refused, own = (
            table if group == "all" else table[table["centre_id"] == group] for table in (ledger, quarantine, patient)
        )
        for what in ("received", "duplicate", "quarantined", "ignored", "loaded"):
            number = int(received[f"rows_{what}"].sum())
            sheet.count(f"rows_{what}", group, number, method="rows of all files and sheets (quality.ledger)")
        method = "single values refused, their row kept (quality.quarantine)"
        sheet.count("values_quarantined", group, int((refused["scope"] == "cell").sum()), method=method)
        steps = {row: int(box.sum()) for row, box in boxes(own).items()}
        for whole, parts in FLOW_SUMS.items():
            if whole in steps and steps[whole] != sum(steps[part] for part in parts):
                listed = ", ".join(f"{part} {steps[part]}" for part in parts)
                raise ValueError(f"flow, {group}: {whole} is {steps[whole]}, its parts are {listed}")
        method = (
            "patient records (marts.patient); exclusions in the protocol's order, each patient under the first that "
            "applies"
        )
        for row, number in steps.items():
            sheet.count(row, group, number, method=method)
    return sheet.frame()


def boxes(patient: pd.DataFrame) -> dict[str, pd.Series]:
    """Row of the flow -> which patient records it counts (bool, indexed as ``patient``). Rows of files have none."""

    def of(column: str, value: str, among: pd.Series) -> pd.Series:
        return among & (patient[column] == value).fillna(False).astype(bool)

    everybody = pd.Series(True, index=patient.index)
    eligible = patient["eligible"].astype(bool)
    caplacizumab = of("treatment_group", "caplacizumab", eligible)
    delayed = of("timing", "delayed", caplacizumab)
    return {
        "patient_records": everybody,
        **{f"excluded_{reason}": of("exclusion_reason", reason, everybody) for reason in EXCLUSIONS},
        "excluded": patient["exclusion_reason"].isin(list(EXCLUSIONS)),
        "eligible": eligible,
        "caplacizumab": caplacizumab,
        "control": of("treatment_group", "control", eligible),
        "group_unknown": eligible & patient["treatment_group"].isna(),
        **{"timing_" * (timing == "unknown") + timing: of("timing", timing, caplacizumab) for timing in TIMINGS},
        **{reason: of("delay_reason", reason, delayed) for reason in DELAY_REASONS},
    }
