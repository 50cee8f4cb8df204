"""The queries of one centre as an XLSX workbook that the centre answers in, and the answers read back from it.

The same queries give the same bytes on every day. What a centre sent is written as text, so that no cell is a formula.

What does not belong here: which questions are asked (questions.py) and what an answer does (answers.py).
"""

import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from capla_etl.centres.submissions import kind_of_data
from capla_etl.office import (
    alignment,
    as_listing,
    font,
    for_print,
    saved,
    set_widths,
    writable,
    write_cell,
    write_readme,
)
from capla_etl.queries.answers import ACCEPTED, CORRECTED, Answer, AnswersRefused

if TYPE_CHECKING:
    import duckdb

SHEET = "Queries"

#: Locked columns: heading -> column of quality.query and width.
LOCKED = {
    "Query": ("query_id", 16),
    "Status": ("status", 10),
    "Patient": ("centre_patient_id", 12),
    "Kind": ("category", 18),
    "File": ("file", 22),
    "Sheet": ("sheet", 12),
    "Row": ("row_numbers", 10),
    "How many": ("occurrences", 9),
    "Column": ("column_name", 18),
    "Found": ("found", 34),
    "Question": ("question", 60),
}
#: Columns for the centre: heading -> column of quality.query and width.
ANSWERED = {
    "Answer": ("answer", 16),
    "Correct value": ("corrected_value", 18),
    "Reason": ("reason", 30),
    "Confirmed by": ("answered_by", 18),
    "Date": ("answered_on", 12),
}
#: Hidden: a hash of the row's locked cells, by which a changed one is recognised.
CHECK = "Check"
HEADINGS = [*LOCKED, *ANSWERED, CHECK]

_EXPORTED = "Use the workbook that `capla queries export` wrote."


def _shown(value) -> str:
    """A cell as text."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    return value.strftime("%Y-%m-%d") if isinstance(value, date) else writable(str(value))


def _check(cells: list[str]) -> str:
    return hashlib.sha256("\x1f".join(cells).encode()).hexdigest()[:16]


def workbook_bytes(centre_id: str, queries: pd.DataFrame, data_cut_off: date, version: str = "") -> bytes:
    """The workbook of one centre.

    Args:
        centre_id: the centre.
        queries: its rows of ``quality.query``.
        data_cut_off: date of its current submission; it stands for the date of the workbook.
        version: name of the state of the study; empty: not known.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.properties.creator, book.properties.title = "capla_etl", f"Queries to centre {centre_id}"
    open_ones = int((queries["status"] == "open").sum())
    write_readme(
        book.active,
        [
            f"Queries to centre {centre_id}, submission of {data_cut_off.isoformat()}",
            kind_of_data.sentence(),
            "",
            f"{open_ones} open question(s), {len(queries) - open_ones} answered.",
            f"Version {version} of the study." if version else "",
            f"Each row of the sheet '{SHEET}' is one question. File, sheet, row and column say where it is in what you "
            "sent; 'Found' is what is there.",
            "Fill in the yellow cells only; the others are locked. If you cannot answer a question yet, leave it "
            "blank: it stays open.",
            f"Answer '{ACCEPTED}': nothing changes; the question says what that means. Say who confirmed it and the "
            "date (YYYY-MM-DD), and why under 'Reason'.",
            f"Answer '{CORRECTED}': write under 'Correct value' exactly what should stand in that cell of your file "
            "(same unit, same date format, same decimal mark), the reason, who confirmed it and the date (YYYY-MM-DD).",
            "'How many' above 1: the answer holds for all these rows. If 'Column' is empty, a correction needs a new "
            "submission.",
            "Send this workbook back under any name. Write no names or other identifying details of patients into it.",
        ],
    )
    book.active.protection.sheet = True
    _queries(book.create_sheet(SHEET), queries)
    book.active = 1
    return saved(book, data_cut_off)


def _queries(sheet, queries: pd.DataFrame) -> None:
    from openpyxl.styles import Border, PatternFill, Protection, Side
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    wrapped = alignment(wrap_text=True)
    heading, to_fill, closed = (PatternFill("solid", fgColor=c) for c in ("1F4E78", "FFF8DC", "EDEDED"))
    line = Border(bottom=Side("thin", color="BFBFBF"))
    set_widths(sheet, [width for _, width in (LOCKED | ANSWERED).values()] + [18])
    for column, name in enumerate(HEADINGS, start=1):
        cell = write_cell(sheet, 1, column, name)
        cell.font, cell.fill, cell.alignment = font(bold=True, color="FFFFFF"), heading, wrapped
    for number, row in enumerate(queries.to_dict("records"), start=2):
        locked = [_shown(row[c]) for c, _ in LOCKED.values()]
        texts = [*locked, *(_shown(row[c]) for c, _ in ANSWERED.values()), _check(locked)]
        is_open = row["status"] == "open"
        for column, (name, text) in enumerate(zip(HEADINGS, texts, strict=True), start=1):
            cell = write_cell(sheet, number, column, text)
            cell.number_format, cell.alignment, cell.border = "@", wrapped, line
            if name in ANSWERED:
                cell.fill = to_fill if is_open else closed
                cell.protection = Protection(locked=not is_open)
    last = max(2, len(queries) + 1)
    answer = get_column_letter(HEADINGS.index("Answer") + 1)
    choices = DataValidation(type="list", formula1=f'"{ACCEPTED},{CORRECTED}"', allow_blank=True, showErrorMessage=True)
    choices.error = f"Choose '{ACCEPTED}' or '{CORRECTED}', or leave it blank."
    choices.add(f"{answer}2:{answer}{last}")
    sheet.add_data_validation(choices)
    sheet.column_dimensions[get_column_letter(len(HEADINGS))].hidden = True
    as_listing(sheet, len(HEADINGS), last, freeze="B2")
    for_print(sheet, kind_of_data.sentence(), "1:1")
    sheet.protection.sheet = True
    for allowed in ("autoFilter", "sort", "formatColumns", "formatRows"):
        setattr(sheet.protection, allowed, False)


def read_answers(path: Path, queries: pd.DataFrame) -> list[Answer]:
    """The answered rows of a workbook; rows without an answer are still open.

    Args:
        path: the workbook as it came back.
        queries: ``quality.query``, with every query that may be answered.

    Raises:
        AnswersRefused: another kind of file, an unknown query, a changed locked cell, or an incomplete answer; all
            problems at once.
    """
    from openpyxl import load_workbook

    try:
        book = load_workbook(path)
    except Exception as error:  # openpyxl has no error of its own for a broken file
        problem = f"{path.name}: not a whole XLSX workbook ({type(error).__name__}). Save it again as .xlsx."
        raise AnswersRefused([problem]) from error
    if SHEET not in book.sheetnames:
        raise AnswersRefused([f"{path.name}: no sheet {SHEET!r}. {_EXPORTED}"])
    rows = list(book[SHEET].iter_rows())
    found = [cell.value for cell in rows[0]] if rows else []
    if missing := [heading for heading in HEADINGS if heading not in found]:
        problem = f"{path.name}, sheet {SHEET!r}: row 1 lacks the heading(s) {', '.join(missing)}. {_EXPORTED}"
        raise AnswersRefused([problem])
    place = {heading: found.index(heading) for heading in HEADINGS}
    known = {row["query_id"]: row for row in queries.to_dict("records")}
    answers, problems, seen = [], [], set()
    for number, cells in enumerate(rows[1:], start=2):
        row = {heading: cells[i] for heading, i in place.items()}
        if all(cell.value in (None, "") for cell in row.values()):
            continue
        answer, wrong = _answer(number, row, known)
        if answer and answer.query_id in seen:
            wrong.append(f"duplicate query {answer.query_id}. Remove one of its rows.")
        problems += [f"{path.name}, row {number}: {w}" for w in wrong]
        if answer:
            seen.add(answer.query_id)
            answers.append(answer)
    if problems:
        raise AnswersRefused(problems)
    return answers


def _answer(number: int, row: dict, known: dict[str, dict]) -> tuple[Answer | None, list[str]]:
    """One row of a workbook: its answer, if it has one, and what is wrong with it."""
    locked = [_shown(row[h].value) for h in LOCKED]
    query_id = locked[0]
    if query_id not in known:
        return None, [
            f"the query {query_id!r} is not known. Do not change the first column; export an outdated workbook again."
        ]
    if _check(locked) != _shown(row[CHECK].value):
        asked = [_shown(known[query_id][c]) for c, _ in LOCKED.values()]
        changed = [h for h, a, b in zip(LOCKED, locked, asked, strict=True) if a != b and h != "Status"]
        which = f" ({', '.join(changed)})" if changed else ""
        return None, [
            f"a locked cell was changed{which}. Undo it, or copy the answer into a newly exported workbook. Answers go "
            "into the yellow columns only."
        ]
    if formulas := [h for h in ANSWERED if row[h].data_type == "f"]:
        return None, [f"{formulas[0]}: found a formula; write the value itself."]
    word, value, reason, by, day = (row[h].value for h in ANSWERED)
    word, reason, by = _shown(word).strip().lower(), _shown(reason).strip(), _shown(by).strip()
    others = [h for h in list(ANSWERED)[1:] if _shown(row[h].value).strip()]
    choose = f"Choose '{ACCEPTED}' or '{CORRECTED}'"
    if not word:
        return None, [f"Answer is blank but {others[0]} is filled in. {choose}."] if others else []
    if word not in (ACCEPTED, CORRECTED):
        return None, [f"Answer: found {word!r}. {choose}, or leave it blank."]
    problems = []
    if isinstance(value, bool | float | date | datetime):
        problems.append(
            "Correct value: found a number or date cell, whose text is not known. Format the cell as text and write "
            "the value as in your file."
        )
    day, wrong_day = _date(day)
    problems += wrong_day
    text = "" if value is None else str(value).strip()
    needed = {"Confirmed by": by, "Date": day or wrong_day}
    if word == CORRECTED:
        needed = {"Correct value": text, "Reason": reason} | needed
    problems += [f"{word}, but {name} is empty. Fill it in." for name, given in needed.items() if not given]
    if word == CORRECTED and not known[query_id]["column_name"]:
        problems.append(
            "this question points to no single cell, so it cannot be corrected here. Leave it open and send a "
            "corrected submission."
        )
    if word == ACCEPTED and text:
        problems.append(f"'{ACCEPTED}', but Correct value is filled in. Choose '{CORRECTED}', or clear the value.")
    return (Answer(number, query_id, word, text, reason, by, day) if day else None), problems


def _date(value) -> tuple[date | None, list[str]]:
    """The day of an answer, from a date cell or text."""
    if isinstance(value, datetime):
        return value.date(), []
    if value is None or not str(value).strip():
        return None, []
    try:
        return date.fromisoformat(str(value).strip()), []
    except ValueError:
        return None, [f"Date: found {str(value)!r}; write it as YYYY-MM-DD."]


def write_workbooks(con: "duckdb.DuckDBPyConnection", centre_ids: list[str], folder: Path) -> list[Path]:
    """A workbook for each centre as ``<folder>/<CENTRE>.xlsx``, from ``quality.query`` of a warehouse.

    A centre whose first submission is held back has one too, with its signals.

    Raises:
        KeyError: a centre is not in the warehouse.
    """
    days = {}
    for relation in ("quality.monitored", "harmonised.submission"):  # the submission in the study, where there is one
        sent = con.execute(f"select distinct centre_id, submission from {relation}").fetchall()
        days |= {c: d.date() if isinstance(d, datetime) else d for c, d in sent}
    if unknown := [c for c in centre_ids if c not in days]:
        raise KeyError(f"centre {', '.join(unknown)} is not in the warehouse; it has {', '.join(sorted(days))}")
    queries = con.execute("select * from quality.query").df()
    version = con.execute("select version from study.version").fetchone()[0]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for centre_id in centre_ids:
        path = folder / f"{centre_id}.xlsx"
        own = queries[queries["centre_id"] == centre_id]
        path.write_bytes(workbook_bytes(centre_id, own, days[centre_id], version))
        written.append(path)
    return written
