"""The locks of the study: one run at a time builds a warehouse, every run shows that it lives, as does ``capla ui``.

Alternating steps of two runs would publish a mixture. Each lock ends with the process that holds it (``processes``).
"""

import math
from collections.abc import Callable
from pathlib import Path

from capla_etl import paths, processes


class BuildInUse(Exception):
    """Another run is building this warehouse; the message says which."""


def hold_build(
    wait_seconds: float = math.inf, say: Callable[[str], None] = print, who: str = "a command in a terminal"
) -> None:
    """Take the warehouse being built for this process until it ends; keep it if this process has it already.

    Args:
        wait_seconds: how long to wait for another run; by default as long as it lives.
        say: is told who is waited for, at once and every half minute.
        who: what this process is, for those who wait for it.

    Raises:
        BuildInUse: another run is still building it after that.
    """
    build = paths.warehouse() / "build"
    place = build / ".lock"
    if not processes.take_when_free(place, who, f"is building {build}", say, wait_seconds):
        advice = "Nothing was changed: start again when it has ended."
        raise BuildInUse(f"{processes.holder(place)} is building {build}. {advice}")


def lock_of_run(instance, run_id: str) -> Path:
    """The lock that a run holds as long as its process lives."""
    return Path(instance.root_directory) / ".runs" / run_id


def lock_of_ui(home: Path) -> Path:
    """The lock that ``capla ui`` holds: one at a time for a DAGSTER_HOME."""
    return home / ".ui.lock"
