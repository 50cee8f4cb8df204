"""Regression penalised as Firth proposed: finite estimates where groups have no events. Logistic and Cox.

Unpenalised Cox regression is in ``cox``. Which covariates are adjusted for is not decided here.

Solved here: firthmodels gives the same numbers, but on small samples its step halving often ends at rounding and leaves
no p value, and it does not know Efron's ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN, Z_95
from capla_etl.stats.cox import NO_EVENT, NO_VARIATION, identifiable, numeric_column, read_likelihood

INTERCEPT = "(Intercept)"
ALL_EVENTS = "everybody has the event"
NO_MAXIMUM = "no maximum of the penalised likelihood was found"
NO_TEST = "no maximum of the penalised likelihood without the term was found"
NO_LIMIT = "a limit was not found: the profile of the penalised likelihood is not smooth"

_PARABOLIC = 0.15  # how far a limit may be from Wald's, as a share of its distance from the estimate
_CONVERGED = 1e-20  # expected gain in log-likelihood: a step of 1e-10 standard errors


class _Point(NamedTuple):
    """A penalised log-likelihood, its gradient, the information without penalty, and the inverse of the covariance."""

    value: float
    score: np.ndarray
    information: np.ndarray
    precision: np.ndarray


_Objective = Callable[[np.ndarray], _Point | None]


def _maximise(at: _Objective, beta: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, _Point] | None:
    """Maximum over the free coefficients (None: not found).

    By scoring, and where that is slow by Newton's method with a numerical second derivative.
    """
    point, free = at(beta), np.flatnonzero(free)
    before = math.inf
    for _ in range(200):
        curvature = point.information[np.ix_(free, free)]
        step = np.linalg.solve(curvature, point.score[free])
        gain = point.score[free] @ step
        if 0 <= gain < _CONVERGED:
            return beta, point
        slow, before = gain > before / 50, gain
        if gain < 1e-2 and slow:
            second = _second_derivative(at, beta, point, free)
            newton = step if second is None else np.linalg.lstsq(second, -point.score[free], rcond=None)[0]
            step = newton if point.score[free] @ newton > 0 else step
        rounding = 1e-13 * (1 + abs(point.value))
        for halvings in range(60):
            moved = beta.copy()
            moved[free] += step / 2**halvings
            candidate = at(moved)
            if candidate is not None and candidate.value >= point.value - rounding:
                beta, point = moved, candidate
                break
        if gain < 1e-16:
            curvature = point.information[np.ix_(free, free)]
            if point.score[free] @ np.linalg.solve(curvature, point.score[free]) >= gain:
                return beta, point  # rounding: it gets no better
    return None


def _second_derivative(at: _Objective, beta: np.ndarray, point: _Point, free: np.ndarray) -> np.ndarray | None:
    """By forward differences; None where the likelihood is too small to be computed."""
    columns = []
    for j in free:
        size = 1e-5 / math.sqrt(point.information[j, j])
        moved = beta.copy()
        moved[j] += size
        neighbour = at(moved)
        if neighbour is None:
            return None
        columns.append((neighbour.score[free] - point.score[free]) / size)
    second = np.column_stack(columns)
    return (second + second.T) / 2


def _along_the_profile(beta: np.ndarray, j: int, value: float, covariance: np.ndarray) -> np.ndarray:
    """The coefficients with ``j`` moved to a value and the others as they follow, were the likelihood quadratic."""
    moved = beta + (value - beta[j]) * covariance[j] / covariance[j, j]
    moved[j] = value
    return moved


def _profile_limit(
    at: _Objective, beta: np.ndarray, best: float, j: int, covariance: np.ndarray, direction: int
) -> float:
    """Where the profile of the likelihood in coefficient ``j`` has fallen by half the 95 % quantile of chi-squared.

    NaN where it is not found. Newton's method on the signed root of twice the fall, which is nearly a straight line,
    kept between the nearest points known to lie on either side.
    """
    target, peak = Z_95, beta
    free, error = np.arange(len(beta)) != j, math.sqrt(covariance[j, j])
    inside, outside, value = beta[j], None, beta[j] + direction * target * error
    for _ in range(60):
        start = _along_the_profile(beta, j, value, covariance)
        if at(start) is None:
            outside, value = value, (inside + value) / 2
            continue
        found = _maximise(at, start, free)
        if found is None:
            return NAN
        beta, point = found
        root = math.sqrt(max(2 * (best - point.value), 0.0))
        slope = -point.score[j] * direction / root if root else 0.0
        move = (target - root) / slope if slope > 0 else error
        if slope > 0 and abs(move) < 1e-10 * error:
            # A profile that is nearly a parabola has one ridge: that costs no search for another.
            if abs(abs(value - peak[j]) / (target * error) - 1) < _PARABOLIC:
                return float(value + direction * move)
            starts = _along_the_profile(peak, j, value, covariance), np.where(free, peak, value)
            higher = _higher(at, starts, free, point.value)
            if higher is None:
                return float(value + direction * move)
            # In small samples the profile can have a second, higher ridge: continue along that one.
            beta, inside, outside, value = higher, value, None, value + direction * error / 10
            continue
        inside, outside = (value, outside) if root < target else (inside, value)
        if outside is None:
            value += direction * min(move, 4 * error)
        elif min(inside, outside) < value + direction * move < max(inside, outside):
            value += direction * move
        else:
            value = (inside + outside) / 2
    return NAN


def _higher(at: _Objective, starts: tuple[np.ndarray, ...], free: np.ndarray, value: float) -> np.ndarray | None:
    """Coefficients with a higher likelihood than ``value``, found from one of the starts; None: none found."""
    for start in starts:
        found = _maximise(at, start, free) if at(start) is not None else None
        if found is not None and found[1].value > value + 1e-8:
            return found[0]
    return None


def _fit(
    terms: list[str],
    reasons: list[str | None],
    at: _Objective | None,
    scale: np.ndarray,
    profile_of: list[str],
    ratio: str,
) -> pd.DataFrame:
    """The table of a model: fits the terms without a reason; ``scale`` is the divisor of each term's covariate."""
    from scipy.special import chdtrc

    numbers = dict.fromkeys(["coef", "standard_error", ratio, "lower", "upper", "p_value"], NAN)
    table = pd.DataFrame({"term": terms, **numbers, "reason": pd.Series(reasons, dtype=object)})
    kept = np.flatnonzero(table["reason"].isna())
    if at is None or not len(kept):
        return table
    found = _maximise(at, np.zeros(len(kept)), np.ones(len(kept), dtype=bool))
    if found is None:
        table.loc[kept, "reason"] = NO_MAXIMUM
        return table
    beta, point = found
    scale, covariance = scale[kept], np.linalg.inv(point.information)
    table.loc[kept, "coef"] = beta / scale
    table.loc[kept, "standard_error"] = np.sqrt(np.diag(np.linalg.inv(point.precision))) / scale
    for j, row in enumerate(kept):
        if terms[row] not in profile_of:
            continue
        others = np.arange(len(kept)) != j
        start = _along_the_profile(beta, j, 0.0, covariance)
        without = _maximise(at, beta * others if at(start) is None else start, others)
        if without is None:
            table.loc[row, "reason"] = NO_TEST
        else:
            table.loc[row, "p_value"] = float(chdtrc(1, max(2 * (point.value - without[1].value), 0.0)))
        limits = np.array([_profile_limit(at, beta, point.value, j, covariance, side) / scale[j] for side in (-1, 1)])
        table.loc[row, ["lower", "upper"]] = np.exp(np.minimum(limits, 700))
        if np.isnan(limits).any():
            table.loc[row, "reason"] = NO_LIMIT
    table[ratio] = np.exp(np.minimum(table["coef"], 700))
    return table


def _log_determinant(information: np.ndarray) -> float | None:
    """None where the information is not positive."""
    sign, value = np.linalg.slogdet(information)
    return value if sign > 0 and np.isfinite(value) else None


def _logistic(x: np.ndarray, y: np.ndarray) -> _Objective:
    """Logistic log-likelihood plus half the log determinant of the information; ``x`` is covariates x patients."""
    from scipy.special import expit

    ones = np.ones(len(y))

    def at(beta: np.ndarray) -> _Point | None:
        eta = beta @ x
        if not np.isfinite(eta).all():
            return None
        mean = expit(eta)
        variance = mean * (1 - mean)
        information = (x * variance) @ x.T
        log_determinant = _log_determinant(information)
        if log_determinant is None:
            return None
        leverage = variance * (x * (np.linalg.inv(information) @ x)).sum(axis=0)
        value = ones @ (y * eta - np.logaddexp(0, eta)) + 0.5 * log_determinant
        score = x @ (y - mean + leverage * (0.5 - mean))
        # The penalty stands for extra patients with the weight of the leverage; they count in the errors, as in
        # logistf.
        precision = information + (x * (leverage * mean * (1 - mean))) @ x.T
        return _Point(float(value), score, information, precision)

    return at


def firth_logistic(data: pd.DataFrame, outcome: str, covariates: list[str], profile_of: list[str]) -> pd.DataFrame:
    """Logistic regression with Firth's penalty: finite where an arm has no events.

    Its intercept is biased towards one half: not for predicted risks.

    Args:
        data: one row per patient.
        outcome: column of yes or no (bool or 0/1).
        covariates: numeric or boolean columns.
        profile_of: terms whose limits and p values are wanted; the others get none (they cost most of the time).

    Returns:
        One row per term, "(Intercept)" first: ``term``, ``coef``, ``standard_error``, ``odds_ratio``, ``lower``,
        ``upper`` (of the odds ratio, 95 %, profile penalised likelihood), ``p_value`` (penalised likelihood ratio),
        ``reason`` (None, or why there is no estimate or limit). Nothing is estimated when nobody or everybody has the
        event.

    Raises:
        ValueError: a missing value in any column used, or an outcome that is neither yes nor no.

    Source:
        Firth, Biometrika 1993;80:27; Heinze and Schemper, Stat Med 2002;21:2409; as R ``logistf``.
    """
    y = numeric_column(data, outcome, "outcome", binary=True)
    if len(set(covariates)) < len(covariates):
        raise ValueError("each covariate must be given once")
    x = np.array([np.ones(len(data)), *[numeric_column(data, name, "covariate") for name in covariates]])
    terms = [INTERCEPT, *covariates]
    if y.all() or not y.any():
        reasons = [ALL_EVENTS if y.any() else NO_EVENT] * len(terms)
        return _fit(terms, reasons, None, np.ones(len(terms)), profile_of, "odds_ratio")
    scale = np.sqrt((x**2).mean(axis=1))
    x = x / np.where(scale > 0, scale, 1.0)[:, None]
    constant = np.ptp(x, axis=1) == 0
    constant[0] = False
    found = identifiable(x @ x.T, float(x.shape[1]))
    reasons = [NO_VARIATION if same else reason for same, reason in zip(constant, found, strict=True)]
    kept = np.array([reason is None for reason in reasons])
    return _fit(terms, reasons, _logistic(x[kept], y), scale, profile_of, "odds_ratio")


def firth_cox(data: pd.DataFrame, covariates: list[str], profile_of: list[str], *, ties: str = "efron") -> pd.DataFrame:
    """Cox regression with Firth's penalty: finite where an arm has no events.

    Args:
        data, covariates, ties: as ``cox.cox_regression``; one row per patient.
        profile_of: as ``firth_logistic``.

    Returns:
        One row per covariate: ``term``, ``coef``, ``standard_error``, ``hazard_ratio``, ``lower``, ``upper`` (of the
        hazard ratio, 95 %, profile penalised likelihood), ``p_value`` (penalised likelihood ratio), ``reason`` (None,
        or why there is no estimate).

    Raises:
        ValueError: as ``cox.cox_regression``.

    Source:
        Heinze and Schemper, Biometrics 2001;57:114; as R ``coxphf``, which has Breslow's ties only.
    """
    covariates = list(covariates)
    likelihood = read_likelihood(data, covariates, ties)
    if likelihood is None:
        reasons = [NO_EVENT] * len(covariates)
        return _fit(covariates, reasons, None, np.ones(len(covariates)), profile_of, "hazard_ratio")
    reasons = identifiable(likelihood.at(np.zeros(len(covariates))).information, float(likelihood.event.sum()))
    scale = likelihood.scale
    kept = [name for name, reason in zip(covariates, reasons, strict=True) if reason is None]
    if kept and len(kept) < len(covariates):
        likelihood = read_likelihood(data, kept, ties)

    def at(beta: np.ndarray) -> _Point | None:
        point = likelihood.at(beta)
        log_determinant = None if point is None else _log_determinant(point.information)
        if log_determinant is None:
            return None
        score = point.score + likelihood.gradient_of_log_determinant(point) / 2
        return _Point(point.log_likelihood + log_determinant / 2, score, point.information, point.information)

    return _fit(covariates, reasons, at, scale, profile_of, "hazard_ratio")
