"""Write a draft as YAML, with the note about each line as a comment on it."""

import json
import re

from capla_etl import fields
from capla_etl.centres.draft.detect import DICTIONARY
from capla_etl.centres.draft.parts import TableDraft
from capla_etl.centres.spec.grammar import TO_DECIDE

_LISTS = {"tpe_session": "plasma exchanges", "drug_course": "drugs", "adverse_event": "adverse events"}
#: Fields that the outcomes require.
_NEEDED = ["sex", "birth_date", "first_tpe_date", "platelets_10e9_per_l", "ldh_x_uln", "adamts13_percent"]
_NEEDED += ["session_date", "drug", "died", "death_date", "last_contact_date"]


def _scalar(value) -> str:
    """A YAML scalar that reads back as the same text."""
    text = str(value)
    if isinstance(value, bool):
        return text.lower()
    reserved = text.lower() in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    plain = not reserved and text.strip() == text and re.fullmatch(r"[^\W\d_][\w .%/^-]*|\d+", text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _inline(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(v) for v in value) + "]"
    return _scalar(value)


def _line(indent: int, text: str, note: str = "") -> str:
    return " " * indent + text + (f"   # {' '.join(note.split())}" if note else "")


def spec_text(
    code: str, tables: list[TableDraft], unreadable: list[str], files: list[str], left: dict[str, str]
) -> str:
    """The draft as YAML with comments; ``left``: each file of which no table was read, and why."""
    found = {name for t in tables for r in t.records for name in r.fields}
    if found & {"birth_year", "age_years_reported"}:
        found.add("birth_date")
    lacking = [f"{n} ({fields.fields()[n].meaning.rstrip('.')})" for n in _NEEDED if n not in found]
    lines = [
        "# DRAFT from the files alone. `certain`: the files prove it. `GUESS`: likely; confirm it with the centre.",
        f"# {TO_DECIDE}: the files do not show it; the spec is refused until the centre's codebook answers each.",
        "# Which column is which field is by its header: check each. A comment says how its cells are read.",
        f"# Files: {', '.join(files)}",
        *(f"# NOT READ: {' '.join(problem.split())}" for problem in unreadable),
        *(f"# NOT FOUND: {name}" for name in lacking),
        _line(0, f"centre: {{id: {code}, name: {TO_DECIDE}, country: {TO_DECIDE}}}"),
        "lists:",
    ]
    kinds = {r.table for t in tables for r in t.records}
    for name, meaning in _LISTS.items():
        there = name in kinds or (name == "adverse_event" and "adverse_event_assessment" in kinds)
        question = f"a patient without {meaning} in the files: none, or unknown?"
        lines.append(
            _line(2, f"{name}: {TO_DECIDE}", question + ("" if there else " None was recognised in the files."))
        )
    sheets = {sheet: why for table in tables for sheet, why in table.found.other_sheets.items()}
    unread = f"{TO_DECIDE}: no table was read from it; ask for it anew, or say why it is none"
    ignored = {file: why if why == DICTIONARY else unread for file, why in left.items()}
    for name, reasons in (("ignored_files", ignored), ("ignored_sheets", sheets)):
        lines += [_line(0, f"{name}:")] if reasons else []
        lines += [_line(2, f"{_scalar(one)}: {_scalar(reason)}") for one, reason in reasons.items()]
    lines.append("tables:")
    for table in tables:
        lines += _table_text(table)
    return "\n".join(lines) + "\n"


def _table_text(table: TableDraft) -> list[str]:
    found = table.found
    lines = [_line(2, f"{table.name}:"), _line(4, f"file: {_scalar(table.file)}")]
    declared = found.format.model_dump(exclude_defaults=True)
    notes = [*(f"certain: {c}" for c in found.certain), *(f"GUESS: {g}" for g in found.guesses), *found.table.notes]
    lines.append(_line(4, f"format: {_inline(declared)}", "; ".join(notes)))
    key = TO_DECIDE if table.key_identifies else _scalar(table.key)
    lines.append(_line(4, f"key: {key}", table.key_note or "which column names the patient?"))
    lines += [_line(4, f"{name}: {_inline(value)}", note) for name, (value, note) in table.options.items()]
    if table.kinds:
        column, kinds, ignored = table.kinds
        lines += [_line(4, "row_kinds:"), _line(6, f"column: {_scalar(column)}"), _line(6, f"kinds: {_inline(kinds)}")]
        lines += [_line(6, f"ignored: {_inline(ignored)}")] if ignored else []
    for name in ("forbidden", "free_text", "ignored"):
        if said := getattr(table, name):
            lines.append(_line(4, f"{name}:"))
            lines += [_line(6, f"{_scalar(column)}: {_scalar(reason)}") for column, reason in said.items()]
    if not table.records:
        note = "nothing was recognised: describe the records (docs/CENTRE_SPEC.md), or put the file under ignored_files"
        return [*lines, _line(4, f"records: [{{table: {TO_DECIDE}, fields: {{}}}}]", note)]
    lines.append(_line(4, "records:"))
    for record in table.records:
        lines.append(_line(6, f"- table: {record.table}"))
        lines += [_line(8, f"rows: {record.rows}")] if record.rows else []
        if record.present:
            lines.append(_line(8, f"present: {_inline(record.present)}", record.present_note))
        lines.append(_line(8, "fields:"))
        lines += [_line(10, f"{name}: {_inline(entry.source)}", entry.note) for name, entry in record.fields.items()]
    return lines
