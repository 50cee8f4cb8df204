"""Who is alive is known from locks, which end with their process; what a command has started ends with it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from capla_etl import processes

HOLDS = "from capla_etl import processes; from pathlib import Path; import sys, time\n"
HOLDS += "processes.take(Path(sys.argv[1]), 'the other run'); print('held', flush=True); time.sleep(100)"

#: A command that writes a temporary file, starts a process that would outlive it, and says their names.
COMMAND = """
import subprocess, sys, tempfile, time
from capla_etl import processes
processes.stop_by_interrupt()
ended = processes.run_apart(stopped=lambda: print("said once", flush=True) or 130)
if ended is not None:
    sys.exit(ended)
kept = tempfile.NamedTemporaryFile()
print(kept.name, subprocess.Popen(["sleep", "100"]).pid, flush=True)
{then}
"""
#: A server of which a process group is led.
LEADER = """
import subprocess, sys, time
from capla_etl import processes
with processes.leading() as led:
    command = [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '100'])"]
    server = subprocess.Popen(command, process_group=led.group)
    print(led.folder, led.group, flush=True)
    time.sleep({seconds})
print("over", flush=True)
"""


def _started(program: str, *arguments: str) -> tuple[subprocess.Popen, list[str]]:
    """A program in a process of its own, and what it says first."""
    command = [sys.executable, "-c", program, *arguments]
    heeds = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # also where the tests are run with nohup
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeds)
    return started, started.stdout.readline().split()


def _soon(holds) -> bool:
    """Whether something holds within ten seconds."""
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def _gone(process: int) -> bool:
    """Whether a process has ended; one that nobody has asked for its status yet counts as ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_lock_is_held_until_its_process_ends_however_that_ends(tmp_path):
    place = tmp_path / "lock"
    other, _ = _started(HOLDS, str(place))
    assert processes.is_held(place) and not processes.take(place, "we")
    assert processes.holder(place).startswith(f"the other run (process {other.pid}, since 2")
    other.kill()
    other.wait()
    assert not processes.is_held(place)
    assert processes.take(place, "we") and processes.take(place, "we")
    assert processes.is_held(place)


def test_asking_for_a_lock_that_nobody_took_makes_none(tmp_path):
    assert not processes.is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_a_new_lock_is_never_seen_unlocked(tmp_path):
    place = tmp_path / "runs" / "run"
    processes.take_new(place, "we")
    assert processes.is_held(place)
    assert [p.name for p in place.parent.iterdir()] == ["run"]


def test_who_is_waited_for_is_said_at_once_and_again_and_the_wait_ends_with_that_process(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "SAY_EVERY_SECONDS", 1)
    place, said = tmp_path / "lock", []
    other, _ = _started(HOLDS, str(place))

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            other.kill()
            other.wait()

    assert processes.take_when_free(place, "we", "is building", say, wait_seconds=60)
    assert said[0].startswith("Waiting for the other run (process ") and said[0].endswith("), which is building")
    assert said[1].endswith("(1 s so far)") and said[2].endswith("(2 s so far)")


def test_who_does_not_want_to_wait_is_told_at_once(tmp_path):
    place, said = tmp_path / "lock", []
    other, _ = _started(HOLDS, str(place))
    assert not processes.take_when_free(place, "we", "is building", said.append, wait_seconds=0)
    assert said == []
    other.kill()
    other.wait()


@pytest.mark.parametrize("stop", processes.STOPS)
@pytest.mark.parametrize("to", ["the command", "its whole group, as Ctrl+C does"])
def test_a_command_that_is_stopped_says_so_once_and_leaves_nothing(stop, to):
    command, (temporary, started) = _started(COMMAND.format(then="time.sleep(100)"))
    assert Path(temporary).exists()
    (os.kill if to == "the command" else os.killpg)(command.pid, stop)
    assert command.wait(20) == 130
    assert command.stdout.read() == "said once\n"
    assert not Path(temporary).parent.exists() and _soon(lambda: _gone(int(started)))


def test_a_command_that_is_killed_takes_along_what_it_has_started():
    command, (temporary, started) = _started(COMMAND.format(then="time.sleep(100)"))
    command.kill()
    command.wait()
    assert _soon(lambda: _gone(int(started)))
    with processes.temporary_folder("capla_p_"):  # the next command
        assert not Path(temporary).exists()


@pytest.mark.parametrize(
    ("then", "status"), [("pass", 0), ("sys.exit(3)", 3), ("import os; os.abort()", 128 + signal.SIGABRT)]
)
def test_the_status_of_the_command_is_what_it_ended_with(then, status):
    command, (temporary, started) = _started(COMMAND.format(then=then))
    assert command.wait(20) == status
    assert not Path(temporary).parent.exists() and _soon(lambda: _gone(int(started)))


@pytest.mark.parametrize("kill", [True, False])
def test_servers_end_with_the_process_that_leads_them(kill):
    leader, (folder, group) = _started(LEADER.format(seconds=100 if kill else 0))
    if kill:
        leader.kill()
    leader.wait(20)

    def gone() -> bool:
        groups = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
        return [group, "S"] not in [[line.split()[0], line.split()[1][0]] for line in groups.splitlines()]

    assert _soon(gone)
    assert kill or not Path(folder).exists()


def test_what_killed_processes_left_is_removed_and_what_the_living_have_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, other = tmp_path / "mine_leftover", tmp_path / "other_leftover"
    of_a_person = tmp_path / "mine_data"
    for folder in (left, other, of_a_person):
        folder.mkdir()
        (folder / "patients.sav").write_text("Secret Person")
    with processes.temporary_folder("mine_") as living, processes.temporary_folder("mine_"):
        assert living.exists() and not left.exists() and other.exists() and of_a_person.exists()
        assert living.stat().st_mode & 0o777 == 0o700
    assert not living.exists()
