"""What starts by itself: a run when a centre submits, one every night, a verification every week, and a notice when something went wrong.

Off for newcomers: switch sensors and schedules on in Dagster (Automation), or start it with ``CAPLA_AUTOMATION=on``. What has arrived is found by
``capla_etl.centres.submissions.arrivals``; nothing is computed here.
"""

import json
import os

import dagster as dg

from capla_etl.centres.submissions.arrivals import Arrivals, look
from capla_etl.defs.notices import Notice, send
from capla_etl.releases import freeze

#: Between two looks at the data folder. A submission is taken up after the second look that finds it unchanged: longer where transfers pause for longer.
LOOK_EVERY_SECONDS = int(os.environ.get("CAPLA_LOOK_EVERY_SECONDS") or 30)
#: The code location, as workspace.yaml names it.
CODE_LOCATION = "capla_etl"

_ON = os.environ.get("CAPLA_AUTOMATION") == "on"
SENSOR_STATUS = dg.DefaultSensorStatus.RUNNING if _ON else dg.DefaultSensorStatus.STOPPED
SCHEDULE_STATUS = dg.DefaultScheduleStatus.RUNNING if _ON else dg.DefaultScheduleStatus.STOPPED

study = dg.define_asset_job(
    "study",
    selection=dg.AssetSelection.all(),
    description="The whole study: from the centres' files to the published report.",
)


@dg.op(
    description="The published study and every frozen release, recomputed from the centres' files: identical, or what differs."
)
def recompute(context: dg.OpExecutionContext) -> None:
    """Recompute what is published and every release."""
    found = [freeze.verify_published(), *(freeze.verify(name) for name in freeze.release_names())]
    for verification in found:
        context.log.info("%s: %s", verification.name, "; ".join(verification.differs) or "identical")
    context.add_output_metadata(
        {verification.name: "; ".join(verification.differs) or "identical" for verification in found}
    )
    if differs := [f"{v.name}: {line}" for v in found for line in v.differs]:
        raise dg.Failure("Not reproduced:\n" + "\n".join(differs), allow_retries=False)


@dg.job(
    description="Every number once more from the files: the published study and every frozen release.",
    executor_def=dg.in_process_executor,
)
def verify() -> None:
    recompute()


nightly = dg.ScheduleDefinition(
    name="nightly_study",
    job=study,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=SCHEDULE_STATUS,
    description="The whole study every night: what the sensor launched in parts, once in full.",
)
weekly = dg.ScheduleDefinition(
    name="weekly_verification",
    job=verify,
    cron_schedule="0 4 * * 0",
    execution_timezone="UTC",
    default_status=SCHEDULE_STATUS,
    description="Every Sunday: the published study and every release recomputed from the files.",
)


@dg.sensor(
    job=study,
    minimum_interval_seconds=LOOK_EVERY_SECONDS,
    default_status=SENSOR_STATUS,
    description="New or changed submissions, by content and only when complete: launches the centres concerned and what depends on them, nothing else.",
)
def submissions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One run for all that is ready; a centre that is new becomes an asset first."""
    found = look(json.loads(context.cursor or "{}"))
    graph = context.repository_def.asset_graph
    known = {key.path[1] for key in graph.get_all_asset_keys() if key.path[0] == "centre"}
    if new := sorted(set(found.ready) - known):
        try:
            reload_definitions()
            return dg.SensorResult(
                skip_reason=f"New: {', '.join(new)}. The definitions are loaded again; the run follows at the next look.",
                cursor=json.dumps(found.seen),
            )
        except RuntimeError as failed:
            found.ready = {centre: fingerprint for centre, fingerprint in found.ready.items() if centre in known}
            if not found.ready:
                raise
            context.log.error("%s The centres that are known go on.", failed)
    if not found.ready:
        return dg.SensorResult(skip_reason="\n".join(found.in_words()) or "Nothing new.", cursor=json.dumps(found.seen))
    found.asked_for()
    return dg.SensorResult(run_requests=[_run(found, graph)], cursor=json.dumps(found.seen))


def _run(found: Arrivals, graph) -> dg.RunRequest:
    """The centres concerned, all that depends on them, and what that needs beside them: declared constants such as the rule sets, never another centre."""
    centres = dg.AssetSelection.assets(*(dg.AssetKey(["centre", centre]) for centre in found.ready))
    dependent = centres.downstream()
    needed = (dependent.upstream() - dg.AssetSelection.key_prefixes(["centre"])) | dependent
    return dg.RunRequest(
        run_key=" ".join(f"{centre}:{fingerprint[:16]}" for centre, fingerprint in found.ready.items()),
        asset_selection=sorted(needed.resolve(graph)),
        tags={"capla/centres": ",".join(found.ready)},
    )


def reload_definitions() -> None:
    """Ask Dagster to load this code location again, so that a centre that is new becomes an asset without a restart.

    Raises:
        RuntimeError: Dagster does not answer at ``CAPLA_DAGSTER`` (which ``capla ui`` sets), or the definitions cannot be loaded.
    """
    from urllib.parse import urlsplit

    from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus

    address = urlsplit(os.environ.get("CAPLA_DAGSTER", "http://127.0.0.1:3000"))
    try:
        answer = DagsterGraphQLClient(address.hostname, port_number=address.port).reload_repository_location(
            CODE_LOCATION
        )
        problem = answer.message if answer.status is ReloadRepositoryLocationStatus.FAILURE else None
    except Exception as error:  # of gql, requests or graphql alike: whatever it is, a person can press the button
        problem = type(error).__name__
    if problem:
        raise RuntimeError(
            f"Dagster at {address.geturl()} did not load the definitions again ({problem}): press Reload under Deployment, Code locations."
        )


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A notice for every run that failed: log, and webhook or mail where configured.",
)
def failed_run(context: dg.RunFailureSensorContext) -> None:
    """Which run failed, in which steps, and what they say to people."""
    send(failure_notice(context), context.log)


def failure_notice(context: dg.RunFailureSensorContext) -> Notice:
    """The notice of a failed run. Of an error that nobody foresaw only its kind is given: its text may hold a patient's value."""
    run = context.dagster_run
    lines = []
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        foreseen = failure.user_failure_data and failure.user_failure_data.description
        error = failure.error and (failure.error.cause or failure.error)
        lines.append(f"{event.step_key}: {foreseen or (error.cls_name if error else 'failed')}")
    return Notice(f"capla_etl: run {run.run_id[:8]} of {run.job_name} failed", lines or [_before_any_step(context)])


def _before_any_step(context: dg.RunFailureSensorContext) -> str:
    """Why a run failed of which no step did: a setting that does not exist, or a process that is gone."""
    failure = context.failure_event.job_failure_data
    error = failure and failure.error and (failure.error.cause or failure.error)
    if error and error.cls_name == "Failure":  # written for people
        return error.message.partition("Failure: ")[2].strip()
    return error.cls_name if error else context.failure_event.message or "No step says why."


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A notice for every centre whose newest submission a run refused: log, and webhook or mail where configured.",
)
def refused_centres(context: dg.RunStatusSensorContext) -> None:
    """The study went on without the newest submission of a centre: which, and why."""
    records = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    checks = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    for check in checks:
        if check.asset_key.path[0] == "centre" and check.check_name == "accepted" and not check.passed:
            problems = check.metadata["problems"].value if "problems" in check.metadata else check.description
            send(
                Notice(
                    f"capla_etl: the newest submission of {check.asset_key.path[1]} is not in the study",
                    [check.description or "", problems],
                ),
                context.log,
            )


sensors = [submissions, failed_run, refused_centres]
schedules = [nightly, weekly]
jobs = [study, verify]
