"""One asset per centre: read, harmonise, validate and only then promote a submission; then all centres' good loads as one set of tables.

How a submission is read and refused is in ``capla_etl.centres``.
"""

import dagster as dg

from capla_etl import fields
from capla_etl.assets.preview import markdown, markdown_list, table_metadata
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.load import assemble, centre_ids, load_centre
from capla_etl.resources import WRITER_POOL, Warehouse

DATA_MANAGEMENT = ["team:data-management"]

#: Tables of the harmonised layer beside those of fields/tables.yml, and what they hold.
BESIDE = {
    "harmonised.list_absence": "One row per centre and list: what it means when a patient has no row in it.",
    "harmonised.submission": "One row per centre: its current submission, whose date is the data cut-off.",
    "quality.ledger": "One row per received file or sheet; rows received = loaded + duplicate + quarantined + ignored, always.",
    "quality.submission_history": "One row per file received in any submission: its content hash, and whether the submission is current.",
    "quality.submission_change": "One row per row added or removed and per cell changed since the submission before, as sent.",
    "quality.withdrawn_patient": "One row per patient who was in the submission before and is no more; nothing else of them is kept.",
    "quality.correction": "One row per cell that a declared correction changed: what the centre sent, what it is now, why and who confirmed it.",
    "quality.free_text_scan": "One row per column of free text: texts received, and texts withheld for what could identify a patient, by kind.",
    "quality.quarantine": "One row per refused row or value, with its place in the file, the rule and what was expected.",
}
TABLES = {f"harmonised.{name}": table.grain for name, table in fields.tables().items()} | BESIDE


def _centre(centre_id: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["centre", centre_id],
        group_name="centres",
        kinds={"python", "parquet"},
        owners=DATA_MANAGEMENT,
        tags={"centre": centre_id},
        description=f"The current submission of {centre_id}, harmonised and validated; its last good load stays in place when it is refused.",
    )
    def centre() -> dg.MaterializeResult:
        try:
            load = load_centre(centre_id)
        except CentreRefused as refused:
            raise dg.Failure(str(refused), metadata={"problems": markdown_list(refused.problems)}, allow_retries=False) from refused
        accepted, refused_values = sum(load.rows.values()), int(load.refused["values_refused"].sum())
        return dg.MaterializeResult(
            data_version=dg.DataVersion(load.content_hash[:16]),
            metadata={
                "summary": f"{accepted:,} records accepted, {refused_values:,} rows or values refused",
                "submission": load.submission,
                "dagster/row_count": accepted,
                "records": dg.MetadataValue.json(load.rows),
                "ledger": markdown(load.ledger.drop(columns=["centre_id", "submission"]), rows=60),
                "refused by rule": markdown(load.refused, rows=60),
            },
        )

    return centre


def asset_key(relation: str) -> dg.AssetKey:
    """``schema.table`` of the warehouse as an asset key."""
    return dg.AssetKey(relation.split("."))


centre_assets = [_centre(centre_id) for centre_id in centre_ids()]


@dg.multi_asset(
    name="harmonised",
    specs=[
        dg.AssetSpec(
            asset_key(relation),
            deps=[asset.key for asset in centre_assets],
            group_name="harmonised",
            kinds={"python", "duckdb"},
            owners=DATA_MANAGEMENT,
            description=description,
        )
        for relation, description in TABLES.items()
    ],
    pool=WRITER_POOL,
)
def harmonised(warehouse: Warehouse):
    """The last good loads of all centres as one set of typed tables."""
    with warehouse.connect() as connection:
        try:
            assemble(connection)
        except CentreRefused as refused:
            raise dg.Failure(str(refused), metadata={"problems": markdown_list(refused.problems)}, allow_retries=False) from refused
        for relation in TABLES:
            yield dg.MaterializeResult(asset_key(relation), metadata=table_metadata(connection, relation))
