"""Helpers of commands that read the published warehouse."""

import sys

from capla_etl import paths


def is_there() -> bool:
    """Whether there is a published warehouse; prints what to do when there is none."""
    database = paths.published_database()
    if not database.exists():
        print(f"No published warehouse at {database}: run `capla study` first.", file=sys.stderr)
    return database.exists()


def opened():
    """Open the published warehouse read-only; it stays the version that was published then."""
    import duckdb

    return duckdb.connect(str(paths.published_database().resolve()), read_only=True)
