"""Lineage as tables: the cells behind every deciding fact, and the patients behind every printed number.

The functions that find them are in ``capla_etl.explain`` and ``capla_etl.tables``.
"""

import dagster as dg

from capla_etl.centres.submissions.status import good_loads
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.preview import markdown, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS, write
from capla_etl.explain.evidence_cells import SHOWN, evidence_cells
from capla_etl.protocol.parameters import parameter
from capla_etl.study_tables import read
from capla_etl.tables.membership import result_patient

#: Tables whose records are facts.
HARMONISED = [f"harmonised.{name}" for name in SHOWN]
MEMBERSHIP = {
    "patient": "marts.patient",
    "outcome": "outcomes.patient_outcome",
    "daily_series": "marts.daily_series",
    "adverse_event_assessed": "marts.adverse_event_assessed",
    "adverse_event": "marts.adverse_event",
    "table5": "study.table5",
}


@dg.asset(
    key=["outcomes", "evidence_cell"],
    deps=[
        asset_key(relation)
        for relation in ("outcomes.outcome_evidence", "marts.patient", "marts.drug_course", *HARMONISED)
    ],
    group_name="outcomes",
    kinds={"python", "duckdb"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def evidence_cell(warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per record that evidence names and cell of it: file, sheet, row, column, text as sent."""
    specs = {centre_id: load.spec for centre_id, load in good_loads().items()}
    with warehouse.connect() as connection:
        write(connection, "outcomes.evidence_cell", evidence_cells(connection, specs))
        return dg.MaterializeResult(metadata=table_metadata(connection, "outcomes.evidence_cell"))


@dg.asset(
    key=["study", "result_patient"],
    deps=[asset_key(relation) for relation in MEMBERSHIP.values()],
    group_name="study",
    kinds={"python", "pandas", "duckdb"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def patients_of_results(warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per printed number and patient behind it: numerator, denominator, or value of a median.

    For the study group only; part of no output.
    """
    with warehouse.connect() as connection:
        members = result_patient(
            **{argument: read(connection, relation) for argument, relation in MEMBERSHIP.items()},
            follow_up_days=parameter("follow_up_days"),
        )
        write(connection, "study.result_patient", members)
        counts = members.groupby(["table_id", "counted"]).size().rename("patients").reset_index()
        return dg.MaterializeResult(
            metadata=table_metadata(connection, "study.result_patient") | {"preview": markdown(counts)}
        )


lineage_assets = [evidence_cell, patients_of_results]
