"""Put faults into the centres, and print what was seen of each kind at each size."""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

from .kinds import KINDS, size_in_words
from .measure import BY_READING, LOOKED_AT, NOT_SEEN, STOPPED, Seen, all_measured, cases, centres, clean

#: A size is seen reliably if at least this share of the faults of that size is.
_RELIABLE = 0.9
#: A centre of at least so many patients must show every fault of a whole column.
_LARGE = 100


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
    """One line a kind and size, families together, and the smallest size from which on 90 % are seen."""
    lines = [f"| family | kind | size | {_HEAD} | right family or field |", f"|---|---|---|{_RULE}--:|"]
    for number, of_kind in sorted(_grouped(found, lambda s: s.case.kind).items(), key=_by_family):
        kind = KINDS[number]
        for size, some in sorted(_grouped(of_kind, lambda s: s.case.size).items()):
            said = [seen for seen in some if seen.families]
            named = f"{sum(seen.named for seen in said) / len(said):.0%}" if said else ""
            at = size_in_words(kind.sizes[size])
            lines.append(f"| {kind.family} | {kind.name} | {at} | {_counts(some)} | {named} |")
    return "\n".join(lines)


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
    rows["whole columns, centres of 100 patients or more"] = [s for s in rows["whole columns"] if s.patients >= _LARGE]
    rows["kinds added after the checks"] = [seen for seen in found if seen.case.of.later]
    lines = [f"| faults | {_HEAD} |", f"|---|{_RULE}"]
    lines += [f"| {name} | {_counts(some)} |" for name, some in rows.items() if some]
    return "\n".join(lines)


def missed(found: list[Seen], at_most: int) -> str:
    """Faults of whole columns in large centres that were not seen."""
    lines = [
        f"{s.case.centre_id}: {s.case.of.name}, {size_in_words(s.case.how_much)}, {s.case.target} ({s.cells} cells)"
        for s in found
        if s.case.is_whole and s.patients >= _LARGE and not s.is_seen
    ]
    return "\n".join(lines[:at_most])


def as_they_are() -> str:
    """Signals in the centres as they are."""
    lines = ["| centre | patients | stop | look |", "|---|--:|--:|--:|"]
    for name, centre in centres().items():
        said = clean(name)
        lines.append(f"| {name} | {centre.size} | {len(said.stops)} | {len(said.signals) - len(said.stops)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kinds", default="", help="only kinds whose family or name contains one of these (by comma)")
    parser.add_argument("--centres", default="", help="only these centres (by comma)")
    parser.add_argument("--sample", type=int, help="at most so many faults of each kind and size")
    parser.add_argument("--every-field", action="store_true", help="each field of a kind, not one a centre")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    began = time.monotonic()
    words = [word.strip() for word in asked.kinds.split(",") if word.strip()]
    numbers = [i for i, k in enumerate(KINDS) if not words or any(w in k.name or w in k.family for w in words)]
    names = [name for name in centres() if not asked.centres or name in asked.centres.split(",")]
    print(as_they_are(), "\n")
    wanted = cases(numbers, names, asked.sample, asked.seed, asked.every_field)
    found = list(all_measured(wanted, asked.seed, asked.processes))
    for table in (by_kind, smallest_seen, groups):
        print(table(found), "\n")
    if text := missed(found, 40):
        print(f"Whole columns not seen in large centres:\n{text}\n")
    print(f"Seed {asked.seed}; {len(found)} faults of {len(numbers)} kinds; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
