"""Detect the format of a file: by its first bytes, then by trying. Each file, sheet or list becomes one ``Found``.

If several encodings can read a text, the choice is a guess and names the characters to look at. One file that cannot be
read stops no other.

What does not belong here: which row is the header (header.py), and what a file is that is no table (no_table.py).
"""

import csv
import io
import re
import unicodedata
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from capla_etl.centres.draft.header import Header, find_header
from capla_etl.centres.draft.no_table import what_it_is
from capla_etl.centres.draft.words import words
from capla_etl.centres.errors import damaged
from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import FileTable, Unreadable
from capla_etl.centres.reading.formats.json_lines import JsonFile, parsed
from capla_etl.centres.reading.formats.unpack import DAMAGED_ZIP, gunzipped, workbook_parts
from capla_etl.centres.reading.formats.workbook_extent import check_workbook
from capla_etl.centres.reading.sent_files import SentFile, archive_members, sent_name
from capla_etl.centres.spec.grammar import (
    TO_DECIDE,
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
from capla_etl.centres.worker import now_reading

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
#: Rows in which words of the header are sought to tell encodings apart, and rows parsed to find delimiter and header.
_TITLE_ROWS, _SAMPLED_ROWS = 12, 200
#: The least share of rows with the same number of cells.
_MOST_ROWS = 0.5
#: Names of columns that a REDCap data dictionary has.
_DICTIONARY = {"variable field name", "form name", "field type"}
DICTIONARY = (
    "a REDCap data dictionary: what the fields mean, their units and codes, and no patient's data; read it to answer "
    "what this draft asks."
)
_NO_HEADER = (
    "no row is clearly a header (names of columns above values unlike them), so no column is drafted: a patient's row "
    "must not become names. Ask the centre for the table with one header row and one row for each record, or write "
    "this part of the spec by hand."
)


@dataclass
class Found:
    """One file, sheet or list that can be read; ``certain`` and ``guesses`` say how its format was found.

    ``other_sheets``: sheets of the same workbook that are no tables, with the reason.
    """

    file: str
    label: str
    format: Format
    table: FileTable
    certain: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    content: bytes = field(default=b"", repr=False)
    other_sheets: dict[str, str] = field(default_factory=dict)

    def cells(self) -> dict[str, list[str]]:
        """The cells of each column by its name; in the table a name may be changed, so its place counts."""
        columns = self.table.rows.columns
        return {name: columns[i].to_pylist() for i, name in enumerate(self.table.header)}


def detect(path: Path) -> tuple[list[Found], list[tuple[str, str]]]:
    """Return all tables of one file, or of an archive of files, and what (file, reason) cannot be read.

    Raises:
        OSError: the file cannot be opened.
    """
    name = sent_name(path)
    now_reading(name)
    try:
        content = SentFile(name, path).content()
    except Unreadable as unreadable:
        return [], [(name, str(unreadable))]
    if not content.startswith(b"PK\x03\x04") or _is_office(content):
        return _detect_one(name, content)
    found, problems = [], []
    try:
        members = archive_members(path)
    except Unreadable as unreadable:
        return [], [(name, str(unreadable))]
    for member in members:
        there, problem = _detect_one(member.name, member)
        found += there
        problems += problem
    return found, problems


def _detect_one(name: str, content: bytes | SentFile) -> tuple[list[Found], list[tuple[str, str]]]:
    """The tables of one file; what cannot be read is said without what stands in it."""
    problems: list[str] = []
    try:
        content = content.content() if isinstance(content, SentFile) else content
        return _detect(name, content, problems), [(name, problem) for problem in problems]
    except Unreadable as unreadable:
        return [], [(name, str(unreadable))]
    except Exception as error:  # whatever is wrong with one file, the others are drafted
        return [], [(name, damaged(error))]


def _is_office(content: bytes) -> bool:
    """Whether an archive is a document or workbook, or too damaged to say."""
    try:
        names = set(zipfile.ZipFile(io.BytesIO(content)).namelist())
    except DAMAGED_ZIP:
        return True
    return bool(names & {"[Content_Types].xml", "content.xml", "Index/Document.iwa"})


def _detect(name: str, content: bytes, problems: list[str]) -> list[Found]:
    if not content:
        raise Unreadable("the file is empty.")
    declared = next((d for magic, d in _MAGIC if content.startswith(magic)), None)
    if content[:3] in _OLD_STATA:
        declared = Stata(type="stata")
    if declared:
        proof = [f"{declared.type} by its first bytes"]
        if isinstance(declared, SasTransport) and len(data_sets := _data_sets(content)) > 1:
            each = [declared.model_copy(update={"member": data_set}) for data_set in data_sets]
            return [_typed(name, d.member, d, content, proof) for d in each]
        return [_typed(name, Path(name).stem, declared, content, proof)]
    if content.startswith(b"PK\x03\x04"):
        return _workbook(name, content, problems)
    text, compression = content, None
    if content.startswith(b"\x1f\x8b"):
        text, compression = gunzipped(content), "gzip"
    if said := what_it_is(text):
        raise Unreadable(said)
    if _is_json_lines(text):
        if compression:
            raise Unreadable("JSON lines in a gzip file; unpack it beside the other files.")
        return _json(name, content)
    return _delimited(name, content, text, compression)


def _typed(name: str, label: str, declared: Format, content: bytes, proof: list[str]) -> Found:
    """A file whose format says its types, with the encoding of its letters where the file does not say the right one.

    Raises:
        Unreadable: the file cannot be read in any encoding.
    """
    try:
        table, problem = formats.read(content, declared), None
        says_its_own = isinstance(declared, Parquet | Sas | Spss) or all(map(str.isascii, _texts(table)))
    except Unreadable as unreadable:
        if "encoding" not in str(unreadable):
            raise
        table, problem, says_its_own = None, unreadable, False
    if says_its_own:
        return Found(name, label, declared, table, proof)
    try:
        texts = _texts(formats.read(content, declared.model_copy(update={"encoding": "iso8859-1"})))
        encoding, certain, guesses = _encoding("\t".join(texts).encode("latin-1"))
    except Unreadable:  # every text is valid UTF-8
        encoding, certain, guesses = "utf-8", ["every text is valid UTF-8"], []
    if encoding == "utf-8" and table is not None:
        return Found(name, label, declared, table, proof)
    declared = declared.model_copy(update={"encoding": encoding})
    try:
        return Found(name, label, declared, formats.read(content, declared), [*proof, *certain], guesses)
    except Unreadable as unreadable:
        raise problem or unreadable from unreadable


def _texts(table: FileTable) -> list[str]:
    """The names of the columns, and every different cell."""
    cells = dict.fromkeys(text for column in table.rows.columns for text in column.to_pylist() if isinstance(text, str))
    return [*table.header, *cells]


def _data_sets(content: bytes) -> list[str]:
    """Names of the data sets of a SAS transport file: in the second record after each MEMBER header."""
    starts = re.finditer(rb"HEADER RECORD\*{7}(MEMBER {2}|MEMBV8 {2})HEADER RECORD!{7}", content)
    names = [content[m.start() + 168 : m.start() + (200 if m[1] == b"MEMBV8  " else 176)] for m in starts]
    return [name.decode("ascii", "replace").strip("\0 ") for name in names]


def _is_json_lines(content: bytes) -> bool:
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0].strip()
    try:
        return isinstance(parsed(first.decode()), dict)
    except ValueError:
        return False


def _json(name: str, content: bytes) -> list[Found]:
    """The objects' own values, and each of their lists."""
    file = JsonFile(content)
    declared = [JsonLines(type="json_lines", list=found) for found in (None, *file.lists)]
    return [Found(name, d.list or Path(name).stem, d, file.read_alone(d), ["one JSON object a line"]) for d in declared]


def _workbook(name: str, content: bytes, problems: list[str]) -> list[Found]:
    """Every sheet that has a header; the others are problems, unless they are empty."""
    from python_calamine import CalamineWorkbook

    kind, found, others = _kind_of_office_file(content), [], {}
    sheets = formats.sheets(content)
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    for sheet in sheets:
        rows = [list(map(_shown, row)) for row in workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)]
        while rows and not any(rows[-1]):
            rows.pop()
        if not rows:
            others[sheet] = "empty"
            continue
        if _is_dictionary(rows):
            others[sheet] = DICTIONARY
            continue
        header = find_header(rows[:_SAMPLED_ROWS])
        try:
            if header is None:
                raise Unreadable(_NO_HEADER)
            declared = Workbook(type=kind, sheet=sheet, header_row=header.row)
            one = Found(name, sheet, declared, formats.read(content, declared), other_sheets=others)
        except Unreadable as unreadable:
            others[sheet] = f"{TO_DECIDE}: a table, or why it is none (NOT READ above)"
            problems.append(f"sheet {sheet!r}: {unreadable}")
            continue
        _say(one, header)
        found.append(one)
    if not found and not problems:
        raise Unreadable("no sheet holds any cell.")
    return found


def _shown(cell) -> str:
    """A cell of a workbook, to compare with others."""
    return str(cell).removesuffix(".0") if isinstance(cell, float) else str(cell)


def _kind_of_office_file(content: bytes) -> str:
    """XLSX or ODS.

    Raises:
        Unreadable: another kind of document.
    """
    try:
        check_workbook(content)
    except DAMAGED_ZIP as error:
        raise Unreadable("not a complete workbook or archive; ask the centre to send it again.") from error
    parts = workbook_parts(content)
    names = parts.namelist()
    kinds = {"word/": "a Word document", "ppt/": "a PowerPoint file", "Index/Document.iwa": "an Apple Numbers file"}
    what = next((kinds[start] for start in kinds if any(n.startswith(start) for n in names)), None)
    if "content.xml" in names:
        described = parts.read("mimetype") if "mimetype" in names else b"spreadsheet"
        what = None if b"spreadsheet" in described else "an OpenDocument text or drawing"
    if what:
        raise Unreadable(f"{what}, no table; ask the centre to export the table as CSV or XLSX.")
    return "ods" if "content.xml" in names else "xlsx"


def _say(found: Found, header: Header) -> None:
    """Say which row is the header, how sure that is, and what is special about it."""
    said = f"header in row {header.row}"
    (found.certain if header.certain else found.guesses).append(said)
    found.guesses += header.notes


def one_encoding(found: list[Found]) -> None:
    """If several encodings read a file alike, choose the one that fits most files of the submission."""
    texts = [f for f in found if isinstance(f.format, Delimited) and f.format.encoding in _ENCODINGS]
    alike = {f.file: _alike(f.content, f.format) for f in texts}
    votes = Counter(encoding for encodings in alike.values() for encoding in encodings)
    for one in texts:
        best = max(alike[one.file], key=lambda e: (votes[e], -_ENCODINGS.index(e)))
        if best != one.format.encoding:
            one.certain = [said for said in one.certain if not said.startswith(f"{one.format.encoding}: ")]
            one.guesses = [said for said in one.guesses if not said.startswith(f"encoding {one.format.encoding}: ")]
            one.format = one.format.model_copy(update={"encoding": best})
            one.guesses.append(f"encoding {best}, as that of the other files; others read this text alike")


def _alike(content: bytes, declared: Delimited) -> list[str]:
    """Encodings that read the very same text."""
    content = gunzipped(content) if declared.compression else content
    text = content.decode(declared.encoding)
    return [encoding for encoding in _ENCODINGS if _decoded(content, encoding) == text]


def _delimited(name: str, content: bytes, text: bytes, compression: str | None) -> list[Found]:
    encoding, certain, guesses = _encoding(text)
    decoded = text.decode(encoding).removeprefix("\ufeff")
    delimiter, share, rows = _delimiter(decoded)
    if _is_dictionary(rows):
        raise Unreadable(DICTIONARY)
    header = find_header(rows)
    if header is None:
        raise Unreadable(_NO_HEADER)
    names = [unicodedata.normalize("NFC", cell.strip()) for cell in rows[header.row - 1]]
    numbered = {"duplicate_columns": "numbered"} if len(set(names)) < len(names) else {}
    footer = _footer(decoded, delimiter)
    shape = {"delimiter": delimiter, "header_row": header.row, "footer_starts_with": footer, **numbered}
    declared = Delimited(type="delimited", encoding=encoding, compression=compression, **shape)
    table = formats.read(content, declared)
    _most_rows_fit(table)
    if share == 1:
        certain.append(f"delimiter {delimiter!r}: every row has the same number of cells")
    else:
        guesses.append(f"delimiter {delimiter!r}: {share:.0%} of the rows have the same number of cells")
    found = Found(name, Path(name.removesuffix(".gz")).stem, declared, table, certain, guesses, content)
    _say(found, header)
    return [found]


def _is_dictionary(rows: list[list[str]]) -> bool:
    """Whether a table is a REDCap data dictionary, by the first row."""
    return bool(rows) and {re.sub(r"[^a-z]+", " ", cell.casefold()).strip() for cell in rows[0]} >= _DICTIONARY


def _most_rows_fit(table: FileTable) -> None:
    """Refuse a table most of whose rows have another number of cells than the header.

    Raises:
        Unreadable: with the reason, so far as the numbers show it.
    """
    wrong = [message for *_, rule, message in table.set_aside if rule == "wrong_number_of_cells"]
    if len(wrong) <= table.rows.num_rows:
        return
    message, count = Counter(wrong).most_common(1)[0]
    raise Unreadable(
        f"{count} rows do not fit the header. {message} Ask the centre to export it again, with a name for each column."
    )


def _encoding(content: bytes) -> tuple[str, list[str], list[str]]:
    """The encoding, its proof, and what is a guess."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            try:
                content.decode(encoding)
            except UnicodeDecodeError as error:
                problem = f"the file begins with the mark of {encoding}, but byte {error.start} is not {encoding}; "
                raise Unreadable(problem + "parts of it are in another encoding. Ask for a new export.") from error
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
    return sum(map(words().is_known, cells))


def _rows(text: str, delimiter: str) -> list[list[str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [row for row, _ in zip(rows, range(_SAMPLED_ROWS), strict=False)]


def _delimiter(text: str) -> tuple[str, float, list[list[str]]]:
    """The delimiter with which most rows have the same number of cells (above one), their share, and the first rows."""
    best = (0.0, 0, "")
    for delimiter in _DELIMITERS:
        try:
            rows = _rows(text, delimiter)
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
        width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]), default=(1, 0))
        if width > 1:
            best = max(best, (count / sum(widths.values()), width, delimiter))
    share, _, delimiter = best
    if share < _MOST_ROWS:
        raise Unreadable(
            "no table: no delimiter (comma, semicolon, tab, bar) splits the rows into the same number of cells. If it "
            "is a letter or a report, ask the centre for the table as CSV or XLSX."
        )
    return delimiter, share, _rows(text, delimiter)


def _footer(text: str, delimiter: str) -> list[str]:
    """First words of totals rows at the end."""
    last = [line.split(delimiter)[0].strip().strip('"') for line in text.rstrip().splitlines()[-3:]]
    return [cell for cell in last if words().is_footer(cell)]
