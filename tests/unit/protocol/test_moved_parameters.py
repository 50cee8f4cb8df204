"""A number of the protocol that is shown as prose follows its parameter: moved, its old value stands in no text."""

import json
import re
from dataclasses import replace
from itertools import product

import pytest

from capla_etl.dbt_runner import invoke
from capla_etl.explain import patient, words
from capla_etl.protocol import definitions, parameters
from capla_etl.quality import suites

DECLARED = {name: p for name, p in parameters.parameters().items() if isinstance(p.value, int | float | list)}
#: Numbers that stand for something else: names, units, day 0, tables, published figures, limits of one expectation.
OTHER = re.compile(
    "|".join(
        (
            r"\b\w*[A-Za-z_]\w*\d\w*|10\^9|PROTOCOL [\d., ]+|Tables? \d+|International Working Group 2021",
            r"(?<!\w)day 0\b|\bday 1\b|points 0 to 4|0 to 9999|1 for other|1 is the response|; 1 for the patient",
            r"99 % and 93 % published|of 10 to 30, rarely above 100|about 10 to normal|are 2 to 6 litres",
            r"more than 4 months",
            r"until 30 days after the last exchange|days 1 to 3 is donor plasma|More than 40 exchange days",
            r"\+ 1$|\b[01]\.0\b",
        )
    )
)

JUDGED = (
    *("response", "refractory", "severe_refractory", "failure", "exacerbation", "remission", "relapse"),
    "died_by_day_90",
)
DAYS = (
    *("response_day", "remission_day", "relapse_day", "tpe_days_to_response", "tpe_sessions_to_response"),
    "days_from_caplacizumab_to_response",
)


def moved(value):
    """A value that no text has by chance; a list moves item by item."""
    return [moved(one) for one in value] if isinstance(value, list) else 77_000 + value


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Every text in which a number of the protocol may stand, all parameters moved: where it stands -> the text."""
    everything = {name: replace(p, value=moved(p.value)) for name, p in DECLARED.items()}
    with pytest.MonkeyPatch.context() as patched:
        target = tmp_path_factory.mktemp("moved")
        answer = invoke(["parse", "--vars", json.dumps({n: p.value for n, p in everything.items()})], target)
        assert answer.success, answer.exception
        manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
        declared = parameters._declared() | everything
        patched.setattr(parameters, "_declared", lambda: declared)
        patched.setattr(definitions, "_manifest", lambda: manifest)
        return dict([*of_dbt(manifest), *of_definitions(), *of_expectations(), *of_explain()])


def of_dbt(manifest):
    for node in [*manifest["nodes"].values(), *manifest["sources"].values()]:
        yield node["unique_id"], node["description"]
        for name, column in node["columns"].items():
            yield f"{node['unique_id']}.{name}", column["description"]


def of_definitions():
    for one in definitions.definitions():
        yield one.model, " / ".join([one.title, one.definition, one.grain, one.unknown, *one.caveats])
        for used in one.parameters:
            yield f"{one.model}: {used.name}", used.source
    for rule_set in definitions.rule_sets():
        yield rule_set["rule_set"], rule_set["description"]


def of_expectations():
    for table, suite in suites.suites().items():
        for number, rule in enumerate(suite.rules):
            yield f"{table}[{number}]", f"{rule.why} {rule.act}"
        for column, sql in suite.derived_columns.items():
            if "day between" not in sql:
                yield f"{table}.{column}", sql


def of_explain():
    count = {"role": "first count after it", "kind": "platelets", "day": 500, "value": 500_000.0, "comparator": None}
    ldh = {"role": "LDH in the window", "kind": "ldh", "day": 500, "value": 6.0, "comparator": None}
    fall = {"role": "count below 500", "kind": "platelets", "day": 500, "value": 6.0, "comparator": None}
    last = {"role": "last TPE day", "kind": "tpe", "day": 500, "value": 6.0, "comparator": None}
    first = {"role": "500th TPE day", "kind": "tpe", "day": 500, "value": 6.0, "comparator": None}
    low = count | {"value": 6.0}
    for outcome, verdict in product(words.OUTCOMES, ("yes", "no", "not_evaluable")):
        status = dict.fromkeys(JUDGED, verdict) | dict.fromkeys(DAYS, 500)
        status |= {"response_ldh_assessable": "yes", "relapse_status": "unconfirmed", "death_date_precision": "day"}
        for number, facts in enumerate([[first], [last], [count], [low], [low, ldh]]):
            status["adamts13_recovery_day"] = 500 if number else None
            told = [fall] if outcome == "unclassified_fall" else facts
            yield f"{outcome} {verdict} {number}", words.decision_words(outcome, status, told)
    someone = {"caplacizumab_start_day": 500, "delay_reason": None}
    for group, timing in (("control", None), ("caplacizumab", "early"), ("caplacizumab", "delayed")):
        yield f"{group} {timing}", patient._group_words(someone | {"treatment_group": group, "timing": timing})


def numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])", OTHER.sub(" ", text))}


@pytest.mark.parametrize("name", DECLARED)
def test_the_old_value_stands_in_no_text(shown, name):
    old = DECLARED[name].value
    values = {float(one) for one in (old if isinstance(old, list) else [old])}
    assert {where: text for where, text in shown.items() if values & numbers(text)} == {}


def test_texts_show_the_values_in_force(shown):
    assert "within 77090 days" in shown["model.capla.death.died_by_day_90"]
    assert "before day 77090" in " ".join(shown.values())
    assert len(shown) > 500
