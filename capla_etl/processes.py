"""Who is alive, and who ends with whom: known from locks of the operating system, which end with their process.

Clocks are set back, heartbeats come late and process numbers are used again, so none of them is asked. What a process
does while it is alive does not belong here.
"""

import contextlib
import fcntl
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

#: Names the temporary folder of the process that a process ends with.
ENDS_WITH = "CAPLA_ENDS_WITH"
#: Start of that folder's name; short, as the paths of sockets in it may have about a hundred characters.
_FOLDER = "capla_p_"
#: How often a process that waits says so.
SAY_EVERY_SECONDS = 30
_LOOK_EVERY_SECONDS = 0.5
#: How long what was killed may take to let go of its files.
_SECONDS_TO_END = 10
#: Signals that stop a command.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Locks that this process holds until it ends, by their files.
_held: dict[Path, TextIO] = {}


def take(place: Path, who: str) -> bool:
    """Take a lock until this process ends, unless another process holds it; keep it if this process holds it already.

    Args:
        who: what this process is, for those who wait for it.
    """
    if place in _held:
        return True
    place.parent.mkdir(parents=True, exist_ok=True)
    file = place.open("a+")
    if not _locked(file):
        file.close()
        return False
    _say(file, who)
    _held[place] = file
    return True


def take_new(place: Path, who: str) -> None:
    """Take a lock that nobody else takes, until this process ends. Other processes never see its file unlocked."""
    if place in _held:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    unnamed = place.with_name(f".{place.name}.{os.getpid()}")
    file = unnamed.open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    _say(file, who)
    unnamed.rename(place)
    _held[place] = file


def take_when_free(place: Path, who: str, what: str, say: Callable[[str], None], wait_seconds: float) -> bool:
    """Take a lock as ``take`` does; wait while another process holds it, and no longer than that process lives.

    Args:
        who: what this process is, for those who wait for it.
        what: what the holder does, for those who wait: "is building ...".
        say: is told who is waited for, at once and every half minute.
        wait_seconds: how long to wait at most.

    Returns:
        Whether this process has it.
    """
    began = time.monotonic()
    said = -math.inf
    while not take(place, who):
        waited = time.monotonic() - began
        if waited >= wait_seconds:
            return False
        if waited - said >= SAY_EVERY_SECONDS:
            said = waited
            so_long = f" ({waited:.0f} s so far)" if waited >= 1 else ""
            say(f"Waiting for {holder(place)}, which {what}{so_long}")
        time.sleep(_LOOK_EVERY_SECONDS)
    return True


def is_held(place: Path) -> bool:
    """Whether a living process, be it this one, holds a lock."""
    try:
        file = place.open("r+")
    except FileNotFoundError:
        return False
    with file:
        return not _locked(file)


def holder(place: Path) -> str:
    """Say for people who holds a lock: what it is, its process number, and since when."""
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # taken, and not written yet
        return "another process"
    return f"{said['who']} (process {said['process']}, since {said['since']})"


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(file: TextIO, who: str) -> None:
    file.truncate(0)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    file.write(json.dumps({"who": who, "process": os.getpid(), "since": now}))
    file.flush()


@contextlib.contextmanager
def temporary_folder(start: str) -> Iterator[Path]:
    """A folder for temporary files, removed at the end; those that killed processes left are removed first.

    A lock on the folder says that its process lives.

    Args:
        start: start of the names of such folders.
    """
    folder = _new_folder(start)
    try:
        yield folder.path
    finally:
        folder.end()


@dataclass(frozen=True)
class _Folder:
    path: Path
    lock: int

    def end(self) -> None:
        """Give up the lock, upon which the processes that end with it do, and remove the folder."""
        os.close(self.lock)
        deadline = time.monotonic() + _SECONDS_TO_END
        while self.path.exists() and time.monotonic() < deadline:
            shutil.rmtree(self.path, ignore_errors=True)  # who ends may still write into it
            if self.path.exists():
                time.sleep(0.05)


def _new_folder(start: str) -> _Folder:
    for left in Path(tempfile.gettempdir()).glob(f"{start}????????"):  # as mkdtemp names them
        with contextlib.suppress(OSError):  # another user's
            if (lock := _lock_of(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
    while True:
        path = Path(tempfile.mkdtemp(prefix=start))
        lock = _lock_of(path)
        if lock is not None and path.exists():  # else taken for one left behind before it was locked
            return _Folder(path, lock)


def _lock_of(folder: Path) -> int | None:
    """Lock a folder; None if another process holds it, or it is gone."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        return None
    return opened


def _settings(folder: Path) -> dict[str, str]:
    return {ENDS_WITH: str(folder), "TMPDIR": str(folder)}


@dataclass(frozen=True)
class Led:
    """Processes that end together: their temporary folder, the environment they need, and their process group."""

    folder: Path
    environment: dict[str, str]
    group: int

    def end(self) -> None:
        """End all of them now."""
        os.killpg(self.group, signal.SIGKILL)  # it stays: its first process is waited for at the end of the block


@contextlib.contextmanager
def leading() -> Iterator[Led]:
    """Lead a group of processes, which end with all that they start when the block does, or this process does.

    Enter it before other threads are started.
    """
    folder = _new_folder(_FOLDER)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    guard = os.fork()
    if guard == 0:  # is the group's first, and kills it when this process is gone
        os.setpgid(0, 0)
        os.close(folder.lock)
        _end_when_free(str(folder.path))
    os.setpgid(guard, guard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    try:
        yield (led := Led(folder.path, _settings(folder.path), guard))
    finally:
        led.end()
        os.waitpid(guard, 0)
        folder.end()


def end_with_leader() -> bool:
    """End this process when its leader does, however that ends; whether it has one."""
    place = os.environ.get(ENDS_WITH)
    if place:
        threading.Thread(target=_end_when_free, args=(place,), daemon=True).start()
    return place is not None


def _end_when_free(place: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(opened, fcntl.LOCK_SH)
    # Nothing is torn by it: what is published changes in one step, and everything else is made again.
    if os.getpgrp() == os.getpid():  # a group of what this process has started
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def run_apart(stopped: Callable[[], int]) -> int | None:
    """Go on in a child process that can be stopped at any moment, and wait for it here.

    Whatever runs in the child (Dagster, dbt, native code) has no say in how a signal is answered: it is killed, as any
    crash would, and with it what it has started; their temporary files are removed. A process that is led by another
    goes on as it is.

    Args:
        stopped: called here once a person stopped the child; its result is returned.

    Returns:
        None in the process that goes on; here the child's exit status, 128 + the signal if one ended it.
    """
    if end_with_leader():
        _die_silently()
        return None
    folder = _new_folder(_FOLDER)
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until each of the two knows what to do
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # with all that it starts; Ctrl+C reaches this process only
        os.close(folder.lock)
        os.environ.update(_settings(folder.path))
        tempfile.tempdir = None  # as TMPDIR says from now on
        _die_silently()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        end_with_leader()
        return None
    with contextlib.suppress(OSError):  # it did so itself, and may have ended
        os.setpgid(child, child)
    signal.signal(signal.SIGTSTP, lambda *_: _pause(child))
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        ended_itself = True
    except KeyboardInterrupt:
        ended_itself = False
    with contextlib.suppress(PermissionError):  # macOS, if only a process that has ended is left
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    folder.end()
    if not ended_itself or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in STOPS):
        return stopped()
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _pause(child: int) -> None:
    """Answer Ctrl+Z for both, until the shell continues this process."""
    os.killpg(child, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.killpg(child, signal.SIGCONT)


def _die_silently() -> None:
    """Let signals end this process as the system does, without a trace: its leader says what there is to say."""
    for stop in STOPS:
        if signal.getsignal(stop) is not signal.SIG_IGN:
            signal.signal(stop, signal.SIG_DFL)


def stop_by_interrupt() -> None:
    """Make each of the signals that stop a command a KeyboardInterrupt, once; what follows it is not interrupted."""

    def interrupt(*_) -> None:
        for stop in STOPS:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt

    for stop in STOPS:
        if stop is not signal.SIGHUP or signal.getsignal(stop) is not signal.SIG_IGN:  # nohup
            signal.signal(stop, interrupt)
