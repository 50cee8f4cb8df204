"""Competing risks against R 4.2.2 (survival 3.5.3, cmprsk 2.2.11): oracles/O03_competing_mgus2.json, and boundaries."""

import json
import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import competing_risks, survival

ORACLES = Path(__file__).parent / "oracles"
QUANTITIES = {
    item["name"]: item["value"] for item in json.loads((ORACLES / "O03_competing_mgus2.json").read_text())["quantities"]
}
# A Cox model of each cause, and R's finegray() with other ties, answer other questions than the functions here.
ELSEWHERE = ("cause-specific-cox", "finegray()", "naive_")
OURS = [name for name in QUANTITIES if not name.startswith(ELSEWHERE)]


@cache
def mgus2():
    table = pd.read_csv(ORACLES / "data" / "mgus2.csv").rename(
        columns={"sex": "group", "etime": "time_days", "ev": "cause"}
    )
    return table.assign(
        sexM=(table["group"] == "M").astype(int),
        ageband=pd.cut(table["age"], [0, 65, 75, 200], labels=["young", "mid", "old"]),
    )


def about(cause, table=None):
    """The patients with this cause as the event (1) and the other one as competing (2)."""
    table = mgus2() if table is None else table
    return table.assign(cause=table["cause"].map({0: 0, cause: 1, 3 - cause: 2}))


def answer(name):
    """Our number for one of R's."""
    if found := re.fullmatch(r"sex=(.)\|CIF_(pcm|death)\((\d+)\)(?:\|(se|lower|upper))?(?:\|log)?", name):
        group, cause, month, what = found.groups()
        curve = competing_risks.aalen_johansen(about({"pcm": 1, "death": 2}[cause]), [int(month)], interval="log")
        return curve.set_index("group").loc[group, {None: "incidence", "se": "standard_error"}.get(what, what)]
    if found := re.fullmatch(r"cmprsk\|(.) (\d)\|CIF\((\d+)\)(\|var)?", name):
        group, cause, month, variance = found.groups()
        curve = (
            competing_risks.aalen_johansen(about(int(cause)), [int(month)], variance="aalen")
            .set_index("group")
            .loc[group]
        )
        return curve["standard_error"] ** 2 if variance else curve["incidence"]
    test, cause, *what = name.split("|")
    if test == "gray":
        return competing_risks.gray_test(about(int(cause[-1])))[{"chisq": 0, "p": 1}[what[0]]]
    table = competing_risks.fine_gray(about(int(cause[-1])), ["age", "sexM"]).set_index("term")
    return table.loc[what[0], {"se": "standard_error"}.get(what[1], what[1])]


@pytest.mark.parametrize("name", OURS)
def test_it_is_the_number_of_r(name):
    assert answer(name) == pytest.approx(QUANTITIES[name], rel=1e-6 if name.startswith("fine-gray") else 1e-9)


@pytest.mark.parametrize("name", [name for name in QUANTITIES if name.startswith("naive_")])
def test_it_is_not_one_minus_kaplan_meier(name):
    # The wrong answer takes death for censoring: always above the right one.
    group, month = re.search(r"sex=(.)\|\((\d+)\)", name).groups()
    curve = competing_risks.aalen_johansen(mgus2(), [int(month)]).set_index("group").loc[group]
    assert curve["incidence"] < QUANTITIES[name] - 0.005
    naive = (
        survival.survival_at(mgus2().assign(event=mgus2()["cause"] == 1), [int(month)]).set_index("group").loc[group]
    )
    assert 1 - naive["survival"] == pytest.approx(QUANTITIES[name], rel=1e-9)


# survfit(Surv(etime, factor(ev)) ~ sex, mgus2, conf.type = ...): pstate of pcm
@pytest.mark.parametrize(
    ("interval", "group", "month", "lower", "upper"),
    [
        ("log-log", "F", 60, 0.0264605466193882, 0.0571532934889317),
        ("log-log", "M", 240, 0.0712731870780535, 0.1242282428132638),
    ],
)
def test_limits_are_those_of_r(interval, group, month, lower, upper):
    curve = competing_risks.aalen_johansen(mgus2(), [month], interval=interval).set_index("group").loc[group]
    assert (curve["lower"], curve["upper"]) == (pytest.approx(lower, rel=1e-9), pytest.approx(upper, rel=1e-9))


# cuminc(etime, ev, cut(age, c(0, 65, 75, 200)))$Tests
@pytest.mark.parametrize(("cause", "statistic"), [(1, 3.22554257038372), (2, 269.48215572784886)])
def test_three_groups_are_compared_as_in_r(cause, statistic):
    test = competing_risks.gray_test(about(cause).assign(group=mgus2()["ageband"]))
    assert test.statistic == pytest.approx(statistic, rel=1e-9) and test.degrees_of_freedom == 2


# crr(ceiling(etime / 12), ev, cbind(age, hgb, sexM), failcode = cause, gtol = 1e-10, maxiter = 20)
@pytest.mark.parametrize(
    ("cause", "coef", "error"),
    [
        (
            1,
            [-0.01771948751206283, -0.00843060217384736, -0.24488308959014971],
            [0.00581853446502706, 0.04485562852375288, 0.18786760392821997],
        ),
        (
            2,
            [0.0500440644603204, -0.1130331792512690, 0.4591894523002018],
            [0.00365703358422382, 0.02017517392309231, 0.06669887657808694],
        ),
    ],
)
def test_regression_is_that_of_r_with_heavy_ties_and_missing_covariates(cause, coef, error):
    by_year = mgus2().assign(time_days=np.ceil(mgus2()["time_days"] / 12))
    table = competing_risks.fine_gray(about(cause, by_year), ["age", "hgb", "sexM"])
    assert table["coef"].tolist() == pytest.approx(coef, rel=1e-6)
    assert table["standard_error"].tolist() == pytest.approx(error, rel=1e-6)
    complete = by_year[by_year["hgb"].notna()]  # "13 cases omitted due to missing values"
    assert (
        (table["patients"] == 1371).all()
        and (table["events"] == (complete["cause"] == cause).sum()).all()
        and (table["reason"] == "").all()
    )


def test_a_regression_does_not_know_when_the_clock_starts():
    # crr itself moves if the first day is 0: it weights those with an event on day 0 by the censoring on day 0.
    later = mgus2().assign(time_days=mgus2()["time_days"] - mgus2()["time_days"].min())
    now, then = (
        competing_risks.fine_gray(table, ["age", "sexM"])[["coef", "standard_error"]] for table in (mgus2(), later)
    )
    pd.testing.assert_frame_equal(now, then, rtol=1e-9)


def courses(*rows):
    return pd.DataFrame(rows, columns=["group", "time_days", "cause"])


def test_two_causes_and_survival_make_one():
    both = mgus2().assign(event=mgus2()["cause"] > 0)
    curve = competing_risks.aalen_johansen(both, [60, 240])
    assert (
        curve["incidence"] + curve["competing_incidence"] + survival.survival_at(both, [60, 240])["survival"]
    ).tolist() == pytest.approx([1] * 4)


def test_with_one_cause_it_is_kaplan_meier_with_greenwood_s_error():
    table = mgus2().assign(event=mgus2()["cause"] == 1, cause=(mgus2()["cause"] == 1).astype(int))
    incidence, alive = competing_risks.aalen_johansen(table, [60, 240]), survival.survival_at(table, [60, 240])
    assert incidence["incidence"].tolist() == pytest.approx((1 - alive["survival"]).tolist(), rel=1e-12)
    assert incidence["standard_error"].tolist() == pytest.approx(alive["standard_error"].tolist(), rel=1e-9)


@pytest.mark.parametrize(
    ("covariates", "reasons"),
    [
        ({"x": [1, 1, 1, 1, 1, 1]}, ["no variation"]),
        ({"x": [0, 0, 0, 1, 1, 1]}, ["monotone likelihood"]),
        ({"x": [1, 2, 0, 1, 3, 0], "y": [2, 4, 0, 2, 6, 0]}, ["", "follows from the covariates before it"]),
        ({"x": [np.nan] * 6}, ["no event of the cause"]),
    ],
)
def test_what_cannot_be_estimated_says_why(covariates, reasons):
    table = courses(("a", 1, 1), ("a", 2, 1), ("a", 3, 1), ("a", 4, 0), ("a", 5, 2), ("a", 6, 0)).assign(**covariates)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = competing_risks.fine_gray(table, list(covariates))
    for row, reason in zip(rows.itertuples(), reasons, strict=True):
        assert row.reason.startswith(reason) and np.isnan(row.coef) == np.isnan(row.upper) == np.isnan(
            row.p_value
        ) == bool(reason)


@pytest.mark.parametrize(
    ("table", "comparable"),
    [
        (courses(), False),
        (courses(("a", 3, 1)), False),
        (courses(("a", 0, 1), ("a", 4, 0), ("b", 0, 2), ("b", 1, 0)), True),
        (courses(("a", 2, 0), ("a", 4, 0), ("b", 3, 2)), False),
        (courses(("a", 2, 1), ("a", 2, 1), ("b", 2, 1), ("b", 2, 1)), False),
    ],
)
def test_little_data_give_little_and_no_warning(table, comparable):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for variance in competing_risks.VARIANCES:
            assert (
                len(competing_risks.aalen_johansen(table, [0, 2, 9], variance=variance)) == 3 * table["group"].nunique()
            )
        assert np.isnan(competing_risks.gray_test(table).p_value) != comparable
        assert len(competing_risks.fine_gray(table.assign(x=np.arange(len(table))), ["x"])) == 1


def test_impossible_courses_and_questions_are_refused():
    table = courses(("a", 1, 1), ("a", 2, 0))
    for wrong in (
        {"time_days": -1},
        {"time_days": None},
        {"cause": None},
        {"cause": -1},
        {"cause": 0.5},
        {"cause": 3},
        {"group": None},
    ):
        with pytest.raises(ValueError, match="must be"):
            competing_risks.aalen_johansen(table.assign(**wrong), [1])
    with pytest.raises(ValueError, match="variance must be one of"):
        competing_risks.aalen_johansen(table, [1], variance="greenwood")
    with pytest.raises(ValueError, match="interval must be one of"):
        competing_risks.aalen_johansen(table, [1], interval="logit")
    with pytest.raises(ValueError, match="finite"):
        competing_risks.fine_gray(table.assign(x=np.inf), ["x"])


def test_gray_s_variance_that_is_not_positive_gives_no_p_and_the_hypergeometric_one_does():
    # A fast group that has nearly all responded on day 5, and a slow one: cmprsk prints a negative chi-squared here.
    days = {"fast": [3] * 20 + [4] * 40 + [5] * 38 + [60] * 2, "slow": [8] * 30 + [12] * 40 + [40] * 30}
    table = pd.DataFrame(
        [(group, day, 1) for group, own in days.items() for day in own], columns=["group", "time_days", "cause"]
    )
    assert np.isnan(competing_risks.gray_test(table).p_value)
    # Without a competing event the risk sets are those of the log-rank test, and so is the test.
    expected = survival.log_rank(table.assign(event=True))
    null = competing_risks.gray_test(table, variance="null")
    assert (null.statistic, null.p_value) == (
        pytest.approx(expected.chi_squared, rel=1e-12),
        pytest.approx(expected.p_value, rel=1e-9),
    )
