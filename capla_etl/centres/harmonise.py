"""A centre's text tables to harmonised records, by its spec: every value is accepted, or refused with its place and reason.

One SQL statement per record of the spec, over whole columns in DuckDB. A value that is not understood, out of range, impossible in time or
of no known patient goes to the quarantine; a word that no vocabulary knows stops the centre, because its meaning would have to be guessed.

What does not belong here: reading files (read.py), where results are kept (load.py), any rule of an outcome (dbt models).
"""

from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from capla_etl import fields as study
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.pseudonym import patient_id_sql
from capla_etl.centres.read import RawTable, placeholder_columns
from capla_etl.centres.spec import NAMED_DATE_FORMATS, CodedColumn, Record, RowKinds, Source, Spec, Table, date_pattern, source_columns

#: Refusals of a whole vocabulary, unit list or row kind: they stop the centre instead of going to the quarantine.
_STOPPING_RULE = "unknown_code"
_WORDS_QUOTED = 3

_MESSAGES = {
    "missing_key": "The row names no patient.",
    "unknown_patient": "No row of the patient table has this patient number.",
    "duplicate_patient": "Another row of the patient table has the same patient number and other contents; the first is kept.",
    "not_a_number": "Not a number as the spec declares it ({number}).",
    "not_a_whole_number": "Not a whole number.",
    "not_a_date": "Not a date of the calendar in the declared format ({dates}).",
    "unit_not_accepted": "The row's unit is not one of those declared ({units}).",
    "limit_missing": "No upper limit of normal is given, so the result cannot be expressed as a multiple of it.",
    "limit_not_plausible": "The upper limit of normal is not a plausible number ({limit}).",
    "comparator_not_allowed": "A result below or above a limit has no place in this field.",
    "comparator_contradiction": "The comparator column and the value contradict each other.",
    "out_of_range": "Outside the plausible range ({range}).",
    "after_data_cutoff": "Dated after the submission's data cut-off.",
    "after_death": "Dated after the patient's death.",
    "before_birth": "Dated before the patient's birth.",
    "no_reference_day": "A study day, but the patient's first exchange has no date.",
    "run_without_end": "A run of exchanges with only one of its two dates.",
    "run_reversed": "The run ends before it starts.",
    "end_before_start": "The course ends before it starts; its end is left unknown.",
    "required_missing": "Empty, but the record needs it.",
}


def quote(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _texts(words) -> str:
    return "(" + ", ".join(quote(w) for w in words) + ")"


@dataclass
class _Parsed:
    """How one study field is read: SQL over the text columns, and what can go wrong."""

    name: str
    column: str
    text: str
    value: str
    rule: str
    sql_type: str
    expected: dict[str, str]
    extra: dict[str, str]
    is_date: bool = False


class _RecordSql:
    """Builds the SQL of one record of the spec."""

    def __init__(self, spec: Spec, table_name: str, table: Table, record: Record, header: list[str]):
        self.spec, self.table_name, self.table, self.record, self.header = spec, table_name, table, record, header
        self.target = study.tables()[record.table]
        self.fields = {("value" if study.fields().get(n) and study.fields()[n].analyte and record.table == "lab_result" else n): (n, s) for n, s in record.fields.items()}
        self.list_field = next((n for n, (_, s) in self.fields.items() if s.separator and s.centres is None), None)
        columns = [table.key, *(c for s in record.fields.values() for c in source_columns(s)), *([record.present.column] if record.present else [])]
        self.columns = list(dict.fromkeys(columns))
        self.aliases = {c: f"c{i}" for i, c in enumerate(self.columns)}

    def base(self) -> str:
        """Text columns of the rows that are data, one row per repetition of a repeated group and per item of a list in a cell."""
        repeated = [c for c in self.columns if "{k}" in c]
        numbers: list[int | None] = [None]
        if repeated:
            groups = {c: placeholder_columns(c, self.header) for c in repeated}
            every = sorted(set().union(*groups.values()))
            for column, found in groups.items():
                if lacking := [k for k in every if k not in found]:
                    raise CentreRefused(self.spec.centre.id, [f"{self.table.file}: the repeated columns {column!r} lack the number(s) {lacking}; expected {every[0]} to {every[-1]} for each of {repeated}."])
            numbers = every
        kind = f"and kind = {quote(self.record.rows)}" if self.table.row_kinds else ""
        selects = []
        for k in numbers:
            named = {c: c.replace("{k}", str(k)) if k is not None else c for c in self.columns}
            cells = ", ".join(f"clean({identifier(named[c])}) as {a}" for c, a in self.aliases.items())
            selects.append(f"select source_row, {k or 0} as k, {cells} from data_{self.table_name} where status = 'data' {kind}")
        sql = " union all ".join(selects)
        if self.list_field:
            source = self.fields[self.list_field][1]
            alias = self.aliases[source.column]
            others = ", ".join(a for a in self.aliases.values() if a != alias)
            sql = f"select source_row, k, {others}, clean(item) as {alias} from (select *, unnest(string_split({alias}, {quote(source.separator.strip() or source.separator)})) as item from ({sql})) where clean(item) is not null"
        return sql

    def _text(self, source: Source) -> str:
        if source.constant is not None:
            return quote(source.constant)
        text = self.aliases[source.column]
        missing = [*self.spec.missing, *source.missing]
        return f"case when {text} in {_texts(missing)} then null else {text} end" if missing else text

    def _column(self, source: Source) -> str:
        return source.column or ""

    def parse(self, name: str, declared_name: str, source: Source) -> list[_Parsed]:
        field = study.fields().get(declared_name)
        text, column = self._text(source), self._column(source)
        plain = dict(name=name, column=column, text=text, expected={}, extra={})
        if declared_name == "transferred_from":
            word = f"regexp_extract({text}, '^(.*?){source.separator}(.*)$', 1)"
            centre = " ".join(f"when {quote(w)} then {quote(c)}" for w, c in source.centres.items())
            centre = f"case {word} {centre} end"
            number = f"nullif(trim(regexp_extract({text}, '^(.*?){source.separator}(.*)$', 2)), '')"
            rule = f"case when {text} is not null and ({centre} is null or {number} is null) then '{_STOPPING_RULE}' end"
            first = _Parsed(**{**plain, "name": "transferred_from_centre_id", "value": centre, "rule": rule, "sql_type": "VARCHAR"})
            return [
                first,
                _Parsed(**{**plain, "name": "transferred_from_centre_patient_id", "value": number, "rule": "null", "sql_type": "VARCHAR"}),
                _Parsed(**{**plain, "name": "transferred_from_patient_id", "value": patient_id_sql(f"({centre})", f"({number})"), "rule": "null", "sql_type": "VARCHAR"}),
            ]
        if field.type in ("code", "answer"):
            return [self._code(field, source, plain)]
        if field.type == "date":
            return self._date(field, source, plain)
        if field.type in ("number", "integer"):
            return self._number(field, source, plain)
        return [_Parsed(**plain, value=text, rule="null", sql_type="VARCHAR")]

    def _code(self, field: study.Field, source: Source, plain: dict) -> _Parsed:
        text = plain["text"]
        otherwise = "'unknown'" if field.type == "answer" else "null"
        if source.constant is not None:
            return _Parsed(**plain, value=text, rule="null", sql_type="VARCHAR")
        if source.filled is not None or source.blank is not None:
            literal = {k: quote(v) if v is not None else otherwise for k, v in (("filled", source.filled), ("blank", source.blank))}
            return _Parsed(**plain, value=f"case when {text} is null then {literal['blank']} else {literal['filled']} end", rule="null", sql_type="VARCHAR")
        codes = self.vocabulary(source, field)
        mapped = f"case {text} {' '.join(f'when {quote(w)} then {quote(c)}' for w, c in codes.items())} end"
        value = f"case when {text} is null then {otherwise} else {mapped} end"
        return _Parsed(**plain, value=value, rule=f"case when {text} is not null and {mapped} is null then '{_STOPPING_RULE}' end", sql_type="VARCHAR")

    def vocabulary(self, source: Source, field: study.Field) -> dict[str, str]:
        """Centre's word -> study code."""
        if source.vocabulary == "study":
            return {c: c for c in field.codes}
        return self.spec.vocabularies[source.vocabulary] if isinstance(source.vocabulary, str) else source.vocabulary

    def _date_value(self, text: str, formats: list[str]) -> str:
        branches = []
        for date_format in formats:
            matches = f"regexp_full_match({text}, {quote(date_pattern(date_format))})"
            if date_format == "excel_day_number":
                branches.append(f"when {matches} then date '1899-12-30' + try_cast({text} as integer)")
            else:
                branches.append(f"when {matches} then cast(try_strptime({text}, {quote(NAMED_DATE_FORMATS.get(date_format) or date_format)}) as date)")
        return f"case {' '.join(branches)} end"

    def _date(self, field: study.Field, source: Source, plain: dict) -> list[_Parsed]:
        text = plain["text"]
        if source.study_day:
            day = f"case when regexp_full_match({text}, '-?\\d{{1,4}}') then cast({text} as integer) end"
            rule = f"case when {text} is null then null when {day} is null then 'not_a_whole_number' when p.first_tpe_date is null then 'no_reference_day' end"
            return [_Parsed(**plain, value=f"p.first_tpe_date + {day}", rule=rule, sql_type="DATE", is_date=True)]
        formats = source.date_format or self.table.date_format
        value = self._date_value(text, formats)
        plain["expected"]["dates"] = ", ".join(formats)
        if source.partial_date_format:
            month_format = source.partial_date_format
            plain["expected"]["dates"] += f", or {month_format}"
            month = f"case when regexp_full_match({text}, {quote(date_pattern(month_format))}) then cast(try_strptime('01 ' || {text}, {quote('%d ' + month_format)}) as date) end"
            rule = f"case when {text} is not null and {value} is null and {month} is null then 'not_a_date' end"
            whole = _Parsed(**plain, value=value, rule=rule, sql_type="DATE", is_date=True)
            partial = _Parsed(**{**plain, "name": field.partial, "value": month, "rule": "null", "sql_type": "DATE", "is_date": True})
            return [whole, partial]
        return [_Parsed(**plain, value=value, rule=f"case when {text} is not null and {value} is null then 'not_a_date' end", sql_type="DATE", is_date=True)]

    def _number(self, field: study.Field, source: Source, plain: dict) -> list[_Parsed]:
        decimal = source.decimal or self.table.decimal
        point = "\\." if decimal == "." else ","
        plain["expected"]["number"] = f"'{decimal}' as decimal mark" + (f", '{source.thousands}' between thousands" if source.thousands else "")
        text, marked = plain["text"], "true"
        if source.comparator:
            codes = source.comparator.codes
            alias = self.aliases[source.comparator.column]
            sign = f"case coalesce({alias}, '') {' '.join(f'when {quote(w)} then {quote(c)}' for w, c in codes.items())} end"
            marked = f"{sign} = '<'"
        if source.stands_for:
            text = f"case {' '.join(f'when {text} = {quote(w)} and {marked} then {quote(meaning)}' for w, meaning in source.stands_for.items())} else {text} end"
        in_text = f"regexp_extract({text}, '^[<>]')"
        comparator = f"nullif({in_text}, '')"
        body = f"trim(regexp_replace({text}, '^[<>]', ''))"
        whole = "\\d+"
        if source.thousands:
            between = "\\." if source.thousands == "." else source.thousands
            whole = f"(\\d{{1,3}}({between}\\d{{3}})+|\\d+)"
            body_plain = f"replace({body}, {quote(source.thousands)}, '')"
        else:
            body_plain = body
        is_number = f"regexp_full_match({body}, {quote(f'[+-]?{whole}({point}[0-9]+)?')})"
        digits = f"try_cast(replace({body_plain}, {quote(decimal)}, '.') as decimal(18, 6))" if decimal == "," else f"try_cast({body_plain} as decimal(18, 6))"
        rules = [f"when {text} is null then null"]
        if source.comparator:
            rules.append(f"when {sign} is null then '{_STOPPING_RULE}'")
            if source.stands_for:
                rules.append(f"when {sign} <> '' and {in_text} = '' then 'comparator_contradiction'")
            else:
                comparator = f"coalesce({comparator}, nullif({sign}, ''))"
        rules.append(f"when not {is_number} or {digits} is null then 'not_a_number'")
        if not field.comparator:
            rules.append(f"when {in_text} <> '' then 'comparator_not_allowed'")
        if not isinstance(source.unit, CodedColumn):
            unit = quote(source.unit or "")
        else:
            alias = self.aliases[source.unit.column]
            unit = f"case coalesce({alias}, '') {' '.join(f'when {quote(w)} then {quote(u)}' for w, u in source.unit.codes.items())} end"
            rules.append(f"when {unit} is null then 'unit_not_accepted'")
            plain["expected"]["units"] = ", ".join(source.unit.codes)
        possible = [u for u in field.units if u in (list(source.unit.codes.values()) if isinstance(source.unit, CodedColumn) else [source.unit])] or [None]
        branches = []
        for u in possible:
            factor = field.units.get(u, 1)
            if isinstance(factor, dict):
                limit = self._limit(source)
                limit_range = study.fields()["ldh_uln_u_per_l"].range
                rules.append(f"when {unit} = {quote(u)} and {limit['text']} is null then 'limit_missing'")
                rules.append(f"when {unit} = {quote(u)} and coalesce({limit['value']} not between {limit_range[0]} and {limit_range[1]}, true) then 'limit_not_plausible'")
                plain["expected"]["limit"] = f"{limit_range[0]} to {limit_range[1]} U/L"
                converted = f"cast({digits} as double) / cast({limit['value']} as double)"
            else:
                converted = f"cast({digits} * cast({factor} as decimal(12, 6)) as double)"
            branches.append((u, converted))
            if u in field.sent_range:
                low, high = field.sent_range[u]
                rules.append(f"when {unit} = {quote(u)} and {digits} not between {low} and {high} then 'out_of_range'")
        value = branches[0][1] if len(branches) == 1 else f"case {unit} {' '.join(f'when {quote(u)} then {c}' for u, c in branches)} end"
        if field.range:
            low, high = field.range
            rules.append(f"when {value} not between {low} and {high} then 'out_of_range'")
            plain["expected"]["range"] = f"{low} to {high} {field.unit or ''}".strip() + "".join(f", {a} to {b} {u}" for u, (a, b) in field.sent_range.items())
        if field.type == "integer":
            rules.append(f"when {value} <> floor({value}) then 'not_a_whole_number'")
        rule = f"case {' '.join(rules)} end"
        safe = f"case when {text} is not null and {is_number} then {value} end"
        parsed = [_Parsed(**plain, value=f"cast({safe} as {field.sql_type})" if field.type == "integer" else safe, rule=rule, sql_type=field.sql_type)]
        if field.comparator:
            name = "comparator" if plain["name"] == "value" else field.name.rsplit("_", 1)[0] + "_comparator"
            parsed.append(_Parsed(**{**plain, "name": name, "value": comparator, "rule": "null", "sql_type": "VARCHAR"}))
        return parsed

    def _limit(self, source: Source) -> dict[str, str]:
        if source.uln.constant is not None:
            text = quote(source.uln.constant)
        else:
            text = self.aliases[source.uln.column]
        decimal = source.decimal or self.table.decimal
        return {"text": text, "value": f"try_cast(replace({text}, {quote(decimal)}, '.') as decimal(18, 6))"}

    def present(self) -> str:
        """Condition under which a row holds this record."""
        if self.record.present:
            alias = self.aliases[self.record.present.column]
            return f"{alias} in {_texts(self.record.present.yes)}" if self.record.present.yes else f"{alias} is not null"
        if not self.target.present:
            return "true"
        texts = [self._text(s) for n, (_, s) in self.fields.items() if n in self.target.present]
        return "(" + " or ".join(f"({t}) is not null" for t in texts) + ")"

    def unknown_presence(self) -> str | None:
        """Rows whose presence column holds an undeclared word."""
        present = self.record.present
        if not present or not present.yes:
            return None
        alias = self.aliases[present.column]
        return f"select {quote(present.column)} as column_name, {alias} as word, source_row from ({self.base()}) where {alias} is not null and {alias} not in {_texts([*present.yes, *present.no])}"


def _time_rule(value: str, cutoff: date, birth_date: str, birth_year: str, death: str) -> str:
    """Rule that a dated value breaks, or null (PROTOCOL 2: after the cut-off, after death, before birth)."""
    return (
        f"case when {value} > date '{cutoff}' then 'after_data_cutoff' when {value} > {death} then 'after_death' "
        f"when {value} < {birth_date} or year({value}) < {birth_year} then 'before_birth' end"
    )


_TRIMMED = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"


class Harmoniser:
    """One centre's submission in an in-memory DuckDB: raw text tables in, harmonised tables, quarantine and ledger out."""

    def __init__(self, spec: Spec, raws: list[RawTable], submission: date):
        self.spec, self.raws, self.submission = spec, raws, submission
        self.problems: list[str] = []
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute(f"create macro clean(t) as nullif(trim(t, {_TRIMMED}), '')")
        self.con.execute(
            "create table quarantine (table_name varchar, file varchar, sheet varchar, row_number bigint, column_name varchar, raw_value varchar, rule varchar, message varchar, patient_id varchar)"
        )
        self.con.execute("create table outcome_of_row (table_name varchar, source_row bigint, loaded boolean)")
        for target in study.tables().values():
            columns = ", ".join(f"{c} {study.sql_type(c)}" for c in target.all_columns)
            self.con.execute(f"create table {target.name} ({columns})")

    def run(self) -> "Harmoniser":
        """Harmonise everything.

        Raises:
            CentreRefused: a word that no vocabulary of the spec knows, or a repeated group with gaps.
        """
        for raw in self.raws:
            self._stage(raw)
        records = [(raw, record) for raw in self.raws for record in self.spec.tables[raw.name].records]
        for raw, record in sorted(records, key=lambda pair: pair[1].table != "patient"):
            self._record(raw, record)
        if self.problems:
            raise CentreRefused(self.spec.centre.id, self.problems)
        self._ledger()
        return self

    def _stage(self, raw: RawTable) -> None:
        """Raw table with each row's status (data, duplicate, ignored) and kind."""
        self.con.register("arrived", raw.rows)
        texts = [c for c in raw.rows.column_names if c != "source_row"]
        same = ", ".join(f"coalesce(clean({identifier(c)}), '')" for c in texts)
        table = self.spec.tables[raw.name]
        kind, ignored = "cast(null as varchar)", "false"
        if table.row_kinds:
            kind, ignored = self._kind(table.row_kinds)
        self.con.execute(
            f"""create table data_{raw.name} as
            select *, case when copy > 1 then 'duplicate' when is_ignored then 'ignored' else 'data' end as status
            from (select *, {kind} as kind, {ignored} as is_ignored, row_number() over (partition by {same} order by source_row) as copy from arrived)
            order by source_row"""
        )
        self.con.unregister("arrived")
        if table.row_kinds:
            column = identifier(table.row_kinds.column)
            unknown = self.con.execute(
                f"select {quote(table.row_kinds.column)}, clean({column}), count(*), min(source_row) from data_{raw.name} where status = 'data' and kind is null group by 2 order by 3 desc"
            ).fetchall()
            self._stop_on_words(raw, unknown, [w for words in table.row_kinds.kinds.values() for w in words])

    @staticmethod
    def _kind(row_kinds: RowKinds) -> tuple[str, str]:
        column = f"coalesce(clean({identifier(row_kinds.column)}), '')"
        branches = " ".join(f"when {column} in {_texts(words)} then {quote(kind)}" for kind, words in row_kinds.kinds.items())
        otherwise = quote(row_kinds.otherwise) if row_kinds.otherwise else "null"
        return f"case {branches} else {otherwise} end", f"{column} in {_texts(row_kinds.ignored)}" if row_kinds.ignored else "false"

    def _label(self, raw: RawTable) -> str:
        return f"{self.spec.centre.id}/{self.submission}/{raw.file}" + (f", sheet {raw.sheet!r}" if raw.sheet else "")

    def _record(self, raw: RawTable, record: Record) -> None:
        table = self.spec.tables[raw.name]
        built = _RecordSql(self.spec, raw.name, table, record, raw.rows.column_names)
        target = built.target
        parsed = [p for name, (declared, source) in built.fields.items() for p in built.parse(name, declared, source)]
        run = next(((n, s) for n, (_, s) in built.fields.items() if s.run_to), None)
        if run:
            name, source = run
            ending = built._date("run_end", Source(column=source.run_to, date_format=source.date_format), dict(name="run_end", column=source.run_to, text=built.aliases[source.run_to], expected={}, extra={}))
            parsed += ending
        is_patient = record.table == "patient"
        key = built.aliases[table.key]
        own_id = patient_id_sql(quote(self.spec.centre.id), key)
        selected = ", ".join(f"{p.text} as t_{p.name}, cast({p.value} as {p.sql_type}) as v_{p.name}, cast({p.rule} as varchar) as r0_{p.name}" for p in parsed)
        patient = "" if is_patient else f"left join patient p on p.centre_patient_id = b.{key}"
        p_columns = "" if is_patient else ", p.patient_id as p_id, p.birth_date as p_birth_date, p.birth_year as p_birth_year, coalesce(p.death_date, last_day(p.death_month)) as p_death"
        present = built.present()
        if run:
            present = f"({present} or {built.aliases[run[1].run_to]} is not null)"
        self.con.execute(
            f"""create or replace temp table parsed as
            select b.source_row, b.k, {key} as key_text, {own_id} as own_id{p_columns}, {selected}
            from ({built.base()}) b {patient} where {present}"""
        )
        if (unknown := built.unknown_presence()) is not None:
            self._stop_on_words(raw, self.con.execute(f"select column_name, word, count(*), min(source_row) from ({unknown}) group by 1, 2").fetchall(), ["", *record.present.yes, *record.present.no])
        self._apply_rules(parsed, is_patient, run)
        for p in parsed:
            words = self.con.execute(f"select {quote(p.column)}, t_{p.name}, count(*), min(source_row) from judged where r_{p.name} = '{_STOPPING_RULE}' group by 1, 2 order by 3 desc").fetchall()
            if words:
                self._stop_on_words(raw, words, self._known_words(built, p))
        self._keep(raw, target, built, parsed, is_patient, run)

    @staticmethod
    def _known_words(built: _RecordSql, parsed: _Parsed) -> list[str]:
        for name, (declared, source) in built.fields.items():
            if source.column == parsed.column and declared in study.fields() and study.fields()[declared].type in ("code", "answer") and name == parsed.name:
                return list(built.vocabulary(source, study.fields()[declared]))
            if source.centres and source.column == parsed.column:
                return [f"{word}{source.separator}<number>" for word in source.centres]
            if source.comparator and source.column == parsed.column:
                return list(source.comparator.codes)
        return []

    def _stop_on_words(self, raw: RawTable, words: list[tuple], known: list[str]) -> None:
        """Words are quoted while they are few: many different ones are no vocabulary but another column's values."""
        if not words:
            return
        column, rows, first = words[0][0], sum(w[2] for w in words), min(w[3] for w in words)
        found = ", ".join(repr(w[1]) for w in words) if len(words) <= _WORDS_QUOTED else f"{len(words)} different words (is it the right column?)"
        self.problems.append(
            f"{self._label(raw)}, column {column!r}: found {found} in {rows} row(s), first in row {first}; expected one of {known}. "
            "Ask the centre what it means, then add it to the vocabulary in centre.yml."
        )

    def _apply_rules(self, parsed: list[_Parsed], is_patient: bool, run) -> None:
        """``judged``: each field's rule after the rules of time, which need the patient's own dates."""
        names = {p.name for p in parsed}

        def accepted(name: str) -> str:
            return f"case when r0_{name} is null then v_{name} end" if name in names else "null"

        if is_patient:
            birth_date, birth_year = accepted("birth_date"), accepted("birth_year")
            own_death = f"coalesce({accepted('death_date')}, last_day({accepted('death_month')}))" if "death_month" in names else accepted("death_date")
            death_itself = _time_rule("(" + own_death + ")", self.submission, f"({birth_date})", f"({birth_year})", "null") if own_death != "null" else "null"
            if "death_month" in names:
                death_itself = f"case when {accepted('death_month')} > date '{self.submission}' then 'after_data_cutoff' when {accepted('death_date')} is null then null else {death_itself} end"
            death = f"case when {death_itself} is null then {own_death} end"
        else:
            birth_date, birth_year, death, death_itself = "p_birth_date", "p_birth_year", "p_death", "null"
        rules = []
        for p in parsed:
            rule = f"r0_{p.name}"
            if p.is_date and p.name == "death_date":
                rule = f"coalesce({rule}, {death_itself})"
            elif p.is_date and p.name == "birth_date":
                rule = f"coalesce({rule}, case when v_birth_date > date '{self.submission}' then 'after_data_cutoff' end)"
                if "first_tpe_date" in names:
                    oldest = study.fields()["age_years_reported"].range[1]
                    rule = f"coalesce({rule}, case when date_diff('year', v_birth_date, v_first_tpe_date) > {oldest} then 'out_of_range' end)"
                    p.expected["range"] = f"age 0 to {oldest} years at the first exchange"
            elif p.is_date and p.name != "death_month":
                rule = f"coalesce({rule}, {_time_rule(f'v_{p.name}', self.submission, f'({birth_date})', f'({birth_year})', f'({death})')})"
            rules.append(f"{rule} as r_{p.name}")
        self.con.execute(f"create or replace temp table judged_0 as select *, {', '.join(rules)} from parsed")
        later = []
        if run:
            name = run[0]
            later.append(f"case when r_{name} is not null then r_{name} when (v_{name} is null) <> (v_run_end is null) then 'run_without_end' when v_run_end < v_{name} then 'run_reversed' end as r_{name}")
        if {"start_date", "end_date"} <= names:
            later.append("case when r_end_date is null and r_start_date is null and v_end_date < v_start_date then 'end_before_start' else r_end_date end as r_end_date")
        if "death_month" in names:
            later.append("case when r_death_date is not null then null else v_death_month end as v_death_month")
        self.con.execute(f"create or replace temp table judged as select * {'replace (' + ', '.join(later) + ')' if later else ''} from judged_0")

    def _keep(self, raw: RawTable, target: study.HarmonisedTable, built: _RecordSql, parsed: list[_Parsed], is_patient: bool, run) -> None:
        """Accepted records into the harmonised table, refused values into the quarantine."""
        con, table = self.con, built.table
        identity = "own_id" if is_patient else "p_id"
        key_rule = "case when key_text is null then 'missing_key' end" if is_patient else "case when key_text is null then 'missing_key' when p_id is null then 'unknown_patient' end"
        if is_patient:
            key_rule = "case when key_text is null then 'missing_key' when row_number() over (partition by key_text order by source_row) > 1 then 'duplicate_patient' end"
        needed = [p for p in parsed if p.name in target.required or p.name == "run_end"]
        needed_rule = "coalesce(" + ", ".join([f"r_{p.name}" for p in needed] + [f"case when v_{p.name} is null then 'required_missing' end" for p in needed if p.name != "run_end"] + ["null"]) + ")"
        con.execute(f"create or replace temp table sorted as select *, {key_rule} as key_rule, {needed_rule} as needed_rule from judged")
        place = f"{quote(raw.name)}, {quote(raw.file)}, {quote(raw.sheet)}, source_row"
        con.execute(
            f"""insert into quarantine
            select {place}, {quote(table.key)}, key_text, key_rule, case key_rule {self._message_branches({})} end, {identity}
            from sorted where key_rule is not null"""
        )
        for p in parsed:
            column = f"replace({quote(p.column)}, '{{k}}', cast(k as varchar))" if "{k}" in p.column else quote(p.column)
            rule = f"r_{p.name}"
            if p.name in target.required:
                rule = f"coalesce(r_{p.name}, case when v_{p.name} is null then 'required_missing' end)"
            con.execute(
                f"""insert into quarantine
                select {place}, {column}, t_{p.name}, {rule}, case {rule} {self._message_branches(p.expected)} end, {identity}
                from sorted where key_rule is null and {rule} is not null and {rule} <> '{_STOPPING_RULE}'"""
            )
        values = {p.name: f"case when r_{p.name} is null then v_{p.name} end" for p in parsed}
        for p in parsed:
            if p.name.endswith("comparator"):
                number = "value" if p.name == "comparator" else p.name.replace("_comparator", "_percent")
                values[p.name] = f"case when r_{number} is null then v_{p.name} end"
        if "death_month" in values:
            values["death_month"] = "v_death_month"
        if target.name == "lab_result":
            measured = next(d for d, _ in built.fields.values() if study.fields()[d].analyte)
            values["analyte"] = quote(study.fields()[measured].analyte)
        for column in target.columns:
            field = study.fields()[column]
            unknown = "'unknown'" if field.type == "answer" else f"cast(null as {field.sql_type})"
            values[column] = f"coalesce({values[column]}, {unknown})" if column in values and field.type == "answer" else values.get(column, unknown)
        fixed = {"patient_id": identity, "centre_id": quote(self.spec.centre.id), "centre_patient_id": "key_text", "submission": f"date '{self.submission}'"}
        origin = {"source_file": quote(raw.file), "source_sheet": quote(raw.sheet), "source_row": "source_row"}
        rows = "sorted"
        if run:
            rows = f"(select * replace (cast(day as date) as v_{run[0]}) from (select *, unnest(generate_series(v_{run[0]}, v_run_end, interval 1 day)) as day from sorted where key_rule is null and needed_rule is null))"
        con.execute(
            f"""insert into {target.name}
            select {', '.join(f"{({**fixed, **values, **origin})[c]} as {c}" for c in target.all_columns)}
            from {rows} where key_rule is null and needed_rule is null order by source_row, k"""
        )
        con.execute(f"insert into outcome_of_row select {quote(raw.name)}, source_row, bool_or(key_rule is null and needed_rule is null) from sorted group by 2")

    @staticmethod
    def _message_branches(expected: dict[str, str]) -> str:
        class Known(dict):
            def __missing__(self, key):
                return "see the spec"

        return " ".join(f"when {quote(rule)} then {quote(message.format_map(Known(expected)))}" for rule, message in _MESSAGES.items())

    def _ledger(self) -> None:
        """One row per file or sheet; received = loaded + duplicate + quarantined + ignored, always."""
        rows = []
        for raw in self.raws:
            aside = raw.set_aside
            for number, status, rule, message in aside:
                if status == "quarantined":
                    self.con.execute("insert into quarantine values (?, ?, ?, ?, '', null, ?, ?, null)", [raw.name, raw.file, raw.sheet, number, rule, message])
            loaded, quarantined, duplicate, ignored, everything = self.con.execute(
                f"""select count(*) filter (d.status = 'data' and coalesce(o.loaded, false)), count(*) filter (d.status = 'data' and not o.loaded),
                           count(*) filter (d.status = 'duplicate'), count(*) filter (d.status = 'ignored' or (d.status = 'data' and o.loaded is null)), count(*)
                from data_{raw.name} d left join (select source_row, bool_or(loaded) as loaded from outcome_of_row where table_name = ? group by 1) o using (source_row)""",
                [raw.name],
            ).fetchone()
            set_aside = {status: sum(1 for s in aside if s[1] == status) for status in ("ignored", "quarantined")}
            rows.append((raw.name, raw.file, raw.sheet, everything + len(aside), loaded, duplicate, quarantined + set_aside["quarantined"], ignored + set_aside["ignored"]))
        self.con.execute("create table ledger (table_name varchar, file varchar, sheet varchar, rows_received bigint, rows_loaded bigint, rows_duplicate bigint, rows_quarantined bigint, rows_ignored bigint)")
        self.con.executemany("insert into ledger values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def table(self, name: str) -> pa.Table:
        """A harmonised table in the order of its source rows."""
        order = ", ".join(c for c in study.tables()[name].all_columns if c not in ("source_file", "source_sheet", "source_row"))
        return self.con.execute(f"select * from {name} order by source_file, source_sheet, source_row, {order}").to_arrow_table()

    def raw_table(self, name: str) -> pa.Table:
        """A raw table as sent (forbidden columns left out), with where each row came from."""
        raw = next(r for r in self.raws if r.name == name)
        texts = ", ".join(identifier(c) for c in raw.rows.column_names if c != "source_row")
        return self.con.execute(f"select {quote(raw.file)} as source_file, {quote(raw.sheet)} as source_sheet, source_row, status as row_status, {texts} from data_{name} order by source_row").to_arrow_table()

    def quarantine(self) -> pa.Table:
        """Every refused value once; scope 'row' where nothing of the row could be kept, else 'cell'."""
        return self.con.execute(
            f"""select distinct {quote(self.spec.centre.id)} as centre_id, date '{self.submission}' as submission, q.file, q.sheet, q.row_number, q.column_name, q.raw_value, q.rule, q.message, q.patient_id,
                       case when coalesce(o.loaded, false) then 'cell' else 'row' end as scope
            from quarantine q left join (select table_name, source_row, bool_or(loaded) as loaded from outcome_of_row group by 1, 2) o on o.table_name = q.table_name and o.source_row = q.row_number
            order by q.file, q.sheet, q.row_number, q.column_name, q.rule, q.raw_value"""
        ).to_arrow_table()

    def ledger(self) -> pa.Table:
        """The row ledger of this submission."""
        return self.con.execute(
            f"""select {quote(self.spec.centre.id)} as centre_id, date '{self.submission}' as submission, l.file, l.sheet, l.rows_received, l.rows_loaded, l.rows_duplicate, l.rows_quarantined, l.rows_ignored,
                       cast(coalesce(q.cells, 0) as bigint) as cells_quarantined
            from ledger l left join (select table_name, count(distinct (row_number, column_name)) as cells from quarantine group by 1) q using (table_name)
            order by l.file, l.sheet"""
        ).to_arrow_table()
