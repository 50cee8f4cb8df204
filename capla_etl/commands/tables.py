"""``capla tables``: the study's tables by the defaults of another package, to compare them with its output.

Reads the published warehouse and writes into a folder of the caller; the published tables stay as they are. Defaults
that differ are declared in ``capla_etl.stats.conventions``, the tables in ``capla_etl.study_tables``.
"""

import argparse
import json
import sys
from pathlib import Path

from capla_etl.commands import published

NOTE = (
    "Not the study's own tables: recomputed from the published warehouse by the statistical defaults of `{}` "
    "and the parameters of today's dbt_project.yml."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla tables``."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder for the tables (created if missing)")
    parser.add_argument("--json", action="store_true", help="list the files written, as JSON")
    parser.add_argument(
        "--conventions",
        choices=("protocol", "r", "sas"),
        default="protocol",
        help="defaults of quantiles, intervals, tests and ties (default: those of the protocol)",
    )


def run(options: argparse.Namespace) -> int:
    """Compute the study's tables by the defaults of R or SAS, as CSV and Parquet."""
    from capla_etl.report.files import write_tables
    from capla_etl.stats.conventions import CONVENTIONS
    from capla_etl.study_tables import LISTINGS, recompute

    if not published.is_there():
        return 1
    with published.opened() as connection:
        computed = recompute(connection, CONVENTIONS[options.conventions])
    try:
        tables = {name: frame for name, frame in computed.items() if name not in LISTINGS}
        written = write_tables(tables, options.folder, NOTE.format(options.conventions))
    except OSError as error:
        print(f"The tables cannot be written: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    if options.json:
        found = {"folder": str(options.folder), "conventions": options.conventions}
        print(json.dumps(found | {"files": [path.name for path in written]}, indent=1))
    else:
        print(f"{len(written)} files in {options.folder}, by the defaults of: {options.conventions}")
    return 0
