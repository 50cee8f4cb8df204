"""Which state of the study a warehouse holds, for everything that is made from it."""

import dagster as dg

from capla_etl.defs.centres import MONITORING, TABLES, asset_key
from capla_etl.defs.preview import markdown, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.defs.tables import BIOSTATISTICS, write
from capla_etl.fields import meanings
from capla_etl.releases.fingerprints import study_version
from capla_etl.releases.rebuild import release_compared_with

#: What was read from the centres: their data, and what they were asked and answered.
READ = [*TABLES, *MONITORING, "quality.query"]


@dg.asset(
    key=["study", "version"],
    deps=[asset_key(relation) for relation in READ],
    group_name="quality",
    kinds={"python", "duckdb"},
    owners=BIOSTATISTICS,
    description=meanings.of_table("study.version"),
    pool=WRITER_POOL,
)
def version(warehouse: Warehouse) -> dg.MaterializeResult:
    """Name the state of the study that everything printed from now on states."""
    release = release_compared_with()
    with warehouse.connect() as connection:
        frame = study_version(connection, READ, release and release.name)
        write(connection, "study.version", frame)
        metadata = table_metadata(connection, "study.version")
    return dg.MaterializeResult(metadata=metadata | {"summary": frame["version"][0], "preview": markdown(frame)})
