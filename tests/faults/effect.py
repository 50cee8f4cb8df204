"""What a fault does to the printed numbers of Tables 1 and 2: the dbt models over one centre, pooled with the others.

A patient reported by two centres is found in the whole study only; here each centre is derived by itself.

What does not belong here: whether the fault is seen (measure.py).
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from capla_etl import dbt_runner, fields
from capla_etl.protocol.parameters import parameter
from capla_etl.tables.groups import arms
from capla_etl.tables.population import eligible_outcomes
from capla_etl.tables.table1 import TABLE_1_ANSWERS, TABLE_1_VALUES
from capla_etl.tables.table2_to_4 import outcome_answers, outcome_days, with_adamts13_measured

_READ = ("patient", "patient_outcome", "daily_series")


@dataclass(frozen=True)
class Moved:
    """How far the printed numbers of Tables 1 and 2 move.

    ``places``: in units of their last printed place. ``points``: proportions, in percentage points. ``ratio``: medians
    and quartiles, as a share of themselves. ``what``: the number that moves most places.
    """

    places: float = 0
    points: float = 0
    ratio: float = 0
    what: str = ""

    @property
    def beyond_rounding(self) -> bool:
        return self.places > 1

    @property
    def clearly(self) -> bool:
        """By more than a percentage point, or a fiftieth of a median."""
        return self.points > 1 or self.ratio > 0.02


@cache
def models() -> list[tuple[str, str]]:
    """Name and SQL of each model that Tables 1 and 2 need, in order, as dbt compiles them."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("CAPLA_WAREHOUSE")
        os.environ["CAPLA_WAREHOUSE"] = folder
        try:
            Path(folder, "build").mkdir()
            answer = dbt_runner.invoke(["compile"], Path(folder))
        finally:
            os.environ.pop("CAPLA_WAREHOUSE") if before is None else os.environ.update(CAPLA_WAREHOUSE=before)
    if not answer.success:
        raise RuntimeError(f"dbt compile: {answer.exception}")
    nodes = {result.node.unique_id: result.node for result in answer.result if result.node.resource_type == "model"}
    needed: set[str] = set()
    waiting = [f"model.capla.{name}" for name in _READ]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in needed:
            needed.add(name)
            waiting += nodes[name].depends_on.nodes
    order = TopologicalSorter({name: set(nodes[name].depends_on.nodes) & needed for name in needed}).static_order()
    return [(nodes[name].relation_name, nodes[name].compiled_code) for name in order]


def derived(tables: dict) -> pd.DataFrame:
    """Eligible patients of one centre with their outcomes.

    Args:
        tables: as ``judged`` returns them.
    """
    con = duckdb.connect(config={"threads": 1})
    con.execute("attach ':memory:' as capla; use capla")
    for schema in ("harmonised", "staging", "intermediate", "marts", "outcomes"):
        con.execute(f"create schema {schema}")
    for name in (*fields.tables(), "list_absence", "submission"):
        con.register("arrived", tables[f"harmonised.{name}"])
        con.execute(f"create table harmonised.{name} as from arrived")
    for name, sql in models():
        con.execute(f"create table {name} as {sql}")
    patient, outcome, series = (
        con.execute(f"from {name}").df() for name in ("marts.patient", "outcomes.patient_outcome", "marts.daily_series")
    )
    return with_adamts13_measured(eligible_outcomes(patient, outcome), series)


def numbers(patients: pd.DataFrame) -> dict[tuple[str, str, str, str], float]:
    """Table, row, arm and statistic -> value, for the proportions, medians and quartiles of Tables 1 and 2."""
    found = {}
    days = parameter("follow_up_days")
    for arm, members in arms(patients).items():
        found["table1", "patients", arm, "count"] = float(len(members))
        members = members.assign(female=members["sex"].map({"female": "yes", "male": "no"}))
        answers = {("table1", row): members[row] for row in TABLE_1_ANSWERS}
        answers |= {("table2", row): of for row, of in outcome_answers(members).items()}
        values = {("table1", row): members[column] for row, column in TABLE_1_VALUES.items()}
        values |= {("table2", row): of for row, of in outcome_days(members, follow_up_days=days).items()}
        for (table, row), of in answers.items():
            said = of.map({"yes": 1.0, "no": 0.0, True: 1.0, False: 0.0}).dropna()
            found[table, row, arm, "percent"] = 100 * said.mean() if len(said) else np.nan
        for (table, row), of in values.items():
            known = pd.to_numeric(of).dropna().to_numpy(float)
            for name, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
                found[table, row, arm, name] = float(np.quantile(known, share)) if len(known) else np.nan
    return found


def moved(before: dict, after: dict) -> Moved:
    """How far numbers moved; one that appears or goes has moved without limit."""
    changes = list(_changes(before, after))
    points = [change for (*_, name), change, _, _ in changes if name == "percent"]
    ratios = [change / abs(old) for (*_, name), change, _, old in changes if name not in ("percent", "count") and old]
    most = max(changes, key=lambda c: c[1] / c[2], default=None)
    if most is None:
        return Moved()
    return Moved(most[1] / most[2], max(points, default=0), max(ratios, default=0), ", ".join(most[0]))


def _changes(before: dict, after: dict) -> Iterator[tuple]:
    """Which number, how much it changed, the unit of its last printed place, its old value."""
    for which, old in before.items():
        new = after[which]
        if np.isnan(old) and np.isnan(new):
            continue
        quartiles = [before[(*which[:3], name)] for name in ("q1", "median", "q3") if (*which[:3], name) in before]
        whole = which[3] == "count" or quartiles and all(value % 1 == 0 for value in quartiles)
        yield which, abs(new - old) if new == new and old == old else np.inf, 1 if whole else 0.1, old
