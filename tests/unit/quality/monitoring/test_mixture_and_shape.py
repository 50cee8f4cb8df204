"""Two levels in one column, and columns whose values are not spread as measured values are."""

import numpy as np
import pytest
from made_up_centres import monitored, others, patients, signals

from capla_etl.quality.monitoring.monitor import CentrePatients

ALONE = {"same_presentation", "same_series"}


def _with(frame, column, values):
    return frame.assign(**{column: values})


def test_rows_from_one_place_on_in_another_unit_stop_the_centre():
    frame = patients("XX01", 100, seed=2)
    late = frame["place"].to_numpy() > 60
    found = monitored(_with(frame, "creatinine", frame["creatinine"] * np.where(late, 2.5, 1)))
    signal = next(s for s in found.signals if s.check_name == "change_in_file" and s.quantity == "creatinine")
    assert signal.severity == "stop"
    assert "from row 62 on" in signal.found  # row 1 is the header, so patient 61 is in row 62


def test_patients_since_a_month_in_another_unit_are_seen_with_the_month():
    frame = patients("XX01", 200, seed=2)
    day = np.sort(frame["day0"].to_numpy())[120]
    frame = _with(frame, "creatinine", frame["creatinine"] * np.where(frame["day0"] >= day, 2.5, 1))
    signal = next(s for s in monitored(frame).signals if s.check_name == "change_in_time")
    assert (signal.quantity, signal.severity) == ("creatinine", "stop")
    assert str(np.datetime64("2000-01-01") + int(day))[:7] in signal.found


def test_the_same_order_by_chance_is_no_change():
    frame = patients("XX01", 200, seed=2)
    assert not {c for c, _ in signals(monitored(frame)) if c.startswith("change")}


def test_a_column_with_cells_filled_from_the_row_above_is_seen():
    frame = patients("XX01", 100, seed=2)
    blank = np.arange(100) % 3 != 0
    filled = frame["creatinine"].mask(blank).ffill()
    assert signals(monitored(_with(frame, "creatinine", filled)))["repeated", "creatinine"] == "stop"


@pytest.mark.parametrize(("descending", "expected"), [(False, "stop"), (True, "stop")])
def test_a_column_sorted_alone_stops_the_centre(descending, expected):
    frame = patients("XX01", 100, seed=2)
    values = np.sort(frame["creatinine"].to_numpy())
    found = monitored(_with(frame, "creatinine", values[::-1] if descending else values))
    assert signals(found)["ordered", "creatinine"] == expected


@pytest.mark.parametrize(("code", "share", "seen"), [(99, 0.2, True), (99, 0.02, False)])
def test_a_code_for_missing_typed_as_a_number_is_seen_where_it_is_frequent(code, share, seen):
    frame = patients("XX01", 200, seed=2)
    some = np.arange(200) % round(1 / share) == 0
    found = signals(monitored(_with(frame, "creatinine", frame["creatinine"].mask(some, code))))
    assert (("spike", "creatinine") in found) == seen


def test_rounded_values_are_looked_at_and_stop_nothing():
    frame = patients("XX01", 200, seed=2)
    found = monitored(_with(frame, "creatinine", (frame["creatinine"] / 20).round() * 20))
    assert signals(found)["rounded", "creatinine"] == "look"
    assert found.stops == []


def test_one_value_for_all_stops_the_centre():
    frame = patients("XX01", 100, seed=2)
    assert signals(monitored(_with(frame, "hemoglobin", 8.5)))["repeated", "hemoglobin"] == "stop"


def test_the_shape_of_nineteen_values_is_not_judged():
    frame = patients("XX01", 60, seed=2)
    frame.iloc[19:, frame.columns.get_loc("creatinine")] = np.nan
    looked_at = monitored(frame).looked_at.set_index(["check_name", "quantity"])
    assert looked_at.loc[("repeated", "creatinine"), "judged"] == "no"


def test_a_copied_patient_is_looked_at_and_judges_nothing():
    frame = patients("XX01", 60, seed=2)
    columns = ["hemoglobin", "creatinine", "troponin", "anti_adamts13", "volume"]
    places = [frame.columns.get_loc(c) for c in columns]
    frame.iloc[40:50, places] = frame.iloc[5, places].to_numpy()
    found = signals(monitored(frame))
    assert found["same_presentation", "same_presentation"] == "look"
    assert {check for check, _ in found} <= ALONE


def test_three_values_alike_are_chance():
    frame = patients("XX01", 60, seed=2)
    columns = ["hemoglobin", "creatinine", "volume"]
    for column in columns:
        frame.iloc[40, frame.columns.get_loc(column)] = frame.iloc[5][column]
    assert signals(monitored(frame)) == {}


def test_a_whole_series_in_two_patients_is_looked_at():
    frame = patients("XX01", 60, seed=2)
    frame.iloc[40, frame.columns.get_loc("platelet_series")] = frame["platelet_series"].iloc[5]
    found = monitored(frame)
    signal = next(s for s in found.signals if s.check_name == "same_series")
    assert (signal.severity, signal.patients, signal.rows) == ("look", 60, [7, 42])


def test_others_with_copies_are_a_measure_without_them():
    beside = others()
    columns = ["hemoglobin", "creatinine", "troponin", "anti_adamts13", "volume"]
    for other in beside[:3]:
        frame = other.quantities
        places = [frame.columns.get_loc(c) for c in columns]
        frame.iloc[50:90, places] = frame.iloc[5, places].to_numpy()
    assert signals(monitored(patients("XX01", 100, seed=2), beside)) == {}


def test_a_file_sorted_by_age_stops_nothing():
    frame = patients("XX01", 100, seed=2).assign(age=np.linspace(20, 80, 100))
    beside = [
        CentrePatients(o.centre_id, o.quantities.assign(age=np.random.default_rng(i).uniform(20, 80, 100)))
        for i, o in enumerate(others())
    ]
    found = monitored(frame, beside)
    assert found.stops == []
    assert {s.quantity for s in found.signals} == {"age"}


def _two_treatments(frame, coma_treated, coma_not, seed):
    rng = np.random.default_rng(seed)
    treated = np.arange(len(frame)) % 2 == 0
    share = np.where(treated, coma_treated, coma_not)
    return frame.assign(treated=treated, coma=(rng.random(len(frame)) < share).astype(float))


def test_the_treatments_are_compared_as_in_the_other_centres():
    beside = [CentrePatients(o.centre_id, _two_treatments(o.quantities, 0.1, 0.1, i)) for i, o in enumerate(others())]
    as_elsewhere = _two_treatments(patients("XX01", 200, seed=2), 0.1, 0.1, 77)
    assert ("by_treatment", "coma") not in signals(monitored(as_elsewhere, beside))
    exchanged = _two_treatments(patients("XX01", 200, seed=2), 0.7, 0.05, 77)
    found = monitored(exchanged, beside).looked_at.set_index(["check_name", "quantity"])
    assert found.loc[("by_treatment", "coma"), "severity"] == "stop"


def test_a_rare_event_that_begins_is_seen_and_by_chance_is_not():
    frame = patients("XX01", 200, seed=2).assign(coma=0.0)
    since = frame["place"] > 150
    found = monitored(frame.assign(coma=(since & (frame["place"] % 2 == 0)).astype(float))).looked_at
    told = found[(found["check_name"] == "change_in_file") & (found["quantity"] == "coma")]
    assert told["severity"].tolist() != [""]
    few = monitored(frame.assign(coma=frame["place"].isin([30, 90, 160, 170, 190, 199]).astype(float))).looked_at
    told = few[(few["check_name"] == "change_in_file") & (few["quantity"] == "coma")]
    assert told["severity"].tolist() == [""]
