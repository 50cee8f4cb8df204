"""Delimited text in any encoding: every cell as sent, every row with its number."""

import csv as python_csv
import gzip
import io
import itertools
import re
import zlib

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl.centres.reading.formats.file_table import FileTable, Unreadable
from capla_etl.centres.reading.formats.typed_cells import check_unique, numbered
from capla_etl.centres.spec.grammar import Delimited


def decode(content: bytes, encoding: str) -> str:
    """Decode a file's text, without its byte order mark.

    Raises:
        Unreadable: the bytes are not in this encoding, or it does not exist.
    """
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        problem = (
            f"byte {error.start} cannot be read as {encoding}; the file is in another encoding than the spec says."
        )
        raise Unreadable(problem) from error
    except LookupError as error:
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

    Raises:
        Unreadable: empty, another encoding, no header, or an unclosed quotation mark.
    """
    from pyarrow import csv

    if declared.compression == "gzip":
        try:
            content = gzip.decompress(content)
        except gzip.BadGzipFile as error:
            raise Unreadable("not a whole gzip file; is `compression: gzip` right in the spec?") from error
        except (OSError, EOFError, zlib.error) as error:
            raise Unreadable("the gzip file is damaged; ask the centre to send it again.") from error
    text = decode(content, declared.encoding)
    if not text.strip():
        raise Unreadable("the file is empty.")
    lines = io.StringIO(text, newline="")
    try:
        first_rows = list(itertools.islice(python_csv.reader(lines, delimiter=declared.delimiter), declared.header_row))
    except python_csv.Error as error:
        raise Unreadable("the header cannot be read; is every quotation mark closed?") from error
    header = [cell.strip() for cell in first_rows[-1]]
    if not any(header):
        raise Unreadable(f"row {declared.header_row}, where the header should be, is blank.")
    if declared.duplicate_columns == "numbered":
        header = numbered(header)
    check_unique(header)
    if any("\n" in name for name in header):
        raise Unreadable("the header spans several lines; is every quotation mark closed?")
    set_aside: list[tuple[int, str, str, str]] = []
    unclosed: list[int] = []

    def keep_going(row) -> str:
        if "\n" in row.text.strip():
            unclosed.append(row.number)
        aside = ("ignored", "blank_row", "Blank row.")
        if row.text.strip():
            message = f"The row has {row.actual_columns} cells; the header has {row.expected_columns}."
            aside = ("quarantined", "wrong_number_of_cells", message)
        set_aside.append((row.number, *aside))
        return "skip"

    try:
        table = csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=csv.ReadOptions(column_names=header, skip_rows=declared.header_row, use_threads=False),
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
    aside = {number for number, *_ in set_aside}
    first = declared.header_row + 1
    numbers = [n for n in range(first, first + table.num_rows + len(aside)) if n not in aside]
    table = table.append_column("source_row", pa.array(numbers, pa.int64()))
    row_in_a_cell = f"\n(.*{re.escape(declared.delimiter)}[^\n]*){{{max(1, len(header) - 1)}}}"
    for name in header:
        unclosed += table.filter(pc.match_substring_regex(table[name], row_in_a_cell))["source_row"].to_pylist()
    if unclosed:
        advice = "is not closed: whole rows follow inside one cell."
        raise Unreadable(f"a quotation mark opened in row {min(unclosed)} {advice}")
    return FileTable(header, table, set_aside)
