"""Whether the data are synthetic: the file ``SYNTHETIC`` of the data folder says so, and nothing speaks against it.

A line of it as sha256sum writes them lists a file; the others are for people. A list of which no file is there was left
in, or copied to, a folder of other data: nothing in it is synthetic. So is a folder next to which a key of real data
lies (pseudonym.py). A centre of which no file is listed, beside others that are, is *undeclared*: every output says so.
One file suffices, the codebook or one of a submission, so that a resubmission of a declared centre is covered. The spec
does not count: it is made to be copied.
"""

import re
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.files import sha256

MARK = "SYNTHETIC"
#: What a load is: of a declared centre, of another one in a folder of synthetic data, of real patients.
DECLARED, UNDECLARED, REAL = "declared", "undeclared", "real"


def is_marked() -> bool:
    """Whether the data folder declares itself synthetic."""
    return (paths.data_raw() / MARK).is_file()


def kind_of(centre_id: str) -> str:
    """What a centre's data are: declared, undeclared or real.

    Raises:
        OSError: a file cannot be read.
    """
    if not is_marked():
        return REAL
    listed = _listed()
    return DECLARED if not listed or _has_one_of(paths.data_raw() / centre_id, listed) else UNDECLARED


def speaks_against(centre_id: str) -> str:
    """Why the centres of a folder that declares itself synthetic count as real, for people; empty where they do not.

    Raises:
        OSError: a file cannot be read.
    """
    if kind_of(centre_id) != UNDECLARED:
        return ""
    listed, folders = _listed(), (p for p in sorted(paths.data_raw().iterdir()) if p.is_dir())
    if any(_has_one_of(folder, listed) for folder in folders):
        return ""
    mark = paths.data_raw() / MARK
    return (
        f"{centre_id}: {mark} lists files of synthetic data, and none of them is in this folder, so its data count as "
        "real. Remove that file: the patient_id are then made with a key of their own. If the data are made up, list "
        f"them: (cd {mark.parent} && sha256sum {centre_id}/*/* >> {MARK})"
    )


def _listed() -> set[str]:
    lines = (paths.data_raw() / MARK).read_text(encoding="utf-8", errors="replace").splitlines()
    return {match[1].lower() for line in lines if (match := re.match(r"([0-9a-fA-F]{64})\s", line))}


def _has_one_of(folder: Path, listed: set[str]) -> bool:
    files = (path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_file())
    return any(
        sha256(path).hexdigest() in listed for path in files if path.name != "centre.yml" and path.stat().st_size
    )
