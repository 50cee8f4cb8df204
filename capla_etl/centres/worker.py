"""Run what opens a centre's files in a process of its own, with limits of memory and time; report its death.

The readers of some formats are written in C and Rust. A damaged or hostile file can crash them, or make them take all
memory or run for ever; only a process of its own can be ended without the study.

What does not belong here: what is read (reading/), and what becomes of a centre whose process died (submissions/).
"""

import atexit
import contextlib
import multiprocessing
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from functools import cache
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, concurrent

from capla_etl.centres.errors import CentreRefused, one_centres_problem
from capla_etl.centres.limits import MOST_CPU_SECONDS, MOST_MEMORY_BYTES, MOST_WALL_SECONDS
from capla_etl.processes import temporary_folder

#: Start of the name of a worker's folder for temporary files, next to others of this machine.
_FOLDER = "capla_worker_"
#: File in that folder that names what is being read.
_READING = "reading"
#: What the worker needs is imported once, in the process that all workers are copied from.
_PRELOADED = ["capla_etl.centres.submissions.preloaded"]
#: As many centres at a time as the machine has processors, but not more than two: each may take much memory.
_SLOTS = threading.BoundedSemaphore(min(2, os.cpu_count() or 1))
#: In a worker, its folder; elsewhere empty.
_own_folder: list[Path] = []
_METHOD = multiprocessing.get_context("forkserver")


class Died(Exception):
    """The process that read a centre's files ended before it was done.

    ``file``: what it was reading, empty if it had not begun. ``why``: found, allowed, what to do; a sentence part after
    "the program that reads it".
    """

    def __init__(self, file: str, why: str):
        self.file, self.why = file, why
        super().__init__(f"{file or 'centre.yml'}: the program that reads it {why}")

    def refused(self, centre_id: str) -> CentreRefused:
        """The same as the refusal of a centre."""
        return CentreRefused(centre_id, [f"{centre_id}/{self}"])


def now_reading(label: str) -> None:
    """Keep the name of what is read next, for the message if this process dies of it."""
    for folder in _own_folder:
        (folder / _READING).write_text(label, encoding="utf-8", errors="backslashreplace")


def apart(task: Callable, *args: Any) -> Future:
    """Start ``task(*args)`` in a process of its own, as soon as one of the slots is free.

    Its result and its exceptions are those of the future; ``Died`` if the process ended otherwise. The task must be a
    function of a module. It sees the environment as it is now.
    """
    return _when_free(task, args, dict(os.environ))


def read_apart(centre_id: str, task: Callable, *args: Any) -> Any:
    """Run ``task(*args)``, which opens a centre's files, in a process of its own, and wait for its result.

    Raises:
        CentreRefused: the task refused the centre, failed in another way, or its process died.
        OSError: a file cannot be reached.
    """
    try:
        return apart(_as_refusal, centre_id, task, args).result()
    except Died as died:
        raise died.refused(centre_id) from None


def _as_refusal(centre_id: str, task: Callable, args: tuple) -> Any:
    with one_centres_problem(centre_id):
        return task(*args)


@concurrent.thread(daemon=True)
def _when_free(task: Callable, args: tuple, environment: dict[str, str]) -> Any:
    with _SLOTS, temporary_folder(_FOLDER) as folder:
        environment["TMPDIR"] = str(folder)
        try:
            return _process()(task, args, environment).result()
        except ProcessExpired as expired:
            raise Died(_read_last(folder), _of_exit(expired.exitcode)) from None
        except TimeoutError:
            limit = f"needed more than {MOST_WALL_SECONDS:,} seconds, which is the limit."
            raise Died(_read_last(folder), f"{limit} {_ADVICE}") from None
        except MemoryError:
            raise Died(_read_last(folder), _OUT_OF_MEMORY) from None


_ADVICE = "Ask the centre to check the file, and to send it again."
_OUT_OF_MEMORY = f"needed more than {MOST_MEMORY_BYTES // 1_000_000:,} MB of memory, which is the limit. {_ADVICE}"


def _of_exit(code: int | None) -> str:
    """Why a process ended, in words, by its exit status."""
    if code == -signal.SIGXCPU:
        return f"needed more than {MOST_CPU_SECONDS:,} seconds of processor time, which is the limit. {_ADVICE}"
    if code == -signal.SIGKILL:
        return f"was ended by the system (SIGKILL), as happens when memory runs out. {_ADVICE}"
    if code is not None and code < 0:
        crashed = f"crashed ({signal.Signals(-code).name}), so the file is damaged or needs too much memory"
        return f"{crashed} (the limit is {MOST_MEMORY_BYTES // 1_000_000:,} MB). {_ADVICE}"
    return f"ended with status {code}, so the file is probably damaged. {_ADVICE}"


def _read_last(folder: Path) -> str:
    place = folder / _READING
    return place.read_text(encoding="utf-8") if place.is_file() else ""


@cache
def _process() -> Callable[..., Future]:
    _METHOD.set_forkserver_preload(_PRELOADED)
    atexit.register(_end_workers)
    return concurrent.process(timeout=MOST_WALL_SECONDS, context=_METHOD, name="capla worker")(_in_worker)


def _end_workers() -> None:
    """End what is still being read when this process ends; nobody waits for it any more."""
    for worker in multiprocessing.active_children():
        if worker.name == "capla worker":
            worker.kill()
            worker.join()


def _in_worker(task: Callable, args: tuple, environment: dict[str, str]) -> Any:
    """The worker: limits first, then the task."""
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o077)
    tempfile.tempdir = environment["TMPDIR"]
    _own_folder.append(Path(environment["TMPDIR"]))
    # what C and Rust print when they fail may hold a value of the file
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(OSError):  # not Linux: there the memory limit below is all
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    _limit(resource.RLIMIT_CORE, 0)  # a core file would hold the patients
    _limit(resource.RLIMIT_AS, MOST_MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, MOST_CPU_SECONDS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return task(*args)


def _limit(what: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # the system has no such limit, or a lower one
        resource.setrlimit(what, (value, value))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)
