"""What counts on a day: submissions, corrections, answers, and what people confirmed in a spec."""

from datetime import date

import duckdb
import pytest

from capla_etl.releases import fingerprints
from capla_etl.releases.fingerprints import last_day, study_version

CONFIRMED = """
confirmed:
  - {signal: S-0123456789, found: a median of 3, reason: a ward, confirmed_by: Dr A, confirmed_on: 2021-01-05}
"""


def test_a_confirmation_counts_among_the_days_of_a_study(centre, monkeypatch):
    """A rebuild as of the last day would otherwise hold back what the confirmation let in."""
    centre.spec()
    assert last_day() == date(2020, 12, 31)
    spec = centre.folder / "centre.yml"
    spec.write_text(spec.read_text() + CONFIRMED)
    assert last_day() == date(2021, 1, 5)
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-04")
    assert last_day() == date(2020, 12, 31)


READ = ["harmonised.submission", "quality.query"]


@pytest.fixture
def warehouse(monkeypatch):
    """A warehouse in memory with two submissions and a question; the code has a fixed digest."""
    monkeypatch.delenv("CAPLA_VERSION", raising=False)
    monkeypatch.setattr(fingerprints, "code_digest", lambda: "code")
    with duckdb.connect() as con:
        con.execute("create schema harmonised; create schema quality")
        con.execute("""create table harmonised.submission as from (values
            ('AT01', date '2023-06-30'), ('DE01', date '2022-01-31')) t(centre_id, submission)""")
        con.execute("create table quality.query as select 'Q-1' as query_id, 'open' as status")
        yield con


def _named(con, compared_with=None) -> str:
    return study_version(con, READ, compared_with)["version"][0]


def test_the_same_study_has_the_same_name_whatever_the_order_of_its_tables(warehouse):
    (row,) = study_version(warehouse, READ, None).to_dict("records")
    assert row["version"].startswith("2023-06-30-") and len(row["version"]) == 21
    assert (row["data_cut_off"], row["rule_set"]) == (date(2023, 6, 30), "iwg2021")
    assert study_version(warehouse, READ[::-1], None)["version"][0] == row["version"]


@pytest.mark.parametrize(
    "change",
    [
        "update quality.query set status = 'answered'",
        "update harmonised.submission set submission = '2022-02-28' where centre_id = 'DE01'",
        "insert into harmonised.submission values ('FR01', '2021-12-31')",
        "delete from quality.query",
    ],
)
def test_another_input_gives_another_name(warehouse, change):
    before = _named(warehouse)
    warehouse.execute(change)
    assert _named(warehouse) != before


def test_other_code_rules_or_release_give_another_name(warehouse, monkeypatch):
    names = [_named(warehouse), _named(warehouse, "first")]
    monkeypatch.setenv("CAPLA_RULE_SET", "tpe2017")
    names.append(_named(warehouse))
    monkeypatch.setattr(fingerprints, "code_digest", lambda: "other code")
    names.append(_named(warehouse))
    assert len(set(names)) == 4


def test_a_release_that_is_computed_again_keeps_its_name(warehouse, monkeypatch):
    """So that its files can be compared byte by byte; what it was made from is stated as it is now."""
    before = study_version(warehouse, READ, None)
    monkeypatch.setattr(fingerprints, "code_digest", lambda: "other code")
    monkeypatch.setenv("CAPLA_VERSION", before["version"][0])
    again = study_version(warehouse, READ, None)
    assert again["version"][0] == before["version"][0] and again["code_sha256"][0] == "other code"
