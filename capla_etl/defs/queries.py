"""Queries to centres: the table of questions with their status, and a workbook per centre, published with the outputs.

What is asked is in ``capla_etl.queries.questions``; what answers do in ``capla_etl.centres.harmonising.corrections``.
"""

import shutil

import dagster as dg
import pandas as pd

from capla_etl import paths
from capla_etl.centres.submissions.status import good_loads, received_loads
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.preview import markdown, markdown_list, table_metadata
from capla_etl.defs.report import outputs
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import write
from capla_etl.defs.version import VERSION
from capla_etl.protocol.parameters import parameter
from capla_etl.quality.centre_quality import centre_quality
from capla_etl.queries.questions import query_table
from capla_etl.queries.workbook import write_workbooks
from capla_etl.releases.publish import staged

#: What questions are derived from.
SOURCES = [
    "harmonised.patient",
    "harmonised.tpe_session",
    "harmonised.drug_course",
    "harmonised.submission",
    "quality.quarantine",
    "quality.correction",
    "quality.signal",
    "marts.patient",
    "marts.reported_outcome",
    "marts.daily_series",
    "outcomes.rule_set",
    "outcomes.refractory",
    "outcomes.patient_outcome",
]

#: What the quality of a centre's data is measured by.
QUALITY_SOURCES = [
    "quality.centre_status",
    "quality.ledger",
    "quality.correction",
    "harmonised.lab_result",
    "harmonised.tpe_session",
    "harmonised.drug_course",
    "harmonised.adverse_event",
    "harmonised.patient",
    "marts.patient",
    "marts.tpe_session",
    "marts.daily_series",
    "marts.adverse_event_assessed",
    "outcomes.patient_outcome",
]


@dg.asset(
    key=["quality", "query"],
    deps=[asset_key(relation) for relation in SOURCES],
    group_name="quality",
    kinds={"python", "duckdb"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def query(warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per question to a centre: its place in the files, what was found, what is asked, status and answer."""
    with warehouse.connect() as connection:
        frame = query_table(connection, list(good_loads().values()), paths.as_of(), list(received_loads().values()))
        write(connection, "quality.query", frame)
        counts = pd.crosstab([frame["centre_id"], frame["category"]], frame["status"]).reset_index()
        statuses = frame["status"].value_counts().sort_index(ascending=False)
        summary = ", ".join(f"{n} {status}" for status, n in statuses.items()) or "no question"
        metadata = table_metadata(connection, "quality.query")
        return dg.MaterializeResult(metadata=metadata | {"summary": summary, "questions": markdown(counts, rows=100)})


@dg.asset(
    key=["queries", "workbooks"],
    deps=[query, outputs, *map(asset_key, ("harmonised.submission", "quality.signal", VERSION))],
    group_name="queries",
    kinds={"python", "xlsx"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def workbooks(warehouse: Warehouse) -> dg.MaterializeResult:
    """One workbook per centre with its questions, which the centre answers in it and sends back."""
    folder = staged(paths.outputs()) / "queries"
    shutil.rmtree(folder, ignore_errors=True)
    with warehouse.connect() as connection:
        written = write_workbooks(connection, sorted({*good_loads(), *received_loads()}), folder)
    return dg.MaterializeResult(
        metadata={"summary": f"{len(written)} workbooks", "workbooks": markdown_list([path.name for path in written])}
    )


@dg.asset(
    key=["quality", "centre_quality"],
    deps=[query, *(asset_key(relation) for relation in QUALITY_SOURCES)],
    group_name="quality",
    kinds={"python", "duckdb"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def quality_of_centres(warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per centre: completeness, refusals, open questions, corrections and timeliness of its data."""
    with warehouse.connect() as connection:
        frame = centre_quality(connection, parameter("follow_up_days"))
        write(connection, "quality.centre_quality", frame)
        metadata = table_metadata(connection, "quality.centre_quality")
        return dg.MaterializeResult(metadata=metadata | {"centres": markdown(frame, rows=60)})


query_assets = [query, quality_of_centres, workbooks]
