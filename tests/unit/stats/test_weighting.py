"""Weighting against R 4.2.2 (survey 4.1.1, survival) on the randomised patients of oracles/data/pbc.csv.

Patients with hepatomegaly are compared with those without.

In R, the data and weights below are
    p <- subset(read.csv("pbc.csv"), !is.na(trt)); p$female <- as.numeric(p$sex == "f"); p$died <- as.numeric(p$status
    == 2) e <- fitted(glm(hepato ~ age + bili + albumin + female, binomial, p, epsilon = 1e-14))
    ate <- ifelse(hepato == 1, 1/e, 1/(1 - e)); overlap <- ifelse(hepato == 1, 1 - e, e)
    d <- svydesign(ids = ~1, weights = ~w, data = p)
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import weighting

DATA = Path(__file__).parent / "oracles" / "data"
COVARIATES = ["age", "bili", "albumin", "female"]
NAN = float("nan")


@pytest.fixture(scope="module")
def pbc():
    patients = pd.read_csv(DATA / "pbc.csv")
    patients = patients[patients["trt"].notna()].reset_index(drop=True)
    return patients.assign(
        female=(patients["sex"] == "f").astype(int),
        died=patients["status"] == 2,
        time_days=patients["time"],
        event=patients["status"] == 2,
    )


@pytest.fixture(scope="module")
def scores(pbc):
    return weighting.propensity_scores(pbc, "hepato", COVARIATES)


@pytest.fixture(scope="module")
def weights(pbc, scores):
    stabilised = weighting.inverse_probability_weights(scores, pbc["hepato"])
    share = np.where(pbc["hepato"] == 1, pbc["hepato"].mean(), 1 - pbc["hepato"].mean())
    return {"ate": stabilised / share, "overlap": weighting.overlap_weights(scores, pbc["hepato"])}


def approx(*numbers, rel=1e-9):
    return pytest.approx(numbers, rel=rel, nan_ok=True)


def test_scores_are_those_of_r(scores):
    # e[1:3]; range(e)
    assert tuple(scores[:3]) == approx(0.961488098081383, 0.269251615697768, 0.574634036954947)
    assert (scores.min(), scores.max()) == approx(0.155053758966247, 0.991276707309148)


def test_redundant_and_far_away_covariates_change_no_score(pbc, scores):
    more = pbc.assign(again=2 * pbc["age"] + pbc["bili"], constant=1, year=2018 + pbc["bili"] / 1000)
    assert weighting.propensity_scores(more, "hepato", [*COVARIATES, "again", "constant", "year"]) == pytest.approx(
        scores, rel=1e-7
    )


def test_without_covariates_the_score_is_the_share_of_the_exposed(pbc):
    assert weighting.propensity_scores(pbc, "hepato", []) == pytest.approx(np.full(312, 160 / 312), rel=1e-12)


@pytest.mark.parametrize(
    ("estimand", "total", "largest", "effective_1", "effective_0"),
    [  # sum(w), max(w), sapply(split(w, hepato), function(x) sum(x)^2 / sum(x^2))
        ("ate", 736.197802132371, 86.246523303434, 141.1596962603467, 16.8909306109754),
        ("overlap", 131.027062164106, 0.988405329725793, 129.638581431052, 136.488443015078),
    ],
)
def test_weights_and_effective_sample_sizes_are_those_of_r(
    pbc, scores, weights, estimand, total, largest, effective_1, effective_0
):
    table = weighting.positivity(scores, pbc["hepato"], weights[estimand]).set_index("group")
    assert (weights[estimand].sum(), table.loc["all", "largest_weight"]) == approx(total, largest)
    assert tuple(table.loc[["exposed", "unexposed"], "effective_patients"]) == approx(effective_1, effective_0)
    assert table["scores_above_0_95"].tolist() == [11, 2, 13]
    assert table["scores_below_0_05"].tolist() == [0, 0, 0]


def test_stabilised_weights_average_about_one_and_are_truncated(pbc, scores):
    stabilised = weighting.inverse_probability_weights(scores, pbc["hepato"])
    assert (stabilised.sum(), stabilised.max()) == approx(366.494347768608, 42.0175369939806)
    truncated = weighting.inverse_probability_weights(scores, pbc["hepato"], truncate_percentile=99)
    assert truncated == pytest.approx(np.minimum(stabilised, np.quantile(stabilised, 0.99)), rel=1e-12)


def test_overlap_weights_balance_the_means_exactly(pbc, weights):
    table = weighting.balance(pbc, "hepato", COVARIATES, weights["overlap"])
    assert (table["smd_after"] < 1e-7).all()


def test_balance_is_that_of_r(pbc, weights):
    # svymean(~age, d), svyvar(~age, d) in each group: |m1 - m0| / sqrt((v1 + v0) / 2); of 0/1: v = m (1 - m)
    table = weighting.balance(pbc, "hepato", COVARIATES, weights["ate"]).set_index("covariate")
    assert tuple(table.loc["age"]) == approx(0.150658277877192, 0.29046623797366)
    assert tuple(table.loc["bili", ["smd_before", "smd_after"]]) == approx(0.635851153254647, 0.682968242419118)
    assert tuple(table.loc["female"]) == approx(0.102226071876389, 0.114055242718688)


@pytest.mark.parametrize(
    ("estimand", "quantity", "estimate", "error", "lower", "upper", "p_value"),
    [
        # svyciprop(~died, subset(d, hepato == g), method = "logit"); SE(svymean(~died, subset(d, hepato == g)))
        ("ate", "risk_exposed", 0.468145733442835, 0.0416475551877271, 0.387473257513115, 0.550518539040926, NAN),
        ("ate", "risk_unexposed", 0.539030732255729, 0.113010180483517, 0.322528458751125, 0.741745103516232, NAN),
        ("overlap", "risk_exposed", 0.435548181093938, 0.0429550374444245, 0.353354228601224, 0.521443939779197, NAN),
        # m <- svyglm(died ~ hepato, d); coef(m), SE(m), confint(m)
        (
            "ate",
            "difference",
            -0.0708849988207183,
            0.1204401085437568,
            -0.307868488058401,
            0.166098490416964,
            0.5565919005999413,
        ),
        (
            "overlap",
            "difference",
            0.1383926150680703,
            0.0600781098045326,
            0.0201801669025147,
            0.256605063233626,
            0.0219096175518870,
        ),
        # q <- svyglm(died ~ hepato, d, family = quasipoisson(log)); exp(coef(q)), SE(q), exp(confint(q))
        ("ate", "ratio", 0.868495440858482, 0.227748456490972, 0.55481460507116, 1.35952500871030, 0.536322872903242),
        (
            "overlap",
            "ratio",
            1.46572445382895,
            0.172355075414799,
            1.04416326938129,
            2.05748299863599,
            0.0272529763709253,
        ),
    ],
)
def test_weighted_risks_are_those_of_r(pbc, weights, estimand, quantity, estimate, error, lower, upper, p_value):
    found = weighting.weighted_risks(pbc["died"], pbc["hepato"], weights[estimand]).set_index("quantity").loc[quantity]
    # R stops its fits at a relative change of 1e-8 of the deviance.
    assert tuple(found[["estimate", "standard_error", "lower", "upper", "p_value"]]) == approx(
        estimate, error, lower, upper, p_value, rel=1e-7
    )
    assert found["reason"] is None


def test_weighted_survival_is_that_of_r(pbc, weights):
    # summary(survfit(Surv(time, died) ~ hepato, p, weights = ate, conf.type = "log-log", robust = TRUE), times = c(365,
    # 1826))
    courses = pbc.assign(group=pbc["hepato"].map({1: "enlarged", 0: "normal"}))
    curve = weighting.weighted_survival(courses, weights["ate"], [365, 1826]).set_index(["group", "day"])
    columns = ["weight_at_risk", "survival", "standard_error", "lower", "upper"]
    assert tuple(curve.loc[("normal", 365), columns]) == approx(
        318.2029010006776, 0.738844390209626, 0.1550200672307410, 0.307987803563857, 0.925162628771820
    )
    assert tuple(curve.loc[("enlarged", 1826), columns]) == approx(
        144.7414552286013, 0.663446158191625, 0.0390023948435711, 0.580808504453842, 0.733556692609088
    )


@pytest.mark.parametrize(
    ("estimand", "estimate", "lower", "upper", "error"),
    [  # summary(coxph(Surv(time, died) ~ hepato, p, weights = w, robust = TRUE))
        ("ate", 0.74843413284177, 0.372595955944239, 1.50338092044789, 0.355868068044663),
        ("overlap", 1.6551833777777, 1.0832991954319, 2.52897078260946, 0.216279795470309),
    ],
)
def test_weighted_hazard_ratio_is_that_of_r(pbc, weights, estimand, estimate, lower, upper, error):
    found = weighting.weighted_hazard_ratio(pbc, "hepato", weights[estimand])
    assert tuple(found[:3]) == approx(estimate, lower, upper, rel=1e-7)
    assert found.standard_error == pytest.approx(error, rel=1e-7) and found.reason is None


def frame(exposed, **covariates):
    return pd.DataFrame({"exposed": exposed, **covariates})


@pytest.mark.parametrize(
    ("patients", "reason"),
    [
        (frame([1, 1, 1], age=[1, 2, 3]), "no patients"),
        (frame([0, 0, 0], age=[1, 2, 3]), "no patients"),
        (frame([0, 0, 1, 1], age=[1, 2, 3, 4]), "separate"),  # completely
        (frame([0, 1, 0, 1, 1], rescue=[0, 0, 0, 1, 1]), "separate"),  # everybody with rescue was exposed
    ],
)
def test_scores_that_do_not_exist_have_a_reason(patients, reason):
    with pytest.raises(weighting.NotEstimable, match=reason):
        weighting.propensity_scores(patients, "exposed", list(patients.columns[1:]))


@pytest.mark.parametrize(
    ("patients", "message"),
    [
        (frame([0, 1], age=[1, NAN]), "age has a missing"),
        (frame([0, 1], age=[1, np.inf]), "age has a missing or infinite"),
        (frame([0, 1], sex=["f", "m"]), "sex must be numeric"),
        (frame([0, NAN], age=[1, 2]), "exposed must be"),
        (frame([0, 2], age=[1, 2]), "exposed must be"),
    ],
)
def test_input_that_cannot_be_is_refused_by_name(patients, message):
    with pytest.raises(ValueError, match=message):
        weighting.propensity_scores(patients, "exposed", list(patients.columns[1:]))


def test_weights_that_do_not_exist_are_refused():
    with pytest.raises(weighting.NotEstimable):
        weighting.inverse_probability_weights([1.0, 0.5], [0, 1])
    assert weighting.overlap_weights([1.0, 0.5], [0, 1]).tolist() == [1, 0.5]
    with pytest.raises(ValueError):
        weighting.inverse_probability_weights([0.5, 0.5], [0, 1], truncate_percentile=101)
    with pytest.raises(ValueError, match="between 0 and 1"):
        weighting.inverse_probability_weights([1.1, 0.5], [0, 1])


def test_equal_weights_count_everybody_and_one_heavy_patient_counts_alone():
    assert weighting.effective_sample_size([3, 3, 3, 3]) == pytest.approx(4)
    assert weighting.effective_sample_size([1e9, 1, 1]) == pytest.approx(1)
    assert weighting.effective_sample_size([]) == 0


def test_a_group_without_events_has_no_limits_but_a_reason():
    table = weighting.weighted_risks([0, 0, 1, 0], [1, 1, 0, 0], np.ones(4)).set_index("quantity")
    assert table["estimate"].tolist() == [0, 0.5, -0.5, 0]
    assert table.loc[["risk_exposed", "difference", "ratio"], ["lower", "upper", "p_value"]].isna().all(axis=None)
    assert (table.loc[["risk_exposed", "difference", "ratio"], "reason"] == "no limits: exposed has no event").all()
    assert table.loc["risk_unexposed", "reason"] is None
    nobody = weighting.weighted_risks([0, 1], [1, 1], np.ones(2)).set_index("quantity")
    assert nobody.loc[["risk_unexposed", "difference", "ratio"], "estimate"].isna().all()
    assert nobody.loc["ratio", "reason"] == "not estimable: unexposed has no patients"


def test_hazard_ratio_of_one_group_or_without_events_has_a_reason():
    courses = frame([1, 1, 0], time_days=[5, 6, 7], event=[True, False, False])
    assert "one of the groups" in weighting.weighted_hazard_ratio(courses, "exposed", [1, 1, 0]).reason
    nobody_died = weighting.weighted_hazard_ratio(courses.assign(event=False), "exposed", [1, 1, 1])
    assert np.isnan(nobody_died.estimate)
    assert nobody_died.reason
    one_arm = weighting.weighted_hazard_ratio(courses, "exposed", [1, 1, 1])
    assert one_arm.estimate == np.inf
    assert np.isnan(one_arm.upper)
    assert one_arm.reason


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [1, NAN, 1]])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        weighting.weighted_risks([0, 1, 0], [1, 1, 0], weights)


def test_balance_of_an_empty_group_or_a_constant_is_undefined():
    table = weighting.balance(frame([1, 1], age=[40, 50], same=[3, 3]), "exposed", ["age", "same"], [1, 1])
    assert table[["smd_before", "smd_after"]].isna().all(axis=None)
