"""Find complete submissions in the data folder that were not judged yet, identified by content, not by name or time.

A submission is complete when its centre's folder has not changed between two looks, no file name is that of an
unfinished transfer, and no process has a file open for writing (where the system can tell). Until then it is left
alone.

What does not belong here: loading (load.py), and what is launched because of it (capla_etl.defs.automation).
"""

import errno
import fcntl
import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused, one_centres_problem
from capla_etl.centres.files import place
from capla_etl.centres.submissions.status import BESIDE, SPEC, good_loads, is_code, judged, received

#: Names that programs give to files that are not complete yet.
_UNFINISHED = re.compile(r".*\.(part|partial|filepart|tmp|crdownload|download|swp|new)|~\$.*|\.~lock\..*", re.I)
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class Arrivals:
    """What one look found.

    Attributes:
        ready: centre -> a complete state of its folder that was not loaded, refused or asked for, as "one fingerprint
            after those judged before". The same state may be asked for again after another was judged.
        arriving: centre -> why it is left alone for now.
        without_spec: folders with submissions that have no spec yet.
        gone: centres of the study whose folder is missing.
        seen: what the next look compares with.
    """

    ready: dict[str, str] = field(default_factory=dict)
    arriving: dict[str, str] = field(default_factory=dict)
    without_spec: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def in_words(self) -> list[str]:
        """Say for people why nothing was launched for some centres."""
        without_spec = f"submissions without a {SPEC}; write one with `capla centre draft`"
        return [
            *(f"{centre}: {why}" for centre, why in self.arriving.items()),
            *(f"{centre}: {without_spec}" for centre in self.without_spec),
            *(f"{centre}: its folder is missing; it stays at its last good submission" for centre in self.gone),
        ]

    def asked_for(self) -> None:
        """Mark what is ready as asked for, so that later looks do not find it again before the run has judged it."""
        for centre, state in self.ready.items():
            self.seen[centre]["asked_for"] = state

    def name(self) -> str:
        """Name these arrivals: asked for twice they have one name; what comes, goes and comes again has two."""
        told = [f"{centre} {self.seen[centre].get('arrival')} {state}" for centre, state in self.ready.items()]
        return " ".join([*self.ready, hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]])


def look(seen: dict[str, dict[str, str]]) -> Arrivals:
    """Look at every centre's folder.

    Args:
        seen: ``seen`` of the look before; {} at the first look, which finds nothing ready.

    Raises:
        OSError: the data folder itself cannot be read.
    """
    found = Arrivals()
    folders = sorted(p for p in paths.data_raw().iterdir() if p.is_dir() and not p.name.startswith("."))
    for folder in folders:
        name = folder.name if is_code(folder.name) else place(folder)
        try:
            with one_centres_problem(name):
                _look_at(folder, seen.get(folder.name, {}), found)
        except CentreRefused as refused:
            found.arriving[name] = "; ".join(refused.problems)
        except OSError as error:
            why = error.strerror or type(error).__name__
            found.arriving[name] = f"a file or folder disappeared or cannot be read ({why})"
    there = {folder.name for folder in folders if (folder / SPEC).is_file()}
    found.gone = sorted(set(good_loads()) - there)
    return found


def _look_at(folder: Path, before: dict[str, str], found: Arrivals) -> None:
    files = list(_files(folder))
    if not is_code(folder.name):
        if files:
            found.arriving[place(folder)] = "the folder's name is no centre's code, such as HU01; rename it"
        return
    if not (folder / SPEC).is_file():
        if files:
            found.without_spec.append(folder.name)
        return
    signature = _signature(folder, files)
    arrival = before.get("arrival") if before.get("signature") == signature else None
    state = {"signature": signature, "arrival": arrival or uuid.uuid4().hex}
    if "asked_for" in before:
        state["asked_for"] = before["asked_for"]
    found.seen[folder.name] = state
    if unfinished := [f for f in files if _UNFINISHED.fullmatch(f.name)]:
        found.arriving[folder.name] = f"{place(unfinished[0], with_digest=False)} has the name of an unfinished file"
    elif before.get("signature") != state["signature"]:
        found.arriving[folder.name] = "changed since the last look; left alone until it stops changing"
    elif written := [f for f in files if "received" not in before and being_written(f)]:
        found.arriving[folder.name] = f"{place(written[0], with_digest=False)} is still open for writing"
    else:
        state["received"] = before.get("received") or received(folder)
        done = judged(folder.name)
        wanted = f"{state['received']} after {' '.join(sorted(done)) or 'nothing'}"
        if state["received"] in done:
            state.pop("asked_for", None)
        elif state.get("asked_for") != wanted:
            found.ready[folder.name] = wanted


def _files(folder: Path) -> Iterator[Path]:
    """Files that determine a load: spec, corrections, answers, and everything in the dated folders."""
    for path in sorted(folder.iterdir()):
        if path.name in BESIDE:
            yield path
        elif path.is_dir() and _DATED.fullmatch(path.name):
            yield from (p for p in sorted(path.iterdir()) if p.is_file())


def _signature(folder: Path, files: list[Path]) -> str:
    """Hash of the names, sizes and times of the files, which shows changes without reading them."""
    stats = [(f.relative_to(folder).as_posix(), f.stat()) for f in files]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()


def being_written(path: Path) -> bool:
    """Whether a process has the file open for writing: Linux then grants no read lease. False where it cannot tell."""
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except AttributeError:  # not Linux
            return False
        except OSError as error:
            return error.errno == errno.EAGAIN
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
