"""Worked examples through the dbt models: harmonised tables of a course go in, outcomes come out as the protocol says.

The examples and the expected values are in ``worked_examples.yml``; the dbt unit tests of the single definitions run
on the same database. This module reads no centre's files and holds no rule: it lays courses out as rows and compares.
"""

import datetime as dt
import re
from pathlib import Path

import duckdb
import pytest
import yaml

from capla_etl import fields, paths

EXAMPLES = yaml.safe_load((Path(__file__).parent / "worked_examples.yml").read_text())
DAY_0 = dt.date(2020, 3, 1)
DAY_0_CONTROL = dt.date(2016, 3, 1)


def create_harmonised(con: duckdb.DuckDBPyConnection) -> None:
    """Empty harmonised tables with the columns and types that ingestion writes."""
    con.execute("create schema harmonised")
    for table in fields.tables().values():
        columns = ", ".join(f"{name} {fields.sql_type(name)}" for name in table.all_columns)
        con.execute(f"create table harmonised.{table.name} ({columns})")
    con.execute("create table harmonised.list_absence (centre_id VARCHAR, list_name VARCHAR, absence VARCHAR)")
    con.execute("create table harmonised.submission (centre_id VARCHAR, submission DATE)")


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict]) -> None:
    """Append rows to ``harmonised.<table>``; the columns are those of the first row, the others stay null."""
    columns = list(rows[0])
    marks = f"({', '.join('?' for _ in columns)})"
    con.execute(
        f"insert into harmonised.{table} ({', '.join(columns)}) values {', '.join(marks for _ in rows)}",
        [row[column] for row in rows for column in columns],
    )


def by_day(text: str | None) -> list[tuple[int, str]]:
    """'0:12 4-6:200' -> [(0, '12'), (4, '200'), (5, '200'), (6, '200')]."""
    pairs = []
    for token in (text or "").split():
        days, value = token.split(":")
        first, _, last = days.partition("-")
        pairs += [(day, value) for day in range(int(first), int(last or first) + 1)]
    return pairs


def session_days(text: str | None) -> list[int]:
    """'0-2 4x2' -> [0, 1, 2, 4, 4]: one entry per session."""
    days = []
    for token in (text or "").split():
        span, _, sessions = token.partition("x")
        first, _, last = span.partition("-")
        days += [day for day in range(int(first), int(last or first) + 1) for _ in range(int(sessions or 1))]
    return days


def load(con: duckdb.DuckDBPyConnection, examples: dict[str, dict]) -> None:
    """Write the examples as harmonised rows, each example one patient of the centre GOLD."""
    rows: dict[str, list[dict]] = {table: [] for table in ("patient", "lab_result", "tpe_session", "drug_course")}
    for name, example in examples.items():
        day_0 = example.get("day0") or (DAY_0 if example.get("caplacizumab") else DAY_0_CONTROL)
        last_seen, death = example.get("last_seen", 200), example.get("death")

        def row(source_row: int, name: str = name, **columns: object) -> dict:
            return {
                "patient_id": name,
                "centre_id": "GOLD",
                "centre_patient_id": name,
                "source_row": source_row,
                **columns,
            }

        def date(day: str, day_0: dt.date = day_0) -> dt.date | None:
            return None if day == "?" else day_0 + dt.timedelta(days=int(day))

        answers = (
            "first_episode",
            "neurological_involvement",
            "coma",
            "corticosteroids",
            "reported_refractory",
            "reported_exacerbation",
        )
        rows["patient"].append(
            row(
                1,
                **dict.fromkeys(answers, "unknown"),
                sex="female",
                age_years_at_first_tpe=40,
                diagnosis="ittp",
                adamts13_percent=5.0,
                adamts13_comparator="<",
                died="no" if death is None else "yes",
                death_date=None if death is None else date(death),
                last_contact_date=date(last_seen if death is None else death),
            )
        )
        for analyte in ("platelets", "ldh", "adamts13"):
            for number, (day, value) in enumerate(by_day(example.get(analyte))):
                comparator, figure = re.fullmatch(r"([<>]?)(.+)", value).groups()
                rows["lab_result"].append(
                    row(
                        number,
                        analyte=analyte,
                        result_date=date(day),
                        value=float(figure),
                        comparator=comparator or None,
                    )
                )
        for number, day in enumerate(session_days(example.get("tpe"))):
            rows["tpe_session"].append(row(number, session_date=date(day)))
        for number, course in enumerate(example.get("caplacizumab", [])):
            start, end = course.split("-")
            rows["drug_course"].append(row(number, drug="caplacizumab", start_date=date(start), end_date=date(end)))
    for table, table_rows in rows.items():
        insert(con, table, table_rows)
    insert(
        con,
        "list_absence",
        [
            {"centre_id": "GOLD", "list_name": name, "absence": "none"}
            for name in ("tpe_session", "drug_course", "adverse_event")
        ],
    )


def run_dbt(database: Path, scratch: Path, *arguments: str) -> None:
    """Run dbt on ``database`` in this process, and let go of the file. Fails with what dbt reported."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    project = str(paths.DBT_PROJECT)
    folders = [
        "--project-dir",
        project,
        "--profiles-dir",
        project,
        "--target-path",
        str(scratch / "target"),
        "--log-path",
        str(scratch / "logs"),
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CAPLA_BUILD_DATABASE", str(database))
        try:
            result = dbtRunner().invoke(["--quiet", *arguments, *folders])
        finally:
            DuckDBConnectionManager.close_all_connections()
    reported = [
        f"{run.node.name}: {run.message}" for run in result.result or [] if run.status not in ("success", "pass")
    ]
    assert result.success, result.exception or "\n".join(reported)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``capla.duckdb``: the examples as harmonised tables, and every model built on them."""
    folder = tmp_path_factory.mktemp("worked_examples")
    with duckdb.connect(str(folder / "capla.duckdb")) as con:
        create_harmonised(con)
        load(con, EXAMPLES)
    run_dbt(folder / "capla.duckdb", folder, "run")
    return folder


@pytest.fixture(scope="module")
def computed(scratch: Path) -> dict[tuple[str, str], dict]:
    """(what is compared, example) -> the row that the models computed."""
    rows = {}
    with duckdb.connect(str(scratch / "capla.duckdb"), read_only=True) as con:
        for table, compared in (
            ("outcomes.patient_outcome", "'expect'"),
            ("marts.patient", "'patient'"),
            ("outcomes.patient_outcome_by_rule_set", "rule_set"),
        ):
            cursor = con.execute(f"select {compared} as compared, * from {table}")
            names = [column[0] for column in cursor.description]
            for values in cursor.fetchall():
                row = dict(zip(names, values, strict=True))
                rows[row["compared"], row["patient_id"]] = row
    return rows


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_example(computed: dict[tuple[str, str], dict], name: str) -> None:
    example = EXAMPLES[name]
    compared = {
        "expect": example.get("expect", {}),
        "patient": example.get("patient", {}),
        **example.get("rule_sets", {}),
    }
    different = {
        f"{where}.{column}": {"expected": expected, "found": computed[where, name][column]}
        for where, columns in compared.items()
        for column, expected in columns.items()
        if computed[where, name][column] != expected
    }
    assert not different


def test_each_definition_by_itself(scratch: Path) -> None:
    """The dbt unit tests: boundaries on both sides and missing data, one definition at a time."""
    run_dbt(scratch / "capla.duckdb", scratch, "test", "--select", "test_type:unit")
