"""The code location on one screen: assets, checks, jobs, what starts by itself, resources.

Groups read left to right as the data flow: centres, harmonised, staging, intermediate, marts and outcomes, study, quality, report, queries, published.
Steps run one after another in one process, so there is one DuckDB writer at a time by construction.
"""

import dagster as dg

from capla_etl.defs import automation
from capla_etl.defs.centres import centre_assets, harmonised
from capla_etl.defs.dbt import dbt_docs, dbt_models
from capla_etl.defs.expectations import expectation_checks
from capla_etl.defs.lineage import lineage_assets
from capla_etl.defs.queries import query_assets
from capla_etl.defs.report import report_assets
from capla_etl.defs.resources import Dbt, Study, Warehouse
from capla_etl.defs.tables import self_audit, study_assets

variant = Study()

defs = dg.Definitions(
    assets=[
        *centre_assets,
        harmonised,
        dbt_models,
        *study_assets,
        *lineage_assets,
        *report_assets,
        dbt_docs,
        *query_assets,
    ],
    asset_checks=[*expectation_checks, self_audit],
    jobs=automation.jobs,
    schedules=automation.schedules,
    sensors=automation.sensors,
    resources={"study": variant, "warehouse": Warehouse(study=variant), "dbt": Dbt(study=variant)},
    executor=dg.in_process_executor,
)
