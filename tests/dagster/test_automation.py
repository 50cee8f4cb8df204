"""Only centres with something new, and what depends on them, start by themselves; a failure sends a notice."""

import json
import logging
import os
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import duckdb
import pytest
from tiny_centre import TinyCentre, load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.arrivals import Arrivals
from capla_etl.definitions import defs
from capla_etl.defs import automation, dbt, notices
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


def test_an_arrival_asks_for_one_run_however_often_and_its_coming_again_for_another(monkeypatch):
    """Dagster launches a run key once: a sensor that is asked twice, or restarted, does not run twice."""

    def key(fingerprint: str, arrival: str) -> str:
        found = Arrivals(ready={"FR01": fingerprint}, seen={"FR01": {"arrival": arrival}})
        return _tick(monkeypatch, found).run_requests[0].run_key

    assert key("a after x", "first") == key("a after x", "first")
    assert len({key("a after x", "first"), key("a after x", "second"), key("a after b", "first")}) == 3


def test_nothing_new_launches_nothing_and_says_what_it_waits_for(monkeypatch):
    result = _tick(monkeypatch, Arrivals(arriving={"FR01": "file 1 of 2 (.csv) is still open for writing"}))
    assert not result.run_requests
    assert "file 1 of 2 (.csv) is still open" in result.skip_reason.skip_message


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
    monkeypatch.setenv("CAPLA_CODE_SERVER", "/nowhere/code")
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


@pytest.fixture
def mail(monkeypatch):
    """Mails that would be sent, as the mail server would see them."""
    sent = []

    class Server:
        def __init__(self, *_, **__): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def send_message(self, message):
            sent.append(message.as_string())

    monkeypatch.setattr(notices.smtplib, "SMTP", Server)
    monkeypatch.setenv("CAPLA_NOTICE_MAIL", "manager@example.org")
    return sent


PLANTED = "Doe, Jane 1961-02-03"


def _quotes_a_row():
    """DuckDB's own error, with the cell that it could not convert."""
    return duckdb.execute("select cast(? as integer)", [PLANTED])


def _fails_behind_another():
    try:
        _quotes_a_row()
    except duckdb.Error as error:
        raise RuntimeError(f"row of {PLANTED}") from error


def _fails_for_people():
    try:
        _quotes_a_row()
    except duckdb.Error as error:
        raise dg.Failure("FR01/labs.csv, row 7: not a number.") from error


def _fails_in_dbt():
    with pytest.raises(duckdb.Error) as quoting:
        _quotes_a_row()
    node = types.SimpleNamespace(resource_type="model", name="patient")
    result = types.SimpleNamespace(status="error", node=node, message=f"Runtime Error in model\n  {quoting.value}")
    assert PLANTED in result.message
    raise dg.Failure(dbt._failed(result))


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (_quotes_a_row, "ConversionException"),
        (_fails_behind_another, "RuntimeError"),
        (_fails_for_people, "FR01/labs.csv, row 7: not a number."),
        (_fails_in_dbt, "model patient: Runtime Error in Conversion Error"),
    ],
)
def test_no_patients_value_leaves_by_webhook_or_mail(fails, said, webhook, mail, caplog):
    @dg.op(name="step")
    def step():
        fails()

    @dg.resource
    def broken(_):
        fails()

    @dg.op(required_resource_keys={"broken"})
    def never_run():
        pytest.fail("the run went on")

    for op, resources in ((step, {}), (never_run, {"broken": broken})):
        caplog.clear()
        notices.send(_failed(op, **resources), logging.getLogger())
        for text in (webhook[-1]["text"], mail[-1], caplog.text):
            assert "Doe" not in text and "1961" not in text
        assert said in webhook[-1]["text"]


def test_a_refusal_of_a_centre_quotes_no_cell(tmp_path, monkeypatch):
    """Every cell is planted; each fault refuses the centre or its rows, and the message goes out as a notice."""
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    header, row = "id;name;sex;born;tpe;dead;seen\n", ";".join(f"Doe {n} 1961" for n in range(7)) + "\n"
    faults = [
        header + row,
        header + row + row,
        header + row.replace(";", ";;"),
        header + row + '"' + row,
        row + header,
        header.replace("seen", "last") + row,
        header + row.replace("Doe 5 1961", ""),
        header + "A;B;F;01/02/1970;" + "Doe 1961;" * 2 + "Doe 1961\n",
        (header + row).encode("utf-16"),
        b"\xff\xfe\x00" + (header + row).encode(),
    ]
    centre, refused = TinyCentre(paths.data_raw()), 0
    centre.spec()
    for content in faults:
        centre.write("patients.csv", content if isinstance(content, bytes) else content.encode())
        try:
            load_centre("XX01")
        except CentreRefused as refusal:
            refused += 1
            assert "Doe" not in str(refusal) and "1961" not in str(refusal)
    assert refused > 5


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
    program = "from capla_etl.defs.build_lock import hold_build as hold; hold(0); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BuildInUse, match=f"process {other.pid}"):
            hold_build(0)
        other.kill()
    hold_build(0)
