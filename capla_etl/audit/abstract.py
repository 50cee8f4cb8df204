"""Can the published figures all be true together? Pure arithmetic on what the abstract prints (PROTOCOL section 5), of
the kind of the GRIM test.

A printed number is a rounded one: it stands for all numbers that are printed like it. Both ends of that interval belong
to it, because half-up and half-to-even rounding, and programs that round binary fractions, differ on exact halves. How
many decimals were printed is read off the number; a trailing zero that the abstract dropped ("1 %" for 1.0 %) would
narrow what is implied, so that the wider reading is taken.

The figures are in ``tables.as_published``. Computed numbers do not belong here: what the data give is compared with the
abstract in table ``as_published``, and the study's own tables are held against themselves in ``printed_numbers``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.contingency import fisher
from capla_etl.tables.as_published import FIGURES, PublishedFigure
from capla_etl.tables.labels import ADVERSE_EVENTS
from capla_etl.tables.population import ARMS

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)


# --- printed numbers


def printed_decimals(number: float) -> int:
    """Decimals of a number as it is printed shortest: 1 for 98.6, 0 for 23."""
    return max(-Decimal(str(number)).normalize().as_tuple().exponent, 0)


def printed_range(number: float, decimals: int) -> tuple[Fraction, Fraction]:
    """The numbers that are printed like this one, both ends included.

    Args:
        number: as printed.
        decimals: decimals that it was printed with.

    Returns:
        (lowest, highest), exact.

    Raises:
        ValueError: negative decimals, or a number with more decimals than it is said to be printed with.
    """
    exact = Fraction(str(number))
    if decimals < 0 or (exact * 10**decimals).denominator != 1:
        raise ValueError(f"{number} is not printed with {decimals} decimals")
    half = Fraction(1, 2 * 10**decimals)
    return exact - half, exact + half


def _whole_numbers(lowest: Fraction, highest: Fraction) -> range:
    return range(math.ceil(lowest), math.floor(highest) + 1)


def implied_numerators(percent: float, decimals: int, denominator: int) -> range:
    """Numbers of patients that are printed as this percentage of the denominator.

    Args:
        percent: as printed, 0 to 100.
        decimals: decimals that it was printed with.
        denominator: patients.

    Returns:
        The whole numbers n, 0 to the denominator, with 100 n / denominator in ``printed_range``; empty where there is
        none.

    Raises:
        ValueError: a percentage outside 0 to 100, no patients, or as ``printed_range``.

    Source:
        The GRIM test for percentages: Brown and Heathers, Soc Psychol Personal Sci 2017;8:363.
    """
    _check_percent(percent)
    if denominator < 1:
        raise ValueError(f"a percentage needs at least one patient, found {denominator}")
    lowest, highest = printed_range(percent, decimals)
    return _whole_numbers(
        max(lowest * denominator / 100, Fraction(0)), min(highest * denominator / 100, Fraction(denominator))
    )


def implied_denominators(events: int, percent: float, decimals: int, at_most: int) -> range:
    """Numbers of patients of whom this number of events is printed as this percentage.

    Args:
        events: patients with the event.
        percent: as printed, 0 to 100.
        decimals: decimals that it was printed with.
        at_most: patients that there are.

    Returns:
        The whole numbers N, from the events (at least 1) to ``at_most``, with 100 events / N in ``printed_range``;
        empty where there is none.

    Raises:
        ValueError: a percentage outside 0 to 100, negative events, or as ``printed_range``.

    Source:
        As ``implied_numerators``, solved for N.
    """
    _check_percent(percent)
    if events < 0:
        raise ValueError(f"events must not be negative, found {events}")
    lowest, highest = printed_range(percent, decimals)
    if events == 0:
        return range(1, at_most + 1) if lowest <= 0 else range(0)
    fewest = max(Fraction(100 * events) / highest, Fraction(events))
    return _whole_numbers(
        fewest, Fraction(at_most) if lowest <= 0 else min(Fraction(100 * events) / lowest, Fraction(at_most))
    )


def _check_percent(percent: float) -> None:
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentage must lie between 0 and 100, found {percent}")


def grim_median(median: float, count: int, *, quartiles: tuple[float, float] | None = None) -> bool:
    """Whether a median of whole numbers, with its quartiles, can be printed like this.

    The median of an odd number of whole numbers is one of them; of an even number it can be halfway between two. A
    quartile lies between two neighbouring
    values, by shares that depend on the count and on the definition: those of SAS, SPSS and R (Hyndman and Fan 2, 6, 7)
    are allowed.

    Args:
        median: as printed.
        count: values.
        quartiles: first and third, as printed.

    Returns:
        Whether each of the three is possible and they are in order. Each is looked at by itself: not every combination
        that passes is possible.

    Raises:
        ValueError: no value.

    Source:
        The reasoning of Brown and Heathers 2017, for order statistics; Hyndman and Fan 1996.
    """
    if count < 1:
        raise ValueError(f"a median needs at least one value, found {count}")
    if not _is_multiple(median, 1 if count % 2 else 2):
        return False
    if quartiles is None:
        return True
    q1, q3 = quartiles
    one_value = count > 1 or q1 == median == q3
    return one_value and q1 <= median <= q3 and all(_is_multiple(q, _quartile_parts(count)) for q in quartiles)


def _quartile_parts(count: int) -> int:
    """Into how many parts the definitions divide the step from one value to the next."""
    shares = (Fraction(1, 2) if count % 4 == 0 else Fraction(0), Fraction(count + 1, 4), Fraction(count - 1, 4))
    return math.lcm(*(share.denominator for share in shares))


def _is_multiple(number: float, parts: int) -> bool:
    lowest, highest = printed_range(number, printed_decimals(number))
    return len(_whole_numbers(lowest * parts, highest * parts)) > 0


# --- ratios and intervals


class RatioInterval(NamedTuple):
    """What the limits of a ratio imply about its estimate: their geometric mean, and what rounding allows."""

    implied: float
    lowest: float
    highest: float
    consistent: bool


def ratio_interval_consistency(estimate: float, lower: float, upper: float) -> RatioInterval:
    """Whether a ratio is the geometric mean of its limits, as Wald limits on the log scale have it, within rounding.

    Profile, exact and score limits are not symmetric on the log scale: a ratio that is not the geometric mean is no
    error by itself.

    Args:
        estimate, lower, upper: as printed.

    Returns:
        ``implied``, ``lowest``, ``highest`` (ratios) and ``consistent``: whether what rounding allows overlaps with
            what the estimate is printed like.

    Raises:
        ValueError: a limit that is not positive, or limits not in order.

    Source:
        Altman and Bland, BMJ 2011;343:d2304: the interval of a ratio is symmetric on the log scale.
    """
    _check_ratio(estimate, lower, upper)
    (least_lower, most_lower), (least_upper, most_upper), (least, most) = (
        printed_range(x, printed_decimals(x)) for x in (lower, upper, estimate)
    )
    lowest, highest = (
        math.sqrt(max(one, 0) * two) for one, two in ((least_lower, least_upper), (most_lower, most_upper))
    )
    return RatioInterval(math.sqrt(lower * upper), lowest, highest, lowest <= most and highest >= least)


def p_from_interval(estimate: float, lower: float, upper: float, *, ratio: bool = True) -> float:
    """Two-sided p value that a 95 % interval implies.

    Args:
        estimate, lower, upper: a ratio with its limits, or a difference (``ratio=False``).

    Returns:
        p of the normal test whose standard error is the width of the interval (on the log scale for a ratio) over 2 x
        1.96.

    Raises:
        ValueError: limits not in order; of a ratio, numbers that are not positive.

    Source:
        Altman and Bland, BMJ 2011;343:d2304; the normal tail itself instead of their formula that approximates it.
    """
    if ratio:
        _check_ratio(estimate, lower, upper)
        estimate, lower, upper = map(math.log, (estimate, lower, upper))
    elif not lower < upper:
        raise ValueError(f"limits must be in order, found {lower} to {upper}")
    return math.erfc(abs(estimate) * 2 * _Z / (upper - lower) / math.sqrt(2))


def _check_ratio(estimate: float, lower: float, upper: float) -> None:
    if not (0 < lower < upper and estimate > 0):
        raise ValueError(f"a ratio and its limits must be positive and in order, found {estimate} ({lower} to {upper})")


def implied_events(
    estimate: float, lower: float, upper: float, patients_1: int, patients_0: int, *, measure: str = "risk_ratio"
) -> pd.DataFrame:
    """Numbers of events in two groups whose ratio and Wald limits are printed like this.

    Args:
        estimate, lower, upper: a risk ratio or odds ratio (group 1 over group 0) with its 95 % limits, as printed.
        patients_1, patients_0: patients per group.
        measure: "risk_ratio" (Katz limits) or "odds_ratio" (Woolf limits).

    Returns:
        One row per possible pair: ``events_1``, ``events_0``; none where no whole numbers give these figures.

    Raises:
        ValueError: an unknown measure, no patients, or numbers that are no ratio with its limits.

    Source:
        Katz 1978; Woolf 1955; every pair is tried.
    """
    _check_ratio(estimate, lower, upper)
    if min(patients_1, patients_0) < 1 or measure not in ("risk_ratio", "odds_ratio"):
        raise ValueError(
            f"expected patients in both groups and a risk_ratio or odds_ratio, found {patients_1}, {patients_0}, "
            f"{measure}"
        )
    events_1, events_0 = (
        np.arange(1, patients_1)[:, None].astype(float),
        np.arange(1, patients_0)[None, :].astype(float),
    )
    if measure == "risk_ratio":
        log_ratio = np.log(events_1 / patients_1) - np.log(events_0 / patients_0)
        error = np.sqrt(1 / events_1 - 1 / patients_1 + 1 / events_0 - 1 / patients_0)
    else:
        without_1, without_0 = patients_1 - events_1, patients_0 - events_0
        log_ratio = np.log(events_1 / without_1) - np.log(events_0 / without_0)
        error = np.sqrt(1 / events_1 + 1 / without_1 + 1 / events_0 + 1 / without_0)
    fits = np.ones(log_ratio.shape, dtype=bool)
    for number, computed in ((estimate, log_ratio), (lower, log_ratio - _Z * error), (upper, log_ratio + _Z * error)):
        least, most = map(float, printed_range(number, printed_decimals(number)))
        fits &= (np.exp(computed) >= least) & (np.exp(computed) <= most)
    found_1, found_0 = np.nonzero(fits)
    return pd.DataFrame({"events_1": found_1 + 1, "events_0": found_0 + 1})


# --- the abstract

CONSISTENT, INCONSISTENT = "consistent", "not consistent"
UNEXPLAINED, UNCHECKABLE = "needs an explanation", "cannot be checked"
VERDICTS = (CONSISTENT, INCONSISTENT, UNEXPLAINED, UNCHECKABLE)
CAPLACIZUMAB = ARMS[0]
_QUARTILES = ("median", "q1", "q3")


class _Relation(NamedTuple):
    relation: str
    figures: str  # row/group, separated by spaces
    implied: str
    verdict: str
    explanation: str


class _Abstract:
    """The published figures by row/group."""

    def __init__(self, figures: tuple[PublishedFigure, ...]) -> None:
        self.figures = {f"{figure.row}/{figure.group}": figure for figure in figures}

    def __call__(self, row: str, group: str = CAPLACIZUMAB) -> float:
        return self.figures[f"{row}/{group}"].value

    def count(self, row: str, group: str = CAPLACIZUMAB) -> int:
        """A printed number of patients."""
        return int(self(row, group))

    def patients(self, group: str = CAPLACIZUMAB) -> int:
        """The printed size of a group."""
        return self.count("patients", group)

    def numerators(self, row: str, group: str) -> range:
        """The patients whom a printed percentage of the group implies."""
        percent = self(row, group)
        return implied_numerators(percent, printed_decimals(percent), self.patients(group))

    def deaths(self, arm: str) -> range:
        """Deaths that the printed survival implies when nobody was lost; never more than the last of them."""
        survivors, patients = self.numerators("survival_3_months", arm), self.patients(arm)
        return range(patients - survivors[-1], patients - survivors[0] + 1) if survivors else range(0)

    def possible_quartiles(self, row: str, group: str, counts: range) -> list[int]:
        """The counts for which the printed median and quartiles of whole days are possible."""
        median, *quartiles = (self(f"{row}_{statistic}", group) for statistic in _QUARTILES)
        return [count for count in counts if count and grim_median(median, count, quartiles=tuple(quartiles))]

    def printed(self, keys: list[str]) -> str:
        """The figures as published."""
        return "; ".join(_as_printed(self.figures[key]) for key in keys)


def _as_printed(figure: PublishedFigure) -> str:
    qualifier = "< " if figure.bound else "about " if figure.about else ""
    unit = {"%": " %", "days": " days"}.get(figure.unit, "")
    group = "" if figure.group == "difference" else f" ({figure.group.replace('_', ' ')})"
    return f"{figure.label.removeprefix('… ')}{group} {qualifier}{figure.value:g}{unit}"


def _span(numbers: range) -> str:
    return "none" if not numbers else f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _last(numbers: range) -> int:
    return numbers[-1] if numbers else 0


def _sum(numbers: Iterable[int]) -> str:
    return f"{' + '.join(map(str, numbers))} = {sum(numbers)}"


def _quartile_keys(row: str, group: str) -> str:
    return " ".join(f"{row}_{statistic}/{group}" for statistic in _QUARTILES)


def _of_arms(row: str) -> str:
    return " ".join(f"{row}/{arm}" for arm in ARMS)


def _verdict(possible: object) -> str:
    return CONSISTENT if possible else UNEXPLAINED


def _part_of(parts: int, whole: int) -> str:
    """Disjoint parts of a whole: they may leave patients out, but not have more."""
    return CONSISTENT if parts == whole else UNEXPLAINED if parts < whole else INCONSISTENT


def check_abstract(figures: tuple[PublishedFigure, ...] = FIGURES) -> pd.DataFrame:
    """Which published figures can be true together, and which numbers of patients they imply.

    Args:
        figures: the published figures.

    Returns:
        One row per relation: ``relation`` (a sentence), ``printed`` (as published), ``implied`` (numerators,
        denominators, counts), ``verdict`` ('consistent'; 'not consistent': arithmetic forbids it; 'needs an
        explanation': possible, but only for a reason that the abstract does not give; 'cannot be checked': what it
        would be checked against is not printed), ``explanation``, ``figures`` (which were used: row/group).

    Raises:
        ValueError: a figure that cannot be what it says, such as a percentage above 100.
        KeyError: a figure of the abstract is missing.

    Source:
        Brown and Heathers 2017 (GRIM); Altman and Bland 2011; PROTOCOL section 5.
    """
    abstract, rows = _Abstract(figures), []
    for part in (_groups, _deaths, _days_of_death, _failure, _course, _times, _adverse_events):
        for relation, keys, *found in part(abstract):
            keys = keys.split()
            rows.append((relation, abstract.printed(keys), *found, "; ".join(keys)))
    return pd.DataFrame(rows, columns=["relation", "printed", "implied", "verdict", "explanation", "figures"])


def _groups(abstract: _Abstract) -> Iterator[_Relation]:
    patients, early, delayed = map(abstract.patients, (CAPLACIZUMAB, "early", "delayed"))
    neither = patients - early - delayed
    yield _Relation(
        "Early and delayed starters are the patients given caplacizumab.",
        "patients/caplacizumab patients/early patients/delayed",
        f"{_sum((early, delayed))} of {patients}; {neither} in neither",
        _part_of(early + delayed, patients),
        "The others have no recorded start, presumably; the abstract does not say so."
        if neither
        else "Together they are all patients.",
    )
    kinds = [abstract.patients(kind) for kind in ("rescue", "slow_response")]
    yield _Relation(
        "Rescue and slow response are all delayed starts.",
        "patients/delayed patients/rescue patients/slow_response",
        f"{_sum(kinds)} of {delayed}",
        _part_of(sum(kinds), delayed),
        "Every delayed start is one or the other, and none is both.",
    )
    for drug in ("corticosteroids", "rituximab"):
        given = {arm: abstract.numerators(drug, arm) for arm in ARMS}
        yield _Relation(
            f"The percentages given {drug} are those of whole patients.",
            _of_arms(drug),
            "; ".join(f"{arm}: {_span(numbers)} of {abstract.patients(arm)}" for arm, numbers in given.items()),
            _verdict(all(given.values())),
            "If it is known of every patient; the abstract prints no denominators.",
        )


def _deaths(abstract: _Abstract) -> Iterator[_Relation]:
    deaths = {arm: abstract.deaths(arm) for arm in ARMS}
    for arm, whose in zip(ARMS, ("under caplacizumab", "of controls"), strict=True):
        yield _Relation(
            f"Survival {whose} is that of whole patients.",
            f"patients/{arm} survival_3_months/{arm}",
            f"{_span(deaths[arm])} deaths of {abstract.patients(arm)}",
            _verdict(deaths[arm]),
            "If everybody was followed for 3 months. Where some were lost, each death weighs more in a Kaplan-Meier "
            "estimate: there can be fewer, never more.",
        )
    one, two = map(abstract.patients, ARMS)
    p_values = [fisher(died_1, one, died_0, two) for died_1, died_0 in itertools.product(*deaths.values())]
    yield _Relation(
        "The p value of survival fits the deaths.",
        f"survival_3_months_p/difference {_of_arms('survival_3_months')}",
        f"Fisher's p at most {max(p_values):.1g}" if p_values else "no deaths to compare",
        _verdict(p_values and max(p_values) < abstract("survival_3_months_p", "difference")),
        "The abstract does not name its test; a log-rank test of so few deaths is near Fisher's.",
    )
    early, most = abstract.numerators("died_by_day_90", "early"), _last(deaths[CAPLACIZUMAB])
    yield _Relation(
        "Early starters who died are among all who died under caplacizumab.",
        "died_by_day_90/early patients/early survival_3_months/caplacizumab",
        f"{_span(early)} of {abstract.patients('early')} early starters, of at most {most} deaths",
        _verdict(early and early[0] <= most),
        "Printed without decimals the percentage leaves a range; the other deaths are of delayed starters and of those "
        "whose start was not recorded.",
    )


def _days_of_death(abstract: _Abstract) -> Iterator[_Relation]:
    deaths = abstract.deaths(CAPLACIZUMAB)
    possible = abstract.possible_quartiles("death_day", CAPLACIZUMAB, deaths)
    fewer = abstract.possible_quartiles("death_day", CAPLACIZUMAB, range(1, deaths[0])) if deaths else []
    none = f"none of these numbers, but for {fewer[-1] if fewer else 'no smaller one'}"
    reason = (
        " So a death has no day, or is not among those of 3 months; or somebody was lost, and fewer died than survival "
        "alone says; or days were not whole."
    )
    yield _Relation(
        "The median day of death is possible for the number of deaths.",
        f"{_quartile_keys('death_day', CAPLACIZUMAB)} survival_3_months/caplacizumab",
        f"{_span(deaths)} deaths; in whole days the median is possible for {', '.join(map(str, possible)) or none}",
        _verdict(possible),
        f"A median halfway between two whole days needs an even number of days of death.{'' if possible else reason}",
    )
    yield _Relation(
        "Days of death are counted from the first plasma exchange, or from the first dose.",
        _quartile_keys("days_from_first_dose", CAPLACIZUMAB),
        "",
        UNCHECKABLE,
        "The abstract does not say from which day it counts.",
    )


def _failure(abstract: _Abstract) -> Iterator[_Relation]:
    rows = [f"failure_risk_ratio{end}" for end in ("", "_lower", "_upper")]
    keys, (ratio, lower, upper) = (
        " ".join(f"{row}/difference" for row in rows),
        (abstract(row, "difference") for row in rows),
    )
    found = ratio_interval_consistency(ratio, lower, upper)
    yield _Relation(
        "The ratio of failures lies in the middle of its limits on the log scale.",
        keys,
        f"limits imply {found.implied:.3f}; rounding allows {found.lowest:.3f} to {found.highest:.3f}",
        _verdict(found.consistent),
        "Wald limits are symmetric on the log scale; profile and exact limits need not be.",
    )
    p = p_from_interval(ratio, lower, upper)
    yield _Relation(
        "The p value of failures fits the limits.",
        f"{keys} failure_p/difference",
        f"p {p:.1g}",
        _verdict(p < abstract("failure_p", "difference")),
        "From the width of the interval as printed (Altman and Bland).",
    )
    pairs = implied_events(ratio, lower, upper, *map(abstract.patients, ARMS))
    fewest = [deaths[0] if (deaths := abstract.deaths(arm)) else 0 for arm in ARMS]
    with_deaths = pairs[(pairs["events_1"] >= fewest[0]) & (pairs["events_0"] >= fewest[1])]
    yield _Relation(
        "The ratio of failures leaves room for the deaths, which are failures where they came before a response.",
        f"{keys} {_of_arms('patients')} {_of_arms('survival_3_months')}",
        f"as a risk ratio of all patients: {_pairs(pairs)}; with {fewest[0]} and {fewest[1]} deaths among them: "
        f"{_pairs(with_deaths)}",
        _verdict(len(with_deaths)),
        "If every death came before a response, failures are at least as many as deaths. The abstract names neither "
        "the kind of ratio nor how many failed.",
    )


def _pairs(pairs: pd.DataFrame) -> str:
    if pairs.empty:
        return "no whole numbers"
    one, two = (range(pairs[column].min(), pairs[column].max() + 1) for column in ("events_1", "events_0"))
    return f"{_span(one)} against {_span(two)} failures"


def _course(abstract: _Abstract) -> Iterator[_Relation]:
    for row, with_it in (("refractory", "refractory disease"), ("exacerbation", "an exacerbation")):
        numbers = abstract.numerators(row, "early")
        yield _Relation(
            f"The percentage of early starters with {with_it} is that of whole patients.",
            f"{row}/early patients/early",
            f"{_span(numbers)} of {abstract.patients('early')}",
            _verdict(numbers),
            "If it was assessed in all early starters.",
        )
    after_stop, most = abstract.count("exacerbation_after_stop_undetectable"), _last(numbers)
    others, not_early = max(after_stop - most, 0), abstract.patients() - abstract.patients("early")
    yield _Relation(
        "Exacerbations after stopping are among all exacerbations.",
        "exacerbation_after_stop_undetectable/caplacizumab exacerbation/early patients/early patients/caplacizumab",
        f"{after_stop} after stopping, at most {most} of them in early starters: at least {others} in the other "
        f"{not_early} "
        "patients",
        CONSISTENT if others <= not_early else INCONSISTENT,
        "More exacerbated after stopping than early starters exacerbated at all, so that some began late, or their "
        "start was not recorded."
        if others
        else "All of them can have been early starters.",
    )


def _times(abstract: _Abstract) -> Iterator[_Relation]:
    rows = {"early": "response_day", "delayed": "days_from_caplacizumab_to_response"}
    for group, row in rows.items():
        patients = abstract.patients(group)
        possible = abstract.possible_quartiles(row, group, range(max(patients - 1, 1), patients + 1))
        numbers = ("no", "one kind of", "an even or odd")[len(possible)]
        yield _Relation(
            f"The median and quartiles of the {group} starters' time to response are possible in whole days.",
            f"{_quartile_keys(row, group)} patients/{group}",
            f"possible for {numbers} number of responders",
            _verdict(possible),
            "The abstract does not print how many responded.",
        )
    early, delayed = (abstract(f"{row}_median", group) for group, row in rows.items())
    alike = early == delayed and abstract("time_to_response_p", "difference") >= 0.05
    yield _Relation(
        "The p value of the times to response fits their medians.",
        f"{' '.join(f'{row}_median/{group}' for group, row in rows.items())} time_to_response_p/difference",
        f"medians differ by {abs(early - delayed):g} days",
        CONSISTENT if alike else UNCHECKABLE,
        "Equal medians go with a large p value. The p value itself needs the patients' days: a rank test compares "
        "whole distributions."
        if alike
        else "A rank test compares whole distributions: their medians do not decide it.",
    )
    ratio = abstract("time_to_response_ratio", "difference")
    low, high = (early / float(limit) for limit in reversed(printed_range(ratio, printed_decimals(ratio))))
    yield _Relation(
        "Early starters' time to response is about half of the controls' among survivors.",
        "time_to_response_ratio/difference response_day_median/early",
        f"a median of {low:.1f} to {high:.1f} days in controls",
        UNCHECKABLE,
        "The controls' median is not printed, nor the early survivors'.",
    )
    yield _Relation(
        "The p value of ADAMTS13 recovery fits the days of recovery.",
        "adamts13_recovery_p/difference",
        "",
        UNCHECKABLE,
        "The abstract prints no days, percentages or ratio of recovery.",
    )


def _adverse_events(abstract: _Abstract) -> Iterator[_Relation]:
    def keys(*kinds: str, whats: tuple[str, ...] = ("patients", "percent")) -> str:
        return " ".join(f"{kind}_{what}/{CAPLACIZUMAB}" for kind in kinds for what in whats)

    patients = abstract.patients()
    kinds = [kind for kind in ADVERSE_EVENTS if keys(kind, whats=("patients",)) in abstract.figures]
    counts, denominators = {}, {}
    for kind in ("any_adverse_event", *kinds):
        counts[kind], percent = abstract.count(f"{kind}_patients"), abstract(f"{kind}_percent")
        fits = implied_denominators(counts[kind], percent, printed_decimals(percent), patients)
        denominators[kind] = set(fits)
        if patients in fits:
            verdict, why = CONSISTENT, "The printed percentage is that of all patients."
        elif fits:
            verdict = UNEXPLAINED
            why = (
                "It is a percentage of fewer patients, presumably of those in whom it was assessed; the abstract does "
                "not print how many."
            )
        else:
            verdict, why = INCONSISTENT, "No number of patients up to all of them gives this percentage."
        yield _Relation(
            f"{abstract.figures[keys(kind).split()[0]].label}: number and percentage have all patients as their "
            f"denominator.",
            f"{keys(kind)} patients/{CAPLACIZUMAB}",
            f"of {_span(fits)} patients",
            verdict,
            why,
        )
    pairs = itertools.combinations(kinds, 2)
    apart = [f"{one} and {two}" for one, two in pairs if not denominators[one] & denominators[two]]
    yield _Relation(
        "The kinds of adverse events have one denominator.",
        keys(*kinds),
        f"no denominator in common: {', '.join(apart).replace('_', ' ')}" if apart else "one in common for each two",
        _verdict(not apart),
        "Each kind was assessed in other patients, so that the percentages must not be added or compared without their "
        "denominators."
        if apart
        else "One number of patients can stand under all.",
    )
    any_event, numbers = counts.pop("any_adverse_event"), counts.values()
    more = any_event - sum(numbers)
    yield _Relation(
        "Patients with any adverse event are those with one of the kinds.",
        keys("any_adverse_event", *kinds, whats=("patients",)),
        f"{_sum(numbers)} for {any_event} patients" + (f"; at least {more} with other events only" if more > 0 else ""),
        INCONSISTENT if any_event < max(numbers) else _verdict(more <= 0),
        "Even if nobody had two kinds, these kinds do not make up all patients with an event: others had events of a "
        "kind that is not printed."
        if more > 0
        else "Patients can have several kinds.",
    )
    sites = {
        key: int(figure.value)
        for key, figure in abstract.figures.items()
        if figure.source[0] == "table5" and figure.source[3] == "count"
    }
    major, listed = counts["major_bleeding"], sum(sites.values())
    elsewhere = major - listed
    yield _Relation(
        "The sites of major bleeding are those of all patients with one.",
        f"{keys('major_bleeding', whats=('patients',))} {' '.join(sites)}",
        f"{_sum(sites.values())} of {major}" + (f"; at least {elsewhere} elsewhere" if elsewhere > 0 else ""),
        INCONSISTENT if max(sites.values(), default=0) > major else _verdict(elsewhere <= 0),
        "Not all sites are listed, or not all are stated."
        if elsewhere > 0
        else "A patient can have bled at several sites.",
    )
