"""The suites of ``expectations/``, read strictly, with ranges, codes and parameters looked up."""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from capla_etl import fields, paths
from capla_etl.protocol import parameters
from capla_etl.protocol.wording import worded

LISTED_ROWS = 200
SEVERITIES = {"error": "critical", "warning": "warning"}  # ours -> Great Expectations'


class SuiteError(ValueError):
    """A suite that cannot be run as written. The message names file, key, what was found and what is expected."""


def _wrong(found: Any, expected: str, key: str = "") -> PydanticCustomError:
    """What is wrong with a value, or with the key ``.key`` below it."""
    return PydanticCustomError("suite", "{expected}", {"found": found, "expected": expected, "key": key})


def _known(found: str, known: dict, what: str, key: str = "") -> str:
    if found not in known:
        raise _wrong(found, f"{what}: {', '.join(known)}", key)
    return found


def _number(found: Any) -> int | float:
    """A number, or the value of a parameter of the protocol."""
    if isinstance(found, dict) and list(found) == ["parameter"]:
        name = _known(found["parameter"], parameters.parameters(), "a parameter of dbt_project.yml", ".parameter")
        found = parameters.parameter(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _wrong(found, "a number or {parameter: <name>}")
    return found


def _ranges() -> dict[str, tuple]:
    return {name: field.range for name, field in fields.fields().items() if field.range}


Text = Annotated[str, StringConstraints(pattern=r"\S")]
#: A text that may name parameters of the protocol.
Worded = Annotated[Text, AfterValidator(worded)]
Number = Annotated[Any, AfterValidator(_number)]
Ranged = Annotated[str, AfterValidator(lambda name: _known(name, _ranges(), "a field of fields.yml with a range"))]
Coded = Annotated[
    str, AfterValidator(lambda name: _known(name, fields.vocabularies(), "a vocabulary of vocabularies.yml"))
]


class Rule(BaseModel):
    """One expectation of a suite.

    Attributes:
        where: pandas query that selects the rows the rule applies to; None: all.
        each: column; the rule holds for each of its values separately.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    severity: Literal["error", "warning"]
    why: Worded
    act: Worded
    where: Text = None
    each: Text = None

    @property
    def columns(self) -> list[str]:
        """The columns that the rule is about."""
        single = [getattr(self, name) for name in ("column", "column_A", "column_B") if hasattr(self, name)]
        return single or self.column_list

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments of Great Expectations."""
        return self.model_dump(exclude_unset=True, exclude={*Rule.model_fields, "expect", "range_of", "codes_of"})


class _Mostly(Rule):
    mostly: Annotated[float, Field(gt=0, le=1)] = None


class _Column(BaseModel):
    column: Text


class _Pair(_Mostly):
    column_A: Text
    column_B: Text


class Known(_Mostly, _Column):
    """Values are known, or none is."""

    expect: Literal["expect_column_values_to_not_be_null", "expect_column_values_to_be_null"]


class Summary(Rule, _Column):
    """The median or mean lies between limits."""

    expect: Literal["expect_column_median_to_be_between", "expect_column_mean_to_be_between"]
    min_value: Number = None
    max_value: Number = None
    strict_min: bool = None
    strict_max: bool = None

    @model_validator(mode="after")
    def _has_limits(self) -> "Summary":
        if not self.kwargs.keys() & {"min_value", "max_value"}:
            raise _wrong(sorted(self.kwargs), "min_value, max_value or range_of")
        return self


class Between(_Mostly, Summary):
    """Values lie between limits, or in the range of a field."""

    expect: Literal["expect_column_values_to_be_between"]
    range_of: Ranged = None

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments of Great Expectations."""
        limits = dict(zip(("min_value", "max_value"), _ranges()[self.range_of], strict=True)) if self.range_of else {}
        return super().kwargs | limits

    @model_validator(mode="after")
    def _one_source(self) -> "Between":
        limits = sorted(self.model_fields_set & {"min_value", "max_value", "strict_min", "strict_max"})
        if self.range_of and limits:
            raise _wrong(limits, "range_of or limits, not both", ".range_of")
        return self


class InSet(_Mostly, _Column):
    """Values are among those listed, or among the codes of a vocabulary."""

    expect: Literal["expect_column_values_to_be_in_set"]
    value_set: list = None
    codes_of: Coded = None

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments of Great Expectations."""
        return super().kwargs | ({"value_set": list(fields.vocabularies()[self.codes_of])} if self.codes_of else {})

    @model_validator(mode="after")
    def _one_source(self) -> "InSet":
        if (self.value_set is None) == (self.codes_of is None):
            raise _wrong(self.value_set, "codes_of or value_set, and not both", ".value_set")
        return self


class Greater(_Pair):
    """One column is greater than another."""

    expect: Literal["expect_column_pair_values_a_to_be_greater_than_b"]
    or_equal: bool = None


class Equal(_Pair):
    """Two columns are equal."""

    expect: Literal["expect_column_pair_values_to_be_equal"]


class Unique(_Mostly):
    """No two rows have the same values in these columns."""

    expect: Literal["expect_compound_columns_to_be_unique"]
    column_list: list[Text]


#: The expectations that a clinical rule needs; a new one is a class above.
KINDS = {
    name: kind
    for kind in (Known, Summary, Between, InSet, Greater, Equal, Unique)
    for name in kind.model_fields["expect"].annotation.__args__
}
SUMMARIES = set(Summary.model_fields["expect"].annotation.__args__)


class Suite(BaseModel):
    """The expectations of one table.

    Attributes:
        grain: columns that name a row.
        derived_columns: name -> SQL expression over the row ``t``; these columns exist only during validation.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    table: Text
    grain: Annotated[list[Text], Field(min_length=1)]
    rules: Annotated[
        list[Annotated[reduce(or_, dict.fromkeys(KINDS.values())), Field(discriminator="expect")]],
        Field(alias="expectations"),
    ]
    derived_columns: dict[str, Worded] = {}


@dataclass(frozen=True)
class SuiteResult:
    """The result of one suite.

    ``passed``: nothing failed. ``failed_errors`` block, ``failed_warnings`` do not. ``expectations``: how many were
    tested (a rule for each centre counts once per centre). ``failures``: a dict per failed rule with expectation,
    column, where, severity, why, act, failing_count, failing_percent (of the rows it applies to), observed (mean and
    median only) and failing_rows (row keys, at most 200).
    """

    table: str
    passed: bool
    failed_errors: int
    failed_warnings: int
    expectations: int
    rows: int
    failures: list[dict[str, Any]]


#: What is expected where pydantic refuses a value, by the beginning of its error type.
_EXPECTED = {
    "string": "a text",
    "list": "a list",
    "too_short": "a list of at least one",
    "dict": "a mapping of column to SQL expression",
    "model": "a mapping",
    "bool": "true or false",
    **dict.fromkeys(("float", "greater_than", "less_than"), "a share above 0, at most 1"),
}


def _readable(error: dict[str, Any]) -> str:
    """Word an error of pydantic: key, what was found, what is expected."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    path = [part for part in error["loc"] if part not in KINDS]
    if kind == "invalid_key":
        return f"{'.'.join(map(str, path[:-1])) or 'suite'}: found the key {path[-1]!r}; expected keys that are texts"
    names = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path]
    where = "".join(names).removeprefix(".") or "suite"
    if kind == "suite":
        where, found, expected = where + context["key"], context["found"], context["expected"]
    elif kind == "missing":
        found, expected = None, f"the key {path[-1]!r}, which is missing"
    elif kind == "extra_forbidden":
        model = next((KINDS[part] for part in error["loc"] if part in KINDS), Suite)
        found, keys = path[-1], (field.alias or name for name, field in model.model_fields.items())
        expected = f"one of {', '.join(sorted(keys))}"
    elif kind.startswith("union_tag"):
        where, found, expected = f"{where}.expect", context.get("tag"), f"one of {', '.join(KINDS)}"
    elif kind == "literal_error":
        expected = context["expected"].replace("'", "")
    elif kind == "value_error":
        expected = str(context["error"])
    else:
        expected = next((text for start, text in _EXPECTED.items() if kind.startswith(start)), error["msg"])
    return f"{where}: found {found!r}; expected {expected}"


def read_suite(file: Path) -> Suite:
    """Read one suite file.

    Raises:
        SuiteError: the file is not YAML, or a key is unknown, missing or has an invalid value.
    """
    try:
        suite = Suite.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SuiteError(f"{file.name}: not readable as YAML: {error}") from error
    except ValidationError as error:
        raise SuiteError("\n".join(f"{file.name}: {_readable(e)}" for e in error.errors())) from None
    if suite.table != file.stem:
        raise SuiteError(f"{file.name}: table: found {suite.table!r}; expected {file.stem!r}, as the file is named")
    return suite


def suites() -> dict[str, Suite]:
    """All suites by table, in the order of the data flow: harmonised, marts, outcomes."""
    return {s.table: s for s in (read_suite(file) for file in sorted(paths.EXPECTATIONS.glob("*.yml")))}
