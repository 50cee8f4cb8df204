"""The statistical methods as a paper states them, from the parameters used and the methods found in ``study.result``.

A method is named only if a printed number was computed by it; a threshold is the parameter's value. The prose is in
``methods.yml``. Estimation does not belong here, nor labels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml

from capla_etl.protocol.wording import ordinal_suffix, whole
from capla_etl.stats.conventions import Conventions
from capla_etl.tables.labels import (
    ANALYSES,
    COVARIATE_LABELS,
    EFFECT_CAVEAT,
    SENSITIVITY_OUTCOMES,
    Analysis,
    about_the_data,
)

# Methods that another sentence, or the paragraph on sensitivity, already states.
_STATED = r"^p of the (hazard|risk|odds|subdistribution hazard) ratio|^fewest events among the lost"
# Statistics that are counted or copied, not estimated.
_PLAIN = ("count", "at_risk", "published", "computed", "difference")
_EVENTS = {"response": "clinical response", "recovery": "ADAMTS13 recovery"}
# Not from the locale of the machine.
_MONTHS = "January February March April May June July August September October November December"


@cache
def _prose() -> dict:
    return yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))


class _Value:
    """A parameter as texts write it: "3", or by what follows its name "3 days", "3rd", "4" (next), "1 January 2015"."""

    def __init__(self, value) -> None:
        self.value = whole(value)

    def __format__(self, form: str) -> str:
        value = self.value
        if form == "days":
            return f"{value} day{'' if value == 1 else 's'}"
        if form == "ordinal":
            return f"{value}{ordinal_suffix(value)}"
        if form == "date":
            day = date.fromisoformat(str(value))
            return f"{day.day} {_MONTHS.split()[day.month - 1]} {day.year}"
        return str(value + 1 if form == "next" else value)


def methods_paragraphs(
    parameters: Mapping[str, object],
    conventions: Conventions,
    results: pd.DataFrame,
    analyses: Mapping[str, Analysis] = ANALYSES,
) -> list[str]:
    """The methods section, one string per paragraph.

    Args:
        parameters: the protocol's parameters by name, as ``protocol.parameters()`` gives them or as plain values.
        conventions: those by which ``results`` was computed.
        results: ``study.result``. Methods that no number has are not named, analyses without a row in Table 8 are not
            described.
        analyses: id of an analysis of Table 8, or the part of the id before a country or day -> label and description.

    Raises:
        KeyError: a parameter is missing, or an analysis of Table 8 or a rule set is not described.
        ValueError: ``results`` were computed by other conventions.
    """
    values = {name: _Value(getattr(parameter, "value", parameter)) for name, parameter in parameters.items()}
    estimated = results[~results["statistic"].isin(_PLAIN) & ~results["table_id"].isin(["flow", "as_published"])]
    methods = list(dict.fromkeys(estimated["method"]))
    _refuse_other_conventions(methods, conventions)
    prose = _prose()
    outcomes = prose["outcomes"] | prose["instead"][values["default_rule_set"].value]
    return [
        prose["design"].format(effect_caveat=EFFECT_CAVEAT, **values),
        prose["eligibility"].format(**values),
        f"Outcomes. {' '.join(outcomes.values())}".format(**values),
        prose["missing"].format(**values),
        *_analysis(values | _words(conventions, methods), methods, bool(estimated["p_value"].notna().any())),
        *_sensitivity(values, results, analyses),
        _software(),
    ]


def _refuse_other_conventions(methods: list[str], conventions: Conventions) -> None:
    """The tables name the conventions by which they were computed; the text must not name others."""
    for pattern, named in (
        (r"median and quartiles \(([^)]*)\)", conventions.quantiles),
        (r"^Kaplan-Meier; 95 % CI (\S+)$", conventions.survival),
    ):
        other = {match[1] for method in methods if (match := re.search(pattern, method))} - {named}
        if other:
            raise ValueError(
                f"the results were computed by {', '.join(sorted(other))}; the conventions {conventions.name!r} are "
                f"{named}. Compute the study by one of them."
            )


def _words(conventions: Conventions, methods: list[str]) -> dict[str, str]:
    """What the sentences on analysis are filled with, besides parameters."""
    competing = (re.search(r"death without (\w+) competing", method) for method in methods)
    events = dict.fromkeys(match[1] for match in competing if match)
    labels = COVARIATE_LABELS.values()
    return {
        "quantiles": conventions.quantiles,
        "survival": conventions.survival,
        "ties": conventions.ties.capitalize(),
        "rank_correction": "with" if conventions.rank_correction else "without",
        "events": " and of ".join(_EVENTS.get(event, event) for event in events),
        "covariates": ", ".join(text if text[1].isupper() else text[0].lower() + text[1:] for text in labels),
    }


def _analysis(words: dict, methods: list[str], tests: bool) -> list[str]:
    """The sentences of the methods found, by paragraph; a method without a sentence is named as the tables name it."""
    prose = _prose()["analysis"]
    paragraphs: dict[str, list[str]] = {heading: [] for heading in prose}
    stated = {method for method in methods if re.search(_STATED, method)}
    for heading, sentences in prose.items():
        for one in sentences:
            found = {method: match for method in methods if (match := re.search(one["method"], method))}
            if found:
                stated |= set(found)
                named = next(iter(found.values())).groupdict("")
                paragraphs[heading].append(one["sentence"].format(**words, **named))
    if tests:
        paragraphs["Comparisons"].append(
            "All tests are two-sided; p values are not corrected for multiple comparisons."
        )
    unstated = [method for method in methods if method not in stated]
    return [
        *(f"{heading}. {' '.join(sentences)}" for heading, sentences in paragraphs.items() if sentences),
        *([f"Further methods, as named beneath the tables: {'; '.join(unstated)}."] if unstated else []),
    ]


def _sensitivity(values: dict[str, _Value], results: pd.DataFrame, analyses: Mapping[str, Analysis]) -> list[str]:
    """One sentence for each analysis that Table 8 has, in its order, and one for the rule sets."""
    rows = [row.split(":", 2) for row in dict.fromkeys(results.loc[results["table_id"] == "table8", "row"])]
    if not rows:
        return []
    outcomes, rule_sets, found = (list(dict.fromkeys(part)) for part in zip(*rows, strict=True))
    members: dict[str, list[str]] = {}
    for analysis in found:
        known = (key for key in analyses if analysis == key or analysis.startswith(f"{key}_"))
        key = analysis if analysis in analyses else next(known, None)
        if key is None:
            raise KeyError(f"analysis {analysis!r} of Table 8 is not described")
        members.setdefault(key, []).append(analysis.removeprefix(key).strip("_"))
    sentences = []
    for key, own in members.items():
        days = f" ({_listed(own)})" if all(member.isdigit() for member in own) else ""
        sentences.append(f"{analyses[key].label.replace(': ', ', ')}{days}: {analyses[key].description}.")
    variants = [
        _prose()["variants"].get(rule_set, f"rule set {rule_set}").format(**values)
        for rule_set in rule_sets
        if rule_set not in ("any", values["default_rule_set"].value)
    ]
    if variants:
        sentences.append(f"Outcomes were also derived by other rules: {'; '.join(variants)}.")
    compared = "; ".join(SENSITIVITY_OUTCOMES[outcome].split(" (")[0] for outcome in outcomes)
    return [f"Sensitivity analyses. The comparison was repeated (Table 8) for: {compared}. {' '.join(sentences)}"]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _software() -> str:
    packages, data = (
        _listed([f"{name} {version(name)}" for name in names])
        for names in (["lifelines", "statsmodels", "scipy", "numpy", "pandas"], ["duckdb", "dbt-duckdb"])
    )
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"Software. Analyses were done in {python} with {packages} and, where these have no correct implementation, "
        f"with functions of capla_etl {version('capla-etl')} that are tested against R; data were prepared with "
        f"{data}. {about_the_data()}"
    )
