"""Versions: every publishing is a folder of its own, and ``current`` is a link to the one that users see.

``warehouse/current`` is replaced in one step, so that everything published is of one version at any moment. The names
that users know (``warehouse/capla.duckdb``, ``warehouse/report.html`` ...) are links through it. A version is never
changed. Its name begins with a number, one higher than any before: two publishings in one second, or a clock that is
set back, hide nothing. After the number comes the name of the state of the study (``fingerprints.study_version``),
which stands in all that it holds.

What a version holds does not belong here (``publish``). Whoever calls ``mend``, ``prune`` or ``switch`` holds the build
lock.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from capla_etl import paths

#: File of a version that says what it is; a folder without it is no version.
ABOUT = "version.json"
#: File of a version that is kept until a person says otherwise.
PINNED = "pinned"
#: Stands for the state of what an earlier version of this program published as plain files and folders.
TAKEN_OVER = "taken-over"
#: How many versions are kept; the least leaves the one before, which a reader may just be opening, for a whole run.
KEPT, LEAST_KEPT = 3, 2


class VersionRefused(Exception):
    """A version that cannot be found; the message says which there are."""


@dataclass(frozen=True)
class Version:
    """A published version.

    Attributes:
        folder: where it is; its name begins with ``number``.
        number: of the publishing, counted up.
        published_at: time of the clock (UTC), for people only; nothing is decided by it.
        data_cut_off: date of the newest submission in it; None: not known.
        current: whether users see it now.
    """

    folder: Path
    number: int
    published_at: datetime
    data_cut_off: date | None
    current: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def state(self) -> str:
        """The state of the study, as it stands in all that the version holds."""
        return self.name.partition("-")[2]

    @property
    def pinned(self) -> bool:
        """Whether it is kept whatever its age."""
        return (self.folder / PINNED).exists()


def kept() -> int:
    """How many versions are kept, the published one included (``CAPLA_VERSIONS_KEPT``).

    Raises:
        ValueError: it is not a number from 2 on.
    """
    text = os.environ.get("CAPLA_VERSIONS_KEPT") or str(KEPT)
    if not text.isdecimal() or int(text) < LEAST_KEPT:
        raise ValueError(f"CAPLA_VERSIONS_KEPT: found {text!r}; expected a whole number, {LEAST_KEPT} or more")
    return int(text)


def versions() -> list[Version]:
    """All versions, the oldest first."""
    current = paths.current().resolve() if paths.current().is_symlink() else None
    found = []
    for about in paths.versions().glob(f"[!.]*/{ABOUT}"):
        try:
            said = json.loads(about.read_text(encoding="utf-8"))
        except FileNotFoundError:  # removed since it was listed
            continue
        cut_off, at = said["data_cut_off"], datetime.fromisoformat(said["published_at"])
        folder = about.parent
        found.append(
            Version(folder, _number(folder), at, cut_off and date.fromisoformat(cut_off), folder.resolve() == current)
        )
    return sorted(found, key=lambda version: version.number)


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
    names = ", ".join(version.name for version in there) or "none yet"
    raise VersionRefused(f"there is no version {text!r}; versions: {names}.")


def before_current() -> Version:
    """The version before the published one.

    Raises:
        VersionRefused: there is none.
    """
    there = versions()
    published = next((version.number for version in there if version.current), 0)
    if earlier := [version for version in there if version.number < published]:
        return earlier[-1]
    raise VersionRefused("there is no version before the published one.")


@contextlib.contextmanager
def new(state: str, data_cut_off: date | None, at: datetime | None = None) -> Iterator[Path]:
    """Make a version: fill the folder in the block; after it, it is complete, on disk, and not yet published.

    If the block fails (a full disk, Ctrl+C), what it wrote is removed.

    Args:
        state: the state of the study in it; it follows the number in the version's name.
        data_cut_off: date of the newest submission in it, if known.
        at: when it was published; None: now.

    Yields:
        The folder to fill. Afterwards ``newest`` finds it.
    """
    folder = paths.versions() / ".new"
    folder.mkdir(parents=True)
    try:
        yield folder
        about = {
            "published_at": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
            "data_cut_off": data_cut_off and data_cut_off.isoformat(),
        }
        (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        for path in [*folder.rglob("*"), folder]:
            path.chmod(0o700 if path.is_dir() else 0o400)
            _force_to_disk(path)
        number = max(map(_number, paths.versions().glob("[!.]*")), default=0) + 1
        folder.rename(folder.with_name(f"{number:05}-{state}"))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _force_to_disk(paths.versions())


def newest() -> Version:
    """The version made last; ``IndexError`` where there is none."""
    return versions()[-1]


def switch(version: Version) -> None:
    """Let users see this version: one step, after which everything published is of it."""
    _link(paths.current(), version.folder)


def copied(source: Path, target: Path, before: Path) -> None:
    """Copy a file or folder; a file that equals the one before, byte for byte, is linked to it and takes no room.

    Args:
        source: what was built.
        target: its place in the new version.
        before: its place in the version before; it may be missing.
    """
    if source.is_dir():
        target.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            copied(path, target / path.name, before / path.name)
    elif _same(source, before):
        _linked(before, target)
    else:
        shutil.copyfile(source, target)


def _same(file: Path, other: Path) -> bool:
    return other.is_file() and file.stat().st_size == other.stat().st_size and file.read_bytes() == other.read_bytes()


def _linked(source: Path, target: Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def mend(names: list[Path]) -> None:
    """Bring the warehouse folder in order: whatever a run of now or before left there.

    Leftovers of killed runs are removed. What an earlier version of this program published as plain files and folders
    becomes a version. Then each name is a link through ``current``.

    Args:
        names: the published places that there will be.
    """
    paths.versions().mkdir(parents=True, exist_ok=True)
    for place in [paths.current(), *paths.published()]:
        if not os.path.lexists(place) and os.path.lexists(_aside(place)):  # killed between two renames
            _aside(place).rename(place)
        remove(_aside(place))
        remove(place.with_name(f".{place.name}.new"))
    for leftover in paths.versions().glob(".*"):
        remove(leftover)
    plain = [place for place in paths.published() if place.exists()]
    if plain and not paths.current().is_symlink():
        _take_over(plain)
    for name in names:
        _link(name, paths.current() / name.name)


def _take_over(places: list[Path]) -> None:
    """Make what was published as plain files and folders the current version; the names keep working meanwhile."""
    with new(TAKEN_OVER, None, datetime.fromtimestamp(places[0].stat().st_mtime, UTC)) as folder:
        for place in places:
            if place.is_dir():
                shutil.copytree(place, folder / place.name, copy_function=_linked)
            else:
                _linked(place, folder / place.name)
    switch(newest())


def prune(keep: int) -> None:
    """Remove old versions.

    Args:
        keep: how many of the newest stay; the published one and those that are pinned always do.
    """
    for version in versions()[:-keep]:
        if not version.current and not version.pinned:
            remove(version.folder)


def _link(link: Path, target: Path) -> None:
    """Make a link, in place of whatever has its name: in one step, or in two where that is a folder."""
    to = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == to:
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.symlink_to(to)
    if link.is_dir() and not link.is_symlink():
        link.rename(_aside(link))
    os.replace(fresh, link)
    _force_to_disk(link.parent)
    remove(_aside(link))


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it is there; a folder is renamed first, so that no half of it is found."""
    if path.is_dir() and not path.is_symlink():
        if not path.name.startswith("."):
            path = path.rename(_aside(path))
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _number(folder: Path) -> int:
    number = folder.name.split("-")[0]
    return int(number) if number.isdecimal() else 0


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
