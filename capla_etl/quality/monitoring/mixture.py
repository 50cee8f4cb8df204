"""Mixture: two levels in one column, one after the other in the file or in time, or one for each treatment.

Two levels in no order show as more patients beyond the others' range and a larger spread (level.py).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from capla_etl.fields.units import two_digits
from capla_etl.quality.monitoring.beside import Beside, Finding, NotJudged, average, too_few
from capla_etl.quality.monitoring.level import known_ratio, with_unit
from capla_etl.quality.monitoring.watched import LOG, SHARE
from capla_etl.stats.between_centres import Mean, tail, trimmed_mean

#: With fewer patients a column is not searched for a change.
_FEWEST = 30
#: Each part of a column that is compared has at least this share of the patients, and at least so many.
_SMALLEST_PART, _FEWEST_OF_PART = 0.05, 6
#: Each treatment has at least so many patients, in so many other centres, where the two are compared.
_FEWEST_OF_TREATMENT, _FEWEST_CENTRES = 12, 2
#: The error of a trimmed mean beside that of a mean, at most, where values are normal.
_TRIMMED_ERROR = 1.25
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
    if len(np.unique(beside.values(beside.own)[known])) == 1:
        yield NotJudged("mixture", "change_in_time", q.name, q.field, "the same in all patients", n)
        return
    for check, order, what in (
        ("change_in_file", beside.own["place"].to_numpy(float), "from row {row} on"),
        ("change_in_time", beside.own["day0"].to_numpy(float), "since {month}"),
    ):
        there = known & ~np.isnan(order)
        by_the_rows = check == "change_in_file" and q.may_sort
        if there.sum() >= _FEWEST and not by_the_rows:
            yield _change(beside, check, order, what, np.flatnonzero(there))
    yield from _by_treatment(beside)


def _by_treatment(beside: Beside) -> Iterator[Finding]:
    """The difference between the two treatments, beside the same difference in the other centres that have both."""
    own = _contrast(beside, beside.own)
    theirs = [c for c in (_contrast(beside, frame) for frame in beside.others.values()) if c is not None]
    if own is None or len(theirs) < _FEWEST_CENTRES:
        return
    others = beside.expected(theirs)
    difference = own.mean - others.mean
    natural = beside.natural(others)
    treated = beside.own["treated"].to_numpy(bool) & ~np.isnan(beside.mine)
    yield _finding(
        beside,
        "by_treatment",
        difference,
        own.n,
        "in patients with caplacizumab",
        tail(difference, own, others),
        tail(difference, own, others, natural, with_between=False) if natural else 1.0,
        np.flatnonzero(treated),
        others.centres,
    )


def _contrast(beside: Beside, frame: pd.DataFrame) -> Mean | None:
    """How much patients with caplacizumab differ from those without, in one centre; None with too few of either."""
    values, treated = beside.values(frame), frame["treated"].to_numpy(bool)
    groups = [values[~np.isnan(values) & (treated == group)] for group in (True, False)]
    if min(map(len, groups)) < _FEWEST_OF_TREATMENT:
        return None
    if beside.quantity.scale == SHARE:
        share = [float(np.clip(g.mean(), 0.5 / len(g), 1 - 0.5 / len(g))) for g in groups]
        means = [
            Mean(float(g.mean()), p * (1 - p) / len(g), len(g), len(g)) for g, p in zip(groups, share, strict=True)
        ]
    else:
        least = max(float(np.var(np.concatenate(groups))) / 10, 1e-8)
        means = [trimmed_mean(g, least) for g in groups]
    one, other = means
    return Mean(one.mean - other.mean, one.variance + other.variance, min(one.df, other.df), one.n + other.n)


def _change(beside: Beside, check: str, order: np.ndarray, what: str, there: np.ndarray) -> Finding | NotJudged:
    """The cut that parts the centre's patients best into two levels, by ranks; patients of one day stay together."""
    ordered = there[np.argsort(order[there], kind="stable")]
    values = beside.mine[ordered]
    is_share = beside.quantity.scale == SHARE
    scores = values - values.mean() if is_share else norm_scores(values)
    steps, size = np.unique(order[ordered], return_counts=True)
    scores = np.add.reduceat(scores, np.concatenate([[0], np.cumsum(size)[:-1]])) / size
    if len(steps) < _FEWEST:
        where = "days" if check == "change_in_time" else "rows"
        return NotJudged(
            "mixture", check, beside.quantity.name, beside.quantity.field, f"{len(steps)} different {where}"
        )
    least = max(_FEWEST_OF_PART, int(_SMALLEST_PART * len(steps)))
    cuts = np.arange(least, len(steps) - least + 1)
    z = np.abs(np.cumsum(scores)[cuts - 1] - cuts * scores.mean())
    z /= (np.std(scores) or 1.0) * np.sqrt(cuts * (len(steps) - cuts) / len(steps))
    best = int(np.argmax(z))
    chance = _largest(float(z[best]), least / len(steps))
    cut = int(np.sum(size[: cuts[best]]))
    if is_share:  # rare events are not normal: exact, for every cut
        yes = int(beside.values(beside.own)[ordered].sum())
        after = int(beside.values(beside.own)[ordered[cut:]].sum())
        law = len(values), yes, len(values) - cut
        ends = stats.hypergeom.sf(after - 1, *law), stats.hypergeom.cdf(after, *law)
        chance = max(chance, float(min(1.0, 2 * min(ends) * len(cuts))))
    row = int(beside.own["source_row"].iloc[ordered[cut]])
    day = np.datetime64("2000-01-01") + int(beside.own["day0"].iloc[ordered[cut]]) if check == "change_in_time" else ""
    where = what.format(row=row, month=str(day)[:7])
    one, other = values[cut:], values[:cut]
    difference = average(one, is_share) - average(other, is_share)
    return _finding(
        beside,
        check,
        difference,
        len(values),
        where,
        chance,
        max(chance, _beyond(beside, one, other, difference)),
        ordered[cut:],
    )


def _beyond(beside: Beside, one: np.ndarray, other: np.ndarray, difference: float) -> float:
    """How likely the difference between two parts is where practice truly changed by as much as centres may differ."""
    if beside.quantity.natural is None:
        return 1.0
    natural = beside.quantity.limit(beside.quantity.natural)
    error = np.sqrt(np.var(one) / len(one) + np.var(other) / len(other)) or 1e-6
    return float(stats.norm.sf((abs(difference) - natural) / (_TRIMMED_ERROR * error)))


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
    beside: Beside,
    check: str,
    difference: float,
    patients: int,
    where: str,
    p_look: float,
    p_stop: float,
    places: np.ndarray,
    others: int | None = None,
) -> Finding:
    """Word the difference between two parts of a centre; ``others``: beside the same in so many other centres."""
    q = beside.quantity
    ratio, side = "", "more" if difference > 0 else "less"
    if q.scale == LOG:
        size = said = f"{two_digits(np.exp(difference))} times"
        ratio = known_ratio(q.field, float(np.exp(difference)))
    else:
        size = f"{100 * difference:+.0f} points" if q.scale == SHARE else with_unit(q, difference)
        said = f"different by {size}"
    return Finding(
        family="mixture",
        check_name=check,
        quantity=q.name,
        field=q.field,
        patients=patients,
        found=f"{size} {where}",
        expected_text="one level in the whole column" if others is None else "the difference that others have",
        looks_like=f"{where[0].upper()}{where[1:]}, {q.meaning}: "
        + (f"{said} compared with the rest of the centre" if others is None else f"{side} than elsewhere")
        + (f", {ratio}." if ratio else "."),
        p_look=p_look,
        p_stop=p_stop,
        matters=abs(difference) > _SLACK * beside.smallest_that_matters,
        places=tuple(places),
        others=others,
        found_of_few=f"clearly {side} {where}",
    )
