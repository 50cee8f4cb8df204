"""The study's columns, tables and vocabularies, each declared once in the YAML files beside this module.

What does not belong here: anything about one centre (its spec) or about outcomes (dbt models).
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

_FOLDER = Path(__file__).parent

#: Columns that every harmonised table has before its own, in this order.
KEY_COLUMNS = ["patient_id", "centre_id", "centre_patient_id", "submission"]
#: Columns that name a row as sent.
PLACE_COLUMNS = ["source_file", "source_sheet", "source_row"]
#: Columns that every harmonised table has after its own: the row that the record came from, and how the spec read it.
SOURCE_COLUMNS = [*PLACE_COLUMNS, "source_record", "source_repetition"]

#: DuckDB type of each field type.
SQL_TYPES = {
    "text": "VARCHAR",
    "code": "VARCHAR",
    "answer": "VARCHAR",
    "date": "DATE",
    "integer": "INTEGER",
    "number": "DOUBLE",
}

#: Answers to a yes/no question; missing is "unknown", never "no".
ANSWERS = ("yes", "no", "unknown")


@dataclass(frozen=True)
class Field:
    """One study column as declared in fields.yml."""

    name: str
    type: str
    meaning: str
    unit: str | None = None
    ucum: str | None = None
    units: dict = field(default_factory=dict)
    range: tuple | None = None
    sent_range: dict = field(default_factory=dict)
    vocabulary: str | None = None
    comparator: bool = False
    analyte: str | None = None
    partial: str | None = None

    @property
    def sql_type(self) -> str:
        return "BIGINT" if self.name == "source_row" else SQL_TYPES[self.type]

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes that a value may take; empty for types without codes."""
        if self.type == "answer":
            return ANSWERS
        return tuple(vocabularies()[self.vocabulary]) if self.vocabulary else ()


@dataclass(frozen=True)
class HarmonisedTable:
    """One harmonised table as declared in tables.yml."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    required: tuple[str, ...]
    present: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()

    @property
    def all_columns(self) -> list[str]:
        """Every column in order: keys, own columns, source."""
        return [*KEY_COLUMNS, *self.columns, *SOURCE_COLUMNS]

    @property
    def fillable(self) -> list[str]:
        """Own columns that are read from files, kept or withheld."""
        return [c for c in (*self.columns, *self.withheld) if c not in self.derived]


def load(name: str) -> dict:
    """A YAML file beside this module."""
    return yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))


@cache
def vocabularies() -> dict[str, list[str]]:
    """Vocabulary name -> the study's codes."""
    return load("vocabularies.yml")


@cache
def fields() -> dict[str, Field]:
    """Column name -> its declaration."""
    return {name: Field(name=name, **declared) for name, declared in load("fields.yml").items()}


@cache
def tables() -> dict[str, HarmonisedTable]:
    """Table name -> its declaration."""
    return {
        name: HarmonisedTable(name=name, **{key: tuple(v) if isinstance(v, list) else v for key, v in declared.items()})
        for name, declared in load("tables.yml").items()
    }


def sql_type(column: str) -> str:
    """DuckDB type of a harmonised column."""
    return fields()[column].sql_type


@cache
def months() -> dict[str, dict[str, dict[str, int]]]:
    """Names of the months (months.yml): language -> 'full' or 'short' -> name in small letters -> month (1 to 12)."""

    def numbered(twelve: list) -> dict[str, int]:
        return {
            name: number
            for number, names in enumerate(twelve, start=1)
            for name in (names if isinstance(names, list) else [names])
        }

    declared = load("months.yml").items()
    return {language: {form: numbered(twelve) for form, twelve in forms.items()} for language, forms in declared}


def arrow_schema(columns: str):
    """Arrow schema from names of columns, parted by blanks: text unless ``name:date``, ``:count`` or ``:number``."""
    import pyarrow as pa

    types = {"": pa.string(), "date": pa.date32(), "count": pa.int64(), "number": pa.float64()}
    return pa.schema([(name, types[kind]) for name, _, kind in (column.partition(":") for column in columns.split())])
