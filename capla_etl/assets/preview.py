"""What assets show of a table in Dagster: its columns, its number of rows, a few rows as Markdown. Which rows may be shown is the caller's choice."""

from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd

from capla_etl import fields, paths


def markdown(frame: pd.DataFrame, rows: int = 30) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table; missing cells are empty, numbers have at most four significant digits."""

    def text(value) -> str:
        if value is None or pd.isna(value):
            return ""
        return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")

    lines = [list(frame.columns), ["---"] * len(frame.columns), *([text(v) for v in row] for row in frame.head(rows).itertuples(index=False))]
    rest = f"\n\n{len(frame) - rows} more rows" if len(frame) > rows else ""
    return dg.MetadataValue.md("\n".join("| " + " | ".join(line) + " |" for line in lines) + rest)


def links(published: list[Path]) -> dict[str, dg.MetadataValue]:
    """Published pages as links that open from Dagster while ``capla ui`` serves them, by their places."""
    return {page.relative_to(paths.warehouse()).as_posix(): dg.MetadataValue.url(f"{paths.pages_address()}/{page.relative_to(paths.warehouse())}") for page in published}


def markdown_list(lines: list[str]) -> dg.MarkdownMetadataValue:
    """Lines of text as a Markdown list."""
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))


def table_metadata(connection: duckdb.DuckDBPyConnection, relation: str, meanings: dict[str, str] | None = None) -> dict:
    """Row count, columns with type and meaning, and the name of a table or view ``schema.name`` of the warehouse."""
    schema, name = relation.split(".")
    declared = {n: f.meaning for n, f in fields.fields().items()} | (meanings or {})
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ? order by column_index", [schema, name]
    ).fetchall()
    return {
        "dagster/row_count": connection.execute(f'select count(*) from {schema}."{name}"').fetchone()[0],
        "dagster/column_schema": dg.TableSchema(columns=[dg.TableColumn(c, t, description=declared.get(c)) for c, t in columns]),
        "dagster/table_name": f"capla.{schema}.{name}",
    }
