"""Comments on every table and column of the warehouse, from where each meaning is declared, for SQL users."""

import duckdb

from capla_etl.defs.dbt import MODELS
from capla_etl.fields import meanings
from capla_etl.protocol.wording import worded
from capla_etl.sql import identifier, quote
from capla_etl.study_tables import study_tables


def write_comments(connection: duckdb.DuckDBPyConnection) -> int:
    """Comment every table, view and column of the warehouse.

    Returns:
        How many comments were written.

    Raises:
        KeyError: nothing declares the meaning of a table or column.
    """
    relations = connection.execute(
        """select schema_name, table_name, 'table' from duckdb_tables() where not internal
        union all select schema_name, view_name, 'view' from duckdb_views() where not internal order by all"""
    ).fetchall()
    columns = connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns() where not internal"
    ).fetchall()
    texts = [(f"{kind} {_place(schema, name)}", _of_table(schema, name)) for schema, name, kind in relations]
    texts += [(f"column {_place(*column)}", _of_column(*column)) for column in columns]
    connection.execute("begin")
    for place, text in texts:
        connection.execute(f"comment on {place} is {quote(text)}")
    connection.execute("commit")
    return len(texts)


def _place(*names: str) -> str:
    return ".".join(map(identifier, names))


def _model(schema: str, name: str) -> dict | None:
    """The dbt model that makes this table or view."""
    return MODELS[name] if name in MODELS and MODELS[name]["schema"] == schema else None


def _of_table(schema: str, name: str) -> str:
    if schema == "raw":
        centre = name.split("__")[0].upper()
        return f"One row per row of a file of {centre} as sent; nothing interpreted, identifying columns left out."
    if model := _model(schema, name):
        return model["description"]
    study = {table.name: table.description for table in study_tables()} if schema == "study" else {}
    return study.get(name) or meanings.of_table(f"{schema}.{name}")


def _of_column(schema: str, name: str, column: str) -> str:
    if schema == "raw":
        return meanings.columns("raw").get(column, "As sent.")
    if model := _model(schema, name):
        return model["columns"][column]["description"]
    try:
        meaning = meanings.of_column(f"{schema}.{name}", column)
    except KeyError:  # a listing of patients shows columns of the mart
        return MODELS["patient"]["columns"][column]["description"]
    return worded(meaning)
