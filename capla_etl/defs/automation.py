"""What starts by itself: runs when a centre submits and every night, a weekly verification, notices of problems.

Sensors and schedules are off at first: switch them on in Dagster (Automation), or set ``CAPLA_AUTOMATION=on``.
``capla_etl.centres.submissions.arrivals`` finds what has arrived; nothing is computed here.
"""

import json
import os

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG, RETRY_STRATEGY_TAG

from capla_etl.centres.submissions.arrivals import Arrivals, look
from capla_etl.defs.centres import ACCEPTED
from capla_etl.defs.monitoring import monitoring_checks
from capla_etl.defs.notices import Notice, send
from capla_etl.quality.monitoring.signal import FAMILIES
from capla_etl.releases import freeze

#: Time between two looks at the data folder. A submission counts as complete when two looks find it unchanged: set more
#: where transfers pause for longer.
LOOK_EVERY_SECONDS = int(os.environ.get("CAPLA_LOOK_EVERY_SECONDS") or 30)
#: Tag of a run that was launched because centres had sent: their codes.
ARRIVED = "capla/centres"

_ON = os.environ.get("CAPLA_AUTOMATION") == "on"
SENSOR_STATUS = dg.DefaultSensorStatus.RUNNING if _ON else dg.DefaultSensorStatus.STOPPED
SCHEDULE_STATUS = dg.DefaultScheduleStatus.RUNNING if _ON else dg.DefaultScheduleStatus.STOPPED

study = dg.define_asset_job(
    "study",
    selection=dg.AssetSelection.all(),
    description="The whole study, from the centres' files to the published report.",
    # a run whose process died is started again, once and whole; one that failed by itself is not (dagster.yaml)
    tags={MAX_RETRIES_TAG: "1", RETRY_STRATEGY_TAG: "ALL_STEPS"},
)


@dg.op
def recompute(context: dg.OpExecutionContext) -> None:
    """Recompute the published study and every frozen release from the centres' files; say what differs."""
    found = [freeze.verify_published(), *(freeze.verify(name) for name in freeze.release_names())]
    answers = {verification.name: "; ".join(verification.differs) or "identical" for verification in found}
    for name, answer in answers.items():
        context.log.info("%s: %s", name, answer)
    context.add_output_metadata(answers)
    if differs := [f"{v.name}: {line}" for v in found for line in v.differs]:
        raise dg.Failure("Not reproduced:\n" + "\n".join(differs), allow_retries=False)


@dg.job(executor_def=dg.in_process_executor)
def verify() -> None:
    """Recompute every number from the files: the published study and every frozen release."""
    recompute()


nightly = dg.ScheduleDefinition(
    name="nightly_study",
    job=study,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=SCHEDULE_STATUS,
    description="The whole study every night; the sensor launches only parts of it.",
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
    description="Finds submissions that are new or changed in content, and complete. Launches these centres and what "
    "depends on them, nothing else.",
)
def submissions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Launch one run for everything that is ready; first make an asset of each new centre."""
    found = look(json.loads(context.cursor or "{}"))
    graph = context.repository_def.asset_graph
    known = {key.path[1] for key in graph.get_all_asset_keys() if key.path[0] == "centre"}
    if new := sorted(set(found.ready) - known):
        try:
            reload_definitions()
            said = f"New: {', '.join(new)}. The definitions were reloaded; the run follows at the next look."
            return dg.SensorResult(skip_reason=said, cursor=json.dumps(found.seen))
        except RuntimeError as failed:
            found.ready = {centre: fingerprint for centre, fingerprint in found.ready.items() if centre in known}
            if not found.ready:
                raise
            context.log.error("%s The known centres continue.", failed)
    if not found.ready:
        said = "\n".join(found.in_words()) or "Nothing new."
        return dg.SensorResult(skip_reason=said, cursor=json.dumps(found.seen))
    found.asked_for()
    return dg.SensorResult(run_requests=[_run(found, graph)], cursor=json.dumps(found.seen))


def _run(found: Arrivals, graph) -> dg.RunRequest:
    """Run these centres, all that depends on them, and what that needs too (the rule sets), but no other centre.

    Every centre is looked at again beside those that sent, so the checks of monitoring are those of all centres.
    """
    dependent = dg.AssetSelection.assets(*(["centre", centre] for centre in found.ready)).downstream()
    needed = ((dependent.upstream() - dg.AssetSelection.key_prefixes(["centre"])) | dependent).resolve(graph)
    checks = [key for key in graph.asset_check_keys if key.asset_key in needed or key in monitoring_checks.check_keys]
    return dg.RunRequest(
        run_key=found.name(),
        asset_selection=sorted(needed),
        asset_check_keys=sorted(checks),
        tags={ARRIVED: ",".join(found.ready)},
    )


def reload_definitions() -> None:
    """Ask Dagster to reload this code location, so that a new centre becomes an asset without a restart.

    The server of the definitions is asked (``CAPLA_CODE_SERVER``, set by ``capla ui``), which Dagster's other processes
    watch: the one for browsers may be read-only.

    Raises:
        RuntimeError: there is no such server, or it cannot load the definitions.
    """
    from dagster._api.list_repositories import sync_list_repositories_grpc
    from dagster._grpc.client import DEFAULT_GRPC_TIMEOUT, DagsterGrpcClient

    try:
        client = DagsterGrpcClient(socket=os.environ.get("CAPLA_CODE_SERVER"))
        client.reload_code(timeout=DEFAULT_GRPC_TIMEOUT)
        sync_list_repositories_grpc(client)
    except Exception as error:  # of the network, of Dagster or of the definitions: a person can press the button
        raise RuntimeError(
            f"Dagster did not reload the definitions ({type(error).__name__}): press Reload under Deployment, Code "
            "locations."
        ) from None


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends a notice of every failed run: log, and webhook or mail where configured.",
)
def failed_run(context: dg.RunFailureSensorContext) -> None:
    """Say which run failed, in which steps, and why."""
    send(failure_notice(context), context.log)


def failure_notice(context: dg.RunFailureSensorContext) -> Notice:
    """Word the notice of a failed run. Of an unexpected error give the kind: its text may hold a patient's value."""
    run = context.dagster_run
    lines = []
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        expected = failure.user_failure_data and failure.user_failure_data.description
        error = failure.error and (failure.error.cause or failure.error)
        lines.append(f"{event.step_key}: {expected or (error.cls_name if error else 'failed')}")
    return Notice(f"capla_etl: run {run.run_id[:8]} of {run.job_name} failed", lines or [_before_any_step(context)])


def _before_any_step(context: dg.RunFailureSensorContext) -> str:
    """Explain a run that failed before any step did: an unknown setting, or a process that died."""
    failure = context.failure_event.job_failure_data
    error = failure and failure.error and (failure.error.cause or failure.error)
    if error and error.cls_name == "Failure":  # written for people
        return error.message.partition("Failure: ")[2].strip()
    return error.cls_name if error else context.failure_event.message or "No step gives a reason."


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends a notice of every centre whose newest submission a run refused or held back, and of every "
    "centre in the study that monitoring newly objects to: log, and webhook or mail where configured.",
)
def refused_centres(context: dg.RunStatusSensorContext) -> None:
    """Say which centres the study continued without the newest submission of, and which it now doubts, and why."""
    for notice in centre_notices(context.instance, context.dagster_run):
        send(notice, context.log)


def centre_notices(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Notice]:
    """The notices that a run's checks of centres deserve.

    Every run checks all centres again: of one that did not send, only what is new since the run before is said.
    """
    evaluation = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    records = instance.get_records_for_run(run.run_id, of_type=evaluation).records
    checks = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    failed = [check for check in checks if check.asset_key.path[0] == "centre" and not check.passed]
    sent = run.tags[ARRIVED].split(",") if ARRIVED in run.tags else None
    notices, not_in_the_study = [], set()
    for check in (check for check in failed if check.check_name == ACCEPTED):
        centre_id = check.asset_key.path[1]
        not_in_the_study.add(centre_id)
        lines = _said(check)
        if sent is None or centre_id in sent or lines != _said(_evaluated_before(instance, check, run.run_id)):
            title = f"capla_etl: the newest submission of {centre_id} is not in the study"
            notices.append(Notice(title, lines))
    doubted: dict[str, list[str]] = {}
    for check in (check for check in failed if check.check_name in FAMILIES):
        before = _evaluated_before(instance, check, run.run_id)
        if set(_stops(check)) - set(_stops(before)):
            doubted.setdefault(check.asset_key.path[1], []).append(check.metadata["signals"].value)
    for centre_id, lines in doubted.items():
        if centre_id not in not_in_the_study:
            title = f"capla_etl: monitoring now objects to {centre_id}, which is in the study and stays in it"
            notices.append(Notice(title, lines))
    return notices


def _evaluated_before(
    instance: dg.DagsterInstance, check: dg.AssetCheckEvaluation, run_id: str
) -> dg.AssetCheckEvaluation | None:
    """The same check in the last run before this one."""
    done = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    history = instance.event_log_storage.get_asset_check_execution_history(check.asset_check_key, 10, status=done)
    event = next((record.event for record in history if record.run_id != run_id and record.event), None)
    return event and event.dagster_event.asset_check_evaluation_data


def _said(check: dg.AssetCheckEvaluation | None) -> list[str]:
    """What a failed check ``accepted`` says; nothing for one that passed."""
    if check is None or check.passed:
        return []
    problems = [check.metadata["problems"].value] if "problems" in check.metadata else []
    return [check.description or "", *problems]


def _stops(check: dg.AssetCheckEvaluation | None) -> list[str]:
    return check.metadata["stops"].value if check and "stops" in check.metadata else []
