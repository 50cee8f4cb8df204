"""``capla sql``: ask the published warehouse in SQL, read-only.

With a query it prints the answer. Without one it opens DuckDB's own command line where that is installed, else a small
one (``.tables``, ``.schema TABLE``; a query ends with ``;``). A session stays with the version that it opened,
whatever is published meanwhile.
"""

import argparse
import csv
import io
import json
import os
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from capla_etl import paths
from capla_etl.commands import published
from capla_etl.report import text_table
from capla_etl.sql import quote

if TYPE_CHECKING:
    import duckdb

FORMATS = ("table", "csv", "json", "markdown")
#: Rows that a table on the terminal shows; files and pipes get all.
ROWS_SHOWN = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``[QUERY] [--file FILE] [--format FORMAT]``."""
    parser.add_argument("query", nargs="?", metavar="QUERY", help="SQL to answer (default: ask for queries one by one)")
    parser.add_argument("--file", type=Path, metavar="FILE", help="a file with the SQL instead")
    parser.add_argument("--format", choices=FORMATS, default="table", help="how the answer is printed (default: table)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")


def run(options: argparse.Namespace) -> int:
    """Ask the published warehouse in SQL, read-only."""
    if not published.is_there():
        return 1
    try:
        query = options.file.read_text(encoding="utf-8") if options.file else options.query
    except OSError as error:
        print(f"{options.file}: cannot be read ({error.strerror}).", file=sys.stderr)
        return 1
    if not query and sys.stdin.isatty() and (command_line := shutil.which("duckdb")):
        os.execv(command_line, [command_line, "-readonly", str(published.database())])
    with published.opened() as connection:
        return _answer(connection, query, options.format) if query else _ask(connection, options.format)


def _answer(connection: "duckdb.DuckDBPyConnection", query: str, form: str) -> int:
    """Print the answer to a query; of several, separated by ``;``, the answer to the last."""
    import duckdb

    try:
        answer = connection.execute(query)
        if answer.description:
            print(as_text([name for name, *_ in answer.description], answer.fetchall(), form))
    except duckdb.Error as error:
        print(f"DuckDB: {error}", file=sys.stderr)
        return 1
    return 0


def as_text(names: list[str], rows: list[tuple], form: str) -> str:
    """Format an answer; a table shows at most ``ROWS_SHOWN`` rows. Null is empty, in JSON null."""
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *rows])
        return text.getvalue().rstrip("\n")
    if form == "json":
        records = [dict(zip(names, row, strict=True)) for row in rows]
        other = lambda value: float(value) if isinstance(value, Decimal) else str(value)  # noqa: E731
        return json.dumps(records, indent=1, ensure_ascii=False, default=other)
    shown = rows[:ROWS_SHOWN]
    table = text_table.markdown(names, shown) if form == "markdown" else text_table.aligned(names, shown, rule=True)
    rest = [f"... {len(rows) - ROWS_SHOWN} more rows"] if len(rows) > ROWS_SHOWN else []
    return "\n".join([table, *rest])


def _ask(connection: "duckdb.DuckDBPyConnection", form: str) -> int:
    """Answer queries one by one, from a terminal or a pipe, until the input ends."""
    terminal = sys.stdin.isatty()
    if terminal:
        import readline  # noqa: F401  line editing and history

        from capla_etl.centres.submissions.kind_of_data import sentence

        cut_off = connection.execute("select max(submission) from harmonised.submission").fetchone()[0]
        kind = f" {sentence()}"
        print(f"{paths.published_database()}, data cut-off {cut_off}, read-only.{kind}")
        print("End a query with ; and the session with Ctrl-D. Also: .tables, .schema TABLE.")
    lines: list[str] = []
    while True:
        try:
            line = input(("   ...> " if lines else "capla> ") if terminal else "")
        except EOFError:
            return _answer(connection, "\n".join(lines), form) if "".join(lines).strip() else 0
        if not lines and line.startswith("."):
            _answer(connection, _dot(line), form)
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            _answer(connection, "\n".join(lines), form)
            lines = []


def _dot(line: str) -> str:
    """Make the query behind ``.tables`` and ``.schema TABLE``: names and meanings."""
    command, _, name = line.partition(" ")
    if command == ".schema" and name:
        schema, _, table = name.strip().rpartition(".")
        of_schema = f"schema_name = {quote(schema)} and " if schema else ""
        return f"""select column_name, data_type, comment as meaning from duckdb_columns()
            where {of_schema}table_name = {quote(table)} order by schema_name, column_index"""
    return """select schema_name || '.' || table_name as "table", comment as meaning from duckdb_tables()
        where schema_name <> 'raw' union all
        select schema_name || '.' || view_name, comment from duckdb_views() where not internal order by 1"""
