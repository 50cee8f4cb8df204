"""What assets use to reach the outside: the warehouse being built, and dbt inside this process.

Study logic and file locations do not belong here (``paths`` knows the latter).
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
from pydantic import Field

from capla_etl import paths
from capla_etl.dbt_runner import DbtFailed, invoke, target_folder
from capla_etl.defs.build_lock import BuildInUse, hold_build
from capla_etl.protocol.parameters import RULE_SET, parameter
from capla_etl.releases.variant import JOURNAL, Variant

#: One step at a time may write the DuckDB file; the limit of the pool is in .dagster_home/dagster.yaml.
WRITER_POOL = "duckdb_writer"


class Study(dg.ConfigurableResource):
    """What this run computes: the study, or a variant of it that is built and published beside it (``warehouse/variants/``)."""

    as_of: str = Field(
        "",
        description="Day (YYYY-MM-DD): only submissions, corrections and answers up to it count. Empty: all. Published in warehouse/variants/, beside the study.",
    )
    rule_set: str = Field(
        "",
        description="Rule set that the tables use, one of those in outcomes.rule_set. Empty: the default of the protocol. Published in warehouse/variants/, beside the study.",
    )
    profile: str = Field(
        JOURNAL,
        description="journal: everything is published. protected: only what may leave the group (docs/PRIVACY.md), in warehouse/variants/, beside the study.",
    )

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Study"]:
        """The variant's settings in the environment while a step runs, where plain functions and dbt read them."""
        try:
            variant = Variant.of(self.as_of, self.rule_set, self.profile)
        except ValueError as wrong:
            raise dg.Failure(str(wrong), allow_retries=False) from None
        before = {name: os.environ.get(name) for name in variant.environment()}
        os.environ.update(variant.environment())
        try:
            yield self
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def begin(self, wait_seconds: float = 0) -> None:
        """Take the warehouse for this run, so that no other run builds it meanwhile.

        Raises:
            dg.Failure: another run is still building it after ``wait_seconds``.
        """
        try:
            hold_build(wait_seconds)
        except BuildInUse as in_use:
            raise dg.Failure(str(in_use), allow_retries=False) from None


class Warehouse(dg.ConfigurableResource):
    """Short-lived connections to the DuckDB file being built; waits while another process holds its lock."""

    study: dg.ResourceDependency[Study]
    lock_timeout_seconds: float = 60.0

    @contextlib.contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-write connection, closed at the end of the block.

        Raises:
            duckdb.IOException: the file is still locked after ``lock_timeout_seconds``.
        """
        self.study.begin()
        database = paths.build_database()
        database.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout_seconds
        while True:
            try:
                connection = duckdb.connect(
                    str(database), config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
                )
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
    """dbt without a sub-process: no second start-up, and no ``dbt --version``, which asks the package index."""

    study: dg.ResourceDependency[Study]

    def build(self, nodes: Sequence[str]) -> list:
        """Run ``dbt build`` for these models and tests (names), nothing else.

        Returns:
            dbt's results, one per node, in the order they ran; failed and skipped nodes included.

        Raises:
            DbtFailed: dbt stopped before running anything, or reported fewer nodes than it was asked for.
        """
        target = target_folder()
        parsed = paths.DBT_PROJECT / "target" / "partial_parse.msgpack"
        if parsed.exists():
            shutil.copy(parsed, target / parsed.name)
        rules = ["--vars", json.dumps({RULE_SET: parameter(RULE_SET)})] if os.environ.get("CAPLA_RULE_SET") else []
        answer = invoke(
            [
                "build",
                *rules,
                "--indirect-selection",
                "empty",
                "--exclude-resource-type",
                "unit_test",
                "--select",
                *nodes,
            ],
            target,
        )
        if answer.result is None:
            raise DbtFailed(f"dbt stopped before it ran anything: {answer.exception}")
        results = list(answer.result.results)
        if missing := set(nodes) - {r.node.name for r in results}:
            raise DbtFailed(
                f"dbt says nothing about {len(missing)} of {len(nodes)} nodes: {', '.join(sorted(missing)[:10])}"
            )
        return results

    def write_docs(self, folder: Path) -> Path:
        """dbt's documentation of the models as they were built last, as ``index.html``: one page that needs no server and no network.

        Raises:
            DbtFailed: dbt could not write it.
        """
        target = target_folder()
        answer = invoke(["docs", "generate", "--static", "--no-compile"], target)
        if not answer.success:
            raise DbtFailed(f"dbt did not write its documentation: {answer.exception}")
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.copy(target / "static_index.html", folder / "index.html")
