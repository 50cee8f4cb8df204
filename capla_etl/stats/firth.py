"""Regression penalised as Firth proposed: finite estimates where groups have no events. Logistic, FLAC and Cox.

Unpenalised Cox regression is in ``cox``. Which covariates are adjusted for is not decided here.

Solved here: firthmodels gives the same numbers, but on small samples its step halving often ends at rounding and leaves no p value; nor does
it know Efron's ties, intervals of start-stop data or FLAC.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.cox import NO_EVENT, NO_VARIATION, identifiable, numeric_column, read_likelihood

NAN = float("nan")
INTERCEPT = "(Intercept)"
ALL_EVENTS = "everybody has the event"
NO_MAXIMUM = "no maximum of the penalised likelihood was found"
NO_TEST = "no maximum of the penalised likelihood without the term was found"
NO_LIMIT = "a limit was not found: the profile of the penalised likelihood is not smooth"

_PARABOLIC = 0.15  # how far a limit may be from Wald's, as a share of its distance from the estimate
_CONVERGED = 1e-20  # expected gain in log-likelihood: a step of 1e-10 standard errors


class _Point(NamedTuple):
    """A (penalised) log-likelihood, its gradient, the information without penalty, and the inverse of the covariance."""

    value: float
    score: np.ndarray
    information: np.ndarray
    precision: np.ndarray


_Objective = Callable[[np.ndarray], _Point | None]


def _maximise(at: _Objective, beta: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, _Point] | None:
    """Maximum over the free coefficients (None: not found): scoring, and where that is slow, Newton's method with a numerical second derivative."""
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
        if (
            gain < 1e-16
            and point.score[free] @ np.linalg.solve(point.information[np.ix_(free, free)], point.score[free]) >= gain
        ):
            return beta, point  # rounding: it gets no better
    return None


def _second_derivative(at: _Objective, beta: np.ndarray, point: _Point, free: np.ndarray) -> np.ndarray | None:
    """By forward differences; None where the likelihood is too small to be computed."""
    columns = []
    for j in free:
        size = 1e-5 / math.sqrt(point.information[j, j])
        moved = beta.copy()
        moved[j] += size
        beside = at(moved)
        if beside is None:
            return None
        columns.append((beside.score[free] - point.score[free]) / size)
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
    """Where the profile of the likelihood in coefficient ``j`` has fallen by half the 95 % quantile of chi-squared; NaN where it is not found.

    Newton's method on the signed root of twice the fall, which is nearly a straight line, kept within what is known to lie on either side.
    """
    from scipy.special import ndtri

    target, peak = float(ndtri(0.975)), beta
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
            higher = _higher(
                at, [_along_the_profile(peak, j, value, covariance), np.where(free, peak, value)], free, point.value
            )
            if higher is None:
                return float(value + direction * move)
            # In small samples the profile can have a second, higher ridge: on along that one.
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


def _higher(at: _Objective, starts: list[np.ndarray], free: np.ndarray, value: float) -> np.ndarray | None:
    """Coefficients with a higher likelihood than ``value``, found from one of the starts; None: there are none."""
    for start in starts:
        found = _maximise(at, start, free) if at(start) is not None else None
        if found is not None and found[1].value > value + 1e-8:
            return found[0]
    return None


def _table(terms: list[str], reasons: list[str | None], effect: str) -> pd.DataFrame:
    """The columns of all tables here, still without numbers."""
    numbers = dict.fromkeys(["coef", "standard_error", effect, "lower", "upper", "p_value"], NAN)
    return pd.DataFrame({"term": terms, **numbers, "reason": pd.Series(reasons, dtype=object)})


def _fill(
    table: pd.DataFrame, at: _Objective, scale: np.ndarray, profile_of: list[str] | None
) -> tuple[np.ndarray, _Point] | None:
    """Fits the terms without a reason and writes them into the table; ``scale`` is what their covariates were divided by.

    Returns:
        (coefficients of the scaled covariates, the likelihood there), or None where no maximum was found.
    """
    from scipy.special import chdtrc

    effect = table.columns[3]
    kept = np.flatnonzero(table["reason"].isna())
    found = _maximise(at, np.zeros(len(kept)), np.ones(len(kept), dtype=bool))
    if found is None:
        table.loc[kept, "reason"] = NO_MAXIMUM
        return None
    beta, point = found
    errors, covariance = np.sqrt(np.diag(np.linalg.inv(point.precision))), np.linalg.inv(point.information)
    table.loc[kept, "coef"], table.loc[kept, "standard_error"] = beta / scale, errors / scale
    for j, row in enumerate(kept):
        if profile_of is not None and table["term"][row] not in profile_of:
            continue
        others = np.arange(len(kept)) != j
        start = _along_the_profile(beta, j, 0.0, covariance)
        without = _maximise(at, beta * others if at(start) is None else start, others)
        if without is None:
            table.loc[row, "reason"] = NO_TEST
        else:
            table.loc[row, "p_value"] = float(chdtrc(1, max(2 * (point.value - without[1].value), 0.0)))
        limits = np.array(
            [_profile_limit(at, beta, point.value, j, covariance, direction) / scale[j] for direction in (-1, 1)]
        )
        table.loc[row, ["lower", "upper"]] = np.exp(np.minimum(limits, 700))
        if np.isnan(limits).any():
            table.loc[row, "reason"] = NO_LIMIT
    table[effect] = np.exp(np.minimum(table["coef"], 700))
    return beta, point


class _Design(NamedTuple):
    """Covariates (with the intercept first; covariates x rows), what they were divided by, why one has no coefficient, and the outcome."""

    x: np.ndarray
    scale: np.ndarray
    reasons: list[str | None]
    y: np.ndarray


def _design(data: pd.DataFrame, outcome: str, covariates: list[str]) -> _Design:
    y = numeric_column(data, outcome, "outcome")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"outcome {outcome} must be yes or no (True/False or 1/0)")
    if len(set(covariates)) < len(covariates):
        raise ValueError("each covariate must be given once")
    x = np.array([np.ones(len(data)), *[numeric_column(data, name, "covariate") for name in covariates]])
    if y.all() or not y.any():
        reason = ALL_EVENTS if y.any() else NO_EVENT
        return _Design(x, np.ones(len(x)), [reason] * len(x), y)
    scale = np.sqrt((x**2).mean(axis=1))
    x = x / np.where(scale > 0, scale, 1.0)[:, None]
    return _Design(x, scale, _identifiable_beside_intercept(x), y)


def _identifiable_beside_intercept(x: np.ndarray) -> list[str | None]:
    reasons = identifiable(x @ x.T, float(x.shape[1]))
    constant = np.ptp(x, axis=1) == 0
    return [
        reasons[0],
        *[NO_VARIATION if one else reason for one, reason in zip(constant[1:], reasons[1:], strict=True)],
    ]


def _logistic(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float) -> _Objective:
    """Weighted logistic log-likelihood plus ``penalty`` times the log determinant of the information."""
    from scipy.special import expit

    def at(beta: np.ndarray) -> _Point | None:
        eta = beta @ x
        if not np.isfinite(eta).all():
            return None
        mean = expit(eta)
        variance = weight * mean * (1 - mean)
        information = (x * variance) @ x.T
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0 or not np.isfinite(log_determinant):
            return None
        leverage = variance * (x * (np.linalg.inv(information) @ x)).sum(axis=0)
        value = weight @ (y * eta - np.logaddexp(0, eta)) + penalty * log_determinant
        score = x @ (weight * (y - mean) + 2 * penalty * leverage * (0.5 - mean))
        # The extra patients that the penalty stands for count in the errors, as in logistf; they have the weight of the leverage.
        return _Point(
            float(value), score, information, information + 2 * penalty * (x * (leverage * mean * (1 - mean))) @ x.T
        )

    return at


def firth_logistic(
    data: pd.DataFrame, outcome: str, covariates: list[str], profile_of: list[str] | None = None
) -> pd.DataFrame:
    """Logistic regression with Firth's penalty: finite where an arm has no events.

    Its intercept is biased towards one half: for risks use ``flac_logistic``.

    Args:
        data: one row per patient.
        outcome: column of yes or no (bool or 0/1).
        covariates: numeric or boolean columns.
        profile_of: terms whose limits and p values are wanted; the others get none (they cost most of the time). None: all.

    Returns:
        One row per term, "(Intercept)" first: ``term``, ``coef``, ``standard_error``, ``odds_ratio``, ``lower``, ``upper`` (of the odds ratio,
        95 %, profile penalised likelihood), ``p_value`` (penalised likelihood ratio), ``reason`` (None, or why there is no estimate or limit).
        Nothing is estimated when nobody or everybody has the event. ``attrs["penalised_log_likelihood"]`` is that of the model.

    Raises:
        ValueError: a missing value in any column used, or an outcome that is neither yes nor no.

    Source:
        Firth, Biometrika 1993;80:27; Heinze and Schemper, Stat Med 2002;21:2409; as R ``logistf``.
    """
    design = _design(data, outcome, covariates)
    table = _table([INTERCEPT, *covariates], design.reasons, "odds_ratio")
    table.attrs["penalised_log_likelihood"] = NAN
    kept = np.array([reason is None for reason in design.reasons])
    if kept.any():
        fit = _fill(table, _logistic(design.x[kept], design.y, np.ones(len(data)), 0.5), design.scale[kept], profile_of)
        if fit is not None:
            table.attrs["penalised_log_likelihood"] = fit[1].value + float(np.log(design.scale[kept]).sum())
    return table


def flac_logistic(
    data: pd.DataFrame, outcome: str, covariates: list[str], profile_of: list[str] | None = None
) -> pd.DataFrame:
    """Firth's logistic regression with an added covariate (FLAC): its mean predicted risk is the observed one.

    Firth's penalty is the likelihood of extra patients, half of each kind, weighted by leverage. They are added to the data with an
    indicator of their own, which takes up their higher risk, and the model is fitted by maximum likelihood.

    Args:
        data, outcome, covariates, profile_of: as ``firth_logistic``.

    Returns:
        As ``firth_logistic``, all of the augmented likelihood, its indicator left out. ``attrs["mean_predicted"]`` is the mean predicted risk.

    Raises:
        ValueError: as ``firth_logistic``.

    Source:
        Puhr, Heinze, Nold, Lusa and Geroldinger, Stat Med 2017;36:2302; as R logistf ``flac``.
    """
    table, risk = _flac(_design(data, outcome, covariates), [INTERCEPT, *covariates], profile_of)
    table.attrs["mean_predicted"] = float(risk.mean()) if len(risk) else NAN
    return table


def _flac(design: _Design, terms: list[str], profile_of: list[str] | None) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of FLAC and the predicted risks; NaN without a fit."""
    from scipy.special import expit

    table = _table(terms, design.reasons, "odds_ratio")
    kept = np.array([reason is None for reason in design.reasons])
    risk = np.full(len(design.y), NAN)
    if not kept.any():
        return table, risk
    x, y = design.x[kept], design.y
    firth = table.copy()
    fit = _fill(firth, _logistic(x, y, np.ones(len(y)), 0.5), design.scale[kept], profile_of=[])
    if fit is None:
        return firth, risk
    mean = expit(fit[0] @ x)
    half_leverage = mean * (1 - mean) * (x * np.linalg.solve(fit[1].information, x)).sum(axis=0) / 2
    added = np.repeat([0.0, 1.0, 1.0], len(y))
    augmented = _table([*terms, "added"], [*design.reasons, None], "odds_ratio")
    objective = _logistic(
        np.vstack([np.tile(x, 3), added]),
        np.concatenate([y, y, 1 - y]),
        np.concatenate([np.ones(len(y)), half_leverage, half_leverage]),
        0.0,
    )
    wanted = terms if profile_of is None else profile_of
    fit = _fill(augmented, objective, np.append(design.scale[kept], 1.0), wanted)
    return augmented.iloc[:-1].copy(), risk if fit is None else expit(fit[0][:-1] @ x)


class StandardisedRisks(NamedTuple):
    """Mean risks if everybody were exposed, and if nobody were; NaN where they cannot be estimated."""

    risk_exposed: float
    risk_unexposed: float
    difference: float
    ratio: float


def standardised_risks(data: pd.DataFrame, outcome: str, exposure: str, covariates: list[str]) -> StandardisedRisks:
    """Risks standardised to the covariates of all patients (g-computation), from FLAC, because Firth's own risks are too near one half.

    Args:
        data, outcome, covariates: as ``firth_logistic``.
        exposure: column of who was exposed (bool or 0/1).

    Returns:
        Fractions, 0 to 1, their difference and ratio; NaN where the exposure has no coefficient.

    Raises:
        ValueError: as ``firth_logistic``.

    Source:
        Hernan and Robins, Causal Inference: What If, chapter 13.
    """
    from scipy.special import expit

    if not np.isin(numeric_column(data, exposure, "exposure"), (0, 1)).all():
        raise ValueError(f"exposure {exposure} must be yes or no (True/False or 1/0)")
    design = _design(data, outcome, [exposure, *covariates])
    table, _ = _flac(design, [INTERCEPT, exposure, *covariates], profile_of=[])
    coef = table["coef"].to_numpy() * design.scale
    if np.isnan(coef[1]):
        return StandardisedRisks(NAN, NAN, NAN, NAN)
    rest = np.nansum(coef[:, None] * design.x, axis=0) - coef[1] * design.x[1]
    exposed, unexposed = float(expit(rest + table["coef"][1]).mean()), float(expit(rest).mean())
    return StandardisedRisks(exposed, unexposed, exposed - unexposed, exposed / unexposed)


def firth_cox(
    data: pd.DataFrame,
    covariates: list[str],
    *,
    time: str = "time_days",
    event: str = "event",
    start: str | None = None,
    strata: str | None = None,
    ties: str = "breslow",
    profile_of: list[str] | None = None,
) -> pd.DataFrame:
    """Cox regression with Firth's penalty: finite where an arm has no events.

    Args:
        data, covariates, time, event, start, strata: as ``cox.cox_regression``.
        ties: "breslow" (as coxphf) or "efron".
        profile_of: as ``firth_logistic``.

    Returns:
        One row per covariate: ``term``, ``coef``, ``standard_error``, ``hazard_ratio``, ``lower``, ``upper`` (of the hazard ratio, 95 %,
        profile penalised likelihood), ``p_value`` (penalised likelihood ratio), ``reason`` (None, or why there is no estimate).
        ``attrs["penalised_log_likelihood"]`` is that of the model.

    Raises:
        ValueError: as ``cox.cox_regression``; other ties.

    Source:
        Heinze and Schemper, Biometrics 2001;57:114; as R ``coxphf``.
    """
    if ties not in ("breslow", "efron"):
        raise ValueError(f"ties must be breslow or efron, not {ties}")
    covariates = list(covariates)
    likelihood, _ = read_likelihood(data, covariates, time, event, start, strata, None, ties)
    if likelihood is None:
        reasons: list[str | None] = [NO_EVENT] * len(covariates)
    else:
        reasons = identifiable(likelihood.at(np.zeros(len(covariates))).information, float(likelihood.event.sum()))
    table = _table(covariates, reasons, "hazard_ratio")
    table.attrs["penalised_log_likelihood"] = NAN
    kept = table.loc[table["reason"].isna(), "term"].tolist()
    if not kept:
        return table
    likelihood, _ = read_likelihood(data, kept, time, event, start, strata, None, ties)

    def at(beta: np.ndarray) -> _Point | None:
        point = likelihood.at(beta)
        if point is None:
            return None
        sign, log_determinant = np.linalg.slogdet(point.information)
        if sign <= 0 or not np.isfinite(log_determinant):
            return None
        score = point.score + likelihood.gradient_of_log_determinant(point) / 2
        return _Point(point.log_likelihood + log_determinant / 2, score, point.information, point.information)

    fit = _fill(table, at, likelihood.scale, profile_of)
    if fit is not None:
        table.attrs["penalised_log_likelihood"] = fit[1].value + float(np.log(likelihood.scale).sum())
    return table
