"""docs/SQL.md: every question is run as printed and must give the printed answer and that of the study's own tables."""

import json
import re

import duckdb
import pytest

from capla_etl import cli
from capla_etl.commands.sql import as_text
from capla_etl.paths import ROOT

QUESTIONS = re.findall(
    r"### (\d+)\. (.+?)\n\n```sql\n(.+?)\n```\n\n(\|.+?)\n\n",
    (ROOT / "docs" / "SQL.md").read_text(encoding="utf-8"),
    re.DOTALL,
)
QUERY = {int(number): query for number, _, query, _ in QUESTIONS}


@pytest.fixture(scope="module")
def con(built_warehouse):
    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        yield connection


def _printed(con, row: str, statistic: str, column: str) -> dict:
    """A number of Table 2 by group."""
    query = f"""select "group", {column} from study.result
        where table_id = 'table2' and row = ? and statistic = ? and "group" in ('caplacizumab', 'control')"""
    return dict(con.execute(query, [row, statistic]).fetchall())


def test_there_are_ten_questions():
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 11))


@pytest.mark.parametrize(("title", "query", "answer"), [q[1:] for q in QUESTIONS], ids=[q[1] for q in QUESTIONS])
def test_the_printed_answer_is_the_one_that_the_query_gives(con, title, query, answer):
    given = con.execute(query)
    assert as_text([name for name, *_ in given.description], given.fetchall(), "markdown") == answer


def test_refractory_is_that_of_table_2(con):
    rows = {group: (yes, assessed) for group, yes, assessed, _ in con.execute(QUERY[1]).fetchall()}
    assert {g: n for g, (n, _) in rows.items()} == _printed(con, "refractory", "percent", "n")
    assert {g: n for g, (_, n) in rows.items()} == _printed(con, "refractory", "percent", "n_assessed")


def test_time_to_response_and_failure_are_those_of_table_2(con):
    rows = con.execute(QUERY[2]).fetchall()
    assert {r[0]: r[2] for r in rows} == _printed(con, "response_day", "median", "value")
    assert {r[0]: r[3] for r in rows} == _printed(con, "failure", "percent", "n")


def test_deaths_are_those_of_table_6(con):
    died = {r[0]: r[1] for r in con.execute(QUERY[3]).fetchall()}
    printed = con.execute(
        """select "group", value from study.result
        where table_id = 'table6' and row = 'deaths' and statistic = 'count'
            and "group" in ('caplacizumab', 'control')"""
    )
    assert died == {group: int(value) for group, value in printed.fetchall()}


def test_exacerbations_after_stopping_are_those_of_table_2(con):
    answers = dict(con.execute(QUERY[4]).fetchall())
    assert answers["yes"] == _printed(con, "exacerbation_after_stop_undetectable", "percent", "n")["caplacizumab"]
    assert (
        answers["yes"] + answers["no"]
        == _printed(con, "exacerbation_after_stop_undetectable", "percent", "n_assessed")["caplacizumab"]
    )


def test_the_patients_behind_a_number_add_up_to_it(con):
    assert (
        sum(n for _, n in con.execute(QUERY[8]).fetchall())
        == _printed(con, "refractory", "percent", "n")["caplacizumab"]
    )


def test_patients_sent_twice_are_those_of_the_flow(con):
    excluded = con.execute(
        """select value from study.result
        where table_id = 'flow' and row = 'excluded_reported_twice' and "group" = 'all'"""
    ).fetchone()[0]
    assert sum(r[-1] for r in con.execute(QUERY[10]).fetchall()) == excluded


def test_every_table_and_column_says_what_it_means(con):
    silent = con.execute(
        """select schema_name || '.' || table_name from duckdb_tables() where not internal and coalesce(comment, '') =
            ''
        union all select schema_name || '.' || view_name from duckdb_views() where not internal and coalesce(comment,
            '') = ''
        union all select schema_name || '.' || table_name || '.' || column_name from duckdb_columns() where not
            internal and coalesce(comment, '') = ''"""
    ).fetchall()
    assert silent == []
    grains = con.execute(
        """select schema_name || '.' || table_name from duckdb_tables()
        where not internal and comment not like 'One row per%'"""
    ).fetchall()
    assert grains == []


@pytest.fixture
def published(built_warehouse, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(built_warehouse.parent))


def test_capla_sql_answers_reads_only_and_says_what_is_wrong(published, capsys):
    assert cli.main(["sql", "select count(distinct centre_id) as centres from marts.patient", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "centres\n10\n"
    assert cli.main(["sql", "drop table marts.patient"]) == 1
    assert "read-only" in capsys.readouterr().err
    assert cli.main(["sql", "select * from nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_capla_sql_takes_queries_one_by_one(published, capsys, monkeypatch):
    lines = iter([".schema outcomes.refractory", "select 1 as one", ";"])

    def read(prompt):
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"isatty": staticmethod(lambda: False)})())
    assert cli.main(["sql"]) == 0
    said = capsys.readouterr().out
    assert "refractory_assessment_day" in said and "one\n---\n1" in said


def test_a_whole_number_stays_one_beside_a_missing_one(published, capsys):
    query = "select * from (values (1, null, date '2023-06-30', 'a,b'), (null, 0.5, null, '')) t(n, x, d, t)"
    assert cli.main(["sql", query, "--format", "csv"]) == 0
    assert capsys.readouterr().out == 'n,x,d,t\n1,,2023-06-30,"a,b"\n,0.5,,\n'
    assert cli.main(["sql", query, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"n": 1, "x": None, "d": "2023-06-30", "t": "a,b"},
        {"n": None, "x": 0.5, "d": None, "t": ""},
    ]
