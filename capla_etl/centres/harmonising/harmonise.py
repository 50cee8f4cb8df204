"""Turn a centre's text tables into harmonised records by its spec; accept or refuse every value, with place and reason.

One SQL statement per record of the spec, over whole columns in DuckDB. A value that is not understood, out of range,
impossible in time or without a known patient goes to the quarantine. An undeclared word stops the centre: its meaning
would be a guess.

What does not belong here: reading files (read.py), where results are kept (load.py), rules of outcomes (dbt models).
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches

import duckdb
import pyarrow as pa

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused, listed, said_place
from capla_etl.centres.harmonising import own_dates
from capla_etl.centres.harmonising.columns import NO_RULES, Reading, doubts, reading, tally
from capla_etl.centres.harmonising.pseudonym import birth_date_linkage_sql, patient_id_sql, use_key
from capla_etl.centres.harmonising.rules import (
    AGAINST,
    ALIKE,
    CONTRADICTIONS,
    FIRST_AND_LAST_DAY_OF_DEATH,
    FIRST_YEAR,
    LONGEST_BEFORE_DAYS,
    LONGEST_RUN_DAYS,
    NO_NUMBER,
    OLDEST_YEARS,
    ROUNDED,
    accepted_sql,
    given_sql,
    message_sql,
    second_value_sql,
    time_rule_sql,
)
from capla_etl.centres.harmonising.values import STOPPING_RULE, Parsed, RecordSql, first_rule
from capla_etl.centres.reading.cell_text import cleaned, filled_down_sql, patient_number, use_cell_forms
from capla_etl.centres.reading.identifiers import kinds_in
from capla_etl.centres.reading.read import EARLIER_ROW, RawTable
from capla_etl.centres.reading.sent_files import sent_in
from capla_etl.centres.spec.dates import use_zones
from capla_etl.centres.spec.grammar import (
    RowKinds,
    Spec,
    Table,
    measured_columns,
    naming_records,
    source_columns,
    withheld_columns,
    withheld_note,
)
from capla_etl.sql import identifier, quote, texts

#: A message quotes at most this many unknown words of a column.
_WORDS_QUOTED = 3
#: A text of at most this length counts as a code; a longer one may be a name.
_LENGTH_OF_A_CODE = 3

_QUARANTINE = """table_name varchar, file varchar, sheet varchar, row_number bigint, column_name varchar,
    raw_value varchar, rule varchar, message varchar, patient_id varchar"""
_ADDED_FIELD = """centre_id varchar, patient_id varchar, field varchar, source_file varchar, source_sheet varchar,
    source_row bigint, source_record varchar, source_repetition integer"""
#: What can become of a row, in the order of the ledger; and whether a record of a row was accepted.
_RESULTS = ("loaded", "duplicate", "quarantined", "ignored")
_LOADED = "select table_name, source_row, bool_or(loaded) as loaded from row_result group by 1, 2"


#: Row number in the file; rows of earlier submissions are numbered from ``EARLIER_ROW`` on.
_ROW_OF = f"source_row % {EARLIER_ROW}"


def _file_of(raw: RawTable) -> str:
    """SQL of the file that a row was sent in; for an earlier submission with its folder."""
    sent_in = [
        f"when {back} then {quote(f'{name}/{raw.file}')}" for back, name in enumerate(raw.earlier_submissions, 1)
    ]
    this = quote(raw.file)
    return f"case source_row // {EARLIER_ROW} {' '.join(sent_in)} else {this} end" if sent_in else this


#: Three letters in a row, or nine digits: no number, date or missing code has them.
_MAY_IDENTIFY = "[[:alpha:]]{3}|([0-9][^0-9]*){9}"
_WITHHELD = "(withheld: may identify)"


def _measured_columns(table: Table) -> set[str]:
    """Columns that are read as numbers or dates, or for whether a date or mark fills them."""
    filled = (s for r in table.records for s in r.fields.values() if s.filled)
    return {*measured_columns(table), *(c for s in filled for c in source_columns(s))}


def _declared_words(table: Table, column: str) -> list[str]:
    """The words that fill a column: the spec has them, so they identify nobody."""
    return [w for r in table.records for s in r.fields.values() if s.column == column for w in s.words]


def _described(word: str, known: list[str], has_names: bool) -> str:
    """A word in quotation marks, unless it is an identifier by its form, or stands in a file with identifying columns.

    In such a file it is quoted only if it is short or like a known one, else described by its length.
    """
    if kinds := kinds_in(word) - {"formula"}:
        return f"a text of {len(word)} characters (not quoted: {listed(sorted(kinds))})"
    if (
        not has_names
        or len(word) <= _LENGTH_OF_A_CODE
        or get_close_matches(word.casefold(), [k.casefold() for k in known])
    ):
        return repr(word)
    return f"a text of {len(word)} characters (not quoted: the file has identifying columns)"


@dataclass
class _Part:
    """One record of the spec, its number there, and its fields; ``table``: the table that it was parsed into."""

    raw: RawTable
    number: int
    built: RecordSql
    parsed: list[Parsed] = field(default_factory=list)
    table: str = ""
    names_patients: bool = True

    def values(self) -> dict[str, str]:
        """SQL of the accepted value of each field."""
        values = {p.name: accepted_sql(p.name, p.depends_on) for p in self.parsed}
        for p in self.parsed:
            if p.unless_refused:
                rule = f"coalesce(r_{p.unless_refused}, {quote(CONTRADICTIONS[0])})"
                values[p.name] = f"case when {rule} in {texts(CONTRADICTIONS)} then {values[p.name]} end"
        return values


class Harmoniser:
    """One centre's submission in an in-memory DuckDB: raw text tables in; harmonised tables, quarantine and ledger out.

    ``data_<table>`` holds the rows as sent with ``capla_status`` ('data', 'duplicate', 'ignored', 'refused') and
    ``capla_kind``. Each record of the spec passes through three temporary tables: ``parsed`` (text, value and rule of
    every field), ``judged`` (with the rules of time) and ``decided`` (with the rules of the whole record).
    """

    def __init__(self, spec: Spec, raws: list[RawTable], submission: date, key: bytes, keep_readings: bool = False):
        self.spec, self.raws, self.submission = spec, raws, submission
        self.problems: list[str] = []
        #: (file, sheet, column, field) -> filled cells (under '') and refused cells by rule.
        self.cells: dict[tuple[str, str, str, str], Counter] = {}
        self.keep_readings = keep_readings
        self.readings: list[Reading] = []
        self.con = duckdb.connect(config={"threads": 1})
        use_key(self.con, key)
        use_zones(self.con)
        use_cell_forms(self.con)
        self.con.execute(f"create table quarantine ({_QUARANTINE})")
        self.con.execute("create table row_result (table_name varchar, source_row bigint, loaded boolean)")
        self.con.execute("create table number_in_doubt (key_text varchar)")
        self.con.execute(f"create table added_field ({_ADDED_FIELD})")
        for target in fields.tables().values():
            columns = ", ".join(f"{c} {fields.sql_type(c)}" for c in (*target.all_columns, *target.withheld))
            self.con.execute(f"create table {target.name} ({columns})")

    def run(self) -> "Harmoniser":
        """Harmonise everything, patients first.

        Raises:
            CentreRefused: an undeclared word, or a repeated group with gaps.
        """
        for raw in self.raws:
            self._stage(raw)
        records = [
            _Part(raw, n, RecordSql(self.spec, raw, r))
            for raw in self.raws
            for n, r in enumerate(self.spec.tables[raw.name].records, 1)
        ]
        patients = [part for part in records if part.built.is_patient]
        naming = naming_records(self.spec)
        for number, part in enumerate(patients):
            part.names_patients = (part.raw.name, part.number) in naming
            self._parse(part, f"patient_part_{number}")
        self._judge_own_dates(patients, [part for part in records if part.built.record.table == "tpe_session"])
        for part in [*patients, *(part for part in records if not part.built.is_patient)]:
            self._record(part)
        self._refuse_unknown_rows()
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
        """Keep a raw table with each row's status and kind."""
        self.con.register("arrived", raw.rows)
        table = self.spec.tables[raw.name]
        key, downwards = raw.named(table.key), [raw.named(c) for c in table.fill_down]
        sent = [c for c in raw.rows.column_names if c != "source_row"]
        same = ", ".join(f"coalesce({'key_form' if c == key else 'clean'}({identifier(c)}), '')" for c in sent)
        content = [f"clean({identifier(c)})" for c in sent if c != key]
        as_sent = ", ".join(f"{identifier(c)} as capla_sent_{i}" for i, c in enumerate(downwards))
        arrived = (
            f"(select * replace ({filled_down_sql(downwards)}), {as_sent} from arrived)" if downwards else "arrived"
        )
        row_kinds = table.row_kinds
        kind, ignored = self._kind(row_kinds, table, raw) if row_kinds else ("cast(null as varchar)", "false")
        self.con.execute(
            f"""create table data_{raw.name} as
            select * exclude (capla_copy, capla_ignored),
                   case when capla_copy > 1 then 'duplicate' when capla_ignored then 'ignored' else 'data' end as
                   capla_status
            from (
                select *, {kind} as capla_kind, {ignored} as capla_ignored,
                       coalesce({", ".join([*content, "null"])}) is null as capla_nothing_but_key,
                       row_number() over (partition by {same} order by source_row) as capla_copy
                from {arrived}
            )
            order by source_row"""
        )
        self.con.unregister("arrived")
        if row_kinds:
            column = identifier(raw.named(row_kinds.column))
            unknown = f"""select {cleaned(table, column)} as word, source_row from data_{raw.name}
                where capla_kind is null and capla_status = 'data'"""
            known = [word for words in row_kinds.kinds.values() for word in words]
            self._stop_on_words(raw, row_kinds.column, unknown, known)

    @staticmethod
    def _kind(row_kinds: RowKinds, table: Table, raw: RawTable) -> tuple[str, str]:
        """SQL of the kind of a row, and of whether the row is ignored."""
        column = f"coalesce({cleaned(table, identifier(raw.named(row_kinds.column)))}, '')"
        kinds = row_kinds.kinds.items()
        branches = " ".join(f"when {column} in {texts(words)} then {quote(kind)}" for kind, words in kinds)
        otherwise = quote(row_kinds.otherwise) if row_kinds.otherwise else "null"
        ignored = f"{column} in {texts(row_kinds.ignored)}" if row_kinds.ignored else "false"
        return f"case {branches} else {otherwise} end", ignored

    def _stop_on_words(self, raw: RawTable, column: str, query: str, known: list[str]) -> None:
        """Add a problem for undeclared words (``word``, ``source_row``); quote few, as many suggest another column."""
        counted = f"select word, count(*), min(source_row) from ({query}) group by 1 order by 2 desc, 1"
        words = self.con.execute(counted).fetchall()
        if not words:
            return
        found = f"{len(words)} different words (is it the right column?)"
        if len(words) <= _WORDS_QUOTED:
            has_names = bool(self.spec.tables[raw.name].forbidden)
            found = ", ".join(_described(word, known, has_names) for word, _, _ in words)
        place = said_place(raw.file, raw.sheet)
        self.problems.append(
            f"{self.spec.centre.id}/{self.submission}/{place}, column {column!r}: found {found} in "
            f"{sum(w[1] for w in words)} row(s), first in row {min(w[2] for w in words)}; "
            f"expected one of: {listed(known)}. Ask the centre what it means, then add it to the vocabulary in "
            "centre.yml."
        )

    # ---------------------------------------------------------------- records

    def _record(self, part: _Part) -> None:
        """One record of the spec: parse (patients are already), judge, decide, keep."""
        raw, built = part.raw, part.built
        if not built.is_patient:
            self._parse(part, "parsed")
        if unknown := built.unknown_presence():
            present = built.record.present
            self._stop_on_words(raw, present.column, unknown, [*present.yes, *present.no])
        self._judge(part)
        for p in part.parsed:
            unknown = f"select t_{p.name} as word, source_row from judged where r_{p.name} = '{STOPPING_RULE}'"
            self._stop_on_words(raw, p.column, unknown, built.known_words(p))
        self._judge_columns(part)
        self._decide(part)
        if self.keep_readings:
            self._say_what_is_read(part)
        self._refuse(part)
        self._keep(part)

    def _judge_columns(self, part: _Part) -> None:
        """Add problems for what whole columns show; count filled and refused cells."""
        raw, built = part.raw, part.built
        counted = tally(self.con, built, part.parsed)
        place = said_place(raw.file, raw.sheet)
        self.problems += [
            f"{self.spec.centre.id}/{self.submission}/{place}, {doubt}"
            for doubt in doubts(self.con, raw, built, part.parsed, counted)
        ]
        for p in part.parsed:
            if p.column:
                name = built.fields[p.name][0] if p.name in built.fields else p.name
                self.cells.setdefault((raw.file, raw.sheet, p.column, name), Counter()).update(
                    {rule: cells for rule, cells in counted[p.name].items() if rule not in NO_RULES}
                )

    def _say_what_is_read(self, part: _Part) -> None:
        """Keep what was read of each field, for the people who check a spec."""
        raw, table = part.raw, part.built.table
        for p in part.parsed:
            if p.depends_on is None and p.column:
                text = self._shown(raw, p.column, f"t_{p.name}")
                zone = table.zone or self.spec.zone or ""
                self.readings.append(reading(self.con, raw, part.built, part.parsed, p, text, zone))

    def _parse(self, part: _Part, name: str) -> None:
        """Make table ``name``: text t_, value v_ and rule r_ of every field, with what is known of the patient."""
        built = part.built
        part.parsed, part.table = built.parse_all(), name
        key = f"key_form({built.aliases[built.table.key]})"
        columns = ", ".join(
            f"{p.text} as t_{p.name}, cast({p.value} as {p.sql_type}) as v_{p.name}, "
            f"cast({p.rule} as varchar) as r_{p.name}"
            for p in part.parsed
        )
        if built.is_patient:
            patient, join = f"{patient_id_sql(quote(self.spec.centre.id), 'b.key_text')} as patient_id", ""
        else:
            patient = """p.patient_id, p.birth_date, p.birth_year,
                coalesce(p.first_tpe_date, own.first_session) as day0,
                case when not own.death_in_doubt then coalesce(p.death_date, last_day(p.death_month)) end
                as last_possible_day"""
            join = "left join patient p on p.centre_patient_id = b.key_text left join own on own.key_text = b.key_text"
        self.con.execute(
            f"""create or replace temp table {name} as
            select b.source_row, b.k, b.key_text, {patient}, {columns}
            from (select *, {key} as key_text from ({built.base()})) b {join} where {built.present()}"""
        )

    def _judge_own_dates(self, patients: list[_Part], sessions: list[_Part]) -> None:
        """Make table ``own``: the verdict on each patient's own dates, accepted from whichever record has them."""
        names = ("birth_date", "birth_year", "first_tpe_date", "last_contact_date", "discharge_date")
        names += ("reported_response_date", "death_date", "death_month")
        parts, columns = [], {}
        for number, part in enumerate(patients):
            there = {p.name: p for p in part.parsed}
            for name, p in there.items():
                if name in own_dates.OWN and p.column:
                    columns.setdefault(own_dates.OWN[name], f"column {p.column!r}")
            cells = ", ".join(
                f"{self._possible(name) if name in there else f'cast(null as {fields.sql_type(name)})'} as {name}"
                for name in names
            )
            parts.append(f"select key_text, {number} as part, source_row, {cells} from {part.table}")
        dates = ["select cast(null as varchar) as key_text, cast(null as date) as day where false"]
        for part in sessions:
            (day,) = (p for p in part.built.parse_all() if p.name == "session_date")
            if not part.built.fields["session_date"][1].study_day:
                key = f"key_form({part.built.aliases[part.built.table.key]})"
                dates.append(
                    f"""select {key}, cast({day.value} as date) from ({part.built.base()}) where {part.built.present()}
                    and cast({day.value} as date) between date '{self.submission}' - interval {OLDEST_YEARS} year
                    and date '{self.submission}'"""
                )
        firsts = ", ".join(f"arg_min({n}, (part, source_row)) filter ({n} is not null) as {n}" for n in names)
        self.con.execute(
            f"""create temp table own_sent as
            select *, birth_date as birth, coalesce(death_date, last_day(death_month)) as death
            from (select key_text, {firsts} from ({" union all ".join(parts)}) where key_text is not null group by 1)
            left join (select key_text, min(day) as first_session from ({" union all ".join(dates)}) group by 1)
            using (key_text)"""
        )
        self.con.execute(
            f"""create table own as select verdict.*, o.* exclude (key_text)
            from ({own_dates.judged_sql("own_sent", columns)}) verdict join own_sent o using (key_text)"""
        )

    def _possible(self, name: str) -> str:
        """SQL of an own date, null where it was refused or no patient can have it."""
        accepted = accepted_sql(name, "death_date" if name == "death_month" else None)
        if name == "birth_year":
            return accepted
        earliest = "" if name == "birth_date" else f" and year({accepted}) >= {FIRST_YEAR}"
        return f"case when {accepted} <= date '{self.submission}'{earliest} then {accepted} end"

    def _judge(self, part: _Part) -> None:
        """``judged``: rules of time, which need the patient's own dates (PROTOCOL 2), and of a second value."""
        built, source, rules = part.built, part.table, []
        if built.is_patient:
            self._say_oldest(part.parsed)
            own = [p for p in part.parsed if p.name in built.target.fillable]
            before = ", ".join(f"p.{p.name} as p_{p.name}" for p in own)
            source = f"""(
                select f.*, own.* exclude (key_text){before and ", " + before}
                from {part.table} f left join own using (key_text)
                left join patient p on p.centre_patient_id = f.key_text)"""
        partial = any(p.name == "death_month" for p in part.parsed)
        for p in part.parsed:
            found = [f"r_{p.name}", *self._time_rules(p, built.is_patient, partial)]
            if built.is_patient and p.depends_on is None and p.name in built.target.fillable:
                found.append(second_value_sql(p, part.parsed))
            if len(found) > 1:
                rules.append(f"coalesce({', '.join(found)}) as r_{p.name}")
        replaced = f"replace ({', '.join(rules)})" if rules else ""
        self.con.execute(f"create or replace temp table judged as select * {replaced} from {source}")

    def _time_rules(self, p: Parsed, of_patient: bool, partial: bool) -> list[str]:
        """SQL of the rules that a dated value breaks, or null each; ``partial``: a death may have a month alone."""
        value, cutoff = f"v_{p.name}", self.submission
        if not of_patient:
            if not p.is_date:
                return []
            early = f"case when {value} < day0 - {LONGEST_BEFORE_DAYS} then 'long_before_first_exchange' end"
            long_before = [early] if p.name == "result_date" else []
            return [time_rule_sql(value, cutoff, "birth_date", "birth_year", "last_possible_day"), *long_before]
        old = f"when year({value}) < {cutoff.year - OLDEST_YEARS} then 'before_birth'"
        if p.name == "age_years_reported":
            years = "date_diff('year', birth_date, first_tpe_date)"
            return [f"case when abs({value} - {years}) > 1 then 'birth_contradicts' end"]
        if p.name not in own_dates.OWN:
            late = f"case when {value} > date '{cutoff}' then 'after_data_cutoff' {old} end"
            return [late] if p.is_date and p.depends_on is None else []
        date = own_dates.OWN[p.name]
        if p.name == "birth_year":
            differs = f"case when {value} <> year(birth_date) then 'birth_contradicts' end"
            return [differs, f"case when {value} = birth_year then rule_birth end"]
        first, last = (value, value) if p.name != "death_date" or not partial else FIRST_AND_LAST_DAY_OF_DEATH
        late = f"when {first} > date '{cutoff}' then 'after_data_cutoff'"
        old = f"when year({last}) < {FIRST_YEAR} then 'long_ago'"
        if p.name == "birth_date":
            old = f"when date_diff('year', {value}, first_tpe_date) > {OLDEST_YEARS} then 'out_of_range'"
        return [f"case {late} {old} end", f"case when {last} = {date} then rule_{date} end"]

    def _say_oldest(self, parsed: list[Parsed]) -> None:
        for p in parsed:
            if p.name == "birth_date":
                p.expected["range"] = f"age 0 to {OLDEST_YEARS} years at the first exchange"

    def _decide(self, part: _Part) -> None:
        """``decided``: rules of runs, courses and the key, and whether all that the record requires is there."""
        built, parsed = part.built, part.parsed
        names = {p.name for p in parsed}
        changed = []
        if built.run_field:
            run = built.run_field
            changed.append(
                f"""case when r_{run} is not null then r_{run}
                when (v_{run} is null) <> (v_run_end is null) then 'run_without_end'
                when v_run_end < v_{run} then 'run_reversed'
                when v_run_end - v_{run} + 1 >= {LONGEST_RUN_DAYS} then 'run_too_long'
                when v_{run} <= max(case when r_{run} is null and r_run_end is null and v_run_end >= v_{run}
                    and v_run_end - v_{run} + 1 < {LONGEST_RUN_DAYS} then v_run_end end) over (
                    partition by patient_id order by v_{run}, source_row rows between unbounded preceding and 1
                    preceding
                ) or exists (
                    from tpe_session t
                    where t.patient_id = judged.patient_id and session_date between v_{run} and v_run_end
                ) then 'run_overlaps' end as r_{run}"""
            )
        if {"start_date", "end_date"} <= names:
            reversed_course = "r_end_date is null and r_start_date is null and v_end_date < v_start_date"
            changed.append(f"case when {reversed_course} then 'end_before_start' else r_end_date end as r_end_date")
        key_rule = self._key_rule(part)
        required = [p.name for p in parsed if p.name in built.target.required]
        needed = [f"r_{p.name}" for p in parsed if p.name in required or p.name == "run_end"]
        needed += [p.record_rule for p in parsed if p.record_rule]
        needed += [f"case when v_{name} is null then 'required_missing' end" for name in required]
        replaced = f"replace ({', '.join(changed)})" if changed else ""
        self.con.execute(
            f"""create or replace temp table decided as
            select *, key_rule is null and coalesce({", ".join([*needed, "null"])}) is null as accepted
            from (select * {replaced}, {key_rule} as key_rule from judged)"""
        )

    def _key_rule(self, part: _Part) -> str:
        """SQL of the rule that a patient's number breaks, or null."""
        no_number = [
            (f"regexp_full_match(key_text, '{ROUNDED}')", "rounded_number"),
            (f"regexp_full_match(key_text, {quote(NO_NUMBER)})", "no_number"),
        ]
        rules = [("key_text is null", "missing_key")]
        if part.built.is_patient and part.names_patients:
            bare = f"source_row in (select source_row from data_{part.raw.name} where capla_nothing_but_key)"
            again = "row_number() over (partition by key_text order by source_row) > 1"
            first = f"first_value(key_text) over (partition by {ALIKE.format('key_text')} order by source_row)"
            alike = f"{ALIKE.format('centre_patient_id')} = {ALIKE.format('key_text')}"
            other = f"exists (select 1 from patient x where {alike} and x.centre_patient_id <> key_text)"
            rules += [*no_number, (bare, "nothing_but_key"), (again, "duplicate_patient")]
            rules.append((f"{first} <> key_text or {other}", "number_alike"))
        else:
            unknown = "patient_id is null"
            if part.built.is_patient:
                unknown = "key_text not in (select centre_patient_id from patient)"
            # no known patient has such a number: it was refused there
            rules += [(f"{unknown} and {condition}", rule) for condition, rule in no_number]
            rules.append((unknown, "unknown_patient"))
            rules.append(("key_text in (select key_text from number_in_doubt)", "record_in_doubt"))
        return first_rule(rules)

    def _doubt_numbers(self) -> None:
        """Keep the numbers that two rows of the patient table have, or nearly have."""
        alike = ALIKE.format("key_text")
        doubted = "select {} from decided where key_rule in ('duplicate_patient', 'number_alike')"
        self.con.execute(
            f"""insert into number_in_doubt
            select distinct key_text from (
                select key_text from decided union select centre_patient_id from patient
            ) where {alike} in ({doubted.format(alike)})"""
        )

    def _refuse(self, part: _Part) -> None:
        """Put refused keys and values into the quarantine."""
        raw, built, parsed = part.raw, part.built, part.parsed
        head = f"insert into quarantine select {quote(raw.name)}, {_file_of(raw)}, {quote(raw.sheet)}, source_row"
        self.con.execute(
            f"""{head}, {quote(built.table.key)}, key_text, key_rule, {message_sql("key_rule", {})}, patient_id
            from decided where key_rule is not null"""
        )
        for p in parsed:
            column = f"replace({quote(p.column)}, '{{k}}', cast(k as varchar))"
            rule = f"r_{p.name}"
            if p.name in built.target.required:
                rule = f"coalesce({rule}, case when v_{p.name} is null then 'required_missing' end)"
            shown = self._shown(raw, p.column, f"t_{p.name}")
            if any(other.name == f"{p.name}_unit" for other in parsed):
                unit = self._shown(raw, built.fields[p.name][1].unit.column, f"t_{p.name}_unit")
                shown = f"case when {rule} = 'unit_not_accepted' then concat_ws(' ', {shown}, {unit}) else {shown} end"
            message = message_sql(rule, p.expected)
            if built.is_patient and p.name in own_dates.OWN:
                message = f"replace({message}, '{AGAINST}', against_{own_dates.OWN[p.name]})"
            self.con.execute(
                f"""{head}, {column}, {shown}, {rule}, {message}, patient_id
                from decided where key_rule is null and {rule} <> '{STOPPING_RULE}'"""
            )

    def _keep(self, part: _Part) -> None:
        """Put accepted records into the harmonised table; a refused cell is unknown there."""
        raw, built, values = part.raw, part.built, part.values()
        if built.target.name == "lab_result":
            values["analyte"] = quote(built.analyte)
        for column in (*built.target.columns, *built.target.withheld):
            field = fields.fields()[column]
            if field.type == "answer":
                values[column] = f"coalesce({values[column]}, 'unknown')" if column in values else "'unknown'"
            values.setdefault(column, f"cast(null as {field.sql_type})")
        if "birth_date" in built.target.withheld:
            values["birth_date_linkage"] = birth_date_linkage_sql(f"({values['birth_date']})")
        values |= {"patient_id": "patient_id", "centre_id": quote(self.spec.centre.id), "centre_patient_id": "key_text"}
        values |= {"submission": f"date '{self.submission}'", "source_file": _file_of(raw)}
        values |= {"source_sheet": quote(raw.sheet), "source_row": _ROW_OF}
        values |= {"source_record": quote(f"{raw.name}.{part.number}"), "source_repetition": "nullif(k, 0)"}
        rows = "select * from decided where accepted"
        if built.is_patient:
            if self.con.execute("select count(*) from patient").fetchone()[0]:
                self._add_to_patients(part)
            rows += " and key_text not in (select centre_patient_id from patient)"
        if built.run_field:
            run = f"v_{built.run_field}"
            days = f"unnest(generate_series({run}, v_run_end, interval 1 day))"
            rows = f"select * replace (cast(day as date) as {run}) from (select *, {days} as day from ({rows}))"
        columns = ", ".join(f"{values[c]} as {c}" for c in (*built.target.all_columns, *built.target.withheld))
        self.con.execute(f"insert into {built.target.name} select {columns} from ({rows}) order by source_row, k")
        self.con.execute(
            f"insert into row_result select {quote(raw.name)}, source_row, bool_or(accepted) from decided group by 2"
        )
        if built.is_patient and part.names_patients:
            self._doubt_numbers()
            refused = "select source_row from decided where not accepted"
            self.con.execute(f"update data_{raw.name} set capla_status = 'refused' where source_row in ({refused})")

    def _refuse_unknown_rows(self) -> None:
        """Ask about rows that hold no record and whose number is nobody's: a title, or the header of another table."""
        naming = {name for name, _ in naming_records(self.spec)}
        for raw in (raw for raw in self.raws if raw.name not in naming):
            table = self.spec.tables[raw.name]
            key = patient_number(table, identifier(raw.named(table.key)))
            missing = f" and key_text not in {texts(self.spec.missing)}" if self.spec.missing else ""
            self.con.execute(
                f"""create or replace temp table of_nobody as
                select source_row, key_text from (
                    select source_row, {key} as key_text
                    from (from data_{raw.name} where capla_status = 'data')
                    anti join (from row_result where table_name = {quote(raw.name)}) using (source_row)
                ) where key_text is not null{missing} and key_text not in (select centre_patient_id from patient)"""
            )
            self.con.execute(
                f"""insert into quarantine select {quote(raw.name)}, {_file_of(raw)}, {quote(raw.sheet)}, source_row,
                    {quote(table.key)}, key_text, 'unknown_patient', {message_sql("'unknown_patient'", {})}, null
                from of_nobody"""
            )
            self.con.execute(f"insert into row_result select {quote(raw.name)}, source_row, false from of_nobody")

    def _add_to_patients(self, part: _Part) -> None:
        """Fill fields of patients whom an earlier record has named; what they have stays."""
        values = {n: sql for n, sql in part.values().items() if n in part.built.target.fillable}
        if "birth_date" in values:
            values["birth_date_linkage"] = birth_date_linkage_sql(f"({values['birth_date']})")
        base = {p.name: p.depends_on or p.name for p in part.parsed} | {"birth_date_linkage": "birth_date"}
        firsts, changes = [], []
        for name, sql in values.items():
            of = base[name] if base[name] in values else name
            there, kept = (
                f"{given_sql(of, cell, values)} is not null" for cell in (values.__getitem__, "patient.{}".format)
            )
            firsts.append(f"first({sql} order by source_row, k) filter ({there}) as {name}")
            changes.append(f"{name} = case when {kept} then patient.{name} else coalesce(u.{name}, patient.{name}) end")
        if changes:
            self.con.execute(
                f"""update patient set {", ".join(changes)}
                from (select key_text, {", ".join(firsts)} from decided where accepted group by 1) u
                where centre_patient_id = u.key_text"""
            )
        file, record = _file_of(part.raw), quote(f"{part.raw.name}.{part.number}")
        for p in part.parsed:
            if p.depends_on is None and p.name in part.built.target.columns:
                given = given_sql(p.name, "v_{}".format, {other.name for other in part.parsed})
                there = f"{given} is not null and r_{p.name} is null and t_{p.name} is not null"
                self.con.execute(
                    f"""insert into added_field
                    select {quote(self.spec.centre.id)}, patient_id, {quote(p.name)}, {file}, {quote(part.raw.sheet)},
                        {_ROW_OF}, {record}, nullif(k, 0)
                    from decided where accepted and {there} and key_text in (select centre_patient_id from patient)
                    qualify row_number() over (partition by patient_id order by source_row, k) = 1"""
                )

    def _ages(self) -> None:
        """Set the completed years at the first session (else the stated first exchange); birth dates are not kept."""
        day = "month({0}) * 100 + day({0})"
        before_birthday = f"{day.format('first_tpe')} < {day.format('birth_date')}"
        years = f"year(first_tpe) - year(birth_date) - case when {before_birthday} then 1 else 0 end"
        sessions = "select patient_id, min(session_date) as first_session from tpe_session group by 1"
        self.con.execute(
            f"""update patient set age_years_at_first_tpe = coalesce({years}, age_years_reported)
            from (
                select patient.rowid as its_row, coalesce(first_session, first_tpe_date) as first_tpe
                from patient left join ({sessions}) using (patient_id)
            ) where patient.rowid = its_row"""
        )

    # ---------------------------------------------------------------- results

    def _shown(self, raw: RawTable, column: str, text: str) -> str:
        """SQL of a text as it may be kept: a note instead of a birth date; in files with identifying columns (whose
        cells may have slipped into others), also instead of what may be a name or telephone number."""
        table = self.spec.tables[raw.name]
        if field := withheld_columns(table).get(column):
            return f"case when clean({text}) is not null then {quote(withheld_note(field))} else {text} end"
        if table.forbidden and column in _measured_columns(table):
            declared = _declared_words(table, column)
            unless = f" and clean({text}) not in {texts(declared)}" if declared else ""
            may = f"regexp_matches({text}, {quote(_MAY_IDENTIFY)}){unless}"
            return f"case when {may} then {quote(_WITHHELD)} else {text} end"
        return text

    def corrections(self, applied: pa.Table) -> pa.Table:
        """Return what corrections changed (columns of ``quality.correction``), each text as it may be kept."""
        rows = applied.to_pylist()
        for row in rows:
            column, place = row["column_name"], (sent_in(row["file"])[1], row["sheet"])
            raw = next(r for r in self.raws if (r.file, r.sheet) == place and r.named(column) in r.rows.column_names)
            for value in ("raw_value", "corrected_value"):
                shown = self._shown(raw, column, quote(row[value]))
                row[value] = self.con.execute(f"select {shown}").fetchone()[0]
        return pa.Table.from_pylist(rows, schema=applied.schema)

    def table(self, name: str) -> pa.Table:
        """Return a harmonised table in the order of its source rows."""
        columns = fields.tables()[name].all_columns
        order = [*fields.PLACE_COLUMNS, *(c for c in columns if c not in fields.PLACE_COLUMNS)]
        query = f"select {', '.join(columns)} from {name} order by {', '.join(order)}"
        return self.con.execute(query).to_arrow_table()

    def raw_table(self, raw: RawTable) -> pa.Table:
        """Return a raw table as sent (without forbidden columns and birth dates), with each row's place and status."""
        sent = [c for c in raw.rows.column_names if c != "source_row"]
        filled = [raw.named(c) for c in self.spec.tables[raw.name].fill_down]
        exact = {raw.named(c): c for c in raw.header}
        text = {c: f"capla_sent_{filled.index(c)}" if c in filled else identifier(c) for c in sent}
        columns = ", ".join(f"{self._shown(raw, exact.get(c, c), text[c])} as {identifier(c)}" for c in sent)
        return self.con.execute(
            f"""select {_file_of(raw)} as source_file, {quote(raw.sheet)} as source_sheet, {_ROW_OF} as source_row,
                capla_status as row_status, {columns}
            from data_{raw.name} d order by d.source_row"""
        ).to_arrow_table()

    def added_fields(self) -> pa.Table:
        """Return which row gave a patient's field, where it is not the row that names the patient."""
        return self.con.execute("from added_field order by all").to_arrow_table()

    def quarantine(self) -> pa.Table:
        """Return every refused value once; scope 'row' where nothing of the row was kept, else 'cell'."""
        return self.con.execute(
            f"""select distinct {quote(self.spec.centre.id)} as centre_id, date '{self.submission}' as submission,
                   q.file, q.sheet, q.row_number % {EARLIER_ROW} as row_number, q.column_name, q.raw_value, q.rule,
                   q.message, q.patient_id, case when coalesce(r.loaded, false) then 'cell' else 'row' end as scope
            from quarantine q
            left join ({_LOADED}) r on r.table_name = q.table_name and r.source_row = q.row_number
            order by all"""
        ).to_arrow_table()

    def ledger(self) -> pa.Table:
        """Return one row per file or sheet; received = loaded + duplicate + quarantined + ignored, always."""
        rows = []
        for raw in self.raws:
            name, results = quote(raw.name), dict.fromkeys(_RESULTS, 0)
            results |= (
                self.con.execute(
                    f"""select map_from_entries(list((result, n))) from (
                    select case when capla_status in ('duplicate', 'ignored') then capla_status
                                when r.loaded then 'loaded' when r.loaded is not null then 'quarantined' else 'ignored'
                                end as result, count(*) as n
                    from data_{raw.name} d
                    left join (from ({_LOADED}) where table_name = {name}) r using (source_row)
                    group by 1
                )"""
                ).fetchone()[0]
                or {}
            )
            received = raw.rows.num_rows + len(raw.set_aside)
            for _, status, _, _ in raw.set_aside:
                results[status] += 1
            if received != sum(results.values()):
                raise AssertionError(f"the ledger of {raw.file} {raw.sheet} does not balance: {received}, {results}")
            cells = f"""select count(distinct (row_number, column_name)) from quarantine where table_name = {name}
                and row_number in (select source_row from ({_LOADED}) where table_name = {name} and loaded)"""
            rows.append(
                {
                    "centre_id": self.spec.centre.id,
                    "submission": self.submission,
                    "file": raw.file,
                    "sheet": raw.sheet,
                    "rows_received": received,
                    **{f"rows_{result}": count for result, count in results.items()},
                    "cells_quarantined": self.con.execute(cells).fetchone()[0],
                }
            )
        return pa.Table.from_pylist(sorted(rows, key=lambda row: (row["file"], row["sheet"])))
