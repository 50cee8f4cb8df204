"""Cox regression: fits, robust errors and the test of proportional hazards.

Curves and the log-rank test are in ``survival``, penalised fits in ``firth``, intervals of an exposure that begins
during follow-up in ``exposure``. Which patients and covariates are compared is not decided here.

Written here, because lifelines knows only Efron's ties, stops early, has no robust error for start-stop data and tests
proportional hazards by the approximation of before 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.counts import NAN, Z_95

TIES = ("efron", "breslow")

NO_EVENT = "no event"
NO_VARIATION = "no variation"
COLLINEAR = "collinear with the covariates before it"
EMPTY_ARM = "an arm without events: the estimate does not exist (monotone likelihood)"
MONOTONE = "the estimate does not exist (monotone likelihood)"
NOT_CONVERGED = "no finite estimate found (monotone likelihood, or an extreme value)"

# Expected gain in log-likelihood before the last step: that step is then 1e-7 standard errors, the error after it far
# below.
_CONVERGED = 1e-14
_FLAT = 1e-9  # a likelihood that gains no more than this ...
_MOVING = 0.05  # ... while the linear predictor still moves by this much has its maximum at infinity
_SMALLEST = 1e-250  # hazards of a risk set that are still computed, against the largest of all rows
_SINGULAR = 1e-10  # fraction of the information that the other covariates leave


class _RiskSets:
    """Sums over all rows at risk at each event time, and over the event times of each row's time at risk.

    A row is at risk at a run of consecutive event times. Runs are cut into nodes of a binary tree, so that all sums are
    sums of positive terms: the usual difference of two cumulative sums loses every digit when hazards differ as widely
    as they do without events in an arm.
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


class _Point(NamedTuple):
    """The likelihood at one vector of coefficients."""

    log_likelihood: float
    score: np.ndarray
    information: np.ndarray
    risk: np.ndarray  # one per row
    rate: np.ndarray  # one per death
    mean: np.ndarray  # of the covariates, one per death


class PartialLikelihood:
    """The partial likelihood of rows at risk in (start, time].

    The covariates (covariates x rows) are standardised, and centred within strata. ``start`` and ``time`` are ranks.
    """

    def __init__(
        self,
        covariates: np.ndarray,
        event: np.ndarray,
        start: np.ndarray | None,
        time: np.ndarray,
        stratum: np.ndarray,
        weight: np.ndarray,
        ties: str,
    ) -> None:
        self.event, self.start, self.time, self.weight = event, start, time, weight
        centre = np.array([np.bincount(stratum, column) for column in covariates]) / np.bincount(stratum)
        centred = covariates - centre[:, stratum]
        self.scale = np.sqrt((centred**2).mean(axis=1))
        # A remainder of the size of rounding is no variation.
        varies = self.scale > 1e-13 * np.abs(covariates).max(axis=1)
        self.scale = np.where(varies, self.scale, 1.0)
        self.x = centred * (varies / self.scale)[:, None]
        self.spread = np.ptp(self.x, axis=1)

        times = time.max() + 1
        key = stratum * times + time
        event_time = np.sort(pd.unique(key[event]))
        first = np.searchsorted(event_time, stratum * times + (start if start is not None else -1), side="right")
        last = np.searchsorted(event_time, key, side="right")
        self.risk_sets = _RiskSets(first, last, len(event_time))

        rows = np.flatnonzero(event)
        self.events = rows[np.argsort(key[rows], kind="stable")]
        self.of_event = last[self.events] - 1
        deaths = np.bincount(self.of_event)
        self.first_event = np.cumsum(deaths) - deaths
        weights = np.bincount(self.of_event, weight[self.events])
        # Efron takes tied deaths one after the other, Breslow all at once; a death here is one of these steps.
        self.of_death, self.share, self.death_weight = np.arange(len(deaths)), np.zeros(len(deaths)), weights
        if ties == "efron":
            self.of_death = self.of_event
            self.share = (np.arange(len(rows)) - self.first_event[self.of_event]) / deaths[self.of_event]
            self.death_weight = (weights / deaths)[self.of_event]

    def at(self, beta: np.ndarray) -> _Point | None:
        """The likelihood and its derivatives; None where it is too small to be computed."""
        if not np.isfinite(beta).all():
            return None
        eta = beta @ self.x
        eta -= eta.max()
        risk = np.exp(eta)
        weighted = self.weight * risk
        values = np.vstack([weighted, weighted * self.x])
        tied = np.add.reduceat(values[:, self.events], self.first_event, axis=1)[:, self.of_death]
        sums = self.risk_sets.at_event_times(values.T).T[:, self.of_death] - self.share * tied
        if not (sums[0] > _SMALLEST).all():
            return None
        mean = sums[1:] / sums[0]
        rate = self.death_weight / sums[0]
        event_weight = self.weight[self.events]
        log_likelihood = event_weight @ eta[self.events] - self.death_weight @ np.log(sums[0])
        score = self.x[:, self.events] @ event_weight - mean @ self.death_weight
        point = _Point(float(log_likelihood), score, np.empty(0), risk, rate, mean)
        return point._replace(information=self.information(point))

    def expected(self, point: _Point, rate: np.ndarray) -> np.ndarray:
        """Each row's expected events: rates of deaths summed over its time at risk, times its hazard and weight."""
        weighted = self.weight * point.risk
        expected = weighted * self.risk_sets.over_time_at_risk(self.by_time(rate))
        expected[self.events] -= weighted[self.events] * self.by_time(rate * self.share)[self.of_event]
        return expected

    def information(self, point: _Point, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Information of the coefficients, deaths multiplied by ``factor``."""
        of_means = (factor * self.death_weight * point.mean) @ point.mean.T
        return (self.expected(point, factor * point.rate) * self.x) @ self.x.T - of_means

    def score_residuals(self, point: _Point) -> np.ndarray:
        """Each row's weighted share of the score (covariates x rows)."""
        residual = -self.x * self.expected(point, point.rate)
        deaths = self.by_time(np.ones(len(self.of_death)))
        for own, mean, x in zip(residual, point.mean, self.x, strict=True):
            own += self.expected(point, point.rate * mean)
            mean_at_event = (self.by_time(mean) / deaths)[self.of_event]
            own[self.events] += self.weight[self.events] * (x[self.events] - mean_at_event)
        return residual

    def gradient_of_log_determinant(self, point: _Point) -> np.ndarray:
        """Derivative of log det(information): third central moments of the covariates, contracted with its inverse."""
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
        return np.bincount(self.of_death, values)


def _maximise(
    likelihood: PartialLikelihood, beta: np.ndarray, point: _Point, free: np.ndarray
) -> tuple[np.ndarray, _Point, np.ndarray | None]:
    """Newton's method over the free coefficients.

    Returns:
        (coefficients, the likelihood there, None) at the maximum. Where the maximum is at infinity, the step in which
        the coefficients diverge in place of None; NaN where the hazards of the rows differ too widely to be computed.
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
    """Why each covariate has no coefficient (None: it has one), from the information at zero, one after the other."""
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


def numeric_column(data: pd.DataFrame, name: str, what: str, *, binary: bool = False) -> np.ndarray:
    """Return a numeric column as floats.

    Raises:
        ValueError: a missing or infinite value; with ``binary``, a value that is neither yes nor no.
    """
    column = data[name]
    if column.dtype.kind not in "biuf" or not isinstance(column.dtype, np.dtype):
        column = pd.to_numeric(column, errors="coerce")
    values = column.to_numpy(dtype=float, na_value=NAN)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise ValueError(f"{what} {name} is missing (or not a finite number) in {missing} of {len(data)} rows")
    if binary and not np.isin(values, (0, 1)).all():
        raise ValueError(f"{what} {name} must be yes or no (True/False or 1/0)")
    return values


def follow_up(data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the days and events (bool) of the columns ``time_days`` and ``event``, checked as ``numeric_column``."""
    return numeric_column(data, "time_days", "time"), numeric_column(data, "event", "event", binary=True) == 1


def check_not_negative(time_days: np.ndarray) -> None:
    """Raise ValueError on a negative time."""
    if (time_days < 0).any():
        raise ValueError("time_days must not be negative")


def _codes(data: pd.DataFrame, name: str | None, what: str) -> np.ndarray:
    if name is None:
        return np.zeros(len(data), dtype=int)
    codes, _ = pd.factorize(data[name])
    if (codes < 0).any():
        raise ValueError(f"{what} {name} is missing in {int((codes < 0).sum())} of {len(data)} rows")
    return codes


def _time_ranks(*times: np.ndarray) -> list[np.ndarray]:
    """Times as ranks; times that differ by rounding only are equal, as in R (timefix)."""
    codes, distinct = pd.factorize(np.concatenate(times), sort=True)
    apart = np.diff(distinct) > 1.5e-8 * np.abs(distinct).mean()
    return np.split(np.concatenate([[0], np.cumsum(apart)])[codes], len(times))


def read_likelihood(
    data: pd.DataFrame,
    covariates: list[str],
    ties: str,
    *,
    start: str | None = None,
    strata: str | None = None,
    weights: str | None = None,
) -> PartialLikelihood | None:
    """Return the likelihood of checked data, None without an event. Arguments and errors: as ``cox_regression``."""
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}, found {ties}")
    if not covariates or len(set(covariates)) < len(covariates):
        raise ValueError("covariates must be given, each once")
    time_days, happened = follow_up(data)
    weight = numeric_column(data, weights, "weight") if weights else np.ones(len(data))
    if (weight <= 0).any():
        raise ValueError(f"weight {weights} must be positive; {int((weight <= 0).sum())} of {len(data)} are not")
    x = np.array([numeric_column(data, name, "covariate") for name in covariates])
    stratum = _codes(data, strata, "stratum")
    if start is None:
        check_not_negative(time_days)
        if not happened.any():
            return None
        start_rank, (time_rank,) = None, _time_ranks(time_days)
    else:
        start_days = numeric_column(data, start, "start of an interval")
        if not happened.any() and (start_days < time_days).all():
            return None
        start_rank, time_rank = _time_ranks(start_days, time_days)
        if empty := int((start_rank >= time_rank).sum()):
            raise ValueError(f"{empty} of {len(data)} intervals do not end after their start ({start}, time_days)")
    return PartialLikelihood(x, happened, start_rank, time_rank, stratum, weight, ties)


@dataclass(frozen=True)
class CoxFit:
    """A fitted model.

    Attributes:
        table: one row per covariate: ``term``, ``coef``, ``standard_error``, ``robust_standard_error`` (NaN without
            cluster and weights), ``hazard_ratio``, ``lower``, ``upper`` (95 %, Wald), ``p_value``, ``reason`` (None, or
            why there is no estimate).
        likelihood: the partial likelihood; None without an event.
        beta: coefficients of its standardised covariates at the maximum, or far on the way to it.
    """

    table: pd.DataFrame
    likelihood: PartialLikelihood | None = field(default=None, repr=False, compare=False)
    beta: np.ndarray | None = field(default=None, repr=False, compare=False)


def cox_regression(
    data: pd.DataFrame,
    covariates: list[str],
    *,
    start: str | None = None,
    strata: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    ties: str = "efron",
) -> CoxFit:
    """Cox's proportional hazards model.

    An estimate that does not exist (monotone likelihood: an arm without events) is -inf or inf, its hazard ratio 0 or
    inf (NaN where only several covariates together order the events), without standard error, limits and p value; the
    other coefficients are those of the limit. Covariates without variation, or that follow from those before them, have
    no coefficient (NaN) and change nothing else.

    Args:
        data: one row per patient, or per interval of a patient: ``time_days`` (>= 0), days to event or censoring or to
            the end of the interval; ``event`` (bool or 0/1), whether the event ended that time; and the columns named
            below.
        covariates: numeric or boolean columns.
        start: column of the days at which intervals start; a row is at risk in (start, time_days].
        strata: column; a baseline hazard for each of its values.
        weights: column of positive weights (frequencies or probabilities); the errors are then robust.
        cluster: column of the unit that rows belong to (a patient, a centre); the errors are then robust to any
            dependence within it.
        ties: "efron" or "breslow".

    Returns:
        The fit, its table in the order of the covariates.

    Raises:
        ValueError: a missing value in any column used, a negative time, an interval that does not end after its start,
            a weight that is not positive, an event that is neither yes nor no, other ties.

    Source:
        Cox 1972; Efron 1977; Breslow 1974; robust errors of Lin and Wei, JASA 1989;84:1074; as R ``coxph``.
    """
    covariates = list(covariates)
    size = len(covariates)
    group = _codes(data, cluster, "cluster") if cluster else np.arange(len(data))
    likelihood = read_likelihood(data, covariates, ties, start=start, strata=strata, weights=weights)
    naive, sandwich = np.full((2, size, size), NAN)
    if likelihood is None:
        return CoxFit(_table(covariates, np.full(size, NAN), naive, sandwich, [NO_EVENT] * size))

    beta = np.zeros(size)
    point = likelihood.at(beta)
    reasons = identifiable(point.information, likelihood.weight[likelihood.event].sum())
    free, infinite = np.array([reason is None for reason in reasons]), np.zeros(size)
    while free.any():
        beta, point, step = _maximise(likelihood, beta, point, free)
        if step is None:
            break
        if np.isnan(step).any():
            reasons = [NOT_CONVERGED if is_free else reason for is_free, reason in zip(free, reasons, strict=True)]
            free[:] = False
            break
        moving = free & (np.abs(step) * likelihood.spread > 1e-3)
        for j in np.flatnonzero(moving):
            empty = _empty_arm(data[covariates[j]], likelihood.event)
            reasons[j] = EMPTY_ARM if empty else MONOTONE
            # Where several covariates separate the events together, the direction of each says nothing.
            infinite[j] = np.sign(step[j]) if empty or moving.sum() == 1 else 0
        free &= ~moving
        # Further out, where the remaining effect of the diverging coefficient on the others is below rounding.
        further = likelihood.at(beta + 12 * step)
        if further is not None:
            beta, point = beta + 12 * step, further

    chosen = np.ix_(free, free)
    naive[chosen] = np.linalg.inv(point.information[chosen])
    if (weights or cluster) and free.any():
        residuals = likelihood.score_residuals(point)[free]
        influence = naive[chosen] @ np.array([np.bincount(group, row) for row in residuals])
        sandwich[chosen] = influence @ influence.T
    scale = likelihood.scale
    coef = np.where(infinite != 0, np.copysign(np.inf, infinite), np.where(free, beta / scale, NAN))
    per_unit = np.outer(scale, scale)
    return CoxFit(_table(covariates, coef, naive / per_unit, sandwich / per_unit, reasons), likelihood, beta)


def _empty_arm(values: pd.Series, event: np.ndarray) -> bool:
    """Whether a covariate has two values and events at one of them only."""
    return values.nunique() == 2 and values[event].nunique() == 1


def wald_columns(ratio: str, coef: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """The ratio of each log coefficient with 95 % limits and p value; NaN where there is no error."""
    from scipy.special import ndtr

    z = np.divide(coef, error, out=np.full(len(coef), NAN), where=np.isfinite(coef) & (error > 0))
    half_width = Z_95 * error
    with np.errstate(over="ignore"):
        ratios = {ratio: np.exp(coef), "lower": np.exp(coef - half_width), "upper": np.exp(coef + half_width)}
    return ratios | {"p_value": 2 * ndtr(-np.abs(z))}


def _table(
    covariates: list[str], coef: np.ndarray, naive: np.ndarray, sandwich: np.ndarray, reasons: list[str | None]
) -> pd.DataFrame:
    naive_error, robust_error = np.sqrt(np.diag(naive)), np.sqrt(np.diag(sandwich))
    columns = {"term": covariates, "coef": coef, "standard_error": naive_error, "robust_standard_error": robust_error}
    columns |= wald_columns("hazard_ratio", coef, np.where(np.isnan(robust_error), naive_error, robust_error))
    return pd.DataFrame(columns | {"reason": pd.Series(reasons, dtype=object)})


def proportional_hazards_test(fit: CoxFit) -> pd.DataFrame:
    """Score test of proportional hazards, for each covariate and for all, against an effect that changes with g(time).

    g is 1 minus the Kaplan-Meier survival just before the event.

    Args:
        fit: of ``cox_regression``. Weights count as in the fit; clusters do not change the test, as in R.

    Returns:
        One row per covariate and one "GLOBAL": ``term``, ``chi_squared``, ``df``, ``p_value``; NaN for covariates
        without an estimate, and where all events fall on one day.

    Source:
        Grambsch and Therneau, Biometrika 1994;81:515, the score test itself as R survival >= 3 ``cox.zph(terms =
        FALSE)``. lifelines approximates its variance by a mean over the event times, as R did before 2019.
    """
    terms = fit.table["term"].tolist()
    tests = dict.fromkeys([*terms, "GLOBAL"], (NAN, 0, NAN))
    if fit.likelihood is not None:
        tests |= _proportional_hazards(fit.likelihood, fit.beta, np.flatnonzero(np.isfinite(fit.table["coef"])), terms)
    rows = [(term, *test) for term, test in tests.items()]
    return pd.DataFrame(rows, columns=["term", "chi_squared", "df", "p_value"])


def _chi_squared(statistic: float, df: int) -> tuple[float, int, float]:
    """A test: statistic, degrees of freedom, p value."""
    from scipy.special import chdtrc

    return (statistic, df, float(chdtrc(df, statistic))) if np.isfinite(statistic) else (NAN, df, NAN)


def _transformed_time(likelihood: PartialLikelihood) -> np.ndarray:
    """g(time) at each (stratum, event time), centred at the mean of the events."""
    times, events = likelihood.time, likelihood.events
    size = times.max() + 2

    def from_then_on(ranks: np.ndarray) -> np.ndarray:
        return np.cumsum(np.bincount(ranks, minlength=size)[::-1])[::-1]

    at_risk = from_then_on(times) - (0 if likelihood.start is None else from_then_on(likelihood.start))
    deaths = np.bincount(times[events], minlength=size)
    survival = np.cumprod(1 - deaths / np.maximum(at_risk, 1))
    values = 1 - np.concatenate([[1.0], survival])[times[events]]
    return (values - values.mean())[likelihood.first_event]


def _proportional_hazards(
    likelihood: PartialLikelihood, beta: np.ndarray, estimated: np.ndarray, terms: list[str]
) -> dict[str, tuple[float, int, float]]:
    if not len(estimated):
        return {}
    point, g, chosen = likelihood.at(beta), _transformed_time(likelihood), np.ix_(estimated, estimated)
    at_death = g[likelihood.of_death]
    plain, cross, square = (likelihood.information(point, factor)[chosen] for factor in (1.0, at_death, at_death**2))
    event_weight = likelihood.weight[likelihood.events] * g[likelihood.of_event]
    score = likelihood.x[:, likelihood.events] @ event_weight - point.mean @ (likelihood.death_weight * at_death)
    score = score[estimated]
    # The information on the changes of effect that the effects themselves leave.
    left = square - cross @ np.linalg.solve(plain, cross)
    own = np.diag(left)
    known = own > 1e-12 * np.maximum(np.diag(square), np.diag(plain) * np.abs(g).max() ** 2)
    tests = {
        terms[j]: _chi_squared(score[i] ** 2 / own[i], 1) if known[i] else (NAN, 1, NAN)
        for i, j in enumerate(estimated)
    }
    whole = max(float(score @ np.linalg.solve(left, score)), 0.0) if known.all() else NAN
    return {**tests, "GLOBAL": _chi_squared(whole, len(estimated))}
