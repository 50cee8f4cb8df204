"""A patient's own dates: what was refused judges nothing; what contradicts each other is asked about once."""

from datetime import date

import pytest
from tiny_centre import load_centre

SESSIONS = """
sessions:
  file: sessions.csv
  format: {type: delimited, encoding: utf-8, delimiter: ";"}
  key: id
  date_format: "%d/%m/%Y"
  records: [{table: tpe_session, fields: {session_date: day}}]
"""


@pytest.fixture
def dates(centre, loaded):
    """Load one patient (born;tpe;dead;seen) and days of exchanges; return kept dates, and rule by column."""

    def load(patient: str, sessions: str = "") -> tuple[dict, dict]:
        born, tpe, dead, seen = patient.split(";")
        centre.write("patients.csv", f"id;name;sex;born;tpe;dead;seen\nA;x;F;{born};{tpe};{dead};{seen}")
        centre.write("sessions.csv", "id;day\n" + "\n".join(f"A;{day}" for day in sessions.split()))
        centre.spec(SESSIONS if sessions else "")
        if not sessions:
            (centre.submission / "sessions.csv").unlink()
        load_centre("XX01")
        (kept,) = loaded("harmonised.patient")
        return kept, {q["column_name"]: q["rule"] for q in loaded("quality.quarantine")}

    return load


def test_a_first_exchange_after_the_cut_off_costs_no_other_date(dates):
    kept, refused = dates("01/02/1970;10/01/2052;20/03/2020;20/03/2020")
    assert refused == {"tpe": "after_data_cutoff"}
    assert (kept["died"], kept["death_date"], kept["first_tpe_date"]) == ("yes", date(2020, 3, 20), None)


def test_a_birth_after_the_cut_off_costs_no_other_date(dates):
    kept, refused = dates("01/02/2055;10/01/2020;20/03/2020;20/03/2020")
    assert refused == {"born": "after_data_cutoff"}
    assert (kept["first_tpe_date"], kept["death_date"]) == (date(2020, 1, 10), date(2020, 3, 20))


@pytest.mark.parametrize(
    ("patient", "sessions", "rules", "death"),
    [
        # the first exchange contradicts the death and the last contact: it is the odd one out
        ("01/02/1970;10/11/2020;20/03/2020;20/03/2020", "", {"tpe": "after_death"}, date(2020, 3, 20)),
        # the death contradicts the first exchange and the last contact
        ("01/02/1970;10/01/2020;20/03/2019;20/03/2020", "", {"dead": "before_first_exchange"}, None),
        # no third date: the death stays, the first exchange is asked about
        ("01/02/1970;10/11/2020;20/03/2020;", "", {"tpe": "after_death"}, date(2020, 3, 20)),
        # the exchanges sent as rows decide
        ("01/02/1970;10/01/2020;20/12/2019;", "10/01/2020 11/01/2020", {"dead": "before_first_exchange"}, None),
        # the last contact after the death: the death stays
        ("01/02/1970;10/01/2020;20/03/2020;01/06/2020", "", {"seen": "after_death"}, date(2020, 3, 20)),
        # born on the day of the first exchange is possible, a day later is not
        ("10/01/2020;10/01/2020;;", "", {}, None),
        ("11/01/2020;10/01/2020;;", "", {"born": "dates_contradict", "tpe": "dates_contradict"}, None),
        ("01/05/2020;10/01/2020;;20/03/2020", "", {"born": "dates_contradict"}, None),
        # nothing to contradict
        ("01/02/1970;10/01/2020;10/01/2020;10/01/2020", "", {}, date(2020, 1, 10)),
        (";;20/03/2020;", "", {}, date(2020, 3, 20)),
    ],
)
def test_the_date_with_more_dates_against_it_is_refused(dates, patient, sessions, rules, death):
    kept, refused = dates(patient, sessions)
    assert (refused, kept["death_date"]) == (rules, death)
    # dates that contradict each other leave the answer that a date of death gives
    assert kept["died"] == ("yes" if patient.split(";")[2] else "no")


def test_the_message_names_both_columns(centre, loaded, dates):
    dates("11/01/2020;10/01/2020;;")
    messages = {q["column_name"]: q["message"] for q in loaded("quality.quarantine")}
    assert messages["born"] == "Contradicts the first exchange (column 'tpe')."
    assert messages["tpe"] == "Contradicts the birth (column 'born')."
