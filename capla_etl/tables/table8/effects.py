"""The effects of Table 8: caplacizumab against control, each by one analysis of the patients that it takes.

``data`` is one row per patient as ``Outcome.prepare`` gives it; every function returns an ``Effect`` (``weighted``: one
by kind of weights), with a reason in place of a number where there is nothing to compare. ``ties``: how Cox regression
handles ties. Which analyses a table shows is decided in ``table8``. Estimators are in ``stats``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from capla_etl.stats import (
    competing_risks,
    contingency,
    cox,
    emulation,
    exposure,
    firth,
    imputation,
    proportions,
    sensitivity,
    weighting,
)
from capla_etl.tables import cells
from capla_etl.tables.results import NOT_ESTIMABLE, join_caveats
from capla_etl.tables.table8.patients import COVARIATES, DEATH, EXPOSED, OFTEN_MISSING, Outcome

NAN = float("nan")
SEED = 20230930


@dataclass(frozen=True)
class Effect:
    """One effect of caplacizumab against control.

    Attributes:
        measure: hazard_ratio, risk_ratio, odds_ratio or subdistribution_hazard_ratio.
        method: how it was estimated.
        counts: (events, patients) with and without caplacizumab, as the analysis counts them.
        value, lower, upper: the ratio and its 95 % limits; NaN where not estimable.
        p: its p value.
        caveat: what limits it.
        reason: why there is no value.
        counted: what n and N of the counts are.
    """

    measure: str
    method: str
    counts: tuple[int, int, int, int]
    value: float = NAN
    lower: float = NAN
    upper: float = NAN
    p: float = NAN
    caveat: str | None = None
    reason: str | None = None
    counted: str = "patients with the outcome; N analysed"


def _of_term(measure: str, term, counts: tuple, method: str, caveat: str | None = None) -> Effect:
    """The effect from the line of the exposure in a table of coefficients; ``reason`` says why it has no estimate."""
    reason = plain_reason(term["reason"])
    value = NAN if reason else term[measure]
    return Effect(measure, method, counts, value, term["lower"], term["upper"], term["p_value"], caveat, reason)


def _exposed(table: pd.DataFrame) -> pd.Series:
    return table.set_index("term").loc[EXPOSED]


def plain_reason(reason) -> str | None:
    """Why there is no estimate, without the words that cells put before it."""
    return None if reason is None or pd.isna(reason) or not reason else str(reason).removeprefix(NOT_ESTIMABLE)


def _counts(data: pd.DataFrame) -> tuple[int, int, int, int]:
    event, exposed = data["event"].astype(float), data[EXPOSED] == 1
    return tuple(int(number) for arm in (exposed, ~exposed) for number in (event[arm].sum(), event[arm].notna().sum()))


def _of_cox(fit: cox.CoxFit, counts: tuple, method: str, caveat: str | None = None) -> Effect:
    """The effect from a Cox model; where hazards are not proportional, the caveat says that it is an average."""
    effect = _of_term("hazard_ratio", _exposed(fit.table), counts, method, caveat)
    if effect.reason:
        return effect
    p = _exposed(cox.proportional_hazards_test(fit))["p_value"]
    return replace(effect, caveat=join_caveats(not_proportional(p), caveat))


def not_proportional(p: float) -> str | None:
    """What the test of proportional hazards says, in words that several ratios share: one footnote, not one each."""
    below = next((limit for limit in ("0.001", "0.01", "0.05") if p < float(limit)), None)
    return f"hazards not proportional (score test p < {below}): an average over follow-up" if below else None


def _cox_method(ties: str, model: str = "", interval: str = "Wald") -> str:
    return f"hazard ratio: Cox regression{model}, {ties.capitalize()}'s ties; 95 % CI {interval}"


def hazard_ratio(data: pd.DataFrame, ties: str) -> Effect:
    """Cox regression on the exposure alone."""
    method = _cox_method(ties)
    if data[EXPOSED].nunique() < 2:
        return _not_estimable("hazard_ratio", data, method, "one group only, or nobody")
    return _of_cox(cox.cox_regression(data, [EXPOSED], ties=ties), _counts(data), method, _cause_specific(data))


def _cause_specific(data: pd.DataFrame) -> str | None:
    return "cause-specific: death ends observation" if "cause" in data else None


def stratified_by_country(data: pd.DataFrame, ties: str) -> Effect:
    """Each country compared with itself; a country with one group only has nothing to compare."""
    compared = data[data.groupby("centre_id")[EXPOSED].transform("nunique") == 2]
    method = _cox_method(ties, ", stratified by country")
    if compared.empty:
        return _not_estimable("hazard_ratio", data, method, "no country has patients of both groups")
    fit = cox.cox_regression(compared, [EXPOSED], strata="centre_id", ties=ties)
    caveat = join_caveats(_one_group_countries(data, "left out"), _cause_specific(data))
    return _of_cox(fit, _counts(compared), method, caveat)


def _one_group_countries(data: pd.DataFrame, what: str) -> str | None:
    """A caveat that counts the patients of countries with one group only."""
    alone = data.groupby("centre_id")[EXPOSED].transform("nunique") == 1
    return cells.if_any(int(alone.sum()), f"patients of countries with one group only: {what}")


def risk_ratio(counts: tuple[int, int, int, int]) -> Effect:
    """Risk ratio from (events, patients) with and without caplacizumab."""
    ratio, *limits = proportions.miettinen_nurminen_ratio(*counts)
    reason = None if math.isfinite(ratio) else "no patient evaluable, or no event in the comparison group"
    method = "risk ratio; 95 % CI Miettinen-Nurminen; p Fisher's exact test"
    p = contingency.fisher(*counts)
    return Effect("risk_ratio", method, counts, NAN if reason else ratio, *limits, p, reason=reason)


def crude(outcome: Outcome, data: pd.DataFrame, ties: str) -> Effect:
    """The unadjusted effect: a hazard ratio over time, else a risk ratio."""
    return hazard_ratio(data, ties) if outcome.over_time else risk_ratio(_counts(data))


def at_landmark(outcome: Outcome, data: pd.DataFrame, day: int, ties: str) -> Effect:
    """By whether caplacizumab had begun by the landmark day; time counts from there.

    Analysed are patients observed beyond that day whose outcome is not decided by its end.
    """
    known = data[data["start_known"]]
    if outcome.over_time:
        left = exposure.landmark(known[known["time_days"] > day], day=day, start_day="start_day", exposure=EXPOSED)
    else:
        left = known[(known["end_day"] > day) & ~(known["decided_day"] <= day)]
        left = left.assign(exposed=(left["start_day"] <= day).astype(float))
    effect = crude(outcome, left, ties)
    why_later = "" if outcome is DEATH else ", many of them for how they did until then"
    later = cells.if_any(int((left["start_day"] > day).sum()), f"began later and count as not begun{why_later}")
    decided = effect.reason and left["event"].isna().all()
    reason = "decided in everybody by the landmark day" if decided else effect.reason
    return replace(effect, caveat=join_caveats(effect.caveat, later, _unknown_start(data)), reason=reason)


def _unknown_start(data: pd.DataFrame) -> str | None:
    return cells.if_any(int((~data["start_known"]).sum()), "left out: start not recorded")


def time_dependent(data: pd.DataFrame, ties: str) -> Effect:
    """Patients are untreated until the first dose and treated from then on; an event on its day comes after it."""
    known = data[data["start_known"]]
    intervals = exposure.expand_time_dependent(
        known[["patient_id", "time_days", "event", "start_day"]], start_day="start_day", exposure=EXPOSED
    )
    fit = cox.cox_regression(intervals, [EXPOSED], start="interval_start_days", ties=ties)
    same_day = int((known["event"] & (known["time_days"] == known["start_day"])).sum())
    after = cells.if_any(same_day, "events on the day of the first dose count as after it")
    caveat = join_caveats(_cause_specific(data), after, _unknown_start(data))
    effect = _of_cox(fit, _counts(intervals), _cox_method(ties, ", start as time-dependent exposure"), caveat)
    return replace(effect, counted="events while treated, or untreated; N patients with such time")


def _complete(data: pd.DataFrame, covariates: Iterable[str]) -> tuple[pd.DataFrame, str | None]:
    """The patients in whom all covariates are known, and a caveat that counts the others."""
    complete = data.dropna(subset=list(covariates))
    return complete, cells.if_any(len(data) - len(complete), "left out: a covariate not known")


def _not_estimable(
    measure: str,
    data: pd.DataFrame,
    method: str,
    reason: str = "one group only, or nobody in whom all covariates are known",
) -> Effect:
    return Effect(measure, method, _counts(data), reason=reason)


def clone_censor_weight(
    data: pd.DataFrame, *, grace_days: int, follow_up_days: int, truncate_percentile: float, ties: str
) -> Effect:
    """Emulated trial: start within the grace period against not starting."""
    known, caveat = _complete(data[data["start_known"]], COVARIATES)
    known = known.assign(start_day=known["start_day"].where(known["start_day"] <= known["time_days"]))
    method = (
        f"hazard ratio: clone-censor-weight, grace period {grace_days} days, weights truncated at percentile "
        f"{truncate_percentile:g}; weighted Cox regression, {ties.capitalize()}'s ties; 95 % CI robust by patient"
    )
    if known[EXPOSED].nunique() < 2:
        return _not_estimable("hazard_ratio", known, method)
    trial = emulation.emulated_trial(
        known[["patient_id", "time_days", "event", "start_day", *COVARIATES]],
        list(COVARIATES),
        grace_days=grace_days,
        horizon_days=follow_up_days,
        truncate_percentile=truncate_percentile,
        ties=ties,
    )
    found, by_strategy = trial.hazard_ratio, trial.strategies.set_index("strategy")
    counts = tuple(by_strategy.loc[list(emulation.STRATEGIES), ["deaths", "clones"]].astype(int).to_numpy().ravel())
    largest = f"largest weight {by_strategy['largest_weight'].max():.1f}"
    positivity = "historic controls could not start: the emulation takes this for chance, given the covariates"
    return Effect(
        "hazard_ratio",
        method,
        tuple(map(int, counts)),
        *(found[name] for name in ("estimate", "lower", "upper")),
        _p_of_ratio(found),
        join_caveats(largest, positivity, caveat, _unknown_start(data)),
        plain_reason(found["reason"]),
        "deaths of clones that kept to start, or to no start; N clones",
    )


def _p_of_ratio(effect: dict[str, float]) -> float:
    """The Wald p value of a ratio whose limits are Wald's on the log scale."""
    from scipy.stats import norm

    if not (effect["lower"] > 0 and effect["upper"] > effect["lower"]):
        return NAN
    error = math.log(effect["upper"] / effect["lower"]) / (2 * norm.ppf(0.975))
    return float(2 * norm.sf(abs(math.log(effect["estimate"])) / error))


#: Columns of weights by the propensity score, and what they are.
WEIGHTS = {"iptw": "inverse-probability weights, truncated at percentile {:g}", "overlap": "overlap weights"}


def exposure_weights(patients: pd.DataFrame, *, truncate_percentile: float) -> pd.DataFrame:
    """Weights by the propensity score: "iptw" to all patients (stabilised, truncated), "overlap" to those who might
    have been in either group.

    The score is fitted once to all patients in whom every covariate is known: it is about treatment, not about the
    outcome.

    Args:
        patients: ``analysed_patients``.
        truncate_percentile: weights "iptw" above this percentile are set to it.

    Returns:
        Columns "iptw" and "overlap", indexed as ``patients``; NaN where a covariate is not known.

    Raises:
        weighting.NotEstimable: one group only, or covariates that separate the groups.
    """
    complete, _ = _complete(patients, COVARIATES)
    scores = weighting.propensity_scores(complete, EXPOSED, list(COVARIATES))
    exposed = complete[EXPOSED]
    weights = {
        "iptw": weighting.inverse_probability_weights(scores, exposed, truncate_percentile=truncate_percentile),
        "overlap": weighting.overlap_weights(scores, exposed),
    }
    return pd.DataFrame(weights, index=complete.index).reindex(patients.index)


def weighted(
    outcome: Outcome, data: pd.DataFrame, weights: pd.DataFrame | str, *, truncate_percentile: float, ties: str
) -> dict[str, Effect]:
    """The effect under each kind of weights; ``weights`` is the reason where there are none."""
    known, caveat = _complete(data if outcome.over_time else data.dropna(subset=["event"]), COVARIATES)
    measure = "hazard_ratio" if outcome.over_time else "risk_ratio"
    effects = {}
    for name, kind in WEIGHTS.items():
        what = f"{measure.replace('_', ' ')}: {kind.format(truncate_percentile)}"
        method = f"{what}; 95 % CI robust, weights taken as known"
        if isinstance(weights, str) or known[EXPOSED].nunique() < 2:
            why = weights if isinstance(weights, str) else "one group only, or nobody evaluable"
            effects[name] = _not_estimable(measure, known, method, why)
        else:
            own = known.assign(weight=weights[name])
            effects[name] = _weighted_effect(outcome, measure, own, method, caveat, ties)
    return effects


def _weighted_effect(
    outcome: Outcome, measure: str, data: pd.DataFrame, method: str, caveat: str | None, ties: str
) -> Effect:
    sizes = [weighting.effective_sample_size(data.loc[data[EXPOSED] == value, "weight"]) for value in (1, 0)]
    caveat = join_caveats(
        f"effective patients: caplacizumab {sizes[0]:.0f}, control {sizes[1]:.0f}",
        _one_group_countries(data, "compared with controls of other countries"),
        caveat,
    )
    if outcome.over_time:
        # Without the test of proportional hazards: it takes weights for numbers of patients.
        found = weighting.weighted_hazard_ratio(data, EXPOSED, data["weight"], ties=ties)
        caveat = join_caveats(_cause_specific(data), caveat)
    else:
        risks = weighting.weighted_risks(data["event"], data[EXPOSED], data["weight"])
        found = risks.set_index("quantity").loc["ratio"]
    numbers = found.estimate, found.lower, found.upper, found.p_value
    return Effect(measure, method, _counts(data), *numbers, caveat, plain_reason(found.reason))


def _with_countries(data: pd.DataFrame, covariates: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """Indicators of all countries but the largest, and the names of all columns of the model."""
    sizes = data["centre_id"].value_counts()
    reference = sorted(sizes.index, key=lambda centre: (-sizes[centre], centre))[0]
    centres = sorted(set(data["centre_id"]) - {reference})
    indicators = {f"country_{centre}": (data["centre_id"] == centre).astype(float) for centre in centres}
    return data.assign(**indicators), [EXPOSED, *covariates, *indicators]


def adjusted(outcome: Outcome, data: pd.DataFrame, ties: str) -> Effect:
    """Covariates and country in one penalised model: Cox over time, else logistic."""
    known, caveat = _complete(data if outcome.over_time else data.dropna(subset=["event"]), COVARIATES)
    measure, model = "odds_ratio", "logistic regression"
    if outcome.over_time:
        measure, model = "hazard_ratio", f"Cox regression ({ties.capitalize()}'s ties)"
    what = f"{measure.replace('_', ' ')}: Firth's penalised {model} on covariates and country"
    method = f"{what}; 95 % CI profile likelihood"
    if known[EXPOSED].nunique() < 2:
        return _not_estimable(measure, known, method)
    caveat = join_caveats(_one_group_countries(known, "they inform the covariates only"), caveat)
    data, columns = _with_countries(known, COVARIATES)
    if outcome.over_time:
        table = firth.firth_cox(data, columns, profile_of=[EXPOSED], ties=ties)
        caveat = join_caveats(_cause_specific(data), caveat)
    else:
        table = firth.firth_logistic(data, "event", columns, profile_of=[EXPOSED])
    return _of_term(measure, _exposed(table), _counts(known), method, caveat)


def adjusted_imputed(data: pd.DataFrame, *, imputations: int) -> Effect:
    """As ``adjusted`` for death, with the covariates that are often missing imputed.

    By the logistic model: its coefficients are pooled by Rubin's rules.
    """
    covariates = [*COVARIATES, *OFTEN_MISSING]
    method = (
        "odds ratio: Firth's penalised logistic regression on covariates and country; "
        f"{imputations} imputations by chained equations, pooled by Rubin's rules"
    )
    known = data[~data["lost"]].assign(event=data["died"].astype(float))
    if known[EXPOSED].nunique() < 2 or known["event"].nunique() < 2:
        return _not_estimable("odds_ratio", known, method, "one group only, or nobody or everybody died")
    if unknown := [name for name in covariates if known[name].isna().all()]:
        return _not_estimable("odds_ratio", known, method, f"known in nobody: {', '.join(unknown)}")
    coefficients, errors, predictors = [], [], [*covariates, EXPOSED, "event"]
    for completed in imputation.impute(known[predictors], covariates, imputations=imputations, seed=SEED):
        model, columns = _with_countries(known.assign(**completed[covariates]), covariates)
        term = _exposed(firth.firth_logistic(model, "event", columns, profile_of=[]))
        coefficients.append(term["coef"])
        errors.append(term["standard_error"])
    pooled = imputation.rubin(coefficients, errors, complete_data_df=len(known) - len(columns) - 1)
    ratios = (math.exp(limit) for limit in (pooled.estimate, pooled.lower, pooled.upper))
    lost = cells.if_any(int(data["lost"].sum()), "lost, not analysed")
    caveat = join_caveats(lost, f"missing information {100 * pooled.fraction_missing:.0f} %")
    return Effect("odds_ratio", method, _counts(known), *ratios, pooled.p_value, caveat)


def subdistribution(data: pd.DataFrame) -> Effect:
    """Effect on the cumulative incidence: patients who died without the event remain in the risk set."""
    measure = "subdistribution_hazard_ratio"
    method = "subdistribution hazard ratio: Fine-Gray regression, Breslow's ties, death competing; 95 % CI Wald"
    return _of_term(measure, _exposed(competing_risks.fine_gray(data, [EXPOSED])), _counts(data), method)


def observed_and_lost(outcome: Outcome, data: pd.DataFrame) -> list[int]:
    """Events, patients observed and patients lost (or not evaluable), with and without caplacizumab."""
    lost = data["lost"] if outcome.over_time else data["event"].isna()
    event, exposed = data["event"].astype(float).where(~lost), data[EXPOSED] == 1
    return [
        int(number)
        for arm in (exposed, ~exposed)
        for number in (event[arm].sum(), event[arm].notna().sum(), lost[arm].sum())
    ]


def extreme_case(outcome: Outcome, data: pd.DataFrame, *, worst: bool) -> Effect:
    """Count the lost as with the event under caplacizumab and without it in control (worst), or the reverse."""
    numbers = observed_and_lost(outcome, data)
    counted = (sensitivity.worst_case if worst else sensitivity.best_case)(*numbers)
    lost = f"lost or not evaluable: caplacizumab {numbers[2]}, control {numbers[5]}"
    return replace(risk_ratio(counted), caveat=join_caveats("everybody in the denominator", lost))


def with_caveat(effect: Effect, caveat: str | None) -> Effect:
    """The effect with a caveat before its own."""
    return replace(effect, caveat=join_caveats(caveat, effect.caveat))


def before_first_dose(outcome: Outcome, data: pd.DataFrame) -> str | None:
    """Count events under caplacizumab that came no later than the day of the first dose: they are no effect of it."""
    happened = data["event"] == 1
    day = data["time_days"].where(happened) if outcome.over_time else data["event_day"]
    early = int((happened & (data[EXPOSED] == 1) & (day <= data["start_day"])).sum())
    return cells.if_any(early, "of the events under caplacizumab came on or before the day of the first dose")


def delayed_excluded(outcome: Outcome, data: pd.DataFrame, grace_days: int, ties: str) -> Effect:
    """Early starters against control.

    A patient who was refractory or exacerbated before a dose is a delayed starter for it: leaving these out selects by
    outcome.
    """
    early = data[(data[EXPOSED] == 0) | (data["timing"] == "early")]
    selected = None if outcome is DEATH else "who did badly before the first dose is left out for it, in one group only"
    caveat = join_caveats(f"who began by day {grace_days} had lived to the first dose", selected, _unknown_start(data))
    return with_caveat(crude(outcome, early, ties), caveat)
