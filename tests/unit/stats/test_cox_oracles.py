"""Cox regression against R survival 3.5.3 (oracles O03, O04, O09 and the calls quoted), lifelines and statsmodels."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats.cox import cox_regression, proportional_hazards_test
from capla_etl.stats.exposure import expand_time_dependent, landmark

ORACLES = Path(__file__).parent / "oracles"


def oracle(name):
    return {
        quantity["name"]: quantity["value"]
        for quantity in json.loads((ORACLES / f"{name}.json").read_text())["quantities"]
    }


def data(name):
    return pd.read_csv(ORACLES / "data" / f"{name}.csv")


def terms(fit):
    return fit.table.set_index("term")


def log_likelihoods(fit):
    """At zero and at the maximum."""
    return tuple(fit.likelihood.at(beta).log_likelihood for beta in (0 * fit.beta, fit.beta))


@pytest.fixture(scope="module")
def rossi():
    table = data("rossi")
    return table.assign(
        fin=table["fin"] == "yes",
        race=table["race"] == "other",
        wexp=table["wexp"] == "yes",
        mar=table["mar"] == "not married",
        paro=table["paro"] == "yes",
    ).rename(columns={"week": "time_days", "arrest": "event"})


#: Column and R's name of its coefficient.
ROSSI = {
    "fin": "finyes",
    "age": "age",
    "race": "raceother",
    "wexp": "wexpyes",
    "mar": "marnot married",
    "paro": "paroyes",
    "prio": "prio",
}


def test_coefficients_limits_and_tests_are_those_of_r(rossi):
    r = oracle("O04_cox_rossi")
    fit = cox_regression(rossi, list(ROSSI))
    for term, name in ROSSI.items():
        row = terms(fit).loc[term]
        found = row[["coef", "standard_error", "p_value", "hazard_ratio", "lower", "upper"]].tolist()
        assert found == pytest.approx(
            [r[f"{name}|{what}"] for what in ("coef", "se", "p", "HR", "HR|lower", "HR|upper")], rel=1e-6
        )
    assert log_likelihoods(fit) == pytest.approx((r["loglik_null"], r["loglik"]), rel=1e-12)
    assert fit.table["robust_standard_error"].isna().all()


def test_breslow_ties_are_those_of_r(rossi):
    fit = cox_regression(rossi, list(ROSSI), ties="breslow")
    assert terms(fit).loc["fin", "coef"] == pytest.approx(oracle("O04_cox_rossi")["breslow|finyes|coef"], rel=1e-8)


def test_proportional_hazards_test_is_the_score_test_of_r_since_2019(rossi):
    r = oracle("O04_cox_rossi")
    test = proportional_hazards_test(cox_regression(rossi, list(ROSSI))).set_index("term")
    for term in [*ROSSI, "GLOBAL"]:
        expected = (r[f"cox.zph(km)|{term}|chisq"], r[f"cox.zph(km)|{term}|p"])
        assert (test.loc[term, "chi_squared"], test.loc[term, "p_value"]) == pytest.approx(expected, rel=1e-6)
    assert test.loc["GLOBAL", "df"] == 7


def test_proportional_hazards_of_pbc():
    # cox.zph(coxph(Surv(time, status == 2) ~ age + edema + log(bili) + log(protime) + log(albumin), pbc)); the test of
    # before 2019 has p 0.395 for edema
    pbc = data("pbc").dropna(subset="protime")
    pbc = pbc.assign(
        event=pbc["status"] == 2,
        time_days=pbc["time"],
        bili=np.log(pbc["bili"]),
        protime=np.log(pbc["protime"]),
        albumin=np.log(pbc["albumin"]),
    )
    test = proportional_hazards_test(cox_regression(pbc, ["age", "edema", "bili", "protime", "albumin"]))
    assert test["p_value"].tolist() == pytest.approx(
        [
            0.86189729844866969,
            0.07571346674251522,
            0.30809705988769592,
            0.00233796595884019,
            0.28023082850080233,
            0.01760060485797424,
        ],
        rel=1e-9,
    )


@pytest.fixture(scope="module")
def heart():
    return data("heart").rename(columns={"stop": "time_days"})


def intervals(heart, covariates, **options):
    return cox_regression(heart, covariates, start="start", **options)


def test_start_stop_data_are_those_of_r(heart):
    r = oracle("O09_immortal_heart")
    fit = terms(intervals(heart, ["age", "year", "surgery", "transplant"]))
    for term, name in (("age", "age"), ("year", "year"), ("surgery", "surgery"), ("transplant", "transplant1")):
        assert fit.loc[term, ["coef", "standard_error"]].tolist() == pytest.approx(
            [r[f"tdc|{name}|coef"], r[f"tdc|{name}|se"]], rel=1e-6
        )
    only = terms(intervals(heart, ["transplant"])).loc["transplant"]
    assert (only["coef"], only["standard_error"]) == pytest.approx(
        (r["tdc|transplant only|coef"], r["tdc|transplant only|se"]), rel=1e-6
    )


def test_robust_errors_and_proportional_hazards_of_start_stop_data(heart):
    # f <- coxph(Surv(start, stop, event) ~ age + year + surgery + transplant, heart, cluster = id); sqrt(diag(f$var));
    # cox.zph(f)
    fit = intervals(heart, ["age", "year", "surgery", "transplant"], cluster="id")
    robust = [0.0138918929240804, 0.0730798592393635, 0.3582102023845864, 0.3168823490624889]
    assert fit.table["robust_standard_error"].tolist() == pytest.approx(robust, rel=1e-9)
    assert fit.table["upper"][0] == pytest.approx(
        math.exp(fit.table["coef"][0] + 1.959963984540054 * robust[0]), rel=1e-12
    )
    assert proportional_hazards_test(fit)["chi_squared"].tolist() == pytest.approx(
        [0.8668747109155498, 1.7164144292079970, 0.0973950591168627, 0.2029343881527790, 3.4731022988457698], rel=1e-9
    )


def test_weights_strata_and_clusters_together(heart):
    # coxph(Surv(start, stop, event) ~ age + transplant + strata(surgery), heart, weights = 1 + (id %% 3) / 2, cluster =
    # id)
    fit = intervals(
        heart.assign(weight=1 + heart["id"] % 3 / 2),
        ["age", "transplant"],
        strata="surgery",
        weights="weight",
        cluster="id",
    )
    assert fit.table["coef"].tolist() == pytest.approx([0.0227035331547713, 0.1430973472363245], rel=1e-9)
    assert fit.table["robust_standard_error"].tolist() == pytest.approx(
        [0.014039859223832, 0.339296467824127], rel=1e-9
    )
    assert fit.table["standard_error"].tolist() == pytest.approx([0.0109629355446506, 0.2519709228698693], rel=1e-9)
    assert log_likelihoods(fit) == pytest.approx((-448.785630883654, -445.862705464497), rel=1e-12)


def test_heavy_ties_with_weights():
    # coxph(Surv(ceiling(time / 60), status == 2) ~ age + sex, lung, weights = 1 + (inst %% 3) / 2, cluster = inst)
    lung = data("lung").dropna(subset="inst")
    lung = lung.assign(time_days=np.ceil(lung["time"] / 60), event=lung["status"] == 2, weight=1 + lung["inst"] % 3 / 2)
    fit = cox_regression(lung, ["age", "sex"], weights="weight", cluster="inst")
    assert fit.table["coef"].tolist() == pytest.approx([0.0200344807276691, -0.5671709120075095], rel=1e-9)
    assert fit.table["robust_standard_error"].tolist() == pytest.approx(
        [0.0077989772595829, 0.1569055561789095], rel=1e-9
    )
    breslow = cox_regression(
        lung, ["age", "sex"], cluster="inst", ties="breslow"
    )  # the same without weights, ties = "breslow"
    assert breslow.table["robust_standard_error"].tolist() == pytest.approx(
        [0.00687574928814576, 0.11931287445739847], rel=1e-9
    )


def test_cause_specific_hazards():
    r = oracle("O03_competing_mgus2")
    mgus2 = data("mgus2")
    mgus2 = mgus2.assign(sexM=mgus2["sex"] == "M", event=mgus2["ev"] == 1, time_days=mgus2["etime"])
    fit = terms(cox_regression(mgus2, ["age", "sexM"]))
    for term in ("age", "sexM"):
        expected = [r[f"cause-specific-cox|pcm|{term}|{what}"] for what in ("coef", "se")]
        assert fit.loc[term, ["coef", "standard_error"]].tolist() == pytest.approx(expected, rel=1e-6)


def test_a_second_opinion(rossi):
    from lifelines import CoxPHFitter
    from statsmodels.duration.hazard_regression import PHReg

    fit = cox_regression(rossi, list(ROSSI))
    numbers = rossi[[*ROSSI, "time_days", "event"]].astype(float)
    lifelines = CoxPHFitter().fit(numbers, "time_days", "event", fit_options={"precision": 1e-10})
    assert fit.table["coef"].tolist() == pytest.approx(lifelines.params_.tolist(), rel=1e-7)
    statsmodels = PHReg(numbers["time_days"], numbers[list(ROSSI)], status=numbers["event"], ties="breslow").fit()
    breslow = cox_regression(rossi, list(ROSSI), ties="breslow")
    assert breslow.table["coef"].tolist() == pytest.approx(statsmodels.params.tolist(), rel=1e-6)


# Time-dependent exposure and landmark


@pytest.fixture(scope="module")
def patients(heart):
    """One row per patient, as R's jasa: days to the end and to the transplant; in heart, acceptance is day 1."""
    first = heart[heart["transplant"] == 1].set_index("id")["start"]
    ends = (
        heart.groupby("id")
        .agg(time_days=("time_days", "max"), event=("event", "max"))
        .assign(transplant_day=first)
        .reset_index()
    )
    return ends.assign(
        time_days=np.floor(ends["time_days"] - 1).clip(lower=0),
        transplant_day=np.floor(ends["transplant_day"] - 1).clip(lower=0),
    )


def test_the_landmark_is_that_of_r(patients):
    r = oracle("O09_immortal_heart")
    at_30 = landmark(patients, day=30, start_day="transplant_day")
    assert (len(at_30), at_30["exposed"].sum()) == (r["landmark30|n"], r["landmark30|n_exposed"])
    row = cox_regression(at_30, ["exposed"]).table.iloc[0]
    assert (row["coef"], row["standard_error"]) == pytest.approx((r["landmark30|coef"], r["landmark30|se"]), rel=1e-6)


def test_an_exposure_by_what_came_later_is_not_what_the_landmark_or_intervals_give(patients):
    naive = oracle("O09_immortal_heart")["naive_immortal|transplant|coef"]
    ever = patients.assign(ever=patients["transplant_day"].notna())
    assert terms(cox_regression(ever, ["ever"])).loc["ever", "coef"] == pytest.approx(naive, rel=1e-6)
    expanded = expand_time_dependent(patients, start_day="transplant_day")
    fit = cox_regression(expanded, ["exposed"], start="interval_start_days", cluster="id")
    assert abs(fit.table["coef"][0] - naive) > 1


def test_exposure_begins_before_the_events_of_its_day():
    courses = pd.DataFrame(
        [
            ("never", 5, True, None),
            ("on the day", 5, True, 5),
            ("before", 5, True, 4),
            ("after", 5, True, 6),
            ("day 0", 5, False, 0),
            ("at once", 0, True, 0),
        ],
        columns=["patient", "time_days", "event", "first_day"],
    )
    found = expand_time_dependent(courses, start_day="first_day")
    assert list(
        zip(
            found["patient"],
            found["interval_start_days"],
            found["time_days"],
            found["event"],
            found["exposed"],
            strict=True,
        )
    ) == [
        ("never", -0.5, 5, True, 0),
        ("on the day", -0.5, 4.5, False, 0),
        ("on the day", 4.5, 5, True, 1),
        ("before", -0.5, 3.5, False, 0),
        ("before", 3.5, 5, True, 1),
        ("after", -0.5, 5, True, 0),
        ("day 0", -0.5, 5, False, 1),
        ("at once", -0.5, 0, True, 1),
    ]


def test_the_landmark_day_itself():
    courses = pd.DataFrame(
        {"time_days": [4, 5, 5, 9, 9], "event": [True, True, False, True, True], "first_day": [1, None, 5, 6, 2]}
    )
    found = landmark(courses, day=5, start_day="first_day")
    assert found["time_days"].tolist() == [0, 0, 4, 4] and found["event"].tolist() == [True, False, True, True]
    assert found["exposed"].tolist() == [0, 1, 0, 1]


# What cannot be estimated


def trial(**columns):
    chance = np.random.default_rng(7)
    table = pd.DataFrame(
        {"arm": np.arange(80) % 2, "age": chance.normal(50, 10, 80), "time_days": chance.integers(1, 91, 80)}
    )
    return table.assign(event=chance.random(80) < 0.5).assign(**columns)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_an_arm_without_events_leaves_the_others_as_without_that_arm(ties):
    table = trial()
    table["event"] &= table["arm"] == 0
    fit = cox_regression(table, ["arm", "age"], ties=ties)
    arm, age = fit.table.iloc[0], fit.table.iloc[1]
    assert (arm["coef"], arm["hazard_ratio"]) == (-math.inf, 0) and arm[
        ["standard_error", "lower", "upper", "p_value"]
    ].isna().all()
    assert arm["reason"] == "an arm without events: the estimate does not exist (monotone likelihood)"
    alone = cox_regression(table[table["arm"] == 0], ["age"], ties=ties)
    assert age[["coef", "standard_error"]].tolist() == pytest.approx(
        alone.table.loc[0, ["coef", "standard_error"]].tolist(), rel=1e-9
    )
    assert log_likelihoods(fit)[1] == pytest.approx(log_likelihoods(alone)[1], rel=1e-12)
    test, of_alone = (proportional_hazards_test(model)["chi_squared"] for model in (fit, alone))
    assert math.isnan(test[0]) and math.isfinite(test[1]) and math.isfinite(of_alone[0])


def test_all_events_after_exposure_is_an_arm_without_events_too():
    table = trial(first_day=np.where(np.arange(80) % 4 == 0, 10, np.nan), event=True)
    expanded = expand_time_dependent(table, start_day="first_day")
    expanded["event"] &= expanded["exposed"] == 1
    found = cox_regression(expanded, ["exposed", "age"], start="interval_start_days").table
    assert found["coef"][0] == math.inf and np.isfinite(found.loc[1, ["coef", "standard_error"]].astype(float)).all()


def test_a_covariate_without_information_changes_nothing():
    table = trial(constant=1, double=lambda rows: 2 * rows["age"] - 3)
    fit = cox_regression(table, ["age", "constant", "double", "arm"])
    assert fit.table["reason"].tolist() == [None, "no variation", "collinear with the covariates before it", None]
    without = cox_regression(table, ["age", "arm"])
    assert fit.table["coef"].dropna().tolist() == pytest.approx(without.table["coef"].tolist(), rel=1e-9)
    assert log_likelihoods(fit) == pytest.approx(log_likelihoods(without), rel=1e-12)


def test_events_in_perfect_order_have_no_finite_estimate():
    table = pd.DataFrame(
        {
            "time_days": range(80, 0, -1),
            "event": True,
            "score": range(80),
            "age": np.random.default_rng(1).normal(size=80),
        }
    )
    fit = cox_regression(table, ["score", "age"])
    assert fit.table["coef"].isna().all() and fit.table["reason"].notna().all()
    assert cox_regression(table.iloc[:8], ["score"]).table["coef"][0] == math.inf


@pytest.mark.parametrize("rows", [0, 1, 80])
def test_without_events_nothing_is_estimated(rows):
    fit = cox_regression(trial(event=False).iloc[:rows], ["arm", "age"])
    assert fit.table["reason"].tolist() == ["no event"] * 2 and fit.table["coef"].isna().all()
    assert fit.likelihood is None
    assert proportional_hazards_test(fit)[["chi_squared", "p_value"]].isna().all().all()


def test_one_patient_and_one_day_have_no_contrast():
    assert cox_regression(trial(event=True).iloc[:1], ["age"]).table["reason"].tolist() == ["no variation"]
    assert proportional_hazards_test(cox_regression(trial(time_days=3), ["age"]))["chi_squared"].isna().all()


def test_the_unit_of_a_covariate_changes_only_its_unit():
    fit, far = (
        cox_regression(trial(), ["age", "arm"]),
        cox_regression(trial(age=trial()["age"] * 1e6 + 1e9), ["age", "arm"]),
    )
    assert far.table["coef"].tolist() == pytest.approx([fit.table["coef"][0] / 1e6, fit.table["coef"][1]], rel=1e-6)
    assert log_likelihoods(far) == pytest.approx(log_likelihoods(fit), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": None}, "covariate age is missing .* in 1 of 80 rows"),
        ({"time_days": -1}, "time_days must not be negative"),
        ({"time_days": None}, "time time_days is missing"),
        ({"event": None}, "event event is missing"),
        ({"event": 2}, "must be yes or no"),
        ({"weight": 0}, "weight weight must be positive"),
        ({"centre": None}, "stratum centre is missing in 1 of 80 rows"),
        ({"from_day": 90}, "1 of 80 intervals do not end after their start"),
    ],
)
def test_impossible_data_are_refused(change, message):
    table = trial(weight=1.0, centre="a", from_day=0).astype({"event": float}).astype(object)
    for column, value in change.items():
        table.loc[3, column] = value
    with pytest.raises(ValueError, match=message):
        cox_regression(
            table, ["age"], weights="weight", strata="centre", start="from_day" if "from_day" in change else None
        )


def test_other_ties_are_refused():
    with pytest.raises(ValueError, match="ties must be one of efron, breslow, found average"):
        cox_regression(trial(), ["arm"], ties="average")
