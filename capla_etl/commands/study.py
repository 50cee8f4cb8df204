"""``capla study``: the whole study in this process, with progress stage by stage.

Nothing is computed here. Heavy imports are inside the functions, so that their time is counted and shown.
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
    parser.add_argument(
        "--json", action="store_true", help="say the result as JSON; progress goes to the standard error output"
    )
    parser.add_argument("--verbose", action="store_true", help="show everything that Dagster logs")
    beside = "; published in warehouse/variants/, beside the study"
    parser.add_argument(
        "--as-of",
        metavar="DATE",
        default="",
        help="only submissions up to this date (YYYY-MM-DD), as the study stood then" + beside,
    )
    parser.add_argument(
        "--rule-set",
        metavar="NAME",
        default="",
        help="the rule set that the tables use, one of those in outcomes.rule_set" + beside,
    )
    parser.add_argument(
        "--profile", choices=PROFILES, default=JOURNAL, help="protected: publish only what may leave the group" + beside
    )


def run(options: argparse.Namespace) -> int:
    """The whole study, from the centres' files to the published report."""
    dagster_home()  # of the study, before a variant has a warehouse of its own: its runs are listed with the others
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
