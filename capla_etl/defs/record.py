"""Record every run in the audit trail, whether it comes from the terminal, the UI, a sensor or a schedule.

What does not belong here: what a line holds (``capla_etl.releases.trail``).
"""

import contextlib
from collections.abc import Iterator

import dagster as dg

from capla_etl.releases import trail

_INTERRUPTED = "DagsterExecutionInterruptedError"

#: Runs of this process that are being recorded: a resource that others depend on is made once for each of them.
_recording: set[str] = set()


@contextlib.contextmanager
def recorded(context: dg.InitResourceContext, settings: dict[str, str]) -> Iterator[None]:
    """Record the beginning of a run, and how it ended; nothing where a resource is used without a run.

    Raises:
        dg.Failure: the beginning cannot be recorded, so the run must not go on.
    """
    run = context.dagster_run
    if run is None or run.run_id in _recording:
        yield
        return
    chosen = {name: value for name, value in settings.items() if name in _CHOSEN}
    try:
        trail.begin(run.run_id, run.job_name, _started_by(run), chosen)
    except (OSError, trail.TrailBroken) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise dg.Failure(f"The run cannot be recorded in the audit trail, so it did not begin: {why}.") from None
    _recording.add(run.run_id)
    how = "stopped"
    try:
        yield
        how = _how(context.instance, run.run_id)
    finally:
        _recording.discard(run.run_id)
        trail.end(run.run_id, how)


#: Settings that say what is computed, and are no paths.
_CHOSEN = ("CAPLA_AS_OF", "CAPLA_RULE_SET", "CAPLA_PROFILE")


def _started_by(run: dg.DagsterRun) -> str:
    for tag, what in (("dagster/sensor_name", "sensor"), ("dagster/schedule_name", "schedule")):
        if tag in run.tags:
            return f"{what} {run.tags[tag]}"
    # A run of the terminal is in its process; Dagster's own come from a code location.
    return "Dagster's pages" if run.remote_job_origin else trail.command()


def _how(instance: dg.DagsterInstance, run_id: str) -> str:
    """How a run ended, from the failures of its steps: a person's Ctrl+C and Dagster's "terminate" interrupt a step."""
    failed = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    errors = [record.event_log_entry.dagster_event.step_failure_data.error for record in failed]
    if any(error and error.cls_name == _INTERRUPTED for error in errors):
        return "stopped"
    return "failed" if failed else "succeeded"
