"""Emulation of a target trial of starting caplacizumab early, in observed courses: clone, censor, weight.

Two strategies are compared from day 0: "start by day 3" and "do not start". Every patient is cloned into both, leaves a strategy on the day
the course stops agreeing with it, and those who stay are weighted for those who left. Nobody has to be assigned by what happened later, so
there is no immortal time. Weights of groups fixed at day 0 are in ``weighting``; which covariates confound is decided by the caller.

What it rests on: given the covariates, who starts on a day is unrelated to prognosis, and everybody could have started and could have
stayed without (positivity). Historic controls could not start: using them assumes that the era in which somebody was treated is ignorable
given the covariates, which no weight can make up for. Covariates are those of day 0: a start because the course went badly (rescue) takes patients
with a poor prognosis out of "do not start", which they cannot tell. Loss to follow-up is taken as uninformative, as in Kaplan-Meier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.survival import check_courses
from capla_etl.stats.weighting import NotEstimable, covariate_matrix, effective_sample_size, separated, standardised

NAN = float("nan")
START, NO_START = "start", "do_not_start"
STRATEGIES = (START, NO_START)

#: Last days of the bands of days after the grace period within which the chance of starting is taken as constant; the last band ends at the horizon.
LATE_BANDS_DAYS = (7, 14, 30)

#: No limits when more than this share of the bootstrap replicates have no estimate: the rest would be a selection.
FAILED_SHARE = 0.05

SEPARATED = "not estimable: the covariates separate those who started from those who did not"
NOBODY_STARTED = "not estimable: nobody still followed at the end of the grace period had started"
NO_DEATH = "not estimable: nobody died who kept to not starting"
NO_BOOTSTRAP = "no limits: no bootstrap"
NOBODY_LEFT = "not estimable: nobody who kept to the strategy was followed to the horizon"
STRATEGY_COLUMNS = [
    "strategy",
    "clones",
    "censored",
    "deaths",
    "survival",
    "effective_patients",
    "largest_weight",
    "weight_limit",
    "reason",
]
EFFECT_COLUMNS = ["effect", "estimate", "lower", "upper", "reason"]


@dataclass(frozen=True)
class EmulatedTrial:
    """The result of ``emulated_trial``.

    Attributes:
        strategies: one row per strategy ('start', 'do_not_start'): ``clones``, ``censored`` (clones that left the strategy), ``deaths`` (of clones
            that had not left), ``survival`` at the horizon (0 to 1), ``effective_patients`` (Kish) and ``largest_weight`` (after truncation) of
            the clones that kept to it, ``weight_limit`` (where weights were truncated; NaN: nowhere), ``reason``.
        effects: one row per ``effect`` of starting against not starting ('survival_difference', 'risk_ratio' of death by the horizon,
            'hazard_ratio'): ``estimate``, ``lower``, ``upper`` (95 %), ``reason`` where something is NaN.
        curve: weighted survival by ``strategy`` and ``day`` from 0 to the horizon: ``at_risk`` (clones), ``weight_at_risk``, ``survival``.
        replicates: bootstrap replicates behind the limits of difference and ratio.
        replicates_failed: those of them without an estimate, left out.
    """

    strategies: pd.DataFrame
    effects: pd.DataFrame
    curve: pd.DataFrame = field(repr=False)
    replicates: int
    replicates_failed: int


class _Courses(NamedTuple):
    """Courses as arrays, one element per patient, cut at the horizon."""

    time: np.ndarray  # int, day of death or of the end of follow-up
    event: np.ndarray  # bool
    start: np.ndarray  # float, day of the first dose; inf: none by the horizon


def _checked(courses: pd.DataFrame, grace_days: int, horizon_days: int | None) -> _Courses:
    check_courses(courses.assign(group="all"), "event")
    if courses["patient_id"].isna().any() or courses["patient_id"].duplicated().any():
        raise ValueError("courses must have one row per patient")
    if grace_days < 0 or grace_days != int(grace_days):
        raise ValueError(f"grace_days must be whole days, 0 or more, found {grace_days}")
    if horizon_days is not None and (horizon_days <= grace_days or horizon_days != int(horizon_days)):
        raise ValueError(f"horizon_days must be whole days beyond the grace period, found {horizon_days}")
    time, start = courses["time_days"].to_numpy(float), courses["start_day"].to_numpy(float, na_value=NAN)
    if (time % 1 != 0).any() or (start[~np.isnan(start)] % 1 != 0).any():
        raise ValueError("time_days and start_day must be whole days")
    if (start > time).any():
        raise ValueError(f"start_day lies after the end of follow-up in {(start > time).sum()} patients")
    event = courses["event"].to_numpy(bool)
    start = np.where(np.isnan(start), np.inf, np.maximum(start, 0))
    if horizon_days is not None:
        event, time = event & (time <= horizon_days), np.minimum(time, horizon_days)
        start = np.where(start > horizon_days, np.inf, start)
    return _Courses(time.astype(int), event, start)


def _left(courses: _Courses, grace_days: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By strategy: whether the clone leaves it, and the last day on which the clone is at risk of death (-1: never)."""
    late = (courses.start > grace_days) & (courses.time > grace_days)
    started = np.isfinite(courses.start)
    return {
        START: (late, np.where(late, grace_days, courses.time)),
        NO_START: (started, np.where(started, np.where(started, courses.start, 0) - 1, courses.time).astype(int)),
    }


def clone_censor(courses: pd.DataFrame, *, grace_days: int = 3, horizon_days: int | None = None) -> pd.DataFrame:
    """Every patient twice, once in each strategy, censored on the day on which the course stops agreeing with it.

    Within a day the order is: first dose, then death, then the end of follow-up.

    - "start": a patient who has not started by the end of day ``grace_days`` and is followed beyond that day is censored at its end. A death
      without a dose up to and including day ``grace_days`` counts: the patient could still have started.
    - "do_not_start": a patient is censored on the day of the first dose, before any death of that day. A first dose on day 0 leaves no time
      at risk; one before day 0 counts as day 0.

    Args:
        courses: one row per patient: ``patient_id``, ``time_days`` (whole days from day 0 to death or the end of follow-up), ``event`` (bool, death),
            ``start_day`` (whole day of the first dose; missing: never), and anything else, which is kept.
        grace_days: the last day on which starting agrees with "start".
        horizon_days: where follow-up ends at the latest; deaths on that day count. None: no such end.

    Returns:
        Two rows per patient, all of "start" first: the columns of ``courses`` with ``time_days`` (day of death or censoring) and ``event`` those of
        the clone; ``strategy``, ``censored`` (left the strategy), ``last_day_at_risk`` (last day on which the clone's death would count; -1: none).

    Raises:
        ValueError: a patient twice, time that is missing, negative or not in whole days, a missing event, a dose after the end of follow-up.

    Source:
        Hernan 2018, BMJ 360:k182; Maringe et al., Int J Epidemiol 2020;49:1719.
    """
    checked = _checked(courses, grace_days, horizon_days)
    parts = []
    for strategy, (censored, last_day) in _left(checked, grace_days).items():
        time = np.where(censored, last_day + (strategy == NO_START), checked.time)
        clones = courses.assign(
            time_days=time,
            event=checked.event & ~censored,
            strategy=strategy,
            censored=censored,
            last_day_at_risk=last_day,
        )
        parts.append(clones)
    return pd.concat(parts, ignore_index=True)


class _Starting(NamedTuple):
    """The model of starting: probability = inverse logit(constant of the period + covariates x coefficients)."""

    constants: np.ndarray  # by period; -inf where nobody starts, and (nobody stays) where everybody does
    coefficients: np.ndarray


def _fit_starting(covariates: np.ndarray, chances: np.ndarray, starts: np.ndarray, patients: np.ndarray) -> _Starting:
    """Pooled logistic regression of starting, by maximum likelihood.

    Args:
        covariates: patients x covariates, standardised.
        chances: patients x periods: days on which the patient could have started.
        starts: patients x periods: 1 where the patient did, else 0.
        patients: how many times each patient counts.

    Raises:
        NotEstimable: separation.

    Source:
        Newton-Raphson, as R ``glm(cbind(starts, chances - starts) ~ period + covariates, binomial)``. Written here: the bootstrap refits it
        thousands of times, and statsmodels needs a row per patient and period (20 times slower).
    """
    total = patients @ starts
    fitted = (total > 0) & (total < patients @ chances)
    constants, coefficients = np.full(len(total), -np.inf), np.zeros(covariates.shape[1])
    if not fitted.any():
        return _Starting(constants, coefficients)
    chances, starts, periods = (
        chances[:, fitted] * patients[:, None],
        starts[:, fitted] * patients[:, None],
        int(fitted.sum()),
    )
    share = starts.sum(axis=0) / chances.sum(axis=0)
    parameters = np.concatenate([np.log(share / (1 - share)), coefficients])
    step = np.full(len(parameters), np.inf)
    for _ in range(50):
        chance = _inverse_logit(parameters[:periods] + (covariates @ parameters[periods:])[:, None])
        residual, information = starts - chances * chance, chances * chance * (1 - chance)
        gradient = np.concatenate([residual.sum(axis=0), covariates.T @ residual.sum(axis=1)])
        cross = covariates.T @ information
        hessian = np.block(
            [
                [np.diag(information.sum(axis=0)), cross.T],
                [cross, (covariates * information.sum(axis=1)[:, None]).T @ covariates],
            ]
        )
        # Least squares: redundant covariates change nothing, as in R.
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-11)[0]
        parameters = parameters + step
        if np.abs(step).max() < 1e-9:
            break
    # Separation sends probabilities to 0 or 1 and the steps on without end; only then is the exact answer worth its time.
    if (np.abs(step).max() >= 1e-9 or (information[chances > 0] < 1e-7 * chances[chances > 0]).any()) and _separated(
        covariates, chances, starts
    ):
        raise NotEstimable(SEPARATED)
    constants[fitted] = parameters[:periods]
    return _Starting(constants, parameters[periods:])


def _separated(covariates: np.ndarray, chances: np.ndarray, starts: np.ndarray) -> bool:
    started, stayed = np.nonzero(starts > 0), np.nonzero(chances > starts)
    patient, period = (np.concatenate(pair) for pair in zip(started, stayed, strict=True))
    design = np.column_stack([np.eye(chances.shape[1])[period], covariates[patient]])
    return separated(design, np.arange(len(patient)) < len(started[0]))


def _inverse_logit(value: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(value / 2))  # no overflow


class _Emulation:
    """The parts of an emulation that stay the same when patients are drawn again."""

    def __init__(
        self,
        courses: _Courses,
        covariates: np.ndarray,
        grace_days: int,
        horizon_days: int,
        truncate_percentile: float | None,
    ):
        self.courses, self.covariates = courses, standardised(covariates)
        self.grace_days, self.horizon_days, self.truncate_percentile = grace_days, horizon_days, truncate_percentile
        self.left = _left(courses, grace_days)
        ends = [
            *range(grace_days + 1),
            *(day for day in LATE_BANDS_DAYS if grace_days < day < horizon_days),
            horizon_days,
        ]
        #: 1 where a day (row) lies in a period (column).
        self.period_of_day = np.eye(len(ends))[np.searchsorted(ends, np.arange(horizon_days + 1))]
        last_chance = np.minimum(courses.time, courses.start).astype(int)
        self.chances = np.cumsum(self.period_of_day, axis=0)[last_chance]
        self.starts = self.period_of_day[last_chance] * np.isfinite(courses.start)[:, None]
        self.followed = courses.time > grace_days
        self.started = courses.start <= grace_days
        self.death_days = np.unique(courses.time[courses.event])

    def weights(
        self, patients: np.ndarray, days: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, np.ndarray]]:
        """Weights of the clones (patients x days; 0 when not at risk), where they were truncated, and each clone's last weight.

        Raises:
            NotEstimable: separation.
        """
        followed = self.followed[:, None].astype(float)
        model = _fit_starting(self.covariates, followed, followed * self.started[:, None], patients)
        # Everybody followed had started (or nobody): nobody is weighted for anybody.
        constant = model.constants[0] if np.isfinite(model.constants[0]) else np.inf
        last = {
            START: np.where(
                self.followed, np.exp(np.logaddexp(0, -constant - self.covariates @ model.coefficients)), 1.0
            )
        }
        by_day = {START: np.where(days > self.grace_days, last[START][:, None], 1.0)}

        model = _fit_starting(self.covariates, self.chances, self.starts, patients)
        log_stay = -np.logaddexp(0, model.constants + (self.covariates @ model.coefficients)[:, None])
        days_until = np.cumsum(self.period_of_day, axis=0)
        last_day = self.left[NO_START][1]
        by_day[NO_START] = np.exp(np.where(last_day[:, None] >= days, -log_stay @ days_until[days].T, 0))
        last[NO_START] = np.exp(-(log_stay * days_until[np.maximum(last_day, 0)]).sum(axis=1))

        limits = dict.fromkeys(STRATEGIES, NAN)
        for strategy, (censored, last_day) in self.left.items():
            kept = np.repeat(last[strategy][~censored], patients[~censored].astype(int))
            if self.truncate_percentile is not None and len(kept):
                limits[strategy] = float(np.percentile(kept, self.truncate_percentile))
                last[strategy] = np.minimum(last[strategy], limits[strategy])
                by_day[strategy] = np.minimum(by_day[strategy], limits[strategy])
            by_day[strategy] = by_day[strategy] * (last_day[:, None] >= days)
        return by_day, limits, last

    def curves(self, weights: dict[str, np.ndarray], patients: np.ndarray) -> dict[str, np.ndarray]:
        """Weighted survival after each of the days on which somebody died."""
        curves = {}
        died = np.nonzero(self.courses.event)[0]
        column = np.searchsorted(self.death_days, self.courses.time[died])
        for strategy, weight in weights.items():
            at_risk = patients @ weight
            deaths = np.bincount(column, weights=patients[died] * weight[died, column], minlength=len(self.death_days))
            curves[strategy] = np.cumprod(
                np.where(deaths < at_risk * (1 - 1e-12), 1 - deaths / np.where(at_risk > 0, at_risk, 1), at_risk <= 0)
            )
        return curves

    def survival(self, curves: dict[str, np.ndarray], patients: np.ndarray) -> dict[str, tuple[float, str | None]]:
        """Survival at the horizon by strategy, and why there is none."""
        found = {}
        for strategy, (_, last_day) in self.left.items():
            value = float(curves[strategy][-1]) if len(curves[strategy]) else 1.0
            reason = None
            if (
                strategy == START
                and (patients * self.followed).any()
                and not (patients * (self.followed & self.started)).any()
            ):
                reason = NOBODY_STARTED
            elif value > 0 and not (patients * (last_day >= self.horizon_days)).any():
                reason = NOBODY_LEFT
            found[strategy] = (NAN if reason else value, reason)
        return found


def censoring_weights(
    courses: pd.DataFrame,
    covariates: list[str],
    *,
    grace_days: int = 3,
    horizon_days: int = 90,
    truncate_percentile: float | None = None,
) -> pd.DataFrame:
    """Inverse probability of having kept to the strategy so far, of every clone on every day on which it is at risk.

    - "start": 1 up to the end of the grace period; afterwards 1 / P(started by day ``grace_days`` | followed beyond that day, covariates).
    - "do_not_start": 1 / product over the days so far, this one included, of 1 - P(start on the day | alive, not started, covariates):
      pooled logistic regression with a constant for each day of the grace period and for each of the bands of days after it
      (``LATE_BANDS_DAYS``). On a day or in a band in which nobody starts, the chance is 0.

    Args:
        courses: as ``clone_censor``, with the covariates: known on day 0, numeric, none missing.
        covariates: names of the columns.
        grace_days: the last day on which starting agrees with "start".
        horizon_days: last day of follow-up.
        truncate_percentile: weights above this percentile (of the last weights of the clones that kept to the strategy) are set to it; None: none.

    Returns:
        One row per clone and day at risk: ``patient_id``, ``strategy``, ``day``, ``weight``, ``event`` (death on the day).

    Raises:
        NotEstimable: the covariates separate those who started from those who did not.
        ValueError: as ``clone_censor``; a covariate that is not numeric or has a missing value.

    Source:
        Hernan 2018, BMJ 360:k182; Maringe et al., Int J Epidemiol 2020;49:1719; Cole and Hernan 2008 (truncation).
    """
    emulation = _emulation(courses, covariates, grace_days, horizon_days, truncate_percentile)
    weights, _, _ = emulation.weights(np.ones(len(courses)), np.arange(horizon_days + 1))
    parts = []
    for strategy, weight in weights.items():
        patient, day = np.nonzero(emulation.left[strategy][1][:, None] >= np.arange(horizon_days + 1))
        death = emulation.courses.event[patient] & (emulation.courses.time[patient] == day)
        parts.append(pd.DataFrame({"strategy": strategy, "day": day, "weight": weight[patient, day], "event": death}))
        parts[-1].insert(0, "patient_id", courses["patient_id"].to_numpy()[patient])
    return pd.concat(parts, ignore_index=True)


def _emulation(
    courses: pd.DataFrame, covariates: list[str], grace_days: int, horizon_days: int, truncate_percentile: float | None
) -> _Emulation:
    if truncate_percentile is not None and not 50 <= truncate_percentile <= 100:
        raise ValueError(f"truncate_percentile must lie between 50 and 100, found {truncate_percentile}")
    checked = _checked(courses, grace_days, horizon_days)
    return _Emulation(checked, covariate_matrix(courses, covariates), grace_days, horizon_days, truncate_percentile)


def emulated_trial(
    courses: pd.DataFrame,
    covariates: list[str],
    *,
    grace_days: int = 3,
    horizon_days: int = 90,
    truncate_percentile: float | None = 99,
    replicates: int = 0,
    seed: int | None = None,
    ties: str = "efron",
) -> EmulatedTrial:
    """Survival if everybody had started by day ``grace_days``, against survival if nobody had started by the horizon.

    Needs that everybody could have started and could have gone without, given the covariates: historic controls could not start, so that
    with them the comparison rests on the era of treatment being ignorable given the covariates.

    Args:
        courses: as ``clone_censor``, with the covariates: known on day 0, numeric, none missing.
        covariates: names of the columns; without any, nothing is adjusted for.
        grace_days: the last day on which starting agrees with "start".
        horizon_days: last day of follow-up.
        truncate_percentile: as ``censoring_weights``.
        replicates: bootstrap samples of patients, weights refitted in each, for the limits (percentiles) of difference and ratio. 0: no such limits.
        seed: of the bootstrap; needed with replicates.

    Returns:
        The weighted survival, what it rests on, and the effects. The limits of the hazard ratio (weighted Cox regression, Efron ties) are robust,
        clustered by patient, and take the weights as known. What cannot be estimated is NaN with a reason.

    Raises:
        ValueError: as ``censoring_weights``; replicates without a seed; no patients.

    Source:
        Hernan and Robins 2016 (target trial); Hernan 2018, BMJ 360:k182; Maringe et al., Int J Epidemiol 2020;49:1719.
    """
    if replicates and seed is None:
        raise ValueError("the bootstrap needs a seed")
    if courses.empty:
        raise ValueError("there are no courses")
    emulation = _emulation(courses, covariates, grace_days, horizon_days, truncate_percentile)
    once, days = np.ones(len(courses)), np.arange(horizon_days + 1)
    try:
        weights, limits, last = emulation.weights(once, days)
    except NotEstimable as reason:
        return _without_weights(emulation, str(reason))
    at_deaths = {strategy: weight[:, emulation.death_days] for strategy, weight in weights.items()}
    curves = emulation.curves(at_deaths, once)
    survival = emulation.survival(curves, once)

    rows, curve = [], []
    for strategy, (censored, last_day) in emulation.left.items():
        value, reason = survival[strategy]
        kept = last[strategy][~censored]
        deaths = int((emulation.courses.event & ~censored).sum())
        largest = kept.max() if len(kept) else NAN
        rows.append(
            (
                strategy,
                len(courses),
                int(censored.sum()),
                deaths,
                value,
                effective_sample_size(kept),
                largest,
                limits[strategy],
                reason,
            )
        )
        steps = np.concatenate([[1.0], curves[strategy]])[np.searchsorted(emulation.death_days, days, side="right")]
        steps = np.where((days > last_day.max()) & (steps > 0), NAN, steps)
        at_risk = (last_day[:, None] >= days).sum(axis=0)
        by_day = {
            "strategy": strategy,
            "day": days,
            "at_risk": at_risk,
            "weight_at_risk": weights[strategy].sum(axis=0),
            "survival": steps,
        }
        curve.append(pd.DataFrame(by_day))

    samples, failed = _bootstrap(emulation, replicates, seed) if replicates else (np.empty((0, 2)), 0)
    effects = [
        *_survival_effects(survival, samples, replicates),
        ("hazard_ratio", *_hazard_ratio(emulation, at_deaths, survival, ties)),
    ]
    return EmulatedTrial(
        strategies=pd.DataFrame(rows, columns=STRATEGY_COLUMNS),
        effects=pd.DataFrame(effects, columns=EFFECT_COLUMNS),
        curve=pd.concat(curve, ignore_index=True),
        replicates=replicates,
        replicates_failed=failed,
    )


def _without_weights(emulation: _Emulation, reason: str) -> EmulatedTrial:
    """The result when the weights cannot be estimated."""
    clones, event = len(emulation.courses.time), emulation.courses.event
    rows = [
        (strategy, clones, int(censored.sum()), int((event & ~censored).sum()), *[NAN] * 4, reason)
        for strategy, (censored, _) in emulation.left.items()
    ]
    effects = [(effect, NAN, NAN, NAN, reason) for effect in ("survival_difference", "risk_ratio", "hazard_ratio")]
    curve = pd.DataFrame(columns=["strategy", "day", "at_risk", "weight_at_risk", "survival"])
    return EmulatedTrial(
        pd.DataFrame(rows, columns=STRATEGY_COLUMNS), pd.DataFrame(effects, columns=EFFECT_COLUMNS), curve, 0, 0
    )


def _risk_ratio(survival_1: float, survival_0: float) -> float:
    if survival_0 < 1:
        return (1 - survival_1) / (1 - survival_0)
    return np.inf if survival_1 < 1 else NAN


def _bootstrap(emulation: _Emulation, replicates: int, seed: int) -> tuple[np.ndarray, int]:
    """(difference, risk ratio) in samples of the patients, and how many samples had none."""
    generator = np.random.default_rng(seed)
    patients = len(emulation.courses.time)
    found = []
    for _ in range(replicates):
        drawn = generator.multinomial(patients, np.full(patients, 1 / patients)).astype(float)
        try:
            weights, _, _ = emulation.weights(drawn, emulation.death_days)
        except NotEstimable:
            continue  # counted as failed
        survival = emulation.survival(emulation.curves(weights, drawn), drawn)
        if not any(reason for _, reason in survival.values()):
            found.append(
                (survival[START][0] - survival[NO_START][0], _risk_ratio(survival[START][0], survival[NO_START][0]))
            )
    return np.array(found).reshape(-1, 2), replicates - len(found)


def _survival_effects(
    survival: dict[str, tuple[float, str | None]], samples: np.ndarray, replicates: int
) -> list[tuple]:
    (survival_1, reason_1), (survival_0, reason_0) = survival[START], survival[NO_START]
    reason = reason_1 or reason_0
    if reason:
        return [(effect, NAN, NAN, NAN, reason) for effect in ("survival_difference", "risk_ratio")]
    no_limits = NO_BOOTSTRAP if not replicates else None
    if replicates - len(samples) > FAILED_SHARE * replicates:
        no_limits = f"no limits: no estimate in {replicates - len(samples)} of {replicates} bootstrap samples"
    rows = []
    for effect, estimate, sample in (
        ("survival_difference", survival_1 - survival_0, samples[:, 0]),
        ("risk_ratio", _risk_ratio(survival_1, survival_0) if survival_0 < 1 else NAN, samples[:, 1]),
    ):
        sample = sample[~np.isnan(sample)]
        reason = NO_DEATH if np.isnan(estimate) else no_limits
        # Order statistics: an infinite ratio (no deaths in one arm of a sample) can be a limit.
        lower, upper = np.percentile(sample, [2.5, 97.5], method="inverted_cdf") if reason is None else (NAN, NAN)
        rows.append((effect, estimate, float(lower), float(upper), reason))
    return rows


def _hazard_ratio(
    emulation: _Emulation, at_deaths: dict[str, np.ndarray], survival: dict[str, tuple[float, str | None]], ties: str
) -> tuple:
    """(hazard ratio, lower, upper, reason) of the weighted Cox regression."""
    from capla_etl.stats.cox import cox_regression

    if survival[START][1] == NOBODY_STARTED:
        return NAN, NAN, NAN, NOBODY_STARTED
    if not len(emulation.death_days):
        return NAN, NAN, NAN, "not estimable: nobody died"
    # Only the risk sets of the days with a death count: a row runs from the one before, and over those on which the weight stays the same.
    # Day 0 becomes 1, to have a length.
    days = emulation.death_days + 1
    before = np.concatenate([[0], days[:-1]])
    parts = []
    for strategy, weight in at_deaths.items():
        patient, column = np.nonzero(weight)
        value = weight[patient, column]
        first = np.concatenate([[True], (np.diff(patient) != 0) | (np.diff(value) != 0)])[: len(patient)]
        last = np.concatenate([first[1:], [True]])[: len(patient)]
        patient, end = patient[last], days[column[last]]
        parts.append(
            pd.DataFrame(
                {
                    "patient": patient,
                    "started": float(strategy == START),
                    "start": before[column[first]],
                    "time_days": end,
                    "event": emulation.courses.event[patient] & (emulation.courses.time[patient] + 1 == end),
                    "weight": value[first],
                }
            )
        )
    fit = cox_regression(
        pd.concat(parts, ignore_index=True), ["started"], start="start", weights="weight", cluster="patient", ties=ties
    )
    row = fit.table.iloc[0]
    return float(row["hazard_ratio"]), float(row["lower"]), float(row["upper"]), row["reason"]
