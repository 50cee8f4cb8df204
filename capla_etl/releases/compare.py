"""What moved between two published warehouses: patients, outcomes and study numbers.

``quality.submission_change`` has what was sent differently (rows, cells); this module finds the consequences.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from capla_etl.sql import identifier, quote

#: Columns of marts.patient that say where a record came from or follow from the date of the submission alone.
_NOT_COMPARED = {"submission", "source_file", "source_sheet", "source_row"}


@dataclass(frozen=True)
class Differences:
    """Two states of the study compared.

    ``submissions``: centre_id, before, after (dates; null: not in that state).
    ``patients``: centre_id, centre_patient_id, change ('added', 'withdrawn', 'corrected'), what (columns of
    marts.patient that changed, or 'results' where only daily values did). ``outcomes``: centre_id, centre_patient_id,
    outcome, before, after. ``numbers``: table_id, row, group, statistic; value, n and n_assessed, each with _before and
    _after.
    """

    submissions: pd.DataFrame
    patients: pd.DataFrame
    outcomes: pd.DataFrame
    numbers: pd.DataFrame


def compare_warehouses(before: Path, after: Path) -> Differences:
    """Compare two published warehouses.

    Args:
        before, after: DuckDB files with schemas harmonised, marts, outcomes and study.
    """
    con = duckdb.connect(config={"threads": 1})
    con.execute(f"attach {quote(str(before))} as b (read_only)")
    con.execute(f"attach {quote(str(after))} as a (read_only)")
    try:
        return Differences(_submissions(con), _patients(con), _outcomes(con), _numbers(con))
    finally:
        con.close()


def _submissions(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return con.execute(
        """select centre_id, b.submission as before, a.submission as after
        from b.harmonised.submission b full join a.harmonised.submission a using (centre_id)
        where a.submission is distinct from b.submission order by 1"""
    ).df()


def _shared_columns(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    query = """select column_name from duckdb_columns() where schema_name = ? and table_name = ?
        group by column_name having count(*) = 2 order by max(column_index) filter (database_name = 'a')"""
    return [c for (c,) in con.execute(query, [schema, table]).fetchall() if c not in _NOT_COMPARED]


def _patients(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Added and withdrawn patients, and those whose baseline or daily values changed."""
    key = ("patient_id", "centre_id", "centre_patient_id")
    changed = [
        f"case when a.{identifier(c)} is distinct from b.{identifier(c)} then {quote(c)} end"
        for c in _shared_columns(con, "marts", "patient")
        if c not in key
    ]
    series = ", ".join(_shared_columns(con, "marts", "daily_series"))
    return con.execute(
        f"""with daily as (
            select distinct patient_id from (
                (select {series} from a.marts.daily_series except select {series} from b.marts.daily_series)
                union all (select {series} from b.marts.daily_series except select {series} from a.marts.daily_series)
            )
        )
        select coalesce(a.centre_id, b.centre_id) as centre_id,
               coalesce(a.centre_patient_id, b.centre_patient_id) as centre_patient_id,
               case when b.patient_id is null then 'added' when a.patient_id is null then 'withdrawn'
                    else 'corrected' end as change,
               case when a.patient_id is null or b.patient_id is null then '' else concat_ws(', ', {", ".join(changed)},
                    case when daily.patient_id is not null then 'results' end) end as what
        from a.marts.patient a full join b.marts.patient b using (patient_id)
        left join daily on daily.patient_id = a.patient_id
        where a.patient_id is null or b.patient_id is null or what <> ''
        order by 1, 2"""
    ).df()


def _outcomes(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Outcomes of eligible patients that differ: all those of an added patient, none of a withdrawn one."""
    shared = _shared_columns(con, "outcomes", "patient_outcome")
    columns = {name: identifier(name) for name in shared if name != "patient_id"}
    parts = [
        f"""select patient_id, {quote(name)} as outcome, b.{c}::varchar as before, a.{c}::varchar as after
        from b.outcomes.patient_outcome b full join a.outcomes.patient_outcome a using (patient_id)
        where a.{c} is distinct from b.{c} and patient_id in (select patient_id from a.marts.patient)"""
        for name, c in columns.items()
    ]
    return con.execute(
        f"""select p.centre_id, p.centre_patient_id, m.outcome, m.before, m.after
        from ({" union all ".join(parts)}) m join a.marts.patient p using (patient_id)
        order by 1, 2, 3"""
    ).df()


def _numbers(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Printed numbers whose value, numerator, denominator, limits or p value changed, appeared or disappeared."""
    identity = 'table_id, "row", "group", statistic'
    compared = ["value", "n", "n_assessed", "lower", "upper", "p_value"]
    moved = " or ".join(f"a.{c} is distinct from b.{c}" for c in compared)
    return con.execute(
        f"""select {identity}, b.value as value_before, a.value as value_after, b.n as n_before, a.n as n_after,
               b.n_assessed as n_assessed_before, a.n_assessed as n_assessed_after
        from b.study.result b full join a.study.result a using ({identity})
        where {moved} order by {identity}"""
    ).df()
