"""Mixture: two levels in one column, one after the other in the file or in time, or one for each treatment.

Two levels in no order show as more patients beyond the others' range and a larger spread (level.py).
"""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from capla_etl.quality.monitoring.beside import Beside, Finding, NotJudged, average, too_few
from capla_etl.quality.monitoring.level import known_ratio
from capla_etl.quality.monitoring.watched import LOG, SHARE

#: With fewer patients a column is not searched for a change.
_FEWEST = 30
#: Each part of a column that is compared has at least this share of the patients, and at least so many.
_SMALLEST_PART, _FEWEST_OF_PART = 0.05, 6
#: A difference between two parts of one centre may be so many times what matters between centres before it is looked
#: at: practice changes over the years.
_SLACK = 3.0


def mixture(beside: Beside) -> Iterator[Finding | NotJudged]:
    """Search one quantity for a change along the file, along time, and between the two treatments."""
    q = beside.quantity
    known = ~np.isnan(beside.mine)
    n = int(known.sum())
    if n < _FEWEST:
        yield NotJudged("mixture", "change_in_time", q.name, q.field, too_few(n, _FEWEST), n)
        return
    for check, order, what in (
        ("change_in_file", beside.own["place"].to_numpy(float), "from row {row} on"),
        ("change_in_time", beside.own["day0"].to_numpy(float), "since {month}"),
    ):
        there = known & ~np.isnan(order)
        if there.sum() >= _FEWEST:
            yield _change(beside, check, order, what, np.flatnonzero(there))
    treated = beside.own["treated"].to_numpy(bool)
    if beside.theirs and min((known & treated).sum(), (known & ~treated).sum()) >= 2 * _FEWEST_OF_PART:
        parts = beside.mine[known & treated], beside.mine[known & ~treated]
        yield _finding(
            beside, "by_treatment", *parts, "in patients with caplacizumab", 1.0, np.flatnonzero(known & treated)
        )


def _change(beside: Beside, check: str, order: np.ndarray, what: str, there: np.ndarray) -> Finding:
    """The cut that parts the centre's patients best into two levels, by ranks; patients of one day stay together."""
    ordered = there[np.argsort(order[there], kind="stable")]
    values = beside.mine[ordered]
    is_share = beside.quantity.scale == SHARE
    scores = values - values.mean() if is_share else norm_scores(values)
    steps, size = np.unique(order[ordered], return_counts=True)
    scores = np.add.reduceat(scores, np.concatenate([[0], np.cumsum(size)[:-1]])) / size
    least = max(_FEWEST_OF_PART, int(_SMALLEST_PART * len(steps)))
    cuts = np.arange(least, len(steps) - least + 1)
    if len(steps) < _FEWEST:
        cuts = np.array([len(steps) // 2])
    z = np.abs(np.cumsum(scores)[cuts - 1] - cuts * scores.mean())
    z /= (np.std(scores) or 1.0) * np.sqrt(cuts * (len(steps) - cuts) / len(steps))
    best = int(np.argmax(z))
    chance = _largest(float(z[best]), least / len(steps)) if len(steps) >= _FEWEST else 1.0
    cut = int(np.sum(size[: cuts[best]]))
    row = int(beside.own["source_row"].iloc[ordered[cut]])
    day = np.datetime64("2000-01-01") + int(beside.own["day0"].iloc[ordered[cut]]) if check == "change_in_time" else ""
    where = what.format(row=row, month=str(day)[:7])
    return _finding(beside, check, values[cut:], values[:cut], where, chance, ordered[cut:])


def norm_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks."""
    return stats.norm.ppf(stats.rankdata(values) / (len(values) + 1))


def _largest(b: float, smallest: float) -> float:
    """How likely the largest standardized difference over all cuts exceeds ``b`` by chance.

    Source:
        Miller and Siegmund 1982, Biometrics 38:1011.
    """
    if b < 2:
        return 1.0
    search = np.log((1 - smallest) ** 2 / smallest**2)
    return float(min(1.0, stats.norm.pdf(b) * ((b - 1 / b) * search + 4 / b)))


def _finding(
    beside: Beside, check: str, one: np.ndarray, other: np.ndarray, where: str, chance: float, places: np.ndarray
) -> Finding:
    """Judge two parts of a centre by their difference and by chance (of the best cut, if one was searched)."""
    q = beside.quantity
    difference = average(one) - average(other)
    pooled = np.sqrt(np.var(one) / len(one) + np.var(other) / len(other)) or 1e-6
    if check == "by_treatment":
        chance = float(2 * stats.norm.sf(abs(difference) / (1.25 * pooled)))
    natural = q.limit(q.natural) if q.natural else None
    beyond = float(stats.norm.sf((abs(difference) - natural) / (1.25 * pooled))) if natural else 1.0
    times = q.scale == LOG
    ratio = known_ratio(q.field, float(np.exp(difference))) if times else ""
    if times:
        size = said = f"{np.exp(difference):.2g} times"
    else:
        size = f"{100 * difference:+.0f} points" if q.scale == SHARE else f"{difference:+.2g}"
        said = f"different by {size}"
    return Finding(
        family="mixture",
        check_name=check,
        quantity=q.name,
        field=q.field,
        patients=len(one) + len(other),
        found=f"{size} {where}",
        expected_text="one level in the whole column",
        looks_like=f"{where[0].upper()}{where[1:]}, {q.meaning}: {said} beside the rest of the centre"
        + (f", {ratio}." if ratio else "."),
        p_look=chance,
        p_stop=max(chance, beyond) if natural else 1.0,
        matters=abs(difference) > _SLACK * beside.smallest_that_matters,
        places=tuple(places),
    )
