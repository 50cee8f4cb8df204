"""Look up the words of ``words.yml``: which field could a header be, which code a word, which unit a text?"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from capla_etl import fields
from capla_etl.fields.units import conversion, unit_factor

_FILE = Path(__file__).with_name("words.yml")
#: Latin letters that are no plain letter with an accent.
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe"})
#: Brackets in a header, which may hold others.
_BRACKETS = re.compile(r"[(（]((?:[^()（）]|[(（][^()（）]*[)）])*)[)）]|[\[【〔［]([^\[\]【】〔〕［］]*)[\]】〕］]")
#: A multiple of the upper limit at the end of a header.
_MULTIPLE = re.compile(r"(.+?)[_.\s]x_?(?:uln|lsn|n)", re.IGNORECASE)
#: Where a unit may begin in a header: after a blank, a sign, or a letter of a script that writes no blanks.
_GAPS = re.compile(r"[\s_.,:;：、・]+|(?<=[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])(?=.)")
#: What a unit that stands in no bracket has; a word alone ("h", "a") is none but percent and volumes.
_UNIT_SIGN = re.compile(r"/|[%％]|\sper\s|[^\W_]_[^\W_]|^[\s_.]+(pct|percent|m?l|[munµμ]mol)$", re.IGNORECASE)
#: Columns whose words stand in ``words.yml``, by what is known of them.
_GROUPS = (
    "roles",
    "identifying",
    "identifying_within",
    "ignored",
    "ignored_beside",
    "doubtful",
    "fields",
    "drug_columns",
    "event_columns",
)


def normal(text: str) -> str:
    """Make letters small and signs plain, remove accents, split camelCase, and replace all other signs by one blank.

    Letters of every script are kept; Latin ones with a stroke become plain (ł, ø, đ).
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFKC", text))
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", apart.casefold()) if not unicodedata.combining(c) or ord(c) > 0x3000
    )
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", plain.translate(_STROKES))).strip()


@dataclass(frozen=True)
class Match:
    """What a header could be: a field, role or code; how many of its letters match, and whether all do."""

    name: str
    letters: int
    whole: bool


class Words:
    """``words.yml``, compiled."""

    def __init__(self, declared: dict):
        self._patterns = {
            group: [
                (name, re.compile(pattern), re.compile(rf"(?<!\S)(?:{pattern})(?!\S)"))
                for name, patterns in declared[group].items()
                for pattern in patterns
            ]
            for group in _GROUPS
        }
        self._known: dict[tuple[str, str], list[Match]] = {}
        self._free_text = [re.compile(pattern) for pattern in declared["free_text"]]
        self._codes = {
            vocabulary: [
                (code, re.compile(re.escape(pattern) if len(pattern) == 1 else pattern))
                for code, patterns in codes.items()
                for pattern in patterns
            ]
            for vocabulary, codes in ((v, c if isinstance(c, dict) else {v: c}) for v, c in declared["codes"].items())
        }
        self._multiples = {_unit_form(text) for text in declared["multiples_of_the_limit"]}
        self._also_in_use = declared["units_also_in_use"]
        self.vocabularies = frozenset(self._codes)
        self._missing = {text.casefold() for text in declared["missing"]}
        self._owners = {normal(text) for text in declared["owners"]}
        self._footers = {normal(text) for text in declared["footers"]}

    def match(self, group: str, header: str) -> Match | None:
        """The first of ``matches``, or None."""
        return next(iter(self.matches(group, header)), None)

    def matches(self, group: str, header: str) -> list[Match]:
        """Every match of a group in a header without its unit, whole ones first, then the longest."""
        key = (group, header)
        if key not in self._known:
            found = []
            for text in dict.fromkeys(normal(without_unit(part)[0]) for part in _parts(header)):
                for name, pattern, inside in self._patterns[group]:
                    if pattern.fullmatch(text):
                        found.append(Match(name, len(text), True))
                    elif hit := inside.search(text):
                        found.append(Match(name, len(hit[0]), False))
            self._known[key] = sorted(dict.fromkeys(found), key=lambda m: (not m.whole, -m.letters))
        return self._known[key]

    def identifying(self, header: str) -> str | None:
        """What of a person a column names, by its whole header or by words that say so anywhere in it."""
        text = normal(without_unit(header)[0])
        own = " ".join(word for word in text.split() if word not in self._owners)
        for known in (self.match("identifying", header), self.match("identifying", own)):
            if known and known.whole:
                return known.name
        within = self.match("identifying_within", header)
        return within.name if within else None

    def is_known(self, header: str) -> bool:
        """Whether a whole text is a known name of a column."""
        whole = any((m := self.match(group, header)) and m.whole for group in _GROUPS)
        return whole or self.is_free_text(header)

    def is_free_text(self, header: str) -> bool:
        """Whether a header says that people write freely there."""
        return any(pattern.fullmatch(normal(header)) for pattern in self._free_text)

    def code(self, vocabulary: str, word: str) -> str | None:
        """The study's code that a word of a cell means."""
        text = normal_code(word)
        return next((code for code, pattern in self._codes[vocabulary] if pattern.fullmatch(text)), None)

    def unit(self, text: str, declared: fields.Field) -> str | None:
        """The unit that a text means for a field, as its spec is to write it: a common unit, or the text itself.

        Headers are often written in small letters or capitals alone, so the text is tried in these forms too; "ML" in
        capitals is no megalitre.
        """
        if "x ULN" in declared.units and _unit_form(text) in self._multiples:
            return "x ULN"
        own_first = (str.lower, str) if text == text.upper() else (str, str.lower)
        for form in dict.fromkeys(f(text.strip()) for f in (*own_first, str.upper, str.capitalize)):
            if form and (found := conversion(declared, form)):
                own = unit_factor(declared, form)  # "l" is the common unit L of a field in mL
                alike = (u for u in declared.units if own is not None and unit_factor(declared, u) == own)
                common = [found[0]] if found[1] == 1 else list(alike)
                return next(iter(common), form)
        return None

    def is_unit(self, text: str) -> bool:
        """Whether a text is a unit of any field."""
        return any(self.unit(text, declared) for declared in fields.fields().values() if declared.units)

    def units_in_use(self, declared: fields.Field) -> list[str]:
        """The common units of a field, and other ones that laboratories use."""
        return [*declared.units, *self._also_in_use.get(declared.name, [])]

    def is_missing(self, text: str) -> bool:
        """Whether a text is one that people write for a missing value."""
        return text.strip().casefold() in self._missing

    def is_footer(self, text: str) -> bool:
        """Whether a row that begins so holds totals below the data."""
        return normal(text) in self._footers


def _parts(header: str) -> list[str]:
    """A header, and the last part of a dotted path ("outcome.lastContact"), ignoring a final "value".

    A box to check in a label export of REDCap ("Symptoms (choice=Coma)") is its choice alone.
    """
    if choice := re.search(r"\(choice=(.+)\)$", header):
        return [choice[1]]
    parts = header.removesuffix(".value").split(".")
    dotted = len(parts) > 1 and all(re.fullmatch(r"[A-Za-z_]\w*", part) for part in parts)
    return [header, parts[-1]] if dotted else [header.removesuffix(".value")]


def normal_code(text: str) -> str:
    """A word of a cell in one form; a sign alone stays unchanged."""
    return normal(text) or text.strip()


def _unit_form(text: str) -> str:
    return re.sub(r"[\s_×*]+", "", unicodedata.normalize("NFKC", text).casefold())


@cache
def without_unit(header: str) -> tuple[str, str]:
    """A header and the unit in it: "PLT (G/L)", "LDH [U/L]", "PLT 10^9/l", "血小板(万/μL)", "HGB_G_DL"."""
    brackets = [(m.start(), m.end(), m[1] or m[2]) for m in _BRACKETS.finditer(header)]
    units = [found for found in brackets if words().is_unit(found[2])]
    last = [found for found in brackets[-1:] if not header[found[1] :].strip()]
    for start, end, text in units[-1:] or last:
        if header[:start].strip():
            return f"{header[:start].strip()} {header[end:].strip()}".strip(), text.strip()
    if limit := _MULTIPLE.fullmatch(header):
        return limit[1], "x ULN"
    return _bare_unit(header)


def _bare_unit(header: str) -> tuple[str, str]:
    """A header and the unit at its end that stands in no bracket; the longest such end."""
    for gap in _GAPS.finditer(header):
        name, tail = header[: gap.start()], header[gap.end() :]
        if not name or not _UNIT_SIGN.search(gap[0] + tail):
            continue
        written = re.sub(r"\s*/\s*|(?<=[^\W_])_(?:per_)?(?=[^\W_])", "/", tail)
        if next((f for f in (tail, written) if words().is_unit(f)), None) is not None:
            unit = tail if words().is_unit(tail) else written
            return re.sub(r"\s+(in|en)$", "", name), unit
    return header, ""


@cache
def words() -> Words:
    """The declared words."""
    return Words(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
