"""``capla versions``: what was published, the newest last, and which of it is shown now.

A version is a folder with all that one run published. Of each of the last three states of the study (a number that
``CAPLA_VERSIONS_KEPT`` sets) the newest version is kept; ``capla rollback`` shows one of them again.
"""

import argparse
import json

from capla_etl.releases.versions import versions
from capla_etl.report import text_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla versions``."""
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """List the versions that are kept, and say which is shown."""
    rows = [
        {
            "version": version.name,
            "published_at": version.published_at.isoformat(" "),
            "data_cut_off": version.data_cut_off and version.data_cut_off.isoformat(),
            "shown": version.current,
            "folder": str(version.folder),
        }
        for version in versions()
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        shown = [[row["version"], row["published_at"], row["data_cut_off"], "shown" * row["shown"]] for row in rows]
        print(text_table.aligned(["version", "published", "data cut-off", ""], shown, rule=True))
    else:
        print("No version yet: run `capla study`.")
    return 0
