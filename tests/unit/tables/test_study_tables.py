"""The study's tables: which patients are counted, in which denominator, and why there is no number."""

import pandas as pd
import pytest
from study_frames import CONTROL, DELAYED, EARLY, ledger, outcomes, patients, quarantine, value

from capla_etl.tables import as_published, flow, population, table1, table5, table6
from capla_etl.tables import table2_to_4 as outcome_tables
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.courses import first_event_courses, survival_courses
from capla_etl.tables.groups import Groups, timings
from capla_etl.tables.groups import arms as arms_of
from capla_etl.tables.results import cell, frame

FOLLOW_UP = {"follow_up_days": 90}


def arms(*lines: dict) -> Groups:
    """Eligible patients of each arm."""
    return arms_of(population.eligible_patients(patients(*lines)))


def test_flow_counts_every_record_once():
    patient = patients(
        EARLY,
        DELAYED,
        {"timing": "unknown"},
        CONTROL,
        CONTROL | {"eligible": False, "exclusion_reason": "control_out_of_window"},
        EARLY | {"eligible": False, "exclusion_reason": "under_18"},
    )
    results = flow.flow(patient, ledger(), quarantine("row", "row", "cell"))
    counts = results[results["group"] == "all"].set_index("row")["value"]
    assert counts[["patient_records", "excluded", "eligible", "caplacizumab", "control"]].tolist() == [6, 2, 4, 3, 1]
    assert counts[["early", "delayed", "timing_unknown", "rescue", "slow_response"]].tolist() == [1, 1, 1, 0, 1]
    assert counts[["excluded_under_18", "excluded_control_out_of_window", "excluded_not_ittp"]].tolist() == [1, 1, 0]
    assert counts[["rows_received", "rows_loaded", "rows_quarantined", "values_quarantined"]].tolist() == [10, 7, 2, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"timing": "late"}, "caplacizumab is 1"),
        (DELAYED | {"delay_reason": None}, "delayed is 1"),
        ({"treatment_group": "placebo"}, "eligible is 1"),
        (EARLY | {"eligible": False}, "excluded without"),
        (EARLY | {"exclusion_reason": "under_18"}, "eligible with a reason"),
        (EARLY | {"eligible": False, "exclusion_reason": "withdrawn"}, "patient_records is 1"),
    ],
)
def test_flow_that_does_not_subtract_is_refused(line, message):
    with pytest.raises(ValueError, match=message):
        flow.flow(patients(line), ledger(), quarantine())


def test_a_ledger_that_does_not_balance_is_refused():
    with pytest.raises(ValueError, match="FR01 patients.csv"):
        flow.flow(patients(EARLY), ledger(rows_loaded=8), quarantine())


def test_missing_is_never_no():
    results = table1.table1(
        patients(EARLY | {"coma": "yes"}, EARLY, EARLY | {"coma": "unknown"}, CONTROL | {"coma": "unknown"})
    )
    coma = value(results, "coma", "caplacizumab", "percent")
    assert (coma["value"], coma["n"], coma["n_assessed"]) == (50, 1, 2)
    assert coma["caveat"] == "not assessed: 1 of 3 patients"
    nobody = value(results, "coma", "control", "percent")
    assert pd.isna(nobody["value"]) and nobody["caveat"].startswith("not estimable: no patient assessed")
    assert pd.isna(value(results, "coma", "difference", "p_value")["value"])


def test_baseline_describes_eligible_patients_only_and_values_below_quantification_at_their_limit():
    results = table1.table1(
        patients(
            EARLY | {"age_years": 30},
            EARLY | {"age_years": 50},
            CONTROL | {"age_years": None},
            EARLY | {"age_years": 17, "eligible": False, "exclusion_reason": "under_18"},
        )
    )
    assert value(results, "age_years", "caplacizumab", "median")["value"] == 40
    assert value(results, "age_years", "control", "median")["caveat"] == "not estimable: no value known"
    assert (
        "2 results below or above quantification"
        in value(results, "adamts13_percent", "caplacizumab", "median")["caveat"]
    )


@pytest.mark.parametrize(
    ("line", "time_days", "event"),
    [
        ({"death_day": 90, "died": "yes"}, 90, True),
        ({"death_day": 91, "died": "yes"}, 90, False),
        ({"last_seen_day": 89}, 89, False),
        ({"last_seen_day": 400}, 90, False),
        ({"last_seen_day": 12, "died": "yes"}, 12, False),
    ],
)
def test_a_death_on_the_last_day_counts_and_follow_up_ends_there(line, time_days, event):
    courses, _ = survival_courses(arms(EARLY | line), **FOLLOW_UP)
    assert courses[["time_days", "event"]].to_numpy().tolist() == [[time_days, event]]


def test_survival_says_who_was_censored_and_who_left_out():
    _, caveats = survival_courses(
        arms(
            EARLY | {"last_seen_day": 10},
            EARLY | {"last_seen_day": 20, "died": "yes"},
            EARLY | {"last_seen_day": None},
            CONTROL,
        ),
        **FOLLOW_UP,
    )
    assert caveats["caplacizumab"] == (
        "1 censored before day 90; 1 died on an unknown day, censored when last seen; 1 left out: follow-up not known"
    )
    assert caveats["control"] is None


def test_exacerbation_has_two_denominators():
    patient = patients(EARLY, EARLY, EARLY, CONTROL)
    outcome = outcomes(
        {"exacerbation": "yes"},
        {"exacerbation": "no"},
        {"response": "no", "response_day": None, "exacerbation": "not_evaluable"},
        {},
    )
    results = outcome_tables.table2(patient, outcome, **FOLLOW_UP)
    everybody = value(results, "exacerbation_all_patients", "caplacizumab", "percent")
    responders = value(results, "exacerbation_responders", "caplacizumab", "percent")
    assert (everybody["n"], everybody["n_assessed"]) == (
        1,
        3,
    ) and "1 in the denominator are not evaluable" in everybody["caveat"]
    assert (responders["n"], responders["n_assessed"]) == (1, 2)


def test_relapse_is_asked_of_patients_in_remission():
    patient = patients(EARLY, EARLY, EARLY, CONTROL)
    outcome = outcomes(
        {"relapse": "yes", "relapse_status": "unconfirmed"},
        {"relapse": "yes", "relapse_status": "confirmed"},
        {"remission": "no", "relapse": "not_evaluable"},
        {},
    )
    results = outcome_tables.table2(patient, outcome, **FOLLOW_UP)
    assert value(results, "relapse", "caplacizumab", "percent")[["n", "n_assessed"]].tolist() == [2, 2]
    assert value(results, "relapse_confirmed", "caplacizumab", "percent")[["n", "n_assessed"]].tolist() == [1, 2]


def test_recovery_is_asked_of_patients_with_activity_measured_after_day_0():
    patient, outcome = patients(EARLY, EARLY, EARLY, CONTROL), outcomes({"adamts13_recovery_day": 20}, {}, {}, {})
    series = pd.DataFrame({"patient_id": ["p0", "p1", "p2"], "day": [20, 7, 0], "adamts13_percent": [30.0, 8.0, 5.0]})
    recovered = value(
        outcome_tables.table2(patient, outcome, series, **FOLLOW_UP), "adamts13_recovery", "caplacizumab", "percent"
    )
    assert recovered[["n", "n_assessed"]].tolist() == [1, 2]
    unknown = value(
        outcome_tables.table2(patient, outcome, **FOLLOW_UP), "adamts13_recovery", "caplacizumab", "percent"
    )
    assert unknown["caveat"].startswith("not estimable: ")


def test_every_effect_carries_the_caveat_and_every_cell_its_method():
    results = outcome_tables.table2(
        patients(EARLY, CONTROL), outcomes({"failure": "yes"}, {"failure": "yes"}), **FOLLOW_UP
    )
    effects = results[(results["group"] == "difference") & results["value"].notna()]
    assert (
        effects["caveat"].str.contains("historic controls").all()
        and effects["caveat"].str.contains("immortal time").all()
    )
    assert results["method"].notna().all()
    assert results.loc[results["value"].isna(), "caveat"].str.startswith("not estimable: ").all()


def test_outcomes_must_be_those_of_the_eligible_patients():
    with pytest.raises(ValueError, match="exactly the eligible"):
        outcome_tables.table2(patients(EARLY, CONTROL), outcomes({}), **FOLLOW_UP)


def test_death_competes_with_response():
    patient = patients(
        CONTROL, CONTROL | {"death_day": 3, "died": "yes"}, CONTROL | {"last_seen_day": 4}, EARLY, {"timing": "unknown"}
    )
    none = {"response": "no", "response_day": None}
    groups = timings(population.eligible_outcomes(patient, outcomes({}, none, none, {"response_day": 91}, {})))
    courses, caveats = first_event_courses(
        {name: groups[name] for name in ("control", "early")}, "response_day", **FOLLOW_UP
    )
    assert courses[["group", "time_days", "cause"]].to_numpy().tolist() == [
        ["control", 5, 1],
        ["control", 3, 2],
        ["control", 4, 0],
        ["early", 90, 0],
    ]
    assert caveats["control"] == "1 censored before day 90"


def test_adverse_events_are_of_the_assessed():
    kinds = ["major_bleeding", "crnm_bleeding", "minor_bleeding", "injection_site_reaction", "other"]
    answers = {
        "p0": dict.fromkeys(kinds, "no") | {"major_bleeding": "yes"},
        "p1": dict.fromkeys(kinds, "no"),
        "p2": dict.fromkeys(kinds, "no") | {"major_bleeding": "unknown"},
        "p3": dict.fromkeys(kinds, "unknown"),
    }
    assessed = pd.DataFrame(
        [(p, kind, answer) for p, own in answers.items() for kind, answer in own.items()],
        columns=["patient_id", "kind", "occurred"],
    )
    events = pd.DataFrame(
        {"patient_id": ["p0", "p0"], "kind": "major_bleeding", "site": ["intracranial", "intracranial"]}
    )
    results = table5.table5(patients(EARLY, EARLY, EARLY, EARLY), assessed, events)
    assert value(results, "major_bleeding", "caplacizumab", "percent")[["n", "n_assessed"]].tolist() == [1, 2]
    assert value(results, "any_adverse_event", "caplacizumab", "percent")[["n", "n_assessed"]].tolist() == [1, 3]
    assert value(results, "any_adverse_event_all_assessed", "caplacizumab", "percent")[
        ["n", "n_assessed"]
    ].tolist() == [1, 2]
    assert value(results, "major_bleeding_intracranial", "caplacizumab", "count")["value"] == 1


def test_deaths_count_from_day_0_and_from_the_first_dose():
    patient = patients(
        EARLY | {"death_day": 5, "died": "yes", "death_cause": "iTTP"},
        {"timing": "unknown", "death_day": 8, "died": "yes"},
        EARLY | {"death_day": 91, "died": "yes"},
        CONTROL,
    )
    results = table6.table6(patient, **FOLLOW_UP)
    assert value(results, "deaths", "caplacizumab", "count")[["n", "n_assessed"]].tolist() == [2, 3]
    assert value(results, "death_day", "caplacizumab", "median")["value"] == 6.5
    from_dose = value(results, "days_from_first_dose", "caplacizumab", "median")
    assert from_dose[["value", "n", "n_assessed"]].tolist() == [4, 1, 2]
    assert value(results, "cause_not_stated", "caplacizumab", "count")["value"] == 1


def test_every_published_figure_has_a_computed_one():
    patient = patients(
        EARLY, DELAYED | {"death_day": 9, "died": "yes"}, CONTROL, CONTROL | {"death_day": 9, "died": "yes"}
    )
    outcome = outcomes(
        {},
        {"days_from_caplacizumab_to_response": 2, "response_day": 8},
        {"response_day": 10},
        {"response": "no", "response_day": None, "failure": "yes", "died_by_day_90": "yes"},
    )
    assessed = pd.DataFrame({"patient_id": ["p0"], "kind": ["other"], "occurred": ["no"]})
    events = pd.DataFrame(columns=["patient_id", "kind", "site"])
    results = pd.concat(
        [
            flow.flow(patient, ledger(), quarantine()),
            table1.table1(patient),
            outcome_tables.table2(patient, outcome, **FOLLOW_UP),
            outcome_tables.table3(patient, outcome, **FOLLOW_UP),
            table5.table5(patient, assessed, events),
            table6.table6(patient, **FOLLOW_UP),
        ]
    )
    table = as_published.as_published(results)
    assert len(table) == 3 * len(FIGURES)
    wide = table.pivot(index=["row", "group"], columns="statistic", values="value")
    both = wide.dropna()
    assert (both["difference"] - (both["computed"] - both["published"])).abs().max() < 1e-12
    assert wide.loc[("patients", "caplacizumab")].tolist() == [2, 2 - 942, 942]
    assert wide.loc[("time_to_response_ratio", "difference"), "computed"] == 0.5
    bound = value(table, "survival_3_months_p", "difference", "difference")
    assert pd.isna(bound["value"]) and bound["caveat"] == "not estimable: a bound was published"


def test_a_number_is_printed_once_and_needs_its_method():
    once = cell("t", "r", "g", "count", 1, method="counted")
    with pytest.raises(ValueError, match="printed twice"):
        frame([once, once])
    with pytest.raises(ValueError, match="method"):
        cell("t", "r", "g", "count", 1, method="")
    with pytest.raises(ValueError, match="no reason"):
        cell("t", "r", "g", "count", None, method="counted", caveat="odd")
