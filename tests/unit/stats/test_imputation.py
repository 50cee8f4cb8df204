"""Rubin's rules as R mice; chained equations keep what is known and undo the bias of leaving patients out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats.imputation import impute, rubin

ESTIMATES, ERRORS = [0.52, 0.61, 0.47, 0.66, 0.58], [0.21, 0.19, 0.24, 0.2, 0.22]


@pytest.mark.parametrize(
    ("complete_data_df", "df", "fraction_missing"),
    # mice 3.15: pool.scalar(e, se^2, n = complete_data_df + 1, k = 1)[c("df", "fmi")]
    [
        (math.inf, 241.3922881298568, 0.1358567222889141),
        (95, 60.69484781675545, 0.1560843359141788),
        (12, 8.733413555615602, 0.2772380963168622),
    ],
)
def test_rubins_rules_are_those_of_mice(complete_data_df, df, fraction_missing):
    pooled = rubin(ESTIMATES, ERRORS, complete_data_df=complete_data_df)
    assert pooled.estimate == pytest.approx(0.568, rel=1e-12)
    assert pooled.standard_error == pytest.approx(math.sqrt(0.051924), rel=1e-12)
    assert (pooled.df, pooled.fraction_missing) == pytest.approx((df, fraction_missing), rel=1e-12)


def test_a_pooled_coefficient_has_the_interval_and_p_of_mice():
    """summary(pool(with(mice(nhanes, m = 5, seed = 7), lm(chl ~ bmi + age))), conf.int = TRUE), the term bmi."""
    estimates = [5.683129945862799, 6.169564176548511, 6.690612464375788, 6.175279785041609, 5.081417143622186]
    errors = [1.758750230920878, 1.464125902967892, 1.641080235699147, 2.093575174750472, 1.401739474325578]
    pooled = rubin(estimates, errors, complete_data_df=22)
    assert pooled == pytest.approx(
        (
            5.960000703090179,
            1.815867555130538,
            16.249960583357559,
            2.115340278881788,
            9.804661127298569,
            0.004613761517363665,
            0.2239574540249409,
        ),
        rel=1e-10,
    )


def test_nothing_missing_is_nothing_added():
    pooled = rubin([0.5, 0.5, 0.5], [0.2, 0.2, 0.2])
    assert pooled.standard_error == pytest.approx(0.2)
    assert pooled.lower == pytest.approx(0.5 - 1.959963984540054 * 0.2, rel=1e-6)


def test_what_cannot_be_pooled():
    for alone in (
        rubin([0.5], [0.2]),
        rubin(ESTIMATES, ERRORS, complete_data_df=0),
        rubin([0.5, 0.6], [0.2, math.nan]),
    ):
        assert np.isfinite(alone.estimate)
        assert np.isnan(alone[1:]).all()
    for estimates, errors in [([], []), ([1, 2], [1]), ([1, 2], [1, 0])]:
        with pytest.raises(ValueError, match="standard error"):
            rubin(estimates, errors)


def patients(number: int = 800) -> pd.DataFrame:
    """Severity rises with age and is missing more often in the old, so the known mean is too low (true: 1.5, 0.5)."""
    generator = np.random.default_rng(11)
    age = generator.normal(50, 10, number)
    severity = 1.5 + 0.1 * (age - 50) + generator.normal(0, 0.5, number)
    coma = pd.Series(generator.random(number) < 1 / (1 + np.exp(-2 * (severity - 1.5))), dtype="boolean")
    coma[generator.random(number) < 0.3] = pd.NA
    severity[generator.random(number) < 1 / (1 + np.exp(-0.2 * (age - 50)))] = np.nan
    return pd.DataFrame(
        {"age": age, "severity": severity, "coma": coma, "died": generator.random(number) < 0.1},
        index=np.arange(number) + 100,
    )


def test_imputation_keeps_what_is_known_and_corrects_what_leaving_out_distorts():
    data = patients()
    completed = impute(data, ["severity", "coma"], imputations=8, seed=3)
    assert len(completed) == 8
    for one in completed:
        assert list(one.columns) == list(data.columns)
        assert one.index.equals(data.index)
        assert one.notna().all(axis=None)
        assert (one["severity"] == data["severity"])[data["severity"].notna()].all()
        assert (one["coma"] == data["coma"])[data["coma"].notna()].all()
        assert one["coma"].dtype == bool
        assert set(one["severity"]) <= set(data["severity"].dropna())  # only values that occur
    assert data["severity"].mean() < 1.1
    assert np.mean([one["severity"].mean() for one in completed]) == pytest.approx(1.5, abs=0.1)
    assert np.mean([one["coma"].mean() for one in completed]) == pytest.approx(0.5, abs=0.05)
    assert not completed[0].equals(completed[1])


def test_the_seed_alone_decides():
    data, state = patients(120), np.random.get_state()[1].copy()
    first, again, other = (impute(data, ["severity", "coma"], imputations=2, seed=seed) for seed in (3, 3, 4))
    assert all(one.equals(two) for one, two in zip(first, again, strict=True))
    assert not first[0].equals(other[0])
    assert (np.random.get_state()[1] == state).all()


def test_imputation_at_the_edge():
    complete = pd.DataFrame({"age": [50.0, 60.0], "sex": [True, False]})
    assert all(one.equals(complete) for one in impute(complete, ["age"], imputations=2, seed=1))
    # One value known, constant and collinear predictors: there is only that value to take.
    data = pd.DataFrame({"x": [7.0, None, None], "same": [1, 1, 1], "y": [1, 2, 3], "twice": [2, 4, 6]})
    assert list(impute(data, ["x"], imputations=1, seed=1)[0]["x"]) == [7, 7, 7]
    collinear = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6, 7, None], "y": range(8), "twice": range(0, 16, 2)})
    assert impute(collinear, ["x"], imputations=1, seed=1)[0]["x"].between(1, 7).all()
    assert list(impute(data[["x"]], ["x"], imputations=1, seed=1)[0]["x"]) == [7, 7, 7]
    assert len(impute(complete.iloc[:0], ["age"], imputations=2, seed=1)) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": [None, None], "y": [1, 2]}, "x is missing for everyone"),
        ({"x": [1.0, None], "y": [1.0, None]}, "y is missing for 1 patients and is not among the columns to complete"),
        ({"x": [1.0, None], "y": ["a", "b"]}, "y is neither numbers nor yes/no"),
        ({"x": [1.0, None], "y": [1.0, np.inf]}, "y has infinite values"),
    ],
)
def test_what_cannot_be_imputed_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        impute(pd.DataFrame(data), ["x"], imputations=1, seed=1)


def test_no_imputation_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        impute(patients(5), ["severity"], imputations=0, seed=1)
