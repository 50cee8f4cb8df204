"""Date formats: which texts have the shape of a date, and which day such a text is.

A format is a name (``NAMED_DATE_FORMATS``) or a pattern of strptime's tokens; names of months (``%B``, ``%b``) need a
language of ``fields/months.yml``. Nothing is guessed: a text without the whole shape is no date. A time of day must be
valid, and is dropped.

What does not belong here: which column has which format (grammar.py), and what becomes of an invalid text (values.py).
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import duckdb

from capla_etl import fields
from capla_etl.centres.limits import MOST_FORMAT_SIGNS
from capla_etl.sql import quote

#: Formats by name: an ISO date; ISO 8601 with or without a time of day; a date or timestamp cell of a typed file (as
#: ISO 8601); and the day number of a spreadsheet.
NAMED_DATE_FORMATS = {"iso": "%Y-%m-%d", "date_cell": "%Y-%m-%d", "iso8601": "%Y-%m-%d", "excel_day_number": None}
#: Day 0 of the day numbers of a spreadsheet, unless the file names another (the 1904 system: 1904-01-01).
EPOCH = "1899-12-30"
#: The century of two-digit years where none is declared: the study is of this one. Births must declare theirs.
TWO_DIGIT_YEARS_FROM = 2000

_TIME = r"([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d([.,]\d+)?)?)?|24(:00(:00([.,]0+)?)?)?"
_OFFSET = r"[Zz]|[+-](0\d|1[0-4])(:?[0-5]\d)?"
_ISO8601 = rf"\d{{4}}-\d{{2}}-\d{{2}}([Tt ]({_TIME})({_OFFSET})?)?"
_SHAPES = {"excel_day_number": r"\d{5}([.,]\d+)?", "iso8601": _ISO8601, "date_cell": _ISO8601}
#: The end of a text in universal time, which is a local day only in a known zone. With another offset it is local time,
#: unless a zone is declared: then it is a moment of that zone.
_WITH_OFFSET = r":?\d{2}([.,]\d+)?([Zz]|[+-]\d{2}(:?\d{2})?)$"
_UNIVERSAL = r":?\d{2}([.,]\d+)?([Zz]|[+-]00(:?00)?)$"
_TOKENS = {"%d": r"\d{2}", "%m": r"\d{2}", "%Y": r"\d{4}", "%y": r"\d{2}", "%-d": r"\d{1,2}", "%-m": r"\d{1,2}"}
_TOKENS |= {"%H": r"(?:[01]\d|2[0-3])", "%-H": r"(?:1?\d|2[0-3])", "%M": r"[0-5]\d", "%S": r"[0-5]\d"}
_TOKENS |= {"%I": r"(?:0[1-9]|1[0-2])", "%-I": r"(?:[1-9]|1[0-2])", "%p": r"[AaPp][Mm]"}
_MONTH_TOKENS = {"%B": "full", "%b": "short"}
_TOKEN = re.compile(r"(%-?[A-Za-z])")


def _month_token(date_format: str) -> str | None:
    return next((token for token in _MONTH_TOKENS if token in date_format), None)


def _month_names(token: str, language: str) -> dict[str, int]:
    return fields.months()[language][_MONTH_TOKENS[token]]


def _month_pattern(token: str, language: str) -> str:
    """Match the longest names first, so that no other cuts them short; an abbreviation may end in a point."""
    names = sorted(_month_names(token, language), key=lambda name: (-len(name), name))
    return "(" + "|".join(re.escape(name) for name in names) + ")" + (r"\.?" if token == "%b" else "")


def date_pattern(date_format: str, language: str | None = None) -> str:
    """Regular expression that a text in this format matches in full; in small letters if months have names.

    Raises:
        ValueError: an unknown token, or names of months without a language.
    """
    if date_format in _SHAPES:
        return _SHAPES[date_format]
    parts = _TOKEN.split(NAMED_DATE_FORMATS.get(date_format) or date_format)
    unknown = [p for p in parts[1::2] if p not in _TOKENS and p not in _MONTH_TOKENS]
    unknown += [p for p in parts[::2] if "%" in p]
    if unknown or len(parts) == 1 or len(date_format) > MOST_FORMAT_SIGNS:
        tokens = ", ".join([*_TOKENS, *_MONTH_TOKENS])
        raise ValueError(f"found {date_format!r}; expected {', '.join(NAMED_DATE_FORMATS)} or a format of {tokens}")
    month = _month_token(date_format)
    if month and language not in fields.months():
        found = f"found {date_format!r}, with names of months, and date_language {language or 'none'}"
        raise ValueError(f"{found}; expected a language of: {', '.join(fields.months())}")
    literal = (lambda text: re.escape(text.lower())) if month else re.escape
    return "".join(
        (_month_pattern(p, language) if p in _MONTH_TOKENS else _TOKENS[p]) if i % 2 else literal(p)
        for i, p in enumerate(parts)
    )


def day_sql(
    text: str,
    formats: list[str],
    language: str | None = None,
    prefix: str = "",
    *,
    epoch: str = EPOCH,
    zone: str | None = None,
    years_from: int | None = None,
) -> str:
    """SQL of the date that a text means in the one format whose shape it has; else null.

    Args:
        text: SQL of the text.
        formats: at most one fits any text.
        language: language of the names of months.
        prefix: a day put before a text that lacks one ("01 ").
        epoch: the day from which day numbers count, as ISO text.
        zone: IANA zone of the local days, for texts in universal time; without one they have no day. The connection
            needs ``use_zones``.
        years_from: the first of the hundred years that two-digit years mean.
    """
    branches = []
    for date_format in formats:
        shape = quote(date_pattern(date_format, language))
        has_shape = f"regexp_full_match({text}, {shape})"
        if date_format == "excel_day_number":
            day = f"date {quote(epoch)} + try_cast(substr({text}, 1, 5) as integer)"
        elif date_format in _SHAPES:
            written = _strptime(f"substr({text}, 1, 10)", NAMED_DATE_FORMATS["iso"], prefix)
            moment, local = _universal(text), "null"
            if zone:
                moment = f"regexp_matches(substr({text}, 11), {quote(_WITH_OFFSET)})"
                local = f"local_day({text}, {quote(zone)})"
            day = f"""case when length({text}) = 10 then {written} when {moment} then {local}
                else {written} + case when substr({text}, 12, 2) = '24' then 1 else 0 end end"""
        elif month := _month_token(date_format):
            has_shape = f"regexp_full_match(lower({text}), {shape})"
            numbered = _TOKEN.sub(lambda t: "%m" if t[0] in _MONTH_TOKENS else t[0], _small(date_format))
            day = _dated(_with_month_number(text, month, language), numbered, prefix, years_from)
        else:
            day = _dated(text, NAMED_DATE_FORMATS.get(date_format) or date_format, prefix, years_from)
        branches.append(f"when {has_shape} then {day}")
    return f"case {' '.join(branches)} end"


def zone_needed_sql(text: str, formats: list[str]) -> str:
    """SQL of whether a text is a timestamp in universal time, whose local day only a zone can tell."""
    if not any(_SHAPES.get(f) == _ISO8601 for f in formats):
        return "false"
    return f"length({text}) > 10 and regexp_full_match({text}, {quote(_ISO8601)}) and {_universal(text)}"


def use_zones(con: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the function ``local_day``: the day of a timestamp with an offset, in an IANA zone."""
    con.create_function("local_day", _local_day, ["VARCHAR", "VARCHAR"], "DATE", null_handling="special")


@lru_cache(maxsize=100_000)
def _local_day(text: str | None, zone: str) -> date | None:
    """The local day; None for a day that no calendar has. Seconds cannot change it."""
    if text is None:
        return None
    hour, minute = text[11:13], text[14:16] if text[13:14] == ":" else "0"
    offset = re.search(r"([+-])(\d{2}):?(\d{2})?$", text[11:])
    ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0)) if offset else timedelta()
    try:
        moment = datetime.combine(date.fromisoformat(text[:10]), datetime.min.time(), UTC)
        moment += timedelta(hours=int(hour), minutes=int(minute)) - (
            ahead if not offset or offset[1] == "+" else -ahead
        )
        return moment.astimezone(ZoneInfo(zone)).date()
    except (ValueError, OverflowError):
        return None


def _universal(text: str) -> str:
    return f"regexp_matches({text}, {quote(_UNIVERSAL)})"


def _small(date_format: str) -> str:
    """The format with its literal parts in small letters, as the text is compared."""
    return "".join(part if i % 2 else part.lower() for i, part in enumerate(_TOKEN.split(date_format)))


def _dated(text: str, date_format: str, prefix: str, years_from: int | None) -> str:
    """SQL of the day of a text in a format of strptime's tokens without names."""
    if "%y" in date_format:
        before, after = (date_pattern(f"{part}%d")[: -len(r"\d{2}")] for part in date_format.split("%y", 1))
        shape = quote(f"^({before})({_TOKENS['%y']})({after})$")
        parts = [f"regexp_extract({text}, {shape}, {group})" for group in (1, 2, 3)]
        year = full_year_sql(parts[1], years_from)
        text, date_format = f"({parts[0]} || {year} || {parts[2]})", date_format.replace("%y", "%Y", 1)
    return _strptime(text, date_format, prefix)


def full_year_sql(two_digits: str, years_from: int | None) -> str:
    """SQL of the year that two digits mean: one of the hundred years from ``years_from`` on."""
    first = TWO_DIGIT_YEARS_FROM if years_from is None else years_from
    return f"({first} + (try_cast({two_digits} as integer) + {-first % 100}) % 100)"


def _strptime(text: str, date_format: str, prefix: str) -> str:
    whole = ("%d " if prefix else "") + date_format
    return f"cast(try_strptime({quote(prefix)} || {text}, {quote(whole)}) as date)"


def _with_month_number(text: str, token: str, language: str) -> str:
    """SQL of the text in small letters with the number of the month instead of its name."""
    small, pattern = f"lower({text})", quote(_month_pattern(token, language))
    whens = " ".join(f"when {quote(name)} then '{n:02}'" for name, n in _month_names(token, language).items())
    number = f"case regexp_extract({small}, {pattern}, 1) {whens} end"
    return f"replace({small}, regexp_extract({small}, {pattern}), {number})"
