"""Files exactly as sent: every cell as text, every row with its number; nothing interpreted, nothing left out but forbidden columns.

Typed files (XLSX, Stata, SPSS) are rendered without loss: numbers as their shortest decimal text, dates as ISO text, labelled values as
their labels. Forbidden (identifying) columns are dropped here, before anything is kept.

What does not belong here: units, vocabularies, missing codes, dates of text files (harmonise.py).
"""

import fnmatch
import gzip
import hashlib
import io
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec import Delimited, JsonLines, Spec, Spss, Stata, Table, Workbook, placeholder_columns, used_columns

_SUBMISSION = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class RawTable:
    """One file, sheet or nested list as sent.

    ``rows`` holds one text column per column of the file, plus ``source_row`` (int64). ``set_aside`` lists rows that are not data or cannot
    be read as such: (row number, status 'ignored' or 'quarantined', rule, message).
    """

    name: str
    file: str
    sheet: str
    rows: pa.Table
    set_aside: list[tuple[int, str, str, str]] = field(default_factory=list)


class _Unreadable(Exception):
    """A file that cannot be read as its spec says; the message is for the data manager."""


def current_submission(centre_folder: Path) -> Path:
    """The latest dated folder of a centre (``YYYY-MM-DD``).

    Raises:
        CentreRefused: there is none.
    """
    dated = sorted(p for p in centre_folder.iterdir() if p.is_dir() and _SUBMISSION.fullmatch(p.name))
    if not dated:
        raise CentreRefused(centre_folder.name, [f"{centre_folder.name}: no submission found; expected a folder named by its date, for example 2023-06-30."])
    try:
        date.fromisoformat(dated[-1].name)
    except ValueError as error:
        raise CentreRefused(centre_folder.name, [f"{centre_folder.name}/{dated[-1].name}: the folder's name is not a date; expected YYYY-MM-DD."]) from error
    return dated[-1]


def content_hash(submission: Path, spec_path: Path) -> str:
    """SHA-256 over the names and contents of a submission's files and its spec: the same content gives the same hash."""
    digest = hashlib.sha256(spec_path.read_bytes())
    for path in sorted(p for p in submission.iterdir() if p.is_file()):
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _texts(values: list, column: str) -> pa.Array:
    """Typed cells of one column as text: the only place where a type becomes text."""
    if all(type(v) is str for v in values):
        return pa.array(values, pa.string())
    return pa.array([_text(v, column) for v in values], pa.string())


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
    twice = sorted({h for h in header if header.count(h) > 1})
    if twice:
        raise _Unreadable(f"the header names the column(s) {twice} more than once; expected each once.")


def _decode(content: bytes, encoding: str) -> str:
    try:
        text = content.decode("utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding)
    except UnicodeDecodeError as error:
        raise _Unreadable(f"byte {error.start} cannot be read as {encoding}; the file is in another encoding than the spec says.") from error
    except LookupError as error:
        raise _Unreadable(f"the spec's encoding {encoding!r} is not known.") from error
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
        except (OSError, EOFError) as error:
            raise _Unreadable("not a whole gzip file.") from error
    text = _decode(content, declared.encoding)
    if not text.strip():
        raise _Unreadable("the file is empty.")
    ragged: list[tuple[int, int, int]] = []

    def keep_going(row) -> str:
        ragged.append((row.number, row.expected_columns, row.actual_columns))
        return "skip"

    try:
        header_line = csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=csv.ReadOptions(autogenerate_column_names=True, skip_rows=declared.header_row - 1, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=declared.delimiter, newlines_in_values=True, invalid_row_handler=keep_going, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(check_utf8=False, strings_can_be_null=False, quoted_strings_can_be_null=False, column_types=_AllText()),
        )
    except pa.ArrowInvalid as error:
        raise _Unreadable("not readable as delimited text; is the delimiter right?") from error
    header = [column[0].as_py() for column in header_line.columns]
    _unique_header(header)
    first_data_row = declared.header_row + 1
    table = header_line.slice(1).rename_columns(header)
    skipped = {number for number, _, _ in ragged}
    numbers = [n for n in range(first_data_row, first_data_row + table.num_rows + len(skipped)) if n - declared.header_row + 1 not in skipped]
    set_aside = [
        (number + declared.header_row - 1, "quarantined", "wrong_number_of_cells", f"The row has {actual} cells; the header has {expected}.")
        for number, expected, actual in ragged
    ]
    return header, table.append_column("source_row", pa.array(numbers, pa.int64())), set_aside


class _AllText(dict):
    """Column types for pyarrow's CSV reader: text for every autogenerated column."""

    def __init__(self):
        super().__init__({f"f{i}": pa.string() for i in range(2000)})


def _read_workbook(content: bytes, declared: Workbook) -> tuple[list[str], pa.Table, list]:
    from python_calamine import CalamineError, CalamineWorkbook

    if not content:
        raise _Unreadable("the file is empty.")
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (CalamineError, OSError, ValueError) as error:
        raise _Unreadable("not a whole XLSX workbook; ask the centre to send it again.") from error
    if declared.sheet not in workbook.sheet_names:
        raise _Unreadable(f"no sheet {declared.sheet!r}; the workbook has {workbook.sheet_names}.")
    rows = workbook.get_sheet_by_name(declared.sheet).to_python(skip_empty_area=False)
    if len(rows) < declared.header_row:
        raise _Unreadable(f"the sheet has {len(rows)} rows; expected the header in row {declared.header_row}.")
    header = [_text(cell, f"header cell {i + 1}").strip() for i, cell in enumerate(rows[declared.header_row - 1])]
    while header and not header[-1]:
        header.pop()
    _unique_header(header)
    body = rows[declared.header_row :]
    columns = list(zip(*body, strict=True)) if body else [[] for _ in header]
    arrays = [_texts(list(values), name) for name, values in zip(header, columns, strict=False)]
    numbers = pa.array(range(declared.header_row + 1, declared.header_row + 1 + len(body)), pa.int64())
    return header, pa.table([*arrays, numbers], names=[*header, "source_row"]), []


def _read_statistical(content: bytes, declared: Stata | Spss, declared_missing: dict[str, list[str]]) -> tuple[list[str], pa.Table, list]:
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
        except (pyreadstat.ReadstatError, UnicodeDecodeError, ValueError) as error:
            raise _Unreadable(f"not readable as a {declared.type.upper()} file; ask the centre to send it again.") from error
    for column, ranges in (meta.missing_ranges or {}).items():
        for limits in ranges:
            if limits["lo"] != limits["hi"] or _text(limits["lo"], column) not in declared_missing.get(column, []):
                raise _Unreadable(f"the file declares {limits['lo']:g} to {limits['hi']:g} as missing in column {column!r}; expected the same under `missing` in the spec.")
    header = list(frame.columns)
    arrays = [_texts(frame[name].astype(object).tolist(), name) for name in header]
    return header, pa.table([*arrays, pa.array(range(1, len(frame) + 1), pa.int64())], names=[*header, "source_row"]), []


def _read_json_lines(content: bytes, declared: JsonLines, key: str) -> tuple[list[str], pa.Table, list]:
    text = _decode(content, "utf-8")
    if not text.strip():
        raise _Unreadable("the file is empty.")
    lines = pa.table({"source_row": pa.array(range(1, text.count("\n") + 2), pa.int64()), "line": pa.array(text.split("\n"), pa.string())})
    con = duckdb.connect()
    con.register("lines", lines)
    bad = con.execute("select source_row from lines where trim(line) <> '' and not json_valid(line) order by 1").fetchall()
    set_aside = [(row, "quarantined", "not_json", "The line is not a JSON object.") for (row,) in bad]
    con.execute(
        """
        create table leaf as
        select source_row, list_path, list_index, leaf_path, case when type = 'NULL' then '' when type = 'VARCHAR' then json_extract_string(line, fullkey) else atom::varchar end as text
        from (
            select l.source_row, l.line, t.fullkey, t.type, t.atom,
                   coalesce(nullif(regexp_extract(t.fullkey, '^\\$\\.(.*?)\\[\\d+\\]', 1), ''), '') as list_path,
                   try_cast(nullif(regexp_extract(t.fullkey, '\\[(\\d+)\\]', 1), '') as bigint) as list_index,
                   regexp_replace(regexp_replace(t.fullkey, '^\\$\\.(.*?\\[\\d+\\]\\.?)?', ''), '^$', 'value') as leaf_path
            from lines l, json_tree(case when json_valid(l.line) then l.line else 'null' end) t
            where t.type not in ('OBJECT', 'ARRAY') and t.fullkey <> '$'
        )
        """
    )
    nested = con.execute("select distinct leaf_path from leaf where leaf_path like '%[%'").fetchall()
    if nested:
        raise _Unreadable(f"lists inside lists ({sorted(n for (n,) in nested)}); expected one level of lists.")
    lists = {p for (p,) in con.execute("select distinct list_path from leaf where list_path <> ''").fetchall()}
    if declared.list and declared.list not in lists:
        names = [key]
    else:
        names = [n for (n,) in con.execute("select leaf_path from leaf where list_path = ? group by 1 order by min(rowid)", [declared.list or ""]).fetchall()]
        names = list(dict.fromkeys([key, *names]))
    select = ", ".join(f"coalesce(max(text) filter (leaf_path = {_quote(n)}), '') as {_identifier(n)}" for n in names if not (declared.list and n == key))
    if not declared.list:
        query = f"select {select}, source_row from leaf where list_path = '' group by source_row order by source_row"
    else:
        owner = f"(select source_row as line_row, max(text) as {_identifier(key)} from leaf where list_path = '' and leaf_path = {_quote(key)} group by 1)"
        query = f"""
            select o.{_identifier(key)}, e.* exclude (line_row, list_index), row_number() over (order by line_row, list_index) as source_row
            from (select source_row as line_row, list_index, {select or "''"} from leaf where list_path = {_quote(declared.list)} group by 1, 2) e join {owner} o using (line_row)
            order by line_row, list_index"""
        set_aside = []
    table = con.execute(query).to_arrow_table() if names != [key] or not declared.list else pa.table({key: pa.array([], pa.string()), "source_row": pa.array([], pa.int64())})
    con.close()
    return [*names], table, set_aside


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _declared_missing(spec: Spec, table: Table) -> dict[str, list[str]]:
    """Column -> the codes that the spec declares as missing there."""
    return {s.column: [*spec.missing, *s.missing] for r in table.records for s in r.fields.values() if s.column}


def _columns_accounted(header: list[str], table: Table) -> list[str]:
    """Problems with the columns: declared but not there, there but not declared."""
    problems = []
    known: set[str] = set()
    for column in [*used_columns(table), *table.forbidden]:
        found = list(placeholder_columns(column, header).values()) if "{k}" in column else [column] if column in header else []
        if not found:
            problems.append(f"column {column!r} is missing; the file has {header[:40]}{' ...' if len(header) > 40 else ''}.")
        known.update(found)
    if unknown := [h for h in header if h not in known]:
        problems.append(f"column(s) {unknown} are not in the spec; declare each as used, ignored (with a reason) or forbidden (identifying).")
    return problems


def _set_footer_aside(rows: pa.Table, raw: RawTable, starts: list[str]) -> pa.Table:
    """Blank rows and totals rows are no data: kept count of, not read."""
    texts = [c for c in rows.column_names if c != "source_row"]
    filled = pc.not_equal(pc.utf8_trim_whitespace(rows[texts[0]]), "")
    for name in texts[1:]:
        filled = pc.or_(filled, pc.not_equal(pc.utf8_trim_whitespace(rows[name]), ""))
    footer = pa.chunked_array([pa.array([False] * rows.num_rows)]) if not starts else None
    for start in starts:
        here = pc.starts_with(rows[texts[0]], start)
        footer = here if footer is None else pc.or_(footer, here)
    raw.set_aside += [(n, "ignored", "blank_row", "Blank row.") for n in rows.filter(pc.invert(filled))["source_row"].to_pylist()]
    raw.set_aside += [(n, "ignored", "totals_row", "Totals or footer row.") for n in rows.filter(pc.and_(filled, footer))["source_row"].to_pylist()]
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
        One RawTable per table of the spec, forbidden columns left out.

    Raises:
        CentreRefused: a file is missing, empty, corrupt, in another encoding, or its columns are not those of the spec; all problems at once.
    """
    problems: list[str] = []
    raws: list[RawTable] = []
    contents: dict[Path, bytes] = {}
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
                header, rows, set_aside = _read_workbook(content, declared)
            elif isinstance(declared, JsonLines):
                header, rows, set_aside = _read_json_lines(content, declared, table.key)
            else:
                header, rows, set_aside = _read_statistical(content, declared, _declared_missing(spec, table))
        except _Unreadable as error:
            problems.append(f"{label}: {error}")
            continue
        if isinstance(declared, JsonLines) and rows.num_rows == 0:
            columns = [c for c in used_columns(table) if c not in header]
            rows = pa.table({**{c: rows[c] for c in header}, **{c: pa.array([], pa.string()) for c in columns}, "source_row": rows["source_row"]})
            header = [*header, *columns]
        if column_problems := _columns_accounted(header, table):
            problems += [f"{label}: {p}" for p in column_problems]
            continue
        sheet = declared.sheet if isinstance(declared, Workbook) else (declared.list or "") if isinstance(declared, JsonLines) else ""
        raw = RawTable(name=name, file=path.name, sheet=sheet, rows=rows, set_aside=set_aside)
        raw.rows = _set_footer_aside(rows, raw, getattr(declared, "footer_starts_with", []))
        if raw.rows.num_rows == 0 and not isinstance(declared, JsonLines):
            problems.append(f"{label}: the file has a header but no rows.")
            continue
        raw.rows = raw.rows.drop_columns(list(table.forbidden))
        raws.append(raw)
    known = {raw.file for raw in raws} | {t.file for t in spec.tables.values()}
    for path in sorted(submission.iterdir()):
        declared_here = any(fnmatch.fnmatchcase(path.name, pattern) for pattern in [*known, *spec.ignored_files])
        if not declared_here and not path.name.startswith((".", "~$")):
            problems.append(f"{submission.name}/{path.name}: not in the spec; declare it as a table or under ignored_files with a reason.")
    if problems:
        raise CentreRefused(spec.centre.id, [f"{spec.centre.id}/{p}" for p in problems])
    return raws
