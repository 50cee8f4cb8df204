"""What moved since the submissions before, where a centre has sent again, and since the last release, where there is one."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pandas as pd

from capla_etl import paths
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.preview import links
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS
from capla_etl.releases.compare import Differences, compare_warehouses
from capla_etl.releases.publish import staged
from capla_etl.releases.rebuild import RebuildFailed, day_before_the_latest, rebuild, release_compared_with
from capla_etl.report.differences import worded_numbers, write_differences
from capla_etl.report.files import write_tables

#: What the report and others read of the comparison, beside the page and its tables.
SUMMARY = "summary.json"

#: Tables whose numbers the report lists where they moved; all others are in the files beside the page.
LISTED = ("table1", "table2")


@dg.asset(
    key=["report", "differences"],
    deps=[
        asset_key(relation)
        for relation in (
            "study.result",
            "outcomes.patient_outcome",
            "quality.submission_change",
            "quality.withdrawn_patient",
        )
    ],
    group_name="report",
    kinds={"python", "html"},
    owners=[*DATA_MANAGEMENT, *BIOSTATISTICS],
    pool=WRITER_POOL,
)
def differences(warehouse: Warehouse) -> dg.MaterializeResult:
    """Which patients, outcomes and study numbers moved with the latest submission, against the study rebuilt without it, and since the last release. Synthetic data."""
    folder = staged(paths.differences())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    said = [_since_the_submissions_before(warehouse, folder), since_the_release(warehouse, folder)]
    (folder / SUMMARY).write_text(json.dumps([s for s in said if s], indent=1, ensure_ascii=False), encoding="utf-8")
    pages = [paths.differences() / page.name for page in sorted(folder.glob("*.html"))]
    return dg.MaterializeResult(
        metadata={"summary": "; ".join(s["sentence"].rstrip(".") for s in said if s)} | links(pages)
    )


def _since_the_submissions_before(warehouse: Warehouse, folder: Path) -> dict:
    """The page and the tables of what the latest submission moved; a sentence and counts of it."""
    since = day_before_the_latest()
    if since is None:
        return _note(folder, "No centre has sent twice: there is nothing to compare.")
    try:
        before = rebuild(since)
    except RebuildFailed as failed:
        return _note(
            folder,
            f"Not compared with {since}: the study as it stood then cannot be rebuilt from the files and specs that are there now.",
            str(failed),
        )
    with warehouse.connect() as connection:
        changes, withdrawn = (
            connection.execute(f"select * from quality.{t}").df() for t in ("submission_change", "withdrawn_patient")
        )
        connection.execute("checkpoint")
    found = compare_warehouses(before, paths.build_database())
    write_tables(_frames(found) | {"sent": changes, "withdrawn": withdrawn}, folder)
    write_differences(found, changes, withdrawn, since, folder / "differences.html")
    return _summary(
        f"Since {since}, the day before the latest submission (differences/differences.html has every one).", found
    )


def since_the_release(warehouse: Warehouse, folder: Path) -> dict | None:
    """The tables of what moved since the release that the study is compared with; a sentence, counts and numbers of it."""
    release = release_compared_with()
    if release is None:
        return None
    with warehouse.connect() as connection:
        connection.execute("checkpoint")
    found = compare_warehouses(release / paths.published_database().name, paths.build_database())
    write_tables(_frames(found), folder / "since_release")
    return _summary(f"Since the release {release.name} (differences/since_release/ has every one).", found)


def _frames(found: Differences) -> dict[str, pd.DataFrame]:
    return {name: getattr(found, name) for name in ("submissions", "patients", "outcomes", "numbers")}


def _summary(sentence: str, found: Differences) -> dict:
    return {"sentence": sentence, "counts": _counts(found), "numbers": worded_numbers(found.numbers, LISTED)}


def _counts(found: Differences) -> list[list]:
    changes = found.patients["change"].value_counts()
    patients = [[f"patients {change}", int(changes.get(change, 0))] for change in ("added", "withdrawn", "corrected")]
    return [
        ["submissions", len(found.submissions)],
        *patients,
        ["outcomes", len(found.outcomes)],
        ["study numbers", len(found.numbers)],
    ]


def _note(folder: Path, sentence: str, why: str = "") -> dict:
    text = (
        f"# What moved with the latest submission\n\n{sentence}\n\n"
        + (f"```\n{why}\n```\n\n" if why else "")
        + "Synthetic data.\n"
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return {"sentence": sentence, "counts": [], "numbers": []}
