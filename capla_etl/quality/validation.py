"""Great Expectations: is what the centres sent plausible, complete and free of contradictions?

Suites (``expectations/<schema>.<table>.yml``) are run on the tables of the warehouse and shown as Data Docs. The caller
decides what a result means for a run: failed errors stop it, warnings are noted. Keys, relationships and accepted codes
of our own tables are dbt tests; study definitions are dbt models.

A result names the failing rows by their keys and never shows the offending value.
"""

import gc
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capla_etl.quality.data_docs import write_page
from capla_etl.quality.suites import LISTED_ROWS, SEVERITIES, SUMMARIES, Rule, Suite, SuiteError, SuiteResult, suites

if TYPE_CHECKING:
    import duckdb

LEAST_SUMMARISED = 10  # a mean or median of fewer values comes close to showing one


def _frame(con: "duckdb.DuckDBPyConnection", suite: Suite):
    """The columns that the suite is about: Great Expectations copies the frame for every condition."""
    derived = "".join(f", ({expression}) as {name}" for name, expression in suite.derived_columns.items())
    relation = con.sql(f"select t.*{derived} from {suite.table} t")
    named = {*suite.grain, *(c for rule in suite.rules for c in [*rule.columns, rule.each] if c)}
    if unknown := sorted(named - set(relation.columns)):
        expected = ", ".join(relation.columns)
        raise SuiteError(f"{suite.table}.yml: column: found {', '.join(unknown)}; expected one of {expected}")
    named |= {word for rule in suite.rules for word in re.findall(r"\w+", rule.where or "")}
    return relation.select(*[c for c in relation.columns if c in named]).df()


def _expanded(suite: Suite, frame) -> list[Rule]:
    """Make one rule per value of a rule for each value of a column; leave out means and medians of few values."""
    out = []
    for rule in suite.rules:
        if not rule.each:
            out.append(rule)
            continue
        for value in sorted(frame[rule.each].dropna().unique()):
            where = f"{rule.each} == {str(value)!r}" + (f" and ({rule.where})" if rule.where else "")
            out.append(rule.model_copy(update={"where": where, "each": None}))
    return [r for r in out if r.expect not in SUMMARIES or _known(frame, r) >= LEAST_SUMMARISED]


def _known(frame, rule: Rule) -> int:
    return int((frame.query(rule.where) if rule.where else frame)[rule.columns[0]].notna().sum())


def _config(number: int, rule: Rule) -> dict[str, Any]:
    kwargs = dict(rule.kwargs)
    if rule.where:
        kwargs["row_condition"] = {"type": "pass_through", "pass_through_filter": rule.where}
    if "column_A" in kwargs:
        kwargs["ignore_row_if"] = "either_value_is_missing"
    if "column_list" in kwargs:
        kwargs["ignore_row_if"] = "any_value_is_missing"
    return {"type": rule.expect, "kwargs": kwargs, "severity": SEVERITIES[rule.severity], "meta": {"rule": number}}


def _key_value(value: Any) -> Any:
    """Write a row key as in a file: 5, not 5.0; None for a missing part of the key."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value


def _row_keys(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Turn Great Expectations' keys, listed by column, into one dict a row."""
    rows: list[dict[str, Any]] = []
    for block in result.get("unexpected_index_list") or []:
        columns = list(block)
        lists = [v if isinstance(v, list) else [v] for v in block.values()]
        rows += [dict(zip(columns, map(_key_value, values), strict=True)) for values in zip(*lists, strict=True)]
        if len(rows) >= LISTED_ROWS:
            break
    return rows[:LISTED_ROWS]


def _rule_number(found: dict[str, Any]) -> int:
    return found["expectation_config"]["meta"]["rule"]


def _summary(suite: Suite, rules: list[Rule], rows: int, document: dict[str, Any]) -> SuiteResult:
    failures = []
    for found in document["results"]:
        if found["success"]:
            continue
        rule, result = rules[_rule_number(found)], found["result"]
        if not result:
            why = json.dumps(found["exception_info"])[:600]
            raise SuiteError(
                f"{suite.table}.yml: {rule.expect} of {' and '.join(rule.columns)}: could not be tested: {why}"
            )
        failures.append(
            {
                "expectation": rule.expect,
                "column": ", ".join(rule.columns),
                **{name: getattr(rule, name) for name in ("where", "severity", "why", "act")},
                "failing_count": result.get("unexpected_count"),
                "failing_percent": result.get("unexpected_percent"),
                "observed": result.get("observed_value"),
                "failing_rows": _row_keys(result),
            }
        )
    failures.sort(key=lambda f: (f["severity"], f["column"], f["expectation"], f["where"] or ""))
    errors = sum(f["severity"] == "error" for f in failures)
    return SuiteResult(suite.table, not failures, errors, len(failures) - errors, len(rules), rows, failures)


def _data_cut_off(con: "duckdb.DuckDBPyConnection") -> str:
    """Find the latest data cut-off. It stands for the run's date, so that equal data give equal pages."""
    found = con.execute(
        "select 1 from information_schema.tables where table_schema = 'harmonised' and table_name = 'submission'"
    ).fetchone()
    latest = con.execute("select max(submission) from harmonised.submission").fetchone()[0] if found else None
    return latest.isoformat() if latest else "not known"


def validate(con: "duckdb.DuckDBPyConnection", tables: list[str], docs_folder: Path | None = None) -> list[SuiteResult]:
    """Run the suites of some tables.

    Args:
        con: open connection to a warehouse with these tables (and those that derived columns name).
        tables: ``<schema>.<table>``, each with a suite.
        docs_folder: where to write a Data Docs page per suite, for ``build_data_docs``. None: no pages.

    Returns:
        One result per table, in the order asked for.

    Raises:
        SuiteError: a table has no suite, a suite names an unknown column, or an expectation could not be tested.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx  # seconds to import: only where it is used

    declared = suites()
    if unknown := ", ".join(t for t in tables if t not in declared):
        raise SuiteError(f"expectations/: found no suite of {unknown}; expected one of {', '.join(declared)}")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("warehouse")
    cut_off = _data_cut_off(con) if docs_folder else None
    collects = gc.isenabled()
    gc.disable()  # a quarter of the time would go into looking for cycles in millions of short-lived objects
    try:
        return [_validated(con, source, declared[table], docs_folder, cut_off) for table in tables]
    finally:
        if collects:
            gc.enable()


def _validated(
    con: "duckdb.DuckDBPyConnection", source, suite: Suite, docs_folder: Path | None, cut_off: str | None
) -> SuiteResult:
    import great_expectations as gx

    frame = _frame(con, suite)
    rules = _expanded(suite, frame)
    whole = source.add_dataframe_asset(suite.table).add_batch_definition_whole_dataframe("all rows")
    batch = whole.get_batch({"dataframe": frame})
    expectations = [_config(n, rule) for n, rule in enumerate(rules)]
    keys_only = {"exclude_unexpected_values": True}  # no clinical value in a log, an event or a page

    def document_of(chosen: list[dict[str, Any]], result_format: dict[str, Any]) -> dict[str, Any]:
        ran = batch.validate(
            gx.ExpectationSuite(name=suite.table, expectations=chosen), result_format=result_format | keys_only
        )
        return ran.to_json_dict()

    # Collecting row keys costs more than judging: it is done for the failed rules alone.
    document = document_of(expectations, {"result_format": "BASIC"})
    failed = [n for n, found in enumerate(document["results"]) if not found["success"]]
    if failed:
        with_keys = {"result_format": "COMPLETE", "unexpected_index_column_names": suite.grain}
        again = document_of([expectations[_rule_number(document["results"][n])] for n in failed], with_keys)
        listed = {_rule_number(found): found for found in again["results"]}
        for n in failed:
            document["results"][n] = listed[_rule_number(document["results"][n])]
    result = _summary(suite, rules, len(frame), document)
    if docs_folder:
        write_page(docs_folder, result, document, cut_off)
    return result
