"""Loads: a centre's current submission read, harmonised and validated, and only then promoted; all centres' loads assembled in the warehouse.

A load is a folder of Parquet files. A submission that is refused leaves the last good load untouched.

What does not belong here: Dagster, and how a value is read (harmonise.py).
"""

import json
import shutil
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields as study
from capla_etl import paths
from capla_etl.centres.corrections import ANSWERS, answers, apply_corrections, as_sent, content_hash_with, corrections_in_force
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.free_text import SCAN
from capla_etl.centres.harmonise import Harmoniser
from capla_etl.centres.history import CHANGE, WITHDRAWN, compare, distinct_submissions, history, read_current
from capla_etl.centres.pseudonym import KeyRefused, fingerprint, patient_key
from capla_etl.centres.read import RawTable, content_hash
from capla_etl.centres.spec import Spec, load_spec
from capla_etl.centres.sql import quote
from capla_etl.centres.status import SPEC, CentreStatus, centre_status, forget_refusal, good_loads, receipt_of, received, record_refusal, status_table

#: A file of which more rows are refused than this, and at least so many, stops its centre.
LARGEST_REFUSED_SHARE = 0.1
SPARED_ROWS = 20

#: Tables of schema quality that every load has a part of.
QUALITY_TABLES = ["quarantine", "ledger", "submission_history", "submission_change", "withdrawn_patient", "correction", "free_text_scan"]


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


@dataclass(frozen=True)
class HarmonisedCentre:
    """A centre's current submission, read, harmonised and judged, before anything of it is kept.

    ``tables``: ``schema.name`` -> table, of all that a load holds. ``key``: what its patient_ids are made with. ``content_hash``: of its files, spec and corrections.
    """

    spec: Spec
    submission: date
    tables: dict[str, pa.Table]
    key: bytes
    content_hash: str


def _load(centre_id: str, fingerprint_received: str) -> CentreLoad:
    harmonised = harmonise(centre_id)
    receipt = receipt_of(centre_id, fingerprint_received, harmonised.submission)
    _promote(centre_id, harmonised.tables, receipt | {"content_hash": harmonised.content_hash, "key_fingerprint": fingerprint(harmonised.key)})
    refused = (
        harmonised.tables["quality.quarantine"].to_pandas()
        .groupby(["file", "sheet", "column_name", "rule"], dropna=False)
        .size()
        .rename("values_refused")
        .reset_index()
    )
    rows = {name: harmonised.tables[f"harmonised.{name}"].num_rows for name in study.tables()}
    return CentreLoad(centre_id, harmonised.submission.isoformat(), harmonised.content_hash, rows, harmonised.tables["quality.ledger"].to_pandas(), refused)


def harmonise(centre_id: str) -> HarmonisedCentre:
    """Read, harmonise and judge a centre's current submission; nothing is written.

    Raises:
        CentreRefused: the spec, a file, a column, a word or a declared correction is not as declared, or a file is refused in large part.
        OSError: a file cannot be reached.
    """
    folder = paths.data_raw() / centre_id
    spec = load_spec(folder / "centre.yml")
    sent = read_current(spec, folder, paths.as_of())
    *earlier, submission = distinct_submissions(folder, paths.as_of())
    cutoff = date.fromisoformat(submission.name)
    declared = corrections_in_force(folder, cutoff, paths.as_of())
    answers(folder)  # read for what is asked (quality.query): an entry that cannot be read refuses the centre here, not the study there
    raws, corrected = apply_corrections(sent, declared, spec)
    key = _key(centre_id)
    harmonised = Harmoniser(spec, raws, cutoff, key).run()
    corrected = harmonised.corrections(corrected)
    ledger, quarantine = harmonised.ledger(), harmonised.quarantine()
    _check_most_is_read(centre_id, ledger, quarantine)
    tables = {f"harmonised.{name}": harmonised.table(name) for name in study.tables()}
    tables |= {f"raw.{centre_id.lower()}__{raw.name}": as_sent(harmonised.raw_table(raw), corrected) for raw in raws}
    tables |= {"quality.quarantine": quarantine, "quality.ledger": ledger, "quality.correction": corrected}
    tables["harmonised.submission"] = pa.table({"centre_id": [centre_id], "submission": pa.array([cutoff], pa.date32())})
    tables["quality.free_text_scan"] = _free_text_scan(centre_id, cutoff, raws)
    tables["quality.submission_history"] = history(folder, paths.as_of())
    tables |= _since_the_last(spec, earlier, sent, cutoff)
    lists = spec.lists.model_dump()
    tables["harmonised.list_absence"] = pa.table(
        {"centre_id": [centre_id] * len(lists), "list_name": list(lists), "absence": list(lists.values())}
    )
    if tables["harmonised.patient"].num_rows == 0:
        raise CentreRefused(
            centre_id,
            [f"{centre_id}/{submission.name}: no patient could be read; see that the key column of the patient table is filled in."],
        )
    sha = content_hash_with(content_hash(submission, folder / "centre.yml"), declared)
    return HarmonisedCentre(spec, cutoff, tables, key, sha)


def _check_most_is_read(centre_id: str, ledger: pa.Table, quarantine: pa.Table) -> None:
    """A file refused in large part does not fit its spec (or the patient table): a study without it would call missing what was sent."""
    problems = []
    for row in ledger.to_pylist():
        refused, received = row["rows_quarantined"], row["rows_received"]
        if refused >= SPARED_ROWS and refused > LARGEST_REFUSED_SHARE * received:
            rules = Counter(q["rule"] for q in quarantine.to_pylist() if (q["file"], q["sheet"]) == (row["file"], row["sheet"]))
            why = ", ".join(f"{rule} {count}" for rule, count in rules.most_common(3))
            sheet = f", sheet {row['sheet']!r}" if row["sheet"] else ""
            problems.append(
                f"{centre_id}/{row['submission']}/{row['file']}{sheet}: {refused} of {received} rows are refused ({why}); expected at most "
                f"{LARGEST_REFUSED_SHARE:.0%}. Does the file fit the spec, and does the patient table name the same patients?"
            )
    if problems:
        raise CentreRefused(centre_id, problems)


def _key(centre_id: str) -> bytes:
    try:
        return patient_key()
    except KeyRefused as refused:
        raise CentreRefused(centre_id, [str(refused)]) from None


def _free_text_scan(centre_id: str, submission: date, raws: list[RawTable]) -> pa.Table:
    """What was found in the columns of free text."""
    head = {"centre_id": centre_id, "submission": submission}
    rows = [{**head, "file": raw.file, "sheet": raw.sheet, **counts} for raw in raws for counts in raw.free_text]
    return pa.Table.from_pylist(rows, schema=SCAN)


def _since_the_last(spec: Spec, earlier: list[Path], sent: list[RawTable], cutoff: date) -> dict[str, pa.Table]:
    """What changed since the submission before, if there is one: the centre's state then and now, incremental files filled up."""
    changes, gone = pa.Table.from_pylist([], schema=CHANGE), pa.Table.from_pylist([], schema=WITHDRAWN)
    if earlier:
        day_before = date.fromisoformat(earlier[-1].name)
        try:
            before = read_current(spec, earlier[-1].parent, day_before)
        except CentreRefused:  # the centre has changed its files since, and its spec with them
            unknown = {"centre_id": spec.centre.id, "submission": cutoff, "previous_submission": day_before, "change": "not_comparable"}
            changes = pa.Table.from_pylist([{name: unknown.get(name, "") for name in CHANGE.names}], schema=CHANGE)
        else:
            changes, gone = compare(spec, before, sent, (day_before, cutoff))
    return {"quality.submission_change": changes, "quality.withdrawn_patient": gone}


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


def assemble(con: duckdb.DuckDBPyConnection) -> list[CentreStatus]:
    """Schemas raw, harmonised and quality of the warehouse from every centre's last good load.

    A centre of which nothing could ever be loaded is not in the study; ``quality.centre_status`` says so, and of every other one where it stands.

    Args:
        con: an open connection to the build database.

    Returns:
        Where every centre stands.

    Raises:
        CentreRefused: a centre was never tried, none has a good load, or loads do not belong together.
    """
    statuses = centre_status()
    loads = good_loads()
    if untried := [s.centre_id for s in statuses if s.status == "not_loaded" and not s.problems]:
        raise CentreRefused(", ".join(untried), ["no load to assemble: load the centre first, or remove its folder from the data."])
    if not loads:
        problems = [p for s in statuses for p in s.problems]
        until = f" and a submission up to {paths.as_of()}" if paths.as_of() else ""
        raise CentreRefused("no centre", problems or [f"{paths.data_raw()} has no folder with a {SPEC}{until}."])
    _check_one_key(list(loads))
    for schema in ("raw", "harmonised", "quality"):
        con.execute(f"create schema if not exists {schema}")
    stale = con.execute("select table_name from information_schema.tables where table_schema = 'raw'").fetchall()
    for (table,) in stale:
        con.execute(f'drop table raw."{table}"')
    for load in loads.values():
        for path in sorted(load.folder.glob("raw.*.parquet")):
            con.execute(f'create table raw."{path.stem.removeprefix("raw.")}" as select * from read_parquet({quote(str(path))})')
    for table in [f"harmonised.{t}" for t in (*study.tables(), "list_absence", "submission")] + [f"quality.{t}" for t in QUALITY_TABLES]:
        parts = [quote(str(_part(centre, table))) for centre in loads]
        con.execute(f"create or replace table {table} as select * from read_parquet([{', '.join(parts)}])")
    con.register("statuses", status_table(statuses))
    con.execute("create or replace table quality.centre_status as select * from statuses")
    con.unregister("statuses")
    _check_references(con)
    return statuses


def _check_one_key(centres: list[str]) -> None:
    """With different keys a patient sent by two centres would not be found."""
    made_with = {c: json.loads((paths.centre_loads() / c / "load.json").read_text(encoding="utf-8")).get("key_fingerprint") for c in centres}
    if len(set(made_with.values())) > 1:
        raise CentreRefused(", ".join(centres), ["the loads were made with different keys of patient_id: load every centre again with one key."])


def _part(centre: str, table: str) -> Path:
    return paths.centre_loads() / centre / f"{table}.parquet"


def _check_references(con: duckdb.DuckDBPyConnection) -> None:
    """A transfer from a patient whom the named centre did not send is put into the quarantine; the record stays, unlinked."""
    unknown = "from harmonised.patient p where p.transferred_from_patient_id is not null and p.transferred_from_patient_id not in (select patient_id from harmonised.patient)"
    con.execute(
        f"""insert into quality.quarantine
        select p.centre_id, p.submission, p.source_file, p.source_sheet, p.source_row, 'transferred_from', p.transferred_from_centre_id || ' ' || p.transferred_from_centre_patient_id,
               'unknown_reference', 'The centre named as origin of the transfer sent no patient with this number.', p.patient_id, 'cell' {unknown}"""
    )
    con.execute(f"update harmonised.patient set transferred_from_patient_id = null where patient_id in (select p.patient_id {unknown})")
