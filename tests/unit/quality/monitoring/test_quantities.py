"""Quantities of a patient that compare one record with another: both sides of each rule, and what is not known."""

from datetime import date, timedelta

import duckdb
import pandas as pd
import pytest

from capla_etl import fields
from capla_etl.quality.monitoring.quantities import patient_quantities

DAY_0 = date(2021, 3, 1)


def made(patients: list[dict], sessions: dict[str, list[int]], results: list[tuple]) -> pd.DataFrame:
    """Quantities of a few patients.

    Args:
        patients: columns of ``patient`` that matter; ``patient_id`` among them.
        sessions: patient -> days of exchanges.
        results: patient, analyte, day, value.
    """
    about = {"source_file": "f.csv", "source_sheet": "", "first_tpe_date": DAY_0}
    rows = {
        "patient": [about | {"source_row": i} | patient for i, patient in enumerate(patients, 2)],
        "tpe_session": [
            {"patient_id": p, "session_date": DAY_0 + timedelta(day), "source_row": i}
            for p, days in sessions.items()
            for i, day in enumerate(days)
        ],
        "lab_result": [
            {"patient_id": p, "analyte": a, "result_date": DAY_0 + timedelta(day), "value": v, "source_row": i}
            for i, (p, a, day, v) in enumerate(results)
        ],
    }
    con, tables = duckdb.connect(), {}
    for name, table in fields.tables().items():
        columns = ", ".join(f"{column} {fields.sql_type(column)}" for column in table.all_columns)
        con.execute(f"create table {name} ({columns})")
        for row in rows.get(name, []):
            marks = ", ".join("?" * len(row))
            con.execute(f"insert into {name} ({', '.join(row)}) values ({marks})", list(row.values()))
        tables[name] = con.execute(f"from {name}").to_arrow_table()
    return patient_quantities(tables)


def of_one(quantity: str, patient: dict, days: list[int] = (0, 1), results: list[tuple] = ()) -> float | None:
    found = made([{"patient_id": "p"} | patient], {"p": days}, [("p", *result) for result in results])
    value = found[quantity].iloc[0]
    return None if pd.isna(value) else value


@pytest.mark.parametrize(
    ("coma", "involved", "said"),
    [("yes", "no", 1), ("yes", "yes", 0), ("no", "no", 0), ("unknown", "no", None), ("yes", "unknown", None)],
)
def test_coma_without_involvement_needs_both_answers(coma, involved, said):
    patient = {"coma": coma, "neurological_involvement": involved}
    assert of_one("coma_without_neurological_involvement", patient) == said


@pytest.mark.parametrize(("day", "count", "said"), [(5, 150, 1), (6, 150, 0), (5, 149, 0)])
def test_a_patient_whose_counts_recover_by_day_5_is_not_refractory(day, count, said):
    results = [("platelets", 0, 12), ("platelets", day, count)]
    assert of_one("refractory_against_counts", {"reported_refractory": "yes"}, results=results) == said
    assert of_one("refractory_against_counts", {"reported_refractory": "no"}, results=results) == 0
    assert of_one("refractory_against_counts", {"reported_refractory": "unknown"}, results=results) is None


@pytest.mark.parametrize(
    ("judged", "day", "count", "said"),
    [
        ("yes", 31, 149, 0),  # the last exchange is on day 1
        ("yes", 32, 149, 1),
        ("yes", 31, 150, 1),
        ("no", 31, 149, 1),
        ("no", 31, 150, 0),
        ("unknown", 31, 149, None),
    ],
)
def test_an_exacerbation_shows_in_the_counts_within_30_days(judged, day, count, said):
    results = [("platelets", 5, 150), ("platelets", day, count)]
    assert of_one("exacerbation_against_counts", {"reported_exacerbation": judged}, results=results) == said


@pytest.mark.parametrize(("first_at", "said"), [(4, 0), (5, 1), (None, None)])
def test_exchanges_go_on_until_the_count_is_reached(first_at, said):
    results = [("platelets", 0, 149)] + ([("platelets", first_at, 150)] if first_at else [])
    assert of_one("exchanges_ended_before_count", {}, days=[0, 2, 4], results=results) == said


@pytest.mark.parametrize(("sent", "day", "said"), [(3.0, 0, 0), (4.0, 0, 1), (4.0, 1, None), (None, 0, None)])
def test_adamts13_at_presentation_is_the_first_result(sent, day, said):
    assert of_one("adamts13_not_as_first_result", {"adamts13_percent": sent}, results=[("adamts13", day, 3.0)]) == said


def test_three_births_on_one_day_are_counted_two_are_not():
    births = ["x", "x", "x", "y", "y", None]
    found = made([{"patient_id": f"p{i}", "birth_date_linkage": b} for i, b in enumerate(births)], {}, [])
    assert found["birth_date_of_others"].tolist()[:5] == [1, 1, 1, 0, 0]
    assert pd.isna(found["birth_date_of_others"].iloc[5])


@pytest.mark.parametrize(("analyte", "series"), [("platelets", "platelet_series"), ("ldh", "ldh_series")])
def test_a_series_is_the_first_ten_results_whatever_their_days(analyte, series):
    def results(patient, start, count, changed=None):
        return [(patient, analyte, start + i, 20.5 + i + (i == changed)) for i in range(count)]

    patients = [{"patient_id": p} for p in "abcde"]
    made_of = [*results("a", 0, 10), *results("b", 3, 14), *results("c", 0, 10, changed=9)]
    found = made(patients, {}, [*made_of, *results("d", 0, 9)])[series]
    assert found["a"] == found["b"]
    assert found["a"] != found["c"]
    assert found[["d", "e"]].isna().all()
