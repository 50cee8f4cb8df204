"""Typed cells become the text that their file shows: days, timestamps, times, codes for missing."""

import io
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from tiny_centre import load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.reading import formats
from capla_etl.centres.reading.formats import Decimals, FileTable, Unreadable
from capla_etl.centres.reading.formats.typed_cells import Percentage, cell_text, cell_texts
from capla_etl.centres.spec.grammar import Parquet, SasTransport, Spss, Stata


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (pd.NaT, ""),
        ("a", "a"),
        (True, "true"),
        (7, "7"),
        (7.0, "7"),
        (7.25, "7.25"),
        (1e15, "1000000000000000"),
        (1234567890123456.0, "1234567890123456"),
        (-1e20, "-100000000000000000000"),
        (1e21, "1e+21"),
        (7e-5, "7e-05"),
        (Decimal("0.10"), "0.10"),
        (Percentage("5.40"), "5.4%"),
        (Percentage("6200"), "6200%"),
        (date(2021, 3, 5), "2021-03-05"),
        (datetime(2021, 3, 5), "2021-03-05"),
        (datetime(2021, 3, 5, 8, 30), "2021-03-05 08:30:00"),
        (datetime(2021, 3, 5, 0, 0, 0, 250_000), "2021-03-05 00:00:00.25"),
        (datetime(2020, 1, 10, 23, tzinfo=UTC), "2020-01-10T23:00:00Z"),
        (datetime(2020, 1, 11, 0, tzinfo=timezone(timedelta(hours=1))), "2020-01-10T23:00:00Z"),
        (datetime(2020, 1, 11, tzinfo=UTC), "2020-01-11T00:00:00Z"),
        (time(8, 30), "08:30:00"),
        (time(8, 30, 0, 500_000), "08:30:00.5"),
        (timedelta(hours=26, minutes=30), "26:30:00"),
        (timedelta(0), "00:00:00"),
        (timedelta(seconds=-5), "-00:00:05"),
        (timedelta(hours=1, microseconds=250_000), "01:00:00.25"),
    ],
)
def test_one_cell_as_text(value, text):
    assert cell_text(value, "X") == text


def test_numbers_and_percentages_take_the_decimal_mark_of_their_column_and_times_do_not():
    values = [1.5, Decimal("0.10"), Percentage("5.4"), time(8, 30, 0, 500_000), "1.5"]
    assert cell_texts(values, "X", Decimals(",")).to_pylist() == ["1,5", "0,10", "5,4%", "08:30:00.5", "1.5"]


def texts(table: FileTable) -> dict[str, list[str]]:
    return table.rows.drop_columns(["source_row"]).to_pydict()


def test_parquet_times_and_zones():
    """A timestamp with a zone is an instant: 23:00 UTC is midnight of the next day in Vienna."""
    day = datetime(2021, 3, 5, 8, 30)
    table = pa.table(
        {
            "plain": pa.array([day, None], pa.timestamp("ns")),
            "zoned": pa.array([datetime(2020, 1, 10, 23, tzinfo=UTC), None], pa.timestamp("us", "Europe/Vienna")),
            "time": pa.array([time(8, 30), None], pa.time64("us")),
            "span": pa.array([timedelta(hours=26), None], pa.duration("s")),
            "day": pa.array([date(2021, 3, 5), None], pa.date32()),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    assert texts(formats.read(file.getvalue(), Parquet(type="parquet"))) == {
        "plain": ["2021-03-05 08:30:00", ""],
        "zoned": ["2020-01-10T23:00:00Z", ""],
        "time": ["08:30:00", ""],
        "span": ["26:00:00", ""],
        "day": ["2021-03-05", ""],
    }


#: Seconds from 14 October 1582 (SPSS) and from 1 January 1960 (SAS, Stata in milliseconds) to 5 March 2021.
SPSS_DAY, SAS_DAY = 13_834_281_600.0, 1_930_521_600.0
HALF_PAST_EIGHT = 8.5 * 3600


def read_written(tmp_path, write, declared, frame: pd.DataFrame, **options) -> FileTable:
    write(frame, tmp_path / "x", **options)
    return formats.read((tmp_path / "x").read_bytes(), declared)


def test_spss_days_timestamps_and_times(tmp_path):
    """1e15 seconds are no day that a calendar of four digits has: the number stays, and the rest is read."""
    frame = pd.DataFrame(
        {
            "day": [SPSS_DAY, 1e15],
            "stamp": [SPSS_DAY + HALF_PAST_EIGHT + 0.25, SPSS_DAY],
            "time": [HALF_PAST_EIGHT, 26.5 * 3600],
        }
    )
    table = read_written(
        tmp_path,
        pyreadstat.write_sav,
        Spss(type="spss"),
        frame,
        variable_format={"day": "DATE11", "stamp": "DATETIME23.2", "time": "TIME8"},
    )
    assert texts(table) == {
        "day": ["2021-03-05", "1000000000000000"],
        "stamp": ["2021-03-05 08:30:00.25", "2021-03-05"],
        "time": ["08:30:00", "26:30:00"],
    }


JANUARY_2020 = (date(2020, 1, 1) - date(1582, 10, 14)).days * 86_400.0


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        ("MOYR8", JANUARY_2020, "2020-01"),
        ("MOYR8", SPSS_DAY, "2021-03-05"),
        ("QYR8", JANUARY_2020, "2020-Q1"),
        ("QYR8", SPSS_DAY, "2021-03-05"),
        ("WKYR10", JANUARY_2020, "2020-W01"),
        ("WKYR10", SPSS_DAY, "2021-W10"),
        ("WKYR10", SPSS_DAY + 86_400, "2021-03-06"),
        ("PCT8.1", 5.4, "5.4%"),
    ],
)
def test_spss_formats_that_show_less_than_a_day_and_percentages(tmp_path, format_, value, text):
    """5 March 2021 is the first day of week 10, as SPSS counts weeks from 1 January. PCT adds a sign alone."""
    frame = pd.DataFrame({"x": [value]})
    table = read_written(tmp_path, pyreadstat.write_sav, Spss(type="spss"), frame, variable_format={"x": format_})
    assert texts(table)["x"] == [text]


FIRST_OF_MARCH = 21_975.0


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        ("%tdMon_CCYY", FIRST_OF_MARCH, "2020-03"),
        ("%tdnn/CCYY", FIRST_OF_MARCH, "2020-03"),
        ("%tdCCYY-NN", FIRST_OF_MARCH, "2020-03"),
        ("%-12tdMonth_CCYY", FIRST_OF_MARCH, "2020-03"),
        ("%tdCCYY-NN", FIRST_OF_MARCH + 1, "2020-03-02"),
        ("%tdDD_Mon_CCYY", FIRST_OF_MARCH, "2020-03-01"),
        ("%dD_m_CY", FIRST_OF_MARCH, "2020-03-01"),
        ("%tdCCYY", FIRST_OF_MARCH, "2020-03-01"),
        ("%tdCCYY", FIRST_OF_MARCH - 60, "2020"),
        ("%td", FIRST_OF_MARCH, "2020-03-01"),
    ],
)
def test_a_stata_format_without_days_shows_a_month(tmp_path, format_, value, text):
    frame = pd.DataFrame({"x": [value]})
    table = read_written(tmp_path, pyreadstat.write_dta, Stata(type="stata"), frame, variable_format={"x": format_})
    assert texts(table)["x"] == [text]


@pytest.mark.parametrize(
    ("moment", "leap_seconds", "text"),
    [
        (datetime(2020, 1, 11, 23, 59, 40), 27, "2020-01-11 23:59:40"),
        (datetime(2017, 1, 1), 27, "2017-01-01"),
        (datetime(2016, 12, 31, 23, 59, 59), 26, "2016-12-31 23:59:59"),
        (datetime(1972, 6, 30, 23, 59, 59), 0, "1972-06-30 23:59:59"),
        (datetime(1972, 7, 1), 1, "1972-07-01"),
    ],
)
def test_a_stata_time_that_counts_leap_seconds(tmp_path, moment, leap_seconds, text):
    count = ((moment - datetime(1960, 1, 1)).total_seconds() + leap_seconds) * 1000
    frame = pd.DataFrame({"x": [count]})
    table = read_written(tmp_path, pyreadstat.write_dta, Stata(type="stata"), frame, variable_format={"x": "%tC"})
    assert texts(table)["x"] == [text]


@pytest.mark.parametrize("format_", ["%td", "%tdDD/NN/CCYY", "%d", "%-td", "%9.0g"])
def test_stata_days_in_any_format(tmp_path, format_):
    table = read_written(
        tmp_path,
        pyreadstat.write_dta,
        Stata(type="stata"),
        pd.DataFrame({"x": [SAS_DAY / 86_400]}),
        variable_format={"x": format_},
    )
    assert texts(table)["x"] == (["22344"] if format_ == "%9.0g" else ["2021-03-05"])


def test_stata_timestamps_and_times(tmp_path):
    frame = pd.DataFrame({"stamp": [(SAS_DAY + HALF_PAST_EIGHT) * 1000], "time": [HALF_PAST_EIGHT * 1000]})
    formats_ = {"stamp": "%tcDD/NN/CCYY_HH:MM", "time": "%tcHH:MM:SS"}
    table = read_written(tmp_path, pyreadstat.write_dta, Stata(type="stata"), frame, variable_format=formats_)
    assert texts(table) == {"stamp": ["2021-03-05 08:30:00"], "time": ["08:30:00"]}


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        ("DATE9.", SAS_DAY / 86_400, "2021-03-05"),
        ("YYMMDD10.", SAS_DAY / 86_400, "2021-03-05"),
        ("E8601DA.", SAS_DAY / 86_400, "2021-03-05"),
        ("DATETIME20.", SAS_DAY + HALF_PAST_EIGHT, "2021-03-05 08:30:00"),
        ("E8601DT.", SAS_DAY, "2021-03-05"),
        ("E8601DZ.", SAS_DAY, "2021-03-05T00:00:00Z"),
        ("TIME8.", HALF_PAST_EIGHT, "08:30:00"),
        ("BEST12.", 22_344.0, "22344"),
        ("WORDDATE18.", SAS_DAY / 86_400, "2021-03-05"),
        ("NLDATE10.", SAS_DAY / 86_400, "2021-03-05"),
        ("JULIAN7.", SAS_DAY / 86_400, "2021-03-05"),
        ("MONYY7.", SAS_DAY / 86_400, "2021-03-05"),
        ("MONYY7.", FIRST_OF_MARCH, "2020-03"),
        ("YYMON7.", FIRST_OF_MARCH, "2020-03"),
        ("YYQ6.", FIRST_OF_MARCH - 60, "2020-Q1"),
        ("YEAR4.", FIRST_OF_MARCH - 60, "2020"),
        ("PERCENT8.1", 0.054, "5.4%"),
        ("PERCENTN8.1", 0.6, "60%"),
        ("NLPCT8.1", 0.0, "0%"),
        ("DATE9.", 9e9, "9000000000"),
    ],
)
def test_sas_formats(tmp_path, format_, value, text):
    table = read_written(
        tmp_path,
        pyreadstat.write_xport,
        SasTransport(type="sas_transport"),
        pd.DataFrame({"x": [value]}),
        variable_format={"x": format_},
    )
    assert texts(table)["x"] == [text]


def test_percentages_of_a_variable_are_counted(tmp_path):
    frame, declared = pd.DataFrame({"x": [0.05, None, 0.6]}), SasTransport(type="sas_transport")
    table = read_written(tmp_path, pyreadstat.write_xport, declared, frame, variable_format={"x": "PERCENT8.1"})
    assert (texts(table)["x"], table.numbers) == (["5%", "", "60%"], {"x": {"percent": 2}})


def test_special_missing_values_of_stata_are_words_and_a_labelled_one_is_its_label(tmp_path):
    """A plain missing value is blank; label texts that look like a letter are not taken for a missing value."""
    table = read_written(
        tmp_path,
        pyreadstat.write_dta,
        Stata(type="stata"),
        pd.DataFrame({"x": [1.0, "a", "b", "z", None, 2.0], "s": ["a", "", ".a", "b", "c", "d"]}),
        missing_user_values={"x": ["a", "b", "z"]},
        variable_value_labels={"x": {1: "b", "a": "refused"}},
    )
    assert texts(table) == {"x": ["b", "refused", ".b", ".z", "", "2"], "s": ["a", "", ".a", "b", "c", "d"]}


STATA = """
labs:
  file: labs.dta
  format: {type: stata}
  key: ID
  records:
    - table: lab_result
      fields:
        result_date: {column: DAY, date_format: iso}
        platelets_10e9_per_l: {column: PLT, unit: 10^9/L}
"""


def test_a_special_missing_value_is_refused_until_it_is_declared(centre, loaded):
    frame = pd.DataFrame({"ID": ["A", "B"], "DAY": ["2020-01-11", "2020-03-02"], "PLT": [20.0, "a"]})
    pyreadstat.write_dta(frame, centre.submission / "labs.dta", missing_user_values={"PLT": ["a"]})
    centre.spec(STATA)
    load_centre("XX01")
    assert [(r["row_number"], r["column_name"], r["rule"]) for r in loaded("quality.quarantine")] == [
        (2, "PLT", "not_a_number")
    ]
    centre.spec(STATA.replace("unit: 10^9/L", 'unit: 10^9/L, missing: [".a"]'))
    load_centre("XX01")
    assert loaded("quality.quarantine") == []
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [20.0]


def test_an_spss_column_without_a_name_is_that_of_a_damaged_file(tmp_path, monkeypatch):
    """The reader gives such names where a file's list of variables is damaged."""
    read = pyreadstat.read_sav
    monkeypatch.setattr(pyreadstat, "read_sav", lambda *a, **more: ({None: [1.0]}, read(*a, **more)[1]))
    with pytest.raises(Unreadable, match="a column has no name, so the file is damaged"):
        read_written(tmp_path, pyreadstat.write_sav, Spss(type="spss"), pd.DataFrame({"plt": [1.0]}))


SPSS = STATA.replace("labs.dta", "labs.sav").replace("stata", "spss")


def spss_labs(centre, labels: dict | None = None) -> None:
    """B's count is 999, which the file calls missing; so would be 900 to 998, which no cell holds."""
    frame = pd.DataFrame(
        {"ID": ["A", "B"], "DAY": ["2020-01-11", "2020-03-02"], "PLT": [20.0, 999.0], "NOTE": ["none", "x"]}
    )
    ranges = {"PLT": [{"lo": 900, "hi": 999}], "NOTE": ["none"]}
    pyreadstat.write_sav(
        frame, centre.submission / "labs.sav", missing_ranges=ranges, variable_value_labels={"PLT": labels or {}}
    )


@pytest.mark.parametrize(("labels", "word"), [(None, "999"), ({999: "not done"}, "not done")])
def test_a_value_that_spss_calls_missing_must_be_declared_by_its_number_or_label(centre, loaded, labels, word):
    """A column that no field reads needs no declaration."""
    spss_labs(centre, labels)
    spec = SPSS.replace("  records:", "  ignored: {NOTE: remark}\n  records:", 1)
    centre.spec(spec)
    with pytest.raises(CentreRefused, match=rf"the file itself calls values missing \(column 'PLT': {word}\)"):
        load_centre("XX01")
    centre.spec(spec.replace("unit: 10^9/L", f'unit: 10^9/L, missing: ["{word}"]'))
    load_centre("XX01")
    assert [r["value"] for r in loaded("harmonised.lab_result")] == [20.0]
    assert loaded("quality.quarantine") == []


def test_a_day_that_spss_calls_missing_is_asked_for_and_declared_as_the_cell_shows_it(tmp_path):
    write = {"variable_format": {"x": "DATE11"}, "missing_ranges": {"x": [JANUARY_2020]}}
    pyreadstat.write_sav(pd.DataFrame({"x": [JANUARY_2020, SPSS_DAY]}), tmp_path / "x", **write)
    content = (tmp_path / "x").read_bytes()
    with pytest.raises(Unreadable, match=r"calls values missing \(column 'x': 2020-01-01\)"):
        formats.read(content, Spss(type="spss"), missing={"x": ["13797216000"]})
    table = formats.read(content, Spss(type="spss"), missing={"x": ["2020-01-01"]})
    assert texts(table)["x"] == ["2020-01-01", "2021-03-05"]


def test_a_labelled_value_that_spss_calls_missing_is_declared_by_its_label_alone(centre):
    """The cell is its label; its number declared as missing would leave the label there, which is no number."""
    spss_labs(centre, {999: "not done"})
    content = (centre.submission / "labs.sav").read_bytes()
    with pytest.raises(Unreadable, match="'PLT': not done"):
        formats.read(content, Spss(type="spss"), missing={"PLT": ["999"]})
