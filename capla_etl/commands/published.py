"""Helpers of commands that read the published warehouse."""

import sys
from pathlib import Path

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


def files_of_centres(folder: Path, centre_id: str | None) -> list[Path]:
    """The published files that are named after centres; a published version is never written again.

    Args:
        folder: where they are.
        centre_id: one centre; None: all.

    Raises:
        KeyError: there is none of this centre.
    """
    found = sorted(path for path in folder.glob("*") if path.is_file())
    own = [path for path in found if centre_id in (None, path.stem)]
    if not own:
        there = ", ".join(sorted({path.stem for path in found})) or "no centre"
        raise KeyError(f"centre {centre_id} is not among what is published; it has {there}")
    return own
