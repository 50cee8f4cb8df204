"""Which centres are declared synthetic: those of which the file ``SYNTHETIC`` of the data folder lists a file.

A line of it is that of ``sha256sum``; other lines are for people. Content decides: real data next to a file that was
left or copied there are not synthetic, whatever the centre's code is. One file suffices, the codebook or one of a
submission, so that a resubmission of a declared centre is covered. The spec does not count: it is made to be copied.
"""

from capla_etl import paths
from capla_etl.centres.files import sha256

MARK = "SYNTHETIC"


def is_marked() -> bool:
    """Whether the data folder declares synthetic centres; others are then refused."""
    return (paths.data_raw() / MARK).is_file()


def is_declared(centre_id: str) -> bool:
    """Whether the data folder declares this centre synthetic.

    Raises:
        OSError: a file cannot be read.
    """
    lines = (paths.data_raw() / MARK).read_text(encoding="utf-8", errors="replace").splitlines()
    declared = {line.split()[0].lower() for line in lines if line.strip()}
    folder = paths.data_raw() / centre_id
    files = (path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_file())
    return any(
        sha256(path).hexdigest() in declared for path in files if path.name != "centre.yml" and path.stat().st_size
    )


def not_declared(centre_id: str) -> str:
    """Why a centre is refused that is not declared, for people."""
    mark = paths.data_raw() / MARK
    return (
        f"{centre_id}: none of its files is listed in {mark}, so its data count as real, and real data do not belong "
        "into a folder of synthetic data. Put them into a folder of their own without that file, and set "
        f"CAPLA_DATA_RAW to it. If they are made up, declare it: (cd {mark.parent} && "
        f"sha256sum {centre_id}/*/* >> {MARK})"
    )
