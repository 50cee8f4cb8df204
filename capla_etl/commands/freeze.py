"""``capla freeze NAME``: run the study and lock it as a release.

A release holds warehouse, outputs and a manifest: inputs by hash, code, parameters.
"""

import argparse
import contextlib
import json
import sys

from capla_etl.commands import study
from capla_etl.releases.variant import JOURNAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla freeze``."""
    parser.add_argument("name", help="name of the release: letters, digits, points, hyphens, underscores")
    about = "freeze the study with the submissions up to this date (YYYY-MM-DD)"
    parser.add_argument("--as-of", metavar="DATE", default="", help=about)
    parser.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to standard error")


def run(options: argparse.Namespace) -> int:
    """Run the study and lock it as a release with a manifest."""
    from capla_etl.releases.freeze import ReleaseRefused, check_free, freeze

    try:
        folder = check_free(options.name)
        with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
            status = study.run(
                argparse.Namespace(verbose=False, json=False, as_of=options.as_of, rule_set="", profile=JOURNAL)
            )
        if status:
            return status
        freeze(options.name, folder)
    except ReleaseRefused as refused:
        print(f"\nNot frozen: {refused}")
        return 1
    result = {"release": options.name, "folder": str(folder)}
    print(json.dumps(result) if options.json else f"\nRelease        {folder}")
    return 0
