"""SQL of a spec's records: how the text of each column becomes a study value, and which rule refuses it.

Expressions over whole columns for DuckDB; nothing is read or written here.

What does not belong here: rules that need other rows (time, known patients, duplicates) and what is kept
(harmonise.py).
"""

from dataclasses import dataclass, field, replace

from capla_etl import fields
from capla_etl.centres.errors import CentreRefused, listed
from capla_etl.centres.harmonising.pseudonym import patient_id_sql
from capla_etl.centres.reading.cell_text import cleaned
from capla_etl.centres.spec.dates import day_sql
from capla_etl.centres.spec.grammar import CodedColumn, Record, Source, Spec, Table, placeholder_columns, source_columns
from capla_etl.sql import identifier, quote, texts

#: Undeclared words: they stop the centre instead of going to the quarantine.
STOPPING_RULE = "unknown_code"


@dataclass(frozen=True)
class Parsed:
    """How one study field is read: SQL of its text, value and rule over a row's text columns.

    ``rule`` names what is wrong, else null. ``expected`` holds the words for messages. A field that is read together
    with another (a comparator with its number) has no rule of its own and ``depends_on`` the other.
    """

    name: str
    column: str
    text: str
    value: str
    sql_type: str
    rule: str = "null"
    is_date: bool = False
    depends_on: str | None = None
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

    def __init__(self, spec: Spec, table_name: str, table: Table, record: Record, header: list[str]):
        self.spec, self.table_name, self.table, self.record, self.header = spec, table_name, table, record, header
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

    # ---------------------------------------------------------------- rows

    def base(self) -> str:
        """Text columns of the data rows: a row per repetition of repeated columns and per item of a list in a cell."""
        rows = f"data_{self.table_name} where capla_status = 'data'"
        if self.table.row_kinds:
            rows += f" and capla_kind = {quote(self.record.rows)}"
        selects = []
        for k in self._repetitions():
            texts_of = {c: cleaned(self.table, identifier(c.replace("{k}", str(k)))) for c in self.aliases}
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
            items = f"unnest(string_split({cell}, {quote(source.separator.strip() or source.separator)}))"
            sql = f"""select source_row, k, {others}, clean(item) as {cell}
                from (select *, {items} as item from ({sql})) where clean(item) is not null"""
        return sql

    def _repetitions(self) -> list[int]:
        """Numbers of the repeated columns in the header; [0] if no column repeats."""
        groups = {c: placeholder_columns(c, self.header) for c in self.columns if "{k}" in c}
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
            return f"{cell} in {texts(present.yes)}" if present.yes else f"{cell} is not null"
        if not self.target.present:
            return "true"
        cells = [self._text(s) for n, (_, s) in self.fields.items() if n in self.target.present]
        cells += [self.aliases[s.run_to] for _, s in self.fields.values() if s.run_to]
        return "(" + " or ".join(f"({cell}) is not null" for cell in cells) + ")"

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

    def _text(self, source: Source) -> str:
        if source.constant is not None:
            return quote(source.constant)
        cell = self.aliases[source.column]
        missing = [*self.spec.missing, *source.missing]
        return f"case when {cell} in {texts(missing)} then null else {cell} end" if missing else cell

    def _parse(self, name: str) -> list[Parsed]:
        declared_name, source = self.fields[name]
        declared, text = fields.fields().get(declared_name), self._text(source)
        plain = Parsed(name, source.column or "", text, text, declared.sql_type if declared else "VARCHAR")
        if source.centres:
            return self._reference(source, plain)
        if source.constant is not None:
            return [plain]
        if declared.type in ("code", "answer"):
            return [self._code(declared, source, plain)]
        if declared.type == "date":
            return self._date(declared, source, plain)
        if declared.type in ("number", "integer"):
            return self._number(declared, source, plain)
        return [plain]

    def _reference(self, source: Source, plain: Parsed) -> list[Parsed]:
        """Another centre's patient: its word for the centre, a separator, the patient number there."""
        centre = _case(f"split_part({plain.text}, {quote(source.separator)}, 1)", source.centres)
        number = f"nullif(trim(split_part({plain.text}, {quote(source.separator)}, 2)), '')"
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
        if source.vocabulary is None:
            filled, blank = (quote(code) if code else missing for code in (source.filled, source.blank))
            return replace(plain, value=f"case when {plain.text} is null then {blank} else {filled} end")
        mapped = _case(plain.text, self._vocabulary(source, declared))
        return replace(
            plain,
            value=f"case when {plain.text} is null then {missing} else {mapped} end",
            rule=first_rule([(f"{plain.text} is not null and {mapped} is null", STOPPING_RULE)]),
        )

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
        language = source.date_language or self.table.date_language
        value = day_sql(text, formats, language)
        partial = source.partial_date_format
        month = day_sql(text, [partial], language, prefix="01 ") if partial else "null"
        expected = {"dates": ", ".join([*formats, *([partial] if partial else [])])}
        rule = first_rule([(f"{text} is not null and {value} is null and {month} is null", "not_a_date")])
        parsed = [replace(plain, value=value, rule=rule, expected=expected)]
        if partial:
            parsed.append(replace(plain, name=declared.partial, value=month, depends_on=plain.name))
        if source.run_to:
            end = self.aliases[source.run_to]
            last = day_sql(end, formats, language)
            rule = first_rule([(f"{end} is not null and {last} is null", "not_a_date")])
            run_end = Parsed("run_end", source.run_to, end, last, plain.sql_type, rule, is_date=True, expected=expected)
            parsed.append(run_end)
        return parsed

    def _number(self, declared: fields.Field, source: Source, plain: Parsed) -> list[Parsed]:
        decimal = source.decimal or self.table.decimal
        thousands = f", {source.thousands!r} between thousands" if source.thousands else ""
        expected = {"number": f"{decimal!r} as decimal mark{thousands}"}
        text, sign = plain.text, None
        if source.comparator:
            sign = _case(f"coalesce({self.aliases[source.comparator.column]}, '')", source.comparator.codes)
        if source.stands_for:
            marked = f"and {sign} = '<'" if sign else ""
            codes = source.stands_for.items()
            meanings = " ".join(f"when {text} = {quote(word)} {marked} then {quote(means)}" for word, means in codes)
            text = f"case {meanings} else {text} end"
        in_text = f"regexp_extract({text}, '^[<>]')"
        comparator = f"nullif({in_text}, '')"
        digits, is_number = self._digits(f"trim(regexp_replace({text}, '^[<>]', ''))", decimal, source.thousands)
        rules = []
        if sign:
            rules.append((f"{in_text} <> '' and {sign} <> '' and {in_text} <> {sign}", "comparator_contradiction"))
            if source.stands_for:
                rules.append((f"{sign} <> '' and {in_text} = ''", "comparator_contradiction"))
            else:
                comparator = f"coalesce({comparator}, nullif({sign}, ''))"
        rules.append((f"not {is_number} or {digits} is null", "not_a_number"))
        if not declared.comparator:
            rules.append((f"{in_text} <> ''", "comparator_not_allowed"))
        value, unit_rules = self._in_own_unit(declared, source, digits, decimal, expected)
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
        if declared.comparator:
            name = "comparator" if plain.name == "value" else "adamts13_comparator"
            parsed.append(replace(plain, name=name, value=comparator, sql_type="VARCHAR", depends_on=plain.name))
        if sign:
            column, unknown = source.comparator.column, f"{plain.text} is not null and {sign} is null"
            rule = first_rule([(unknown, STOPPING_RULE)])
            parsed.append(Parsed(f"{plain.name}_sign", column, self.aliases[column], sign, "VARCHAR", rule))
        return parsed

    @staticmethod
    def _digits(body: str, decimal: str, thousands: str | None) -> tuple[str, str]:
        """SQL of an exact decimal number, and of whether the text is one in the declared format."""
        whole, plain = "[0-9]+", body
        if thousands:
            whole = f"([0-9]{{1,3}}([{thousands}][0-9]{{3}})+|[0-9]+)"
            plain = f"replace({body}, {quote(thousands)}, '')"
        is_number = f"regexp_full_match({body}, {quote(f'[+-]?{whole}([{decimal}][0-9]+)?')})"
        return f"try_cast(replace({plain}, {quote(decimal)}, '.') as decimal(28, 6))", is_number

    def _in_own_unit(
        self, declared: fields.Field, source: Source, digits: str, decimal: str, expected: dict
    ) -> tuple[str, list]:
        """SQL of the number in the study's unit, and the rules of units and limits."""
        rules = []
        by_row = isinstance(source.unit, CodedColumn)
        if by_row:
            unit = _case(f"coalesce({self.aliases[source.unit.column]}, '')", source.unit.codes)
            units = list(dict.fromkeys(source.unit.codes.values()))
            rules.append((f"{unit} is null", "unit_not_accepted"))
            expected["units"] = ", ".join(source.unit.codes)
        else:
            unit, units = quote(source.unit or ""), [source.unit or ""]
        branches = []
        for name in units:
            here = f"{unit} = {quote(name)}"
            factor = declared.units.get(name, 1)
            if isinstance(factor, dict):
                text = quote(source.uln.constant) if source.uln.constant else self.aliases[source.uln.column]
                limit, is_limit = self._digits(text, decimal, None)
                low, high = fields.fields()["ldh_uln_u_per_l"].range
                plausible = f"coalesce({is_limit} and {limit} between {low} and {high}, false)"
                rules.append((f"{here} and {text} is null", "limit_missing"))
                rules.append((f"{here} and not {plausible}", "limit_not_plausible"))
                expected["limit"] = f"{low} to {high} U/L"
                converted = f"cast({digits} as double) / cast({limit} as double)"
            else:
                converted = f"cast({digits} * cast({factor} as decimal(10, 4)) as double)"
            if name in declared.sent_range:
                low, high = declared.sent_range[name]
                rules.append((f"{here} and {digits} not between {low} and {high}", "out_of_range"))
            branches.append(f"when {quote(name)} then {converted}")
        return f"case {unit} {' '.join(branches)} end", rules
