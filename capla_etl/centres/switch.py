"""Show files in one step: a link points to a folder that is complete and on disk, then to another such folder.

A kill, a full disk or a power cut leaves the link at one of the two; likewise a text file is the old or the new one.
What is in the folders, and how long they are kept, does not belong here.
"""

import ctypes
import os
import shutil
from pathlib import Path

#: Of Linux (renameat2): "this folder", and "exchange the two names".
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def link(place: Path, target: Path) -> None:
    """Make a place a link to a target, in one step, whatever is there now.

    The link is relative, so that the folder that holds both can be moved.
    """
    to = os.path.relpath(target, place.parent)
    if place.is_symlink() and os.readlink(place) == to:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    remove(fresh)
    fresh.symlink_to(to)
    if place.is_dir() and not place.is_symlink():
        _exchange(fresh, place)
    else:
        fresh.replace(place)
    to_disk(place.parent)
    remove(fresh)


def write(place: Path, text: str) -> None:
    """Replace a text file, in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_text(text, encoding="utf-8")
    to_disk(fresh)
    fresh.replace(place)
    to_disk(place.parent)


def _exchange(one: Path, other: Path) -> None:
    """Exchange the names of a link and a folder: in one step where the system can, else in three."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if exchange is None or exchange(*names, _RENAME_EXCHANGE) != 0:
        aside = one.with_name(f"{one.name}.aside")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def to_disk(*paths: Path) -> None:
    """Force files, and the names in folders, to the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
