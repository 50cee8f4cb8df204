"""What the study's tables say, held against itself: does every printed number agree with the others?

Only ``study.result`` is read. Whether a number follows from the patients does not belong here (the tests of
the tables), nor whether it agrees with the abstract (``as_published``) or whether the abstract agrees with itself
(``abstract``).

How the numbers hang together is stated in ``tables.structure``. A relation is compared where its tables are printed.
A sum or an equality fails where one of its cells is missing there: a missing cell is no agreement. Parts are compared
with their whole where all cells are known.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.groups import ARMS_COMPARED, RITUXIMAB_COMPARED, TIMINGS_COMPARED
from capla_etl.tables.results import COLUMNS, KEY, NOT_ESTIMABLE
from capla_etl.tables.structure import OUTCOME_TABLES, PARTS, SAME, SUMS, Place, Relation, Structure

#: Two floating-point ways to one number differ by less.
TOLERANCE = 1e-9

_COUNTS = ("n", "n_assessed")

#: Failing cells that the audit quotes for each check; ``contradictions`` lists all.
EXAMPLES = 3


class Comparison(NamedTuple):
    """One cell or relation that was looked at, and what is said of it when it does not hold."""

    key: tuple[str, str, str, str]
    holds: bool
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{', '.join(self.key)}: found {self.found}, expected {self.expected}"


class _Printed:
    """The cells of ``study.result`` by key and by table."""

    def __init__(self, results: pd.DataFrame) -> None:
        absent = [column for column in COLUMNS if column not in results.columns]
        if absent:
            raise ValueError(f"study.result has no column {', '.join(absent)}")
        cells = results[list(COLUMNS)].astype(COLUMNS).astype(object)
        keys = list(cells[KEY].itertuples(index=False, name=None))
        self.lines = list(cells.where(cells.notna(), None).assign(key=keys).itertuples(index=False))
        self.at = {line.key: line for line in reversed(self.lines)}
        self.tables = defaultdict(list)
        for line in self.lines:
            self.tables[line.table_id].append(line)
        self.structure = Structure(keys)

    def expanded(self, relations: Iterable[Relation]) -> Iterator[tuple[list[Place], list[Place]]]:
        """(left, right) of all relations."""
        return itertools.chain.from_iterable(map(self.structure.expanded, relations))

    def number(self, place: Place) -> float | None:
        """The number that stands there; None where there is none."""
        line = self.at.get(place.key)
        return getattr(line, place.column, None)

    def with_statistic(self, *statistics: str) -> list:
        """All cells of these statistics."""
        return [line for line in self.lines if line.statistic in statistics]


def _text(number: float | None) -> str:
    return "nothing" if number is None else f"{number:.10g}"


def _of_column(column: str, number: float | None) -> str:
    return f"{'N' if column == 'n_assessed' else column} {_text(number)}"


def _equal(one: float | None, two: float | None) -> bool:
    if one is None or two is None:
        return one is two
    return math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _not_above(one: float, two: float) -> bool:
    return one <= two or _equal(one, two)


# --- each cell by itself


def _printed_once(printed: _Printed) -> Iterator[Comparison]:
    for key, times in Counter(line.key for line in printed.lines).items():
        yield Comparison(key, times == 1, f"{times} times", "once")


def _method(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        yield Comparison(line.key, line.method is not None and bool(line.method.strip()), "no method", "a method")


def _reason(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        if line.value is None:
            caveat = line.caveat or ""
            found, expected = f"no value, caveat {caveat!r}", f"a caveat beginning {NOT_ESTIMABLE!r}"
            yield Comparison(line.key, caveat.startswith(NOT_ESTIMABLE), found, expected)


_RATIOS = ("risk_ratio", "odds_ratio", "hazard_ratio", "subdistribution_hazard_ratio")
#: Lowest and highest possible value by statistic. One that is not named has no bounds, but must be finite like all
#: others.
_RANGES = {
    "percent": (0, 100),
    "risk_difference": (-100, 100),
    "kappa": (-1, 1),
    "p_value": (0, 1),
    "p_homogeneity": (0, 1),
    "e_value": (1, math.inf),
    "e_value_of_limit": (1, math.inf),
    **dict.fromkeys((*_RATIOS, "ratio_of_medians", "restricted_mean", "smd", "count", "at_risk"), (0, math.inf)),
}
#: Statistics whose limits are bounded like the value. Large-sample limits of a difference or of kappa may lie outside.
_BOUNDED_LIMITS = ("percent", *_RATIOS)


def _range(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        low, high = _RANGES.get(line.statistic, (-math.inf, math.inf))
        checked = [(line.value, low, high), (line.p_value, 0, 1)]
        if line.statistic in _BOUNDED_LIMITS:
            checked += [(line.lower, low, high), (line.upper, low, high)]
        for number, least, most in checked:
            if number is not None:
                holds = math.isfinite(number) and _not_above(least, number) and _not_above(number, most)
                yield Comparison(line.key, holds, _text(number), f"a finite number from {least:g} to {most:g}")


def _percentages(printed: _Printed) -> Iterator[Comparison]:
    # A percentage that prints an n says that it is n/N. Estimates (Kaplan-Meier, incidence) print N only.
    for line in printed.with_statistic("percent"):
        if None not in (line.n, line.n_assessed):
            share = 100 * line.n / line.n_assessed if line.n_assessed else None
            expected = f"{_text(share)} (n/N {line.n}/{line.n_assessed})"
            yield Comparison(line.key, _equal(line.value, share), _text(line.value), expected)


def _counts(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        if None not in (line.n, line.n_assessed):
            found = f"n {line.n} of N {line.n_assessed}"
            yield Comparison(line.key, 0 <= line.n <= line.n_assessed, found, "0 <= n <= N")
        if line.statistic in ("count", "at_risk") and line.value is not None:
            whole = line.value.is_integer() and line.n in (None, line.value)
            yield Comparison(
                line.key, whole, _text(line.value), "a whole number" if line.n is None else f"its n, {line.n}"
            )
        if line.statistic == "p_value" and line.value is not None:
            expected = f"its p_value, {_text(line.p_value)}"
            yield Comparison(line.key, _equal(line.value, line.p_value), _text(line.value), expected)


#: Methods whose estimate may lie outside its interval, because the two are made in different ways: an unconditional
#: estimate with exact conditional limits, or quantiles of bootstrap estimates. Lower <= upper holds for them too.
_OTHER_INTERVAL = re.compile(r"\b(conditional|bootstrap|percentile)\b", re.IGNORECASE)


def _intervals(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        lower, upper, value = line.lower, line.upper, line.value
        shown = f"{_text(lower)} to {_text(upper)}"
        if None not in (lower, upper):
            yield Comparison(line.key, _not_above(lower, upper), shown, "lower <= upper")
        if value is None or (lower, upper) == (None, None) or _OTHER_INTERVAL.search(line.method or ""):
            continue
        inside = (lower is None or _not_above(lower, value)) and (upper is None or _not_above(value, upper))
        yield Comparison(line.key, inside, _text(value), f"within {shown}")


def _quartiles(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.with_statistic("median"):
        three = [Place(*line.key[:3], statistic) for statistic in ("q1", "median", "q3")]
        numbers = [printed.number(place) for place in three]
        if any(place.key in printed.at for place in (three[0], three[2])):
            ordered = numbers == [None] * 3 or (None not in numbers and numbers == sorted(numbers))
            yield Comparison(line.key, ordered, " <= ".join(map(_text, numbers)), "q1 <= median <= q3")
            for column in _COUNTS:
                same = [printed.number(place._replace(column=column)) for place in three]
                found = f"{column} {', '.join(map(_text, same))}"
                yield Comparison(line.key, len(set(same)) == 1, found, "one count for the median and both quartiles")


# --- p and interval

#: Comparison -> the two groups that it compares.
_COMPARED = ARMS_COMPARED | TIMINGS_COMPARED | RITUXIMAB_COMPARED

#: Where no effect lies, by statistic.
_NO_EFFECT = {
    "risk_difference": 0,
    "median_difference": 0,
    "restricted_mean_difference": 0,
    **dict.fromkeys(_RATIOS, 1),
}

#: Tests of something that only this effect says: a log-rank test compares whole curves, and a difference at one day or
#: of areas can disagree with it.
_ONLY_WITH = {"log-rank": "hazard_ratio", "gray": "subdistribution_hazard_ratio"}

#: A p in the cell of its interval comes from one model: both must fall on the same side of 0.05, unless p is so near to
#: it that a likelihood-ratio p and a Wald interval of that model may differ.
BORDERLINE = (0.04, 0.06)

#: A p in a cell of its own comes from another family than the interval (Fisher's p is conservative, a score interval is
#: not), and the two may differ whenever p is anywhere near 0.05. A contradiction is p below the first with no effect
#: clearly inside, or p above the second with it clearly outside.
OTHER_FAMILY = (0.01, 0.2)

#: Clearly: by this share of the interval's width. Two of two against none of two has p = 1/3, with no effect 8 % of the
#: width outside Newcombe's interval.
CLEARLY = 0.1


def _p_and_interval(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.with_statistic(*_NO_EFFECT):
        depth = _depth(line)
        if depth is None:
            continue
        shown = f"{_text(line.lower)} to {_text(line.upper)}"
        if line.p_value is not None:
            if not BORDERLINE[0] <= line.p_value <= BORDERLINE[1]:
                yield Comparison(
                    line.key,
                    (line.p_value < 0.05) == (depth < 0),
                    f"p {_text(line.p_value)} with {shown}",
                    _fitting(line),
                )
            continue
        test = printed.at.get((line.table_id, line.row, line.group, "p_value"))
        if test is not None and test.value is not None and _comparable(test, line):
            outside = depth < -CLEARLY and (line.statistic != "median_difference" or _attains_95(printed, line))
            contradicts = (test.value < OTHER_FAMILY[0] and depth > CLEARLY) or (
                test.value > OTHER_FAMILY[1] and outside
            )
            yield Comparison(line.key, not contradicts, f"p {_text(test.value)} with {shown}", _fitting(line))


def _fitting(line) -> str:
    return f"p below 0.05 where the interval leaves out {_NO_EFFECT[line.statistic]}, and only there"


def _comparable(test, line) -> bool:
    """Whether the test and the interval ask the same. Wald limits of a risk ratio (Katz) can differ from an exact test
    at any p when nearly everybody has the event: 76 of 100 against 7 of 7 has p 0.35 and limits 0.68 to 0.85.
    """
    if line.statistic == "risk_ratio" and _says(line, "wald") and _says(test, "fisher"):
        return False
    return all(line.statistic == effect for name, effect in _ONLY_WITH.items() if _says(test, name))


def _attains_95(printed: _Printed, line) -> bool:
    """Whether groups are large enough for a 95 % rank interval: of 3 against 3 the whole range covers 90 %."""
    groups = _COMPARED.get(line.group, ())
    counts = [int(printed.number(Place(line.table_id, line.row, group, "median", "n")) or 0) for group in groups]
    return bool(counts) and 2 / math.comb(sum(counts), counts[0]) <= 0.05


def _says(line, word: str) -> bool:
    return line.method is not None and word in line.method.lower()


def _depth(line) -> float | None:
    """How far no effect lies inside the interval (negative: outside), as a share of its width, if there is one.

    Ratios r are taken as r/(1 + r), so that 0 and infinity, an open limit, have a place.
    """
    lower, upper, null = line.lower, line.upper, _NO_EFFECT[line.statistic]
    if null and (lower, upper) != (None, None):
        lower = 0 if lower is None else lower / (1 + lower)
        upper, null = 1 if upper is None or math.isinf(upper) else upper / (1 + upper), 0.5
    if lower is None or upper is None or not lower < upper:
        return None
    return min(null - lower, upper - null) / (upper - lower)


# --- over the days


def _over_days(printed: _Printed) -> Iterator[Comparison]:
    for curve in printed.structure.curves():
        known = [(day, place, value) for day, place in curve.days if (value := printed.number(place)) is not None]
        for (day, _, before), (_, place, after) in itertools.pairwise(known):
            lowest, highest = (before, after) if curve.rises else (after, before)
            bound = f"at {'least' if curve.rises else 'most'} {_text(before)} as on day {day}"
            yield Comparison(place.key, _not_above(lowest, highest), _text(after), bound)


def _competing(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.with_statistic("percent"):
        if "_by_day_" in line.row and line.value is not None:
            death = printed.number(Place(line.table_id, f"death_without_{line.row}", line.group, "percent"))
            if death is not None:
                total = line.value + death
                yield Comparison(
                    line.key, _not_above(total, 100), f"{_text(total)} with death without it", "at most 100"
                )


# --- sums, parts and wholes


def _add_up(printed: _Printed) -> Iterator[Comparison]:
    for (whole,), parts in printed.expanded(SUMS):
        places = [whole, *parts]
        numbers = [printed.number(place) for place in places]
        if any(place.key in printed.at for place in places) and numbers != [None] * len(numbers):
            total = None if None in numbers[1:] else sum(numbers[1:])
            yield Comparison(
                whole.key,
                _equal(numbers[0], total),
                _named(whole, numbers[0]),
                f"the sum of {_terms(parts, numbers[1:], whole)}",
            )


def _named(place: Place, number: float | None) -> str:
    return _text(number) if place.column == "value" else _of_column(place.column, number)


def _terms(places: list[Place], numbers: list[float | None], beside: Place) -> str:
    """The places with their numbers, each named by what differs from the cell that is spoken of."""
    names = [
        " ".join(own for own, other in zip(place.key, beside.key, strict=True) if own != other) for place in places
    ]
    return ", ".join(
        f"{name} {_named(place, number)}".lstrip() for name, place, number in zip(names, places, numbers, strict=True)
    )


def _within(printed: _Printed) -> Iterator[Comparison]:
    for wholes, parts in printed.expanded(PARTS):
        one, two = ([printed.number(place) for place in places] for places in (parts, wholes))
        if None not in (*one, *two):
            first = parts[0]
            found = _named(first, one[0]) if len(parts) == 1 else f"{_text(sum(one))} ({_terms(parts, one, first)})"
            yield Comparison(
                first.key,
                _not_above(sum(one), sum(two)),
                found,
                f"at most {_text(sum(two))} ({_terms(wholes, two, first)})",
            )


# --- one quantity, two places

#: Outcome of Table 8 -> its row and effect in Tables 2 and 4.
_TABLE_8 = {
    "death": ("survival_3_months", "hazard_ratio"),
    "failure": ("failure", "risk_ratio"),
    "refractory": ("refractory", "risk_ratio"),
    "exacerbation": ("exacerbation_all_patients", "risk_ratio"),
}


def _table_8_pairs(printed: _Printed) -> Iterator[tuple[Place, Place]]:
    """Effects of Table 8 that Tables 2 and 4 print as well; only the default rule set has analyses by rituximab."""
    prefixes = {
        line.row.removesuffix(":rituximab") for line in printed.tables["table8"] if line.row.endswith(":rituximab")
    }
    for prefix in sorted(prefixes):
        if (outcome := prefix.split(":")[0]) not in _TABLE_8:
            continue
        row, effect = _TABLE_8[outcome]
        others = {
            "as_published": ("table2", "difference"),
            **{half: ("table4", f"difference_{half}") for half in ("rituximab", "no_rituximab")},
        }
        for analysis, (table_id, group) in others.items():
            left, right = (
                Place(table_id, row, group, effect),
                Place("table8", f"{prefix}:{analysis}", "difference", effect),
            )
            if left.key in printed.at and right.key in printed.at:
                yield from [
                    (left._replace(column=column), right._replace(column=column))
                    for column in ("value", "lower", "upper")
                ]


def _alike(printed: _Printed) -> Iterator[Comparison]:
    for left, right in _table_8_pairs(printed):
        one, two = printed.number(left), printed.number(right)
        yield Comparison(
            right.key, _equal(one, two), f"{right.column} {_text(two)}", f"{_text(one)} as in {', '.join(left.key)}"
        )
    for same in SAME:
        for (left,), (right,) in printed.structure.expanded(same):
            one, two = printed.number(left), printed.number(right)
            nobody = right.key not in printed.at and not one  # a group without patients need not have the other cell
            compared = left.key in printed.at and printed.tables.get(right.table_id) and not nobody
            if compared and not (same.where_both and None in (one, two)):
                yield Comparison(
                    left.key,
                    _equal(one, two),
                    _of_column(left.column, one),
                    f"{_of_column(right.column, two)} as in {', '.join(right.key)}",
                )


def _published(printed: _Printed) -> Iterator[Comparison]:
    for figure in FIGURES if printed.tables.get("as_published") else ():
        own = Place("as_published", figure.row, figure.group, "published")
        value = printed.number(own)
        yield Comparison(own.key, _equal(value, figure.value), _text(value), f"{_text(figure.value)} as declared")
        if printed.tables.get(figure.source[0]):
            columns = [("value", figure.column), *((count, count) for count in _COUNTS)]
            columns += [(limit, limit) for limit in ("lower", "upper", "p_value")] if figure.column == "value" else []
            for column, source in columns:
                computed, right = own._replace(statistic="computed", column=column), Place(*figure.source, source)
                one, two = printed.number(computed), printed.number(right)
                holds = computed.key in printed.at and right.key in printed.at and _equal(one, two)
                yield Comparison(
                    computed.key,
                    holds,
                    _of_column(column, one),
                    f"{_of_column(source, two)} as in {', '.join(right.key)}",
                )
        computed, difference = (
            printed.number(own._replace(statistic=statistic)) for statistic in ("computed", "difference")
        )
        expected = None if figure.bound or computed is None else computed - figure.value
        key = own._replace(statistic="difference").key
        yield Comparison(
            key, _equal(difference, expected), _text(difference), f"{_text(expected)}, computed minus published"
        )


def _effects(printed: _Printed) -> Iterator[Comparison]:
    difference, ratio = "a difference", "a ratio"
    made_of = {
        "risk_difference": ("percent", difference),
        "restricted_mean_difference": ("restricted_mean", difference),
        "risk_ratio": ("percent", ratio),
        "ratio_of_medians": ("median", ratio),
    }
    for line in printed.with_statistic(*made_of):
        if line.table_id in OUTCOME_TABLES and line.group in _COMPARED and line.value is not None:
            statistic, kind = made_of[line.statistic]
            one, two = (
                printed.number(Place(line.table_id, line.row, group, statistic)) for group in _COMPARED[line.group]
            )
            expected = None if None in (one, two) else one - two if kind == difference else one / two if two else None
            holds = _equal(line.value, expected)
            yield Comparison(
                line.key, holds, _text(line.value), f"{_text(expected)}, {kind} of {_text(one)} and {_text(two)}"
            )


# --- the audit


@dataclass(frozen=True)
class Check:
    """One check: what it compares, its name, and the sentence that it holds the tables to."""

    compare: Callable[[_Printed], Iterable[Comparison]]
    name: str
    meaning: str


CHECKS = (
    Check(
        _printed_once,
        "printed_once",
        "Every number is printed once: a table has one cell for each row, group and statistic.",
    ),
    Check(_method, "method_given", "Every cell names its method."),
    Check(_reason, "reason_given", "Every cell without a value says why it is not estimable."),
    Check(
        _range,
        "possible_value",
        "Every number is finite and possible for what it is: percentages 0 to 100, p values 0 to 1, ratios not "
        "negative.",
    ),
    Check(_percentages, "percent_is_n_of_N", "Every percentage that prints an n is exactly 100 n / N."),
    Check(
        _counts,
        "counts_fit",
        "Every n is whole and at most its N, a count is its own n, and a p value is printed alike in both its columns.",
    ),
    Check(
        _intervals,
        "interval_holds_value",
        "Limits are in order and hold their estimate, unless they are conditional or bootstrap limits.",
    ),
    Check(_quartiles, "quartiles_in_order", "The median lies between the quartiles, all three from the same values."),
    Check(
        _p_and_interval,
        "p_fits_interval",
        "The p value and the interval of one comparison do not contradict each other, as far as their methods allow.",
    ),
    Check(
        _over_days,
        "over_days",
        "Survival and numbers at risk do not rise from one printed day to the next, and incidences do not fall.",
    ),
    Check(
        _competing,
        "competing_events",
        "The incidence of an event and that of death without it are together at most 100 %.",
    ),
    Check(
        _add_up,
        "parts_make_wholes",
        "Parts add up: boxes of the flow, centres, severity scores, causes of death, kinds of start, cells of "
        "agreement.",
    ),
    Check(
        _within,
        "parts_within_wholes",
        "No part is larger than its whole: denominators and groups, sites and bleedings, severe and all, confirmed and "
        "all.",
    ),
    Check(_alike, "same_everywhere", "A quantity that is printed in several tables is the same in all."),
    Check(
        _published,
        "as_published_is_source",
        "Published figures are the declared ones, computed ones those of their tables, differences theirs.",
    ),
    Check(
        _effects,
        "effect_of_groups",
        "Every difference and ratio in Tables 2 to 4 is that of the two numbers beside it.",
    ),
)


def _compared(results: pd.DataFrame) -> Iterator[tuple[Check, list[Comparison]]]:
    printed = _Printed(results)
    for check_ in CHECKS:
        yield check_, list(check_.compare(printed))


def audit(results: pd.DataFrame) -> pd.DataFrame:
    """The study's tables held against themselves.

    Args:
        results: ``study.result``, whole or in part, before any number is suppressed: a table that is not there is not
            compared.

    Returns:
        One row per check: ``check`` (its name), ``meaning`` (a sentence), ``compared`` (cells or relations looked at),
        ``failed`` (of these, how many do not hold), ``examples`` (the first of these: which cell, what was found and
            what was expected; empty where all hold).

    Raises:
        ValueError: a column of ``study.result`` is missing.
    """
    rows = []
    for check_, comparisons in _compared(results):
        failing = [str(comparison) for comparison in comparisons if not comparison.holds]
        rows.append((check_.name, check_.meaning, len(comparisons), len(failing), "; ".join(failing[:EXAMPLES])))
    return pd.DataFrame(rows, columns=["check", "meaning", "compared", "failed", "examples"])


def contradictions(results: pd.DataFrame) -> list[str]:
    """Where the tables contradict themselves: one line per failing cell under a line for its check; none where all is
    well.

    Args:
        results: as ``audit``.

    Returns:
        Lines: the check with what it means, then each cell: table, row, group, statistic, what was found and what was
            expected.

    Raises:
        ValueError: a column of ``study.result`` is missing.
    """
    lines = []
    for check_, comparisons in _compared(results):
        failing = [f"  {comparison}" for comparison in comparisons if not comparison.holds]
        lines += [f"{check_.name}: {check_.meaning}", *failing] if failing else []
    return lines
