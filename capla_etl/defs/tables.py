"""The study's tables: each asset reads marts and outcomes, calls one pure function and writes ``study.<name>``."""

import base64
import io
from collections.abc import Callable

import dagster as dg
import duckdb
import pandas as pd

from capla_etl.audit.printed_numbers import audit, contradictions
from capla_etl.defs.centres import asset_key
from capla_etl.defs.check_results import keep
from capla_etl.defs.preview import markdown, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.report.figures import study_figures
from capla_etl.report.printed_tables import printed_sensitivity
from capla_etl.study_tables import StudyTable, read, study_table, study_tables

BIOSTATISTICS = ["team:biostatistics"]

#: DuckDB type of the pandas types that statistics functions return; DuckDB chooses the type of any other.
SQL_TYPES = {
    "string": "VARCHAR",
    "object": "VARCHAR",
    "float64": "DOUBLE",
    "Float64": "DOUBLE",
    "int64": "INTEGER",
    "Int64": "INTEGER",
    "bool": "BOOLEAN",
}


def write(connection: duckdb.DuckDBPyConnection, relation: str, frame: pd.DataFrame) -> None:
    """Write a data frame as a table; an empty column keeps its type too."""
    types = {name: SQL_TYPES.get(str(kind)) for name, kind in frame.dtypes.items()}
    columns = ", ".join(f'"{c}"::{t} as "{c}"' if t else f'"{c}"' for c, t in types.items())
    connection.execute(f"create schema if not exists {relation.split('.')[0]}")
    connection.register("frame_to_write", frame)
    connection.execute(f"create or replace table {relation} as select {columns} from frame_to_write")
    connection.unregister("frame_to_write")


def plot(draw: Callable) -> Callable[[pd.DataFrame], dict]:
    """Make metadata that shows the figure that ``draw`` makes of a frame."""

    def show(frame: pd.DataFrame) -> dict:
        picture = io.BytesIO()
        draw(frame).savefig(picture, format="png", dpi=90, facecolor="white")
        encoded = base64.b64encode(picture.getvalue()).decode()
        return {"figure": dg.MetadataValue.md(f"![figure](data:image/png;base64,{encoded})")}

    return show


#: Figures in the metadata of the assets that hold curves or effects.
PLOTS = {
    "survival_curve": plot(study_figures.survival_figure),
    "response_incidence_curve": plot(study_figures.response_incidence_figure),
    "adamts13_incidence_curve": plot(study_figures.adamts13_incidence_figure),
    "balance": plot(study_figures.balance_figure),
    "table8": plot(lambda results: study_figures.forest_figure(printed_sensitivity(results), results)),
}


def study_asset(table: StudyTable):
    """Make the asset that writes ``study.<name>``, with a preview or a figure as metadata."""
    show = PLOTS.get(table.name, lambda frame: {"preview": markdown(frame)})

    @dg.asset(
        key=["study", table.name],
        deps=[asset_key(relation) for relation in [*table.inputs.values(), table.beside] if relation],
        group_name="study",
        kinds={"python", "pandas", "duckdb"},
        owners=BIOSTATISTICS,
        description=table.description,
        pool=WRITER_POOL,
    )
    def materialize(warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.connect() as connection:
            computed = study_table(table.name)  # declared again: a variant sets its parameters when the run starts
            frame = computed.compute(**{name: read(connection, relation) for name, relation in table.inputs.items()})
            write(connection, f"study.{table.name}", frame)
            return dg.MaterializeResult(metadata=table_metadata(connection, f"study.{table.name}") | show(frame))

    return materialize


study_assets = [study_asset(table) for table in study_tables()]


@dg.asset_check(
    asset=dg.AssetKey(["study", "result"]),
    blocking=True,
    pool=WRITER_POOL,
    description="The printed numbers agree with each other.",
)
def self_audit(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Check that percentages match n/N, parts sum to wholes, p values fit intervals, equal quantities are equal."""
    with warehouse.connect() as connection:
        results = read(connection, "study.result")
        checks = audit(results)
        counted = [(r.check, r.compared - r.failed, 0, r.failed) for r in checks.itertuples()]
        keep(connection, [("self-audit", "study.result", *counts) for counts in counted])
    metadata, failed = {"checks": markdown(checks, rows=100)}, int(checks["failed"].sum())
    if failed:
        metadata["what failed"] = dg.MetadataValue.md("\n".join(contradictions(results)))
    description = f"{checks['compared'].sum()} comparisons, {failed} failed"
    return dg.AssetCheckResult(passed=not failed, description=description, metadata=metadata)
