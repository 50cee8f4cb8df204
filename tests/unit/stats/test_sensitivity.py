"""E-values as R EValue and as published; patients lost, with and without the event."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from capla_etl.stats import sensitivity

QUANTITIES = json.loads((Path(__file__).parent / "oracles" / "O18_evalue.json").read_text())["quantities"]
ORACLE = {quantity["name"]: quantity["value"] for quantity in QUANTITIES}


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("RR 3.9 (1.8,8.7)", (3.9, 1.8, 8.7)),
        ("RR 0.2070 (0.1100,0.3897) [13/942 v 33/495]", (0.207006369426752, 0.109973752150448, 0.389653314043719)),
        ("HR 0.56 (0.46,0.69) rare", (0.56, 0.46, 0.69)),
    ],
)
def test_e_values_are_those_of_r(name, ratio):
    """evalues.RR, evalues.HR of EValue 4.1.4; the first published: 7.26 and 3.00 (VanderWeele and Ding 2017)."""
    limit = ORACLE[f"{name}|lower"] or ORACLE[f"{name}|upper"]
    assert sensitivity.e_value(*ratio) == pytest.approx((ORACLE[f"{name}|point"], limit), rel=1e-6)


def test_an_interval_that_includes_1_needs_no_confounder():
    assert sensitivity.e_value(1.5, 0.9, 2.5).limit == 1
    assert sensitivity.e_value(0.8, 0.6, 1.0).limit == 1
    assert sensitivity.e_value(1, 0.6, 1.4) == (1, 1)
    assert sensitivity.e_value(2, 1.5, 3).point == pytest.approx(2 + math.sqrt(2), rel=1e-12)
    assert sensitivity.e_value(0.5, 1 / 3, 2 / 3).point == pytest.approx(2 + math.sqrt(2), rel=1e-12)


def test_e_values_at_the_edge():
    assert sensitivity.e_value(0, 0, 0.5) == (math.inf, pytest.approx(2 + math.sqrt(2), rel=1e-12))
    assert sensitivity.e_value(math.inf, 2, math.inf) == (math.inf, pytest.approx(sensitivity.e_value(2, 2, 2).point))
    assert all(map(math.isnan, sensitivity.e_value(math.nan, math.nan, math.nan)))
    point, limit = sensitivity.e_value(2, math.nan, math.nan)
    assert point > 3
    assert math.isnan(limit)
    for wrong in [(-1, 0.5, 2), (2, 2.5, 3), (2, 1, 1.5)]:
        with pytest.raises(ValueError, match="ratio|limits"):
            sensitivity.e_value(*wrong)


def test_the_lost_count_with_the_event_in_one_group_only():
    assert sensitivity.worst_case(13, 920, 22, 33, 480, 15) == (35, 942, 33, 495)
    assert sensitivity.best_case(13, 920, 22, 33, 480, 15) == (13, 942, 48, 495)


def test_the_tipping_point_is_the_first_row_that_is_not_significant():
    # sapply(0:60, function(k) fisher.test(matrix(c(13 + k, 929 - k, 33, 462), 2))$p.value): 0.0418 at 26, 0.0573 at 27
    assert sensitivity.smallest_tipping_point(13, 900, 42, 33, 480, 15) == 27
    assert sensitivity.smallest_tipping_point(13, 916, 26, 33, 480, 15) is None
    assert sensitivity.smallest_tipping_point(5, 50, 3, 6, 50, 0) == 0
    assert sensitivity.smallest_tipping_point(13, 942, 0, 33, 495, 0) is None
    assert sensitivity.smallest_tipping_point(0, 0, 0, 3, 5, 0) is None


def test_impossible_numbers_lost_are_refused():
    for function in (sensitivity.smallest_tipping_point, sensitivity.worst_case, sensitivity.best_case):
        with pytest.raises(ValueError, match="lost cannot be negative"):
            function(1, 5, -1, 2, 5, 0)
        with pytest.raises(ValueError, match="found 6 of 5"):
            function(6, 5, 2, 2, 5, 0)
