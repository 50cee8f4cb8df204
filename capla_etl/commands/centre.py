"""``capla centre``: add a centre to the study without Python.

``draft PATH`` writes a first spec from undescribed files. ``check CODE`` says what the current submission would bring,
and loads nothing; its exit status is 1 if anything must be decided: the centre cannot be loaded, central monitoring
holds it back, or a value is refused. ``list`` says where every centre stands. ``page [CODE]`` says where the page is
that is sent to a centre, or writes it again. See docs/ADD_A_CENTRE.md.
"""

import argparse
import json
import sys
import textwrap
from datetime import date
from pathlib import Path

from capla_etl import paths
from capla_etl.report.text_table import aligned

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``draft PATH``, ``check CODE``, ``list``, ``page [CODE]``."""
    actions = parser.add_subparsers(dest="action", required=True)
    draft = actions.add_parser("draft", help="Write a first spec from a folder of files.")
    where = "folder with the files as sent, a centre's folder, or one file"
    draft.add_argument("path", type=Path, metavar="PATH", help=where)
    code = "the centre's code, two letters and two digits (default: the folder's name)"
    draft.add_argument("--code", metavar="CODE", help=code)
    write = "write it as centre.yml into the centre's folder in the data; an existing one is never overwritten"
    draft.add_argument("--write", action="store_true", help=write)
    check = actions.add_parser("check", help="Say what a centre's current submission would bring; load nothing.")
    check.add_argument("centre", metavar="CODE", help="the centre's code: the name of its folder")
    listing = actions.add_parser("list", help="Say where every centre stands.")
    page = actions.add_parser("page", help="A centre's page about its data, to send to it (HTML and PDF).")
    page.add_argument("centre", nargs="?", metavar="CODE", help="one centre (default: all)")
    where = "write it there again (default: say where it is published)"
    page.add_argument("--to", type=Path, metavar="FOLDER", help=where)
    for action in (draft, check, listing, page):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Draft a new centre's spec, check its submission, say where every centre stands, or write centres' pages."""
    return {"draft": _draft, "check": _check, "list": _list, "page": _page}[options.action](options)


def _draft(options: argparse.Namespace) -> int:
    from capla_etl.centres.draft import draft_centre
    from capla_etl.centres.submissions.status import SPEC

    try:
        draft = draft_centre(options.path, options.code, _others(_place(options).name))
    except OSError as error:
        print(f"Not drafted: {error}", file=sys.stderr)
        return 1
    target = _place(options) / SPEC if options.write else None
    if target is not None:
        if target.exists():
            advice = "Rename or remove it first; a draft never replaces what somebody decided."
            print(f"{target} already exists. {advice}", file=sys.stderr)
            return 1
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(draft.centre_yml, encoding="utf-8")
    if options.json:
        return _print_json(draft.as_json())
    if target is None:
        print(draft.centre_yml)
    print("\n".join(draft.summary), file=sys.stderr if target is None else sys.stdout)
    if target is not None:
        check = f"`capla centre check {target.parent.name}`"
        print(f"\nWritten: {target}\nNext: replace every TO_DECIDE by what the centre's codebook says, then {check}.")
    return 0


def _others(centre_id: str):
    """What the loaded centres have, but for this one, for the draft to compare with; nothing if there are none."""
    from capla_etl.centres.draft.levels import of_centres
    from capla_etl.centres.errors import CentreRefused
    from capla_etl.centres.submissions.status import good_loads

    try:
        loads = good_loads()
    except CentreRefused as refused:  # loads of different states: published cohorts count
        print(f"Not compared with the loaded centres: {refused}", file=sys.stderr)
        return {}
    return of_centres({name: load.folder for name, load in loads.items() if name != centre_id})


def _print_json(content) -> int:
    print(json.dumps(content, indent=1, ensure_ascii=False))
    return 0


def _place(options: argparse.Namespace) -> Path:
    """The centre's folder: that of the files if they are in the data already, else that of the code given."""
    folder = options.path.resolve()
    inside = next((p for p in (folder, *folder.parents) if p.parent == paths.data_raw()), None)
    return inside or paths.data_raw() / (options.code or folder.name)


def _check(options: argparse.Namespace) -> int:
    from capla_etl.centres.errors import CentreRefused
    from capla_etl.quality.centre_check import check_centre

    try:
        found = check_centre(options.centre, say=lambda line: print(line, file=sys.stderr, flush=True))
    except CentreRefused as refused:
        return _refused(options, refused.problems)
    except OSError as error:
        return _refused(
            options, [f"{options.centre}: {error.strerror}. Centres are the folders of {paths.data_raw()}."]
        )
    status = int(found.to_decide > 0 or bool(found.monitored.stops))
    if options.json:
        frames = {
            name: json.loads(getattr(found, name).to_json(orient="records"))
            for name in ("ledger", "coverage", "refused", "readings", "notes", "courses", "outcomes")
        }
        head = {"centre_id": found.centre_id, "status": found.status, "submission": found.submission}
        head |= {"patients": found.patients, "to_decide": found.to_decide}
        signals = [_signal(signal) for signal in found.monitored.signals]
        _print_json({**head, "signals": signals, "not_judged": found.not_judged.to_dict("records"), **frames})
        return status
    what = f"{found.status}, {found.patients} patients. Nothing was loaded."
    print(f"{found.centre_id}, submission {found.submission}: {what}\n")
    _say_signals(found)
    _say_rows(found.ledger)
    _say_notes(found.notes)
    _say_readings(found.readings)
    _say_coverage(found.coverage)
    _say_refused(found.refused)
    _say_outcomes(found.outcomes)
    _say_courses(found.courses)
    return status


def _signal(signal) -> dict:
    """A signal for machines."""
    same = ("severity", "family", "quantity", "field", "file", "sheet", "found", "expected", "looks_like", "p_value")
    named = {"id": signal.signal_id, "check": signal.check_name, "column": signal.column_name, "rows": signal.rows}
    told = {"patients": signal.patients, "patient_numbers": signal.patient_numbers, "status": signal.status}
    told |= {"in_words": signal.in_words}
    return named | {name: getattr(signal, name) for name in same} | told


def _refused(options: argparse.Namespace, problems: list[str]) -> int:
    if options.json:
        _print_json({"centre_id": options.centre, "status": "refused", "problems": problems})
    else:
        head = f"{options.centre}: cannot be loaded, {len(problems)} problem(s). Nothing was changed."
        print("\n".join([head, *(f"  - {p}" for p in problems)]))
    return 1


def _columns(rows: list[tuple], headings: tuple[str, ...]) -> None:
    """Print aligned text: numbers to the right, other columns to the left; the last as long as the line allows."""
    print(textwrap.indent(aligned(headings, rows, right=True, width=WIDTH - 2), "  ") + "\n")


def _say_rows(ledger) -> None:
    print("Rows of each file: received = loaded + duplicate + refused + ignored")
    names = ["file", "sheet", "rows_received", "rows_loaded", "rows_duplicate", "rows_quarantined", "rows_ignored"]
    names.append("cells_quarantined")
    rows = [tuple(int(v) if i > 1 else v for i, v in enumerate(row)) for row in ledger[names].itertuples(index=False)]
    _columns(rows, ("file", "sheet", "received", "loaded", "duplicate", "refused", "ignored", "cells refused"))


def _say_signals(found) -> None:
    """Signals of central monitoring, the gravest first; then how much was looked at."""
    signals = found.monitored.signals
    print(f"Compared with the other centres and the submission before: {len(signals) or 'no'} signal(s)")
    for signal in signals:
        rows = f" Rows {', '.join(map(str, signal.rows))}." if signal.rows else ""
        if signal.patient_numbers and not rows:
            rows = f" Patients {', '.join(signal.patient_numbers)}."
        confirmed = f" Confirmed by {signal.confirmed_by}: {signal.reason}" if signal.status == "confirmed" else ""
        line = f"{signal.severity.upper():<4}  {signal.signal_id}  {signal.in_words}{rows}{confirmed}"
        print(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent=" " * 8))
    if found.monitored.stops:
        print("  STOP holds the submission back: correct the spec, ask the centre, or confirm it (ADD_A_CENTRE.md).")
    looked_at, not_judged = len(found.monitored.looked_at), found.not_judged
    print(f"  {looked_at} checks, {len(not_judged)} of them not judged" + (":" if len(not_judged) else "."))
    for why, rows in not_judged.groupby("why", sort=False):
        what = ", ".join(dict.fromkeys(f"{row.check} of {row.quantity}" for row in rows.itertuples()))
        print(textwrap.fill(f"{why}: {what}", WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8))
    print()


def _say_notes(notes) -> None:
    if not notes.empty:
        print("What the files say of themselves")
        for row in notes.itertuples(index=False):
            sheet = f", sheet {row.sheet!r}" if row.sheet else ""
            print(
                textwrap.fill(f"{row.file}{sheet}: {row.note}", WIDTH, initial_indent="  ", subsequent_indent="      ")
            )
        print()


def _say_readings(readings) -> None:
    print("How each field was read; then a low, a middle and a high value as sent -> as read, in the study's unit")
    for row in readings.itertuples(index=False):
        values = f"{row.filled:,} values" + (f", {row.refused:,} refused" if row.refused else "")
        how = f"; {row.how}" if row.how else ""
        samples = "; ".join(f"{sent} -> {read}" for sent, read in row.samples) or "(values are not shown)"
        for line, indent in ((f"{row.field} from column {row.column!r}: {values}{how}", 2), (samples, 6)):
            print(textwrap.fill(line, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * 8))
    print()


def _say_coverage(coverage) -> None:
    print("The study's fields: known in n of N records (analytes: patients with a result); median of the other centres")
    rows = []
    for row in coverage.itertuples(index=False):
        known = f"{row.filled:,} of {row.records:,}" if row.read_from and not _no(row.filled) else ""
        percent = "" if _no(row.percent) or not row.read_from else f"{row.percent:.0f} %"
        others = "" if _no(row.other_centres_percent) else f"{row.other_centres_percent:.0f} %"
        rows.append((row.table_name, row.field, known, percent, others, row.read_from or "NOT DECLARED"))
    _columns(rows, ("table", "field", "known", "", "others", "read from"))


def _no(value) -> bool:
    import pandas as pd

    return value is None or pd.isna(value)


def _say_refused(refused) -> None:
    if refused.empty:
        print("No row and no value is refused.\n")
        return
    print("Refused rows and values (each is kept, with its place, and asked about)")
    for row in refused.itertuples(index=False):
        sheet = f", sheet {row.sheet!r}" if row.sheet else ""
        column = f", column {row.column_name!r}" if row.column_name else ""
        unnamed = row.values_refused - len(row.rows.split(", "))
        more = f" and {unnamed} more" if unnamed > 0 else ""
        print(f"  {row.values_refused:>5}  {row.file}{sheet}{column}: {row.message}\n         rows {row.rows}{more}")
    print()


def _say_outcomes(outcomes) -> None:
    print("How many patients lack the inputs of each outcome (availability only; the rules are in docs/OUTCOMES.md)")
    for outcome, rows in outcomes.groupby("outcome", sort=False):
        lacking = [
            f"{r.patients_without} of {r.patients} without {r.meaning}{'' if r.essential else ' (not essential)'}"
            for r in rows.itertuples()
            if r.patients_without
        ]
        print(f"  {outcome} ({rows['protocol'].iloc[0]}): {'' if lacking else 'complete'}")
        print("".join(f"      {line}\n" for line in lacking), end="")
    print()


def _say_courses(courses) -> None:
    print("Three courses as they would be read (for the study group only). Compare them with the patients' charts.")
    for (patient, why), rows in courses.groupby(["centre_patient_id", "why"], sort=False):
        print(f"\n {patient} ({why})")
        shown = rows.drop(columns=["centre_patient_id", "why"]).itertuples(index=False)
        days = [tuple("" if _no(v) else str(v) for v in row) for row in shown]
        _columns(days, ("day", "platelets 10^9/L", "LDH x ULN", "ADAMTS13 %", "TPE", "caplacizumab", "events"))


def _list(options: argparse.Namespace) -> int:
    from capla_etl.centres.errors import CentreRefused
    from capla_etl.centres.submissions.status import STATUSES, as_published, centre_status

    there = _in_the_published_study()
    try:
        statuses = as_published(centre_status(), there)
    except CentreRefused as refused:
        print(refused, file=sys.stderr)
        return 1
    if options.json:
        keys = ("centre_id", "name", "country", "status", "problems")
        days = [(s.submission, there.get(s.centre_id), s.received) for s in statuses]
        named = [dict(zip(("submission", "published", "received"), map(_iso, of), strict=True)) for of in days]
        return _print_json([{k: getattr(s, k) for k in keys} | of for s, of in zip(statuses, named, strict=True)])
    rows = [
        (s.centre_id, s.name, s.country, s.status, *(day or "none" for day in days))
        for s in statuses
        for days in [(s.received, s.submission, there.get(s.centre_id))]
    ]
    _columns(rows, ("code", "name", "country", "status", "newest", "loaded", "published"))
    print("".join(f"  {status}: {STATUSES[status]}\n" for status in dict.fromkeys(s.status for s in statuses)))
    for status in statuses:
        if status.problems:
            print(f"{status.centre_id}\n" + "\n".join(f"  - {p}" for p in status.problems))
    return 0


def _in_the_published_study() -> dict[str, date | None]:
    """Centre -> its submission in the published study, as that says itself; {} if nothing is published."""
    from capla_etl.commands import published

    if not paths.published_database().exists():
        return {}
    with published.opened() as connection:
        return dict(connection.execute("select centre_id, submission from quality.centre_status").fetchall())


def _iso(day: date | None) -> str | None:
    return day and day.isoformat()


def _page(options: argparse.Namespace) -> int:
    from capla_etl.commands import published
    from capla_etl.report.centre_page.write import write_centre_pages

    if not published.is_there():
        return 1
    with published.opened() as connection:
        try:
            centres = [options.centre] if options.centre else []
            written = (
                write_centre_pages(connection, centres, options.to)
                if options.to
                else published.files_of_centres(paths.centre_pages(), options.centre)
            )
        except KeyError as error:
            print(error.args[0], file=sys.stderr)
            return 1
        except OSError as error:
            advice = "Name a writable folder (--to FOLDER)."
            print(f"{error.filename}: cannot be written ({error.strerror}). {advice}", file=sys.stderr)
            return 1
    places = [str(path) for path in written]
    if options.json:
        return _print_json(places)
    print("\n".join(places))
    return 0
