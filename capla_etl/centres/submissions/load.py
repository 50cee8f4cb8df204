"""Loads: a centre's current submission read, harmonised and validated, and only then promoted; all centres' loads assembled in the warehouse.

A load is a folder of Parquet files. A submission that is refused leaves the last good load untouched.

What does not belong here: Dagster, and how a value is read (harmonise.py).
"""

import json
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields as study
from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import ANSWERS
from capla_etl.centres.harmonising.pseudonym import fingerprint
from capla_etl.centres.submissions.judge import harmonise
from capla_etl.centres.submissions.status import SPEC, forget_refusal, receipt_of, received, record_refusal


@dataclass(frozen=True)
class CentreLoad:
    """What a load of one centre held.

    ``rows``: accepted records per harmonised table. ``ledger``: one row per file or sheet. ``refused``: number of refused values by
    file, column and rule.
    """

    centre_id: str
    submission: str
    content_hash: str
    rows: dict[str, int]
    ledger: pd.DataFrame
    refused: pd.DataFrame


def load_centre(centre_id: str) -> CentreLoad:
    """Read, harmonise and validate a centre's current submission, then replace its last good load.

    Raises:
        CentreRefused: the spec, a file, a column, a word or a declared correction is not as declared; a file was refused in large part;
            or the pipeline failed on it in a way that nobody foresaw. The last good load stays, and why is kept beside it.
        OSError: a file cannot be reached or went away while it was read: trying again may help.
    """
    fingerprint_received = received(paths.data_raw() / centre_id)
    try:
        load = _foreseen(centre_id, fingerprint_received)
    except CentreRefused as refused:
        record_refusal(centre_id, fingerprint_received, refused.problems)
        raise
    forget_refusal(centre_id)
    return load


def _foreseen(centre_id: str, fingerprint_received: str) -> CentreLoad:
    """The load; whatever nobody foresaw refuses the centre like everything else that is wrong with it."""
    try:
        return _load(centre_id, fingerprint_received)
    except (CentreRefused, OSError):
        raise
    except Exception as error:
        # The error's own text may hold a patient's value, so only its kind and place are passed on.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "capla_etl" in f.filename]
        place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
        problem = f"{centre_id}: an unforeseen {type(error).__name__} in {place}; please report it to the maintainers together with the file."
        raise CentreRefused(centre_id, [problem]) from None


def _load(centre_id: str, fingerprint_received: str) -> CentreLoad:
    harmonised = harmonise(centre_id)
    receipt = receipt_of(centre_id, fingerprint_received, harmonised.submission)
    _promote(
        centre_id,
        harmonised.tables,
        receipt | {"content_hash": harmonised.content_hash, "key_fingerprint": fingerprint(harmonised.key)},
    )
    refused = (
        harmonised.tables["quality.quarantine"]
        .to_pandas()
        .groupby(["file", "sheet", "column_name", "rule"], dropna=False)
        .size()
        .rename("values_refused")
        .reset_index()
    )
    rows = {name: harmonised.tables[f"harmonised.{name}"].num_rows for name in study.tables()}
    return CentreLoad(
        centre_id,
        harmonised.submission.isoformat(),
        harmonised.content_hash,
        rows,
        harmonised.tables["quality.ledger"].to_pandas(),
        refused,
    )


def _promote(centre_id: str, tables: dict[str, pa.Table], receipt: dict) -> None:
    """Write a load beside the last good one and put it in its place when it is whole."""
    target = paths.centre_loads() / centre_id
    fresh = target.with_name(f".{centre_id}.new")
    old = target.with_name(f".{centre_id}.old")
    if old.exists() and not target.exists():
        old.rename(target)  # a run was killed between the two renames below
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, fresh / f"{name}.parquet", compression="zstd")
    for name in (SPEC, ANSWERS):
        if (paths.data_raw() / centre_id / name).is_file():
            shutil.copyfile(paths.data_raw() / centre_id / name, fresh / name)
    (fresh / "load.json").write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
