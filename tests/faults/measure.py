"""Put faults into centres one at a time, harmonise them through the real code, and note what monitoring says.

What does not belong here: the faults (kinds.py), and how counts are printed (__main__.py).
"""

import multiprocessing
import os
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from unittest import mock

import pandas as pd
import pyarrow as pa

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Spec
from capla_etl.centres.submissions import judge
from capla_etl.centres.submissions.history import read_current
from capla_etl.quality.monitoring.monitor import CentrePatients, centre_patients, monitor
from capla_etl.quality.monitoring.signal import STOP, Monitored, Signal

from . import (
    effect,
    later,  # noqa: F401 -- adds its kinds
    peers,
)
from .effect import Moved
from .kinds import KINDS, Kind, targets_in
from .sent import NotHere, Sent

#: What became of a fault. "By reading": the centre or its values were refused before monitoring.
STOPPED, LOOKED_AT, BY_READING, NOT_SEEN = "stop", "look", "by reading", "not seen"
SEEN = (STOPPED, LOOKED_AT, BY_READING)
#: Refused values say that something is wrong if there are this many more of them, and this share of the changed cells.
_MORE_REFUSED, _SHARE_REFUSED = 10, 0.1


@dataclass(frozen=True)
class Centre:
    """A centre as it is: its spec, its tables as sent and harmonised, and what monitoring sees in it."""

    centre_id: str
    spec: Spec
    raws: list[RawTable] = field(repr=False)
    tables: dict = field(repr=False)
    patients: CentrePatients = field(repr=False)

    @property
    def size(self) -> int:
        return self.tables["harmonised.patient"].num_rows

    @property
    def refused(self) -> int:
        return self.tables["quality.quarantine"].num_rows


@dataclass(frozen=True)
class Case:
    """One fault in one centre: ``kind`` by its place in ``KINDS``, ``size`` by its place among the kind's sizes."""

    kind: int
    size: int
    target: str
    centre_id: str

    @property
    def of(self) -> Kind:
        return KINDS[self.kind]

    @property
    def how_much(self):
        return self.of.sizes[self.size]

    @property
    def is_whole(self) -> bool:
        """Whether it is a fault of a whole column."""
        return self.how_much in self.of.whole


@dataclass(frozen=True)
class Seen:
    """What was seen of a fault.

    ``cells``: cells and rows changed. ``patients``: of the centre. ``families``: those of the signals that the centre
    as it is does not have. ``named``: a signal names the field or a family that the fault is of. ``moved``: how far
    numbers of Tables 1 and 2 move, had it been loaded. ``by_peers``: the peers that see it; None if it was refused.
    """

    case: Case
    answer: str
    cells: int
    patients: int
    families: tuple[str, ...] = ()
    named: bool = False
    moved: Moved = Moved()
    by_peers: tuple[str, ...] | None = None

    @property
    def is_seen(self) -> bool:
        return self.answer in SEEN


@cache
def centres() -> dict[str, Centre]:
    """The centres of ``data_raw``, as they are."""
    found = {}
    for folder in sorted(p for p in paths.data_raw().iterdir() if (p / "centre.yml").is_file()):
        spec = load_spec(folder / "centre.yml")
        raws = read_current(spec, folder, paths.as_of())
        tables = harmonised(folder.name, raws)
        found[folder.name] = Centre(folder.name, spec, raws, tables, centre_patients(spec, by_name(tables)))
    return found


def harmonised(centre_id: str, raws: list[RawTable]) -> dict:
    """All tables of a centre, its files given as read.

    Raises:
        CentreRefused: as ``judged``.
    """
    with mock.patch.object(judge, "read_current", lambda *_: raws):
        return judge.judged(centre_id).tables


def by_name(tables: dict) -> dict:
    """The harmonised tables, by their names without the schema."""
    return {name: tables[f"harmonised.{name}"] for name in fields.tables()}


def kept_of(before: Centre, tables: dict) -> dict[str, pa.Table]:
    """What a load keeps of the submission before: of patients who left, their number alone."""
    stay = tables["harmonised.patient"]["patient_id"]
    return {n: judge.of_who_stayed(table, stay, n == "patient") for n, table in by_name(before.tables).items()}


@cache
def clean(centre_id: str) -> Monitored:
    """What monitoring says of a centre as it is."""
    return monitor(centres()[centre_id].patients, others(centre_id))


#: Whether the other centres truly differ (``clean.differing``), and not only as the synthetic ones do.
DIFFER = False


def others(centre_id: str) -> list[CentrePatients]:
    """The other centres, as they are or made to differ."""
    return [_beside(name, DIFFER) for name in centres() if name != centre_id]


@cache
def _beside(centre_id: str, differ: bool) -> CentrePatients:
    if not differ:
        return centres()[centre_id].patients
    from .clean import differed

    return differed(centre_id)


def mutated(case: Case, seed: int = 1) -> Sent:
    """The centre's tables with the fault.

    Raises:
        NotHere: it has no place there.
    """
    centre = centres()[case.centre_id]
    sent = Sent(centre.spec, centre.raws)
    case.of.put(sent, case.target, case.how_much, random.Random(f"{seed}/{case}"))
    return sent


def measured(case: Case, seed: int = 1, with_effect: bool = True) -> Seen | None:
    """What is seen of a fault; None where it has no place."""
    centre = centres()[case.centre_id]
    try:
        sent = mutated(case, seed)
        raws = sent.tables()
    except NotHere:
        return None
    found = dict(case=case, cells=len(sent.changed), patients=centre.size)
    try:
        tables = harmonised(case.centre_id, raws)
    except CentreRefused:
        return Seen(answer=BY_READING, **found)
    patients = centre_patients(centre.spec, by_name(tables), kept_of(centre, tables) if case.of.resent else None)
    signals = new_signals(case.centre_id, monitor(patients, others(case.centre_id)))
    found |= dict(
        families=tuple(sorted({s.family for s in signals})),
        named=any(s.family == case.of.family or s.field and s.field in case.target for s in signals),
    )
    flags = _flags(case.centre_id, patients)
    found["by_peers"] = tuple(name for name in peers.NAMES if flags[name] - _flags_of_clean(case.centre_id)[name])
    more = tables["quality.quarantine"].num_rows - centre.refused
    if any(s.severity == STOP for s in signals):
        answer = STOPPED
    elif signals:
        answer = LOOKED_AT
    else:
        refused = more >= max(_MORE_REFUSED, _SHARE_REFUSED * len(sent.changed))
        answer = BY_READING if refused else NOT_SEEN
    return Seen(answer=answer, moved=_moved(case.centre_id, tables) if with_effect else Moved(), **found)


def _flags(centre_id: str, patients: CentrePatients) -> dict[str, frozenset[str]]:
    """What each peer flags in a centre."""
    return peers.flags(patients.quantities, [other.quantities for other in others(centre_id)])


@cache
def _flags_of_clean(centre_id: str) -> dict[str, frozenset[str]]:
    return _flags(centre_id, centres()[centre_id].patients)


@cache
def _of_centre(centre_id: str) -> pd.DataFrame:
    return effect.derived(centres()[centre_id].tables)


@cache
def _numbers() -> dict:
    """The numbers of Tables 1 and 2 without faults."""
    return effect.numbers(pd.concat(map(_of_centre, centres()), ignore_index=True))


def _moved(centre_id: str, tables: dict) -> Moved:
    pooled = [effect.derived(tables) if name == centre_id else _of_centre(name) for name in centres()]
    return effect.moved(_numbers(), effect.numbers(pd.concat(pooled, ignore_index=True)))


def new_signals(centre_id: str, said: Monitored) -> list[Signal]:
    """The signals that the centre as it is does not have, or has with less weight."""
    known = {(s.signal_id, s.severity) for s in clean(centre_id).signals}
    return [s for s in said.signals if (s.signal_id, s.severity) not in known]


def cases(
    kinds: Iterable[int], centre_ids: Iterable[str], sample: int | None, seed: int, every_target: bool = False
) -> list[Case]:
    """The faults to put in.

    Args:
        kinds: places in ``KINDS``.
        centre_ids: where to put them.
        sample: at most so many of each kind and size.
        seed: of the draws.
        every_target: each field of a kind, and not one field a kind, size and centre.
    """
    rng, found = random.Random(seed), []
    sent = {name: Sent(centres()[name].spec, centres()[name].raws) for name in centre_ids}
    for number in kinds:
        possible = {name: targets_in(KINDS[number], of) for name, of in sent.items()}
        for size in range(len(KINDS[number].sizes)):
            some = []
            for name, targets in possible.items():
                chosen = targets if every_target else rng.sample(targets, min(1, len(targets)))
                some += [Case(number, size, target, name) for target in chosen]
            found += some if sample is None else rng.sample(some, min(sample, len(some)))
    return found


def all_measured(wanted: list[Case], seed: int, processes: int, with_effect: bool = True) -> Iterator[Seen]:
    """What is seen of each fault; those that have no place in their centre are left out.

    ``with_effect``: whether to compute what moves in Tables 1 and 2.
    """
    for case in {c.centre_id: c for c in wanted}.values():
        clean(case.centre_id)  # before the processes part
        _flags_of_clean(case.centre_id)
    if with_effect:
        _numbers()
    one = partial(measured, seed=seed, with_effect=with_effect)
    yield from filter(None, in_processes(one, wanted, processes))


def in_processes(do: Callable, of: Iterable, processes: int) -> Iterator:
    """What a function returns for each thing, in their order; the centres are read before the processes part."""
    centres()
    if processes == 1:
        yield from map(do, of)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(processes, os.cpu_count() or 1), context) as pool:
        yield from pool.map(do, of)
