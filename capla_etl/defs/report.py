"""What people read: tables and figures as files, the HTML report, Data Docs; and publishing it.

Publishing is the only step that touches what users see.
"""

import json
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd

from capla_etl import paths
from capla_etl.centres.submissions.status import record_published
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.comments import write_comments
from capla_etl.defs.dbt import dbt_docs
from capla_etl.defs.differences import SUMMARY, differences
from capla_etl.defs.expectations import TABLES
from capla_etl.defs.lineage import lineage_assets
from capla_etl.defs.preview import links, markdown_list
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS, study_assets
from capla_etl.defs.version import VERSION, check_version, version_of
from capla_etl.protocol.definitions import definitions
from capla_etl.protocol.parameters import RULE_SET, parameter, parameters
from capla_etl.quality.data_docs import build_data_docs
from capla_etl.releases import shown as shown_before
from capla_etl.releases.publish import publish, staged
from capla_etl.report import files
from capla_etl.report.centre_page.write import SOURCES, write_centre_pages
from capla_etl.report.documents.write import write_documents
from capla_etl.report.figures import monitoring_figures, study_figures
from capla_etl.report.layout import Edition
from capla_etl.report.methods import methods_paragraphs
from capla_etl.report.page.courses import courses
from capla_etl.report.page.page import ReportInputs, write_report
from capla_etl.report.page.strobe import strobe_items
from capla_etl.report.printed_tables import printed_tables
from capla_etl.report.protected import write_protected
from capla_etl.stats.conventions import conventions
from capla_etl.study_tables import CURVES, LISTINGS, read, study_tables
from capla_etl.tables.labels import ANALYSES
from capla_etl.tables.table6 import deaths

#: Made after the outputs, in ``queries``, which imports this module.
WORKBOOKS = asset_key("queries.workbooks")
STUDY_TABLES = [table.name for table in study_tables() if table.name not in LISTINGS]
#: Tables of the warehouse that the report shows unchanged, by the report's name for them.
SHOWN = {
    "results": "study.result",
    "audit": "study.audit",
    "consistency": "study.consistency",
    "disagreements": "study.disagreement",
    "ledger": "quality.ledger",
    "quarantine": "quality.quarantine",
    "submission": "harmonised.submission",
    "centre_status": "quality.centre_status",
    "centre_quality": "quality.centre_quality",
    "signal": "quality.signal",
    "monitored": "quality.monitored",
}
#: Tables with the courses of single patients: only for the page of the study group.
COURSES = {"patient": "marts.patient", "daily_series": "marts.daily_series", "drug_course": "marts.drug_course"}
CHECKS = """select source, sum(passed)::integer as passed, sum(warned)::integer as warned,
    sum(failed)::integer as failed from quality.check_result group by 1 order by 1"""


def read_exactly(connection: duckdb.DuckDBPyConnection, relation: str) -> pd.DataFrame:
    """Read a table with its own types: integers stay so where some are missing, and files say 12, not 12.0."""
    integers = {"int32": pd.Int32Dtype(), "int64": pd.Int64Dtype()}
    table = connection.execute(f"from {relation}").to_arrow_table()
    return table.to_pandas(types_mapper=lambda kind: integers.get(str(kind)))


def _files(written: list[Path]) -> dg.MaterializeResult:
    names = markdown_list([path.name for path in written])
    return dg.MaterializeResult(metadata={"summary": f"{len(written)} files", "files": names})


@dg.asset(
    key=["report", "outputs"],
    deps=[asset_key(VERSION), *(asset.key for asset in study_assets)],
    group_name="report",
    kinds={"python", "csv", "parquet"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def outputs(warehouse: Warehouse) -> dg.MaterializeResult:
    """Study tables as CSV and Parquet, figures as SVG and PNG, printed tables as DOCX, XLSX, LaTeX and HTML."""
    with warehouse.connect() as connection:
        return _files(write_outputs(connection, staged(paths.outputs())))


def write_outputs(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[Path]:
    """Write the files of ``outputs``, replacing what is in the folder; return their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    frames = {name: read_exactly(connection, f"study.{name}") for name in STUDY_TABLES}
    shown = {name: read(connection, f"study.{name}") for name in ("result", "balance", *CURVES.values())}
    cut_off = connection.execute("select max(submission) from harmonised.submission").fetchone()[0]
    tables = printed_tables(shown["result"])
    drawn = study_figures.study_figures(shown, tables)
    edition = Edition(data_cut_off=cut_off, parameters=parameters(), version=version_of(connection))
    written = files.write_tables(frames, folder, edition.stated) + files.write_figures(drawn, folder)
    pictures = {
        study_figures.CAPTIONS[name]: (folder / f"{name}.png").read_bytes() for name in drawn if name != "forest"
    }
    pictures |= files.forest_parts(tables["table8"], shown["result"], folder / "forest.png")
    return written + write_documents(
        list(tables.values()), shown["result"], methods_of(shown["result"]), folder, edition, pictures
    )


def methods_of(results: pd.DataFrame) -> list[str]:
    """Word the methods section for these results, by the parameters in force."""
    return methods_paragraphs(parameters(), conventions(parameter("statistics_conventions")), results, ANALYSES)


@dg.asset(
    key=["report", "centre_pages"],
    deps=[outputs, *map(asset_key, [VERSION, *SOURCES.values()])],
    group_name="report",
    kinds={"python", "html", "pdf"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def centre_pages(warehouse: Warehouse) -> dg.MaterializeResult:
    """One page per centre to send to it: signals, completeness, questions, its levels among the others (anonymised)."""
    folder = staged(paths.outputs()) / paths.centre_pages().name
    shutil.rmtree(folder, ignore_errors=True)
    with warehouse.connect() as connection:
        written = write_centre_pages(connection, [], folder)
    pages = [paths.centre_pages() / path.name for path in written]
    return dg.MaterializeResult(metadata={"summary": f"{len(written) // 2} centres, HTML and PDF"} | links(pages))


@dg.asset(
    key=["report", "html"],
    deps=[
        outputs,
        centre_pages,
        differences,
        *(asset_key(relation) for relation in [VERSION, *SHOWN.values(), *COURSES.values(), "marts.event"]),
    ],
    group_name="report",
    kinds={"python", "html"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def html_report(warehouse: Warehouse) -> dg.MaterializeResult:
    """The study as one self-contained page: flow, tables, figures, data quality, published next to computed."""
    with warehouse.connect() as connection:
        page = write_report(report_inputs(connection, staged(paths.outputs())), staged(paths.report()))
    return dg.MaterializeResult(
        metadata={"summary": f"one page, {page.stat().st_size // 1024:,} KiB", "page": dg.MetadataValue.path(page)}
    )


def report_inputs(connection: duckdb.DuckDBPyConnection, outputs_folder: Path) -> ReportInputs:
    """Collect what the report shows: from the warehouse, the centres' specs and the figures among the outputs."""
    shown = {name: read(connection, relation) for name, relation in SHOWN.items()}
    results = shown["results"]
    drawn = {name: read(connection, f"study.{name}") for name in ("balance", *CURVES.values())} | {"result": results}
    pictures = (outputs_folder / f"{name}.svg" for name in study_figures.CAPTIONS)
    monitoring, at_pointer = monitoring_figures.monitoring_figures(shown["signal"], shown["monitored"])
    return ReportInputs(
        **shown,
        definitions=definitions(),
        moved=json.loads((staged(paths.differences()) / SUMMARY).read_text(encoding="utf-8")),
        hover=study_figures.hover_data(drawn, printed_tables(results)) | at_pointer,
        courses=courses(
            **{name: read(connection, relation) for name, relation in COURSES.items()},
            event=connection.execute("from marts.event where rule_set = ?", [parameter(RULE_SET)]).df(),
            thresholds=_thresholds(),
        ),
        figures=files.svg_by_name(picture for picture in pictures if picture.exists())
        | {name: study_figures.svg_text(figure) for name, figure in monitoring.items()},
        centre_pages=sorted(page.stem for page in (outputs_folder / paths.centre_pages().name).glob("*.html")),
        checks=connection.execute(CHECKS).df(),
        centres=connection.execute(
            "select centre_id, name, country from quality.centre_status where submission is not null"
        ).df(),
        parameters=pd.DataFrame(
            [(p.name, p.value, p.source) for p in parameters().values()], columns=["name", "value", "comment"]
        ),
        methods=methods_of(results),
        strobe=strobe_items(),
        version=version_of(connection),
        deaths=deaths(read(connection, "marts.patient"), follow_up_days=parameter("follow_up_days")),
    )


def _thresholds() -> dict:
    """Thresholds drawn in a patient's course."""
    return {
        "platelets": parameter("response_platelets_from_10e9_per_l"),
        "ldh": parameter("response_ldh_below_x_uln"),
        "adamts13": [parameter("relapse_adamts13_below_percent"), parameter("recovery_adamts13_from_percent")],
    }


#: What the releasable version is made from.
RELEASABLE_FROM = [
    *("study.result", "study.survival_curve", "study.response_incidence_curve"),
    *("harmonised.submission", "quality.centre_status"),
]


@dg.asset(
    key=["report", "protected"],
    deps=[outputs, *map(asset_key, [VERSION, *RELEASABLE_FROM])],
    group_name="report",
    kinds={"python", "html", "csv", "parquet"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def protected(warehouse: Warehouse) -> dg.MaterializeResult:
    """The releasable version: counts of 1 to 9 and all that reveals them suppressed, others rounded, no patients."""
    queries = [*(f"from {relation}" for relation in RELEASABLE_FROM), CHECKS]
    with warehouse.connect() as connection:
        results, survival, response, *rest = (connection.execute(query).df() for query in queries)
        version, patients = version_of(connection), shown_before.patients_of(connection)
    curves = {"survival_curve": survival, "response_incidence_curve": response}
    folder = staged(paths.outputs()) / "protected"
    plan = shown_before.plan(results, patients, shown_before.earlier())
    made = _files(
        shown_before.keep(plan, folder)
        if plan.near
        else write_protected(results, curves, *rest, version, folder, earlier=plan.publications)
    )
    shown_before.stage(results, patients, plan, folder)
    said = {"not_renewed": shown_before.WHY_NOT} if plan.near else {}
    return dg.MaterializeResult(metadata={**made.metadata, **said})


@dg.asset(
    key=["report", "data_docs"],
    deps=[asset_key(table) for table in [VERSION, *TABLES]],
    group_name="report",
    kinds={"python", "html"},
    owners=DATA_MANAGEMENT,
    pool=WRITER_POOL,
)
def data_docs(warehouse: Warehouse) -> dg.MaterializeResult:
    """Great Expectations Data Docs: what was expected of the data, what failed, why it matters and who acts."""
    with warehouse.connect() as connection:
        version = version_of(connection)
    index = dg.MetadataValue.path(build_data_docs(staged(paths.data_docs()), version))
    return dg.MaterializeResult(metadata={"summary": "index and one page per suite", "index": index})


@dg.asset(
    key=["published", "warehouse"],
    deps=[
        outputs,
        centre_pages,
        protected,
        html_report,
        asset_key(VERSION),
        data_docs,
        dbt_docs,
        differences,
        *lineage_assets,
        WORKBOOKS,
    ],
    group_name="published",
    kinds={"duckdb"},
    owners=[*DATA_MANAGEMENT, *BIOSTATISTICS],
    pool=WRITER_POOL,
)
def published(warehouse: Warehouse) -> dg.MaterializeResult:
    """The version that users open, with warehouse, tables, report and Data Docs; shown in one step, at the end."""
    with warehouse.connect() as connection:
        write_comments(connection)
        check_version(connection)
        state, cut_off = connection.execute(f"select version, data_cut_off from {VERSION}").fetchone()
    shown_before.record()
    version = publish(state, cut_off, protected_stays=shown_before.stays())
    record_published()
    indexes = [folder / "index.html" for folder in (paths.data_docs(), paths.dbt_docs())]
    pages = [page for page in (paths.report(), *indexes, paths.differences()) if page.exists()]
    places = [str(place) for place in paths.published() if place.exists()]
    said = {"summary": f"version {version.name}", "version": version.name, "published": markdown_list(places)}
    return dg.MaterializeResult(metadata=said | links(pages))
