"""The persistent Dagster instance, and the runs that a dead process left in it."""

import os
import shutil
from pathlib import Path

from capla_etl import paths, processes
from capla_etl.defs.build_lock import lock_of_run


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


#: How often a run that was stopped or killed is started again.
_MOST_RESTARTS = 3
GONE = "The process of this run is gone: it was stopped or killed, or the machine was."


def end_dead_runs(instance, ui_works: bool) -> list[str]:
    """Mark runs whose process is gone as failed and release their DuckDB writer slots, for which others would wait.

    A run holds a lock as long as it lives. One that Dagster has just started holds none yet, and ends with its UI.

    Args:
        ui_works: whether a ``capla ui`` works that may have started runs. Else its runs are dead, and the next one
            starts them again, from their first step.

    Returns:
        The runs that were ended.
    """
    import dagster as dg
    from dagster._core.storage.tags import MAX_RETRIES_TAG, RETRY_STRATEGY_TAG

    ended = []
    for run in unfinished_runs(instance):
        if _alive(instance, run, ui_works):
            continue
        if not ui_works and run.remote_job_origin:
            again = {MAX_RETRIES_TAG: str(_MOST_RESTARTS), RETRY_STRATEGY_TAG: "ALL_STEPS"}
            instance.add_run_tags(run.run_id, again)
        instance.report_run_failed(run, GONE)
        ended.append(run.run_id)
    storage = instance.event_log_storage
    holders = storage.get_concurrency_run_ids()
    for run in instance.get_runs(filters=dg.RunsFilter(run_ids=list(holders))) if holders else []:
        if run.is_finished:
            storage.free_concurrency_slots_for_run(run.run_id)
    for lock in lock_of_run(instance, "").glob("[!.]*"):
        if not processes.is_held(lock):
            lock.unlink(missing_ok=True)
    return ended


def unfinished_runs(instance) -> list:
    """Runs that were started and have not ended."""
    import dagster as dg

    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    return instance.get_runs(filters=dg.RunsFilter(statuses=statuses))


def _alive(instance, run, ui_works: bool) -> bool:
    lock = lock_of_run(instance, run.run_id)
    return processes.is_held(lock) if lock.exists() else ui_works and run.remote_job_origin is not None
