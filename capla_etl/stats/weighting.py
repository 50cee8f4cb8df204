"""Inverse-probability weighting of two groups by the propensity score, the balance it reaches, and effects under weights.

Which covariates confound, and who is compared with whom, is decided by the caller, who leaves out patients with a missing covariate.
Weights that change over follow-up are in ``emulation``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.distributions import smd_categorical, smd_continuous
from capla_etl.stats.survival import survival_at

NAN = float("nan")
ESTIMANDS = ("ate", "att", "overlap")
ONE_GROUP = "not estimable: one of the groups has no patients"

#: Scores outside these are counted as near-violations of positivity.
LOW_SCORE, HIGH_SCORE = 0.05, 0.95


class NotEstimable(ValueError):
    """The data cannot answer: its message is the reason, to be printed instead of the number."""


class WeightedEffect(NamedTuple):
    """An effect under weights; NaN and a ``reason`` where there is none. ``standard_error`` is that of the log of a ratio."""

    estimate: float
    lower: float
    upper: float
    p_value: float
    standard_error: float
    reason: str | None


def covariate_matrix(data: pd.DataFrame, covariates: list[str]) -> np.ndarray:
    """The covariates as floats, one row per patient.

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
    """Covariates at mean 0 and variance 1, without those that vary nowhere or follow from others: fitted probabilities stay the same.

    Args:
        covariates: one row per patient.

    Returns:
        One row per patient, at most as many columns. What is left of a column beside the others by less than 1e-7 is rounding, as in R ``lm``.
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
    """Whether some combination of the columns separates those with from those without the outcome, so that logistic regression has no solution.

    Args:
        design: one row per observation, the constant included.
        occurred: one bool per observation.

    Source:
        Albert and Anderson 1984, complete and quasi-complete separation; the linear program of Konis 2007, as R detectseparation.
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


def _weights(weights, patients: int) -> np.ndarray:
    array = np.asarray(weights, dtype=float)
    if array.shape != (patients,):
        raise ValueError(f"{patients} patients need as many weights, found {array.size}")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("weights must be given, finite and not negative")
    return array


def propensity_scores(data: pd.DataFrame, exposure: str, covariates: list[str]) -> np.ndarray:
    """Probability of being exposed given the covariates: logistic regression with main effects.

    Args:
        data: one row per patient: ``exposure`` (bool or 0/1) and the covariates (numeric; categories as 0/1 columns; none missing).
        exposure: name of the column.
        covariates: names of the columns; without any, everybody has the share of the exposed. Redundant ones change nothing.

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
    return np.asarray(
        GLM(exposed.astype(float), design, family=families.Binomial()).fit(tol=1e-12, maxiter=100).fittedvalues
    )


def inverse_probability_weights(
    scores,
    exposed,
    *,
    estimand: str = "ate",
    stabilised: bool = False,
    truncate_percentiles: tuple[float, float] | None = None,
) -> np.ndarray:
    """Weights that make the groups alike in what the scores are made of.

    Args:
        scores: probability of exposure, one per patient, 0 to 1.
        exposed: bool or 0/1, one per patient.
        estimand: "ate" (everybody: 1/score, 1/(1 - score)), "att" (the exposed: 1, score/(1 - score)) or
            "overlap" (those who could have been in either group: 1 - score, score).
        stabilised: "ate" only: multiplied by the share of the own group, so that they average about 1.
        truncate_percentiles: (lower, upper) percentiles of all weights to which the weights beyond are set.

    Returns:
        One weight per patient.

    Raises:
        NotEstimable: a score of 0 or 1 that gives an infinite weight.
        ValueError: a score missing or outside 0..1; an unknown estimand; stabilised weights other than "ate"; percentiles out of order.

    Source:
        Robins, Hernan and Brumback 2000 (ate, stabilised); Li, Morgan and Zaslavsky 2018 (overlap); Cole and Hernan 2008 (truncation).
    """
    scores, exposed = np.asarray(scores, dtype=float), _binary(exposed, "exposed")
    if scores.shape != exposed.shape:
        raise ValueError(f"{len(exposed)} patients need as many scores, found {scores.size}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores must be given and lie between 0 and 1")
    if estimand not in ESTIMANDS:
        raise ValueError(f"estimand must be one of {', '.join(ESTIMANDS)}, found {estimand!r}")
    if stabilised and estimand != "ate":
        raise ValueError("only weights of the estimand ate are stabilised")
    of_own_group = np.where(exposed, scores, 1 - scores)
    if estimand == "overlap":
        weights = 1 - of_own_group
    else:
        needs_inverse = np.full(len(scores), True) if estimand == "ate" else ~exposed
        if (of_own_group[needs_inverse] == 0).any():
            raise NotEstimable("not estimable: a patient is in a group with a score that rules it out")
        numerator = np.ones(len(scores)) if estimand == "ate" else scores
        weights = np.divide(numerator, of_own_group, out=np.ones(len(scores)), where=needs_inverse)
    if stabilised:
        share = exposed.mean() if len(exposed) else NAN
        weights = weights * np.where(exposed, share, 1 - share)
    if truncate_percentiles is not None and len(weights):
        lower, upper = truncate_percentiles
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"truncate_percentiles must be two ascending percentiles, found {truncate_percentiles}")
        weights = np.clip(weights, *np.percentile(weights, [lower, upper]))
    return weights


def effective_sample_size(weights) -> float:
    """Patients who would carry as much information unweighted: (sum of weights)^2 / sum of squared weights. 0 without weight.

    Source:
        Kish 1965.
    """
    weights = np.asarray(weights, dtype=float)
    squares = (weights**2).sum()
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0


def positivity(scores, exposed, weights) -> pd.DataFrame:
    """How far the weights lean on a few patients.

    Args:
        scores, exposed, weights: one per patient.

    Returns:
        One row per ``group`` ('exposed', 'unexposed', 'all'): ``patients``, ``effective_patients`` (Kish), ``largest_weight``,
        ``lowest_score``, ``highest_score``, ``scores_below_0_05``, ``scores_above_0_95`` (patients).

    Raises:
        ValueError: lengths that differ, or a missing value.
    """
    exposed = _binary(exposed, "exposed")
    weights, scores = _weights(weights, len(exposed)), np.asarray(scores, dtype=float)
    if scores.shape != exposed.shape or np.isnan(scores).any():
        raise ValueError("every patient needs a score")
    rows = []
    for group, members in (("exposed", exposed), ("unexposed", ~exposed), ("all", np.full(len(exposed), True))):
        own_scores, own_weights = scores[members], weights[members]
        rows.append(
            {
                "group": group,
                "patients": int(members.sum()),
                "effective_patients": effective_sample_size(own_weights),
                "largest_weight": own_weights.max() if members.any() else NAN,
                "lowest_score": own_scores.min() if members.any() else NAN,
                "highest_score": own_scores.max() if members.any() else NAN,
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
        One row per ``covariate``: ``measure`` ('percent' of a covariate of only 0 and 1, else 'mean'), its value in the exposed and unexposed
        (``exposed_before``, ``unexposed_before``, ``exposed_after``, ``unexposed_after``), ``smd_before`` and ``smd_after`` (absolute
        standardised mean difference), ``effective_exposed`` and ``effective_unexposed`` (patients, Kish; the same in every row).
        NaN for a group without patients; no SMD without variation.

    Raises:
        ValueError: a covariate that is not numeric or has a missing value; an exposure that is missing or not 0/1; a weight that is missing or negative.

    Source:
        Austin and Stuart, Stat Med 2015;34:3661; as R tableone ``svyCreateTableOne``, where 0/1 covariates are factors.
    """
    exposed, weights = _binary(data[exposure], exposure), _weights(weights, len(data))
    columns = covariate_matrix(data, covariates)
    rows = []
    for name, values in zip(covariates, columns.T, strict=True):
        is_binary = bool(np.isin(values, (0, 1)).all())
        row = {"covariate": name, "measure": "percent" if is_binary else "mean"}
        for when, weight in (("before", np.ones(len(data))), ("after", weights)):
            (values_1, weight_1), (values_0, weight_0) = (
                (values[members], weight[members]) for members in (exposed, ~exposed)
            )
            for group, own_values, own_weight in (("exposed", values_1, weight_1), ("unexposed", values_0, weight_0)):
                mean = own_values @ own_weight / own_weight.sum() if own_weight.any() else NAN
                row[f"{group}_{when}"] = 100 * mean if is_binary else mean
            if is_binary:
                counts = [
                    [weight @ (values == level) for level in (0, 1)]
                    for values, weight in ((values_1, weight_1), (values_0, weight_0))
                ]
                row[f"smd_{when}"] = smd_categorical(*counts)
            else:
                row[f"smd_{when}"] = smd_continuous(values_1, values_0, weights_1=weight_1, weights_0=weight_0)
        rows.append(row)
    names = [
        "covariate",
        "measure",
        "exposed_before",
        "unexposed_before",
        "smd_before",
        "exposed_after",
        "unexposed_after",
        "smd_after",
    ]
    effective = {
        "effective_exposed": effective_sample_size(weights[exposed]),
        "effective_unexposed": effective_sample_size(weights[~exposed]),
    }
    return pd.DataFrame(rows, columns=names).assign(**effective)


def weighted_risks(outcome, exposed, weights) -> pd.DataFrame:
    """Risks in the weighted groups, their difference and ratio.

    Each risk is the weighted mean of its group (Hajek). Errors are robust (sandwich) with the weights taken as known: for weights of an
    estimated score that is conservative under "ate" (Lunceford and Davidian 2004), not so for certain under "att" and "overlap".

    Args:
        outcome: bool or 0/1, one per patient, none missing.
        exposed: bool or 0/1, one per patient.
        weights: one per patient, >= 0.

    Returns:
        One row per ``quantity`` ('risk_exposed', 'risk_unexposed', 'difference', 'ratio'; exposed against unexposed): ``estimate`` as a
        fraction, ``standard_error`` (of the log ratio for 'ratio'), ``lower``, ``upper`` (95 %: logit of a risk, log of the ratio),
        ``p_value`` (difference, ratio), ``reason`` where something is NaN. There are no limits where a group has no event or only events:
        the sandwich would take its risk as certain.

    Raises:
        ValueError: lengths that differ, a missing outcome, a negative or missing weight.

    Source:
        As R survey ``svymean``, ``svyciprop(method = "logit")``, ``svyglm`` (identity: difference, log: ratio) with t quantiles.
    """
    from scipy.stats import t

    exposed = _binary(exposed, "exposed")
    outcome = _binary(outcome, "outcome")
    weights = _weights(weights, len(exposed))
    if len(outcome) != len(exposed):
        raise ValueError(f"{len(exposed)} patients need as many outcomes, found {len(outcome)}")
    patients = len(weights)
    risk, influence, reason, rows = {}, {}, {}, []
    for group, members in (("exposed", exposed), ("unexposed", ~exposed)):
        own = weights * members
        total = own.sum()
        risk[group] = (own * outcome).sum() / total if total else NAN
        influence[group] = own * (outcome - risk[group]) / total if total else np.full(patients, NAN)
        counted = outcome[own > 0]
        reason[group] = (
            f"not estimable: {group} has no patients"
            if not total
            else (
                f"no limits: {group} has no event"
                if not counted.any()
                else f"no limits: {group} has only events"
                if counted.all()
                else None
            )
        )
        error = _error(influence[group]) if reason[group] is None else NAN
        logit_error = error / (risk[group] * (1 - risk[group])) if reason[group] is None else NAN
        odds = risk[group] / (1 - risk[group]) if reason[group] is None else NAN
        quantile = t.ppf(0.975, len(counted) - 1) if len(counted) > 1 else NAN
        lower, upper = (
            float(limit / (1 + limit)) for limit in odds * np.exp(np.array([-1, 1]) * quantile * logit_error)
        )
        rows.append((f"risk_{group}", risk[group], error, lower, upper, NAN, reason[group]))

    either = reason["exposed"] or reason["unexposed"]
    freedom = int((weights > 0).sum()) - 2
    error = _error(influence["exposed"] - influence["unexposed"]) if either is None else NAN
    difference = risk["exposed"] - risk["unexposed"]
    half_width = t.ppf(0.975, freedom) * error if either is None else NAN
    p_value = float(2 * t.sf(abs(difference) / error, freedom)) if either is None else NAN
    rows.append(("difference", difference, error, difference - half_width, difference + half_width, p_value, either))

    ratio = risk["exposed"] / risk["unexposed"] if risk["unexposed"] > 0 else NAN
    error = (
        _error(influence["exposed"] / risk["exposed"] - influence["unexposed"] / risk["unexposed"])
        if either is None
        else NAN
    )
    factor = np.exp(t.ppf(0.975, freedom) * error) if either is None else NAN
    p_value = float(2 * t.sf(abs(np.log(ratio)) / error, freedom)) if either is None else NAN
    if risk["unexposed"] == 0:
        either = "not estimable: unexposed has no event"
    rows.append(("ratio", ratio, error, ratio / factor, ratio * factor, p_value, either))
    return pd.DataFrame(rows, columns=["quantity", "estimate", "standard_error", "lower", "upper", "p_value", "reason"])


def _error(influence: np.ndarray) -> float:
    """Standard error from the influence of each patient (sum 0), as R survey with patients as primary units."""
    patients = len(influence)
    return float(np.sqrt(patients / (patients - 1) * (influence**2).sum()))


def weighted_survival(courses: pd.DataFrame, weights, days: list[int], *, interval: str = "log-log") -> pd.DataFrame:
    """Weighted Kaplan-Meier probability of being alive at fixed days, by group.

    Args:
        courses: one row per patient: ``group`` (str), ``time_days`` (>= 0, from day 0 to death or censoring), ``event`` (bool).
        weights: one per row of ``courses``, >= 0.
        days: the time points, in days.
        interval: as ``survival.survival_at``.

    Returns:
        The columns of ``survival.survival_at``, the errors robust with the weights taken as known, and ``weight_at_risk``: the weights of
        those at risk.

    Raises:
        ValueError: as ``survival.survival_at``; as many weights as patients are needed.

    Source:
        Xie and Liu 2005; as R ``survfit(weights =, robust = TRUE)``.
    """
    weights = _weights(weights, len(courses))
    curve = survival_at(courses.assign(weight=weights), days, interval=interval)
    time_days, group = courses["time_days"].to_numpy(float), courses["group"].to_numpy()
    curve["weight_at_risk"] = [
        float(weights[(group == row_group) & (time_days >= day)].sum())
        for row_group, day in zip(curve["group"], curve["day"], strict=True)
    ]
    return curve


def weighted_hazard_ratio(
    data: pd.DataFrame, exposure: str, weights, *, cluster: str | None = "patient_id", ties: str = "efron"
) -> WeightedEffect:
    """Marginal hazard ratio of the exposed against the unexposed: Cox regression on the exposure alone, weighted.

    Args:
        data: one row per patient: ``time_days`` (>= 0), ``event`` (bool), ``exposure`` (bool or 0/1) and the column ``cluster``.
        exposure: name of the column.
        weights: one per patient, >= 0; patients without weight do not count.
        cluster: column of what belongs together (the patient, or the centre); None: every row stands for itself.
        ties: as ``cox.cox_regression``, "efron" or "breslow".

    Returns:
        The hazard ratio with robust limits, the weights taken as known; its ``standard_error`` is that of the logarithm.

    Raises:
        ValueError: as ``cox.cox_regression``; an exposure that is missing or not 0/1; as many weights as patients are needed.

    Source:
        Binder 1992; Lin and Wei 1989; as R ``coxph(weights =, cluster =, robust = TRUE)``.
    """
    from capla_etl.stats.cox import cox_regression

    exposed, weights = _binary(data[exposure], exposure), _weights(weights, len(data))
    counted = weights > 0
    if not (exposed & counted).any() or not (~exposed & counted).any():
        return WeightedEffect(*[NAN] * 5, ONE_GROUP)
    rows = data.assign(**{exposure: exposed.astype(float)}, _weight=weights)[counted]
    row = cox_regression(rows, [exposure], weights="_weight", cluster=cluster, ties=ties).table.iloc[0]
    numbers = row[["hazard_ratio", "lower", "upper", "p_value", "robust_standard_error"]].astype(float).tolist()
    return WeightedEffect(*numbers, row["reason"])
