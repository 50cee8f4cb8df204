"""Table 8: the comparison of caplacizumab with control under every rule variant and analysis that the protocol names.

Which analyses an outcome has, and how their effects become cells, is decided here. Who is analysed is in ``analysis_sets``, how an effect is estimated in
``effects``; what an analysis is called in ``labels``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from capla_etl.stats import resampling, sensitivity, weighting
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.tables import cells
from capla_etl.tables.labels import EFFECT_CAVEAT
from capla_etl.tables.results import cell, frame, join_caveats
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
    outcome: Outcome, data: pd.DataFrame, weights: pd.DataFrame | str, settings: Settings, conventions: Conventions
) -> dict[str, Effect]:
    """The analyses that every outcome has under every rule set."""
    before = effects.before_first_dose(outcome, data)
    found = {"as_published": with_caveat(effects.crude(outcome, data, conventions), before)}
    found |= {
        f"landmark_day_{day}": effects.at_landmark(outcome, data, day, conventions) for day in settings.landmark_days
    }
    if outcome.over_time:
        found["time_dependent"] = effects.time_dependent(data, conventions)
    found["delayed_excluded"] = effects.delayed_excluded(outcome, data, settings.grace_days, conventions)
    if outcome is DEATH:
        found["clone_censor_weight"] = effects.clone_censor_weight(
            data,
            grace_days=settings.grace_days,
            follow_up_days=settings.follow_up_days,
            truncate_percentile=settings.truncate_percentile,
            ties=conventions.ties,
        )
    under_weights = effects.weighted(
        outcome, data, weights, truncate_percentile=settings.truncate_percentile, conventions=conventions
    )
    found |= {name: with_caveat(effect, before) for name, effect in under_weights.items()}
    found["adjusted"] = with_caveat(effects.adjusted(outcome, data, ties=conventions.ties), before)
    return found


def _default_only(
    outcome: Outcome, data: pd.DataFrame, settings: Settings, conventions: Conventions
) -> dict[str, Effect]:
    """What is not repeated for every rule variant."""
    found: dict[str, Effect] = {}
    if outcome is DEATH:
        found["adjusted_imputed"] = effects.adjusted_imputed(data, imputations=settings.imputations)
    if outcome.over_time:
        found["stratified_by_country"] = effects.stratified_by_country(data, ties=conventions.ties)
    if outcome in (RESPONSE, RECOVERY):
        found["subdistribution"] = effects.subdistribution(data)
    for answer, name in (("yes", "rituximab"), ("no", "no_rituximab")):
        given = data[data["rituximab"] == answer]
        found[name] = with_caveat(
            effects.crude(outcome, given, conventions), "rituximab is given after day 0: no baseline subgroup"
        )
    if outcome in (DEATH, FAILURE, REFRACTORY) and sum(effects.observed_and_lost(outcome, data)[2::3]):
        found |= {
            name: effects.extreme_case(outcome, data, worst=name == "worst_case")
            for name in ("worst_case", "best_case")
        }
    if outcome in (DEATH, FAILURE):
        for centre in sorted(data["centre_id"].unique()):
            found[f"without_{centre}"] = effects.crude(outcome, data[data["centre_id"] != centre], conventions)
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
        Rows of table ``table8``; row ids are ``outcome:rule_set:analysis``; groups caplacizumab and control (counts as the analysis counts them) and
        difference (the ratio, its p; E-value; tipping point).
    """
    rule_sets = [settings.default_rule_set, *sorted(set(outcome_by_rule_set["rule_set"]) - {settings.default_rule_set})]
    of_rule_set = {
        name: outcome_by_rule_set[outcome_by_rule_set["rule_set"] == name].drop(columns="rule_set")
        for name in rule_sets
    }
    by_rule_set = {
        name: analysed_patients(patient, outcome, follow_up_days=settings.follow_up_days)
        for name, outcome in of_rule_set.items()
    }
    default = by_rule_set[settings.default_rule_set]
    try:
        weights: pd.DataFrame | str = effects.exposure_weights(
            default, truncate_percentile=settings.truncate_percentile
        )
    except weighting.NotEstimable as why:
        weights = effects.plain_reason(why) or ""
    rows: list[dict] = []
    for outcome in OUTCOMES:
        by_default = outcome.prepare(default, settings.follow_up_days)
        for rule_set in rule_sets if outcome.by_rule else rule_sets[:1]:
            is_default = rule_set == settings.default_rule_set
            data = by_default if is_default else outcome.prepare(by_rule_set[rule_set], settings.follow_up_days)
            if not is_default and outcome.decides_as(data, by_default):
                continue
            found = _main_analyses(outcome, data, weights, settings, conventions)
            if is_default:
                found |= _default_only(outcome, data, settings, conventions)
            prefix = f"{outcome.name}:{rule_set if outcome.by_rule else 'any'}"
            for analysis, effect in found.items():
                rows += _effect_cells(f"{prefix}:{analysis}", effect)
            if outcome is DEATH:
                rows += _survival_difference(f"{prefix}:bootstrap", data, settings)
            if is_default and outcome in (DEATH, FAILURE):
                rows += _tipping_point(f"{prefix}:tipping_point", outcome, data)
                for analysis in ("as_published", "adjusted"):
                    rows += _e_value(f"{prefix}:e_value_{analysis}", found[analysis])
    return frame(rows)


def _effect_cells(row: str, effect: Effect) -> list[dict]:
    events_1, patients_1, events_0, patients_0 = effect.counts
    rows = [
        cells.count("table8", row, "caplacizumab", events_1, patients_1, method=effect.counted),
        cells.count("table8", row, "control", events_0, patients_0, method=effect.counted),
    ]
    missing = effect.reason or pd.isna(effect.value)
    caveat = (
        f"not estimable: {effect.reason or 'no estimate'}" if missing else join_caveats(effect.caveat, EFFECT_CAVEAT)
    )
    limits = {} if missing else {"lower": cells.finite(effect.lower), "upper": cells.finite(effect.upper)}
    rows.append(
        cell(
            "table8",
            row,
            "difference",
            effect.measure,
            None if missing else effect.value,
            **limits,
            method=effect.method,
            caveat=caveat,
        )
    )
    if not missing:
        rows.append(
            cells.p_value(
                "table8",
                row,
                effect.p,
                method=f"p of the {effect.measure.replace('_', ' ')}",
                reason="no test",
                caveat=EFFECT_CAVEAT,
            )
        )
    return rows


def _survival_difference(row: str, data: pd.DataFrame, settings: Settings) -> list[dict]:
    """Difference of survival at the end of follow-up with a bootstrap interval, which leans on no large-sample formula."""
    method = f"difference of Kaplan-Meier survival, percentage points; 95 % CI percentiles of {settings.bootstrap_replicates} bootstrap replicates"
    courses = data.sort_values(EXPOSED, ascending=False, kind="stable").assign(group=lambda own: own[EXPOSED])[
        ["group", "time_days", "event"]
    ]
    found = resampling.bootstrap_survival_difference(
        courses, settings.follow_up_days, replicates=settings.bootstrap_replicates, seed=effects.SEED
    )
    reason = "not estimable: no survival estimate in a group" if pd.isna(found.estimate) else None
    limits = {} if reason else {name: cells.known(100 * getattr(found, name)) for name in ("lower", "upper")}
    value = None if reason else 100 * found.estimate
    return [
        cell(
            "table8",
            row,
            "difference",
            "survival_difference",
            value,
            **limits,
            method=method,
            caveat=join_caveats(reason, EFFECT_CAVEAT),
        )
    ]


def _tipping_point(row: str, outcome: Outcome, data: pd.DataFrame) -> list[dict]:
    """Fewest events among caplacizumab's lost, with none among control's, at which the difference would no longer be significant."""
    numbers = effects.observed_and_lost(outcome, data)
    if not numbers[2]:
        return []
    method = "fewest events among the lost under caplacizumab, with none among the lost in control, at which Fisher's p is 0.05 or more; N lost"
    needed = sensitivity.smallest_tipping_point(*numbers)
    reason = (
        None if needed is not None else f"not estimable: with the event in all {numbers[2]} lost, p is still below 0.05"
    )
    return [
        cell(
            "table8",
            row,
            "difference",
            "tipping_point",
            needed,
            n=needed,
            n_assessed=numbers[2],
            method=method,
            caveat=join_caveats(reason, EFFECT_CAVEAT),
        )
    ]


_NO_E_VALUE = {True: "not estimable: no interval", False: "not estimable: infinite, as nobody of a group has the event"}


def _e_value(row: str, effect: Effect) -> list[dict]:
    """E-value of an effect and of its limit nearest 1; the outcome is rare, so that a hazard or odds ratio stands for a risk ratio."""
    method = "E-value (VanderWeele and Ding 2017) of the effect and of its limit nearest 1; a hazard or odds ratio of a rare outcome taken as a risk ratio"
    names = ("e_value", "e_value_of_limit")
    if effect.reason or pd.isna(effect.value):
        return [
            cell(
                "table8",
                row,
                "difference",
                name,
                None,
                method=method,
                caveat=f"not estimable: {effect.reason or 'no estimate'}",
            )
            for name in names
        ]
    values = sensitivity.e_value(effect.value, effect.lower, effect.upper)
    caveat = join_caveats(
        "about confounding alone: it says nothing of immortal time or of another period of treatment", EFFECT_CAVEAT
    )
    return [
        cell(
            "table8",
            row,
            "difference",
            name,
            cells.finite(value),
            method=method,
            caveat=caveat if cells.finite(value) is not None else _NO_E_VALUE[pd.isna(value)],
        )
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
        weights = effects.exposure_weights(patients, truncate_percentile=settings.truncate_percentile).dropna()
    except weighting.NotEstimable:
        return pd.DataFrame(columns=columns).astype({"smd_before": float, "smd_after": float})
    weighed = patients.loc[weights.index]
    parts = [
        weighting.balance(weighed, EXPOSED, list(COVARIATES), weights[name]).assign(weights=name)
        for name in effects.WEIGHTS
    ]
    return pd.concat(parts, ignore_index=True)[columns]
