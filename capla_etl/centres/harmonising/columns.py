"""Columns judged as columns: what one cell cannot show, and what was read from each (``Reading``).

The order of day and month, and dates that a spreadsheet has turned over, show only in a whole column; so do
percentages among plain numbers, and dates of results that lie years before the first exchange.

What does not belong here: how one value is read (values.py) and which row or centre is refused for its share of
refused values (submissions/judge.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from capla_etl.centres.harmonising.rules import LONGEST_BEFORE_DAYS
from capla_etl.centres.harmonising.values import Parsed, RecordSql
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.dates import day_sql
from capla_etl.centres.spec.grammar import CodedColumn, columns_named

#: At least this share of the dates that show an order must show the declared one.
_SMALLEST_SHARE_IN_ORDER = 0.9
#: At least this many dates of each kind show that a spreadsheet converted some of a column and left the rest as text.
_FEWEST_OF_EACH = 2
#: A column holds other dates, or is read wrongly, if at least this share of it (and at least this many) lies more days
#: than these before or after the patient's first exchange.
_SHARE_ELSEWHERE, _FEWEST_ELSEWHERE = 0.9, 5
_DAYS_BEFORE, _DAYS_AFTER = LONGEST_BEFORE_DAYS, 730
#: Counts of ``tally`` that are no rules.
NO_RULES = _DATED, _EARLY, _LATE = "dated", "early", "late"
_SWAPPED = {"%d": "%m", "%m": "%d", "%-d": "%-m", "%-m": "%-d"}
#: Own dates of a patient that need not follow the first exchange, or are it; a death is judged with the others.
_NOT_AFTER_DAY_0 = ("birth_date", "first_tpe_date", "death_date", "death_month")
_ISO = {"date_cell", "iso", "iso8601"}
_ISO_SHAPE = r"\d{4}-\d{2}-\d{2}.*"


@dataclass(frozen=True)
class Reading:
    """What was read of one field from one column: how, how many, and some values.

    ``filled``: cells with a text that is no missing code. ``refused``: of these, not understood or not possible.
    ``samples``: texts as sent, each with the value as read in the study's unit.
    """

    table_name: str
    field: str
    file: str
    sheet: str
    column: str
    how: str
    filled: int
    refused: int
    samples: list[tuple[str, str]] = field(default_factory=list)


def tally(con: duckdb.DuckDBPyConnection, built: RecordSql, parsed: list[Parsed]) -> dict[str, dict[str, int]]:
    """Field -> rule -> cells of table ``judged`` refused by it; under '' the filled cells.

    Dates also have how many are ``dated`` (of patients with a first exchange), and how many of these lie far from it:
    ``early``, and in lists ``late`` (a patient may be seen years later).
    """
    found: dict[str, dict[str, int]] = {}
    counts = ", ".join(f"count(t_{p.name}), histogram(r_{p.name})" for p in parsed)
    values = con.execute(f"select {counts} from judged").fetchone()
    for p, filled, refused in zip(parsed, values[::2], values[1::2], strict=True):
        found[p.name] = {"": filled, **(refused or {})}
    day0, late = ("day0", "true") if not built.is_patient else ("coalesce(first_tpe_date, first_session)", "false")
    dates = [p.name for p in parsed if p.is_date and p.column and p.name not in _NOT_AFTER_DAY_0]
    if dates:
        counts = ", ".join(
            f"""count(*) filter (v_{name} is not null and {day0} is not null),
            count(*) filter (v_{name} < {day0} - {_DAYS_BEFORE}),
            count(*) filter ({late} and v_{name} > {day0} + {_DAYS_AFTER})"""
            for name in dates
        )
        values = con.execute(f"select {counts} from judged").fetchone()
        for i, name in enumerate(dates):
            found[name] |= zip((_DATED, _EARLY, _LATE), values[3 * i : 3 * i + 3], strict=True)
    return found


def doubts(
    con: duckdb.DuckDBPyConnection, raw: RawTable, built: RecordSql, parsed: list[Parsed], counted: dict[str, dict]
) -> Iterator[str]:
    """What the columns of a judged record show that no single cell does: a sentence each, with column and evidence.

    Args:
        con: connection with table ``judged`` (t_ text, v_ value, r_ rule of every field).
        raw: the file as sent.
        built: the record.
        parsed: its fields.
        counted: as ``tally`` returns it.
    """
    for p in parsed:
        source = built.fields[p.name][1] if p.name in built.fields else None
        if source is None or not p.column:
            continue
        if p.is_date and not source.study_day:
            formats = source.date_format or built.table.date_format
            language = source.date_language or built.table.date_language
            if _ISO & set(formats):
                yield from _turned_dates(con, p, formats, language)
            if counted[p.name].get("not_a_date"):
                yield from _dates_in_another_order(con, p, formats, language)
        for where, said in ((_EARLY, f"{_DAYS_BEFORE} days before"), (_LATE, f"{_DAYS_AFTER} days after")):
            elsewhere, dated = counted[p.name].get(where, 0), counted[p.name].get(_DATED, 0)
            if elsewhere >= max(_FEWEST_ELSEWHERE, _SHARE_ELSEWHERE * dated):
                yield (
                    f"column {p.column!r}: {elsewhere} of {dated} dates lie more than {said} the patient's first "
                    "exchange. Is it the right column (no date of birth), and are order, epoch and century right?"
                )
        if (in_thousands := number_cells(raw, p.column, "thousands")) and (
            plain := number_cells(raw, p.column, "plain")
        ):
            yield (
                f"column {p.column!r}: {in_thousands} cells are numbers shown in thousands and {plain} are plain "
                "numbers; expected one kind. Are 150 and 85,000 in one unit? Ask the centre to send all alike."
            )
        if percentages := number_cells(raw, p.column, "percent"):
            number = f"v_{p.name} is not null and not ends_with(t_{p.name}, '%')"
            plain = con.execute(f"select count(*) filter ({number}) from judged").fetchone()[0]
            if plain:
                yield (
                    f"column {p.column!r}: {percentages} cells are percentages and {plain} are plain numbers; expected "
                    "one kind. Is 0.5 half a per cent or 50 %? Ask the centre to send all alike."
                )


def number_cells(raw: RawTable, column: str, kind: str) -> int:
    """How many cells of a column, or of repeated columns, are numbers of a kind (as in ``FileTable.numbers``)."""
    return sum(raw.numbers[c].get(kind, 0) for c in columns_named(column, list(raw.numbers)))


def _numeric(date_format: str) -> bool:
    """Whether a format has day and month in numbers, so that their order can be mistaken."""
    tokens = set(re.findall(r"%-?[A-Za-z]", date_format))
    return bool(tokens & {"%d", "%-d"}) and bool(tokens & {"%m", "%-m"}) and date_format != "%Y-%m-%d"


def _turned_dates(con, p: Parsed, formats: list[str], language: str | None) -> Iterator[str]:
    """A spreadsheet of another country converts the dates that fit its own order, and leaves the others as text."""
    for date_format in filter(_numeric, formats):
        cells, late_cells, texts, early_texts = con.execute(
            f"""select count(cell), count(*) filter (day(cell) > 12), count(day), count(*) filter (day(day) <= 12)
            from (
                select case when regexp_full_match(t_{p.name}, '{_ISO_SHAPE}') then v_{p.name} end as cell,
                    {day_sql(f"t_{p.name}", [date_format], language)} as day
                from judged
            )"""
        ).fetchone()
        if min(cells, texts) >= _FEWEST_OF_EACH and not late_cells and not early_texts:
            yield (
                f"column {p.column!r}: all {cells} real dates have a day up to 12, and all {texts} dates in text (as "
                f"{date_format}) one above 12. A spreadsheet of another country has probably exchanged day and month "
                "in the real dates. Ask the centre for the column as text."
            )


def _dates_in_another_order(con, p: Parsed, formats: list[str], language: str | None) -> Iterator[str]:
    """Dates that are none in the declared order but one in the other are evidence against those that fit both."""
    for date_format in filter(_numeric, formats):
        other = re.sub(r"%-?[dm]", lambda token: _SWAPPED[token[0]], date_format)
        declared, swapped = (day_sql(f"t_{p.name}", [one], language) for one in (date_format, other))
        in_order, either, in_the_other = con.execute(
            f"""select count(*) filter (day(declared) > 12), count(*) filter (day(declared) <= 12),
                count(*) filter (declared is null and swapped is not null)
            from (select {declared} as declared, {swapped} as swapped from judged)"""
        ).fetchone()
        if in_the_other and either and in_order < _SMALLEST_SHARE_IN_ORDER * (in_order + in_the_other):
            yield (
                f"column {p.column!r}: {in_the_other} dates are none as {date_format} but are as {other}, {in_order} "
                f"only as {date_format}, and {either} fit both; expected one order. Which is it?"
            )


def reading(
    con: duckdb.DuckDBPyConnection,
    raw: RawTable,
    built: RecordSql,
    parsed: list[Parsed],
    p: Parsed,
    text: str,
    zone: str,
) -> Reading:
    """What was read of one field in table ``decided``.

    Args:
        con: connection with table ``decided``.
        raw, built, parsed: the file, the record and its fields.
        p: the field.
        text: SQL of its text as it may be shown.
        zone: the declared time zone; "" without one.
    """
    value, rule = f"v_{p.name}", f"r_{p.name}"
    counts = f"count(*) filter (t_{p.name} is not null), count(*) filter ({rule} is not null)"
    filled, refused = con.execute(f"select {counts} from decided where key_rule is null").fetchone()
    signs = [f"v_{other.name}" for other in parsed if other.depends_on == p.name and "comparator" in other.name]
    said = f"coalesce({signs[0]}, '') || cast({value} as varchar)" if signs else f"cast({value} as varchar)"
    read = f"""
        select any_value({text}) as sent, regexp_replace(any_value({said}), '[.]0$', '') as said, {value} as value
        from decided where key_rule is null and {rule} is null and {value} is not null and t_{p.name} is not null
        group by value"""
    place = "row_number() over (order by value) as place, count(*) over () as n"
    samples = f"""select sent, said from (select *, {place} from ({read}))
        where place in (1, (n + 1) // 2, n) order by place"""
    shown = [] if p.name in built.target.withheld else con.execute(samples).fetchall()
    name = built.fields[p.name][0] if p.name in built.fields else p.name
    how = _how(raw, built, p, zone)
    return Reading(built.target.name, name, raw.file, raw.sheet, p.column, how, filled, refused, shown)


def _how(raw: RawTable, built: RecordSql, p: Parsed, zone: str) -> str:
    """How a column is read, in words: unit, decimal mark, format, zone, count of percentages."""
    declared = built.fields.get(p.name)
    if declared is None:
        return ""
    source, said = declared[1], []
    if p.is_date:
        formats = source.date_format or built.table.date_format
        if source.study_day:
            said.append("study day" + (" (the first exchange is day 1)" if source.study_day == "sdtm" else ""))
        else:
            said += formats
            if "excel_day_number" in formats:
                said.append(f"day numbers from {raw.epoch}")
            if zone:
                said.append(f"zone {zone}")
            if source.two_digit_years_from:
                said.append(f"two-digit years from {source.two_digit_years_from}")
    elif p.sql_type in ("DOUBLE", "INTEGER"):
        unit = source.unit
        by_row = isinstance(unit, CodedColumn)
        said.append(f"unit by row (column {unit.column!r})" if by_row else unit or "no unit")
        if source.uln:
            said.append(f"limit {source.uln.constant or 'column ' + repr(source.uln.column)}")
        said.append(f"decimal {source.decimal or built.table.decimal}")
        said += [f"thousands {source.thousands}"] if source.thousands else []
    elif source.vocabulary:
        said.append("words declared")
    elif source.filled:
        said.append(f"filled: {source.filled}, blank: {source.blank}")
    if percentages := number_cells(raw, p.column, "percent"):
        said.append(f"{percentages} percent cells")
    return ", ".join(said)
