"""Labels, titles, methods and caveats follow the protocol's parameters: none of its numbers is typed."""

import re
from dataclasses import fields, is_dataclass, replace

import pytest
from study_frames import CONTROL, DELAYED, EARLY, outcomes, patients

from capla_etl.audit.printed_numbers import CHECKS
from capla_etl.protocol import wording
from capla_etl.protocol.parameters import parameters
from capla_etl.study_tables import sensitivity_settings, study_tables
from capla_etl.tables import curves, labels, table2_to_4, table6
from capla_etl.tables.table8 import table8

PARAMETERS = parameters()
DECLARED = (labels.EXCLUSIONS, labels.SENSITIVITY_OUTCOMES, labels.RULE_SETS, labels.TABLES)
OTHER = (labels.STATISTICS, labels.GROUPS, labels.ADVERSE_EVENTS, labels.DEATH_CAUSES, labels.ANALYSES,
         labels.COVARIATE_LABELS, labels.SENSITIVITY_MEASURES, labels.EFFECT_CAVEAT, labels.SYNTHETIC)  # fmt: skip


def texts(of) -> list[str]:
    """Every text that is shown, however deep; names of groups, rows and parameters are none."""
    if isinstance(of, str):
        return [of]
    if is_dataclass(of):
        shown = [
            getattr(of, field.name) for field in fields(of) if field.name not in ("groups", "parameters", "indented")
        ]
        return [text for one in shown for text in texts(one)]
    return [text for one in (of.values() if hasattr(of, "values") else ()) for text in texts(one)]


def moved(name: str):
    """A parameter with a value that no text has by chance."""
    parameter = PARAMETERS[name]
    return replace(parameter, value=[7781, 7782] if isinstance(parameter.value, list) else 7780)


NAMED = sorted(
    {
        name
        for of in DECLARED
        for text in texts(of.declared)
        for name in re.findall(r"{(\w+)", text)
        if name in PARAMETERS
    }
)


def test_labels_name_parameters():
    assert {"follow_up_days", "adult_age_years", "refractory_after_tpe_days", "not_doubled_by_day"} <= set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_each_text_that_names_a_parameter_follows_it(name, monkeypatch):
    before = [text for of in DECLARED for text in texts(of)]
    monkeypatch.setattr(wording, "parameters", lambda: PARAMETERS | {name: moved(name)})
    after = [text for of in DECLARED for text in texts(of)]
    declared = [text for of in DECLARED for text in texts(of.declared)]
    for text, was, now in zip(declared, before, after, strict=True):
        assert (was != now) == ("7780" in now) == (f"{{{name}" in text), text


#: Numbers that are none of the protocol's: units, levels of a score, what is no effect, confidence, names of things.
_NO_PARAMETER = re.compile(
    r"Tables 2 to 4|100 %|day 0|10⁹/L|ADAMTS13|Score \d|[Aa]bove 1|Below 1|within 1 day|95 %|0\.05|Tables? \d|"
    r"PROTOCOL section 5|-1 to 1|tpe2017|0 to 100|0 to 1|100 n / N"
)


def test_no_number_of_the_protocol_is_typed(monkeypatch):
    monkeypatch.setattr(wording, "parameters", lambda: {name: moved(name) for name in PARAMETERS})
    shown = [text for of in (*DECLARED, *OTHER) for text in texts(of)]
    shown += [table.description for table in study_tables()] + [check.meaning for check in CHECKS]
    typed = [text for text in shown if re.search(r"\d", re.sub(r"778\d", "", _NO_PARAMETER.sub("", text)))]
    assert typed == []


def test_methods_and_caveats_follow_the_parameters():
    lines = [arm | {"last_seen_day": 50} if i % 5 == 0 else arm for i, arm in enumerate([EARLY, DELAYED, CONTROL] * 12)]
    lines = [line | ({"died": "yes", "death_day": 5 + i} if i % 7 == 6 else {}) for i, line in enumerate(lines)]
    patient, outcome = patients(*lines), outcomes(*[{}] * len(lines))
    settings = replace(
        sensitivity_settings(),
        follow_up_days=61,
        grace_days=4,
        landmark_days=(6,),
        truncate_percentile=97,
        imputations=2,
        bootstrap_replicates=30,
    )
    followed = {"follow_up_days": 61}
    by_rule_set = outcome.assign(rule_set=settings.default_rule_set)
    tables = [
        table6.table6(patient, **followed),
        table2_to_4.table2(patient, outcome, **followed),
        curves.survival_table(patient, **followed),
        curves.response_incidence(patient, outcome, **followed),
        table8.table8(patient, by_rule_set, settings=settings),
    ]
    said = {text for table in tables for column in ("row", "method", "caveat") for text in table[column].dropna()}
    for old, new in (
        ("day 90", "day 61"),
        ("_day_90", "_day_61"),
        ("grace period 3", "grace period 4"),
        ("by day 3", "by day 4"),
        ("landmark_day_3", "landmark_day_6"),
        ("percentile 99", "percentile 97"),
        ("2000 bootstrap", "30 bootstrap"),
        ("10 imputations", "2 imputations"),
    ):
        # The outcome's id is a contract.
        assert [text for text in said if old in text and text != "died_by_day_90"] == [], old
        assert any(new in text for text in said), new
