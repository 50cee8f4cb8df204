"""What a state of the study was made from: every file of every centre's folder by its content.

Submissions after the day are left out; specs, codebooks, corrections and answers are as they are now.
"""

import hashlib
from datetime import date

from capla_etl import paths
from capla_etl.centres.load import centre_ids
from capla_etl.centres.read import submissions


def inputs_of(day: date | None) -> dict[str, dict[str, str]]:
    """Centre -> file (relative to its folder) -> SHA-256, for the submissions up to a day and everything that is read beside them.

    Args:
        day: last day of submissions; None: all.
    """
    found = {}
    for centre in centre_ids():
        folder = paths.data_raw() / centre
        later = {p.name for p in submissions(folder)} - {p.name for p in submissions(folder, day)}
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in later)
        if any(p.parent != folder for p in files):
            found[centre] = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    return found


def last_submission() -> date:
    """The date of the latest submission that counts."""
    return max(date.fromisoformat(submissions(paths.data_raw() / centre, paths.as_of())[-1].name) for centre in centre_ids())
