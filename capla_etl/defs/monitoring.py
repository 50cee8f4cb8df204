"""Central statistical monitoring: one step that looks at all centres together, accepts or holds back what was received;
and its checks of every centre, by family.

``capla_etl.quality.monitoring`` looks and decides; nothing is decided here.
"""

from collections import Counter
from collections.abc import Iterator

import dagster as dg

from capla_etl.centres.submissions.status import STATUSES, CentreStatus, status_of
from capla_etl.defs.centres import ACCEPTED, MONITORING, asset_key, centre_assets, table_specs
from capla_etl.defs.preview import markdown_list, table_metadata
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.quality.monitoring.signal import FAMILIES, STOP, Signal
from capla_etl.quality.monitoring.submissions import Looked, decide, read_signals, tables

_SEVERITIES = {True: dg.AssetCheckSeverity.ERROR, False: dg.AssetCheckSeverity.WARN}


@dg.multi_asset(name="monitoring", specs=table_specs(MONITORING, "monitoring", also_after=[]), pool=WRITER_POOL)
def monitoring(warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """Look at all centres together; accept the loads that were received, or hold them back."""
    with warehouse.connect() as connection:
        looked = decide()
        connection.execute("create schema if not exists quality")
        for relation, table in tables(looked).items():
            connection.register("rows_to_write", table)
            connection.execute(f"create or replace table {relation} as select * from rows_to_write")
            connection.unregister("rows_to_write")
            metadata = table_metadata(connection, relation)
            if relation == "quality.signal":
                metadata |= {"summary": _summary(looked), "signals": _in_words(read_signals(connection))}
            yield dg.MaterializeResult(asset_key(relation), metadata=metadata)


def _summary(looked: list[Looked]) -> str:
    signals = [signal for centre in looked for signal in centre.monitored.signals]
    stops = sum(signal.holds_back for signal in signals)
    looks = sum(signal.severity != STOP for signal in signals)
    held_back = sum(centre.held_back for centre in looked)
    return f"{len(looked)} centres: {stops} signals to stop, {looks} to look at; {held_back} submissions held back"


def _in_words(signals: list[Signal]) -> dg.MarkdownMetadataValue:
    return markdown_list([f"{s.signal_id} {s.severity} ({s.status}): {s.in_words}" for s in signals])


def accepted(status: CentreStatus) -> dg.AssetCheckResult:
    """Whether the newest submission is in the study; if not, why, with file, sheet, row and column."""
    in_the_study = str(status.submission or "none")
    problems = {"problems": markdown_list(status.problems)} if status.problems else {}
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(["centre", status.centre_id]),
        check_name=ACCEPTED,
        passed=status.status in ("current", "waiting"),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{STATUSES[status.status]} ({in_the_study})",
        metadata={
            "status": status.status,
            "in the study": in_the_study,
            "newest received": str(status.received or "none"),
            **problems,
        },
    )


def by_family(centre_id: str, family: str, signals: list[Signal], judged: dict[str, int]) -> dg.AssetCheckResult:
    """One family of checks of one centre.

    Args:
        signals: the centre's signals of this family.
        judged: how many of its checks could be judged ('yes') and how many could not ('no').
    """
    still_open = [signal for signal in signals if signal.status == "open"]
    stops = [signal for signal in still_open if signal.holds_back]
    counts = {"checks judged": judged["yes"], "checks not judged": judged["no"]}
    found = f"{len(stops)} to stop, {len(still_open) - len(stops)} to look at" if still_open else "no open signal"
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(["centre", centre_id]),
        check_name=family,
        passed=not still_open,
        severity=_SEVERITIES[bool(stops) or not still_open],
        description=f"{found}; {counts['checks judged']} checks judged, {counts['checks not judged']} not",
        metadata={
            "signals": _in_words(signals),
            "stops": dg.MetadataValue.json([signal.signal_id for signal in stops]),
            **counts,
        },
    )


_ACCEPTED = (
    "The newest submission is in the study. If it is not, the last good one is, or none; the other centres continue."
)


@dg.multi_asset_check(
    name="monitoring_checks",
    specs=[
        dg.AssetCheckSpec(
            name,
            asset=asset.key,
            description=description,
            additional_deps=[asset_key(relation) for relation in MONITORING],
        )
        for asset in centre_assets
        for name, description in {ACCEPTED: _ACCEPTED, **FAMILIES}.items()
    ],
    can_subset=True,
    pool=WRITER_POOL,
)
def monitoring_checks(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
    """Whether each centre's newest submission is in the study, and what each family of checks says of it."""
    with warehouse.connect() as connection:
        signals = read_signals(connection)
        looked_at = connection.execute("select centre_id, family, judged from quality.monitored").df()
    counts = Counter(looked_at.itertuples(index=False, name=None))
    for key in sorted(context.selected_asset_check_keys):
        centre_id, name = key.asset_key.path[1], key.name
        if name == ACCEPTED:
            yield accepted(status_of(centre_id))
        else:
            own = [s for s in signals if (s.centre_id, s.family) == (centre_id, name)]
            yield by_family(centre_id, name, own, {said: counts[centre_id, name, said] for said in ("yes", "no")})
