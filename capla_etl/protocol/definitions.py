"""The clinical definitions as written: each outcome model's banner, description, parameters and worked examples, read from the dbt project.

Nothing is defined here. The report shows them, and docs/OUTCOMES.md prints them for clinicians to sign.
"""

import json
import re
from dataclasses import dataclass

from capla_etl.dbt_runner import manifest
from capla_etl.protocol.parameters import Parameter, parameters

#: The models that define an outcome, in the order of the protocol, and the name that a clinician knows each by.
OUTCOMES = {
    "clinical_response": "Clinical response",
    "time_to_response": "Time to clinical response",
    "tpe_to_response": "Plasma exchanges to response",
    "refractory": "Refractory and severe refractory disease",
    "confirmed_fall": "Confirmed fall of platelets",
    "clinical_remission": "Clinical remission",
    "exacerbation": "Exacerbation",
    "exacerbation_after_stop": "Exacerbation after stopping caplacizumab with ADAMTS13 still undetectable",
    "relapse": "Relapse",
    "unclassified_fall": "Unclassified fall",
    "death": "Death within 90 days",
    "failure": "Failure to achieve clinical response",
    "adamts13_recovery": "ADAMTS13 recovery",
    "rule_set": "Rule sets side by side",
}
_BANNER_KEY = re.compile(r"-- (Grain|Inputs|Source|Unknown|Caveat)\s+(.+)")
_VAR = re.compile(r"var\(['\"](\w+)['\"]\)")
_MACRO = re.compile(r"\{\{\s*(\w+)\(")


@dataclass(frozen=True)
class Definition:
    """One outcome as its model defines it.

    Attributes:
        model: name of the dbt model; the table is ``outcomes.<model>``.
        title: what clinicians call it.
        definition: the sentence that opens the banner.
        grain, source: of the banner.
        unknown, caveats: when the answer is not known, and what limits it; of the banner.
        criteria: sentences of the protocol that the model quotes beside its code.
        parameters: the parameters that it uses, as they are in force.
        examples: (name, description) of its unit tests: the rule in examples.
        sql, macros: the model as written, and the macros that it uses; their hash is part of what is signed.
    """

    model: str
    title: str
    definition: str
    grain: str
    source: str
    unknown: str
    caveats: list[str]
    criteria: list[str]
    parameters: list[Parameter]
    examples: list[tuple[str, str]]
    sql: str
    macros: str


def definitions() -> list[Definition]:
    """Every outcome of ``OUTCOMES``, in its order."""
    content = _manifest()
    models = _outcome_models(content)
    macros = {
        macro["name"]: macro["macro_sql"] for macro in content["macros"].values() if macro["package_name"] == "capla"
    }
    tests: dict[str, list[tuple[str, str]]] = {}
    for test in content["unit_tests"].values():
        tests.setdefault(test["model"], []).append((test["name"], " ".join(test["description"].split())))
    return [
        _definition(name, title, models[name]["raw_code"], macros, sorted(tests.get(name, [])))
        for name, title in OUTCOMES.items()
    ]


def model_descriptions() -> dict[str, str]:
    """Every model of schema outcomes and what its table holds."""
    return {name: " ".join(node["description"].split()) for name, node in _outcome_models(_manifest()).items()}


def rule_sets() -> list[dict]:
    """Rows of ``outcomes.rule_set``, which depends on nothing but parameters: computed here from the model itself."""
    import duckdb
    import jinja2

    known = parameters()
    sql = jinja2.Template(_outcome_models(_manifest())["rule_set"]["raw_code"]).render(
        var=lambda name: known[name].value
    )
    with duckdb.connect() as connection:
        return connection.execute(sql).df().to_dict("records")


def _manifest() -> dict:
    return json.loads(manifest().read_text(encoding="utf-8"))


def _outcome_models(content: dict) -> dict[str, dict]:
    return {
        node["name"]: node
        for node in content["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "outcomes"
    }


def _definition(name: str, title: str, sql: str, macros: dict[str, str], examples: list[tuple[str, str]]) -> Definition:
    head, found = [], {"Grain": [], "Inputs": [], "Source": [], "Unknown": [], "Caveat": []}
    key = None
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        if match := _BANNER_KEY.match(line):
            key = match[1]
            found[key].append(match[2].strip())
        elif line.strip() == "--":
            key = None if not found["Grain"] else key
        elif key is None:
            head.append(line.removeprefix("--").strip())
        else:
            found[key][-1] += " " + line.removeprefix("--").strip()
    body = sql[sql.index("\n\n") :] if "\n\n" in sql else sql
    used = "".join(macros.get(macro, "") for macro in dict.fromkeys(_MACRO.findall(sql)))
    known = parameters()
    return Definition(
        name,
        title,
        " ".join(head),
        "; ".join(found["Grain"]),
        "; ".join(found["Source"]),
        "; ".join(found["Unknown"]),
        found["Caveat"],
        re.findall(r'^\s*-- "(.+)"$', body, re.MULTILINE),
        [known[v] for v in dict.fromkeys(_VAR.findall(sql + used)) if v in known],
        examples,
        sql,
        used,
    )
