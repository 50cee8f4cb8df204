"""Clone, censor, weight: the rules of who leaves which strategy when, and the weighted estimates against R 4.2.2."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import emulation, weighting

DATA = Path(__file__).parent / "oracles" / "data"
NEVER = float("nan")


def courses(*rows):
    return pd.DataFrame(rows, columns=["patient_id", "time_days", "event", "start_day"])


def in_strategy(strategy, *course, **options):
    """(time_days, event, censored, last_day_at_risk) of one patient's clone."""
    clones = emulation.clone_censor(courses(("a", *course)), **options).set_index("strategy")
    return tuple(clones.loc[strategy, ["time_days", "event", "censored", "last_day_at_risk"]])


@pytest.mark.parametrize(
    ("course", "start", "do_not_start"),
    [
        # time, death, first dose   in "start by day 3"          in "do not start"
        ((90, False, 3), (90, False, False, 90), (3, False, True, 2)),  # day 3 is in time
        ((90, False, 4), (3, False, True, 3), (4, False, True, 3)),  # day 4 is late
        ((90, False, NEVER), (3, False, True, 3), (90, False, False, 90)),
        ((3, True, NEVER), (3, True, False, 3), (3, True, False, 3)),  # died before having to start: counts in both
        ((4, True, NEVER), (3, False, True, 3), (4, True, False, 4)),
        ((2, True, 2), (2, True, False, 2), (2, False, True, 1)),  # the dose comes before the death of its day
        ((5, True, 5), (3, False, True, 3), (5, False, True, 4)),
        ((20, True, 0), (20, True, False, 20), (0, False, True, -1)),  # a dose on day 0 leaves no time without
        ((20, True, -1), (20, True, False, 20), (0, False, True, -1)),  # one before day 0 neither
        ((3, False, NEVER), (3, False, False, 3), (3, False, False, 3)),  # lost before having to start: not a deviation
        ((0, True, NEVER), (0, True, False, 0), (0, True, False, 0)),
    ],
)
def test_a_clone_leaves_the_strategy_on_the_day_it_deviates(course, start, do_not_start):
    assert in_strategy("start", *course) == start
    assert in_strategy("do_not_start", *course) == do_not_start


def test_the_horizon_ends_follow_up_and_its_deaths_count():
    assert in_strategy("start", 90, True, 1, horizon_days=90) == (90, True, False, 90)
    assert in_strategy("start", 91, True, 1, horizon_days=90) == (90, False, False, 90)
    assert in_strategy("do_not_start", 200, True, 91, horizon_days=90) == (90, False, False, 90)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 10, True, 11)], "after the end of follow-up in 1 patients"),
        ([("a", 10, True, 1), ("a", 10, True, 1)], "one row per patient"),
        ([("a", 10.5, True, 1)], "whole days"),
        ([("a", 10, True, 1.5)], "whole days"),
        ([("a", -1, True, NEVER)], "negative"),
        ([("a", 10, None, NEVER)], "event"),
    ],
)
def test_impossible_courses_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        emulation.clone_censor(courses(*rows))
    with pytest.raises(ValueError):
        emulation.clone_censor(courses(("a", 10, True, NEVER)), horizon_days=3)


def test_those_who_started_stand_for_those_who_did_not():
    # Without covariates, in 3 of 4 patients followed beyond day 1 the drug was started by then; 1 of 5 at risk starts on day 0, 2 of 4 on day 1.
    table = courses(
        ("a", 9, False, 0), ("b", 9, False, 1), ("c", 9, True, 1), ("d", 9, False, NEVER), ("e", 1, True, NEVER)
    )
    weights = emulation.censoring_weights(table, [], grace_days=1, horizon_days=9).set_index(
        ["strategy", "patient_id", "day"]
    )["weight"]
    start, stay = weights["start"], weights["do_not_start"]
    assert (start["e"].tolist(), start["a"].loc[[0, 1]].tolist(), start["d"].tolist()) == ([1, 1], [1, 1], [1, 1])
    assert start["a"].loc[2:].to_numpy() == pytest.approx(np.full(8, 4 / 3))
    assert stay["d"].to_numpy() == pytest.approx([5 / 4, *[5 / 4 * 2] * 9])
    assert stay["b"].to_numpy() == pytest.approx([5 / 4])  # up to the day before the dose
    assert "a" not in stay.index.get_level_values("patient_id")
    # On day 1 one of two (e dies, d stays) without; on day 9 one of three who started.
    trial = emulation.emulated_trial(table, [], grace_days=1, horizon_days=9, truncate_percentile=None)
    assert trial.strategies["survival"].tolist() == pytest.approx([4 / 5 * 2 / 3, 1 / 2])


@pytest.fixture(scope="module")
def transplants():
    """Stanford heart transplants, one row per patient; half days (operated on the day of death) rounded up."""
    intervals = pd.read_csv(DATA / "heart.csv")
    last = intervals.groupby("id", as_index=False).last()
    operated = intervals[intervals["transplant"] == 1].set_index("id")["start"]
    return pd.DataFrame(
        {
            "patient_id": last["id"],
            "time_days": np.ceil(last["stop"]),
            "event": last["event"] == 1,
            "start_day": np.ceil(last["id"].map(operated)),
            "age": last["age"],
            "surgery": last["surgery"],
        }
    )


# started: glm(I(start <= 30) ~ age + surgery, binomial, subset(d, time > 30)); staying: glm(st ~ factor(period) + age + surgery, binomial, person-days
# of the periods in which somebody started), periods 0, 1, ..., 30, 31-365, w = 1 / cumprod(1 - h); survfit(Surv(day, day + 1, event) ~ 1, weights = w)
# of each strategy; coxph(Surv(day, day + 1, event) ~ arm, weights = w, cluster = id); truncated: pmin(w, quantile(last weights of those who kept, .9))
@pytest.mark.parametrize(
    ("percentile", "survival", "hazard_ratio"),
    [
        (None, (0.361414525873112, 0.0678064995586562), (0.653393300448649, 0.411302019967433, 1.0379788679496)),
        (90, (0.362016951411087, 0.255622290690870), (0.905110721262195, 0.560778835900164, 1.46087078416351)),
    ],
)
def test_emulated_trial_is_that_of_r(transplants, percentile, survival, hazard_ratio):
    trial = emulation.emulated_trial(
        transplants, ["age", "surgery"], grace_days=30, horizon_days=365, truncate_percentile=percentile
    )
    assert trial.strategies["survival"].tolist() == pytest.approx(survival, rel=1e-8)
    effects = trial.effects.set_index("effect")
    assert tuple(effects.loc["hazard_ratio", ["estimate", "lower", "upper"]]) == pytest.approx(hazard_ratio, rel=1e-7)
    assert effects.loc["survival_difference", "estimate"] == pytest.approx(survival[0] - survival[1], rel=1e-8)
    assert effects.loc["risk_ratio", "estimate"] == pytest.approx((1 - survival[0]) / (1 - survival[1]), rel=1e-8)
    assert trial.strategies["censored"].tolist() == [46, 69]


def test_what_the_weights_rest_on_is_that_of_r(transplants):
    # last weights of those who kept: length, max(w), sum(w)^2 / sum(w^2), quantile(w, .9)
    trial = emulation.emulated_trial(
        transplants, ["age", "surgery"], grace_days=30, horizon_days=365, truncate_percentile=None
    )
    assert trial.strategies["largest_weight"].tolist() == pytest.approx(
        [3.60372274048005, 111.52048058158016], rel=1e-8
    )
    assert trial.strategies["effective_patients"].tolist() == pytest.approx(
        [47.96558739789234, 2.75941833433994], rel=1e-8
    )
    truncated = emulation.emulated_trial(
        transplants, ["age", "surgery"], grace_days=30, horizon_days=365, truncate_percentile=90
    )
    assert truncated.strategies["weight_limit"].tolist() == pytest.approx(
        [2.93903436668146, 4.81671076108961], rel=1e-8
    )
    on_day_30 = trial.curve[trial.curve["day"] == 30]
    assert on_day_30["survival"].tolist() == pytest.approx([0.775608159703302, 0.8027815385636521], rel=1e-8)
    assert on_day_30["at_risk"].tolist() == [80, 46]


def test_the_chance_of_having_started_is_the_propensity_score(transplants):
    followed = transplants[transplants["time_days"] > 30]
    scores = weighting.propensity_scores(
        followed.assign(started=followed["start_day"] <= 30), "started", ["age", "surgery"]
    )
    weights = emulation.censoring_weights(transplants, ["age", "surgery"], grace_days=30, horizon_days=365)
    on_day_31 = weights[(weights["strategy"] == "start") & (weights["day"] == 31)].set_index("patient_id")["weight"]
    assert on_day_31.to_numpy() == pytest.approx(
        1 / pd.Series(scores, index=followed["patient_id"])[on_day_31.index].to_numpy(), rel=1e-9
    )


def test_the_bootstrap_repeats_itself_and_needs_a_seed(transplants):
    options = {"grace_days": 30, "horizon_days": 365, "truncate_percentile": 90, "replicates": 60}
    one, two = (emulation.emulated_trial(transplants, ["age"], **options, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.effects, two.effects)
    limits = one.effects.set_index("effect")
    for effect in ("survival_difference", "risk_ratio"):
        assert limits.loc[effect, "lower"] < limits.loc[effect, "estimate"] < limits.loc[effect, "upper"]
    with pytest.raises(ValueError, match="seed"):
        emulation.emulated_trial(transplants, ["age"], **options)


def reasons(table, covariates=(), **options):
    trial = emulation.emulated_trial(table, list(covariates), **{"grace_days": 1, "horizon_days": 9, **options})
    return trial, trial.effects.set_index("effect")["reason"]


def test_what_cannot_be_estimated_says_why():
    lived = [(str(number), 9, False, NEVER) for number in range(4)]
    trial, reason = reasons(courses(*lived, ("d", 5, True, NEVER)))
    assert reason.str.startswith(
        "not estimable: nobody still followed at the end of the grace period had started"
    ).all()
    assert np.isnan(trial.strategies["survival"].iloc[0])
    assert trial.strategies["survival"].iloc[1] == pytest.approx(0.8)

    trial, reason = reasons(
        courses(*[(str(number), 9, number == 1, 0) for number in range(4)])
    )  # everybody started on day 0
    assert trial.strategies["survival"].iloc[0] == pytest.approx(0.75)
    assert np.isnan(trial.strategies["survival"].iloc[1])
    assert reason["survival_difference"].startswith("not estimable: nobody who kept to the strategy")

    _, reason = reasons(courses(*lived, ("e", 9, False, 0), ("f", 9, False, 1)))  # nobody died
    assert reason["hazard_ratio"] == "not estimable: nobody died"
    assert reason["risk_ratio"].startswith("not estimable")
    assert reason["survival_difference"] == "no limits: no bootstrap"

    with_era = courses(*lived, ("e", 9, False, 0), ("f", 9, True, 1), ("g", 9, True, NEVER)).assign(
        historic=[1, 1, 1, 1, 0, 0, 0]
    )
    trial, reason = reasons(with_era, ["historic"])  # those of the old days could not start
    assert reason.str.contains("separate").all()
    assert trial.strategies["survival"].isna().all()
    with pytest.raises(weighting.NotEstimable):
        emulation.censoring_weights(with_era, ["historic"], grace_days=1, horizon_days=9)

    one, _ = reasons(courses(("a", 9, True, 0)))
    assert one.strategies["survival"].iloc[0] == 0


def test_covariates_must_be_known():
    with pytest.raises(ValueError, match="age has a missing"):
        emulation.emulated_trial(courses(("a", 9, True, 0), ("b", 9, True, 0)).assign(age=[1, None]), ["age"])
    with pytest.raises(ValueError, match="no courses"):
        emulation.emulated_trial(courses(), [])
