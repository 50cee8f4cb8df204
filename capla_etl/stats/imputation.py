"""Multiple imputation of missing covariates by chained equations, and pooling of the results by Rubin's rules.

Outcomes and treatment are never imputed. The analysis of each completed data set does not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN

DONORS = 5  # as R mice
RIDGE = 1e-5  # of the diagonal, as R mice: collinear predictors are harmless
ITERATIONS = 10  # rounds of the chain before a data set is taken


class PooledEstimate(NamedTuple):
    """One estimate pooled over the completed data sets."""

    estimate: float
    standard_error: float
    df: float
    lower: float
    upper: float
    p_value: float
    fraction_missing: float


def rubin(
    estimates: Sequence[float], standard_errors: Sequence[float], *, complete_data_df: float = math.inf
) -> PooledEstimate:
    """Pool the estimates of one quantity from the completed data sets.

    Args:
        estimates: one per data set, on a scale where they are about normal (log odds, not odds ratios).
        standard_errors: one per data set, > 0.
        complete_data_df: degrees of freedom without missing values (patients minus parameters); infinite for a large
            sample.

    Returns:
        ``estimate``, ``standard_error``, ``df`` (Barnard and Rubin when ``complete_data_df`` is finite), ``lower`` and
        ``upper`` (95 %), ``p_value`` (that the quantity is 0), ``fraction_missing`` (of information). All but the
        estimate are NaN with a single data set, no degrees of freedom, or an estimate or error that is NaN.

    Raises:
        ValueError: no estimates, a number of errors other than that of estimates, or an error that is not positive.

    Source:
        Rubin 1987; Barnard and Rubin, Biometrika 1999;86:948; as R mice ``pool`` (which in the degrees of freedom takes
        a share of variance due to missing values below 1e-4 as 1e-4) and ``summary(conf.int = TRUE)``.
    """
    from scipy.special import stdtr, stdtrit

    estimate, error = np.asarray(estimates, dtype=float), np.asarray(standard_errors, dtype=float)
    if not len(estimate) or len(estimate) != len(error):
        raise ValueError(f"one standard error per estimate is needed, found {len(error)} for {len(estimate)}")
    if (error <= 0).any():
        raise ValueError("standard errors must be positive")
    sets, mean = len(estimate), float(estimate.mean())
    if sets < 2 or not complete_data_df > 0 or not (np.isfinite(estimate).all() and np.isfinite(error).all()):
        return PooledEstimate(mean, *[NAN] * 6)
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
    half_width = float(stdtrit(df, 0.975)) * standard_error
    return PooledEstimate(
        mean,
        standard_error,
        df,
        mean - half_width,
        mean + half_width,
        2 * float(stdtr(df, -abs(mean) / standard_error)),
        (increase + 2 / (df + 3)) / (increase + 1),
    )


def impute(data: pd.DataFrame, columns: Sequence[str], *, imputations: int, seed: int) -> list[pd.DataFrame]:
    """Complete the missing values of covariates several times, by regressions on all other columns (chained equations).

    Each missing value becomes that of one of the five patients with the nearest prediction (predictive mean matching):
    only values that occur are imputed, so numbers stay in range and yes/no stays yes/no.

    Args:
        data: one row per patient: the columns to complete, and the columns that only predict (treatment, outcome:
            without them the imputed values would dilute their effect), of which none is missing. Numbers or yes/no
            (bool).
        columns: the columns to complete.
        imputations: number of completed data sets.
        seed: of the random numbers; the same seed gives the same data. The global random state is neither used nor
            changed.

    Returns:
        ``imputations`` data frames with the rows, index and columns of ``data``, the completed ones as floats (or
        bool).

    Raises:
        ValueError: a column that is not numeric, is infinite, is missing for all patients, or only predicts and is
            missing for some; fewer than one imputation.

    Source:
        van Buuren, Flexible Imputation of Missing Data, 2018, algorithms 3.1 and 3.3; as R mice ``method = "pmm"``.
        Written here: statsmodels ``MICE`` draws from numpy's global random state.
    """
    if imputations < 1:
        raise ValueError(f"at least one imputation is needed, found {imputations}")
    values = np.column_stack([np.empty((len(data), 0)), *[_numbers(data[name]) for name in data.columns]])
    missing = np.isnan(values)
    positions = [data.columns.get_loc(name) for name in columns]
    for position, name in enumerate(data.columns):
        if missing[:, position].any() and position not in positions:
            raise ValueError(
                f"{name} is missing for {missing[:, position].sum()} patients and is not among the columns to complete"
            )
        if len(data) and missing[:, position].all():
            raise ValueError(f"{name} is missing for everyone: there is no value to impute")
    to_complete = [position for position in positions if missing[:, position].any()]
    generator = np.random.default_rng(seed)
    completed = []
    for _ in range(imputations):
        current = values.copy()
        for position in to_complete:  # the chain starts with values of other patients
            absent = missing[:, position]
            current[absent, position] = generator.choice(values[~absent, position], absent.sum())
        for _ in range(ITERATIONS):
            for position in to_complete:
                predictors = np.delete(current, position, axis=1)
                absent = missing[:, position]
                current[absent, position] = _matched(values[:, position], predictors, absent, generator)
        filled = {
            name: current[:, position].astype(bool if _is_yes_no(data[name]) else float)
            for name, position in zip(columns, positions, strict=True)
        }
        completed.append(data.assign(**filled))
    return completed


def _is_yes_no(column: pd.Series) -> bool:
    """Whether the known values are True and False."""
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
    """One draw for each missing value: the value of one of the patients whose predictions are nearest.

    Args:
        values: of the column, NaN where missing.
        predictors: one row per patient, one column per predictor, complete.
        absent: whether the value is missing.
        generator: of the random numbers.
    """
    # In random order, so that among equal predictions the order of patients does not matter.
    present = generator.permutation(np.flatnonzero(~absent))
    varying = np.ptp(predictors[present], axis=0) > 0
    predictors = predictors[:, varying]
    scaled = (predictors - predictors[present].mean(axis=0)) / predictors[present].std(axis=0)
    design = np.column_stack([np.ones(len(scaled)), scaled])
    known, outcome = design[present], values[present]
    cross = known.T @ known
    inverse = np.linalg.inv(cross + RIDGE * np.diag(np.diag(cross)))
    coefficients = inverse @ known.T @ outcome
    residual = outcome - known @ coefficients
    # A draw of the coefficients, so that data sets differ by the uncertainty of the regression.
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
