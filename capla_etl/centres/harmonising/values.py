"""SQL of a spec's records: how the text of each column becomes a study value, and which rule refuses it.

Expressions over whole columns for DuckDB; nothing is read or written here.

What does not belong here: rules that need other rows (time, known patients, duplicates) and what is kept
(harmonise.py).
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused, listed
from capla_etl.centres.harmonising.pseudonym import patient_id_sql
from capla_etl.centres.reading.cell_text import cleaned
from capla_etl.centres.reading.read import RawTable
from capla_etl.centres.spec.dates import day_sql, full_year_sql, zone_needed_sql
from capla_etl.centres.spec.grammar import (
    CodedColumn,
    Record,
    Source,
    Spec,
    fields_that_measure,
    placeholder_columns,
    source_columns,
)
from capla_etl.centres.spec.numbers import COMPARATORS, Notation, comparator, comparator_sql
from capla_etl.fields.units import DECIMAL_DIGITS, conversion, limit_range, needs_limit
from capla_etl.sql import identifier, quote, texts

#: Undeclared words: they stop the centre instead of going to the quarantine.
STOPPING_RULE = "unknown_code"


@dataclass(frozen=True)
class Parsed:
    """How one study field is read: SQL of its text, value and rule over a row's text columns.

    ``rule`` names what is wrong, else null. ``expected`` holds the words for messages. A field that is read together
    with another (a comparator with its number) has no rule of its own and ``depends_on`` the other.
    ``unless_refused``: another field of the same cell; where it is no possible value, the answer is unknown.
    ``record_rule``: SQL of the rule that refuses the whole record, where the cell says whether there is one.
    """

    name: str
    column: str
    text: str
    value: str
    sql_type: str
    rule: str = "null"
    is_date: bool = False
    depends_on: str | None = None
    unless_refused: str | None = None
    record_rule: str | None = None
    expected: dict[str, str] = field(default_factory=dict)


def _case(subject: str, codes: dict[str, str]) -> str:
    """SQL that maps words onto codes; null for any other word."""
    return f"case {subject} {' '.join(f'when {quote(word)} then {quote(code)}' for word, code in codes.items())} end"


def first_rule(rules: list[tuple[str, str]]) -> str:
    """SQL of the first rule whose condition holds."""
    whens = " ".join(f"when {condition} then {quote(rule)}" for condition, rule in rules)
    return f"case {whens} end" if rules else "null"


class RecordSql:
    """Builds the SQL of one record of the spec.

    ``aliases``: column of the file -> short name in the SQL. ``fields``: harmonised column -> (declared field, its
    source). ``run_field``: the field of a run from-to that becomes one record a day, if there is one.
    """

    def __init__(self, spec: Spec, raw: RawTable, record: Record):
        self.spec, self.raw, self.table, self.record = spec, raw, spec.tables[raw.name], record
        table = self.table
        self.dates = {"epoch": raw.epoch, "zone": table.zone or spec.zone}
        self.target = fields.tables()[record.table]
        self.is_patient = record.table == "patient"
        declared = fields.fields()
        measured = [n for n in record.fields if record.table == "lab_result" and declared[n].analyte]
        self.analyte = declared[measured[0]].analyte if measured else None
        self.fields = {("value" if n in measured else n): (n, source) for n, source in record.fields.items()}
        self.list_field = next((n for n, (_, s) in self.fields.items() if s.separator and s.centres is None), None)
        self.run_field = next((n for n, (_, s) in self.fields.items() if s.run_to), None)
        columns = [table.key, *(c for s in record.fields.values() for c in source_columns(s))]
        columns += [record.present.column] if record.present else []
        self.columns = list(dict.fromkeys(columns))
        self.aliases = {c: f"c{i}" for i, c in enumerate(self.columns)}
        self._once: list[dict[str, str]] = [{}, {}]

    # ---------------------------------------------------------------- rows

    def base(self) -> str:
        """Text columns of the data rows: a row per repetition of repeated columns and per item of a list in a cell."""
        rows = f"data_{self.raw.name} where capla_status = 'data'"
        if self.table.row_kinds:
            rows += f" and capla_kind = {quote(self.record.rows)}"
        selects = []
        for k in self._repetitions():
            texts_of = {
                c: cleaned(self.table, identifier(self.raw.named(c.replace("{k}", str(k))))) for c in self.aliases
            }
            if self.spec.missing:
                key = texts_of[self.table.key]
                texts_of[self.table.key] = f"case when {key} not in {texts(self.spec.missing)} then {key} end"
            cells = ", ".join(f"{text} as {self.aliases[c]}" for c, text in texts_of.items())
            selects.append(f"select source_row, {k} as k, {cells} from {rows}")
        sql = " union all ".join(selects)
        if self.list_field:
            source = self.fields[self.list_field][1]
            cell = self.aliases[source.column]
            others = ", ".join(a for a in self.aliases.values() if a != cell)
            mark = quote(source.separator.strip() or source.separator)
            # a list without an item is one blank cell: the record may have other content
            none = f"clean(replace({cell}, {mark}, '')) is null"
            items = f"unnest(string_split(case when {none} then '' else {cell} end, {mark}))"
            sql = f"""select source_row, k, {others}, clean(item) as {cell}
                from (select *, {items} as item, {none} as no_item from ({sql}))
                where clean(item) is not null or no_item"""
        for level in self._once:
            if level:
                sql = f"select *, {', '.join(f'{text} as {name}' for text, name in level.items())} from ({sql})"
        return sql

    def _computed_once(self, text: str, level: int = 0) -> str:
        """Name of a column of ``base`` that holds a text, so that what is read from it does not repeat its SQL."""
        return self._once[level].setdefault(text, f"text_{level}_{len(self._once[level])}")

    def _repetitions(self) -> list[int]:
        """Numbers of the repeated columns in the header; [0] if no column repeats."""
        groups = {c: placeholder_columns(c, self.raw.header) for c in self.columns if "{k}" in c}
        every = sorted(set().union(*groups.values()))
        problems = [
            f"{self.table.file}: column {column!r} is missing for {{k}} = {listed(lacking)}; the repeated columns "
            f"{listed(groups)} go from {every[0]} to {every[-1]}."
            for column, found in groups.items()
            if (lacking := [k for k in every if k not in found])
        ]
        if problems:
            raise CentreRefused(self.spec.centre.id, problems)
        return every or [0]

    def present(self) -> str:
        """Condition under which a row holds this record."""
        if present := self.record.present:
            cell = self.aliases[present.column]
            if present.yes:
                return f"{cell} in {texts(present.yes)}"
            return f"{cell} not in {texts(['', *self.spec.missing])}"
        shown = [n for n in self.fields if n in self.target.present and self.fields[n][1].column]
        shown = [n for n in shown if not self._shared(n)] or shown
        if not shown or any(self.fields[n][1].filled and self.fields[n][1].blank for n in shown):
            return "true"
        there = [f"({self._text(n)}) is not null" for n in shown]
        there += [f"{self.aliases[s.column]} is null" for n in shown if (s := self.fields[n][1]).blank]
        there += [f"({self._run_end(s)}) is not null" for _, s in self.fields.values() if s.run_to]
        return "(" + " or ".join(there) + ")"

    def _shared(self, name: str) -> bool:
        """Whether a column says nothing of this record alone: others like it, or its repetitions, read the same one.

        Dates are a record's own. A volume beside two runs, or a drug beside two courses, may be of the other one.
        """
        declared_name, source = self.fields[name]
        alike = [r for r in self.table.records if r.table == self.record.table and r.rows == self.record.rows]
        readers = sum(any(s.column == source.column for s in r.fields.values()) for r in alike)
        repeats = any("{k}" in c for c in self.columns) and "{k}" not in source.column
        return fields.fields()[declared_name].type != "date" and (readers > 1 or repeats)

    def unknown_presence(self) -> str | None:
        """Rows (``word``, ``source_row``) whose presence column holds an undeclared word."""
        present = self.record.present
        if not present or not present.yes:
            return None
        cell = self.aliases[present.column]
        known = texts([*present.yes, *present.no])
        return f"select {cell} as word, source_row from ({self.base()}) where {cell} not in {known}"

    # ---------------------------------------------------------------- values

    def parse_all(self) -> list[Parsed]:
        """Every field of the record."""
        return [parsed for name in self.fields for parsed in self._parse(name)]

    def known_words(self, parsed: Parsed) -> list[str]:
        """Words that the spec knows in the column of a parsed field."""
        for name, (declared_name, source) in self.fields.items():
            if name == parsed.name and source.vocabulary is not None:
                return list(self._vocabulary(source, fields.fields()[declared_name]))
            if source.column == parsed.column and source.centres:
                return [f"{word}{source.separator}<number>" for word in source.centres]
            if source.comparator and source.comparator.column == parsed.column:
                return list(source.comparator.codes)
        return []

    def _text(self, name: str) -> str:
        """SQL of a field's cell; null where it holds a missing code, or a word that only fills an answer."""
        declared_name, source = self.fields[name]
        if source.constant is not None:
            return quote(source.constant)
        missing = [*self.spec.missing, *source.missing]
        if declared_name in fields_that_measure():
            missing += [w for _, s in self.fields.values() if s.column == source.column for w in s.words]
        declared = fields.fields().get(declared_name)
        is_number = declared is not None and declared.type in ("number", "integer")
        return self._not_missing(self.aliases[source.column], missing, source if is_number else None)

    def _not_missing(self, cell: str, missing: list[str], number: Source | None = None) -> str:
        """SQL of a cell, null where it is a missing code: as a word or, given the source of a number, as a number."""
        if not missing:
            return cell
        same = self._is_word(cell, missing, number) if number else f"{cell} in {texts(missing)}"
        return self._computed_once(f"case when {same} then null else {cell} end")

    def _is_word(self, cell: str, words: list[str], source: Source) -> str:
        """SQL of whether a cell of numbers is one of the spec's words: as a text, or as the number that a word is.

        A number is the same however it is written (0, 0.0, 0,0; in per cent also 0 %), and ``<5`` is no 5.
        """
        notation, percent = self._notation(source), self._percent(source)
        shape = f"regexp_full_match({cell}, {quote(notation.pattern())})"
        if percent:
            shape = f"({shape} or {percent} and regexp_full_match({cell}, {quote(notation.pattern(True))}))"
        numbers: dict[str, list[Decimal]] = {}
        for word in words:
            forms = (form.number(word, percent is not None) for form in (notation, Notation(".")))
            if (number := next((n for n in forms if n is not None), None)) is not None:
                numbers.setdefault(comparator(word), []).append(number)
        same = [f"{cell} in {texts(words)}"]
        for sign, those in numbers.items():
            value = f"try_cast({notation.plain_sql(cell)} as double) in ({', '.join(f'{n:f}' for n in those)})"
            same.append(f"{shape} and {comparator_sql(cell)} = {quote(sign)} and {value}")
        return f"({' or '.join(same)})"

    def _run_end(self, source: Source) -> str:
        """SQL of the cell with the last day of a run; null where it holds a missing code."""
        return self._not_missing(self.aliases[source.run_to], [*self.spec.missing, *source.missing])

    def _notation(self, source: Source) -> Notation:
        return Notation(source.decimal or self.table.decimal, source.thousands)

    def _parse(self, name: str) -> list[Parsed]:
        declared_name, source = self.fields[name]
        declared, text = fields.fields().get(declared_name), self._text(name)
        plain = Parsed(name, source.column or "", text, text, declared.sql_type if declared else "VARCHAR")
        if source.centres:
            return self._reference(source, plain)
        if declared.type == "date":
            return self._date(declared, source, plain)
        if declared.type in ("number", "integer"):
            return self._number(declared, source, plain)
        if source.constant is not None or declared.type == "text":
            return [plain]
        if source.vocabulary is None:
            return self._filled(declared, source, plain)
        return [self._code(declared, source, plain)]

    def _measured_there(self, name: str, column: str) -> list[Parsed]:
        """The field of the record that reads a column as a date or number, besides the named one."""
        for other, (declared_name, source) in self.fields.items():
            if other != name and source.column == column and declared_name in fields_that_measure():
                return self._parse(other)
        return []

    def _reference(self, source: Source, plain: Parsed) -> list[Parsed]:
        """Another centre's patient: its word for the centre, a separator, the patient number there."""
        centre = _case(f"split_part({plain.text}, {quote(source.separator)}, 1)", source.centres)
        # the number may hold the separator too
        rest = f"substr({plain.text}, strpos({plain.text}, {quote(source.separator)}) + {len(source.separator)})"
        number = f"case when contains({plain.text}, {quote(source.separator)}) then key_form({rest}) end"
        rule = first_rule([(f"{plain.text} is not null and ({centre} is null or {number} is null)", STOPPING_RULE)])
        first = replace(plain, name="transferred_from_centre_id", value=centre, rule=rule)
        there = replace(plain, name="transferred_from_centre_patient_id", value=number, depends_on=first.name)
        hashed = patient_id_sql(f"({centre})", f"({number})")
        return [first, there, replace(there, name="transferred_from_patient_id", value=hashed)]

    def _vocabulary(self, source: Source, declared: fields.Field) -> dict[str, str]:
        """The centre's word -> study code."""
        if source.vocabulary == "study":
            return {code: code for code in declared.codes}
        return self.spec.vocabularies[source.vocabulary] if isinstance(source.vocabulary, str) else source.vocabulary

    def _code(self, declared: fields.Field, source: Source, plain: Parsed) -> Parsed:
        missing = "'unknown'" if declared.type == "answer" else "null"
        mapped = _case(plain.text, self._vocabulary(source, declared))
        blank = f"when {self.aliases[source.column]} is null then {quote(source.blank)}" if source.blank else ""
        return replace(
            plain,
            value=f"case {blank} when {plain.text} is null then {missing} else {mapped} end",
            rule=first_rule([(f"{plain.text} is not null and {mapped} is null", STOPPING_RULE)]),
        )

    def _filled(self, declared: fields.Field, source: Source, plain: Parsed) -> list[Parsed]:
        """An answer by whether a cell is filled in: with a declared word, or with what the column holds.

        What the column holds is read as a field of its own. Where that is refused (no date, or one after the cut-off),
        the answer is unknown, and the refusal is the question to the centre.
        """
        missing = "'unknown'" if declared.type == "answer" else "null"
        filled, blank = (quote(code) if code else missing for code in (source.filled, source.blank))
        text, own, held = plain.text, [], self._measured_there(plain.name, source.column)
        if source.date_format:
            text_of_date = self._not_missing(text, source.words)
            dated = Parsed(f"{plain.name}_date", source.column, text_of_date, text_of_date, "DATE")
            own = held = self._date(fields.fields()["event_date"], source, dated)
        fills = [f"{text} in {texts(source.words)}"] if source.words else []
        fills += [f"({p.value}) is not null" for p in held]
        refused = f"({held[0].rule}) is not null" if held else "false"
        neither = f"{text} is not null and not ({' or '.join(fills)}) and not {refused}"
        kinds = [*(["a date"] if held and held[0].is_date else ["a number"] if held else []), *source.words]
        answer = replace(
            plain,
            value=f"case when {text} is null then {blank} when {' or '.join(fills)} then {filled} else {missing} end",
            rule=first_rule([(neither, "not_what_fills")]),
            unless_refused=held[0].name if held else None,
            expected={"fills": listed(kinds)},
        )
        return [answer, *own]

    def _date(self, declared: fields.Field, source: Source, plain: Parsed) -> list[Parsed]:
        text = plain.text
        plain = replace(plain, is_date=True)
        if source.study_day:
            day = f"case when regexp_full_match({text}, '-?[0-9]{{1,4}}') then cast({text} as integer) end"
            rules = [
                (f"{text} is not null and {day} is null", "not_a_whole_number"),
                (f"{text} is not null and p.first_tpe_date is null", "no_reference_day"),
            ]
            after = day
            if source.study_day == "sdtm":
                rules.insert(1, (f"{day} = 0", "no_study_day_zero"))
                after = f"({day} - case when {day} > 0 then 1 else 0 end)"
            return [replace(plain, value=f"p.first_tpe_date + {after}", rule=first_rule(rules))]
        formats = source.date_format or self.table.date_format
        if source.constant is not None:
            formats = list(dict.fromkeys([*formats, "iso"]))
        language = source.date_language or self.table.date_language
        how = {**self.dates, "years_from": source.two_digit_years_from}
        value = day_sql(text, formats, language, **how)
        partial = source.partial_date_format
        month = day_sql(text, [partial], language, prefix="01 ", **how) if partial else "null"
        expected = {"dates": ", ".join([*formats, *([partial] if partial else [])])}
        rule = self._date_rule(text, f"{value} is null and {month} is null", formats)
        record_rule = f"r_{plain.name}" if self._says_presence(source) else None
        parsed = [replace(plain, value=value, rule=rule, expected=expected, record_rule=record_rule)]
        if partial:
            parsed.append(replace(plain, name=declared.partial, value=month, depends_on=plain.name))
        if source.run_to:
            end = self._run_end(source)
            last = day_sql(end, formats, language, **how)
            rule = self._date_rule(end, f"{last} is null", formats)
            run_end = Parsed("run_end", source.run_to, end, last, plain.sql_type, rule, is_date=True, expected=expected)
            parsed.append(run_end)
        return parsed

    def _date_rule(self, text: str, no_date: str, formats: list[str]) -> str:
        rules = (
            [] if self.dates["zone"] else [(f"{text} is not null and {zone_needed_sql(text, formats)}", "zone_missing")]
        )
        return first_rule([*rules, (f"{text} is not null and {no_date}", "not_a_date")])

    def _says_presence(self, source: Source) -> bool:
        """Whether the record exists where this field's cell is filled in."""
        present = self.record.present
        return present is not None and not present.yes and present.column == source.column

    def _number(self, declared: fields.Field, source: Source, plain: Parsed) -> list[Parsed]:
        notation = self._notation(source)
        thousands = f", {source.thousands!r} between thousands" if source.thousands else ""
        expected = {"number": f"{notation.decimal!r} as decimal mark{thousands}"}
        text, sign = plain.text, None
        if source.comparator:
            codes = {word: COMPARATORS.get(code, code) for word, code in source.comparator.codes.items()}
            sign = _case(f"coalesce({self.aliases[source.comparator.column]}, '')", codes)
        if source.stands_for:
            # a word of the comparator column that means "exact" says that the code is a number here
            exact = f"and not ({sign} = '' and {self.aliases[source.comparator.column]} is not null)" if sign else ""
            meanings = " ".join(
                f"when {self._is_word(text, [word], source)} {exact} then {quote(means)}"
                for word, means in source.stands_for.items()
            )
            text = self._computed_once(f"case {meanings} else {text} end", level=1)
        in_text, in_value = comparator_sql(text), f"nullif({comparator_sql(text)}, '')"
        percent = self._percent(source)
        is_number = f"regexp_full_match({text}, {quote(notation.pattern(percent is not None))})"
        number = f"try_cast({notation.plain_sql(text)} as double)"
        rules = []
        if sign:
            rules.append((f"{in_text} <> '' and {sign} <> '' and {in_text} <> {sign}", "comparator_contradiction"))
            in_value = f"coalesce({in_value}, nullif({sign}, ''))"
        rules.append((f"not {is_number} or {number} is null", "not_a_number"))
        if percent:
            rules.append((f"right({text}, 1) = '%' and not {percent}", "not_a_number"))
        if not declared.comparator:
            rules.append((f"{in_text} <> ''", "comparator_not_allowed"))
        if source.two_digit_years_from is not None:
            year = full_year_sql(text, source.two_digit_years_from)
            number = f"case when length({text}) = 2 then {year} else {number} end"
        exact = f"try_cast({notation.plain_sql(text)} as decimal(28, 12))"
        value, unit_rules = self._in_own_unit(declared, source, (number, exact), notation, expected)
        rules += unit_rules
        if declared.range:
            low, high = declared.range
            rules.append((f"{value} not between {low} and {high}", "out_of_range"))
            ranges = [f"{low} to {high} {declared.unit or ''}".strip()]
            ranges += [f"{a} to {b} {u}" for u, (a, b) in declared.sent_range.items()]
            expected["range"] = ", ".join(ranges)
        if declared.type == "integer":
            rules.append((f"{value} <> floor({value})", "not_a_whole_number"))
        # a number too large for its type is refused as out of range, not a failed cast
        value = f"case when {is_number} then try_cast({value} as {declared.sql_type}) end"
        rule = f"case when {text} is not null then {first_rule(rules)} end"
        parsed = [replace(plain, value=value, rule=rule, expected=expected)]
        if self._says_presence(source):
            # an amount that is not plausible is one, and only unknown; no number, or none above 0, is not
            record_rule = f"case when coalesce(v_{plain.name}, 0) <= 0 then r_{plain.name} end"
            parsed = [replace(parsed[0], record_rule=record_rule)]
        if declared.comparator:
            name = "comparator" if plain.name == "value" else "adamts13_comparator"
            parsed.append(replace(plain, name=name, value=in_value, sql_type="VARCHAR", depends_on=plain.name))
        if isinstance(source.unit, CodedColumn):
            cell = self.aliases[source.unit.column]
            parsed.append(
                Parsed(f"{plain.name}_unit", source.unit.column, cell, cell, "VARCHAR", depends_on=plain.name)
            )
        if sign:
            column, unknown = source.comparator.column, f"{plain.text} is not null and {sign} is null"
            rule = first_rule([(unknown, STOPPING_RULE)])
            parsed.append(Parsed(f"{plain.name}_sign", column, self.aliases[column], sign, "VARCHAR", rule))
        return parsed

    def _units(self, source: Source) -> tuple[str, list[str]]:
        """SQL of the unit of a row, and the units that it may be."""
        if isinstance(source.unit, CodedColumn):
            unit = _case(f"coalesce({self.aliases[source.unit.column]}, '')", source.unit.codes)
            return unit, list(dict.fromkeys(source.unit.codes.values()))
        return quote(source.unit or ""), [source.unit or ""]

    def _percent(self, source: Source) -> str | None:
        """SQL of whether a number may carry a percent sign: its unit is per cent; None where no row's is."""
        unit, units = self._units(source)
        return f"coalesce({unit} = '%', false)" if "%" in units else None

    def _in_own_unit(
        self, declared: fields.Field, source: Source, number: tuple[str, str], notation: Notation, expected: dict
    ) -> tuple[str, list]:
        """SQL of a number (as double, as exact decimal) in the study's unit, and the rules of units and limits."""
        unit, units = self._units(source)
        rules = []
        if isinstance(source.unit, CodedColumn):
            rules.append((f"{unit} is null", "unit_not_accepted"))
            expected["units"] = ", ".join(source.unit.codes)
        branches = []
        for name in units:
            here = f"{unit} = {quote(name)}"
            common, factor = (conversion(declared, name) if name else None) or (declared.unit, Decimal(1))
            if needs_limit(declared, common):
                text = quote(source.uln.constant) if source.uln.constant else self.aliases[source.uln.column]
                limit = f"try_cast({notation.plain_sql(text)} as double)"
                is_limit = f"regexp_full_match({text}, {quote(notation.pattern())}) and {comparator_sql(text)} = ''"
                low, high = (bound / factor for bound in map(Decimal, limit_range(declared, common)))
                plausible = f"coalesce({is_limit} and {limit} between {low:f} and {high:f}, false)"
                rules.append((f"{here} and {text} is null", "limit_missing"))
                rules.append((f"{here} and not {plausible}", "limit_not_plausible"))
                expected["limit"] = f"{low:.6g} to {high:.6g} {name}"
                converted = f"{number[0]} / {limit}"
            else:
                converted = _multiplied(*number, factor * Decimal(str(declared.units.get(common, 1))))
            if common in declared.sent_range:
                low, high = (bound / factor for bound in map(Decimal, declared.sent_range[common]))
                rules.append((f"{here} and {number[0]} not between {low:f} and {high:f}", "out_of_range"))
            branches.append(f"when {quote(name)} then {converted}")
        return f"case {unit} {' '.join(branches)} end", rules


def _multiplied(number: str, exact: str, factor: Decimal) -> str:
    """SQL of a number times a factor: in decimal arithmetic where both are decimal, else in binary."""
    if factor == 1:
        return number
    digits, exponent = factor.as_tuple().digits, factor.as_tuple().exponent
    scale = max(-exponent, 0)
    width = max(len(digits) + max(exponent, 0), scale + 1)
    in_binary = f"{number} * cast({factor:f} as double)"
    if width > DECIMAL_DIGITS:
        return in_binary
    in_decimal = f"cast({exact} * cast({factor:f} as decimal({width}, {scale})) as double)"
    return f"case when cast({exact} as double) = {number} then {in_decimal} else {in_binary} end"
