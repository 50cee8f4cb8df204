"""The bootstrap by cells: distributed as drawing patients, equal to closed forms, with nominal coverage."""

import warnings

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import resampling, survival


def simulated(patients, seed, *, whole=True):
    """Two groups over 90 days, deaths more often in b, a third censored early; cause 2 competes."""
    generator = np.random.default_rng(seed)
    group = np.where(np.arange(patients) % 2, "b", "a")
    death = generator.exponential(np.where(group == "a", 300, 120))
    lost = np.where(generator.random(patients) < 0.33, 90 * generator.random(patients), 90)
    time = np.minimum(death, lost)
    event = (death <= lost).astype(bool)
    cause = np.where(event, np.where(generator.random(patients) < 0.6, 1, 2), 0)
    return pd.DataFrame({"group": group, "time_days": np.ceil(time) if whole else time, "event": event, "cause": cause})


def by_patients(courses, statistic, replicates, seed):
    """The plain bootstrap: patients drawn with replacement within each group, everything computed again."""
    generator = np.random.default_rng(seed)
    groups = [members for _, members in courses.groupby("group", sort=False)]
    return np.array(
        [
            statistic(pd.concat([own.iloc[generator.integers(0, len(own), len(own))] for own in groups]))
            for _ in range(replicates)
        ],
        dtype=float,
    )


def kaplan_meier(own):
    """Days with a death and the curve from each on, by the definition."""
    days, died = np.unique(own["time_days"][own["event"]], return_counts=True)
    return days, np.cumprod(1 - died / (own["time_days"].to_numpy()[:, None] >= days).sum(axis=0))


def survival_difference(courses):
    first, second = (kaplan_meier(own)[1][-1] for _, own in courses.groupby("group", sort=False))
    return first - second


@pytest.mark.parametrize("whole", [True, False])
def test_drawing_cells_is_drawing_patients(whole):
    courses = simulated(200, seed=1, whole=whole)
    result = resampling.bootstrap_survival_difference(courses, 90, replicates=4000, seed=2)
    plain = by_patients(courses, survival_difference, 200, seed=3)
    assert result.estimate == pytest.approx(survival_difference(courses), rel=1e-12)
    # Simulation error of 200 plain replicates: 1 / sqrt(2 x 200) = 5 % of the standard error, 2.7 / sqrt(200) = 0.19 of
    # it in a limit.
    assert result.standard_error == pytest.approx(plain.std(ddof=1), rel=0.15)
    assert [result.lower, result.upper] == pytest.approx(
        np.quantile(plain, [0.025, 0.975]).tolist(), abs=0.57 * result.standard_error
    )


def test_the_estimate_and_its_error_are_those_of_the_curves():
    courses = simulated(300, seed=4, whole=False)
    for day in (30, 90):
        result = resampling.bootstrap_survival_difference(courses, day, replicates=2000, seed=1)
        one, two = survival.survival_at(courses, [day]).itertuples()
        assert result.estimate == pytest.approx(one.survival - two.survival, rel=1e-12)
        assert result.standard_error == pytest.approx(np.hypot(one.standard_error, two.standard_error), rel=0.1)


def test_without_censoring_replicates_are_binomial():
    # Survival to day 30 of n patients followed to day 90 is a mean of n yes and no: variance p (1 - p) / n. Nobody dies
    # in b.
    table = pd.DataFrame(
        {"group": "a", "time_days": [10] * 12 + [50] * 8 + [90] * 20, "event": [True] * 12 + [False] * 28}
    )
    both = pd.concat([table, table.assign(group="b", event=False)])
    found = resampling.bootstrap_survival_difference(both, 30, replicates=20000, seed=5)
    assert found.estimate == pytest.approx(0.7 - 1, rel=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(0.7 * 0.3 / 40), rel=0.02)
    # binomial quantiles: qbinom(c(0.025, 0.975), 40, 0.7) / 40
    assert (found.lower, found.upper) == (pytest.approx(22 / 40 - 1), pytest.approx(33 / 40 - 1))


def test_ninety_five_percent_intervals_hold_the_truth_about_that_often():
    # Truth: exponential survival at day 90. 200 samples: 95 % +- 3 %, less the loss of percentile intervals in samples
    # of 150 patients per group.
    truth = np.exp(-90 / 300) - np.exp(-90 / 120)
    inside = 0
    for seed in range(200):
        result = resampling.bootstrap_survival_difference(
            simulated(300, seed=1000 + seed), 90, replicates=300, seed=seed
        )
        inside += result.lower <= truth <= result.upper
    assert 0.91 <= inside / 200 <= 0.985


def test_the_seed_decides_and_the_order_of_rows_does_not():
    courses = simulated(100, seed=6)
    once = resampling.bootstrap_survival_difference(courses, 60, replicates=200, seed=7)
    assert once == resampling.bootstrap_survival_difference(courses, 60, replicates=200, seed=7)
    assert once != resampling.bootstrap_survival_difference(courses, 60, replicates=200, seed=8)
    turned = resampling.bootstrap_survival_difference(courses[::-1], 60, replicates=200, seed=7)  # b comes first now
    assert (turned.estimate, turned.lower, turned.upper) == pytest.approx(
        (-once.estimate, -once.upper, -once.lower), rel=1e-9
    )


def courses(*rows):
    return pd.DataFrame(rows, columns=["group", "time_days", "event"])


def test_many_replicates_come_in_portions_of_the_same_kind(monkeypatch):
    table = simulated(100, seed=9)
    whole = resampling.bootstrap_survival_difference(table, 60, replicates=2000, seed=1)
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 5000)
    portions = resampling.bootstrap_survival_difference(table, 60, replicates=2000, seed=1)
    assert portions.estimate == whole.estimate and portions.standard_error == pytest.approx(
        whole.standard_error, rel=0.1
    )


def test_no_interval_is_made_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alive = courses(("a", 10, False), ("a", 20, False), ("b", 20, False))
        found = resampling.bootstrap_survival_difference(alive, 20, replicates=50, seed=1)
        assert found.estimate == 0 and np.isnan([found.lower, found.upper]).all()
        assert np.isnan(resampling.bootstrap_survival_difference(alive, 21, replicates=50, seed=1)).all()
        assert np.isnan(resampling.bootstrap_survival_difference(courses(), 1, seed=1)).all()
        one_arm = courses(("a", 1, True), ("a", 2, False))
        assert np.isnan(resampling.bootstrap_survival_difference(one_arm, 1, seed=1)).all()


def test_impossible_questions_are_refused():
    table = courses(("a", 1, True), ("b", 2, True), ("c", 2, False))
    with pytest.raises(ValueError, match="two groups"):
        resampling.bootstrap_survival_difference(table, 1, seed=1)
    with pytest.raises(ValueError, match="replicates"):
        resampling.bootstrap_survival_difference(table[:2], 1, replicates=1, seed=1)
