"""Small counts that nobody may learn: which further counts must go so that none follows from sums and differences.

Counts and how they add up come in; what to show comes out. What the counts mean does not belong here.

The attacker for whom this is made knows the rules, which printed counts were suppressed for being small, how all
counts add up, and everything that was published earlier. From every rounded number he takes the interval of true ones.
A small count is safe while he finds enough values possible for it; how far a count moved since is such a count too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

Name = Hashable
INFINITE = math.inf


@dataclass(frozen=True)
class CountRules:
    """``suppress_below``: smallest count shown other than zero; ``round_to``: base.

    ``possible_values_from``: how many values must stay possible for a suppressed count (see the module);
    ``possible_unprinted_from`` for a count that nobody prints, of which an attacker does not know that it is small.
    """

    suppress_below: int
    round_to: int
    possible_values_from: int
    possible_unprinted_from: int

    def rounded(self, count: float) -> int:
        """The nearest multiple of the base (halves up)."""
        return self.round_to * math.floor(count / self.round_to + 0.5)

    def small(self, count: float) -> bool:
        """Whether a count may not be shown."""
        return 0 < count < self.suppress_below

    def shown_interval(self, count: int) -> tuple[int, int]:
        """The true counts that give the same printed number."""
        if not count:
            return 0, 0
        middle = self.rounded(count)
        lowest = math.ceil(middle - self.round_to / 2)
        return max(self.suppress_below, lowest), lowest + self.round_to - 1

    def suppressed_interval(self, count: int) -> tuple[float, float]:
        """The true counts for which nothing is printed, once one knows whether it is for being small."""
        # A zero can be suppressed too, where nearly everybody is without: the true count must lie in its own range.
        return (1, self.suppress_below - 1) if self.small(count) else (min(1, count), INFINITE)


@dataclass(frozen=True)
class Known:
    """A count of an earlier publication: the true one, and the lowest and highest that what it printed allows."""

    true: int
    lowest: float
    highest: float


@dataclass
class Counts:
    """Counts of one publication and how they add up.

    Attributes:
        shown: true counts that are to be printed.
        hidden: true counts that nobody prints but that follow from printed ones (patients left, patients missing); they
            can be zero.
        known: counts of earlier publications, which nobody can take back.
        sums: (whole, parts): the parts, shown or hidden, add up to the whole. A part named twice counts twice.
        never: shown counts that must be suppressed at any size.
    """

    shown: dict[Name, int] = field(default_factory=dict)
    hidden: dict[Name, int] = field(default_factory=dict)
    known: dict[Name, Known] = field(default_factory=dict)
    sums: list[tuple[Name, tuple[Name, ...]]] = field(default_factory=list)
    never: set[Name] = field(default_factory=set)

    def true(self, name: Name) -> int:
        """The true count."""
        if name in self.known:
            return self.known[name].true
        return self.shown[name] if name in self.shown else self.hidden[name]

    def check(self) -> None:
        """Raises ValueError when a count is negative or a sum does not hold: intervals would mean nothing."""
        if any(count < 0 for count in (*self.shown.values(), *self.hidden.values())):
            raise ValueError("a count is negative")
        for whole, parts in self.sums:
            if self.true(whole) != sum(self.true(part) for part in parts):
                raise ValueError(
                    f"{whole} is {self.true(whole)}, its parts add up to {sum(self.true(part) for part in parts)}"
                )


def suppress(counts: Counts, rules: CountRules) -> dict[Name, int | None]:
    """What to print of each shown count.

    Returns:
        The rounded count, or None where it is suppressed: for being small, or so that no small count follows from the
            others.

    Raises:
        ValueError: as ``Counts.check``.

    Source:
        Primary and secondary cell suppression, Hundepool et al., Statistical Disclosure Control (2012), chapter 4; the
        audit by linear programming.
    """
    counts.check()
    suppressed = {name for name, count in counts.shown.items() if rules.small(count)} | (
        counts.never & set(counts.shown)
    )
    audit = _Audit(counts, rules, suppressed)
    while exposed := audit.exposed(audit.lacking_by_sums()) or audit.exposed(audit.lacking()):
        audit.suppress_for(exposed)
    audit.show_again()
    return {name: None if name in audit.suppressed else rules.rounded(count) for name, count in counts.shown.items()}


class _Audit:
    """What an attacker can say of the small counts, and which count to suppress next."""

    def __init__(self, counts: Counts, rules: CountRules, suppressed: set[Name]) -> None:
        self.counts, self.rules, self.primary, self.suppressed = counts, rules, frozenset(suppressed), set(suppressed)
        # What was published as it is, the abstract, needs no protection.
        secret = (name for name, known in counts.known.items() if known.lowest < known.highest)
        self.small = [name for name in (*counts.shown, *counts.hidden, *secret) if rules.small(counts.true(name))]
        self.needed = {
            name: rules.possible_unprinted_from if name in counts.hidden else rules.possible_values_from
            for name in self.small
        }
        self.neighbours = _neighbours(counts.sums)
        self.systems = [(members, _System(members, counts)) for members in _components(self.neighbours, self.small)]

    def exposed(self, lacking: dict[Name, float]) -> list[Name]:
        """Small counts that lack possible values, where something near them can still be suppressed."""
        return [name for name in lacking if self._nearest(name)]

    def lacking_by_sums(self, also: frozenset = frozenset()) -> dict[Name, float]:
        """Possible values that exposed counts lack, sum by sum: quick, not complete. ``also``: as if suppressed."""
        ranges = _intervals(self.counts, self.rules, self.suppressed | also)
        _narrow(ranges, self.counts.sums)
        lacks = {name: self.needed[name] - (ranges[name][1] - ranges[name][0] + 1) for name in self.small}
        return {name: number for name, number in lacks.items() if number > 0}

    def lacking(self) -> dict[Name, float]:
        """How many possible values exposed counts lack, all sums taken together."""
        ranges = _intervals(self.counts, self.rules, self.suppressed)
        lacks = {}
        for members, solve in self.systems:
            lacks |= solve([ranges[name] for name in members], self.needed)
        return lacks

    def suppress_for(self, exposed: list[Name]) -> None:
        """Suppress the one printed count near an exposed one that helps most, the smallest of equals."""
        candidates = dict.fromkeys(other for name in exposed for other in self._nearest(name))

        helps = {name: sum(self.lacking_by_sums(frozenset({name})).values()) for name in candidates}
        self.suppressed.add(min(candidates, key=lambda name: (helps[name], self.counts.shown[name], str(name))))

    def show_again(self) -> None:
        """Take back, the largest first, what later suppressions have made unnecessary."""
        before = self.lacking()
        for name in sorted(self.suppressed - self.primary, key=lambda name: (-self.counts.shown[name], str(name))):
            self.suppressed.remove(name)
            if any(
                number > before.get(other, 0)
                for lacking in (self.lacking_by_sums, self.lacking)
                for other, number in lacking().items()
            ):
                self.suppressed.add(name)

    def _nearest(self, name: Name) -> list[Name]:
        """Printed counts other than zero in the fewest sums' distance from a count."""
        seen, ring = {name}, self.neighbours.get(name, set())
        while ring:
            found = [other for other in ring if other not in self.suppressed and self.counts.shown.get(other)]
            if found:
                return found
            seen |= ring
            ring = set().union(*(self.neighbours.get(other, set()) for other in ring)) - seen
        return []


def _intervals(counts: Counts, rules: CountRules, suppressed: set[Name]) -> dict[Name, tuple[float, float]]:
    """What each number says by itself."""
    ranges: dict[Name, tuple[float, float]] = dict.fromkeys(counts.hidden, (0, INFINITE))
    ranges |= {name: (known.lowest, known.highest) for name, known in counts.known.items()}
    for name, count in counts.shown.items():
        ranges[name] = rules.suppressed_interval(count) if name in suppressed else rules.shown_interval(count)
    return ranges


def _narrow(ranges: dict[Name, tuple[float, float]], sums: Iterable[tuple[Name, tuple[Name, ...]]]) -> None:
    """Each sum limits each of its members by all the others, again and again until nothing changes."""
    changed = True
    while changed:
        changed = False
        for whole, parts in sums:
            low, high = sum(ranges[part][0] for part in parts), sum(ranges[part][1] for part in parts)
            limits = [(whole, low, high)]
            for position, part in enumerate(parts):
                others = [ranges[other] for place, other in enumerate(parts) if place != position]
                limits.append(
                    (
                        part,
                        ranges[whole][0] - sum(other[1] for other in others),
                        ranges[whole][1] - sum(other[0] for other in others),
                    )
                )
            for name, at_least, at_most in limits:
                narrowed = max(ranges[name][0], at_least), min(ranges[name][1], at_most)
                if narrowed != ranges[name]:
                    ranges[name], changed = narrowed, True


def _neighbours(sums: Iterable[tuple[Name, tuple[Name, ...]]]) -> dict[Name, set[Name]]:
    found: dict[Name, set[Name]] = {}
    for whole, parts in sums:
        for name in (whole, *parts):
            found.setdefault(name, set()).update({whole, *parts} - {name})
    return found


class _System:
    """The sums that connect some counts, as linear equations."""

    def __init__(self, members: list[Name], counts: Counts) -> None:
        from scipy.sparse import lil_matrix

        self.position = {name: place for place, name in enumerate(members)}
        self.true = [counts.true(name) for name in members]
        own = [(whole, parts) for whole, parts in counts.sums if whole in self.position]
        matrix = lil_matrix((len(own), len(members)))
        for line, (whole, parts) in enumerate(own):
            matrix[line, self.position[whole]] += 1
            for part in parts:
                matrix[line, self.position[part]] -= 1
        self.matrix = matrix.tocsr()

    def __call__(self, ranges: list[tuple[float, float]], needed: dict[Name, int]) -> dict[Name, float]:
        """How many possible values each needed count lacks when every count lies in its range.

        Every solution found shows values of all counts at once, so that most counts need no search of their own.
        """
        import numpy as np
        from scipy.optimize import linprog

        bounds = [(low, None if high == INFINITE else high) for low, high in ranges]
        lowest, highest = np.array(self.true, float), np.array(self.true, float)
        lacks = {}
        for name, place in self.position.items():
            for sign in (1, -1):
                if name not in needed or self._possible(lowest[place], highest[place]) >= needed[name]:
                    break
                goal = np.zeros(len(bounds))
                goal[place] = sign
                # Far enough is enough: an end that is open would have no solution to learn from.
                limited = [
                    *bounds[:place],
                    (bounds[place][0], min(ranges[place][1], self.true[place] + needed[name])),
                    *bounds[place + 1 :],
                ]
                solved = linprog(
                    goal, A_eq=self.matrix, b_eq=np.zeros(self.matrix.shape[0]), bounds=limited, method="highs"
                )
                if not solved.success:
                    raise ArithmeticError(f"no bound found for {name}: {solved.message}")
                lowest, highest = np.minimum(lowest, solved.x), np.maximum(highest, solved.x)
            if name in needed and (found := self._possible(lowest[place], highest[place])) < needed[name]:
                lacks[name] = needed[name] - found
        return lacks

    @staticmethod
    def _possible(low: float, high: float) -> int:
        """Whole numbers in an interval."""
        return math.floor(high + 1e-7) - math.ceil(low - 1e-7) + 1


def _components(neighbours: dict[Name, set[Name]], wanted: list[Name]) -> list[list[Name]]:
    """Counts that depend on each other, for each group of them that holds a wanted one."""
    components, seen = [], set()
    for start in wanted:
        if start in seen or start not in neighbours:
            continue
        members, waiting = set(), [start]
        while waiting:
            name = waiting.pop()
            if name not in members:
                members.add(name)
                waiting += neighbours[name] - members
        seen |= members
        components.append(sorted(members, key=str))
    return components
