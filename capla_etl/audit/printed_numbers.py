"""What the study's tables say, held against itself: does every printed number agree with the others?

Only ``study.result`` is read. Whether a number follows from the patients does not belong here (the tests of ``study``
and ``outcomes``), nor whether it agrees with the abstract (``as_published``) or whether the abstract agrees with itself
(``consistency``).

How the numbers hang together is stated in ``tables.structure``. A relation is compared where its tables are printed. A
sum or
an equality fails where one of its cells is missing there: a missing cell is no agreement. Parts are compared with their
whole where all cells are known.
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
from capla_etl.tables.results import COLUMNS
from capla_etl.tables.structure import OUTCOME_TABLES, PARTS, SAME, SUMS, Place, Relation, Structure

#: Two floating-point ways to one number differ by less.
TOLERANCE = 1e-9

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
        self.lines = list(results[list(COLUMNS)].astype(COLUMNS).itertuples(index=False))
        self.at = {_key(line): line for line in reversed(self.lines)}
        self.tables = defaultdict(list)
        for line in self.lines:
            self.tables[line.table_id].append(line)
        self.structure = Structure(map(_key, self.lines))

    def expanded(self, relations: Iterable[Relation]) -> Iterator[tuple[list[Place], list[Place]]]:
        """(left, right) of all relations."""
        return itertools.chain.from_iterable(map(self.structure.expanded, relations))

    def number(self, place: Place) -> float | None:
        """The number that stands there; None where there is none."""
        line = self.at.get(place.key)
        return None if line is None else _known(getattr(line, place.column))

    def with_statistic(self, *statistics: str) -> list:
        """All cells of these statistics."""
        return [line for line in self.lines if line.statistic in statistics]


def _key(line) -> tuple[str, str, str, str]:
    return line.table_id, line.row, line.group, line.statistic


def _known(number) -> float | None:
    return None if pd.isna(number) else float(number)


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
    for key, times in Counter(map(_key, printed.lines)).items():
        yield Comparison(key, times == 1, f"{times} times", "once")


def _method(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        yield Comparison(_key(line), not pd.isna(line.method) and bool(line.method.strip()), "no method", "a method")


def _reason(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        if pd.isna(line.value):
            caveat = "" if pd.isna(line.caveat) else line.caveat
            yield Comparison(
                _key(line),
                caveat.startswith("not estimable: "),
                f"no value, caveat {caveat!r}",
                "a caveat beginning 'not estimable: '",
            )


_RATIOS = ("risk_ratio", "odds_ratio", "hazard_ratio", "subdistribution_hazard_ratio")
_INFINITE = math.inf
#: Lowest and highest possible value by statistic. One that is not named has no bounds, but must be finite like all
#: others.
_RANGES = {
    "percent": (0, 100),
    "risk_difference": (-100, 100),
    "kappa": (-1, 1),
    "p_value": (0, 1),
    "p_homogeneity": (0, 1),
    "e_value": (1, _INFINITE),
    "e_value_of_limit": (1, _INFINITE),
    **dict.fromkeys((*_RATIOS, "ratio_of_medians", "restricted_mean", "smd", "count", "at_risk"), (0, _INFINITE)),
}
#: Statistics whose limits are bounded like the value. Large-sample limits of a difference or of kappa may lie outside.
_BOUNDED_LIMITS = ("percent", *_RATIOS)


def _range(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        low, high = _RANGES.get(line.statistic, (-_INFINITE, _INFINITE))
        checked = [(line.value, low, high), (line.p_value, 0, 1)]
        if line.statistic in _BOUNDED_LIMITS:
            checked += [(line.lower, low, high), (line.upper, low, high)]
        for number, least, most in checked:
            if not pd.isna(number):
                holds = math.isfinite(number) and _not_above(least, number) and _not_above(number, most)
                yield Comparison(_key(line), holds, _text(number), f"a finite number from {least:g} to {most:g}")


def _percentages(printed: _Printed) -> Iterator[Comparison]:
    # A percentage that prints an n says that it is n/N. Estimates (Kaplan-Meier, incidence) print N only.
    for line in printed.with_statistic("percent"):
        if not pd.isna(line.n) and not pd.isna(line.n_assessed):
            expected = 100 * int(line.n) / int(line.n_assessed) if line.n_assessed else None
            yield Comparison(
                _key(line),
                _equal(_known(line.value), expected),
                _text(_known(line.value)),
                f"{_text(expected)} (n/N {line.n}/{line.n_assessed})",
            )


def _counts(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        if not pd.isna(line.n) and not pd.isna(line.n_assessed):
            yield Comparison(
                _key(line), 0 <= line.n <= line.n_assessed, f"n {line.n} of N {line.n_assessed}", "0 <= n <= N"
            )
        if line.statistic in ("count", "at_risk") and not pd.isna(line.value):
            whole = float(line.value).is_integer() and (pd.isna(line.n) or line.value == line.n)
            yield Comparison(
                _key(line), whole, _text(line.value), "a whole number" if pd.isna(line.n) else f"its n, {line.n}"
            )
        if not pd.isna(line.value) and line.statistic == "p_value":
            yield Comparison(
                _key(line),
                _equal(_known(line.value), _known(line.p_value)),
                _text(line.value),
                f"its p_value, {_text(_known(line.p_value))}",
            )


#: Methods whose estimate may lie outside its interval, because the two are made in different ways: an unconditional
#: estimate with exact conditional limits, or quantiles of bootstrap estimates. Lower <= upper holds for them too.
_OTHER_INTERVAL = re.compile(r"\b(conditional|bootstrap|percentile)\b", re.IGNORECASE)


def _intervals(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.lines:
        lower, upper, value = _known(line.lower), _known(line.upper), _known(line.value)
        if lower is not None and upper is not None:
            yield Comparison(
                _key(line), _not_above(lower, upper), f"{_text(lower)} to {_text(upper)}", "lower <= upper"
            )
        if (
            value is not None
            and (lower is not None or upper is not None)
            and (pd.isna(line.method) or not _OTHER_INTERVAL.search(line.method))
        ):
            inside = (lower is None or _not_above(lower, value)) and (upper is None or _not_above(value, upper))
            yield Comparison(_key(line), inside, _text(value), f"within {_text(lower)} to {_text(upper)}")


def _quartiles(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.with_statistic("median"):
        three = [Place(line.table_id, line.row, line.group, statistic) for statistic in ("q1", "median", "q3")]
        numbers = [printed.number(place) for place in three]
        if any(place.key in printed.at for place in (three[0], three[2])):
            ordered = numbers == [None] * 3 or (None not in numbers and numbers == sorted(numbers))
            yield Comparison(_key(line), ordered, " <= ".join(map(_text, numbers)), "q1 <= median <= q3")
            for column in ("n", "n_assessed"):
                same = [printed.number(place._replace(column=column)) for place in three]
                yield Comparison(
                    _key(line),
                    len(set(same)) == 1,
                    f"{column} {', '.join(map(_text, same))}",
                    "one count for the median and both quartiles",
                )


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
        shown = f"{_text(_known(line.lower))} to {_text(_known(line.upper))}"
        if not pd.isna(line.p_value):
            if not BORDERLINE[0] <= line.p_value <= BORDERLINE[1]:
                yield Comparison(
                    _key(line),
                    (line.p_value < 0.05) == (depth < 0),
                    f"p {_text(line.p_value)} with {shown}",
                    _fitting(line),
                )
            continue
        test = printed.at.get((line.table_id, line.row, line.group, "p_value"))
        if test is not None and not pd.isna(test.value) and _comparable(test, line):
            outside = depth < -CLEARLY and (line.statistic != "median_difference" or _attains_95(printed, line))
            contradicts = (test.value < OTHER_FAMILY[0] and depth > CLEARLY) or (
                test.value > OTHER_FAMILY[1] and outside
            )
            yield Comparison(_key(line), not contradicts, f"p {_text(test.value)} with {shown}", _fitting(line))


def _fitting(line) -> str:
    return f"p below 0.05 where the interval leaves out {_NO_EFFECT[line.statistic]}, and only there"


def _comparable(test, line) -> bool:
    """Whether the test and the interval ask the same. Wald limits of a risk ratio (Katz) can differ from an exact test
    at any p when nearly everybody has the
    event: 76 of 100 against 7 of 7 has p 0.35 and limits 0.68 to 0.85.
    """
    if line.statistic == "risk_ratio" and _says(line, "wald") and _says(test, "fisher"):
        return False
    return all(line.statistic == effect for name, effect in _ONLY_WITH.items() if _says(test, name))


def _attains_95(printed: _Printed, line) -> bool:
    """Whether the groups are large enough for a rank interval at 95 %: with three against three even the whole range of differences covers only 90 %."""
    groups = _COMPARED.get(line.group, ())
    counts = [int(printed.number(Place(line.table_id, line.row, group, "median", "n")) or 0) for group in groups]
    return bool(counts) and 2 / math.comb(sum(counts), counts[0]) <= 0.05


def _says(line, word: str) -> bool:
    return not pd.isna(line.method) and word in line.method.lower()


def _depth(line) -> float | None:
    """How far no effect lies inside the interval (negative: outside), as a share of its width; None without an
    interval.

    Ratios r are taken as r/(1 + r), so that 0 and infinity, an open limit, have a place.
    """
    lower, upper, null = _known(line.lower), _known(line.upper), _NO_EFFECT[line.statistic]
    if null:
        if lower is None and upper is None:
            return None
        lower, upper = (
            (0 if lower is None else lower / (1 + lower)),
            (1 if upper is None or math.isinf(upper) else upper / (1 + upper)),
        )
        null = 0.5
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
        if "_by_day_" in line.row and not pd.isna(line.value):
            death = printed.number(Place(line.table_id, f"death_without_{line.row}", line.group, "percent"))
            if death is not None:
                total = line.value + death
                yield Comparison(
                    _key(line), _not_above(total, 100), f"{_text(total)} with death without it", "at most 100"
                )


# --- sums, parts and wholes

_COUNTS = ("n", "n_assessed")


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


# --------------------------------------------------------------------------------------------------- one quantity, two
# places


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
        if line.table_id in OUTCOME_TABLES and line.group in _COMPARED and not pd.isna(line.value):
            statistic, kind = made_of[line.statistic]
            one, two = (
                printed.number(Place(line.table_id, line.row, group, statistic)) for group in _COMPARED[line.group]
            )
            expected = None if None in (one, two) else one - two if kind == difference else one / two if two else None
            holds = _equal(_known(line.value), expected)
            yield Comparison(
                _key(line), holds, _text(line.value), f"{_text(expected)}, {kind} of {_text(one)} and {_text(two)}"
            )


# --- the audit


@dataclass(frozen=True)
class Check:
    """One check: its name, the sentence that it holds the tables to, and what it compares."""

    name: str
    meaning: str
    compare: Callable[[_Printed], Iterable[Comparison]]


CHECKS = (
    Check(
        "printed_once",
        "Every number is printed once: a table has one cell for each row, group and statistic.",
        _printed_once,
    ),
    Check("method_given", "Every cell names its method.", _method),
    Check("reason_given", "Every cell without a value says why it is not estimable.", _reason),
    Check(
        "possible_value",
        "Every number is finite and possible for what it is: percentages 0 to 100, p values 0 to 1, ratios not "
        "negative.",
        _range,
    ),
    Check("percent_is_n_of_N", "Every percentage that prints an n is exactly 100 n / N.", _percentages),
    Check(
        "counts_fit",
        "Every n is whole and at most its N, a count is its own n, and a p value is printed alike in both its columns.",
        _counts,
    ),
    Check(
        "interval_holds_value",
        "Limits are in order and hold their estimate, unless they are conditional or bootstrap limits.",
        _intervals,
    ),
    Check("quartiles_in_order", "The median lies between the quartiles, all three from the same values.", _quartiles),
    Check(
        "p_fits_interval",
        "The p value and the interval of one comparison do not contradict each other, as far as their methods allow.",
        _p_and_interval,
    ),
    Check(
        "over_days",
        "Survival and numbers at risk do not rise from one printed day to the next, and incidences do not fall.",
        _over_days,
    ),
    Check(
        "competing_events",
        "The incidence of an event and that of death without it are together at most 100 %.",
        _competing,
    ),
    Check(
        "parts_make_wholes",
        "Parts add up: boxes of the flow, centres, severity scores, causes of death, kinds of start, cells of "
        "agreement.",
        _add_up,
    ),
    Check(
        "parts_within_wholes",
        "No part is larger than its whole: denominators and groups, sites and bleedings, severe and all, confirmed and "
        "all.",
        _within,
    ),
    Check("same_everywhere", "A quantity that is printed in several tables is the same in all.", _alike),
    Check(
        "as_published_is_source",
        "Published figures are the declared ones, computed ones those of their tables, differences theirs.",
        _published,
    ),
    Check(
        "effect_of_groups",
        "Every difference and ratio in Tables 2 to 4 is that of the two numbers beside it.",
        _effects,
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
