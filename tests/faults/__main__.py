"""Put faults into the centres, and print what was seen of each kind at each size."""

import argparse
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from capla_etl.quality.monitoring.signal import FAMILIES

from . import clean as redraws
from . import measure, peers
from .effect import Moved
from .kinds import KINDS, size_in_words
from .measure import (
    BY_READING,
    LOOKED_AT,
    NOT_SEEN,
    STOPPED,
    Case,
    Seen,
    all_measured,
    cases,
    centres,
    clean,
    in_processes,
)

#: A size is seen reliably if at least this share of the faults of that size is.
_RELIABLE = 0.9
#: A centre of at least so many patients must show every fault of a whole column.
_LARGE = 100
#: A fault of a whole column changes at least so many cells or rows; a column of five events is reported apart.
_COLUMN = 30
#: Marks of the part of a page that is written.
_MARKS = ("<!-- measured: make faults -->", "<!-- end of what was measured -->")
_GOLDEN = Path(__file__).parent.parent / "golden"


def _grouped(found: Iterable[Seen], by: Callable[[Seen], Hashable]) -> dict:
    groups = defaultdict(list)
    for seen in found:
        groups[by(seen)].append(seen)
    return groups


def _counts(found: list[Seen]) -> str:
    counts = [sum(seen.answer == answer for seen in found) for answer in (STOPPED, LOOKED_AT, BY_READING, NOT_SEEN)]
    share = sum(seen.is_seen for seen in found) / len(found)
    return f"{len(found)} | " + " | ".join(map(str, counts)) + f" | {share:.0%}"


_HEAD = "put in | stop | look | by reading | not seen | seen"
_RULE = "--:|" * 6


def by_kind(found: list[Seen]) -> str:
    """By family, one line a kind and size: how often it was seen, and in large centres."""
    lines = []
    for family, of_family in sorted(_grouped(found, lambda s: s.case.of.family).items()):
        lines += [
            "",
            f"### {FAMILIES[family]}",
            "",
            f"| kind | size | {_HEAD} | in large | right |",
            f"|---|---|{_RULE}--:|--:|",
        ]
        for number, of_kind in sorted(_grouped(of_family, lambda s: s.case.kind).items()):
            kind = KINDS[number]
            for size, some in sorted(_grouped(of_kind, lambda s: s.case.size).items()):
                large = [seen for seen in some if seen.patients >= _LARGE]
                said = [seen for seen in some if seen.families]
                shares = (_share(large, lambda s: s.is_seen), _share(said, lambda s: s.named))
                name = kind.name + (" (later)" if kind.later else "")
                lines.append(
                    f"| {name} | {size_in_words(kind.sizes[size])} | {_counts(some)} | {shares[0]} | {shares[1]} |"
                )
    return "\n".join(lines[1:])


def _share(found: list[Seen], of: Callable[[Seen], bool]) -> str:
    return f"{sum(map(of, found)) / len(found):.0%}" if found else ""


def _by_family(item) -> tuple:
    return KINDS[item[0]].family, item[0]


def smallest_seen(found: list[Seen]) -> str:
    """By kind: the smallest size from which on at least 90 % are seen, in all centres and in large ones."""
    lines = [
        "| family | kind | smallest size seen with 90 % | in centres of 100 patients or more |",
        "|---|---|---|---|",
    ]
    for number, of_kind in sorted(_grouped(found, lambda s: s.case.kind).items(), key=_by_family):
        kind = KINDS[number]
        ends = [_smallest(of_kind, kind.sizes), _smallest([s for s in of_kind if s.patients >= _LARGE], kind.sizes)]
        lines.append(f"| {kind.family} | {kind.name} | {ends[0]} | {ends[1]} |")
    return "\n".join(lines)


def _is_large_whole(seen: Seen) -> bool:
    """Whether it is a fault of a whole column in a centre of 100 patients."""
    return seen.case.is_whole and seen.patients >= _LARGE and seen.cells >= _COLUMN


def _smallest(found: list[Seen], sizes: tuple) -> str:
    at = "none"
    for size, some in sorted(_grouped(found, lambda s: s.case.size).items(), reverse=True):
        if sum(seen.is_seen for seen in some) < _RELIABLE * len(some):
            break
        at = size_in_words(sizes[size])
    return at if found else ""


def groups(found: list[Seen]) -> str:
    """The counts that are asked for: all, by family, whole columns in large centres, and kinds added later."""
    now = [seen for seen in found if not seen.case.of.later]
    rows = {"all kinds": now}
    rows |= {f"family {name}": some for name, some in sorted(_grouped(now, lambda s: s.case.of.family).items())}
    rows |= {f"centre {name}": some for name, some in sorted(_grouped(now, lambda s: s.case.centre_id).items())}
    rows["whole columns"] = [seen for seen in now if seen.case.is_whole]
    rows["whole columns, centres of 100 patients or more"] = [seen for seen in now if _is_large_whole(seen)]
    few = [s for s in rows["whole columns"] if s.patients >= _LARGE and s.cells < _COLUMN]
    rows["the same, with fewer than 30 cells or rows"] = few
    rows["a number of Tables 1 or 2 moves beyond its rounding"] = [seen for seen in now if seen.moved.beyond_rounding]
    rows["by a percentage point, or a fiftieth of a median"] = [seen for seen in now if seen.moved.clearly]
    rows["nothing moves (loaded)"] = [s for s in now if s.answer != BY_READING and not s.moved.beyond_rounding]
    rows["kinds added after the checks"] = [seen for seen in found if seen.case.of.later]
    lines = [f"| faults | {_HEAD} |", f"|---|{_RULE}"]
    lines += [f"| {name} | {_counts(some)} |" for name, some in rows.items() if some]
    return "\n".join(lines)


def beside_peers(found: list[Seen]) -> str:
    """Faults that were read: seen by monitoring and by the peers, all and by family."""
    read = [seen for seen in found if seen.by_peers is not None and not seen.case.of.later]
    names = ("stop", "stop or look", *peers.NAMES)
    lines = ["| faults | read | " + " | ".join(names) + " |", "|---|--:|" + "--:|" * len(names)]
    whole = {"whole columns, centres of 100 patients or more": [s for s in read if _is_large_whole(s)]}
    of_family = {f"family {name}": some for name, some in sorted(_grouped(read, lambda s: s.case.of.family).items())}
    for name, some in ({"all": read} | of_family | whole).items():
        if some:
            shares = [sum(s.answer == STOPPED for s in some), sum(s.answer in (STOPPED, LOOKED_AT) for s in some)]
            shares += [sum(peer in s.by_peers for s in some) for peer in peers.NAMES]
            lines.append(f"| {name} | {len(some)} | " + " | ".join(f"{n / len(some):.0%}" for n in shares) + " |")
    return "\n".join(lines)


def missed(found: list[Seen], at_most: int) -> str:
    """Faults of whole columns in large centres that were not seen."""
    lines = [
        f"{s.case.centre_id}: {s.case.of.name}, {size_in_words(s.case.how_much)}, {s.case.target} ({s.cells} cells)"
        for s in found
        if _is_large_whole(s) and not s.is_seen
    ]
    return "\n".join(lines[:at_most])


def unseen_and_moving(found: list[Seen], at_most: int) -> str:
    """Faults that move printed numbers and were not seen, those that move most first."""
    some = sorted((s for s in found if not s.is_seen and s.moved.beyond_rounding), key=lambda s: -s.moved.places)
    return "\n".join(
        f"{s.case.centre_id}: {s.case.of.name}, {size_in_words(s.case.how_much)}, {s.case.target}: {s.moved.what} "
        f"moves {s.moved.places:.1f} places ({s.moved.points:.1f} points, {s.moved.ratio:.1%})"
        for s in some[:at_most]
    )


def as_line(seen: Seen) -> str:
    """A fault as one line of JSON."""
    kind = {"family": seen.case.of.family, "name": seen.case.of.name, "how_much": size_in_words(seen.case.how_much)}
    return json.dumps(asdict(seen) | kind, ensure_ascii=False)


def from_line(line: str) -> Seen:
    """The fault of a line that ``as_line`` made; a kind is found by its name."""
    kept = json.loads(line)
    number = next(i for i, kind in enumerate(KINDS) if kind.name == kept["name"])
    case = Case(**kept["case"] | {"kind": number})
    by_peers = None if kept["by_peers"] is None else tuple(kept["by_peers"])
    moved = Moved(**kept["moved"])
    families = tuple(kept["families"])
    return Seen(case, kept["answer"], kept["cells"], kept["patients"], families, kept["named"], moved, by_peers)


def measured_and_kept(wanted: list, file: Path | None, **how) -> list[Seen]:
    """What is seen of each fault; with a file, those kept there too, and each new one added to it at once."""
    found = (
        [from_line(line) for line in file.read_text(encoding="utf-8").splitlines()] if file and file.exists() else []
    )
    with open(file or os.devnull, "a", encoding="utf-8") as kept:
        for seen in all_measured(wanted, **how) if wanted else ():
            found.append(seen)
            print(as_line(seen), file=kept, flush=True)
    return found


def as_they_are() -> str:
    """Signals in the centres as they are, in one sent again, and in new ones."""
    lines = ["| centre | patients | stop | look |", "|---|--:|--:|--:|"]
    for name, centre in centres().items():
        said = clean(name)
        lines.append(f"| {name} | {centre.size} | {len(said.stops)} | {len(said.signals) - len(said.stops)} |")
    again = redraws.sent_again("FR01", _GOLDEN / "resubmissions" / "FR01")
    more = {"FR01, sent again": again} | {name: redraws.new_centre(name) for name in ("JP01", "NL01")}
    for name, one in more.items():
        lines.append(f"| {name} | {one.patients} | {one.stops} | {one.looks} |")
    said = [f"{name}: {s.severity} {s.check_name} {s.quantity}" for name in centres() for s in clean(name).signals]
    said += [f"{name}: {signal}" for name, one in more.items() for signal in one.said]
    lines += ["", *(f"- {one}" for one in said)]
    return "\n".join(lines)


def clean_data(studies: int, seed: int, processes: int) -> list[str]:
    """How often centres drawn again, in which nothing is wrong, give a signal."""
    found = {}
    for how in redraws.HOWS:
        drawn = in_processes(partial(redraws.study, how=how, seed=seed), range(studies), processes)
        found[how] = [centre for study in drawn for centre in study]
    print("\n".join(redraws.frequent(found)), "\n")
    return [redraws.as_table(found), false_alarms(found)]


def false_alarms(found: dict) -> str:
    """Centres without a fault in which monitoring and the peers flag something."""
    names = ("stop", "look", *peers.NAMES)
    lines = ["| drawn | centres | " + " | ".join(names) + " |", "|---|--:|" + "--:|" * len(names)]
    for how, some in found.items():
        counts = [sum(d.stops > 0 for d in some), sum(d.looks > 0 for d in some)]
        counts += [sum(d.flagged[name] > 0 for d in some) for name in peers.NAMES]
        lines.append(f"| {how} | {len(some)} | " + " | ".join(f"{n / len(some):.1%}" for n in counts) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kinds", default="", help="only kinds whose family or name contains one of these (by comma)")
    parser.add_argument("--centres", default="", help="only these centres (by comma)")
    parser.add_argument("--sample", type=int, help="at most so many faults of each kind and size; 0: none")
    parser.add_argument("--every-field", action="store_true", help="each field of a kind, not one a centre")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clean", type=int, default=20, help="studies of ten centres to draw, each way")
    parser.add_argument("--quick", action="store_true", help="do not compute what moves in Tables 1 and 2")
    parser.add_argument("--differ", action="store_true", help="the other centres truly differ from each other")
    parser.add_argument("--keep", type=Path, help="a file of what was seen of each fault (JSON lines); runs add up")
    parser.add_argument("--write", help="a page to write the tables into, between its marks")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    began = time.monotonic()
    measure.DIFFER = asked.differ
    words = [word.strip() for word in asked.kinds.split(",") if word.strip()]
    numbers = [i for i, k in enumerate(KINDS) if not words or any(w in k.name or w in k.family for w in words)]
    said, wanted = [], []
    if asked.clean or asked.sample != 0:
        said.append(as_they_are())
    if asked.clean:
        said += clean_data(asked.clean, asked.seed, asked.processes)
    if asked.sample != 0:
        names = [name for name in centres() if not asked.centres or name in asked.centres.split(",")]
        wanted = cases(numbers, names, asked.sample, asked.seed, asked.every_field)
    random.Random(asked.seed).shuffle(wanted)
    how = {"seed": asked.seed, "processes": asked.processes, "with_effect": not asked.quick}
    found = measured_and_kept(wanted, asked.keep, **how)
    said += [table(found) for table in (groups, beside_peers, smallest_seen, by_kind)]
    kinds = len({seen.case.kind for seen in found})
    said.append(f"Measured: {len(found)} faults of {kinds} kinds (of {len(KINDS)}).")
    print("\n\n".join(said), f"\n\nSeed {asked.seed}; {(time.monotonic() - began) / 60:.0f} minutes\n")
    print(f"Whole columns not seen in large centres:\n{missed(found, 40)}\n")
    print(f"Not seen, and a number of Tables 1 or 2 moves:\n{unseen_and_moving(found, 40)}")
    if asked.write:
        page = Path(asked.write)
        before, _, rest = page.read_text(encoding="utf-8").partition(_MARKS[0])
        after = rest.partition(_MARKS[1])[2]
        page.write_text(f"{before}{_MARKS[0]}\n\n" + "\n\n".join(said) + f"\n\n{_MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
