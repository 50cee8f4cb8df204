"""The audit trail: an append-only record of runs and releases, one line of JSON each, every line chained to the last.

A run has two lines, its beginning and its end; a run that was killed has no end. ``verify`` finds lines that were
changed, removed, added or put in another order. A chain alone cannot show that its end was cut off, or that all of it
was made anew: a later line, or the head noted elsewhere, can. Every release keeps the head of its day.

What does not belong here: what a person reads of it (commands/audit.py). No line holds a value or a name that a centre
sent, but for file names that its spec declares.
"""

import fcntl
import getpass
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.files import sha256
from capla_etl.centres.submissions.status import centre_ids, good_loads
from capla_etl.protocol.parameters import parameters
from capla_etl.releases.fingerprints import code_digest, files_of

#: What stands before the first line.
NOTHING = "0" * 64
BEGAN, ENDED, RELEASED = "began", "ended", "released"


class TrailBroken(Exception):
    """The record cannot be continued; the message says why and what to do."""


@dataclass
class Checked:
    """What the chain shows: its lines, its head, and what is wrong or only to be known, in words."""

    lines: int = 0
    head: str = NOTHING
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)


def append(event: str, **content) -> str:
    """Add a line, on disk before this returns; one process at a time.

    Returns:
        The hash of the line: the new head.

    Raises:
        OSError: it cannot be written.
        TrailBroken: the last whole line is no line of a trail, so that none can follow it.
    """
    place = paths.audit_trail()
    place.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines = file.read().split(b"\n")
        rest = lines.pop()
        number, previous = _last(lines)
        record = {"number": number + 1, "at": datetime.now(UTC).isoformat(timespec="seconds"), "event": event}
        record |= content | {"previous": previous}
        if rest:
            record["after_cut_off"] = hashlib.sha256(rest).hexdigest()
        line, head = _line(record)
        file.write((b"\n" if rest else b"") + line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return head


def _line(record: dict) -> tuple[bytes, str]:
    """A record as it is written, and its hash."""
    own = hashlib.sha256(_canonical(record)).hexdigest()
    return _canonical({"record": record, "sha256": own}), own


def _canonical(content: dict) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _parsed(line: bytes) -> tuple[dict, str] | None:
    """The record of a line and its hash, if the line is as it was written."""
    try:
        record = json.loads(line)["record"]
        return (record, json.loads(line)["sha256"]) if _line(record)[0] == line else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _last(lines: list[bytes]) -> tuple[int, str]:
    """Number and hash of the last line; one that was cut off by a kill may stand after it."""
    for line in reversed(lines[-2:]):
        if found := _parsed(line):
            return found[0]["number"], found[1]
    if lines:
        raise TrailBroken(f"the last lines of {paths.audit_trail()} are damaged: see `capla audit verify`.")
    return 0, NOTHING


def check(heads: dict[str, str] | None = None) -> Checked:
    """Check the whole chain.

    Args:
        heads: what it is -> head of an earlier day that must be among the lines, such as those that releases keep.
    """
    found = Checked()
    place = paths.audit_trail()
    lines = place.read_bytes().split(b"\n") if place.is_file() else [b""]
    rest, unended, cut = lines.pop(), {}, None
    for position, line in enumerate(lines, start=1):
        parsed = _parsed(line)
        if parsed is None:
            if cut is not None:
                found.problems.append(f"line {cut[0]}: changed, or damaged")
            cut = position, line
            continue
        record, own = parsed
        if cut is not None:
            if record.get("after_cut_off") == hashlib.sha256(cut[1]).hexdigest():
                found.notes.append(f"line {cut[0]}: cut off when its process was killed; the chain goes on after it")
            else:
                found.problems.append(f"line {cut[0]}: changed, or damaged")
            cut = None
        if record["previous"] != found.head:
            found.problems.append(f"line {position}: does not follow the line before it (changed, removed or moved)")
        elif record["number"] != found.lines + 1:
            found.problems.append(f"line {position}: has number {record['number']}; expected {found.lines + 1}")
        found.lines, found.head = record["number"], own
        found.hashes.add(own)
        _note_run(record, unended)
    if cut is not None:
        found.problems.append(f"line {cut[0]}: changed, or damaged")
    if rest:
        found.notes.append(f"line {len(lines) + 1}: cut off when its process was killed; the next run goes on after it")
    found.notes += [f"run {run[:8]}, begun {at}: no end; it works still, or was killed" for run, at in unended.items()]
    for what, head in (heads or {}).items():
        if head not in found.hashes and head != NOTHING:
            found.problems.append(f"{what}: its head {head[:16]} is none of the lines; lines were removed or replaced")
    return found


def _note_run(record: dict, unended: dict[str, str]) -> None:
    if record["event"] == BEGAN:
        unended[record["run"]] = record["at"]
    elif record["event"] == ENDED:
        unended.pop(record["run"], None)


def records() -> Iterator[dict]:
    """Every whole line, the oldest first."""
    place = paths.audit_trail()
    for line in place.read_bytes().split(b"\n") if place.is_file() else []:
        if parsed := _parsed(line):
            yield parsed[0]


def begin(run: str, job: str, started_by: str, settings: dict[str, str]) -> None:
    """Record the beginning of a run: who started it, with which settings and code, from which files.

    Args:
        run: its id.
        job: name of the job.
        started_by: the command, sensor or schedule.
        settings: what differs from the study as it is.

    Raises:
        OSError, TrailBroken: as ``append``; a run that cannot be recorded must not go on.
    """
    who = {"user": _user(), "host": os.uname().nodename, "process": os.getpid(), "by": started_by}
    append(
        BEGAN,
        run=run,
        job=job,
        who=who,
        settings=settings,
        parameters={p.name: str(p.value) for p in parameters().values()},
        code=code(),
        inputs=_inputs(),
    )


def end(run: str, how: str) -> None:
    """Record the end of a run: how it ended, which submissions are in the study, and what is published then."""
    append(ENDED, run=run, how=how, loads=_loads(), published=_published())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for the user
        return str(os.getuid())


@cache
def code() -> dict[str, str]:
    """The commit that the code is from, if it is a checkout, whether it was changed since, and its digest."""
    found = {"digest": code_digest()}
    git = ["git", "-C", str(paths.ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return found
    if commit.returncode == 0:
        found |= {"commit": commit.stdout.strip(), "changed": "yes" if changed.stdout.strip() else "no"}
    return found


def _inputs() -> dict[str, dict[str, str]]:
    """Centre -> file as the spec calls it -> SHA-256."""
    found = {}
    for centre in centre_ids():
        try:
            found[centre] = {name: sha256(path).hexdigest() for name, path in files_of(centre, paths.as_of()).items()}
        except (CentreRefused, OSError) as error:
            found[centre] = {"not read": type(error).__name__}
    return found


def _loads() -> dict[str, dict[str, str]]:
    try:
        return {c: {"submission": str(load.submission), "received": load.received} for c, load in good_loads().items()}
    except (CentreRefused, OSError) as error:
        return {"not read": {"because": type(error).__name__}}


def _published() -> dict[str, str]:
    """What is published -> SHA-256; of a folder, over the names and hashes of its files."""
    places = [paths.published_database(), *paths.pages().values()]
    return {place.name: _digest(place) for place in places if place.exists()}


def _digest(place: Path) -> str:
    if place.is_file():
        return sha256(place).hexdigest()
    digest = hashlib.sha256()
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        digest.update(os.fsencode(path.relative_to(place)) + b"\0" + sha256(path).digest())
    return digest.hexdigest()


def command() -> str:
    """The command of this process as it was typed."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
