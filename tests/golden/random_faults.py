"""Faults for the text of a submission: where a spec reads a value, what no centre may send there, and planted faults.

Everything works on tables of text, so that the ten formats are covered alike. Nothing is read from files or judged
here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl import fields
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.dates import NAMED_DATE_FORMATS
from capla_etl.centres.spec.grammar import CodedColumn, Record, Source, Spec, Table, placeholder_columns

#: A person's name that no message, and of a file with identifying columns no table, may repeat.
SECRET = "Secret Person"
#: No number, date or study day in any notation that a spec can declare.
NO_VALUE = [
    SECRET, "NaN", "-inf", "1e", "e2", "0x1F", "=1+1", '=HYPERLINK("http://example.org")', "#N/A", "null",
    "١٢", "１２", "½", "1_000", "1'000", "1 2 3",
    "12..5", "12,,5", "--5", "+-5", "<", "<>5", "<<5", "5<", "5%%", "1/2", "‐5", "\u200b5", "\ufeff5", "\x005", "\x075",
    "5\n6", '"', "';--", "{k}", "%d", "\\",
    "é" * 200,
]  # fmt: skip
#: Words that no vocabulary knows.
NO_WORD = ["zzz", "1e5", "Oui?", "\x00", "ﬀ", "'", "yes\nno"]


@dataclass(frozen=True)
class Place:
    """A column that a record of the spec reads, and the rows (positions) where a value is filled in and read.

    ``kind``: number, integer, date, day (a study day), unit, limit (upper limit of normal) or word (of a vocabulary).
    """

    table: str
    column: str
    kind: str
    rows: tuple[int, ...] = field(repr=False)
    decimal: str = "."
    formats: tuple[str, ...] = ()


@dataclass
class Faulty:
    """A submission with faults: its tables, and what was done to them, rows by (table, number of the row).

    ``cells``: (table, row, column) -> the text planted and the kind of its place. ``keys``: rows whose patient number
    was replaced. ``copies``: rows added that repeat another one, by table. ``patients``: numbers, as the centre writes
    them, of the patients whose rows were changed by more than a cell.
    """

    raws: list[RawTable] = field(repr=False)
    cells: dict[tuple[str, int, str], tuple[str, str]] = field(default_factory=dict)
    keys: set[tuple[str, int]] = field(default_factory=set)
    removed: set[tuple[str, int]] = field(default_factory=set)
    copies: dict[str, int] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)


def _texts(raw: RawTable, column: str) -> list[str]:
    return [(text or "").strip() for text in raw.rows[column].to_pylist()]


def _rows_of(table: Table, record: Record, raw: RawTable) -> list[int]:
    """Positions of the rows that may hold the record: those of its kind, and those that say that it is there."""
    rows = range(raw.rows.num_rows)
    if table.row_kinds:
        kind_of = {word: kind for kind, words in table.row_kinds.kinds.items() for word in words}
        kinds = [kind_of.get(text, table.row_kinds.otherwise) for text in _texts(raw, table.row_kinds.column)]
        rows = [i for i in rows if kinds[i] == record.rows]
    if record.present:
        words = _texts(raw, record.present.column)
        rows = [i for i in rows if (words[i] in record.present.yes if record.present.yes else words[i])]
    return list(rows)


def _measured(record: Record) -> dict[str, Source]:
    """Fields of a record by their column in the harmonised table."""
    analyte = {name for name in record.fields if record.table == "lab_result" and fields.fields()[name].analyte}
    return {("value" if name in analyte else name): source for name, source in record.fields.items()}


def _repeated(column: str, number: int) -> str:
    return column.replace("{k}", str(number))


def places(spec: Spec, raws: list[RawTable]) -> list[Place]:
    """Every place where a record of the spec reads a filled cell."""
    found: dict[tuple[str, str, str], Place] = {}
    for raw in raws:
        table = spec.tables[raw.name]
        key = _texts(raw, table.key)
        for record in table.records:
            rows = [i for i in _rows_of(table, record, raw) if key[i]]
            groups = [
                placeholder_columns(s.column, raw.rows.column_names)
                for s in record.fields.values()
                if s.column and "{k}" in s.column
            ]
            for k in groups[0] if groups else [0]:
                for place in _places_of(spec, table, record, raw, rows, k):
                    old = found.get((place.table, place.column, place.kind))
                    merged = tuple(sorted({*place.rows, *(old.rows if old else ())}))
                    found[place.table, place.column, place.kind] = replace(place, rows=merged)
            if record.present and record.present.yes:
                found[raw.name, record.present.column, "word"] = Place(
                    raw.name, record.present.column, "word", tuple(rows)
                )
    return [place for place in found.values() if place.rows]


def _places_of(spec: Spec, table: Table, record: Record, raw: RawTable, rows: list[int], k: int):
    """Places of one record, and of one repetition of its group."""
    sources = _measured(record)
    filled = {}
    for name, source in sources.items():
        if source.column:
            missing = {"", *spec.missing, *source.missing}
            texts = _texts(raw, _repeated(source.column, k))
            filled[name] = {i for i in rows if texts[i] not in missing}
    if not record.present and (makes_it := fields.tables()[record.table].present):
        there = set().union(*(filled.get(name, set()) for name in makes_it))
        filled = {name: some & there for name, some in filled.items()}
    for name, source in sources.items():
        if name not in filled or not filled[name]:
            continue
        declared = fields.fields().get(next(n for n, s in record.fields.items() if s is source))
        place = Place(
            raw.name,
            _repeated(source.column, k),
            "word",
            tuple(filled[name]),
            source.decimal or table.decimal,
            tuple(source.date_format or table.date_format),
        )
        if source.centres or (declared.type in ("code", "answer") and source.vocabulary is not None):
            yield place
        elif declared.type == "date":
            yield replace(place, kind="day" if source.study_day else "date")
            if source.run_to:
                yield replace(
                    place,
                    kind="date",
                    column=source.run_to,
                    rows=tuple(i for i in place.rows if _texts(raw, source.run_to)[i]),
                )
        elif declared.type in ("number", "integer"):
            yield replace(place, kind=declared.type)
            if isinstance(source.unit, CodedColumn):
                yield replace(place, kind="unit", column=source.unit.column)
            if source.uln and source.uln.column:
                yield replace(place, kind="limit", column=source.uln.column)
            if source.comparator:
                yield replace(place, kind="word", column=source.comparator.column)


def _day(date_format: str, day: str, month: str, year: str) -> str:
    text = NAMED_DATE_FORMATS.get(date_format) or date_format
    for token, number in (("%-d", day), ("%-m", month), ("%d", day), ("%m", month), ("%Y", year), ("%y", year[2:])):
        text = text.replace(token, number)
    return text


def wrong_texts(place: Place) -> list[str]:
    """Texts of which none may be accepted there, those made for its kind first."""
    if place.kind == "word":
        return NO_WORD
    if place.kind == "unit":
        return ["mmol/L", "g", "10^9", *NO_VALUE]
    if place.kind == "day":
        return ["12345", "3.5", "3,5", "9999", "2020-02-03", "9" * 40, *NO_VALUE]
    if place.kind == "date":
        formats = [f for f in place.formats if f != "excel_day_number"]
        impossible = [
            _day(f, *day)
            for f in formats
            for day in (("31", "02", "2020"), ("00", "00", "2020"), ("12", "13", "2019"), ("05", "05", "2041"))
        ]
        return [*impossible, "99999", "20200231", "31 février 2020", *NO_VALUE]
    other = "," if place.decimal == "." else "."
    fraction = [f"3{place.decimal}5"] if place.kind == "integer" else []
    return [
        "2e2.5",
        "9" * 12,
        "-7",
        f"1{other}5",
        *fraction,
        "9" * 22,
        "9" * 40,
        place.decimal,
        f"{place.decimal}5{place.decimal}",
        "-250",
        *NO_VALUE,
    ]


def of_some_patients(spec: Spec, raws: list[RawTable], number: int) -> list[RawTable]:
    """The submission with only some of its patients, evenly taken."""
    patients = next(raw for raw in raws if any(r.table == "patient" for r in spec.tables[raw.name].records))
    keys = list(dict.fromkeys(patients.rows[spec.tables[patients.name].key].to_pylist()))
    kept = pa.array(keys[:: max(1, len(keys) // number)], pa.string())
    return [replace(raw, rows=raw.rows.filter(pc.is_in(raw.rows[spec.tables[raw.name].key], kept))) for raw in raws]


def plant_cells(faulty: Faulty, planted: Sequence[tuple[Place, int, str]]) -> None:
    """Put texts into cells: (place, position of the row, text)."""
    by_column: dict[tuple[str, str], dict[int, str]] = {}
    for place, position, text in planted:
        by_column.setdefault((place.table, place.column), {})[position] = text
        faulty.cells[place.table, _number(faulty, place.table, position), place.column] = text, place.kind
    for (table, column), texts in by_column.items():
        _set_cells(faulty, table, column, texts)


def replace_keys(faulty: Faulty, spec: Spec, table: str, keys: dict[int, str]) -> None:
    """Give rows (by position) another patient number."""
    column = spec.tables[table].key
    old = _raw(faulty, table).rows[column].to_pylist()
    faulty.keys |= {(table, _number(faulty, table, position)) for position in keys}
    faulty.patients |= {old[position].strip() for position in keys}
    _set_cells(faulty, table, column, keys)


def remove_rows(faulty: Faulty, spec: Spec, table: str, positions: set[int]) -> None:
    """Leave rows (by position) out."""
    raw = _raw(faulty, table)
    key = raw.rows[spec.tables[table].key].to_pylist()
    faulty.removed |= {(table, _number(faulty, table, position)) for position in positions}
    faulty.patients |= {key[position].strip() for position in positions}
    kept = [i for i in range(raw.rows.num_rows) if i not in positions]
    _put(faulty, replace(raw, rows=raw.rows.take(pa.array(kept, pa.int64()))))


def copy_rows(faulty: Faulty, table: str, positions: list[int]) -> None:
    """Send rows (by position) once more, at the end."""
    raw = _raw(faulty, table)
    copies = raw.rows.take(pa.array(positions, pa.int64()))
    numbers = range(max(raw.rows["source_row"].to_pylist()) + 1, 10**8)
    copies = copies.set_column(
        copies.column_names.index("source_row"), "source_row", pa.array(numbers[: len(positions)], pa.int64())
    )
    faulty.copies[table] = faulty.copies.get(table, 0) + len(positions)
    _put(faulty, replace(raw, rows=pa.concat_tables([raw.rows, copies])))


def shuffle(faulty: Faulty, shuffled) -> None:
    """Put the rows and columns of every table into another order; ``shuffled`` permutes a list."""
    for raw in faulty.raws:
        columns = shuffled([c for c in raw.rows.column_names if c != "source_row"])
        rows = raw.rows.take(shuffled(list(range(raw.rows.num_rows)))).select([*columns, "source_row"])
        numbers = pa.array(sorted(raw.rows["source_row"].to_pylist()), pa.int64())
        _put(faulty, replace(raw, rows=rows.set_column(len(columns), "source_row", numbers)))


def _raw(faulty: Faulty, table: str) -> RawTable:
    return next(raw for raw in faulty.raws if raw.name == table)


def _put(faulty: Faulty, new: RawTable) -> None:
    faulty.raws = [new if raw.name == new.name else raw for raw in faulty.raws]


def _number(faulty: Faulty, table: str, position: int) -> int:
    return _raw(faulty, table).rows["source_row"][position].as_py()


def _set_cells(faulty: Faulty, table: str, column: str, texts: dict[int, str]) -> None:
    raw = _raw(faulty, table)
    cells = raw.rows[column].to_pylist()
    for position, text in texts.items():
        cells[position] = text
    _put(
        faulty,
        replace(
            raw, rows=raw.rows.set_column(raw.rows.column_names.index(column), column, pa.array(cells, pa.string()))
        ),
    )
