"""The study's parameters, read from where each is declared once: ``vars`` of ``dbt_project/dbt_project.yml``, with the comment beside it as its source.

No default is given here: an unknown name is an error.
"""

import re
from dataclasses import dataclass
from functools import cache

import yaml

from capla_etl import paths


@dataclass(frozen=True)
class Parameter:
    """One parameter: name (its unit at the end), value, and the rule or source that it stands for."""

    name: str
    value: int | float | str
    source: str


@cache
def parameters() -> dict[str, Parameter]:
    """All parameters by name, in the order of the protocol.

    Raises:
        ValueError: a parameter without a comment; the source is part of the declaration.
    """
    text = (paths.DBT_PROJECT / "dbt_project.yml").read_text(encoding="utf-8")
    declared, found = yaml.safe_load(text)["vars"], {}
    heading = ""
    for line in text[text.index("\nvars:") :].splitlines():
        if comment := re.fullmatch(r"\s+# (.+)", line):
            heading = comment[1]
        elif (match := re.match(r"  (\w+):[^#]*(?:# (.+))?$", line)) and match[1] in declared:
            found[match[1]] = Parameter(match[1], declared[match[1]], match[2] or heading)
    if without := [name for name in declared if name not in found or not found[name].source]:
        raise ValueError(f"dbt_project.yml: vars: {', '.join(without)}: found no comment; expected the rule or source")
    return found


def parameter(name: str) -> int | float | str:
    """The value of one parameter; ``KeyError`` when the protocol has none of that name."""
    return parameters()[name].value
