"""The code location: every dependency is defined, every asset has description and owner, groups read left to right."""

import json

import dagster as dg
import duckdb
import pandas as pd
import pytest

from capla_etl import paths
from capla_etl.definitions import build_defs, defs
from capla_etl.defs.dbt import MANIFEST
from capla_etl.defs.resources import Study, Warehouse
from capla_etl.defs.tables import write
from capla_etl.quality.monitoring.signal import FAMILIES
from capla_etl.quality.suites import suites

GROUPS = [
    "centres",
    "monitoring",
    "harmonised",
    "staging",
    "intermediate",
    "marts",
    "outcomes",
    "study",
    "quality",
    "report",
    "queries",
    "published",
]


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


@pytest.fixture(scope="module")
def specs():
    return {spec.key: spec for spec in defs.resolve_all_asset_specs()}


def test_every_dependency_has_a_definition(graph):
    assert [key.to_user_string() for key in graph.get_all_asset_keys() if not graph.get(key).is_materializable] == []


def test_every_centre_folder_is_an_asset(specs):
    folders = {path.parent.name for path in paths.data_raw().glob("*/centre.yml")}
    assert {key.path[1] for key in specs if key.path[0] == "centre"} == folders


@pytest.mark.parametrize("attribute", ["group_name", "kinds", "owners", "description"])
def test_every_asset_says_what_it_is_and_whose(specs, attribute):
    assert [key.to_user_string() for key, spec in specs.items() if not getattr(spec, attribute)] == []
    assert {spec.group_name for spec in specs.values()} == set(GROUPS)


def test_groups_read_left_to_right(specs):
    """A dependency never points from a group to one on its left; marts and outcomes depend on each other by design."""
    place = {name: position for position, name in enumerate(GROUPS)}
    place |= dict.fromkeys(("intermediate", "outcomes"), place["marts"])
    backwards = [
        (dependency.asset_key.to_user_string(), key.to_user_string())
        for key, spec in specs.items()
        for dependency in spec.deps
        if place[specs[dependency.asset_key].group_name] > place[spec.group_name]
    ]
    assert backwards == []


def test_every_dbt_test_and_every_suite_is_an_asset_check(graph):
    tests = {node["name"] for node in MANIFEST["nodes"].values() if node["resource_type"] == "test"}
    checks = [key.name for key in graph.asset_check_keys]
    assert sorted(
        name for name in checks if name not in ("expectations", "self_audit", "accepted", "on_time", *FAMILIES)
    ) == sorted(tests)
    assert {".".join(key.asset_key.path) for key in graph.asset_check_keys if key.name == "expectations"} == set(
        suites()
    )


def test_one_writer_at_a_time():
    job = defs.resolve_job_def("study")
    assert job.executor_def is dg.in_process_executor
    unpooled = [
        node.name
        for node in job.nodes
        if node.definition.pool != "duckdb_writer" and not node.name.startswith("centre__")
    ]
    assert unpooled == []


def test_modules_with_assets_do_not_postpone_annotations():
    """Dagster reads annotations when a module loads."""
    modules = [paths.ROOT / "capla_etl" / "definitions.py", *(paths.ROOT / "capla_etl" / "defs").rglob("*.py")]
    assert len(modules) > 10
    assert [m.name for m in modules if "from __future__ import annotations" in m.read_text(encoding="utf-8")] == []


def test_a_few_assets_make_a_small_code_location(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))

    @dg.asset(key=["study", "one"])
    def one(warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.connect() as connection:
            write(connection, "study.one", pd.DataFrame({"n": [1]}))
        return dg.MaterializeResult(metadata={"waits": warehouse.lock_timeout_seconds})

    small = build_defs([one], warehouse=Warehouse(study=Study(), lock_timeout_seconds=0.5))
    assert {key.to_user_string() for key in small.resolve_asset_graph().get_all_asset_keys()} == {"study/one"}
    with dg.DagsterInstance.ephemeral() as instance:
        ran = small.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        [event] = ran.get_asset_materialization_events()
    assert event.materialization.metadata["waits"].value == 0.5
    with duckdb.connect(str(paths.build_database()), read_only=True) as connection:
        assert connection.execute("from study.one").fetchall() == [(1,)]


def test_nothing_reports_home():
    assert (
        json.loads((paths.DBT_PROJECT / "target" / "manifest.json").read_text(encoding="utf-8"))["metadata"][
            "send_anonymous_usage_stats"
        ]
        is False
    )
    assert "telemetry: {enabled: false}" in (paths.ROOT / ".dagster_home" / "dagster.yaml").read_text(encoding="utf-8")
