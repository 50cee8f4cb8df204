"""The study's parameters, read from where each is declared once: ``vars`` of ``dbt_project/dbt_project.yml``.

The comment of a variable is its source. No default is given here: an unknown name is an error. ``CAPLA_RULE_SET`` names
another rule set than the declared default, for a variant of the study.
"""

import os
import re
from dataclasses import dataclass, replace
from functools import cache

import yaml

from capla_etl import paths


@dataclass(frozen=True)
class Parameter:
    """One parameter: name (its unit at the end), value, and the rule or source that it stands for."""

    name: str
    value: int | float | str
    source: str


#: The parameter that a variant of the study may replace.
RULE_SET = "default_rule_set"


def parameters() -> dict[str, Parameter]:
    """All parameters by name, in the order of the protocol, as they are in force.

    Raises:
        ValueError: a parameter without a comment; the source is part of the declaration.
    """
    declared = _declared()
    if other := os.environ.get("CAPLA_RULE_SET"):
        chosen = replace(declared[RULE_SET], value=other, source="chosen for this variant of the study")
        return declared | {RULE_SET: chosen}
    return declared


@cache
def _declared() -> dict[str, Parameter]:
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
