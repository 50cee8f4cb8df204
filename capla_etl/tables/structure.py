"""How the printed numbers hang together, stated once: sums, parts of wholes, one quantity in two places.

The audit checks it, and the disclosure rules suppress by it. What a reader of the statement does with it does not
belong here.

In a place ``{group}`` stands for every group that the table prints (or those that the relation names), ``{row}`` for
every row, ``{count}`` for its statistic that has counts and ``{statistic}`` for any, ``{column}`` for each of
``columns``, ``{centre}`` for all centres of the flow, ``{size}`` for the row of the flow that counts the group, and
``{last_day}`` for the last day of table ``survival``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from capla_etl.tables.labels import ADVERSE_EVENTS, DEATH_CAUSES, EXCLUSIONS
from capla_etl.tables.population import ARMS, TIMINGS
from capla_etl.tables.table7 import ANSWERS, FOUR_CELLS

Key = tuple[str, str, str, str]


class Place(NamedTuple):
    """A number of ``study.result``: the key of its cell, and the column that it stands in."""

    table_id: str
    row: str
    group: str
    statistic: str
    column: str = "value"

    @property
    def key(self) -> Key:
        """The key of the cell."""
        return self[:4]


@dataclass(frozen=True)
class Relation:
    """What holds between numbers of ``study.result``.

    Attributes:
        left: the whole of a sum; of parts the wholes; one of the places of a quantity.
        right: the parts; the other place.
        groups: what ``{group}`` stands for; none named: every printed group.
        columns: what ``{column}`` stands for.
        over: the table whose printed cells give rows and groups (default: that of the first place); "*": every table
            about patients by their group. In the analyses of Table 8 a group is what the analysis makes of it.
        where_both: holds only where both are known, for cells that need not be there.
        rest: what to call patients of the whole outside the part, where their number is as good as printed.
    """

    left: tuple[Place, ...]
    right: tuple[Place, ...]
    groups: tuple[str, ...] = ()
    columns: tuple[str, ...] = ("n", "n_assessed")
    over: str = ""
    where_both: bool = False
    rest: str = ""


def _count(table_id: str, row: str, group: str = "{group}", column: str = "value") -> Place:
    return Place(table_id, row, group, "count", column)


def _percent(table_id: str, row: str, group: str = "{group}", column: str = "n") -> Place:
    return Place(table_id, row, group, "percent", column)


def _counted(table_id: str, group: str = "{group}", column: str = "{column}") -> Place:
    return Place(table_id, "{row}", group, "{count}", column)


#: Statistics whose cells have counts, one for each row and group.
COUNTED = ("count", "percent", "median")
OUTCOME_TABLES = ("table2", "table3", "table4")
#: Row of the flow -> the group that it counts.
FLOW_GROUPS = {
    "eligible": "all",
    **{group: group for group in (*ARMS, "early", "delayed")},
    "timing_unknown": "unknown",
}
FLOW_SUMS = {
    "rows_received": tuple(f"rows_{part}" for part in ("loaded", "duplicate", "quarantined", "ignored")),
    "patient_records": ("excluded", "eligible"),
    "excluded": tuple(f"excluded_{reason}" for reason in EXCLUSIONS),
    "eligible": (*ARMS, "group_unknown"),
    "caplacizumab": ("early", "delayed", "timing_unknown"),
    "delayed": ("rescue", "slow_response"),
}
# A row of the flow whose place in the sums is not known here is not shown.
FLOW_ROWS = {*FLOW_SUMS, *(part for parts in FLOW_SUMS.values() for part in parts), "values_quarantined"}
CAUSES = (*(f"cause_{cause.lower()}" for cause in DEATH_CAUSES), "cause_not_stated")
SCORES = tuple(f"french_severity_score_{score}" for score in range(5))

_HALVES = ("{group}_rituximab", "{group}_no_rituximab")
#: Group -> row of the flow that counts it; the halves of Table 4 are parts of their arm.
_SIZES = {
    **{group: row for row, group in FLOW_GROUPS.items()},
    **{part: part for part in FLOW_SUMS["delayed"]},
    **{half.format(group=arm): arm for arm in ARMS for half in _HALVES},
}
_SIZE = _count("flow", "{size}", "all")
_DEATHS = _count("table6", "deaths")
_BY_ARM_AND_TIMING = (*ARMS, *TIMINGS)
_TIMED = ("control", "early", "delayed")
_CAPLACIZUMAB = ARMS[0]


def _agreement(outcome: str, *cells: str) -> tuple[Place, ...]:
    return tuple(_count("table7", f"{outcome}_{cell}") for cell in cells)


#: The parts add up to the whole.
SUMS = (
    *(
        Relation((_count("flow", whole),), tuple(_count("flow", part) for part in parts))
        for whole, parts in FLOW_SUMS.items()
    ),
    Relation((_counted("flow", column="value"),), (_counted("flow", "{centre}", "value"),), ("all",)),
    Relation((_percent("table1", SCORES[0], column="n_assessed"),), tuple(_percent("table1", s) for s in SCORES), ARMS),
    Relation((_DEATHS,), tuple(_count("table6", cause) for cause in CAUSES), _BY_ARM_AND_TIMING),
    *(
        Relation(
            (_count("table6", row, _CAPLACIZUMAB, "{column}"),),
            tuple(_count("table6", row, timing, "{column}") for timing in TIMINGS),
        )
        for row in ("deaths", *CAUSES)
    ),
    Relation((_counted("table3"),), tuple(_counted("table3", part) for part in FLOW_SUMS["delayed"]), ("delayed",)),
    # A patient who did not fail responded by the end of follow-up.
    *(
        Relation(
            (_percent(table_id, "failure", column="n_assessed"),),
            (_percent(table_id, "failure"), Place(table_id, "response_day", "{group}", "median", "n")),
        )
        for table_id in OUTCOME_TABLES
    ),
    *(
        Relation(
            (_percent("table7", f"{outcome}_agreement", column=column),), _agreement(outcome, *parts), ("all", *ARMS)
        )
        for outcome in ANSWERS
        for column, parts in (
            ("n_assessed", [name for name, _, _ in FOUR_CELLS]),
            ("n", [name for name, derived, reported in FOUR_CELLS if derived == reported]),
        )
    ),
    Relation((_counted("table7"),), tuple(_counted("table7", arm) for arm in ARMS), ("all",)),
)

_ANY_EVENT = _percent("table5", "any_adverse_event", _CAPLACIZUMAB, "{column}")
_DIED = _percent("table2", "died_by_day_90")
#: The parts together are at most the wholes together.
PARTS = (
    Relation((_SIZE,), (_counted("{table}", column="n_assessed"),), over="*", rest="not assessed"),
    *(
        Relation((Place(table_id, whole, "{group}", kind, "n"),), (Place(table_id, part, "{group}", kind, "n"),))
        for table_id in OUTCOME_TABLES
        for part, whole, kind in (
            ("severe_refractory", "refractory", "percent"),
            ("relapse_confirmed", "relapse", "percent"),
            ("exacerbation_after_stop_undetectable", "exacerbation_all_patients", "percent"),
            ("response_day_survivors", "response_day", "median"),
        )
    ),
    # The groups into which Tables 3 and 4 split a count of Table 2: patients in no column are at most those of whom the
    # split is not known.
    Relation((_counted("table2"),), tuple(_counted("table4", half) for half in _HALVES), ARMS),
    Relation(
        (*(_counted("table4", half) for half in _HALVES), _count("flow", "{group}", "all")),
        (_counted("table2"), _percent("table1", "rituximab", column="n_assessed")),
        ARMS,
        over="table2",
    ),
    Relation((_counted("table2"),), tuple(_counted("table3", timing) for timing in _TIMED[1:]), (_CAPLACIZUMAB,)),
    Relation(
        (*(_counted("table3", timing) for timing in _TIMED[1:]), _count("flow", "timing_unknown", "all")),
        (_counted("table2"),),
        (_CAPLACIZUMAB,),
        over="table2",
    ),
    *(
        Relation((_ANY_EVENT,), (_percent("table5", row, _CAPLACIZUMAB, "{column}"),))
        for row in (*ADVERSE_EVENTS, "any_adverse_event_all_assessed")
    ),
    Relation(
        tuple(_percent("table5", kind, _CAPLACIZUMAB) for kind in ADVERSE_EVENTS), (_ANY_EVENT._replace(column="n"),)
    ),
    # A patient can have bled at several sites.
    Relation((_percent("table5", "major_bleeding", _CAPLACIZUMAB),), (_count("table5", "{row}"),), (_CAPLACIZUMAB,)),
    *(
        Relation(
            (_percent("table2", row),),
            _agreement(outcome, *(name for name, derived, _ in FOUR_CELLS if derived == "yes")),
            ARMS,
        )
        for outcome, row in (("refractory", "refractory"), ("exacerbation", "exacerbation_all_patients"))
    ),
    # Survival says how many died, and more where some were censored before.
    Relation((_percent("table2", "survival_3_months"),), (_DIED,), ARMS, rest="weight of the censored"),
    Relation((_percent("survival", "survival_day_{last_day}"),), (_DIED,), rest="weight of the censored, by day"),
)


def _same(left: Place, right: Place, *groups: str, **more) -> Relation:
    return Relation((left,), (right,), groups, **more)


#: One quantity that is printed in two places.
SAME = (
    _same(_DIED, _DEATHS, *ARMS),
    _same(_percent("table3", "died_by_day_90"), _DEATHS, *_TIMED),
    _same(_DEATHS._replace(column="n_assessed"), _SIZE, *_BY_ARM_AND_TIMING),
    *(_same(_count("table6", cause, column="n_assessed"), _DEATHS, *_BY_ARM_AND_TIMING) for cause in CAUSES),
    _same(Place("table6", "{row}", "{group}", "median", "n_assessed"), _DEATHS, *_BY_ARM_AND_TIMING),
    _same(Place("table1", "{row}", "{group}", "median", "n_assessed"), _SIZE, *ARMS),
    _same(_percent("table2", "exacerbation_all_patients", column="n_assessed"), _SIZE, *ARMS),
    _same(_percent("table3", "exacerbation_all_patients", column="n_assessed"), _SIZE, *_TIMED, *FLOW_SUMS["delayed"]),
    _same(
        Place("survival", "survival_day_0", "{group}", "at_risk", "n"),
        Place("survival", "survival_day_0", "{group}", "at_risk", "n_assessed"),
        *ARMS,
    ),
    _same(
        _percent("table2", "survival_3_months", column="{column}"),
        _percent("survival", "survival_day_{last_day}", column="{column}"),
        *ARMS,
        columns=("value", "n_assessed", "lower", "upper"),
    ),
    _same(
        Place("table3", "{row}", "{group}", "{statistic}", "{column}"),
        Place("table2", "{row}", "{group}", "{statistic}", "{column}"),
        "control",
        columns=("value", "n", "n_assessed", "lower", "upper"),
        where_both=True,
    ),
    *(
        _same(_percent(table_id, "exacerbation_responders"), _percent(table_id, "exacerbation_all_patients"))
        for table_id in OUTCOME_TABLES
    ),
    *(
        _same(
            _percent(table_id, "adamts13_recovery"),
            Place(table_id, "adamts13_recovery_day", "{group}", "median", "n"),
            where_both=True,
        )
        for table_id in OUTCOME_TABLES[:2]
    ),
)

_OVER_DAYS = {re.compile(r"(.*survival)_day_(\d+)"): False, re.compile(r"(.+)_by_day_(\d+)"): True}


class Curve(NamedTuple):
    """The printed days of a survival, an incidence or a number at risk, in order, and whether it rises over them."""

    rises: bool
    days: list[tuple[int, Place]]


class Structure:
    """The statement, applied to what is printed.

    Args:
        keys: table_id, row, group and statistic of the printed cells, in the order of printing.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.tables: dict[str, list[Key]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            self.tables[key[0]].append(key)
        self._centres = [group for group in dict.fromkeys(key[2] for key in self.tables["flow"]) if group != "all"]
        days = [found for _, row, *_ in self.tables["survival"] if (found := re.fullmatch(r"survival_day_(\d+)", row))]
        self._last_day = max((int(day[1]) for day in days), default=0)

    def expanded(self, relation: Relation) -> Iterator[tuple[list[Place], list[Place]]]:
        """(left, right) of a relation, once for each that its places stand for. Not all of them need be printed."""
        places = (*relation.left, *relation.right)
        columns = relation.columns if any(place.column == "{column}" for place in places) else ("",)
        for words in self._words(relation, places):
            for column in columns:
                filled = words | {"column": column, "last_day": self._last_day, "size": _SIZES.get(words.get("group"))}
                if filled["size"] or _SIZE not in places:
                    left, right = (
                        [one for place in side for one in self._filled(place, filled)]
                        for side in (relation.left, relation.right)
                    )
                    if right:
                        yield left, right

    def _words(self, relation: Relation, places: tuple[Place, ...]) -> Iterator[dict[str, str]]:
        over = relation.over or places[0].table_id
        keys = [
            key
            for table_id, own in self.tables.items()
            if table_id == over or (over == "*" and table_id not in ("flow", "table8"))
            for key in own
        ]
        by_row = [place.statistic for place in places if place.row == "{row}"]
        if by_row:
            kinds = {"{count}": COUNTED, "{statistic}": None}.get(by_row[0], (by_row[0],))
            for table_id, row, group, statistic in keys:
                if (kinds is None or statistic in kinds) and (not relation.groups or group in relation.groups):
                    yield {"table": table_id, "row": row, "group": group, "count": statistic, "statistic": statistic}
        elif any("{group}" in place.group for place in places):
            yield from ({"group": group} for group in relation.groups or dict.fromkeys(key[2] for key in keys))
        else:
            yield {}

    def _filled(self, place: Place, words: dict) -> list[Place]:
        centres = self._centres if place.group == "{centre}" else [""]
        return [Place(*(part.format(**words, centre=centre) for part in place)) for centre in centres]

    def curves(self) -> Iterator[Curve]:
        """What is printed over days: percentages and numbers at risk."""
        for pattern, rises in _OVER_DAYS.items():
            found = defaultdict(list)
            for key in (key for own in self.tables.values() for key in own):
                if (match := pattern.fullmatch(key[1])) and key[3] in ("percent", "at_risk"):
                    found[key[0], match[1], *key[2:]].append((int(match[2]), Place(*key)))
            yield from (Curve(rises, sorted(days)) for days in found.values())
