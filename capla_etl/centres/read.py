"""Files exactly as sent: every cell as text, every row with its number; nothing interpreted, nothing left out but forbidden columns.

Typed files (XLSX, Stata, SPSS) are rendered without loss: numbers as their shortest decimal text, dates as ISO text, labelled values as
their labels. Forbidden (identifying) columns are dropped here, before anything is kept, and free text that could identify is withheld.

What does not belong here: units, vocabularies, missing codes, dates of text files (harmonise.py).
"""

import csv as python_csv
import fnmatch
import gzip
import hashlib
import io
import itertools
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres import free_text
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec import Delimited, JsonLines, Spec, Spss, Stata, Table, Workbook, placeholder_columns, used_columns
from capla_etl.centres.sql import identifier, quote

#: Rows of the k-th submission before the current one are numbered from k times this (tables declared incremental).
EARLIER_ROW = 100_000_000

_SUBMISSION = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class RawTable:
    """One file, sheet or nested list as sent.

    ``rows`` holds one text column per column of the file, plus ``source_row`` (int64). ``set_aside`` lists rows that are not data or cannot
    be read as such: (row number, status 'ignored' or 'quarantined', rule, message). ``earlier_submissions`` names those, the latest first,
    whose rows are there too, numbered from ``EARLIER_ROW`` on. ``free_text`` counts what the scan of each column of free text found.
    """

    name: str
    file: str
    sheet: str
    rows: pa.Table
    set_aside: list[tuple[int, str, str, str]] = field(default_factory=list)
    earlier_submissions: list[str] = field(default_factory=list)
    free_text: list[dict] = field(default_factory=list)


class _Unreadable(Exception):
    """A file that cannot be read as its spec says; the message is for the data manager."""


def submissions(centre_folder: Path, as_of: date | None = None) -> list[Path]:
    """The dated folders of a centre (``YYYY-MM-DD``) up to a date, oldest first.

    Raises:
        CentreRefused: a folder is named like a date but is none of the calendar.
    """
    dated = sorted(p for p in centre_folder.iterdir() if p.is_dir() and _SUBMISSION.fullmatch(p.name))
    try:
        return [p for p in dated if date.fromisoformat(p.name) <= (as_of or date.max)]
    except ValueError as error:
        names = [p.name for p in dated]
        raise CentreRefused(centre_folder.name, [f"{centre_folder.name}: one of {names} is not a date; expected YYYY-MM-DD."]) from error


def current_submission(centre_folder: Path, as_of: date | None = None) -> Path:
    """The latest submission of a centre up to a date.

    Raises:
        CentreRefused: there is none.
    """
    found = submissions(centre_folder, as_of)
    if not found:
        until = f" up to {as_of}" if as_of else ""
        problem = f"{centre_folder.name}: no submission found{until}; expected a folder named by its date, for example 2023-06-30."
        raise CentreRefused(centre_folder.name, [problem])
    return found[-1]


def content_hash(submission: Path, spec_path: Path) -> str:
    """SHA-256 over the names and contents of a submission's files and its spec: the same content gives the same hash."""
    digest = hashlib.sha256(spec_path.read_bytes())
    for path in sorted(p for p in submission.iterdir() if p.is_file()):
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _texts(values: list, column: str, decimal: str) -> pa.Array:
    """Typed cells of one column as text, numbers with the decimal mark that the column is read with: the only place where a type becomes text."""
    if all(type(v) is str for v in values):
        return pa.array(values, pa.string())
    texts = (_text(v, column) for v in values)
    return pa.array([t.replace(".", decimal) if type(v) is float else t for t, v in zip(texts, values, strict=True)], pa.string())


def _decimals(table: Table) -> dict[str, str]:
    """Column -> its decimal mark, where it is not the table's."""
    return {s.column: s.decimal for record in table.records for s in record.fields.values() if s.column and s.decimal}


def _text(value, column: str) -> str:
    if value is None or value != value:
        return ""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if (value.hour, value.minute, value.second) == (0, 0, 0) else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    raise _Unreadable(f"column {column!r} holds a cell of type {type(value).__name__}; expected text, numbers or dates.")


def _unique_header(header: list[str]) -> None:
    """Refuse a header with two equal names; by position, since a row that is no header may hold a patient's data."""
    folded = [name.casefold() for name in header]
    twice = [i + 1 for i, name in enumerate(folded) if folded.count(name) > 1]
    if twice:
        raise _Unreadable(f"columns {twice[:10]} of the header row have the same names; expected each name once. Is the header row right?")


def _decode(content: bytes, encoding: str) -> str:
    try:
        text = content.decode("utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding)
    except UnicodeDecodeError as error:
        raise _Unreadable(
            f"byte {error.start} cannot be read as {encoding}; the file is in another encoding than the spec says."
        ) from error
    except LookupError as error:
        raise _Unreadable(f"the spec's encoding {encoding!r} is not known.") from error
    if "\0" in text:
        raise _Unreadable(f"zero bytes in the text; the file is probably UTF-16, but the spec says {encoding}.")
    if not encoding.lower().startswith("utf") and not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return text
        raise _Unreadable(f"the file is valid UTF-8, but the spec says {encoding}; accented letters would be misread.")
    return text


def _read_delimited(content: bytes, declared: Delimited) -> tuple[list[str], pa.Table, list]:
    from pyarrow import csv

    if declared.compression == "gzip":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise _Unreadable("not a whole gzip file.") from error
    text = _decode(content, declared.encoding)
    if not text.strip():
        raise _Unreadable("the file is empty.")
    lines = io.StringIO(text, newline="")
    try:
        first_rows = list(itertools.islice(python_csv.reader(lines, delimiter=declared.delimiter), declared.header_row))
    except python_csv.Error as error:
        raise _Unreadable("the header cannot be read; is every quotation mark closed?") from error
    header = [cell.strip() for cell in first_rows[-1]]
    if not any(header):
        raise _Unreadable(f"row {declared.header_row}, where the header should be, is blank.")
    _unique_header(header)
    if any("\n" in name for name in header):
        raise _Unreadable("the header spans several lines; is every quotation mark closed?")
    set_aside: list[tuple[int, str, str, str]] = []
    unclosed: list[int] = []

    def keep_going(row) -> str:
        number = row.number
        if "\n" in row.text.strip():
            unclosed.append(number)
        if row.text.strip():
            set_aside.append(
                (
                    number,
                    "quarantined",
                    "wrong_number_of_cells",
                    f"The row has {row.actual_columns} cells; the header has {row.expected_columns}.",
                )
            )
        else:
            set_aside.append((number, "ignored", "blank_row", "Blank row."))
        return "skip"

    try:
        table = csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=csv.ReadOptions(column_names=header, skip_rows=declared.header_row, use_threads=False),
            parse_options=csv.ParseOptions(
                delimiter=declared.delimiter, newlines_in_values=True, invalid_row_handler=keep_going, ignore_empty_lines=False
            ),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=False, quoted_strings_can_be_null=False, column_types=dict.fromkeys(header, pa.string())
            ),
        )
    except pa.ArrowInvalid as error:
        raise _Unreadable("not readable as delimited text; is the delimiter right, and is every quotation mark closed?") from error
    aside = {number for number, _, _, _ in set_aside}
    numbers = [n for n in range(declared.header_row + 1, declared.header_row + 1 + table.num_rows + len(aside)) if n not in aside]
    table = table.append_column("source_row", pa.array(numbers, pa.int64()))
    swallowed = re.escape(declared.delimiter) + "[^\n]*"
    for name in header:
        across_lines = table.filter(pc.match_substring_regex(table[name], f"\n(.*{swallowed}){{{max(1, len(header) - 1)}}}"))
        unclosed += across_lines["source_row"].to_pylist()
    if unclosed:
        raise _Unreadable(f"a quotation mark opened in row {min(unclosed)} is not closed: whole rows follow inside one cell.")
    return header, table, set_aside


def _cells_without_value(content: bytes, sheet: str) -> list[tuple[int, int, str]]:
    """Cells that hold an error or a formula without a stored value: (row, column, what stands there); the fast reader takes them for blank."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        sheets = [parts.read(name) for name in parts.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    if not any(b't="e"' in part or b"<f" in part for part in sheets):
        return []
    import openpyxl

    stored = openpyxl.load_workbook(io.BytesIO(content), data_only=True)[sheet]
    typed = openpyxl.load_workbook(io.BytesIO(content))[sheet]
    return [
        (cell.row, cell.column, str(value if value is not None else "(formula without value)"))
        for row in typed.iter_rows()
        for cell in row
        if (value := stored.cell(cell.row, cell.column).value) is None and cell.value is not None or cell.data_type == "e"
    ]


def _workbook_rows(content: bytes, declared: Workbook, known_sheets: list[str]) -> list[list]:
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound, XmlError, ZipError

    if not content:
        raise _Unreadable("the file is empty.")
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = workbook.sheet_names
        rows = workbook.get_sheet_by_name(declared.sheet).to_python(skip_empty_area=False) if declared.sheet in names else []
        broken = _cells_without_value(content, declared.sheet) if declared.sheet in names else []
    except (CalamineError, XmlError, ZipError, WorksheetNotFound, zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError) as error:
        raise _Unreadable("not a whole XLSX workbook; ask the centre to send it again.") from error
    if declared.sheet not in names:
        raise _Unreadable(f"no sheet {declared.sheet!r}; the workbook has {names}.")
    if undeclared := [name for name in names if name not in known_sheets]:
        raise _Unreadable(f"the sheet(s) {undeclared} are not in the spec; declare each as a table or under ignored_sheets with a reason.")
    for row, column, found in broken:
        rows[row - 1][column - 1] = found
    return rows


def _read_workbook(content: bytes, declared: Workbook, table: Table, known_sheets: list[str]) -> tuple[list[str], pa.Table, list]:
    rows = _workbook_rows(content, declared, known_sheets)
    if len(rows) < declared.header_row:
        raise _Unreadable(f"the sheet has {len(rows)} rows; expected the header in row {declared.header_row}.")
    header = [_text(cell, f"header cell {i + 1}").strip() for i, cell in enumerate(rows[declared.header_row - 1])]
    while header and not header[-1]:
        header.pop()
    _unique_header(header)
    body = rows[declared.header_row :]
    columns = list(zip(*body, strict=True)) if body else [[] for _ in header]
    for values in columns[len(header) :]:
        if filled := [i for i, value in enumerate(values) if value not in ("", None)]:
            raise _Unreadable(
                f"row {declared.header_row + 1 + filled[0]} has cells to the right of the last column of the header; expected none."
            )
    decimals = _decimals(table)
    arrays = [_texts(list(values), name, decimals.get(name, table.decimal)) for name, values in zip(header, columns, strict=False)]
    numbers = pa.array(range(declared.header_row + 1, declared.header_row + 1 + len(body)), pa.int64())
    return header, pa.table([*arrays, numbers], names=[*header, "source_row"]), []


def _read_statistical(content: bytes, declared: Stata | Spss, table: Table, declared_missing: dict[str, list[str]]) -> tuple[list[str], pa.Table, list]:
    import tempfile

    import pyreadstat

    if not content:
        raise _Unreadable("the file is empty.")
    with tempfile.NamedTemporaryFile(suffix=".sav" if declared.type == "spss" else ".dta") as copy:
        copy.write(content)
        copy.flush()
        try:
            if declared.type == "spss":
                frame, meta = pyreadstat.read_sav(copy.name, user_missing=True, apply_value_formats=True)
            else:
                frame, meta = pyreadstat.read_dta(copy.name, apply_value_formats=True)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError, TypeError, OverflowError) as error:
            raise _Unreadable(f"not readable as a {declared.type.upper()} file; ask the centre to send it again.") from error
    for column, ranges in (meta.missing_ranges or {}).items():
        for limits in ranges:
            if limits["lo"] != limits["hi"] or _text(limits["lo"], column) not in declared_missing.get(column, []):
                raise _Unreadable(
                    f"the file declares {limits['lo']:g} to {limits['hi']:g} as missing in column {column!r}; expected the same under `missing` in the spec."
                )
    header = list(frame.columns)
    decimals = _decimals(table)
    arrays = [_texts(frame[name].astype(object).tolist(), name, decimals.get(name, table.decimal)) for name in header]
    return header, pa.table([*arrays, pa.array(range(1, len(frame) + 1), pa.int64())], names=[*header, "source_row"]), []


class _JsonFile:
    """A file of JSON lines: its leaves by line, list and element, and the lists that it holds."""

    def __init__(self, content: bytes):
        text = _decode(content, "utf-8")
        if not text.strip():
            raise _Unreadable("the file is empty.")
        lines = text.removesuffix("\n").split("\n")
        self.con = duckdb.connect()
        self.con.register(
            "arrived", pa.table({"source_row": pa.array(range(1, len(lines) + 1), pa.int64()), "line": pa.array(lines, pa.string())})
        )
        self.con.execute(
            """create table lines as
            select source_row, line, case when json_valid(line) then json_type(line) = 'OBJECT' and line <> '{}' else false end as readable from arrived"""
        )
        self.set_aside = [
            (row, "quarantined", "not_json", "The line is not a JSON object.") if filled else (row, "ignored", "blank_row", "Blank row.")
            for row, filled in self.con.execute("select source_row, trim(line) <> '' from lines where not readable order by 1").fetchall()
        ]
        if not self._values("select 1 from lines where readable limit 1"):
            raise _Unreadable("no line is a JSON object; was the file cut off, or is it in another format?")
        self.con.execute(
            """create table node as
            select l.source_row, t.fullkey, t.type,
                   coalesce(nullif(regexp_extract(t.fullkey, '^\\$\\.(.*?)\\[\\d+\\]', 1), ''), '') as list_path,
                   try_cast(nullif(regexp_extract(t.fullkey, '\\[(\\d+)\\]', 1), '') as bigint) as list_index,
                   coalesce(nullif(regexp_replace(t.fullkey, '^\\$\\.(.*?\\[\\d+\\]\\.?)?', ''), ''), 'value') as leaf_path,
                   case t.type when 'NULL' then '' when 'VARCHAR' then json_extract_string(t.atom, '$') else cast(t.atom as varchar) end as text
            from (select * from lines where readable) l, json_tree(l.line) t where t.fullkey <> '$' and t.type <> 'OBJECT'"""
        )
        repeated = self._values("select source_row from node group by source_row, fullkey having count(*) > 1 order by 1")
        self.con.execute("delete from node where source_row in (select source_row from node group by source_row, fullkey having count(*) > 1)")
        self.set_aside += [(row, "quarantined", "repeated_key", "The object names a key more than once.") for row in dict.fromkeys(repeated)]
        if inner := self._values("select distinct leaf_path from node where leaf_path like '%[%' or (type = 'ARRAY' and list_path <> '')"):
            raise _Unreadable(f"lists inside lists ({inner}); expected one level of lists.")
        self.lists = self._values("select distinct substr(fullkey, 3) from node where type = 'ARRAY' order by 1")

    def _values(self, query: str, parameters: list | None = None) -> list[str]:
        return [value for (value,) in self.con.execute(query, parameters).fetchall()]

    def read(self, declared: JsonLines, key: str, used: list[str]) -> tuple[list[str], pa.Table, list]:
        """The objects' own values, or the elements of one list with the owner's key; ``used`` columns of an empty list are there, empty."""
        if declared.list and declared.list not in self.lists:
            raise _Unreadable(f"no list {declared.list!r}; the objects have {self.lists}.")
        names = self._values(
            "select leaf_path from node where type <> 'ARRAY' and list_path = ? group by 1 order by min(rowid)", [declared.list or ""]
        )
        values = ", ".join(f"coalesce(max(text) filter (leaf_path = {quote(n)}), '') as {identifier(n)}" for n in names)
        if not declared.list:
            query = (
                f"select {values}, source_row from node where type <> 'ARRAY' and list_path = '' group by source_row order by source_row"
            )
            return names, self.con.execute(query).to_arrow_table(), self.set_aside
        if not names:
            header = list(dict.fromkeys([key, *used]))
            return header, pa.table({**{c: pa.array([], pa.string()) for c in header}, "source_row": pa.array([], pa.int64())}), []
        query = f"""
            select coalesce(o.owner, '') as {identifier(key)}, e.* exclude (line_row, list_index), row_number() over (order by line_row, list_index) as source_row
            from (select source_row as line_row, list_index, {values} from node where type <> 'ARRAY' and list_path = {quote(declared.list)} group by 1, 2) e
            left join (select source_row as line_row, max(text) as owner from node where list_path = '' and leaf_path = {quote(key)} group by 1) o using (line_row)
            order by line_row, list_index"""
        return [key, *names], self.con.execute(query).to_arrow_table(), []


def _declared_missing(spec: Spec, table: Table) -> dict[str, list[str]]:
    """Column -> the codes that the spec declares as missing there."""
    return {s.column: [*spec.missing, *s.missing] for r in table.records for s in r.fields.values() if s.column}


def _columns_accounted(header: list[str], table: Table) -> list[str]:
    """Problems with the columns: declared but not there, there but not declared.

    Where most declared columns are missing, the row is hardly the header and nothing of it is repeated: it may hold a patient's data.
    """
    known: set[str] = set()
    missing = []
    declared = [*used_columns(table), *table.forbidden]
    for column in declared:
        found = list(placeholder_columns(column, header).values()) if "{k}" in column else [column] if column in header else []
        known.update(found)
        if not found:
            missing.append(column)
    if len(missing) > len(declared) / 2:
        return [
            f"{len(missing)} of {len(declared)} declared columns are missing, {missing[0]!r} among them; are the header row, the delimiter and the encoding right?"
        ]
    unknown = [h for h in header if h not in known]
    problems = [
        f"column {column!r} is missing." + "".join(f" Is it now {near!r}?" for near in get_close_matches(column, unknown, n=1))
        for column in missing
    ]
    if unknown:
        problems.append(
            f"column(s) {unknown} are not in the spec; declare each as used, ignored (with a reason) or forbidden (identifying)."
        )
    return problems


def _set_footer_aside(rows: pa.Table, raw: RawTable, starts: list[str]) -> pa.Table:
    """Blank rows and totals rows are no data: kept count of, not read."""
    texts = [c for c in rows.column_names if c != "source_row"]
    filled = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(rows[texts[0]]), ""), False)
    for name in texts[1:]:
        filled = pc.or_(filled, pc.not_equal(pc.utf8_trim_whitespace(rows[name]), ""))
    pattern = "^(" + "|".join(re.escape(start) for start in starts) + ")" if starts else "[^\\s\\S]"
    footer = pc.match_substring_regex(rows[texts[0]], pattern)
    raw.set_aside += [(n, "ignored", "blank_row", "Blank row.") for n in rows.filter(pc.invert(filled))["source_row"].to_pylist()]
    raw.set_aside += [
        (n, "ignored", "totals_row", "Totals or footer row.") for n in rows.filter(pc.and_(filled, footer))["source_row"].to_pylist()
    ]
    return rows.filter(pc.and_(filled, pc.invert(footer)))


def find_file(submission: Path, pattern: str) -> Path:
    """The one file of a submission that a spec's file name (or glob) means."""
    matches = sorted(p for p in submission.iterdir() if p.is_file() and fnmatch.fnmatchcase(p.name, pattern))
    if not matches:
        there = sorted(p.name for p in submission.iterdir())
        raise _Unreadable(f"file {pattern!r} is missing; the submission has {there}.")
    if len(matches) > 1:
        raise _Unreadable(f"{pattern!r} fits {[p.name for p in matches]}; expected one file.")
    return matches[0]


def read_submission(spec: Spec, submission: Path) -> list[RawTable]:
    """Read every file of a submission.

    Args:
        spec: the centre's spec.
        submission: the dated folder with the files as sent.

    Returns:
        One RawTable per table of the spec, forbidden columns left out and free text scanned.

    Raises:
        CentreRefused: a file is missing, empty, corrupt, in another encoding, or its columns are not those of the spec; all problems at once.
    """
    problems: list[str] = []
    raws: list[RawTable] = []
    contents: dict[Path, bytes] = {}
    json_files: dict[Path, _JsonFile] = {}
    for name, table in spec.tables.items():
        label = f"{submission.name}/{table.file}"
        declared = table.format
        try:
            path = find_file(submission, table.file)
            label = f"{submission.name}/{path.name}" + (f", sheet {declared.sheet!r}" if isinstance(declared, Workbook) else "")
            content = contents.setdefault(path, path.read_bytes())
            if isinstance(declared, Delimited):
                header, rows, set_aside = _read_delimited(content, declared)
            elif isinstance(declared, Workbook):
                known_sheets = [t.format.sheet for t in spec.tables.values() if t.file == table.file and isinstance(t.format, Workbook)]
                header, rows, set_aside = _read_workbook(content, declared, table, [*known_sheets, *spec.ignored_sheets])
            elif isinstance(declared, JsonLines):
                if path not in json_files:
                    json_files[path] = _JsonFile(content)
                    lists = {t.format.list for t in spec.tables.values() if t.file == table.file and isinstance(t.format, JsonLines)}
                    if undeclared := [x for x in json_files[path].lists if x not in lists]:
                        problems.append(f"{label}: the list(s) {undeclared} are not in the spec; declare each as a table.")
                header, rows, set_aside = json_files[path].read(declared, table.key, used_columns(table))
            else:
                header, rows, set_aside = _read_statistical(content, declared, table, _declared_missing(spec, table))
        except _Unreadable as error:
            problems.append(f"{label}: {error}")
            continue
        if column_problems := _columns_accounted(header, table):
            problems += [f"{label}: {p}" for p in column_problems]
            continue
        sheet = declared.sheet if isinstance(declared, Workbook) else (declared.list or "") if isinstance(declared, JsonLines) else ""
        raw = RawTable(name=name, file=path.name, sheet=sheet, rows=rows, set_aside=set_aside)
        if rows.num_rows == 0 and not isinstance(declared, JsonLines):
            problems.append(f"{label}: the file has a header but no rows.")
            continue
        raw.rows = _set_footer_aside(rows, raw, getattr(declared, "footer_starts_with", []))
        raws.append(raw)
    known = {raw.file for raw in raws} | {t.file for t in spec.tables.values()}
    for path in sorted(submission.iterdir()):
        declared_here = any(fnmatch.fnmatchcase(path.name, pattern) for pattern in [*known, *spec.ignored_files])
        if not declared_here and not path.name.startswith((".", "~$")):
            problems.append(f"{submission.name}/{path.name}: not in the spec; declare it as a table or under ignored_files with a reason.")
    if problems:
        raise CentreRefused(spec.centre.id, [f"{spec.centre.id}/{p}" for p in problems])
    scanned, counts = free_text.withhold(spec, {raw.name: raw.rows for raw in raws})
    for raw in raws:
        raw.rows = scanned[raw.name].drop_columns(list(spec.tables[raw.name].forbidden))
        raw.free_text = counts.get(raw.name, [])
    return raws
