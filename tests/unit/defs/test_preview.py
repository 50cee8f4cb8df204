"""What Dagster shows of a table counts patients and never shows one."""

import duckdb
import pytest

from capla_etl.defs.preview import profile


@pytest.fixture
def shown():
    """What is shown of a table of 40 rows: column -> (known, holds)."""
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        connection.execute("""
            create table marts.t as select
                'P' || i as patient_id, 'A' as centre_patient_id, 'X' as raw_value,
                case when i < 20 then 'yes' when i < 30 then 'no' when i < 39 then 'unknown' end as answer_of_codes,
                'free text ' || (i % 5) as five_texts, i as number, null::integer as never_known, i < 7 as flag
            from range(40) r(i)""")
        columns = connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = 't' order by column_index"
        ).fetchall()
        yield {
            column: (known, holds)
            for column, known, holds in profile(connection, "marts.t", columns).itertuples(index=False)
        }


def test_codes_are_counted_and_what_is_missing_is_no_code(shown):
    assert shown["answer_of_codes"] == ("39 of 40", "yes 20, no 10, unknown 9")


def test_numbers_are_shown_by_their_quartiles_and_flags_by_their_count(shown):
    assert shown["number"] == ("40 of 40", "median 19.5 (quartiles 9.75 to 29.25)")
    assert shown["flag"] == ("40 of 40", "true 7")
    assert shown["never_known"] == ("0 of 40", "")


def test_no_identity_and_nothing_as_sent_is_shown_however_often_it_occurs(shown):
    assert {shown[column][1] for column in ("patient_id", "centre_patient_id", "raw_value")} == {""}


def test_a_text_with_fewer_than_ten_rows_a_value_is_no_code(shown):
    assert shown["five_texts"] == ("40 of 40", "")
