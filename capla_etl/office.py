"""Office files (XLSX, DOCX) without the time at which they were written: the same content gives the same bytes, whatever the day.

What is in such a file does not belong here.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_FIRST = "[Content_Types].xml"
_PROPERTIES = "docProps/core.xml"


def same_bytes(content: bytes, day: date) -> bytes:
    """The office file with its parts in a fixed order and without the clock.

    Args:
        content: the file as its library wrote it (a zip archive).
        day: stands for the dates in the file's properties.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(source.namelist(), key=lambda n: (n != _FIRST, n)):
            part = source.read(name)
            if name == _PROPERTIES:
                part = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", f"{day.isoformat()}T00:00:00Z".encode(), part)
            target.writestr(zipfile.ZipInfo(name, _FIXED_TIME), part, zipfile.ZIP_DEFLATED)
    return out.getvalue()
