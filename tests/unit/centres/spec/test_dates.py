"""Dates: which day a text is, in a declared format, zone, century and epoch; and what is no date."""

from datetime import date

import duckdb
import pytest

from capla_etl.centres.spec.dates import date_pattern, day_sql, use_zones, zone_needed_sql


@pytest.fixture(scope="module")
def con():
    con = duckdb.connect(config={"threads": 1})
    use_zones(con)
    return con


def day(con, text: str, *formats: str, **how) -> date | None:
    return con.execute(f"select {day_sql('t', list(formats), **how)} from (select ? as t)", [text]).fetchone()[0]


def needs_zone(con, text: str, *formats: str) -> bool:
    return con.execute(f"select {zone_needed_sql('t', list(formats))} from (select ? as t)", [text]).fetchone()[0]


TENTH = date(2020, 1, 10)


@pytest.mark.parametrize("named", ["iso8601", "date_cell"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-10", TENTH),
        ("2020-01-10T08:30", TENTH),
        ("2020-01-10 08:30:00", TENTH),
        ("2020-01-10 08:30:00.000", TENTH),
        ("2020-01-10T08", TENTH),
        ("2020-01-10T23:59:59", TENTH),
        ("2020-01-10T24:00:00", date(2020, 1, 11)),
        ("2019-12-31 24:00", date(2020, 1, 1)),
        ("2020-01-10T24:01:00", None),
        ("2020-01-10T25:61:00", None),
        ("2020-01-10T23:60", None),
        ("2020-01-10T23:59:60", None),
        ("2020-01-10 ", None),
        ("2020-02-30", None),
        ("2020-02-30T08:30", None),
        ("2020-01-10T23:30:00+02:00", TENTH),  # local time as written
        ("2020-01-10T00:30:00-0500", TENTH),
        ("2020-01-10T00:30:00+15:00", None),
        ("2020-01-10Z", None),
        ("08:30:00", None),
        ("2020-01", None),
    ],
)
def test_a_time_of_day_must_be_valid_and_is_dropped(con, named, text, expected):
    assert day(con, text, named) == expected


def test_an_iso_date_has_no_time_of_day(con):
    assert (day(con, "2020-01-10", "iso"), day(con, "2020-01-10T08:30", "iso")) == (TENTH, None)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2020-01-10T23:00:00Z", None, None),
        ("2020-01-10T23:00:00Z", "Europe/Vienna", date(2020, 1, 11)),  # midnight there
        ("2020-01-10T22:59:59Z", "Europe/Vienna", TENTH),
        ("2020-07-10T22:00:00Z", "Europe/Vienna", date(2020, 7, 11)),  # in summer an hour earlier
        ("2020-07-10T21:59Z", "Europe/Vienna", date(2020, 7, 10)),
        ("2020-01-10T23:00:00Z", "UTC", TENTH),
        ("2020-01-10 23:00:00+00:00", "Europe/Vienna", date(2020, 1, 11)),
        ("2020-01-10T23:00:00.123-0000", "Europe/Vienna", date(2020, 1, 11)),
        ("2020-01-10T23+00", "Europe/Vienna", date(2020, 1, 11)),
        ("2020-01-10T04:59:00Z", "America/New_York", date(2020, 1, 9)),
        ("2020-01-10T05:00:00Z", "America/New_York", TENTH),
        ("2020-01-10T24:00:00Z", "UTC", date(2020, 1, 11)),
        ("2020-02-30T23:00:00Z", "UTC", None),
        ("2020-01-11T01:00:00+02:00", "America/New_York", TENTH),  # a moment of the zone, whatever its offset
        ("2020-01-10T23:00:00", "America/New_York", TENTH),
    ],
)
def test_a_time_in_utc_has_a_day_in_a_declared_zone_only(con, text, zone, expected):
    assert day(con, text, "iso8601", zone=zone) == expected


@pytest.mark.parametrize(
    ("text", "formats", "expected"),
    [
        ("2020-01-10T23:00:00Z", ["date_cell"], True),
        ("2020-01-10T23:00:00-00:00", ["%d/%m/%Y", "iso8601"], True),
        ("2020-01-10T23:00:00+01:00", ["iso8601"], False),
        ("2020-01-10T23:00:00", ["iso8601"], False),
        ("2020-01-10", ["iso8601"], False),
        ("2020-01-10T25:00:00Z", ["iso8601"], False),
        ("2020-01-10T23:00:00Z", ["iso"], False),
    ],
)
def test_only_a_valid_time_in_utc_asks_for_a_zone(con, text, formats, expected):
    assert needs_zone(con, text, *formats) == expected


@pytest.mark.parametrize(
    ("text", "date_format", "expected"),
    [
        ("05/03/2021 08:30", "%d/%m/%Y %H:%M", date(2021, 3, 5)),
        ("05/03/2021 08:30:59", "%d/%m/%Y %H:%M:%S", date(2021, 3, 5)),
        ("05/03/2021 8:30", "%d/%m/%Y %-H:%M", date(2021, 3, 5)),
        ("3/5/2021 8:30 PM", "%-m/%-d/%Y %-I:%M %p", date(2021, 3, 5)),
        ("05/03/2021 24:00", "%d/%m/%Y %H:%M", None),
        ("05/03/2021 08:60", "%d/%m/%Y %H:%M", None),
        ("05/03/2021 13:30 PM", "%d/%m/%Y %I:%M %p", None),
        ("05/03/2021", "%d/%m/%Y %H:%M", None),
        ("05/03/2021 08:30", "%d/%m/%Y", None),
        ("31/04/2021 08:30", "%d/%m/%Y %H:%M", None),
    ],
)
def test_a_pattern_may_have_a_time_of_day(con, text, date_format, expected):
    assert day(con, text, date_format) == expected


@pytest.mark.parametrize(
    ("text", "date_format", "years_from", "expected"),
    [
        ("05/03/25", "%d/%m/%y", 1925, date(1925, 3, 5)),
        ("05/03/24", "%d/%m/%y", 1925, date(2024, 3, 5)),
        ("05/03/34", "%d/%m/%y", 1925, date(1934, 3, 5)),
        ("05/03/99", "%d/%m/%y", 1900, date(1999, 3, 5)),
        ("05/03/00", "%d/%m/%y", 1900, date(1900, 3, 5)),
        ("29/02/00", "%d/%m/%y", 1900, None),  # 1900 was no leap year
        ("29/02/00", "%d/%m/%y", 1925, date(2000, 2, 29)),
        ("340305", "%y%m%d", 1925, date(1934, 3, 5)),
        ("5 mars 34", "%-d %B %y", 1925, date(1934, 3, 5)),
        ("05/03/21", "%d/%m/%y", None, date(2021, 3, 5)),
        ("05/03/85", "%d/%m/%y", None, date(2085, 3, 5)),  # of this century, as the study is: after any cut-off
    ],
)
def test_two_digit_years_are_a_hundred_years_from_the_declared_one(con, text, date_format, years_from, expected):
    assert day(con, text, date_format, language="fr", years_from=years_from) == expected


@pytest.mark.parametrize(
    ("text", "epoch", "expected"),
    [
        ("44197", "1899-12-30", date(2021, 1, 1)),
        ("44197.5", "1899-12-30", date(2021, 1, 1)),
        ("44197,99999", "1899-12-30", date(2021, 1, 1)),
        ("42735", "1904-01-01", date(2021, 1, 1)),
        ("9999", "1899-12-30", None),  # a year or a code as well as a day of 1927
        ("441970", "1899-12-30", None),
        ("44197.", "1899-12-30", None),
    ],
)
def test_a_day_number_counts_from_the_epoch_of_the_file(con, text, epoch, expected):
    assert day(con, text, "excel_day_number", epoch=epoch) == expected


def test_a_format_with_an_unknown_token_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match="found '%d.%q'; expected iso, .* a format of %d, %m.* %H"):
        date_pattern("%d.%q")
