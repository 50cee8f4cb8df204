"""The study's tables: each reads marts and outcomes, calls one pure function of ``capla_etl.stats`` and writes ``study.<name>``."""

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

#: DuckDB type of the pandas types that statistics functions return; anything else keeps what DuckDB reads from the frame.
SQL_TYPES = {
    "string": "VARCHAR",
    "object": "VARCHAR",
    "float64": "DOUBLE",
    "Float64": "DOUBLE",
    "int64": "INTEGER",
    "Int64": "INTEGER",
    "bool": "BOOLEAN",
}

#: What the columns of study tables hold.
MEANINGS = {
    "table_id": "Study table.",
    "row": "Row of the table: what is counted or measured.",
    "group": "Group of patients; difference: caplacizumab compared with control.",
    "statistic": "What the value is: count, percent, median, risk_difference, ...",
    "value": "The number as estimated; null where not estimable, the caveat says why.",
    "n": "Numerator, or number of values.",
    "n_assessed": "Denominator: patients in whom it was assessed.",
    "lower": "Lower limit of the 95 % confidence interval.",
    "upper": "Upper limit of the 95 % confidence interval.",
    "p_value": "p value of the test that the method names.",
    "method": "Test, interval and denominator.",
    "caveat": "What limits the number.",
    "day": "Days from the first plasma exchange.",
    "at_risk": "Patients still observed just before the day.",
    "deaths": "Deaths up to and including the day.",
    "censored": "Patients no longer observed, up to and including the day.",
    "survival": "Kaplan-Meier probability of being alive (0 to 1).",
    "incidence": "Cumulative incidence of the event (0 to 1), death competing.",
    "death_incidence": "Cumulative incidence of death without the event (0 to 1).",
    "weights": "iptw: to the covariates of all patients; overlap: to those who might have been in either group.",
    "covariate": "Baseline covariate.",
    "smd_before": "Absolute standardised mean difference between the groups, unweighted.",
    "smd_after": "The same, weighted.",
    "check": "What is compared.",
    "meaning": "What it means when it fails.",
    "compared": "Cells or relations compared.",
    "failed": "How many of them do not hold.",
    "examples": "The first that do not hold.",
    "figures": "The printed figures that it is about.",
    "relation": "Printed figures of the abstract and how they hang together.",
    "printed": "As published.",
    "implied": "What follows by arithmetic.",
    "verdict": "Whether the figures can be true together.",
    "explanation": "In words.",
    "outcome": "Outcome in which derived and reported disagree.",
    "patient_id": "Patient; the key of every mart.",
    "derived": "What the rules of the protocol give.",
    "reported": "What the centre judged.",
    "derived_day": "Day of the derived outcome (refractory: of its assessment).",
    "reported_day": "Day that the centre states; null where centres report none.",
    "days_difference": "Derived minus reported day.",
}


def write(connection: duckdb.DuckDBPyConnection, relation: str, frame: pd.DataFrame) -> None:
    """Write a data frame as a table with the types of its columns, also where a column holds nothing."""
    columns = ", ".join(
        f'"{c}"::{SQL_TYPES[str(t)]} as "{c}"' if str(t) in SQL_TYPES else f'"{c}"' for c, t in frame.dtypes.items()
    )
    connection.execute(f"create schema if not exists {relation.split('.')[0]}")
    connection.register("frame_to_write", frame)
    connection.execute(f"create or replace table {relation} as select {columns} from frame_to_write")
    connection.unregister("frame_to_write")


def _preview(frame: pd.DataFrame) -> dict:
    return {"preview": markdown(frame)}


def plot(draw: Callable) -> Callable[[pd.DataFrame], dict]:
    """Metadata that shows the figure that ``draw`` makes of a curve."""

    def show(frame: pd.DataFrame) -> dict:
        picture = io.BytesIO()
        draw(frame).savefig(picture, format="png", dpi=90, facecolor="white")
        return {
            "figure": dg.MetadataValue.md(
                f"![figure](data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()})"
            )
        }

    return show


#: Pictures in the metadata of the assets that hold curves or effects.
PLOTS = {
    "survival_curve": plot(study_figures.survival_figure),
    "response_incidence_curve": plot(study_figures.response_incidence_figure),
    "adamts13_incidence_curve": plot(study_figures.adamts13_incidence_figure),
    "balance": plot(study_figures.balance_figure),
    "table8": plot(lambda results: study_figures.forest_figure(printed_sensitivity(results), results)),
}


def study_asset(table: StudyTable):
    """An asset that writes ``study.<name>``, with a preview or a plot of it as metadata."""
    show = PLOTS.get(table.name, _preview)

    @dg.asset(
        key=["study", table.name],
        deps=[asset_key(relation) for relation in [*table.inputs.values(), *([table.beside] if table.beside else [])]],
        group_name="study",
        kinds={"python", "pandas", "duckdb"},
        owners=BIOSTATISTICS,
        description=f"{table.description}\n\nSynthetic data: agreement with the published figures is no evidence about the drug.",
        pool=WRITER_POOL,
    )
    def materialize(warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.connect() as connection:
            computed = study_table(table.name)  # anew: a variant's parameters are set when the run starts
            frame = computed.compute(
                **{argument: read(connection, relation) for argument, relation in table.inputs.items()}
            )
            write(connection, f"study.{table.name}", frame)
            return dg.MaterializeResult(
                metadata=table_metadata(connection, f"study.{table.name}", MEANINGS) | show(frame)
            )

    return materialize


study_assets = [study_asset(table) for table in study_tables()]


@dg.asset_check(
    asset=dg.AssetKey(["study", "result"]),
    blocking=True,
    pool=WRITER_POOL,
    description="The printed numbers agree with each other.",
)
def self_audit(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Percentages match n/N, parts sum to wholes, p values fit their intervals, the same quantity is equal wherever it is printed."""
    with warehouse.connect() as connection:
        results = read(connection, "study.result")
        checks = audit(results)
        keep(
            connection,
            [
                ("self-audit", "study.result", row.check, row.compared - row.failed, 0, row.failed)
                for row in checks.itertuples()
            ],
        )
    failed = int(checks["failed"].sum())
    failing = contradictions(results) if failed else []
    return dg.AssetCheckResult(
        passed=not failed,
        description=f"{checks['compared'].sum()} comparisons, {failed} failed",
        metadata={"checks": markdown(checks, rows=100)}
        | ({"what failed": dg.MetadataValue.md("\n".join(failing))} if failing else {}),
    )
