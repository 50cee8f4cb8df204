"""Only centres with something new, and what depends on them, start by themselves; a failure sends a notice."""

import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from capla_etl.centres.submissions.arrivals import Arrivals
from capla_etl.definitions import defs
from capla_etl.defs import automation, notices
from capla_etl.defs.build_lock import BuildInUse, hold_build
from capla_etl.defs.notices import Notice
from capla_etl.defs.resources import Study


def _tick(monkeypatch, found: Arrivals) -> dg.SensorResult:
    monkeypatch.setattr(automation, "look", lambda seen: found)
    with dg.DagsterInstance.ephemeral() as instance:
        return automation.submissions(
            dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def())
        )


def test_a_run_holds_the_centres_that_sent_and_what_depends_on_them_and_no_other_centre(monkeypatch):
    result = _tick(
        monkeypatch,
        Arrivals(
            ready={"FR01": "a" * 64, "AT01": "b" * 64}, seen={"FR01": {"signature": "f"}, "AT01": {"signature": "a"}}
        ),
    )
    (request,) = result.run_requests
    keys = {key.to_user_string() for key in request.asset_selection}
    assert {key for key in keys if key.startswith("centre/")} == {"centre/FR01", "centre/AT01"}
    everything = {
        key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys() if key.path[0] != "centre"
    }
    assert keys - {"centre/FR01", "centre/AT01"} == everything
    assert json.loads(result.cursor) == {
        "FR01": {"signature": "f", "asked_for": "a" * 64},
        "AT01": {"signature": "a", "asked_for": "b" * 64},
    }


def test_the_same_content_asks_for_the_same_run(monkeypatch):
    """Dagster launches a run key once: a sensor that is asked twice, or restarted, does not run twice."""
    keys = [
        _tick(monkeypatch, Arrivals(ready={"FR01": fingerprint}, seen={"FR01": {}})).run_requests[0].run_key
        for fingerprint in ("a" * 64, "a" * 64, "c" * 64)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_nothing_new_launches_nothing_and_says_what_it_waits_for(monkeypatch):
    result = _tick(monkeypatch, Arrivals(arriving={"FR01": "file 1 of 2 (.csv) is still open for writing"}))
    assert not result.run_requests
    assert "labs.csv is still open" in result.skip_reason.skip_message


def test_a_new_centre_becomes_an_asset_before_anything_runs(monkeypatch):
    asked = []
    monkeypatch.setattr(automation, "reload_definitions", lambda: asked.append(True))
    result = _tick(monkeypatch, Arrivals(ready={"FR01": "a" * 64, "JP01": "b" * 64}))
    assert (asked, result.run_requests) == ([True], [])
    assert "JP01" in result.skip_reason.skip_message


def test_a_new_centre_that_cannot_be_made_known_keeps_no_other_waiting(monkeypatch):
    def no_answer():
        raise RuntimeError("press Reload")

    monkeypatch.setattr(automation, "reload_definitions", no_answer)
    result = _tick(monkeypatch, Arrivals(ready={"FR01": "a" * 64, "JP01": "b" * 64}, seen={"FR01": {}, "JP01": {}}))
    assert [request.tags["capla/centres"] for request in result.run_requests] == ["FR01"]
    assert json.loads(result.cursor) == {"FR01": {"asked_for": "a" * 64}, "JP01": {}}
    with pytest.raises(RuntimeError, match="press Reload"):
        _tick(monkeypatch, Arrivals(ready={"JP01": "b" * 64}, seen={"JP01": {}}))


def test_a_dagster_that_does_not_answer_is_said_with_what_to_do(monkeypatch):
    monkeypatch.setenv("CAPLA_DAGSTER", "http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="press Reload"):
        automation.reload_definitions()


def test_nothing_starts_by_itself_for_a_newcomer():
    repository = defs.get_repository_def()
    assert {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs} == {
        "nightly_study": "STOPPED",
        "weekly_verification": "STOPPED",
    }
    running = {
        sensor.name for sensor in repository.sensor_defs if sensor.default_status is dg.DefaultSensorStatus.RUNNING
    }
    assert running == {"failed_run", "refused_centres"}


class Unforeseen(Exception):
    pass


def _failed(op, **resources) -> Notice:
    """The notice of a run in which an op, or a resource before it, failed."""

    @dg.job(resource_defs=resources)
    def broken():
        op()

    with dg.DagsterInstance.ephemeral() as instance:
        result = broken.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "failed_run",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        )
        return automation.failure_notice(context.for_run_failure())


def test_a_notice_of_a_failure_says_what_was_written_for_people():
    @dg.op
    def refused():
        raise dg.Failure("FR01/patients.csv: column 'Sexe' is missing.")

    notice = _failed(refused)
    assert notice.title.endswith("of broken failed")
    assert notice.lines == ["refused: FR01/patients.csv: column 'Sexe' is missing."]


def test_a_notice_of_an_unforeseen_error_gives_its_kind_and_not_its_text():
    @dg.op
    def crashed():
        raise Unforeseen("patient Jane Doe")

    assert _failed(crashed).lines == ["crashed: Unforeseen"]


def test_a_notice_of_a_setting_that_does_not_exist_says_what_there_is():
    @dg.op(required_resource_keys={"study"})
    def never_run():
        pytest.fail("the run went on")

    (line,) = _failed(never_run, study=Study(rule_set="tpe2018")).lines
    assert line.startswith("rule set: found 'tpe2018'; expected one of")


@pytest.fixture
def webhook(monkeypatch):
    """A webhook on this machine; what it was sent."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("CAPLA_NOTICE_WEBHOOK", f"http://127.0.0.1:{server.server_port}/")
    yield received
    server.shutdown()


def test_a_notice_goes_to_the_log_and_to_the_webhook(webhook, caplog):
    assert notices.send(Notice("title", ["one", "two"]), logging.getLogger()) == ["webhook"]
    assert webhook == [{"title": "title", "text": "title\none\ntwo"}]
    assert "one\ntwo" in caplog.text


def test_a_notice_that_cannot_be_sent_is_an_error_and_in_the_log_all_the_same(monkeypatch, caplog):
    monkeypatch.setenv("CAPLA_NOTICE_MAIL", "manager@example.org")
    monkeypatch.setenv("CAPLA_SMTP", "127.0.0.1:9")
    with pytest.raises(OSError):
        notices.send(Notice("title", ["one"]), logging.getLogger())
    assert "one" in caplog.text


def test_two_runs_never_build_the_same_warehouse_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    program = "from capla_etl.defs.build_lock import hold_build; hold_build(0); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BuildInUse, match=f"process {other.pid}"):
            hold_build(0)
        other.kill()
    hold_build(0)
