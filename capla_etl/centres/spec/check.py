"""Read a centre's spec strictly; every error names file, key, what was found and what is allowed."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from capla_etl import fields as study
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.dates import NAMED_DATE_FORMATS, date_pattern
from capla_etl.centres.spec.grammar import (
    AUXILIARY_FIELDS,
    FORMAT_TYPES,
    TO_DECIDE,
    CodedColumn,
    Source,
    Spec,
    Table,
    withheld_columns,
)


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text (``NO`` stays NO, 01 stays 01); a key written twice is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _closest(word: str, known) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check_source(spec: Spec, table: Table, name: str, source: Source, where: str) -> list[str]:
    """Problems of one field's source, beyond its grammar."""
    problems = []
    field = study.fields().get(name)
    if (source.column is None) == (source.constant is None):
        problems.append(
            f"{where}: found {'both' if source.column else 'neither'} of column and constant; expected one of them."
        )
    if name in AUXILIARY_FIELDS:
        if not source.centres or not source.separator:
            problems.append(
                f"{where}: expected `centres` (word -> centre code) and `separator` between the centre's word and the patient number."
            )
        return problems
    codes = source.vocabulary
    if isinstance(codes, str) and codes != "study":
        if codes not in spec.vocabularies:
            return [
                *problems,
                f"{where}.vocabulary: found {codes!r}; expected 'study' or one of {sorted(spec.vocabularies)}{_closest(codes, spec.vocabularies)}.",
            ]
        codes = spec.vocabularies[codes]
    if field.type in ("code", "answer"):
        if source.constant is not None and source.constant not in field.codes:
            problems.append(
                f"{where}.constant: found {source.constant!r}; expected one of {list(field.codes)}{_closest(source.constant, field.codes)}."
            )
        if source.filled is not None or source.blank is not None:
            codes = {"filled": source.filled, "blank": source.blank}
        if source.column and codes is None:
            problems.append(
                f"{where}: found no vocabulary; expected one that maps the centre's words onto {list(field.codes)}."
            )
        for word, code in codes.items() if isinstance(codes, dict) else ():
            if code not in field.codes:
                problems.append(
                    f"{where}.vocabulary[{word!r}]: found {code!r}; expected one of {list(field.codes)}{_closest(code, field.codes)}."
                )
    elif codes is not None:
        problems.append(f"{where}.vocabulary: found one for a field of type {field.type}; expected none.")
    if field.type == "date" and source.column and not source.study_day:
        formats = source.date_format or table.date_format
        if not formats:
            problems.append(f"{where}: found no date_format; expected one here or for the table.")
        shapes: dict[str, str] = {}
        for date_format in [*formats, *([source.partial_date_format] if source.partial_date_format else [])]:
            try:
                shape = date_pattern(date_format, source.date_language or table.date_language).replace("{1,2}", "{2}")
            except ValueError as error:
                problems.append(f"{where}.date_format: {error}.")
                continue
            if shape in shapes and NAMED_DATE_FORMATS.get(shapes[shape], shapes[shape]) != NAMED_DATE_FORMATS.get(
                date_format, date_format
            ):
                problems.append(
                    f"{where}.date_format: found {shapes[shape]!r} and {date_format!r}, which read the same text differently; expected one of them."
                )
            shapes[shape] = date_format
    if field.units and source.column:
        units = list(source.unit.codes.values()) if isinstance(source.unit, CodedColumn) else [source.unit]
        for unit in units:
            if unit not in field.units:
                problems.append(
                    f"{where}.unit: found {unit!r}; expected one of {list(field.units)}{_closest(str(unit), field.units)}."
                )
            elif isinstance(field.units[unit], dict) and source.uln is None:
                problems.append(
                    f"{where}: found the unit {unit!r} without `uln`; expected the laboratory's upper limit (a column or a constant)."
                )
    if (source.comparator or source.stands_for) and not field.comparator:
        problems.append(
            f"{where}: found a comparator for {name}; expected none, since the study has no place for it there."
        )
    if source.comparator and set(source.comparator.codes.values()) - {"", "<", ">"}:
        problems.append(
            f"{where}.comparator.codes: found {sorted(set(source.comparator.codes.values()))}; expected '', '<' or '>'."
        )
    if source.partial_date_format and not field.partial:
        problems.append(
            f"{where}.partial_date_format: found one for {name}; expected none: only the date of death may lack its day."
        )
    return problems


def _check_unused(table: Table, where: str) -> list[str]:
    """Problems of the columns that no study field is read from."""
    said = [*table.ignored, *table.free_text, *table.forbidden]
    twice = dict.fromkeys(c for c in said if said.count(c) > 1)
    problems = [
        f"{where}: the column {c!r} is there twice; expected it under one of ignored, free_text, forbidden."
        for c in twice
    ]
    free = [c for c, reason in table.ignored.items() if reason.strip().lower() == "free text"]
    problems += [
        f"{where}.row_key: found {c!r}, a birth date; expected columns that may be shown."
        for c in table.row_key
        if c in withheld_columns(table)
    ]
    return problems + [
        f"{where}.ignored: {c!r} is free text; expected it under free_text, where it is scanned for identifiers."
        for c in free
    ]


def _check(spec: Spec, centre_id: str) -> list[str]:
    """Problems that the grammar alone does not see."""
    problems = []
    if spec.centre.id != centre_id:
        problems.append(f"centre.id: found {spec.centre.id!r}; expected {centre_id!r}, the name of the folder.")
    analyte_fields = [f.name for f in study.fields().values() if f.analyte]
    for table_name, table in spec.tables.items():
        if table.incremental and not table.row_key:
            problems.append(
                f"tables.{table_name}.incremental: found no row_key; expected the columns that say which row replaces which."
            )
        problems += _check_unused(table, f"tables.{table_name}")
        for i, record in enumerate(table.records):
            where = f"tables.{table_name}.records[{i}]"
            target = study.tables().get(record.table)
            if target is None:
                problems.append(
                    f"{where}.table: found {record.table!r}; expected one of {list(study.tables())}{_closest(record.table, study.tables())}."
                )
                continue
            known_kinds = [*table.row_kinds.kinds, table.row_kinds.otherwise] if table.row_kinds else []
            if table.row_kinds and record.rows not in known_kinds:
                problems.append(f"{where}.rows: found {record.rows!r}; expected one of {known_kinds}.")
            if record.rows and not table.row_kinds:
                problems.append(f"{where}.rows: found {record.rows!r}, but the table has no row_kinds.")
            allowed = {*target.columns, *target.withheld} - {"value", "comparator", "analyte", *target.derived} | (
                {"transferred_from"} if record.table == "patient" else set()
            )
            if record.table == "lab_result":
                allowed |= set(analyte_fields)
                measured = [f for f in record.fields if f in analyte_fields]
                if len(measured) != 1:
                    problems.append(
                        f"{where}.fields: found {measured or 'no measured field'}; expected exactly one of {analyte_fields}."
                    )
            for name, source in record.fields.items():
                if name not in allowed:
                    problems.append(
                        f"{where}.fields.{name}: unknown field; expected one of {sorted(allowed)}{_closest(name, allowed)}."
                    )
                    continue
                problems.extend(_check_source(spec, table, name, source, f"{where}.fields.{name}"))
            for name in target.required:
                if name in allowed and name not in record.fields:
                    problems.append(f"{where}.fields: {name} is missing; a {record.table} record needs it.")
    if not any(r.table == "patient" for t in spec.tables.values() for r in t.records):
        problems.append(
            "tables: found no record of table 'patient'; expected one: results without a known patient are refused."
        )
    return problems


def _readable(error: dict) -> str:
    """One pydantic error as key, found, expected."""
    key = ".".join(str(p) for p in error["loc"] if p not in FORMAT_TYPES)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; expected only the keys of the spec's grammar (see docs/CENTRE_SPEC.md)."
    if error["type"] == "missing":
        return f"{key}: missing; expected a value."
    return f"{key}: found {error['input']!r}; expected: {error['msg']}."


def _undecided(content: Any, key: str = "") -> list[str]:
    """Keys under which a draft still says that something is to decide."""
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
        CentreRefused: not YAML, an unknown or missing key, or a field, unit, code or date format that the study does not have.
    """
    centre_id = path.parent.name
    if not path.is_file():
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: not found. Every centre's folder needs a spec."])
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_TextLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        raise CentreRefused(
            centre_id, [f"{centre_id}/centre.yml{at}: not readable as YAML: {getattr(error, 'problem', error)}."]
        ) from error
    if undecided := _undecided(content):
        raise CentreRefused(
            centre_id,
            [
                f"{centre_id}/centre.yml: {key}: still {TO_DECIDE}; see the comment beside it and the centre's codebook."
                for key in undecided
            ],
        )
    try:
        spec = Spec.model_validate(content)
    except ValidationError as error:
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {_readable(e)}" for e in error.errors()]) from error
    if problems := _check(spec, centre_id):
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {p}" for p in problems])
    return spec
