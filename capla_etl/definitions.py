"""The code location: whatever Dagster finds in ``defs/``, with the resources that it needs.

A new asset, check, job, schedule or sensor goes into a module of ``defs/``; nothing is registered here. Groups read
left to right as the data flow: centres, monitoring, harmonised, staging, intermediate, marts and outcomes, study,
quality, report, queries, published. Steps run one after another in one process, so only one of them writes to DuckDB.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from capla_etl.defs.resources import resources

# Wherever Dagster runs this, what it writes may hold patients, and is for its owner alone.
os.umask(0o077)


def build_defs(assets: Sequence | None = None, checks: Sequence = (), **replaced) -> dg.Definitions:
    """The code location, or a small one.

    Args:
        assets, checks: the assets and asset checks of a small code location; None: everything in ``defs/``.
        replaced: resources that take the place of ``study``, ``warehouse`` or ``dbt``.
    """
    found = (
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
        if assets is None
        else dg.Definitions(assets=assets, asset_checks=checks)
    )
    shared = dg.Definitions(resources=resources() | replaced, executor=dg.in_process_executor)
    return dg.Definitions.merge(found, shared)


defs = build_defs()
