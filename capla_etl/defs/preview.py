"""What assets show of a table in Dagster: its columns, its number of rows, what each column holds, a few rows as Markdown.

Rows of patients are not shown, but counted: metadata is kept with the history of runs. Which rows of other tables may be shown is the caller's choice.
"""

import re
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd

from capla_etl import fields, paths
from capla_etl.sql import identifier


def markdown(frame: pd.DataFrame, rows: int = 30) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table; missing cells are empty, numbers have at most four significant digits."""

    def text(value) -> str:
        if value is None or pd.isna(value):
            return ""
        return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")

    lines = [
        list(frame.columns),
        ["---"] * len(frame.columns),
        *([text(v) for v in row] for row in frame.head(rows).itertuples(index=False)),
    ]
    rest = f"\n\n{len(frame) - rows} more rows" if len(frame) > rows else ""
    return dg.MetadataValue.md("\n".join("| " + " | ".join(line) + " |" for line in lines) + rest)


def links(published: list[Path]) -> dict[str, dg.MetadataValue]:
    """Published pages as links that open from Dagster while ``capla ui`` serves them, by their places."""
    return {
        page.relative_to(paths.warehouse()).as_posix(): dg.MetadataValue.url(
            f"{paths.pages_address()}/{page.relative_to(paths.warehouse())}"
        )
        for page in published
    }


def markdown_list(lines: list[str]) -> dg.MarkdownMetadataValue:
    """Lines of text as a Markdown list."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))


def table_metadata(
    connection: duckdb.DuckDBPyConnection, relation: str, meanings: dict[str, str] | None = None
) -> dict:
    """Row count, columns with type and meaning, what they hold, and the name of a table or view ``schema.name`` of the warehouse."""
    schema, name = relation.split(".")
    declared = {n: f.meaning for n, f in fields.fields().items()} | (meanings or {})
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    profiled = (
        {} if schema == "study" else {"columns": markdown(profile(connection, relation, columns), rows=len(columns))}
    )
    return profiled | {
        "dagster/row_count": connection.execute(f'select count(*) from {schema}."{name}"').fetchone()[0],
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(c, t, description=declared.get(c)) for c, t in columns]
        ),
        "dagster/table_name": f"capla.{schema}.{name}",
    }


#: A text column is one of codes when it has few values, each in many rows, and is none of those that name a person or repeat what was sent.
MOST_CODES, ROWS_PER_CODE = 12, 10
_NEVER_COUNTED = re.compile(
    r".*patient_id|raw_value|value_(before|after)|corrected_value|found|answer|row_key|.*comment|message|same_patient_as"
)


def profile(connection: duckdb.DuckDBPyConnection, relation: str, columns: list[tuple[str, str]]) -> pd.DataFrame:
    """What each column holds: column, known (n of N rows), holds (of codes how often each occurs, of numbers their quartiles).

    Args:
        relation: table or view ``schema.name``.
        columns: (name, type) of each.
    """
    rows = connection.execute(f"select count(*) from {relation}").fetchone()[0]
    counted = []
    for name, kind in columns:
        column = identifier(name)
        known, distinct = connection.execute(
            f"select count({column}), approx_count_distinct({column}) from {relation}"
        ).fetchone()
        holds = ""
        if (
            kind == "VARCHAR"
            and not _NEVER_COUNTED.fullmatch(name)
            and 0 < distinct <= min(MOST_CODES, known / ROWS_PER_CODE)
        ):
            codes = connection.execute(
                f"select {column}, count(*) from {relation} where {column} is not null group by 1 order by 2 desc, 1"
            ).fetchall()
            holds = ", ".join(f"{code or '(empty)'} {number:,}" for code, number in codes)
        elif kind in ("INTEGER", "BIGINT", "DOUBLE") and known >= ROWS_PER_CODE:
            quartiles = connection.execute(
                f"select quantile_cont({column}, [0.25, 0.5, 0.75]) from {relation}"
            ).fetchone()[0]
            holds = "median {1:.4g} (quartiles {0:.4g} to {2:.4g})".format(*quartiles)
        elif kind == "BOOLEAN":
            holds = f"true {connection.execute(f'select count(*) from {relation} where {column}').fetchone()[0]:,}"
        counted.append((name, f"{known:,} of {rows:,}", holds))
    return pd.DataFrame(counted, columns=["column", "known", "holds"])
