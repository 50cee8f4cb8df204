"""Date formats: which texts have the shape of a date, and which day such a text is.

A format is a name (``NAMED_DATE_FORMATS``) or a pattern of strptime's tokens; names of months (``%B``, ``%b``) need a
language of ``fields/months.yml``. Nothing is guessed: a text without the whole shape is no date.

What does not belong here: which column has which format (grammar.py), and what becomes of an invalid text (values.py).
"""

import re

from capla_etl import fields
from capla_etl.sql import quote

#: Formats by name: ISO text, a date cell of a typed file (ISO text too), ISO 8601 with or without time, and an Excel
#: day number (1900 system).
NAMED_DATE_FORMATS = {"iso": "%Y-%m-%d", "date_cell": "%Y-%m-%d", "iso8601": None, "excel_day_number": None}
_SHAPES = {
    "excel_day_number": r"\d{5}",
    "iso8601": r"\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?",
}
_TOKENS = {"%d": r"\d{2}", "%m": r"\d{2}", "%Y": r"\d{4}", "%y": r"\d{2}", "%-d": r"\d{1,2}", "%-m": r"\d{1,2}"}
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
    if unknown or len(parts) == 1:
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


def day_sql(text: str, formats: list[str], language: str | None = None, prefix: str = "") -> str:
    """SQL of the date that a text means in the one format whose shape it has; else null.

    Args:
        text: SQL of the text.
        formats: at most one fits any text.
        language: language of the names of months.
        prefix: a day put before a text that lacks one ("01 ").
    """
    branches = []
    for date_format in formats:
        shape = quote(date_pattern(date_format, language))
        has_shape = f"regexp_full_match({text}, {shape})"
        if date_format == "excel_day_number":
            day = f"date '1899-12-30' + try_cast({text} as integer)"
        elif date_format == "iso8601":
            day = _strptime(f"substr({text}, 1, 10)", NAMED_DATE_FORMATS["iso"], prefix)
        elif month := _month_token(date_format):
            has_shape = f"regexp_full_match(lower({text}), {shape})"
            numbered = _TOKEN.sub(lambda t: "%m" if t[0] in _MONTH_TOKENS else t[0], _small(date_format))
            day = _strptime(_with_month_number(text, month, language), numbered, prefix)
        else:
            day = _strptime(text, NAMED_DATE_FORMATS.get(date_format) or date_format, prefix)
        branches.append(f"when {has_shape} then {day}")
    return f"case {' '.join(branches)} end"


def _small(date_format: str) -> str:
    """The format with its literal parts in small letters, as the text is compared."""
    return "".join(part if i % 2 else part.lower() for i, part in enumerate(_TOKEN.split(date_format)))


def _strptime(text: str, date_format: str, prefix: str) -> str:
    whole = ("%d " if prefix else "") + date_format
    return f"cast(try_strptime({quote(prefix)} || {text}, {quote(whole)}) as date)"


def _with_month_number(text: str, token: str, language: str) -> str:
    """SQL of the text in small letters with the number of the month instead of its name."""
    small, pattern = f"lower({text})", quote(_month_pattern(token, language))
    whens = " ".join(f"when {quote(name)} then '{n:02}'" for name, n in _month_names(token, language).items())
    number = f"case regexp_extract({small}, {pattern}, 1) {whens} end"
    return f"replace({small}, regexp_extract({small}, {pattern}), {number})"
