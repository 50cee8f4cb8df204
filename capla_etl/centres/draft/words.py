"""Look up the words of ``words.yml``: which field could a header be, which code a word, which unit a text?"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_FILE = Path(__file__).with_name("words.yml")
#: Latin letters that are no plain letter with an accent.
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "æ": "ae", "œ": "oe"})
#: Columns whose words stand in ``words.yml``, by what is known of them.
_GROUPS = ("roles", "identifying", "identifying_within", "ignored", "fields", "drug_columns", "event_columns")


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
        self._units = {unit: {_unit_form(text) for text in [unit, *texts]} for unit, texts in declared["units"].items()}
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

    def unit(self, text: str, accepted: list[str]) -> str | None:
        """The accepted unit that a text means."""
        form = _unit_form(text)
        return next((unit for unit in accepted if form in self._units.get(unit, {_unit_form(unit)})), None)

    def is_missing(self, text: str) -> bool:
        """Whether a text is one that people write for a missing value."""
        return text.strip().casefold() in self._missing

    def is_footer(self, text: str) -> bool:
        """Whether a row that begins so holds totals below the data."""
        return normal(text) in self._footers


def _parts(header: str) -> list[str]:
    """A header, and the last part of a dotted path ("outcome.lastContact"), ignoring a final "value"."""
    parts = header.removesuffix(".value").split(".")
    dotted = len(parts) > 1 and all(re.fullmatch(r"[A-Za-z_]\w*", part) for part in parts)
    return [header, parts[-1]] if dotted else [header.removesuffix(".value")]


def normal_code(text: str) -> str:
    """A word of a cell in one form; a sign alone stays unchanged."""
    return normal(text) or text.strip()


def _unit_form(text: str) -> str:
    return re.sub(r"\s+|_", "", text.casefold().replace("μ", "µ"))


def without_unit(header: str) -> tuple[str, str]:
    """A header and the unit in it: "PLT (G/L)", "LDH [U/L]", "HGB_G_DL", "hemoglobin_g_per_L"."""
    if bracket := re.fullmatch(r"(.+?)\s*[(\[（]([^()\[\]（）]+)[)\]）]\s*", header):
        return bracket[1], bracket[2]
    if tail := re.fullmatch(
        r"(.+?)[_.\s]((?:[munµ]?(?:g|mol|l|u|ui|iu|k)|pct|percent)(?:(?:_per_|_|/)(?:d?l|ml|ul))?|x_?(?:uln|lsn|n))",
        header,
        re.IGNORECASE,
    ):
        unit = tail[2].replace("_per_", "/").replace("_", "/")
        return tail[1], "x ULN" if unit.casefold().startswith("x") else unit
    return header, ""


@cache
def words() -> Words:
    """The declared words."""
    return Words(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
