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
    """A file's text, a byte order mark taken off.

    Raises:
        Unreadable: the bytes are not in this encoding, or this is none.
    """
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"byte {error.start} cannot be read as {encoding}; the file is in another encoding than the spec says."
        ) from error
    except LookupError as error:
        raise Unreadable(f"the spec's encoding {encoding!r} is not known.") from error
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
    """Every row after the header; rows with more or fewer cells than the header are set aside.

    Raises:
        Unreadable: empty, another encoding, no header, or a quotation mark that is not closed.
    """
    from pyarrow import csv

    if declared.compression == "gzip":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise Unreadable("not a whole gzip file.") from error
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
        raise Unreadable(
            "not readable as delimited text; is the delimiter right, and is every quotation mark closed?"
        ) from error
    aside = {number for number, _, _, _ in set_aside}
    numbers = [
        n
        for n in range(declared.header_row + 1, declared.header_row + 1 + table.num_rows + len(aside))
        if n not in aside
    ]
    table = table.append_column("source_row", pa.array(numbers, pa.int64()))
    swallowed = re.escape(declared.delimiter) + "[^\n]*"
    for name in header:
        across_lines = table.filter(
            pc.match_substring_regex(table[name], f"\n(.*{swallowed}){{{max(1, len(header) - 1)}}}")
        )
        unclosed += across_lines["source_row"].to_pylist()
    if unclosed:
        raise Unreadable(
            f"a quotation mark opened in row {min(unclosed)} is not closed: whole rows follow inside one cell."
        )
    return FileTable(header, table, set_aside)
