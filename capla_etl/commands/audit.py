"""``capla audit``: the record of runs and releases, which is only ever appended to.

``verify`` checks that no line was changed, removed, added or moved, and prints the head. Note the head elsewhere: with
``--head`` it is looked for again, which shows that nothing before it was cut off or made anew. ``list`` prints the
runs. ``bom`` writes what the program is made of, ``dependencies`` asks whether any of it has known flaws.
"""

import argparse
import json
import sys
from pathlib import Path

from capla_etl import paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``verify``, ``list``, ``bom``, ``dependencies``."""
    actions = parser.add_subparsers(dest="action", required=True)
    verify = actions.add_parser("verify", help="Check the chain of lines.")
    head = "head that was noted before: it must be one of the lines (may be given several times)"
    verify.add_argument("--head", metavar="HASH", action="append", default=[], help=head)
    listing = actions.add_parser("list", help="Print the runs and releases, the newest last.")
    for action in (verify, listing):
        action.add_argument("--json", action="store_true", help="print JSON")
    bom = actions.add_parser("bom", help="Write the software bill of materials (CycloneDX) and third-party notices.")
    bom.add_argument("--to", type=Path, metavar="FOLDER", default=Path(), help="where to write (default: here)")
    actions.add_parser("dependencies", help="Ask for known flaws of the packages in the lock (needs the internet).")


def run(options: argparse.Namespace) -> int:
    """Check the record of runs, list it, or say what the program is made of."""
    return {"verify": _verify, "list": _list, "bom": _bom, "dependencies": _dependencies}[options.action](options)


def _verify(options: argparse.Namespace) -> int:
    from capla_etl.releases.freeze import trail_heads
    from capla_etl.releases.trail import check

    found = check(trail_heads() | {f"the head given ({head[:16]})": head for head in options.head})
    if options.json:
        content = {"lines": found.lines, "head": found.head, "problems": found.problems, "notes": found.notes}
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print(f"{paths.audit_trail()}: {found.lines} lines, head {found.head}")
        for line in [*(f"  WRONG  {p}" for p in found.problems), *(f"  note   {n}" for n in found.notes)]:
            print(line)
        if not found.problems:
            print("  The lines are as they were written. A cut-off end shows only beside a head noted elsewhere.")
    return int(bool(found.problems))


def _list(options: argparse.Namespace) -> int:
    from capla_etl.releases.trail import ENDED, RELEASED, records

    for record in records():
        if options.json:
            print(json.dumps(record, ensure_ascii=False))
        elif record["event"] == RELEASED:
            print(f"{record['at']}  released  {record['name']}")
        elif record["event"] == ENDED:
            print(f"{record['at']}  {record['how']:<9} run {record['run'][:8]}")
        else:
            who = record["who"]
            print(f"{record['at']}  began     run {record['run'][:8]} of {record['job']}: {who['user']}, {who['by']}")
    return 0


def _bom(options: argparse.Namespace) -> int:
    from capla_etl.releases.materials import write_materials

    options.to.mkdir(parents=True, exist_ok=True)
    print("\n".join(str(path) for path in write_materials(options.to)))
    return 0


def _dependencies(options: argparse.Namespace) -> int:
    from capla_etl.releases.materials import AuditImpossible, flaws

    try:
        found = flaws()
    except AuditImpossible as error:
        print(f"Not audited: {error}", file=sys.stderr)
        return 1
    print("\n".join(found) or "No package of the lock has a known flaw.")
    return int(bool(found))
