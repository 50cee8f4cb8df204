"""Read files of statistical packages: Stata, SPSS, SAS transport, SAS data sets; labelled values as their labels."""

import re
import struct
import tempfile

import pyarrow as pa

from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable
from capla_etl.centres.reading.formats.typed_cells import cell_text, cell_texts
from capla_etl.centres.spec.grammar import Sas, SasTransport, Spss, Stata

#: Format -> suffix of the copy that the reader needs, function of pyreadstat, and its options.
_READERS = {
    "stata": (".dta", "read_dta", {"apply_value_formats": True}),
    "spss": (".sav", "read_sav", {"user_missing": True, "apply_value_formats": True}),
    "sas_transport": (".xpt", "read_xport", {}),
    "sas": (".sas7bdat", "read_sas7bdat", {"user_missing": True}),
}
_NAMES = {"sas": "SAS", "sas_transport": "SAS transport"}


def read_statistical(
    content: bytes,
    declared: Stata | Spss | Sas | SasTransport,
    decimals: Decimals,
    missing: dict[str, list[str]] | None,
) -> FileTable:
    """Read every variable as text; SAS's special missing values as ".A" to ".Z" and "._", to be declared as missing.

    Raises:
        Unreadable: another format, or ranges of missing values that the spec does not declare.
    """
    import pyreadstat

    if not content:
        raise Unreadable("the file is empty.")
    suffix, reader, options = _READERS[declared.type]
    with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
        copy.write(content)
        copy.flush()
        try:
            frame, meta = getattr(pyreadstat, reader)(copy.name, **options)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError, TypeError, OverflowError) as error:
            kind = _NAMES.get(declared.type, declared.type.upper())
            raise Unreadable(f"not readable as a {kind} file; ask the centre to send it again.") from error
    for column, ranges in (meta.missing_ranges or {}).items():
        for low, high in ((limits["lo"], limits["hi"]) for limits in ranges):
            if missing is not None and (low != high or cell_text(low, column) not in missing.get(column, [])):
                raise Unreadable(
                    f"the file declares {low:g} to {high:g} as missing in column {column!r}; expected the same under "
                    "`missing` in the spec."
                )
    header = list(frame.columns)
    values = {name: frame[name].astype(object).tolist() for name in header}
    if declared.type == "sas":
        for name in header:
            if meta.readstat_variable_types[name] != "string":
                values[name] = [f".{value.upper()}" if isinstance(value, str) else value for value in values[name]]
    if declared.type == "sas_transport":
        for row, name, code in _special_missing(content):
            values[name][row] = code
    arrays = [cell_texts(values[name], name, decimals.of(name)) for name in header]
    numbers = pa.array(range(1, len(frame) + 1), pa.int64())
    return FileTable(header, pa.table([*arrays, numbers], names=[*header, "source_row"]))


def _special_missing(content: bytes) -> list[tuple[int, str, str]]:
    """Special missing values of a transport file, which its reader takes for blank: (row from 0, variable, ".A").

    Source: SAS, "Record Layout of a SAS Version 5 or 6 (8 or 9) Data Set in SAS Transport Format": 80-byte records; 140
    bytes a variable with its type (bytes 0-1, 1: numeric), length (4-5), name (8-15; in version 8 from 88) and position
    in the observation (84-87).
    """
    names = re.search(rb"HEADER RECORD\*{7}(NAMESTR|NAMSTV8) HEADER RECORD!{7}0{6}(\d{4})", content)
    rows = re.search(rb"HEADER RECORD\*{7}(OBS {5}|OBSV8 {3})HEADER RECORD!{7}", content)
    if not names or not rows:
        return []
    start = names.start() + 80
    variables = [content[start + 140 * i : start + 140 * (i + 1)] for i in range(int(names[2]))]
    wide = names[1] == b"NAMSTV8"
    fields = [
        (
            (v[88:120] if wide else v[8:16]).decode("ascii", "replace").strip("\0 "),
            *struct.unpack(">h", v[0:2]),
            *struct.unpack(">h", v[4:6]),
            *struct.unpack(">i", v[84:88]),
        )
        for v in variables
    ]
    length = sum(size for _, _, size, _ in fields)
    body = content[rows.start() + 80 :]
    found = []
    for row in range(len(body) // length):
        observation = body[row * length : (row + 1) * length]
        for name, kind, size, position in fields:
            cell = observation[position : position + size]
            if kind == 1 and not cell[1:].strip(b"\0") and (cell[:1] == b"_" or b"A" <= cell[:1] <= b"Z"):
                found.append((row, name, f".{cell[:1].decode()}"))
    return found
