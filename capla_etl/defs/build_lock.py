"""Let one run at a time build a warehouse, whether it comes from the terminal, the UI or a schedule.

Alternating steps of two runs would publish a mixture. The lock is the operating system's, so it ends with the process
that holds it, however that ends.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from capla_etl import paths

#: Locks that this process holds until it ends: lock file -> open file.
_held: dict[Path, TextIO] = {}


class BuildInUse(Exception):
    """Another run is building this warehouse; the message says which process."""


def hold_build(wait_seconds: float) -> None:
    """Take the lock of the warehouse being built until this process ends; keep it if this process has it already.

    Args:
        wait_seconds: how long to wait for another run.

    Raises:
        BuildInUse: another run is still building it after that.
    """
    place = paths.warehouse() / "build" / ".lock"
    if place in _held:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    file = place.open("a+")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.seek(0)
                who = file.read().strip() or "unknown"
                file.close()
                raise BuildInUse(
                    f"Another run (process {who}) is building {place.parent}. Nothing was changed: start again when it "
                    "has ended."
                ) from None
            time.sleep(1)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held[place] = file
