"""Multiple imputation of missing covariates by chained equations, and pooling of the results by Rubin's rules.

Outcomes and treatment are never imputed. The analysis of each completed data set does not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

NAN = float("nan")
DONORS = 5  # as R mice
RIDGE = 1e-5  # of the diagonal, as R mice: collinear predictors are harmless


class PooledEstimate(NamedTuple):
    """One estimate pooled over the completed data sets."""

    estimate: float
    standard_error: float
    df: float
    lower: float
    upper: float
    p_value: float
    fraction_missing: float
    relative_increase: float


def rubin(
    estimates: Sequence[float],
    standard_errors: Sequence[float],
    *,
    complete_data_df: float = math.inf,
    level: float = 0.95,
) -> PooledEstimate:
    """Pool the estimates of one quantity from the completed data sets.

    Args:
        estimates: one per data set, on a scale where they are about normal (log odds, not odds ratios).
        standard_errors: one per data set, > 0.
        complete_data_df: degrees of freedom had nothing been missing (patients minus parameters); infinite for a large sample.
        level: confidence level, 0 to 1.

    Returns:
        ``estimate``, ``standard_error``, ``df`` (Barnard and Rubin when ``complete_data_df`` is finite), ``lower`` and ``upper``,
        ``p_value`` (that the quantity is 0), ``fraction_missing`` (of information) and ``relative_increase`` (of variance, because of what
        is missing). Everything but the estimate is NaN with a single data set, no degrees of freedom, or an estimate or error that is NaN.

    Raises:
        ValueError: no estimates, not as many errors as estimates, an error that is not positive, or a level outside 0..1.

    Source:
        Rubin 1987; Barnard and Rubin, Biometrika 1999;86:948; as R mice ``pool`` (which takes a share of variance due to missing values
        below 1e-4 as 1e-4 in the degrees of freedom) and ``summary(conf.int = TRUE)``.
    """
    from scipy.special import stdtr, stdtrit

    estimate, error = np.asarray(estimates, dtype=float), np.asarray(standard_errors, dtype=float)
    if not len(estimate) or len(estimate) != len(error):
        raise ValueError(f"one standard error per estimate is needed, found {len(error)} for {len(estimate)}")
    if (error <= 0).any():
        raise ValueError("standard errors must be positive")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1 (0.95 for 95 %), found {level}")
    sets, mean = len(estimate), float(estimate.mean())
    if sets < 2 or not complete_data_df > 0 or not (np.isfinite(estimate).all() and np.isfinite(error).all()):
        return PooledEstimate(mean, *[NAN] * 7)
    within = float((error**2).mean())
    between = (1 + 1 / sets) * float(estimate.var(ddof=1))
    total = within + between
    share = max(between / total, 1e-4)
    df = (sets - 1) / share**2
    if math.isfinite(complete_data_df):
        df_observed = (complete_data_df + 1) / (complete_data_df + 3) * complete_data_df * (1 - share)
        df = df * df_observed / (df + df_observed)
    increase = between / within
    standard_error = math.sqrt(total)
    half_width = float(stdtrit(df, (1 + level) / 2)) * standard_error
    return PooledEstimate(
        mean,
        standard_error,
        df,
        mean - half_width,
        mean + half_width,
        2 * float(stdtr(df, -abs(mean) / standard_error)),
        (increase + 2 / (df + 3)) / (increase + 1),
        increase,
    )


def impute(
    data: pd.DataFrame, columns: Sequence[str], *, imputations: int, seed: int, iterations: int = 10
) -> list[pd.DataFrame]:
    """Complete the missing values of covariates several times, each from a regression on all other columns (chained equations).

    Each missing value becomes that of one of the five patients with the nearest prediction (predictive mean matching): only values that
    occur are imputed, so numbers stay in range and yes/no stays yes/no.

    Args:
        data: one row per patient: the columns to complete, and the columns that only predict (treatment, outcome: without them the imputed
            values would dilute their effect), none of these missing. Numbers or yes/no (bool).
        columns: which to complete.
        imputations: how many completed data sets.
        seed: of the random numbers; the same seed gives the same data. The global random state is neither used nor changed.
        iterations: rounds of the chain before a data set is taken.

    Returns:
        ``imputations`` data frames with the rows, index and columns of ``data``, the completed ones as floats (bool when they are).

    Raises:
        ValueError: a column that is not numeric, is infinite, is missing for everyone, or only predicts and is missing for someone; fewer than
            one imputation or iteration.

    Source:
        van Buuren, Flexible Imputation of Missing Data, 2018, algorithms 3.1 and 3.3; as R mice ``method = "pmm"``. By hand: statsmodels ``MICE``
        draws from numpy's global random state.
    """
    if imputations < 1 or iterations < 1:
        raise ValueError(f"at least one imputation and one iteration are needed, found {imputations} and {iterations}")
    values = (
        np.column_stack([_numbers(data[name]) for name in data.columns])
        if len(data.columns)
        else np.empty((len(data), 0))
    )
    missing = np.isnan(values)
    positions = [data.columns.get_loc(name) for name in columns]
    for position, name in enumerate(data.columns):
        if missing[:, position].any() and position not in positions:
            raise ValueError(f"{name} is missing for {missing[:, position].sum()} patients and is not to be completed")
        if len(data) and missing[:, position].all():
            raise ValueError(f"{name} is missing for everyone: nothing to impute from")
    to_complete = [position for position in positions if missing[:, position].any()]
    generator = np.random.default_rng(seed)
    completed = []
    for _ in range(imputations):
        current = values.copy()
        for position in to_complete:  # where the chain starts: values of other patients
            absent = missing[:, position]
            current[absent, position] = generator.choice(values[~absent, position], absent.sum())
        for _ in range(iterations if to_complete else 0):
            for position in to_complete:
                predictors = np.delete(current, position, axis=1)
                current[missing[:, position], position] = _matched(
                    values[:, position], predictors, missing[:, position], generator
                )
        filled = {
            name: current[:, position].astype(bool if _is_yes_no(data[name]) else float)
            for name, position in zip(columns, positions, strict=True)
        }
        completed.append(data.assign(**filled))
    return completed


def _is_yes_no(column: pd.Series) -> bool:
    """Whether the values that are there are True and False."""
    return pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def _numbers(column: pd.Series) -> np.ndarray:
    """The column as floats, missing as NaN."""
    if not (_is_yes_no(column) or pd.api.types.is_numeric_dtype(column) or column.isna().all()):
        raise ValueError(f"{column.name} is neither numbers nor yes/no (bool)")
    numbers = column.astype("boolean" if _is_yes_no(column) else "Float64").to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(numbers).any():
        raise ValueError(f"{column.name} has infinite values")
    return numbers


def _matched(
    values: np.ndarray, predictors: np.ndarray, absent: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """One draw for each missing value: a value of one of the patients whose prediction is nearest.

    Args:
        values: of the column, NaN where missing.
        predictors: one row per patient, one column per predictor, complete.
        absent: whether the value is missing.
        generator: of the random numbers.
    """
    present = generator.permutation(
        np.flatnonzero(~absent)
    )  # so that among equal predictions the order of patients does not matter
    varying = np.ptp(predictors[present], axis=0) > 0
    predictors = predictors[:, varying]
    scaled = (predictors - predictors[present].mean(axis=0)) / predictors[present].std(axis=0)
    design = np.column_stack([np.ones(len(scaled)), scaled])
    known, outcome = design[present], values[present]
    cross = known.T @ known
    inverse = np.linalg.inv(cross + RIDGE * np.diag(np.diag(cross)))
    coefficients = inverse @ known.T @ outcome
    residual = outcome - known @ coefficients
    # A draw of the coefficients, so that data sets differ by what the regression does not know.
    deviation = math.sqrt(residual @ residual / generator.chisquare(max(len(outcome) - design.shape[1], 1)))
    drawn = coefficients + deviation * np.linalg.cholesky(inverse) @ generator.standard_normal(design.shape[1])
    order = np.argsort(known @ coefficients, kind="stable")
    predicted, wanted = (known @ coefficients)[order], design[absent] @ drawn
    # The nearest lie among the five on either side.
    near = np.searchsorted(predicted, wanted)[:, None] + np.arange(-DONORS, DONORS)
    inside = (near >= 0) & (near < len(predicted))
    near = near.clip(0, len(predicted) - 1)
    distance = np.where(inside, np.abs(predicted[near] - wanted[:, None]), np.inf)
    nearest = np.take_along_axis(near, np.argsort(distance, axis=1, kind="stable"), axis=1)
    donor = generator.integers(0, min(DONORS, len(predicted)), len(wanted))
    return outcome[order[nearest[np.arange(len(wanted)), donor]]]
