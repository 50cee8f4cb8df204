"""Completeness, correlations, and the submission before."""

import numpy as np
from made_up_centres import monitored, others, patients, signals

from capla_etl.quality.monitoring.monitor import LOOK_CHANCE, STOP_CHANCE, CentrePatients
from capla_etl.quality.monitoring.watched import watched


def test_the_last_patients_without_any_exchange_stop_the_centre():
    frame = patients("XX01", 100, seed=2)
    frame.iloc[70:, frame.columns.get_loc("exchanges")] = np.nan
    found = monitored(frame)
    signal = next(s for s in found.signals if s.check_name == "cut")
    assert (signal.severity, signal.quantity) == ("stop", "exchanges")
    assert signal.looks_like.startswith("The last patients by the file have no exchanges")
    assert signal.rows == list(range(72, 92))  # the first twenty of them


def test_patients_here_and_there_without_exchanges_are_no_cut():
    frame = patients("XX01", 100, seed=2)
    frame.iloc[::10, frame.columns.get_loc("exchanges")] = np.nan
    assert not [check for check, _ in signals(monitored(frame)) if check == "cut"]


def test_two_patients_in_a_row_are_no_cut():
    frame = patients("XX01", 100, seed=2)
    frame.iloc[98:, frame.columns.get_loc("exchanges")] = np.nan
    assert not [check for check, _ in signals(monitored(frame)) if check == "cut"]


def test_a_column_that_is_declared_and_empty_is_looked_at():
    frame = patients("XX01", 100, seed=2).assign(creatinine=np.nan)
    places = {("patient", "creatinine_umol_per_l", ""): ("patients.csv", "", "Kreatinin")}
    found = monitored(frame, places=places)
    signal = next(s for s in found.signals if s.check_name == "missing")
    assert (signal.severity, signal.column_name) == ("look", "Kreatinin")


def test_a_column_that_is_not_declared_is_not_judged():
    frame = patients("XX01", 100, seed=2).assign(creatinine=np.nan)
    found = monitored(frame)
    assert ("missing", "creatinine") not in signals(found)
    looked_at = found.looked_at.set_index(["check_name", "quantity"])
    assert looked_at.loc[("missing", "creatinine"), "why_not"] == "the centre does not send it"


def test_a_sheet_that_ends_at_a_limit_of_programs_stops_the_centre():
    frame = patients("XX01", 60, seed=2)
    for last, seen in ((65_536, True), (65_535, False), (1_048_576, True)):
        found = signals(monitored(frame, rows={("labs.xls", ""): last}))
        assert (("full_sheet", "labs.xls/") in found) == seen


def test_a_column_of_other_patients_loses_its_correlation():
    def stays(frame, seed):  # discharge a few days after the last exchange
        days = np.random.default_rng(seed).poisson(3, len(frame))
        return frame.assign(discharge_day=frame["last_exchange_day"] + days + 1)

    beside = [CentrePatients(o.centre_id, stays(o.quantities, i)) for i, o in enumerate(others())]
    frame = stays(patients("XX01", 100, seed=2), 99)
    pair = "discharge_day ~ last_exchange_day"
    assert ("correlation", pair) not in signals(monitored(frame, beside))
    shuffled = frame["discharge_day"].sample(frac=1, random_state=3).to_numpy()
    assert signals(monitored(frame.assign(discharge_day=shuffled), beside))["correlation", pair] == "stop"


def test_permuted_numbers_of_patients_stop_a_second_submission():
    before = patients("XX01", 100, seed=2)
    columns = ["sex", "linkage", "day0", "female"]
    now = before.copy()
    now[columns] = before[columns].sample(frac=1, random_state=3).to_numpy()
    found = signals(monitored(now, before=before))
    assert found["changed_day0", "changed_day0"] == "stop"
    assert found["changed_linkage", "changed_linkage"] == "stop"


def test_the_same_submission_again_gives_no_signal():
    frame = patients("XX01", 100, seed=2)
    assert signals(monitored(frame, before=frame)) == {}


def test_two_corrected_birth_dates_are_no_signal_and_four_are_looked_at():
    before = patients("XX01", 100, seed=2)
    for count, seen in ((2, False), (4, True)):
        now = before.copy()
        now.iloc[:count, now.columns.get_loc("linkage")] = "other"
        assert (("changed_linkage", "changed_linkage") in signals(monitored(now, before=before))) == seen


def test_patients_who_are_gone_are_looked_at_and_a_third_stops():
    before = patients("XX01", 100, seed=2)
    for gone, severity in ((2, None), (10, "look"), (33, "stop")):
        found = signals(monitored(before.iloc[gone:].copy(), before=before))
        assert found.get(("gone", "gone")) == severity


def test_added_patients_are_no_signal():
    frame = patients("XX01", 120, seed=2)
    assert signals(monitored(frame, before=frame.iloc[:100])) == {}


def test_a_first_submission_says_that_nothing_was_compared():
    looked_at = monitored(patients("XX01", 60, seed=2)).looked_at
    row = looked_at[looked_at["family"] == "between_submissions"]
    assert row["why_not"].tolist() == ["no earlier submission that can be compared"]


def test_chance_is_shared_by_all_checks_of_a_centre():
    found = monitored(patients("XX01", 100, seed=2, creatinine=10))
    tests = (found.looked_at["judged"] == "yes").sum()
    assert tests > 90
    for signal in found.signals:
        assert signal.p_value < (STOP_CHANCE if signal.severity == "stop" else LOOK_CHANCE)


def test_longer_follow_up_is_no_finding():
    before = patients("XX01", 100, seed=2).assign(last_contact_day=200.0, platelets_results_late=10.0)
    now = before.assign(last_contact_day=380.0, platelets_results_late=14.0)
    assert signals(monitored(now, before=before)) == {}


def test_results_that_were_there_and_are_not_are_looked_at():
    before = patients("XX01", 100, seed=2).assign(platelets_results_late=10.0)
    for count, seen in ((10, False), (11, True)):
        fewer = before["platelets_results_late"].mask(np.arange(100) < count, 6.0)
        found = signals(monitored(before.assign(platelets_results_late=fewer), before=before))
        assert found.get(("less", "platelets_results_late")) == ("look" if seen else None)


def test_values_at_presentation_that_changed_are_looked_at_and_most_of_them_stop():
    before = patients("XX01", 100, seed=2)
    for count, severity in ((10, None), (11, "look"), (60, "look"), (61, "stop")):
        changed = before["creatinine"].mask(np.arange(100) < count, before["creatinine"] * 1.1)
        found = signals(monitored(before.assign(creatinine=changed), before=before))
        assert found.get(("changed", "creatinine")) == severity


def test_a_drug_that_a_centre_began_to_give_is_looked_at_and_stops_nothing():
    frame = patients("XX01", 100, seed=2).sort_values("day0")
    frame["place"] = np.arange(1, 101)
    doses = np.where(np.arange(100) < 25, np.nan, 4.0)
    found = monitored(frame.assign(rituximab_doses=doses))
    assert signals(found)["cut", "rituximab_doses"] == "look"
    assert found.stops == []


def test_a_drug_that_the_last_patients_of_the_file_lack_stops():
    doses = np.where(np.arange(100) >= 75, np.nan, 4.0)
    found = monitored(patients("XX01", 100, seed=2).assign(rituximab_doses=doses))
    assert signals(found)["cut", "rituximab_doses"] == "stop"


def test_every_quantity_is_judged_or_says_why_not():
    for beside in ([], None):
        looked_at = monitored(patients("XX01", 60, seed=2), beside).looked_at
        named = set(looked_at["quantity"])
        assert set(watched()) <= named
        assert (looked_at.loc[looked_at["judged"] == "no", "why_not"] != "").all()


def test_a_list_that_the_spec_reads_and_that_is_empty_stops():
    frame = patients("XX01", 60, seed=2).assign(exchanges=np.nan)
    places = {("tpe_session", "session_date", ""): ("exchanges.csv", "", "Datum")}
    found = monitored(frame, places=places)
    signal = next(s for s in found.signals if s.check_name == "cut")
    assert (signal.severity, signal.file, signal.column_name) == ("stop", "exchanges.csv", "Datum")
    assert not [check for check, _ in signals(monitored(frame)) if check == "cut"]


def test_deaths_that_are_taken_back_stop():
    before = patients("XX01", 200, seed=2).assign(died=(np.arange(200) < 15).astype(float))
    for kept, severity in ((13, None), (12, "stop")):
        now = before.assign(died=(np.arange(200) < kept).astype(float))
        assert signals(monitored(now, before=before)).get(("less", "died")) == severity


def test_more_deaths_than_before_are_no_finding():
    before = patients("XX01", 200, seed=2).assign(died=(np.arange(200) < 5).astype(float))
    now = before.assign(died=(np.arange(200) < 12).astype(float))
    assert ("less", "died") not in signals(monitored(now, before=before))


def test_a_treatment_that_no_other_centre_has_is_not_judged():
    frame = patients("XX01", 100, seed=2)
    controls = frame["place"] > 50
    frame = frame.assign(treated=~controls, creatinine=frame["creatinine"].where(~controls, frame["creatinine"] * 3))
    assert ("level", "creatinine") not in signals(monitored(frame))


def test_a_column_is_that_of_the_table_and_the_drug():
    places = {
        ("patient", "adamts13_percent", ""): ("patients.csv", "", "ADAMTS13"),
        ("lab_result", "adamts13_percent", ""): ("labs.csv", "", "Wert"),
        ("drug_course", "start_date", "rituximab"): ("drugs.csv", "", "Rituximab"),
        ("drug_course", "start_date", "caplacizumab"): ("drugs.csv", "", "Caplacizumab"),
    }
    centre = CentrePatients("XX01", patients("XX01", 10, seed=2), places=places)
    assert centre.place("adamts13_percent", "adamts13_presentation") == ("patients.csv", "", "ADAMTS13")
    assert centre.place("adamts13_percent", "adamts13_late") == ("labs.csv", "", "Wert")
    assert centre.place("start_date", "rituximab_day") == ("drugs.csv", "", "Rituximab")
    assert centre.place("hemoglobin_g_per_dl", "hemoglobin") is None
