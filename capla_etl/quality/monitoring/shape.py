"""Shape: how the values of one column are spread over its rows and over the numbers, whatever their level is."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from capla_etl.fields.units import two_digits
from capla_etl.quality.monitoring.beside import Beside, Finding, NotJudged, too_few

#: With fewer patients the shape of a column is not judged.
_FEWEST = 20
#: One value that so many patients have is looked at if the others have nothing like it; half of them stop.
_SPIKE, _SPIKE_STOPS = 0.04, 0.5
#: Values within this share of a value are those around it.
_AROUND = 0.15
#: Neighbouring rows that are equal: so many more than chance gives are looked at; so many stop.
_REPEATED, _REPEATED_STOPS = 0.08, 0.4
#: Correlation with the order of the rows: from here on a column counts as ordered, and as sorted.
_ORDERED, _SORTED = 0.35, 0.95
#: How many times more equal pairs of patients than elsewhere are looked at (rounding).
_ROUNDED = 3.0


def shape(beside: Beside) -> Iterator[Finding | NotJudged]:
    """Judge the form of one column of the patients as sent."""
    q = beside.quantity
    values = beside.own[q.name]
    known = values[values.notna()]
    if len(known) < _FEWEST:
        yield NotJudged("shape", "repeated", q.name, q.field, too_few(len(known), _FEWEST), len(known))
        return
    numbers = known.to_numpy(float)
    of_others = [f[q.name].dropna().to_numpy(float) for f in beside.others.values()]
    pooled = np.concatenate([*of_others, np.empty(0)])
    places = np.flatnonzero(values.notna())
    rho = float(stats.spearmanr(np.arange(len(numbers)), numbers)[0]) if len(set(numbers)) > 1 else 0.0
    yield _repeated(q, numbers, rho, places)
    yield _ordered(q, len(numbers), rho)
    if len(pooled) >= 2 * _FEWEST:
        yield _spike(q, numbers, pooled, places, sum(len(v) > 0 for v in of_others))
        theirs = [_tie_share(v) for v in of_others if len(v) >= _FEWEST]
        if theirs:
            yield _rounded(q, numbers, np.array(theirs))
        else:
            yield NotJudged("shape", "rounded", q.name, q.field, "no other centre has it for enough patients")
    else:
        for check in ("spike", "rounded"):
            yield NotJudged("shape", check, q.name, q.field, "the others have too few values")


def _repeated(q, numbers: np.ndarray, rho: float, places: np.ndarray) -> Finding:
    """Equal values in neighbouring rows: filled down, or copied; ``rho``: correlation with the order of the rows."""
    n = len(numbers)
    equal = np.isclose(numbers[1:], numbers[:-1], rtol=1e-9)
    share = _tie_share(numbers)
    count, chance = int(equal.sum()), max(share, 1e-4)
    p = float(stats.binom.sf(count - 1, n - 1, chance)) if abs(rho) <= _ORDERED else 1.0
    constant = len(set(numbers)) == 1
    return Finding(
        family="shape",
        check_name="repeated",
        quantity=q.name,
        field=q.field,
        patients=n,
        found="one value in all rows"
        if constant
        else f"{100 * count / (n - 1):.0f} % of the rows with the value of the row above",
        expected_text="different values" if constant else f"about {100 * share:.1f} % by chance",
        looks_like=f"Filled down or copied from row to row: {q.meaning}.",
        p_look=1e-12 if constant else p,
        p_stop=1e-12 if constant else p if count / (n - 1) - share > _REPEATED_STOPS else 1.0,
        matters=constant or count / (n - 1) - share > _REPEATED,
        places=tuple(places[1:][equal]),
    )


def _tie_share(numbers: np.ndarray) -> float:
    """Which share of all pairs of patients has equal values."""
    counts = np.unique(np.round(numbers, 9), return_counts=True)[1]
    n = len(numbers)
    return float(np.sum(counts * (counts - 1)) / (n * (n - 1)))


def _ordered(q, n: int, rho: float) -> Finding:
    """A column that goes up or down with the rows: sorted, alone or with them, or drifting."""
    z = np.arctanh(min(abs(rho), 0.999999)) * np.sqrt((n - 3) / 1.06)
    p, is_sorted = float(2 * stats.norm.sf(z)), abs(rho) >= _SORTED
    return Finding(
        family="shape",
        check_name="ordered",
        quantity=q.name,
        field=q.field,
        patients=n,
        found="sorted by the rows of the file" if is_sorted else "ordered by the rows of the file",
        expected_text="no order",
        looks_like=f"This column is sorted, alone or with its rows: {q.meaning}."
        if is_sorted
        else f"This column goes {'up' if rho > 0 else 'down'} with the rows of the file: {q.meaning}.",
        p_look=p,
        p_stop=p if is_sorted and not q.may_sort else 1.0,
        matters=abs(rho) >= _ORDERED,
    )


def _spike(q, numbers: np.ndarray, pooled: np.ndarray, places: np.ndarray, others: int) -> Finding:
    """One value that many patients have and that is rare elsewhere: a code for missing, a limit, a default."""
    values, counts = np.unique(np.round(numbers, 9), return_counts=True)
    n = len(numbers)
    ordered = np.sort(pooled)
    # what the others have within the distance that one value stands for where values are rounded coarsely
    step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
    near = np.searchsorted(ordered, values + step / 2 + 1e-9, "right") - np.searchsorted(
        ordered, values - step / 2 - 1e-9
    )
    expected = np.maximum(near, 0.5) / len(ordered)
    expected = np.maximum(expected, _beside(values, counts) / n)
    tails = stats.binom.sf(counts - 1, n, np.minimum(1.5 * expected, 1)) * len(values)
    worst = int(np.argmin(tails))
    share, usual = counts[worst] / n, float(expected[worst])
    return Finding(
        family="shape",
        check_name="spike",
        quantity=q.name,
        field=q.field,
        patients=n,
        found=f"one value in {100 * share:.0f} % of the patients",
        expected_text=f"that value in about {100 * usual:.1f} %, as in the others",
        looks_like=f"One value is far too frequent, as a code for missing, a limit or a default: {q.meaning}.",
        p_look=float(min(1.0, tails[worst])),
        p_stop=float(min(1.0, tails[worst])) if share - usual > _SPIKE_STOPS else 1.0,
        matters=share - usual > _SPIKE,
        places=tuple(places[np.isclose(numbers, values[worst])]),
        others=others,
    )


def _beside(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How many patients each value would have if it were like the values around it."""
    low, high = (
        np.searchsorted(values, values * (1 + way * _AROUND), side) for way, side in ((-1, "left"), (1, "right"))
    )
    upto = np.concatenate([[0], np.cumsum(counts)])
    return (upto[high] - upto[low] - counts) / np.maximum(high - low - 1, 1)


def _rounded(q, numbers: np.ndarray, theirs: np.ndarray) -> Finding:
    """More equal values than the others have (``theirs``: shares of equal pairs): rounded, or few different ones."""
    own, n = _tie_share(numbers), len(numbers)
    usual = max(float(np.median(theirs)), 1e-4)
    largest = max(float(np.max(theirs)), usual)
    pairs = n * (n - 1) / 2
    # equal pairs are nearly Poisson for rounded values; the most rounded of the others is as it may be
    p = float(stats.poisson.sf(own * pairs * 0.5 - 1, max(largest * pairs * 0.5, 0.5)))
    return Finding(
        family="shape",
        check_name="rounded",
        quantity=q.name,
        field=q.field,
        patients=n,
        found=f"{two_digits(own / usual)} times as many equal values as in the others",
        expected_text=f"{two_digits(100 * usual)} % equal pairs of patients",
        looks_like=f"Rounded, or few different values: {q.meaning}.",
        p_look=p,
        matters=own > _ROUNDED * largest,
        others=len(theirs),
        found_of_few="clearly more equal values than in the others",
    )
