"""Level: where a centre's patients lie among the others', how much they differ, and how many lie outside.

Shares (of women, of deaths, of first counts on day 0) are the levels of yes and no.
"""

from collections.abc import Iterator

import numpy as np

from capla_etl import fields
from capla_etl.fields.units import two_digits
from capla_etl.quality.monitoring.beside import (
    FEWEST_CENTRES,
    FEWEST_PATIENTS,
    Beside,
    Finding,
    NotJudged,
    as_others,
    too_few,
)
from capla_etl.quality.monitoring.watched import LOG, SHARE
from capla_etl.stats.between_centres import Expected, Mean, expected, share_tail, share_variance, tail, trimmed_mean

#: Ratios of two levels that come of a mistake, beside those of a field's units: of any quantity; of days and years.
_KNOWN_RATIOS = {
    2: "a doubled value, or twice the limit",
    10: "a power of ten",
    100: "two powers of ten",
    1000: "thousands",
}
_KNOWN_RATIOS_OF_TIMES = {24: "hours for days", 30.4: "days for months"}
#: Days by which dates are moved by mistake.
_KNOWN_SHIFTS = {1: "a day", 7: "a week", 30.4: "a month", 365.25: "a year", 1462: "four years (1904 for 1900)"}
_NEAR_SHIFT = 0.12
#: A ratio is called a known one if it lies within this share of it.
_NEAR_RATIO = 0.15
#: Standard errors of the limits drawn in plots (two-sided 0.1 %).
_DRAWN = 3.3
#: Values beyond this share of the others' patients at each end lie outside. So many more patients outside matter, and
#: as many may be natural; at least so many patients; and so many of the others' patients tell where the ends are.
_OUTSIDE, _OUTSIDE_MATTERS, _OUTSIDE_NATURAL, _FEWEST_OUTSIDE, _FEWEST_POOLED = 0.005, 0.015, 0.05, 3, 200
#: A share is called that of the other code if it lies so near it, and the two codes are farther apart.
_NEAR_SHARE = 0.12
#: So many patients more or less than expected are no signal, however surprising.
_FEWEST_DIFFERENT = 2.5
#: A spread that is larger or smaller by this factor matters; centres differ in it by about so much (logarithm), where
#: many others show it and where few do.
_SPREAD_MATTERS, _SPREAD_DIFFERS, _SPREAD_DIFFERS_FEW = 1.3, 0.1, 0.4


def level(beside: Beside) -> Iterator[Finding | NotJudged]:
    """The level of one quantity, its spread and its outlying values."""
    q, n = beside.quantity, len(beside.known)
    check = "share" if q.scale == SHARE else "level"
    if n < FEWEST_PATIENTS:
        yield NotJudged(q.family, check, q.name, q.field, too_few(n), n)
        return
    if not beside.theirs:
        yield NotJudged(q.family, check, q.name, q.field, "no other centre has it for enough patients", n)
        if q.scale != SHARE:
            for also in ("spread", "outside"):
                yield NotJudged("mixture", also, q.name, q.field, "no other centre has it for enough patients", n)
    elif q.scale == SHARE:
        yield _share(beside)
    else:
        yield _mean(beside)
        yield _spread(beside)
        if len(beside.pooled) < _FEWEST_POOLED:
            why = f"the others have it for {len(beside.pooled)} patients; at least {_FEWEST_POOLED} are needed"
            yield NotJudged("mixture", "outside", q.name, q.field, why, n)
        else:
            yield _outside(beside)
    if q.typical:
        yield _typical(beside)


def _mean(beside: Beside) -> Finding:
    q = beside.quantity
    own, theirs = beside.means()
    others = beside.expected(theirs)
    difference = own.mean - others.mean
    natural = beside.natural(others)
    half = _DRAWN * np.sqrt(own.variance + others.variance + others.between)
    return Finding(
        family=q.family,
        check_name="level",
        quantity=q.name,
        field=q.field,
        patients=own.n,
        found=_compared(q, difference),
        expected_text=f"about that of {as_others(others.centres)}",
        looks_like=_in_words(q, difference),
        p_look=tail(difference, own, others),
        p_stop=tail(difference, own, others, natural, with_between=False) if natural else 1.0,
        matters=abs(difference) > beside.smallest_that_matters,
        scale=q.scale,
        estimate=own.mean,
        standard_error=float(np.sqrt(own.variance)),
        expected=others.mean,
        look_below=others.mean - half,
        look_above=others.mean + half,
        others=others.centres,
        found_of_few=f"clearly {'more' if difference > 0 else 'less'} than the others",
    )


def _compared(q, difference: float) -> str:
    """A difference between centres in words, in two digits: it names a finding, and small changes are the same one."""
    if q.scale == LOG:
        return f"{two_digits(np.exp(difference))} times the others"
    return f"{with_unit(q, difference)} compared with the others"


def with_unit(q, difference: float) -> str:
    """A difference with its sign and unit."""
    return f"{'+' if difference > 0 else '-'}{two_digits(abs(difference))} {q.unit}".rstrip()


def _in_words(q, difference: float) -> str:
    said = f"{'Higher' if difference > 0 else 'Lower'} than in the other centres: {q.meaning}"
    if q.scale == LOG and (why := known_ratio(q.field, float(np.exp(difference)))):
        said += f", {why}"
    if q.unit == "days" and (why := known_shift(difference)):
        said += f", as if these dates were {why}"
    return said + "."


def known_shift(days: float) -> str:
    """What a difference between dates of a centre and of the others looks like, in words; '' if like none."""
    for shift, name in _KNOWN_SHIFTS.items():
        if abs(abs(days) - shift) <= _NEAR_SHIFT * shift:
            return f"{name} {'late' if days > 0 else 'early'}"
    return ""


def known_ratio(field: str, ratio: float) -> str:
    """What the ratio of a centre's level to the others' looks like: a unit of the field, or a known factor; else ''."""
    declared = fields.fields().get(field)
    for unit, factor in (declared.units if declared else {}).items():
        if isinstance(factor, int | float) and factor != 1:
            if abs(ratio * factor - 1) <= _NEAR_RATIO:
                return f"as if it were in {unit} and read as {declared.unit}"
            if abs(ratio / factor - 1) <= _NEAR_RATIO:
                return f"as if it were in {declared.unit} and read as {unit}"
    of_times = declared is not None and (declared.type == "date" or declared.unit in ("days", "years"))
    for factor, why in (_KNOWN_RATIOS | (_KNOWN_RATIOS_OF_TIMES if of_times else {})).items():
        if abs(ratio / factor - 1) <= _NEAR_RATIO:
            return f"about {factor:g} times ({why})"
        if abs(ratio * factor - 1) <= _NEAR_RATIO:
            return f"about 1/{factor:g} ({why})"
    return ""


def _share(beside: Beside) -> Finding:
    q = beside.quantity
    own, theirs = beside.shares()
    others = beside.expected(theirs)
    n, natural, matters = own.n, beside.natural(others), beside.smallest_that_matters
    usual = beside.share_of_groups
    share = float(np.clip(usual + others.mean, 0, 1))
    found = float(np.clip(own.mean + usual, 0, 1))
    count, sd = round(found * n), float(np.sqrt(others.between + others.variance))
    half = _DRAWN * np.sqrt(share_variance(share, n) + sd**2)
    said = f"{'Higher' if found > share else 'Lower'} than in the other centres: {q.meaning}"
    if abs(found - (1 - share)) < _NEAR_SHARE < abs(2 * share - 1):
        said += ", as if the two codes were exchanged"
    return Finding(
        family=q.family,
        check_name="share",
        quantity=q.name,
        field=q.field,
        patients=n,
        found=f"{100 * found:.0f} % of the patients",
        expected_text=f"about {100 * share:.0f} %, as in {as_others(others.centres)}",
        looks_like=f"{said}.",
        p_look=share_tail(count, n, share, sd, 0.0),
        p_stop=share_tail(count, n, share, float(np.sqrt(others.variance)), natural) if natural else 1.0,
        matters=abs(found - share) > matters and abs(count - share * n) > _FEWEST_DIFFERENT,
        scale=SHARE,
        estimate=found,
        standard_error=float(np.sqrt(share_variance(found, n))),
        expected=share,
        look_below=max(0.0, share - half),
        look_above=min(1.0, share + half),
        others=others.centres,
    )


def _spread(beside: Beside) -> Finding:
    """How much the patients differ, as the mean distance from their middle."""
    q = beside.quantity

    def distances(values: np.ndarray) -> np.ndarray:
        return np.abs(values - np.median(values)) if len(values) else values

    own, theirs = beside.means(distances)
    floor = max(float(np.median([m.mean for m in theirs])), 1e-6) / 20
    ratios = [_logarithm(m, floor) for m in (own, *theirs)]
    others = expected(
        np.array([m.mean for m in ratios[1:]]),
        np.array([m.variance for m in ratios[1:]]),
        _SPREAD_DIFFERS if len(theirs) >= FEWEST_CENTRES else _SPREAD_DIFFERS_FEW,
    )
    difference = ratios[0].mean - others.mean
    return Finding(
        family="mixture" if difference > 0 else "shape",
        check_name="spread",
        quantity=q.name,
        field=q.field,
        patients=own.n,
        found=f"a spread {two_digits(np.exp(difference))} times that of the others",
        expected_text=f"about that of {as_others(others.centres)}",
        looks_like=f"Patients differ {'more' if difference > 0 else 'less'} in {q.meaning} than in the other centres: "
        + (
            "two levels in one column, or values of something else."
            if difference > 0
            else "values filled in, rounded or carried over."
        ),
        p_look=tail(difference, ratios[0], others),
        matters=abs(difference) > np.log(_SPREAD_MATTERS),
        others=others.centres,
        found_of_few=f"a spread clearly {'larger' if difference > 0 else 'smaller'} than that of the others",
    )


def _logarithm(m: Mean, floor: float) -> Mean:
    """The logarithm of a mean with its variance (delta method)."""
    at = max(m.mean, floor)
    return Mean(float(np.log(at)), m.variance / at**2, m.df, m.n)


def _outside(beside: Beside) -> Finding:
    """How many patients lie beyond nearly all of the others'."""
    q = beside.quantity
    low, high = np.quantile(beside.pooled, [_OUTSIDE, 1 - _OUTSIDE])
    room = beside.smallest_that_matters
    low, high = low - room, high + room
    far = (beside.mine < low) | (beside.mine > high)
    count, n, m = int(far.sum()), len(beside.known), len(beside.pooled)
    # Where the level differs as it naturally may, many lie outside: only those stop who do so without that difference.
    shift = float(np.clip(np.nanmedian(beside.mine), -beside.farthest, beside.farthest))
    beyond = int(((beside.mine - shift < low) | (beside.mine - shift > high)).sum())
    # limits from m patients are themselves uncertain by the share of one patient at each end
    share = max(float(np.mean((beside.pooled < low) | (beside.pooled > high))), 2 / (m + 1))
    shares = np.array([np.mean((v < low) | (v > high)) for v in beside.theirs.values()])
    chance = np.mean([share * (1 - share) / len(v) for v in beside.theirs.values()])
    sd = float(np.hypot(np.sqrt(max(np.var(shares) - chance, 0.0)), share))
    middle = float(np.median(np.abs(beside.mine[far]))) if count else 0.0
    more = count / n > share
    ratio = known_ratio(q.field, float(np.exp(np.median(beside.mine[far])))) if q.scale == LOG and count else ""
    return Finding(
        family="mixture",
        check_name="outside",
        quantity=q.name,
        field=q.field,
        patients=n,
        found=f"{count} of {n} patients",
        expected_text=f"at most about {two_digits(100 * share)} %",
        looks_like=f"More patients than elsewhere lie beyond what the others have in {q.meaning}"
        + (f": {ratio}." if ratio else "."),
        p_look=share_tail(count, n, share, sd, 0.0) if more else 1.0,
        p_stop=share_tail(beyond, n, share, sd, _OUTSIDE_NATURAL)
        if beyond / n > share and q.natural and len(shares) >= FEWEST_CENTRES
        else 1.0,
        matters=count >= _FEWEST_OUTSIDE and middle > beside.farthest and count / n - share > _OUTSIDE_MATTERS,
        places=tuple(np.flatnonzero(far)),
        others=len(shares),
    )


def _typical(beside: Beside) -> Finding:
    """The middle of the centre beside what published cohorts have."""
    q = beside.quantity
    values = beside.own[q.name].to_numpy(float)
    values = q.compared(values[~np.isnan(values)])
    values = values[~np.isnan(values)]
    low, high = (q.limit(bound) for bound in q.typical)
    alone = len(beside.theirs) < FEWEST_CENTRES
    if q.scale == SHARE:
        own = Mean(float(values.mean()), 0.0, len(values), len(values))
        bound = low if own.mean < low else high
        chances = [share_tail(round(values.sum()), own.n, bound, 0.0, b) for b in (0.0, beside.smallest_that_matters)]
    else:
        own = trimmed_mean(values, 1e-8)
        bound = low if own.mean < low else high
        exact = Expected(bound, 0.0, 0.0, np.inf, 1)
        chances = [tail(own.mean - bound, own, exact, b) for b in (0.0, beside.smallest_that_matters)]
    beyond = max(low - own.mean, own.mean - high, 0.0)
    unit = {LOG: "", SHARE: " %"}.get(q.scale, "")
    ratio = _against_typical(q, own.mean) if beyond and q.scale == LOG else ""
    return Finding(
        family=q.family,
        check_name="typical",
        quantity=q.name,
        field=q.field,
        patients=own.n,
        found=f"{_in_own_unit(q, own.mean)}{unit} on average",
        expected_text=f"{q.typical[0]:g} to {q.typical[1]:g}{unit} ({q.typical_source})",
        looks_like=f"{'Below' if own.mean < low else 'Above'} what is usual: {q.meaning}"
        + (f", {ratio}." if ratio else "."),
        p_look=chances[0] if beyond else 1.0,
        p_stop=chances[1] if alone and beyond and q.natural else 1.0,
        matters=beyond > 0,
    )


def _in_own_unit(q, mean: float) -> str:
    """A mean on the scale of comparison in two digits of the quantity's own unit."""
    return two_digits({LOG: np.exp, SHARE: lambda share: 100 * share}.get(q.scale, float)(mean))


def _against_typical(q, mean: float) -> str:
    return known_ratio(q.field, float(np.exp(mean) / np.sqrt(q.typical[0] * q.typical[1])))
