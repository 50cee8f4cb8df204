"""Read a centre's spec strictly; every error names file, key, what was found and what is allowed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused, closest, listed
from capla_etl.centres.spec.dates import NAMED_DATE_FORMATS, date_pattern
from capla_etl.centres.spec.grammar import (
    AUXILIARY_FIELDS,
    FORMAT_TYPES,
    TO_DECIDE,
    CodedColumn,
    Record,
    Source,
    Spec,
    Table,
    withheld_columns,
)


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text (``NO`` stays NO, 01 stays 01); a duplicate key is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _not_one_of(where: str, found: Any, allowed: Iterable[str]) -> str:
    return f"{where}: found {found!r}; expected one of: {listed(allowed)}{closest(str(found), allowed)}."


def _check_source(spec: Spec, table: Table, name: str, source: Source, where: str) -> Iterator[str]:
    """Problems of the source of one field, beyond its grammar."""
    if (source.column is None) == (source.constant is None):
        yield f"{where}: found {'both' if source.column else 'neither'} of column and constant; expected one of them."
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
        if source.filled is not None or source.blank is not None:
            codes = {"filled": source.filled, "blank": source.blank}
        if source.column and codes is None:
            yield f"{where}: vocabulary missing; expected the centre's words, each with one of: {listed(field.codes)}."
        for word, code in codes.items() if isinstance(codes, dict) else ():
            if code not in field.codes:
                yield _not_one_of(f"{where}.vocabulary[{word!r}]", code, field.codes)
    elif codes is not None:
        yield f"{where}.vocabulary: not allowed for fields of type {field.type}; remove it."
    if field.type == "date" and source.column and not source.study_day:
        yield from _check_dates(table, source, where)
    if field.units and source.column:
        for unit in source.unit.codes.values() if isinstance(source.unit, CodedColumn) else [source.unit]:
            if unit not in field.units:
                yield _not_one_of(f"{where}.unit", unit, field.units)
            elif isinstance(field.units[unit], dict) and source.uln is None:
                yield f"{where}: unit {unit!r} needs `uln`, the laboratory's upper limit (a column or a constant)."
    if (source.comparator or source.stands_for) and not field.comparator:
        yield f"{where}: comparator not allowed; {name} does not accept censored results. Remove it."
    if source.comparator and (signs := set(source.comparator.codes.values())) - {"", "<", ">"}:
        yield f"{where}.comparator.codes: found {listed(sorted(signs))}; expected '', '<' or '>'."
    if source.partial_date_format and not field.partial:
        yield f"{where}.partial_date_format: not allowed for {name}; only the date of death may lack its day."


def _check_dates(table: Table, source: Source, where: str) -> Iterator[str]:
    """Problems of the date formats of one field: none, unknown, or two that read one text differently."""
    formats = source.date_format or table.date_format
    if not formats:
        yield f"{where}: date_format missing; expected one here or for the table."
    shapes: dict[str, str] = {}
    for date_format in [*formats, *filter(None, [source.partial_date_format])]:
        try:
            shape = date_pattern(date_format, source.date_language or table.date_language).replace("{1,2}", "{2}")
        except ValueError as error:
            yield f"{where}.date_format: {error}."
            continue
        one, other = (NAMED_DATE_FORMATS.get(f, f) for f in (shapes.get(shape, date_format), date_format))
        if one != other:
            yield (
                f"{where}.date_format: {shapes[shape]!r} and {date_format!r} read the same text differently; "
                "expected one of them."
            )
        shapes[shape] = date_format


def _check_unused(table: Table, where: str) -> Iterator[str]:
    """Problems of the columns that no study field is read from."""
    said = [*table.ignored, *table.free_text, *table.forbidden]
    for column in dict.fromkeys(c for c in said if said.count(c) > 1):
        yield f"{where}: duplicate column {column!r}; expected it under one of ignored, free_text, forbidden."
    for column in table.row_key:
        if column in withheld_columns(table):
            yield f"{where}.row_key: found {column!r}, a birth date; expected columns that may be shown."
    for column, reason in table.ignored.items():
        if reason.strip().lower() == "free text":
            yield f"{where}.ignored: {column!r} is free text; move it to free_text, which is scanned for identifiers."


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
    for name, source in record.fields.items():
        here = f"{where}.fields.{name}"
        if name in allowed:
            yield from _check_source(spec, table, name, source, here)
        else:
            yield f"{here}: unknown field; expected one of: {listed(sorted(allowed))}{closest(name, allowed)}."
    for name in target.required:
        if name in allowed and name not in record.fields:
            yield f"{where}.fields: {name} is missing; a {record.table} record needs it."


def _check(spec: Spec, centre_id: str) -> Iterator[str]:
    """Problems that the grammar alone cannot find."""
    if spec.centre.id != centre_id:
        yield f"centre.id: found {spec.centre.id!r}; expected {centre_id!r}, the name of the folder."
    for name, table in spec.tables.items():
        where = f"tables.{name}"
        if table.incremental and not table.row_key:
            yield f"{where}.incremental: row_key missing; expected the columns that say which row replaces which."
        yield from _check_unused(table, where)
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
    return f"{key}: found {error['input']!r}; expected: {error['msg']}."


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
    centre_id = path.parent.name
    if not path.is_file():
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: not found; each centre's folder needs a spec."])
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_TextLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        problem = f"{centre_id}/centre.yml{at}: not readable as YAML: {getattr(error, 'problem', error)}."
        raise CentreRefused(centre_id, [problem]) from error
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
