"""Receive a centre's current submission, and move it: into the study, or aside with the reason.

A submission is read, harmonised and judged, and put aside as *received*. It replaces the centre's last good load only
once it is accepted; if it is refused or held back, the last good load stays as it is. A load is a folder of Parquet
files, complete before a link to it says what it is: received, or the last good one.

What does not belong here: Dagster, how a value is read (harmonising/values.py), and whether a received load is accepted
(quality/monitoring/submissions.py).
"""

import json
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields, paths
from capla_etl.centres import switch
from capla_etl.centres.errors import CentreRefused, one_centres_problem
from capla_etl.centres.harmonising.corrections import ANSWERS
from capla_etl.centres.harmonising.pseudonym import fingerprint
from capla_etl.centres.harmonising.synthetic import kind_of
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
        remove_leftovers()
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
        _discard(centre_id)
        refused = died.refused(centre_id)
        record_refusal(centre_id, received(paths.data_raw() / centre_id), refused.problems)
        raise refused from None


def receive_here(centre_id: str) -> CentreLoad:
    """Read, harmonise and judge a centre's current submission, and put it aside as received.

    What was received before, and not accepted, is replaced or, without a new load, discarded.

    Raises:
        CentreRefused: the spec, a file, a column, a word or a correction is not as declared; a file was refused in
            large part; or an unexpected error occurred. The last good load stays, with the reason next to it.
        OSError: a file cannot be reached or disappeared while it was read; trying again may help.
    """
    try:
        fingerprint_received = received(paths.data_raw() / centre_id)
        with one_centres_problem(centre_id):
            return _receive(centre_id, fingerprint_received)
    except OSError:
        _discard(centre_id)
        raise
    except CentreRefused as refused:
        _discard(centre_id)
        record_refusal(centre_id, fingerprint_received, refused.problems)
        raise


def accept(load: Load, confirmed_on: date | None = None) -> None:
    """Replace a centre's last good load by the one received: it is in the study from now on.

    Args:
        load: the load received.
        confirmed_on: day of the last confirmation without which it would be held back, if there is one.
    """
    record_accepted(load, confirmed_on)
    forget_refusal(load.centre_id)
    folder = load.folder
    if folder.parent == paths.received_loads():  # received by an earlier version of this program, or a copy
        aside = paths.loads() / f"{load.centre_id}.earlier"
        aside.mkdir(parents=True, exist_ok=True)
        folder = folder.rename(aside / load.centre_id)
    switch.link(paths.centre_loads() / load.centre_id, folder)
    switch.remove(paths.received_loads() / load.centre_id)


def hold_back(load: Load, problems: list[str]) -> None:
    """Record why a received load is held back. It stays aside, to be judged again; the last good load stays too."""
    record_refusal(load.centre_id, load.received, problems, held_back=True)


def _discard(centre_id: str) -> None:
    """Forget the load that was received, and what of a load was written for it."""
    switch.remove(paths.received_loads() / centre_id)
    remove_leftovers(centre_id)


def remove_leftovers(centre_id: str = "*") -> None:
    """Remove the loads of one centre, or of all, that are neither received nor the last good one.

    So a load that was replaced is there until the centre's next, for those who are reading it.
    """
    places = (paths.centre_loads(), paths.received_loads())
    linked = {link.resolve().parent for place in places for link in place.glob("*")}
    for folder in paths.loads().glob(f"{centre_id}.*"):
        if folder not in linked:
            shutil.rmtree(folder)
    for leftover in (leftover for place in places for leftover in place.glob(f".{centre_id}.*")):
        switch.remove(leftover)


def _receive(centre_id: str, fingerprint_received: str) -> CentreLoad:
    harmonised = judged(centre_id)
    tables, content_hash = harmonised.tables, harmonised.content_hash
    receipt = receipt_of(centre_id, fingerprint_received, harmonised.submission, harmonised.previous)
    receipt |= {"content_hash": content_hash, "identity": harmonised.identity}
    receipt |= {"key_fingerprint": fingerprint(harmonised.key), "synthetic": kind_of(centre_id)}
    _put_aside(centre_id, tables, receipt)
    by_rule = tables["quality.quarantine"].to_pandas().groupby(["file", "sheet", "column_name", "rule"], dropna=False)
    refused = by_rule.size().rename("values_refused").reset_index()
    rows = {name: tables[f"harmonised.{name}"].num_rows for name in fields.tables()}
    ledger = tables["quality.ledger"].to_pandas()
    return CentreLoad(centre_id, harmonised.submission.isoformat(), content_hash, rows, ledger, refused)


def _put_aside(centre_id: str, tables: dict[str, pa.Table], receipt: dict) -> None:
    """Write a complete load, then say that it is the one received."""
    remove_leftovers(centre_id)
    paths.loads().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{centre_id}.", dir=paths.loads()), centre_id)
    folder.mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    for name in (SPEC, ANSWERS):
        if (paths.data_raw() / centre_id / name).is_file():
            shutil.copyfile(paths.data_raw() / centre_id / name, folder / name)
    (folder / RECEIPT).write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    switch.to_disk(*folder.iterdir(), folder, folder.parent, paths.loads())
    switch.link(paths.received_loads() / centre_id, folder)
