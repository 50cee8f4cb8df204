"""Versions: every publishing is a folder of its own, and ``current`` is a link to the one that users see.

The names that users know (``warehouse/capla.duckdb``, ``warehouse/report.html`` ...) are links through ``current``, so
that everything published is of one version at any moment. A version is never changed. Its name begins with a number,
one higher than any before: two publishings in one second, or a clock that is set back, hide nothing. After the number
comes the name of the state of the study (``fingerprints.study_version``), which stands in all that it holds.

What a version holds does not belong here (``publish``). Whoever changes anything here holds the build lock.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from capla_etl import paths
from capla_etl.centres import switch
from capla_etl.centres.errors import listed

#: File of a version that says what it is; a folder without it is no version.
ABOUT = "version.json"
#: Stands for the state of what an earlier version of this program published as plain files and folders.
TAKEN_OVER = "taken-over"
#: How many states are kept; the least leaves the one before, which a reader may just be opening, for a whole run.
KEPT, LEAST_KEPT = 3, 2


class VersionRefused(Exception):
    """A version that cannot be found; the message says which there are."""


@dataclass(frozen=True)
class Version:
    """A published version.

    Attributes:
        folder: where it is.
        number: of the publishing, counted up.
        state: name of the state of the study, as it stands in all that the version holds.
        published_at: time of the clock (UTC), for people only; nothing is decided by it.
        data_cut_off: date of the newest submission in it; None: not known.
        current: whether users see it now.
    """

    folder: Path
    number: int
    state: str
    published_at: datetime
    data_cut_off: date | None
    current: bool

    @property
    def name(self) -> str:
        """Its name: number and state."""
        return self.folder.name


def kept() -> int:
    """How many states are kept, the published one included (``CAPLA_VERSIONS_KEPT``).

    Raises:
        ValueError: it is not a number from 2 on.
    """
    text = os.environ.get("CAPLA_VERSIONS_KEPT") or str(KEPT)
    if not text.isdecimal() or int(text) < LEAST_KEPT:
        raise ValueError(f"CAPLA_VERSIONS_KEPT: found {text!r}; expected a whole number, {LEAST_KEPT} or more")
    return int(text)


def versions() -> list[Version]:
    """All versions, the oldest first."""
    found = [_version(folder) for folder in paths.versions().glob("*")]
    return sorted(filter(None, found), key=lambda version: version.number)


def _version(folder: Path) -> Version | None:
    """The version in a folder; None if there is none, or it was removed since it was listed."""
    name = re.fullmatch(r"(\d+)-(.+)", folder.name)
    try:
        said = json.loads((folder / ABOUT).read_text(encoding="utf-8")) if name else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    if said is None:
        return None
    at, cut_off = datetime.fromisoformat(said["published_at"]), said["data_cut_off"]
    current = paths.current().is_symlink() and paths.current().resolve() == folder
    return Version(folder, int(name[1]), name[2], at, cut_off and date.fromisoformat(cut_off), current)


def current() -> Version | None:
    """The published version; None: nothing is published, or not as a version."""
    return next((version for version in versions() if version.current), None)


def find(text: str) -> Version:
    """The version of this name or number, or the newest with this state of the study.

    Raises:
        VersionRefused: there is none.
    """
    there = versions()
    for version in reversed(there):
        if text in (version.name, str(version.number), version.state):
            return version
    raise VersionRefused(f"there is no version {text!r}; versions: {listed(version.name for version in there)}.")


def before_current() -> Version:
    """The newest version before the published one that holds another state of the study.

    Raises:
        VersionRefused: there is none.
    """
    there = versions()
    shown = next((version for version in there if version.current), None)
    if shown and (earlier := [v for v in there if v.number < shown.number and v.state != shown.state]):
        return earlier[-1]
    raise VersionRefused("there is no other state of the study before the published one.")


def make(state: str, data_cut_off: date | None, fill: Callable[[Path], None], at: datetime | None = None) -> Version:
    """Make a version, complete and on disk; it is not published by this.

    If that fails (a full disk, Ctrl+C), what was written is removed.

    Args:
        state: name of the state of the study in it.
        data_cut_off: date of the newest submission in it, if known.
        fill: writes what it holds into a folder.
        at: when it was published; None: now.
    """
    fresh = paths.versions() / ".new"
    fresh.mkdir(parents=True)
    try:
        fill(fresh)
        about = {
            "state": state,
            "published_at": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
            "data_cut_off": data_cut_off and data_cut_off.isoformat(),
        }
        (fresh / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        for path in [*fresh.rglob("*"), fresh]:
            path.chmod(0o700 if path.is_dir() else 0o400)
            switch.to_disk(path)
        number = max((version.number for version in versions()), default=0) + 1
        folder = fresh.rename(fresh.with_name(f"{number:05}-{state}"))
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    switch.to_disk(folder.parent)
    return _version(folder)


def show(version: Version) -> None:
    """Let users see this version: one step, after which everything published is of it."""
    switch.link(paths.current(), version.folder)


def remove_leftovers() -> None:
    """Remove what killed runs left, before a run begins: a full disk might let none come to publishing."""
    for leftover in paths.versions().glob(".*"):
        switch.remove(leftover)
    for place in (paths.current(), *paths.published()):
        for leftover in paths.warehouse().glob(f".{place.name}.*"):
            switch.remove(leftover)


def name_by_links(places: Iterable[Path]) -> None:
    """Make the names that users know links through ``current``.

    What an earlier version of this program published there as plain files and folders becomes the current version
    first, so that the names show the same at every moment.
    """
    plain = [place for place in paths.published() if place.exists()]
    if plain and not paths.current().is_symlink():
        show(_taken_over(plain))
    for place in places:
        switch.link(place, paths.current() / place.name)


def _taken_over(places: list[Path]) -> Version:
    def fill(folder: Path) -> None:
        for place in places:
            copy(place, folder / place.name, before=place)

    return make(TAKEN_OVER, None, fill, datetime.fromtimestamp(places[0].stat().st_mtime, UTC))


def prune(keep: int) -> None:
    """Remove old versions; the published one stays, and of each of the last states the newest version.

    A study that is published every night without a change leaves the states before it in place.

    Args:
        keep: how many states stay.
    """
    there = versions()
    newest_of = {version.state: version.number for version in there}
    newest = [version for version in there if newest_of[version.state] == version.number]
    for version in there:
        if not version.current and version not in newest[-keep:]:
            # renamed first, so that no half of it is found
            switch.remove(version.folder.rename(version.folder.with_name(f".{version.name}")))


def copy(source: Path, target: Path, before: Path) -> None:
    """Copy a file or folder into a new version; a file that equals the one before is linked to it and takes no room.

    Args:
        source: what is copied.
        target: its place in the new version.
        before: its place in the version before; it may be missing.
    """
    if source.is_dir():
        target.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            copy(path, target / path.name, before / path.name)
    elif before.is_file() and source.read_bytes() == before.read_bytes():
        _linked(before, target)
    else:
        shutil.copyfile(source, target)


def _linked(source: Path, target: Path) -> None:
    """Give a file another name, or copy it where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
