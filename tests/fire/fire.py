"""Damaged and hostile inputs for every reader and for ``centre.yml``: each must end in values or a message.

Seeds are small valid files. An input is a seed with bytes changed, cut, repeated or exchanged with another seed's, or,
inside an archive, with one part changed so and packed again. All follow from the number of the input.

What does not belong here: what a valid file must be read as (tests/columns).
"""

import io
import random
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import date
from functools import cache
from pathlib import Path

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import Unreadable
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Delimited, Format, JsonLines, Parquet, SasTransport, Spss, Stata, Workbook
from capla_etl.centres.worker import Died, apart
from tests.columns import writers

ROOT = Path(__file__).resolve().parents[2]
#: Inputs that one process reads; one that dies is asked again with each of its inputs alone.
BATCH = 100
SPEC = "centre.yml"
READERS: dict[str, Format] = {
    "csv": Delimited(type="delimited", encoding="utf-8", delimiter=";"),
    "gzip": Delimited(type="delimited", encoding="utf-8", delimiter=";", compression="gzip"),
    "json_lines": JsonLines(type="json_lines"),
    "xlsx": Workbook(type="xlsx", sheet=writers.SHEET),
    "ods": Workbook(type="ods", sheet=writers.SHEET),
    "parquet": Parquet(type="parquet"),
    "stata": Stata(type="stata"),
    "spss": Spss(type="spss"),
    "sas_transport": SasTransport(type="sas_transport"),
}
#: What hostile files hold: far cells, many repetitions, levels, special numbers, odd letters.
WORDS = [b"XFD1048576", b"1048576", b"99999999999", b"-1", b"0", b"NaN", b"1e999", b"\x00", b"\xff\xfe", b"[" * 200]
WORDS += [b"<a>" * 50, b"&amp;", b"%" * 80, b"*a", b"&a ", b"\xf0\x9f\x92\xa9", b"\xed\xa0\x80", b"{" * 60, b": ", b'"']


@cache
def seed(kind: str) -> bytes:
    """A valid file of three rows."""
    if kind == SPEC:
        return (ROOT / "data_raw/HU01/centre.yml").read_bytes()
    columns = {"id": ["A", "B", "Zé"], "day": [date(2020, 1, 2), None, date(2020, 3, 4)], "plt": [2.5, 7.0, None]}
    if kind == "json_lines":
        columns["day"] = ["2020-01-02", None, "2020-03-04"]
    if kind in ("csv", "gzip"):
        columns = {name: ["" if cell is None else str(cell) for cell in cells] for name, cells in columns.items()}
        return writers.write("csv", columns, {"encoding": "utf-8", "delimiter": ";", "gzip": kind == "gzip"})
    return writers.write(kind, columns, {})


def mutated(kind: str, number: int) -> bytes:
    """The input of a number."""
    chance = random.Random(f"{kind} {number}")
    content = seed(kind)
    if kind in ("xlsx", "ods") and chance.random() < 0.7:
        return _with_a_part_changed(content, chance)
    return _changed(content, chance)


def _changed(content: bytes, chance: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(found) + 1)
        to = min(len(found), at + chance.choice((1, 2, 4, 8, 64, 1000)))
        how = chance.randrange(7)
        if how == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            found[at:to] = chance.randbytes(to - at)
        elif how == 2:
            del found[at:to]
        elif how == 3:
            found[at:at] = found[at:to] * chance.choice((1, 2, 50))
        elif how == 4:
            found[at:at] = chance.choice(WORDS)
        elif how == 5 and (numbers := list(re.finditer(rb"\d+", bytes(found)))):
            place = chance.choice(numbers)
            found[place.start() : place.end()] = chance.choice(WORDS[:7])
        else:
            found[at:to] = bytes([chance.choice((0, 0x7F, 0x80, 0xFF))]) * (to - at)
    return bytes(found[: chance.randrange(len(found) + 1)]) if chance.random() < 0.1 else bytes(found)


def _with_a_part_changed(content: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(sorted(parts))
    parts[name] = _changed(parts[name], chance)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for part, inside in parts.items():
            archive.writestr(part, inside)
    return target.getvalue()


def ends_in(kind: str, content: bytes) -> str:
    """How one input ends: "values", "message", or else what is wrong."""
    try:
        if kind == SPEC:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "HU01" / SPEC
                place.parent.mkdir()
                place.write_bytes(content)
                load_spec(place)
        else:
            formats.read(content, READERS[kind])
    except Unreadable:
        return "message"
    except CentreRefused as refused:
        return f"unforeseen: {refused.problems[0][:200]}" if ": an unexpected " in str(refused) else "message"
    except MemoryError:
        return "message"  # the worker says which limit
    except Exception as error:
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        return f"unforeseen: {type(error).__name__} {error} {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"[:300]
    return "values"


def batch(kind: str, numbers: range) -> list[str]:
    """How each of several inputs ends."""
    return [ends_in(kind, mutated(kind, number)) for number in numbers]


def burn(kinds: list[str], inputs: int, first: int = 0) -> Iterator[tuple[str, Counter]]:
    """How the inputs of each kind end, each batch in a process of its own; a process that died is a message."""
    for kind in kinds:
        numbers = [range(n, min(n + BATCH, first + inputs)) for n in range(first, first + inputs, BATCH)]
        ends: Counter = Counter()
        for some, future in [(some, apart(batch, kind, some)) for some in numbers]:
            ends.update(_ends(kind, some, future))
        yield kind, ends


def _ends(kind: str, numbers: range, future: Future) -> list[str]:
    try:
        return future.result()
    except Died:
        if len(numbers) == 1:
            return ["message (the process died)"]
        return [end for n in numbers for end in _ends(kind, range(n, n + 1), apart(batch, kind, range(n, n + 1)))]
