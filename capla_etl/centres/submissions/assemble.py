"""Assemble all centres' loads in the warehouse: one key of patient_id, references between centres resolved."""

import json

import duckdb

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.status import RECEIPT, SPEC, CentreStatus, centre_status, good_loads, status_table
from capla_etl.sql import quote

#: Tables of schema quality that every load has a part of.
QUALITY_TABLES = ["quarantine", "ledger", "submission_history", "submission_change", "withdrawn_patient"]
QUALITY_TABLES += ["correction", "free_text_scan", "added_field"]


def assemble(con: duckdb.DuckDBPyConnection) -> list[CentreStatus]:
    """Make schemas raw, harmonised and quality of the warehouse from every centre's last good load.

    A centre without any good load is not in the study; ``quality.centre_status`` says where every centre stands.

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
        problem = "no load to assemble; load the centre first, or remove its folder from the data."
        raise CentreRefused(", ".join(untried), [problem])
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
            name = path.stem.removeprefix("raw.")
            con.execute(f'create table raw."{name}" as select * from read_parquet({quote(str(path))})')
    tables = [f"harmonised.{t}" for t in (*fields.tables(), "list_absence", "submission")]
    for table in [*tables, *(f"quality.{t}" for t in QUALITY_TABLES)]:
        parts = [quote(str(load.folder / f"{table}.parquet")) for load in loads.values()]
        con.execute(f"create or replace table {table} as select * from read_parquet([{', '.join(parts)}])")
    con.register("statuses", status_table(statuses))
    con.execute("create or replace table quality.centre_status as select * from statuses")
    con.unregister("statuses")
    _check_references(con)
    return statuses


def _check_one_key(centres: list[str]) -> None:
    """Refuse loads made with different keys: a patient sent by two centres would not be found."""
    receipts = [(paths.centre_loads() / centre / RECEIPT).read_text(encoding="utf-8") for centre in centres]
    if len({json.loads(receipt).get("key_fingerprint") for receipt in receipts}) > 1:
        problem = "the loads were made with different keys of patient_id; load every centre again with one key."
        raise CentreRefused(", ".join(centres), [problem])


def _check_references(con: duckdb.DuckDBPyConnection) -> None:
    """Quarantine a transfer from a patient whom the named centre did not send; the record stays, unlinked."""
    unknown = """from harmonised.patient where transferred_from_patient_id is not null
        and transferred_from_patient_id not in (select patient_id from harmonised.patient)"""
    con.execute(
        f"""insert into quality.quarantine
        select centre_id, submission, source_file, source_sheet, source_row, 'transferred_from',
            transferred_from_centre_id || ' ' || transferred_from_centre_patient_id, 'unknown_reference',
            'The centre named as origin of the transfer sent no patient with this number.', patient_id, 'cell'
        {unknown}"""
    )
    con.execute(
        f"""update harmonised.patient set transferred_from_patient_id = null
        where patient_id in (select patient_id {unknown})"""
    )
