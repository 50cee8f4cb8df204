"""Table 5: adverse events under caplacizumab."""

import pandas as pd

from capla_etl.tables import cells
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.labels import ADVERSE_EVENTS
from capla_etl.tables.population import arms_of, eligible_patients

CAPLACIZUMAB = "caplacizumab"
NOT_STATED = "site not stated"


def site_id(site: str) -> str:
    """A site of a bleeding as part of a row id: "digestive tract" is digestive_tract."""
    return site.replace(" ", "_")


def event_answers(patients: pd.DataFrame, adverse_event_assessed: pd.DataFrame) -> dict[str, pd.Series]:
    """Row of Table 5 -> the answers of the patients, indexed as they are.

    Any event has two denominators: patients with at least one kind assessed, and with all. Leaving out only patients
    who have no event and a gap would leave out nobody with an event, and inflate the percentage.
    """
    by_kind = adverse_event_assessed.pivot(index="patient_id", columns="kind", values="occurred")
    occurred = by_kind.reindex(index=patients["patient_id"], columns=list(ADVERSE_EVENTS)).set_axis(patients.index)
    some_yes, assessed = (occurred == "yes").any(axis=1), occurred.isin(["yes", "no"])
    return {
        "any_adverse_event": cells.answers(some_yes, assessed.any(axis=1)),
        "any_adverse_event_all_assessed": cells.answers(some_yes, assessed.all(axis=1)),
        **{kind: occurred[kind] for kind in ADVERSE_EVENTS},
    }


def major_bleedings(patients: pd.DataFrame, adverse_event: pd.DataFrame) -> pd.DataFrame:
    """The patients' major bleedings, with ``site`` as text."""
    major = adverse_event[adverse_event["kind"] == "major_bleeding"]
    return major[major["patient_id"].isin(patients["patient_id"])].fillna({"site": NOT_STATED})


def table5(patient: pd.DataFrame, adverse_event_assessed: pd.DataFrame, adverse_event: pd.DataFrame) -> pd.DataFrame:
    """Adverse events under caplacizumab: patients with each kind, of those in whom it was assessed, and bleeding sites.

    Args:
        patient: ``marts.patient``.
        adverse_event_assessed: one row per patient and kind: ``occurred`` 'yes', 'no' or 'unknown'.
        adverse_event: one row per event: ``kind``, ``site``.

    Returns:
        Rows of table ``table5``, group caplacizumab.
    """
    patients = arms_of(eligible_patients(patient))[0]
    answers = event_answers(patients, adverse_event_assessed)
    some, all_kinds = answers["any_adverse_event"], answers["any_adverse_event_all_assessed"]
    gaps = cells.if_any(
        int(((some == "no") & (all_kinds == "unknown")).sum()), "counted as without an event had a kind not assessed"
    )
    sheet = cells.Sheet("table5")
    for row, what, caveat in (
        ("any_adverse_event", "at least one", gaps),
        ("any_adverse_event_all_assessed", "every", None),
    ):
        method = f"n/N of the patients with {what} kind assessed; 95 % CI Wilson"
        sheet.percent(row, CAPLACIZUMAB, answers[row], method=method, caveat=caveat)
    for kind in ADVERSE_EVENTS:
        sheet.percent(kind, CAPLACIZUMAB, answers[kind])
        if kind == "major_bleeding":
            by_site = major_bleedings(patients, adverse_event).groupby("site")["patient_id"].nunique()
            expected = [
                figure.row.removeprefix("major_bleeding_").replace("_", " ")
                for figure in FIGURES
                if figure.source[3] == "count" and figure.source[0] == "table5"
            ]
            counts = {**dict.fromkeys(expected, 0), **by_site.to_dict()}
            unknown = cells.if_any(
                int(counts.get(NOT_STATED, 0)), "patients with a major bleeding whose site is not stated"
            )
            for site in sorted(counts, key=lambda site: (site == NOT_STATED, -counts[site], site)):
                sheet.count(
                    f"major_bleeding_{site_id(site)}",
                    CAPLACIZUMAB,
                    int(counts[site]),
                    cells.tally(answers[kind]).n_assessed,
                    method="patients with a major bleeding at that site; a patient can have several",
                    caveat=unknown,
                )
    return sheet.frame()
