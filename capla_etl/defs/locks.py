"""The locks of the study: one run at a time builds a warehouse, every run shows that it lives, as does ``capla ui``.

Alternating steps of two runs would publish a mixture. Each lock ends with the process that holds it (``processes``).
"""

from collections.abc import Callable
from pathlib import Path

from capla_etl import paths, processes


def hold_build(who: str, say: Callable[[str], None]) -> None:
    """Take the warehouse for this process until it ends; wait while another run builds it.

    Args:
        who: what this process is, for those who wait for it.
        say: is told who is waited for, at once and every half minute.
    """
    build = paths.warehouse() / "build"
    processes.take_when_free(build / ".lock", who, f"is building {build}", say)


def lock_of_run(instance, run_id: str) -> Path:
    """The lock that a run holds as long as its process lives."""
    return Path(instance.root_directory) / ".runs" / run_id


def lock_of_ui(home: Path) -> Path:
    """The lock that ``capla ui`` holds: one at a time for a DAGSTER_HOME."""
    return home / ".ui.lock"
