"""Central monitoring in the report: what a cell says, which quantities are drawn, how they are told apart."""

import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from monitoring_frames import CENTRES, DAY, monitored, signal, signal_frame

from capla_etl.report import monitoring
from capla_etl.report.figures import monitoring_figures, study_figures
from capla_etl.report.monitoring import grid, levels, listed_signals, most_tension

STOPPED = {("DE01", "creatinine"): (-6, "stop"), ("HU01", "female"): (1.3, "look")}
SIGNALS = signal_frame(
    signal(),
    signal(centre_id="HU01", severity="look", family="completeness", check_name="share", quantity="female"),
    signal(
        centre_id="UK01",
        family="shape",
        check_name="ordered",
        status="confirmed",
        confirmed_by="Dr Example",
        confirmed_on="2023-07-01",
        reason="the laboratory sorts",
    ),
)


@pytest.fixture(scope="module")
def looked() -> pd.DataFrame:
    return monitored(shifted=STOPPED)


def _cell(found, centre, check):
    (place,) = [i for i, (_, name) in enumerate(found.checks) if name == check]
    return found.cells[found.centres.index(centre)][place]


@pytest.mark.parametrize(
    ("centre", "check", "state"),
    [
        ("DE01", "level", "stop"),
        ("HU01", "share", "look"),
        ("UK01", "ordered", "confirmed"),
        ("AT01", "level", "nothing"),
        ("AT01", "changed", "not_judged"),
    ],
)
def test_a_cell_is_the_worst_of_its_quantities_and_silence_is_told_from_nothing_found(looked, centre, check, state):
    assert _cell(grid(SIGNALS, looked), centre, check).state == state


def test_a_cell_says_what_was_found_or_why_it_was_not_judged(looked):
    found = grid(SIGNALS, looked)
    assert "as if in mg/dL" in _cell(found, "DE01", "level").words
    assert "5 quantities judged, nothing found" in _cell(found, "AT01", "level").words
    assert "no earlier submission" in _cell(found, "AT01", "changed").words


def test_a_check_that_no_quantity_of_a_centre_has_is_empty(looked):
    without = looked[~((looked["centre_id"] == "AT01") & (looked["check_name"] == "rounded"))]
    assert _cell(grid(SIGNALS, without), "AT01", "rounded").state == ""


def test_an_open_stop_outweighs_a_confirmed_one_of_the_same_check(looked):
    both = signal_frame(signal(status="confirmed"), signal(quantity="hemoglobin"))
    assert _cell(grid(both, looked), "DE01", "level").state == "stop"
    assert _cell(grid(both.head(1), looked), "DE01", "level").state == "confirmed"


def test_only_the_newest_submission_of_a_centre_counts(looked):
    later = looked[looked["centre_id"] == "DE01"].assign(submission=DAY.replace(year=2024), severity="")
    both = pd.concat([looked, later])
    assert _cell(grid(SIGNALS, both), "DE01", "level").state == "nothing"
    assert [one["centre"] for one in listed_signals(SIGNALS, both)] == ["HU01", "UK01"]


def test_signals_are_listed_by_severity_with_who_confirmed_them(looked):
    first, second, third = listed_signals(SIGNALS, looked)
    assert (first["centre"], first["state"], first["confirmed"]) == ("DE01", "stop", "no")
    assert second["state"] == "look"
    assert third["confirmed"] == "by Dr Example, 2023-07-01: the laboratory sorts"


def test_a_signal_is_read_back_as_it_was_written():
    one = signal(rows=[4, 7], patient_numbers=["K-1", "K-2"])
    assert monitoring.signals_of(signal_frame(one)) == [one]


def test_the_quantities_drawn_are_those_with_signals_then_those_nearest_to_a_limit(looked):
    drawn = [group[0].quantity for group in most_tension(looked)]
    assert drawn[:2] == ["creatinine", "female"]
    rest = [max(level.tension for level in group) for group in most_tension(looked)[2:]]
    assert rest == sorted(rest, reverse=True)


def test_tension_is_one_at_the_limit_on_its_own_side():
    level = levels(monitored({"AT01": 40, "BR01": 40}))[0]
    assert replace(level, estimate=level.above).tension == pytest.approx(1)
    assert replace(level, estimate=level.below).tension == pytest.approx(1)
    assert replace(level, estimate=level.expected).tension == 0
    at_zero = replace(level, expected=0.0, below=0.0, above=0.1)
    assert replace(at_zero, estimate=0.0).tension == 0
    assert replace(at_zero, estimate=-0.1).tension == math.inf, "beyond a limit that is what is expected"


@pytest.mark.parametrize(
    ("scale", "value", "expected", "text", "beside"),
    [
        ("log", math.log(1.5), 0.0, "×\u00a01.50", 1.5),
        ("log", math.log(0.0113), 0.0, "×\u00a00.011", 0.0113),
        ("linear", -2.04, 0.0, "\u22122.0", -2.04),
        ("linear", 2.04, 0.0, "+2.0", 2.04),
        ("share", 0.5, 0.4, "50\u00a0%", 10.0),
    ],
)
def test_a_level_is_a_ratio_a_difference_or_a_share(scale, value, expected, text, beside):
    half = 3.0 if scale == "linear" else 0.5
    level = monitoring.Level(
        *("AT01", "level", "level", "creatinine", scale, 40, value, expected, expected - half, expected + half, "")
    )
    assert level.text(value) == text
    assert level.against_others(value) == pytest.approx(beside)


def test_the_marks_of_the_states_differ_without_colour():
    marks = monitoring_figures.MARKS
    assert set(marks) == set(monitoring.STATES)
    assert len({mark.letter for mark in marks.values()}) == len(marks)
    shapes = [style["marker"] for style in monitoring_figures._POINTS.values()]
    assert len(set(shapes)) == len(shapes)


def test_the_pointer_finds_cells_and_centres_where_they_are_drawn(looked):
    found, groups = grid(SIGNALS, looked), most_tension(looked)
    figure = monitoring_figures.grid_figure(found)
    said = monitoring_figures.grid_hover(found)
    assert len(said["rows"]) == len(found.centres)
    drawn, height = figure.axes[0], figure.bbox.height
    columns = [x for x, (_, place) in enumerate(monitoring_figures._columns(found)) if place is not None]
    for row in (0, len(found.centres) - 1):
        for point, x in zip(said["rows"][row], columns, strict=True):
            there = drawn.transData.transform((x + 0.5, row + 0.5))
            assert point[:2] == pytest.approx([there[0] / figure.bbox.width, 1 - there[1] / height])
    figure = monitoring_figures.funnels_figure(groups)
    for panel, points, group in zip(figure.axes, monitoring_figures.funnels_hover(groups)["rows"], groups, strict=True):
        for point, level in zip(points, sorted(group, key=lambda one: one.patients), strict=True):
            there = panel.transData.transform((level.patients, level.against_others(level.estimate)))
            assert point[:2] == pytest.approx(
                [there[0] / figure.bbox.width, 1 - there[1] / figure.bbox.height], abs=1e-6
            )
            assert point[2].startswith(f"{level.centre_id}, ")


def test_every_centre_is_named_in_a_funnel_plot(looked):
    figure = monitoring_figures.funnels_figure(most_tension(looked))
    for panel in figure.axes:
        assert {text.get_text() for text in panel.texts} >= set(CENTRES)


def test_the_figures_are_the_same_bytes_twice_and_say_that_the_data_are_synthetic(looked):
    def texts():
        return [study_figures.svg_text(f) for f in monitoring_figures.monitoring_figures(SIGNALS, looked)[0].values()]

    assert texts() == texts()
    assert all("Synthetic data" in text for text in texts())


def test_without_monitoring_there_is_no_figure():
    none = monitored().head(0)
    assert monitoring_figures.monitoring_figures(signal_frame(), none) == ({}, {})


def test_the_marks_follow_light_and_dark(looked):
    from capla_etl.report.page.page import _inline

    svg = study_figures.svg_text(monitoring_figures.grid_figure(grid(SIGNALS, looked)))
    inline = _inline("monitoring_grid", svg, "title", "description")
    own = set(re.findall(r"#[0-9a-f]{6}\b", inline))
    assert own <= {"#000000"}, "every colour is one of the page's"
