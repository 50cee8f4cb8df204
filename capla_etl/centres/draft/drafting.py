"""Draft ``centre.yml``: recognise each file, profile each column, and find each study field or list it as missing.

``TO_DECIDE`` stands for what the files do not prove and what would change numbers: the spec refuses it until a person
decides.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from capla_etl.centres.draft.detect import Found, detect, one_encoding
from capla_etl.centres.draft.identifying import looks_like
from capla_etl.centres.draft.levels import Level, published
from capla_etl.centres.draft.parts import TableDraft
from capla_etl.centres.draft.profile import Column, column_of
from capla_etl.centres.draft.recognise import recognise
from capla_etl.centres.draft.text import spec_text
from capla_etl.centres.draft.words import normal, words
from capla_etl.centres.reading.sent_files import fits, sent_name
from capla_etl.centres.spec.grammar import TO_DECIDE, JsonLines, Workbook
from capla_etl.centres.worker import Died, apart

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Full-width digits and letters; signs only beside nothing but digits and signs, as Japanese text has them by right.
_WIDE_SIGN = r"\uff05\uff0b-\uff0f\uff1a\uff1c-\uff1e"
_WIDE = re.compile(rf"[\uff10-\uff19\uff21-\uff5a]|^(?=.*[{_WIDE_SIGN}])[-\d\s.,:/<>=%+{_WIDE_SIGN}]+$")
#: The day, and the time, of an export in the name of its file.
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_STAMP = re.compile(
    rf"(?<!\d)(?:{_YEAR}([-_. ]?){_MONTH}\1{_DAY}|{_DAY}([-_.]){_MONTH}\2{_YEAR}|{_YEAR}年\d{{1,2}}月\d{{1,2}}日)"
    r"(?:[-_ T]*[0-2]\d[-_.:h]?[0-5]\d(?:[-_.:]?[0-5]\d)?)?(?!\d)"
)
#: Fields of a patient that stand in the list of the patients.
_SUBJECT = {"sex", "birth_date", "birth_year", "age_years_reported", "first_tpe_date"}
#: Names of tables by what they hold, for files that are named in another script.
_CONTENT = {"patient": "patients", "lab_result": "labs", "tpe_session": "exchanges", "drug_course": "drugs"}
_CONTENT |= {"adverse_event": "adverse_events", "adverse_event_assessment": "adverse_events"}
#: Words of SQL that a file could be called by.
_SQL = frozenset(
    ["table", "select", "order", "group", "index", "view", "all", "case", "column", "values", "where", "from", "join"]
)
_NUMBERED = re.compile(r"^(.*?\D|)([1-9]\d{0,3})(\D*)$")
#: The least number of repetitions of a repeated group.
_REPEATED = 3


@dataclass
class Draft:
    """A drafted spec.

    ``centre_yml``: its text. ``summary``: lines for the terminal. ``tables``: what was recognised. ``unreadable``: what
    could not be read, and why.
    """

    centre_yml: str
    summary: list[str]
    tables: list[TableDraft]
    unreadable: list[str]

    @property
    def to_decide(self) -> int:
        """How many decisions are left."""
        return sum(TO_DECIDE in line.split("#")[0] for line in self.centre_yml.splitlines())

    def as_json(self) -> dict:
        """The draft for machines, without any cell of a file."""
        return {
            "centre_yml": self.centre_yml,
            "to_decide": self.to_decide,
            "unreadable": self.unreadable,
            "tables": list(map(_table_json, self.tables)),
        }


def _table_json(table: TableDraft) -> dict:
    columns = {
        name: {
            "rows": c.rows,
            "filled": c.filled,
            "distinct": len(c.texts),
            "missing_codes": c.missing,
            "identifying": name in table.forbidden,
        }
        for name, c in table.columns.items()
    }
    return {
        "name": table.name,
        "file": table.found.file,
        "format": table.found.format.model_dump(exclude_defaults=True),
        "key": table.key,
        "columns": columns,
        "fields": sorted({name for record in table.records for name in record.fields}),
    }


def draft_centre(path: Path, centre_id: str | None = None, others: Mapping[str, Level] | None = None) -> Draft:
    """Draft a spec from the files of a folder, of the newest dated folder in it, or from one file.

    Args:
        path: folder of files as sent, a centre's folder with dated submissions, or one file.
        centre_id: the centre's code (default: the folder's name if it is a code).
        others: what the other centres have (``levels.of_centres``); what they lack is compared with published cohorts.

    Raises:
        FileNotFoundError: the path does not exist or holds no file.
    """
    folder, files = _files(path)
    found, problems = [], []
    for there, unread in _detected(files):
        found += there
        problems += unread
    problems += [
        (inner, "a folder; put its files beside the others and draft again.") for inner in _folders(folder, path)
    ]
    one_encoding(found)
    names = [*(f.file for f in found), *(name for name, _ in problems)]
    tables = [_table(f, _pattern(f.file, names)) for f in found]
    _share_keys(tables)
    for table in tables:
        table.levels = published() | dict(others or {})
        recognise(table)
    tables.sort(key=_order)
    _name(tables)
    codes = (p.name for p in (folder, folder.parent) if re.fullmatch(r"[A-Z]{2}\d{2}", p.name))
    code = centre_id or next(codes, TO_DECIDE)
    read, unreadable = {f.file for f in found}, [f"{name}: {problem}" for name, problem in problems]
    left = {_pattern(name, names): problem for name, problem in problems if name not in read}
    text = spec_text(code, tables, unreadable, [f.name for f in files], left)
    draft = Draft(text, [], tables, unreadable)
    return Draft(text, _summary(draft), tables, unreadable)


def _detected(files: list[Path]) -> list[tuple[list[Found], list[tuple[str, str]]]]:
    """What ``detect`` finds in each file, each read in a process of its own."""
    futures = [apart(detect, file) for file in files]
    return [_detected_or_died(file, future) for file, future in zip(files, futures, strict=True)]


def _detected_or_died(file: Path, future: Future) -> tuple[list[Found], list[tuple[str, str]]]:
    try:
        return future.result()
    except Died as died:
        return [], [(sent_name(file), f"the program that reads it {died.why}")]


def _files(path: Path) -> tuple[Path, list[Path]]:
    if path.is_file():
        return path.parent, [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such file or folder.")
    dated = sorted(p for p in path.iterdir() if p.is_dir() and _DATED.fullmatch(p.name))
    folder = dated[-1] if dated else path
    there = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "~$")))
    files = sorted(p for p in there if dated or p.suffix not in (".yml", ".md"))
    if not files:
        raise FileNotFoundError(f"{folder}: no files in it.")
    return folder, files


def _folders(folder: Path, path: Path) -> list[str]:
    """Names of the folders within the folder of a submission, which are not read."""
    inner = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    return [] if path.is_file() else sorted(p.name for p in inner if not _DATED.fullmatch(p.name))


def _pattern(name: str, names: list[str]) -> str:
    """The name of a file as a pattern: ``*`` in place of the day and time of the export, if it still fits no other."""
    exact = "/".join(re.sub(r"([\[?*])", r"[\1]", part) for part in name.split("/"))
    stamped = _STAMP.sub("*", exact)
    others = {other for other in names if other != name}
    plain = stamped.replace("*", "").replace("/", "").rpartition(".")[0]
    return stamped if plain.strip("_-. ") and not any(fits(other, stamped) for other in others) else exact


def _order(table: TableDraft) -> int:
    """The place of a table: the first record of patients names them, so the one with one row a patient comes first."""
    of_patients = [r for r in table.records if r.table == "patient"]
    if any(r.rows is None and r.fields.keys() & _SUBJECT for r in of_patients):
        return 0
    if any(r.fields.keys() & _SUBJECT for r in of_patients):
        return 1
    return 2 if any(r.rows is None for r in of_patients) else 3


def _table(found: Found, pattern: str) -> TableDraft:
    """Profile the columns, with repeated columns as one each."""
    cells = found.cells()
    footers = set(getattr(found.format, "footer_starts_with", []))
    first = found.table.header[0] if found.table.header else None
    if first and isinstance(found.format, Workbook):
        footers = {text for text in cells[first][-3:] if words().is_footer(text)}
        if footers:
            found.format = found.format.model_copy(update={"footer_starts_with": sorted(footers)})
    keep = [
        i
        for i in range(found.table.rows.num_rows)
        if any(cells[n][i].strip() for n in cells) and not (first and cells[first][i].strip() in footers)
    ]
    groups: dict[str, list[str]] = {}
    for name in cells:
        if match := _NUMBERED.match(name):
            groups.setdefault(f"{match[1]}{{k}}{match[3]}", []).append(name)
    grouped = {template: names for template, names in groups.items() if _is_group(template, names)}
    columns = {}
    for name, values in cells.items():
        template = next((t for t, names in grouped.items() if name in names), None)
        if template is None:
            columns[name] = column_of(name, [values[i] for i in keep])
        elif template not in columns:
            columns[template] = column_of(template, [cells[n][i] for n in grouped[template] for i in keep])
    table = TableDraft("", pattern, found, columns)
    if any(_WIDE.search(text) for c in columns.values() for text in c.texts):
        table.options["width"] = ("narrow", "the cells hold full-width digits, letters or signs")
        for n, c in columns.items():
            texts = [_narrow(t) for t in c.texts.elements()]
            table.columns[n] = column_of(n, texts + [""] * (c.rows - c.filled))
    return table


def _narrow(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", c) if 0xFF01 <= ord(c) <= 0xFF5E or c == "\u3000" else c for c in text)


def _is_group(template: str, names: list[str]) -> bool:
    """Whether the numbers begin with 1 and have no gap."""
    numbers = sorted(int(_NUMBERED.match(n)[2]) for n in names)
    return len(numbers) >= _REPEATED and numbers == list(range(1, len(numbers) + 1)) and "{k}" in template


def _name(tables: list[TableDraft]) -> None:
    """Name each table by its file, sheet or list, in a form that the spec accepts."""
    taken: set[str] = set()
    for table in tables:
        label = _STAMP.sub(" ", table.found.label)
        base = re.sub(r"[^a-z0-9]+", "_", normal(label).encode("ascii", "ignore").decode()).strip("_")
        kinds = (_CONTENT[record.table] for record in table.records if record.table in _CONTENT)
        if not label.isascii() and not re.search("[a-z]{3}", base) or not base:
            base = next(kinds, "other")
        if not base[0].isalpha() or base in _SQL:
            base = f"file_{base}"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        table.name = name


def _share_keys(tables: list[TableDraft]) -> None:
    """Find the patient's key of each table: by its header, and by sharing patients with other tables.

    A number that identifies (a record number of the hospital) is a key only where no other column names the patients,
    and then a person decides.
    """
    by_name = {id(table): column for table in tables if (column := _key_by_name(table))}
    for table in tables:
        if _is_list(table):
            continue
        others = {t for other, column in by_name.items() if other != id(table) for t in column.texts}
        own = by_name.get(id(table)) or max(
            table.columns.values(), key=lambda c: len(others & c.texts.keys()), default=None
        )
        if own is None:
            continue
        elsewhere, named = len(others & own.texts.keys()), id(table) in by_name
        if not named and elsewhere <= len(own.texts) / 2:
            continue
        table.key = own.name
        if kind := _identifying(own):
            table.key_identifies = True
            table.key_note = (
                f"only {own.name!r} names the patients, which is identifying ({kind}). Ask the centre for a study "
                "number; write this column here only if it is a pseudonym"
            )
        elif elsewhere > len(own.texts) / 2 and not own.counts_rows:
            table.key_note = f"certain: its values are those of {elsewhere} patients of other files"
        else:
            table.key_note = "GUESS: by its name; check that it is the patient's number"
    for table in tables:
        if _is_list(table):
            owner = next((t for t in tables if t.found.file == table.found.file and not _is_list(t)), None)
            table.key, table.key_note = (owner.key, "the owner of the list") if owner else (TO_DECIDE, "")


def _identifying(column: Column) -> str | None:
    """What a key would say of a person, by its header or its cells."""
    return words().identifying(column.name) or looks_like(column)


def _key_by_name(table: TableDraft) -> Column | None:
    """The column that is the patient's key by its header: best one that does not identify, and is wholly so named."""
    named = [
        (_identifying(column) is None, match.whole, match.letters, column)
        for column in table.columns.values()
        if column.filled and (match := words().match("roles", column.name)) and match.name == "key"
        if match.whole or column.unique
    ]
    return max(named, key=lambda found: found[:3])[3] if named else None


def _is_list(table: TableDraft) -> bool:
    return isinstance(table.found.format, JsonLines) and table.found.format.list is not None


def _summary(draft: Draft) -> list[str]:
    """What was recognised, a line a table, and how much is left to decide."""
    lines = []
    for t in draft.tables:
        found, what = t.found, Counter(r.table for r in t.records)
        said = ", ".join(f"{name} ({count} records)" if count > 1 else name for name, count in what.items())
        size = f"{found.table.rows.num_rows} rows, {len(found.table.header)} columns"
        lines.append(f"{found.file} {found.label!r}: {found.format.type}, {size}: {said or 'nothing recognised'}")
        lines += [f"  identifying, forbidden: {', '.join(t.forbidden)}"] if t.forbidden else []
    lines += [f"NOT READ {problem}" for problem in draft.unreadable]
    return [*lines, f"{draft.to_decide} lines are left to decide: look for {TO_DECIDE} in the draft."]
