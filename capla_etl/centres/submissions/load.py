"""Load a centre's current submission: read, harmonised and validated, and only then promoted.

A load is a folder of Parquet files. A refused submission leaves the last good load untouched.

What does not belong here: Dagster, and how a value is read (harmonising/values.py).
"""

import json
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import ANSWERS
from capla_etl.centres.harmonising.pseudonym import fingerprint
from capla_etl.centres.submissions.judge import judged
from capla_etl.centres.submissions.status import SPEC, forget_refusal, receipt_of, received, record_refusal


@dataclass(frozen=True)
class CentreLoad:
    """What a load of one centre held.

    ``rows``: accepted records per harmonised table. ``ledger``: one row per file or sheet. ``refused``: number of
    refused values by file, sheet, column and rule.
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
        CentreRefused: the spec, a file, a column, a word or a correction is not as declared; a file was refused in
            large part; or an unexpected error occurred. The last good load stays, with the reason next to it.
        OSError: a file cannot be reached or disappeared while it was read; trying again may help.
    """
    fingerprint_received = received(paths.data_raw() / centre_id)
    try:
        try:
            load = _load(centre_id, fingerprint_received)
        except (CentreRefused, OSError):
            raise
        except Exception as error:  # unexpected errors refuse the centre too
            raise CentreRefused(centre_id, [_unexpected(centre_id, error)]) from None
    except CentreRefused as refused:
        record_refusal(centre_id, fingerprint_received, refused.problems)
        raise
    forget_refusal(centre_id)
    return load


def _unexpected(centre_id: str, error: Exception) -> str:
    """Name the kind and place of an error, and not its text, which may hold a patient's value."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "capla_etl" in f.filename]
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
    return f"{centre_id}: an unexpected {type(error).__name__} in {place}; report it to the maintainers with the file."


def _load(centre_id: str, fingerprint_received: str) -> CentreLoad:
    harmonised = judged(centre_id)
    tables, content_hash = harmonised.tables, harmonised.content_hash
    receipt = receipt_of(centre_id, fingerprint_received, harmonised.submission)
    receipt |= {"content_hash": content_hash, "key_fingerprint": fingerprint(harmonised.key)}
    _promote(centre_id, tables, receipt)
    by_rule = tables["quality.quarantine"].to_pandas().groupby(["file", "sheet", "column_name", "rule"], dropna=False)
    refused = by_rule.size().rename("values_refused").reset_index()
    rows = {name: tables[f"harmonised.{name}"].num_rows for name in fields.tables()}
    ledger = tables["quality.ledger"].to_pandas()
    return CentreLoad(centre_id, harmonised.submission.isoformat(), content_hash, rows, ledger, refused)


def _promote(centre_id: str, tables: dict[str, pa.Table], receipt: dict) -> None:
    """Write a complete load next to the last good one, then swap them."""
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
