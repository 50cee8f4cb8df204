"""Read submissions exactly as sent: every file that the spec declares and no other, every column declared, as text.

Forbidden (identifying) columns are dropped here, before anything is kept, and free text that could identify is
withheld.

What does not belong here: how a format is read (formats/), and units, vocabularies, missing codes, dates of text files
(harmonising/values.py).
"""

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.errors import CentreRefused, damaged, letters, listed, nearest, said_place
from capla_etl.centres.files import place, sha256
from capla_etl.centres.reading import formats, free_text, no_records
from capla_etl.centres.reading.formats import Decimals, FileTable, Unreadable
from capla_etl.centres.reading.formats.file_table import arrow_names
from capla_etl.centres.reading.formats.json_lines import JsonFile
from capla_etl.centres.reading.sent_files import SentFile, find_file, fits, sent_files, sent_name
from capla_etl.centres.spec.dates import EPOCH
from capla_etl.centres.spec.grammar import (
    JsonLines,
    Spec,
    Table,
    Workbook,
    columns_named,
    sheet_of,
    source_columns,
    used_columns,
)
from capla_etl.centres.worker import now_reading

#: Rows of the k-th submission before the current one are numbered from k times this (tables declared incremental).
EARLIER_ROW = 100_000_000

_SUBMISSION = re.compile(r"\d{4}-\d{2}-\d{2}")


@lru_cache(maxsize=64)
def _arrow_names(header: tuple[str, ...]) -> dict[str, str]:
    """Exact name of a column -> its name in ``rows``."""
    return dict(zip(header, arrow_names(list(header)), strict=True))


@dataclass
class RawTable:
    """One file, sheet or nested list as sent.

    ``rows`` and ``set_aside``: as in ``FileTable``. ``earlier_submissions`` names the submissions, latest first, whose
    rows are included, numbered from ``EARLIER_ROW`` on. ``free_text`` counts what the scan of each free text column
    found. ``epoch``, ``notes`` and ``numbers``: as in ``FileTable``. ``header``: the exact column names, forbidden ones
    included.
    """

    name: str
    file: str
    sheet: str
    rows: pa.Table
    set_aside: list[tuple[int, str, str, str]] = field(default_factory=list)
    earlier_submissions: list[str] = field(default_factory=list)
    free_text: list[dict] = field(default_factory=list)
    epoch: str = EPOCH
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)

    def named(self, column: str) -> str:
        """The column of ``rows`` with an exact name; another one only where two names differ in case alone."""
        return _arrow_names(tuple(self.header)).get(column, column)


def submissions(centre_folder: Path, as_of: date | None = None) -> list[Path]:
    """The dated folders of a centre (``YYYY-MM-DD``) up to a date, oldest first.

    Raises:
        CentreRefused: the name of a folder looks like a date but is not valid.
    """
    dated = sorted(p for p in centre_folder.iterdir() if p.is_dir() and _SUBMISSION.fullmatch(p.name))
    try:
        return [p for p in dated if date.fromisoformat(p.name) <= (as_of or date.max)]
    except ValueError as error:
        names, centre = listed(p.name for p in dated), centre_folder.name  # digits and hyphens alone
        problem = f"{centre}: one of the folders {names} is no valid date; expected YYYY-MM-DD. Rename it."
        raise CentreRefused(centre, [problem]) from error


def current_submission(centre_folder: Path, as_of: date | None = None) -> Path:
    """The latest submission of a centre up to a date.

    Raises:
        CentreRefused: there is none.
    """
    found = submissions(centre_folder, as_of)
    if not found:
        until = f" up to {as_of}" if as_of else ""
        problem = f"no submission found{until}; expected a folder named by its date, for example 2023-06-30."
        raise CentreRefused(centre_folder.name, [f"{centre_folder.name}: {problem}"])
    return found[-1]


def content_hash(submission: Path, spec: bytes) -> str:
    """SHA-256 over the names and contents of a submission's files and its spec."""
    digest = hashlib.sha256(spec)
    for path in sorted(p for p in submission.iterdir() if p.is_file()):
        digest.update(os.fsencode(path.name))
        digest.update(sha256(path).digest())
    return digest.hexdigest()


def _decimals(table: Table) -> Decimals:
    """The decimal marks of a table's columns, and the units of those that have one unit."""
    sources = [s for record in table.records for s in record.fields.values() if s.column]
    marks = {column: s.decimal for s in sources if s.decimal for column in source_columns(s)}
    units: dict[str, set] = {}
    for source in (s for s in sources if s.unit is not None):
        units.setdefault(source.column, set()).add(source.unit if isinstance(source.unit, str) else None)
    only = {column: unit for column, of in units.items() if len(of) == 1 and (unit := next(iter(of)))}
    return Decimals(table.decimal, marks, only)


def _declared_words(spec: Spec, table: Table) -> dict[str, list[str]]:
    """Column of a field -> the words that the spec gives a meaning there: missing codes, vocabularies."""
    words: dict[str, list[str]] = {}
    for source in (s for record in table.records for s in record.fields.values() if s.column):
        codes = source.vocabulary
        codes = spec.vocabularies.get(codes, {}) if isinstance(codes, str) else codes or {}
        for column in source_columns(source):
            words.setdefault(column, []).extend([*spec.missing, *source.missing, *codes])
    return words


def _known_sheets(spec: Spec, table: Table) -> list[str]:
    """The sheets of the table's file that the spec declares or ignores."""
    return [
        *(t.format.sheet for t in spec.tables.values() if t.file == table.file and isinstance(t.format, Workbook)),
        *spec.ignored_sheets,
    ]


def _without_empty(found: FileTable, table: Table) -> FileTable:
    """Leave out columns that have no name, no value and no place in the spec, as a delimiter at the end makes them."""
    declared = {*used_columns(table), *table.forbidden}
    unnamed = [c for i, c in enumerate(found.header, 1) if c == f"(column {i})" and c not in declared]
    empty = [c for c in unnamed if not pc.any(pc.not_equal(pc.utf8_trim_whitespace(found.rows[c]), "")).as_py()]
    return replace(found, header=[c for c in found.header if c not in empty], rows=found.rows.drop_columns(empty))


def _columns_accounted(header: list[str], table: Table, whole: list[str]) -> list[str]:
    """Problems with the columns: declared and missing, or present and not declared.

    A column that is not declared is named by its place in the file (``whole``), since its name may hold a patient's. If
    most declared columns are missing, the row is probably no header and may hold a patient's data: nothing is
    quoted.
    """
    declared = [*used_columns(table), *table.forbidden]
    found = {c: columns_named(c, header) for c in declared}
    missing = [column for column in declared if not found[column]]
    if len(missing) > len(declared) / 2:
        return [
            f"{len(missing)} of {len(declared)} declared columns are missing, for example {missing[0]!r}; are the "
            "header row, the delimiter and the encoding right?"
        ]
    known = set().union(*found.values())
    unknown = [h for h in header if h not in known]
    places = {name: f"{i} ({letters(i)})" for i, name in enumerate(whole, 1)}
    near = ((column, nearest(column, unknown)) for column in missing)
    now = {column: f" (is it now column {places[name]}?)" if name else "" for column, name in near}
    problems = [f"column {column!r} is missing{now[column]}." for column in missing]
    if unknown:
        problems.append(
            f"column(s) not in the spec: {listed(places[name] for name in unknown)}; declare each as used, ignored "
            "(with a reason) or forbidden (identifying)."
        )
    return problems


def _set_aside_no_records(spec: Spec, submission: Path, raws: list[RawTable]) -> list[str]:
    """Set rows aside that are no records; say which files hold a second table."""
    patients, problems = set(), []
    for raw in raws:
        if any(record.table == "patient" for record in spec.tables[raw.name].records):
            patients |= no_records.known_numbers(spec.tables[raw.name], raw.rows, raw.named)
    for raw in raws:
        try:
            raw.rows, aside = no_records.set_aside(spec, spec.tables[raw.name], raw.rows, raw.header, patients)
            raw.set_aside += aside
        except Unreadable as error:
            problems.append(f"{submission.name}/{said_place(raw.file, raw.sheet)}: {error}")
    return problems


def _files(spec: Spec, submission: Path) -> tuple[list[SentFile], list[str]]:
    """The files of a submission, and problems of its archives."""
    files, problems = [], []
    for path in sorted(submission.iterdir()):
        try:
            now_reading(f"{submission.name}/{called(spec, path)}")
            files += sent_files(path)
        except Unreadable as error:
            if not _is_ignored(spec, sent_name(path)):
                problems.append(f"{submission.name}/{called(spec, path)}: {error}")
    return files, problems


def called(spec: Spec, path: Path) -> str:
    """What messages and tables call a file: by its name only if the spec declares it, or the archive that it is."""
    name = sent_name(path)
    declared = any(fits(name, table.file.partition("/")[0]) for table in spec.tables.values())
    return name if declared or name in spec.ignored_files else place(path)


def _is_ignored(spec: Spec, name: str) -> bool:
    """Whether the spec ignores a file: by its name, or with the archive that holds it."""
    names = {name, name.partition("/")[0]}
    return any(fits(n, pattern) for n in names for pattern in spec.ignored_files)


def read_submission(spec: Spec, submission: Path) -> list[RawTable]:
    """Read every file of a submission.

    Args:
        spec: the centre's spec.
        submission: the dated folder with the files as sent.

    Returns:
        One RawTable per table of the spec, forbidden columns left out and free text scanned.

    Raises:
        CentreRefused: a file is missing, empty, corrupt or in another encoding, or its columns are not as declared; all
            problems at once.
    """
    files, problems = _files(spec, submission)
    raws: list[RawTable] = []
    contents: dict[str, bytes] = {}
    json_files: dict[str, JsonFile] = {}
    for name, table in spec.tables.items():
        label = f"{submission.name}/{table.file}"
        declared, sheet = table.format, sheet_of(table)
        is_json = isinstance(declared, JsonLines)
        try:
            file = find_file(files, table.file)
            label = f"{submission.name}/{file.name}"
            if isinstance(declared, Workbook):
                label += f", sheet {sheet!r}"
            now_reading(label)
            if file.name not in contents:
                contents[file.name] = file.content()
            content = contents[file.name]
            if is_json:
                if file.name not in json_files:
                    of_file = [t.format for t in spec.tables.values() if t.file == table.file]
                    lists = {f.list for f in of_file if isinstance(f, JsonLines) and f.list}
                    json_files[file.name] = JsonFile(content, lists)
                    if undeclared := [x for x in json_files[file.name].lists if x not in lists]:
                        problems.append(f"{label}: {len(undeclared)} list(s) not in the spec; declare each as a table.")
                found = json_files[file.name].read(declared, table.key, used_columns(table), _decimals(table))
            else:
                found = formats.read(
                    content, declared, _decimals(table), _known_sheets(spec, table), _declared_words(spec, table)
                )
            header = found.header
            found = _without_empty(found, table)
            column_problems = _columns_accounted(found.header, table, header)
        except Unreadable as error:
            problems.append(f"{label}: {error.said({*used_columns(table), *table.forbidden})}")
            continue
        except (CentreRefused, OSError, MemoryError):
            raise
        except Exception as error:
            problems.append(f"{label}: {damaged(error)}")
            continue
        if column_problems:
            problems += [f"{label}: {p}" for p in column_problems]
            continue
        raw = RawTable(name=name, file=file.name, sheet=sheet, rows=found.rows, set_aside=list(found.set_aside))
        raw.epoch, raw.notes, raw.numbers = found.epoch, list(found.notes), found.numbers
        raw.header = found.header
        if found.rows.num_rows == 0 and not is_json:
            problems.append(f"{label}: the file has a header but no rows.")
            continue
        raws.append(raw)
    for file in files:
        is_declared = any(fits(file.name, table.file) for table in spec.tables.values())
        if not is_declared and not _is_ignored(spec, file.name) and not file.name.startswith((".", "~$")):
            advice = "not in the spec; declare it as a table or under ignored_files with a reason."
            problems.append(f"{submission.name}/{file.place}: {advice}")
    problems += _set_aside_no_records(spec, submission, raws)
    if problems:
        raise CentreRefused(spec.centre.id, [f"{spec.centre.id}/{p}" for p in problems])
    now_reading(f"{submission.name} (all its files)")
    named = {raw.name: raw.named for raw in raws}
    scanned, counts = free_text.withhold(spec, {raw.name: raw.rows for raw in raws}, named)
    for raw in raws:
        raw.rows = scanned[raw.name].drop_columns([raw.named(c) for c in spec.tables[raw.name].forbidden])
        raw.free_text = counts.get(raw.name, [])
    return raws
