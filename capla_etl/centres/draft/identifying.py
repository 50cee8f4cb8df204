"""Recognise columns that identify people: by their headers, and by what fills the columns of other headers.

What does not belong here: the words of headers (words.yml), and what identifies a patient in free text
(reading/identifiers.py). No value is shown.
"""

import re
from collections.abc import Callable

from capla_etl import fields
from capla_etl.centres.draft.profile import MOSTLY, Column
from capla_etl.centres.draft.words import words
from capla_etl.centres.reading.identifiers import is_personal_number, kinds_in

#: Codes of the study: a column of such words identifies nobody.
_STUDY_WORDS = ("answer", "assessment", "drug", "analyte", "adverse_event_kind", "exchange", "sex", "diagnosis")
#: Shapes of numbers and addresses of people. In a whole column the shape is enough; check digits add others.
_SHAPES = {
    "an IBAN": r"[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,3})?",
    "an IP address": r"(\d{1,3}\.){3}\d{1,3}|([0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}",
    "a personal number": r"\d{3}-\d{2}-\d{4}|\d{3}\.\d{3}\.\d{3}-\d{2}|\d{6}[-+A]\d{3}[0-9A-Y]|\d{6}/\d{3,4}"
    r"|[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]|[XYZ]?\d{7,8}-?[A-Z]|[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]|[A-Z]\d{9}"
    r"|756(\.\d{4}){2}\.\d{2}|\d{3} \d{3} \d{3,4}|\d{4} \d{6}|[12] ?\d{2} ?\d{2} ?\d[0-9AB] ?\d{3} ?\d{3}( ?\d{2})?"
    r"|\d{8}-?\d{4}|\d{10,16}",
    "a postcode": r"[A-Z]{1,2}\d[A-Z0-9]? \d[A-Z]{2}",
    "an e-mail address": r"\S+@\S+\.\S+",
}
_LOOKS = {kind: re.compile(shape).fullmatch for kind, shape in _SHAPES.items()}
#: Whole numbers of at least so many digits, nearly all distinct and equally long, are numbers of people or records.
_LONG_NUMBER = re.compile(r"0\d{6,}|\d{7,}")
#: Words of names: capital first letters, or two to five Chinese, Japanese or Korean letters.
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|['’.-])*(?:,? [^\W\d_](?:[^\W\d_]|['’.-])*){0,4}")
#: Words within names that have no capital letter.
_SMALL = frozenset(
    ["van", "von", "zu", "de", "da", "di", "del", "der", "den", "dos", "du", "la", "le", "af", "el", "al", "bin", "y"]
)
_EASTERN_NAME = re.compile(
    r"[\u3040-\u30ff\u4e00-\u9fff]{2,6}([ \u3000][\u3040-\u30ff\u4e00-\u9fff]{1,6})?|[가-힣]{2,4}"
)
#: The least share of distinct texts, and the least number of texts, that make names of people likely.
_DISTINCT, _LEAST = 0.8, 4
#: So many texts are looked at before all are.
_FIRST = 20


def identifies(column: Column) -> str | None:
    """What of a person a column's header names; None if its cells are words of the study."""
    kind = words().identifying(column.name)
    if kind is None or _are_study_words(column) or _is_field(column.name):
        return None
    return kind


def _is_field(header: str) -> bool:
    """Whether the whole header is a study field, and not a name of something identifying."""
    field, own = words().match("fields", header), words().match("identifying", header)
    return bool(field and field.whole) and not (own and own.whole)


def _are_study_words(column: Column) -> bool:
    own = {code for codes in fields.vocabularies().values() for code in codes}
    known = (t in own or any(words().code(v, t) for v in _STUDY_WORDS) for t in column.values)
    return column.is_vocabulary and any(known)


def identifying_by_content(column: Column) -> str | None:
    """What the cells of a column look like whose header is no known name; None for cells that identify nobody."""
    roles = (
        m for group in ("fields", "roles", "event_columns") if (m := words().match(group, column.name)) and m.whole
    )
    if any(role.name != "key" for role in roles):
        return None
    if looks := looks_like(column):
        return looks
    if column.is_number:
        long = _are_distinct(column) and _most_are(column, _LONG_NUMBER.fullmatch)
        return "numbers of seven digits or more, nearly all distinct" if long else None
    if not column.values or column.dates or column.is_vocabulary:
        return None
    kinds = set().union(*map(kinds_in, column.values)) - {"formula"}
    return f"some look like a {', a '.join(sorted(kinds))}" if kinds else None


def looks_like(column: Column) -> str | None:
    """What of a person nearly all cells look like: a name, an address, a personal number."""
    texts = list(column.values)
    if not texts or column.dates or column.is_vocabulary:
        return None
    if shape := next((kind for kind, looks in _LOOKS.items() if _most_are(column, looks)), None):
        return f"each looks like {shape}"
    if _are_distinct(column) and _most_are(column, is_personal_number):
        return "each looks like a personal number"
    if _are_distinct(column) and sum(map(_is_name, texts)) >= MOSTLY * len(texts):
        return "each looks like the name of a person or place"
    return None


def _are_distinct(column: Column) -> bool:
    return len(column.values) >= max(_LEAST, _DISTINCT * column.filled)


def _most_are(column: Column, looks: Callable[[str], object]) -> bool:
    """Whether nearly all texts look so; the first few decide quickly that they do not."""
    first = list(column.values)[:_FIRST]
    if sum(bool(looks(text)) for text in first) < len(first) / 2:
        return False
    return sum(bool(looks(text)) for text in column.values) >= MOSTLY * len(column.values)


def _is_name(text: str) -> bool:
    """Whether a text could be the name of a person: words that begin with capital letters, and no sign of a code."""
    if _EASTERN_NAME.fullmatch(text):
        return True
    parts = re.split(r"[ ,]+", text)
    capital = all(part[:1].isupper() or part in _SMALL for part in parts)
    is_code = len(parts) == 1 and (text.isupper() or len(text) < 3)
    return bool(_NAME.fullmatch(text)) and capital and not is_code
