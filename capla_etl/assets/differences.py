"""What moved since the submissions before: the difference report, where a centre has sent again."""

import shutil

import dagster as dg
import pandas as pd

from capla_etl import paths
from capla_etl.assets.centres import DATA_MANAGEMENT, asset_key
from capla_etl.assets.study import BIOSTATISTICS
from capla_etl.differences import RebuildFailed, compare_warehouses, day_before_the_latest, rebuild
from capla_etl.publish import staged
from capla_etl.report.differences import write_differences
from capla_etl.report.files import write_tables
from capla_etl.resources import WRITER_POOL, Warehouse


@dg.asset(
    key=["report", "differences"],
    deps=[asset_key(relation) for relation in ("study.result", "outcomes.patient_outcome", "quality.submission_change", "quality.withdrawn_patient")],
    group_name="report",
    kinds={"python", "html"},
    owners=[*DATA_MANAGEMENT, *BIOSTATISTICS],
    pool=WRITER_POOL,
)
def differences(warehouse: Warehouse) -> dg.MaterializeResult:
    """Which patients, outcomes and study numbers moved with the latest submission, against the study rebuilt without it. Synthetic data."""
    folder = staged(paths.differences())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    since = day_before_the_latest()
    if since is None:
        (folder / "README.md").write_text("# What moved\n\nNo centre has sent twice: there is nothing to compare. Synthetic data.\n", encoding="utf-8")
        return dg.MaterializeResult(metadata={"summary": "no centre has sent twice"})
    try:
        before = rebuild(since)
    except RebuildFailed as failed:
        note = f"# What moved\n\nNot compared: the study as it stood on {since} cannot be rebuilt from the files and specs that are there now.\n\n```\n{failed}\n```\n\nSynthetic data.\n"
        (folder / "README.md").write_text(note, encoding="utf-8")
        return dg.MaterializeResult(metadata={"summary": f"NOT COMPARED with {since}: that state cannot be rebuilt", "why": dg.MetadataValue.text(str(failed))})
    with warehouse.connect() as connection:
        changes, withdrawn = (connection.execute(f"select * from quality.{t}").df() for t in ("submission_change", "withdrawn_patient"))
        connection.execute("checkpoint")
    found = compare_warehouses(before, paths.build_database())
    frames = {name: getattr(found, name) for name in ("submissions", "patients", "outcomes", "numbers")}
    write_tables(frames | {"sent": changes, "withdrawn": withdrawn}, folder)
    page = write_differences(found, changes, withdrawn, since, folder / "differences.html")
    counts = pd.Series({name: len(frame) for name, frame in frames.items()})
    said = f"since {since}: {counts['patients']} patients, {counts['outcomes']} outcomes and {counts['numbers']} numbers moved"
    return dg.MaterializeResult(metadata={"summary": said, "page": dg.MetadataValue.path(page)})
