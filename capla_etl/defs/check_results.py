"""Keep the counts of what checks found in ``quality.check_result``, for the report. No rows are kept."""

import duckdb

#: source ('dbt test', 'expectation'), relation, check_name, then how many passed, failed as a warning and as an error.
Counted = tuple[str, str, str, int, int, int]


def keep(connection: duckdb.DuckDBPyConnection, results: list[Counted]) -> None:
    """Replace what checks of the same source found in the same relations before."""
    connection.execute("create schema if not exists quality")
    connection.execute(
        """create table if not exists quality.check_result (source varchar, relation varchar, check_name varchar,
        passed integer, warned integer, failed integer)"""
    )
    for source, relation in {result[:2] for result in results}:
        connection.execute("delete from quality.check_result where source = ? and relation = ?", [source, relation])
    for result in sorted(results):
        connection.execute("insert into quality.check_result values (?, ?, ?, ?, ?, ?)", result)
