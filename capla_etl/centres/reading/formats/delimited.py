"""Delimited text in any encoding: every cell as sent, every row with its number."""

import codecs
import csv as python_csv
import io
import itertools
import re

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.reading.formats.file_table import (
    FileTable,
    Unreadable,
    check_extent,
    check_unique,
    named,
    numbered,
    table_of,
)
from capla_etl.centres.reading.formats.unpack import gunzipped
from capla_etl.centres.spec.grammar import Delimited

#: Ctrl-Z, with which programs of DOS end a file.
_END_OF_FILE = re.compile(r"\x1a[\x1a\r\n]*\Z")
#: Cells of the row that is put behind the last one: a file does not hold it.
_LAST = "\ufdd0"
_LINE_END = re.compile(r"\r\n|\r|\n")
#: The share of a column's cells with a digit that makes it one of numbers or dates.
_MOSTLY = 0.9


def decode(content: bytes, encoding: str) -> str:
    """Decode a file's text, without its byte order mark.

    Raises:
        Unreadable: the bytes are not in this encoding, or it does not exist.
    """
    if content.startswith(codecs.BOM_UTF8):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(
                f"the file begins with the mark of UTF-8, but byte {error.start} is not UTF-8: it holds text in two "
                "encodings. Ask the centre to send it in one."
            ) from error
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
        text = _END_OF_FILE.sub("", text)
    except UnicodeDecodeError as error:
        problem = (
            f"byte {error.start} cannot be read as {encoding}; the file is in another encoding than the spec says."
        )
        raise Unreadable(problem) from error
    except (LookupError, UnicodeError) as error:
        raise Unreadable(f"unknown encoding {encoding!r} in the spec; expected one that Python knows.") from error
    if "\0" in text:
        raise Unreadable(f"zero bytes in the text; the file is probably UTF-16, but the spec says {encoding}.")
    if not encoding.lower().startswith("utf") and not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return text
        raise Unreadable(f"the file is valid UTF-8, but the spec says {encoding}; accented letters would be misread.")
    return text


def read_delimited(content: bytes, declared: Delimited) -> FileTable:
    """Read every row after the header; set rows with more or fewer cells than the header aside.

    One cell too many in every row is read where it can only be one thing: an empty cell behind the last delimiter, or
    R's row numbers, for which the header has no cell.

    Raises:
        Unreadable: empty, another encoding, no header, an unclosed quotation mark, or a last line that was cut off.
    """
    text = decode(_unpacked(content, declared), declared.encoding)
    if not text.strip():
        raise Unreadable("the file is empty.")
    lines = io.StringIO(text, newline="")
    rows = python_csv.reader(lines, delimiter=declared.delimiter)
    try:
        first_rows = list(itertools.islice(rows, declared.header_row))
        if len(first_rows) < declared.header_row:
            raise Unreadable(f"the file has {len(first_rows)} rows; expected the header in row {declared.header_row}.")
    except python_csv.Error as error:
        raise Unreadable("the header cannot be read; is every quotation mark closed?") from error
    if not any(cell.strip() for cell in first_rows[-1]):
        raise Unreadable(f"row {declared.header_row}, where the header should be, is blank.")
    header = named(first_rows[-1])
    if declared.duplicate_columns == "numbered":
        header = numbered(header)
    if any("\n" in name or "\r" in name for name in header):
        raise Unreadable("the header spans several lines; is every quotation mark closed?")
    check_extent(max(text.count("\n"), text.count("\r")), len(header))
    check_unique(header)
    notes = [] if text[-1] in "\r\n" else ["The last line has no end; make sure that the file was not cut off."]
    body = text[lines.tell() :]
    columns, numbers, set_aside = _rows(body, header, declared)
    if (
        set_aside
        and _width_of_first(body, declared.delimiter) == len(header) + 1
        and not any(pc.any(pc.not_equal(c, "")).as_py() for c in columns)
    ):
        header, columns, numbers, set_aside, note = _one_cell_more(body, header, declared)
        notes.append(note)
    return table_of(header, columns, numbers, set_aside=set_aside, notes=notes)


def _width_of_first(body: str, delimiter: str) -> int:
    """How many cells the first row has; 0 if it cannot be told."""
    try:
        return len(next(python_csv.reader(io.StringIO(body, newline=""), delimiter=delimiter), []))
    except python_csv.Error:
        return 0


def _one_cell_more(body: str, header: list[str], declared: Delimited) -> tuple:
    """Rows of which none fits the header: header, columns, numbers and rows set aside as in ``_rows``, and a note."""
    columns, numbers, set_aside = _rows(body, [*header, "one more"], declared)
    if pc.all(pc.equal(columns[-1], "")).as_py():
        return header, columns[:-1], numbers, set_aside, "Every row ends with a delimiter that the header lacks."
    if not _are_row_names([text for text in columns[0].to_pylist() if text]):
        raise Unreadable(
            f"the rows have {len(header) + 1} cells, but the header has {len(header)}. If R wrote row names, ask for "
            "the file without them (row.names = FALSE); else, is the delimiter right?"
        )
    note = "The first column has no name; it holds row numbers as R writes them."
    return ["(column 1)", *header], columns, numbers, set_aside, note


def _are_row_names(texts: list[str]) -> bool:
    """Whether a column holds the numbers of rows, rising from row to row, as R names rows."""
    if not all(text.isdecimal() and text.isascii() for text in texts):
        return False
    return all(int(one) < int(next_one) for one, next_one in itertools.pairwise(texts))


def _unpacked(content: bytes, declared: Delimited) -> bytes:
    return gunzipped(content) if declared.compression == "gzip" else content


def _rows(
    body: str, header: list[str], declared: Delimited
) -> tuple[list[pa.ChunkedArray], list[int], list[tuple[int, str, str, str]]]:
    """The columns of the rows below the header, the rows' numbers, and the rows that have another number of cells."""
    from pyarrow import csv

    first = declared.header_row + 1
    set_aside: list[tuple[int, str, str, str]] = []
    unclosed: list[int] = []
    short: set[int] = set()

    def keep_going(row) -> str:
        number = row.number + declared.header_row
        if _LINE_END.search(row.text.strip()):
            unclosed.append(number)
        aside = ("ignored", "blank_row", "Blank row.")
        if row.text.strip():
            message = f"The row has {row.actual_columns} cells; the header has {row.expected_columns}."
            aside = ("quarantined", "wrong_number_of_cells", message)
            is_footer = row.text.lstrip(' "').startswith(tuple(declared.footer_starts_with))
            if row.actual_columns < row.expected_columns and not is_footer:
                short.add(number)
        set_aside.append((number, *aside))
        return "skip"

    if not body:
        return [pa.chunked_array([], pa.string()) for _ in header], [], []
    # a row of our own at the end is not there if a quotation mark before it is not closed
    content = (body + ("" if body[-1] in "\r\n" else "\n") + declared.delimiter.join(_LAST for _ in header)).encode()
    one_block = min(len(content) + 1, 2**31 - 1)  # a cell may not lie in several
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            read_options=csv.ReadOptions(column_names=header, use_threads=False, block_size=one_block),
            parse_options=csv.ParseOptions(
                delimiter=declared.delimiter,
                newlines_in_values=True,
                invalid_row_handler=keep_going,
                ignore_empty_lines=False,
            ),
            convert_options=csv.ConvertOptions(
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
                column_types=dict.fromkeys(header, pa.string()),
            ),
        )
    except pa.ArrowInvalid as error:
        problem = "not readable as delimited text; is the delimiter right, and is every quotation mark closed?"
        raise Unreadable(problem) from error
    last = declared.header_row + table.num_rows + len(set_aside)
    if not table.num_rows or any(texts[-1].as_py() != _LAST for texts in table.columns):
        raise Unreadable(
            f"a quotation mark opened in row {min([last, *unclosed])} is not closed, or the file was cut off there. "
            "Ask the centre to send it again."
        )
    table, last = table.slice(0, table.num_rows - 1), last - 1
    aside = {number for number, *_ in set_aside}
    if last in short and body[-1] not in "\r\n":
        raise Unreadable(
            "the last line has no end and fewer cells than the header; the file was cut off. Ask the centre to send it "
            "again."
        )
    numbers = [n for n in range(first, last + 1) if n not in aside]
    unclosed += _with_rows_inside(table, numbers, declared.delimiter)
    if unclosed:
        advice = "is not closed: whole rows follow inside one cell."
        raise Unreadable(f"a quotation mark opened in row {min(unclosed)} {advice}")
    return table.columns, numbers, set_aside


def _with_rows_inside(table: pa.Table, numbers: list[int], delimiter: str) -> list[int]:
    """Rows with a cell of several lines of which one is like a row: of the file's width, and formed as its rows are."""
    several = {i: pc.match_substring_regex(texts, "[\r\n]") for i, texts in enumerate(table.columns)}
    several = {i: lines for i, lines in several.items() if pc.any(lines).as_py()}
    if not several:
        return []
    forms = [_forms(texts) for texts in table.columns]
    found = []
    for i, lines in several.items():
        rows = pc.filter(pa.array(numbers, pa.int64()), lines).to_pylist()
        for row, text in zip(rows, pc.filter(table.column(i), lines).to_pylist(), strict=True):
            others = _LINE_END.split(text)[1:]
            if any(_is_row(line.split(delimiter), forms) for line in others):
                found.append(row)
    return found


def _form(text: str) -> str:
    """The form of a text: 9 for a number, a for a word, other signs themselves."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text.strip(' "')))


def _forms(texts: pa.ChunkedArray) -> set[str] | None:
    """The forms of a column whose cells of one line nearly all hold a digit; None for another column."""
    filled = [text for text in pc.unique(texts).to_pylist() if text.strip() and not _LINE_END.search(text)]
    with_digit = [_form(text) for text in filled if re.search(r"\d", text)]
    return {*with_digit} if with_digit and len(with_digit) >= _MOSTLY * len(filled) else None


def _is_row(cells: list[str], forms: list[set[str] | None]) -> bool:
    """Whether a line has the width of a row, and in columns of numbers and dates at least as many cells of the column's
    form as of another; a line that leaves them blank, or a file without such columns, is judged by width alone."""
    if len(cells) < max(2, len(forms)):
        return False
    judged = [_form(cell) in form for cell, form in zip(cells, forms, strict=False) if form and cell.strip(' "')]
    return 2 * sum(judged) >= len(judged)
