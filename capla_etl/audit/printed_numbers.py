"""What the study's tables say, held against itself: does every printed number agree with the others?

Only ``study.result`` is read. Whether a number follows from the patients does not belong here (the tests of ``study`` and ``outcomes``), nor whether it agrees
with the abstract (``as_published``) or whether the abstract agrees with itself (``consistency``).

A new table is added by its declarations: parts of a whole in ``_sums``, what cannot be larger than what in ``_bounds``, one quantity printed twice in ``SAME``.
A relation is compared where its tables are printed. A sum or an equality of which a cell is missing there fails: a missing cell is no agreement. A bound is
compared where all its cells are known.
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
from capla_etl.tables.labels import ADVERSE_EVENTS
from capla_etl.tables.population import ARMS, TIMINGS
from capla_etl.tables.results import COLUMNS
from capla_etl.tables.structure import CAUSES, FLOW_GROUPS, FLOW_SUMS, SCORES
from capla_etl.tables.table7 import ANSWERS, FOUR_CELLS

#: Two floating-point ways to one number differ by less.
TOLERANCE = 1e-9

#: Failing cells that the audit quotes for each check; ``contradictions`` lists all.
EXAMPLES = 3


class Place(NamedTuple):
    """A number of ``study.result``: the key of its cell, and the column that it stands in."""

    table_id: str
    row: str
    group: str
    statistic: str
    column: str = "value"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key of the cell."""
        return self[:4]


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


# ------------------------------------------------------------------------------------------------------- each cell by itself


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
#: Lowest and highest possible value by statistic. One that is not named has no bounds, but must be finite like all others.
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


#: Methods whose estimate may lie outside its interval, because the two are made in different ways: an unconditional estimate with exact conditional limits,
#: or quantiles of bootstrap estimates. Lower <= upper holds for them too.
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


# ------------------------------------------------------------------------------------------------------------ p and interval

#: Comparison -> the two groups that it compares.
_COMPARED = ARMS_COMPARED | TIMINGS_COMPARED | RITUXIMAB_COMPARED

#: Where no effect lies, by statistic.
_NO_EFFECT = {
    "risk_difference": 0,
    "median_difference": 0,
    "restricted_mean_difference": 0,
    **dict.fromkeys(_RATIOS, 1),
}

#: Tests of something that only this effect says: a log-rank test compares whole curves, and a difference at one day or of areas can disagree with it.
_ONLY_WITH = {"log-rank": "hazard_ratio", "gray": "subdistribution_hazard_ratio"}

#: A p in the cell of its interval comes from one model: both must fall on the same side of 0.05, unless p is so near to it that a likelihood-ratio p and a
#: Wald interval of that model may differ.
BORDERLINE = (0.04, 0.06)

#: A p in a cell of its own comes from another family than the interval (Fisher's p is conservative, a score interval is not), and the two may differ
#: whenever p is anywhere near 0.05. A contradiction is p below the first with no effect clearly inside, or p above the second with it clearly outside.
OTHER_FAMILY = (0.01, 0.2)

#: Clearly: by this share of the interval's width. Two of two against none of two has p = 1/3, with no effect 8 % of the width outside Newcombe's interval.
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
    """Whether the test and the interval ask the same. Wald limits of a risk ratio (Katz) can differ from an exact test at any p when nearly everybody has the
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
    """How far no effect lies inside the interval (negative: outside), as a share of its width; None without an interval.

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


# -------------------------------------------------------------------------------------------------------------- over the days

_SURVIVAL = re.compile(r"(.*survival)_day_(\d+)")
_INCIDENCE = re.compile(r"(.+)_by_day_(\d+)")


def _over_days(printed: _Printed) -> Iterator[Comparison]:
    curves = defaultdict(list)
    for line in printed.with_statistic("percent", "at_risk"):
        for pattern, sign in ((_SURVIVAL, -1), (_INCIDENCE, 1)):
            if (found := pattern.fullmatch(line.row)) and not pd.isna(line.value):
                curves[line.table_id, found[1], line.group, line.statistic, sign].append((int(found[2]), line))
    for (*_, sign), points in curves.items():
        for (day, before), (_, after) in itertools.pairwise(sorted(points, key=lambda point: point[0])):
            holds = _not_above(sign * before.value, sign * after.value)
            yield Comparison(
                _key(after),
                holds,
                _text(after.value),
                f"at {'least' if sign > 0 else 'most'} {_text(before.value)} as on day {day}",
            )


def _competing(printed: _Printed) -> Iterator[Comparison]:
    for line in printed.with_statistic("percent"):
        if _INCIDENCE.fullmatch(line.row) and not pd.isna(line.value):
            death = printed.number(Place(line.table_id, f"death_without_{line.row}", line.group, "percent"))
            if death is not None:
                total = line.value + death
                yield Comparison(
                    _key(line), _not_above(total, 100), f"{_text(total)} with death without it", "at most 100"
                )


# ----------------------------------------------------------------------------------------------------- parts, wholes, bounds

_COUNTS = ("n", "n_assessed")
_OUTCOME_TABLES = ("table2", "table3", "table4")
#: The row of the flow that counts a group; the halves of Table 4 are parts of their arm.
_SIZE = {group: row for row, group in FLOW_GROUPS.items()} | {"rescue": "rescue", "slow_response": "slow_response"}
_HALVES = {group: arm for pair in RITUXIMAB_COMPARED.values() for group, arm in zip(pair, ARMS, strict=True)}
#: Part of an outcome -> the outcome.
_NESTED = {
    "severe_refractory": "refractory",
    "relapse_confirmed": "relapse",
    "exacerbation_after_stop_undetectable": "exacerbation_all_patients",
    "response_day_survivors": "response_day",
}


def _count(table_id: str, row: str, group: str, column: str = "value") -> Place:
    return Place(table_id, row, group, "count", column)


def _percent(table_id: str, row: str, group: str, column: str) -> Place:
    return Place(table_id, row, group, "percent", column)


def _counted(printed: _Printed, table_id: str, group: str | None = None) -> list[Place]:
    """The cells that have counts, one for each row and group (or of one group)."""
    lines = printed.tables[table_id]
    return [
        Place(*_key(line))
        for line in lines
        if line.statistic in ("count", "percent", "median") and group in (None, line.group)
    ]


def _sums(printed: _Printed) -> Iterator[tuple[Place, list[Place]]]:
    """(whole, parts): the parts add up to the whole."""
    flow = _counted(printed, "flow")
    groups = list(dict.fromkeys(place.group for place in flow))
    for group, (whole, parts) in itertools.product(groups, FLOW_SUMS.items()):
        yield _count("flow", whole, group), [_count("flow", part, group) for part in parts]
    centres = [group for group in groups if group != "all"]
    if centres:
        for place in _counted(printed, "flow", "all"):
            yield place, [place._replace(group=centre) for centre in centres]
    for arm in ARMS:
        yield (
            _percent("table1", SCORES[0], arm, "n_assessed"),
            [_percent("table1", score, arm, "n") for score in SCORES],
        )
    for group in (*ARMS, *TIMINGS):
        yield _count("table6", "deaths", group), [_count("table6", cause, group) for cause in CAUSES]
    for row, column in itertools.product(("deaths", *CAUSES), _COUNTS):
        yield _count("table6", row, ARMS[0], column), [_count("table6", row, timing, column) for timing in TIMINGS]
    for place, column in itertools.product(_counted(printed, "table3", "delayed"), _COUNTS):
        yield (
            place._replace(column=column),
            [place._replace(group=part, column=column) for part in FLOW_SUMS["delayed"]],
        )
    for table_id in _OUTCOME_TABLES:
        for place in _counted(printed, table_id):
            if place.row == "failure":  # who did not fail responded by the end of follow-up
                yield (
                    place._replace(column="n_assessed"),
                    [place._replace(column="n"), place._replace(row="response_day", statistic="median", column="n")],
                )
    for group, outcome in itertools.product(("all", *ARMS), ANSWERS):
        four = {name: _count("table7", f"{outcome}_{name}", group) for name, _, _ in FOUR_CELLS}
        yield _percent("table7", f"{outcome}_agreement", group, "n_assessed"), list(four.values())
        yield _percent("table7", f"{outcome}_agreement", group, "n"), [four["both_yes"], four["both_no"]]
    for place, column in itertools.product(_counted(printed, "table7", "all"), _COUNTS):
        yield place._replace(column=column), [place._replace(group=arm, column=column) for arm in ARMS]


def _add_up(printed: _Printed) -> Iterator[Comparison]:
    for whole, parts in _sums(printed):
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


def _bounds(printed: _Printed) -> Iterator[tuple[list[Place], list[Place]]]:
    """(parts, wholes): the parts together are not more than the wholes together."""
    # In the analyses of Table 8 a group is what the analysis makes of it: at a landmark, who has not begun caplacizumab yet is a control.
    for place in itertools.chain.from_iterable(
        _counted(printed, table_id) for table_id in list(printed.tables) if table_id not in ("flow", "table8")
    ):
        group = _HALVES.get(place.group, place.group)
        if group in _SIZE:
            yield [place._replace(column="n_assessed")], [_count("flow", _SIZE[group], "all")]
    for table_id in _OUTCOME_TABLES:
        for place in _counted(printed, table_id):
            if place.row in _NESTED:
                yield [place._replace(column="n")], [place._replace(row=_NESTED[place.row], column="n")]
    for place, column in itertools.product(_counted(printed, "table2"), _COUNTS):
        yield from _split(place._replace(column=column))
    yield from _adverse_events(printed)
    for group, (outcome, row) in itertools.product(
        ARMS, {"refractory": "refractory", "exacerbation": "exacerbation_all_patients"}.items()
    ):
        derived = [_count("table7", f"{outcome}_{name}", group) for name, answer, _ in FOUR_CELLS if answer == "yes"]
        yield derived, [_percent("table2", row, group, "n")]


def _split(whole: Place) -> Iterator[tuple[list[Place], list[Place]]]:
    """A count of Table 2 and the groups into which Tables 3 and 4 split it: those in no column are at most the patients of whom the split is not known."""
    arm_size = _count("flow", whole.group, "all")
    halves = [whole._replace(table_id="table4", group=half) for half, arm in _HALVES.items() if arm == whole.group]
    if halves:
        yield halves, [whole]
        yield [whole, _percent("table1", "rituximab", whole.group, "n_assessed")], [*halves, arm_size]
    if whole.group == ARMS[0]:
        timings = [whole._replace(table_id="table3", group=timing) for timing in ("early", "delayed")]
        yield timings, [whole]
        yield [whole], [*timings, _count("flow", "timing_unknown", "all")]


def _adverse_events(printed: _Printed) -> Iterator[tuple[list[Place], list[Place]]]:
    def events(row: str, column: str) -> Place:
        return _percent("table5", row, ARMS[0], column)

    for kind, column in itertools.product(ADVERSE_EVENTS, _COUNTS):
        yield [events(kind, column)], [events("any_adverse_event", column)]
    yield [events("any_adverse_event", "n")], [events(kind, "n") for kind in ADVERSE_EVENTS]
    for column in _COUNTS:
        yield [events("any_adverse_event_all_assessed", column)], [events("any_adverse_event", column)]
    for place in _counted(printed, "table5"):
        if place.statistic == "count":  # a site of a major bleeding; a patient can have several
            yield [place], [events("major_bleeding", "n")]


def _within(printed: _Printed) -> Iterator[Comparison]:
    for parts, wholes in _bounds(printed):
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


# --------------------------------------------------------------------------------------------------- one quantity, two places


@dataclass(frozen=True)
class Same:
    """One quantity that is printed in two places.

    ``{group}`` stands for each of ``groups`` (none named: every group), ``{row}`` and ``{statistic}`` for whatever is printed on the left, ``{size}`` for the
    row of the flow that counts the group, ``{last_day}`` for the last day of table ``survival``. ``columns``: these numbers of the cells, instead of those
    that the places name.
    ``where_both``: compared only where both are known, for cells that need not be there.
    """

    left: Place
    right: Place
    groups: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    where_both: bool = False


_TIMED = ("control", "early", "delayed")
_SIZE_OF_GROUP = Place("flow", "{size}", "all", "count")
SAME = (
    Same(_percent("table2", "died_by_day_90", "{group}", "n"), _count("table6", "deaths", "{group}"), ARMS),
    Same(_percent("table3", "died_by_day_90", "{group}", "n"), _count("table6", "deaths", "{group}"), _TIMED),
    Same(_count("table6", "deaths", "{group}", "n_assessed"), _SIZE_OF_GROUP, (*ARMS, *TIMINGS)),
    *(
        Same(_count("table6", cause, "{group}", "n_assessed"), _count("table6", "deaths", "{group}"), (*ARMS, *TIMINGS))
        for cause in CAUSES
    ),
    Same(
        Place("table6", "{row}", "{group}", "median", "n_assessed"),
        _count("table6", "deaths", "{group}"),
        (*ARMS, *TIMINGS),
    ),
    Same(Place("table1", "{row}", "{group}", "median", "n_assessed"), _SIZE_OF_GROUP, ARMS),
    Same(_percent("table2", "exacerbation_all_patients", "{group}", "n_assessed"), _SIZE_OF_GROUP, ARMS),
    Same(
        _percent("table3", "exacerbation_all_patients", "{group}", "n_assessed"),
        _SIZE_OF_GROUP,
        (*_TIMED, *FLOW_SUMS["delayed"]),
    ),
    Same(
        Place("survival", "survival_day_0", "{group}", "at_risk", "n"),
        Place("survival", "survival_day_0", "{group}", "at_risk", "n_assessed"),
        ARMS,
    ),
    Same(
        Place("table2", "survival_3_months", "{group}", "percent"),
        Place("survival", "survival_day_{last_day}", "{group}", "percent"),
        ARMS,
        columns=("value", "n_assessed", "lower", "upper"),
    ),
    Same(
        Place("table3", "{row}", "control", "{statistic}"),
        Place("table2", "{row}", "control", "{statistic}"),
        columns=("value", "n", "n_assessed", "lower", "upper"),
        where_both=True,
    ),
    *(
        Same(
            _percent(table_id, "exacerbation_responders", "{group}", "n"),
            _percent(table_id, "exacerbation_all_patients", "{group}", "n"),
        )
        for table_id in _OUTCOME_TABLES
    ),
    *(
        Same(
            _percent(table_id, "adamts13_recovery", "{group}", "n"),
            Place(table_id, "adamts13_recovery_day", "{group}", "median", "n"),
            where_both=True,
        )
        for table_id in ("table2", "table3")
    ),
)


def _pairs(printed: _Printed, same: Same) -> Iterator[tuple[Place, Place]]:
    """The declaration, expanded over what is printed on the left."""
    days = [int(found[2]) for line in printed.tables["survival"] if (found := _SURVIVAL.fullmatch(line.row))]
    for line in printed.tables[same.left.table_id]:
        if same.groups and line.group not in same.groups:
            continue
        words = {
            "row": line.row,
            "group": line.group,
            "statistic": line.statistic,
            "size": _SIZE.get(line.group),
            "last_day": max(days, default=0),
        }
        left, right = (Place(*(part.format(**words) for part in place)) for place in (same.left, same.right))
        if left.key == _key(line):
            yield from [(left._replace(column=column), right._replace(column=column)) for column in same.columns] or [
                (left, right)
            ]


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
        for left, right in _pairs(printed, same):
            one, two = printed.number(left), printed.number(right)
            nobody = right.key not in printed.at and not one  # a group without patients need not have the other cell
            if printed.tables.get(right.table_id) and not nobody and not (same.where_both and None in (one, two)):
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
        if line.table_id in _OUTCOME_TABLES and line.group in _COMPARED and not pd.isna(line.value):
            statistic, kind = made_of[line.statistic]
            one, two = (
                printed.number(Place(line.table_id, line.row, group, statistic)) for group in _COMPARED[line.group]
            )
            expected = None if None in (one, two) else one - two if kind == difference else one / two if two else None
            holds = _equal(_known(line.value), expected)
            yield Comparison(
                _key(line), holds, _text(line.value), f"{_text(expected)}, {kind} of {_text(one)} and {_text(two)}"
            )


# ------------------------------------------------------------------------------------------------------------------ the audit


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
        "Every number is finite and possible for what it is: percentages 0 to 100, p values 0 to 1, ratios not negative.",
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
        "Parts add up: boxes of the flow, centres, severity scores, causes of death, kinds of start, cells of agreement.",
        _add_up,
    ),
    Check(
        "parts_within_wholes",
        "No part is larger than its whole: denominators and groups, sites and bleedings, severe and all, confirmed and all.",
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
        results: ``study.result``, whole or in part, before any number is suppressed: a table that is not there is not compared.

    Returns:
        One row per check: ``check`` (its name), ``meaning`` (a sentence), ``compared`` (cells or relations looked at), ``failed`` (of these, how many
        do not hold), ``examples`` (the first of these: which cell, what was found and what was expected; empty where all hold).

    Raises:
        ValueError: a column of ``study.result`` is missing.
    """
    rows = []
    for check_, comparisons in _compared(results):
        failing = [str(comparison) for comparison in comparisons if not comparison.holds]
        rows.append((check_.name, check_.meaning, len(comparisons), len(failing), "; ".join(failing[:EXAMPLES])))
    return pd.DataFrame(rows, columns=["check", "meaning", "compared", "failed", "examples"])


def contradictions(results: pd.DataFrame) -> list[str]:
    """Where the tables contradict themselves: one line per failing cell under a line for its check; none where all is well.

    Args:
        results: as ``audit``.

    Returns:
        Lines: the check with what it means, then each cell: table, row, group, statistic, what was found and what was expected.

    Raises:
        ValueError: a column of ``study.result`` is missing.
    """
    lines = []
    for check_, comparisons in _compared(results):
        failing = [f"  {comparison}" for comparison in comparisons if not comparison.holds]
        lines += [f"{check_.name}: {check_.meaning}", *failing] if failing else []
    return lines
