"""One asset per centre: read, harmonise and judge a submission; and all good loads as one set of tables.

Between the two stands the step ``monitoring``, which accepts what was received or holds it back.

``capla_etl.centres`` reads and refuses submissions.
"""

from datetime import date

import dagster as dg

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.load import CentreLoad, hand_out, receive
from capla_etl.centres.submissions.status import CentreStatus, centre_ids, refuse_unreachable, status_of
from capla_etl.defs.preview import markdown, markdown_list, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Study, Warehouse
from capla_etl.fields import meanings

DATA_MANAGEMENT = ["team:data-management"]

#: The tables that come with the centres' loads.
TABLES = [f"harmonised.{name}" for name in [*fields.tables(), "list_absence", "submission"]] + [
    f"quality.{name}"
    for name in (
        *("centre_status", "ledger", "submission_history", "submission_change", "withdrawn_patient", "correction"),
        *("free_text_scan", "added_field", "quarantine"),
    )
]

#: The tables of the step that looks at all centres together.
MONITORING = ["quality.signal", "quality.monitored", "quality.signal_history"]

#: A file out of reach (a network drive) may come back soon; a file with wrong content stays wrong.
RETRIES, RETRY_AFTER_SECONDS = 2, 5

#: Checks of a centre; neither stops the other centres. ``accepted`` is judged after the step ``monitoring``.
ACCEPTED, ON_TIME = "accepted", "on_time"
_ON_TIME = (
    "The newest submission is no older than the interval agreed with the centre (`submits_every_days` in its spec)."
)


def asset_key(relation: str) -> dg.AssetKey:
    """``schema.table`` of the warehouse as an asset key."""
    return dg.AssetKey(relation.split("."))


def _centre(centre_id: str) -> dg.AssetsDefinition:
    key = dg.AssetKey(["centre", centre_id])

    @dg.asset(
        key=key,
        group_name="centres",
        kinds={"python", "parquet"},
        owners=DATA_MANAGEMENT,
        tags={"centre": centre_id},
        description=f"The current submission of {centre_id}, harmonised and judged. If it is refused or held back, the "
        "last good load stays in place.",
        check_specs=[dg.AssetCheckSpec(ON_TIME, asset=key, description=_ON_TIME)],
    )
    def centre(context: dg.AssetExecutionContext, study: Study) -> dg.MaterializeResult:
        hand_out(_in_this_run(context), context.run_id)
        loaded = None
        try:
            loaded = receive(centre_id)
            status = status_of(centre_id)
        except OSError as error:
            if context.retry_number < RETRIES:
                raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_AFTER_SECONDS) from error
            status = refuse_unreachable(centre_id, error)
        except CentreRefused:
            status = status_of(centre_id)
        return dg.MaterializeResult(
            metadata=_loaded(loaded) if loaded else _kept(status),
            data_version=dg.DataVersion(loaded.content_hash[:16]) if loaded else None,
            check_results=[_on_time(status, date.today())],
        )

    return centre


def _in_this_run(context: dg.AssetExecutionContext) -> list[str]:
    """The centres that a run reads."""
    keys = {asset.key: asset.op.name for asset in centre_assets}
    steps = context.run.step_keys_to_execute or keys.values()
    selected = context.job_def.asset_layer.selected_asset_keys
    return [key.path[1] for key, step in keys.items() if key in selected and step in steps]


def _loaded(load: CentreLoad) -> dict:
    """What the asset of a centre says of a load that was received."""
    accepted, refused_values = sum(load.rows.values()), int(load.refused["values_refused"].sum())
    return {
        "summary": f"{accepted:,} records accepted, {refused_values:,} rows or values refused",
        "status": "received",
        "submission": load.submission,
        "dagster/row_count": accepted,
        "records": dg.MetadataValue.json(load.rows),
        "ledger": markdown(load.ledger.drop(columns=["centre_id", "submission"]), rows=60),
        "refused by rule": markdown(load.refused, rows=60),
    }


def _kept(status: CentreStatus) -> dict:
    """What it says when the newest submission is not in the study."""
    stays = f"stays at its submission of {status.submission}" if status.submission else "has no submission in the study"
    return {
        "summary": f"REFUSED: {status.centre_id} {stays}",
        "status": status.status,
        "submission": str(status.submission or "none"),
        "problems": markdown_list(status.problems),
    }


def _on_time(status: CentreStatus, today: date) -> dg.AssetCheckResult:
    """Whether the centre has submitted within the agreed interval. Only this check asks for today's date."""
    age = (today - status.received).days if status.received else None
    agreed = status.submits_every_days
    interval = f"every {agreed} days agreed" if agreed else "no interval agreed (submits_every_days in its spec)"
    return dg.AssetCheckResult(
        check_name=ON_TIME,
        passed=age is not None and (agreed is None or age <= agreed),
        severity=dg.AssetCheckSeverity.WARN,
        description="nothing received" if age is None else f"newest submission {age} days old; {interval}",
        metadata={} if age is None else {"days since the newest submission": age},
    )


centre_assets = [_centre(centre_id) for centre_id in centre_ids()]


def table_specs(relations: list[str], group: str, also_after: list[dg.AssetKey]) -> list[dg.AssetSpec]:
    """Tables that one step makes from all centres, and from what else it comes after."""
    return [
        dg.AssetSpec(
            asset_key(relation),
            deps=[*(asset.key for asset in centre_assets), *also_after],
            group_name=group,
            kinds={"python", "duckdb"},
            owners=DATA_MANAGEMENT,
            description=meanings.of_table(relation),
        )
        for relation in relations
    ]


@dg.multi_asset(
    name="harmonised",
    specs=table_specs(TABLES, "harmonised", also_after=list(map(asset_key, MONITORING))),
    pool=WRITER_POOL,
)
def harmonised(warehouse: Warehouse):
    """The last good loads of all centres as one set of typed tables."""
    with warehouse.connect() as connection:
        try:
            assemble(connection)
        except CentreRefused as refused:
            problems = {"problems": markdown_list(refused.problems)}
            raise dg.Failure(str(refused), metadata=problems, allow_retries=False) from refused
        for relation in TABLES:
            yield dg.MaterializeResult(asset_key(relation), metadata=table_metadata(connection, relation))
