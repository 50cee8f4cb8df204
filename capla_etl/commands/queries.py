"""``capla queries``: the questions to the centres as workbooks, and the centres' answers back.

``export`` says where the published workbooks are, or writes them again. ``import`` reads answered ones (given, or those
in data_raw/<CENTRE>/answers/) into data_raw/<CENTRE>/answers.yml and corrections.yml; the next ``capla study`` applies
them. A workbook with a problem is refused whole.
"""

import argparse
import json
from pathlib import Path

from capla_etl import paths
from capla_etl.commands import published


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``export [CODE] [--to FOLDER]`` and ``import [PATH ...]``."""
    actions = parser.add_subparsers(dest="action", required=True)
    export = actions.add_parser("export", help="The workbook of a centre, or of all.")
    export.add_argument("centre", nargs="?", metavar="CODE", help="one centre (default: all)")
    where = "write them there again (default: say where they are published)"
    export.add_argument("--to", type=Path, metavar="FOLDER", help=where)
    export.add_argument("--json", action="store_true", help="say what was written as JSON")
    answers = actions.add_parser("import", help="Read answered workbooks.")
    which = "workbooks (default: data_raw/<CENTRE>/answers/*.xlsx)"
    answers.add_argument("workbooks", nargs="*", type=Path, metavar="PATH", help=which)


def run(options: argparse.Namespace) -> int:
    """Write the questions to the centres as workbooks, or read their answers."""
    if not published.is_there():
        return 1
    return _export(options) if options.action == "export" else _import(options.workbooks)


def _export(options: argparse.Namespace) -> int:
    from capla_etl.queries.workbook import write_workbooks

    with published.opened() as connection:
        both = "select centre_id from harmonised.submission union select centre_id from quality.monitored order by 1"
        loaded = connection.execute(both).fetchall()
        centres = [options.centre] if options.centre else [centre_id for (centre_id,) in loaded]
        try:
            written = (
                write_workbooks(connection, centres, options.to)
                if options.to
                else published.files_of_centres(paths.outputs() / "queries", options.centre)
            )
        except KeyError as error:
            print(error.args[0])
            return 1
        except OSError as error:
            print(f"{error.filename}: cannot be written ({error.strerror}). Name a writable folder (--to FOLDER).")
            return 1
        counted = "select count(*), count(*) filter (status = 'open') from quality.query where centre_id = ?"
        counts = [connection.execute(counted, [centre_id]).fetchone() for centre_id in centres]
    said = [
        {"workbook": str(path), "questions": asked, "open": still_open}
        for path, (asked, still_open) in zip(written, counts, strict=True)
    ]
    lines = ("{workbook}: {questions} questions, {open} open".format(**one) for one in said)
    print(json.dumps(said, indent=1) if options.json else "\n".join(lines))
    return 0


def _import(workbooks: list[Path]) -> int:
    with published.opened() as connection:
        queries = connection.execute("select * from quality.query").df()
        history = "select centre_id, submission, file, sha256 from quality.submission_history"
        files = set(connection.execute(history).fetchall())
    workbooks = workbooks or sorted(paths.data_raw().glob("*/answers/*.xlsx"))
    if not workbooks:
        print(f"No workbook to read: none given, and none in {paths.data_raw()}/<CENTRE>/answers/.")
        return 1
    return max([_read(path, queries, files) for path in workbooks])


def _read(path: Path, queries, files: set[tuple]) -> int:
    """Keep a workbook's answers, or print every problem and write nothing. ``files``: those of the published state."""
    from capla_etl.centres.errors import CentreRefused
    from capla_etl.queries.answers import AnswersRefused, declare
    from capla_etl.queries.workbook import read_answers

    asked = {row["query_id"]: row for row in queries.to_dict("records")}
    try:
        if not path.is_file():
            raise AnswersRefused([f"{path}: not found."])
        answers = read_answers(path, queries)
        centres = sorted({asked[a.query_id]["centre_id"] for a in answers})
        if len(centres) > 1:
            raise AnswersRefused(
                [f"{path.name}: holds questions to {', '.join(centres)}; expected one centre per workbook."]
            )
        new = []
        for centre_id in centres:
            _refuse_changed_files(centre_id, files, {asked[a.query_id]["category"] for a in answers})
            new = declare(paths.data_raw() / centre_id, answers, asked, paths.as_of())
    except (AnswersRefused, CentreRefused) as refused:
        print(f"{path.name}: not read, nothing written.\n" + "\n".join(f"  - {p}" for p in refused.problems))
        return 1
    corrected = sum(a.status == "corrected" for a in new)
    given = f"{len(answers)} answers, {len(new)} new"
    print(f"{path.name}: {given} ({len(new) - corrected} accepted, {corrected} corrected).")
    if new:
        print("Run `capla study` to apply them.")
    return 0


def _refuse_changed_files(centre_id: str, files: set[tuple], categories: set[str]) -> None:
    """Refuse answers to questions about other files; signals are asked about in a submission that is held back too."""
    import pyarrow.parquet as pq

    from capla_etl.centres.submissions.history import history
    from capla_etl.centres.submissions.status import newest_loads, received_loads
    from capla_etl.queries.answers import AnswersRefused
    from capla_etl.queries.questions import MONITORING

    def content(table) -> set[tuple]:
        return {tuple(f[c] for c in ("centre_id", "submission", "file", "sha256")) for f in table.to_pylist()}

    now = content(history(paths.data_raw() / centre_id, newest_loads()[centre_id].spec, paths.as_of()))
    held_back = received_loads().get(centre_id)
    if held_back and categories == {MONITORING}:
        files = content(pq.read_table(held_back.folder / "quality.submission_history.parquet"))
    if changed := {f"{day}/{name}" for _, day, name, _ in now ^ {f for f in files if f[0] == centre_id}}:
        raise AnswersRefused(
            [
                f"{centre_id}: files arrived or changed after the published warehouse was made, or are held back "
                f"({', '.join(sorted(changed))}). Run `capla study` first; of a submission that is held back, only "
                "signals can be answered."
            ]
        )
