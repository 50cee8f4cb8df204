"""Read files of statistical packages: Stata, SPSS, SAS transport, SAS data sets; labelled values as their labels.

What does not belong here: the record layout of a transport file (sas_transport.py).
"""

import codecs
import math
import re
import struct
import tempfile
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from capla_etl.centres.errors import listed
from capla_etl.centres.reading.formats import sas_transport
from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable, named, table_of
from capla_etl.centres.reading.formats.typed_cells import Percentage, cell_texts, numbers_shown
from capla_etl.centres.spec.grammar import Sas, SasTransport, Spss, Stata, declared_for

#: Format -> function of pyreadstat, and its options.
_READERS = {
    "stata": ("read_dta", {"user_missing": True}),
    "spss": ("read_sav", {"user_missing": True}),
    "sas_transport": ("read_xport", {}),
    "sas": ("read_sas7bdat", {"user_missing": True}),
}
#: What readers raise on broken files, beyond errors of their own.
_BROKEN = (ValueError, TypeError, OverflowError, IndexError, MemoryError)
_NAMES = {"stata": "a Stata", "spss": "an SPSS", "sas": "a SAS", "sas_transport": "a SAS transport"}

_SAS = (
    (r"(MONYY|YYMON|(MMYY|YYMM)[CDNPS]?|MONNAME|MONTH|EURDFMY|NLDATEYM[A-Z]*)[\d.]*", "month", "days"),
    (r"(YYQR?[CDNPS]?|QTRR?|NLDATEYQ[A-Z]*)[\d.]*", "quarter", "days"),
    (r"(YEAR|NLDATEYR)[\d.]*", "year", "days"),
    (r"(DATE|WEEKDAT[EX]|WORDDAT[EX]|(DDMMYY|MMDDYY|YYMMDD)[BCDNPS]?|[BE]8601DA|IS8601DA)[\d.]*", "day", "days"),
    (r"(JULIAN|JULDAY|PDJUL[GI]|DAY|WEEKDAY|DOWNAME|MINGUO|NENGO|HDATE|HEBDATE)[\d.]*", "day", "days"),
    (r"(EURDF(DD|DE|DN|DWN|WDX|WKX)|NLDATE[LMSW]?)[\d.]*", "day", "days"),
    (r"(DATETIME|DATEAMPM|MDYAMPM|DTDATE|EURDFDT|NLDATM[A-Z]*|[BE]8601D[NTX]|IS8601DT)[\d.]*", "timestamp", "seconds"),
    (r"(DTMONYY|DTYEAR|DTYYQC|DTWKDATX)[\d.]*", "timestamp", "seconds"),
    (r"([BE]8601DZ|IS8601DZ)[\d.]*", "in UTC", "seconds"),
    (r"(TIME|TIMEAMPM|TOD|HHMM|MMSS|[BE]8601TM|IS8601TM)[\d.]*", "time", "seconds"),
    (r"(PERCENTN?|NLPCT[INP]?)[\d.]*", "percent", "hundredths"),
)
#: Letters of a Stata format that show a day: of the month, of the year, or of the week; a sign after "!" is fixed.
_STATA_DAY = r"(?:!.|[^DdJjWw!])"
#: Format -> what the variable formats of days, timestamps, times and percentages look like, and the unit they count in.
#: A format of SPSS shows the stored number with a percent sign, one of SAS its hundredfold.
_TIMES = {
    "sas": _SAS,
    "sas_transport": _SAS,
    "spss": (
        (r"[AEJS]?DATE[\d.]*", "day", "seconds"),
        (r"MOYR[\d.]*", "month", "seconds"),
        (r"QYR[\d.]*", "quarter", "seconds"),
        (r"WKYR[\d.]*", "week", "seconds"),
        (r"(DATETIME|YMDHMS)[\d.]*", "timestamp", "seconds"),
        (r"[DM]?TIME[\d.]*", "time", "seconds"),
        (r"PCT[\d.]*", "percent", "units"),
    ),
    "stata": (
        (rf"%-?\d*t?d(?=.*[NnMmLl]){_STATA_DAY}+", "month", "days"),
        (rf"%-?\d*t?d(?=.*[qh]){_STATA_DAY}+", "quarter", "days"),
        (rf"%-?\d*t?d{_STATA_DAY}+", "year", "days"),
        (r"%-?\d*t?d.*", "day", "days"),
        (r"%-?\d*t[cC]HH:MM(:SS)?", "time", "milliseconds"),
        (r"%-?\d*tc.*", "timestamp", "milliseconds"),
        (r"%-?\d*tC.*", "with leap seconds", "milliseconds"),
    ),
}
#: Days before which a leap second was added, which Stata's %tC counts. Source: IERS Bulletin C.
_LEAP_DAYS = sorted(
    datetime(year, month, 1)
    for month, years in (
        (1, (*range(1973, 1981), 1988, 1990, 1991, 1996, 1999, 2006, 2009, 2017)),
        (7, (1972, 1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015)),
    )
    for year in years
)
_COUNTED_FROM = {"spss": datetime(1582, 10, 14)}
_SAS_AND_STATA_START = datetime(1960, 1, 1)


def read_statistical(
    content: bytes,
    declared: Stata | Spss | Sas | SasTransport,
    decimals: Decimals,
    missing: dict[str, list[str]] | None,
) -> FileTable:
    """Read every variable as text; special missing values as ".a" to ".z" (Stata) or ".A" to ".Z" and "._" (SAS).

    A labelled value is its label, also if it is a special missing value. Days, timestamps and times are read by the
    variable's format.

    Args:
        content: the file.
        declared: its format.
        decimals: decimal marks with which numbers become text.
        missing: column -> the words that the spec gives a meaning there; None: values that the file calls missing need
            none.

    Raises:
        Unreadable: another format, a file that was cut off, text in another encoding, or values that the file calls
            missing and the spec does not.
    """
    if not content:
        raise Unreadable("the file is empty.")
    if declared.type == "sas_transport":
        content = sas_transport.member(content, declared.member)
    data, meta, decode = _data(content, declared)
    notes = list(_check_stata(content, meta)) if declared.type == "stata" else []
    header, columns, undeclared, numbers = named([decode(name) for name in data]), [], [], {}
    special = sas_transport.special_missing(content) if declared.type == "sas_transport" else []
    for i, (name, column) in enumerate(zip(header, data, strict=True)):
        values = list(data[column])
        for row, code in ((row, code) for row, variable, code in special if variable == i):
            values[row] = code
        labels = {
            decode(value) if isinstance(value, str) else value: decode(label)
            for value, label in (meta.variable_value_labels or {}).get(column, {}).items()
        }
        is_text = meta.readstat_variable_types[column] == "string"
        variable = _Variable(declared.type, is_text, labels, meta.original_variable_types[column] or "")
        read = variable.read(values)
        columns.append(cell_texts(read, name, decimals))
        if variable.what == "percent":
            numbers[name] = dict(numbers_shown(read))
        if missing is not None and (declared_words := declared_for(missing, name)) is not None:
            ranges = [
                [decode(limit) if isinstance(limit, str) else limit for limit in (of["lo"], of["hi"])]
                for of in (meta.missing_ranges or {}).get(column, [])
            ]
            codes = [v for v in {*values} if any(_between(v, *limits) for limits in ranges)]
            words = cell_texts(variable.read(codes), name, decimals).to_pylist()
            if new := sorted({unicodedata.normalize("NFC", word).strip() for word in words} - {*declared_words}):
                undeclared.append(f"column {name!r}: {listed(new)}")
    if undeclared:
        where = "; ".join(undeclared)
        raise Unreadable(
            f"the file itself calls values missing ({where}); expected the same under `missing` in the spec."
        )
    rows = list(range(1, len(columns[0]) + 1 if columns else 1))
    return table_of(header, columns, rows, notes=notes, numbers=numbers)


def _between(value, low, high) -> bool:
    """Whether a value lies in a range of missing values; ranges of texts hold one text each."""
    return value is not None and isinstance(value, str) == isinstance(low, str) and low <= value <= high


class _Variable:
    """How the values of one variable are read."""

    def __init__(self, kind: str, is_text: bool, labels: dict, format_: str):
        self.is_text, self.labels, self.upper = is_text, labels, kind != "stata"
        found = (of for shape, *of in _TIMES[kind] if not is_text and re.fullmatch(shape, format_))
        self.what, self.unit = next(found, (None, None))
        start = _COUNTED_FROM.get(kind, _SAS_AND_STATA_START)
        self.start = start.replace(tzinfo=UTC) if self.what == "in UTC" else start

    def read(self, values: list) -> list:
        """Each value as its label, day, time or special missing value, or itself."""
        return values if self.is_text and not self.labels else [self._read(value) for value in values]

    def _read(self, value):
        if value in self.labels:
            return self.labels[value]
        if isinstance(value, str):
            is_letter = not self.is_text and not value.startswith(".")
            return f".{value.upper() if self.upper else value}" if is_letter else value
        return self._shown(value) if self.what and value is not None and math.isfinite(value) else value

    def _shown(self, value: float):
        """A number as a percentage, or a count as a day, timestamp or time, or as the month, week, quarter or year that
        the format shows if it is that one's first day; a number too great for one stays a number."""
        if self.what == "percent":
            return Percentage(Decimal(repr(value)) * (100 if self.unit == "hundredths" else 1))
        try:
            span = timedelta(**{self.unit: value})
            if self.what == "time":
                return span
            if self.what == "with leap seconds":
                span -= timedelta(seconds=_leap_seconds(span))
            moment = self.start + span
        except OverflowError:
            return value
        return moment if self.what in ("timestamp", "in UTC", "with leap seconds") else _first(moment.date(), self.what)


def _first(day: date, what: str) -> date | str:
    """The month, week, quarter or year of its first day, as text; any other day itself."""
    place = day.timetuple().tm_yday - 1
    quarter = (day.month + 2) // 3
    shown = {
        "month": (day.day == 1, f"{day:%Y-%m}"),
        "week": (place % 7 == 0, f"{day.year}-W{place // 7 + 1:02d}"),
        "quarter": (day.day == 1 and day.month % 3 == 1, f"{day.year}-Q{quarter}"),
        "year": (place == 0, f"{day.year}"),
    }
    is_first, text = shown.get(what, (False, ""))
    return text if is_first else day


def _leap_seconds(span: timedelta) -> int:
    """How many leap seconds a time since 1960 counts."""
    starts = (day - _SAS_AND_STATA_START for day in _LEAP_DAYS)
    return sum(span >= start + timedelta(seconds=before) for before, start in enumerate(starts))


def _data(content: bytes, declared: Stata | Spss | Sas | SasTransport) -> tuple:
    """Values by variable (called as the reader calls them), the file's metadata, and a function for names and labels.

    The reader drops half a letter at the end of a text without a word; so texts in UTF-8 are read byte by byte and
    decoded here.
    """
    import pyreadstat

    reader, options = _READERS[declared.type]
    try:
        encoding = declared.encoding and codecs.lookup(declared.encoding).name.replace("_", "-")
    except LookupError as error:
        raise Unreadable(f"unknown encoding {declared.encoding!r}; expected one that Python knows.") from error
    encoding = "MACINTOSH" if encoding == "mac-roman" else encoding
    decode = str
    with tempfile.TemporaryFile() as copy:  # has no name, so that nothing is left however the process ends
        copy.write(content)
        copy.flush()

        def read(**more) -> tuple:
            more |= {"disable_datetime_conversion": True, "output_format": "dict", **options}
            return getattr(pyreadstat, reader)(f"/dev/fd/{copy.fileno()}", **more)

        try:
            if encoding is None and declared.type in ("spss", "sas"):
                encoding = read(metadataonly=True)[1].file_encoding
            if encoding and encoding.upper() in ("UTF-8", "US-ASCII"):
                data, meta = read(encoding="ISO-8859-1")
                decode = _from_bytes
                data = {name: [decode(v) if isinstance(v, str) else v for v in data[name]] for name in data}
            else:
                data, meta = read(encoding=encoding)
                _check_not_utf_8(data, encoding or "cp1252")
            if not all(data):
                raise Unreadable("a column has no name, so the file is damaged; ask the centre to send it again.")
            labels = (meta.variable_value_labels or {}).values()
            for text in (*data, *(t for of in labels for pair in of.items() for t in pair if isinstance(t, str))):
                decode(text)
        except (*_BROKEN, pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
            if isinstance(error, UnicodeError) or re.search("convert string|character set", str(error)):
                raise Unreadable(
                    f"a text is not in {encoding or 'the encoding of the format'}; declare the right `encoding` in the "
                    "spec, or ask the centre to send the file again."
                ) from error
            raise Unreadable(
                f"not readable as {_NAMES[declared.type]} file; ask the centre to send it again."
            ) from error
    return data, meta, decode


def _check_not_utf_8(data: dict, encoding: str) -> None:
    """Refuse texts that were read in an encoding of one byte a letter and are all valid UTF-8."""
    texts = [text for values in data.values() for text in values if isinstance(text, str) and not text.isascii()]
    try:
        are_utf_8 = [text.encode(encoding).decode("utf-8") for text in texts]
    except (UnicodeError, LookupError):
        return
    if are_utf_8:
        raise Unreadable(
            f"the texts are valid UTF-8, but are read as {encoding}; declare `encoding: utf-8` in the spec."
        )


def _from_bytes(text: str) -> str:
    """A text in UTF-8 that was read with a letter for each of its bytes."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8")


def _check_stata(content: bytes, meta):
    """Refuse a Stata file that was cut off; yield a note for each variable whose labels are not in the file.

    Source: Stata, "dta" file formats 113 to 119 (help dta).
    """
    if content.startswith(b"<stata_dta>"):
        is_whole = content.rstrip().endswith(b"</stata_dta>")
    else:
        is_whole = content[0] not in (113, 114, 115) or _end_of_old_stata(content) == len(content)
    if not is_whole:
        raise Unreadable("the file was cut off; ask the centre to send it again.")
    for column, label in (meta.variable_to_label or {}).items():
        if label not in meta.value_labels:
            yield f"column {column!r}: its value labels are not in the file; its codes are read."


def _end_of_old_stata(content: bytes) -> int:
    """Where a file of format 113 to 115 ends by its header, descriptors, rows and value labels; -1 if it is short."""
    order = ">" if content[1] == 1 else "<"
    try:
        variables, rows = struct.unpack_from(f"{order}Hi", content, 4)
        widths = {251: 1, 252: 2, 253: 4, 254: 4, 255: 8}
        width = sum(widths.get(code, code) for code in content[109 : 109 + variables])
        formats = 12 if content[0] == 113 else 49
        at = 109 + variables * (1 + 33 + 2 + formats + 33 + 81) + 2
        while any(content[at : at + 5]):
            at += 5 + struct.unpack_from(f"{order}I", content, at + 1)[0]
        at += 5 + rows * width
        while at < len(content):
            at += 40 + struct.unpack_from(f"{order}I", content, at)[0]
    except struct.error:
        return -1
    return at
