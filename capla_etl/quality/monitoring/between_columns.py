"""Between columns: correlations that the other centres share and one centre lacks or inverts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import Finding, NotJudged
from capla_etl.quality.monitoring.watched import Quantity
from capla_etl.stats.between_centres import Mean, expected, tail

#: Correlations of the others (all together) that are at least so strong are watched; so many centres must have them.
_STRONG, _FEWEST_CENTRES = 0.25, 2
#: With fewer patients (of a yes or no: with fewer of either) a correlation of one centre is not judged.
_FEWEST, _FEWEST_OF_EACH = 20, 6
#: Share of patients that must differ from the most frequent value.
_DIFFERING = 0.02
#: A correlation that is weaker by so much is looked at; centres may truly differ by so much.
_MATTERS, _NATURAL = 0.15, 0.45
#: Ranks with ties and of yes and no vary more than those of continuous values.
_INFLATION = 1.3


def between_columns(
    quantities: dict[str, Quantity], own: pd.DataFrame, others: dict[str, pd.DataFrame]
) -> Iterator[Finding | NotJudged]:
    """Judge each strong correlation between two fields; of several quantities of two fields the strongest one."""
    if len(others) < _FEWEST_CENTRES:
        yield NotJudged("between_columns", "correlation", "all pairs", "", "too few other centres")
        return
    names = list(quantities)
    pooled = _Ranked.of(pd.concat(others.values()), names)
    strength = pd.DataFrame(pooled.ranks).corr(min_periods=2 * _FEWEST).to_numpy(copy=True)
    constant = pooled.nearly_constant()
    strength[constant, :] = strength[:, constant] = 0
    chosen: dict[tuple[str, ...], tuple[float, int, int]] = {}
    for i, j in zip(*np.where(np.triu(np.abs(strength) >= _STRONG, 1)), strict=True):
        of = tuple(sorted((quantities[names[i]].field, quantities[names[j]].field)))
        if of[0] != of[1] and abs(strength[i, j]) > abs(chosen.get(of, (0.0,))[0]):
            chosen[of] = float(strength[i, j]), int(i), int(j)
    mine = _Ranked.of(own, names)
    theirs = [_Ranked.of(frame, names) for frame in others.values()]
    for _, i, j in chosen.values():
        found = mine.correlation(i, j)
        peers = [m for m in (ranked.correlation(i, j) for ranked in theirs) if m is not None]
        if found is not None and len(peers) >= _FEWEST_CENTRES:
            yield _finding(found, peers, quantities[names[i]], quantities[names[j]])


@dataclass(frozen=True)
class _Ranked:
    """A centre's quantities, one column each: values, and ranks within the two treatments (so that what differs
    between them is no correlation)."""

    values: np.ndarray
    ranks: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, names: list[str]) -> "_Ranked":
        columns = frame[names]
        ranks = columns.groupby(frame["treated"].to_numpy(bool)).rank(pct=True)
        return cls(columns.to_numpy(float), ranks.to_numpy(float))

    def nearly_constant(self) -> np.ndarray:
        """Which columns have one value in all but a few patients: their ranks say nothing."""
        found = []
        for column in self.values.T:
            counts = np.unique(column[~np.isnan(column)], return_counts=True)[1]
            found.append(counts.sum() - counts.max(initial=0) < _DIFFERING * counts.sum() + 1)
        return np.array(found)

    def correlation(self, i: int, j: int) -> Mean | None:
        """Fisher's z of the rank correlation of two columns; None with too few patients, or too few that differ."""
        both = ~np.isnan(self.values[:, i]) & ~np.isnan(self.values[:, j])
        n = int(both.sum())
        if n < _FEWEST:
            return None
        for column in (i, j):
            counts = np.unique(self.values[both, column], return_counts=True)[1]
            if n - counts.max() < _FEWEST_OF_EACH:
                return None
        r = float(np.corrcoef(self.ranks[both][:, [i, j]].T)[0, 1])
        return Mean(float(np.arctanh(np.clip(r, -0.99, 0.99))), _INFLATION**2 / (n - 3), n - 3, n)


def _finding(own: Mean, peers: list[Mean], one: Quantity, other: Quantity) -> Finding:
    others = expected(np.array([m.mean for m in peers]), np.array([m.variance for m in peers]), 0.1)
    difference = own.mean - others.mean
    found, usual = float(np.tanh(own.mean)), float(np.tanh(others.mean))
    lost = abs(found) < abs(usual) or found * usual < 0
    return Finding(
        family="between_columns",
        check_name="correlation",
        quantity=f"{one.name} ~ {other.name}",
        field=one.field,
        patients=own.n,
        found=f"a correlation of {found:.1f}",
        expected_text=f"about {usual:.1f}, as in the other centres",
        looks_like=f"{_first(one.meaning)} and {other.meaning} "
        "are less related than in the other centres: one of the two may belong to other patients.",
        p_look=tail(difference, own, others),
        p_stop=tail(difference, own, others, _NATURAL, with_between=False) if lost else 1.0,
        matters=lost and abs(found - usual) > _MATTERS,
        scale="linear",
        estimate=found,
        expected=usual,
        others=others.centres,
    )


def _first(text: str) -> str:
    return text[0].upper() + text[1:]
