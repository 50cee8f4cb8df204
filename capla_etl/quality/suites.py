"""The suites of ``expectations/``: read strictly, ranges, codes and parameters resolved. How they run is in validation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from capla_etl import fields, paths
from capla_etl.protocol import parameters
from capla_etl.protocol.wording import worded

LISTED_ROWS = 200


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
        columns = [
            self.kwargs.get("column"),
            self.kwargs.get("column_A"),
            self.kwargs.get("column_B"),
            *self.kwargs.get("column_list", []),
        ]
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
            if name not in parameters.parameters():
                _refuse(
                    file,
                    f"{where}.{key}.parameter",
                    name,
                    "a parameter of dbt_project.yml: " + ", ".join(parameters.parameters()),
                )
            out[key] = parameters.parameter(name)
        if key in out and (isinstance(out[key], bool) or not isinstance(out[key], int | float)):
            _refuse(file, f"{where}.{key}", out[key], "a number or {parameter: <name>}")
    return out


def _rule(file: Path, where: str, found: Any) -> Rule:
    if not isinstance(found, dict) or found.get("expect") not in EXPECTATIONS:
        _refuse(
            file,
            f"{where}.expect",
            found.get("expect") if isinstance(found, dict) else found,
            "one of " + ", ".join(EXPECTATIONS),
        )
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
    why, act = worded(found["why"]), worded(found["act"])
    return Rule(found["expect"], found["severity"], why, act, kwargs, found.get("where"), found.get("each"))


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
    return Suite(found["table"], found["grain"], rules, {column: worded(sql) for column, sql in derived.items()})


def suites() -> dict[str, Suite]:
    """All suites by table, in the order of the data flow: harmonised, marts, outcomes."""
    return {s.table: s for s in (read_suite(file) for file in sorted(paths.EXPECTATIONS.glob("*.yml")))}
