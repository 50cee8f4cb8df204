"""What is said of an outcome: the facts as they stand, then what they make it; boundaries read on their side."""

import pandas as pd
import pytest

from capla_etl.explain.lookup import closest
from capla_etl.explain.words import decision_words, number, place_words
from capla_etl.report.figures.course import Course, course_figure, save_course


def _fact(role, kind, day, value=None, comparator=None):
    return {"role": role, "kind": kind, "day": day, "value": value, "comparator": comparator}


FIFTH, COUNT, LDH = (
    _fact("5th TPE day", "tpe", 4, 1),
    _fact("first count after it", "platelets", 5, 31.0),
    _fact("LDH in the window", "ldh", 5, 2.4),
)


@pytest.mark.parametrize(
    ("status", "facts", "said"),
    [
        (
            {"refractory": "yes", "severe_refractory": "no"},
            [FIFTH, COUNT, LDH],
            "5th TPE day 4; first count after it day 5: 31 x 10^9/L; LDH 2.4 x ULN (day 5): refractory, not severe",
        ),
        (
            {"refractory": "no", "severe_refractory": "no"},
            [FIFTH, _fact("first count after it", "platelets", 6, 50.0)],
            "5th TPE day 4; first count after it day 6: 50 x 10^9/L: not refractory, 50 or more",
        ),
        (
            {"refractory": "not_evaluable", "severe_refractory": "not_evaluable"},
            [FIFTH, _fact("last seen", "last_seen", 60)],
            "5th TPE day 4; last seen day 60: refractory not evaluable: no count in the 2 days after it",
        ),
        (
            {"refractory": "not_evaluable", "severe_refractory": "not_evaluable"},
            [FIFTH, COUNT],
            "5th TPE day 4; first count after it day 5: 31 x 10^9/L: refractory not evaluable: "
            "below 50 without LDH in the 3 days before",
        ),
    ],
)
def test_refractory_is_told_by_its_facts(status, facts, said):
    assert decision_words("refractory", status, facts) == said


def test_a_result_below_quantification_keeps_its_comparator():
    status = {"exacerbation_after_stop_undetectable": "yes"}
    facts = [
        _fact("exacerbation", "derived", 29),
        _fact("end of the course before it", "caplacizumab", 18),
        _fact("latest activity by then", "adamts13", 28, 5.0, "<"),
    ]
    said = (
        "exacerbation day 29; caplacizumab ended day 18; latest activity by then: ADAMTS13 <5 % (day 28): "
        "exacerbation after stopping caplacizumab"
    )
    assert decision_words("exacerbation_after_stop_undetectable", status, facts) == f"{said} with ADAMTS13 undetectable"
    undecided = decision_words(
        "exacerbation_after_stop_undetectable",
        status,
        [*facts[:2], _fact("latest activity by then", "adamts13", 28, 20.0, "<")],
    )
    assert undecided.endswith("not known whether it came after stopping caplacizumab with ADAMTS13 undetectable")


def test_a_number_shows_its_side_of_a_threshold():
    assert [number(value) for value in (160.0, 1.5, 1.504, 0.952)] == ["160", "1.5", "1.504", "0.952"]


def test_a_column_that_is_read_twice_is_said_once():
    cells = [{"source_column": "tod", "raw_text": "2020-03-20", "declared": None}] * 2 + [
        {"source_column": "ldh", "raw_text": "469", "declared": "U/L"}
    ]
    assert place_words(cells, "pat.dta", "", 3) == "pat.dta, row 3: tod 2020-03-20 | ldh 469 (U/L)"


def test_the_closest_names_come_first():
    assert closest("fr-00100", ["FR-0999", "FR-0100", "DE-1"])[0] == "FR-0100"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_course_is_drawn_the_same_way_every_time_and_also_without_a_day_0(tmp_path, kind):
    series = ["day", "platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent", "adamts13_comparator", "tpe_sessions"]
    drugs = pd.DataFrame(
        [("caplacizumab", None, 10), ("corticosteroid", 0, None), ("rituximab", 3, None)],
        columns=["drug", "start_day", "end_day"],
    )
    events = pd.DataFrame(
        [("response", 1, "yes"), ("relapse", 400, "confirmed")], columns=["event_type", "day", "status"]
    )
    full = pd.DataFrame(
        [(0, 12, 4.0, 5, "<", 2), (1, 160, 1.2, None, None, 1), (400, 20, 3.0, 4, None, 1)], columns=series
    )
    for name, frame, drug, event in (("full", full, drugs, events), ("empty", full[:0], drugs[:0], events[:0])):
        course = Course(name, frame, drug, event, None if name == "empty" else 410, False, 150, 1.5, (10, 20))
        paths = [tmp_path / f"{name}_{i}.{kind}" for i in range(2)]
        for path in paths:
            save_course(course_figure(course), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        if kind == "svg":
            assert "Synthetic data" in paths[0].read_text(encoding="utf-8")
