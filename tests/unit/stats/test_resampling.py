"""The bootstrap by cells: the same distribution as drawing patients, right where a closed form exists, and honest coverage."""

import warnings

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import competing_risks, resampling, survival


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


def mean_difference(courses):
    def area(days, curve):
        return np.append(1, curve[days < 60]) @ np.diff(np.concatenate([[0], days[days < 60], [60]]))

    first, second = (area(*kaplan_meier(own)) for _, own in courses.groupby("group", sort=False))
    return first - second


@pytest.mark.parametrize(
    ("by_cells", "end", "statistic", "whole"),
    [
        (resampling.bootstrap_survival_difference, 90, survival_difference, True),
        (resampling.bootstrap_survival_difference, 90, survival_difference, False),
        (resampling.bootstrap_restricted_mean_difference, 60, mean_difference, True),
    ],
)
def test_drawing_cells_is_drawing_patients(by_cells, end, statistic, whole):
    courses = simulated(200, seed=1, whole=whole)
    result = by_cells(courses, end, replicates=4000, seed=2)
    plain = by_patients(courses, statistic, 200, seed=3)
    assert result.estimate == pytest.approx(statistic(courses), rel=1e-12)
    # Simulation error of 200 plain replicates: 1 / sqrt(2 x 200) = 5 % of the standard error, 2.7 / sqrt(200) = 0.19 of it in a limit.
    assert result.standard_error == pytest.approx(plain.std(ddof=1), rel=0.15)
    assert [result.lower, result.upper] == pytest.approx(
        np.quantile(plain, [0.025, 0.975]).tolist(), abs=0.57 * result.standard_error
    )


def test_estimates_are_those_of_the_estimators():
    courses = simulated(300, seed=4, whole=False)
    days = [0, 30, 90]
    curve = resampling.bootstrap_survival(courses, days, replicates=2000, seed=1)
    expected = survival.survival_at(courses, days)
    assert curve[["group", "day"]].equals(expected[["group", "day"]])
    assert curve["estimate"].tolist() == pytest.approx(expected["survival"].tolist(), rel=1e-12)
    assert curve["standard_error"].tolist() == pytest.approx(expected["standard_error"].tolist(), rel=0.1)
    incidence = resampling.bootstrap_incidence(courses, days, cause=2, replicates=2000, seed=1)
    expected = competing_risks.aalen_johansen(courses, days, cause=2)
    assert incidence["estimate"].tolist() == pytest.approx(expected["incidence"].tolist(), rel=1e-12)
    assert incidence["standard_error"].tolist() == pytest.approx(expected["standard_error"].tolist(), rel=0.1)


def test_without_censoring_replicates_are_binomial():
    # Survival to day 30 of n patients followed to day 90 is a mean of n yes and no: variance p (1 - p) / n.
    courses = pd.DataFrame(
        {"group": "a", "time_days": [10] * 12 + [50] * 8 + [90] * 20, "event": [True] * 12 + [False] * 28}
    )
    row = resampling.bootstrap_survival(courses, [30], replicates=20000, seed=5).loc[0]
    assert row["estimate"] == pytest.approx(0.7, rel=1e-12)
    assert row["standard_error"] == pytest.approx(np.sqrt(0.7 * 0.3 / 40), rel=0.02)
    # binomial quantiles: qbinom(c(0.025, 0.975), 40, 0.7) / 40
    assert (row["lower"], row["upper"]) == (pytest.approx(22 / 40), pytest.approx(33 / 40))


def test_ninety_five_percent_intervals_hold_the_truth_about_that_often():
    # Truth: exponential survival at day 90. 200 samples: 95 % +- 3 %, less what percentile intervals lose in samples of 150 a group.
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
        curve = resampling.bootstrap_survival(
            courses(("a", 10, False), ("a", 20, False)), [5, 20, 21], replicates=50, seed=1
        )
        assert curve["estimate"].tolist()[:2] == [1, 1] and np.isnan(curve["estimate"][2])
        assert curve[["lower", "upper"]].isna().all().all()
        assert not len(resampling.bootstrap_survival(courses(), [1], seed=1))
        one_arm = courses(("a", 1, True), ("a", 2, False))
        assert np.isnan(resampling.bootstrap_survival_difference(one_arm, 1, seed=1)).all()
        short = courses(("a", 1, True), ("a", 5, True), ("b", 1, True), ("b", 5, False))
        assert np.isnan(
            resampling.bootstrap_restricted_mean_difference(short, 10, replicates=50, seed=1)
        ).all()  # b ends at day 5, some alive
        ended = short.assign(event=True)
        assert resampling.bootstrap_restricted_mean_difference(ended, 10, replicates=50, seed=1).estimate == 0


def test_impossible_questions_are_refused():
    table = courses(("a", 1, True), ("b", 2, True), ("c", 2, False))
    with pytest.raises(ValueError, match="two groups"):
        resampling.bootstrap_survival_difference(table, 1, seed=1)
    with pytest.raises(ValueError, match="weight"):
        resampling.bootstrap_survival(table.assign(weight=1.0), [1], seed=1)
    with pytest.raises(ValueError, match="replicates"):
        resampling.bootstrap_survival(table, [1], replicates=1, seed=1)
    with pytest.raises(ValueError, match="above 0"):
        resampling.bootstrap_restricted_mean_difference(table, 0, seed=1)
