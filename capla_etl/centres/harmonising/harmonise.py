"""A centre's text tables to harmonised records, by its spec: every value is accepted, or refused with its place and reason.

One SQL statement per record of the spec, over whole columns in DuckDB. A value that is not understood, out of range, impossible in time or
of no known patient goes to the quarantine; a word that no vocabulary knows stops the centre, because its meaning would have to be guessed.

What does not belong here: reading files (read.py), where results are kept (load.py), any rule of an outcome (dbt models).
"""

from datetime import date
from difflib import get_close_matches

import duckdb
import pyarrow as pa

from capla_etl import fields as study
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.pseudonym import birth_date_linkage_sql, patient_id_sql, use_key
from capla_etl.centres.harmonising.values import STOPPING_RULE, Parsed, RecordSql
from capla_etl.centres.reading.cell_text import TRIMMED, cleaned
from capla_etl.centres.reading.read import EARLIER_ROW, RawTable
from capla_etl.centres.spec.grammar import (
    Record,
    RowKinds,
    Spec,
    Table,
    source_columns,
    withheld_columns,
    withheld_note,
)
from capla_etl.sql import identifier, quote, texts

#: A run of daily exchanges from-to has fewer days than this.
_LONGEST_RUN_DAYS = 100
#: So many unknown words of a column are quoted in a message.
_WORDS_QUOTED = 3
#: A text so short is taken for a code; a longer one may be a name.
_LENGTH_OF_A_CODE = 3

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
    "no_study_day_zero": "There is no study day 0: day 1 is the day of the first exchange, day -1 the one before.",
    "no_reference_day": "A study day, but the patient's first exchange has no date.",
    "run_without_end": "A run of exchanges with only one of its two dates.",
    "run_reversed": "The run ends before it starts.",
    "run_too_long": "A run of daily exchanges longer than any course is.",
    "run_overlaps": "The run has days on which the patient already has an exchange.",
    "before_first_exchange": "A death before the first exchange.",
    "end_before_start": "The course ends before it starts; its end is left unknown.",
    "required_missing": "Empty, but the record needs it.",
}


#: Nobody of the study was born earlier than so many years before the cut-off, whether or not a birth date is known.
_OLDEST_YEARS = study.fields()["age_years_reported"].range[1]


def _time_rule(value: str, cutoff: date, birth_date: str, birth_year: str, death: str) -> str:
    """Rule that a dated value breaks, or null (PROTOCOL 2: after the cut-off, after death, before birth)."""
    return (
        f"case when {value} > date '{cutoff}' then 'after_data_cutoff' when {value} > {death} then 'after_death' "
        f"when {value} < {birth_date} or year({value}) < {birth_year} or year({value}) < {cutoff.year - _OLDEST_YEARS} then 'before_birth' end"
    )


_PLACE = "table_name varchar, file varchar, sheet varchar"
_QUARANTINE = f"{_PLACE}, row_number bigint, column_name varchar, raw_value varchar, rule varchar, message varchar, patient_id varchar"
_LEDGER_COUNTS = ["rows_received", "rows_loaded", "rows_duplicate", "rows_quarantined", "rows_ignored"]


class _NotSaid(dict):
    """Expectations of a message that a field has no words for."""

    def __missing__(self, key: str) -> str:
        return "see the spec"


def _message(rule_sql: str, expected: dict[str, str]) -> str:
    """SQL of the message that belongs to a rule."""
    branches = (
        f"when {quote(rule)} then {quote(words.format_map(_NotSaid(expected)))}" for rule, words in _MESSAGES.items()
    )
    return f"case {rule_sql} {' '.join(branches)} end"


#: Row number of the file; rows of earlier submissions are numbered apart.
_ROW_OF = f"source_row % {EARLIER_ROW}"


def _file_of(raw: RawTable) -> str:
    """SQL of the file that a row was sent in; of an earlier submission with its folder."""
    if not raw.earlier_submissions:
        return quote(raw.file)
    earlier = " ".join(
        f"when {back} then {quote(f'{name}/{raw.file}')}" for back, name in enumerate(raw.earlier_submissions, start=1)
    )
    return f"case source_row // {EARLIER_ROW} {earlier} else {quote(raw.file)} end"


#: The day of death, or the last one of its month where only that is known.
_LAST_DAY_OF_DEATH = "coalesce(death_day, last_day(death_month_start))"


#: Three letters in a row, or nine digits: no number, date or code for missing has them.
_MAY_IDENTIFY = "[[:alpha:]]{3}|([0-9][^0-9]*){9}"
_WITHHELD = "(withheld: may identify)"


def _measured_columns(table: Table) -> set[str]:
    """Columns that are read as numbers or dates."""
    fields = study.fields()
    return {
        column
        for record in table.records
        for name, source in record.fields.items()
        if name in fields and fields[name].type in ("number", "integer", "date")
        for column in source_columns(source)
    }


def _described(word: str, known: list[str]) -> str:
    """A word out of a file with identifying columns: quoted where it is a code by its length or likeness, else only its length."""
    if len(word) <= _LENGTH_OF_A_CODE or get_close_matches(word.casefold(), [k.casefold() for k in known]):
        return repr(word)
    return f"a text of {len(word)} characters (not quoted: the file has identifying columns)"


class Harmoniser:
    """One centre's submission in an in-memory DuckDB: raw text tables in, harmonised tables, quarantine and ledger out.

    ``data_<table>`` holds the rows as sent with ``capla_status`` ('data', 'duplicate', 'ignored', 'refused') and ``capla_kind``.
    Each record of the spec passes through three temporary tables: ``parsed`` (text, value and rule of every field), ``judged`` (with the
    rules of time) and ``decided`` (with the rules of the record as a whole).
    """

    def __init__(self, spec: Spec, raws: list[RawTable], submission: date, key: bytes):
        self.spec, self.raws, self.submission = spec, raws, submission
        self.problems: list[str] = []
        self.con = duckdb.connect(config={"threads": 1})
        use_key(self.con, key)
        self.con.execute(f"create macro clean(t) as nullif(trim(t, {TRIMMED}), '')")
        self.con.execute(f"create table quarantine ({_QUARANTINE})")
        self.con.execute("create table row_result (table_name varchar, source_row bigint, loaded boolean)")
        for target in study.tables().values():
            columns = ", ".join(f"{c} {study.sql_type(c)}" for c in (*target.all_columns, *target.withheld))
            self.con.execute(f"create table {target.name} ({columns})")

    def run(self) -> "Harmoniser":
        """Harmonise everything, patients first.

        Raises:
            CentreRefused: a word that no vocabulary of the spec knows, or a repeated group with gaps.
        """
        for raw in self.raws:
            self._stage(raw)
        records = [
            (raw, number, record)
            for raw in self.raws
            for number, record in enumerate(self.spec.tables[raw.name].records, start=1)
        ]
        for raw, number, record in sorted(records, key=lambda of: of[2].table != "patient"):
            self._record(raw, number, record)
        self._ages()
        if self.problems:
            raise CentreRefused(self.spec.centre.id, self.problems)
        for raw in self.raws:
            for number, status, rule, message in raw.set_aside:
                if status == "quarantined":
                    row = [raw.name, raw.file, raw.sheet, number, rule, message]
                    self.con.execute("insert into quarantine values (?, ?, ?, ?, '', null, ?, ?, null)", row)
        return self

    # ---------------------------------------------------------------- rows

    def _stage(self, raw: RawTable) -> None:
        """Raw table with each row's status and kind."""
        self.con.register("arrived", raw.rows)
        same = ", ".join(f"coalesce(clean({identifier(c)}), '')" for c in raw.rows.column_names if c != "source_row")
        row_kinds = self.spec.tables[raw.name].row_kinds
        kind, ignored = (
            self._kind(row_kinds, self.spec.tables[raw.name]) if row_kinds else ("cast(null as varchar)", "false")
        )
        self.con.execute(
            f"""create table data_{raw.name} as
            select * exclude (capla_copy, capla_ignored),
                   case when capla_copy > 1 then 'duplicate' when capla_ignored then 'ignored' else 'data' end as capla_status
            from (
                select *, {kind} as capla_kind, {ignored} as capla_ignored,
                       row_number() over (partition by {same} order by source_row) as capla_copy
                from arrived
            )
            order by source_row"""
        )
        self.con.unregister("arrived")
        if row_kinds:
            unknown = f"select {cleaned(self.spec.tables[raw.name], identifier(row_kinds.column))} as word, source_row from data_{raw.name} where capla_kind is null"
            known = [word for words in row_kinds.kinds.values() for word in words]
            self._stop_on_words(raw, row_kinds.column, f"{unknown} and capla_status = 'data'", known)

    @staticmethod
    def _kind(row_kinds: RowKinds, table: Table) -> tuple[str, str]:
        column = f"coalesce({cleaned(table, identifier(row_kinds.column))}, '')"
        branches = " ".join(
            f"when {column} in {texts(words)} then {quote(kind)}" for kind, words in row_kinds.kinds.items()
        )
        otherwise = quote(row_kinds.otherwise) if row_kinds.otherwise else "null"
        ignored = f"{column} in {texts(row_kinds.ignored)}" if row_kinds.ignored else "false"
        return f"case {branches} else {otherwise} end", ignored

    def _stop_on_words(self, raw: RawTable, column: str, query: str, known: list[str]) -> None:
        """Words (``word``, ``source_row``) that no vocabulary knows; quoted while few: many are no vocabulary but another column's values."""
        words = self.con.execute(
            f"select word, count(*), min(source_row) from ({query}) group by 1 order by 2 desc, 1"
        ).fetchall()
        if not words:
            return
        found = f"{len(words)} different words (is it the right column?)"
        if len(words) <= _WORDS_QUOTED:
            may_hold_names = bool(self.spec.tables[raw.name].forbidden)
            found = ", ".join(_described(word, known) if may_hold_names else repr(word) for word, _, _ in words)
        sheet = f", sheet {raw.sheet!r}" if raw.sheet else ""
        self.problems.append(
            f"{self.spec.centre.id}/{self.submission}/{raw.file}{sheet}, column {column!r}: found {found} in {sum(w[1] for w in words)} row(s), "
            f"first in row {min(w[2] for w in words)}; expected one of {known}. "
            "Ask the centre what it means, then add it to the vocabulary in centre.yml."
        )

    # ---------------------------------------------------------------- records

    def _record(self, raw: RawTable, number: int, record: Record) -> None:
        """One record of the spec: parse, judge, decide, keep."""
        built = RecordSql(self.spec, raw.name, self.spec.tables[raw.name], record, raw.rows.column_names)
        parsed = built.parse_all()
        self._parse(built, parsed)
        if unknown := built.unknown_presence():
            self._stop_on_words(raw, record.present.column, unknown, [*record.present.yes, *record.present.no])
        self._judge(built, parsed)
        for p in parsed:
            unknown = f"select t_{p.name} as word, source_row from judged where r_{p.name} = '{STOPPING_RULE}'"
            self._stop_on_words(raw, p.column, unknown, built.known_words(p))
        self._decide(built, parsed)
        self._refuse(raw, built, parsed)
        self._keep(raw, number, built, parsed)

    def _parse(self, built: RecordSql, parsed: list[Parsed]) -> None:
        """``parsed``: text t_, value v_ and rule r_ of every field, beside what is known of the patient."""
        key = built.aliases[built.table.key]
        fields = ", ".join(
            f"{p.text} as t_{p.name}, cast({p.value} as {p.sql_type}) as v_{p.name}, cast({p.rule} as varchar) as r_{p.name}"
            for p in parsed
        )
        if built.is_patient:
            patient = f"{patient_id_sql(quote(self.spec.centre.id), key)} as patient_id"
            join = ""
        else:
            patient = "p.patient_id, p.birth_date, p.birth_year, coalesce(p.death_date, last_day(p.death_month)) as last_possible_day"
            join = f"left join patient p on p.centre_patient_id = b.{key}"
        self.con.execute(
            f"""create or replace temp table parsed as
            select b.source_row, b.k, b.{key} as key_text, {patient}, {fields}
            from ({built.base()}) b {join} where {built.present()}"""
        )

    def _judge(self, built: RecordSql, parsed: list[Parsed]) -> None:
        """``judged``: rules of time, which need the patient's own dates (PROTOCOL 2)."""
        names = {p.name for p in parsed}
        source = "parsed"
        if built.is_patient:
            source = self._own_dates(names)
            self._say_oldest(parsed)
        rules = []
        for p in parsed:
            if not p.is_date or p.name == "death_month":
                continue
            if built.is_patient and p.name == "birth_date":
                late = f"when v_birth_date > date '{self.submission}' then 'after_data_cutoff'"
                age = f"when date_diff('year', v_birth_date, first_tpe) > {_OLDEST_YEARS} then 'out_of_range'"
                rule = f"case {late} {age} end"
            else:
                death = "cast(null as date)" if built.is_patient and p.name == "death_date" else "last_possible_day"
                value = "coalesce(v_death_date, death_month_start)" if p.name == "death_date" else f"v_{p.name}"
                rule = _time_rule(value, self.submission, "birth_date", "birth_year", death)
                if p.name == "death_date":
                    rule = (
                        f"coalesce({rule}, case when {_LAST_DAY_OF_DEATH} < first_tpe then 'before_first_exchange' end)"
                    )
            rules.append(f"coalesce(r_{p.name}, {rule}) as r_{p.name}")
        replaced = f"replace ({', '.join(rules)})" if rules else ""
        self.con.execute(f"create or replace temp table judged as select * {replaced} from {source}")

    def _own_dates(self, names: set[str]) -> str:
        """The patient's own accepted dates, against which the others are judged."""

        def accepted(name: str, sql_type: str) -> str:
            return f"case when r_{name} is null then v_{name} end" if name in names else f"cast(null as {sql_type})"

        month = accepted("death_month", "date")
        return f"""(
            select *, case when death_possible then coalesce(death_day, last_day(death_month_start)) end as last_possible_day
            from (
                select *, coalesce(coalesce(death_day, death_month_start) <= date '{self.submission}', false)
                          and coalesce({_LAST_DAY_OF_DEATH} >= birth_date, true)
                          and coalesce({_LAST_DAY_OF_DEATH} >= first_tpe, true) as death_possible
                from (
                    select *, {accepted("birth_date", "date")} as birth_date, {accepted("birth_year", "integer")} as birth_year,
                           {accepted("first_tpe_date", "date")} as first_tpe, {accepted("death_date", "date")} as death_day, {month} as death_month_start
                    from parsed
                )
            )
        )"""

    def _say_oldest(self, parsed: list[Parsed]) -> None:
        for p in parsed:
            if p.name == "birth_date":
                p.expected["range"] = f"age 0 to {_OLDEST_YEARS} years at the first exchange"

    def _decide(self, built: RecordSql, parsed: list[Parsed]) -> None:
        """``decided``: rules of runs and courses, of the key, and whether what the record needs is there."""
        names = {p.name for p in parsed}
        changed = []
        if built.run_field:
            run = built.run_field
            known = f"select 1 from tpe_session t where t.patient_id = judged.patient_id and t.session_date between v_{run} and v_run_end"
            before = (
                f"partition by patient_id order by v_{run}, source_row rows between unbounded preceding and 1 preceding"
            )
            overlaps = f"v_{run} <= max(v_run_end) over ({before}) or exists ({known})"
            changed.append(
                f"case when r_{run} is not null then r_{run} when (v_{run} is null) <> (v_run_end is null) then 'run_without_end' "
                f"when v_run_end < v_{run} then 'run_reversed' when v_run_end - v_{run} + 1 >= {_LONGEST_RUN_DAYS} then 'run_too_long' "
                f"when {overlaps} then 'run_overlaps' end as r_{run}"
            )
        if {"start_date", "end_date"} <= names:
            reversed_course = "r_end_date is null and r_start_date is null and v_end_date < v_start_date"
            changed.append(f"case when {reversed_course} then 'end_before_start' else r_end_date end as r_end_date")
        if built.is_patient:
            again = "row_number() over (partition by key_text order by source_row) > 1"
            key_rule = f"case when key_text is null then 'missing_key' when {again} then 'duplicate_patient' end"
        else:
            key_rule = (
                "case when key_text is null then 'missing_key' when patient_id is null then 'unknown_patient' end"
            )
        needed = [f"r_{p.name}" for p in parsed if p.name in built.target.required or p.name == "run_end"]
        needed += [
            f"case when v_{p.name} is null then 'required_missing' end"
            for p in parsed
            if p.name in built.target.required
        ]
        replaced = f"replace ({', '.join(changed)})" if changed else ""
        self.con.execute(
            f"""create or replace temp table decided as
            select *, key_rule is null and coalesce({", ".join([*needed, "null"])}) is null as accepted
            from (select * {replaced}, {key_rule} as key_rule from judged)"""
        )

    def _refuse(self, raw: RawTable, built: RecordSql, parsed: list[Parsed]) -> None:
        """Refused keys and values into the quarantine."""
        place = f"{quote(raw.name)}, {_file_of(raw)}, {quote(raw.sheet)}, source_row"
        self.con.execute(
            f"""insert into quarantine
            select {place}, {quote(built.table.key)}, key_text, key_rule, {_message("key_rule", {})}, patient_id from decided where key_rule is not null"""
        )
        for p in parsed:
            column = f"replace({quote(p.column)}, '{{k}}', cast(k as varchar))"
            rule = f"r_{p.name}"
            if p.name in built.target.required:
                rule = f"coalesce({rule}, case when v_{p.name} is null then 'required_missing' end)"
            self.con.execute(
                f"""insert into quarantine
                select {place}, {column}, {self._shown(raw, p.column, f"t_{p.name}")}, {rule}, {_message(rule, p.expected)}, patient_id
                from decided where key_rule is null and {rule} <> '{STOPPING_RULE}'"""
            )

    def _keep(self, raw: RawTable, number: int, built: RecordSql, parsed: list[Parsed]) -> None:
        """Accepted records into the harmonised table; a refused cell is unknown there."""
        values = {p.name: f"case when r_{p.depends_on or p.name} is null then v_{p.name} end" for p in parsed}
        if built.target.name == "lab_result":
            values["analyte"] = quote(built.analyte)
        for column in (*built.target.columns, *built.target.withheld):
            field = study.fields()[column]
            if field.type == "answer":
                values[column] = f"coalesce({values[column]}, 'unknown')" if column in values else "'unknown'"
            values.setdefault(column, f"cast(null as {field.sql_type})")
        if "birth_date" in built.target.withheld:
            values["birth_date_linkage"] = birth_date_linkage_sql(f"({values['birth_date']})")
        values |= {"patient_id": "patient_id", "centre_id": quote(self.spec.centre.id), "centre_patient_id": "key_text"}
        values |= {"submission": f"date '{self.submission}'"}
        values |= {"source_file": _file_of(raw), "source_sheet": quote(raw.sheet), "source_row": _ROW_OF}
        values |= {"source_record": quote(f"{raw.name}.{number}"), "source_repetition": "nullif(k, 0)"}
        rows = "select * from decided where accepted"
        if built.run_field:
            days = f"unnest(generate_series(v_{built.run_field}, v_run_end, interval 1 day))"
            rows = f"select * replace (cast(day as date) as v_{built.run_field}) from (select *, {days} as day from ({rows}))"
        columns = ", ".join(f"{values[c]} as {c}" for c in (*built.target.all_columns, *built.target.withheld))
        self.con.execute(f"insert into {built.target.name} select {columns} from ({rows}) order by source_row, k")
        self.con.execute(
            f"insert into row_result select {quote(raw.name)}, source_row, bool_or(accepted) from decided group by 2"
        )
        if built.is_patient:
            refused = "select source_row from decided where not accepted"
            self.con.execute(f"update data_{raw.name} set capla_status = 'refused' where source_row in ({refused})")

    def _ages(self) -> None:
        """Completed years at the first exchange, as the sessions date it, else as stated: all that is kept of birth dates beside their linkage."""
        day = "extract(month from {0}) * 100 + extract(day from {0})"
        years = (
            "extract(year from first_tpe) - extract(year from birth_date) "
            f"- case when {day.format('first_tpe')} < {day.format('birth_date')} then 1 else 0 end"
        )
        sessions = "select patient_id, min(session_date) as first_session from tpe_session group by 1"
        first = "coalesce(first_session, first_tpe_date) as first_tpe"
        self.con.execute(
            f"""update patient set age_years_at_first_tpe = coalesce({years}, age_years_reported)
            from (select patient.rowid as its_row, {first} from patient left join ({sessions}) using (patient_id)) where patient.rowid = its_row"""
        )

    # ---------------------------------------------------------------- results

    def _shown(self, raw: RawTable, column: str, text: str) -> str:
        """SQL of a text as it may be kept: a birth date only as a note that there was one; and out of a file with identifying columns, where
        cells may have slipped into another column, nothing in a column of numbers or dates that may be a name or a telephone number."""
        table = self.spec.tables[raw.name]
        if field := withheld_columns(table).get(column):
            return f"case when clean({text}) is not null then {quote(withheld_note(field))} else {text} end"
        if table.forbidden and column in _measured_columns(table):
            return f"case when regexp_matches({text}, {quote(_MAY_IDENTIFY)}) then {quote(_WITHHELD)} else {text} end"
        return text

    def corrections(self, applied: pa.Table) -> pa.Table:
        """What corrections changed (columns of ``quality.correction``), each text as it may be kept."""
        rows = applied.to_pylist()
        for row in rows:
            raw = next(
                r
                for r in self.raws
                if r.file == row["file"].rsplit("/", 1)[-1]
                and r.sheet == row["sheet"]
                and row["column_name"] in r.rows.column_names
            )
            for value in ("raw_value", "corrected_value"):
                row[value] = self.con.execute(
                    f"select {self._shown(raw, row['column_name'], quote(row[value]))}"
                ).fetchone()[0]
        return pa.Table.from_pylist(rows, schema=applied.schema)

    def table(self, name: str) -> pa.Table:
        """A harmonised table in the order of its source rows."""
        order = ", ".join(c for c in study.tables()[name].all_columns if c not in study.SOURCE_COLUMNS)
        columns = ", ".join(study.tables()[name].all_columns)
        return self.con.execute(
            f"select {columns} from {name} order by {', '.join(study.PLACE_COLUMNS)}, {order}, source_record, source_repetition"
        ).to_arrow_table()

    def raw_table(self, raw: RawTable) -> pa.Table:
        """A raw table as sent (forbidden columns left out, birth dates withheld), with where each row came from and what became of it."""
        sent = [c for c in raw.rows.column_names if c != "source_row"]
        columns = ", ".join(f"{self._shown(raw, c, identifier(c))} as {identifier(c)}" for c in sent)
        return self.con.execute(
            f"""select {_file_of(raw)} as source_file, {quote(raw.sheet)} as source_sheet, {_ROW_OF} as source_row, capla_status as row_status, {columns}
            from data_{raw.name} d order by d.source_row"""
        ).to_arrow_table()

    def quarantine(self) -> pa.Table:
        """Every refused value once; scope 'row' where nothing of the row could be kept, else 'cell'."""
        return self.con.execute(
            f"""select distinct {quote(self.spec.centre.id)} as centre_id, date '{self.submission}' as submission,
                   q.file, q.sheet, q.row_number % {EARLIER_ROW} as row_number, q.column_name, q.raw_value, q.rule, q.message, q.patient_id,
                   case when coalesce(r.loaded, false) then 'cell' else 'row' end as scope
            from quarantine q
            left join (select table_name, source_row, bool_or(loaded) as loaded from row_result group by 1, 2) r
                on r.table_name = q.table_name and r.source_row = q.row_number
            order by all"""
        ).to_arrow_table()

    def ledger(self) -> pa.Table:
        """One row per file or sheet; received = loaded + duplicate + quarantined + ignored, always."""
        rows = []
        for raw in self.raws:
            aside = [status for _, status, _, _ in raw.set_aside]
            counts = self.con.execute(
                f"""select count(*), count(*) filter (result = 'loaded'), count(*) filter (result = 'duplicate'),
                       count(*) filter (result = 'quarantined'), count(*) filter (result = 'ignored')
                from (
                    select case when capla_status in ('duplicate', 'ignored') then capla_status
                                when r.loaded then 'loaded' when r.loaded is not null then 'quarantined' else 'ignored' end as result
                    from data_{raw.name} d
                    left join (select source_row, bool_or(loaded) as loaded from row_result where table_name = ? group by 1) r using (source_row)
                )""",
                [raw.name],
            ).fetchone()
            counts = dict(zip(_LEDGER_COUNTS, counts, strict=True))
            counts["rows_received"] += len(aside)
            counts["rows_quarantined"] += aside.count("quarantined")
            counts["rows_ignored"] += aside.count("ignored")
            cells = f"""select count(distinct (row_number, column_name)) from quarantine
                where table_name = ? and row_number in (select source_row from row_result where table_name = {quote(raw.name)} and loaded)"""
            counts["cells_quarantined"] = self.con.execute(cells, [raw.name]).fetchone()[0]
            if counts["rows_received"] != sum(counts[c] for c in _LEDGER_COUNTS[1:]):
                raise AssertionError(f"the ledger of {raw.file} {raw.sheet} does not balance: {counts}")
            rows.append(
                {
                    "centre_id": self.spec.centre.id,
                    "submission": self.submission,
                    "file": raw.file,
                    "sheet": raw.sheet,
                    **counts,
                }
            )
        return pa.Table.from_pylist(sorted(rows, key=lambda row: (row["file"], row["sheet"])))
