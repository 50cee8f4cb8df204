"""What assets use to reach the outside: the settings of the run, the warehouse being built, dbt in this process.

Study logic does not belong here, nor do file locations (``paths``).
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import duckdb
from dagster._core.errors import raise_execution_interrupts
from pydantic import Field

from capla_etl import paths, processes
from capla_etl.dbt_runner import DbtFailed, invoke, target_folder
from capla_etl.defs.build_lock import hold_build, lock_of_run
from capla_etl.defs.record import recorded
from capla_etl.protocol.parameters import RULE_SET, parameter
from capla_etl.releases import versions
from capla_etl.releases.variant import JOURNAL, Variant

#: One step at a time may write the DuckDB file; the limit of the pool is in .dagster_home/dagster.yaml.
WRITER_POOL = "duckdb_writer"


_APART = "Published in warehouse/variants/, next to the study."


class Study(dg.ConfigurableResource):
    """What this run computes: the study, or a variant that is built and published in ``warehouse/variants/``."""

    as_of: str = Field(
        "",
        description=f"Day (YYYY-MM-DD): only submissions, corrections and answers up to it count. Empty: all. {_APART}",
    )
    rule_set: str = Field(
        "",
        description="Rule set of the tables, one of those in outcomes.rule_set. Empty: the default of the protocol. "
        + _APART,
    )
    profile: str = Field(
        JOURNAL,
        description="journal: everything is published. protected: only what may leave the group (docs/PRIVACY.md). "
        + _APART,
    )

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Study"]:
        """Put the variant's settings into the environment, where functions and dbt read them, while a step runs."""
        try:
            variant = Variant.of(self.as_of, self.rule_set, self.profile)
        except ValueError as wrong:
            raise dg.Failure(str(wrong), allow_retries=False) from None
        before = {name: os.environ.get(name) for name in variant.environment()}
        os.environ.update(variant.environment())
        try:
            _begin(context)
            with recorded(context, variant.environment()):
                yield self
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _begin(context: dg.InitResourceContext) -> None:
    """Take the warehouse for a run before its first step, so that no other run builds it at the same time.

    A step that waited would keep the place of the one DuckDB writer, for which the other run may wait.
    """
    if context.run is None:  # outside a run
        return
    who = f"run {context.run.run_id[:8]} in Dagster"
    if context.instance.is_persistent:
        processes.take_new(lock_of_run(context.instance, context.run.run_id), who)
    with raise_execution_interrupts():  # a run that waits can be terminated in Dagster
        hold_build(say=context.log.info, who=who)
    versions.remove_leftovers()  # of killed runs


_NO_EXTENSIONS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}


class Warehouse(dg.ConfigurableResource):
    """Short-lived connections to the DuckDB file being built; they wait while another process locks it."""

    study: dg.ResourceDependency[Study]
    lock_timeout_seconds: float = 60.0

    @contextlib.contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a read-write connection, closed at the end of the block.

        Raises:
            duckdb.IOException: the file is still locked after ``lock_timeout_seconds``.
        """
        database = paths.build_database()
        database.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout_seconds
        while True:
            try:
                connection = duckdb.connect(str(database), config=_NO_EXTENSIONS)
                break
            except duckdb.IOException as error:
                if "lock" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        try:
            yield connection
        finally:
            connection.close()


class Dbt(dg.ConfigurableResource):
    """dbt without a subprocess: no second start-up, and no ``dbt --version``, which asks the package index."""

    study: dg.ResourceDependency[Study]

    def build(self, nodes: Sequence[str]) -> list:
        """Run ``dbt build`` for these models and tests (names), nothing else.

        Returns:
            dbt's results, one per node in the order of running, including failed and skipped nodes.

        Raises:
            DbtFailed: dbt stopped before running anything, or reported fewer nodes than requested.
        """
        target = target_folder()
        parsed = paths.DBT_PROJECT / "target" / "partial_parse.msgpack"
        if parsed.exists():
            shutil.copyfile(parsed, target / parsed.name)
        rules = ["--vars", json.dumps({RULE_SET: parameter(RULE_SET)})] if os.environ.get("CAPLA_RULE_SET") else []
        only_these = ["--indirect-selection", "empty", "--exclude-resource-type", "unit_test", "--select", *nodes]
        answer = invoke(["build", *rules, *only_these], target)
        if answer.result is None:
            raise DbtFailed(f"dbt stopped before it ran anything: {answer.exception}")
        results = list(answer.result.results)
        if missing := set(nodes) - {r.node.name for r in results}:
            some = ", ".join(sorted(missing)[:10])
            raise DbtFailed(f"dbt gave no result for {len(missing)} of {len(nodes)} nodes: {some}")
        return results

    def write_docs(self, folder: Path) -> Path:
        """Write dbt's documentation of the models as last built: ``index.html``, without server or network.

        Raises:
            DbtFailed: dbt could not write it.
        """
        target = target_folder()
        answer = invoke(["docs", "generate", "--static", "--no-compile"], target)
        if not answer.success:
            raise DbtFailed(f"dbt did not write its documentation: {answer.exception}")
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.copyfile(target / "static_index.html", folder / "index.html")


def resources() -> dict[str, dg.ConfigurableResource]:
    """The resources of the code location."""
    study = Study()
    return {"study": study, "warehouse": Warehouse(study=study), "dbt": Dbt(study=study)}
