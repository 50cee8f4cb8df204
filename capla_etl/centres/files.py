"""The files of a centre, before they are opened: only its own, of bounded size; and their names and hashes.

What does not belong here: reading them (reading/), and the limits (limits.py).
"""

import hashlib
import os
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.errors import place_of


def shown(name: str) -> str:
    """The name of a file or folder for tables and messages; bytes that are not UTF-8 as ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def place(path: Path, with_digest: bool = True) -> str:
    """A file or folder that no spec declares, by its place among all in its folder in the order of their names.

    With the beginning of its hash, so that it is found wherever it is: "file 3 of 5 (.xlsx, SHA-256 ab12cd34)".
    """
    around = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    what, there = "file", [p for p in around if not p.is_dir()]
    if path.is_dir():
        what, there, with_digest = "folder", [p for p in around if p.is_dir()], False
    if path not in there:
        return "a file that is gone"
    digest = f"SHA-256 {sha256(path).hexdigest()[:8]}" if with_digest and path.is_file() else ""
    return place_of(there.index(path) + 1, len(there), what, path.name, digest)


def leads_out(path: Path) -> bool:
    """Whether a path in the data folder leads out of it by a link."""
    root = paths.data_raw()
    return root in path.absolute().parents and root not in path.resolve().parents


def problem_with(path: Path, most_bytes: int) -> str | None:
    """Why a file is not opened, in words; None if it can be.

    Raises:
        OSError: it is gone, or cannot be reached.
    """
    if leads_out(path):
        return "a link that leads out of the data folder; expected the file itself. Put a copy in its place."
    size = path.stat().st_size
    if not path.is_file():
        return "neither a file nor a folder of files; expected the file itself. Remove it."
    if size > most_bytes:
        return f"found {size:,} bytes; expected at most {most_bytes:,}. Ask the centre what it is."
    return None


def sha256(path: Path) -> "hashlib._Hash":
    """SHA-256 of a file; of a link that leads out of the data folder only where it leads to."""
    if leads_out(path):
        return hashlib.sha256(b"link " + os.fsencode(path.resolve()))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
