"""Great Expectations suites as asset checks. ``expectations/`` has the rules, ``capla_etl.quality`` runs them.

A failed rule of severity error blocks everything downstream; a failed warning is shown and blocks nothing.
"""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from capla_etl.defs.centres import asset_key
from capla_etl.defs.check_results import Counted, keep
from capla_etl.defs.preview import markdown
from capla_etl.defs.resources import WRITER_POOL, Warehouse
from capla_etl.paths import data_docs
from capla_etl.quality.suites import SuiteResult, suites
from capla_etl.quality.validation import validate
from capla_etl.releases.publish import staged

CHECK_NAME = "expectations"


def _result(suite: SuiteResult) -> dg.AssetCheckResult:
    """Show a suite's result: what failed, why it matters, who acts, and the keys (never the values) of failing rows."""
    columns = ["severity", "column", "expectation", "where", "failing_count", "failing_percent", "why", "act"]
    rows = [
        {k: failure[k] for k in ("column", "expectation")} | {k: str(v) for k, v in row.items()}
        for failure in suite.failures
        for row in failure["failing_rows"]
    ]
    return dg.AssetCheckResult(
        asset_key=asset_key(suite.table),
        check_name=CHECK_NAME,
        passed=suite.passed,
        severity=dg.AssetCheckSeverity.ERROR if suite.failed_errors else dg.AssetCheckSeverity.WARN,
        description=f"{suite.expectations} expectations: {suite.failed_errors} errors, "
        f"{suite.failed_warnings} warnings",
        metadata={
            "expectations": suite.expectations,
            "failed errors": suite.failed_errors,
            "failed warnings": suite.failed_warnings,
            "what failed": markdown(pd.DataFrame(suite.failures, columns=columns), rows=100),
            "failing rows": markdown(pd.DataFrame(rows), rows=200),
        },
    )


def _counted(suite: SuiteResult) -> Counted:
    passed = suite.expectations - suite.failed_errors - suite.failed_warnings
    return ("expectation", suite.table, CHECK_NAME, passed, suite.failed_warnings, suite.failed_errors)


def _stage(name: str, tables: list[str]) -> dg.AssetChecksDefinition:
    """The suites of some tables as one step: one import, one connection."""
    about = "Great Expectations suite expectations/{}.yml"
    specs = {
        table: dg.AssetCheckSpec(CHECK_NAME, asset=asset_key(table), blocking=True, description=about.format(table))
        for table in tables
    }

    @dg.multi_asset_check(name=f"expectations_{name}", specs=specs.values(), can_subset=True, pool=WRITER_POOL)
    def checks(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        selected = [table for table, spec in specs.items() if spec.key in context.selected_asset_check_keys]
        with warehouse.connect() as connection:
            results = validate(connection, selected, staged(data_docs()))
            keep(connection, [_counted(result) for result in results])
        for result in results:
            yield _result(result)

    return checks


TABLES = list(suites())
HARMONISED = [table for table in TABLES if table.startswith("harmonised.")]
expectation_checks = [
    _stage("harmonised", HARMONISED),
    _stage("marts", [table for table in TABLES if table not in HARMONISED]),
]
