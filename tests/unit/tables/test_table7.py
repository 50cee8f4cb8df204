"""Table 7: which patients are compared, kappa as R computes it, and every disagreement listed once."""

import math

import pandas as pd
import pytest
from study_frames import CONTROL, EARLY, outcomes, patients, value

from capla_etl.tables.table7 import cohen_kappa, compared, disagreements, table7


def _outcomes(*lines: dict) -> pd.DataFrame:
    return outcomes(*({"refractory_assessment_day": 6, "exacerbation_day": None} | line for line in lines))


def _reported(*lines: dict) -> pd.DataFrame:
    said = {"refractory": "no", "exacerbation": "no", "response_day": None}
    return pd.DataFrame([{"patient_id": f"p{number}", **said, **line} for number, line in enumerate(lines)])


def test_kappa_and_its_standard_error_are_those_of_r():
    """R vcd, help page of Kappa: ``Kappa(SexualFun)``: unweighted 0.1293, ASE 0.06860."""
    table = [[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]]
    kappa, lower, upper = cohen_kappa(table)
    assert kappa == pytest.approx(0.1293, abs=5e-5)
    assert (upper - lower) / (2 * 1.959964) == pytest.approx(0.06860, abs=5e-6)


def test_kappa_by_its_formula():
    """Observed agreement 35/50, by chance (25 x 30 + 25 x 20) / 50^2 = 0.5: kappa (0.7 - 0.5) / (1 - 0.5) = 0.4."""
    assert cohen_kappa([[20, 5], [10, 15]]).value == pytest.approx(0.4)


@pytest.mark.parametrize("table", [[[0, 0], [0, 0]], [[5, 0], [0, 0]]])
def test_there_is_no_kappa_when_chance_alone_agrees(table):
    assert all(math.isnan(number) for number in cohen_kappa(table))


@pytest.mark.parametrize("table", [[[1, 2]], [[1, -1], [0, 2]]])
def test_kappa_of_something_else_is_refused(table):
    with pytest.raises(ValueError, match="square table"):
        cohen_kappa(table)


@pytest.fixture(scope="module")
def frames():
    patient = patients(EARLY, EARLY, EARLY, CONTROL, CONTROL | {"eligible": False, "exclusion_reason": "no_tpe"})
    outcome = _outcomes(
        {"refractory": "yes", "response_day": 5},
        {"refractory": "no", "response_day": 7},
        {"refractory": "not_evaluable", "response_day": 9},
        {"refractory": "no"},
    )
    reported = _reported(
        {"refractory": "yes", "response_day": 5},
        {"refractory": "yes", "response_day": 8},
        {"refractory": "yes", "response_day": 12},
        {"refractory": "unknown"},
        {"refractory": "yes", "response_day": 1},
    )
    return patient, outcome, reported


def test_only_eligible_patients_with_both_known_are_compared(frames):
    results = table7(*frames)
    counts = {
        name: value(results, f"refractory_{name}", "all", "count")["value"]
        for name in ("both_yes", "derived_only", "reported_only", "both_no")
    }
    assert counts == {"both_yes": 1, "derived_only": 0, "reported_only": 1, "both_no": 0}
    agreement = value(results, "refractory_agreement", "all", "percent")
    assert (agreement["n"], agreement["n_assessed"]) == (1, 2)
    assert value(results, "refractory_agreement", "control", "percent")["caveat"].startswith(
        "not estimable: no patient assessed"
    )


def test_days_are_derived_minus_reported(frames):
    results = table7(*frames)
    assert value(results, "response_day_difference", "all", "median")["value"] == -1
    exact, within = (value(results, f"response_day_{name}", "all", "percent") for name in ("exact", "within_1"))
    assert (exact["n"], exact["n_assessed"]) == (1, 3) and (within["n"], within["n_assessed"]) == (2, 3)


def test_every_disagreement_is_listed_once(frames):
    listing = disagreements(*frames)
    assert listing[["outcome", "patient_id", "derived", "reported"]].to_numpy().tolist() == [
        ["refractory", "p1", "no", "yes"],
        ["response_day", "p1", "day 7", "day 8"],
        ["response_day", "p2", "day 9", "day 12"],
    ]
    assert (
        listing["days_difference"].tolist()[1:] == [-1, -3]
        and pd.isna(listing["reported_day"].iloc[0])
        and listing["derived_day"].iloc[0] == 6
    )


def test_a_patient_without_reported_outcomes_is_an_error(frames):
    patient, outcome, reported = frames
    with pytest.raises(ValueError, match="no derived or no reported"):
        compared(patient, outcome, reported.iloc[1:])


def test_listing_and_table_agree_on_the_whole_study(built_warehouse):
    import duckdb

    with duckdb.connect(str(built_warehouse), read_only=True) as connection:
        differ = connection.execute("""select "row", sum(value)::integer from study.table7 where "group" = 'all' and
            "row" like '%\\_only' escape '\\' group by 1""").fetchall()
        listed = dict(connection.execute("select outcome, count(*) from study.disagreement group by 1").fetchall())
        exact = connection.execute(
            """select n_assessed - n from study.table7 where "group" = 'all' and "row" = 'response_day_exact'"""
        ).fetchone()[0]
    for outcome in ("refractory", "exacerbation"):
        assert sum(number for row, number in differ if row.startswith(outcome)) == listed[outcome]
    assert listed["response_day"] == exact
