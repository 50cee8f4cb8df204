"""Table 8: the comparison of caplacizumab with control under every rule variant and analysis that the protocol names.

Which patients each analysis takes, from when it counts them and what it adjusts for is decided here. How an effect is estimated is in ``cox``, ``firth``,
``weighting``, ``emulation``, ``competing_risks``, ``proportions`` and ``sensitivity``; what an analysis is called in ``labels``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from capla_etl.stats import cells, competing_risks, cox, emulation, firth, imputation, proportions, resampling, sensitivity, weighting
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.labels import EFFECT_CAVEAT
from capla_etl.stats.results import cell, frame, join_caveats
from capla_etl.stats.study import eligible_outcomes

NAN = float("nan")
EXPOSED = "exposed"
MEASURES = ("hazard_ratio", "risk_ratio", "odds_ratio", "subdistribution_hazard_ratio")

#: Baseline covariates of adjusted and weighted analyses: column here -> (column of marts.patient, transformation). What was given after day 0 (rituximab,
#: corticosteroids) is not among them: it can follow from the course.
COVARIATES: dict[str, tuple[str, Callable]] = {
    "age_years": ("age_years", lambda values: values),
    "female": ("sex", lambda values: values.map({"female": 1.0, "male": 0.0})),
    "first_episode": ("first_episode", lambda values: values.map({"yes": 1.0, "no": 0.0})),
    "neurological_involvement": ("neurological_involvement", lambda values: values.map({"yes": 1.0, "no": 0.0})),
    "log_platelets": ("platelets_10e9_per_l_day0", np.log),
    "log_ldh": ("ldh_x_uln_day0", np.log),
    "log_creatinine": ("creatinine_umol_per_l", np.log),
}
#: Covariates that too many patients lack for the main model: imputed for an analysis of their own.
OFTEN_MISSING: dict[str, tuple[str, Callable]] = {
    "log_troponin": ("troponin_x_uln", lambda values: np.log1p(values)),
    "log_anti_adamts13": ("anti_adamts13_u_per_ml", lambda values: np.log1p(values)),
}
IMPUTATIONS = 10
REPLICATES = 2000
SEED = 20230930


@dataclass(frozen=True)
class Effect:
    """One effect of caplacizumab against control.

    Attributes:
        measure: one of ``MEASURES``.
        value, lower, upper: the ratio and its 95 % limits; NaN where not estimable.
        p: its p value.
        counts: (events, patients) with and without caplacizumab, as the analysis counts them.
        method: how it was estimated.
        caveat: what limits it.
        reason: why there is no value.
    """

    measure: str
    value: float
    lower: float
    upper: float
    p: float
    counts: tuple[int, int, int, int]
    method: str
    caveat: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Outcome:
    """An outcome of Table 8.

    Attributes:
        name: row id.
        over_time: whether it is analysed as time to an event (a hazard ratio), else as a risk (a risk ratio).
        prepare: patients -> what is analysed: adds ``time_days`` and ``event`` (over time), or ``event`` (float: 1, 0, NaN not evaluable) and
            ``event_day`` (NaN where there is none).
        varies: columns of outcomes that decide it: rule sets that give every patient the same there are not repeated.
    """

    name: str
    over_time: bool
    prepare: Callable[[pd.DataFrame, int], pd.DataFrame]
    varies: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------------ patients


def analysed_patients(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """Eligible patients of both groups as the analyses need them.

    Args:
        patient: ``marts.patient``.
        outcome: outcomes under one rule set, one row per eligible patient.
        follow_up_days: last day of follow-up.

    Returns:
        ``study.eligible_outcomes`` of the patients whose group and follow-up are known, and ``exposed`` (1.0 caplacizumab, 0.0 control), ``start_day``
        (first dose; NaN for control and where not recorded), ``start_known`` (bool), ``end_day`` (death or last seen, cut at the end of follow-up), ``died``
        (bool, by then), ``lost`` (bool: alive when last seen before it), and the covariates.
    """
    patients = eligible_outcomes(patient, outcome)
    patients = patients[patients["treatment_group"].isin(["caplacizumab", "control"])].reset_index(drop=True)
    died = patients["death_day"] <= follow_up_days
    end_day = patients["death_day"].fillna(patients["last_seen_day"]).clip(upper=follow_up_days)
    exposed = patients["treatment_group"] == "caplacizumab"
    columns = {
        EXPOSED: exposed.astype(float),
        "start_day": patients["caplacizumab_start_day"].where(exposed),
        "start_known": ~exposed | patients["caplacizumab_start_day"].notna(),
        "end_day": end_day,
        "died": died,
        "lost": ~died & (end_day < follow_up_days),
        **{name: transform(patients[column]).astype(float) for name, (column, transform) in (COVARIATES | OFTEN_MISSING).items()},
    }
    return patients.assign(**columns)[end_day >= 0].reset_index(drop=True)


def _death(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    return patients.assign(time_days=patients["end_day"], event=patients["died"])


def _first(day: str, patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Time to the day of an outcome; death without it ends observation (a cause-specific hazard)."""
    happened = patients[day] <= follow_up_days
    cause = np.select([happened, patients["died"]], [competing_risks.EVENT, competing_risks.COMPETING], competing_risks.CENSORED)
    return patients.assign(time_days=patients[day].where(happened, patients["end_day"]), event=happened, cause=cause)


def _answer(answer: str, day: str | None, patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """A yes/no outcome: 1, 0, or NaN where not evaluable."""
    event = patients[answer].map({"yes": 1.0, "no": 0.0})
    return patients.assign(event=event, event_day=pd.to_numeric(patients[day]).astype(float).where(event == 1) if day else NAN)


def _failure(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Failure is decided by the end of follow-up; a response before a landmark has decided it already."""
    decided = _answer("failure", None, patients, follow_up_days)
    return decided.assign(event_day=decided["response_day"].where(decided["event"] == 0))


def _exacerbation(patients: pd.DataFrame, follow_up_days: int) -> pd.DataFrame:
    """Of all patients, as the abstract: not evaluable counts as without."""
    return _answer("exacerbation", "exacerbation_day", patients.assign(exacerbation=patients["exacerbation"].where(patients["exacerbation"] == "yes", "no")),
                   follow_up_days)


DEATH = Outcome("death", True, _death)
FAILURE = Outcome("failure", False, _failure, ("failure",))
RESPONSE = Outcome("response", True, partial(_first, "response_day"), ("response_day",))
REFRACTORY = Outcome("refractory", False, partial(_answer, "refractory", "refractory_assessment_day"), ("refractory",))
EXACERBATION = Outcome("exacerbation", False, _exacerbation, ("exacerbation",))
RECOVERY = Outcome("adamts13_recovery", True, partial(_first, "adamts13_recovery_day"), ("adamts13_recovery_day",))
OUTCOMES = (DEATH, FAILURE, RESPONSE, REFRACTORY, EXACERBATION, RECOVERY)


# ------------------------------------------------------------------------------------------------------------------- effects


def _counts(data: pd.DataFrame) -> tuple[int, int, int, int]:
    event, exposed = data["event"].astype(float), data[EXPOSED] == 1
    return tuple(int(number) for arm in (exposed, ~exposed) for number in (event[arm].sum(), event[arm].notna().sum()))


def _of_cox(table: pd.DataFrame, counts: tuple, method: str, caveat: str | None = None) -> Effect:
    """The effect of the exposure from a table of coefficients of a Cox model."""
    term = table.set_index("term").loc[EXPOSED]
    reason = None if pd.isna(term["reason"]) else term["reason"]
    value = NAN if reason else term["hazard_ratio"]
    return Effect("hazard_ratio", value, term["lower"], term["upper"], term["p_value"], counts, method, caveat, reason)


def hazard_ratio(data: pd.DataFrame, *, ties: str, strata: str | None = None) -> Effect:
    """Cox regression on the exposure alone."""
    fit = cox.cox_regression(data, [EXPOSED], strata=strata, ties=ties)
    return _of_cox(fit.table, _counts(data), f"hazard ratio: Cox regression{', stratified by country' if strata else ''}; 95 % CI Wald")


def risk_ratio(counts: tuple[int, int, int, int]) -> Effect:
    """Risk ratio from (events, patients) with and without caplacizumab."""
    ratio, lower, upper = proportions.miettinen_nurminen_ratio(*counts)
    reason = None if math.isfinite(ratio) else "no patient evaluable, or no event in the comparison group"
    return Effect("risk_ratio", ratio if not reason else NAN, lower, upper, proportions.fisher(*counts), counts,
                  "risk ratio; 95 % CI Miettinen-Nurminen; p Fisher's exact test", reason=reason)


def _crude(outcome: Outcome, data: pd.DataFrame, conventions: Conventions) -> Effect:
    return hazard_ratio(data, ties=conventions.ties) if outcome.over_time else risk_ratio(_counts(data))


def at_landmark(outcome: Outcome, data: pd.DataFrame, day: int, conventions: Conventions) -> Effect:
    """Patients still observed and without the outcome when a landmark day begins, by whether caplacizumab had begun by that day; time counts from there."""
    known = data[data["start_known"]]
    if outcome.over_time:
        left = cox.landmark(known, day=day, start_day="start_day", exposure=EXPOSED)
    else:
        left = known[(known["end_day"] >= day) & ~(known["event_day"] < day)]
        left = left.assign(exposed=(left["start_day"] <= day).astype(float))
    later = int((left["start_day"] > day).sum())
    return replace(_crude(outcome, left, conventions), caveat=join_caveats(cells.if_any(later, "began later and count as not begun"), _unknown_start(data)))


def _unknown_start(data: pd.DataFrame) -> str | None:
    return cells.if_any(int((~data["start_known"]).sum()), "left out: start not recorded")


def time_dependent(data: pd.DataFrame, conventions: Conventions) -> Effect:
    """Each patient counts as untreated until the first dose and as treated from it on."""
    known = data[data["start_known"]]
    intervals = cox.expand_time_dependent(known[["patient_id", "time_days", "event", "start_day"]], start_day="start_day", exposure=EXPOSED)
    fit = cox.cox_regression(intervals, [EXPOSED], start="interval_start_days", ties=conventions.ties)
    return _of_cox(fit.table, _counts(known), "hazard ratio: Cox regression, start as time-dependent exposure; 95 % CI Wald", _unknown_start(data))


def _complete(data: pd.DataFrame, covariates: Iterable[str]) -> tuple[pd.DataFrame, str | None]:
    """The patients in whom all covariates are known, and a caveat that counts the others."""
    complete = data.dropna(subset=list(covariates))
    return complete, cells.if_any(len(data) - len(complete), "left out: a covariate not known")


def _not_estimable(measure: str, data: pd.DataFrame, method: str, reason: str = "one group only, or nobody in whom all covariates are known") -> Effect:
    return Effect(measure, NAN, NAN, NAN, NAN, _counts(data), method, reason=reason)


def clone_censor_weight(data: pd.DataFrame, *, grace_days: int, follow_up_days: int, truncate_percentile: float) -> Effect:
    """Emulated trial: start within the grace period against not starting."""
    known, caveat = _complete(data[data["start_known"]], COVARIATES)
    known = known.assign(start_day=known["start_day"].where(known["start_day"] <= known["time_days"]))
    columns = ["patient_id", "time_days", "event", "start_day", *COVARIATES]
    method = (
        f"hazard ratio: clone-censor-weight, grace period {grace_days} days, weights truncated at percentile {truncate_percentile:g}; weighted Cox regression, "
        "95 % CI robust by patient; n/N clones"
    )
    if known.empty:
        return _not_estimable("hazard_ratio", known, method)
    trial = emulation.emulated_trial(known[columns], list(COVARIATES), grace_days=grace_days, horizon_days=follow_up_days, truncate_percentile=truncate_percentile)
    effect = trial.effects.set_index("effect").loc["hazard_ratio"]
    by_strategy = trial.strategies.set_index("strategy")
    counts = tuple(int(by_strategy.loc[strategy, column]) for strategy in emulation.STRATEGIES for column in ("deaths", "clones"))
    largest = by_strategy["largest_weight"].max()
    positivity = "historic controls could not start: the emulation takes this for chance, given the covariates"
    return Effect(
        "hazard_ratio", effect["estimate"], effect["lower"], effect["upper"], _p_of_ratio(effect), counts, method,
        join_caveats(f"largest weight {largest:.1f}", positivity, caveat, _unknown_start(data)), _reason(effect["reason"]),
    )


def _reason(reason) -> str | None:
    """Why there is no estimate, without the words that cells put before it."""
    return None if reason is None or pd.isna(reason) or not reason else str(reason).removeprefix("not estimable: ")


def _p_of_ratio(effect: pd.Series) -> float:
    """The Wald p value of a ratio whose limits are Wald's on the log scale."""
    from scipy.stats import norm

    if not (effect["lower"] > 0 and effect["upper"] > effect["lower"]):
        return NAN
    error = math.log(effect["upper"] / effect["lower"]) / (2 * norm.ppf(0.975))
    return float(2 * norm.sf(abs(math.log(effect["estimate"])) / error))


#: Columns of weights by the propensity score, and what they are.
WEIGHTS = {"iptw": "inverse-probability weights, truncated at percentile {:g}", "overlap": "overlap weights"}


def exposure_weights(patients: pd.DataFrame, *, truncate_percentile: float) -> pd.DataFrame:
    """Weights by the propensity score: "iptw" to all patients (stabilised, truncated), "overlap" to those who might have been in either group.

    The score is fitted once to all patients in whom every covariate is known: it is about treatment, whatever the outcome.

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
    of = partial(weighting.inverse_probability_weights, scores, complete[EXPOSED])
    weights = {"iptw": of(estimand="ate", stabilised=True, truncate_percentiles=(0, truncate_percentile)), "overlap": of(estimand="overlap")}
    return pd.DataFrame(weights, index=complete.index).reindex(patients.index)


def weighted(outcome: Outcome, data: pd.DataFrame, weights: pd.DataFrame | str, *, truncate_percentile: float, conventions: Conventions) -> dict[str, Effect]:
    """The effect under each kind of weights; ``weights`` is the reason where there are none."""
    known, caveat = _complete(data if outcome.over_time else data.dropna(subset=["event"]), COVARIATES)
    measure = "hazard_ratio" if outcome.over_time else "risk_ratio"
    methods = {
        name: f"{measure.replace('_', ' ')}: {kind.format(truncate_percentile)}; 95 % CI robust, weights taken as known" for name, kind in WEIGHTS.items()
    }
    if isinstance(weights, str) or known[EXPOSED].nunique() < 2:
        why = weights if isinstance(weights, str) else "one group only, or nobody evaluable"
        return {name: _not_estimable(measure, known, method, why) for name, method in methods.items()}
    return {name: _weighted_effect(outcome, known.assign(weight=weights[name]), method, caveat, conventions) for name, method in methods.items()}


def _weighted_effect(outcome: Outcome, data: pd.DataFrame, method: str, caveat: str | None, conventions: Conventions) -> Effect:
    sizes = [weighting.effective_sample_size(data.loc[data[EXPOSED] == value, "weight"]) for value in (1, 0)]
    caveat = join_caveats(f"effective patients: caplacizumab {sizes[0]:.0f}, control {sizes[1]:.0f}", caveat)
    if outcome.over_time:
        fit = cox.cox_regression(data, [EXPOSED], weights="weight", cluster="patient_id", ties=conventions.ties)
        return _of_cox(fit.table, _counts(data), method, caveat)
    found = weighting.weighted_risks(data["event"], data[EXPOSED], data["weight"]).set_index("quantity").loc["ratio"]
    return Effect("risk_ratio", found["estimate"], found["lower"], found["upper"], found["p_value"], _counts(data), method, caveat, _reason(found["reason"]))


def _with_countries(data: pd.DataFrame, covariates: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """Indicators of all countries but the largest, and the names of all columns of the model."""
    sizes = data["centre_id"].value_counts()
    reference = sorted(sizes.index, key=lambda centre: (-sizes[centre], centre))[0]
    centres = sorted(set(data["centre_id"]) - {reference})
    indicators = {f"country_{centre}": (data["centre_id"] == centre).astype(float) for centre in centres}
    return data.assign(**indicators), [EXPOSED, *covariates, *indicators]


def adjusted(outcome: Outcome, data: pd.DataFrame) -> Effect:
    """Covariates and country in one penalised model: Cox over time, else logistic."""
    known, caveat = _complete(data if outcome.over_time else data.dropna(subset=["event"]), COVARIATES)
    measure, model = ("hazard_ratio", "Cox") if outcome.over_time else ("odds_ratio", "logistic")
    method = f"{measure.replace('_', ' ')}: Firth's penalised {model} regression on covariates and country; 95 % CI profile likelihood"
    if known[EXPOSED].nunique() < 2:
        return _not_estimable(measure, known, method)
    data, columns = _with_countries(known, COVARIATES)
    if outcome.over_time:
        table = firth.firth_cox(data, columns, time="time_days", event="event", profile_of=[EXPOSED])
        return _of_cox(table, _counts(known), method, caveat)
    term = firth.firth_logistic(data, "event", columns, profile_of=[EXPOSED]).set_index("term").loc[EXPOSED]
    return Effect(measure, term["odds_ratio"], term["lower"], term["upper"], term["p_value"], _counts(known), method, caveat, _reason(term["reason"]))


def adjusted_imputed(data: pd.DataFrame) -> Effect:
    """As ``adjusted`` for death, with the covariates that are often missing imputed, by the logistic model: its coefficients are pooled by Rubin's rules."""
    covariates = [*COVARIATES, *OFTEN_MISSING]
    method = (
        f"odds ratio: Firth's penalised logistic regression on covariates and country; {IMPUTATIONS} imputations by chained equations, pooled by Rubin's rules"
    )
    known = data[~data["lost"]].assign(event=data["died"].astype(float))
    if known[EXPOSED].nunique() < 2 or known["event"].nunique() < 2:
        return _not_estimable("odds_ratio", known, method, "one group only, or nobody or everybody died")
    if unknown := [name for name in covariates if known[name].isna().all()]:
        return _not_estimable("odds_ratio", known, method, f"known in nobody: {', '.join(unknown)}")
    coefficients, errors = [], []
    predictors = [*covariates, EXPOSED, "event"]
    for completed in imputation.impute(known[predictors], covariates, imputations=IMPUTATIONS, seed=SEED):
        model, columns = _with_countries(known.assign(**completed[covariates]), covariates)
        term = firth.firth_logistic(model, "event", columns, profile_of=[]).set_index("term").loc[EXPOSED]
        coefficients.append(term["coef"])
        errors.append(term["standard_error"])
    pooled = imputation.rubin(coefficients, errors, complete_data_df=len(known) - len(columns) - 1)
    value, lower, upper = (math.exp(limit) for limit in (pooled.estimate, pooled.lower, pooled.upper))
    return Effect("odds_ratio", value, lower, upper, pooled.p_value, _counts(known), method,
                  join_caveats(cells.if_any(int(data["lost"].sum()), "lost, not analysed"), f"missing information {100 * pooled.fraction_missing:.0f} %"))


def subdistribution(data: pd.DataFrame) -> Effect:
    """Effect on the cumulative incidence: who died without the event stays at risk."""
    term = competing_risks.fine_gray(data, [EXPOSED]).set_index("term").loc[EXPOSED]
    return Effect(
        "subdistribution_hazard_ratio", term["subdistribution_hazard_ratio"], term["lower"], term["upper"], term["p_value"], _counts(data),
        "subdistribution hazard ratio: Fine-Gray regression, death competing; 95 % CI Wald", reason=_reason(term["reason"]),
    )


def _observed_and_lost(outcome: Outcome, data: pd.DataFrame) -> list[int]:
    """Events, patients observed and patients lost (or not evaluable), with and without caplacizumab."""
    lost = data["lost"] if outcome.over_time else data["event"].isna()
    event, exposed = data["event"].astype(float).where(~lost), data[EXPOSED] == 1
    return [int(number) for arm in (exposed, ~exposed) for number in (event[arm].sum(), event[arm].notna().sum(), lost[arm].sum())]


def extreme_case(outcome: Outcome, data: pd.DataFrame, *, worst: bool) -> Effect:
    """The lost counted as with the event under caplacizumab and without it in control (worst), or the reverse (best)."""
    numbers = _observed_and_lost(outcome, data)
    counted = (sensitivity.worst_case if worst else sensitivity.best_case)(*numbers)
    lost = f"lost or not evaluable: caplacizumab {numbers[2]}, control {numbers[5]}"
    return replace(risk_ratio(counted), caveat=join_caveats("everybody in the denominator", lost))


# ------------------------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Settings:
    """Parameters of the analyses, from the protocol.

    Attributes:
        follow_up_days: last day of follow-up.
        grace_days: last day of an early start; the emulated trial's grace period.
        landmark_days: landmark days.
        truncate_percentile: percentile at which weights are truncated.
        default_rule_set: name of the default rule set.
    """

    follow_up_days: int
    grace_days: int
    landmark_days: tuple[int, ...]
    truncate_percentile: float
    default_rule_set: str


def _main_analyses(
    outcome: Outcome, data: pd.DataFrame, weights: pd.DataFrame | str, settings: Settings, conventions: Conventions
) -> dict[str, Effect]:
    """The analyses that every outcome has under every rule set."""
    early = data[(data[EXPOSED] == 0) | (data["timing"] == "early")]
    found = {"as_published": _crude(outcome, data, conventions)}
    found |= {f"landmark_day_{day}": at_landmark(outcome, data, day, conventions) for day in settings.landmark_days}
    if outcome.over_time:
        found["time_dependent"] = time_dependent(data, conventions)
    found["delayed_excluded"] = replace(
        _crude(outcome, early, conventions), caveat=f"who began by day {settings.grace_days} had lived to the first dose"
    )
    if outcome is DEATH:
        found["clone_censor_weight"] = clone_censor_weight(
            data, grace_days=settings.grace_days, follow_up_days=settings.follow_up_days, truncate_percentile=settings.truncate_percentile
        )
    found |= weighted(outcome, data, weights, truncate_percentile=settings.truncate_percentile, conventions=conventions)
    found["adjusted"] = adjusted(outcome, data)
    return found


def _default_only(outcome: Outcome, data: pd.DataFrame, conventions: Conventions) -> dict[str, Effect]:
    """What is not repeated for every rule variant."""
    found = {}
    if outcome is DEATH:
        found["adjusted_imputed"] = adjusted_imputed(data)
    if outcome.over_time:
        found["stratified_by_country"] = hazard_ratio(data, ties=conventions.ties, strata="centre_id")
    if outcome in (RESPONSE, RECOVERY):
        found["subdistribution"] = subdistribution(data)
    for answer, name in (("yes", "rituximab"), ("no", "no_rituximab")):
        given = data[data["rituximab"] == answer]
        found[name] = replace(_crude(outcome, given, conventions), caveat="rituximab is given after day 0: no baseline subgroup")
    if outcome in (DEATH, FAILURE, REFRACTORY):
        found |= {name: extreme_case(outcome, data, worst=name == "worst_case") for name in ("worst_case", "best_case")}
    if outcome in (DEATH, FAILURE):
        for centre in sorted(data["centre_id"].unique()):
            found[f"without_{centre}"] = _crude(outcome, data[data["centre_id"] != centre], conventions)
    return found


def table8(
    patient: pd.DataFrame, outcome_by_rule_set: pd.DataFrame, *, settings: Settings, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
    """The comparison under every rule variant and analysis.

    Args:
        patient: ``marts.patient``.
        outcome_by_rule_set: ``outcomes.patient_outcome_by_rule_set``.
        settings: parameters of the analyses.
        conventions: ties of Cox regression.

    Returns:
        Rows of table ``table8``; row ids are ``outcome:rule_set:analysis``; groups caplacizumab and control (counts as the analysis counts them) and
        difference (the ratio, its p; E-value; tipping point).
    """
    rule_sets = [settings.default_rule_set, *sorted(set(outcome_by_rule_set["rule_set"]) - {settings.default_rule_set})]
    of_rule_set = {name: outcome_by_rule_set[outcome_by_rule_set["rule_set"] == name].drop(columns="rule_set") for name in rule_sets}
    by_rule_set = {name: analysed_patients(patient, outcome, follow_up_days=settings.follow_up_days) for name, outcome in of_rule_set.items()}
    default = by_rule_set[settings.default_rule_set]
    try:
        weights: pd.DataFrame | str = exposure_weights(default, truncate_percentile=settings.truncate_percentile)
    except weighting.NotEstimable as why:
        weights = _reason(why) or ""
    rows: list[dict] = []
    for outcome in OUTCOMES:
        for rule_set in rule_sets:
            patients, is_default = by_rule_set[rule_set], rule_set == settings.default_rule_set
            if not is_default and patients[list(outcome.varies)].equals(default[list(outcome.varies)]):
                continue
            data = outcome.prepare(patients, settings.follow_up_days)
            effects = _main_analyses(outcome, data, weights, settings, conventions)
            if is_default:
                effects |= _default_only(outcome, data, conventions)
            prefix = f"{outcome.name}:{rule_set if outcome.varies else 'any'}"
            for analysis, effect in effects.items():
                rows += _effect_cells(f"{prefix}:{analysis}", effect)
            if outcome is DEATH:
                rows += _survival_difference(f"{prefix}:bootstrap", data, settings.follow_up_days)
            if is_default and outcome in (DEATH, FAILURE):
                rows += _tipping_point(f"{prefix}:tipping_point", outcome, data)
                rows += _e_value(f"{prefix}:e_value", effects["as_published"])
    return frame(rows)


def _effect_cells(row: str, effect: Effect) -> list[dict]:
    events_1, patients_1, events_0, patients_0 = effect.counts
    counted = "patients with the outcome; N analysed"
    rows = [
        cells.count("table8", row, "caplacizumab", events_1, patients_1, method=counted),
        cells.count("table8", row, "control", events_0, patients_0, method=counted),
    ]
    missing = effect.reason or pd.isna(effect.value)
    caveat = f"not estimable: {effect.reason or 'no estimate'}" if missing else join_caveats(effect.caveat, EFFECT_CAVEAT)
    limits = {} if missing else {"lower": cells.finite(effect.lower), "upper": cells.finite(effect.upper)}
    rows.append(cell("table8", row, "difference", effect.measure, None if missing else effect.value, **limits, method=effect.method, caveat=caveat))
    if not missing:
        rows.append(cells.p_value("table8", row, effect.p, method=f"p of the {effect.measure.replace('_', ' ')}", reason="no test", caveat=EFFECT_CAVEAT))
    return rows


def _survival_difference(row: str, data: pd.DataFrame, follow_up_days: int) -> list[dict]:
    """Difference of survival at the end of follow-up with a bootstrap interval, which leans on no large-sample formula."""
    method = f"difference of Kaplan-Meier survival, percentage points; 95 % CI percentiles of {REPLICATES} bootstrap replicates"
    courses = data.sort_values(EXPOSED, ascending=False, kind="stable").assign(group=lambda own: own[EXPOSED])[["group", "time_days", "event"]]
    found = resampling.bootstrap_survival_difference(courses, follow_up_days, replicates=REPLICATES, seed=SEED)
    reason = "not estimable: no survival estimate in a group" if pd.isna(found.estimate) else None
    limits = {} if reason else {name: cells.known(100 * getattr(found, name)) for name in ("lower", "upper")}
    value = None if reason else 100 * found.estimate
    return [cell("table8", row, "difference", "survival_difference", value, **limits, method=method, caveat=join_caveats(reason, EFFECT_CAVEAT))]


def _tipping_point(row: str, outcome: Outcome, data: pd.DataFrame) -> list[dict]:
    """Fewest events among caplacizumab's lost, with none among control's, at which the difference would no longer be significant."""
    numbers = _observed_and_lost(outcome, data)
    method = "fewest events among the lost under caplacizumab, with none among the lost in control, at which Fisher's p is 0.05 or more; N lost"
    needed = sensitivity.smallest_tipping_point(*numbers)
    reason = None if needed is not None else "not estimable: no number of events among the lost would change the conclusion"
    return [cell("table8", row, "difference", "tipping_point", needed, n=needed, n_assessed=numbers[2], method=method, caveat=join_caveats(reason, EFFECT_CAVEAT))]


def _e_value(row: str, effect: Effect) -> list[dict]:
    """E-value of the effect as published and of its limit nearest 1; death is rare, so that its hazard ratio stands for a risk ratio."""
    method = "E-value (VanderWeele and Ding 2017) of the effect as published; the hazard ratio of a rare outcome taken as a risk ratio"
    names = ("e_value", "e_value_of_limit")
    if effect.reason:
        return [cell("table8", row, "difference", name, None, method=method, caveat=f"not estimable: {effect.reason}") for name in names]
    values = sensitivity.e_value(effect.value, effect.lower, effect.upper, scale="rr")
    return [
        cell("table8", row, "difference", name, cells.known(value), method=method, caveat="not estimable: no interval" if pd.isna(value) else EFFECT_CAVEAT)
        for name, value in zip(names, values, strict=True)
    ]


def balance(patient: pd.DataFrame, outcome: pd.DataFrame, *, settings: Settings) -> pd.DataFrame:
    """``study.balance``: standardised mean differences of the covariates before and after weighting.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        settings: as ``table8``.

    Returns:
        One row per weights ('iptw', 'overlap') and covariate: weights, covariate, smd_before, smd_after; none where there are no weights.
    """
    patients = analysed_patients(patient, outcome, follow_up_days=settings.follow_up_days)
    columns = ["weights", "covariate", "smd_before", "smd_after"]
    try:
        weights = exposure_weights(patients, truncate_percentile=settings.truncate_percentile).dropna()
    except weighting.NotEstimable:
        return pd.DataFrame(columns=columns).astype({"smd_before": float, "smd_after": float})
    weighed = patients.loc[weights.index]
    parts = [weighting.balance(weighed, EXPOSED, list(COVARIATES), weights[name]).assign(weights=name) for name in WEIGHTS]
    return pd.concat(parts, ignore_index=True)[columns]
