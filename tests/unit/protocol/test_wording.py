"""Prose names a parameter; the value in force is filled in."""

import pytest

from capla_etl.protocol import wording
from capla_etl.protocol.parameters import Parameter


@pytest.fixture(autouse=True)
def in_force(monkeypatch):
    values = {
        "early_start_by_day": 3,
        "refractory_after_tpe_days": 5,
        "follow_up_days": 90,
        "gap_days": 45,
        "month_days": 30,
        "ldh_x_uln": 1.5,
        "as_a_float": 5.0,
        "one_day": 1,
        "landmark_days": [3, 4, 5],
    }
    declared = {name: Parameter(name, value, "") for name, value in values.items()}
    monkeypatch.setattr(wording, "parameters", lambda: declared)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("by day {early_start_by_day}", "by day 3"),
        ("from day {early_start_by_day+1}", "from day 4"),
        ("the {refractory_after_tpe_days:ordinal} exchange", "the 5th exchange"),
        ("within {follow_up_days:months}", "within 3 months"),
        ("{follow_up_days:month} survival", "3-month survival"),
        ("within {gap_days:months}", "within 45 days"),
        ("{gap_days:month} survival", "45-day survival"),
        ("within {month_days:months}", "within 1 month"),
        ("LDH below {ldh_x_uln} x ULN", "LDH below 1.5 x ULN"),
        ("landmark days {landmark_days}", "landmark days 3, 4, 5"),
        ("no parameter in it", "no parameter in it"),
        ("by day {as_a_float}, the {as_a_float:ordinal}", "by day 5, the 5th"),
        ("within {early_start_by_day:days}, {one_day:days}", "within 3 days, 1 day"),
    ],
)
def test_a_text_is_shown_with_the_values_in_force(text, shown):
    assert wording.worded(text) == shown


@pytest.mark.parametrize(
    ("number", "suffix"), [(1, "st"), (2, "nd"), (3, "rd"), (4, "th"), (11, "th"), (12, "th"), (21, "st"), (113, "th")]
)
def test_ordinals(number, suffix):
    assert wording.ordinal_suffix(number) == suffix


@pytest.mark.parametrize("text", ["{no_such_parameter}", "{}", "{a b}", "{follow_up_days:year}", "an open {"])
def test_braces_that_name_no_parameter_are_an_error(text):
    with pytest.raises(ValueError, match="expected|Single"):
        wording.worded(text)
