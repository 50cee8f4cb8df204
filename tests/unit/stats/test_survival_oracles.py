"""Survival against R 4.2.2 (survival 3.5.3, survRM2 1.0.4): oracles/O01_km_lung.json, and rules at the boundaries."""

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import survival

ORACLES = Path(__file__).parent / "oracles"
# Other tests, types of interval and effects than the study has.
ELSEWHERE = ("peto-peto", "stratified_logrank", "rmst365|ratio", "rmtl365")
QUANTITIES = {
    item["name"]: item["value"]
    for item in json.loads((ORACLES / "O01_km_lung.json").read_text())["quantities"]
    if not item["name"].startswith(ELSEWHERE)
    and not item["name"].endswith("|plain")
    and item["name"] not in ("logrank|O1", "logrank|E1", "logrank|V11")
}


@cache
def lung(first_sex=1):
    table = pd.read_csv(ORACLES / "data" / "lung.csv")
    courses = table.assign(group="sex=" + table["sex"].astype(str), time_days=table["time"], event=table["status"] == 2)
    return courses.sort_values("sex", ascending=first_sex == 1, kind="stable")


def of_group(table, group):
    return table.set_index("group").loc[group]


def answer(name):
    """Our number for one of R's."""
    where, *rest = name.split("|")
    if where == "logrank":
        return survival.log_rank(lung())[{"chisq": 0, "p": 1}[rest[0]]]
    if where == "rmst365":
        difference = survival.restricted_mean_difference(lung(first_sex=2), 365)
        return difference[{"lower": "lower", "upper": "upper", "p": "p_value"}[rest[1]] if rest[1:] else "estimate"]
    what, *rest = rest
    interval = rest[1] if len(rest) == 2 else "log-log"
    if what == "rmst365":
        return of_group(survival.restricted_mean(lung(), 365), where)["standard_error" if rest else "rmst"]
    if what.startswith("S("):
        row = of_group(survival.survival_at(lung(), [int(what[2:-1])], interval=interval), where)
        return row[{"se": "standard_error", "n.risk": "at_risk"}.get(rest[0], rest[0]) if rest else "survival"]
    row = of_group(survival.median_survival(lung(), interval=interval), where)
    return row[rest[0] if rest else {"n": "patients"}.get(what, what)]


@pytest.mark.parametrize("name", QUANTITIES)
def test_it_is_the_number_of_r(name):
    assert answer(name) == pytest.approx(QUANTITIES[name], rel=1e-9)


def test_four_groups_are_compared_as_in_r():
    courses = lung()[lung()["ph.ecog"].notna()].assign(group=lambda table: table["ph.ecog"])
    # survdiff(Surv(time, status == 2) ~ ph.ecog, lung)
    assert survival.log_rank(courses) == pytest.approx((21.962131682476, 6.64253535580017e-05), rel=1e-9)


def test_a_weighted_curve_has_the_robust_error_of_r_and_counts_patients():
    # survfit(Surv(time, status == 2) ~ sex, lung, weights = age / 60, robust = TRUE, conf.type = "log-log")
    weights = lung()["age"] / 60
    curve = survival.survival_at(lung(), [90, 365], weights=weights)
    assert curve["at_risk"].tolist() == [117, 35, 84, 30]
    expected = [
        (0.835716737215422, 0.0327494334390599, 0.759325417696540, 0.889601742759337),
        (0.327668970606517, 0.0433339096743807, 0.244745501290556, 0.412939564272723),
        (0.933782062943424, 0.0262720137830713, 0.857939473481726, 0.969829656335118),
        (0.526455021120022, 0.0603971820545491, 0.402168805947679, 0.636411700465145),
    ]
    assert curve[["survival", "standard_error", "lower", "upper"]].to_numpy() == pytest.approx(
        np.array(expected), rel=1e-9
    )
    # summary(survfit(...))$table
    assert survival.median_survival(lung(), weights=weights)[["median", "lower", "upper"]].to_numpy().tolist() == [
        [269, 207, 303],
        [426, 345, 524],
    ]


def test_equal_weights_change_nothing():
    plain, weighted = (survival.survival_at(lung(), [90, 365], weights=w) for w in (None, np.full(len(lung()), 2.5)))
    pd.testing.assert_frame_equal(plain, weighted, rtol=1e-10)


def courses(*rows):
    return pd.DataFrame(rows, columns=["group", "time_days", "event"])


def test_a_curve_that_rests_at_one_half_has_its_median_in_the_middle():
    # survfit(Surv(c(1, 2, 3, 4), c(1, 1, 1, 1)) ~ 1): median 2.5
    table = survival.median_survival(courses(("a", 1, True), ("a", 2, True), ("a", 3, True), ("a", 4, True)))
    assert table.loc[0, ["patients", "events", "median"]].tolist() == [4, 4, 2.5]
    # at one half to the end of follow-up: the first day there
    assert (
        survival.median_survival(courses(("a", 1, True), ("a", 2, True), ("a", 3, False), ("a", 4, False))).loc[
            0, "median"
        ]
        == 2
    )
    assert np.isnan(
        survival.median_survival(courses(("a", 1, True), ("a", 2, False), ("a", 3, False))).loc[0, "median"]
    )


def test_a_mean_needs_follow_up_to_the_horizon_or_nobody_left():
    table = courses(("open", 1, True), ("open", 5, False), ("closed", 1, True), ("closed", 5, True))
    means = survival.restricted_mean(table, 10).set_index("group")
    assert np.isnan(means.loc["open", "rmst"]) and means.loc["open", "reason"] == "not observed to the horizon"
    assert means.loc["closed", "rmst"] == 3 and means.loc["closed", "reason"] == ""
    assert np.isnan(survival.restricted_mean_difference(table, 10)["estimate"])
    assert survival.restricted_mean(table, 5)["rmst"].notna().all()


def test_without_a_death_a_mean_is_the_horizon_and_has_no_limits():
    table = courses(("a", 10, False), ("b", 10, False))
    assert survival.restricted_mean(table, 10)["rmst"].tolist() == [10, 10]
    difference = survival.restricted_mean_difference(table, 10)
    assert difference["estimate"] == 0 and difference["reason"] == "no event before the horizon"
    assert np.isnan([difference[name] for name in ("lower", "upper", "p_value")]).all()


def test_limits_are_none_without_a_death_and_once_nobody_is_left():
    table = courses(("a", 1, False), ("a", 3, True), ("a", 5, True))
    curve = survival.survival_at(table, [0, 3, 5, 6])
    assert curve["survival"].tolist()[:3] == [1, 0.5, 0] and np.isnan(curve["survival"][3])
    assert curve["lower"].isna().tolist() == [True, False, True, True]
    # "log": as R, without width while nobody has died
    assert survival.survival_at(table, [0], interval="log")[["lower", "upper"]].to_numpy().tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("table", "comparable"),
    [
        (courses(), False),
        (courses(("a", 3, True)), False),
        (courses(("a", 0, True), ("b", 0, False)), True),
        (courses(("a", 2, False), ("a", 4, False), ("b", 3, False)), False),
        (courses(("a", 2, True), ("a", 2, True), ("b", 2, True), ("b", 2, True)), False),
        (courses(("a", 1, True), ("b", 2.5, True), ("c", 0, False)), True),
    ],
)
def test_little_data_give_little_and_no_warning(table, comparable):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        groups = table["group"].nunique()
        assert len(survival.survival_at(table, [0, 2, 9])) == 3 * groups
        assert len(survival.median_survival(table)) == len(survival.restricted_mean(table, 2)) == groups
        assert np.isnan(survival.log_rank(table).p_value) != comparable
        assert len(survival.restricted_mean_difference(table[table["group"] != "c"], 2)) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"time_days": -1}, "not negative"),
        ({"time_days": np.inf}, "finite"),
        ({"event": None}, "event must be given"),
        ({"event": 2}, "true or false"),
        ({"group": None}, "group must be given"),
    ],
)
def test_impossible_courses_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        survival.survival_at(courses(("a", 1, True), ("a", 2, False)).assign(**wrong), [1])


@pytest.mark.parametrize("weights", [[-1, 1], [None, 1], [1]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        survival.survival_at(courses(("a", 1, True), ("a", 2, False)), [1], weights=weights)


def test_impossible_questions_are_refused():
    table = courses(("a", 1, True), ("b", 2, True), ("c", 2, True))
    with pytest.raises(ValueError, match="interval must be one of"):
        survival.survival_at(table, [1], interval="arcsine")
    with pytest.raises(ValueError, match="above 0"):
        survival.restricted_mean(table, 0)
    with pytest.raises(ValueError, match="two groups"):
        survival.restricted_mean_difference(table, 1)
