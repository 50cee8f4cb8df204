"""Firth's penalty against R logistf 1.26.1 (oracle O06), closed forms and firthmodels."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats.firth import INTERCEPT, firth_cox, firth_logistic

ORACLES = Path(__file__).parent / "oracles"
COVARIATES = ["age", "oc", "vic", "vicl", "vis", "dia"]


@pytest.fixture(scope="module")
def r():
    return {
        quantity["name"]: quantity["value"]
        for quantity in json.loads((ORACLES / "O06_firth_sex2.json").read_text())["quantities"]
    }


@pytest.fixture(scope="module")
def sex2():
    return pd.read_csv(ORACLES / "data" / "sex2.csv")


def test_firth_logistic_is_logistf(r, sex2):
    # logistf(case ~ age + oc + vic + vicl + vis + dia, sex2); dia separates the cases
    found = firth_logistic(sex2, "case", COVARIATES, [INTERCEPT, *COVARIATES])
    for row in found.itertuples():
        assert row.coef == pytest.approx(r[f"{row.term}|coef"], abs=1e-6)
        assert row.standard_error == pytest.approx(r[f"{row.term}|se"], rel=1e-6)
        assert row.odds_ratio == pytest.approx(math.exp(row.coef))
        limits = r[f"{row.term}|lower|profile"], r[f"{row.term}|upper|profile"]
        assert (math.log(row.lower), math.log(row.upper)) == pytest.approx(limits, rel=1e-9)
        assert row.p_value == pytest.approx(r[f"{row.term}|p|PLR"], rel=1e-9)
    assert found["reason"].isna().all()


def two_by_two(events_1, patients_1, events_0, patients_0):
    died = [1] * events_1 + [0] * (patients_1 - events_1) + [1] * events_0 + [0] * (patients_0 - events_0)
    return pd.DataFrame({"arm": [1] * patients_1 + [0] * patients_0, "died": died})


@pytest.mark.parametrize("table", [(0, 30, 4, 40), (3, 3, 0, 9), (2, 10, 5, 10), (1, 1, 0, 1)])
def test_one_binary_covariate_is_half_a_patient_more_in_every_cell(table):
    # The saturated model: closed form (Haldane 1956)
    events_1, patients_1, events_0, patients_0 = table
    log_odds = [
        math.log((events + 0.5) / (patients - events + 0.5))
        for events, patients in ((events_0, patients_0), (events_1, patients_1))
    ]
    found = firth_logistic(two_by_two(*table), "died", ["arm"], [INTERCEPT, "arm"])
    assert found["coef"].tolist() == pytest.approx([log_odds[0], log_odds[1] - log_odds[0]], abs=1e-9)
    assert (found["lower"] < found["odds_ratio"]).all() and (found["odds_ratio"] < found["upper"]).all()


def test_firthmodels_agrees(sex2):
    from firthmodels import FirthCoxPH, FirthLogisticRegression

    logistic = FirthLogisticRegression(gtol=1e-7, xtol=1e-7, max_iter=100).fit(sex2[COVARIATES], sex2["case"])
    assert firth_logistic(sex2, "case", COVARIATES, [])["coef"].tolist() == pytest.approx(
        [logistic.intercept_, *logistic.coef_], abs=1e-6
    )
    courses = survival(60)
    cox = FirthCoxPH(gtol=1e-8, xtol=1e-8).fit(courses[["arm", "age"]], (courses["event"], courses["time_days"])).lrt()
    found = firth_cox(courses, ["arm", "age"], ["arm", "age"], ties="breslow")
    assert found["coef"].tolist() == pytest.approx(cox.coef_.tolist(), abs=1e-6)
    assert found["standard_error"].tolist() == pytest.approx(cox.bse_.tolist(), abs=1e-6)
    assert found["p_value"].tolist() == pytest.approx(cox.lrt_pvalues_.tolist(), abs=1e-6)
    assert np.log(found[["lower", "upper"]].to_numpy()) == pytest.approx(
        cox.conf_int(method="pl", tol=1e-8, max_iter=100), abs=1e-6
    )


def survival(patients):
    """Two arms with tied days, the exposed without events."""
    chance = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "arm": np.arange(patients) % 2,
            "age": chance.normal(50, 10, patients),
            "time_days": chance.integers(1, 20, patients),
        }
    )
    return table.assign(event=(chance.random(patients) < 0.5) & (table["arm"] == 0))


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_firth_cox_is_the_maximum_of_the_penalised_likelihood(ties):
    # By brute force: the likelihood written out event by event, its information by the variance of those at risk
    table = survival(16)
    x, days, died = (table[name].to_numpy() for name in ("arm", "time_days", "event"))

    def penalised(coef):
        value, information = coef * x[died].sum(), 0.0
        for day in np.unique(days[died]):
            tied = (days == day) & died
            for rank in range(tied.sum()):
                hazard = np.exp(coef * x) * (days >= day) * np.where(tied & (ties == "efron"), 1 - rank / tied.sum(), 1)
                share = hazard / hazard.sum()
                value -= math.log(hazard.sum())
                information += (share * x**2).sum() - (share * x).sum() ** 2
        return value + math.log(information) / 2

    found = firth_cox(table, ["arm"], ["arm"], ties=ties)
    coef = found["coef"][0]
    assert penalised(coef) >= max(penalised(other) for other in [*np.arange(-8, 8, 0.25), coef - 1e-4, coef + 1e-4])
    fall = [2 * (penalised(coef) - penalised(math.log(found[limit][0]))) for limit in ("lower", "upper")]
    assert fall == pytest.approx([3.841458820694124] * 2, rel=1e-6)


def test_a_continuous_covariate_that_separates():
    table = pd.DataFrame({"dose": [1, 2, 3, 4, 5, 6], "died": [0, 0, 0, 1, 1, 1]})
    row = firth_logistic(table, "died", ["dose"], ["dose"]).iloc[1]
    assert 0 < row["coef"] < 5 and row["lower"] < row["odds_ratio"] < row["upper"] and row["reason"] is None


@pytest.mark.parametrize(("died", "reason"), [(0, "no event"), (1, "everybody has the event")])
def test_without_events_or_with_events_only_nothing_is_estimated(died, reason):
    table = two_by_two(1, 5, 1, 5).assign(died=died)
    found = firth_logistic(table, "died", ["arm"], ["arm"])
    assert found["reason"].tolist() == [reason] * 2
    assert found[["coef", "odds_ratio", "lower", "p_value"]].isna().all(axis=None)
    assert firth_logistic(table.iloc[:0], "died", ["arm"], ["arm"])["reason"].tolist() == ["no event"] * 2
    assert firth_cox(survival(20).assign(event=False), ["arm"], ["arm"])["reason"].tolist() == ["no event"]


def test_a_covariate_without_information_changes_nothing():
    table = survival(60).assign(constant=1, double=lambda rows: rows["age"] * 2 - 3)
    reasons = [None, "no variation", None, "collinear with the covariates before it"]
    for fit in (
        lambda names: firth_cox(table, names, names),
        lambda names: firth_logistic(table, "event", names, [INTERCEPT, *names]),
    ):
        found, without = fit(["arm", "constant", "age", "double"]), fit(["arm", "age"])
        assert found["reason"].tolist()[-4:] == reasons
        for column in ("coef", "lower", "upper", "p_value"):
            assert found[column].dropna().tolist() == pytest.approx(without[column].tolist(), rel=1e-6)


def test_a_limit_is_where_the_highest_ridge_of_the_profile_has_fallen():
    # One event among nine: for large coefficients of z the rest of the likelihood has two maxima; the lower one falls
    # by 3.84 too early
    from scipy.optimize import minimize

    x, z = [0, 0, 0, 0, 0, 0, 1, 1, 0], [-0.28, 1.75, 0.04, 0.16, 0.68, 0.39, 1.12, -1.6, -1.02]
    table = pd.DataFrame({"x": x, "z": z, "died": [0, 1, 0, 0, 0, 0, 0, 0, 0]})
    design = np.column_stack([np.ones(9), x, z])

    def penalised(coef):
        eta = design @ coef
        risk = 1 / (1 + np.exp(-eta))
        information = np.linalg.slogdet(design.T @ ((risk * (1 - risk))[:, None] * design))
        return (table["died"] * eta - np.logaddexp(0, eta)).sum() + information.logabsdet / 2

    found = firth_logistic(table, "died", ["x", "z"], ["z"])
    best = penalised(found["coef"].to_numpy())
    upper = math.log(found["upper"][2])
    profile = max(
        -minimize(
            lambda rest: -penalised(np.array([*rest, upper])),
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-10},
        ).fun
        for start in ([-5, 0], [-5, 5], [-10, -5], [-2, 2], [-15, 5])
    )
    assert 2 * (best - profile) == pytest.approx(3.841458820694124, abs=1e-6)


def test_impossible_data_are_refused():
    with pytest.raises(ValueError, match="outcome died must be yes or no"):
        firth_logistic(two_by_two(1, 5, 1, 5).assign(died=2), "died", ["arm"], [])
    with pytest.raises(ValueError, match="covariate arm is missing"):
        firth_logistic(two_by_two(1, 5, 1, 5).assign(arm=None), "died", ["arm"], [])
    with pytest.raises(ValueError, match="ties must be one of efron, breslow, found exact"):
        firth_cox(survival(20), ["arm"], [], ties="exact")
