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
    """An earlier state of the study cannot be rebuilt from the current files; the message says why."""


def day_before_the_latest() -> date | None:
    """The day before the latest submission; None where no centre has sent twice."""
    loads = [load for load in good_loads().values() if load.sent_to.is_dir()]
    sent = [distinct_submissions(load.sent_to, load.submission) for load in loads]
    resubmitted = [date.fromisoformat(submissions[-1].name) for submissions in sent if len(submissions) > 1]
    return max(resubmitted) - timedelta(days=1) if resubmitted else None


#: Value of ``CAPLA_COMPARED_WITH`` for no release.
NO_RELEASE = "none"


def release_compared_with() -> Path | None:
    """The release that the study is compared with: named by ``CAPLA_COMPARED_WITH``, else the newest; None: none."""
    named = os.environ.get("CAPLA_COMPARED_WITH")
    if named:
        return None if named == NO_RELEASE else paths.releases() / named
    manifests = {
        json.loads(p.read_text(encoding="utf-8"))["as_of"] + p.parent.name: p.parent
        for p in paths.releases().glob("*/manifest.json")
    }
    return manifests[max(manifests)] if manifests else None


def rebuild(
    day: date,
    fresh: bool = False,
    compared_with: str = NO_RELEASE,
    accepted: Path | None = None,
    shown: Path | None = None,
) -> Path:
    """Rebuild the published warehouse as of a day.

    Args:
        day: the last day whose submissions count.
        fresh: rebuild in any case; else reuse an earlier rebuild from the same inputs and code.
        compared_with: name of the release that its report compares it with.
        accepted: file with the submissions that were accepted; by default that of the study.
        shown: folder with the protected versions beside which its own is protected; by default none.

    Raises:
        RebuildFailed: a centre cannot be loaded as of that day; the message is what the rebuild printed.
    """
    folder = paths.rebuilds() / day.isoformat()
    receipt = folder / "inputs.json"
    made_from = {"code": code_digest(), "inputs": inputs_of(day)}
    published = folder / paths.published_database().name
    complete = published.is_file() and receipt.is_file()
    if complete and not fresh and json.loads(receipt.read_text(encoding="utf-8")) == made_from:
        return published
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if shown and shown.is_dir():
        shutil.copytree(shown, folder / "shown")
    environment = os.environ | {
        "CAPLA_SHOWN": str(folder / "shown"),
        "CAPLA_WAREHOUSE": str(folder),
        "CAPLA_AS_OF": day.isoformat(),
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "CAPLA_DATA_RAW": str(paths.data_raw()),
        "CAPLA_RELEASES": str(paths.releases()),
        "CAPLA_COMPARED_WITH": compared_with,
        "CAPLA_ACCEPTED": str(accepted or paths.accepted()),
    }
    command = [sys.executable, "-m", "capla_etl.cli", "study"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RebuildFailed(f"the study as of {day} cannot be rebuilt:\n{ran.stdout}{ran.stderr}")
    receipt.write_text(json.dumps(made_from), encoding="utf-8")
    return published
