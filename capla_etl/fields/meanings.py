"""What tables and columns mean that Python writes (meanings.yml): for comments in the warehouse, Dagster and tests.

dbt's models declare theirs next to the models.
"""

from functools import cache
from pathlib import Path

import yaml

from capla_etl import fields


@cache
def _declared() -> dict[str, dict]:
    return yaml.safe_load((Path(__file__).parent / "meanings.yml").read_text(encoding="utf-8"))


def tables() -> list[str]:
    """The tables declared here, as ``schema.table``."""
    return [name for name in _declared() if "." in name]


def columns(scope: str) -> dict[str, str]:
    """Column -> meaning, as declared for one table (``schema.table``) or one schema alone."""
    declared = _declared().get(scope, {}).get("columns", {})
    return {name: _worded(meaning) if isinstance(meaning, dict) else meaning for name, meaning in declared.items()}


def codes(table: str, column: str) -> dict[str, str]:
    """Code -> meaning, for a column that is declared by its codes."""
    return _declared()[table]["columns"][column]


def of_table(table: str) -> str:
    """What a row of ``schema.table`` is.

    Raises:
        KeyError: no declaration.
    """
    schema, _, name = table.partition(".")
    if schema == "harmonised" and name in fields.tables():
        return fields.tables()[name].grain
    return _declared()[table]["row"]


def of_column(table: str, column: str) -> str:
    """What a column of ``schema.table`` means: declared for the table, its schema, or in fields.yml.

    Raises:
        KeyError: no declaration.
    """
    for scope in (table, table.partition(".")[0]):
        if column in (declared := columns(scope)):
            return declared[column]
    return fields.fields()[column].meaning


def _worded(codes: dict[str, str]) -> str:
    return "; ".join(f"{code}: {meaning}" for code, meaning in codes.items()) + "."
