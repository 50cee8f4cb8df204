"""Where a field of a record comes from: unit, codes, vocabulary, decimal mark, date format; proven, guessed or left to decide.

Which column is which field does not belong here (recognise.py).
"""

import re
from collections import Counter

from capla_etl import fields as study
from capla_etl.centres.draft.parts import Entry, TableDraft
from capla_etl.centres.draft.profile import Column, DateOrder, column_of
from capla_etl.centres.draft.words import normal, without_unit, words
from capla_etl.centres.spec.grammar import TO_DECIDE, Delimited, JsonLines


def number_source(declared: study.Field, column: Column, table: TableDraft) -> tuple[dict, str]:
    """Source of a number: its unit where the header proves it, codes for missing; the rest is to decide."""
    source: dict = {"column": column.name}
    notes = []
    if declared.units:
        written = without_unit(column.name.replace("_{k}", ""))[1]
        unit = words().unit(written, list(declared.units)) if written else None
        in_words = next(
            (
                word
                for word in normal(column.name).split()
                if set(declared.units) <= {"days", "years"} and words().unit(word, list(declared.units))
            ),
            None,
        )
        if unit or in_words:
            source["unit"] = unit or next(iter(declared.units))
            notes.append(f"certain: {written or in_words!r} in the header")
        else:
            source["unit"] = TO_DECIDE
            notes.append(f"unit not written; {_units_that_fit(declared, column)}")
    if column.missing:
        source["missing"] = sorted(column.missing)
        notes.append("codes for missing by their form; see the codebook")
    mark, why = column.decimal()
    if mark is not None and any(re.search(rf"\d\{'.' if mark == ',' else ','}\d{{3}}(?!\d)", t) for t in column.values):
        source["thousands"] = "." if mark == "," else ","
        notes.append("the other mark stands before three digits only")
    if column.has_comparators and not declared.comparator:
        notes.append("results below a limit will be refused: the study has no place for them here")
    return source, "; ".join(notes)


def _units_that_fit(declared: study.Field, column: Column) -> str:
    """Units in which nearly all numbers are plausible, in words."""
    if not declared.range or any(isinstance(f, dict) for f in declared.units.values()):
        return f"one of {', '.join(declared.units)}"
    numbers = column.numbers(column.decimal()[0] or ".")
    low, high = declared.range
    fits = [
        u
        for u, factor in declared.units.items()
        if numbers and sum(low <= n * factor <= high for n in numbers) >= 0.95 * len(numbers)
    ]
    between = f"the numbers go from {min(numbers):g} to {max(numbers):g}" if numbers else "no numbers"
    return f"{between}, plausible in {', '.join(fits) or 'none of ' + ', '.join(declared.units)}"


def coded(declared: study.Field, column: Column, vocabulary: str | None) -> Entry:
    """Source of a code or an answer: every word found, mapped where its meaning is known; a bare number never is."""
    texts = sorted(column.values)
    if vocabulary is None or (declared.codes and set(texts) <= set(declared.codes)):
        if declared.codes and set(texts) <= set(declared.codes):
            return Entry({"column": column.name, "vocabulary": "study"}, "certain: the study's own words")
        if not column.is_vocabulary:
            return Entry(
                {"column": column.name, "vocabulary": {TO_DECIDE: TO_DECIDE}},
                f"{len(texts)} different words: map each onto one of {', '.join(declared.codes)}",
            )
    mapped = {text: (words().code(vocabulary, text) if vocabulary else None) or TO_DECIDE for text in texts}
    if vocabulary is None:
        mapped = {text: text if text in declared.codes else TO_DECIDE for text in texts}
    bare = [t for t in texts if re.fullmatch(r"-?\d+", t)]
    mapped |= dict.fromkeys(bare, TO_DECIDE)
    source: dict = {"column": column.name, "vocabulary": mapped}
    if column.missing:
        source["missing"] = sorted(column.missing)
    if bare:
        return Entry(source, f"numbers mean what the codebook says: one of {', '.join(declared.codes)}")
    unknown = [t for t, code in mapped.items() if code == TO_DECIDE]
    return Entry(
        source,
        f"words not known: map them onto one of {', '.join(declared.codes)}"
        if unknown
        else "certain: words of the language",
    )


def decimal_and_dates(table: TableDraft) -> None:
    """The table's decimal mark and date format, and what differs from them column by column."""
    entries = [(name, e) for r in table.records for name, e in r.fields.items() if "column" in e.source]
    numbers = {
        e.source["column"]
        for name, e in entries
        if study.fields().get(name) and study.fields()[name].type in ("number", "integer")
    }
    proven = {c: table.columns[c].decimal() for c in sorted(numbers) if c in table.columns}
    marks = Counter(mark for mark, _ in proven.values() if mark)
    if marks:
        commonest = marks.most_common(1)[0][0]
        table.options["decimal"] = (
            commonest,
            "certain: " + next(why for mark, why in proven.values() if mark == commonest),
        )
        for _, entry in entries:
            mark = proven.get(entry.source["column"], (None, ""))[0]
            if mark and mark != commonest:
                entry.source["decimal"] = mark
    elif any("either" in why or "both" in why for _, why in proven.values()):
        table.options["decimal"] = (
            TO_DECIDE,
            next(why for _, why in proven.values() if "either" in why or "both" in why),
        )
    dates = {}
    for name, entry in entries:
        declared = study.fields().get(name)
        if declared and declared.type == "date" and "study_day" not in entry.source:
            dates[entry.source["column"]] = _order_of(table, entry.source)
    formats = Counter(
        tuple(_named(table, order)) for order in dates.values() if order and order.formats and not order.either
    )
    if formats:
        commonest = list(formats.most_common(1)[0][0])
        table.options["date_format"] = (
            commonest[0] if len(commonest) == 1 else commonest,
            "certain: " + next(o.why for o in dates.values() if o and _named(table, o) == commonest),
        )
    language = next((o.language for o in dates.values() if o and o.language), None)
    if language:
        table.options["date_language"] = (language, "certain: by the names of the months")
    for _, entry in entries:
        order = dates.get(entry.source["column"])
        if order is None or entry.source.get("date_format"):
            continue
        own = _named(table, order)
        if order.either and formats and any(f in order.either for f in commonest):
            entry.note = f"GUESS: as in the table's other columns; here {order.why}"
        elif order.either or not own:
            entry.source["date_format"] = TO_DECIDE
            entry.note = order.why + (f": {' or '.join(order.either)}" if order.either else "")
        elif own != commonest:
            entry.source["date_format"] = own[0] if len(own) == 1 else own


def _order_of(table: TableDraft, source: dict) -> DateOrder | None:
    column = table.columns[source["column"]]
    if "separator" in source:
        parts = Counter(
            part.strip()
            for text, n in column.values.items()
            for part in text.split(source["separator"].strip() or " ")
            for _ in range(n)
            if part.strip()
        )
        return column_of(column.name, list(parts.elements())).dates
    return column.dates


def _named(table: TableDraft, order: DateOrder) -> list[str]:
    """Formats by the names that the spec gives them: a date cell of a typed file is ISO text."""
    iso = "iso" if isinstance(table.found.format, Delimited | JsonLines) else "date_cell"
    return [iso if f == "%Y-%m-%d" else f for f in order.formats]
