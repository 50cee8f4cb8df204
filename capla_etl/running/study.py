"""The job ``study`` in this process, from the centres' files to the published report."""

import gc
import os
import time
import warnings

from capla_etl import paths
from capla_etl.defs.build_lock import hold_build, lock_of_run, lock_of_ui
from capla_etl.processes import is_held, take_new
from capla_etl.releases.variant import PROTECTED, profile
from capla_etl.releases.versions import current
from capla_etl.running.closing import close_to_others
from capla_etl.running.instance import dagster_home, end_dead_runs, instance_at_home
from capla_etl.running.progress import STAGES, STARTED, Progress


def _quiet() -> None:
    """No telemetry, and no warnings of libraries about each other."""
    from capla_etl.dbt_runner import QUIET

    os.environ.update(QUIET)
    warnings.simplefilter("ignore")


def run_study(verbose: bool, progress: Progress) -> int:
    """Run the job ``study`` in this process.

    Returns:
        0 if all was published with every centre's newest submission, else 1.
    """
    gc.disable()  # a tenth faster; the run is short and returns its memory at its end
    progress.seconds["environment"] = max(0.0, time.time() - float(os.environ.get("CAPLA_MAKE_STARTED") or time.time()))
    as_of = f", submissions up to {paths.as_of()}" if paths.as_of() else ""
    _quiet()
    close_to_others()
    import uuid
    from concurrent.futures import ThreadPoolExecutor

    from capla_etl.centres.harmonising.synthetic import is_marked

    kind = " (synthetic data)" if is_marked() else ""
    print(f"Capla 500+{kind} from {paths.data_raw()}{as_of}", flush=True)
    from dagster._core.storage.tags import MAX_RETRIES_TAG

    from capla_etl.definitions import defs

    job = defs.resolve_job_def("study")
    progress.seconds["imports"] = time.monotonic() - STARTED
    progress.line("imports", "ready")
    run_id = str(uuid.uuid4())
    with instance_at_home() as instance:
        who = f"run {run_id[:8]} of a terminal"
        take_new(lock_of_run(instance, run_id), who)
        hold_build(say=lambda said: print(said, flush=True), who=who)
        # only now: whoever was waited for may have been killed in the one place of the DuckDB writer
        end_dead_runs(instance, ui_works=is_held(lock_of_ui(dagster_home())))
        instance.add_event_listener(run_id, progress)
        before = time.monotonic()
        level = "DEBUG" if verbose else "CRITICAL"
        run_config = {"loggers": {"console": {"config": {"log_level": level}}}}
        # Apart from the main thread Dagster leaves the answers to signals as they are.
        with ThreadPoolExecutor(1) as apart:
            result = apart.submit(
                job.execute_in_process,
                run_config=run_config,
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                tags={MAX_RETRIES_TAG: "0"},  # a person starts it again
            ).result()
        running = time.monotonic() - before
    steps = sum(s for name, s in progress.seconds.items() if name not in ("environment", "imports"))
    progress.seconds["orchestration"] = running - steps
    progress.refused += _not_described()
    _close(progress, result.success, len(job.nodes))
    return 0 if result.success and not progress.refused else 1


def _not_described() -> list[str]:
    """Folders with files that no spec describes: no asset's check can report them."""
    from capla_etl.centres.submissions.status import STATUSES, centre_status

    return [
        f"{s.centre_id}: {STATUSES[s.status]}\n" + "\n".join(f"- {p}" for p in s.problems)
        for s in centre_status()
        if s.status == "not_described"
    ]


def _close(progress: Progress, success: bool, steps: int) -> None:
    """Print the split of the wall time; then what is published and where, or what went wrong."""
    total = progress.seconds["environment"] + time.monotonic() - STARTED
    stages = ", ".join(f"{stage} {progress.seconds[stage]:.1f} s" for stage in STAGES)
    print(f"\nWall time      {stages}; total {total:.1f} s")
    refused, failed = len(progress.refused), len(progress.failures)
    if success:
        _print_published()
        if refused:
            print(f"\nPUBLISHED WITHOUT THE NEWEST SUBMISSION of {refused} centre(s); the others are up to date.\n")
    else:
        print(f"\nNOT PUBLISHED. Steps failed: {failed}; not run because of them: {steps - progress.started}.")
        was = "The last published warehouse, tables and report are as they were."
        print((was if paths.published_database().exists() else "Nothing was published before.") + "\n")
    if refused or failed:
        print("\n\n".join([*progress.failures, *progress.refused]))
    if progress.signals:
        print("\nCentral monitoring: please look at")
        print("\n".join(f"{centre}\n" + "\n".join(said) for centre, said in sorted(progress.signals.items())))


def _print_published() -> None:
    """Print what was published and where."""
    version = {"Version": current().name}
    if profile() == PROTECTED:
        _print_places(version | {"Protected": paths.outputs() / PROTECTED})
        return
    _print_rows()
    places = version | {
        "Warehouse": paths.published_database(),
        "Tables": paths.outputs(),
        "Report": paths.report(),
        "Data Docs": paths.data_docs() / "index.html",
        "dbt docs": paths.dbt_docs() / "index.html",
    }
    _print_places(places)


def _print_places(places: dict) -> None:
    print("\n" + "\n".join(f"{name:<14} {place}" for name, place in places.items()))


def _print_rows() -> None:
    """Print the row counts of the published tables, a line a schema."""
    import duckdb

    with duckdb.connect(str(paths.published_database().resolve()), read_only=True) as connection:
        for schema in ("harmonised", "quality", "marts", "outcomes", "study"):
            tables = connection.execute(
                "select table_name from duckdb_tables() where schema_name = ? order by table_name", [schema]
            ).fetchall()
            counts = [
                f"{name} {connection.execute(f'select count(*) from {schema}.{name}').fetchone()[0]:,}"
                for (name,) in tables
            ]
            print(f"{schema:<14} " + " · ".join(counts))
