"""The record layout of SAS transport files: their data sets, whether they are complete, and special missing values.

Source: SAS, "Record Layout of a SAS Version 5 or 6 (8 or 9) Data Set in SAS Transport Format": 80-byte records; a data
set begins with a MEMBER header, its name in the second record after; 140 bytes a variable with its type (bytes 0-1, 1:
numeric), length (4-5) and position in the observation (84-87); the observations follow the OBS header, then blanks.

What does not belong here: values and labels (statistical.py).
"""

import re
import struct

from capla_etl.centres.reading.formats.file_table import Unreadable

_RECORD = 80
_MEMBER = re.compile(rb"HEADER RECORD\*{7}(MEMBER {2}|MEMBV8 {2})HEADER RECORD!{7}")
_VARIABLES = re.compile(rb"HEADER RECORD\*{7}(NAMESTR |NAMSTV8 )HEADER RECORD!{7}0{6}(\d{4})")
_ROWS = re.compile(rb"HEADER RECORD\*{7}(OBS {5}|OBSV8 {3})HEADER RECORD!{7}(.{32})", re.DOTALL)
_DAMAGED = "the SAS transport file is damaged; ask the centre to send it again."
_CUT = "the file was cut off; ask the centre to send it again."


def member(content: bytes, name: str | None) -> bytes:
    """The file with one of its data sets: the one of this name, or its only one.

    Raises:
        Unreadable: several data sets and no name, none of this name, or a file that was cut off.
    """
    starts = [m.start() for m in _MEMBER.finditer(content) if m.start() % _RECORD == 0]
    if not starts:
        return content  # no transport file, which its reader says
    if len(content) % _RECORD:
        raise Unreadable(_CUT)
    wide = content[starts[0] :].startswith(b"HEADER RECORD*******MEMBV8")
    names = [content[s + 168 : s + (200 if wide else 176)].decode("ascii", "replace").strip("\0 ") for s in starts]
    if name is None and len(names) > 1:
        raise Unreadable(f"the file holds {len(names)} data sets; expected one of them as `member`.")
    if name is not None and name.upper() not in [n.upper() for n in names]:
        raise Unreadable(f"no data set {name!r}; the file has {len(names)} other(s).")
    chosen = [n.upper() for n in names].index(name.upper()) if name else 0
    found = content[: starts[0]] + content[starts[chosen] : [*starts, len(content)][chosen + 1]]
    _check_complete(found)
    return found


def _layout(content: bytes) -> tuple[list[tuple[int, int, int]], bytes, int | None] | None:
    """Type, length and position of each variable; the observations with their padding; how many the file declares."""
    names = _VARIABLES.search(content)
    rows = _ROWS.search(content, names.end() if names else 0)
    if not names or not rows:
        return None
    start = names.start() + _RECORD
    variables = [content[start + 140 * i : start + 140 * (i + 1)] for i in range(int(names[2]))]
    count = rows[2].strip() if rows[1].startswith(b"OBSV8") else b""
    if any(len(v) < 140 for v in variables) or (count and not count.isdigit()):
        raise Unreadable(_DAMAGED)
    fields = [
        (*struct.unpack(">h", v[0:2]), *struct.unpack(">h", v[4:6]), *struct.unpack(">i", v[84:88])) for v in variables
    ]
    if any(size <= 0 or position < 0 for _, size, position in fields):
        raise Unreadable(_DAMAGED)
    return fields, content[rows.start() + _RECORD :], int(count) if count else None


def _check_complete(content: bytes) -> None:
    """Refuse a data set that ends within an observation, or before the last that a file of version 8 declares."""
    layout = _layout(content)
    if layout is None:
        raise Unreadable(_CUT)
    fields, body, declared = layout
    length = sum(size for _, size, _ in fields)
    rows = len(body) // length if length else 0
    if declared:
        rows = min(rows, declared)
    if body[rows * length :].strip(b" ") or (declared or 0) > rows:
        raise Unreadable(_CUT)


def special_missing(content: bytes) -> list[tuple[int, int, str]]:
    """Special missing values, which the reader takes for blank: (row from 0, variable from 0, ".A")."""
    fields, body, _ = _layout(content) or ([], b"", None)
    length = sum(size for _, size, _ in fields)
    found = []
    for row in range(len(body) // length if length else 0):
        observation = body[row * length : (row + 1) * length]
        for variable, (kind, size, position) in enumerate(fields):
            cell = observation[position : position + size]
            if kind == 1 and not cell[1:].strip(b"\0") and (cell[:1] == b"_" or b"A" <= cell[:1] <= b"Z"):
                found.append((row, variable, f".{cell[:1].decode()}"))
    return found
