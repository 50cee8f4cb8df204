"""The code location on one screen: assets, checks, the job, resources.

Groups read left to right as the data flow: centres, harmonised, staging, intermediate, marts and outcomes, study, report, queries, published.
Steps run one after another in one process, so there is one DuckDB writer at a time by construction.
"""

import dagster as dg

from capla_etl.assets.centres import centre_assets, harmonised
from capla_etl.assets.checks import expectation_checks
from capla_etl.assets.dbt import dbt_models
from capla_etl.assets.lineage import lineage_assets
from capla_etl.assets.queries import query_assets
from capla_etl.assets.report import report_assets
from capla_etl.assets.study import self_audit, study_assets
from capla_etl.resources import Dbt, Warehouse

study = dg.define_asset_job("study", selection=dg.AssetSelection.all(), description="The whole study: from the centres' files to the published report.")

defs = dg.Definitions(
    assets=[*centre_assets, harmonised, dbt_models, *study_assets, *lineage_assets, *report_assets, *query_assets],
    asset_checks=[*expectation_checks, self_audit],
    jobs=[study],
    resources={"warehouse": Warehouse(), "dbt": Dbt()},
    executor=dg.in_process_executor,
)
