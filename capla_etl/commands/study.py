"""``capla study``: the whole study in this process, with progress stage by stage.

Heavy imports are inside the functions, so that their time is counted and shown.
"""

import argparse
import contextlib
import json
import os
import sys

from capla_etl.releases.variant import JOURNAL, PROFILES, Variant
from capla_etl.running.instance import dagster_home
from capla_etl.running.progress import Progress
from capla_etl.running.study import run_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla study``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON; progress goes to standard error")
    parser.add_argument("--verbose", action="store_true", help="show everything that Dagster logs")
    apart = "; published in warehouse/variants/"
    parser.add_argument(
        "--as-of",
        metavar="DATE",
        default="",
        help="the study as of this date (YYYY-MM-DD): only submissions up to it" + apart,
    )
    parser.add_argument(
        "--rule-set",
        metavar="NAME",
        default="",
        help="the rule set of the tables, one of those in outcomes.rule_set" + apart,
    )
    parser.add_argument(
        "--profile", choices=PROFILES, default=JOURNAL, help="protected: publish only what may leave the group" + apart
    )


def run(options: argparse.Namespace) -> int:
    """The whole study, from the centres' files to the published report."""
    dagster_home()  # set before the variant's warehouse is, so that its runs are listed with the study's
    try:
        variant = Variant.of(options.as_of, options.rule_set, options.profile)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    os.environ.update(variant.environment())
    if not options.json:
        return run_study(options.verbose, Progress())
    progress = Progress()
    with contextlib.redirect_stdout(sys.stderr):
        status = run_study(options.verbose, progress)
    print(json.dumps(progress.result(status), indent=1, ensure_ascii=False))
    return status
