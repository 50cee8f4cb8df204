"""What moved with the latest submission of a centre that has sent again, and since the last release if there is one."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pandas as pd

from capla_etl import paths
from capla_etl.centres.submissions import kind_of_data
from capla_etl.defs.centres import DATA_MANAGEMENT, asset_key
from capla_etl.defs.preview import links
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS
from capla_etl.defs.version import VERSION, version_of
from capla_etl.releases.compare import Differences, compare_warehouses
from capla_etl.releases.publish import staged
from capla_etl.releases.rebuild import RebuildFailed, day_before_the_latest, rebuild, release_compared_with
from capla_etl.report.differences import worded_numbers, write_differences
from capla_etl.report.files import write_tables

#: What the report reads of the comparison.
SUMMARY = "summary.json"

#: Tables whose moved numbers the report lists; the files next to the page have those of all tables.
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
            VERSION,
        )
    ],
    group_name="report",
    kinds={"python", "html"},
    owners=[*DATA_MANAGEMENT, *BIOSTATISTICS],
    pool=WRITER_POOL,
)
def differences(warehouse: Warehouse) -> dg.MaterializeResult:
    """Patients, outcomes and study numbers that moved: with the latest submission, and since the last release.

    The study without the latest submission is rebuilt.
    """
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
    """Write the page and tables of what the latest submission moved; return a sentence and counts."""
    since = day_before_the_latest()
    if since is None:
        return _note(folder, "No centre has sent twice: there is nothing to compare.")
    try:
        before = rebuild(since)
    except RebuildFailed as failed:
        sentence = (
            f"Not compared with {since}: the study as of that day cannot be rebuilt from today's files and specs."
        )
        return _note(folder, sentence, str(failed))
    with warehouse.connect() as connection:
        changes, withdrawn = (
            connection.execute(f"select * from quality.{t}").df() for t in ("submission_change", "withdrawn_patient")
        )
        version = version_of(connection)
        connection.execute("checkpoint")
    found = compare_warehouses(before, paths.build_database())
    write_tables(_frames(found) | {"sent": changes, "withdrawn": withdrawn}, folder)
    write_differences(found, changes, withdrawn, since, version, folder / "differences.html")
    sentence = f"Since {since}, the day before the latest submission (differences/differences.html lists all)."
    return _summary(sentence, found)


def since_the_release(warehouse: Warehouse, folder: Path) -> dict | None:
    """Write the tables of what moved since the release compared with; return a sentence, counts and numbers."""
    release = release_compared_with()
    if release is None:
        return None
    with warehouse.connect() as connection:
        connection.execute("checkpoint")
    found = compare_warehouses(release / paths.published_database().name, paths.build_database())
    write_tables(_frames(found), folder / "since_release")
    return _summary(f"Since the release {release.name} (differences/since_release/ lists all).", found)


def _frames(found: Differences) -> dict[str, pd.DataFrame]:
    return {name: getattr(found, name) for name in ("submissions", "patients", "outcomes", "numbers")}


def _summary(sentence: str, found: Differences) -> dict:
    changes = found.patients["change"].value_counts()
    counts = [
        ["submissions", len(found.submissions)],
        *([f"patients {change}", int(changes.get(change, 0))] for change in ("added", "withdrawn", "corrected")),
        ["outcomes", len(found.outcomes)],
        ["study numbers", len(found.numbers)],
    ]
    return {"sentence": sentence, "counts": counts, "numbers": worded_numbers(found.numbers, LISTED)}


def _note(folder: Path, sentence: str, why: str = "") -> dict:
    reason = f"```\n{why}\n```\n\n" if why else ""
    text = f"# What moved with the latest submission\n\n{sentence}\n\n{reason}{kind_of_data.sentence()}\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
    return {"sentence": sentence, "counts": [], "numbers": []}
