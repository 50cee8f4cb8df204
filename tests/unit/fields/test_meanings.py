"""The meaning of a column is declared once: where a wider place or dbt declares it too, both say the same."""

import re

import pytest

from capla_etl import fields, paths
from capla_etl.centres.submissions.status import STATUSES
from capla_etl.fields import meanings
from capla_etl.protocol.wording import worded
from capla_etl.queries.questions import COLUMNS

OF_DBT = dict(
    re.findall(
        r"{% docs (\w+) %}\n(.*?)\n{% enddocs %}",
        (paths.DBT_PROJECT / "models" / "columns.md").read_text("utf-8"),
        re.S,
    )
)


@pytest.mark.parametrize("name", sorted(OF_DBT.keys() & fields.fields().keys()))
def test_a_field_means_the_same_in_the_models_of_dbt(name):
    """dbt's text may add the unit, which a field declares by itself."""
    field = fields.fields()[name]
    assert OF_DBT[name] in (field.meaning, f"{field.meaning.removesuffix('.')}, {field.unit}.")


@pytest.mark.parametrize("name", sorted(OF_DBT.keys() & meanings.columns("study").keys() - fields.fields().keys()))
def test_a_column_of_the_study_means_the_same_in_the_models_of_dbt(name):
    assert meanings.columns("study")[name] == OF_DBT[name]


@pytest.mark.parametrize("table", meanings.tables())
def test_a_table_repeats_no_meaning_that_holds_more_widely(table):
    of_schema = meanings.columns(table.partition(".")[0])
    of_fields = {name: field.meaning for name, field in fields.fields().items()}
    assert meanings.columns(table).items() & (of_fields | of_schema).items() == set()


@pytest.mark.parametrize("table", meanings.tables())
def test_every_meaning_can_be_shown(table):
    """Parameters that a meaning names exist, and a table says what its rows are unless the study's tables say it."""
    assert all(worded(meaning).endswith((".", "...")) for meaning in meanings.columns(table).values())
    assert table.startswith("study.") or meanings.of_table(table).startswith("One row per")


def test_every_column_of_a_question_and_every_status_of_a_centre_has_a_meaning():
    assert all(meanings.of_column("quality.query", column) for column in COLUMNS)
    said = meanings.of_column("quality.centre_status", "status")
    assert all(f"{status}: {meaning}" in said for status, meaning in STATUSES.items())


def test_what_nobody_declared_is_an_error():
    with pytest.raises(KeyError):
        meanings.of_column("study.result", "colour")
