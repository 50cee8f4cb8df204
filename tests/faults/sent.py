"""A centre's tables as sent, changed through the study's fields and written back in the form of their columns.

The spec says which column holds a field, so that a fault is written once and applies in every centre. Values are in the
unit of the file.

What does not belong here: which faults there are (kinds.py).
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache

import pyarrow as pa

from capla_etl import fields
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.dates import NAMED_DATE_FORMATS
from capla_etl.centres.spec.grammar import CodedColumn, Record, Source, Spec, Table, placeholder_columns
from capla_etl.centres.spec.numbers import COMPARATORS

_EPOCH = date(1899, 12, 30)
#: Fields that date a record of a list.
_DATES = ("result_date", "session_date", "start_date", "event_date")
#: More decimals than any column writes.
_MOST_DECIMALS = 4
Value = float | date | str | None


class NotHere(Exception):
    """A fault has no place in a centre: the field is not sent, or nothing would change."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where one source of one record reads a field: table of the spec, column, how its text is read and written."""

    table: str
    column: str
    source: Source
    declared: fields.Field
    missing: frozenset[str]
    blank: str
    decimal: str
    formats: tuple[str, ...]
    words: dict[str, str]
    decimals: int = 0
    stripped: bool = False
    ending: str = ""


@dataclass
class Cell:
    """One value in the files.

    ``value``: a number in the unit of the file, a date, or a study code; None where it is missing. ``sign``: its
    comparator. ``day``: date of its record (of the first exchange for patients). ``of``: the kind of its record (drug,
    kind of adverse event). ``kept``: a code that stands for another value, and is never changed. ``record``: which
    record of the spec and repetition it belongs to.
    """

    place: Place = field(repr=False)
    row: int
    item: int | None
    patient: str
    value: Value
    sign: str = ""
    day: date | None = None
    of: str = ""
    kept: bool = False
    record: tuple = ()

    @property
    def where(self) -> tuple:
        return self.place.table, self.place.column, self.row, self.item


class Sent:
    """A centre's tables as sent: ``texts`` of each table by column, ``keys`` by row, ``numbers`` of the rows."""

    def __init__(self, spec: Spec, raws: Sequence[RawTable]):
        self.spec, self.raws = spec, list(raws)
        self.texts: dict[str, dict[str, list[str]]] = {}
        self.numbers: dict[str, list[int]] = {}
        self.changed: set[tuple] = set()
        for raw in raws:
            columns = {c: raw.rows[c].to_pylist() for c in raw.rows.column_names if c != "source_row"}
            self.texts[raw.name] = {c: [t or "" for t in texts] for c, texts in columns.items()}
            self.numbers[raw.name] = raw.rows["source_row"].to_pylist()
        self._places: dict[tuple, Place] = {}
        self._day0: dict[str, date] | None = None

    # ------------------------------------------------------------ what is there

    def keys(self, table: str) -> list[str]:
        """The patient of each row."""
        return [text.strip() for text in self.texts[table][self.spec.tables[table].key]]

    def patients(self) -> list[str]:
        """The patients in the order of the file that names them."""
        return list(dict.fromkeys(cell.patient for cell in self.cells("patient", "sex")))

    def day0(self) -> dict[str, date]:
        """Patient -> first exchange as stated."""
        if self._day0 is None:
            self._day0 = {}
            cells = self._cells("patient", "first_tpe_date", None, dated=False)
            self._day0 = {cell.patient: cell.value for cell in cells if isinstance(cell.value, date)}
        return self._day0

    def cells(self, table: str, name: str, of: str | None = None) -> list[Cell]:
        """Every cell that holds a field of a harmonised table, each once, in file order.

        Args:
            table: harmonised table.
            name: field as the spec names it (``platelets_10e9_per_l``).
            of: only records of this drug or kind of adverse event.

        Raises:
            NotHere: the centre does not send it.
        """
        found = {cell.where: cell for cell in self._cells(table, name, of, dated=name != "first_tpe_date")}
        if not found:
            raise NotHere(f"{table}.{name}")
        order = {name: i for i, name in enumerate(self.texts)}
        return sorted(found.values(), key=lambda c: (order[c.place.table], c.row, c.record[1:], c.item or 0))

    def filled(self, table: str, name: str, of: str | None = None) -> list[Cell]:
        """As ``cells``, those with a value that may be changed."""
        return [cell for cell in self.cells(table, name, of) if cell.value is not None and not cell.kept]

    def sends(self, table: str, name: str) -> bool:
        """Whether the centre sends a field at all."""
        records = [r for t in self.spec.tables.values() for r in t.records if r.table == table]
        return any(name in record.fields and record.fields[name].column for record in records)

    def _records(self, table: str) -> Iterator[tuple[str, int, Record]]:
        for name, declared in self.spec.tables.items():
            for number, record in enumerate(declared.records):
                if record.table == table:
                    yield name, number, record

    def _cells(self, harmonised: str, name: str, of: str | None, dated: bool) -> Iterator[Cell]:
        for table, number, record in self._records(harmonised):
            source = record.fields.get(name)
            if source is None or not source.column:
                continue
            kind_name = "drug" if harmonised == "drug_course" else "kind" if "adverse" in harmonised else ""
            kind = record.fields.get(kind_name)
            if of and kind and kind.constant not in (None, of):
                continue
            dates = next((record.fields[d] for d in _DATES if d in record.fields and record.fields[d].column), None)
            for k in self._repetitions(table, source):
                place = self._place(table, name, source, k)
                yield from self._of_record(place, record, (table, number, k), kind, dates if dated else None, of)

    def _of_record(self, place: Place, record: Record, key: tuple, kind, dates, of) -> Iterator[Cell]:
        table, _, k = key
        texts, keys, day0 = self.texts[table][place.column], self.keys(table), self._day0 or {}
        if dates is not None or record.table == "patient" and place.declared.name != "first_tpe_date":
            day0 = self.day0()
        kinds = None
        if kind is not None and kind.column:
            kind_place = self._place(table, "drug" if "drug" in record.fields else "kind", kind, k)
            kinds = [kind_place.words.get(t.strip(), "") for t in self.texts[table][kind_place.column]]
        days = None
        if dates is not None:
            date_place = self._place(table, "result_date", dates, k)
            days = self.texts[table][date_place.column]
        signs = self.texts[table][place.source.comparator.column] if place.source.comparator else None
        separator = place.source.separator if not place.source.centres else None
        for row in self.rows_of(table, record):
            its_kind = kinds[row] if kinds else (kind.constant or "") if kind else ""
            if of and its_kind != of:
                continue
            patient = keys[row]
            items = texts[row].split(separator) if separator else [texts[row]]
            for item, text in enumerate(items):
                value, sign, kept = self._read(place, text.strip(), patient)
                if signs is not None and not sign:
                    sign = COMPARATORS.get(place.source.comparator.codes.get(signs[row].strip(), ""), "")
                if days is None:
                    day = day0.get(patient)
                elif dates.separator:
                    day = value if isinstance(value, date) else self.day0().get(patient)
                else:
                    day = self._date(date_place, days[row].strip(), patient)
                yield Cell(place, row, item if separator else None, patient, value, sign, day, its_kind, kept, key)

    def rows_of(self, table: str, record: Record) -> list[int]:
        """Positions of the rows that may hold a record: of its kind, and where it is said to be present."""
        declared = self.spec.tables[table]
        rows: Iterable[int] = range(len(self.numbers[table]))
        if declared.row_kinds:
            kind_of = {word: kind for kind, words in declared.row_kinds.kinds.items() for word in words}
            words = self.texts[table][declared.row_kinds.column]
            rows = [i for i in rows if kind_of.get(words[i].strip(), declared.row_kinds.otherwise) == record.rows]
        if record.present:
            words = self.texts[table][record.present.column]
            yes = record.present.yes
            rows = [i for i in rows if (words[i].strip() in yes if yes else words[i].strip())]
        return list(rows)

    def _repetitions(self, table: str, source: Source) -> list[int]:
        return sorted(placeholder_columns(source.column, list(self.texts[table]))) if "{k}" in source.column else [0]

    # ------------------------------------------------------------ one column

    def _place(self, table: str, name: str, source: Source, k: int) -> Place:
        key = (table, name, source.column, k)
        if key not in self._places:
            self._places[key] = self._new_place(self.spec.tables[table], table, name, source, k)
        return self._places[key]

    def _new_place(self, declared: Table, table: str, name: str, source: Source, k: int) -> Place:
        column = source.column.replace("{k}", str(k))
        texts = [text.strip() for text in self.texts[table][column]]
        missing = frozenset({"", *self.spec.missing, *source.missing})
        blanks = Counter(text for text in texts if text in missing)
        blank = blanks.most_common(1)[0][0] if blanks else ""
        words = source.vocabulary
        if isinstance(words, str):
            words = self.spec.vocabularies.get(words) or {c: c for c in fields.fields()[name].codes}
        decimal = source.decimal or declared.decimal
        place = Place(
            table, column, source, fields.fields()[name], missing, blank, decimal,
            tuple(source.date_format or declared.date_format), words or {},
        )  # fmt: skip
        if place.declared.type not in ("number", "integer"):
            return place
        fractions = [text.rpartition(decimal)[2] if decimal in text else "" for text in texts if text not in missing]
        if fractions and all(fraction in ("0", "00") for fraction in fractions):
            return replace(place, ending=decimal + fractions[0])
        lengths = Counter(map(len, fractions))
        decimals = min(max(lengths, default=0), _MOST_DECIMALS)
        return replace(place, decimals=decimals, stripped=len(lengths) > 1 and decimals > 0)

    def _read(self, place: Place, text: str, patient: str) -> tuple[Value, str, bool]:
        """Value, comparator, and whether the text is a code that stands for another value."""
        if text in place.missing:
            return None, "", False
        kind = place.declared.type
        if kind == "date":
            return self._date(place, text, patient), "", False
        if kind in ("number", "integer"):
            if text in place.source.stands_for:
                return self._number(place, place.source.stands_for[text])[0], "<", True
            return *self._number(place, text), False
        return place.words.get(text, text if not place.words else None), "", False

    def _number(self, place: Place, text: str) -> tuple[float | None, str]:
        sign = re.match(r"[<>≤≥]=?", text)
        plain = text[sign.end() :].strip() if sign else text
        if place.source.thousands:
            plain = plain.replace(place.source.thousands, "")
        try:
            return float(plain.replace(place.decimal, ".")), sign[0] if sign else ""
        except ValueError:
            return None, ""

    def _date(self, place: Place, text: str, patient: str) -> date | None:
        if place.source.study_day:
            first = self.day0().get(patient)
            if first is None or not re.fullmatch(r"-?\d+", text):
                return None
            after = int(text)
            return first + timedelta(days=after - (place.source.study_day == "sdtm" and after > 0))
        return _dated(text, place.formats)[0]

    # ------------------------------------------------------------ changes

    def put(self, cell: Cell, value: Value, sign: str | None = None, *, finer: int = 0) -> None:
        """Write a value in the form of its column; ``finer``: decimals more than the column has.

        Raises:
            ValueError: a word that the centre has none for.
        """
        if cell.kept and value is not None:
            return
        untouched = (cell.place.table, cell.place.column, self.numbers[cell.place.table][cell.row]) not in self.changed
        if untouched and value == cell.value and sign in (None, cell.sign):
            return
        texts = self.texts[cell.place.table][cell.place.column]
        old = texts[cell.row]
        if cell.item is None:
            new = self._written(cell, value, old.strip(), cell.sign if sign is None else sign, finer)
        else:
            separator = cell.place.source.separator
            items = old.split(separator)
            items[cell.item] = self._written(cell, value, items[cell.item].strip(), "", finer)
            new = separator.join(items)
        if sign not in (None, cell.sign) and cell.place.source.comparator:
            codes = {code: word for word, code in cell.place.source.comparator.codes.items()}
            if sign not in codes:
                raise NotHere(f"comparator {sign!r}")
            self.write(cell.place.table, cell.place.source.comparator.column, cell.row, codes[sign])
        self.write(cell.place.table, cell.place.column, cell.row, new)

    def write(self, table: str, column: str, row: int, text: str) -> None:
        """Write a text into a cell."""
        if self.texts[table][column][row] != text:
            self.texts[table][column][row] = text
            self.changed.add((table, column, self.numbers[table][row]))

    def _written(self, cell: Cell, value: Value, old: str, sign: str, finer: int) -> str:
        place = cell.place
        if value is None:
            return place.blank
        if isinstance(value, date):
            if place.source.study_day:
                after = (value - self.day0()[cell.patient]).days
                return str(after + (place.source.study_day == "sdtm" and after >= 0))
            return _date_text(value, old, place.formats)
        if place.declared.type in ("number", "integer"):
            return self._number_text(place, float(value), old, sign, finer)
        if not place.words:
            return value
        word = next((word for word, code in place.words.items() if code == value), None)
        if word is None:
            raise NotHere(f"no word for {value!r} in {place.column!r}")
        return word

    def _number_text(self, place: Place, value: float, old: str, sign: str, finer: int) -> str:
        decimals = place.decimals + finer
        text = f"{value:.{decimals}f}"
        if float(text) == 0:
            text = text.lstrip("-")
        if place.stripped and "." in text:
            text = text.rstrip("0").rstrip(".")
        whole, point, fraction = text.partition(".")
        if place.source.thousands:
            whole = f"{int(whole):,}".replace(",", place.source.thousands)
        text = whole + (place.decimal + fraction if point else place.ending)
        if place.source.comparator:
            return text  # its comparator stands in a column of its own
        gap = " " if re.match(r"[<>≤≥]=? ", old) else ""
        return f"{sign}{gap}{text}" if sign else text

    def blank(self, cells: Iterable[Cell]) -> None:
        """Empty cells, or leave out the rows and items of lists that hold nothing else."""
        rows: dict[str, set[int]] = {}
        items: dict[tuple, set[int]] = {}
        for cell in cells:
            place, table = cell.place, self.spec.tables[cell.place.table]
            present = table.records[cell.record[1]].present
            if cell.item is not None:
                items.setdefault((place, cell.row), set()).add(cell.item)
            elif self._alone(cell):
                rows.setdefault(place.table, set()).add(cell.row)
            else:
                if present and present.yes:
                    self.write(place.table, present.column, cell.row, present.no[0] if present.no else "")
                self.write(place.table, place.column, cell.row, place.blank)
        for (place, row), left_out in items.items():
            old = self.texts[place.table][place.column][row].split(place.source.separator)
            kept = place.source.separator.join(t for i, t in enumerate(old) if i not in left_out)
            self.write(place.table, place.column, row, kept or place.blank)
        for table, positions in rows.items():
            self.drop_rows(table, positions)

    def _alone(self, cell: Cell) -> bool:
        """Whether the cell's row holds one record of a list and nothing else."""
        table = self.spec.tables[cell.place.table]
        own = table.records[cell.record[1]]
        beside = [record for record in table.records if record is not own and record.rows == own.rows]
        return own.table != "patient" and not beside

    def drop_rows(self, table: str, rows: set[int]) -> None:
        """Leave out rows by position."""
        self.changed |= {(table, "", self.numbers[table][i]) for i in rows}
        for column, texts in self.texts[table].items():
            self.texts[table][column] = [t for i, t in enumerate(texts) if i not in rows]
        self.numbers[table] = [n for i, n in enumerate(self.numbers[table]) if i not in rows]

    def add_rows(self, table: str, rows: list[int], key: Callable[[str], str] = lambda k: k) -> None:
        """Send rows (by position) once more, at the end; ``key`` makes the patient's number of the copies."""
        keyed = self.spec.tables[table].key
        for column, texts in self.texts[table].items():
            copies = [texts[i] for i in rows]
            texts += [key(t) for t in copies] if column == keyed else copies
        first = max(self.numbers[table], default=0) + 1
        self.numbers[table] += range(first, first + len(rows))
        self.changed |= {(table, "", n) for n in range(first, first + len(rows))}

    def rename(self, names: dict[str, str], rows: dict[str, list[int]] | None = None) -> None:
        """Give patients another number, in all rows or (table -> positions) in some."""
        for table in self.spec.tables if rows is None else rows:
            column = self.spec.tables[table].key
            texts = self.texts[table][column]
            for row in range(len(texts)) if rows is None else rows[table]:
                self.write(table, column, row, names.get(texts[row].strip(), texts[row]))

    def tables(self) -> list[RawTable]:
        """The tables as the reader would give them.

        Raises:
            NotHere: nothing was changed.
        """
        if not self.changed:
            raise NotHere("nothing changed")
        made = []
        for raw in self.raws:
            arrays = {c: pa.array(texts, pa.string()) for c, texts in self.texts[raw.name].items()}
            arrays["source_row"] = pa.array(self.numbers[raw.name], raw.rows.schema.field("source_row").type)
            made.append(replace(raw, rows=pa.table(arrays).select(raw.rows.column_names)))
        return made

    # ------------------------------------------------------------ columns beside values

    def limits(self, name: str) -> list[tuple[str, str, list[int]]]:
        """Table, column and rows of the upper limits of normal of a field."""
        found = []
        for table, _, record in self._records("lab_result"):
            source = record.fields.get(name)
            if source and source.uln and source.uln.column:
                found.append((table, source.uln.column, self.rows_of(table, record)))
        if not found:
            raise NotHere(f"limit of {name}")
        return found

    def unit_words(self, place: Place) -> list[str]:
        """Other words for units that the centre's spec knows for a column."""
        unit = place.source.unit
        return list(unit.codes) if isinstance(unit, CodedColumn) else []


@lru_cache(maxsize=50_000)
def _dated(text: str, formats: tuple[str, ...]) -> tuple[date | None, str]:
    """The date of a text, and the format that it is written in."""
    for form in formats:
        if form == "excel_day_number":
            if re.fullmatch(r"\d{5}([.,]\d+)?", text):
                return _EPOCH + timedelta(days=int(text[:5])), form
            continue
        pattern = NAMED_DATE_FORMATS.get(form) or form
        written = text[:10] if form in NAMED_DATE_FORMATS else text
        try:
            return datetime.strptime(written, pattern.replace("%-", "%")).date(), form
        except ValueError:
            continue
    return None, ""


def _date_text(value: date, old: str, formats: tuple[str, ...]) -> str:
    """A date in the format of the text that it replaces, else in the first format."""
    form = _dated(old, formats)[1] or formats[0]
    if form == "excel_day_number":
        return str((value - _EPOCH).days)
    text = value.strftime(NAMED_DATE_FORMATS.get(form) or form)
    return text + old[10:] if form in NAMED_DATE_FORMATS and _dated(old, formats)[1] else text


def extra_decimals(factor: float) -> int:
    """Decimals that a laboratory adds when its numbers become smaller by a factor."""
    return max(0, math.ceil(-math.log10(factor) - 0.4)) if factor < 1 else 0
