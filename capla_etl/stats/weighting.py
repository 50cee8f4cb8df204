"""Inverse-probability weighting of two groups by the propensity score: weights, their balance, effects under weights.

Which covariates confound, and which groups are compared, is decided by the caller, who leaves out patients with a
missing covariate. Weights that change over follow-up are in ``emulation``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN
from capla_etl.stats.distributions import smd_categorical, smd_continuous
from capla_etl.stats.survival import checked_weights, survival_at

ONE_GROUP = "not estimable: one of the groups has no patients"

#: Scores outside these are counted as near-violations of positivity.
LOW_SCORE, HIGH_SCORE = 0.05, 0.95


class NotEstimable(ValueError):
    """The data cannot answer: its message is the reason, to be printed instead of the number."""


class WeightedEffect(NamedTuple):
    """An effect under weights; NaN and a ``reason`` where there is none. The error is that of the log of a ratio."""

    estimate: float
    lower: float
    upper: float
    p_value: float
    standard_error: float
    reason: str | None


def covariate_matrix(data: pd.DataFrame, covariates: list[str]) -> np.ndarray:
    """Return the covariates as floats, one row per patient.

    Raises:
        ValueError: a covariate that is not numeric, or has a missing or infinite value; the message names it.
    """
    for name in covariates:
        if not pd.api.types.is_numeric_dtype(data[name]):
            raise ValueError(f"covariate {name} must be numeric")
        if data[name].isna().any() or np.isinf(data[name].to_numpy(float)).any():
            raise ValueError(f"covariate {name} has a missing or infinite value")
    return data[list(covariates)].to_numpy(float)


def standardised(covariates: np.ndarray) -> np.ndarray:
    """Covariates at mean 0 and variance 1, without redundant ones: fitted probabilities stay the same.

    Args:
        covariates: one row per patient.

    Returns:
        One row per patient, at most as many columns: none without variation, none that follows from others. A remainder
        below 1e-7 of a column counts as rounding, as in R ``lm``.
    """
    from scipy.linalg import qr

    if not covariates.size:
        return np.empty((len(covariates), 0))
    centred = covariates - covariates.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 1e-12 * np.abs(covariates).max(axis=0)
    scaled = centred[:, varies] / spread[varies]
    if not varies.any():
        return scaled
    triangle, order = qr(scaled, mode="r", pivoting=True)
    left = np.abs(np.diag(triangle))
    return scaled[:, np.sort(order[: len(left)][left > 1e-7 * left[0]])]


def separated(design: np.ndarray, occurred: np.ndarray) -> bool:
    """Whether a combination of the columns separates the outcomes, so that logistic regression has no solution.

    Args:
        design: one row per observation, the constant included.
        occurred: one bool per observation.

    Source:
        Albert and Anderson 1984, complete and quasi-complete separation; the linear program of Konis 2007, as R
        detectseparation.
    """
    from scipy.optimize import linprog

    signed = np.where(occurred, 1.0, -1.0)[:, None] * design
    best = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs")
    return bool(-best.fun > 1e-6)


def _binary(values, name: str) -> np.ndarray:
    """A yes/no per patient as bools."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        array = pd.to_numeric(pd.Series(array), errors="coerce").to_numpy(float, na_value=NAN)
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must be true or false (1 or 0) for every patient")
    return array == 1


def _scores(scores, exposed) -> tuple[np.ndarray, np.ndarray]:
    """Scores and exposure as arrays, checked."""
    scores, exposed = np.asarray(scores, dtype=float), _binary(exposed, "exposed")
    if scores.shape != exposed.shape:
        raise ValueError(f"one score per patient is needed, found {scores.size} scores for {len(exposed)} patients")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores must be given and lie between 0 and 1")
    return scores, exposed


def propensity_scores(data: pd.DataFrame, exposure: str, covariates: list[str]) -> np.ndarray:
    """Probability of being exposed given the covariates: logistic regression with main effects.

    Args:
        data: one row per patient: ``exposure`` (bool or 0/1) and the covariates (numeric; categories as 0/1 columns;
            none missing).
        exposure: name of the column.
        covariates: names of the columns; without any, each score is the share of the exposed. Redundant ones change
            nothing.

    Returns:
        One score per patient, above 0 and below 1, in the order of ``data``.

    Raises:
        NotEstimable: one group has no patients, or the covariates separate the groups (completely or partly).
        ValueError: a covariate that is not numeric or has a missing value; an exposure that is missing or not 0/1.

    Source:
        Rosenbaum and Rubin 1983; as R ``glm(family = binomial)``; statsmodels.
    """
    from statsmodels.genmod import families
    from statsmodels.genmod.generalized_linear_model import GLM

    exposed = _binary(data[exposure], exposure)
    design = np.column_stack([np.ones(len(data)), standardised(covariate_matrix(data, covariates))])
    if exposed.all() or not exposed.any():
        raise NotEstimable(ONE_GROUP)
    # Before the fit: statsmodels answers separation with warnings and scores of 0 and 1.
    if separated(design, exposed):
        raise NotEstimable(
            "not estimable: the covariates separate the groups, so that some patients could only be in one of them"
        )
    fit = GLM(exposed.astype(float), design, family=families.Binomial()).fit(tol=1e-12, maxiter=100)
    return np.asarray(fit.fittedvalues)


def inverse_probability_weights(scores, exposed, *, truncate_percentile: float = 100) -> np.ndarray:
    """Stabilised weights that make each group alike to all patients in the covariates of the score.

    The share of the own group over its probability: they average about 1.

    Args:
        scores: probability of exposure, one per patient, 0 to 1.
        exposed: bool or 0/1, one per patient.
        truncate_percentile: weights above this percentile of all weights are set to it.

    Returns:
        One weight per patient.

    Raises:
        NotEstimable: a score of 0 or 1 that gives an infinite weight.
        ValueError: a score missing or outside 0..1; a percentile outside 0..100.

    Source:
        Robins, Hernan and Brumback 2000; Cole and Hernan 2008 (truncation).
    """
    scores, exposed = _scores(scores, exposed)
    of_own_group = np.where(exposed, scores, 1 - scores)
    if (of_own_group == 0).any():
        raise NotEstimable("not estimable: a patient is in a group with a score that rules it out")
    share = exposed.mean() if len(exposed) else NAN
    weights = 1 / of_own_group * np.where(exposed, share, 1 - share)
    return np.minimum(weights, np.percentile(weights, truncate_percentile)) if len(weights) else weights


def overlap_weights(scores, exposed) -> np.ndarray:
    """Weights towards the patients who could have been in either group: the probability of the other group.

    Args:
        scores, exposed: as ``inverse_probability_weights``.

    Returns:
        One weight per patient.

    Raises:
        ValueError: a score missing or outside 0..1.

    Source:
        Li, Morgan and Zaslavsky 2018.
    """
    scores, exposed = _scores(scores, exposed)
    return 1 - np.where(exposed, scores, 1 - scores)


def effective_sample_size(weights) -> float:
    """Unweighted patients with as much information: squared sum of weights over sum of squares; 0 without weight.

    Source:
        Kish 1965.
    """
    weights = np.asarray(weights, dtype=float)
    squares = (weights**2).sum()
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0


def positivity(scores, exposed, weights) -> pd.DataFrame:
    """How far the weights depend on a few patients.

    Args:
        scores, exposed, weights: one per patient.

    Returns:
        One row per ``group`` ('exposed', 'unexposed', 'all'): ``patients``, ``effective_patients`` (Kish),
        ``largest_weight``, ``lowest_score``, ``highest_score``, ``scores_below_0_05``, ``scores_above_0_95``
        (patients).

    Raises:
        ValueError: lengths that differ, or a missing value.
    """
    scores, exposed = _scores(scores, exposed)
    weights = checked_weights(weights, len(exposed))
    rows = []
    for group, members in (("exposed", exposed), ("unexposed", ~exposed), ("all", np.full(len(exposed), True))):
        own_scores, own_weights = scores[members], weights[members]
        largest, lowest, highest = (
            (own_weights.max(), own_scores.min(), own_scores.max()) if members.any() else (NAN, NAN, NAN)
        )
        rows.append(
            {
                "group": group,
                "patients": int(members.sum()),
                "effective_patients": effective_sample_size(own_weights),
                "largest_weight": largest,
                "lowest_score": lowest,
                "highest_score": highest,
                "scores_below_0_05": int((own_scores < LOW_SCORE).sum()),
                "scores_above_0_95": int((own_scores > HIGH_SCORE).sum()),
            }
        )
    return pd.DataFrame(rows)


def balance(data: pd.DataFrame, exposure: str, covariates: list[str], weights) -> pd.DataFrame:
    """How far apart the groups are in each covariate, before and after weighting.

    Args:
        data: one row per patient: ``exposure`` (bool or 0/1) and the covariates (numeric, none missing).
        exposure: name of the column.
        covariates: names of the columns.
        weights: one per patient, >= 0.

    Returns:
        One row per ``covariate``: ``smd_before`` and ``smd_after`` (absolute standardised mean difference; of levels
        for a covariate of only 0 and 1). NaN for a group without patients, or without variation.

    Raises:
        ValueError: a covariate that is not numeric or has a missing value; an exposure that is missing or not 0/1; a
            weight that is missing or negative.

    Source:
        Austin and Stuart, Stat Med 2015;34:3661; as R tableone ``svyCreateTableOne``, where 0/1 covariates are factors.
    """
    exposed, weights = _binary(data[exposure], exposure), checked_weights(weights, len(data))
    rows = []
    for name, values in zip(covariates, covariate_matrix(data, covariates).T, strict=True):
        row = {"covariate": name}
        for when, weight in (("before", np.ones(len(data))), ("after", weights)):
            (values_1, weight_1), (values_0, weight_0) = (
                (values[members], weight[members]) for members in (exposed, ~exposed)
            )
            if np.isin(values, (0, 1)).all():
                counts = [
                    [own_weight @ (own == level) for level in (0, 1)]
                    for own, own_weight in ((values_1, weight_1), (values_0, weight_0))
                ]
                row[f"smd_{when}"] = smd_categorical(*counts)
            else:
                row[f"smd_{when}"] = smd_continuous(values_1, values_0, weights_1=weight_1, weights_0=weight_0)
        rows.append(row)
    return pd.DataFrame(rows, columns=["covariate", "smd_before", "smd_after"])


def weighted_risks(outcome, exposed, weights) -> pd.DataFrame:
    """Risks in the weighted groups, their difference and ratio.

    Each risk is the weighted mean of its group (Hajek). Errors are robust (sandwich) with the weights taken as known:
    for inverse-probability weights of an estimated score that is conservative (Lunceford and Davidian 2004), for
    overlap weights not necessarily.

    Args:
        outcome: bool or 0/1, one per patient, none missing.
        exposed: bool or 0/1, one per patient.
        weights: one per patient, >= 0.

    Returns:
        One row per ``quantity`` ('risk_exposed', 'risk_unexposed', 'difference', 'ratio'; exposed against unexposed):
        ``estimate`` as a fraction, ``standard_error`` (of the log ratio for 'ratio'), ``lower``, ``upper`` (95 %: logit
        of a risk, log of the ratio), ``p_value`` (difference, ratio), ``reason`` where something is NaN. There are no
        limits where a group has no event or only events: the sandwich would take its risk as certain.

    Raises:
        ValueError: lengths that differ, a missing outcome, a negative or missing weight.

    Source:
        As R survey ``svymean``, ``svyciprop(method = "logit")``, ``svyglm`` (identity: difference, log: ratio) with t
        quantiles.
    """
    from scipy.stats import t

    exposed, outcome = _binary(exposed, "exposed"), _binary(outcome, "outcome")
    weights = checked_weights(weights, len(exposed))
    if len(outcome) != len(exposed):
        raise ValueError(f"one outcome per patient is needed, found {len(outcome)} for {len(exposed)} patients")

    def error_of(influence: np.ndarray) -> float:
        """Standard error from the influence of each patient (sum 0), as R survey with patients as primary units."""
        return float(np.sqrt(len(weights) / (len(weights) - 1) * (influence**2).sum()))

    risks, influences, reasons, rows = [], [], [], []
    for group, members in (("exposed", exposed), ("unexposed", ~exposed)):
        own = weights * members
        total, counted = own.sum(), outcome[own > 0]
        risk, reason = ((own * outcome).sum() / total if total else NAN), None
        influence = own * (outcome - risk) / total if total else np.full(len(weights), NAN)
        error = lower = upper = NAN
        if not total:
            reason = f"not estimable: {group} has no patients"
        elif counted.all() or not counted.any():
            reason = f"no limits: {group} has {'only events' if counted.any() else 'no event'}"
        else:
            error, quantile = error_of(influence), t.ppf(0.975, len(counted) - 1) if len(counted) > 1 else NAN
            factors = np.exp(np.array([-1, 1]) * quantile * (error / (risk * (1 - risk))))
            lower, upper = (float(odds / (1 + odds)) for odds in risk / (1 - risk) * factors)
        rows.append((f"risk_{group}", risk, error, lower, upper, NAN, reason))
        for values, value in ((risks, risk), (influences, influence), (reasons, reason)):
            values.append(value)

    (risk_1, risk_0), (influence_1, influence_0), either = risks, influences, reasons[0] or reasons[1]
    difference, ratio = risk_1 - risk_0, risk_1 / risk_0 if risk_0 > 0 else NAN
    if either:
        rows.append(("difference", difference, *[NAN] * 4, either))
        without_event = "not estimable: unexposed has no event"
        rows.append(("ratio", ratio, *[NAN] * 4, without_event if risk_0 == 0 else either))
    else:
        freedom = int((weights > 0).sum()) - 2
        quantile, error = t.ppf(0.975, freedom), error_of(influence_1 - influence_0)
        half_width, p_value = quantile * error, float(2 * t.sf(abs(difference) / error, freedom))
        rows.append(("difference", difference, error, difference - half_width, difference + half_width, p_value, None))
        error = error_of(influence_1 / risk_1 - influence_0 / risk_0)
        factor, p_value = np.exp(quantile * error), float(2 * t.sf(abs(np.log(ratio)) / error, freedom))
        rows.append(("ratio", ratio, error, ratio / factor, ratio * factor, p_value, None))
    return pd.DataFrame(rows, columns=["quantity", "estimate", "standard_error", "lower", "upper", "p_value", "reason"])


def weighted_survival(courses: pd.DataFrame, weights, days: list[int], *, interval: str = "log-log") -> pd.DataFrame:
    """Weighted Kaplan-Meier probability of being alive at fixed days, by group.

    Args:
        courses, days, interval: as ``survival.survival_at``.
        weights: one per row of ``courses``, >= 0.

    Returns:
        The columns of ``survival.survival_at``, the errors robust with the weights taken as known, and
        ``weight_at_risk``: the sum of weights of those at risk.

    Raises:
        ValueError: as ``survival.survival_at``.

    Source:
        Xie and Liu 2005; as R ``survfit(weights =, robust = TRUE)``.
    """
    weights = checked_weights(weights, len(courses))
    curve = survival_at(courses, days, interval=interval, weights=weights)
    time_days, group = courses["time_days"].to_numpy(float), courses["group"].to_numpy()
    curve["weight_at_risk"] = [
        float(weights[(group == row_group) & (time_days >= day)].sum())
        for row_group, day in zip(curve["group"], curve["day"], strict=True)
    ]
    return curve


def weighted_hazard_ratio(data: pd.DataFrame, exposure: str, weights, *, ties: str = "efron") -> WeightedEffect:
    """Marginal hazard ratio of the exposed against the unexposed: Cox regression on the exposure alone, weighted.

    Args:
        data: one row per patient: ``time_days`` (>= 0), ``event`` (bool) and ``exposure`` (bool or 0/1).
        exposure: name of the column.
        weights: one per patient, >= 0; patients without weight do not count.
        ties: as ``cox.cox_regression``.

    Returns:
        The hazard ratio with robust limits, the weights taken as known; its ``standard_error`` is that of the
        logarithm.

    Raises:
        ValueError: as ``cox.cox_regression``; an exposure that is missing or not 0/1; a missing or negative weight.

    Source:
        Binder 1992; Lin and Wei 1989; as R ``coxph(weights =, robust = TRUE)``.
    """
    from capla_etl.stats.cox import cox_regression

    exposed, weights = _binary(data[exposure], exposure), checked_weights(weights, len(data))
    counted = weights > 0
    if not (exposed & counted).any() or not (~exposed & counted).any():
        return WeightedEffect(*[NAN] * 5, ONE_GROUP)
    rows = data.assign(**{exposure: exposed.astype(float)}, _weight=weights)[counted]
    row = cox_regression(rows, [exposure], weights="_weight", ties=ties).table.iloc[0]
    numbers = row[["hazard_ratio", "lower", "upper", "p_value", "robust_standard_error"]].astype(float).tolist()
    return WeightedEffect(*numbers, row["reason"])
