"""What a centre declares in its ``centre.yml``: files, formats, columns, units, vocabularies. Declarative and strictly validated.

A spec has no conditions, loops or expressions. Every column of every file is used, ignored with a reason, or forbidden (identifying);
an unknown key, field, unit, code or date format is an error that names file, key, found and expected.

What does not belong here: reading files (read.py) or turning them into study fields (harmonise.py).
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from capla_etl import fields as study
from capla_etl.centres.dates import NAMED_DATE_FORMATS, date_pattern
from capla_etl.centres.errors import CentreRefused

#: Stands in a draft for what its author must decide; no spec is accepted that still says it.
TO_DECIDE = "TO_DECIDE"
#: Fields of a record that are not columns of a harmonised table but tell how to read one.
_AUXILIARY_FIELDS = {"transferred_from"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Delimited(_Strict):
    """Delimited text; ``compression: gzip`` for .gz files."""

    type: Literal["delimited"]
    encoding: str
    delimiter: str = Field(min_length=1, max_length=1)
    header_row: int = Field(default=1, ge=1)
    compression: Literal["gzip"] | None = None
    duplicate_columns: Literal["refused", "numbered"] = "refused"
    footer_starts_with: list[str] = []


class Workbook(_Strict):
    """One sheet of an XLSX or ODS workbook. Date cells are read as ISO text, numbers as their shortest decimal text."""

    type: Literal["xlsx", "ods"]
    sheet: str
    header_row: int = Field(default=1, ge=1)
    footer_starts_with: list[str] = []


class Stata(_Strict):
    """Stata file; labelled values are read as their labels."""

    type: Literal["stata"]


class Spss(_Strict):
    """SPSS file; labelled values are read as their labels, user-missing codes must be declared under ``missing``."""

    type: Literal["spss"]


class SasTransport(_Strict):
    """SAS transport file (XPORT, version 5 or 8), as CDISC domains are sent."""

    type: Literal["sas_transport"]


class Sas(_Strict):
    """SAS data set (sas7bdat)."""

    type: Literal["sas"]


class Parquet(_Strict):
    """Parquet file with columns of plain types."""

    type: Literal["parquet"]


class JsonLines(_Strict):
    """One JSON object a line; ``list`` names a list inside it (dotted path), else the object's own values are the columns."""

    type: Literal["json_lines"]
    list: str | None = None


Format = Annotated[Delimited | Workbook | Stata | Spss | SasTransport | Sas | Parquet | JsonLines, Field(discriminator="type")]
#: The types of formats, by which a problem's place in the spec is cleaned.
_FORMAT_TYPES = ("delimited", "xlsx", "ods", "stata", "spss", "sas_transport", "sas", "parquet", "json_lines")


class CodedColumn(_Strict):
    """A column that states a unit or a comparator row by row, and what its words mean."""

    column: str
    codes: dict[str, str]


class Limit(_Strict):
    """The laboratory's upper limit of normal: a column of the file or one value for all."""

    column: str | None = None
    constant: str | None = None


class Source(_Strict):
    """Where one study field comes from and how its text is to be read."""

    column: str | None = None
    constant: str | None = None
    unit: str | CodedColumn | None = None
    uln: Limit | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " "] | None = None
    date_format: list[str] | None = None
    partial_date_format: str | None = None
    date_language: str | None = None
    study_day: bool | Literal["sdtm"] = False
    separator: str | None = None
    run_to: str | None = None
    vocabulary: str | dict[str, str] | None = None
    missing: list[str] = []
    stands_for: dict[str, str] = {}
    comparator: CodedColumn | None = None
    centres: dict[str, str] | None = None
    filled: str | None = None
    blank: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, value: Any) -> Any:
        """A bare text is the column's name; a single date format may be written without a list."""
        if isinstance(value, str):
            return {"column": value}
        if isinstance(value, dict) and isinstance(value.get("date_format"), str):
            return {**value, "date_format": [value["date_format"]]}
        return value


class Present(_Strict):
    """When a row holds this record: the column is filled in, or holds one of the words for yes (else one of those for no)."""

    column: str
    yes: list[str] | None = None
    no: list[str] = []


class Record(_Strict):
    """How the rows of a file become records of one harmonised table."""

    table: str
    rows: str | None = None
    present: Present | None = None
    fields: dict[str, Source]


class RowKinds(_Strict):
    """Rows of different kinds in one file, told apart by one column (a repeating instrument, a kind of test)."""

    column: str
    kinds: dict[str, list[str]]
    otherwise: str | None = None
    ignored: dict[str, str] = {}


class Table(_Strict):
    """One file, sheet or nested list, and the records that its rows hold."""

    file: str
    format: Format
    key: str
    row_key: list[str] = []
    incremental: bool = False
    decimal: Literal[".", ","] = "."
    date_format: list[str] = []
    date_language: str | None = None
    width: Literal["as_sent", "narrow"] = "as_sent"
    row_kinds: RowKinds | None = None
    ignored: dict[str, str] = {}
    free_text: dict[str, str] = {}
    forbidden: dict[str, str] = {}
    records: list[Record] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _single_date_format(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("date_format"), str):
            return {**value, "date_format": [value["date_format"]]}
        return value


class Centre(_Strict):
    """Who the centre is. Its code stands in names of files, rows and columns: two letters and two digits."""

    id: str = Field(pattern=r"^[A-Z]{2}\d{2}$")
    name: str
    country: str
    submits_every_days: int | None = Field(default=None, ge=1)


class Lists(_Strict):
    """What it means when a patient has no row in a list: ``none`` (the list is complete) or ``unknown``."""

    tpe_session: Literal["none", "unknown"]
    drug_course: Literal["none", "unknown"]
    adverse_event: Literal["none", "unknown"]


class Spec(_Strict):
    """A centre's whole spec."""

    centre: Centre
    lists: Lists
    missing: list[str] = []
    vocabularies: dict[str, dict[str, str]] = {}
    ignored_files: dict[str, str] = {}
    ignored_sheets: dict[str, str] = {}
    tables: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], Table] = Field(min_length=1)


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text (``NO`` stays NO, 01 stays 01); a key written twice is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _closest(word: str, known) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def placeholder_columns(template: str, header: list[str]) -> dict[int, str]:
    """Columns of a repeated group: number -> column, for every column of the header that matches ``plt_{k}``."""
    pattern = re.compile(re.escape(template).replace(re.escape("{k}"), r"([1-9]\d*)"))
    return {int(m.group(1)): column for column in header if (m := pattern.fullmatch(column))}


def source_columns(source: Source) -> list[str]:
    """Every column of the file that one source reads."""
    named = [source.column, source.run_to, source.uln and source.uln.column, source.comparator and source.comparator.column]
    if isinstance(source.unit, CodedColumn):
        named.append(source.unit.column)
    return [c for c in named if c]


def withheld_columns(table: Table) -> dict[str, str]:
    """Column -> study field, for columns that are read and judged but whose values are kept nowhere (dates of birth)."""
    withheld = study.tables()["patient"].withheld
    return {c: name for record in table.records for name, source in record.fields.items() if name in withheld for c in source_columns(source)}


def withheld_note(field: str) -> str:
    """What stands for a value of such a field where it was sent."""
    return f"(withheld: {field.replace('_', ' ')})"


def used_columns(table: Table) -> list[str]:
    """Every column (or repeated group) that a table's spec mentions, forbidden ones excepted."""
    used = [table.key, *table.row_key, *table.ignored, *table.free_text]
    if table.row_kinds:
        used.append(table.row_kinds.column)
    for record in table.records:
        if record.present:
            used.append(record.present.column)
        for source in record.fields.values():
            used.extend(source_columns(source))
    return list(dict.fromkeys(used))


def _check_source(spec: Spec, table: Table, name: str, source: Source, where: str) -> list[str]:
    """Problems of one field's source, beyond its grammar."""
    problems = []
    field = study.fields().get(name)
    if (source.column is None) == (source.constant is None):
        problems.append(f"{where}: found {'both' if source.column else 'neither'} of column and constant; expected one of them.")
    if name in _AUXILIARY_FIELDS:
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
            problems.append(f"{where}: found no vocabulary; expected one that maps the centre's words onto {list(field.codes)}.")
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
            if shape in shapes and NAMED_DATE_FORMATS.get(shapes[shape], shapes[shape]) != NAMED_DATE_FORMATS.get(date_format, date_format):
                problems.append(
                    f"{where}.date_format: found {shapes[shape]!r} and {date_format!r}, which read the same text differently; expected one of them."
                )
            shapes[shape] = date_format
    if field.units and source.column:
        units = list(source.unit.codes.values()) if isinstance(source.unit, CodedColumn) else [source.unit]
        for unit in units:
            if unit not in field.units:
                problems.append(f"{where}.unit: found {unit!r}; expected one of {list(field.units)}{_closest(str(unit), field.units)}.")
            elif isinstance(field.units[unit], dict) and source.uln is None:
                problems.append(
                    f"{where}: found the unit {unit!r} without `uln`; expected the laboratory's upper limit (a column or a constant)."
                )
    if (source.comparator or source.stands_for) and not field.comparator:
        problems.append(f"{where}: found a comparator for {name}; expected none, since the study has no place for it there.")
    if source.comparator and set(source.comparator.codes.values()) - {"", "<", ">"}:
        problems.append(f"{where}.comparator.codes: found {sorted(set(source.comparator.codes.values()))}; expected '', '<' or '>'.")
    if source.partial_date_format and not field.partial:
        problems.append(f"{where}.partial_date_format: found one for {name}; expected none: only the date of death may lack its day.")
    return problems


def _check_unused(table: Table, where: str) -> list[str]:
    """Problems of the columns that no study field is read from."""
    said = [*table.ignored, *table.free_text, *table.forbidden]
    twice = dict.fromkeys(c for c in said if said.count(c) > 1)
    problems = [f"{where}: the column {c!r} is there twice; expected it under one of ignored, free_text, forbidden." for c in twice]
    free = [c for c, reason in table.ignored.items() if reason.strip().lower() == "free text"]
    problems += [f"{where}.row_key: found {c!r}, a birth date; expected columns that may be shown." for c in table.row_key if c in withheld_columns(table)]
    return problems + [f"{where}.ignored: {c!r} is free text; expected it under free_text, where it is scanned for identifiers." for c in free]


def _check(spec: Spec, centre_id: str) -> list[str]:
    """Problems that the grammar alone does not see."""
    problems = []
    if spec.centre.id != centre_id:
        problems.append(f"centre.id: found {spec.centre.id!r}; expected {centre_id!r}, the name of the folder.")
    analyte_fields = [f.name for f in study.fields().values() if f.analyte]
    for table_name, table in spec.tables.items():
        if table.incremental and not table.row_key:
            problems.append(f"tables.{table_name}.incremental: found no row_key; expected the columns that say which row replaces which.")
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
                    problems.append(f"{where}.fields: found {measured or 'no measured field'}; expected exactly one of {analyte_fields}.")
            for name, source in record.fields.items():
                if name not in allowed:
                    problems.append(f"{where}.fields.{name}: unknown field; expected one of {sorted(allowed)}{_closest(name, allowed)}.")
                    continue
                problems.extend(_check_source(spec, table, name, source, f"{where}.fields.{name}"))
            for name in target.required:
                if name in allowed and name not in record.fields:
                    problems.append(f"{where}.fields: {name} is missing; a {record.table} record needs it.")
    if not any(r.table == "patient" for t in spec.tables.values() for r in t.records):
        problems.append("tables: found no record of table 'patient'; expected one: results without a known patient are refused.")
    return problems


def _readable(error: dict) -> str:
    """One pydantic error as key, found, expected."""
    key = ".".join(str(p) for p in error["loc"] if p not in _FORMAT_TYPES)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; expected only the keys of the spec's grammar (see docs/CENTRE_SPEC.md)."
    if error["type"] == "missing":
        return f"{key}: missing; expected a value."
    return f"{key}: found {error['input']!r}; expected: {error['msg']}."


def _undecided(content: Any, key: str = "") -> list[str]:
    """Keys under which a draft still says that something is to decide."""
    if isinstance(content, dict):
        inside = [(name if str(name).startswith(TO_DECIDE) else value, f"{key}.{name}" if key else str(name)) for name, value in content.items()]
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
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {key}: still {TO_DECIDE}; see the comment beside it and the centre's codebook." for key in undecided])
    try:
        spec = Spec.model_validate(content)
    except ValidationError as error:
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {_readable(e)}" for e in error.errors()]) from error
    if problems := _check(spec, centre_id):
        raise CentreRefused(centre_id, [f"{centre_id}/centre.yml: {p}" for p in problems])
    return spec
