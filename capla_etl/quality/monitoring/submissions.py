"""What becomes of submissions: each centre's is looked at beside the others', then accepted or held back.

All centres are looked at before any load is moved, so that the order of the centres decides nothing:

- A received load without an open ``stop`` replaces the centre's last good load.
- One with an open ``stop`` is held back as a refused one is: the last good load stays. It stays aside and is judged
  again in every run, so that it is accepted as soon as the other centres no longer speak against it.
- A load that was accepted once (the same files, read in the same way, with the same corrections) is never held back: a
  later ``stop``, because another centre arrived or the checks changed, is shown, and the centre stays in the study.
  ``paths.accepted`` keeps what was accepted, so that a rebuild from the files comes to the same study.

What does not belong here: how a load is written and moved (centres/submissions/load.py), and what is a signal.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused, one_centres_problem
from capla_etl.centres.spec.grammar import Confirmed, Spec
from capla_etl.centres.submissions.judge import HarmonisedCentre, judged
from capla_etl.centres.submissions.load import accept, hold_back
from capla_etl.centres.submissions.status import (
    Load,
    accepted_before,
    centre_ids,
    newest_loads,
    received_loads,
    record_refusal,
)
from capla_etl.centres.worker import read_apart
from capla_etl.quality.monitoring.monitor import CentrePatients, centre_patients, monitor
from capla_etl.quality.monitoring.signal import FAMILIES, MONITORED, SIGNAL, STOP, Monitored, Signal

#: Columns of ``quality.signal_history``.
HISTORY = fields.arrow_schema(
    "signal_id centre_id submission:date severity family check_name quantity found status first_seen:date "
    "last_seen:date"
)


@dataclass(frozen=True)
class Looked:
    """One centre as monitoring saw it: ``before`` is its submission before, where there is one to compare with."""

    load: Load
    monitored: Monitored
    before: Monitored | None
    held_back: bool


# ------------------------------------------------------------------ what is looked at


def from_tables(spec: Spec, tables: Mapping[str, pa.Table]) -> CentrePatients:
    """What monitoring looks at, from all tables of a load (``schema.name`` -> table).

    It goes through Arrow, as what is kept in a load does, so that both are the same.
    """
    now, before = (
        {name.removeprefix(schema): table for name, table in tables.items() if name.startswith(schema)}
        for schema in ("harmonised.", "before.")
    )
    made = centre_patients(spec, now, before or None)
    return replace(made, quantities=_through_arrow(made.quantities), before=_through_arrow(made.before))


def _through_arrow(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if frame is None else pa.Table.from_pandas(frame).to_pandas()


@cache
def _made_by() -> str:
    """Digest of what turns a load into what is looked at."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), *sorted(Path(fields.__file__).parent.glob("*.yml"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def of_load(load: Load, keep: bool = False) -> CentrePatients:
    """What monitoring looks at in a load; ``keep``: write it into the load, to be read the next time."""
    kept = {name: load.folder / f"monitoring.{_made_by()}.{name}" for name in ("quantities", "before", "rest")}
    if kept["rest"].is_file():
        before = pd.read_parquet(kept["before"]) if kept["before"].is_file() else None
        rest = json.loads(kept["rest"].read_text(encoding="utf-8"))
        places, rows = ({_key(key): _key(value) for key, value in rest[name]} for name in ("places", "rows"))
        return CentrePatients(load.centre_id, pd.read_parquet(kept["quantities"]), before, places, rows)
    names = [f"{schema}.{table}" for schema in ("harmonised", "before") for table in fields.tables()]
    files = {name: load.folder / f"{name}.parquet" for name in names}
    made = from_tables(load.spec, {name: pq.read_table(path) for name, path in files.items() if path.is_file()})
    if keep:
        for of_other_code in load.folder.glob("monitoring.*"):
            of_other_code.unlink()
        made.quantities.to_parquet(kept["quantities"])
        if made.before is not None:
            made.before.to_parquet(kept["before"])
        rest = {name: list(getattr(made, name).items()) for name in ("places", "rows")}
        fresh = kept["rest"].with_name("monitoring.new")
        fresh.write_text(json.dumps(rest, ensure_ascii=False), encoding="utf-8")
        fresh.replace(kept["rest"])  # where it is, the others are whole
    return made


def _key(value: str | int | list) -> str | int | tuple:
    return tuple(value) if isinstance(value, list) else value


# ------------------------------------------------------------------ confirmations


def confirmed(monitored: Monitored, declared: Iterable[Confirmed]) -> Monitored:
    """Apply what people confirmed to a centre's signals, and put the signals in order: the gravest first.

    A confirmation holds while the finding is the same. When it changes, the signal is open again and says so. For an
    earlier state, those count that were confirmed by then.
    """
    counted = [c for c in declared if paths.as_of() is None or c.confirmed_on <= paths.as_of()]
    signals = [_confirmed(signal, [c for c in counted if c.signal == signal.signal_id]) for signal in monitored.signals]
    order = list(FAMILIES)
    signals.sort(key=lambda s: (s.severity != STOP, order.index(s.family), s.check_name, s.quantity))
    return replace(monitored, signals=signals)


def _confirmed(signal: Signal, declared: list[Confirmed]) -> Signal:
    if not declared:
        return signal
    last = max(declared, key=lambda c: (c.found == signal.found, c.confirmed_on))
    if last.found == signal.found:
        who = {"confirmed_by": last.confirmed_by, "confirmed_on": last.confirmed_on.isoformat()}
        return replace(signal, status="confirmed", reason=last.reason, **who)
    lapsed = (
        f"The confirmation by {last.confirmed_by} of {last.confirmed_on} no longer fits: it is for {last.found!r}, and "
        f"what is found now is {signal.found!r}."
    )
    return replace(signal, reason=lapsed)


def to_remove(monitored: Monitored, declared: Iterable[Confirmed]) -> list[str]:
    """Confirmations that apply to no signal, and are to be removed from the spec, in words."""
    there = {(signal.signal_id, signal.found) for signal in monitored.signals}
    raised = {signal.signal_id for signal in monitored.signals}
    return [
        f"confirmed: {c.signal} ({c.found}): "
        + ("the finding has changed; replace" if c.signal in raised else "there is no such signal any more; remove")
        + " this confirmation."
        for c in declared
        if (c.signal, c.found) not in there
    ]


def problem(signal: Signal) -> str:
    """What holds a submission back, for the people who can do something about it."""
    return (
        f"{signal.signal_id}: {signal.in_words} Send a corrected file, correct the spec, or confirm it in centre.yml."
    )


# ------------------------------------------------------------------ decisions


def _beside(centre_id: str, patients: Mapping[str, CentrePatients]) -> list[CentrePatients]:
    return [other for name, other in patients.items() if name != centre_id]


def _before(centre: CentrePatients, others: list[CentrePatients], declared: Iterable[Confirmed]) -> Monitored | None:
    """The same look at the submission before, without the patients who have left since."""
    if centre.before is None:
        return None
    stayed = centre.before[centre.before["source_file"].notna()]
    if stayed.empty:
        return None
    return confirmed(monitor(CentrePatients(centre.centre_id, stayed), others), declared)


def decide() -> list[Looked]:
    """Look at every centre's newest load beside the others', then accept or hold back what was received.

    Returns:
        One entry per centre with a load, by code; none of a centre that could not be looked at, which is refused.
    """
    loads, received = newest_loads(), received_loads()
    patients, looked = {}, []
    for centre_id, load in loads.items():
        with _its_own_problem(load):
            patients[centre_id] = of_load(load, keep=True)
    for centre_id, load in loads.items():
        if centre_id not in patients:
            continue
        with _its_own_problem(load):
            others, declared = _beside(centre_id, patients), load.spec.confirmed
            seen = confirmed(monitor(patients[centre_id], others), declared)
            held_back = centre_id in received and bool(seen.stops) and not accepted_before(load)
            looked.append(Looked(load, seen, _before(patients[centre_id], others, declared), held_back))
    for centre in looked:
        if centre.held_back:
            hold_back(centre.load, [problem(signal) for signal in centre.monitored.stops])
        elif centre.load.centre_id in received:
            accept(centre.load, _needed(centre.monitored))
    return looked


@contextlib.contextmanager
def _its_own_problem(load: Load) -> Iterator[None]:
    """Make what goes wrong with one centre its refusal: it is not accepted, and the others are looked at."""
    try:
        with one_centres_problem(load.centre_id):
            yield
    except CentreRefused as refused:
        record_refusal(load.centre_id, load.received, refused.problems)


def _needed(monitored: Monitored) -> date | None:
    """Day of the last confirmation that keeps a submission from being held back."""
    days = [s.confirmed_on for s in monitored.signals if s.severity == STOP and s.status == "confirmed"]
    return date.fromisoformat(max(days)) if days else None


def look_at(centre: HarmonisedCentre, say: Callable[[str], None]) -> Monitored:
    """Look at a submission that is not loaded, beside what the other centres sent; nothing is written.

    Args:
        centre: the submission, as judged.
        say: told when another centre has no load on this machine and must be read, and when one is left out.
    """
    own = centre.spec.centre.id
    loads = newest_loads()
    others = []
    for name in sorted({*loads, *centre_ids()} - {own}):
        if name not in loads:
            say(f"{name} has no load on this machine: its files are read to compare with.")
        try:
            if name in loads:
                others.append(of_load(loads[name]))
            else:
                other = read_apart(name, judged, name)
                others.append(from_tables(other.spec, other.tables))
        except (CentreRefused, OSError):
            say(f"{name} cannot be read and is left out of the comparison.")
    return confirmed(monitor(from_tables(centre.spec, centre.tables), others), centre.spec.confirmed)


# ------------------------------------------------------------------ tables


def tables(looked: list[Looked]) -> dict[str, pa.Table]:
    """``quality.signal``, ``quality.monitored`` and ``quality.signal_history``: every centre's newest load."""
    signals = [_row(signal, centre.load.submission) for centre in looked for signal in centre.monitored.signals]
    judgements = [
        pa.Table.from_pandas(
            centre.monitored.looked_at.assign(submission=centre.load.submission)[MONITORED.names],
            schema=MONITORED,
            preserve_index=False,
        )
        for centre in looked
    ]
    return {
        "quality.signal": pa.Table.from_pylist(signals, schema=SIGNAL),
        "quality.monitored": pa.concat_tables([MONITORED.empty_table(), *judgements]),
        "quality.signal_history": pa.Table.from_pylist(
            [row for centre in looked for row in _history(centre)], schema=HISTORY
        ),
    }


def _row(signal: Signal, submission: date) -> dict:
    day = signal.confirmed_on and date.fromisoformat(signal.confirmed_on)
    return signal.as_row() | {"submission": submission, "confirmed_on": day}


def _history(centre: Looked) -> list[dict]:
    """Each signal in the submission before and in this one."""
    seen = [(centre.load.submission, centre.monitored)]
    if centre.before is not None and centre.load.previous:
        seen.insert(0, (centre.load.previous, centre.before))
    rows = [_row(signal, submission) for submission, monitored in seen for signal in monitored.signals]
    days: dict[str, list[date]] = {}
    for row in rows:
        days.setdefault(row["signal_id"], []).append(row["submission"])
    return [
        {name: row[name] for name in HISTORY.names if name in row}
        | {"first_seen": min(days[row["signal_id"]]), "last_seen": max(days[row["signal_id"]])}
        for row in rows
    ]


def read_signals(connection: duckdb.DuckDBPyConnection) -> list[Signal]:
    """The rows of ``quality.signal`` as signals, in the order in which they were written."""
    rows = connection.execute("select * from quality.signal order by rowid").to_arrow_table().to_pylist()
    return [Signal.from_row(row) for row in rows]
