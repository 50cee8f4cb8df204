"""Detect the format of a file: by its first bytes, then by trying. Each file, sheet or list becomes one ``Found``.

If several encodings can read a text, the choice is a guess and names the characters to look at.
"""

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from capla_etl.centres.draft.words import words
from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import FileTable, Unreadable
from capla_etl.centres.reading.formats.json_lines import JsonFile
from capla_etl.centres.spec.grammar import (
    Delimited,
    Format,
    JsonLines,
    Parquet,
    Sas,
    SasTransport,
    Spss,
    Stata,
    Workbook,
)

#: First bytes of the formats that have them.
_MAGIC: list[tuple[bytes, Format]] = [
    (b"PAR1", Parquet(type="parquet")),
    (b"HEADER RECORD*******LIB", SasTransport(type="sas_transport")),
    (bytes(12) + b"\xc2\xea\x81\x60", Sas(type="sas")),
    (b"<stata_dta>", Stata(type="stata")),
    (b"$FL2", Spss(type="spss")),
    (b"$FL3", Spss(type="spss")),
]
#: Stata files up to release 12 begin with the version, the byte order and a 1.
_OLD_STATA = {bytes([version, order, 1]) for version in (113, 114, 115) for order in (1, 2)}
_DELIMITERS = ",;\t|"
#: Encodings without a mark that are tried after UTF-8, in this order if nothing else decides.
_ENCODINGS = ("cp932", "euc_jp", "gb18030", "euc_kr", "cp1252", "cp1250", "iso8859_15", "cp850", "mac_roman")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
#: First rows in which the header is sought, and rows parsed to find the delimiter.
_TITLE_ROWS, _SAMPLED_ROWS = 12, 200


@dataclass
class Found:
    """One file, sheet or list that can be read; ``certain`` and ``guesses`` say how its format was found."""

    file: str
    label: str
    format: Format
    table: FileTable
    certain: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)


def detect(path: Path) -> tuple[list[Found], list[str]]:
    """Return all tables of one file, and why something cannot be read.

    Raises:
        OSError: the file cannot be opened.
    """
    content = path.read_bytes()
    try:
        return _detect(path.name, content), []
    except Unreadable as unreadable:
        return [], [f"{path.name}: {unreadable}"]


def _detect(name: str, content: bytes) -> list[Found]:
    if not content:
        raise Unreadable("the file is empty.")
    declared = next((d for magic, d in _MAGIC if content.startswith(magic)), None)
    if content[:3] in _OLD_STATA:
        declared = Stata(type="stata")
    if declared:
        proof = [f"{declared.type} by its first bytes"]
        return [Found(name, Path(name).stem, declared, formats.read(content, declared), proof)]
    if content.startswith(b"PK\x03\x04"):
        return _workbook(name, content)
    if content.startswith(b"\x1f\x8b"):
        try:
            return _delimited(name, content, gzip.decompress(content), "gzip")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Unreadable("the gzip file is damaged; ask the centre to send it again.") from error
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("a file of an old Office program, such as Excel 2003 (.xls); ask the centre for .xlsx.")
    if _is_json_lines(content):
        return _json(name, content)
    return _delimited(name, content, content, None)


def _is_json_lines(content: bytes) -> bool:
    first = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _json(name: str, content: bytes) -> list[Found]:
    """The objects' own values, and each of their lists."""
    file = JsonFile(content)
    declared = [JsonLines(type="json_lines", list=found) for found in (None, *file.lists)]
    return [Found(name, d.list or Path(name).stem, d, file.read_alone(d), ["one JSON object a line"]) for d in declared]


def _workbook(name: str, content: bytes) -> list[Found]:
    """Every sheet with its header: the first row that fills the width of the sheet."""
    sheets, found = formats.sheets(content), []
    kind = "ods" if "content.xml" in zipfile.ZipFile(io.BytesIO(content)).namelist() else "xlsx"
    for sheet in sheets:
        best: Found | None = None
        for header_row in range(1, _TITLE_ROWS + 1):
            declared = Workbook(type=kind, sheet=sheet, header_row=header_row)
            try:
                table = formats.read(content, declared)
            except Unreadable:
                continue
            if table.header and all(table.header) and (best is None or len(table.header) > len(best.table.header)):
                best = Found(name, sheet, declared, table, [f"header in row {header_row}"])
        if best is not None:
            found.append(best)
    if not found:
        raise Unreadable("no sheet has a row that could be its header.")
    return found


def one_encoding(found: list[Found], files: dict[str, Path]) -> None:
    """If several encodings read a file alike, choose the one that fits most files of the submission."""
    texts = [f for f in found if isinstance(f.format, Delimited) and f.format.encoding in _ENCODINGS]
    alike = {f.file: _alike(files[f.file].read_bytes(), f.format) for f in texts}
    votes = Counter(encoding for encodings in alike.values() for encoding in encodings)
    for one in texts:
        best = max(alike[one.file], key=lambda e: (votes[e], -_ENCODINGS.index(e)))
        if best != one.format.encoding:
            one.format = one.format.model_copy(update={"encoding": best})
            one.certain.append(f"encoding {best}, as that of the other files; others read this text alike")


def _alike(content: bytes, declared: Delimited) -> list[str]:
    """Encodings that read the very same text."""
    content = gzip.decompress(content) if declared.compression else content
    text = content.decode(declared.encoding)
    return [encoding for encoding in _ENCODINGS if _decoded(content, encoding) == text]


def _delimited(name: str, content: bytes, text: bytes, compression: str | None) -> list[Found]:
    encoding, certain, guesses = _encoding(text)
    decoded = text.decode(encoding).removeprefix("\ufeff")
    delimiter, header_row = _delimiter(decoded)
    numbered = {"duplicate_columns": "numbered"} if _has_twice(decoded, delimiter, header_row) else {}
    footer = _footer(decoded, delimiter)
    shape = {"delimiter": delimiter, "header_row": header_row, "footer_starts_with": footer, **numbered}
    declared = Delimited(type="delimited", encoding=encoding, compression=compression, **shape)
    table = formats.read(content, declared)
    certain += [f"delimiter {delimiter!r}: every row has the same number of cells", f"header in row {header_row}"]
    stem = Path(name.removesuffix(".gz")).stem
    return [Found(name, stem, declared, table, certain, guesses)]


def _encoding(content: bytes) -> tuple[str, list[str], list[str]]:
    """The encoding, its proof, and what is a guess."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding, [f"{encoding} by its byte order mark"], []
    if content.isascii() and b"\0" not in content:
        return "utf-8", ["plain ASCII, which every encoding reads alike"], []
    zeros = content[:2000].count(b"\0")
    if zeros > len(content[:2000]) / 4:
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
        return encoding, [f"{encoding} by its zero bytes"], []
    try:
        content.decode("utf-8")
        return "utf-8", ["valid UTF-8, which text in another encoding is not by chance"], []
    except UnicodeDecodeError:
        return _unmarked(content)


def _unmarked(content: bytes) -> tuple[str, list[str], list[str]]:
    """Of the encodings without a mark that read the text, the one that gives most known headers, then the likeliest."""
    from charset_normalizer import from_bytes

    likeliest = from_bytes(content, cp_isolation=list(_ENCODINGS)).best()
    texts = {encoding: text for encoding in _ENCODINGS if (text := _decoded(content, encoding)) is not None}
    if not texts:
        raise Unreadable(f"no known encoding reads the text (tried UTF-8, UTF-16, {', '.join(_ENCODINGS)}).")
    known = {encoding: _known_words(text) for encoding, text in texts.items()}
    likely = likeliest and str(likeliest).removeprefix("\ufeff")
    best = max(texts, key=lambda e: (known[e], texts[e] == likely, -_ENCODINGS.index(e)))
    others = {encoding: known[encoding] for encoding, text in texts.items() if text != texts[best]}
    if not others:
        return best, [f"{best}: no other known encoding reads the text"], []
    if max(others.values()) < known[best]:
        return best, [f"{best}: it gives known words in the header that {', '.join(others)} do not"], []
    characters = " ".join(sorted({c for c in texts[best] if not c.isascii()})[:8])
    others = ", ".join(others)
    return best, [], [f"encoding {best}: {others} read the text too; check that the centre wrote {characters}"]


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _known_words(text: str) -> int:
    """How many cells of the first rows are known headers."""
    lines = text.splitlines()[:_TITLE_ROWS]
    cells = {cell.strip() for delimiter in _DELIMITERS for line in lines for cell in line.split(delimiter)}
    groups = ("fields", "roles", "identifying", "event_columns", "drug_columns")

    def is_known(cell: str) -> bool:
        return any((m := words().match(group, cell)) and m.whole for group in groups) or words().is_free_text(cell)

    return sum(map(is_known, cells))


def _rows(text: str, delimiter: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [row for row, _ in zip(rows, range(_SAMPLED_ROWS), strict=False)]


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter with which most rows have the same number of cells (above one), and the row of the header."""
    best = (0.0, 0, "", 1)
    for delimiter in _DELIMITERS:
        try:
            rows = _rows(text, delimiter)
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
        width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]), default=(1, 0))
        if width > 1:
            full = [i for i, row in enumerate(rows, start=1) if len(row) == width and all(cell.strip() for cell in row)]
            best = max(best, (count / sum(widths.values()), width, delimiter, full[0] if full else 1))
    if not best[2]:
        raise Unreadable("no delimiter (comma, semicolon, tab, bar) splits the rows into the same number of cells.")
    return best[2], best[3]


def _has_twice(text: str, delimiter: str, header_row: int) -> bool:
    header = [cell.strip().casefold() for cell in _rows(text, delimiter)[header_row - 1]]
    return len(set(header)) < len(header)


def _footer(text: str, delimiter: str) -> list[str]:
    """First words of totals rows at the end."""
    last = [line.split(delimiter)[0].strip().strip('"') for line in text.rstrip().splitlines()[-3:]]
    return [cell for cell in last if words().is_footer(cell)]
