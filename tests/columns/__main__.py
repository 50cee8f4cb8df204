"""Write columns of known truth until there are as many as asked for, judge them, and print the table by class."""

import argparse
import time
from collections import Counter

from .centres import draw
from .verdict import FAILED, OBJECTED, PART, READ, REFUSED, SILENT, UNSEEN, Verdict, verdicts

_ANSWERS = (READ, OBJECTED, PART, REFUSED, SILENT, FAILED, UNSEEN)


def run(columns: int, seed: int) -> list[Verdict]:
    """The verdicts of at least ``columns`` columns."""
    found: list[Verdict] = []
    number = 0
    while len(found) < columns:
        number += 1
        name = f"{seed}/{number}"
        found += verdicts(draw(name), name)
    return found


def _class(verdict: Verdict) -> tuple[str, str]:
    column = verdict.column
    described = {
        "right": "the spec is right",
        "fault": "cells that cannot be read",
        "wrong": "the spec is slightly wrong" if column.seen else "the spec is wrong, and nothing shows it",
    }
    return described[column.mode], column.kind


def table(found: list[Verdict]) -> str:
    """Columns by class and answer."""
    counts = Counter((_class(verdict), verdict.answer) for verdict in found)
    groups = sorted({group for group, _ in counts})
    lines = ["| class | kind | columns | " + " | ".join(_ANSWERS) + " |", "|---|---|" + "--:|" * (len(_ANSWERS) + 1)]
    for group in groups:
        numbers = [counts[group, answer] for answer in _ANSWERS]
        lines.append(f"| {group[0]} | {group[1]} | {sum(numbers)} | " + " | ".join(map(str, numbers)) + " |")
    totals = [sum(counts[group, answer] for group in groups) for answer in _ANSWERS]
    lines.append(f"| all | | {sum(totals)} | " + " | ".join(map(str, totals)) + " |")
    return "\n".join(lines)


def examples(found: list[Verdict], answer: str, at_most: int) -> str:
    """What an answer was given to, by class, with an example of each."""
    groups: dict[tuple, list[Verdict]] = {}
    for verdict in found:
        if verdict.answer == answer:
            column = verdict.column
            groups.setdefault((column.mode, column.kind, column.what), []).append(verdict)
    lines = []
    for (mode, kind, what), of in sorted(groups.items(), key=lambda item: -len(item[1]))[:at_most]:
        first = of[0]
        formats = ", ".join(sorted({verdict.file.file.kind for verdict in of}))
        lines.append(f"{len(of):4}  {mode}, {kind}: {what} ({formats})")
        lines.append(f"      centre {first.seed}, {first.file.name}, {first.column.field}, {first.column.source}")
        lines.append(f"      {first.example}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.columns", description=__doc__)
    parser.add_argument("--columns", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=20, help="classes of wrong and refused columns to show")
    asked = parser.parse_args()
    began = time.monotonic()
    found = run(asked.columns, asked.seed)
    print(table(found))
    right = [verdict for verdict in found if verdict.column.mode == "right"]
    refused = sum(verdict.answer == REFUSED for verdict in right)
    print(f"\nSeed {asked.seed}; {time.monotonic() - began:.0f} s; refused although right: {refused} of {len(right)}")
    for answer in (SILENT, FAILED, REFUSED, PART, UNSEEN):
        if text := examples(found, answer, asked.examples):
            print(f"\n{answer}:\n{text}")


if __name__ == "__main__":
    main()
