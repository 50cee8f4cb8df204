"""``capla verify``: recompute from the centres' files and say what differs.

With a name: that release. Without: the published study and every release, as the weekly job ``verify`` does.
"""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla verify``."""
    parser.add_argument("name", nargs="?", help="name of the release (default: the published study and every release)")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """Recompute the published study or a release from the files and say what differs."""
    from capla_etl.releases.freeze import ReleaseRefused, release_names, verify, verify_published
    from capla_etl.releases.rebuild import RebuildFailed

    found = []
    try:
        for name in [options.name] if options.name else [None, *release_names()]:
            print(
                f"{name or 'the published study'}: recomputing from the files, which takes as long as `capla study`",
                file=sys.stderr,
                flush=True,
            )
            found.append(verify(name) if name else verify_published())
            if not options.json:
                _print(found[-1])
    except (ReleaseRefused, RebuildFailed) as error:
        print(json.dumps({"verified": False, "why": str(error)}) if options.json else f"Not verified: {error}")
        return 1
    if options.json:
        print(json.dumps([{"name": v.name, "identical": not v.differs, "differs": v.differs} for v in found], indent=1))
    return int(any(v.differs for v in found))


def _print(found) -> None:
    if found.differs:
        print(
            f"{found.name}: {len(found.differs)} difference(s)\n" + "\n".join(f"  - {line}" for line in found.differs),
            flush=True,
        )
    else:
        print(f"{found.name}: identical. The files give the same results again.", flush=True)
