"""Read a centre's spec strictly; every error names file, key, what was found and what is allowed."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import duckdb
from pydantic import ValidationError

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused, closest, listed, one_centres_problem
from capla_etl.centres.files import shown
from capla_etl.centres.spec.dates import EPOCH, NAMED_DATE_FORMATS, date_pattern, day_sql
from capla_etl.centres.spec.grammar import (
    AUXILIARY_FIELDS,
    FORMAT_TYPES,
    TO_DECIDE,
    CodedColumn,
    Record,
    Source,
    Spec,
    Table,
    columns_named,
    fields_that_measure,
    used_columns,
    withheld_columns,
)
from capla_etl.centres.spec.numbers import COMPARATORS, Notation
from capla_etl.centres.spec.yaml_text import NotYaml, read_yaml
from capla_etl.fields.units import conversion, limit_range, needs_limit, suggested
from capla_etl.sql import quote

#: An example to compare formats by: its day can be a month, and its hour is the same by both clocks.
_EXAMPLE = datetime(2020, 3, 4, 8, 30)


#: The first of the hundred years that two-digit years mean lies between these.
_EARLIEST_YEAR, _LATEST_YEAR = 1850, 2000


_DATES = {name for name, field in fields.fields().items() if field.type == "date"}
#: Dates that make a record each. A list of any other would give several days one result, or one patient two dates.
_LISTED_DATES = ("session_date", "start_date", "event_date")


def _not_one_of(where: str, found: Any, allowed: Iterable[str]) -> str:
    return f"{where}: found {found!r}; expected one of: {listed(allowed)}{closest(str(found), allowed)}."


def _check_source(spec: Spec, table: Table, record: Record, name: str, where: str) -> Iterator[str]:
    """Problems of the source of one field, beyond its grammar."""
    source = record.fields[name]
    if (source.column is None) == (source.constant is None):
        yield f"{where}: found {'both' if source.column else 'neither'} of column and constant; expected one of them."
        return
    if name in AUXILIARY_FIELDS:
        if not source.centres or not source.separator:
            yield (
                f"{where}: expected `centres` (word -> centre code) and `separator` between the centre's word and the "
                "patient number."
            )
        return
    field, codes = fields.fields()[name], source.vocabulary
    if isinstance(codes, str) and codes != "study":
        if codes not in spec.vocabularies:
            yield _not_one_of(f"{where}.vocabulary", codes, ["study", *sorted(spec.vocabularies)])
            return
        codes = spec.vocabularies[codes]
    if field.codes:
        if source.constant is not None and source.constant not in field.codes:
            yield _not_one_of(f"{where}.constant", source.constant, field.codes)
        if codes is None and (source.filled is not None or source.blank is not None):
            codes = {what: code for what in ("filled", "blank") if (code := getattr(source, what)) is not None}
            yield from _check_filled(table, record, name, where)
        if source.column and codes is None:
            yield f"{where}: vocabulary missing; expected the centre's words, each with one of: {listed(field.codes)}."
        if source.vocabulary is not None and source.filled is not None:
            yield f"{where}.filled: found with a vocabulary, which says what fills the cell; remove one of them."
        elif source.vocabulary is not None and source.blank is not None and source.blank not in field.codes:
            yield _not_one_of(f"{where}.blank", source.blank, field.codes)
        for word, code in codes.items() if isinstance(codes, dict) else ():
            if not word.strip():
                yield f"{where}.vocabulary: found an empty word; write `blank: {code}`, the meaning of a blank cell."
            if code not in field.codes:
                yield _not_one_of(f"{where}.vocabulary[{word!r}]", code, field.codes)
    elif codes is not None:
        yield f"{where}.vocabulary: not allowed for fields of type {field.type}; remove it."
    elif source.filled is not None or source.blank is not None:
        yield f"{where}: `filled` and `blank` are not allowed for fields of type {field.type}; remove them."
    if source.words and source.filled is None:
        yield f"{where}.words: found without `filled`; they are the words that count as filled in. Remove them."
    yield from _check_days(record, source, name, where)
    if field.type == "date" and not source.study_day:
        yield from _check_dates(table, source, where)
    if source.two_digit_years_from is not None or name == "birth_date":
        yield from _check_two_digit_years(table, source, name, where)
    if field.type in ("number", "integer"):
        yield from _check_number(table, source, field, where)
    if (source.comparator or source.stands_for) and not field.comparator:
        yield f"{where}: comparator not allowed; {name} does not accept censored results. Remove it."
    if source.partial_date_format and not field.partial:
        yield f"{where}.partial_date_format: not allowed for {name}; only the date of death may lack its day."


def _check_days(record: Record, source: Source, name: str, where: str) -> Iterator[str]:
    """Problems of study days, and of cells that stand for several days: only some fields may have them."""
    if source.study_day and (record.table == "patient" or name not in _DATES):
        whose = "a patient's own dates, which study days count from" if name in _DATES else name
        yield f"{where}.study_day: not allowed for {whose}; expected calendar dates."
    elif source.study_day and source.run_to:
        yield f"{where}.run_to: not allowed with study_day; expected calendar dates, or a list with `separator`."
    if source.run_to and name != "session_date":
        yield f"{where}.run_to: not allowed for {name}; only exchanges go on day by day, one session a day."
    elif source.run_to and source.separator:
        yield f"{where}.separator: not allowed with run_to; expected a list of dates or a run."
    if source.separator and name in _DATES and name not in _LISTED_DATES:
        yield f"{where}.separator: not allowed for {name}; only {listed(_LISTED_DATES)} may be lists of dates."
    elif source.separator and name == "start_date" and "end_date" in record.fields:
        yield f"{where}.separator: a list of days beside end_date would give each the same end; expected one of them."


def _check_number(table: Table, source: Source, field: fields.Field, where: str) -> Iterator[str]:
    """Problems of a number: its marks, unit, limit, codes and constants."""
    notation = Notation(source.decimal or table.decimal, source.thousands)
    if notation.decimal == notation.thousands:
        yield f"{where}.thousands: found {notation.thousands!r}, which is the decimal mark too; expected another mark."
        return
    if source.comparator and (signs := set(source.comparator.codes.values()) - {"", *COMPARATORS}):
        yield f"{where}.comparator.codes: found {listed(sorted(signs))}; expected '', '<', '>', '<=' or '>='."
    for word, means in source.stands_for.items():
        if notation.number(means) is None:
            yield f"{where}.stands_for[{word!r}]: found {means!r}; expected a number such as <5."
    units = source.unit.codes.values() if isinstance(source.unit, CodedColumn) else [source.unit]
    if source.constant is not None and source.unit is None:
        units = [field.unit]  # a constant without a unit is in the study's
    factor = Decimal(1)
    for unit in units if field.units else ():
        found = conversion(field, unit) if unit else None
        if found is None:
            yield _no_unit(field, unit, where)
        elif not needs_limit(field, found[0]):
            factor = found[1] * Decimal(str(field.units[found[0]]))
            if field.type == "integer" and factor % 1:
                yield (
                    f"{where}.unit: found {unit!r}, which gives no whole numbers of {field.unit}; ask the centre for "
                    f"{field.unit}."
                )
        elif source.uln is None or (source.uln.column is None) == (source.uln.constant is None):
            yield f"{where}: unit {unit!r} needs `uln`, the laboratory's upper limit (a column or a constant)."
        elif source.uln.constant is not None:
            limits = [bound / found[1] for bound in map(Decimal, limit_range(field, found[0]))]
            yield from _check_constant(source.uln.constant, notation, limits, unit, f"{where}.uln")
            if source.constant is not None:
                yield f"{where}.constant: not allowed in {unit}; write the multiple of the upper limit, in x ULN."
    if source.constant is not None and field.range and factor:
        bounds = [Decimal(str(bound)) / factor for bound in field.range]
        yield from _check_constant(source.constant, notation, bounds, source.unit or field.unit, where)


def _check_constant(
    constant: str, notation: Notation, bounds: list[Decimal], unit: str | None, where: str
) -> Iterator[str]:
    number, (low, high) = notation.number(constant), bounds
    if number is None or constant.startswith(tuple(COMPARATORS)) or not low <= number <= high:
        mark = f", with {notation.decimal!r} as decimal mark"
        allowed = f"a number from {float(low):g} to {float(high):g} {unit or ''}".strip()
        yield f"{where}.constant: found {constant!r}; expected {allowed}{mark}."


def _no_unit(field: fields.Field, unit: str | None, where: str) -> str:
    """A unit that the field does not accept. A suggestion is the same unit in small letters, never another scale."""
    expected = f"a unit of {field.ucum} in UCUM or a common spelling, such as {listed(field.units)}"
    if field.ucum == "{ULN}":
        expected = f"one of: {listed(field.units)}"
        expected += ", or another unit of enzyme activity per volume" if "U/L" in field.units else ""
    if not unit:
        return f"{where}: unit missing; expected {expected}."
    near = suggested(field, unit)
    question = f" (did you mean {near!r}?)" if near else ""
    return f"{where}.unit: found {unit!r}, which cannot be converted; expected {expected}{question}."


def _check_filled(table: Table, record: Record, name: str, where: str) -> Iterator[str]:
    """Problems of an answer by whether a cell is filled in: it must be known what fills it."""
    source = record.fields[name]
    if source.date_format:
        yield from _check_dates(table, source, where)
    elif not source.words and not _measures(record, source.column):
        yield (
            f"{where}: `filled` needs to know what fills {source.column!r}, as any text would count as filled in. "
            'Declare its `date_format` if it holds dates, or `words: [X]`, the words that mean "filled in".'
        )


def _measures(record: Record, column: str | None) -> bool:
    """Whether a field of the record reads a column as a number or date."""
    return any(s.column == column and n in fields_that_measure() for n, s in record.fields.items())


def _check_dates(table: Table, source: Source, where: str) -> Iterator[str]:
    """Problems of the date formats of one field: none, unknown, or two that read one text differently."""
    formats = source.date_format or table.date_format
    if not formats and source.column:
        yield f"{where}: date_format missing; expected one here or for the table."
    valid: list[str] = []
    language = source.date_language or table.date_language
    for date_format in [*formats, *filter(None, [source.partial_date_format])]:
        try:
            date_pattern(date_format, language)
        except ValueError as error:
            yield f"{where}.date_format: {error}."
            continue
        if other := next((known for known in valid if _differ(known, date_format)), None):
            yield (
                f"{where}.date_format: {other!r} and {date_format!r} read the same text differently; expected one of "
                "them."
            )
        valid.append(date_format)
    if source.constant is not None and not _is_date(source.constant, [*formats, "iso"], language):
        yield f"{where}.constant: found {source.constant!r}; expected {' or '.join([*formats, 'an ISO date'])}."


def _differ(one: str, other: str) -> bool:
    """Whether two formats, written for one day, are read as two days by each other."""
    examples = ((_written(one), other), (_written(other), one))
    read = [duckdb.sql(f"select {day_sql(quote(text), [f])}").fetchone()[0] for text, f in examples if text]
    return any(day not in (None, _EXAMPLE.date()) for day in read)


def _written(date_format: str) -> str | None:
    """An example in a format; None where it has names of months, which no other format can mistake."""
    named = {"iso8601": "%Y-%m-%dT%H:%M", "excel_day_number": str((_EXAMPLE - datetime.fromisoformat(EPOCH)).days)}
    text = named.get(date_format) or NAMED_DATE_FORMATS.get(date_format) or date_format
    return None if "%B" in text or "%b" in text else _EXAMPLE.strftime(text)


def _is_date(text: str, formats: list[str], language: str | None) -> bool:
    try:
        day = duckdb.sql(f"select {day_sql(quote(text), formats, language)}").fetchone()[0]
    except ValueError:  # a format that is a problem of its own
        return True
    return day is not None


def _check_two_digit_years(table: Table, source: Source, name: str, where: str) -> Iterator[str]:
    """Problems of two-digit years: a birth needs its century, and a century needs two-digit years."""
    formats = [*(source.date_format or table.date_format), *filter(None, [source.partial_date_format])]
    two_digits = name == "birth_year" or any("%y" in date_format for date_format in formats)
    first = source.two_digit_years_from
    if first is None and two_digits and source.column:
        yield (
            f"{where}: two_digit_years_from missing; %y alone would read a birth in 1934 as 2034. Declare the first of "
            "the hundred years that two digits mean, such as 1925 (1925 to 2024)."
        )
    elif first is not None and not two_digits:
        yield f"{where}.two_digit_years_from: the dates have no two-digit years (%y); remove it."
    elif first is not None and not _EARLIEST_YEAR <= first <= _LATEST_YEAR:
        allowed = f"a year from {_EARLIEST_YEAR} to {_LATEST_YEAR}"
        yield f"{where}.two_digit_years_from: found {first}; expected {allowed}, the first that two digits mean."


def _check_zone(zone: str | None, where: str) -> Iterator[str]:
    if zone is not None and zone not in available_timezones():
        near = closest(zone, available_timezones())
        yield f"{where}: found {zone!r}; expected a time zone by its IANA name, such as Europe/Vienna or UTC{near}."


def _check_unused(table: Table, where: str) -> Iterator[str]:
    """Problems of the columns that no study field is read from."""
    said = [*table.ignored, *table.free_text, *table.forbidden]
    for column in dict.fromkeys(c for c in said if said.count(c) > 1):
        yield f"{where}: duplicate column {column!r}; expected it under one of ignored, free_text, forbidden."
    for column in table.forbidden:
        for used in used_columns(table):
            same = column == used or columns_named(used, [column])
            if same and used not in (*table.ignored, *table.free_text):
                yield f"{where}: column {column!r} is used and forbidden; expected one of the two: remove either."
    for column in table.row_key:
        if column in withheld_columns(table):
            yield f"{where}.row_key: found {column!r}, a birth date; expected columns that may be shown."
    for column, reason in table.ignored.items():
        if reason.strip().lower() == "free text":
            yield f"{where}.ignored: {column!r} is free text; move it to free_text, which is scanned for identifiers."


def _check_kinds(table: Table, where: str) -> Iterator[str]:
    """Problems of the kinds of rows: a word with two meanings."""
    kinds = table.row_kinds
    said = [*(word for words in kinds.kinds.values() for word in words), *kinds.ignored]
    for word in dict.fromkeys(word for word in said if said.count(word) > 1):
        yield f"{where}.row_kinds: the word {word!r} stands more than once; expected one kind, or `ignored`, for it."


def _check_record(spec: Spec, table: Table, record: Record, where: str) -> Iterator[str]:
    """Problems of one record: its table, kind of row and fields."""
    target = fields.tables().get(record.table)
    if target is None:
        yield _not_one_of(f"{where}.table", record.table, fields.tables())
        return
    if table.row_kinds:
        known_kinds = [*table.row_kinds.kinds, *filter(None, [table.row_kinds.otherwise])]
        if record.rows not in known_kinds:
            yield f"{where}.rows: found {record.rows!r}; expected one of: {listed(known_kinds)}."
    elif record.rows:
        yield f"{where}.rows: found {record.rows!r}, but the table has no row_kinds; declare them or remove it."
    allowed = {*target.columns, *target.withheld} - {"value", "comparator", "analyte", *target.derived}
    if record.table == "patient":
        allowed.add("transferred_from")
    if record.table == "lab_result":
        measurable = [f.name for f in fields.fields().values() if f.analyte]
        allowed.update(measurable)
        measured = [f for f in record.fields if f in measurable]
        if len(measured) != 1:
            found = listed(measured) if measured else "no measured field"
            yield f"{where}.fields: found {found}; expected exactly one of: {listed(measurable)}."
    present = record.present
    if present and not present.yes and not _measures(record, present.column):
        yield (
            f"{where}.present: any text in {present.column!r} would count as filled in. Declare the words that mean so "
            "(`yes: [X]`) and those that do not (`no`), or read the column as a number or date of this record."
        )
    for name in record.fields:
        here = f"{where}.fields.{name}"
        if name in allowed:
            yield from _check_source(spec, table, record, name, here)
        else:
            yield f"{here}: unknown field; expected one of: {listed(sorted(allowed))}{closest(name, allowed)}."
    for name in target.required:
        if name in allowed and name not in record.fields:
            yield f"{where}.fields: {name} is missing; a {record.table} record needs it."


def _check(spec: Spec, centre_id: str) -> Iterator[str]:
    """Problems that the grammar alone cannot find."""
    if spec.centre.id != centre_id:
        yield f"centre.id: found {spec.centre.id!r}; expected {centre_id!r}, the name of the folder."
    yield from _check_zone(spec.zone, "zone")
    for name, table in spec.tables.items():
        where = f"tables.{name}"
        yield from _check_zone(table.zone, f"{where}.zone")
        if table.incremental and not table.row_key:
            yield f"{where}.incremental: row_key missing; expected the columns that say which row replaces which."
        yield from _check_unused(table, where)
        if table.row_kinds:
            yield from _check_kinds(table, where)
        for i, record in enumerate(table.records):
            yield from _check_record(spec, table, record, f"{where}.records[{i}]")
    if not any(r.table == "patient" for t in spec.tables.values() for r in t.records):
        yield "tables: no record of table 'patient'; expected one: results without a known patient are refused."


def _readable(error: dict) -> str:
    """One pydantic error as key, found, expected."""
    key = ".".join(str(p) for p in error["loc"] if p not in FORMAT_TYPES)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; expected only keys of the spec's grammar (docs/CENTRE_SPEC.md)."
    if error["type"] == "missing":
        return f"{key}: missing; expected a value."
    found = error["input"]
    kind = "a mapping" if isinstance(found, dict) else "a list" if isinstance(found, list) else repr(found)
    return f"{key}: found {kind}; expected: {error['msg']}."


def _undecided(content: Any, key: str = "") -> list[str]:
    """Keys that a draft still leaves to decide."""
    if isinstance(content, dict):
        inside = [
            (name if str(name).startswith(TO_DECIDE) else value, f"{key}.{name}" if key else str(name))
            for name, value in content.items()
        ]
    elif isinstance(content, list):
        inside = [(value, f"{key}[{i}]") for i, value in enumerate(content)]
    else:
        return [key] if isinstance(content, str) and content.startswith(TO_DECIDE) else []
    return [found for value, name in inside for found in _undecided(value, name)]


def load_spec(path: Path) -> Spec:
    """Read and validate ``<centre>/centre.yml``.

    Raises:
        CentreRefused: not YAML, an unknown or missing key, or a field, unit, code or date format unknown to the study.
    """
    centre_id = shown(path.parent.name)
    with one_centres_problem(centre_id):
        return _load_spec(path, centre_id)


def _load_spec(path: Path, centre_id: str) -> Spec:
    if not path.is_file() and not path.is_symlink():
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: not found; each centre's folder needs a spec."])
    try:
        content = read_yaml(path)
    except NotYaml as error:
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml{error}"]) from error
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else "a text" if content else "an empty document"
        problem = f"{centre_id}/centre.yml: found {found}; expected the keys centre, lists, tables and what they hold."
        raise CentreRefused(centre_id, [problem])
    undecided = f"still {TO_DECIDE}; see the comment on its line and the centre's codebook."
    problems = [f"{key}: {undecided}" for key in _undecided(content)]
    if not problems:
        try:
            spec = Spec.model_validate(content)
            problems = list(_check(spec, centre_id))
        except ValidationError as error:
            problems = [_readable(e) for e in error.errors()]
    if problems:
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {p}" for p in problems])
    return spec
