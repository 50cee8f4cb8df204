"""``capla sql``: ask the published warehouse in SQL, read-only.

With a query the answer is printed; without one DuckDB's own command line opens, where it is installed, else a small one of ours (``.tables``,
``.schema TABLE``, a query ends with ``;``). The file is only read: a run that publishes meanwhile replaces it, and whoever has it open keeps the
state that they opened.
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

from capla_etl import paths
from capla_etl.commands import published

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
    if query:
        return _answer(query, options.format)
    if sys.stdin.isatty() and (command_line := shutil.which("duckdb")):
        os.execv(command_line, [command_line, "-readonly", str(paths.published_database())])
    return _ask(options.format)


def _answer(query: str, form: str) -> int:
    """One query, or several parted by ``;``: the answer of the last one."""
    import duckdb

    with published.opened() as connection:
        try:
            answer = connection.execute(query)
            if answer.description:
                print(as_text([name for name, *_ in answer.description], answer.fetchall(), form))
        except duckdb.Error as error:
            print(f"DuckDB: {error}", file=sys.stderr)
            return 1
    return 0


def as_text(names: list[str], rows: list[tuple], form: str) -> str:
    """An answer as text; as a table not more rows than can be read. Null is empty, in JSON null."""
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *rows])
        return text.getvalue().rstrip("\n")
    if form == "json":
        return json.dumps(
            [dict(zip(names, row, strict=True)) for row in rows],
            indent=1,
            ensure_ascii=False,
            default=lambda v: float(v) if isinstance(v, Decimal) else str(v),
        )
    cells = [names, *([_cell(value) for value in row] for row in rows[:ROWS_SHOWN])]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    if form == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        lines.insert(1, "|" + "|".join(" --- " for _ in widths) + "|")
    else:
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        lines.insert(1, "  ".join("-" * w for w in widths))
    rest = [f"... {len(rows) - ROWS_SHOWN} more rows"] if len(rows) > ROWS_SHOWN else []
    return "\n".join([*lines, *rest])


def _cell(value) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _ask(form: str) -> int:
    """Queries one by one, from a terminal or a pipe, until the end of the input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  line editing and history

        from capla_etl.centres.harmonising.pseudonym import is_synthetic

        with published.opened() as connection:
            cut_off = connection.execute("select max(submission) from harmonised.submission").fetchone()[0]
        kind = " Synthetic data." if is_synthetic() else ""
        print(
            f"{paths.published_database()}, data cut-off {cut_off}, read-only.{kind} A query ends with ; — .tables, .schema TABLE, Ctrl-D ends."
        )
    lines: list[str] = []
    while True:
        try:
            line = input("capla> " if sys.stdin.isatty() and not lines else "   ...> " if sys.stdin.isatty() else "")
        except EOFError:
            return _answer("\n".join(lines), form) if "".join(lines).strip() else 0
        if not lines and line.startswith("."):
            _answer(_dot(line), form)
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            _answer("\n".join(lines), form)
            lines = []


def _dot(line: str) -> str:
    """The query behind ``.tables`` and ``.schema TABLE``: what there is and what it means."""
    command, _, name = line.partition(" ")
    if command == ".schema" and name:
        schema, _, table = name.strip().rpartition(".")
        of_schema = f"schema_name = '{schema.replace(chr(39), '')}' and " if schema else ""
        return f"select column_name, data_type, comment as meaning from duckdb_columns() where {of_schema}table_name = '{table.replace(chr(39), '')}' order by schema_name, column_index"
    return """select schema_name || '.' || table_name as "table", comment as meaning from duckdb_tables() where schema_name <> 'raw'
        union all select schema_name || '.' || view_name, comment from duckdb_views() where not internal order by 1"""
