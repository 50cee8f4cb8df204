"""``capla rollback``: show an earlier version again, all of it in one step.

Only what is shown changes: the centres' files, their loads and the versions stay as they are. So the next run publishes
the study from the centres' files again, as a new version. To keep it from that, correct what was wrong first, or switch
the sensor and the schedules off.
"""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``[VERSION]``."""
    about = "name or number of `capla versions`, or the version that a document states (default: the state before)"
    parser.add_argument("version", nargs="?", metavar="VERSION", help=about)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Show an earlier version again, until the next run publishes."""
    from capla_etl.defs.build_lock import BuildInUse, hold_build
    from capla_etl.releases import versions

    try:
        hold_build(wait_seconds=0)
        version = versions.find(options.version) if options.version else versions.before_current()
    except (BuildInUse, versions.VersionRefused) as refused:
        print(f"Not rolled back: {refused}", file=sys.stderr)
        return 1
    versions.show(version)
    if options.json:
        print(json.dumps({"version": version.name, "folder": str(version.folder)}))
    else:
        print(f"Shown now      {version.name}. The next run publishes the study from the centres' files again.")
    return 0
