"""Everything that holds patients is its owner's alone: what processes write, and what older versions left open.

A process begins with the umask 077 (cli.py, definitions.py, centres/worker.py), so what it writes is closed whatever
the user's own umask is. What was there before is closed here.
"""

import os
import stat
import sys
from pathlib import Path

from capla_etl import paths
from capla_etl.running.instance import dagster_home

_OTHERS = 0o077


def close_to_others() -> None:
    """Take the rights of other users from the warehouse folder, releases and run history, and all that is in them.

    What cannot be closed is said on stderr, and so is a data folder that every user of the machine may read.
    """
    from capla_etl.centres.harmonising.synthetic import is_marked

    still_open = [path for folder in _own_folders() for path in _close(folder)]
    if still_open:
        more = f" and {len(still_open) - 1:,} more" if len(still_open) > 1 else ""
        sys.stderr.write(
            f"Other users of this machine may read {still_open[0]}{more}, which holds patients' data. It belongs to "
            "another user, to several, or to a drive without rights: its owner should close it (chmod -R go-rwx).\n"
        )
    sent = paths.data_raw()
    if sent.is_dir() and sent.stat().st_mode & 0o007 and not is_marked():
        sys.stderr.write(
            f"Every user of this machine may read the centres' files in {sent}: close it (chmod o-rwx {sent}).\n"
        )


def _own_folders() -> list[Path]:
    """The folders that the pipeline writes, none of them inside another."""
    folders = {folder.resolve() for folder in (paths.warehouse(), paths.releases(), dagster_home()) if folder.is_dir()}
    return sorted(folder for folder in folders if not folders & {*folder.parents})


def _close(folder: Path) -> list[Path]:
    """Close a folder and all that is in it; what cannot be closed.

    A folder for everybody's files, such as /tmp or a home, is left alone with all that is in it.
    """
    if folder.stat().st_mode & stat.S_ISVTX or folder in (Path.home(), *Path.home().parents):
        return [folder]
    still_open = []
    inside = (Path(place, name) for place, *names in os.walk(folder) for name in (*names[0], *names[1]))
    for path in (folder, *inside):
        try:
            mode = path.lstat().st_mode
            if mode & _OTHERS and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                if path.lstat().st_mode & _OTHERS:  # a drive without rights
                    still_open.append(path)
        except FileNotFoundError:  # another process is done with it
            continue
        except PermissionError:
            still_open.append(path)
    return still_open
