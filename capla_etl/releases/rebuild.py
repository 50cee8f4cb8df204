"""The study rebuilt as it stood on a day, to compare with."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

from capla_etl import paths
from capla_etl.centres.submissions.history import distinct_submissions
from capla_etl.centres.submissions.status import good_loads
from capla_etl.releases.fingerprints import code_digest, inputs_of


class RebuildFailed(Exception):
    """An earlier state of the study cannot be rebuilt from what is there now; the message is for people."""


def day_before_the_latest() -> date | None:
    """The last day on which the study stood as before its latest submission; none where no centre has sent twice."""
    folders = [
        distinct_submissions(load.sent_to, load.submission) for load in good_loads().values() if load.sent_to.is_dir()
    ]
    resubmitted = [date.fromisoformat(submissions[-1].name) for submissions in folders if len(submissions) > 1]
    return max(resubmitted) - timedelta(days=1) if resubmitted else None


#: What ``CAPLA_COMPARED_WITH`` says where a state is compared with no release.
NO_RELEASE = "none"


def release_compared_with() -> Path | None:
    """The release that the study is compared with: the one that ``CAPLA_COMPARED_WITH`` names, else the newest; None for none."""
    named = os.environ.get("CAPLA_COMPARED_WITH")
    if named:
        return None if named == NO_RELEASE else paths.releases() / named
    manifests = {
        json.loads(p.read_text(encoding="utf-8"))["as_of"] + p.parent.name: p.parent
        for p in paths.releases().glob("*/manifest.json")
    }
    return manifests[max(manifests)] if manifests else None


def rebuild(day: date, fresh: bool = False, compared_with: str = NO_RELEASE) -> Path:
    """The published warehouse as it stood on a day, rebuilt from the submissions until then.

    Args:
        day: the last day whose submissions count.
        fresh: rebuild in any case; else an earlier rebuild from the same inputs by the same code is taken.
        compared_with: name of the release that its report compares it with.

    Raises:
        RebuildFailed: not every centre can be loaded as it was then; the message is what the rebuild printed.
    """
    folder = paths.rebuilds() / day.isoformat()
    receipt = folder / "inputs.json"
    made_from = {"code": code_digest(), "inputs": inputs_of(day)}
    published = folder / paths.published_database().name
    if (
        not fresh
        and published.is_file()
        and receipt.is_file()
        and json.loads(receipt.read_text(encoding="utf-8")) == made_from
    ):
        return published
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        "CAPLA_WAREHOUSE": str(folder),
        "CAPLA_AS_OF": day.isoformat(),
        "DAGSTER_HOME": str(folder / "dagster_home"),
    }
    environment |= {
        "CAPLA_DATA_RAW": str(paths.data_raw()),
        "CAPLA_RELEASES": str(paths.releases()),
        "CAPLA_COMPARED_WITH": compared_with,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "capla_etl.cli", "study"], env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RebuildFailed(f"the study as of {day} cannot be rebuilt:\n{ran.stdout}{ran.stderr}")
    receipt.write_text(json.dumps(made_from), encoding="utf-8")
    return published
