"""The queries of one centre as an XLSX workbook that the centre answers in, and the answers read back from it.

The same queries give the same bytes, whatever the day. What a centre sent is written as text, so that no cell of it is ever a formula.

What does not belong here: which questions are asked (queries.py), what an answer does (commands/queries.py, centres/corrections.py).
"""

import hashlib
import io
import re
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from capla_etl.office import same_bytes
from capla_etl.queries.answers import ACCEPTED, CORRECTED, Answer, AnswersRefused

if TYPE_CHECKING:
    import duckdb

SHEET = "Queries"
README_SHEET = "Read me"
SYNTHETIC = "Synthetic data: no record of a real person is here."

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

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _shown(value) -> str:
    """A cell as text; line ends as spreadsheets keep them, characters that XLSX cannot hold replaced."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    if isinstance(value, date | datetime):
        return value.strftime("%Y-%m-%d")
    return _UNWRITABLE.sub("\ufffd", str(value)).replace("\r\n", "\n").replace("\r", "\n")


def _check(cells: list[str]) -> str:
    return hashlib.sha256("\x1f".join(cells).encode()).hexdigest()[:16]


def workbook_bytes(centre_id: str, queries: pd.DataFrame, data_cut_off: date) -> bytes:
    """The workbook of one centre.

    Args:
        centre_id: the centre.
        queries: its rows of ``quality.query``.
        data_cut_off: date of its current submission; it stands for the date of the workbook.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.properties.creator = "capla_etl"
    book.properties.title = f"Queries to centre {centre_id}"
    _readme(book.active, centre_id, queries, data_cut_off)
    _queries(book.create_sheet(SHEET), queries)
    book.active = 1
    content = io.BytesIO()
    book.save(content)
    return same_bytes(content.getvalue(), data_cut_off)


def _readme(sheet, centre_id: str, queries: pd.DataFrame, data_cut_off: date) -> None:
    from openpyxl.styles import Alignment, Font

    open_ones = int((queries["status"] == "open").sum())
    lines = [
        f"Queries to centre {centre_id}, submission of {data_cut_off.isoformat()}",
        SYNTHETIC,
        "",
        f"{open_ones} open question(s), {len(queries) - open_ones} answered.",
        "",
        f"Each row of the sheet '{SHEET}' is one question. File, sheet, row and column say where it is in what you sent; 'Found' is what is there.",
        "Fill in the yellow cells only; the others are locked. Leave a question blank that you cannot answer yet: it stays open.",
        f"Answer '{ACCEPTED}': nothing changes; the question says what that means. Say who confirmed it and the date (YYYY-MM-DD), and why under 'Reason'.",
        f"Answer '{CORRECTED}': write under 'Correct value' exactly what should stand in that cell of your file (same unit, same date format, same decimal mark), "
        "the reason, who confirmed it, and the date (YYYY-MM-DD).",
        "'How many' above 1: the answer holds for all these rows. Where 'Column' is empty a correction needs a new submission.",
        "Send this workbook back under any name. Write no names or other identifying details of patients into it.",
    ]
    sheet.title = README_SHEET
    sheet.column_dimensions["A"].width = 110
    for number, line in enumerate(lines, start=1):
        cell = sheet.cell(number, 1, line)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        cell.font = Font(bold=number == 1, size=14 if number == 1 else 11)
    sheet.protection.sheet = True


def _queries(sheet, queries: pd.DataFrame) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Protection, Side
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    wrapped, bold = Alignment(wrap_text=True, vertical="top"), Font(bold=True, color="FFFFFF")
    heading, to_fill, closed = (PatternFill("solid", fgColor=c) for c in ("1F4E78", "FFF8DC", "EDEDED"))
    line = Border(bottom=Side("thin", color="BFBFBF"))
    for column, name in enumerate(HEADINGS, start=1):
        cell = sheet.cell(1, column, name)
        cell.font, cell.fill, cell.alignment = bold, heading, wrapped
        width = (LOCKED | ANSWERED).get(name, ("", 18))[1]
        sheet.column_dimensions[get_column_letter(column)].width = width
    for number, row in enumerate(queries.to_dict("records"), start=2):
        locked = [_shown(row[c]) for c, _ in LOCKED.values()]
        texts = [*locked, *(_shown(row[c]) for c, _ in ANSWERED.values()), _check(locked)]
        is_open = row["status"] == "open"
        for column, (name, text) in enumerate(zip(HEADINGS, texts, strict=True), start=1):
            cell = sheet.cell(number, column)
            if text:
                cell.value = text
                cell.data_type = "s"
                cell.quotePrefix = text[0] in "=+-@\t\r"
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
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(HEADINGS))}{last}"
    sheet.oddFooter.center.text = SYNTHETIC
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = "1:1"
    sheet.protection.sheet = True
    sheet.protection.autoFilter = sheet.protection.sort = sheet.protection.formatColumns = (
        sheet.protection.formatRows
    ) = False


def read_answers(path: Path, queries: pd.DataFrame) -> list[Answer]:
    """The answered rows of a workbook; rows without an answer are still open.

    Args:
        path: the workbook as it came back.
        queries: ``quality.query``, with every query that may be answered.

    Raises:
        AnswersRefused: not such a workbook, an unknown query, a changed locked cell, or an answer that says too little; all problems at once.
    """
    from openpyxl import load_workbook

    try:
        book = load_workbook(path)
    except Exception as error:  # openpyxl raises whatever the broken part of a file makes it meet
        raise AnswersRefused(
            [f"{path.name}: not a whole XLSX workbook ({type(error).__name__}). Save it again as .xlsx."]
        ) from error
    if SHEET not in book.sheetnames:
        raise AnswersRefused([f"{path.name}: no sheet {SHEET!r}. Use the workbook that `capla queries export` wrote."])
    rows = list(book[SHEET].iter_rows())
    found = [cell.value for cell in rows[0]] if rows else []
    if missing := [h for h in HEADINGS if h not in found]:
        raise AnswersRefused(
            [
                f"{path.name}, sheet {SHEET!r}: the heading(s) {missing} are not in row 1. Use the workbook that `capla queries export` wrote."
            ]
        )
    place = {heading: found.index(heading) for heading in HEADINGS}
    known = {row["query_id"]: row for row in queries.to_dict("records")}
    answers, problems, seen = [], [], set()
    for number, cells in enumerate(rows[1:], start=2):
        row = {heading: cells[i] for heading, i in place.items()}
        if all(cell.value in (None, "") for cell in row.values()):
            continue
        answer, wrong = _answer(number, row, known)
        if answer and answer.query_id in seen:
            wrong.append(f"the query {answer.query_id} is there twice. Remove one of its rows.")
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
            f"the query {query_id!r} is not known. Do not change the first column; export the workbook again if it is old."
        ]
    if _check(locked) != _shown(row[CHECK].value):
        asked = [_shown(known[query_id][c]) for c, _ in LOCKED.values()]
        changed = [h for h, a, b in zip(LOCKED, locked, asked, strict=True) if a != b and h != "Status"]
        which = f" ({', '.join(changed)})" if changed else ""
        return None, [
            f"a locked cell was changed{which}. Undo it, or copy the answer into a workbook exported again. Answers go into the yellow columns only."
        ]
    if formulas := [h for h in ANSWERED if row[h].data_type == "f"]:
        return None, [f"{formulas[0]}: found a formula; write the value itself."]
    word = _shown(row["Answer"].value).strip().lower()
    others = [h for h in list(ANSWERED)[1:] if _shown(row[h].value).strip()]
    if not word:
        return None, [
            f"Answer is blank but {others[0]} is filled in. Choose '{ACCEPTED}' or '{CORRECTED}'."
        ] if others else []
    if word not in (ACCEPTED, CORRECTED):
        return None, [f"Answer: found {word!r}. Choose '{ACCEPTED}' or '{CORRECTED}', or leave it blank."]
    problems = []
    value, reason, by = (
        row["Correct value"].value,
        _shown(row["Reason"].value).strip(),
        _shown(row["Confirmed by"].value).strip(),
    )
    if isinstance(value, bool | float | date | datetime):
        problems.append(
            "Correct value: found a number or date cell, whose text cannot be told. Format the cell as text and write the value as in your file."
        )
    day, wrong_day = _date(row["Date"].value)
    problems += wrong_day
    text = "" if value is None else str(value).strip()
    needed = {"Confirmed by": by, "Date": day or wrong_day}
    if word == CORRECTED:
        needed = {"Correct value": text, "Reason": reason} | needed
    problems += [f"{word}, but {name} is empty. Fill it in." for name, given in needed.items() if not given]
    if word == CORRECTED:
        if not known[query_id]["column_name"]:
            problems.append(
                "this question points to no single cell, so it cannot be corrected here. Leave it open and send a corrected submission."
            )
    elif text:
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

    Raises:
        KeyError: a centre is not in the warehouse.
    """
    days = {
        c: d.date() if isinstance(d, datetime) else d
        for c, d in con.execute("select centre_id, submission from harmonised.submission").fetchall()
    }
    if unknown := [c for c in centre_ids if c not in days]:
        raise KeyError(f"centre {', '.join(unknown)} is not in the warehouse; it has {', '.join(sorted(days))}")
    queries = con.execute("select * from quality.query").df()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for centre_id in centre_ids:
        path = folder / f"{centre_id}.xlsx"
        path.write_bytes(workbook_bytes(centre_id, queries[queries["centre_id"] == centre_id], days[centre_id]))
        written.append(path)
    return written
