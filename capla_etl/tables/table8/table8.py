"""Table 8: the comparison of caplacizumab with control under every rule variant and analysis that the protocol names.

Which analyses an outcome has, and how their effects become cells, is decided here. ``patients`` says which
patients are analysed, ``effects`` how an effect is estimated, ``labels`` what an analysis is called.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from capla_etl.stats import resampling, sensitivity, weighting
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables import cells
from capla_etl.tables.labels import EFFECT_CAVEAT
from capla_etl.tables.population import ARMS
from capla_etl.tables.results import join_caveats
from capla_etl.tables.table8 import effects
from capla_etl.tables.table8.effects import Effect, with_caveat
from capla_etl.tables.table8.patients import (
    COVARIATES,
    DEATH,
    EXPOSED,
    FAILURE,
    OUTCOMES,
    RECOVERY,
    REFRACTORY,
    RESPONSE,
    Outcome,
    analysed_patients,
)


@dataclass(frozen=True)
class Settings:
    """Parameters of the analyses, from the protocol.

    Attributes:
        follow_up_days: last day of follow-up.
        grace_days: last day of an early start; the emulated trial's grace period.
        landmark_days: landmark days.
        truncate_percentile: percentile at which weights are truncated.
        default_rule_set: name of the default rule set.
        imputations, bootstrap_replicates: how many.
    """

    follow_up_days: int
    grace_days: int
    landmark_days: tuple[int, ...]
    truncate_percentile: float
    default_rule_set: str
    imputations: int
    bootstrap_replicates: int


def _main_analyses(
    outcome: Outcome, data: pd.DataFrame, weights: pd.DataFrame | str, settings: Settings, ties: str
) -> dict[str, Effect]:
    """The analyses that every outcome has under every rule set."""
    before, truncate = effects.before_first_dose(outcome, data), settings.truncate_percentile
    found = {"as_published": with_caveat(effects.crude(outcome, data, ties), before)}
    for day in settings.landmark_days:
        found[f"landmark_day_{day}"] = effects.at_landmark(outcome, data, day, ties)
    if outcome.over_time:
        found["time_dependent"] = effects.time_dependent(data, ties)
    found["delayed_excluded"] = effects.delayed_excluded(outcome, data, settings.grace_days, ties)
    if outcome is DEATH:
        by = {"truncate_percentile": truncate, "ties": ties}
        found["clone_censor_weight"] = effects.clone_censor_weight(
            data, grace_days=settings.grace_days, follow_up_days=settings.follow_up_days, **by
        )
    later = effects.weighted(outcome, data, weights, truncate_percentile=truncate, ties=ties)
    later["adjusted"] = effects.adjusted(outcome, data, ties)
    return found | {name: with_caveat(effect, before) for name, effect in later.items()}


def _default_only(outcome: Outcome, data: pd.DataFrame, settings: Settings, ties: str) -> dict[str, Effect]:
    """What is not repeated for every rule variant."""
    found: dict[str, Effect] = {}
    if outcome is DEATH:
        found["adjusted_imputed"] = effects.adjusted_imputed(data, imputations=settings.imputations)
    if outcome.over_time:
        found["stratified_by_country"] = effects.stratified_by_country(data, ties)
    if outcome in (RESPONSE, RECOVERY):
        found["subdistribution"] = effects.subdistribution(data)
    for answer, name in (("yes", "rituximab"), ("no", "no_rituximab")):
        effect = effects.crude(outcome, data[data["rituximab"] == answer], ties)
        found[name] = with_caveat(effect, "rituximab is given after day 0: no baseline subgroup")
    if outcome in (DEATH, FAILURE, REFRACTORY) and sum(effects.observed_and_lost(outcome, data)[2::3]):
        for name in ("worst_case", "best_case"):
            found[name] = effects.extreme_case(outcome, data, worst=name == "worst_case")
    if outcome in (DEATH, FAILURE):
        for centre in sorted(data["centre_id"].unique()):
            found[f"without_{centre}"] = effects.crude(outcome, data[data["centre_id"] != centre], ties)
    before = effects.before_first_dose(outcome, data)
    return {name: with_caveat(effect, before) for name, effect in found.items()}


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
        Rows of table ``table8``; row ids are ``outcome:rule_set:analysis``; groups caplacizumab and control (counts as
        the analysis counts them) and difference (the ratio, its p; E-value; tipping point).
    """
    rule_sets = [settings.default_rule_set, *sorted(set(outcome_by_rule_set["rule_set"]) - {settings.default_rule_set})]
    by_rule_set = {}
    for name in rule_sets:
        own = outcome_by_rule_set[outcome_by_rule_set["rule_set"] == name].drop(columns="rule_set")
        by_rule_set[name] = analysed_patients(patient, own, follow_up_days=settings.follow_up_days)
    default = by_rule_set[settings.default_rule_set]
    weights = _weights_or_reason(default, settings)
    sheet = _Sheet("table8", conventions)
    for outcome in OUTCOMES:
        by_default = outcome.prepare(default, settings.follow_up_days)
        for rule_set in rule_sets if outcome.by_rule else rule_sets[:1]:
            is_default = rule_set == settings.default_rule_set
            data = by_default if is_default else outcome.prepare(by_rule_set[rule_set], settings.follow_up_days)
            if not is_default and outcome.decides_as(data, by_default):
                continue
            found = _main_analyses(outcome, data, weights, settings, conventions.ties)
            if is_default:
                found |= _default_only(outcome, data, settings, conventions.ties)
            prefix = f"{outcome.name}:{rule_set if outcome.by_rule else 'any'}"
            for analysis, effect in found.items():
                sheet.effect(f"{prefix}:{analysis}", effect)
            if outcome is DEATH:
                sheet.survival_difference(f"{prefix}:bootstrap", data, settings)
            if is_default and outcome in (DEATH, FAILURE):
                sheet.tipping_point(f"{prefix}:tipping_point", outcome, data)
                for analysis in ("as_published", "adjusted"):
                    sheet.e_value(f"{prefix}:e_value_{analysis}", found[analysis])
    return sheet.frame()


def _weights_or_reason(patients: pd.DataFrame, settings: Settings) -> pd.DataFrame | str:
    try:
        return effects.exposure_weights(patients, truncate_percentile=settings.truncate_percentile)
    except weighting.NotEstimable as why:
        return effects.plain_reason(why) or ""


class _Sheet(cells.Sheet):
    """The cells of Table 8."""

    def effect(self, row: str, effect: Effect) -> None:
        """An effect with its counts and its p."""
        for arm, counts in zip(ARMS, (effect.counts[:2], effect.counts[2:]), strict=True):
            self.count(row, arm, *counts, method=effect.counted)
        missing = effect.reason or pd.isna(effect.value)
        self.add(
            row,
            "difference",
            effect.measure,
            None if missing else effect.value,
            (cells.finite(effect.lower), cells.finite(effect.upper)),
            method=effect.method,
            reason=effect.reason or "no estimate",
            caveat=join_caveats(effect.caveat, EFFECT_CAVEAT),
        )
        if not missing:
            method = f"p of the {effect.measure.replace('_', ' ')}"
            self.p_value(row, effect.p, method=method, reason="no test", caveat=EFFECT_CAVEAT)

    def survival_difference(self, row: str, data: pd.DataFrame, settings: Settings) -> None:
        """Difference of survival at the end of follow-up; its bootstrap interval needs no large-sample formula."""
        replicates = settings.bootstrap_replicates
        courses = data.sort_values(EXPOSED, ascending=False, kind="stable").assign(group=lambda own: own[EXPOSED])
        found = resampling.bootstrap_survival_difference(
            courses[["group", "time_days", "event"]], settings.follow_up_days, replicates=replicates, seed=effects.SEED
        )
        self.add(
            row,
            "difference",
            "survival_difference",
            100 * found.estimate,
            (100 * found.lower, 100 * found.upper),
            method="difference of Kaplan-Meier survival, percentage points; 95 % CI percentiles of "
            f"{replicates} bootstrap replicates",
            reason="no survival estimate in a group",
            always=EFFECT_CAVEAT,
        )

    def tipping_point(self, row: str, outcome: Outcome, data: pd.DataFrame) -> None:
        """Fewest events among the lost under caplacizumab, with none in control, at which p is no longer below 0.05."""
        numbers = effects.observed_and_lost(outcome, data)
        lost = numbers[2]
        if lost:
            needed = sensitivity.smallest_tipping_point(*numbers)
            self.add(
                row,
                "difference",
                "tipping_point",
                needed,
                n=needed,
                n_assessed=lost,
                method="fewest events among the lost under caplacizumab, with none among the lost in control, at which "
                "Fisher's p is 0.05 or more; N lost",
                reason=f"with the event in all {lost} lost, p is still below 0.05",
                always=EFFECT_CAVEAT,
            )

    def e_value(self, row: str, effect: Effect) -> None:
        """E-value of an effect and of its limit nearest 1; a ratio of a rare outcome is near a risk ratio."""
        values, reasons = (None, None), [effect.reason or "no estimate"] * 2
        if not (effect.reason or pd.isna(effect.value)):
            values = sensitivity.e_value(effect.value, effect.lower, effect.upper)
            infinite = "infinite, as nobody of a group has the event"
            reasons = ["no interval" if pd.isna(value) else infinite for value in values]
        about = "about confounding alone: it says nothing of immortal time or of another period of treatment"
        for name, value, reason in zip(("e_value", "e_value_of_limit"), values, reasons, strict=True):
            self.add(
                row,
                "difference",
                name,
                None if value is None else cells.finite(value),
                method="E-value (VanderWeele and Ding 2017) of the effect and of its limit nearest 1; a hazard or odds "
                "ratio of a rare outcome taken as a risk ratio",
                reason=reason,
                caveat=join_caveats(about, EFFECT_CAVEAT),
            )


def balance(patient: pd.DataFrame, outcome: pd.DataFrame, *, settings: Settings) -> pd.DataFrame:
    """``study.balance``: standardised mean differences of the covariates before and after weighting.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        settings: as ``table8``.

    Returns:
        One row per weights ('iptw', 'overlap') and covariate: weights, covariate, smd_before, smd_after; none where
        there are no weights.
    """
    patients = analysed_patients(patient, outcome, follow_up_days=settings.follow_up_days)
    columns, weights = ["weights", "covariate", "smd_before", "smd_after"], _weights_or_reason(patients, settings)
    if isinstance(weights, str):
        return pd.DataFrame(columns=columns).astype({"smd_before": float, "smd_after": float})
    weights = weights.dropna()
    weighed = patients.loc[weights.index]
    parts = [
        weighting.balance(weighed, EXPOSED, list(COVARIATES), weights[name]).assign(weights=name)
        for name in effects.WEIGHTS
    ]
    return pd.concat(parts, ignore_index=True)[columns]
