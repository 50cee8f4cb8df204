"""One asset per centre: read, harmonise, validate and only then promote a submission; then all centres' good loads as one set of tables.

How a submission is read and refused is in ``capla_etl.centres``.
"""

from datetime import date

import dagster as dg

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.load import CentreLoad, load_centre
from capla_etl.centres.submissions.status import (
    MEANINGS,
    STATUSES,
    CentreStatus,
    centre_ids,
    refuse_unreachable,
    status_of,
)
from capla_etl.defs.preview import markdown, markdown_list, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Study, Warehouse

DATA_MANAGEMENT = ["team:data-management"]

#: Tables of the harmonised layer beside those of fields/tables.yml, and what they hold.
BESIDE = {
    "harmonised.list_absence": "One row per centre and list: what it means when a patient has no row in it.",
    "harmonised.submission": "One row per centre: its current submission, whose date is the data cut-off.",
    "quality.centre_status": "One row per centre: the submission that the study holds, the newest received, and why they differ.",
    "quality.ledger": "One row per received file or sheet; rows received = loaded + duplicate + quarantined + ignored, always.",
    "quality.submission_history": "One row per file received in any submission: its content hash, and whether the submission is current.",
    "quality.submission_change": "One row per row added or removed and per cell changed since the submission before, as sent.",
    "quality.withdrawn_patient": "One row per patient who was in the submission before and is no more; nothing else of them is kept.",
    "quality.correction": "One row per cell that a declared correction changed: what the centre sent, what it is now, why and who confirmed it.",
    "quality.free_text_scan": "One row per column of free text: texts received, and texts withheld for what could identify a patient, by kind.",
    "quality.quarantine": "One row per refused row or value, with its place in the file, the rule and what was expected.",
}
TABLES = {f"harmonised.{name}": table.grain for name, table in fields.tables().items()} | BESIDE


#: A file that cannot be reached (a network drive) may be there again soon; a file that is wrong stays wrong.
RETRIES, RETRY_AFTER_SECONDS = 2, 5

#: A centre waits so long for a run that is building the warehouse already.
LONGEST_RUN_SECONDS = 1800

#: Checks of a centre: is its newest submission in the study, and has it submitted when it was due? Neither stops the other centres.
ACCEPTED, ON_TIME = "accepted", "on_time"


def _centre(centre_id: str) -> dg.AssetsDefinition:
    key = dg.AssetKey(["centre", centre_id])

    @dg.asset(
        key=key,
        group_name="centres",
        kinds={"python", "parquet"},
        owners=DATA_MANAGEMENT,
        tags={"centre": centre_id},
        description=f"The current submission of {centre_id}, harmonised and validated; its last good load stays in place when it is refused.",
        check_specs=[
            dg.AssetCheckSpec(
                ACCEPTED,
                asset=key,
                description="The newest submission is in the study. Else the last good one is, or none; the other centres go on.",
            ),
            dg.AssetCheckSpec(
                ON_TIME,
                asset=key,
                description="The newest submission is no older than the interval agreed with the centre (`submits_every_days` in its spec).",
            ),
        ],
    )
    def centre(context: dg.AssetExecutionContext, study: Study) -> dg.MaterializeResult:
        study.begin(wait_seconds=LONGEST_RUN_SECONDS)
        try:
            loaded = _loaded(load_centre(centre_id))
        except OSError as error:
            if context.retry_number < RETRIES:
                raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_SECONDS) from error
            loaded = _kept(refuse_unreachable(centre_id, error))
        except CentreRefused:
            loaded = _kept(status_of(centre_id))
        status = status_of(centre_id)
        return dg.MaterializeResult(
            metadata=loaded["metadata"],
            data_version=loaded["data_version"],
            check_results=[_accepted(status), _on_time(status, date.today())],
        )

    return centre


def _loaded(load: CentreLoad) -> dict:
    """What the asset of a centre says of a new load."""
    accepted, refused_values = sum(load.rows.values()), int(load.refused["values_refused"].sum())
    return {
        "data_version": dg.DataVersion(load.content_hash[:16]),
        "metadata": {
            "summary": f"{accepted:,} records accepted, {refused_values:,} rows or values refused",
            "status": "current",
            "submission": load.submission,
            "dagster/row_count": accepted,
            "records": dg.MetadataValue.json(load.rows),
            "ledger": markdown(load.ledger.drop(columns=["centre_id", "submission"]), rows=60),
            "refused by rule": markdown(load.refused, rows=60),
        },
    }


def _kept(status: CentreStatus) -> dict:
    """What it says when the newest submission is not in the study."""
    stays = f"stays at its submission of {status.submission}" if status.submission else "has no submission in the study"
    return {
        "data_version": None,
        "metadata": {
            "summary": f"REFUSED: {status.centre_id} {stays}",
            "status": status.status,
            "submission": str(status.submission or "none"),
            "problems": markdown_list(status.problems),
        },
    }


def _accepted(status: CentreStatus) -> dg.AssetCheckResult:
    """Whether the newest submission is in the study; if not, why, with file, sheet, row and column."""
    return dg.AssetCheckResult(
        check_name=ACCEPTED,
        passed=status.status in ("current", "waiting"),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{STATUSES[status.status]} ({status.submission or 'none'})",
        metadata={
            "status": status.status,
            "in the study": str(status.submission or "none"),
            "newest received": str(status.received or "none"),
        }
        | ({"problems": markdown_list(status.problems)} if status.problems else {}),
    )


def _on_time(status: CentreStatus, today: date) -> dg.AssetCheckResult:
    """Whether the centre has submitted within the interval agreed with it. About the work, not the data: the one place that asks for today's date."""
    age = (today - status.received).days if status.received else None
    late = age is None or (status.submits_every_days is not None and age > status.submits_every_days)
    agreed = (
        f"every {status.submits_every_days} days agreed"
        if status.submits_every_days
        else "no interval agreed (submits_every_days in its spec)"
    )
    return dg.AssetCheckResult(
        check_name=ON_TIME,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"newest submission {age} days old; {agreed}" if age is not None else "nothing received",
        metadata={"days since the newest submission": age} if age is not None else {},
    )


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
            raise dg.Failure(
                str(refused), metadata={"problems": markdown_list(refused.problems)}, allow_retries=False
            ) from refused
        for relation in TABLES:
            yield dg.MaterializeResult(
                asset_key(relation),
                metadata=table_metadata(
                    connection, relation, MEANINGS if relation == "quality.centre_status" else None
                ),
            )
