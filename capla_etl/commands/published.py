"""Helpers of commands that read the published warehouse."""

import sys
from pathlib import Path

from capla_etl import paths


def database() -> Path:
    """The published warehouse as it is now: this file stays that of its version when another is published."""
    return paths.published_database().resolve()


def is_there() -> bool:
    """Whether there is a published warehouse; prints what to do when there is none."""
    there = paths.published_database().exists()
    if not there:
        print(f"No published warehouse at {paths.published_database()}: run `capla study` first.", file=sys.stderr)
    return there


def opened():
    """Open the published warehouse read-only."""
    import duckdb

    return duckdb.connect(str(database()), read_only=True)


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
