"""After a kill whoever comes next goes on at once; a stopped command says what that means, and leaves nothing."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from capla_etl import processes
from capla_etl.defs.build_lock import lock_of_run, lock_of_ui
from capla_etl.paths import ROOT
from capla_etl.running.instance import end_dead_runs, instance_at_home

HOLDS = "from capla_etl import processes; from pathlib import Path; import sys, time\n"
HOLDS += "processes.take(Path(sys.argv[1]), 'another run'); print('held', flush=True); time.sleep(100)"


class Command:
    """A command of ``capla`` in a session of its own, and what it has printed."""

    def __init__(self, folder: Path, *arguments: str):
        self.log = folder / f"{arguments[0]}_{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "capla_etl.cli", *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def until(self, text: str) -> "Command":
        """Wait until it has printed something."""
        deadline = time.monotonic() + 300
        while text not in self.said:
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.05)
        return self

    def stop(self, by: int) -> int:
        self.process.send_signal(by)
        return self.process.wait(60)

    def alive(self) -> list[int]:
        """Processes of its session, but for those that only wait to be asked for their status."""
        listed = subprocess.run(["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in listed.splitlines()]
        return [int(pid) for pid, sid, stat in rows if int(sid) == self.process.pid and not stat.startswith("Z")]

    def kill_everything(self) -> None:
        for process in self.alive():
            os.kill(process, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Path]:
    """A study of one centre that was never published, with its own history of runs and temporary files."""
    shutil.copytree(ROOT / "data_raw" / "FR01", tmp_path / "data" / "FR01")
    shutil.copy(ROOT / "data_raw" / "SYNTHETIC", tmp_path / "data")
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data"))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with tempfile.TemporaryDirectory() as temporary:  # a short path, for sockets
        (tmp_path / "tmp").symlink_to(temporary)
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield tmp_path


def _nothing_left(place: Path, command: Command) -> bool:
    """Whether its processes and temporary files are gone, now or within ten seconds.

    What killed processes left is removed as the next command does it at its start.
    """
    deadline = time.monotonic() + 10
    while True:
        with processes.temporary_folder("capla_p_"):
            pass
        if not (left := [*command.alive(), *(place / "tmp").iterdir()]) or time.monotonic() > deadline:
            return not left
        time.sleep(0.1)


def test_everything_is_killed_and_the_next_goes_on_at_once(place):
    first = Command(place, "study").until("FR01:")
    second = Command(place, "study").until("Waiting for run ")
    third = Command(place, "study").until("Waiting for run ")
    assert re.search(r"run \w{8} of a terminal \(process \d+, since [-\d: ]+UTC\), which is building ", second.said)
    assert third.stop(signal.SIGINT) == 130
    assert third.said.endswith("\nStopped. Nothing was published yet.\n") and "Traceback" not in third.said
    with instance_at_home() as instance:
        (run,) = [run.run_id for run in instance.get_runs()]
        instance.event_log_storage.initialize_concurrency_limit_to_default("duckdb_writer")
        instance.event_log_storage.claim_concurrency_slot("duckdb_writer", run, "harmonised")
    first.kill_everything()
    second.until("harmonised:")
    assert second.stop(signal.SIGTERM) == 130
    assert second.said.endswith("\nStopped. Nothing was published yet.\n") and "Traceback" not in second.said
    assert _nothing_left(place, second)
    with instance_at_home() as instance:
        end_dead_runs(instance, ui_works=False)
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.FAILURE}
        assert instance.event_log_storage.get_concurrency_run_ids() == set()


@dg.job
def some_job(): ...


def _of_the_ui() -> RemoteJobOrigin:
    server = GrpcServerCodeLocationOrigin(host="localhost", socket="/nowhere", location_name="capla_etl")
    return RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "some_job")


def _started(instance, **of) -> str:
    return instance.create_run_for_job(some_job, status=dg.DagsterRunStatus.STARTED, **of).run_id


def _hold(lock: Path) -> subprocess.Popen:
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE, text=True)
    other.stdout.readline()
    return other


def _is_started(instance, run: str) -> bool:
    return instance.get_run_by_id(run).status == dg.DagsterRunStatus.STARTED


def test_a_run_is_ended_when_its_process_is_gone_and_gives_its_place_to_the_next(place):
    with instance_at_home() as instance:
        run, lost = _started(instance), _started(instance)
        other = _hold(lock_of_run(instance, run))
        instance.event_log_storage.initialize_concurrency_limit_to_default("duckdb_writer")
        instance.event_log_storage.claim_concurrency_slot("duckdb_writer", run, "harmonised")
        assert end_dead_runs(instance, ui_works=False) == [lost], "a run of a terminal without a lock is of the dead"
        assert _is_started(instance, run)
        other.kill()
        other.wait()
        assert end_dead_runs(instance, ui_works=False) == [run]
        assert not _is_started(instance, run) and not lock_of_run(instance, run).exists()
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").active_slot_count == 0


def test_the_place_of_a_run_that_dagster_ended_itself_is_given_back(place):
    with instance_at_home() as instance:
        run = _started(instance)
        instance.event_log_storage.initialize_concurrency_limit_to_default("duckdb_writer")
        instance.event_log_storage.claim_concurrency_slot("duckdb_writer", run, "harmonised")
        instance.report_run_failed(instance.get_run_by_id(run))
        assert end_dead_runs(instance, ui_works=False) == []
        assert instance.event_log_storage.get_concurrency_info("duckdb_writer").active_slot_count == 0


def test_a_run_that_dagster_has_just_started_lives_as_long_as_its_ui(place):
    with instance_at_home() as instance:
        run = _started(instance, remote_job_origin=_of_the_ui())
        assert end_dead_runs(instance, ui_works=True) == []
        assert end_dead_runs(instance, ui_works=False) == [run]


def test_only_a_run_of_a_ui_that_is_gone_is_started_again(place):
    with instance_at_home() as instance:
        of_a_ui, of_a_terminal = _started(instance, remote_job_origin=_of_the_ui()), _started(instance)
        end_dead_runs(instance, ui_works=False)
        again = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/will_retry": "true"}))
        assert [run.run_id for run in again] == [of_a_ui] != [of_a_terminal]


def _free_ports() -> tuple[str, str]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1]), str(other.getsockname()[1])


def _ui(place: Path, ports: tuple[str, str]) -> Command:
    return Command(place, "ui", "--port", ports[0], "--pages-port", ports[1])


@pytest.mark.parametrize("taken", [0, 1])
def test_a_ui_without_its_ports_starts_nothing(place, taken):
    ports = _free_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(ports[taken])))
        other.listen()
        ui = _ui(place, ports)
        assert ui.process.wait(60) == 1
    option = ("--port", "--pages-port")[taken]
    expected = f"Port {ports[taken]} cannot be used (Address already in use). Choose another with {option}."
    assert ui.said == f"{expected} Nothing was started.\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_one_ui_at_a_time_and_its_processes_end_with_it(place, how):
    ui = _ui(place, _free_ports()).until("Ctrl+C stops both")
    second = _ui(place, _free_ports())
    assert second.process.wait(60) == 1
    assert f"(process {ui.process.pid}, since " in second.said and second.said.endswith("Nothing was started.\n")
    assert len(ui.alive()) > 4
    if how == signal.SIGKILL:
        ui.stop(how)
    else:
        assert ui.stop(how) == 130
        assert ui.said.endswith("\nStopped. Nothing was published yet.\n")
    assert _nothing_left(place, ui)
    assert not processes.is_held(lock_of_ui(place / "home"))
