"""dbt in this process: invoked through its own runner, its connections closed, its manifest kept up to date."""

import fcntl
import os
from pathlib import Path

from capla_etl import paths

#: Switches telemetry off. ``.env`` does the same for Dagster's own commands.
QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


class DbtFailed(Exception):
    """dbt did not build what it was asked for; the message names each node that failed and why."""


def target_folder() -> Path:
    """Where dbt keeps what it compiled."""
    target = paths.warehouse() / "build" / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    return target


def invoke(command: list[str], target: Path):
    """Run one dbt command in this process, then close dbt's connections, which would keep the file locked."""
    os.environ.update(QUIET, CAPLA_BUILD_DATABASE=str(paths.build_database()))
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    project = str(paths.DBT_PROJECT)
    folders = ["--target-path", str(target), "--project-dir", project, "--profiles-dir", project]
    try:
        return dbtRunner().invoke(["--quiet", "--log-level", "none", "--log-path", str(target), *command, *folders])
    finally:
        DuckDBConnectionManager.close_all_connections()


def _newest_change(project: Path) -> float:
    """When a file or folder of the dbt project last changed (a deleted file changes its folder)."""
    folders = [project / name for name in ("models", "macros", "tests")]
    inside = [entry for folder in folders for entry in folder.rglob("*")]
    return max(entry.stat().st_mtime for entry in [*folders, *inside, *project.glob("*.yml")] if entry.exists())


def manifest() -> Path:
    """Find dbt's manifest; parse the project only if one of its files is newer, or in a fresh clone.

    Raises:
        DbtFailed: the project cannot be parsed.
    """
    target = paths.DBT_PROJECT / "target"
    made = target / "manifest.json"
    target.mkdir(exist_ok=True)
    with open(target / ".parse.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.stat().st_mtime <= _newest_change(paths.DBT_PROJECT):
            answer = invoke(["parse"], target)
            if not answer.success:
                raise DbtFailed(f"the dbt project cannot be parsed: {answer.exception}")
    return made
