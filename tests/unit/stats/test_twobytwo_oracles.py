"""Two risks compared: values from R (oracles), publications and closed forms; and tables at the edge."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from capla_etl.stats import contingency, proportions, strata

QUANTITIES = json.loads((Path(__file__).parent / "oracles" / "O08_twobytwo.json").read_text())["quantities"]
ORACLE = {quantity["name"]: quantity["value"] for quantity in QUANTITIES}
TABLES = {name.split("|")[0]: tuple(value) for name, value in ORACLE.items() if name.endswith("|x1,n1,x2,n2")}
INF, NAN = math.inf, math.nan
every_table = pytest.mark.parametrize("name", TABLES)


def limits(name: str, method: str) -> tuple[float, float]:
    """R's limits; a JSON null stands for an infinite one."""
    return tuple(
        INF if ORACLE[f"{name}|{method}|{which}"] is None else ORACLE[f"{name}|{method}|{which}"]
        for which in ("lower", "upper")
    )


@every_table
def test_differences_and_ratios_have_the_limits_of_r(name):
    """Newcombe's closed form, ratesci scoreci(skew = FALSE): published to four digits in Newcombe 1998, Table II."""
    table = TABLES[name]
    difference, *newcombe = proportions.newcombe_difference(*table)
    assert difference == pytest.approx(ORACLE[f"{name}|RD"], rel=1e-12, abs=1e-15)
    assert newcombe == pytest.approx(limits(name, "RD|newcombe10"), rel=1e-9, abs=1e-12)
    ratio = proportions.miettinen_nurminen_ratio(*table)[1:]
    assert ratio == pytest.approx(limits(name, "RR|score_MN"), rel=1e-6, abs=1e-7)


def test_published_limits_are_met_to_the_printed_digit():
    published = [
        quantity for quantity in QUANTITIES if "published" in quantity and "|RD|newcombe10" in quantity["name"]
    ]
    for quantity in published:
        name, *_, which = quantity["name"].split("|")
        value = proportions.newcombe_difference(*TABLES[name])[1 if which == "lower" else 2]
        assert value == pytest.approx(quantity["published"], abs=6e-5), quantity["name"]
    assert len(published) == 16


@every_table
def test_tests_have_the_p_values_of_r(name):
    events_1, patients_1, events_0, patients_0 = TABLES[name]
    counts = [[events_1, patients_1 - events_1], [events_0, patients_0 - events_0]]

    def expected(quantity: str) -> float:
        return NAN if ORACLE[f"{name}|{quantity}"] is None else ORACLE[f"{name}|{quantity}"]

    assert contingency.fisher(*TABLES[name]) == pytest.approx(expected("fisher|p"), rel=1e-9)
    assert contingency.chi_squared(counts) == pytest.approx(expected("chisq|p"), rel=1e-9, nan_ok=True)
    assert contingency.chi_squared(counts, continuity_correction=True) == pytest.approx(
        expected("chisq_yates|p"), rel=1e-9, nan_ok=True
    )


@pytest.mark.parametrize(("events", "patients"), [(929, 942), (462, 495), (0, 35), (19, 864)])
def test_intervals_of_one_proportion_are_those_of_r(events, patients):
    assert proportions.wilson(events, patients) == pytest.approx(
        ORACLE[f"wilson {events}/{patients}"], rel=1e-9, abs=1e-12
    )


def test_admissions_to_berkeley():
    """mantelhaen.test(UCBAdmissions); Breslow-Day by uniroot for the expected counts, R 4.2.2."""
    admitted = [
        (512, 825, 89, 108),
        (353, 560, 17, 25),
        (120, 325, 202, 593),
        (138, 417, 131, 375),
        (53, 191, 94, 393),
        (22, 373, 24, 341),
    ]
    pooled = strata.mantel_haenszel(admitted)
    assert pooled[:3] == pytest.approx(
        [ORACLE[f"CMH UCBAdmissions|{name}"] for name in ("OR", "lower", "upper")], rel=1e-9
    )
    assert pooled.p_value == pytest.approx(ORACLE["CMH UCBAdmissions|p(uncorrected)"], rel=1e-9)
    assert (pooled.breslow_day, pooled.breslow_day_p_value) == pytest.approx(
        (18.825513705236, 0.002071390349918), rel=1e-9
    )
    assert strata.mantel_haenszel([*admitted, (0, 9, 0, 3), (5, 7, 0, 0)]) == pooled  # strata that say nothing


def test_pooled_risk_difference():
    """Sato's variance of one stratum with groups of equal size is the usual one; twice the same stratum halves it."""
    alone = strata.mantel_haenszel_risk_difference([(12, 40, 22, 40)])
    half_width = 1.959963984540054 * math.sqrt((0.3 * 0.7 + 0.55 * 0.45) / 40)
    assert alone == pytest.approx((-0.25, -0.25 - half_width, -0.25 + half_width, 1), rel=1e-9)
    twice = strata.mantel_haenszel_risk_difference([(12, 40, 22, 40), (12, 40, 22, 40), (3, 9, 0, 0)])
    assert twice == pytest.approx(
        (-0.25, -0.25 - half_width / math.sqrt(2), -0.25 + half_width / math.sqrt(2), 2), rel=1e-9
    )


def test_strata_at_the_edge():
    assert np.isnan(strata.mantel_haenszel([])[:7]).all()
    assert np.isnan(strata.mantel_haenszel([(0, 5, 0, 5)])[:7]).all()
    one_sided = strata.mantel_haenszel([(3, 5, 0, 5), (2, 5, 0, 4)])
    assert one_sided.odds_ratio == INF
    assert np.isnan([one_sided.lower, one_sided.upper, one_sided.breslow_day]).all()
    assert 0 < one_sided.p_value < 1
    assert np.isnan(strata.mantel_haenszel_risk_difference([(0, 0, 1, 2)])[:3]).all()


@pytest.mark.parametrize(
    ("table", "ratio"),
    [
        ((5, 56, 0, 29), (NAN, "finite", INF)),  # no event in group 0: the ratio has no estimate, but a lower limit
        ((0, 29, 5, 56), (0, 0, "finite")),
        ((0, 10, 0, 20), (NAN, 0, INF)),
        ((10, 10, 20, 20), (1, "finite", "finite")),
        ((10, 10, 7, 20), (20 / 7, "finite", "finite")),
        ((1, 1, 0, 1), (NAN, "finite", INF)),
    ],
)
def test_empty_cells_have_an_answer(table, ratio):
    for value, wanted in zip(proportions.miettinen_nurminen_ratio(*table), ratio, strict=True):
        assert 0 < value < INF if wanted == "finite" else value == pytest.approx(wanted, nan_ok=True)


def test_swapping_the_groups_inverts_the_ratio_and_negates_the_difference():
    for table in [(3, 70_000, 5, 60_000), (0, 12, 3, 40), (40, 40, 3, 9)]:
        swapped = (*table[2:], *table[:2])
        _, lower, upper = proportions.newcombe_difference(*table)
        assert proportions.newcombe_difference(*swapped)[1:] == pytest.approx((-upper, -lower), abs=1e-10)
        _, lower, upper = proportions.miettinen_nurminen_ratio(*table)
        inverted = [1 / limit if limit else INF for limit in (upper, lower)]
        assert proportions.miettinen_nurminen_ratio(*swapped)[1:] == pytest.approx(inverted, rel=1e-8)
        assert contingency.fisher(*swapped) == pytest.approx(contingency.fisher(*table), rel=1e-9)


def test_impossible_counts_are_refused():
    for function in (proportions.newcombe_difference, proportions.miettinen_nurminen_ratio, contingency.fisher):
        with pytest.raises(ValueError, match="found 4 of 3"):
            function(1, 2, 4, 3)
        assert np.isnan(function(0, 0, 1, 3)).all()
    with pytest.raises(ValueError, match="0 or more and not missing, found 1, -1, 2, 3"):
        contingency.chi_squared([[1, -1], [2, 3]])
