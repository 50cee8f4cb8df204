"""``capla study``: the whole study in this process, with progress stage by stage.

Nothing is computed here. Heavy imports are inside the functions, so that their time is counted and shown.
"""

import argparse
import contextlib
import gc
import json
import os
import shutil
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

from capla_etl import paths
from capla_etl.variant import JOURNAL, PROFILES, PROTECTED, Variant, profile

STARTED = time.monotonic()

#: Stages in the order of the data flow, and how the names of their steps begin.
STAGES = {
    "environment": (),
    "imports": (),
    "centres": ("centre__",),
    "harmonised": ("harmonised",),
    "dbt": ("dbt",),
    "expectations": ("expectations_",),
    "statistics": ("study__", "outcomes__"),
    "report": ("report__",),
    "queries": ("quality__", "queries__"),
    "publish": ("published__",),
    "orchestration": (),
}


def _stage(step: str) -> str:
    return next(name for name, prefixes in STAGES.items() if step.startswith(prefixes))


class Progress:
    """Prints one line a step while Dagster runs, and keeps what the closing lines need."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.failures: list[str] = []
        self.refused: list[str] = []
        self._started: dict[str, float] = {}
        self._seen: dict[str, list] = defaultdict(list)

    def line(self, stage: str, text: str) -> None:
        print(f"[{time.monotonic() - STARTED:6.1f} s] {stage:<13} {text}", flush=True)

    def __call__(self, entry) -> None:
        """One Dagster event."""
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        step, kind = event.step_key, event.event_type_value
        if kind == "STEP_START":
            self._started[step] = time.monotonic()
        elif kind in ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"):
            self._seen[step].append(event)
            if kind == "ASSET_CHECK_EVALUATION":
                self._refused(event.asset_check_evaluation_data)
        elif kind in ("STEP_SUCCESS", "STEP_FAILURE"):
            self.seconds[_stage(step)] += time.monotonic() - self._started[step]
            failed = kind == "STEP_FAILURE"
            self.line(_stage(step), f"{step.split('__')[-1]}: {'FAILED' if failed else self._summary(step)}")
            if failed:
                self.failures.append(self._blocked(step) or _reason(step, event.step_failure_data))

    def _refused(self, check) -> None:
        """A centre whose newest submission is not in the study: its check says why."""
        if check.asset_key.path[0] == "centre" and check.check_name == "accepted" and not check.passed:
            said = check.metadata["problems"].value if "problems" in check.metadata else check.description
            self.refused.append(f"{check.asset_key.path[1]}: {check.description}\n{said}")

    def result(self, status: int) -> dict:
        """What a machine wants to know of the run."""
        published = not self.failures and bool(self._started)
        places = {"warehouse": paths.published_database(), "report": paths.report(), "outputs": paths.outputs(), "data_docs": paths.data_docs()}
        return {
            "status": status,
            "published": published,
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
            "failures": self.failures,
            "without_newest_submission": self.refused,
            "places": {name: str(place) for name, place in places.items()} if published else {},
        }

    @property
    def started(self) -> int:
        """How many steps were started."""
        return len(self._started)

    def _summary(self, step: str) -> str:
        """What a step did, from what its assets and checks say of themselves."""
        tables = [e.step_materialization_data.materialization.metadata for e in self._seen[step] if e.event_type_value == "ASSET_MATERIALIZATION"]
        checks = self._checks(step)
        said = [m["summary"].value for m in tables if "summary" in m]
        if said:
            return "; ".join(said)
        parts = []
        if tables:
            rows = sum(m["dagster/row_count"].value for m in tables if "dagster/row_count" in m)
            parts.append(f"{len(tables)} tables, {rows:,} rows" if len(tables) > 1 else f"{rows:,} rows")
        if checks:
            failed = [c for c in checks if not c.passed]
            errors = sum(c.severity.value == "ERROR" for c in failed)
            parts.append(f"{len(checks)} checks, {errors} failed, {len(failed) - errors} with warnings")
        return "; ".join(parts) or "done"

    def _checks(self, step: str) -> list:
        return [e.asset_check_evaluation_data for e in self._seen[step] if e.event_type_value == "ASSET_CHECK_EVALUATION"]

    def _blocked(self, step: str) -> str:
        """What failed expectations say, where they are the reason; Data Docs and the UI list the failing rows."""
        errors = [c for c in self._checks(step) if not c.passed and c.severity.value == "ERROR" and "what failed" in c.metadata]
        return "\n\n".join(f"{'.'.join(c.asset_key.path)}: {c.description}\n{c.metadata['what failed'].value}" for c in errors)


def _reason(step: str, failure) -> str:
    """Why a step failed: the message written for people where there is one, else the error without its trace."""
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error.cause or failure.error
    return f"{step.replace('__', ' ')}: {error.message.strip()}"


def _quiet() -> None:
    """No telemetry, and no warnings of libraries about each other."""
    from capla_etl.resources import QUIET

    os.environ.update(QUIET)
    warnings.simplefilter("ignore")


def dagster_home() -> Path:
    """Folder of the persistent Dagster instance, with its settings: the UI shows the runs of the terminal too.

    ``DAGSTER_HOME``; else beside the warehouse where that lies elsewhere (``CAPLA_WAREHOUSE``), since previews of tables are kept with the runs; else in
    this project's folder.
    """
    beside = paths.warehouse() / "dagster_home" if os.environ.get("CAPLA_WAREHOUSE") else paths.ROOT / ".dagster_home"
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(beside)))
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(paths.ROOT / ".dagster_home" / "dagster.yaml", home)
    return home


def instance_at_home():
    """The persistent Dagster instance."""
    import dagster as dg

    dagster_home()
    return dg.DagsterInstance.get()


#: Tag of a run that names the process it runs in.
_PROCESS = "capla/process"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


#: Dagster's daemon says that it is there every 30 seconds; so long after the last time it is not.
_SILENT_SECONDS = 75


def _served(instance) -> bool:
    """Whether a Dagster daemon, and so a ``capla ui``, works on this instance."""
    return any(time.time() - heartbeat.timestamp < _SILENT_SECONDS for heartbeat in instance.get_daemon_heartbeats().values())


def end_dead_runs(instance) -> None:
    """Runs that were killed are ended, and give back the place of the one DuckDB writer: the next run would wait for it for ever.

    A run of the terminal is dead when its process is; one of the UI, which the UI itself ends when its process dies, when there is no UI any more.
    """
    import dagster as dg

    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        process = run.tags.get(_PROCESS)
        if not _alive(int(process)) if process else not _served(instance):
            instance.report_run_failed(run, "The process of this run ended before the run did.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def run_study(verbose: bool, progress: Progress) -> int:
    """The job ``study`` in this process; 0 when all was built and published with every centre's newest submission, else 1."""
    gc.disable()  # a short run: a tenth faster, and the memory is given back at its end
    progress.seconds["environment"] = max(0.0, time.time() - float(os.environ.get("CAPLA_MAKE_STARTED") or time.time()))
    as_of = f", submissions up to {paths.as_of()}" if paths.as_of() else ""
    _quiet()
    import uuid

    from capla_etl.centres.pseudonym import is_synthetic

    kind = " (synthetic data)" if is_synthetic() else ""
    print(f"Capla 500+{kind} from {paths.data_raw()}{as_of}", flush=True)
    from capla_etl.definitions import defs

    job = defs.resolve_job_def("study")
    progress.seconds["imports"] = time.monotonic() - STARTED
    progress.line("imports", "ready")
    run_id = str(uuid.uuid4())
    with instance_at_home() as instance:
        end_dead_runs(instance)
        instance.add_event_listener(run_id, progress)
        before = time.monotonic()
        level = "DEBUG" if verbose else "CRITICAL"
        run_config = {"loggers": {"console": {"config": {"log_level": level}}}}
        tags = {_PROCESS: str(os.getpid())}
        result = job.execute_in_process(run_config=run_config, instance=instance, run_id=run_id, raise_on_error=False, tags=tags)
        running = time.monotonic() - before
    steps = sum(s for name, s in progress.seconds.items() if name not in ("environment", "imports"))
    progress.seconds["orchestration"] = running - steps
    progress.refused += _not_described()
    _close(progress, result.success, len(job.nodes))
    return 0 if result.success and not progress.refused else 1


def _not_described() -> list[str]:
    """Folders with files that no spec describes: they have no asset whose check could say so."""
    from capla_etl.centres.status import STATUSES, centre_status

    return [f"{s.centre_id}: {STATUSES[s.status]}\n" + "\n".join(f"- {p}" for p in s.problems) for s in centre_status() if s.status == "not_described"]


def _close(progress: Progress, success: bool, steps: int) -> None:
    """The split of the wall time; then what is published and where, or what went wrong."""
    total = progress.seconds["environment"] + time.monotonic() - STARTED
    print("\nWall time      " + ", ".join(f"{stage} {progress.seconds[stage]:.1f} s" for stage in STAGES) + f"; total {total:.1f} s")
    if success:
        _print_published()
        if progress.refused:
            print(f"\nPUBLISHED WITHOUT THE NEWEST SUBMISSION of {len(progress.refused)} centre(s); the others are up to date.\n\n" + "\n\n".join(progress.refused))
        return
    print(f"\nNOT PUBLISHED. Steps failed: {len(progress.failures)}; not run because of them: {steps - progress.started}.")
    print("The last published warehouse, tables and report are as they were.\n\n" + "\n\n".join([*progress.failures, *progress.refused]))


def _print_published() -> None:
    """What was published and where."""
    if profile() == PROTECTED:
        print(f"\nProtected      {paths.outputs() / PROTECTED}")
        return
    _print_rows()
    places = {"Warehouse": paths.published_database(), "Tables": paths.outputs(), "Report": paths.report(), "Data Docs": paths.data_docs() / "index.html", "dbt docs": paths.dbt_docs() / "index.html"}
    print("\n" + "\n".join(f"{name:<14} {place}" for name, place in places.items()))


def _print_rows() -> None:
    """Rows of every published table, by schema."""
    import duckdb

    with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
        for schema in ("harmonised", "quality", "marts", "outcomes", "study"):
            tables = connection.execute("select table_name from duckdb_tables() where schema_name = ? order by table_name", [schema]).fetchall()
            counts = [f"{name} {connection.execute(f'select count(*) from {schema}.{name}').fetchone()[0]:,}" for (name,) in tables]
            print(f"{schema:<14} " + " · ".join(counts))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla study``."""
    parser.add_argument("--json", action="store_true", help="say the result as JSON; progress goes to the standard error output")
    parser.add_argument("--verbose", action="store_true", help="show everything that Dagster logs")
    beside = "; published in warehouse/variants/, beside the study"
    parser.add_argument("--as-of", metavar="DATE", default="", help="only submissions up to this date (YYYY-MM-DD), as the study stood then" + beside)
    parser.add_argument("--rule-set", metavar="NAME", default="", help="the rule set that the tables use, one of those in outcomes.rule_set" + beside)
    parser.add_argument("--profile", choices=PROFILES, default=JOURNAL, help="protected: publish only what may leave the group" + beside)


def run(options: argparse.Namespace) -> int:
    """The whole study, from the centres' files to the published report."""
    dagster_home()  # of the study, before a variant has a warehouse of its own: its runs are listed with the others
    try:
        variant = Variant.of(options.as_of, options.rule_set, options.profile)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    os.environ.update(variant.environment())
    if not options.json:
        return run_study(options.verbose, Progress())
    progress = Progress()
    with contextlib.redirect_stdout(sys.stderr):
        status = run_study(options.verbose, progress)
    print(json.dumps(progress.result(status), indent=1, ensure_ascii=False))
    return status
