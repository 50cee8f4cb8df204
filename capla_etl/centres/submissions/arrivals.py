"""What has arrived in the data folder: complete submissions that nobody has looked at yet, known by content and not by name or time.

A submission counts as complete when nothing of its centre's folder has changed between two looks, no file has a name that stands for an unfinished
transfer, and no process has a file open for writing (where the system can tell). Until then it is left alone.

What does not belong here: loading (load.py), and what is launched because of it (capla_etl.defs.automation).
"""

import errno
import fcntl
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.submissions.status import BESIDE, SPEC, good_loads, judged, received

#: How programs that copy or download name a file that is not whole yet.
_UNFINISHED = re.compile(
    r".*\.(part|partial|filepart|tmp|crdownload|download|swp|new)|~\$.*|\.~lock\..*", re.IGNORECASE
)
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class Arrivals:
    """What one look found.

    Attributes:
        ready: centre -> fingerprint of a complete state of its folder that was neither loaded nor refused, nor asked for before.
        arriving: centre -> why it is left alone for now.
        without_spec: folders with submissions that have no spec yet.
        gone: centres of the study whose folder is not there any more.
        seen: what the next look is compared with.
    """

    ready: dict[str, str] = field(default_factory=dict)
    arriving: dict[str, str] = field(default_factory=dict)
    without_spec: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def in_words(self) -> list[str]:
        """Why nothing was launched for some, for people."""
        return [
            *(f"{centre}: {why}" for centre, why in self.arriving.items()),
            *(
                f"{centre}: submissions without a {SPEC}; write one with `capla centre draft`"
                for centre in self.without_spec
            ),
            *(f"{centre}: its folder is gone; it stays at its last good submission" for centre in self.gone),
        ]

    def asked_for(self) -> None:
        """What is ready has been asked for: the next looks do not find it again, also while the run that loads it has judged only some of the centres."""
        for centre, fingerprint in self.ready.items():
            self.seen[centre]["asked_for"] = fingerprint


def look(seen: dict[str, dict[str, str]]) -> Arrivals:
    """Look at every centre's folder.

    Args:
        seen: ``seen`` of the look before; {} at the first one, which finds nothing ready.

    Raises:
        OSError: the data folder itself cannot be read.
    """
    found = Arrivals()
    folders = sorted(p for p in paths.data_raw().iterdir() if p.is_dir() and not p.name.startswith("."))
    for folder in folders:
        try:
            _look_at(folder, seen.get(folder.name, {}), found)
        except OSError as error:
            found.arriving[folder.name] = (
                f"a file or folder went away or cannot be read ({error.strerror or type(error).__name__})"
            )
    there = {folder.name for folder in folders if (folder / SPEC).is_file()}
    found.gone = sorted(set(good_loads()) - there)
    return found


def _look_at(folder: Path, before: dict[str, str], found: Arrivals) -> None:
    files = list(_files(folder))
    if not (folder / SPEC).is_file():
        if files:
            found.without_spec.append(folder.name)
        return
    state = {"signature": _signature(folder, files)} | (
        {"asked_for": before["asked_for"]} if "asked_for" in before else {}
    )
    found.seen[folder.name] = state
    if unfinished := [f.name for f in files if _UNFINISHED.fullmatch(f.name)]:
        found.arriving[folder.name] = f"{unfinished[0]} is the name of an unfinished file"
    elif before.get("signature") != state["signature"]:
        found.arriving[folder.name] = "changed since the last look; left alone until nothing changes any more"
    elif written := [f.name for f in files if "received" not in before and being_written(f)]:
        found.arriving[folder.name] = f"{written[0]} is still open for writing"
    else:
        state["received"] = before.get("received") or received(folder)
        if state["received"] not in {*judged(folder.name), state.get("asked_for")}:
            found.ready[folder.name] = state["received"]


def _files(folder: Path) -> Iterator[Path]:
    """Files that decide a load: spec, corrections and answers, and everything in the dated folders."""
    for path in sorted(folder.iterdir()):
        if path.name in BESIDE:
            yield path
        elif path.is_dir() and _DATED.fullmatch(path.name):
            yield from (p for p in sorted(path.iterdir()) if p.is_file())


def _signature(folder: Path, files: list[Path]) -> str:
    """Names, sizes and times of the files: what tells that something changed without reading it."""
    stats = [(f.relative_to(folder).as_posix(), f.stat()) for f in files]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()


def being_written(path: Path) -> bool:
    """Whether some process has the file open for writing: Linux grants no read lease then. False where the system cannot tell (network drives)."""
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except AttributeError:  # not Linux
            return False
        except OSError as error:
            return error.errno == errno.EAGAIN
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
