"""Clone, censor, weight: the rules of who leaves which strategy when, and the weighted estimates against R 4.2.2."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import emulation

DATA = Path(__file__).parent / "oracles" / "data"
NEVER = float("nan")


def courses(*rows):
    return pd.DataFrame(rows, columns=["patient_id", "time_days", "event", "start_day"])


def in_strategy(strategy, *course, grace_days=3, horizon_days=90):
    """(event, left, last day at risk) of one patient's clone."""
    read = emulation.read_courses(courses(("a", *course)), grace_days, horizon_days)
    left, last_day = emulation.leaving(read, grace_days)[strategy]
    return bool(read.event[0] and not left[0]), bool(left[0]), int(last_day[0])


@pytest.mark.parametrize(
    ("course", "start", "do_not_start"),
    [
        # time, death, first dose   in "start by day 3"          in "do not start"
        ((90, False, 3), (False, False, 90), (False, True, 2)),  # day 3 is in time
        ((90, False, 4), (False, True, 3), (False, True, 3)),  # day 4 is late
        ((90, False, NEVER), (False, True, 3), (False, False, 90)),
        ((3, True, NEVER), (True, False, 3), (True, False, 3)),  # died before having to start: counts in both
        ((4, True, NEVER), (False, True, 3), (True, False, 4)),
        ((2, True, 2), (True, False, 2), (False, True, 1)),  # the dose comes before the death of its day
        ((5, True, 5), (False, True, 3), (False, True, 4)),
        ((20, True, 0), (True, False, 20), (False, True, -1)),  # a dose on day 0 leaves no time without
        ((20, True, -1), (True, False, 20), (False, True, -1)),  # one before day 0 neither
        ((3, False, NEVER), (False, False, 3), (False, False, 3)),  # lost before having to start: not a deviation
        ((0, True, NEVER), (True, False, 0), (True, False, 0)),
    ],
)
def test_a_clone_leaves_the_strategy_on_the_day_it_deviates(course, start, do_not_start):
    assert in_strategy("start", *course) == start
    assert in_strategy("do_not_start", *course) == do_not_start


def test_the_horizon_ends_follow_up_and_its_deaths_count():
    assert in_strategy("start", 90, True, 1) == (True, False, 90)
    assert in_strategy("start", 91, True, 1) == (False, False, 90)
    assert in_strategy("do_not_start", 200, True, 91) == (False, False, 90)


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
        emulation.read_courses(courses(*rows), 3, 90)
    with pytest.raises(ValueError, match="beyond the grace period"):
        emulation.read_courses(courses(("a", 10, True, NEVER)), 3, 3)


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


# started: glm(I(start <= 30) ~ age + surgery, binomial, subset(d, time > 30)); staying: glm(st ~ factor(period) + age +
# surgery, binomial, person-days of the periods in which somebody started), periods 0, 1, ..., 30, 31-365, w = 1 /
# cumprod(1 - h); coxph(Surv(day, day + 1, event) ~ arm, weights = w, cluster = id); truncated: pmin(w, quantile(last
# weights of those who kept, .9))
@pytest.mark.parametrize(
    ("percentile", "hazard_ratio", "largest_weights"),
    [
        (
            100,
            (0.653393300448649, 0.411302019967433, 1.0379788679496),
            (3.60372274048005, 111.52048058158016),  # max(last weights of those who kept)
        ),
        (
            90,
            (0.905110721262195, 0.560778835900164, 1.46087078416351),
            (2.93903436668146, 4.81671076108961),  # quantile(last weights of those who kept, .9)
        ),
    ],
)
def test_emulated_trial_is_that_of_r(transplants, percentile, hazard_ratio, largest_weights):
    trial = emulation.emulated_trial(
        transplants, ["age", "surgery"], grace_days=30, horizon_days=365, truncate_percentile=percentile
    )
    found = [trial.hazard_ratio[name] for name in ("estimate", "lower", "upper")]
    assert found == pytest.approx(hazard_ratio, rel=1e-7) and trial.hazard_ratio["reason"] is None
    assert trial.strategies["largest_weight"].tolist() == pytest.approx(largest_weights, rel=1e-8)
    assert trial.strategies["censored"].tolist() == [46, 69]


def emulated(table, covariates=()):
    return emulation.emulated_trial(table, list(covariates), grace_days=1, horizon_days=9, truncate_percentile=99)


def test_those_who_started_stand_for_those_who_did_not():
    # In 3 of 4 patients followed beyond day 1 the drug was started by then; 1 of 5 at risk starts on day 0, 2 of 4 on
    # day 1.
    rows = [("a", 9, False, 0), ("b", 9, False, 1), ("c", 9, True, 1), ("d", 9, False, NEVER), ("e", 1, True, NEVER)]
    assert emulated(courses(*rows)).strategies["largest_weight"].tolist() == pytest.approx([4 / 3, 5 / 4 * 2])


def test_what_cannot_be_estimated_says_why():
    lived = [(str(number), 9, False, NEVER) for number in range(4)]
    trial = emulated(courses(*lived, ("d", 5, True, NEVER)))
    assert trial.hazard_ratio["reason"].startswith(
        "not estimable: nobody still followed at the end of the grace period had started"
    )

    trial = emulated(courses(*lived, ("e", 9, False, 0), ("f", 9, False, 1)))
    assert trial.hazard_ratio["reason"] == "not estimable: nobody died"

    with_era = courses(*lived, ("e", 9, False, 0), ("f", 9, True, 1), ("g", 9, True, NEVER)).assign(
        historic=[1, 1, 1, 1, 0, 0, 0]
    )
    trial = emulated(with_era, ["historic"])  # the historic patients could not start
    assert "separate" in trial.hazard_ratio["reason"] and np.isnan(trial.hazard_ratio["estimate"])
    assert trial.strategies["deaths"].tolist() == [1, 1] and trial.strategies["largest_weight"].isna().all()

    one = emulated(courses(("a", 9, True, 0)))
    assert one.strategies["deaths"].tolist() == [1, 0] and np.isnan(one.hazard_ratio["estimate"])


def test_covariates_must_be_known():
    with pytest.raises(ValueError, match="age has a missing"):
        emulated(courses(("a", 9, True, 0), ("b", 9, True, 0)).assign(age=[1, None]), ["age"])
    with pytest.raises(ValueError, match="no courses"):
        emulated(courses())
