"""Two risks compared: values from R (tests/unit/oracles), publications and closed forms; and tables at the edge."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capla_etl.stats import contingency, odds_ratios, proportions, strata

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


def tail_at(odds_ratio: float, table: tuple, share: Fraction, upper: bool) -> float:
    """P(more, or fewer, events in group 1) + share of P(as many), given the margins, in exact arithmetic."""
    events_1, patients_1, events_0, patients_0 = table
    events = events_1 + events_0
    weight = {
        k: math.comb(patients_1, k) * math.comb(patients_0, events - k) * Fraction(odds_ratio) ** k
        for k in range(max(0, events - patients_0), min(events, patients_1) + 1)
    }
    beyond = sum(value for k, value in weight.items() if (k > events_1 if upper else k < events_1))
    return float((beyond + share * weight[events_1]) / sum(weight.values()))


@every_table
def test_differences_and_ratios_have_the_limits_of_r(name):
    """Newcombe's closed form, epitools riskratio.wald, ratesci scoreci(skew = FALSE): published to four digits in Newcombe 1998, Table II."""
    table = TABLES[name]
    difference, *newcombe = proportions.newcombe_difference(*table)
    assert difference == pytest.approx(ORACLE[f"{name}|RD"], rel=1e-12, abs=1e-15)
    assert newcombe == pytest.approx(limits(name, "RD|newcombe10"), rel=1e-9, abs=1e-12)
    assert proportions.miettinen_nurminen_difference(*table)[1:] == pytest.approx(limits(name, "RD|score_MN"), abs=1e-7)
    assert proportions.miettinen_nurminen_ratio(*table)[1:] == pytest.approx(
        limits(name, "RR|score_MN"), rel=1e-6, abs=1e-7
    )
    assert odds_ratios.miettinen_nurminen_odds_ratio(*table)[1:] == pytest.approx(
        limits(name, "OR|score_MN"), rel=1e-6, abs=1e-7
    )
    if f"{name}|RR|wald|est" in ORACLE:
        assert proportions.risk_ratio(*table) == pytest.approx(
            (ORACLE[f"{name}|RR|wald|est"], *limits(name, "RR|wald")), rel=1e-9
        )
        assert odds_ratios.odds_ratio_wald(*table) == pytest.approx(
            (ORACLE[f"{name}|OR|wald|est"], *limits(name, "OR|wald")), rel=1e-9
        )


def test_published_limits_are_met_to_the_printed_digit():
    published = [quantity for quantity in QUANTITIES if "published" in quantity and "|RD|" in quantity["name"]]
    functions = {"newcombe10": proportions.newcombe_difference, "score_MN": proportions.miettinen_nurminen_difference}
    for quantity in published:
        name, _, method, which = quantity["name"].split("|")
        value = functions[method](*TABLES[name])[1 if which == "lower" else 2]
        assert value == pytest.approx(quantity["published"], abs=6e-5), quantity["name"]
    assert len(published) == 32


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
    assert proportions.farrington_manning(*TABLES[name]) == pytest.approx(expected("chisq|p"), rel=1e-9, nan_ok=True)
    if ORACLE[f"{name}|boschloo|p"] is not None:  # exact2x2 searches as well: good to 1e-3
        assert contingency.boschloo(*TABLES[name]) == pytest.approx(expected("boschloo|p"), rel=2e-3)


@every_table
def test_exact_limits_leave_exactly_the_tails_they_promise(name):
    """R's fisher.test and epitools oddsratio.midp solve to about 1e-4 only: near R, and exact in the tails."""
    table = TABLES[name]
    for function, share, of_r, estimate_of_r in (
        (odds_ratios.odds_ratio_conditional, Fraction(1), "fisher|OR", "fisher|OR_cond"),
        (odds_ratios.odds_ratio_mid_p, Fraction(1, 2), "OR|midp", "OR|midp|est"),
    ):
        estimate, lower, upper = function(*table)
        if lower > 0:
            assert tail_at(lower, table, share, upper=True) == pytest.approx(0.025, rel=1e-9)
        if upper < INF:
            assert tail_at(upper, table, share, upper=False) == pytest.approx(0.025, rel=1e-9)
        if f"{name}|{of_r}|lower" in ORACLE:
            assert (lower, upper) == pytest.approx(limits(name, of_r), rel=1e-2)
        if ORACLE.get(f"{name}|{estimate_of_r}"):
            assert estimate == pytest.approx(ORACLE[f"{name}|{estimate_of_r}"], rel=1e-3)


@pytest.mark.parametrize(
    ("table", "lower", "upper"),
    # 2 * (logLik(glm(cbind(x, n - x) ~ g)) - logLik(glm(... ~ 1 + offset(b * g)))) = qchisq(.95, 1), by uniroot; R 4.2.2
    [
        ((56, 70, 48, 80), 1.29630720099822, 5.70365027012418),
        ((13, 942, 33, 495), 0.0986150297505857, 0.3670352908290937),
        ((4, 55, 14, 52), 0.0568101587773909, 0.6471900689637629),
        ((5, 56, 0, 29), 1.16314910374947, INF),
    ],
)
def test_profile_limits_of_an_odds_ratio(table, lower, upper):
    assert odds_ratios.odds_ratio_profile(*table)[1:] == pytest.approx((lower, upper), rel=1e-9)


def test_classic_tables():
    # ?fisher.test: the tea (greater), the convicted twins (less), job satisfaction
    assert contingency.fisher(3, 4, 1, 4, alternative="greater") == pytest.approx(
        ORACLE["tea|fisher greater p"], rel=1e-12
    )
    assert odds_ratios.odds_ratio_conditional(3, 4, 1, 4)[0] == pytest.approx(ORACLE["tea|OR_cond"], rel=1e-5)
    assert contingency.fisher(2, 17, 10, 13, alternative="less") == pytest.approx(
        ORACLE["convictions|fisher less p"], rel=1e-9
    )
    satisfaction = [[1, 3, 10, 6], [2, 3, 10, 7], [1, 6, 14, 12], [0, 1, 9, 11]]
    assert contingency.fisher_rxc(satisfaction) == pytest.approx(ORACLE["job_satisfaction 4x4|fisher p"], rel=1e-9)
    # The tea again: tables 0, 1, 3 and 4 are 1, 16, 16 and 1 of 70; those as likely as 3 count half.
    assert contingency.fisher_mid_p(3, 4, 1, 4) == pytest.approx(18 / 70, rel=1e-12)
    assert contingency.fisher_mid_p(3, 4, 1, 4, doubled=True) == pytest.approx(2 * (1 + 8) / 70, rel=1e-12)


def test_fisher_of_larger_tables_is_that_of_r_and_of_two_by_two_tables():
    # fisher.test(rbind(c(120, 350, 260, 210), c(44, 132, 164, 154)), workspace = 2e8)
    assert contingency.fisher_rxc([[120, 350, 260, 210], [44, 132, 164, 154]]) == pytest.approx(
        3.11086607771579e-06, rel=1e-9
    )
    # fisher.test(rbind(c(100, 50, 30, 20, 10, 5), c(50, 30, 20, 10, 10, 3)))
    assert contingency.fisher_rxc([[100, 50, 30, 20, 10, 5], [50, 30, 20, 10, 10, 3]]) == pytest.approx(
        0.7436978558856, rel=1e-9
    )
    assert contingency.fisher_rxc([[13, 929], [33, 462]]) == pytest.approx(
        contingency.fisher(13, 942, 33, 495), rel=1e-9
    )
    assert math.isnan(contingency.fisher_rxc([[3, 0], [5, 0]]))
    assert math.isnan(contingency.fisher_rxc([[3, 4], [0, 0]]))
    with pytest.raises(ValueError, match="too many tables"):
        contingency.fisher_rxc([[50_000, 40_000, 30_000, 60_000], [50_000, 40_000, 30_000, 60_000]])


@pytest.mark.parametrize(("events", "patients"), [(929, 942), (462, 495), (0, 35), (19, 864)])
def test_intervals_of_one_proportion_are_those_of_r(events, patients):
    assert proportions.wilson(events, patients) == pytest.approx(
        ORACLE[f"wilson {events}/{patients}"], rel=1e-9, abs=1e-12
    )
    assert proportions.clopper_pearson(events, patients) == pytest.approx(
        ORACLE[f"clopper-pearson {events}/{patients}"], rel=1e-9
    )


def test_mid_p_interval_of_one_proportion():
    # uniroot(function(p) pbinom(x - 1, n, p) + dbinom(x, n, p) / 2 - t, c(0, 1), tol = 1e-15) for t = .975, .025
    assert proportions.mid_p_interval(19, 864) == pytest.approx((0.0136852204728906, 0.0334995210769479), rel=1e-9)
    assert proportions.mid_p_interval(0, 35) == pytest.approx(
        (0, 1 - 0.05 ** (1 / 35)), rel=1e-9
    )  # (1 - p)^35 / 2 = 0.025
    assert proportions.mid_p_interval(35, 35) == pytest.approx((0.05 ** (1 / 35), 1), rel=1e-9)
    published = (ORACLE["clopper-pearson 682/925|lower"], ORACLE["clopper-pearson 682/925|upper"])
    assert proportions.clopper_pearson(682, 925) == pytest.approx(published, rel=1e-9)


def test_a_higher_level_is_a_wider_interval_and_95_percent_is_the_default():
    table = TABLES["capla_abstract_deaths"]
    for function in (
        proportions.newcombe_difference,
        proportions.miettinen_nurminen_difference,
        proportions.miettinen_nurminen_ratio,
        proportions.risk_ratio,
        odds_ratios.miettinen_nurminen_odds_ratio,
        odds_ratios.odds_ratio_wald,
        odds_ratios.odds_ratio_conditional,
        odds_ratios.odds_ratio_mid_p,
        odds_ratios.odds_ratio_profile,
    ):
        estimate, lower, upper = function(*table, level=0.99)
        assert (estimate, lower, upper)[0] == function(*table)[0] == function(*table, level=0.95)[0]
        assert lower < function(*table)[1] < function(*table)[2] < upper
        with pytest.raises(ValueError, match="confidence level"):
            function(*table, level=95)


def test_score_limits_are_where_the_score_test_turns():
    """At a limit the two-sided p value is that of the quantile over sqrt(N / (N - 1)): Farrington and Manning have no such factor."""
    from scipy.stats import norm

    _, lower, upper = proportions.miettinen_nurminen_difference(13, 942, 33, 495)
    p = 2 * norm.sf(norm.ppf(0.975) * math.sqrt(1437 / 1436))
    assert proportions.farrington_manning(13, 942, 33, 495, margin=lower) == pytest.approx(p, rel=1e-9)
    assert proportions.farrington_manning(13, 942, 33, 495, margin=upper) == pytest.approx(p, rel=1e-9)


def test_admissions_to_berkeley():
    """mantelhaen.test(UCBAdmissions); Breslow-Day by uniroot for the expected counts, R 4.2.2: 18.825513705236, 5 df, p 0.002071390349918."""
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
    assert pooled.p_value_corrected == pytest.approx(ORACLE["CMH UCBAdmissions|p(corrected)"], rel=1e-9)
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
    assert np.isnan(strata.mantel_haenszel([])[:9]).all()
    assert np.isnan(strata.mantel_haenszel([(0, 5, 0, 5)])[:9]).all()
    one_sided = strata.mantel_haenszel([(3, 5, 0, 5), (2, 5, 0, 4)])
    assert one_sided.odds_ratio == INF
    assert np.isnan([one_sided.lower, one_sided.upper, one_sided.breslow_day]).all()
    assert 0 < one_sided.p_value < one_sided.p_value_corrected < 1
    assert np.isnan(strata.mantel_haenszel_risk_difference([(0, 0, 1, 2)])[:3]).all()


def test_trend_over_ordered_groups():
    # prop.trend.test(c(83, 90, 129, 70), c(86, 93, 136, 82)), and with score = c(0, 0, 1, 2)
    smokers, patients = [83, 90, 129, 70], [86, 93, 136, 82]
    assert contingency.cochran_armitage_trend(smokers, patients) == pytest.approx(
        (8.22492228519771, 0.00413189747764149), rel=1e-9
    )
    assert contingency.cochran_armitage_trend(smokers, patients, [0, 0, 1, 2]) == pytest.approx(
        (10.4705144016717, 0.00121294939571261), rel=1e-9
    )
    assert np.isnan(contingency.cochran_armitage_trend([0, 0], [4, 5])).all()
    assert np.isnan(contingency.cochran_armitage_trend([1, 0], [4, 0])).all()


@pytest.mark.parametrize(
    ("table", "ratio", "odds_ratio"),
    [
        (
            (5, 56, 0, 29),
            (NAN, "finite", INF),
            (INF, "finite", INF),
        ),  # nobody in group 0: the ratio has no estimate, but a lower limit
        ((0, 29, 5, 56), (0, 0, "finite"), (0, 0, "finite")),
        ((0, 10, 0, 20), (NAN, 0, INF), (NAN, 0, INF)),
        ((10, 10, 20, 20), (1, "finite", "finite"), (NAN, 0, INF)),
        ((10, 10, 7, 20), (20 / 7, "finite", "finite"), (INF, "finite", INF)),
        ((1, 1, 0, 1), (NAN, "finite", INF), (INF, "finite", INF)),
    ],
)
def test_empty_cells_have_an_answer(table, ratio, odds_ratio):
    def alike(found, expected):
        return [
            0 < value < INF if wanted == "finite" else value == pytest.approx(wanted, nan_ok=True)
            for value, wanted in zip(found, expected, strict=True)
        ]

    assert all(alike(proportions.miettinen_nurminen_ratio(*table), ratio))
    for function in (
        odds_ratios.miettinen_nurminen_odds_ratio,
        odds_ratios.odds_ratio_conditional,
        odds_ratios.odds_ratio_mid_p,
        odds_ratios.odds_ratio_profile,
    ):
        assert all(alike(function(*table), odds_ratio)), function.__name__
    assert contingency.boschloo(*table) <= 1
    assert np.isnan(odds_ratios.odds_ratio_wald(*table)[1:]).all()


def test_swapping_the_groups_inverts_the_ratio_and_negates_the_difference():
    for table in [(3, 70_000, 5, 60_000), (0, 12, 3, 40), (40, 40, 3, 9)]:
        swapped = (*table[2:], *table[:2])
        _, lower, upper = proportions.miettinen_nurminen_difference(*table)
        assert proportions.miettinen_nurminen_difference(*swapped)[1:] == pytest.approx((-upper, -lower), abs=1e-10)
        for function in (
            proportions.miettinen_nurminen_ratio,
            odds_ratios.miettinen_nurminen_odds_ratio,
            odds_ratios.odds_ratio_conditional,
            odds_ratios.odds_ratio_mid_p,
            odds_ratios.odds_ratio_profile,
        ):
            _, lower, upper = function(*table)
            inverted = [1 / limit if limit else INF for limit in (upper, lower)]
            assert function(*swapped)[1:] == pytest.approx(inverted, rel=1e-8)
        assert contingency.fisher(*swapped) == pytest.approx(contingency.fisher(*table), rel=1e-9)


def test_what_is_printed_for_two_risks():
    compared = proportions.compare_risks(13, 942, 33, 495)
    name = "capla_abstract_deaths"
    assert (compared.difference_lower, compared.difference_upper) == pytest.approx(
        limits(name, "RD|newcombe10"), rel=1e-9
    )
    assert (compared.ratio, compared.ratio_lower, compared.ratio_upper) == pytest.approx(
        (0.207006369426752, *limits(name, "RR|score_MN")), rel=1e-6
    )
    assert (compared.odds_ratio_lower, compared.odds_ratio_upper) == pytest.approx(
        limits(name, "OR|score_MN"), rel=1e-6
    )
    assert (compared.p_value, compared.p_method) == (
        pytest.approx(ORACLE[f"{name}|fisher|p"], rel=1e-9),
        "Fisher's exact test",
    )
    assert np.isnan(proportions.compare_risks(0, 0, 3, 5)[:10]).all()


def test_impossible_counts_are_refused():
    for function in (
        proportions.miettinen_nurminen_difference,
        proportions.miettinen_nurminen_ratio,
        odds_ratios.miettinen_nurminen_odds_ratio,
        odds_ratios.odds_ratio_wald,
        odds_ratios.odds_ratio_conditional,
        odds_ratios.odds_ratio_mid_p,
        odds_ratios.odds_ratio_profile,
        contingency.fisher,
        contingency.fisher_mid_p,
        proportions.farrington_manning,
        contingency.boschloo,
        proportions.compare_risks,
    ):
        with pytest.raises(ValueError, match="found 4 of 3"):
            function(1, 2, 4, 3)
        assert np.isnan(function(0, 0, 1, 3)[0] if isinstance(function(0, 0, 1, 3), tuple) else function(0, 0, 1, 3))
    with pytest.raises(ValueError, match="negative"):
        contingency.chi_squared([[1, -1], [2, 3]])
    with pytest.raises(ValueError, match="margin"):
        proportions.farrington_manning(1, 2, 1, 2, margin=1)
    for interval in (proportions.clopper_pearson, proportions.mid_p_interval):
        assert np.isnan(interval(0, 0)).all()
        with pytest.raises(ValueError, match="found 3 of 2"):
            interval(3, 2)
