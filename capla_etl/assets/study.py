"""The study's tables: each reads marts and outcomes, calls one pure function of ``capla_etl.stats.study`` and writes ``study.<name>``."""

import base64
import io
from collections.abc import Callable
from functools import partial

import dagster as dg
import duckdb
import pandas as pd

from capla_etl.assets.centres import asset_key
from capla_etl.assets.preview import markdown, table_metadata
from capla_etl.protocol import parameter
from capla_etl.report import figures
from capla_etl.resources import WRITER_POOL, Warehouse
from capla_etl.stats import agreement, study
from capla_etl.stats.results import COLUMNS

BIOSTATISTICS = ["team:biostatistics"]

#: DuckDB type of the pandas types that statistics functions return; anything else keeps what DuckDB reads from the frame.
SQL_TYPES = {"string": "VARCHAR", "object": "VARCHAR", "float64": "DOUBLE", "Float64": "DOUBLE", "int64": "INTEGER", "Int64": "INTEGER", "bool": "BOOLEAN"}

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
    "incidence": "Cumulative incidence of clinical response (0 to 1), death competing.",
    "death_incidence": "Cumulative incidence of death without response (0 to 1).",
    "outcome": "Outcome in which derived and reported disagree.",
    "patient_id": "Patient; the key of every mart.",
    "derived": "What the rules of the protocol give.",
    "reported": "What the centre judged.",
    "derived_day": "Day of the derived outcome (refractory: of its assessment).",
    "reported_day": "Day that the centre states; null where centres report none.",
    "days_difference": "Derived minus reported day.",
}


def read(connection: duckdb.DuckDBPyConnection, relation: str) -> pd.DataFrame:
    """A table of the warehouse as a data frame, in the order in which it was written."""
    return connection.execute(f"select * from {relation}").df()


def write(connection: duckdb.DuckDBPyConnection, relation: str, frame: pd.DataFrame) -> None:
    """Write a data frame as a table with the types of its columns, also where a column holds nothing."""
    columns = ", ".join(f'"{c}"::{SQL_TYPES[str(t)]} as "{c}"' if str(t) in SQL_TYPES else f'"{c}"' for c, t in frame.dtypes.items())
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
        return {"figure": dg.MetadataValue.md(f"![figure](data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()})")}

    return show


def study_table(name: str, description: str, compute: Callable[..., pd.DataFrame], inputs: dict[str, str], show: Callable[[pd.DataFrame], dict] = _preview):
    """An asset that writes ``study.<name>``.

    Args:
        name: name of the table.
        description: begins "One row per".
        compute: pure function; its arguments are the keys of ``inputs``.
        inputs: argument -> table of the warehouse that it is read from.
        show: metadata made from the result: a preview, or a plot.
    """

    @dg.asset(
        key=["study", name],
        deps=[asset_key(relation) for relation in inputs.values()],
        group_name="study",
        kinds={"python", "pandas", "duckdb"},
        owners=BIOSTATISTICS,
        description=f"{description}\n\nSynthetic data: agreement with the published figures is no evidence about the drug.",
        pool=WRITER_POOL,
    )
    def table(warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.connect() as connection:
            frame = compute(**{argument: read(connection, relation) for argument, relation in inputs.items()})
            write(connection, f"study.{name}", frame)
            return dg.MaterializeResult(metadata=table_metadata(connection, f"study.{name}", MEANINGS) | show(frame))

    return table


def _as_published(patient: pd.DataFrame, outcome: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
    return study.as_published(pd.concat(tables.values(), ignore_index=True), patient, outcome, follow_up_days=parameter("follow_up_days"))


def _union(**tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables.values(), ignore_index=True).astype(COLUMNS)


def _with_follow_up(function: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """A function of the study with the protocol's length of follow-up filled in."""
    return partial(function, follow_up_days=parameter("follow_up_days"))


PATIENT = {"patient": "marts.patient"}
OUTCOME = PATIENT | {"outcome": "outcomes.patient_outcome"}
REPORTED = OUTCOME | {"reported": "marts.reported_outcome"}
ADVERSE = PATIENT | {"adverse_event_assessed": "marts.adverse_event_assessed", "adverse_event": "marts.adverse_event"}
LEDGER = PATIENT | {"ledger": "quality.ledger", "quarantine": "quality.quarantine"}

#: Tables whose numbers are printed in full and compared with the abstract, in the order of the report.
MAIN = ["flow", "table1", "table2", "table5", "table6"]
PRINTED = [*MAIN, "table7", "survival", "response_incidence", "as_published"]
#: Tables with one row per patient: in the warehouse and the report for insiders, never among the files of outputs.
LISTINGS = ["disagreement"]

study_assets = [
    study_table("flow", "One row per count of the flow diagram: records received, refused, excluded, analysed.", study.flow, LEDGER),
    study_table("table1", "One row per number of Table 1: baseline by group.", study.table1, PATIENT),
    study_table("table2", "One row per number of Table 2: outcomes by group.", _with_follow_up(study.table2), OUTCOME | {"daily_series": "marts.daily_series"}),
    study_table("table5", "One row per number of Table 5: adverse events under caplacizumab.", study.table5, ADVERSE),
    study_table("table6", "One row per number of Table 6: deaths.", _with_follow_up(study.table6), PATIENT),
    study_table("table7", "One row per number of Table 7: derived against reported outcomes.", agreement.table7, REPORTED),
    study_table("disagreement", "One row per patient and outcome in which derived and reported disagree.", agreement.disagreements, REPORTED),
    study_table("survival", "One row per number of the survival table, at the printed days.", _with_follow_up(study.survival_table), PATIENT),
    study_table("response_incidence", "One row per number of the response table.", _with_follow_up(study.response_incidence), OUTCOME),
    study_table("as_published", "One row per figure of the abstract and what was computed.", _as_published, OUTCOME | {t: f"study.{t}" for t in MAIN}),
    study_table("result", "One row per printed number of the study.", _union, {t: f"study.{t}" for t in PRINTED}),
    study_table("survival_curve", "One row per group and day: Kaplan-Meier survival.", _with_follow_up(study.survival_curve), PATIENT, plot(figures.survival_figure)),
    study_table(
        "response_incidence_curve",
        "One row per group and day: cumulative incidence of clinical response, death competing.",
        _with_follow_up(study.response_incidence_curve),
        OUTCOME,
        plot(figures.response_incidence_figure),
    ),
]
