"""Comments on every table and column of the warehouse, each taken from where its meaning is declared, so that SQL users read them where they work."""

import duckdb

from capla_etl import fields
from capla_etl.centres.submissions.status import MEANINGS as OF_STATUS
from capla_etl.defs import lineage, tables
from capla_etl.defs.centres import BESIDE
from capla_etl.defs.dbt import MODELS
from capla_etl.quality import centre_quality
from capla_etl.queries import questions
from capla_etl.sql import identifier, quote
from capla_etl.study_tables import study_tables

#: Tables whose meaning no other module declares.
_OTHERS = {
    "quality.check_result": "One row per check: source, table, and how many of its rules passed, warned and failed.",
    "quality.query": "One row per question to a centre: where it is in the files, what was found, what is asked, its status and the answer.",
    "quality.centre_quality": "One row per centre: completeness, refusals, open questions, corrections and timeliness of its data.",
    "outcomes.evidence_cell": "One row per record that evidence names and cell of it: file, sheet, row, column and the text as sent.",
    "study.result_patient": "One row per printed number and patient behind it: numerator, denominator, or value of a median.",
}
#: Columns that ingestion adds to every raw table.
_OF_RAW = {
    "source_file": "File as sent.",
    "source_sheet": "Sheet of a workbook or list inside a JSON record; empty for other files.",
    "source_row": "Row of the file as a spreadsheet shows it.",
    "row_status": "What became of the row: data, duplicate, ignored or refused.",
}


def write_comments(connection: duckdb.DuckDBPyConnection) -> int:
    """Comment every table, view and column of the warehouse.

    Returns:
        How many comments were written.

    Raises:
        KeyError: a table or a column whose meaning is declared nowhere.
    """
    relations = connection.execute(
        """select schema_name, table_name, 'table' from duckdb_tables() where not internal
        union all select schema_name, view_name, 'view' from duckdb_views() where not internal order by all"""
    ).fetchall()
    written = 0
    connection.execute("begin")
    for schema, name, kind in relations:
        place = f"{identifier(schema)}.{identifier(name)}"
        connection.execute(f"comment on {kind} {place} is {quote(_of_table(schema, name))}")
        columns = connection.execute(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ? order by column_index",
            [schema, name],
        ).fetchall()
        for (column,) in columns:
            connection.execute(
                f"comment on column {place}.{identifier(column)} is {quote(_of_column(schema, name, column))}"
            )
        written += 1 + len(columns)
    connection.execute("commit")
    return written


def _of_table(schema: str, name: str) -> str:
    relation = f"{schema}.{name}"
    if schema == "raw":
        return f"One row per row of a file of {name.split('__')[0].upper()} as sent; nothing interpreted, identifying columns left out."
    if name in MODELS and MODELS[name]["schema"] == schema:
        return MODELS[name]["description"]
    if schema == "harmonised" and name in fields.tables():
        return fields.tables()[name].grain
    if schema == "study" and name in (found := {t.name: t.description for t in study_tables()}):
        return found[name]
    return (BESIDE | _OTHERS)[relation]


def _of_column(schema: str, name: str, column: str) -> str:
    if schema == "raw":
        return _OF_RAW.get(column, "As sent.")
    if name in MODELS and MODELS[name]["schema"] == schema:
        return MODELS[name]["columns"][column]["description"]
    if schema == "harmonised" and column in fields.fields():
        return fields.fields()[column].meaning
    if schema == "study" or name == "evidence_cell":
        own = lineage.MEANINGS if name in ("result_patient", "evidence_cell") else {}
        return ({n: f.meaning for n, f in fields.fields().items()} | tables.MEANINGS | own | _LISTED)[column]
    own = {"query": questions.COLUMNS, "centre_status": OF_STATUS, "centre_quality": centre_quality.MEANINGS}.get(
        name, {}
    )
    return (fields.quality_columns() | own)[column]


#: Columns of the study's listings that are those of the marts.
_LISTED = {column: MODELS["patient"]["columns"][column]["description"] for column in ("centre_id", "treatment_group")}
