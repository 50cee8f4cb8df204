"""What people read: tables and figures as files, the HTML report, Data Docs; and publishing, the only step that touches what users see."""

import json
import shutil
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd

from capla_etl import paths
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.comments import write_comments
from capla_etl.defs.dbt import dbt_docs
from capla_etl.defs.differences import SUMMARY, differences
from capla_etl.defs.expectations import TABLES
from capla_etl.defs.lineage import lineage_assets
from capla_etl.defs.preview import links, markdown_list
from capla_etl.defs.resources import WRITER_POOL, Study, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS, study_assets
from capla_etl.protocol.definitions import definitions
from capla_etl.protocol.parameters import RULE_SET, parameter, parameters
from capla_etl.quality.data_docs import build_data_docs
from capla_etl.releases.publish import publish, staged
from capla_etl.report import files
from capla_etl.report.documents.write import write_documents
from capla_etl.report.figures import study_figures
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

STUDY_TABLES = [table.name for table in study_tables() if table.name not in LISTINGS]
#: Tables of the warehouse that the report shows as they are, by the name that it has for them.
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
}
#: Tables that hold the courses of single patients: for the page of the study group alone.
COURSES = {"patient": "marts.patient", "daily_series": "marts.daily_series", "drug_course": "marts.drug_course"}
CHECKS = "select source, sum(passed)::integer as passed, sum(warned)::integer as warned, sum(failed)::integer as failed from quality.check_result group by 1 order by 1"


def read_exactly(connection: duckdb.DuckDBPyConnection, relation: str) -> pd.DataFrame:
    """A table with its own types: an integer stays one where some are missing, so that files say 12 and not 12.0."""
    integers = {"int32": pd.Int32Dtype(), "int64": pd.Int64Dtype()}
    return (
        connection.execute(f"select * from {relation}")
        .to_arrow_table()
        .to_pandas(types_mapper=lambda t: integers.get(str(t)))
    )


@dg.asset(
    key=["report", "outputs"],
    deps=[asset.key for asset in study_assets],
    group_name="report",
    kinds={"python", "csv", "parquet"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def outputs(warehouse: Warehouse) -> dg.MaterializeResult:
    """Every study table as CSV and Parquet, every figure as SVG and PNG, all tables as DOCX, XLSX, LaTeX and HTML. Synthetic data."""
    with warehouse.connect() as connection:
        written = write_outputs(connection, staged(paths.outputs()))
    return dg.MaterializeResult(
        metadata={"summary": f"{len(written)} files", "files": markdown_list([path.name for path in written])}
    )


def write_outputs(connection: duckdb.DuckDBPyConnection, folder: Path) -> list[Path]:
    """The files of ``outputs``, replacing what is in the folder; their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    frames = {name: read_exactly(connection, f"study.{name}") for name in STUDY_TABLES}
    shown = {name: read(connection, f"study.{name}") for name in ("result", "balance", *CURVES.values())}
    cut_off = connection.execute("select max(submission) from harmonised.submission").fetchone()[0]
    tables = printed_tables(shown["result"])
    drawn = study_figures.study_figures(shown, tables)
    written = files.write_tables(frames, folder) + files.write_figures(drawn, folder)
    pictures = {
        study_figures.CAPTIONS[name]: (folder / f"{name}.png").read_bytes() for name in drawn if name != "forest"
    }
    pictures |= files.forest_parts(tables["table8"], shown["result"], folder / "forest.png")
    edition = Edition(data_cut_off=cut_off, parameters=parameters())
    return written + write_documents(
        list(tables.values()), shown["result"], methods_of(shown["result"]), folder, edition, pictures
    )


def methods_of(results: pd.DataFrame) -> list[str]:
    """The methods section for what was computed by the parameters in force."""
    return methods_paragraphs(parameters(), conventions(parameter("statistics_conventions")), results, ANALYSES)


@dg.asset(
    key=["report", "html"],
    deps=[
        outputs,
        differences,
        *(asset_key(relation) for relation in [*SHOWN.values(), *COURSES.values(), "marts.event"]),
    ],
    group_name="report",
    kinds={"python", "html"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def html_report(warehouse: Warehouse) -> dg.MaterializeResult:
    """The study as one self-contained page: flow, tables, figures, data quality, published beside computed. Synthetic data."""
    with warehouse.connect() as connection:
        page = write_report(report_inputs(connection, staged(paths.outputs())), staged(paths.report()))
    return dg.MaterializeResult(
        metadata={"summary": f"one page, {page.stat().st_size // 1024:,} KiB", "page": dg.MetadataValue.path(page)}
    )


def report_inputs(connection: duckdb.DuckDBPyConnection, outputs_folder: Path) -> ReportInputs:
    """What the report shows, from the warehouse, the centres' specs and the figures among the outputs."""
    shown = {name: read(connection, relation) for name, relation in SHOWN.items()}
    drawn = {name: read(connection, f"study.{name}") for name in ("balance", *CURVES.values())} | {
        "result": shown["results"]
    }
    return ReportInputs(
        **shown,
        definitions=definitions(),
        moved=_moved(),
        hover=study_figures.hover_data(drawn, printed_tables(shown["results"])),
        courses=courses(
            **{name: read(connection, relation) for name, relation in COURSES.items()},
            event=_events(connection),
            thresholds=_thresholds(),
        ),
        figures=files.svg_by_name(
            outputs_folder / f"{name}.svg"
            for name in study_figures.CAPTIONS
            if (outputs_folder / f"{name}.svg").exists()
        ),
        checks=connection.execute(CHECKS).df(),
        centres=connection.execute(
            "select centre_id, name, country from quality.centre_status where submission is not null"
        ).df(),
        parameters=pd.DataFrame(
            [(p.name, p.value, p.source) for p in parameters().values()], columns=["name", "value", "comment"]
        ),
        methods=methods_of(shown["results"]),
        strobe=strobe_items(),
        deaths=deaths(read(connection, "marts.patient"), follow_up_days=parameter("follow_up_days")),
    )


def _moved() -> list[dict]:
    """What moved since earlier states, as the asset differences found it."""
    return json.loads((staged(paths.differences()) / SUMMARY).read_text(encoding="utf-8"))


def _events(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Outcomes of every patient under the rule set of the tables."""
    return connection.execute("select * from marts.event where rule_set = ?", [parameter(RULE_SET)]).df()


def _thresholds() -> dict:
    """The thresholds that a course is drawn with."""
    return {
        "platelets": parameter("response_platelets_from_10e9_per_l"),
        "ldh": parameter("response_ldh_below_x_uln"),
        "adamts13": [parameter("relapse_adamts13_below_percent"), parameter("recovery_adamts13_from_percent")],
    }


@dg.asset(
    key=["report", "protected"],
    deps=[
        outputs,
        *(
            asset_key(relation)
            for relation in [
                "study.result",
                "study.survival_curve",
                "study.response_incidence_curve",
                "harmonised.submission",
                "quality.centre_status",
            ]
        ),
    ],
    group_name="report",
    kinds={"python", "html", "csv", "parquet"},
    owners=BIOSTATISTICS,
    pool=WRITER_POOL,
)
def protected(warehouse: Warehouse) -> dg.MaterializeResult:
    """The study as it may leave the group: no count from 1 to 9, none that follows from another, rounded, no patients listed. Synthetic data."""
    with warehouse.connect() as connection:
        results, survival, response, submission, status, checks = (
            connection.execute(query).df()
            for query in (
                "from study.result",
                "from study.survival_curve",
                "from study.response_incidence_curve",
                "from harmonised.submission",
                "from quality.centre_status",
                CHECKS,
            )
        )
    curves = {"survival_curve": survival, "response_incidence_curve": response}
    written = write_protected(results, curves, submission, status, checks, staged(paths.outputs()) / "protected")
    return dg.MaterializeResult(
        metadata={"summary": f"{len(written)} files", "files": markdown_list([path.name for path in written])}
    )


@dg.asset(
    key=["report", "data_docs"],
    deps=[asset_key(table) for table in TABLES],
    group_name="report",
    kinds={"python", "html"},
    owners=DATA_MANAGEMENT,
)
def data_docs(study: Study) -> dg.MaterializeResult:
    """Great Expectations Data Docs: what was expected of the data, what failed, why it matters and who acts. Synthetic data."""
    index = build_data_docs(staged(paths.data_docs()))
    return dg.MaterializeResult(
        metadata={"summary": "index and one page per suite", "index": dg.MetadataValue.path(index)}
    )


@dg.asset(
    key=["published", "warehouse"],
    deps=[
        outputs,
        protected,
        html_report,
        data_docs,
        dbt_docs,
        differences,
        *lineage_assets,
        asset_key("queries.workbooks"),
    ],
    group_name="published",
    kinds={"duckdb"},
    owners=[*DATA_MANAGEMENT, *BIOSTATISTICS],
    pool=WRITER_POOL,
)
def published(warehouse: Warehouse) -> dg.MaterializeResult:
    """The warehouse, tables, report and Data Docs that users open, each replaced whole and only after everything before succeeded."""
    with warehouse.connect() as connection:
        write_comments(connection)
    places = publish()
    pages = [
        page
        for page in (
            paths.report(),
            paths.data_docs() / "index.html",
            paths.dbt_docs() / "index.html",
            paths.differences(),
        )
        if page.exists()
    ]
    return dg.MaterializeResult(
        metadata={"summary": f"{len(places)} published", "published": markdown_list([str(p) for p in places])}
        | links(pages)
    )


report_assets = [outputs, protected, html_report, data_docs, differences, published]
