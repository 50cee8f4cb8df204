"""Unpack gzip and zip within the limits of ``limits.py``: size, ratio, number of members."""

import gzip
import io
import struct
import zipfile
import zlib

from capla_etl.centres.limits import MOST_FILES, MOST_UNPACKED_BYTES, MOST_UNPACKED_RATIO, SPARED_UNPACKED_BYTES
from capla_etl.centres.reading.formats.file_table import Unreadable

#: What a damaged archive raises.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, struct.error, NotImplementedError)
DAMAGED_ZIP += (KeyError, RuntimeError)  # a part that is missing, or encrypted
_CHUNK = 1 << 20


def check_members(members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive with too many members, or that would be too large unpacked."""
    if len(members) > MOST_FILES:
        raise Unreadable(f"the archive holds {len(members):,} files; expected at most {MOST_FILES:,}.")
    check_unpacked(sum(m.file_size for m in members), sum(m.compress_size for m in members))


def check_unpacked(unpacked: int, packed: int | None = None) -> None:
    """Refuse what would be too large unpacked, or larger than a table can be beside its packed size, if it is given.

    Columns of Parquet have no such ratio: one value a million times takes a few bytes.
    """
    if unpacked > MOST_UNPACKED_BYTES:
        size = f"{unpacked:,} bytes; expected at most {MOST_UNPACKED_BYTES:,}"
        raise Unreadable(f"the unpacked file would have {size}. Ask the centre what it is.")
    if packed is not None and unpacked > SPARED_UNPACKED_BYTES and unpacked > MOST_UNPACKED_RATIO * packed:
        times = f"{unpacked // max(packed, 1):,} times the packed size; expected at most {MOST_UNPACKED_RATIO}"
        raise Unreadable(f"the unpacked file would have {times}. Ask the centre what it is.")


def gunzipped(content: bytes) -> bytes:
    """The content of a gzip file.

    Raises:
        Unreadable: no gzip file, a damaged one, or one that would be too large.
    """
    parts, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                size += len(part)
                check_unpacked(size, len(content))
    except gzip.BadGzipFile as error:
        raise Unreadable("not a whole gzip file; is `compression: gzip` right in the spec?") from error
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise Unreadable("the gzip file is damaged; ask the centre to send it again.") from error
    return b"".join(parts)


def workbook_parts(content: bytes) -> zipfile.ZipFile:
    """The parts of a workbook, which is a zip archive.

    Raises:
        Unreadable: it would be too large.
        BadZipFile: not an archive; or another error of ``DAMAGED_ZIP``.
    """
    parts = zipfile.ZipFile(io.BytesIO(content))
    check_members(parts.infolist())
    return parts
