"""dbt's models as assets and its data tests as asset checks. What they compute is in ``dbt_project/``."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from capla_etl import paths
from capla_etl.dbt_runner import manifest
from capla_etl.defs.check_results import Counted, keep
from capla_etl.defs.preview import links, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Dbt, Warehouse
from capla_etl.releases.publish import staged

OWNERS = {
    "staging": ["team:data-management"],
    "intermediate": ["team:data-management"],
    "marts": ["team:data-management", "team:biostatistics"],
    "outcomes": ["team:biostatistics"],
}
MANIFEST = json.loads(manifest().read_text(encoding="utf-8"))


class SchemaIsGroup(DagsterDbtTranslator):
    """A model's key is [schema, name], its group the schema; a source is the harmonised table named in its ``meta``."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props["schema"]

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS.get(dbt_resource_props["schema"], [])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props["description"]


TRANSLATOR = SchemaIsGroup(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
MODELS = {node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"}


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR, name="dbt", pool=WRITER_POOL)
def dbt_models(context: dg.AssetExecutionContext, dbt: Dbt, warehouse: Warehouse):
    """Build the selected models, run their tests, then show every table and test."""
    checks = {key.name: key for key in context.selected_asset_check_keys}
    models = {key.path[-1]: key for key in context.selected_asset_keys}
    results = dbt.build([*models, *checks])
    with warehouse.connect() as connection:
        keep(connection, [_counted(checks[r.node.name], r) for r in results if r.node.name in checks])
        for result in results:
            if result.node.name in checks:
                yield from _check(checks[result.node.name], result)
            elif result.status == "success":
                yield _materialization(connection, models[result.node.name], result)
    failed = [_failed(result) for result in results if result.status in ("error", "fail")]
    if failed:
        raise dg.Failure("dbt: " + "\n".join(failed), allow_retries=False)


def _failed(result) -> str:
    """A node that failed, and why; of DuckDB's errors only the kinds, as their text may quote a patient's value."""
    why = result.message if result.status == "fail" else " in ".join(re.findall(r"\b[A-Z]\w+ Error\b", result.message))
    return f"{result.node.resource_type} {result.node.name}: {why or 'an error'}"


def _counted(key: dg.AssetCheckKey, result) -> Counted:
    """A test that did not run counts neither as passed nor as failed."""
    counts = (int(result.status in outcomes) for outcomes in (("pass",), ("warn",), ("fail", "error")))
    return ("dbt test", ".".join(key.asset_key.path), key.name, *counts)


def _check(key: dg.AssetCheckKey, result) -> Iterator[dg.AssetCheckResult]:
    """Yield the result of a test that was not skipped. Failing rows may hold clinical values: they are only counted."""
    if result.status == "skipped":
        return
    warns = "warn" in (result.node.config.severity.lower(), result.status)
    yield dg.AssetCheckResult(
        passed=result.status == "pass",
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata={
            "failing rows": result.failures or 0,
            "seconds": round(result.execution_time, 3),
            "message": result.message or "passed",
        },
    )


def _materialization(connection, key: dg.AssetKey, result) -> dg.MaterializeResult:
    """A built model with its columns as dbt describes them."""
    described = {name: column["description"] for name, column in MODELS[result.node.name]["columns"].items()}
    metadata = table_metadata(connection, ".".join(key.path), described)
    return dg.MaterializeResult(key, metadata=metadata | {"seconds": round(result.execution_time, 3)})


@dg.asset(
    key=["report", "dbt_docs"],
    deps=[TRANSLATOR.get_asset_key(model) for model in MODELS.values()],
    group_name="report",
    kinds={"dbt", "html"},
    owners=OWNERS["marts"],
    pool=WRITER_POOL,
)
def dbt_docs(dbt: Dbt) -> dg.MaterializeResult:
    """dbt's own documentation: every model with its SQL, columns, tests and lineage, as one page."""
    page = dbt.write_docs(staged(paths.dbt_docs()))
    summary = {"summary": f"one page, {page.stat().st_size // 1024:,} KiB"}
    return dg.MaterializeResult(metadata=summary | links([paths.dbt_docs() / page.name]))
