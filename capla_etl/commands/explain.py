"""``capla explain``: why a patient counts as refractory (or not), and which patients stand behind a printed number.

It reads the published warehouse; only ``--plot`` writes, a figure. The answers are made in ``capla_etl.explain``.
"""

import argparse
import json
import sys
from pathlib import Path

from capla_etl.commands import published


def _figure_file(name: str) -> Path:
    if not name.lower().endswith((".png", ".svg")):
        raise argparse.ArgumentTypeError(f"{name}: a course is drawn as .png or .svg")
    return Path(name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla explain``."""
    about = parser.add_subparsers(dest="about", required=True)
    patient = about.add_parser("patient", help="how one patient was judged, and where each fact was read")
    patient.add_argument("centre", metavar="CENTRE", help="code of the centre, as FR01")
    patient.add_argument("number", metavar="PATIENT", help="the centre's own patient number, as FR-0003")
    patient.add_argument("--rule-set", metavar="NAME", help="rule set (default: the study's)")
    patient.add_argument("--plot", metavar="FILE", type=_figure_file, help="draw the course (.png or .svg)")
    result = about.add_parser("result", help="the patients behind one printed number")
    result.add_argument("name", metavar="TABLE.ROW.GROUP", help="as table2.refractory.caplacizumab")
    for one in (patient, result):
        one.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> int:
    """From a printed number to its patients, from a patient's outcome to the rows of the files that decided it."""
    from capla_etl.explain.lookup import NotFound

    if not published.is_there():
        return 1
    with published.opened() as connection:
        try:
            print((_patient if options.about == "patient" else _result)(connection, options))
        except NotFound as not_found:
            print(not_found, file=sys.stderr)
            return 1
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            print(f"The plot cannot be written: {error.strerror}: {error.filename}", file=sys.stderr)
            return 1
    return 0


def _json(answer: dict) -> str:
    return json.dumps(answer, indent=1, ensure_ascii=False, default=str)


def _patient(connection, options: argparse.Namespace) -> str:
    from capla_etl.explain.lookup import find_patient, find_rule_set
    from capla_etl.explain.patient import as_text, explain_patient

    rule_set = find_rule_set(connection, options.rule_set)
    patient_id = find_patient(connection, options.centre, options.number)
    if options.plot:
        from capla_etl.explain.course import read_course
        from capla_etl.report.figures.course import course_figure, save_course

        save_course(course_figure(read_course(connection, patient_id, rule_set)), options.plot)
    answer = explain_patient(connection, patient_id, rule_set)
    return _json(answer) if options.json else as_text(answer)


def _result(connection, options: argparse.Namespace) -> str:
    from capla_etl.explain.lookup import find_result
    from capla_etl.explain.result import as_text, explain_result

    answer = explain_result(connection, *find_result(connection, options.name))
    return _json(answer) if options.json else as_text(answer)
