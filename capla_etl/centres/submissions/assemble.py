"""All centres' loads put together in the warehouse: one key, references between centres resolved."""

import json
from pathlib import Path

import duckdb

from capla_etl import fields as study
from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.status import SPEC, CentreStatus, centre_status, good_loads, status_table
from capla_etl.sql import quote

#: Tables of schema quality that every load has a part of.
QUALITY_TABLES = [
    "quarantine",
    "ledger",
    "submission_history",
    "submission_change",
    "withdrawn_patient",
    "correction",
    "free_text_scan",
]


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
        raise CentreRefused(
            ", ".join(untried), ["no load to assemble: load the centre first, or remove its folder from the data."]
        )
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
            con.execute(
                f'create table raw."{path.stem.removeprefix("raw.")}" as select * from read_parquet({quote(str(path))})'
            )
    for table in [f"harmonised.{t}" for t in (*study.tables(), "list_absence", "submission")] + [
        f"quality.{t}" for t in QUALITY_TABLES
    ]:
        parts = [quote(str(_part(centre, table))) for centre in loads]
        con.execute(f"create or replace table {table} as select * from read_parquet([{', '.join(parts)}])")
    con.register("statuses", status_table(statuses))
    con.execute("create or replace table quality.centre_status as select * from statuses")
    con.unregister("statuses")
    _check_references(con)
    return statuses


def _check_one_key(centres: list[str]) -> None:
    """With different keys a patient sent by two centres would not be found."""
    made_with = {
        c: json.loads((paths.centre_loads() / c / "load.json").read_text(encoding="utf-8")).get("key_fingerprint")
        for c in centres
    }
    if len(set(made_with.values())) > 1:
        raise CentreRefused(
            ", ".join(centres),
            ["the loads were made with different keys of patient_id: load every centre again with one key."],
        )


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
    con.execute(
        f"update harmonised.patient set transferred_from_patient_id = null where patient_id in (select p.patient_id {unknown})"
    )
