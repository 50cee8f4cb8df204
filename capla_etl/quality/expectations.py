"""Great Expectations: is what the centres sent plausible, complete and free of contradictions?

Suites are declared in ``expectations/<schema>.<table>.yml``, read strictly, run on the tables of the warehouse, and shown as Data Docs (HTML
that needs no network). What a result means for a run is not decided here: the caller turns failed errors into a stop and warnings into a note.
Keys, relationships and accepted codes of our own tables are dbt tests; study definitions are dbt models.

A result names the failing rows by their keys and never shows the offending value.
"""

import gc
import html
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from capla_etl import fields, paths, protocol

if TYPE_CHECKING:
    import duckdb

ASSETS = Path(__file__).resolve().parent / "data_docs_assets"
LISTED_ROWS = 200
LEAST_SUMMARISED = 10  # a mean or median of fewer values comes close to showing one
SYNTHETIC = "All data shown here are synthetic: simulated courses, no record of a real person."

SEVERITIES = {"error": "critical", "warning": "warning"}  # ours -> Great Expectations'
_RANGE = {"min_value", "max_value", "strict_min", "strict_max"}
_PAIR = {"column_A", "column_B"}
# expectation -> (its required keys, its optional keys). Only what a clinical rule needs; a new one is one line here.
EXPECTATIONS: dict[str, tuple[set[str], set[str]]] = {
    "expect_column_values_to_be_between": ({"column"}, _RANGE | {"mostly", "range_of"}),
    "expect_column_values_to_be_in_set": ({"column"}, {"value_set", "codes_of", "mostly"}),
    "expect_column_values_to_not_be_null": ({"column"}, {"mostly"}),
    "expect_column_values_to_be_null": ({"column"}, {"mostly"}),
    "expect_column_pair_values_a_to_be_greater_than_b": (_PAIR, {"or_equal", "mostly"}),
    "expect_column_pair_values_to_be_equal": (_PAIR, {"mostly"}),
    "expect_compound_columns_to_be_unique": ({"column_list"}, {"mostly"}),
    "expect_column_median_to_be_between": ({"column"}, _RANGE),
    "expect_column_mean_to_be_between": ({"column"}, _RANGE),
}
SUMMARIES = {"expect_column_median_to_be_between", "expect_column_mean_to_be_between"}
_SUITE_KEYS = {"table", "grain", "expectations"}
_RULE_KEYS = {"expect", "severity", "why", "act"}
_RULE_OPTIONAL = {"where", "each"}


class SuiteError(ValueError):
    """A suite that cannot be run as written. The message names file, key, what was found and what is expected."""


@dataclass(frozen=True)
class Rule:
    """One expectation of a suite, ranges, codes and parameters resolved."""

    expect: str
    severity: str
    why: str
    act: str
    kwargs: dict[str, Any]
    where: str | None = None  # pandas query that selects the rows the rule applies to
    each: str | None = None  # column: the rule holds for each of its values by itself

    @property
    def column(self) -> str:
        """The column or columns that the rule is about."""
        columns = [self.kwargs.get("column"), self.kwargs.get("column_A"), self.kwargs.get("column_B"), *self.kwargs.get("column_list", [])]
        return ", ".join(c for c in columns if c)


@dataclass(frozen=True)
class Suite:
    """The expectations of one table. ``derived_columns`` (name -> SQL expression over the row ``t``) exist only while it is tested."""

    table: str
    grain: list[str]
    rules: list[Rule]
    derived_columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteResult:
    """What came of one suite.

    ``passed``: nothing failed. ``failed_errors`` block, ``failed_warnings`` do not. ``expectations``: how many were tested (a rule for each
    centre counts once a centre). ``failures``: one dict per failed expectation with expectation, column, where, severity, why, act, failing_count,
    failing_percent (of the rows it applies to), observed (mean and median rules only) and failing_rows (row keys, at most 200).
    """

    table: str
    passed: bool
    failed_errors: int
    failed_warnings: int
    expectations: int
    rows: int
    failures: list[dict[str, Any]]


# ------------------------------------------------------------------ suites


def _refuse(file: Path, key: str, found: Any, expected: str) -> None:
    raise SuiteError(f"{file.name}: {key}: found {found!r}; expected {expected}")


def _check_keys(file: Path, where: str, found: dict, required: set[str], optional: set[str]) -> None:
    if not isinstance(found, dict):
        _refuse(file, where, found, "a mapping")
    for key in sorted(required - set(found)):
        _refuse(file, f"{where}.{key}", None, f"the key {key!r}, which is missing")
    for key in found:
        if key not in required | optional:
            _refuse(file, f"{where}.{key}", key, "one of " + ", ".join(sorted(required | optional)))


def _resolved(file: Path, where: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Ranges, codes and protocol parameters looked up where they are declared."""
    out = dict(kwargs)
    if "range_of" in out:
        name = out.pop("range_of")
        ranges = {n: f.range for n, f in fields.fields().items() if f.range}
        if name not in ranges:
            _refuse(file, f"{where}.range_of", name, "a field of fields.yml with a range: " + ", ".join(ranges))
        if out.keys() & _RANGE:
            _refuse(file, f"{where}.range_of", sorted(out.keys() & _RANGE), "range_of or limits, not both")
        out["min_value"], out["max_value"] = ranges[name]
    if "codes_of" in out:
        name = out.pop("codes_of")
        codes = fields.vocabularies()
        if name not in codes:
            _refuse(file, f"{where}.codes_of", name, "a vocabulary of vocabularies.yml: " + ", ".join(codes))
        if "value_set" in out:
            _refuse(file, f"{where}.codes_of", out["value_set"], "codes_of or value_set, not both")
        out["value_set"] = list(codes[name])
    for key in ("min_value", "max_value"):
        if isinstance(out.get(key), dict):
            _check_keys(file, f"{where}.{key}", out[key], {"parameter"}, set())
            name = out[key]["parameter"]
            if name not in protocol.parameters():
                _refuse(file, f"{where}.{key}.parameter", name, "a parameter of dbt_project.yml: " + ", ".join(protocol.parameters()))
            out[key] = protocol.parameter(name)
        if key in out and (isinstance(out[key], bool) or not isinstance(out[key], int | float)):
            _refuse(file, f"{where}.{key}", out[key], "a number or {parameter: <name>}")
    return out


def _rule(file: Path, where: str, found: Any) -> Rule:
    if not isinstance(found, dict) or found.get("expect") not in EXPECTATIONS:
        _refuse(file, f"{where}.expect", found.get("expect") if isinstance(found, dict) else found, "one of " + ", ".join(EXPECTATIONS))
    required, optional = EXPECTATIONS[found["expect"]]
    _check_keys(file, where, found, _RULE_KEYS | required, _RULE_OPTIONAL | optional)
    if found["severity"] not in SEVERITIES:
        _refuse(file, f"{where}.severity", found["severity"], " or ".join(SEVERITIES))
    for key in ("why", "act", "where", "each", "column", "column_A", "column_B"):
        if key in found and not (isinstance(found[key], str) and found[key].strip()):
            _refuse(file, f"{where}.{key}", found[key], "a text")
    if "mostly" in found and not (isinstance(found["mostly"], int | float) and 0 < found["mostly"] <= 1):
        _refuse(file, f"{where}.mostly", found["mostly"], "a share above 0, at most 1")
    kwargs = _resolved(file, where, {k: v for k, v in found.items() if k not in _RULE_KEYS | _RULE_OPTIONAL})
    if "min_value" in optional and not kwargs.keys() & {"min_value", "max_value"}:
        _refuse(file, where, sorted(kwargs), "min_value, max_value or range_of")
    if "value_set" in optional and not isinstance(kwargs.get("value_set"), list):
        _refuse(file, f"{where}.value_set", kwargs.get("value_set"), "value_set: a list, or codes_of")
    return Rule(found["expect"], found["severity"], found["why"], found["act"], kwargs, found.get("where"), found.get("each"))


def read_suite(file: Path) -> Suite:
    """Read one suite file.

    Raises:
        SuiteError: the file is not YAML, or a key is unknown, missing or holds what it cannot.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SuiteError(f"{file.name}: not readable as YAML: {error}") from error
    _check_keys(file, "suite", found, _SUITE_KEYS, {"derived_columns"})
    if found["table"] != file.stem:
        _refuse(file, "table", found["table"], f"{file.stem!r}, as the file is named")
    if not (isinstance(found["grain"], list) and found["grain"] and all(isinstance(c, str) for c in found["grain"])):
        _refuse(file, "grain", found["grain"], "a list of columns")
    if not isinstance(found["expectations"], list):
        _refuse(file, "expectations", found["expectations"], "a list")
    derived = found.get("derived_columns", {})
    if not (isinstance(derived, dict) and all(isinstance(v, str) for v in derived.values())):
        _refuse(file, "derived_columns", derived, "a mapping of column to SQL expression")
    rules = [_rule(file, f"expectations[{n}]", rule) for n, rule in enumerate(found["expectations"], start=1)]
    return Suite(found["table"], found["grain"], rules, derived)


def suites() -> dict[str, Suite]:
    """All suites by table, in the order of the data flow: harmonised, marts, outcomes."""
    return {s.table: s for s in (read_suite(file) for file in sorted(paths.EXPECTATIONS.glob("*.yml")))}


# ------------------------------------------------------------------ validation


def _frame(con: "duckdb.DuckDBPyConnection", suite: Suite):
    """The columns that the suite is about: Great Expectations copies the frame for every condition."""
    derived = "".join(f", ({expression}) as {name}" for name, expression in suite.derived_columns.items())
    relation = con.sql(f"select t.*{derived} from {suite.table} t")
    named = {c for rule in suite.rules for c in [*rule.column.split(", "), *([rule.each] if rule.each else [])]} | set(suite.grain)
    unknown = sorted(named - set(relation.columns))
    if unknown:
        raise SuiteError(f"{suite.table}.yml: column: found {', '.join(unknown)}; expected one of {', '.join(relation.columns)}")
    named |= {word for rule in suite.rules for word in re.findall(r"\w+", rule.where or "")}
    return relation.select(*[c for c in relation.columns if c in named]).df()


def _expanded(suite: Suite, frame) -> list[Rule]:
    """A rule for each value of a column becomes one rule per value; mean and median of a few values are not asked."""
    out = []
    for rule in suite.rules:
        if not rule.each:
            out.append(rule)
            continue
        for value in sorted(frame[rule.each].dropna().unique()):
            condition = f"{rule.each} == {str(value)!r}"
            out.append(replace(rule, where=f"{condition} and ({rule.where})" if rule.where else condition, each=None))
    return [r for r in out if r.expect not in SUMMARIES or _known(frame, r) >= LEAST_SUMMARISED]


def _known(frame, rule: Rule) -> int:
    return int((frame.query(rule.where) if rule.where else frame)[rule.kwargs["column"]].notna().sum())


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
    """Row keys as they read in a file: 5, not 5.0; nothing for a missing part of the key."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value


def _row_keys(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Great Expectations lists keys by column; here one dict a row."""
    rows: list[dict[str, Any]] = []
    for block in result.get("unexpected_index_list") or []:
        columns = list(block)
        lists = [v if isinstance(v, list) else [v] for v in block.values()]
        rows += [dict(zip(columns, map(_key_value, values), strict=True)) for values in zip(*lists, strict=True)]
        if len(rows) >= LISTED_ROWS:
            break
    return rows[:LISTED_ROWS]


def _summary(suite: Suite, rules: list[Rule], rows: int, document: dict[str, Any]) -> SuiteResult:
    failures = []
    for found in document["results"]:
        if found["success"]:
            continue
        rule, result = rules[found["expectation_config"]["meta"]["rule"]], found["result"]
        if not result:
            raise SuiteError(f"{suite.table}.yml: {rule.expect} of {rule.column}: could not be tested: {json.dumps(found['exception_info'])[:600]}")
        failures.append(
            {
                "expectation": rule.expect,
                "column": rule.column,
                "where": rule.where,
                "severity": rule.severity,
                "why": rule.why,
                "act": rule.act,
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
    """The latest data cut-off among the submissions: what stands for the run's date, so that equal data give equal pages."""
    found = con.execute("select 1 from information_schema.tables where table_schema = 'harmonised' and table_name = 'submission'").fetchone()
    latest = con.execute("select max(submission) from harmonised.submission").fetchone()[0] if found else None
    return latest.isoformat() if latest else "not known"


def validate(con: "duckdb.DuckDBPyConnection", tables: list[str], docs_folder: Path | None = None) -> list[SuiteResult]:
    """Run the suites of some tables.

    Args:
        con: open connection to a warehouse that has these tables (and, for derived columns, those that they name).
        tables: ``<schema>.<table>``, each with a suite.
        docs_folder: where to write the Data Docs page of each suite; ``build_data_docs`` makes the site of them. None: no pages.

    Returns:
        One result per table, in the order asked for.

    Raises:
        SuiteError: a table has no suite, a suite names a column that the table does not have, or an expectation could not be tested.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx  # seconds to import: only where it is used

    declared = suites()
    unknown = [t for t in tables if t not in declared]
    if unknown:
        raise SuiteError(f"expectations/: found no suite of {', '.join(unknown)}; expected one of {', '.join(declared)}")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("warehouse")
    cut_off = _data_cut_off(con) if docs_folder else None
    collects = gc.isenabled()
    gc.disable()  # Great Expectations makes millions of short-lived objects: a quarter of the time would go into looking for cycles
    try:
        return [_validated(con, source, declared[table], docs_folder, cut_off) for table in tables]
    finally:
        if collects:
            gc.enable()


def _validated(con: "duckdb.DuckDBPyConnection", source, suite: Suite, docs_folder: Path | None, cut_off: str | None) -> SuiteResult:
    import great_expectations as gx

    frame = _frame(con, suite)
    rules = _expanded(suite, frame)
    batch = source.add_dataframe_asset(suite.table).add_batch_definition_whole_dataframe("all rows").get_batch({"dataframe": frame})
    validation = batch.validate(
        gx.ExpectationSuite(name=suite.table, expectations=[_config(n, rule) for n, rule in enumerate(rules)]),
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": suite.grain,
            "exclude_unexpected_values": True,  # keys only: no clinical value in a log, an event or a page
        },
    )
    document = validation.to_json_dict()
    result = _summary(suite, rules, len(frame), document)
    if docs_folder:
        _write_page(docs_folder, result, document, cut_off)
    return result


# ------------------------------------------------------------------ Data Docs


def _write_page(folder: Path, result: SuiteResult, document: dict[str, Any], cut_off: str) -> None:
    """One suite as Great Expectations renders it, plus who acts on what failed; and its summary, which the index is made of."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    document = json.loads(json.dumps(document)) | {"meta": {"run_id": {"run_name": "data cut-off", "run_time": f"{cut_off}T00:00:00"}}}
    if cut_off == "not known":
        document["meta"] = {}
    page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(ExpectationSuiteValidationResultSchema().load(document)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.table}.html").write_text(_offline(page, result, cut_off), encoding="utf-8")
    (folder / f"{result.table}.json").write_text(json.dumps(asdict(result) | {"data_cut_off": cut_off}, indent=1), encoding="utf-8")


def _head(title: str) -> str:
    return (
        f'<head><meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1.0"><title>{html.escape(title)}</title>'
        '<link rel="stylesheet" href="assets/bootstrap.min.css"><link rel="stylesheet" href="assets/data_docs.css">'
        '<script src="assets/data_docs.js" defer></script></head>'
    )


def _navigation(title: str, cut_off: str) -> str:
    return (
        f'<nav class="navbar sticky-top border-bottom docs-bar"><a class="navbar-brand" href="index.html">Data Docs</a>'
        f'<span class="mr-auto">{html.escape(title)}</span><span class="docs-note">Data cut-off {html.escape(cut_off)}. {SYNTHETIC}</span></nav>'
    )


def _offline(page: str, result: SuiteResult, cut_off: str) -> str:
    """The page without anything that a browser would fetch from elsewhere: our stylesheet and script instead of those of ten servers."""
    body = page[page.index("<body>") + len("<body>") : page.index("</body>")]
    body = re.sub(r"<script.*?</script>|<footer.*?</footer>", "", body, flags=re.DOTALL)
    body = re.sub(r'^\s*<nav class="navbar navbar-expand-md.*?</nav>\s*</div>\s*</nav>', "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'<a href="[^"#][^"]*" ?>(.*?)</a>', r"\1", body, flags=re.DOTALL)  # pages of the default site that do not exist here
    body = re.sub(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", body)  # drawn anew at every rendering: equal data, equal page
    body = re.sub(r"Data asset: None", f"Rows: {result.rows}", body)
    section = body.index('<div id="section-2"') if '<div id="section-2"' in body else len(body)
    body = body[:section] + _failures_section(result) + body[section:]
    return f"<!DOCTYPE html>\n<html>{_head(result.table)}<body>{_navigation(result.table, cut_off)}{body}</body></html>\n"


def _percent(value: float | None) -> str:
    return "" if value is None else f" ({value:.1f} %)"


def _failures_section(result: SuiteResult) -> str:
    """What failed, why it matters, who acts, and the keys of the failing rows."""
    blocks = []
    for f in result.failures:
        columns = list(f["failing_rows"][0]) if f["failing_rows"] else []
        rows = "".join("<tr>" + "".join(f"<td>{html.escape('' if r[c] is None else str(r[c]))}</td>" for c in columns) + "</tr>" for r in f["failing_rows"])
        more = f" (first {LISTED_ROWS})" if (f["failing_count"] or 0) > LISTED_ROWS else ""
        keys = (
            f"<details><summary>Failing rows{more}</summary><table class='table table-sm'><thead><tr>"
            + "".join(f"<th>{html.escape(c)}</th>" for c in columns)
            + f"</tr></thead><tbody>{rows}</tbody></table></details>"
            if rows
            else ""
        )
        count = f"{f['failing_count']} rows{_percent(f['failing_percent'])}" if f["failing_count"] is not None else f"observed {f['observed']:.4g}"
        blocks.append(
            f"<div class='docs-failure docs-{f['severity']}'><strong>{f['severity']}</strong> <code>{html.escape(f['column'])}</code> "
            f"{html.escape(f['expectation'].removeprefix('expect_').replace('_', ' '))}"
            + (f" <span class='text-muted'>where {html.escape(f['where'])}</span>" if f["where"] else "")
            + f": {count}<br>{html.escape(f['why'])} <em>{html.escape(f['act'])}</em>{keys}</div>"
        )
    text = "".join(blocks) or "<p>Nothing failed.</p>"
    return f"<div class='ge-section container-fluid mb-3 pl-sm-3 px-0'><h5 class='alert alert-secondary'>What failed and who acts</h5>{text}</div>"


def build_data_docs(docs_folder: Path | None = None) -> Path:
    """The Data Docs site of every suite that ``validate`` has written there: its index, stylesheet and script.

    Returns:
        The index page.
    """
    folder = docs_folder or paths.data_docs()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ASSETS, folder / "assets", dirs_exist_ok=True)
    declared = list(suites())
    for stale in [f for f in folder.glob("*.json") if f.stem not in declared]:
        stale.unlink()
        stale.with_suffix(".html").unlink(missing_ok=True)
    found = [json.loads(f.read_text(encoding="utf-8")) for f in (folder / f"{table}.json" for table in declared) if f.exists()]
    lines = "".join(
        f"<tr class='docs-{'error' if r['failed_errors'] else 'warning' if r['failed_warnings'] else 'passed'}'>"
        f"<td><a href='{r['table']}.html'>{r['table']}</a></td><td>{r['rows']}</td><td>{r['expectations']}</td>"
        f"<td>{r['expectations'] - r['failed_errors'] - r['failed_warnings']}</td><td>{r['failed_errors']}</td><td>{r['failed_warnings']}</td></tr>"
        for r in found
    )
    cut_off = max((r["data_cut_off"] for r in found), default="not known")
    heads = "".join(f"<th>{h}</th>" for h in ("Table", "Rows", "Expectations", "Passed", "Failed errors (block)", "Failed warnings"))
    index = folder / "index.html"
    index.write_text(
        f"<!DOCTYPE html>\n<html>{_head('Data Docs')}<body>{_navigation('Expectations about the data received', cut_off)}<div class='container pt-4'>"
        f"<p class='alert alert-warning'>{SYNTHETIC}</p><p>Great Expectations suites of this warehouse. An error stops what would be computed wrongly from it; "
        f"a warning is for the data manager to look into. Failing rows are listed by their keys only, never with values.</p>"
        f"<table class='table table-sm docs-index'><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div></body></html>\n",
        encoding="utf-8",
    )
    return index
