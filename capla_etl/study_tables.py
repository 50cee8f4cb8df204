"""The study's tables, each once: its name, what it is computed from and by which function of ``capla_etl.stats``.

Assets materialize them and ``capla tables`` recomputes them by another package's conventions, both from this list.
Reading, writing and what a number means do not belong here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import duckdb
import pandas as pd

from capla_etl.audit import abstract, printed_numbers
from capla_etl.protocol.parameters import parameter
from capla_etl.stats.conventions import Conventions, conventions
from capla_etl.tables import as_published, curves, flow, table1, table2_to_4, table5, table6, table7
from capla_etl.tables.results import COLUMNS
from capla_etl.tables.table8 import table8


@dataclass(frozen=True)
class StudyTable:
    """One table ``study.<name>``.

    Attributes:
        name: name of the table.
        description: begins "One row per".
        compute: pure function; its arguments are the keys of ``inputs``.
        inputs: argument -> table of the warehouse.
        beside: table that it is printed with: it is made after that one, though nothing is read from there.
    """

    name: str
    description: str
    compute: Callable[..., pd.DataFrame]
    inputs: dict[str, str]
    beside: str | None = None


PATIENT = {"patient": "marts.patient"}
OUTCOME = PATIENT | {"outcome": "outcomes.patient_outcome"}
WITH_SERIES = OUTCOME | {"daily_series": "marts.daily_series"}
REPORTED = OUTCOME | {"reported": "marts.reported_outcome"}
ADVERSE = PATIENT | {"adverse_event_assessed": "marts.adverse_event_assessed", "adverse_event": "marts.adverse_event"}
LEDGER = PATIENT | {"ledger": "quality.ledger", "quarantine": "quality.quarantine"}
RULE_SETS = PATIENT | {"outcome_by_rule_set": "outcomes.patient_outcome_by_rule_set"}

#: Tables that are compared with the abstract.
MAIN = ["flow", "table1", "table2", "table3", "table5", "table6"]
#: Tables of curves at printed days, by the figure that shows them.
CURVES = {name: f"{name}_curve" for name in ("survival", "response_incidence", "adamts13_incidence")}
#: Tables whose numbers are printed, in the order of the report: together they are ``study.result``.
PRINTED = ["flow", *(f"table{number}" for number in range(1, 9)), *CURVES, "as_published"]
#: Tables with one row per patient: in the warehouse and the report for insiders, never among the files of outputs.
LISTINGS = ["disagreement"]


def _as_published(**tables: pd.DataFrame) -> pd.DataFrame:
    return as_published.as_published(pd.concat(tables.values(), ignore_index=True))


def _union(**tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables.values(), ignore_index=True).astype(COLUMNS)


def _study(names: list[str]) -> dict[str, str]:
    return {name: f"study.{name}" for name in names}


def sensitivity_settings() -> table8.Settings:
    """The parameters of Table 8's analyses."""
    return table8.Settings(
        follow_up_days=parameter("follow_up_days"),
        grace_days=parameter("early_start_by_day"),
        landmark_days=tuple(parameter("landmark_days")),
        truncate_percentile=parameter("weights_truncated_at_percentile"),
        default_rule_set=parameter("default_rule_set"),
        imputations=parameter("imputations"),
        bootstrap_replicates=parameter("bootstrap_replicates"),
    )


def study_table(name: str) -> StudyTable:
    """The table of this name, by the parameters in force; ``StopIteration`` when there is none."""
    return next(table for table in study_tables() if table.name == name)


def study_tables(by: Conventions | None = None) -> list[StudyTable]:
    """All tables, each after those that it is computed from.

    Args:
        by: conventions of quantiles, intervals and tests; None: those of the parameter ``statistics_conventions``.
    """
    by = by or conventions(parameter("statistics_conventions"))
    both = {"follow_up_days": parameter("follow_up_days"), "conventions": by}
    settings = {"settings": sensitivity_settings()}
    number, curve = "One row per number of", "One row per group and day:"
    tables = (
        (
            "flow",
            "One row per count of the flow diagram: records received, refused, excluded, analysed.",
            flow.flow,
            LEDGER,
        ),
        ("table1", f"{number} Table 1: baseline by group.", partial(table1.table1, conventions=by), PATIENT),
        ("table2", f"{number} Table 2: outcomes by group.", partial(table2_to_4.table2, **both), WITH_SERIES),
        (
            "table3",
            f"{number} Table 3: outcomes by start of caplacizumab.",
            partial(table2_to_4.table3, **both),
            WITH_SERIES,
        ),
        (
            "table4",
            f"{number} Table 4: main outcomes with and without rituximab.",
            partial(table2_to_4.table4, **both),
            OUTCOME,
        ),
        ("table5", f"{number} Table 5: adverse events under caplacizumab.", table5.table5, ADVERSE),
        ("table6", f"{number} Table 6: deaths.", partial(table6.table6, **both), PATIENT),
        (
            "table7",
            f"{number} Table 7: derived against reported outcomes.",
            partial(table7.table7, conventions=by),
            REPORTED,
        ),
        (
            "table8",
            f"{number} Table 8: rule variants and analyses.",
            partial(table8.table8, conventions=by, **settings),
            RULE_SETS,
        ),
        (
            "disagreement",
            "One row per patient and outcome in which derived and reported disagree.",
            table7.disagreements,
            REPORTED,
        ),
        (
            "survival",
            f"{number} the survival table, at the printed days.",
            partial(curves.survival_table, **both),
            PATIENT,
        ),
        ("response_incidence", f"{number} the response table.", partial(curves.response_incidence, **both), OUTCOME),
        (
            "adamts13_incidence",
            f"{number} the ADAMTS13 recovery table.",
            partial(curves.adamts13_incidence, **both),
            OUTCOME,
        ),
        ("as_published", "One row per figure of the abstract and what was computed.", _as_published, _study(MAIN)),
        ("result", "One row per printed number of the study.", _union, _study(PRINTED)),
        (
            "audit",
            "One row per check of the printed numbers against each other.",
            printed_numbers.audit,
            {"results": "study.result"},
        ),
        (
            "consistency",
            "One row per relation between figures of the abstract: which can be true together.",
            abstract.check_abstract,
            {},
            "study.as_published",
        ),
        (
            "balance",
            "One row per covariate and weighting: balance of the groups.",
            partial(table8.balance, **settings),
            OUTCOME,
        ),
        ("survival_curve", f"{curve} Kaplan-Meier survival.", partial(curves.survival_curve, **both), PATIENT),
        (
            "response_incidence_curve",
            f"{curve} cumulative incidence of clinical response, death competing.",
            partial(curves.response_incidence_curve, **both),
            OUTCOME,
        ),
        (
            "adamts13_incidence_curve",
            f"{curve} cumulative incidence of ADAMTS13 recovery, death competing.",
            partial(curves.adamts13_incidence_curve, **both),
            OUTCOME,
        ),
    )
    return [StudyTable(*table) for table in tables]


def read(connection: duckdb.DuckDBPyConnection, relation: str) -> pd.DataFrame:
    """A table of the warehouse as a data frame, in the order in which it was written."""
    return connection.execute(f"select * from {relation}").df()


def recompute(connection: duckdb.DuckDBPyConnection, by: Conventions) -> dict[str, pd.DataFrame]:
    """All tables from a warehouse by given conventions; nothing is written.

    Args:
        connection: a published warehouse.
        by: the conventions.
    """
    computed: dict[str, pd.DataFrame] = {}
    for table in study_tables(by):
        given = {
            argument: computed[relation.removeprefix("study.")]
            if relation.startswith("study.")
            else read(connection, relation)
            for argument, relation in table.inputs.items()
        }
        computed[table.name] = table.compute(**given)
    return computed
