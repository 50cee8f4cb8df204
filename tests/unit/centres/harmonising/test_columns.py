"""Columns are judged as columns: order of day and month, converted dates, percentages, dates of another kind."""

import pytest
from openpyxl import Workbook
from tiny_centre import PATIENTS, load_centre

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.judge import SPARED_VALUES, judged

LABS = """
labs:
  file: labs.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: FORMAT
  records: [{table: lab_result, fields: {result_date: day, adamts13_percent: {column: act, unit: "%"}}}]
"""


def labs(centre, days: list[str], values: list[str] | None = None, date_format: str = '"%d/%m/%Y"') -> None:
    """Results of patient A (first exchange on 10/01/2020, data until 31/12/2020)."""
    centre.spec(LABS.replace("FORMAT", date_format))
    values = values or [str(10 + i) for i in range(len(days))]
    rows = (f"A;{day};{value}" for day, value in zip(days, values, strict=True))
    centre.write("labs.csv", "\n".join(["id;day;act", *rows]))


def results(loaded) -> list[tuple[str, float]]:
    return [(r["result_date"].isoformat(), r["value"]) for r in loaded("harmonised.lab_result")]


@pytest.mark.parametrize(
    "days",
    [
        ["11/01/2020", "12/01/2020", "01/13/2020", "01/14/2020"],
        ["11/01/2020", "01/13/2020"],
        # a tenth of those that show an order show the other one
        ["11/01/2020", *(f"{d}/01/2020" for d in range(13, 21)), "01/14/2020"],
    ],
)
def test_dates_that_only_fit_the_other_order_are_evidence_against_those_that_fit_both(centre, days):
    labs(centre, days)
    with pytest.raises(CentreRefused, match=r"labs.csv, column 'day': .* as %m/%d/%Y, .* fit both; expected one order"):
        load_centre("XX01")


def test_one_date_in_the_other_order_among_many_is_a_typing_error(centre, loaded):
    labs(centre, ["11/01/2020", *(f"{d}/01/2020" for d in range(13, 23)), "01/24/2020"])
    load_centre("XX01")
    assert len(results(loaded)) == 11 and [q["rule"] for q in loaded("quality.quarantine")] == ["not_a_date"]


def test_without_a_date_that_fits_both_each_is_judged_alone(centre, loaded):
    labs(centre, ["13/01/2020", "01/14/2020"])
    load_centre("XX01")
    assert results(loaded) == [("2020-01-13", 10.0)]


MIXED = '[date_cell, "%d/%m/%Y"]'


@pytest.mark.parametrize("declared", [MIXED, '[date_cell, "%m/%d/%Y"]'])
def test_dates_that_a_spreadsheet_converted_in_another_order_stop_the_centre(centre, declared):
    """All real dates have a day up to 12, all texts one above: the spreadsheet read the others in its own order."""
    texts = ["13/01/2020", "14/01/2020"] if declared == MIXED else ["01/13/2020", "01/14/2020"]
    labs(centre, ["2020-11-01", "2020-12-01", *texts], date_format=declared)
    with pytest.raises(CentreRefused, match="all 2 real dates have a day up to 12, and all 2 dates in text"):
        load_centre("XX01")


@pytest.mark.parametrize(
    "days",
    [
        ["2020-01-13", "2020-02-01", "14/01/2020", "15/01/2020"],  # a real date with a day above 12
        ["2020-02-01", "2020-03-01", "11/01/2020", "15/01/2020"],  # a text with a day up to 12
        ["2020-02-01", "14/01/2020"],  # one of each shows nothing
    ],
)
def test_a_mixture_of_real_dates_and_texts_that_shows_no_fault_is_read(centre, loaded, days):
    labs(centre, days, date_format=MIXED)
    load_centre("XX01")
    assert len(results(loaded)) == len(days) and not loaded("quality.quarantine")


def workbook(centre, cells: list[tuple[float, str]]) -> None:
    book = Workbook()
    book.active.title = "Labor"
    book.active.append(["id", "day", "act"])
    for i, (value, number_format) in enumerate(cells):
        book.active.append(["A", f"{11 + i}/01/2020", value])
        book.active.cell(i + 2, 3).number_format = number_format
    book.save(centre.submission / "labs.xlsx")
    spec = LABS.replace("labs.csv", "labs.xlsx").replace("FORMAT", '"%d/%m/%Y"')
    centre.spec(spec.replace('{type: delimited, encoding: utf-8, delimiter: ";"}', "{type: xlsx, sheet: Labor}"))


def test_a_column_of_percent_cells_is_read_as_shown(centre, loaded):
    workbook(centre, [(0.05, "0%"), (0.25, "0%"), (0.625, "0.0%")])
    load_centre("XX01")
    assert [v for _, v in results(loaded)] == [5.0, 25.0, 62.5]


def test_percent_cells_among_plain_numbers_stop_the_centre(centre):
    workbook(centre, [(0.05, "0%"), (0.25, "General"), (0.62, "0%")])
    with pytest.raises(CentreRefused, match="column 'act': 2 cells are percentages and 1 are plain numbers"):
        load_centre("XX01")


@pytest.mark.parametrize("values", [["5%", "12", "<5", "7,5"], ["5 %", "12"]])
def test_a_percent_sign_that_somebody_typed_is_no_percent_cell(centre, loaded, values):
    labs(centre, [f"{11 + i}/01/2020" for i in range(len(values))], [v.replace(",", ".") for v in values])
    load_centre("XX01")
    assert len(results(loaded)) == len(values)


def test_a_column_of_dates_long_before_the_first_exchange_is_another_date(centre):
    labs(centre, ["01/02/1970"] * SPARED_VALUES, [str(i + 5) for i in range(SPARED_VALUES)])
    with pytest.raises(CentreRefused, match="5 of 5 dates lie more than 30 days before the patient's first exchange"):
        load_centre("XX01")


SESSIONS = """
sessions:
  file: sessions.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: excel_day_number
  records: [{table: tpe_session, fields: {session_date: day}}]
"""


@pytest.mark.parametrize(("days", "stops"), [(-1462, True), (1462, True), (0, False)])
def test_day_numbers_of_another_epoch_stop_the_centre(centre, loaded, days, stops):
    """Of 1904 read as of 1900, and the reverse: 1,462 days."""
    centre.spec(SESSIONS)
    centre.write("patients.csv", "id;name;sex;born;tpe;dead;seen\nA;x;F;01/02/1970;10/01/2016;;01/06/2020")
    # 42379 is 10 January 2016 in the system of 1900
    centre.write("sessions.csv", "id;day\n" + "\n".join(f"A;{42379 + i + days}" for i in range(6)))
    if stops:
        where = "before" if days < 0 else "after"
        with pytest.raises(CentreRefused, match=f"column 'day': 6 of 6 dates lie more than .* days {where} .*epoch"):
            load_centre("XX01")
    else:
        load_centre("XX01")
        assert len(loaded("harmonised.tpe_session")) == 6


def test_a_column_of_a_patients_own_dates_years_before_the_first_exchange_is_read_wrongly(centre):
    """Last contacts as day numbers of 1904 in a file of 1900: 42369 is 31 December 2015."""
    rows = "".join(f"P{i};x;F;01/02/1970;10/01/2019;;{42369 + i}\n" for i in range(6))
    centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\n{rows}")
    numbers = "last_contact_date: {column: seen, date_format: excel_day_number}"
    centre.spec(patients=PATIENTS.replace("last_contact_date: seen", numbers))
    with pytest.raises(CentreRefused, match="column 'seen': 6 of 6 dates lie more than 30 days before"):
        load_centre("XX01")


def test_a_result_long_before_the_first_exchange_counts_for_nothing_and_is_asked_about(centre, loaded):
    labs(centre, ["10/12/2019", "11/12/2019", "11/01/2020"])
    load_centre("XX01")
    assert [day for day, _ in results(loaded)] == ["2019-12-11", "2020-01-11"], "thirty days before it at most"
    assert [q["rule"] for q in loaded("quality.quarantine")] == ["long_before_first_exchange"]


@pytest.mark.parametrize(
    ("refused", "read", "stops"), [(5, 4, True), (5, 5, False), (4, 0, False), (20, 179, True), (20, 180, False)]
)
def test_a_column_stops_its_centre_by_the_share_of_its_refused_values(centre, loaded, refused, read, stops):
    """More than half of at least five values, or more than a tenth and at least twenty; one value may be refused."""
    centre.write(
        "patients.csv",
        "id;name;sex;born;tpe;dead;seen\n"
        + "\n".join(
            f"P{i:03};x;F;01/02/1970;10/01/2020;;{'20 G' if i < refused else '01/06/2020'}"
            for i in range(refused + read)
        ),
    )
    centre.spec()
    if stops:
        with pytest.raises(CentreRefused, match=f"column 'seen': {refused} of {refused + read} values are refused"):
            load_centre("XX01")
    else:
        load_centre("XX01")
        assert len(loaded("quality.quarantine")) == refused


def test_the_check_says_how_a_field_is_read_with_values_as_sent_and_as_read(centre):
    labs(centre, ["11/01/2020", "12/01/2020", "13/01/2020"], ["<5", "7.5", "62"])
    readings = {(r.file, r.field): r for r in judged("XX01", keep_readings=True).readings}
    activity = readings["labs.csv", "adamts13_percent"]
    assert (activity.column, activity.how, activity.filled, activity.refused) == ("act", "%, decimal .", 3, 0)
    assert activity.samples == [("<5", "<5"), ("7.5", "7.5"), ("62", "62")]
    assert readings["labs.csv", "result_date"].samples[0] == ("11/01/2020", "2020-01-11")
    assert readings["patients.csv", "birth_date"].samples == [], "a date of birth is not shown"
