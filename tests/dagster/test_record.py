"""Every run is in the audit trail, however it ends and whoever started it."""

import os
import signal

import dagster as dg
import pytest

from capla_etl import paths
from capla_etl.definitions import build_defs
from capla_etl.defs.resources import Dbt, Study, Warehouse
from capla_etl.releases import trail


@dg.asset
def first(study: Study, warehouse: Warehouse, dbt: Dbt) -> None:
    """Works; each of the others depends on the first resource too."""


@dg.asset(deps=[first])
def fails(study: Study) -> None:
    """Fails."""
    raise dg.Failure("on purpose", allow_retries=False)


@dg.asset(deps=[first])
def is_stopped(study: Study) -> None:
    """Is stopped by a person."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def own_warehouse(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    (tmp_path / "data_raw").mkdir()


def _run(*assets, tags=None, config=None) -> None:
    job = build_defs([*assets]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance, raise_on_error=False, tags=tags, run_config=config)


@pytest.mark.parametrize(("second", "how"), [(None, "succeeded"), (fails, "failed")])
def test_a_run_has_a_beginning_and_an_end(second, how):
    _run(*filter(None, [first, second]))
    began, ended = trail.records()
    assert (began["event"], ended["event"], ended["how"]) == ("began", "ended", how)
    assert began["run"] == ended["run"] and trail.check().problems == []


def test_a_run_that_is_stopped_says_so():
    _run(first, is_stopped)
    assert [record.get("how") for record in trail.records()] == [None, "stopped"]


@pytest.mark.parametrize(
    ("tags", "by"),
    [
        ({"dagster/sensor_name": "submissions"}, "sensor submissions"),
        ({"dagster/schedule_name": "nightly_study"}, "schedule nightly_study"),
        ({}, ""),
    ],
)
def test_it_says_who_started_it(tags, by):
    """A run in this process, which no sensor or schedule asked for, is that of the command."""
    _run(first, tags=tags)
    assert next(trail.records())["who"]["by"] == (by or trail.command())


def test_a_run_that_cannot_be_recorded_does_not_begin():
    paths.audit_trail().mkdir(parents=True)
    _run(first)
    assert not any(paths.audit_trail().iterdir())
