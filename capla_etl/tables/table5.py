"""Table 5: adverse events under caplacizumab."""

import pandas as pd

from capla_etl.tables import cells
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.labels import ADVERSE_EVENTS
from capla_etl.tables.population import arms_of, eligible_patients
from capla_etl.tables.results import frame


def site_id(site: str) -> str:
    """A site of a bleeding as part of a row id: "digestive tract" is digestive_tract."""
    return site.replace(" ", "_")


def table5(patient: pd.DataFrame, adverse_event_assessed: pd.DataFrame, adverse_event: pd.DataFrame) -> pd.DataFrame:
    """Adverse events under caplacizumab: patients with each kind of those in whom it was assessed, and the sites of major bleeding.

    Args:
        patient: ``marts.patient``.
        adverse_event_assessed: one row per patient and kind: ``occurred`` 'yes', 'no' or 'unknown'.
        adverse_event: one row per event: ``kind``, ``site``.

    Returns:
        Rows of table ``table5``, group caplacizumab. Any event has two denominators: patients with at least one kind assessed, and with all.
    """
    patients = arms_of(eligible_patients(patient))[0]["patient_id"]
    occurred = adverse_event_assessed.pivot(index="patient_id", columns="kind", values="occurred").reindex(
        index=patients, columns=list(ADVERSE_EVENTS)
    )
    some_yes, some_assessed = (occurred == "yes").any(axis=1), occurred.isin(["yes", "no"]).any(axis=1)
    all_assessed = occurred.isin(["yes", "no"]).all(axis=1)
    without_some = int((some_assessed & ~some_yes & ~all_assessed).sum())
    rows = [
        # As the abstract. Dropping only those without event and with a gap would drop no patient with an event, and inflate the percentage.
        cells.percent(
            "table5",
            "any_adverse_event",
            "caplacizumab",
            cells.answers(some_yes, some_assessed),
            method="n/N of the patients with at least one kind assessed; 95 % CI Wilson",
            caveat=cells.if_any(without_some, "counted as without an event had a kind not assessed"),
        ),
        cells.percent(
            "table5",
            "any_adverse_event_all_assessed",
            "caplacizumab",
            cells.answers(some_yes, all_assessed),
            method="n/N of the patients with every kind assessed; 95 % CI Wilson",
        ),
    ]
    for kind in ADVERSE_EVENTS:
        rows.append(cells.percent("table5", kind, "caplacizumab", occurred[kind]))
        if kind == "major_bleeding":
            n_assessed = cells.tally(occurred[kind]).n_assessed
            major = adverse_event[(adverse_event["kind"] == kind) & adverse_event["patient_id"].isin(patients)]
            by_site = major.assign(site=major["site"].fillna("site not stated")).groupby("site")["patient_id"].nunique()
            expected = [
                figure.row.removeprefix("major_bleeding_").replace("_", " ")
                for figure in FIGURES
                if figure.source[3] == "count" and figure.source[0] == "table5"
            ]
            counts = {**dict.fromkeys(expected, 0), **by_site.to_dict()}
            unknown = cells.if_any(
                int(by_site.get("site not stated", 0)), "patients with a major bleeding whose site is not stated"
            )
            rows += [
                cells.count(
                    "table5",
                    f"major_bleeding_{site_id(site)}",
                    "caplacizumab",
                    int(number),
                    n_assessed,
                    method="patients with a major bleeding at that site; a patient can have several",
                    caveat=unknown,
                )
                for site, number in sorted(
                    counts.items(), key=lambda item: (item[0] == "site not stated", -item[1], item[0])
                )
            ]
    return frame(rows)
