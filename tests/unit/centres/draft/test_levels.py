"""A unit or order that puts a column among the other centres is proposed with that evidence; one that does not is never
certain.
"""

from datetime import date, timedelta

import pandas as pd
import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.levels import (
    LEAST,
    LEAST_CENTRES,
    Level,
    date_of,
    of_centres,
    orders_by_level,
    published,
    units_by_level,
)
from capla_etl.centres.spec.grammar import TO_DECIDE
from capla_etl.fields import fields

CREATININE = "creatinine_umol_per_l"
OTHERS = {CREATININE: Level(70, 140, 9)}


def _drafted(tmp_path, header: str, numbers: list, others=None):
    """The entry of a column of a table of patients."""
    rows = [f"P{i},{'m' if i % 3 else 'f'},{1950 + i % 40},{n}" for i, n in enumerate(numbers)]
    (tmp_path / "patients.csv").write_text("\n".join([f"patient_id,sex,birth year,{header}", *rows]) + "\n")
    (table,) = draft_centre(tmp_path / "patients.csv", others=others).tables
    return table.records[0].fields[CREATININE]


def _around(middle: float, count: int = LEAST) -> list[float]:
    return [round(middle * (0.8 + 0.4 * i / (count - 1)), 3) for i in range(count)]


def test_the_one_unit_that_fits_is_proposed_with_its_evidence(tmp_path):
    entry = _drafted(tmp_path, "creatinine", _around(1.05), OTHERS)
    assert entry.source["unit"] == "mg/dL"
    assert entry.note.startswith("GUESS: as mg/dL the median is like that of the 9 other centres;")
    assert "as umol/L it would be 1/67 of it" in entry.note


def test_without_other_centres_published_cohorts_are_the_measure(tmp_path):
    entry = _drafted(tmp_path, "creatinine", _around(95))
    assert entry.source["unit"] == "umol/L" and "like that of published cohorts" in entry.note


@pytest.mark.parametrize(("count", "unit"), [(LEAST, "mg/dL"), (LEAST - 1, TO_DECIDE)])
def test_few_numbers_have_no_level(tmp_path, count, unit):
    assert _drafted(tmp_path, "creatinine", _around(1.05, count), OTHERS).source["unit"] == unit


def test_a_level_that_no_unit_or_more_than_one_gives_decides_nothing(tmp_path):
    none = _drafted(tmp_path, "creatinine", _around(20), {CREATININE: Level(95, 100, 9)})
    assert none.source["unit"] == TO_DECIDE and "is not like that of the 9 other centres" in none.note
    several = _drafted(tmp_path, "creatinine", _around(1.05), {CREATININE: Level(1, 140, 9)})
    assert several.source["unit"] == TO_DECIDE and "as umol/L or mg/dL" in several.note


def test_a_unit_in_the_header_is_certain_only_if_the_level_fits(tmp_path):
    fits = _drafted(tmp_path, "creatinine (mg/dL)", _around(1.05), OTHERS)
    assert (fits.source["unit"], fits.note) == ("mg/dL", "certain: 'mg/dL' in the header")
    contradicted = _drafted(tmp_path, "creatinine (mg/dL)", _around(95), OTHERS)
    assert contradicted.source["unit"] == TO_DECIDE and "certain" not in contradicted.note
    assert "'mg/dL' in the header; but as umol/L the median is like" in contradicted.note
    other_patients = _drafted(tmp_path, "creatinine (mg/dL)", _around(4.0), OTHERS)
    assert other_patients.source["unit"] == "mg/dL" and other_patients.note.startswith("GUESS: 'mg/dL' in the header")


def test_numbers_whose_mark_is_open_have_no_level(tmp_path):
    """ "1.050" may be one or a thousand."""
    numbers = [f"1.{i:03d}" for i in range(100, 100 + LEAST)]
    assert _drafted(tmp_path, "creatinine", numbers, OTHERS).source["unit"] == TO_DECIDE


@pytest.mark.parametrize(("unit", "middle", "certain"), [("mg/dL", 1.05, True), ("mg/dL", 95, False)])
def test_units_that_stand_in_the_rows_are_certain_only_if_the_level_fits(tmp_path, unit, middle, certain):
    rows = [f"P{i},CREATININE,{n},{unit},2020-01-01" for i, n in enumerate(_around(middle))]
    rows += [f"P{i},PLT,{100 + i},10^9/L,2020-01-0{1 + i % 9}" for i in range(LEAST)]
    (tmp_path / "lb.csv").write_text("\n".join(["patient_id,test,result,unit,date", *rows]) + "\n")
    (table,) = draft_centre(tmp_path / "lb.csv", others=OTHERS).tables
    (entry,) = (r.fields[CREATININE] for r in table.records if CREATININE in r.fields)
    assert entry.note.startswith("certain") is certain and entry.source["unit"]["codes"] == {unit: unit}
    assert ("not like that of the 9 other centres" in entry.note) is not certain


def test_a_unit_that_needs_a_laboratorys_limit_is_compared_as_widely_as_limits_differ():
    ldh, level = fields()["ldh_x_uln"], Level(0.7, 1.7, 9)
    fits = {f.name: f.ratio for f in units_by_level(ldh, ["x ULN", "U/L"], _around(300.0), level)}
    assert fits["U/L"] == 1 and fits["x ULN"] > 100
    fits = {f.name: f.ratio for f in units_by_level(ldh, ["x ULN", "U/L"], _around(1.2), level)}
    assert fits["x ULN"] == 1 and fits["U/L"] < 0.1


@pytest.mark.parametrize(("value", "ratio"), [(70, 1), (140, 1), (141, 141 / 140), (69, 69 / 70), (0, 0)])
def test_a_level_includes_both_its_ends(value, ratio):
    assert Level(70, 140, 9).ratio(value) == pytest.approx(ratio)


# ------------------------------------------------------------------ order of day and month


def _dates(tmp_path, written: str, others):
    """A draft of counts on six successive days of each patient, no day above 12."""
    days = [(p, date(2020, 1 + p % 12, 2) + timedelta(days=d)) for p in range(12) for d in range(6)]
    rows = [f"P{p},{day.strftime(written)},{20 + i % 90}" for i, (p, day) in enumerate(days)]
    (tmp_path / "counts.csv").write_text("\n".join(["patient_id,date,PLT (10^9/L)", *rows]) + "\n")
    (table,) = draft_centre(tmp_path / "counts.csv", others=others).tables
    return table.records[0].fields["result_date"]


DAILY = {date_of("platelets_10e9_per_l"): Level(0.5, 3, 9)}


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y"])
def test_the_order_in_which_a_patients_dates_follow_each_other_as_elsewhere_is_proposed(tmp_path, written):
    entry = _dates(tmp_path, written, DAILY)
    assert entry.source["date_format"] == written
    assert entry.note.startswith(f"GUESS: as {written} the time from one date of a patient to the next is like")


def test_without_other_centres_the_order_is_left_to_people(tmp_path):
    assert _dates(tmp_path, "%d/%m/%Y", None).source["date_format"] == TO_DECIDE


def test_an_order_is_proposed_only_where_one_alone_fits(tmp_path):
    wide = {date_of("platelets_10e9_per_l"): Level(0.5, 60, 9)}
    assert _dates(tmp_path, "%d/%m/%Y", wide).source["date_format"] == TO_DECIDE


def test_a_proven_order_is_not_certain_where_a_patients_dates_lie_far_apart(tmp_path):
    monthly = {date_of("platelets_10e9_per_l"): Level(20, 40, 9)}
    proven = _dates(tmp_path, "%Y-%m-%d", DAILY)
    assert "date_format" not in proven.source and proven.note.startswith("certain")
    doubted = _dates(tmp_path, "%Y-%m-%d", monthly)
    assert doubted.source["date_format"] == TO_DECIDE and "certain" not in doubted.note


def test_few_dates_have_no_order():
    patients, texts = ["P1"] * LEAST, [f"0{1 + i % 9}/02/2020" for i in range(LEAST)]
    assert orders_by_level(patients, texts, ["%d/%m/%Y", "%m/%d/%Y"], Level(0.5, 3, 9)) == []


# ------------------------------------------------------------------ what the others have


def _centre(folder, middle: float, patients: int = LEAST):
    folder.mkdir()
    numbers = dict.fromkeys(("hemoglobin_g_per_dl", "troponin_x_uln", "adamts13_percent"))
    numbers |= dict.fromkeys(("anti_adamts13_u_per_ml", "icu_days", "age_years_reported"))
    rows = [{"patient_id": f"P{i}", **numbers, CREATININE: middle} for i in range(patients)]
    pd.DataFrame(rows).to_parquet(folder / "harmonised.patient.parquet")
    days = [date(2020, 1, 1) + timedelta(days=2 * d) for d in range(LEAST + 1)]
    results = [{"patient_id": "P0", "analyte": "ldh", "result_date": day, "value": 1.0} for day in days]
    pd.DataFrame(results).to_parquet(folder / "harmonised.lab_result.parquet")
    sessions = [{"patient_id": "P0", "session_date": days[0], "volume_ml": None}]
    pd.DataFrame(sessions).to_parquet(folder / "harmonised.tpe_session.parquet")
    return folder


@pytest.mark.parametrize(("centres", "known"), [(LEAST_CENTRES, True), (LEAST_CENTRES - 1, False)])
def test_the_level_of_the_others_needs_some_centres(tmp_path, centres, known):
    folders = {f"XX0{n}": _centre(tmp_path / f"XX0{n}", 80.0 + 10 * n) for n in range(centres)}
    found = of_centres(folders)
    assert (CREATININE in found) is known
    if known:
        level = found[CREATININE]
        assert level.low == pytest.approx(80 / 1.5) and level.high == pytest.approx((70 + 10 * centres) * 1.5)
        assert level.centres == centres
        apart = found[date_of("ldh_x_uln")]
        assert (apart.low, apart.high) == pytest.approx((2 / 3, 6)), "two days, by a factor of three"
        assert "hemoglobin_g_per_dl" not in found, "not known in any of them"


def test_a_centre_with_few_patients_is_no_measure(tmp_path):
    folders = {f"XX0{n}": _centre(tmp_path / f"XX0{n}", 90.0, LEAST - (n == 0)) for n in range(LEAST_CENTRES)}
    assert CREATININE not in of_centres(folders)


def test_published_levels_are_those_declared():
    assert published()[CREATININE] == Level(65, 150, 0)
