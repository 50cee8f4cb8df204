"""Cox regression: fits, robust errors, the test of proportional hazards, and the data layouts of exposures that begin later.

Curves and rank tests are in ``survival``, penalised fits in ``firth``. Which patients and covariates are compared is not decided here.

Written here, because lifelines knows only Efron's ties, stops early, has no robust error for start-stop data and tests proportional hazards
by the approximation of before 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

NAN = float("nan")
TIES = ("efron", "breslow", "exact")
TRANSFORMS = ("km", "identity", "rank", "log")

NO_EVENT = "no event"
NO_VARIATION = "no variation"
COLLINEAR = "collinear with the covariates before it"
EMPTY_ARM = "an arm without events: the estimate does not exist (monotone likelihood)"
MONOTONE = "the estimate does not exist (monotone likelihood)"
NOT_CONVERGED = "no finite estimate found (monotone likelihood, or an extreme value)"

_CONVERGED = 1e-14  # expected gain in log-likelihood before the last step: that step is then 1e-7 standard errors, the error after it far below
_FLAT = 1e-9  # a likelihood that gains no more than this ...
_MOVING = 0.05  # ... while the linear predictor still moves by this much has its maximum at infinity
_SMALLEST = 1e-250  # hazards of a risk set that are still computed, against the largest of all rows
_SINGULAR = 1e-10  # information left beside the other covariates, as a fraction


class ChiSquared(NamedTuple):
    """A test with its degrees of freedom."""

    chi_squared: float
    df: int
    p_value: float


class _RiskSets:
    """Sums over everybody at risk at each event time, and over the event times of everybody's time at risk.

    A row is at risk at a run of consecutive event times. Runs are cut into nodes of a binary tree, so that all sums are sums of positive
    terms: the usual difference of two cumulative sums loses every digit when hazards differ as widely as they do without events in an arm.
    """

    def __init__(self, first: np.ndarray, last: np.ndarray, event_times: int) -> None:
        from scipy.sparse import csr_array

        self.event_times = event_times
        self.leaves = 1 << max(event_times - 1, 0).bit_length()
        low, high, row = first + self.leaves, last + self.leaves, np.arange(len(first))
        nodes, rows = [], []
        while len(row):
            odd = (low & 1 == 1) & (low < high)
            nodes.append(low[odd])
            rows.append(row[odd])
            low = low + odd
            odd = (high & 1 == 1) & (low < high)
            nodes.append(high[odd] - 1)
            rows.append(row[odd])
            low, high = low >> 1, (high - odd) >> 1
            left = low < high
            low, high, row = low[left], high[left], row[left]
        node, row = (np.concatenate([*parts, np.array([], dtype=int)]) for parts in (nodes, rows))
        self.rows_of_node = csr_array((np.ones(len(node)), (node, row)), shape=(2 * self.leaves, len(first)))
        self.nodes_of_row = self.rows_of_node.T.tocsr()

    def at_event_times(self, values: np.ndarray) -> np.ndarray:
        """Values of rows (first axis) summed over those at risk at each event time."""
        node, size = self.rows_of_node @ values, 1
        while size < self.leaves:
            node[2 * size : 4 * size] += np.repeat(node[size : 2 * size], 2, axis=0)
            size *= 2
        return node[self.leaves : self.leaves + self.event_times]

    def over_time_at_risk(self, values: np.ndarray) -> np.ndarray:
        """Values of event times summed over each row's time at risk."""
        node, size = np.zeros(2 * self.leaves), self.leaves
        node[size : size + self.event_times] = values
        while size > 1:
            size //= 2
            node[size : 2 * size] = node[2 * size : 4 * size : 2] + node[2 * size + 1 : 4 * size : 2]
        return self.nodes_of_row @ node


class _Tied(NamedTuple):
    """Everybody at risk when several had the event at once."""

    at_risk: np.ndarray
    events: int


class _Point(NamedTuple):
    """The likelihood at one vector of coefficients. ``risk`` has one number per row, ``rate`` and ``mean`` (of the covariates) one per death."""

    log_likelihood: float
    score: np.ndarray
    information: np.ndarray
    risk: np.ndarray
    rate: np.ndarray
    mean: np.ndarray


class PartialLikelihood:
    """The partial likelihood of rows at risk in (start, time]; their covariates (covariates x rows) are standardised, and centred within strata."""

    def __init__(
        self,
        covariates: np.ndarray,
        days: np.ndarray,
        event: np.ndarray,
        start: np.ndarray | None,
        time: np.ndarray,
        stratum: np.ndarray,
        weight: np.ndarray,
        ties: str,
    ) -> None:
        # start and time are ranks; the days themselves only matter to g(time).
        self.days, self.event, self.start, self.time, self.stratum, self.weight, self.ties = (
            days,
            event,
            start,
            time,
            stratum,
            weight,
            ties,
        )
        centre = np.array([np.bincount(stratum, column) for column in covariates]) / np.bincount(stratum)
        centred = covariates - centre[:, stratum]
        self.scale = np.sqrt((centred**2).mean(axis=1))
        # What is left by rounding is no variation.
        varies = self.scale > 1e-13 * np.abs(covariates).max(axis=1)
        self.scale = np.where(varies, self.scale, 1.0)
        self.x = centred * (varies / self.scale)[:, None]
        self.spread = np.ptp(self.x, axis=1)

        times = time.max() + 1
        key = stratum * times + time
        event_time = np.sort(pd.unique(key[event]))
        first = np.searchsorted(event_time, stratum * times + (start if start is not None else -1), side="right")
        last = np.searchsorted(event_time, key, side="right")
        self.event_time = event_time % times
        self.risk_sets = _RiskSets(first, last, len(event_time))

        rows = np.flatnonzero(event)
        self.events = rows[np.argsort(key[rows], kind="stable")]
        self.of_event = last[self.events] - 1
        deaths = np.bincount(self.of_event, minlength=len(event_time))
        self.first_event = np.cumsum(deaths) - deaths
        weights = np.bincount(self.of_event, weight[self.events], minlength=len(event_time))
        self.tied: list[_Tied] = []
        if ties == "efron":
            self.of_death = self.of_event
            self.share = (np.arange(len(rows)) - self.first_event[self.of_event]) / deaths[self.of_event]
            self.death_weight = (weights / deaths)[self.of_event]
        else:
            self.of_death = np.arange(len(event_time)) if ties == "breslow" else np.flatnonzero(deaths == 1)
            self.share = np.zeros(len(self.of_death))
            self.death_weight = weights[self.of_death]
        if ties == "exact":
            self.tied = [
                _Tied(np.flatnonzero((first <= at) & (at < last)), int(deaths[at])) for at in np.flatnonzero(deaths > 1)
            ]

    def at(self, beta: np.ndarray) -> _Point | None:
        """The likelihood and its derivatives; None where it is too small to be computed."""
        if not np.isfinite(beta).all():
            return None
        eta = beta @ self.x
        eta -= eta.max()
        risk = np.exp(eta)
        weighted = self.weight * risk
        values = np.vstack([weighted, weighted * self.x])
        sums = self.risk_sets.at_event_times(values.T).T[:, self.of_death]
        if self.ties == "efron":
            sums = (
                sums - self.share * np.add.reduceat(values[:, self.events], self.first_event, axis=1)[:, self.of_death]
            )
        if not (sums[0] > _SMALLEST).all() or any(
            np.ptp(eta[tied.at_risk]) > -math.log(_SMALLEST) for tied in self.tied
        ):
            return None
        mean = sums[1:] / sums[0]
        rate = self.death_weight / sums[0]
        event_weight = self.weight[self.events]
        log_likelihood = event_weight @ eta[self.events] - self.death_weight @ np.log(sums[0])
        score = self.x[:, self.events] @ event_weight - mean @ self.death_weight
        point = _Point(float(log_likelihood), score, np.empty(0), risk, rate, mean)
        information = self.information(point)
        for tied in self.tied:
            log_sum, gradient, second = _log_sum_of_subsets(eta[tied.at_risk], self.x[:, tied.at_risk], tied.events)
            point = point._replace(log_likelihood=point.log_likelihood - log_sum, score=point.score - gradient)
            information = information + second
        return point._replace(information=information)

    def expected(self, point: _Point, rate: np.ndarray) -> np.ndarray:
        """The rates of deaths, summed over each row's time at risk and multiplied by its hazard and weight: its expected events."""
        weighted = self.weight * point.risk
        expected = weighted * self.risk_sets.over_time_at_risk(self.by_time(rate))
        if self.ties == "efron":
            expected[self.events] -= weighted[self.events] * self.by_time(rate * self.share)[self.of_event]
        return expected

    def information(self, point: _Point, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Information of the coefficients, deaths multiplied by ``factor``."""
        return (self.expected(point, factor * point.rate) * self.x) @ self.x.T - (
            factor * self.death_weight * point.mean
        ) @ point.mean.T

    def score_residuals(self, point: _Point) -> np.ndarray:
        """Each row's weighted share of the score (covariates x rows)."""
        residual = -self.x * self.expected(point, point.rate)
        deaths = self.by_time(np.ones(len(self.of_death)))
        for own, mean, x in zip(residual, point.mean, self.x, strict=True):
            own += self.expected(point, point.rate * mean)
            own[self.events] += self.weight[self.events] * (
                x[self.events] - (self.by_time(mean) / deaths)[self.of_event]
            )
        return residual

    def gradient_of_log_determinant(self, point: _Point) -> np.ndarray:
        """Derivative of log det(information): the third central moments of the covariates of those at risk, contracted with its inverse."""
        covariance = np.linalg.inv(point.information)
        quadratic = (self.x * (covariance @ self.x)).sum(axis=0)
        at_mean = np.array([self.expected(point, point.rate * mean) for mean in point.mean])
        of_mean = (point.mean * (covariance @ point.mean)).sum(axis=0)
        return (
            self.x @ (self.expected(point, point.rate) * quadratic)
            - at_mean @ quadratic
            - 2 * self.x @ (self.x * (covariance @ at_mean)).sum(axis=0)
            + 2 * point.mean @ (self.death_weight * of_mean)
        )

    def by_time(self, values: np.ndarray) -> np.ndarray:
        """Values of deaths summed over each event time."""
        return np.bincount(self.of_death, values, minlength=len(self.event_time))


def _log_sum_of_subsets(eta: np.ndarray, x: np.ndarray, events: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Log of the sum of exp(total eta) over all subsets of so many rows, its gradient and its matrix of second derivatives.

    The sum is a coefficient of the polynomial with the factors 1 + exp(eta) z; Cauchy's integral over the circle on which it is largest
    gives it to rounding error without overflow, however many subsets there are.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    rows = len(eta)
    if events == rows:
        return float(eta.sum()), x.sum(axis=1), np.zeros((len(x), len(x)))
    odds = math.log(events / (rows - events))
    shift = brentq(lambda value: expit(eta + value).sum() - events, odds - eta.max() - 0.1, odds - eta.min() + 0.1)
    half = 8 + math.ceil(4.5 * math.sqrt(events))  # beyond, the terms that alias are below rounding
    angle = math.pi * (np.arange(half) + 0.5) / half
    size = np.exp(eta + shift)
    term = size[:, None] * np.exp(1j * angle)
    share = term / (1 + term)
    weight = ((1 + term) / (1 + size)[:, None]).prod(axis=0) * np.exp(-1j * events * angle)
    total = weight.real.sum()
    weight = weight / total
    centre = x.mean(axis=1)
    x = x - centre[:, None]
    sums = x @ share
    gradient = (sums @ weight).real
    second = (((share * (1 - share)) @ weight).real * x) @ x.T + ((sums * weight) @ sums.T).real
    return (
        float(np.log(total / half) + np.log1p(size).sum() - events * shift),
        gradient + events * centre,
        second - np.outer(gradient, gradient),
    )


def _maximise(
    likelihood: PartialLikelihood, beta: np.ndarray, point: _Point, free: np.ndarray
) -> tuple[np.ndarray, _Point, np.ndarray | None]:
    """Newton's method over the free coefficients.

    Returns:
        (coefficients, the likelihood there, None) at the maximum. Instead of None the step in which the coefficients run away where the
        maximum is at infinity; NaN where the hazards of the rows differ too widely to be computed.
    """
    unit = likelihood.weight.mean()
    for _ in range(60):
        step = np.zeros(len(beta))
        step[free] = np.linalg.lstsq(point.information[np.ix_(free, free)], point.score[free], rcond=1e-15)[0]
        gain = point.score @ step
        if gain < _FLAT * unit and np.ptp(step @ likelihood.x) > _MOVING:
            return beta, point, step
        rounding = 1e-13 * (1 + abs(point.log_likelihood))
        for halvings in range(40):
            candidate = likelihood.at(beta + step / 2**halvings)
            if candidate is not None and candidate.log_likelihood >= point.log_likelihood - rounding:
                beta, point = beta + step / 2**halvings, candidate
                break
        if gain < _CONVERGED * unit:
            return beta, point, None
    return beta, point, np.full(len(beta), NAN)


def identifiable(information: np.ndarray, events: float) -> list[str | None]:
    """For each covariate why it has no coefficient, from the information at zero, taken up one after the other; None: it has one."""
    reasons: list[str | None] = []
    kept: list[int] = []
    for j, own in enumerate(np.diag(information)):
        if not own > _SINGULAR * events:
            reasons.append(NO_VARIATION)
            continue
        cross = information[kept, j]
        left = own - cross @ np.linalg.solve(information[np.ix_(kept, kept)], cross) if kept else own
        reasons.append(None if left > _SINGULAR * own else COLLINEAR)
        if left > _SINGULAR * own:
            kept.append(j)
    return reasons


@dataclass(frozen=True)
class CoxFit:
    """A fitted model; ``table`` is what is printed.

    Attributes:
        table: one row per covariate: ``term``, ``coef``, ``standard_error``, ``robust_standard_error`` (NaN without cluster and weights),
            ``hazard_ratio``, ``lower``, ``upper`` (95 %, Wald), ``p_value``, ``reason`` (None, or why there is no estimate).
        patients: clusters, or rows where no cluster is given.
        events: rows with the event.
        log_likelihood_null, log_likelihood: partial log-likelihood at zero and at its maximum (or the limit that it approaches).
        likelihood_ratio, score, wald: tests that all coefficients are zero; Wald's with the robust covariance, if there is one.
        covariance: of the coefficients, the robust one if there is one; NaN where there is no estimate.
        ties: how tied events were handled.
    """

    table: pd.DataFrame
    patients: int
    events: int
    log_likelihood_null: float
    log_likelihood: float
    likelihood_ratio: ChiSquared
    score: ChiSquared
    wald: ChiSquared
    covariance: pd.DataFrame
    ties: str
    _likelihood: PartialLikelihood | None = field(default=None, repr=False, compare=False)
    _beta: np.ndarray | None = field(default=None, repr=False, compare=False)

    @cached_property
    def concordance(self) -> float:
        """Probability that of two patients the one with the earlier event has the higher hazard; as R, within strata and weighted.

        NaN without a pair that can be compared.
        """
        if self._likelihood is None:
            return NAN
        return _concordance(self._likelihood, self._beta @ self._likelihood.x)


def numeric_column(data: pd.DataFrame, name: str, what: str) -> np.ndarray:
    """A numeric column as floats, refused when a value is missing or infinite."""
    column = data[name]
    if column.dtype.kind not in "biuf" or not isinstance(column.dtype, np.dtype):
        column = pd.to_numeric(column, errors="coerce")
    values = column.to_numpy(dtype=float, na_value=NAN)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise ValueError(f"{what} {name} is missing (or no finite number) in {missing} of {len(data)} rows")
    return values


def _codes(data: pd.DataFrame, name: str | None, what: str) -> np.ndarray:
    if name is None:
        return np.zeros(len(data), dtype=int)
    codes, _ = pd.factorize(data[name])
    if (codes < 0).any():
        raise ValueError(f"{what} {name} is missing in {int((codes < 0).sum())} of {len(data)} rows")
    return codes


def _time_ranks(*times: np.ndarray) -> list[np.ndarray]:
    """Times as ranks; times that differ by rounding only are one, as R (timefix)."""
    codes, distinct = pd.factorize(np.concatenate(times), sort=True)
    apart = np.diff(distinct) > 1.5e-8 * np.abs(distinct).mean()
    return np.split(np.concatenate([[0], np.cumsum(apart)])[codes], len(times))


def _chi_squared(statistic: float, df: int) -> ChiSquared:
    from scipy.special import chdtrc

    if not df or not np.isfinite(statistic):
        return ChiSquared(NAN, df, NAN)
    statistic = max(float(statistic), 0.0)
    return ChiSquared(statistic, df, float(chdtrc(df, statistic)))


def read_likelihood(
    data: pd.DataFrame,
    covariates: list[str],
    time: str,
    event: str,
    start: str | None,
    strata: str | None,
    weights: str | None,
    ties: str,
) -> tuple[PartialLikelihood | None, int]:
    """The checked likelihood (None without an event) and the number of events."""
    if not covariates or len(set(covariates)) < len(covariates):
        raise ValueError("covariates must be given, each once")
    time_days = numeric_column(data, time, "time")
    happened = numeric_column(data, event, "event")
    if not np.isin(happened, (0, 1)).all():
        raise ValueError(f"event {event} must be yes or no (True/False or 1/0)")
    weight = numeric_column(data, weights, "weight") if weights else np.ones(len(data))
    if (weight <= 0).any():
        raise ValueError(f"weight {weights} must be positive; {int((weight <= 0).sum())} of {len(data)} are not")
    x = np.array([numeric_column(data, name, "covariate") for name in covariates])
    stratum = _codes(data, strata, "stratum")
    if start is None:
        if (time_days < 0).any():
            raise ValueError(f"time {time} must not be negative")
        start_rank = None
    else:
        start_days = numeric_column(data, start, "start of an interval")
    if not happened.any() and (start is None or (start_days < time_days).all()):
        return None, 0
    if start is None:
        (time_rank,) = _time_ranks(time_days)
    else:
        start_rank, time_rank = _time_ranks(start_days, time_days)
        if (start_rank >= time_rank).any():
            raise ValueError(
                f"{int((start_rank >= time_rank).sum())} of {len(data)} intervals do not end after their start ({start}, {time})"
            )
    return PartialLikelihood(x, time_days, happened == 1, start_rank, time_rank, stratum, weight, ties), int(
        happened.sum()
    )


def cox_regression(
    data: pd.DataFrame,
    covariates: list[str],
    *,
    time: str = "time_days",
    event: str = "event",
    start: str | None = None,
    strata: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    ties: str = "efron",
) -> CoxFit:
    """Cox's proportional hazards model.

    An estimate that does not exist (monotone likelihood: an arm without events) is -inf or inf, its hazard ratio 0 or inf (NaN where only
    several covariates together order the events), without standard error, limits and p value; the other coefficients are those of the
    limit, and the likelihood ratio and score tests hold.
    Covariates that vary nowhere, or that follow from those before them, have no coefficient (NaN) and change nothing else.

    Args:
        data: one row per patient, or per interval of a patient.
        covariates: numeric or boolean columns.
        time: column of days to event or censoring (>= 0), or to the end of the interval.
        event: column of whether the event ended the time (bool or 0/1).
        start: column of the days at which intervals start; a row is at risk in (start, time].
        strata: column; a baseline hazard for each of its values.
        weights: column of positive weights (frequencies or probabilities); the errors are then robust.
        cluster: column of what rows belong to (a patient, a centre); the errors are then robust to anything within it.
        ties: "efron", "breslow" or "exact" (the discrete conditional likelihood).

    Returns:
        The fit, its table in the order of the covariates.

    Raises:
        ValueError: a missing value in any column used, a negative time, an interval that does not end after its start, a weight that is
            not positive, an event that is neither yes nor no; the exact likelihood with weights or clusters, which it does not know.

    Source:
        Cox 1972; Efron 1977; Breslow 1974; robust errors of Lin and Wei, JASA 1989;84:1074; as R ``coxph``.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}, not {ties}")
    if ties == "exact" and (weights or cluster):
        raise ValueError("the exact likelihood has neither weights nor clusters: use efron or breslow")
    covariates = list(covariates)
    group = _codes(data, cluster, "cluster") if cluster else np.arange(len(data))
    likelihood, events = read_likelihood(data, covariates, time, event, start, strata, weights, ties)
    robust = bool(weights or cluster)
    patients = int(group.max(initial=-1)) + 1
    if likelihood is None:
        table = _table(
            covariates,
            np.full(len(covariates), NAN),
            *[np.full((len(covariates),) * 2, NAN)] * 2,
            [NO_EVENT] * len(covariates),
        )
        none = ChiSquared(NAN, 0, NAN)
        covariance = pd.DataFrame(NAN, index=covariates, columns=covariates)
        return CoxFit(table, patients, 0, 0.0, 0.0, none, none, none, covariance, ties)

    zero = np.zeros(len(covariates))
    null = likelihood.at(zero)
    reasons = identifiable(null.information, likelihood.weight[likelihood.event].sum())
    usable = np.array([reason is None for reason in reasons])
    free, infinite, beta = usable.copy(), np.zeros(len(covariates)), zero
    point, step = null, None
    while free.any():
        beta, point, step = _maximise(likelihood, beta, point, free)
        if step is None:
            break
        if np.isnan(step).any():
            reasons = [NOT_CONVERGED if is_free else reason for is_free, reason in zip(free, reasons, strict=True)]
            free[:], point = False, point._replace(log_likelihood=NAN)
            break
        moving = free & (np.abs(step) * likelihood.spread > 1e-3)
        for j in np.flatnonzero(moving):
            empty = _empty_arm(data[covariates[j]], likelihood.event)
            reasons[j] = EMPTY_ARM if empty else MONOTONE
            # Where several separate the events together, the way each of them goes says nothing.
            infinite[j] = np.sign(step[j]) if empty or moving.sum() == 1 else 0
        free &= ~moving
        # Further out, where what the runaway still adds to the others is below rounding.
        further = likelihood.at(beta + 12 * step)
        if further is not None:
            beta, point = beta + 12 * step, further

    scale = likelihood.scale
    naive = np.full((len(covariates),) * 2, NAN)
    chosen = np.ix_(free, free)
    naive[chosen] = np.linalg.inv(point.information[chosen])
    sandwich = np.full_like(naive, NAN)
    if robust and free.any():
        residuals = likelihood.score_residuals(point)[free]
        influence = naive[chosen] @ np.array([np.bincount(group, row) for row in residuals])
        sandwich[chosen] = influence @ influence.T
    covariance = sandwich if robust else naive
    df = int(usable.sum())
    score = (
        null.score[usable] @ np.linalg.solve(null.information[np.ix_(usable, usable)], null.score[usable])
        if df
        else NAN
    )
    wald = (
        beta[free] @ np.linalg.lstsq(covariance[chosen], beta[free], rcond=1e-12)[0]
        if df and (free == usable).all()
        else NAN
    )
    coef = np.where(infinite != 0, np.copysign(np.inf, infinite), np.where(free, beta / scale, NAN))
    per_unit = np.outer(scale, scale)
    return CoxFit(
        table=_table(covariates, coef, naive / per_unit, sandwich / per_unit, reasons),
        patients=patients,
        events=events,
        log_likelihood_null=null.log_likelihood,
        log_likelihood=point.log_likelihood,
        likelihood_ratio=_chi_squared(2 * (point.log_likelihood - null.log_likelihood), df),
        score=_chi_squared(score, df),
        wald=_chi_squared(wald, df),
        covariance=pd.DataFrame(covariance / per_unit, index=covariates, columns=covariates),
        ties=ties,
        _likelihood=likelihood,
        _beta=beta,
    )


def _empty_arm(values: pd.Series, event: np.ndarray) -> bool:
    """Whether a covariate has two values and events at one of them only."""
    return values.nunique() == 2 and values[event].nunique() == 1


def _table(
    covariates: list[str], coef: np.ndarray, naive: np.ndarray, sandwich: np.ndarray, reasons: list[str | None]
) -> pd.DataFrame:
    from scipy.special import ndtr, ndtri

    naive_error, robust_error = np.sqrt(np.diag(naive)), np.sqrt(np.diag(sandwich))
    error = np.where(np.isnan(robust_error), naive_error, robust_error)
    z = np.divide(coef, error, out=np.full(len(coef), NAN), where=np.isfinite(coef) & (error > 0))
    half_width = float(ndtri(0.975)) * error
    with np.errstate(over="ignore"):
        ratios = {"hazard_ratio": np.exp(coef), "lower": np.exp(coef - half_width), "upper": np.exp(coef + half_width)}
    return pd.DataFrame(
        {
            "term": covariates,
            "coef": coef,
            "standard_error": naive_error,
            "robust_standard_error": robust_error,
            **ratios,
            "p_value": 2 * ndtr(-np.abs(z)),
            "reason": pd.Series(reasons, dtype=object),
        }
    )


def _sums_before(
    prefix: np.ndarray, rank: np.ndarray, point_rank: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of those among the first ``prefix`` points whose rank is below, and equal to, ``rank``.

    Points are sorted within blocks of 1, 2, 4, ...; a prefix is one block of each size that its binary digits name.
    """
    below, equal = np.zeros(len(prefix)), np.zeros(len(prefix))
    ranks = int(point_rank.max()) + 1
    for level in range(len(point_rank).bit_length()):
        key = (np.arange(len(point_rank)) >> level) * ranks + point_rank
        order = np.argsort(key, kind="stable")
        key, total = key[order], np.concatenate([[0.0], np.cumsum(weight[order])])
        has = np.flatnonzero((prefix >> level) & 1)
        base = ((prefix[has] >> level) - 1) * ranks
        start, low, high = (
            np.searchsorted(key, value, side)
            for value, side in ((base, "left"), (base + rank[has], "left"), (base + rank[has], "right"))
        )
        below[has] += total[low] - total[start]
        equal[has] += total[high] - total[low]
    return below, equal


def _concordance(likelihood: PartialLikelihood, eta: np.ndarray) -> float:
    concordant = comparable = 0.0
    for stratum in np.unique(likelihood.stratum[likelihood.event]):
        rows = np.flatnonzero(likelihood.stratum == stratum)
        # Equal rows may differ in the last digit of their linear predictor.
        rank = np.unique(np.round(eta[rows], 10), return_inverse=True)[1]
        weight, time, event = likelihood.weight[rows], likelihood.time[rows], likelihood.event[rows]
        end = 2 * time + ~event  # censored on the day of an event: at risk then, and later than it
        edges = [(end, 2 * time[event] + 1, 1.0)]
        if likelihood.start is not None:
            edges.append((2 * likelihood.start[rows] + 1, 2 * time[event], -1.0))  # not yet at risk at the event
        for key, cut, sign in edges:
            order = np.argsort(-key, kind="stable")
            prefix = len(rows) - np.searchsorted(key[order][::-1], cut, side="left")
            below, equal = _sums_before(prefix, rank[event], rank[order], weight[order])
            all_before = np.concatenate([[0.0], np.cumsum(weight[order])])[prefix]
            concordant += sign * (weight[event] @ (below + equal / 2))
            comparable += sign * (weight[event] @ all_before)
    return float(concordant / comparable) if comparable > 0 else NAN


def proportional_hazards_test(fit: CoxFit, transform: str = "km") -> pd.DataFrame:
    """Score test of proportional hazards: of each covariate, and of all together, against an effect that changes with g(time).

    Args:
        fit: of ``cox_regression``, ties Efron or Breslow. Weights count as in the fit; clusters do not change the test, as in R.
        transform: g: "km" (1 minus the Kaplan-Meier survival just before the event), "identity" (days), "rank" or "log".

    Returns:
        One row per covariate and one "GLOBAL": ``term``, ``chi_squared``, ``df``, ``p_value``; NaN for covariates without an estimate, and
        where all events fall on one day.

    Raises:
        ValueError: an unknown transform, a fit with exact ties, the logarithm with an event on day 0 or before.

    Source:
        Grambsch and Therneau, Biometrika 1994;81:515, the score test itself as R survival >= 3 ``cox.zph(terms = FALSE)``. lifelines
        approximates its variance by a mean over the event times, as R did before 2019.
    """
    if transform not in TRANSFORMS:
        raise ValueError(f"transform must be one of {', '.join(TRANSFORMS)}, not {transform}")
    if fit.ties == "exact":
        raise ValueError("no test of proportional hazards with exact ties: use efron or breslow")
    terms = fit.table["term"].tolist()
    tests = dict.fromkeys([*terms, "GLOBAL"], ChiSquared(NAN, 0, NAN))
    if fit._likelihood is not None:
        estimated = np.flatnonzero(np.isfinite(fit.table["coef"]))
        tests |= _proportional_hazards(
            fit._likelihood, fit._beta, estimated, terms, _transformed(fit._likelihood, transform)
        )
    return pd.DataFrame([{"term": term, **test._asdict()} for term, test in tests.items()])


def _transformed(likelihood: PartialLikelihood, transform: str) -> np.ndarray:
    """g(time) at each (stratum, event time), centred at the mean of the events."""
    from scipy.stats import rankdata

    times, events = likelihood.time, likelihood.events
    if transform == "identity":
        values = likelihood.days[events]
    elif transform == "rank":
        values = rankdata(times)[events]
    elif transform == "log":
        if (likelihood.days[events] <= 0).any():
            raise ValueError("the logarithm of time is not defined for an event on day 0 or before")
        values = np.log(likelihood.days[events])
    else:
        size = times.max() + 2

        def from_then_on(ranks: np.ndarray) -> np.ndarray:
            return np.cumsum(np.bincount(ranks, minlength=size)[::-1])[::-1]

        at_risk = from_then_on(times) - (0 if likelihood.start is None else from_then_on(likelihood.start))
        deaths = np.bincount(times[events], minlength=size)
        survival = np.cumprod(1 - deaths / np.maximum(at_risk, 1))
        values = 1 - np.concatenate([[1.0], survival])[times[events]]
    return (values - values.mean())[likelihood.first_event]


def _proportional_hazards(
    likelihood: PartialLikelihood, beta: np.ndarray, estimated: np.ndarray, terms: list[str], g: np.ndarray
) -> dict[str, ChiSquared]:
    point = likelihood.at(beta)
    chosen = np.ix_(estimated, estimated)
    plain, cross, square = (
        likelihood.information(point, factor)[chosen]
        for factor in (1.0, g[likelihood.of_death], g[likelihood.of_death] ** 2)
    )
    event_weight = likelihood.weight[likelihood.events] * g[likelihood.of_event]
    score = likelihood.x[:, likelihood.events] @ event_weight - point.mean @ (
        likelihood.death_weight * g[likelihood.of_death]
    )
    score = score[estimated]
    if not len(estimated):
        return {}
    # The information on the changes of effect that is left beside the effects themselves.
    left = square - cross @ np.linalg.solve(plain, cross)
    own = np.diag(left)
    known = own > 1e-12 * np.maximum(np.diag(square), np.diag(plain) * np.abs(g).max() ** 2)
    tests = {
        terms[j]: _chi_squared(score[i] ** 2 / own[i], 1) if known[i] else ChiSquared(NAN, 1, NAN)
        for i, j in enumerate(estimated)
    }
    whole = score @ np.linalg.solve(left, score) if known.all() else NAN
    return {**tests, "GLOBAL": _chi_squared(whole, len(estimated))}
