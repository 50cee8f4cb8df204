"""Say what a file is that is no table: by its first bytes, never by its name.

What does not belong here: files that can be read (detect.py).
"""

import json
import re

#: What to ask for instead, unless something better is known.
_EXPORT = "ask the centre to export the table as CSV or XLSX"
_PICTURE = "a picture"
#: First bytes of files that are no tables: what they are, and what to do.
_FIRST_BYTES: list[tuple[bytes, str, str]] = [
    (b"%PDF", "a PDF document", _EXPORT),
    (b"{\\rtf", "a rich text document (RTF)", _EXPORT),
    (b"%!PS", "a PostScript document", _EXPORT),
    *((magic, _PICTURE, _EXPORT) for magic in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")),
    (b"SQLite format 3\0", "a SQLite database", _EXPORT),
    (b"\0\1\0\0Standard Jet DB", "a Microsoft Access database", _EXPORT),
    (b"\0\1\0\0Standard ACE DB", "a Microsoft Access database", _EXPORT),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "ask for a .zip, or unpack it beside the other files"),
    (b"Rar!\x1a\x07", "a RAR archive", "ask for a .zip, or unpack it beside the other files"),
    (b"\xfd7zXZ\0", "an archive compressed with xz", "ask for a .zip or a .gz"),
    (b"BZh", "an archive compressed with bzip2", "ask for a .zip or a .gz"),
    (b"\x28\xb5\x2f\xfd", "an archive compressed with Zstandard", "ask for a .zip or a .gz"),
    *((magic, "data of R (.RData)", _EXPORT) for magic in (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n")),
    *((magic, "data of R (.rds)", _EXPORT) for magic in (b"X\n\0\0\0", b"A\n2\n", b"A\n3\n")),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (MATLAB, pandas)", _EXPORT),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _EXPORT),
    (b"ARROW1", "a Feather or Arrow file", "ask the centre for Parquet, CSV or XLSX"),
    (b"FEA1", "a Feather file", "ask the centre for Parquet, CSV or XLSX"),
    (b"ORC", "an ORC file", "ask the centre for Parquet, CSV or XLSX"),
    (b"Obj\x01", "an Avro file", "ask the centre for Parquet, CSV or XLSX"),
    (b"**COMPRESSED**", "a SAS CPORT file", "ask the centre for SAS transport (XPORT) or .sas7bdat"),
    *((bytes([9, code, 0, 0]), "a very old Excel workbook", "ask the centre for .xlsx") for code in (0, 2, 4, 8)),
    (b"MSH|^~\\&", "messages in HL7", _EXPORT),
    (b"BEGIN:V", "a card or calendar", _EXPORT),
]
#: Old Office files hold the name of their main part in UTF-16.
_OLE = b"\xd0\xcf\x11\xe0"
_OLE_PARTS = {
    "EncryptedPackage": ("a workbook or document protected by a password", "ask for it without the password"),
    "WordDocument": ("an old Word document (.doc)", _EXPORT),
    "PowerPoint Document": ("an old PowerPoint file", _EXPORT),
    "__substg1.0_": ("an Outlook message (.msg)", "save its attachment beside the other files"),
}
#: Texts that are no tables, by how they begin.
_TEXTS: list[tuple[str, str, str]] = [
    (r"<(?=.*<ODM\b)|<ODM\b", "ODM XML, which an EDC system exports", _EXPORT),
    (
        r"<(?=.*urn:schemas-microsoft-com:office:spreadsheet)",
        "an XML spreadsheet of Excel 2003",
        "ask the centre for .xlsx",
    ),
    (r"<(?=.*<html\b)|<(!doctype html|html|head|body|table|meta|style)\b", "a web page (HTML)", _EXPORT),
    (r"<(\?xml|!--|[a-z][\w:.-]*[\s/>])", "XML", _EXPORT),
    (
        r"(MIME-Version|Content-Type|Received|Return-Path|Date|From|Subject): .*?\n[A-Za-z-]+: ",
        "a message or web archive (MHTML)",
        _EXPORT,
    ),
    (r"(--[^\n]*\n\s*)*(CREATE TABLE|INSERT INTO|SET NAMES|DROP TABLE)\b", "a dump of an SQL database", _EXPORT),
]
_ONE_A_LINE = "ask the centre for one JSON object a line (JSON lines), or for CSV"


def what_it_is(content: bytes) -> str | None:
    """What a file is that is no table, and what to do; None if it may be one."""
    for first, what, advice in _FIRST_BYTES:
        if content.startswith(first):
            return f"{what}, no table; {advice}."
    if content.startswith(_OLE):
        parts = ((what, advice) for part, (what, advice) in _OLE_PARTS.items() if part.encode("utf-16-le") in content)
        what, advice = next(
            parts, ("an old Excel workbook (.xls) or another old Office file", "ask the centre for .xlsx")
        )
        return f"{what}; {advice}."
    if content[128:132] == b"DICM" or content[4:8] == b"ftyp" or (content[:4] == b"RIFF" and content[8:12] == b"WEBP"):
        return f"{_PICTURE}, no table; {_EXPORT}."
    if content[257:262] == b"ustar":
        return "a tar archive; ask for a .zip, or unpack it beside the other files."
    if b"SPSS PORT FILE" in content[:400]:
        return "an SPSS portable file (.por), no table that can be read; ask the centre for .sav or CSV."
    if len(content) > 2 and 104 <= content[0] <= 112 and content[1] in (1, 2) and content[2] == 1:
        return "a Stata file older than release 8; ask the centre for a newer one (`saveold`) or CSV."
    return _text(content)


def _text(content: bytes) -> str | None:
    """What a text is that is no table; a binary file of no known kind."""
    is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:2000].count(b"\0") > len(content[:2000]) / 4
    control = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in content[:4000].rstrip(b"\x1a\0"))
    if not is_wide and control > 0.02 * len(content[:4000]):
        return f"a binary file of no known kind; {_EXPORT}."
    start = content[:4000].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe")
    start = start.removeprefix(b"\xfe\xff").decode("latin-1").lstrip()
    for pattern, what, advice in _TEXTS:
        if re.match(pattern, start, re.IGNORECASE | re.DOTALL):
            return f"{what}, no table; {advice}."
    if re.match(r'[\[{]\s*(["{\[]|\Z)', start) and not _is_object(start.split("\n", 1)[0]):
        return _json(content)
    return None


def _json(content: bytes) -> str:
    try:
        whole = json.loads(content)
    except ValueError:
        return f"text that begins as JSON and is not one object a line; {_ONE_A_LINE}."
    what = "a JSON array" if isinstance(whole, list) else "JSON over several lines"
    return f"{what}; {_ONE_A_LINE}."


def _is_object(line: str) -> bool:
    """Whether a line (or the beginning of a long one) is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return len(line) > 3000 and line.startswith("{")
