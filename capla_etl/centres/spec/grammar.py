"""Grammar of ``centre.yml``: files, formats, columns, units, vocabularies. Declarative and strictly validated.

A spec has no conditions, loops or expressions. Every column of every file is used, ignored with a reason, free text, or
forbidden (identifying). An unknown key, field, unit, code or date format is an error that names file, key, found and
expected.

What does not belong here: reading files (read.py) or turning them into study fields (harmonising/).
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from capla_etl import fields

#: Marks what the author of a draft must decide; a spec that still contains it is refused.
TO_DECIDE = "TO_DECIDE"
#: Fields of a record that are no columns of a harmonised table but fill some.
AUXILIARY_FIELDS = {"transferred_from"}
#: A centre's code, which is the name of its folder.
CODE = r"[A-Z]{2}[0-9]{2}"


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
    """Stata file; labelled values are read as their labels; ``encoding`` where the file names none or a wrong one."""

    type: Literal["stata"]
    encoding: str | None = None


class Spss(_Strict):
    """SPSS file; labelled values are read as their labels; user-missing codes must be declared under ``missing``."""

    type: Literal["spss"]
    encoding: str | None = None


class SasTransport(_Strict):
    """SAS transport file (XPORT, version 5 or 8), as CDISC domains are sent; ``member``: one of several data sets."""

    type: Literal["sas_transport"]
    member: str | None = None
    encoding: str | None = None


class Sas(_Strict):
    """SAS data set (sas7bdat)."""

    type: Literal["sas"]
    encoding: str | None = None


class Parquet(_Strict):
    """Parquet file with columns of plain types."""

    type: Literal["parquet"]


class JsonLines(_Strict):
    """One JSON object a line; ``list`` names a list inside it (dotted path); else its own values are the columns."""

    type: Literal["json_lines"]
    list: str | None = None


Format = Annotated[
    Delimited | Workbook | Stata | Spss | SasTransport | Sas | Parquet | JsonLines, Field(discriminator="type")
]
#: The types of formats, which pydantic adds to a problem's place in the spec.
FORMAT_TYPES = ("delimited", "xlsx", "ods", "stata", "spss", "sas_transport", "sas", "parquet", "json_lines")


class CodedColumn(_Strict):
    """A column with a unit or comparator for each row, and what its words mean."""

    column: str
    codes: dict[str, str]


class Limit(_Strict):
    """The laboratory's upper limit of normal: a column of the file, or one value for all rows."""

    column: str | None = None
    constant: str | None = None


def _listed_format(value: Any) -> Any:
    """A single date format may be written without a list."""
    if isinstance(value, dict) and isinstance(value.get("date_format"), str):
        return {**value, "date_format": [value["date_format"]]}
    return value


class Source(_Strict):
    """Where one study field comes from and how its text is read."""

    column: str | None = None
    constant: str | None = None
    unit: str | CodedColumn | None = None
    uln: Limit | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "\u00a0", "\u2009", "\u202f", "'", "’"] | None = None
    date_format: list[str] | None = None
    partial_date_format: str | None = None
    date_language: str | None = None
    two_digit_years_from: int | None = None
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
    words: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _column_alone(cls, value: Any) -> Any:
        """A bare text is the column's name."""
        return _listed_format({"column": value} if isinstance(value, str) else value)


class Present(_Strict):
    """When a row holds this record: the column is filled in, or holds a word for yes (and not one for no)."""

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
    """Rows of different kinds in one file, distinguished by one column (a repeating instrument, a kind of test)."""

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
    zone: str | None = None
    fill_down: list[str] = []
    width: Literal["as_sent", "narrow"] = "as_sent"
    row_kinds: RowKinds | None = None
    ignored: dict[str, str] = {}
    free_text: dict[str, str] = {}
    forbidden: dict[str, str] = {}
    records: list[Record] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _single_date_format(cls, value: Any) -> Any:
        return _listed_format(value)


class Centre(_Strict):
    """The centre. Its code (two letters, two digits) is part of names of files and tables."""

    id: str = Field(pattern=f"^{CODE}$")
    name: str
    country: str
    submits_every_days: int | None = Field(default=None, ge=1)


class Lists(_Strict):
    """Meaning of a patient without a row in a list: ``none`` (the list is complete) or ``unknown``."""

    tpe_session: Literal["none", "unknown"]
    drug_course: Literal["none", "unknown"]
    adverse_event: Literal["none", "unknown"]


def _day(text: Any) -> date:
    """A day as YYYY-MM-DD."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("a day of the calendar as YYYY-MM-DD") from None


class Confirmed(_Strict):
    """A signal of central monitoring that a person looked into and found to be right, while the finding is the same."""

    model_config = ConfigDict(str_strip_whitespace=True)

    signal: str = Field(pattern=r"^S-[0-9a-f]{10}$")
    found: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    confirmed_by: str = Field(min_length=1)
    confirmed_on: Annotated[date, BeforeValidator(_day)]


class Spec(_Strict):
    """A centre's whole spec."""

    centre: Centre
    lists: Lists
    missing: list[str] = []
    zone: str | None = None
    vocabularies: dict[str, dict[str, str]] = {}
    ignored_files: dict[str, str] = {}
    ignored_sheets: dict[str, str] = {}
    confirmed: list[Confirmed] = []
    tables: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")], Table] = Field(min_length=1)


def placeholder_columns(template: str, header: list[str]) -> dict[int, str]:
    """Repeated columns: number -> column, for the columns of a header that match a template such as ``plt_{k}``."""
    pattern = re.compile(re.escape(template).replace(re.escape("{k}"), r"([1-9]\d*)"))
    return {int(m.group(1)): column for column in header if (m := pattern.fullmatch(column))}


def columns_named(name: str, header: list[str]) -> list[str]:
    """The columns of a header that a name of the spec means: one, several with ``{k}``, or none."""
    return list(placeholder_columns(name, header).values()) if "{k}" in name else [name] if name in header else []


def declared_for(declared: Mapping[str, Any], column: str) -> Any:
    """What is declared for a column of a file, by its name or with ``{k}`` for repeated columns; None if nothing is."""
    if column in declared:
        return declared[column]
    return next((d for name, d in declared.items() if columns_named(name, [column])), None)


def sheet_of(table: Table) -> str:
    """What a table is inside its file: a sheet, a list in JSON objects, a data set of a transport file; else ''."""
    declared = table.format
    if isinstance(declared, Workbook):
        return declared.sheet
    if isinstance(declared, JsonLines):
        return declared.list or ""
    return getattr(declared, "member", None) or ""


def naming_records(spec: Spec) -> list[tuple[str, int]]:
    """The records that name patients, as (table, number of the record there from 1).

    The first record of ``patient`` does, and so does another one with mostly the same fields (a list sent in parts).
    Any other adds fields to patients by their number.
    """
    named: set[str] = set()
    found = []
    for name, table in spec.tables.items():
        for number, record in enumerate(table.records, start=1):
            own = set(record.fields)
            if record.table == "patient" and (not found or 2 * len(named & own) > len(named)):
                named |= own
                found.append((name, number))
    return found


def fields_that_measure() -> set[str]:
    """Names of the fields that are read as numbers or dates."""
    return {name for name, field in fields.fields().items() if field.type in ("number", "integer", "date")}


def measured_columns(table: Table) -> list[str]:
    """Every column that a table's spec reads for a number or date: its value, unit, limit or last day."""
    measured = fields_that_measure()
    sources = (s for record in table.records for name, s in record.fields.items() if name in measured)
    return [column for source in sources for column in source_columns(source)]


def source_columns(source: Source) -> list[str]:
    """Every column of the file that one source reads."""
    unit = source.unit if isinstance(source.unit, CodedColumn) else None
    others = [other.column for other in (source.uln, source.comparator, unit) if other]
    return [c for c in (source.column, source.run_to, *others) if c]


def withheld_columns(table: Table) -> dict[str, str]:
    """Column -> study field, for columns whose values are read and judged but not kept (dates of birth)."""
    withheld = fields.tables()["patient"].withheld
    return {
        c: name
        for record in table.records
        for name, source in record.fields.items()
        if name in withheld
        for c in source_columns(source)
    }


def withheld_note(field: str) -> str:
    """The note that replaces a withheld value."""
    return f"(withheld: {field.replace('_', ' ')})"


def used_columns(table: Table) -> list[str]:
    """Every column (or repeated column) that a table's spec mentions, except forbidden ones."""
    used = [table.key, *table.row_key, *table.fill_down, *table.ignored, *table.free_text]
    if table.row_kinds:
        used.append(table.row_kinds.column)
    for record in table.records:
        if record.present:
            used.append(record.present.column)
        for source in record.fields.values():
            used.extend(source_columns(source))
    return list(dict.fromkeys(used))
