"""Describe the source of a field: unit, codes, vocabulary, decimal mark, date format; proven, guessed or to decide.

Which column is which field does not belong here (recognise.py).
"""

import re
from collections import Counter
from collections.abc import Sequence

from capla_etl import fields
from capla_etl.centres.draft.levels import Level, combined, date_of, evidence, of_rows, orders_by_level, units_by_level
from capla_etl.centres.draft.parts import Entry, TableDraft
from capla_etl.centres.draft.profile import Column, DateOrder, column_of
from capla_etl.centres.draft.words import normal, without_unit, words
from capla_etl.centres.spec.grammar import TO_DECIDE, Delimited, JsonLines
from capla_etl.fields.units import unit_factor

#: So few different words may be shown, however rare.
_FEW_WORDS = 5
#: Words of a header, also where one of another script follows without a blank ("ICU日数").
_SCRIPTS = re.compile(r"[a-z]+|[^\W\d_a-z]+")


def number_source(declared: fields.Field, column: Column, table: TableDraft) -> tuple[dict, str]:
    """Source of a number: its unit if the header proves it, and missing codes; the rest is to decide."""
    source: dict = {"column": column.name}
    notes = []
    if units := list(declared.units):
        written = without_unit(column.name.replace("_{k}", ""))[1]
        unit = words().unit(written, declared) if written else None
        names_unit = (w for w in _SCRIPTS.findall(normal(column.name)) if words().unit(w, declared) == units[0])
        in_words = next(names_unit, None) if set(units) <= {"days", "years"} else None
        if not unit and column.percentages and "%" in units:
            written, unit = "%", "%"
            source["unit"] = unit
            notes.append("certain: every cell is a percentage")
        elif unit or in_words:
            source["unit"] = unit or units[0]
            notes.append(f"certain: {written or in_words!r} in the header")
        else:
            source["unit"] = TO_DECIDE
            notes.append(f"unit not written; {_units_that_fit(declared, column)}")
        if declared.name in table.levels:
            source["unit"], notes = _by_level(declared, column, table.levels[declared.name], source["unit"], notes)
    if column.percentages and (mixed := _percentages(declared, column)):
        source["unit"] = TO_DECIDE
        notes = [mixed]
    if column.missing:
        source["missing"] = sorted(column.missing)
        notes.append("missing codes by their form; see the codebook")
    mark, _ = column.decimal()
    other = "." if mark == "," else ","
    if mark is not None and any(re.search(rf"\d\{other}\d{{3}}(?!\d)", t) for t in column.values):
        source["thousands"] = other
        notes.append("the other mark stands before three digits only")
    if column.has_comparators and not declared.comparator:
        notes.append("results below a limit will be refused: this field does not accept censored results")
    return source, "; ".join(notes)


def _marks_are_open(column: Column) -> bool:
    """Whether it is open how large the numbers are: "12.000" may be twelve or twelve thousand."""
    return column.decimal()[0] is None and any(re.search(r"\d[.,]\d", text) for text in column.values)


def note_of_rows(
    declared: fields.Field, cells: Sequence[tuple[str, str]], codes: dict[str, str], table: TableDraft, note: str
) -> str:
    """The note about units that a column says row by row: certain only if the level fits.

    Args:
        cells: (number, unit) as they stand in each row.
        codes: the unit that each text means.
    """
    level = table.levels.get(declared.name)
    column = column_of("", [number for number, _ in cells])
    if level is None or _marks_are_open(column) or not note.startswith("certain: "):
        return note
    mark = column.decimal()[0] or "."
    by_text: dict[str, list[str]] = {}
    for number, text in cells:
        by_text.setdefault(text.strip(), []).append(number)
    numbers = [(codes.get(text, ""), column_of("", own).numbers(mark)) for text, own in by_text.items()]
    fit = of_rows(declared, numbers, level)
    if fit is None or fit.ratio == 1:
        return note
    return f"GUESS: {note.removeprefix('certain: ')}; but {evidence([fit], level)}"


def _by_level(
    declared: fields.Field, column: Column, level: Level, unit: str, notes: list[str]
) -> tuple[str, list[str]]:
    """The unit by the column's level, and why: proposed if it alone fits; a written one is certain only if it fits.

    Args:
        unit: as written in the header, else TO_DECIDE.
        notes: what is said of it.
    """
    if _marks_are_open(column):
        return unit, notes
    units = [unit] if unit != TO_DECIDE else []
    units += [other for other in words().units_in_use(declared) if other not in units]
    fits = units_by_level(declared, units, column.numbers(column.decimal()[0] or "."), level)
    like = [fit.name for fit in fits if fit.ratio == 1]
    if not fits or unit in like:
        return unit, notes
    said = evidence(fits, level, written=unit)
    if unit != TO_DECIDE:
        doubted = [note.replace("certain: ", "") for note in notes]
        return (
            (TO_DECIDE, [*doubted, f"but {said}"]) if like else (unit, ["GUESS: " + "; ".join(doubted), f"but {said}"])
        )
    return (like[0], [f"GUESS: {said}", *notes]) if len(like) == 1 else (unit, [*notes, said])


def _percentages(declared: fields.Field, column: Column) -> str | None:
    """What is to be decided about cells that are percentages; None if every number is one and the unit may be %."""
    numbers = len(column.numbers("."))
    if column.percentages == numbers and "%" in declared.units:
        return None
    if column.percentages == numbers:
        return f"every cell is a percentage; the unit is one of {', '.join(declared.units)}"
    others = numbers - column.percentages
    return f"{column.percentages} cells are percentages and {others} plain numbers: percentages too, or shares of 1?"


def _units_that_fit(declared: fields.Field, column: Column) -> str:
    """Units in which nearly all numbers are plausible, in words."""
    units = words().units_in_use(declared)
    if not declared.range or any(isinstance(f, dict) for f in declared.units.values()):
        return f"one of {', '.join(units)}"
    numbers = column.numbers(column.decimal()[0] or ".")
    low, high = declared.range
    least = max(1, 0.95 * len(numbers))
    factors = {unit: float(unit_factor(declared, unit)) for unit in units}
    fits = [u for u, factor in factors.items() if sum(low <= n * factor <= high for n in numbers) >= least]
    between = f"the numbers go from {min(numbers):g} to {max(numbers):g}" if numbers else "no numbers"
    return f"{between}, plausible in {', '.join(fits) or 'none of ' + ', '.join(units)}"


def coded(declared: fields.Field, column: Column, vocabulary: str | None) -> Entry:
    """Source of a code or an answer: every word found, mapped if its meaning is known; bare numbers never are."""
    texts, codes = sorted(column.values), ", ".join(declared.codes)
    if declared.codes and set(texts) <= set(declared.codes):
        return Entry({"column": column.name, "vocabulary": "study"}, "certain: the study's own words")
    if vocabulary is None and not column.is_vocabulary:
        source = {"column": column.name, "vocabulary": {TO_DECIDE: TO_DECIDE}}
        return Entry(source, f"{len(texts)} different words: map each onto one of {codes}")
    known = {text: (words().code(vocabulary, text) if vocabulary else None) or TO_DECIDE for text in texts}
    if vocabulary is None:
        known |= {text: text for text in texts if text in declared.codes}
    bare = [t for t in texts if re.fullmatch(r"-?\d+", t)]
    # words that occur once or twice, and are not known, may be what people wrote freely
    may_be_shown = column.is_vocabulary or len(texts) <= _FEW_WORDS
    mapped = {t: code for t, code in known.items() if may_be_shown or code != TO_DECIDE or t in bare}
    if hidden := len(known) - len(mapped):
        mapped[TO_DECIDE] = TO_DECIDE
    mapped |= dict.fromkeys(bare, TO_DECIDE)
    source: dict = {"column": column.name, "vocabulary": mapped}
    if column.missing:
        source["missing"] = sorted(column.missing)
    if bare:
        return Entry(source, f"numbers mean what the codebook says: one of {codes}")
    if hidden:
        return Entry(source, f"{hidden} other words: map each onto one of {codes}")
    unknown = TO_DECIDE in mapped.values()
    return Entry(
        source, f"unknown words: map them onto one of {codes}" if unknown else "certain: words of the language"
    )


def decimal_and_dates(table: TableDraft) -> None:
    """Set the table's decimal mark and date format, and those of columns that differ."""
    entries = [(name, e) for r in table.records for name, e in r.fields.items() if "column" in e.source]
    types = {name: field.type for name, field in fields.fields().items()}
    numbers = {e.source["column"] for name, e in entries if types.get(name) in ("number", "integer")}
    proven = {c: table.columns[c].decimal() for c in sorted(numbers) if c in table.columns}
    marks = Counter(mark for mark, _ in proven.values() if mark)
    if marks:
        commonest = marks.most_common(1)[0][0]
        why = next(why for mark, why in proven.values() if mark == commonest)
        table.options["decimal"] = (commonest, f"certain: {why}")
        for _, entry in entries:
            mark = proven.get(entry.source["column"], (None, ""))[0]
            if mark and mark != commonest:
                entry.source["decimal"] = mark
    elif unclear := [why for _, why in proven.values() if "either" in why or "both" in why]:
        table.options["decimal"] = (TO_DECIDE, unclear[0])
    dated = [(name, e) for name, e in entries if types.get(name) == "date" and "study_day" not in e.source]
    orders = {e.source["column"]: order for _, e in dated if (order := _order_of(table, e.source))}
    known = list(orders.values())
    formats = Counter(tuple(_named(table, order)) for order in known if _is_proven(order))
    commonest = list(formats.most_common(1)[0][0]) if formats else []
    if formats:
        why = next(order.why for order in known if _is_proven(order) and _named(table, order) == commonest)
        table.options["date_format"] = (commonest[0] if len(commonest) == 1 else commonest, f"certain: {why}")
    if language := next((order.language for order in known if order.language), None):
        table.options["date_language"] = (language, "certain: by the names of the months")
    if universal := sum(order.universal for order in known):
        note = f"{universal} timestamps are in universal time (Z): in which zone are their days, as Europe/Vienna?"
        table.options["zone"] = (TO_DECIDE, note)
    for name, entry in {id(entry): (name, entry) for name, entry in dated}.values():
        if order := orders.get(entry.source["column"]):
            _date_source(table, name, entry, order, commonest)


def order_note(order: DateOrder) -> str:
    """How sure the order of day, month and year is, which says nothing about what the dates are."""
    return order.why if order.either or not order.formats else f"certain: the order of day and month ({order.why})"


def _is_proven(order: DateOrder) -> bool:
    return bool(order.formats) and not order.either and not order.mixture


def _order_by_level(table: TableDraft, name: str, entry: Entry, order: DateOrder) -> tuple[str | None, str]:
    """The one order that puts the days between a patient's dates among those of the others (else None), and why.

    Of a proven order only what speaks against it is said.
    """
    cells = table.found.cells()
    column = entry.source["column"]
    names = [name]
    if name == "result_date":
        of_date = (r.fields for r in table.records if r.fields.get(name, entry).source.get("column") == column)
        names = [date_of(field) for of_record in of_date for field in of_record if field != name]
    levels = [table.levels[one] for one in names if one in table.levels]
    formats = order.either or (order.formats if len(order.formats) == 1 else [])
    if not levels or len(levels) < len(names) or table.key not in cells or column not in cells or not formats:
        return None, ""
    level = combined(levels)
    fits = orders_by_level(cells[table.key], cells[column], formats, level)
    like = [fit.name for fit in fits if fit.ratio == 1]
    if not fits or (not order.either and like):
        return None, ""
    said = evidence(fits, level, "the time from one date of a patient to the next")
    return (like[0] if len(like) == 1 else None), said


def _date_source(table: TableDraft, name: str, entry: Entry, order: DateOrder, of_table: list[str]) -> None:
    """Write what one date needs beside the table's formats; people decide on its order unless its cells prove it, or
    one order alone puts it among the other centres.
    """
    column = table.columns[entry.source["column"]]
    if not entry.note:
        several = "GUESS: each day in a cell is one of its own; " if "separator" in entry.source else ""
        entry.note = several + order_note(order)
    written = entry.source.get("date_format")
    by_level, said = (None, "") if order.mixture else _order_by_level(table, name, entry, order)
    if by_level:
        entry.source["date_format"] = by_level
        entry.note = f"GUESS: {said}; {order.why}"
    elif not _is_proven(order):
        entry.source["date_format"] = TO_DECIDE
        also = f"; other dates of the table are {' and '.join(of_table)}" if of_table else ""
        entry.note = (order.mixture or order.why) + (f": {' or '.join(order.either)}" if order.either else "") + also
        entry.note += f"; {said}" if said else ""
    elif said:
        entry.source["date_format"] = TO_DECIDE
        entry.note = f"{entry.note.replace('certain: ', '')}; but {said}"
    elif not written and _named(table, order) != of_table:
        own = _named(table, order)
        entry.source["date_format"] = own[0] if len(own) == 1 else own
    if name == "birth_date" and order.has_two_digit_years:
        entry.source["two_digit_years_from"] = TO_DECIDE
        entry.note += "; two-digit years: the first of the hundred years that they mean, as 1920"
    if column.missing:
        entry.source["missing"] = [f"{TO_DECIDE}: {text}" for text in sorted(column.missing)]
        entry.note += "; words beside the dates: does each mean that there is none, or something else?"


def _order_of(table: TableDraft, source: dict) -> DateOrder | None:
    column = table.columns[source["column"]]
    if "separator" in source:
        separator = source["separator"].strip() or source["separator"]
        parts = [part.strip() for text in column.values.elements() for part in text.split(separator)]
        return column_of(column.name, [part for part in parts if part]).dates
    return column.dates


def _named(table: TableDraft, order: DateOrder) -> list[str]:
    """Formats by their names in the spec; a date or timestamp cell of a typed file is ISO text."""
    if isinstance(table.found.format, Delimited | JsonLines):
        return ["iso" if f == "%Y-%m-%d" else f for f in order.formats]
    return list(dict.fromkeys("date_cell" if f in ("%Y-%m-%d", "iso8601") else f for f in order.formats))
