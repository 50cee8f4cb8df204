"""Receive a centre's current submission, and move it: into the study, or aside with the reason.

A submission is read, harmonised and judged, and put aside as *received*. It replaces the centre's last good load only
once it is accepted; if it is refused or held back, the last good load stays as it is. A load is a folder of Parquet
files.

What does not belong here: Dagster, how a value is read (harmonising/values.py), and whether a received load is accepted
(quality/monitoring/submissions.py).
"""

import json
import shutil
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused, one_centres_problem
from capla_etl.centres.harmonising.corrections import ANSWERS
from capla_etl.centres.harmonising.pseudonym import fingerprint
from capla_etl.centres.harmonising.synthetic import is_marked
from capla_etl.centres.submissions.judge import judged
from capla_etl.centres.submissions.status import (
    RECEIPT,
    SPEC,
    Load,
    forget_refusal,
    receipt_of,
    received,
    record_accepted,
    record_refusal,
)
from capla_etl.centres.worker import Died, apart


@dataclass(frozen=True)
class CentreLoad:
    """What a load of one centre holds.

    ``rows``: accepted records per harmonised table. ``ledger``: one row per file or sheet. ``refused``: number of
    refused values by file, sheet, column and rule.
    """

    centre_id: str
    submission: str
    content_hash: str
    rows: dict[str, int]
    ledger: pd.DataFrame
    refused: pd.DataFrame


#: What was handed out to be received and not asked for yet: centre -> its future load; and for which run.
_handed_out: dict[str, Future] = {}
_handed_out_for: list[str] = []


def hand_out(centre_ids: Iterable[str], run: str) -> None:
    """Start to receive centres that a run will ask for one by one; once a run. Two are read at a time."""
    if _handed_out_for != [run]:
        _handed_out_for[:] = [run]
        _handed_out.clear()
        _handed_out.update({centre_id: apart(receive_here, centre_id) for centre_id in centre_ids})


def receive(centre_id: str) -> CentreLoad:
    """Receive a centre's current submission as ``receive_here`` does, in a process of its own.

    Raises:
        CentreRefused: as there, or the process died: the message names the file and the reason.
        OSError: as there.
    """
    try:
        return (_handed_out.pop(centre_id, None) or apart(receive_here, centre_id)).result()
    except Died as died:
        shutil.rmtree(_fresh(centre_id), ignore_errors=True)
        refused = died.refused(centre_id)
        record_refusal(centre_id, received(paths.data_raw() / centre_id), refused.problems)
        raise refused from None


def receive_here(centre_id: str) -> CentreLoad:
    """Read, harmonise and judge a centre's current submission, and put it aside as received.

    What was received before, and not accepted, is discarded first.

    Raises:
        CentreRefused: the spec, a file, a column, a word or a correction is not as declared; a file was refused in
            large part; or an unexpected error occurred. The last good load stays, with the reason next to it.
        OSError: a file cannot be reached or disappeared while it was read; trying again may help.
    """
    _discard(paths.received_loads() / centre_id)
    fingerprint_received = received(paths.data_raw() / centre_id)
    try:
        with one_centres_problem(centre_id):
            return _receive(centre_id, fingerprint_received)
    except CentreRefused as refused:
        record_refusal(centre_id, fingerprint_received, refused.problems)
        raise


def accept(load: Load, confirmed_on: date | None = None) -> None:
    """Replace a centre's last good load by the one received: it is in the study from now on.

    Args:
        load: the load received.
        confirmed_on: day of the last confirmation without which it would be held back, if there is one.
    """
    record_accepted(load, confirmed_on)
    target = paths.centre_loads() / load.centre_id
    target.parent.mkdir(parents=True, exist_ok=True)
    restore()
    old = _old(target)
    if target.exists():
        target.rename(old)
    load.folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    forget_refusal(load.centre_id)


def hold_back(load: Load, problems: list[str]) -> None:
    """Record why a received load is held back. It stays aside, to be judged again; the last good load stays too."""
    record_refusal(load.centre_id, load.received, problems, held_back=True)


def restore() -> None:
    """Put last good loads back if a run was killed between the two renames of ``accept``."""
    for old in paths.centre_loads().glob(".*.old"):
        target = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        if not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _discard(folder: Path) -> None:
    """Remove a load; renamed first, so that half of it is never taken for a load."""
    shutil.rmtree(_old(folder), ignore_errors=True)
    if folder.exists():
        folder.rename(_old(folder))
        shutil.rmtree(_old(folder), ignore_errors=True)


def _receive(centre_id: str, fingerprint_received: str) -> CentreLoad:
    harmonised = judged(centre_id)
    tables, content_hash = harmonised.tables, harmonised.content_hash
    receipt = receipt_of(centre_id, fingerprint_received, harmonised.submission, harmonised.previous)
    receipt |= {"content_hash": content_hash, "identity": harmonised.identity}
    receipt |= {"key_fingerprint": fingerprint(harmonised.key), "synthetic": is_marked()}
    _put_aside(centre_id, tables, receipt)
    by_rule = tables["quality.quarantine"].to_pandas().groupby(["file", "sheet", "column_name", "rule"], dropna=False)
    refused = by_rule.size().rename("values_refused").reset_index()
    rows = {name: tables[f"harmonised.{name}"].num_rows for name in fields.tables()}
    ledger = tables["quality.ledger"].to_pandas()
    return CentreLoad(centre_id, harmonised.submission.isoformat(), content_hash, rows, ledger, refused)


def _fresh(centre_id: str) -> Path:
    return paths.received_loads() / f".{centre_id}.new"


def _put_aside(centre_id: str, tables: dict[str, pa.Table], receipt: dict) -> None:
    """Write a complete load, then give it its name: a folder of this name is whole."""
    target = paths.received_loads() / centre_id
    fresh = _fresh(centre_id)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, fresh / f"{name}.parquet", compression="zstd")
    for name in (SPEC, ANSWERS):
        if (paths.data_raw() / centre_id / name).is_file():
            shutil.copyfile(paths.data_raw() / centre_id / name, fresh / name)
    (fresh / RECEIPT).write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    fresh.rename(target)
