"""Simulated patients whose true effect is known: which analyses find it, and how often the intervals cover it.

Everything is seeded. An average over replications must lie within 3 of its standard errors of the truth; the number of
intervals that cover it within the central 99.9 % of the binomial distribution of as many intervals that each cover with
probability 0.95.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from capla_etl.stats import weighting
from capla_etl.stats.cox import cox_regression
from capla_etl.stats.emulation import emulated_trial
from capla_etl.stats.exposure import expand_time_dependent, landmark
from capla_etl.stats.proportions import newcombe_difference, wilson

HORIZON_DAYS, GRACE_DAYS = 60, 10


def is_about(estimates, truth: float) -> bool:
    estimates = np.asarray(estimates, dtype=float)
    return abs(estimates.mean() - truth) < 3 * estimates.std(ddof=1) / np.sqrt(len(estimates))


def is_nominal(covered) -> bool:
    lowest, highest = binom.ppf([0.0005, 0.9995], len(covered), 0.95)
    return bool(lowest <= np.sum(covered) <= highest)


def courses_of_a_useless_drug(generator, patients: int) -> pd.DataFrame:
    """Severe patients die sooner, and are meant to get the drug sooner unless they die first; it does nothing."""
    severe = generator.random(patients) < 0.5
    death_day = generator.geometric(np.where(severe, 0.03, 0.01)) - 1
    meant_day = np.where(
        generator.random(patients) < 0.8, generator.geometric(np.where(severe, 0.08, 0.04)) - 1, np.inf
    )
    time_days = np.minimum(death_day, HORIZON_DAYS)
    return pd.DataFrame(
        {
            "patient_id": np.arange(patients),
            "time_days": time_days,
            "event": death_day <= HORIZON_DAYS,
            "severe": severe.astype(int),
            "start_day": np.where(meant_day <= time_days, meant_day, np.nan),
        }
    )


def log_hazard_ratio(table: pd.DataFrame, *others: str, **options) -> float:
    return cox_regression(table, ["exposed", *others], **options).table["coef"].iloc[0]


@pytest.fixture(scope="module")
def useless_drug():
    """Log hazard ratios by analysis, one row per replication; the truth is 0."""
    generator = np.random.default_rng(20260101)
    rows = []
    for _ in range(30):
        courses = courses_of_a_useless_drug(generator, 300)
        emulated, unadjusted = (
            emulated_trial(
                courses, covariates, grace_days=GRACE_DAYS, horizon_days=HORIZON_DAYS, truncate_percentile=percentile
            ).hazard_ratio["estimate"]
            for covariates, percentile in ((["severe"], 100), ([], 99))
        )
        rows.append(
            {
                "ever_treated": log_hazard_ratio(courses.assign(exposed=courses["start_day"].notna()), "severe"),
                "landmark": log_hazard_ratio(landmark(courses, day=GRACE_DAYS, start_day="start_day"), "severe"),
                "time_dependent": log_hazard_ratio(
                    expand_time_dependent(courses, start_day="start_day"), "severe", start="interval_start_days"
                ),
                "emulated": np.log(emulated),
                "emulated_unadjusted": np.log(unadjusted),
            }
        )
    return pd.DataFrame(rows)


def test_immortal_time_makes_a_useless_drug_look_protective(useless_drug):
    assert np.exp(useless_drug["ever_treated"].mean()) < 0.6
    assert (useless_drug["ever_treated"] < 0).all()


@pytest.mark.parametrize("analysis", ["landmark", "time_dependent", "emulated"])
def test_analyses_without_immortal_time_find_no_effect(useless_drug, analysis):
    assert is_about(useless_drug[analysis], 0)


def test_an_emulation_without_the_confounder_blames_the_drug(useless_drug):
    assert not is_about(useless_drug["emulated_unadjusted"], 0)
    assert useless_drug["emulated_unadjusted"].mean() > 0.1


def confounded_patients(generator, patients: int) -> pd.DataFrame:
    """The drug lowers the risk by 5 points, by 15 if severe; severe and old patients get it, and die, more often."""
    severe, age = generator.random(patients) < 0.5, generator.random(patients)
    score = 1 / (1 + np.exp(1.5 - 1.5 * severe - 1.5 * age))
    exposed = generator.random(patients) < score
    risk = 0.2 + 0.25 * severe + 0.3 * age - exposed * (0.05 + 0.1 * severe)
    return pd.DataFrame(
        {
            "severe": severe.astype(int),
            "age": age,
            "score": score,
            "exposed": exposed,
            "died": generator.random(patients) < risk,
        }
    )


def true_difference(estimand: str) -> float:
    """Mean effect over the patients of the estimand: all, weighted by 1 (ate) or score (1 - score) (overlap)."""
    age = (np.arange(10_000) + 0.5) / 10_000
    score = {severe: 1 / (1 + np.exp(1.5 - 1.5 * severe - 1.5 * age)) for severe in (0, 1)}
    share = {severe: {"ate": np.ones_like(age), "overlap": p * (1 - p)}[estimand].mean() for severe, p in score.items()}
    return -0.05 - 0.1 * share[1] / (share[0] + share[1])


@pytest.fixture(scope="module")
def differences():
    """Risk differences by analysis, one row per replication."""
    generator = np.random.default_rng(20260102)
    rows = []
    for _ in range(40):
        patients = confounded_patients(generator, 600)
        scores = weighting.propensity_scores(patients, "exposed", ["severe", "age"])
        weights = {
            "ate": weighting.inverse_probability_weights(scores, patients["exposed"]),
            "overlap": weighting.overlap_weights(scores, patients["exposed"]),
            "unweighted": np.ones(len(patients)),
        }
        rows.append(
            {
                name: weighting.weighted_risks(patients["died"], patients["exposed"], weight)
                .set_index("quantity")
                .loc["difference", "estimate"]
                for name, weight in weights.items()
            }
        )
    return pd.DataFrame(rows)


def test_confounding_hides_a_true_effect(differences):
    assert differences["unweighted"].mean() > true_difference("ate") + 0.08


@pytest.mark.parametrize("estimand", ["ate", "overlap"])
def test_weights_recover_the_true_effect_of_whom_they_are_about(differences, estimand):
    assert is_about(differences[estimand], true_difference(estimand))


def test_intervals_of_proportions_cover_the_truth():
    events = np.random.default_rng(20260103).binomial([80, 120], [0.15, 0.3], size=(1000, 2))
    limits = [wilson(int(number), 80) for number in events[:, 0]]
    assert is_nominal([lower <= 0.15 <= upper for lower, upper in limits])
    limits = [newcombe_difference(int(one), 80, int(two), 120)[1:] for one, two in events]
    assert is_nominal([lower <= -0.15 <= upper for lower, upper in limits])


def test_intervals_of_the_hazard_ratio_cover_the_truth():
    generator = np.random.default_rng(20260104)
    exposed = np.arange(150) % 2
    covered = []
    for _ in range(300):
        death_day = generator.exponential(np.where(exposed == 1, 120, 60))
        table = pd.DataFrame({"time_days": np.minimum(death_day, 90), "event": death_day <= 90, "exposed": exposed})
        row = cox_regression(table, ["exposed"]).table.iloc[0]
        covered.append(row["lower"] <= 0.5 <= row["upper"])
    assert is_nominal(covered)


def test_intervals_of_the_weighted_risk_difference_cover_the_truth():
    # With the true scores: the error takes the weights as known.
    generator = np.random.default_rng(20260105)
    covered = []
    for _ in range(300):
        patients = confounded_patients(generator, 500)
        weights = weighting.inverse_probability_weights(patients["score"], patients["exposed"])
        row = (
            weighting.weighted_risks(patients["died"], patients["exposed"], weights)
            .set_index("quantity")
            .loc["difference"]
        )
        covered.append(row["lower"] <= true_difference("ate") <= row["upper"])
    assert is_nominal(covered)
