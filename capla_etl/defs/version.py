"""Which state of the study a warehouse holds, for everything that is made from it."""

import dagster as dg
import duckdb
import pandas as pd

from capla_etl.defs.centres import MONITORING, TABLES, asset_key
from capla_etl.defs.preview import markdown, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS, write
from capla_etl.fields import meanings
from capla_etl.releases.fingerprints import study_version
from capla_etl.releases.rebuild import release_compared_with

#: Where the name of the state is.
VERSION = "study.version"
#: What was read from the centres: their data, and what they were asked and answered.
READ = [*TABLES, *MONITORING, "quality.query"]


@dg.asset(
    key=VERSION.split("."),
    deps=[asset_key(relation) for relation in READ],
    group_name="quality",
    kinds={"python", "duckdb"},
    owners=BIOSTATISTICS,
    description=meanings.of_table(VERSION),
    pool=WRITER_POOL,
)
def version(warehouse: Warehouse) -> dg.MaterializeResult:
    """Name the state of the study that everything printed from now on states."""
    with warehouse.connect() as connection:
        frame = _version_now(connection)
        write(connection, VERSION, frame)
        connection.execute(f"alter table {VERSION} alter data_cut_off type date")
        metadata = table_metadata(connection, VERSION)
    return dg.MaterializeResult(metadata=metadata | {"summary": frame["version"][0], "preview": markdown(frame)})


def _version_now(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    release = release_compared_with()
    return study_version(connection, READ, release and release.name)


def version_of(connection: duckdb.DuckDBPyConnection) -> str:
    """The name of the state that a warehouse holds, for a document that is made from it."""
    return connection.execute(f"select version from {VERSION}").fetchone()[0]


def check_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that a warehouse still holds the state that it names.

    Raises:
        dg.Failure: inputs, code, parameters or the release compared with are others now.
    """
    stated, now = version_of(connection), _version_now(connection)["version"][0]
    if stated != now:
        raise dg.Failure(
            f"the warehouse names version {stated}, but inputs, code, parameters or the release compared with are now "
            f"those of {now}. Nothing is published. Materialize {VERSION} and all that comes after it, or run the "
            "whole study.",
            allow_retries=False,
        )
