"""Scan free text for what could identify a patient, before anything is kept; withhold and count each text with a hit.

The scan looks for what identifies by its form (identifiers.py) and for a stated date of birth; and, for the same
patient, the birth date and the values of forbidden columns as sent anywhere in the submission. In doubt a text is
withheld: the study uses none of it. A name without a title that no forbidden column holds is not recognised.

What does not belong here: reading files (read.py), and the forms of identifiers (identifiers.py). No study field is
read from free text, so it reaches no mart.
"""

from collections.abc import Callable

import duckdb
import pyarrow as pa

from capla_etl import fields
from capla_etl.centres.reading.cell_text import filled_down, narrowed, patient_number, use_cell_forms
from capla_etl.centres.reading.identifiers import kinds_in
from capla_etl.centres.spec.dates import day_sql, full_year_sql, use_zones
from capla_etl.centres.spec.grammar import Spec, Table, withheld_columns
from capla_etl.sql import identifier, quote

#: Kind of identifier -> its column in ``quality.free_text_scan``.
KINDS = {
    "personal number": "personal_numbers",
    "telephone number": "telephone_numbers",
    "e-mail address": "email_addresses",
    "birth date": "birth_dates",
    "identifying value": "identifying_values",
    "title and name": "titled_names",
    "link": "links",
    "formula": "formulas",
    "long number": "long_numbers",
}

#: Columns of ``quality.free_text_scan``: one row per free text column; a text with identifiers of two kinds counts in
#: both.
SCAN = fields.arrow_schema(
    "centre_id submission:date file sheet column_name texts:count withheld:count "
    + " ".join(f"{column}:count" for column in KINDS.values())
)

_STATED_BIRTH = (
    r"\b(nee? (le|en)|date de naissance|geb|geboren|geburtsdatum|born|dob|d\.o\.b|date of birth|nat[oa] il"
    r"|data di nascita|nacid[oa]|nascid[oa]|nascimento|nacimiento|szul|szuletett)\b[^0-9]{0,15}[0-9]{1,4}"
)
_WORDS = r"trim(regexp_replace(strip_accents(lower({})), '[^\p{{L}}\p{{N}}]+', ' ', 'g'))"
#: The numbers of a text without leading zeros, between strokes: '/1/2/1970/'.
_NUMBERS = "regexp_replace('/' || regexp_replace({}, '[^0-9]+', '/', 'g') || '/', '/+0*', '/', 'g')"
_DIGITS = "regexp_replace({}, '[^0-9]+', '', 'g')"
_BY_FORM = pa.schema([("sent", pa.string()), ("kind", pa.string())])
#: Shorter parts of a name are too often ordinary words.
_SHORTEST_NAME, _SHORTEST_NUMBER = 3, 6


def withhold(
    spec: Spec, tables: dict[str, pa.Table], named: dict[str, Callable[[str], str]] | None = None
) -> tuple[dict[str, pa.Table], dict[str, list[dict]]]:
    """Scan every column that the spec declares as free text.

    Args:
        spec: the centre's spec.
        tables: table of the spec -> its rows as sent with ``source_row``, forbidden columns included.
        named: table of the spec -> column of the file -> column of the rows (``RawTable.named``), where they differ.

    Returns:
        The tables with a note instead of each text withheld, and per table the counts of its columns (``SCAN`` from
        ``column_name`` on).
    """
    scanned, counts = dict(tables), {}

    def naming(name: str) -> Callable[[str], str]:
        return named[name] if named else str

    if not any(spec.tables[name].free_text for name in tables):
        return scanned, counts
    con = duckdb.connect(config={"threads": 1})
    use_zones(con)
    use_cell_forms(con)
    con.execute("create table known (patient varchar, kind varchar, word_form varchar, digit_form varchar)")
    for name, rows in tables.items():
        # a table of the spec may be called "table" or "order"; a row without a patient stands alone
        table = spec.tables[name]
        con.register("arrived", filled_down(con, table, rows, naming(name)))
        patient = patient_number(table, identifier(naming(name)(table.key)))
        alone = f"{quote(name)} || ' ' || source_row"
        con.execute(f"create table sent_{name} as select *, coalesce({patient}, {alone}) as capla_patient from arrived")
        for source in _identities(f"sent_{name}", spec.tables[name], naming(name), spec.zone):
            con.execute(f"insert into known {source}")
    for name, rows in tables.items():
        for column in spec.tables[name].free_text:
            notes, counted = _scan(con, f"sent_{name}", spec.tables[name], column, naming(name))
            own = naming(name)(column)
            scanned[name] = scanned[name].set_column(rows.column_names.index(own), own, notes)
            counts.setdefault(name, []).append(counted)
    return scanned, counts


def _identities(name: str, table: Table, named: Callable[[str], str], zone: str | None) -> list[str]:
    """SELECTs of what identifies a patient, in the forms that a text is compared with."""
    found, patient = [], "capla_patient"
    for column in table.forbidden:
        value = identifier(named(column))
        forms = f"{_WORDS.format(value)} as whole, {_DIGITS.format(value)} as digits"
        parts = f"select {patient} as patient, {forms} from {name}"
        words = f"list_concat([whole], list_filter(string_split(whole, ' '), w -> length(w) >= {_SHORTEST_NAME}))"
        number = f"case when length(ltrim(digits, '0')) >= {_SHORTEST_NUMBER} then ltrim(digits, '0') end"
        found.append(
            f"select distinct patient, 'identifying value', unnest({words}), {number} from ({parts}) where whole <> ''"
        )
    births = {c: field for c, field in withheld_columns(table).items() if c not in table.forbidden}
    for column, field in births.items():
        value = f"nullif(trim({identifier(named(column))}), '')"
        sources = [s for r in table.records for n, s in r.fields.items() if n == field and s.column == column]
        if field == "birth_year":
            years = [s.two_digit_years_from for s in sources if s.two_digit_years_from is not None]
            written = [f"case when length({value}) = 2 then {full_year_sql(value, y)} else {value} end" for y in years]
            written = written or [value]
        else:
            years, days = ("%Y", "%y"), ("%-d/%-m/{}", "%-m/%-d/{}", "{}/%-m/%-d", "%d%m{}", "%m%d{}", "{}%m%d")
            shapes = ["%Y", *(day.format(year) for day in days for year in years)]
            cell = narrowed(table, value)
            days = [
                day_sql(
                    cell,
                    [date_format],
                    source.date_language or table.date_language,
                    zone=table.zone or zone,
                    years_from=source.two_digit_years_from,
                )
                for source in sources
                for date_format in source.date_format or table.date_format
            ]
            written = [f"strftime({day}, {quote(shape)})" for shape in shapes for day in days]
        forms = "[" + ", ".join(_NUMBERS.format(text) for text in written) + "]"
        head = f"select distinct {patient}, 'birth date', null, unnest({forms}) from {name}"
        found.append(f"{head} where {value} is not null")
    return [f"select * from ({source}) t(patient, kind, word_form, digit_form)" for source in found]


def _scan(
    con: duckdb.DuckDBPyConnection, name: str, table: Table, column: str, named: Callable[[str], str]
) -> tuple[pa.Array, dict]:
    """The column with notes instead of the texts withheld, and its counts."""
    sent = identifier(named(column))
    con.execute(
        f"""create or replace temp table texts as
        select *,
               ' ' || {_WORDS.format("sent")} || ' ' as words, {_DIGITS.format("sent")} as digits,
               {_NUMBERS.format("sent")} as numbers
        from (
            select source_row, capla_patient as patient, {sent} as sent,
                   strip_accents(lower({sent})) as plain
            from {name} where trim({sent}) <> ''
        )"""
    )
    distinct = [text for (text,) in con.execute("select distinct sent from texts order by all").fetchall()]
    kinds = [(text, kind) for text in distinct for kind in kinds_in(text)]
    by_form = pa.table({"sent": [text for text, _ in kinds], "kind": [kind for _, kind in kinds]}, _BY_FORM)
    con.register("by_form", by_form)
    hits = ["select source_row, kind from texts join by_form using (sent)"]
    hits.append(
        f"select source_row, 'birth date' as kind from texts where regexp_matches(plain, {quote(_STATED_BIRTH)})"
    )
    # longer words also with an ending: names are declined
    end = f"case when length(word_form) > {_SHORTEST_NAME} then '' else ' ' end"
    hits.append(
        f"""select source_row, kind from texts join known using (patient)
        where kind = 'birth date' and contains(numbers, digit_form)
            or kind = 'identifying value'
            and (contains(words, ' ' || word_form || {end}) or contains(digits, digit_form))"""
    )
    con.execute(f"create or replace temp table hit as select distinct * from ({' union all '.join(hits)})")
    order = "case kind " + " ".join(f"when {quote(kind)} then {i}" for i, kind in enumerate(KINDS)) + " end"
    note = f"'(withheld: ' || string_agg(kind, ', ' order by {order}) || ')'"
    notes = dict(con.execute(f"select source_row, {note} from hit group by 1").fetchall())
    rows = con.execute(f"select source_row, {sent} from {name}").fetchall()
    kept = pa.array([notes.get(row, text) for row, text in rows], pa.string())
    (texts,) = con.execute("select count(*) from texts").fetchone()
    by_kind = dict(con.execute("select kind, count(*) from hit group by 1").fetchall())
    counts = {"column_name": column, "texts": texts, "withheld": len(notes)}
    return kept, counts | {c: by_kind.get(kind, 0) for kind, c in KINDS.items()}
