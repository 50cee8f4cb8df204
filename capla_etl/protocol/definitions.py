"""The clinical definitions as written: each outcome model's banner, parameters and worked examples, read from dbt.

Nothing is defined here. The report shows them, and docs/OUTCOMES.md prints them for clinicians to sign.
"""

import json
import re
from dataclasses import dataclass

import jinja2

from capla_etl.dbt_runner import manifest
from capla_etl.protocol.parameters import Parameter, parameters
from capla_etl.protocol.wording import ordinal_suffix, worded

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
    "death": "Death within {follow_up_days} days",
    "failure": "Failure to achieve clinical response",
    "adamts13_recovery": "ADAMTS13 recovery",
    "rule_set": "Rule sets side by side",
}
_BANNER_KEY = re.compile(r"(Grain|Inputs|Source|Unknown|Caveat)\s+(.+)")
_CRITERION = re.compile(r'^\s*-- "((?:[^"\n]|\n\s*-- )+)"$', re.MULTILINE)
_VAR = re.compile(r"var\(['\"](\w+)['\"]\)")
_MACRO = re.compile(r"\{\{\s*(\w+)\(")


@dataclass(frozen=True)
class Definition:
    """One outcome as its model defines it.

    Attributes:
        model: name of the dbt model; the table is ``outcomes.<model>``.
        title: what clinicians call it.
        definition: the sentence that opens the banner, with the values in force.
        grain, source, unknown, caveats: of the banner.
        criteria: sentences of the protocol that the model quotes next to its code.
        parameters: those that it uses, as they are in force.
        examples: descriptions of its unit tests, in the order of their names: the rule in examples.
        sql, macros: the model as written and the macros that it uses, hashed into the version that is signed.
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
    examples: list[str]
    sql: str
    macros: str


def definitions() -> list[Definition]:
    """Every outcome of ``OUTCOMES``, in its order."""
    content = _manifest()
    models = _outcome_models(content)
    macros = {m["name"]: m["macro_sql"] for m in content["macros"].values() if m["package_name"] == "capla"}
    tests: dict[str, list[str]] = {}
    for test in sorted(content["unit_tests"].values(), key=lambda test: test["name"]):
        tests.setdefault(test["model"], []).append(" ".join(test["description"].split()))
    return [_definition(name, models[name]["raw_code"], macros, tests.get(name, [])) for name in OUTCOMES]


def model_descriptions() -> dict[str, str]:
    """Every model of schema outcomes and what its table holds."""
    return {name: " ".join(node["description"].split()) for name, node in _outcome_models(_manifest()).items()}


def rule_sets() -> list[dict]:
    """Rows of ``outcomes.rule_set``, which depends on nothing but parameters: computed here from the model itself."""
    import duckdb

    with duckdb.connect() as connection:
        return (
            connection.execute(_rendered(_outcome_models(_manifest())["rule_set"]["raw_code"])).df().to_dict("records")
        )


def _rendered(text: str) -> str:
    """Text of a model that uses parameters and no other table, with the values in force."""
    known = parameters()
    return jinja2.Template(text, undefined=jinja2.StrictUndefined).render(
        var=lambda name: known[name].value, ordinal=lambda number: f"{number}{ordinal_suffix(number)}"
    )


def _manifest() -> dict:
    return json.loads(manifest().read_text(encoding="utf-8"))


def _outcome_models(content: dict) -> dict[str, dict]:
    return {
        node["name"]: node
        for node in content["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "outcomes"
    }


def _definition(name: str, sql: str, macros: dict[str, str], examples: list[str]) -> Definition:
    banner, _, body = sql.partition("\n\n")
    head, found, entries = [], {key: [] for key in ("Grain", "Inputs", "Source", "Unknown", "Caveat")}, None
    for line in _rendered(banner).splitlines():
        text = line.removeprefix("--").strip()
        if match := _BANNER_KEY.fullmatch(text):
            entries = found[match[1]]
            entries.append(match[2])
        elif entries is None:
            head.append(text)
        else:
            entries[-1] += f" {text}"
    used = "".join(macros.get(macro, "") for macro in dict.fromkeys(_MACRO.findall(sql)))
    known = parameters()
    return Definition(
        name,
        worded(OUTCOMES[name]),
        " ".join(head).strip(),
        "; ".join(found["Grain"]),
        "; ".join(found["Source"]),
        "; ".join(found["Unknown"]),
        found["Caveat"],
        [re.sub(r"\n\s*-- ", " ", quoted) for quoted in _CRITERION.findall(body)],
        [known[v] for v in dict.fromkeys(_VAR.findall(body + used)) if v in known],
        examples,
        sql,
        used,
    )
