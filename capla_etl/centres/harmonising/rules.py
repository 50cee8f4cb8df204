"""Rules that refuse a value, a date or a row: their conditions in SQL, and what is said of them.

What does not belong here: rules of one text alone (values.py), of a patient's own dates (own_dates.py) and of whole
columns (columns.py).
"""

from collections.abc import Callable, Collection
from datetime import date

from capla_etl import fields
from capla_etl.centres.harmonising import own_dates
from capla_etl.centres.harmonising.values import Parsed
from capla_etl.sql import quote

#: A run of daily exchanges from-to has fewer days than this.
LONGEST_RUN_DAYS = 100
#: A result may be dated at most this many days before the first exchange: earlier ones are of another episode, or their
#: date is another one (of birth, say), and none counts.
LONGEST_BEFORE_DAYS = 30
#: No exchange, contact or death of the study lies before this year: its patients were treated from 2013 on.
FIRST_YEAR = 2000

#: SQL of what two numbers of one patient have in common where case, blanks or leading zeros were changed.
ALIKE = r"regexp_replace(replace(lower({0}), ' ', ''), '(^|[^0-9])0+([0-9])', '\1\2', 'g')"
#: A whole number as a spreadsheet shows it in scientific notation.
ROUNDED = "[0-9]([.,][0-9]+)?[eE][+][0-9]{2}"
#: What spreadsheets and programs write for an error or for nothing.
NO_NUMBER = r"#[A-Z/]+[!?]?|#.*[!?]|\(formula without value\)|(?i:nan|null|none|n/a|<na>|nat)"
#: SQL of the first and the last day that a death can have been on, where the day may not be known.
FIRST_AND_LAST_DAY_OF_DEATH = (
    "coalesce(v_death_date, v_death_month)",
    "coalesce(v_death_date, last_day(v_death_month))",
)
#: Rules that refuse a date for the sake of another one: that the cell holds a date is not in doubt.
CONTRADICTIONS = ("before_first_exchange", own_dates.CONTRADICT, "second_value")

#: Stands in a message for the dates that a date contradicts.
AGAINST = "(other dates)"
_MESSAGES = {
    "missing_key": "The row names no patient.",
    "unknown_patient": "No row of the patient table has this patient number.",
    "duplicate_patient": "An earlier row of the patient table has this patient number and other contents; it is kept.",
    "number_alike": "An earlier row of the patient table has this patient number but for case, blanks or zeros.",
    "record_in_doubt": "Two rows of the patient table have this patient number, or nearly; until that is answered, "
    "results are kept out.",
    "no_number": "What stands there is an error or a word for nothing, and names no patient.",
    "rounded_number": "A number that a spreadsheet has rounded (1.2E+15) names no patient.",
    "nothing_but_key": "The row has a patient number and nothing else.",
    "second_value": "Another row gives this field of this patient another value, which is kept.",
    "not_a_number": "Not a valid number in the declared format ({number}).",
    "not_a_whole_number": "Not a whole number.",
    "not_a_date": "Not a valid date in the declared format ({dates}).",
    "zone_missing": "A time in UTC (Z, +00:00), whose local day depends on the time zone. Declare `zone` for the "
    "centre or the table in centre.yml, such as Europe/Vienna; `zone: UTC` takes the day as written.",
    "not_what_fills": "Filled in, but not with {fills}, so the answer is unknown. Correct the cell, or declare the "
    "word under `words` (it fills the cell) or `missing` (it does not).",
    "unit_not_accepted": "The row's unit is not declared; expected one of: {units}.",
    "limit_missing": "The upper limit of normal is missing, so no multiple of it can be computed.",
    "limit_not_plausible": "The upper limit of normal is not plausible; expected {limit}.",
    "comparator_not_allowed": 'This field does not accept censored results such as "< 5".',
    "comparator_contradiction": "The comparator column and the value contradict each other.",
    "out_of_range": "Outside the plausible range ({range}).",
    "after_data_cutoff": "Dated after the submission's data cut-off.",
    "after_death": "Dated after the patient's death.",
    "before_birth": "Dated before the patient's birth.",
    "no_study_day_zero": "There is no study day 0: day 1 is the day of the first exchange, day -1 the day before.",
    "no_reference_day": "A study day cannot be dated: the patient's first exchange has no date.",
    "run_without_end": "The run of exchanges lacks one of its two dates.",
    "run_reversed": "The run ends before it starts.",
    "run_too_long": "The run of daily exchanges is too long for a course.",
    "run_overlaps": "The run overlaps days on which the patient already has an exchange.",
    "before_first_exchange": "Died before the first exchange.",
    "birth_contradicts": "Contradicts the patient's date of birth, which is kept.",
    "long_ago": f"Dated before {FIRST_YEAR}, long before the study's patients were treated; perhaps a placeholder.",
    "dates_contradict": f"Contradicts {AGAINST}.",
    "long_before_first_exchange": f"Dated more than {LONGEST_BEFORE_DAYS} days before the first exchange.",
    "end_before_start": "The course ends before it starts; its end is left unknown.",
    "required_missing": "Empty, but required for the record.",
}

#: Every patient is at most this old at the cut-off, even if the birth date is unknown.
OLDEST_YEARS = fields.fields()["age_years_reported"].range[1]


def time_rule_sql(value: str, cutoff: date, birth_date: str, birth_year: str, death: str) -> str:
    """SQL of the rule that a dated value breaks, or null (PROTOCOL 2: after the cut-off, after death, before birth)."""
    return f"""case when {value} > date '{cutoff}' then 'after_data_cutoff' when {value} > {death} then 'after_death'
        when {value} < {birth_date} or year({value}) < {birth_year} or year({value}) < {cutoff.year - OLDEST_YEARS}
        then 'before_birth' end"""


class _NotSaid(dict):
    """What a message expects of a field that has no words for it."""

    def __missing__(self, key: str) -> str:
        return "see the spec"


def accepted_sql(name: str, depends_on: str | None = None) -> str:
    """SQL of a parsed value, null where it was refused."""
    return f"case when r_{depends_on or name} is null then v_{name} end"


def message_sql(rule: str, expected: dict[str, str]) -> str:
    """SQL of the message of a rule."""
    said = _NotSaid(expected)
    whens = (f"when {quote(rule)} then {quote(words.format_map(said))}" for rule, words in _MESSAGES.items())
    return f"case {rule} {' '.join(whens)} end"


def known_sql(value: str, sql_type: str) -> str:
    """SQL of a value, null where the answer is that it is not known."""
    return f"nullif({value}, 'unknown')" if sql_type == "VARCHAR" else value


def given_sql(name: str, cell: Callable[[str], str], names: Collection[str]) -> str:
    """SQL of a field's value for comparison, null where none is given; a date of death may have a month alone.

    Args:
        name: the field.
        cell: the column that holds a field.
        names: the fields that are there.
    """
    partial = fields.fields()[name].partial
    known = known_sql(cell(name), fields.sql_type(name))
    return f"coalesce({known}, {cell(partial)})" if partial in names else known


def second_value_sql(p: Parsed, parsed: list[Parsed]) -> str:
    """SQL of the rule that a patient's field has one value: that of the first record and row that gives one.

    What is read together (a result and its comparator, a day of death or its month) is one value.
    """
    kept = fields.tables()["patient"].fillable
    together = [p.name, *(other.name for other in parsed if other.depends_on == p.name and other.name in kept)]

    def value(letter: str) -> str:
        given = given_sql(p.name, lambda name: f"{letter}_{name}", together)
        parts = ", ".join(f"coalesce(cast({letter}_{name} as varchar), '')" for name in together)
        return f"case when {given} is not null then concat_ws('|', {parts}) end"

    here = f"first_value(case when r_{p.name} is null then {value('v')} end ignore nulls)"
    here += " over (partition by key_text order by source_row, k rows between unbounded preceding and 1 preceding)"
    return f"case when {value('v')} <> coalesce({value('p')}, {here}) then 'second_value' end"
