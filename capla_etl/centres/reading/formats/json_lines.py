"""Read JSON lines: one object a line, its own values or the elements of one of its lists. Numbers keep their text."""

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator

import pyarrow as pa

from capla_etl.centres.limits import MOST_DEPTH
from capla_etl.centres.reading.formats.delimited import decode
from capla_etl.centres.reading.formats.file_table import Decimals, FileTable, Unreadable, table_of
from capla_etl.centres.spec.grammar import JsonLines

#: Texts of JSON, and the signs that begin and end a level.
_TEXTS, _SIGNS = re.compile(r'"(?:[^"\\]|\\.)*"'), re.compile(r"[\[\]{}]")
_LEVEL = {"[": 1, "{": 1, "]": -1, "}": -1}


class _Number(str):
    """A number as it is written, which a text in quotation marks is not."""


class _TooDeep(ValueError):
    """A JSON text has more levels than can be."""


class _RepeatedKey(Exception):
    """An object names a key more than once."""


class JsonFile:
    """A file of JSON lines: the values of each object and of the elements of its lists, by dotted path.

    ``objects``: line number -> the object's own values. ``lists``: path of a list -> line number and values of each of
    its elements.
    """

    def __init__(self, content: bytes, lists: Iterable[str] = ()):
        """Read a file; ``lists``: paths that the spec declares as lists, which may be null in every object."""
        text = decode(content, "utf-8")
        if not text.strip():
            raise Unreadable("the file is empty.")
        self.objects: dict[int, dict[str, str]] = {}
        self.set_aside: list[tuple[int, str, str, str]] = []
        elements: dict[str, list[tuple[int, dict[str, str]]]] = {}
        lines = text.removesuffix("\n").split("\n")
        broken = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                self.set_aside.append((number, "ignored", "blank_row", "Blank row."))
                continue
            try:
                self.objects[number], found = _values(_parsed(line))
            except _RepeatedKey:
                aside = ("quarantined", "repeated_key", "The object names a key more than once.")
                self.set_aside.append((number, *aside))
                continue
            except ValueError as error:
                broken.append(number)
                said = str(error) if isinstance(error, _TooDeep) else "The line is no JSON object."
                self.set_aside.append((number, "quarantined", "not_json", said))
                continue
            for path, of_line in found.items():
                elements.setdefault(path, []).extend((number, values) for values in of_line)
        if broken:
            _explain(text, lines, broken)
        null = _always_blank(self.objects.values())
        for path in null.intersection(lists):
            elements.setdefault(path, [])
        self.lists = {path: _without_null(elements[path]) for path in sorted(elements)}
        paths = {*elements, *(path for values in self.objects.values() for path in values)}
        inner = {path for path in null if path in elements or any(other.startswith(f"{path}.") for other in paths)}
        for values in self.objects.values():
            for path in inner & values.keys():
                del values[path]

    def read_alone(self, declared: JsonLines) -> FileTable:
        """The objects' own values, or the elements of one list without the owner's key."""
        if not declared.list:
            return self.read(declared, key="", used=[])
        return _table(_columns(values for _, values in self._elements(declared.list)), self._elements(declared.list))

    def read(self, declared: JsonLines, key: str, used: list[str], decimals: Decimals | None = None) -> FileTable:
        """The objects' own values, or a list's elements with the owner's key; an empty list has ``used`` columns.

        Numbers are written with the decimal mark of their column, as those of other typed files.
        """
        if not declared.list:
            rows = [(number, values) for number, values in self.objects.items() if values]
            return _table(_columns(self.objects.values()), rows, decimals, set_aside=self.set_aside)
        elements = []
        for line, values in self._elements(declared.list):
            owner = self.objects[line].get(key, "")
            if values.get(key, owner) != owner:
                raise Unreadable(
                    f"an element of the list names another {key!r} than the object that holds it (line {line})."
                )
            elements.append((line, {key: owner, **values}))
        names = _columns(values for _, values in elements) or list(dict.fromkeys([key, *used]))
        return _table(names, [(row, values) for row, (_, values) in enumerate(elements, 1)], decimals)

    def _elements(self, path: str) -> list[tuple[int, dict[str, str]]]:
        if path not in self.lists:
            raise Unreadable(f"no list {path!r}; the objects have {len(self.lists)} other list(s).")
        return [(line, values) for line, values in self.lists[path] if values]


def _always_blank(objects: Iterable[dict[str, str]]) -> set[str]:
    """Paths that are null or blank wherever they are."""
    filled: dict[str, bool] = {}
    for values in objects:
        for path, text in values.items():
            filled[path] = filled.get(path, False) or text != ""
    return {path for path, is_filled in filled.items() if not is_filled}


def _without_null(elements: list[tuple[int, dict[str, str]]]) -> list[tuple[int, dict[str, str]]]:
    """The elements of a list of objects without those that are null."""
    null = {"value": ""}
    of_objects = any(values.keys() - null.keys() for _, values in elements)
    return [(line, values) for line, values in elements if not of_objects or values != null]


def _columns(rows) -> list[str]:
    """The paths of all rows, in the order in which they come."""
    return list(dict.fromkeys(path for values in rows for path in values))


def _table(
    names: list[str], rows: list[tuple[int, dict[str, str]]], decimals: Decimals | None = None, **rest
) -> FileTable:
    marks = {name: decimals.of(name) if decimals else "." for name in names}

    def text(values: dict[str, str], name: str) -> str:
        found = values.get(name, "")
        return found.replace(".", marks[name]) if isinstance(found, _Number) else found

    columns = [pa.array([text(values, name) for _, values in rows], pa.string()) for name in names]
    return table_of(names, columns, [number for number, _ in rows], **rest)


def _parsed(line: str) -> dict:
    """One object, its numbers as they are written.

    Raises:
        ValueError: no JSON object, an empty one, or half of a letter.
        _RepeatedKey: an object names a key more than once.
    """
    if "\\ud" in line.lower():
        json.dumps(parsed(line), ensure_ascii=False).encode()
    found = parsed(line, parse_float=_Number, parse_int=_Number, object_pairs_hook=_without_repetition)
    if not isinstance(found, dict) or not found:
        raise ValueError("no object")
    return found


def parsed(text: str, **options) -> object:
    """A JSON text as the standard has it: no NaN, no infinity, and no more levels than ``limits.py`` allows.

    Raises:
        ValueError: it is none, or has more levels.
    """
    if text.count("[") + text.count("{") > MOST_DEPTH:
        deepest = max(itertools.accumulate(_LEVEL[sign] for sign in _SIGNS.findall(_TEXTS.sub("", text))), default=0)
        if deepest > MOST_DEPTH:
            raise _TooDeep(f"Lists or objects lie in {deepest:,} levels; expected at most {MOST_DEPTH}.")
    return json.loads(text, parse_constant=_no_number, **options)


def _no_number(word: str):
    raise ValueError(word)


def _without_repetition(pairs: list[tuple]) -> dict:
    if len(found := dict(pairs)) < len(pairs):
        raise _RepeatedKey
    return found


def _text(value) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def _leaves(value, path: str) -> Iterator[tuple[str, object]]:
    """The values inside an object with their dotted paths; a list is one value."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        key = key or "(no name)"
        yield from _leaves(inner, f"{path}.{key}" if path else key)


def _by_path(value, path: str = "") -> dict:
    found: dict = {}
    for name, leaf in _leaves(value, path):
        name = unicodedata.normalize("NFC", name)
        if name in found:
            raise _RepeatedKey
        found[name] = leaf
    return found


def _values(line: dict) -> tuple[dict[str, str], dict[str, list[dict[str, str]]]]:
    """An object's own values, and those of the elements of its lists (an element that is no object has one, "value").

    Raises:
        Unreadable: a list inside a list.
    """
    own, lists = {}, {}
    for path, value in _by_path(line).items():
        if not isinstance(value, list):
            own[path] = _text(value)
            continue
        elements = [_by_path(element, "" if isinstance(element, dict) else "value") for element in value]
        if inner := sorted({name for element in elements for name, leaf in element.items() if isinstance(leaf, list)}):
            raise Unreadable(f"lists inside lists ({len(inner)} of them); expected one level of lists.")
        lists[path] = [{name: _text(leaf) for name, leaf in element.items()} for element in elements]
    return own, lists


def _explain(text: str, lines: list[str], broken: list[int]) -> None:
    """Refuse a file that is JSON in another arrangement, that was cut off, or none of whose lines is an object."""
    try:
        found = "list" if isinstance(parsed(text), list) else "object"
    except _TooDeep as error:
        if len(lines) == len(broken):
            raise Unreadable(str(error)) from None
    except ValueError:
        pass
    else:
        advice = "expected JSON lines: one object on each line, without a list around them."
        raise Unreadable(f"the file is one JSON {found} as a whole; {advice} Ask the centre to export it so.")
    if len(broken) == sum(bool(line.strip()) for line in lines):
        raise Unreadable("no line is a JSON object; was the file cut off, or is it in another format?")
    if broken[-1] == len(lines) and not text.endswith("\n"):
        raise Unreadable("the last line has no end and is no JSON object; the file was cut off. Ask the centre again.")
