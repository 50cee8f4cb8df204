"""The persistent Dagster instance, and the runs that a dead process left in it."""

import os
import shutil
import time
from pathlib import Path

from capla_etl import paths


def dagster_home() -> Path:
    """Folder of the persistent Dagster instance, with its settings: the UI shows the runs of the terminal too.

    ``DAGSTER_HOME``; else in the folder of ``CAPLA_WAREHOUSE``, as runs keep previews of tables; else in this
    project's folder.
    """
    default = paths.warehouse() / "dagster_home" if os.environ.get("CAPLA_WAREHOUSE") else paths.ROOT / ".dagster_home"
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(default)))
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(paths.ROOT / ".dagster_home" / "dagster.yaml", home / "dagster.yaml")
    return home


def instance_at_home():
    """The persistent Dagster instance."""
    import dagster as dg

    dagster_home()
    return dg.DagsterInstance.get()


#: Tag of a run that names the process it runs in.
PROCESS_TAG = "capla/process"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


#: Dagster's daemon reports every 30 seconds; after this time without a report it is gone.
_SILENT_SECONDS = 75


def _served(instance) -> bool:
    """Whether a Dagster daemon, and so a ``capla ui``, works on this instance."""
    last = [heartbeat.timestamp for heartbeat in instance.get_daemon_heartbeats().values()]
    return any(time.time() - timestamp < _SILENT_SECONDS for timestamp in last)


def end_dead_runs(instance) -> None:
    """Mark killed runs as failed and release their DuckDB writer slot, for which the next run would wait for ever.

    A terminal's run is dead when its process is. The UI ends its own runs, so one of these is dead when no UI works.
    """
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        process = run.tags.get(PROCESS_TAG)
        if not _alive(int(process)) if process else not _served(instance):
            instance.report_run_failed(run, "The process of this run ended before the run did.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
