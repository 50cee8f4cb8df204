"""Between columns: correlations that the other centres share and one centre lacks or inverts."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import Finding
from capla_etl.quality.monitoring.watched import Quantity
from capla_etl.stats.between_centres import Mean, expected, tail

#: Correlations of the others (all together) that are at least so strong are watched; so many centres must have them.
_STRONG, _FEWEST_CENTRES = 0.25, 2
#: With fewer patients (of a yes or no: with fewer of either) a correlation of one centre is not judged.
_FEWEST, _FEWEST_OF_EACH = 20, 6
#: A correlation that is weaker by so much is looked at; centres may truly differ by so much.
_MATTERS, _NATURAL = 0.15, 0.45
#: Ranks with ties and of yes and no vary more than those of continuous values.
_INFLATION = 1.3


def between_columns(
    quantities: dict[str, Quantity], own: pd.DataFrame, others: dict[str, pd.DataFrame]
) -> Iterator[Finding]:
    """Judge each strong correlation between two fields; of several quantities of two fields the strongest one."""
    if not others:
        return
    names = list(quantities)
    pooled = _ranks(pd.concat(others.values()), names)
    strength = pooled.corr(min_periods=2 * _FEWEST).to_numpy(copy=True)
    np.fill_diagonal(strength, 0)
    chosen: dict[tuple[str, str], tuple[float, int, int]] = {}
    for i, j in zip(*np.where(np.triu(np.abs(strength) >= _STRONG)), strict=True):
        fields_ = tuple(sorted((quantities[names[i]].field, quantities[names[j]].field)))
        if fields_[0] != fields_[1] and abs(strength[i, j]) > abs(chosen.get(fields_, (0.0,))[0]):
            chosen[fields_] = float(strength[i, j]), int(i), int(j)
    mine = _ranks(own, names)
    theirs = [(frame, _ranks(frame, names)) for frame in others.values()]
    for _, i, j in chosen.values():
        one, other = quantities[names[i]], quantities[names[j]]
        found = _correlation(own, mine, one, other)
        peers = [m for m in (_correlation(*frames, one, other) for frames in theirs) if m is not None]
        if found is not None and len(peers) >= _FEWEST_CENTRES:
            yield _finding(found, peers, one, other)


def _ranks(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Ranks within the two treatments, so that what differs between them is no correlation."""
    return frame[names].groupby(frame["treated"].to_numpy(bool)).rank(pct=True)


def _correlation(frame: pd.DataFrame, ranks: pd.DataFrame, one: Quantity, other: Quantity) -> Mean | None:
    """Fisher's z of the rank correlation of one centre; None with too few patients, or too few that differ."""
    both = (frame[one.name].notna() & frame[other.name].notna()).to_numpy()
    if both.sum() < _FEWEST:
        return None
    for q in (one, other):
        counts = np.unique(frame[q.name].to_numpy(float)[both], return_counts=True)[1]
        if both.sum() - counts.max() < _FEWEST_OF_EACH:
            return None
    r = float(np.corrcoef(ranks[one.name].to_numpy()[both], ranks[other.name].to_numpy()[both])[0, 1])
    n = int(both.sum())
    return Mean(float(np.arctanh(np.clip(r, -0.99, 0.99))), _INFLATION**2 / (n - 3), n - 3, n)


def _finding(own: Mean, peers: list[Mean], one: Quantity, other: Quantity) -> Finding:
    others = expected(np.array([m.mean for m in peers]), np.array([m.variance for m in peers]), 0.1)
    difference = own.mean - others.mean
    found, usual = float(np.tanh(own.mean)), float(np.tanh(others.mean))
    lost = abs(found) < abs(usual) or found * usual < 0
    p = tail(difference, own, others)
    return Finding(
        family="between_columns",
        check_name="correlation",
        quantity=f"{one.name} ~ {other.name}",
        field=one.field,
        patients=own.n,
        found=f"a correlation of {found:.1f}",
        expected_text=f"about {usual:.1f}, as in the other centres",
        looks_like=f"{_first(one.meaning)} and {other.meaning} "
        "do not go together as elsewhere: one of the two may belong to other patients.",
        p_look=p,
        p_stop=tail(difference, own, others, _NATURAL, with_between=False) if lost else 1.0,
        matters=lost and abs(found - usual) > _MATTERS,
        scale="linear",
        estimate=found,
        expected=usual,
    )


def _first(text: str) -> str:
    return text[0].upper() + text[1:]
