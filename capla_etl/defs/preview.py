"""What assets show of a table in Dagster: its columns, row count, what each column holds, a few rows as Markdown.

Rows of patients are counted, not shown, because metadata stays in the history of runs. Callers choose which rows of
other tables to show.
"""

import re
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd

from capla_etl import paths
from capla_etl.fields import meanings
from capla_etl.protocol.wording import worded
from capla_etl.report import text_table
from capla_etl.sql import identifier


def markdown(frame: pd.DataFrame, rows: int = 30) -> dg.MarkdownMetadataValue:
    """Show the first rows of a frame as a Markdown table: missing cells empty, numbers to four significant digits."""
    shown = frame.head(rows).astype(object).where(frame.head(rows).notna(), None).itertuples(index=False)
    rest = f"\n\n{len(frame) - rows} more rows" if len(frame) > rows else ""
    return dg.MetadataValue.md(text_table.markdown(list(frame.columns), shown, digits=4) + rest)


def links(published: list[Path]) -> dict[str, dg.MetadataValue]:
    """Links to published pages, by their places; they open from Dagster while ``capla ui`` serves the pages."""
    places = [page.relative_to(paths.warehouse()).as_posix() for page in published]
    return {place: dg.MetadataValue.url(f"{paths.pages_address()}/{place}") for place in places}


def markdown_list(lines: list[str]) -> dg.MarkdownMetadataValue:
    """Lines of text as a Markdown list."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))


def table_metadata(
    connection: duckdb.DuckDBPyConnection, relation: str, described: dict[str, str] | None = None
) -> dict:
    """Name, row count, and columns with type, meaning and content of a table or view ``schema.name`` of the warehouse.

    Args:
        described: column -> meaning, where dbt declares it.
    """
    columns = connection.execute(
        """select column_name, data_type from duckdb_columns() where schema_name || '.' || table_name = ?
        order by column_index""",
        [relation],
    ).fetchall()
    of = {c: (described or {}).get(c) or _meaning(relation, c) for c, _ in columns}
    shown = {
        "dagster/row_count": connection.execute(f"select count(*) from {relation}").fetchone()[0],
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(c, t, description=of[c]) for c, t in columns]),
        "dagster/table_name": f"capla.{relation}",
    }
    if not relation.startswith("study."):
        shown["columns"] = markdown(profile(connection, relation, columns), rows=len(columns))
    return shown


def _meaning(relation: str, column: str) -> str | None:
    try:
        return worded(meanings.of_column(relation, column))
    except KeyError:
        return None


#: A text column holds codes if it has few values, each in many rows, and neither names a person nor repeats a cell.
MOST_CODES, ROWS_PER_CODE = 12, 10
_NEVER_COUNTED = re.compile(
    r".*patient_id|raw_value|value_(before|after)|corrected_value|found|answer|row_key|.*comment|message"
    "|same_patient_as|patient_numbers"
)


def profile(connection: duckdb.DuckDBPyConnection, relation: str, columns: list[tuple[str, str]]) -> pd.DataFrame:
    """Describe each column.

    Args:
        relation: table or view ``schema.name``.
        columns: (name, type) of each.

    Returns:
        column, known (n of N rows), holds (codes: how often each occurs; numbers: median and quartiles).
    """
    rows = connection.execute(f"select count(*) from {relation}").fetchone()[0]
    counted = []
    for name, kind in columns:
        column = identifier(name)
        known, distinct = connection.execute(
            f"select count({column}), approx_count_distinct({column}) from {relation}"
        ).fetchone()
        holds = ""
        codes_at_most = 0 if _NEVER_COUNTED.fullmatch(name) else min(MOST_CODES, known / ROWS_PER_CODE)
        if kind == "VARCHAR" and 0 < distinct <= codes_at_most:
            codes = connection.execute(
                f"select {column}, count(*) from {relation} where {column} is not null group by 1 order by 2 desc, 1"
            ).fetchall()
            holds = ", ".join(f"{code or '(empty)'} {number:,}" for code, number in codes)
        elif kind in ("INTEGER", "BIGINT", "DOUBLE") and known >= ROWS_PER_CODE:
            query = f"select quantile_cont({column}, [0.25, 0.5, 0.75]) from {relation}"
            holds = "median {1:.4g} (quartiles {0:.4g} to {2:.4g})".format(*connection.execute(query).fetchone()[0])
        elif kind == "BOOLEAN":
            holds = f"true {connection.execute(f'select count(*) from {relation} where {column}').fetchone()[0]:,}"
        counted.append((name, f"{known:,} of {rows:,}", holds))
    return pd.DataFrame(counted, columns=["column", "known", "holds"])
