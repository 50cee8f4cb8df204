"""The study's results as a protecting profile shows them: which counts a table prints, and what is shown instead.

The thresholds and their limits are in ``profiles``; what must go with a small count is in ``suppression``. Nothing here
can be switched off. Reading and writing files does not belong here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from capla_etl.disclosure.profiles import Profile, Protection
from capla_etl.disclosure.protected_curves import patients_of
from capla_etl.disclosure.suppression import CountRules, Counts, Known, suppress
from capla_etl.stats.contingency import chi_squared
from capla_etl.stats.distributions import smd_categorical
from capla_etl.stats.proportions import miettinen_nurminen_ratio, newcombe_difference, wilson
from capla_etl.tables import cells
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.population import ARMS
from capla_etl.tables.results import COLUMNS, KEY, join_caveats
from capla_etl.tables.structure import FLOW_GROUPS, FLOW_ROWS, PARTS, SAME, SCORES, SUMS, Place, Structure
from capla_etl.tables.table7 import FOUR_CELLS, cohen_kappa

# One text for all, so that it does not tell the small counts from those suppressed for their sake.
SUPPRESSED = "suppressed: fewer than {}, or such a count would follow from it"
WITHHELD = "withheld: "
# Exact limits of a survival or incidence, however rounded, say more of its events than the rounded number does, and so
# does a test on the exact data.
NO_INTERVAL = "interval withheld: it would narrow a rounded count"
NO_TEST = f"{WITHHELD}it would narrow a rounded count"


_QUARTILES = ("median", "q1", "q3")
# Rows of survival and incidence; those of their cells that have no n are estimates.
_OVER_TIME = ("survival_", "response_by_day_", "death_without_response_by_day_")


def _place(place: Place) -> Place:
    """The place of a count, under one name: a count is its own n, and median and quartiles have the same n and N."""
    statistic = "median" if place.statistic in _QUARTILES else place.statistic
    own_n = statistic in ("count", "at_risk") and place.column == "value"
    return place._replace(statistic=statistic, column="n" if own_n else place.column)


@dataclass(frozen=True)
class Publication:
    """What was published earlier.

    Attributes:
        results: ``study.result`` of then, whole, as computed.
        protected: what was shown of it.
        same_patients: whether the study of then and of now are the same patients with the same values.
    """

    results: pd.DataFrame
    protected: pd.DataFrame
    same_patients: bool


class _StudyCounts:
    """Every count that ``study.result`` prints, and how they add up.

    Equal denominators of one group are taken for the same quantity in all tables, and equal counts of
    one group in one table too: suppressing one suppresses all.
    """

    def __init__(self, results: pd.DataFrame, rules: CountRules) -> None:
        self.rules, self.counts = rules, Counts()
        self.name_of: dict[Place, tuple | Place] = {}
        for line in results.itertuples(index=False):
            self._line(line)
        self._add_up(Structure(results[KEY].itertuples(index=False, name=None)))

    def _show(self, place: Place, group: str, count: int) -> None:
        size = place.column == "n_assessed" or (place.table_id == "flow" and place.row in FLOW_GROUPS)
        # Small ones keep their own names: two times three patients need not be the same three.
        name = place if self.rules.small(count) else ("N" if size else place.table_id, group, count)
        self.name_of[place] = name
        self.counts.shown[name] = count

    def _true(self, place: Place) -> int:
        return self.counts.true(self.name_of[place])

    def _add(self, whole: Place, *parts: Place) -> None:
        """The parts add up to the whole, where the table has all of them and nothing else is in it."""
        if {whole, *parts} <= self.name_of.keys() and self._true(whole) == sum(map(self._true, parts)):
            names = self.name_of[whole], tuple(self.name_of[part] for part in parts)
            if names[1] != (names[0],) and names not in self.counts.sums:
                self.counts.sums.append(names)

    def _at_least(self, whole: Place, part: Place, rest: str) -> None:
        """One count is part of another; the rest is not printed."""
        if {whole, part} <= self.name_of.keys() and self._true(whole) >= self._true(part):
            hidden = part._replace(column=rest)
            self.name_of[hidden] = hidden
            self.counts.hidden[hidden] = self._true(whole) - self._true(part)
            self._add(whole, part, hidden)

    def _line(self, line) -> None:
        place = _place(Place(line.table_id, line.row, line.group, line.statistic, "n"))
        whole, kind = place._replace(column="n_assessed"), place.statistic
        group = FLOW_GROUPS.get(line.row, line.group) if line.table_id == "flow" else line.group
        n, n_assessed = (None if pd.isna(number) else int(number) for number in (line.n, line.n_assessed))
        if n_assessed is not None and line.group != "difference":
            self._show(whole, group, n_assessed)
        if kind in ("count", "at_risk", "median") and n is not None:
            self._show(place, group, n)
        elif kind == "percent" and n_assessed is not None:
            n = n if n is not None else patients_of(100 - line.value if _alive(line) else line.value, n_assessed)
            if n is not None:
                self._show(place, group, n)
                # Those without are as good as printed: a percentage needs both to be large enough.
                self._at_least(whole, place, "without")
                if self.rules.small(n_assessed - n):
                    self.counts.never.add(self.name_of[place])
        if kind == "median":
            self._at_least(whole, place, "no value")

    def _add_up(self, structure: Structure) -> None:
        for relation in (*SUMS, *SAME):
            for left, right in structure.expanded(relation):
                self._add(*map(_place, (*left, *right)))
        for relation in PARTS:
            for (whole, *_), (part, *_) in structure.expanded(relation) if relation.rest else ():
                self._at_least(_place(whole), _place(part), relation.rest)
        # Consecutive printed days differ by those who had the event, or left, between them.
        for curve in structure.curves():
            for (day, one), (_, two) in pairwise(curve.days):
                both = [place._replace(column="n") for place in (one, two)]
                self._at_least(*(both if one.statistic == "at_risk" else reversed(both)), f"after day {day}")

    def remember(self, number: int, publication: Publication, chosen: Profile) -> None:
        """Take in what a publication of the same profile says; every count of now is linked to the one of then."""
        then = _StudyCounts(_kept(publication.results, chosen), self.rules)
        printed = {then.name_of[place] for place in _printed_places(publication.protected) & then.name_of.keys()}

        def named(name: tuple | Place) -> tuple:
            return ("earlier", number, name)

        for name, count in then.counts.shown.items():
            interval = self.rules.shown_interval if name in printed else self.rules.suppressed_interval
            self.counts.known[named(name)] = Known(count, *interval(count))
        self.counts.hidden |= {named(name): count for name, count in then.counts.hidden.items()}
        self.counts.sums += [(named(whole), tuple(map(named, parts))) for whole, parts in then.counts.sums]
        links = {(self.name_of[place], then.name_of[place]) for place in self.name_of.keys() & then.name_of.keys()}
        for now, before in sorted(links, key=str):
            self._link(now, named(before), publication.same_patients)

    def remember_abstract(self) -> None:
        """Take in the counts of the abstract, which everybody knows exactly."""
        for figure in FIGURES:
            place = _place(Place(*figure.source, "n"))
            if figure.unit == "patients" and place in self.name_of:
                count = int(figure.value)
                self.counts.known["abstract", place] = Known(count, count, count)
                self._link(self.name_of[place], ("abstract", place), same=False)

    def _link(self, now: tuple | Place, before: tuple, same: bool) -> None:
        """A count of now is that of before, with more or fewer patients; the attacker knows which of the two."""
        change = self.counts.true(now) - self.counts.true(before)
        if same and not change:
            self.counts.sums.append((now, (before,)))
        else:
            self.counts.hidden["since", now, before] = abs(change)
            more, less = (now, before) if change >= 0 else (before, now)
            self.counts.sums.append((more, (less, ("since", now, before))))


def _printed_places(protected: pd.DataFrame) -> set[Place]:
    """The places of counts that a reader of a protected table can see or compute from what is printed."""
    sources = {(figure.row, figure.group): figure.source for figure in FIGURES if figure.column == "value"}
    seen = set()
    for line in protected.itertuples(index=False):
        if line.table_id == "as_published":
            if line.statistic != "computed" or (line.row, line.group) not in sources:
                continue
            at = sources[line.row, line.group]
        else:
            at = line[:4]
        if not pd.isna(line.n_assessed):
            seen.add(_place(Place(*at, "n_assessed")))
        if not pd.isna(line.n) or (line.statistic == "percent" and not pd.isna(line.value)):
            seen.add(_place(Place(*at, "n")))
    return seen


def _alive(line) -> bool:
    """Whether a percentage is of those to whom nothing happened: their events are what is counted."""
    return pd.isna(line.n) and line.row.startswith("survival_")


def protect_results(results: pd.DataFrame, chosen: Profile, earlier: Sequence[Publication] = ()) -> pd.DataFrame:
    """``study.result`` with small counts suppressed and everything else computed from rounded counts.

    Args:
        results: ``study.result``, whole: a count is safe only when every table that prints it is there.
        chosen: a profile with protection.
        earlier: what was published before under this profile; the abstract is always known.

    Returns:
        The rows of the profile's tables, without those by centre. A suppressed cell has no value, no counts and a
        caveat that begins "suppressed: " (or "withheld: " where it is not a count that forbids it). No other caveat
        holds a number.
    """
    study = _StudyCounts(_kept(results, chosen), chosen.protection.counts)
    study.remember_abstract()
    for number, publication in enumerate(earlier):
        study.remember(number, publication, chosen)
    protected = _Protected(_kept(results, chosen), study, chosen.protection).cells()
    shown = [line for line in protected if line["table_id"] in chosen.tables]
    published = results[(results["table_id"] == "as_published") & ("as_published" in chosen.tables)].astype(COLUMNS)
    return pd.DataFrame([*shown, *_as_published(published, protected)], columns=list(COLUMNS)).astype(COLUMNS)


def _kept(results: pd.DataFrame, chosen: Profile) -> pd.DataFrame:
    """The rows whose numbers the profile shows, each once; those that only ``as_published`` prints by their sources."""
    results = results.astype(COLUMNS)
    flow = results["table_id"] == "flow"
    kept = results[
        results["table_id"].isin(chosen.tables)
        & ~(flow & ~((results["group"] == "all") & results["row"].isin(FLOW_ROWS)))
    ]
    published = kept[kept["table_id"] == "as_published"]
    others = [kept[kept["table_id"] != "as_published"], _only_published(published, kept)]
    return pd.concat(others, ignore_index=True).astype(COLUMNS)


def _only_published(published: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The cells that only ``as_published`` prints, by their sources, so that they are protected like all others."""
    printed = set(map(tuple, kept[KEY].to_numpy()))
    computed = {
        (line.row, line.group): line for line in published[published["statistic"] == "computed"].itertuples(index=False)
    }
    rows = {}
    for figure in FIGURES:
        line = computed.get((figure.row, figure.group))
        if line is not None and figure.column == "value" and figure.source not in printed:
            rows[figure.source] = line._asdict() | dict(zip(KEY, figure.source, strict=True))
    return pd.DataFrame(rows.values(), columns=list(COLUMNS)).astype(COLUMNS)


class _Protected:
    """Cells of ``study.result``, one by one, from the counts that may be printed."""

    def __init__(self, results: pd.DataFrame, study: _StudyCounts, rules: Protection) -> None:
        self.results, self.study, self.rules = results, study, rules
        self.printed = suppress(self.study.counts, rules.counts)
        self.suppressed = SUPPRESSED.format(rules.suppress_below)
        self.rounded = f"from counts rounded to multiples of {rules.round_to}"
        self.done: dict[tuple, dict] = {}

    def cells(self) -> list[dict]:
        """All cells in their order; comparisons after the groups that they compare."""
        lines = list(self.results.itertuples(index=False))
        for line in sorted(lines, key=lambda line: line.group == "difference"):
            self.done[line[:4]] = self._cell(line)
        return [self.done[line[:4]] for line in lines]

    def _count_of(self, line, column: str) -> int | None:
        """The printed count in a cell; None where it is suppressed or there is none."""
        name = self.study.name_of.get(_place(Place(*line[:4], column)))
        return self.printed.get(name) if name is not None else None

    def _cell(self, line) -> dict:
        if line.group == "difference":
            return self._comparison(line)
        if pd.isna(line.value):
            return self._shown(line, None, caveat="not estimable: no patient, or no value known")
        quartiles = dict.fromkeys(_QUARTILES, self._quartile)
        make = {
            "count": self._count,
            "at_risk": self._count,
            "percent": self._percent,
            "kappa": self._kappa,
            **quartiles,
        }
        return make.get(line.statistic, self._no_rule)(line)

    def _shown(self, line, value: float | None, *, caveat: str | None = None, **numbers) -> dict:
        method = _without_interval(line.method) if pd.isna(line.n) and line.row.startswith(_OVER_TIME) else line.method
        # A caveat that counts patients ("not assessed: 3 of 942") is not repeated.
        parts = [] if pd.isna(line.caveat) else line.caveat.split("; ")
        kept = join_caveats(*(part for part in parts if not re.search(r"\d", part)))
        texts = {
            "method": join_caveats(method, self.rounded if self._from_counts(line) else None),
            "caveat": caveat or kept,
        }
        return dict.fromkeys(COLUMNS) | dict(zip(KEY, line[:4], strict=True)) | {"value": value} | numbers | texts

    def _from_counts(self, line) -> bool:
        """Whether a number of this kind is computed from counts, and so from rounded ones."""
        if line.statistic in ("p_value", "smd"):
            return (line.table_id, line.row, ARMS[0], "percent") in self.done and not line.row.startswith("survival_")
        return line.statistic not in (*_QUARTILES, "median_difference")

    def _without(self, line, caveat: str | None = None) -> dict:
        return self._shown(line, None, caveat=caveat or self.suppressed)

    def _no_rule(self, line) -> dict:
        return self._without(line, f"{WITHHELD}no rule says when this may be shown")

    def _count(self, line) -> dict:
        n = self._count_of(line, "n")
        if n is None:
            return self._without(line)
        return self._shown(line, n, n=n, n_assessed=self._count_of(line, "n_assessed"))

    def _percent(self, line) -> dict:
        n, n_assessed = self._count_of(line, "n"), self._count_of(line, "n_assessed")
        if n is None or not n_assessed:
            return self._without(line)
        n = min(n, n_assessed)
        if not pd.isna(line.n):
            lower, upper = (100 * limit for limit in wilson(n, n_assessed))
            return self._shown(line, 100 * n / n_assessed, n=n, n_assessed=n_assessed, lower=lower, upper=upper)
        value = 100 * (n_assessed - n if _alive(line) else n) / n_assessed
        return self._no_interval(self._shown(line, value, n_assessed=n_assessed))

    def _no_interval(self, shown: dict) -> dict:
        """A cell without its interval, and the same words whether it had one or not."""
        kept = [part for part in (shown["caveat"] or "").split("; ") if not part.startswith("no interval")]
        return shown | {"caveat": join_caveats(NO_INTERVAL, *kept)}

    def _quartile(self, line) -> dict:
        n, enough = self._count_of(line, "n"), self.rules.quartiles_from_patients
        if n is None:
            return self._without(line)
        if line.n < enough:
            return self._without(line, f"{WITHHELD}quartiles of fewer than {enough} patients")
        return self._shown(line, line.value, n=n, n_assessed=self._count_of(line, "n_assessed"))

    def _kappa(self, line) -> dict:
        rows = [f"{line.row.removesuffix('_kappa')}_{name}" for name, _, _ in FOUR_CELLS]
        four = [self.done.get((line.table_id, row, line.group, "count"), {}).get("value") for row in rows]
        if None in four or pd.isna((kappa := cohen_kappa([four[:2], four[2:]])).value):
            return self._without(line)
        limits = {"lower": cells.known(kappa.lower), "upper": cells.known(kappa.upper)}
        return self._shown(line, kappa.value, n_assessed=self._count_of(line, "n_assessed"), **limits)

    def _comparison(self, line) -> dict:
        """A comparison of the two arms: computed from what is printed of them, or not at all."""
        percents, medians = (
            [self.done[key] for arm in ARMS if (key := (line.table_id, line.row, arm, statistic)) in self.done]
            for statistic in ("percent", "median")
        )
        both = percents if len(percents) == 2 else medians
        if len(both) < 2:
            return self._without(line, f"{WITHHELD}no count beside it says whether it may be shown")
        if missing := [arm["caveat"] or "" for arm in both if arm["value"] is None]:
            return self._without(line, max(missing))
        if line.row in SCORES:
            return self._scores(line)
        if both is medians:
            return self._of_values(line)
        return self._of_survival(line, both) if both[0]["n"] is None else self._of_counts(line, both)

    def _of_counts(self, line, both: list[dict]) -> dict:
        counts = tuple(number for arm in both for number in (arm["n"], arm["n_assessed"]))
        limits = (None, None)
        if line.statistic == "p_value":
            value = cells.p_of_proportions(counts, cells.proportions_named(line.method))
        elif line.statistic == "smd":
            value = smd_categorical(*([arm["n_assessed"] - arm["n"], arm["n"]] for arm in both))
        elif line.statistic == "risk_difference":
            value, *limits = (100 * limit for limit in newcombe_difference(*counts))
        elif line.statistic == "risk_ratio":
            value, *limits = miettinen_nurminen_ratio(*counts)
        else:
            return self._no_rule(line)
        lower, upper = (None if limit is None else cells.finite(limit) for limit in limits)
        return self._computed(line, value, lower=lower, upper=upper)

    def _computed(self, line, value: float, **limits) -> dict:
        """What follows from rounded counts, if anything does."""
        if not math.isfinite(value):
            return self._without(line, "not estimable: from rounded counts")
        return self._shown(line, value, p_value=value if line.statistic == "p_value" else None, **limits)

    def _of_survival(self, line, both: list[dict]) -> dict:
        if line.statistic == "p_value":
            return self._without(line, NO_TEST)
        if line.statistic != "risk_difference":
            return self._no_rule(line)
        return self._no_interval(self._shown(line, both[0]["value"] - both[1]["value"]))

    def _of_values(self, line) -> dict:
        if line.statistic not in ("p_value", "smd", "median_difference"):
            return self._no_rule(line)
        if pd.isna(line.value):
            reason = "no test" if line.statistic == "p_value" else "too few known, or no variation"
            return self._without(line, f"not estimable: {reason}")
        if line.statistic == "smd":
            return self._shown(line, round(line.value, self.rules.smd_decimals))
        if line.statistic == "median_difference":
            return self._shown(line, line.value, lower=cells.known(line.lower), upper=cells.known(line.upper))
        p = float(f"{line.value:.{self.rules.p_significant_digits - 1}e}")
        return self._shown(line, p, p_value=p)

    def _scores(self, line) -> dict:
        """The distribution of the severity score, compared as a whole."""
        levels = [[self.done[line.table_id, score, arm, "percent"]["n"] for score in SCORES] for arm in ARMS]
        if any(number is None for arm in levels for number in arm):
            return self._without(line)
        return self._computed(line, chi_squared(levels) if line.statistic == "p_value" else smd_categorical(*levels))


def _without_interval(method: str) -> str:
    """A method as it is named where there is no interval."""
    return "; ".join(part for part in method.split("; ") if not part.startswith("95 % CI"))


def _as_published(published: pd.DataFrame, protected: list[dict]) -> list[dict]:
    """The published figures, which are known to everybody, and what is printed of their counterparts."""
    source = {tuple(line[name] for name in KEY): line for line in protected}
    figures = {(figure.row, figure.group): figure for figure in FIGURES}
    rows = []
    for own in published.to_dict("records"):
        figure = figures.get((own["row"], own["group"]))
        if figure is None:
            continue
        if own["statistic"] != "published":
            found = source[figure.source]
            value = found[figure.column]
            caveat = found["caveat"] or ("not estimable: no interval" if value is None else None)
            if own["statistic"] == "computed":
                own |= {name: found[name] for name in ("n", "n_assessed", "method")} | {
                    "value": value,
                    "caveat": caveat,
                }
                own |= {
                    name: found[name] if figure.column == "value" else None for name in ("lower", "upper", "p_value")
                }
            else:
                own["value"] = None if value is None or figure.bound else value - figure.value
                own["caveat"] = caveat if value is None else own["caveat"]
        rows.append(own)
    return rows
