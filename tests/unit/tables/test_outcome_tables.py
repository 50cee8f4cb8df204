"""Tables 2, 3, 4 and 8: which patients are in which group, what is compared, and why there is no number."""

import random

import pandas as pd
import pytest
from study_frames import CONTROL, DELAYED, EARLY, ledger, outcomes, patients, quarantine, value

from capla_etl.audit.printed_numbers import contradictions
from capla_etl.protocol.parameters import parameters
from capla_etl.report.figures import study_figures
from capla_etl.report.methods import methods_paragraphs
from capla_etl.report.printed_tables import printed_tables
from capla_etl.report.sentences import immortal_time
from capla_etl.stats.conventions import CONVENTIONS, conventions
from capla_etl.tables import flow, groups, table1, table6
from capla_etl.tables import table2_to_4 as outcome_tables
from capla_etl.tables.curves import (
    adamts13_incidence,
    adamts13_incidence_curve,
    response_incidence,
    response_incidence_curve,
    survival_curve,
    survival_table,
)
from capla_etl.tables.results import COLUMNS
from capla_etl.tables.table8 import effects, table8
from capla_etl.tables.table8 import patients as analysed

FOLLOW_UP = {"follow_up_days": 90}
TIES = CONVENTIONS["protocol"].ties
SETTINGS = table8.Settings(
    follow_up_days=90,
    grace_days=3,
    landmark_days=(3, 4, 5),
    truncate_percentile=99,
    default_rule_set="iwg2021",
    imputations=3,
    bootstrap_replicates=200,
)
DIED = {"died": "yes"}
NO_RESPONSE = {"response": "no", "response_day": None, "failure": "yes", "died_by_day_90": "yes"}


def by_rule_set(outcome: pd.DataFrame, **variants: dict) -> pd.DataFrame:
    """Outcomes of the default rule set, and of others that change columns."""
    return pd.concat(
        [
            outcome.assign(rule_set="iwg2021"),
            *(outcome.assign(rule_set=name, **changes) for name, changes in variants.items()),
        ]
    )


@pytest.fixture(scope="module")
def simulated():
    """160 patients of two centres with everything that varies drawn at random: (patient, outcome)."""
    draw = random.Random(3)
    lines, ends = [], []
    for i in range(160):
        arm = CONTROL if i % 2 else EARLY | {"caplacizumab_start_day": draw.randrange(3)} if i % 8 else DELAYED
        dies, exacerbates = draw.random() < 0.15, draw.random() < 0.2
        fate = (
            DIED | {"death_day": draw.randint(6, 30)} if dies else {"last_seen_day": draw.choice([40, 200, 200, 200])}
        )
        baseline = {
            "age_years": draw.randint(18, 80),
            "sex": draw.choice(["male", "female"]),
            "first_episode": draw.choice(["yes", "no"]),
            "neurological_involvement": draw.choice(["yes", "no"]),
            "ldh_x_uln_day0": draw.uniform(1, 12),
            "creatinine_umol_per_l": draw.uniform(50, 200),
            "platelets_10e9_per_l_day0": draw.uniform(4, 40),
            "troponin_x_uln": draw.choice([None, 0.5, 2.0, 7.0]),
            "anti_adamts13_u_per_ml": draw.uniform(10, 100),
            "rituximab": draw.choice(["yes", "no"]),
            "centre_id": draw.choice(["FR01", "DE01"]),
        }
        lines.append(arm | fate | baseline)
        ends.append(
            NO_RESPONSE
            if dies
            else {
                "response_day": draw.randint(3, 12),
                "refractory": draw.choice(["yes", "no", "no", "no"]),
                "exacerbation": "yes" if exacerbates else "no",
                "exacerbation_day": 20 if exacerbates else None,
                "adamts13_recovery_day": draw.choice([14, 21, 28, None]),
            }
        )
    return patients(*lines), outcomes(*ends)


# ------------------------------------------------------------------------------------------------------------ tables 3
# and 4


def test_delayed_starters_are_counted_once_in_delayed_and_once_in_their_kind():
    patient = patients(EARLY, DELAYED, DELAYED | {"delay_reason": "rescue"}, {"timing": "unknown"}, CONTROL)
    results = outcome_tables.table3(patient, outcomes({}, {"refractory": "yes"}, {}, {}, {}), **FOLLOW_UP)
    sizes = {
        group: value(results, "refractory", group, "percent")[["n", "n_assessed"]].tolist()
        for group in ("early", "delayed", "rescue", "slow_response", "control")
    }
    assert sizes == {"early": [0, 1], "delayed": [1, 2], "rescue": [0, 1], "slow_response": [1, 1], "control": [0, 1]}


def test_timing_sets_early_from_day_0_beside_delayed_from_the_first_dose():
    patient = patients(EARLY, EARLY, EARLY, DELAYED, DELAYED, DELAYED, CONTROL)
    days = [{"response_day": day} for day in (3, 4, 5)] + [
        {"response_day": 6 + day, "days_from_caplacizumab_to_response": day} for day in (3, 4, 5)
    ]
    results = outcome_tables.table3(patient, outcomes(*days, {"response_day": 8}), **FOLLOW_UP)
    assert value(results, "time_to_response", "early_delayed", "median_difference")["value"] == 0
    assert value(results, "response_day", "delayed_control", "median_difference")["value"] == 10 - 8
    assert value(results, "response_day_survivors", "early_control", "ratio_of_medians")["value"] == 0.5


def test_controls_have_no_first_dose():
    results = outcome_tables.table3(patients(EARLY, DELAYED, CONTROL), outcomes({}, {}, {}), **FOLLOW_UP)
    assert set(results.loc[results["row"] == "caplacizumab_start_day", "group"]) == {
        "early",
        "delayed",
        "rescue",
        "slow_response",
    }


def test_who_is_not_known_to_have_had_rituximab_is_in_no_half():
    patient = patients(
        EARLY | {"rituximab": "yes"}, EARLY | {"rituximab": "unknown"}, EARLY, CONTROL, CONTROL | {"rituximab": "yes"}
    )
    results = outcome_tables.table4(patient, outcomes({}, {}, {}, {}, {}), **FOLLOW_UP)
    n = {
        group: int(value(results, "refractory", group, "percent")["n_assessed"])
        for group in groups.rituximab_groups(patient.assign(response="yes"))
    }
    assert n == {
        "caplacizumab_rituximab": 1,
        "control_rituximab": 1,
        "caplacizumab_no_rituximab": 1,
        "control_no_rituximab": 1,
    }


@pytest.mark.parametrize(
    ("name", "quantiles", "limits", "correction", "test"),
    [
        ("protocol", "R type 7", "log(-log)", False, "Fisher's exact test"),
        ("r", "R type 7", "95 % CI log", True, "chi-squared test, Yates correction"),
        ("sas", "PCTLDEF=5", "log(-log)", True, "chi-squared test"),
    ],
)
def test_a_switch_gives_another_package_s_defaults_and_the_method_says_so(
    simulated, name, quantiles, limits, correction, test
):
    results = outcome_tables.table2(*simulated, **FOLLOW_UP, conventions=conventions(name))
    assert quantiles in value(results, "response_day", "control", "median")["method"]
    assert value(results, "refractory", "difference", "p_value")["method"].endswith(test)
    assert limits in value(results, "survival_3_months", "control", "percent")["method"]
    assert ("continuity correction" in value(results, "response_day", "difference", "p_value")["method"]) == correction


def test_unknown_conventions_are_refused():
    with pytest.raises(ValueError, match="expected one of protocol, r, sas"):
        conventions("stata")


# -----------------------------------------------------------------------------------------------------------------
# table 8


def effect_of(results: pd.DataFrame, row: str) -> pd.Series:
    """The effect of one analysis."""
    own = results[(results["row"] == row) & (results["group"] == "difference") & (results["statistic"] != "p_value")]
    assert len(own) == 1
    return own.iloc[0]


def counts(results: pd.DataFrame, row: str) -> list[tuple[int, int]]:
    """n and N with and without caplacizumab."""
    return [
        tuple(value(results, row, arm, "count")[["n", "n_assessed"]].astype(int)) for arm in ("caplacizumab", "control")
    ]


def test_a_landmark_takes_who_is_observed_beyond_it_and_calls_treated_who_began_by_then():
    died_on = {day: DIED | {"death_day": day} for day in (3, 4)}
    patient = patients(
        EARLY | died_on[3],
        EARLY | died_on[4],
        DELAYED | {"caplacizumab_start_day": 4},
        CONTROL | died_on[3],
        CONTROL | {"last_seen_day": 4},
        {"timing": "unknown"},
    )
    frame = analysed.DEATH.prepare(analysed.analysed_patients(patient, outcomes(*[{}] * 6), **FOLLOW_UP), 90)
    at_3 = effects.at_landmark(analysed.DEATH, frame, 3, TIES)
    assert (
        at_3.counts == (1, 1, 0, 2)
        and "1 began later and count as not begun" in at_3.caveat
        and "1 left out: start not recorded" in at_3.caveat
    )
    assert effects.at_landmark(analysed.DEATH, frame, 4, TIES).counts == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("day", "counts"), [(2, (0, 2, 1, 2)), (3, (0, 1, 1, 2)), (8, (0, 0, 1, 2)), (9, (0, 0, 1, 1))]
)
def test_an_outcome_decided_by_the_landmark_leaves_the_analysis(day, counts):
    patient = patients(EARLY, EARLY, CONTROL, CONTROL)
    outcome = outcomes({"response_day": 3}, {"response_day": 4}, {"response_day": 9}, NO_RESPONSE)
    frame = analysed.FAILURE.prepare(analysed.analysed_patients(patient, outcome, **FOLLOW_UP), 90)
    assert effects.at_landmark(analysed.FAILURE, frame, day, TIES).counts == counts


def test_refractory_is_decided_by_its_assessment_whatever_the_answer_or_by_a_response_before():
    patient = patients(EARLY, EARLY, CONTROL, CONTROL, CONTROL)
    outcome = outcomes(
        {"refractory": "no", "response_day": 3},
        {"refractory": "no", "response_day": 20},
        {"refractory": "yes", "response_day": 20},
        {"refractory": "no", "response_day": 5},
        {"refractory": "yes", "response_day": None, "refractory_assessment_day": 7},
    )
    frame = analysed.REFRACTORY.prepare(analysed.analysed_patients(patient, outcome, **FOLLOW_UP), 90)
    found = {day: effects.at_landmark(analysed.REFRACTORY, frame, day, TIES).counts for day in (3, 5, 6, 7)}
    assert found == {3: (0, 1, 2, 3), 5: (0, 1, 2, 2), 6: (0, 0, 1, 1), 7: (0, 0, 0, 0)}
    assert effects.at_landmark(analysed.REFRACTORY, frame, 7, TIES).reason == "decided in everybody by the landmark day"


def test_events_before_the_first_dose_are_named():
    rescued = DELAYED | {"delay_reason": "rescue", "caplacizumab_start_day": 6}
    patient = patients(rescued, rescued, EARLY, CONTROL, CONTROL)
    outcome = outcomes(
        {"refractory": "yes"}, {"refractory": "yes", "refractory_assessment_day": 7}, {}, {}, {"refractory": "yes"}
    )
    in_table_8 = effect_of(
        table8.table8(patient, by_rule_set(outcome), settings=SETTINGS), "refractory:iwg2021:as_published"
    )
    assert "1 of the events under caplacizumab came on or before the day of the first dose" in in_table_8["caveat"]
    in_table_2 = value(outcome_tables.table2(patient, outcome, **FOLLOW_UP), "refractory", "caplacizumab", "percent")
    assert "1 with it on or before the day of the first dose" in in_table_2["caveat"]


def test_the_lost_die_under_caplacizumab_in_the_worst_case_and_in_control_in_the_best():
    patient = patients(
        EARLY | {"last_seen_day": 20}, EARLY, EARLY | DIED | {"death_day": 9}, CONTROL | {"last_seen_day": 30}, CONTROL
    )
    frame = analysed.DEATH.prepare(analysed.analysed_patients(patient, outcomes(*[{}] * 5), **FOLLOW_UP), 90)
    assert effects.extreme_case(analysed.DEATH, frame, worst=True).counts == (2, 3, 0, 2)
    assert effects.extreme_case(analysed.DEATH, frame, worst=False).counts == (1, 3, 1, 2)


def test_a_dose_on_the_day_of_death_counts_as_treated():
    patient = patients(
        *[
            EARLY | {"caplacizumab_start_day": 3} | DIED | {"death_day": 3},
            EARLY,
            CONTROL | DIED | {"death_day": 3},
            CONTROL,
            CONTROL,
        ]
    )
    frame = analysed.DEATH.prepare(analysed.analysed_patients(patient, outcomes(*[{}] * 5), **FOLLOW_UP), 90)
    # On day 3 two die of five at risk, of whom two are treated: Breslow's hazard ratio solves exp(b) / (2 exp(b) + 3) =
    # 1 / 4.
    assert effects.time_dependent(frame, CONVENTIONS["sas"].ties).value == pytest.approx(1.5, rel=1e-6)


def test_table_8_leaves_out_rule_sets_that_change_nothing(simulated):
    patient, outcome = simulated
    variants = by_rule_set(outcome, tpe2017={}, not_doubled_day_4={"refractory": ["yes"] * 20 + ["no"] * 140})
    results = table8.table8(patient, variants, settings=SETTINGS)
    sections = {tuple(row.split(":")[:2]) for row in results["row"]}
    assert {section for section in sections if section[0] == "refractory"} == {
        ("refractory", "iwg2021"),
        ("refractory", "not_doubled_day_4"),
    }
    assert {rule_set for outcome_, rule_set in sections if outcome_ not in ("refractory", "death")} == {"iwg2021"} and (
        "death",
        "any",
    ) in sections
    analyses = {row.split(":")[2] for row in results["row"] if row.startswith("death:")}
    assert {
        "as_published",
        "landmark_day_3",
        "landmark_day_4",
        "landmark_day_5",
        "time_dependent",
        "delayed_excluded",
        "clone_censor_weight",
        "iptw",
        "overlap",
        "adjusted",
        "adjusted_imputed",
        "stratified_by_country",
        "rituximab",
        "no_rituximab",
        "worst_case",
        "best_case",
        "bootstrap",
        "without_FR01",
        "without_DE01",
        "tipping_point",
        "e_value_as_published",
        "e_value_adjusted",
    } == analyses


def test_every_effect_of_table_8_is_estimated_on_ordinary_data_and_carries_the_caveat(simulated):
    patient, outcome = simulated
    results = table8.table8(patient, by_rule_set(outcome), settings=SETTINGS)
    estimated = results[(results["group"] == "difference") & ~results["statistic"].isin(["tipping_point"])]
    assert estimated.loc[estimated["value"].isna(), "row"].tolist() == []
    assert estimated["caveat"].str.contains("immortal time").all()


# ---------------------------------------------------------------------------------------------- nothing to compare, all
# the same


DEGENERATE = {
    "one arm missing": ([EARLY] * 6, [{}] * 6),
    "one patient": ([EARLY], [{}]),
    "one patient in each arm": ([EARLY, CONTROL], [{}, {}]),
    "nobody dies, all the same day": ([EARLY, DELAYED, CONTROL, CONTROL] * 5, [{"response_day": 7}] * 20),
    "everybody dies on the same day": (
        [arm | DIED | {"death_day": 9} for arm in (EARLY, DELAYED, CONTROL)] * 4,
        [NO_RESPONSE] * 12,
    ),
    "everybody lost on day 0": (
        [arm | {"last_seen_day": 0} for arm in (EARLY, CONTROL)] * 4,
        [
            {
                "failure": "not_evaluable",
                "response": "not_evaluable",
                "response_day": None,
                "died_by_day_90": "not_evaluable",
            }
        ]
        * 8,
    ),
    "deaths in one arm only": (
        [EARLY] * 8 + [CONTROL | DIED | {"death_day": 5 + i} for i in range(4)] + [CONTROL] * 4,
        [{}] * 8 + [NO_RESPONSE] * 4 + [{}] * 4,
    ),
    "nothing known at baseline": (
        [
            EARLY | {"age_years": None, "sex": "unknown", "ldh_x_uln_day0": None, "rituximab": "unknown"},
            CONTROL | {"age_years": None, "sex": "unknown", "ldh_x_uln_day0": None, "rituximab": "unknown"},
        ]
        * 5,
        [{}] * 10,
    ),
    "starts not recorded": ([{"timing": "unknown"}] * 5 + [CONTROL] * 5, [{}] * 10),
    "nobody": ([EARLY | {"eligible": False, "exclusion_reason": "no_tpe"}], []),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DEGENERATE)
def test_what_cannot_be_estimated_says_why_and_is_printed_all_the_same(name):
    lines, ends = DEGENERATE[name]
    patient, outcome = patients(*lines), outcomes(*ends) if ends else outcomes({}).iloc[:0]
    tables = [
        table1.table1(patient),
        outcome_tables.table2(patient, outcome, **FOLLOW_UP),
        outcome_tables.table3(patient, outcome, **FOLLOW_UP),
        outcome_tables.table4(patient, outcome, **FOLLOW_UP),
        table6.table6(patient, **FOLLOW_UP),
        survival_table(patient, **FOLLOW_UP),
        response_incidence(patient, outcome, **FOLLOW_UP),
        adamts13_incidence(patient, outcome, **FOLLOW_UP),
        table8.table8(patient, by_rule_set(outcome), settings=SETTINGS),
    ]
    for table in tables:
        without = table[table["value"].isna()]
        assert without["caveat"].str.fullmatch(r"not estimable: .{5,}").all()
    results = pd.concat([flow.flow(patient, ledger(), quarantine()), *tables], ignore_index=True).astype(COLUMNS)
    assert contradictions(results) == []
    balance = table8.balance(patient, outcome, settings=SETTINGS)
    printed = printed_tables(results)
    curves = {
        "survival_curve": survival_curve(patient, **FOLLOW_UP),
        "response_incidence_curve": response_incidence_curve(patient, outcome, **FOLLOW_UP),
        "adamts13_incidence_curve": adamts13_incidence_curve(patient, outcome, **FOLLOW_UP),
    }
    assert set(study_figures.study_figures(curves | {"result": results, "balance": balance}, printed)) >= {"forest"}
    assert set(printed) >= {f"table{number}" for number in (1, 2, 3, 4, 6, 8)}
    assert methods_paragraphs(parameters(), conventions("protocol"), results)
    assert immortal_time(results)
