"""The study's tables held against themselves: as the pipeline makes them they pass; every planted fault is named."""

import itertools

import pandas as pd
import pytest
from study_frames import CONTROL, DELAYED, EARLY, ledger, outcomes, patients, quarantine

from capla_etl.audit import printed_numbers as audit
from capla_etl.tables import as_published, curves, flow, structure, table1, table5, table6, table7
from capla_etl.tables import table2_to_4 as outcome_tables
from capla_etl.tables.results import COLUMNS, KEY, cell, frame

FOLLOW_UP = {"follow_up_days": 90}
KINDS = ["major_bleeding", "crnm_bleeding", "minor_bleeding", "injection_site_reaction", "other"]

RITUXIMAB = {"rituximab": "yes"}
RESCUE = DELAYED | {"delay_reason": "rescue"}
START_UNKNOWN = {"timing": "unknown", "rituximab": "unknown"}
ELSEWHERE = {"centre_id": "DE01"}
DIED = {"died": "yes", "death_cause": "iTTP"}
UNDER_18 = {"eligible": False, "exclusion_reason": "under_18"}
NO_RESPONSE = {
    "response": "no",
    "response_day": None,
    "tpe_days_to_response": None,
    "tpe_sessions_to_response": None,
    "failure": "yes",
    "exacerbation": "not_evaluable",
    "remission": "no",
    "relapse": "not_evaluable",
}
DEAD = NO_RESPONSE | {"died_by_day_90": "yes"}
EXACERBATED = {"exacerbation": "yes", "exacerbation_after_stop_undetectable": "yes"}
FROM_DOSE = {"response_day": 9, "days_from_caplacizumab_to_response": 3}

#: (patient, outcome) beyond what is ordinary
COURSES = [
    (EARLY | RITUXIMAB, {}),
    (EARLY, {"response_day": 3, "adamts13_recovery_day": 20}),
    (EARLY | RITUXIMAB, EXACERBATED),
    (EARLY, {"response_day": 4}),
    (EARLY | DIED | {"death_day": 6}, DEAD),
    (EARLY | ELSEWHERE, {"response_day": 8}),
    (DELAYED | RITUXIMAB, FROM_DOSE),
    (DELAYED, FROM_DOSE | {"response_day": 12}),
    (RESCUE | RITUXIMAB, FROM_DOSE | {"refractory": "yes"}),
    (RESCUE | DIED | {"death_day": 20} | RITUXIMAB, DEAD | {"refractory": "yes", "severe_refractory": "yes"}),
    (START_UNKNOWN, {"relapse": "yes", "relapse_status": "unconfirmed"}),
    (CONTROL | RITUXIMAB, {"response_day": 10, "adamts13_recovery_day": 40}),
    (CONTROL | DIED | {"death_day": 15, "death_cause": None}, DEAD),
    (CONTROL | DIED | {"death_day": 30} | ELSEWHERE, DEAD | {"refractory": "yes"}),
    (CONTROL | RITUXIMAB, {"exacerbation": "yes", "response_day": 14}),
    (CONTROL | {"last_seen_day": 40}, {"died_by_day_90": "unknown", "response_day": 7}),
    (CONTROL | ELSEWHERE, NO_RESPONSE | {"refractory": "not_evaluable"}),
]
EXCLUDED = [EARLY | UNDER_18, CONTROL | {"eligible": False, "exclusion_reason": "control_out_of_window"} | ELSEWHERE]


@pytest.fixture(scope="module")
def tables() -> pd.DataFrame:
    """``study.result`` of a few patients, as the study's functions make it."""
    patient = patients(*(line for line, _ in COURSES), *EXCLUDED)
    outcome = outcomes(*(line for _, line in COURSES)).assign(refractory_assessment_day=6, exacerbation_day=None)
    ids = list(outcome["patient_id"])
    reported = outcome[["patient_id", "refractory", "exacerbation", "response_day"]].copy()
    reported.loc[0, ["refractory", "exacerbation", "response_day"]] = ["yes", "no", 6]
    series = pd.DataFrame({"patient_id": ids, "day": 20, "adamts13_percent": 30.0})
    assessed = pd.DataFrame(
        [(p, kind, "no") for p in ids for kind in KINDS], columns=["patient_id", "kind", "occurred"]
    )
    assessed.loc[[0, 1, 7, 8], "occurred"] = ["yes", "yes", "unknown", "yes"]
    events = pd.DataFrame(
        [("p0", "major_bleeding", "intracranial"), ("p0", "major_bleeding", None)],
        columns=["patient_id", "kind", "site"],
    )
    received = pd.concat(
        [ledger(), ledger(centre_id="DE01", rows_received=4, rows_loaded=4, rows_duplicate=0, rows_quarantined=0)]
    )
    results = pd.concat(
        [
            flow.flow(patient, received, quarantine("row", "cell")),
            table1.table1(patient),
            outcome_tables.table2(patient, outcome, series, **FOLLOW_UP),
            outcome_tables.table3(patient, outcome, series, **FOLLOW_UP),
            outcome_tables.table4(patient, outcome, **FOLLOW_UP),
            table5.table5(patient, assessed, events),
            table6.table6(patient, **FOLLOW_UP),
            table7.table7(patient, outcome, reported),
            curves.survival_table(patient, **FOLLOW_UP),
            curves.response_incidence(patient, outcome, **FOLLOW_UP),
            curves.adamts13_incidence(patient, outcome, **FOLLOW_UP),
        ],
        ignore_index=True,
    )
    return pd.concat([results, as_published.as_published(results)], ignore_index=True).astype(COLUMNS)


def test_tables_as_the_study_makes_them_pass_and_every_check_compares_something(tables):
    found = audit.audit(tables)
    assert found.columns.tolist() == ["check", "meaning", "compared", "failed", "examples"]
    assert found["check"].tolist() == [check.name for check in audit.CHECKS]
    assert (found["failed"] == 0).all(), found.loc[found["failed"] > 0, ["check", "examples"]].to_dict("records")
    assert (found["compared"] > 0).all() and (found["examples"] == "").all()
    assert audit.contradictions(tables) == []


def test_every_declared_equality_meets_cells(tables):
    keys = list(map(tuple, tables[KEY].to_numpy()))
    found = structure.Structure(keys)
    met = [same for same in structure.SAME for (left,), _ in found.expanded(same) if left.key in keys]
    assert [same for same in structure.SAME if same not in met] == []


def changed(tables: pd.DataFrame, key: str, **columns) -> pd.DataFrame:
    """The tables with other numbers in one cell, named "table row group statistic"."""
    table = tables.copy()
    where = (table[KEY] == key.split()).all(axis=1)
    assert where.sum() == 1, f"{key}: {where.sum()} cells"
    for column, number in columns.items():
        table.loc[where, column] = number
    return table


def without(tables: pd.DataFrame, key: str) -> pd.DataFrame:
    return tables[~(tables[KEY] == key.split()).all(axis=1)]


def twice(tables: pd.DataFrame, key: str) -> pd.DataFrame:
    return pd.concat([tables, tables[(tables[KEY] == key.split()).all(axis=1)]])


def plus(tables: pd.DataFrame, key: str, **numbers) -> pd.DataFrame:
    """The tables with numbers added to those of one cell."""
    old = tables[(tables[KEY] == key.split()).all(axis=1)].iloc[0]
    return changed(tables, key, **{column: old[column] + number for column, number in numbers.items()})


@pytest.mark.parametrize(
    ("fault", "key", "numbers", "check", "words"),
    [
        (
            twice,
            "table1 coma caplacizumab percent",
            {},
            "printed_once",
            "table1, coma, caplacizumab, percent: found 2 times, expected once",
        ),
        (
            changed,
            "table1 coma control percent",
            {"method": None},
            "method_given",
            "table1, coma, control, percent: found no method, expected a method",
        ),
        (
            changed,
            "table6 death_day early median",
            {"value": None, "caveat": "odd"},
            "reason_given",
            "table6, death_day, early, median: found no value, caveat 'odd', expected a caveat beginning 'not "
            "estimable: '",
        ),
        # each number
        (
            changed,
            "survival survival_day_90 control percent",
            {"value": 100.5},
            "possible_value",
            "found 100.5, expected a finite number from 0 to 100",
        ),
        (
            changed,
            "survival survival_day_90 control percent",
            {"lower": -1},
            "possible_value",
            "found -1, expected a finite number from 0 to 100",
        ),
        (
            changed,
            "table1 coma difference p_value",
            {"p_value": 1.5},
            "possible_value",
            "table1, coma, difference, p_value: found 1.5, expected",
        ),
        (
            changed,
            "table2 failure difference risk_ratio",
            {"value": -0.2},
            "possible_value",
            "found -0.2, expected a finite number from 0 to inf",
        ),
        (
            changed,
            "table1 age_years difference smd",
            {"value": float("inf")},
            "possible_value",
            "table1, age_years, difference, smd: found inf, expected",
        ),
        # counts and percentages
        (
            changed,
            "table1 coma control percent",
            {"value": 1e-07},
            "percent_is_n_of_N",
            "table1, coma, control, percent: found 1e-07, expected 0 (n/N 0/6)",
        ),
        (
            changed,
            "table1 coma control percent",
            {"value": None},
            "percent_is_n_of_N",
            "found nothing, expected 0 (n/N 0/6)",
        ),
        (
            changed,
            "table1 coma control percent",
            {"n": 7},
            "counts_fit",
            "table1, coma, control, percent: found n 7 of N 6, expected 0 <= n <= N",
        ),
        (
            changed,
            "table6 deaths control count",
            {"value": 3},
            "counts_fit",
            "table6, deaths, control, count: found 3, expected its n, 2",
        ),
        (
            changed,
            "flow values_quarantined all count",
            {"value": 0.5, "n": None},
            "counts_fit",
            "found 0.5, expected a whole number",
        ),
        (
            changed,
            "table1 coma difference p_value",
            {"p_value": 0.5},
            "counts_fit",
            "table1, coma, difference, p_value: found",
        ),
        # intervals and quartiles
        (
            changed,
            "table2 failure control percent",
            {"lower": 60},
            "interval_holds_value",
            "table2, failure, control, percent: found 50, expected within 60 to",
        ),
        (
            changed,
            "table2 failure control percent",
            {"lower": 90, "upper": 80},
            "interval_holds_value",
            "found 90 to 80, expected lower <= upper",
        ),
        (
            changed,
            "table2 response_day control q1",
            {"value": 99},
            "quartiles_in_order",
            "table2, response_day, control, median: found 99 <= ",
        ),
        (
            changed,
            "table2 response_day control q3",
            {"value": None},
            "quartiles_in_order",
            "<= nothing, expected q1 <= median <= q3",
        ),
        (
            changed,
            "table2 response_day control q3",
            {"n": 1},
            "quartiles_in_order",
            "found n 3, 3, 1, expected one count",
        ),
        (
            without,
            "table2 response_day control q3",
            {},
            "quartiles_in_order",
            "table2, response_day, control, median: found",
        ),
        # over the days
        (
            changed,
            "survival survival_day_75 caplacizumab percent",
            {"value": 95},
            "over_days",
            "survival, survival_day_75, caplacizumab, percent: found 95, expected at most 81.81818182 as on day 60",
        ),
        (
            changed,
            "survival survival_day_45 control at_risk",
            {"value": 6},
            "over_days",
            "survival, survival_day_45, control, at_risk: found 6, expected at most",
        ),
        (
            changed,
            "response_incidence response_by_day_14 early percent",
            {"value": 10},
            "over_days",
            "response_incidence, response_by_day_14, early, percent: found 10, expected at least",
        ),
        (
            changed,
            "adamts13_incidence death_without_recovery_by_day_90 control percent",
            {"value": 95},
            "competing_events",
            "adamts13_incidence, recovery_by_day_90, control, percent: found",
        ),
        # parts and wholes
        (
            plus,
            "flow rows_quarantined all count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, rows_received, all, count: found 14, expected the sum of",
        ),
        (
            plus,
            "flow rows_loaded DE01 count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, rows_received, DE01, count: found 4, expected the sum of rows_loaded 5",
        ),
        (
            plus,
            "flow values_quarantined DE01 count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, values_quarantined, all, count: found 1, expected the sum of DE01 1, FR01 1",
        ),
        (
            plus,
            "flow excluded_no_tpe all count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, excluded, all, count: found 2, expected the sum of",
        ),
        (
            plus,
            "flow excluded all count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, patient_records, all, count: found 19, expected the sum of excluded 3",
        ),
        (
            plus,
            "flow early all count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, caplacizumab, all, count: found 11, expected the sum of early 7, delayed 4",
        ),
        (
            plus,
            "flow rescue all count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "flow, delayed, all, count: found 4, expected the sum of rescue 3, slow_response 2",
        ),
        (without, "flow rows_ignored all count", {}, "parts_make_wholes", "rows_ignored nothing"),
        (
            plus,
            "table1 french_severity_score_1 control percent",
            {"n": -1},
            "parts_make_wholes",
            "table1, french_severity_score_0, control, percent: found N 6, expected the sum of n 0, "
            "french_severity_score_1 n 5",
        ),
        (
            plus,
            "table6 cause_cardiac control count",
            {"value": 1, "n": 1},
            "parts_make_wholes",
            "table6, deaths, control, count: found 2, expected the sum of",
        ),
        (
            plus,
            "table6 deaths delayed count",
            {"n": 1},
            "parts_make_wholes",
            "table6, deaths, caplacizumab, count: found n 2, expected the sum of early n 1, delayed n 2",
        ),
        (
            plus,
            "table3 refractory rescue percent",
            {"n": -1},
            "parts_make_wholes",
            "table3, refractory, delayed, percent: found n 2, expected the sum of rescue n 1, slow_response n 0",
        ),
        (
            plus,
            "table2 failure control percent",
            {"n": 1},
            "parts_make_wholes",
            "table2, failure, control, percent: found N 6, expected the sum of n 4, response_day median n 3",
        ),
        (
            plus,
            "table7 refractory_both_no control count",
            {"value": 1},
            "parts_make_wholes",
            "table7, refractory_agreement, control, percent: found N 5, expected the sum of",
        ),
        (
            plus,
            "table7 response_day_exact control percent",
            {"n_assessed": 1},
            "parts_make_wholes",
            "table7, response_day_exact, all, percent: found N",
        ),
        # parts within wholes
        (
            plus,
            "table1 coma control percent",
            {"n_assessed": 1},
            "parts_within_wholes",
            "table1, coma, control, percent: found N 7, expected at most 6",
        ),
        (
            plus,
            "table4 failure control_rituximab percent",
            {"n_assessed": 5},
            "parts_within_wholes",
            "table4, failure, control_rituximab, percent: found N 7",
        ),
        (
            plus,
            "table2 severe_refractory caplacizumab percent",
            {"n": 9},
            "parts_within_wholes",
            "table2, severe_refractory, caplacizumab, percent: found n 10",
        ),
        (
            plus,
            "table3 relapse early percent",
            {"n_assessed": 6},
            "parts_within_wholes",
            "table3, relapse, early, percent: found",
        ),
        (
            plus,
            "table3 relapse early percent",
            {"n_assessed": -4},
            "parts_within_wholes",
            "table2, relapse, caplacizumab, percent: found N 9, expected at most 5",
        ),
        (
            plus,
            "table4 refractory control_no_rituximab percent",
            {"n_assessed": -2},
            "parts_within_wholes",
            "table2, refractory, control, percent: found 11",
        ),
        (
            plus,
            "table5 major_bleeding_intracranial caplacizumab count",
            {"value": 3},
            "parts_within_wholes",
            "table5, major_bleeding_intracranial, caplacizumab, count: found 4, expected at most 1",
        ),
        (
            plus,
            "table5 any_adverse_event caplacizumab percent",
            {"n": 9},
            "parts_within_wholes",
            "table5, any_adverse_event, caplacizumab, percent: found n 11",
        ),
        (
            plus,
            "table5 other caplacizumab percent",
            {"n": 9},
            "parts_within_wholes",
            "table5, other, caplacizumab, percent: found n 9, expected at most 2",
        ),
        (
            plus,
            "table7 refractory_derived_only caplacizumab count",
            {"value": 5},
            "parts_within_wholes",
            "table7, refractory_both_yes, caplacizumab, count: found",
        ),
        # one quantity in two places
        (
            plus,
            "table2 died_by_day_90 control percent",
            {"n": 1},
            "same_everywhere",
            "table2, died_by_day_90, control, percent: found n 3, expected value 2 as in table6, deaths, control, "
            "count",
        ),
        (
            plus,
            "flow early all count",
            {"value": 1},
            "same_everywhere",
            "table6, deaths, early, count: found N 6, expected value 7 as in flow, early, all, count",
        ),
        (
            plus,
            "table2 survival_3_months control percent",
            {"lower": 1},
            "same_everywhere",
            "table2, survival_3_months, control, percent: found lower",
        ),
        (
            without,
            "survival survival_day_90 control percent",
            {},
            "same_everywhere",
            "table2, survival_3_months, control, percent: found value",
        ),
        (
            plus,
            "table3 tpe_days_to_response control median",
            {"value": 1},
            "same_everywhere",
            "table3, tpe_days_to_response, control, median: found value 7",
        ),
        (
            plus,
            "table2 exacerbation_responders control percent",
            {"n": 1},
            "same_everywhere",
            "table2, exacerbation_responders, control, percent: found n 2",
        ),
        (
            without,
            "table6 deaths control count",
            {},
            "same_everywhere",
            "expected value nothing as in table6, deaths, control, count",
        ),
        (
            changed,
            "as_published patients delayed published",
            {"value": 219},
            "as_published_is_source",
            "found 219, expected 218 as declared",
        ),
        (
            changed,
            "as_published patients delayed computed",
            {"value": 5},
            "as_published_is_source",
            "as_published, patients, delayed, computed: found value 5, expected value 4 as in flow, delayed, all, "
            "count",
        ),
        (
            changed,
            "as_published patients delayed difference",
            {"value": 1},
            "as_published_is_source",
            "found 1, expected -214, computed minus published",
        ),
        (
            without,
            "as_published patients delayed computed",
            {},
            "as_published_is_source",
            "as_published, patients, delayed, computed: found value nothing",
        ),
        (
            plus,
            "table2 failure difference risk_difference",
            {"value": 1},
            "effect_of_groups",
            "table2, failure, difference, risk_difference: found",
        ),
        (
            changed,
            "table2 failure difference risk_ratio",
            {"value": 2},
            "effect_of_groups",
            "expected 0.3636363636, a ratio of 18.18181818 and 50",
        ),
        (
            plus,
            "table3 response_day_survivors early_control ratio_of_medians",
            {"value": 1},
            "effect_of_groups",
            "table3, response_day_survivors, early_control",
        ),
    ],
)
def test_a_planted_fault_is_found_and_named(tables, fault, key, numbers, check, words):
    faulty = fault(tables, key, **numbers)
    lines = audit.contradictions(faulty)
    heading = next(position for position, line in enumerate(lines) if line.startswith(f"{check}: "))
    own = itertools.takewhile(lambda line: line.startswith("  "), lines[heading + 1 :])
    assert any(words in line for line in own), lines
    assert audit.audit(faulty).set_index("check").loc[check, "failed"] > 0


def test_contradictions_list_every_failing_cell_and_the_audit_the_first(tables):
    faulty = tables.assign(method=tables["method"].where(tables["table_id"] != "table7"))
    failed = int((tables["table_id"] == "table7").sum())
    found = audit.audit(faulty).set_index("check").loc["method_given"]
    assert (found["compared"], found["failed"]) == (len(tables), failed) and found["examples"].count(
        "expected a method"
    ) == audit.EXAMPLES
    assert sum("expected a method" in line for line in audit.contradictions(faulty)) == failed


def comparison(
    value: float,
    lower: float | None,
    upper: float | None,
    p: float,
    *,
    statistic="risk_difference",
    method="95 % CI Newcombe",
    test="p: Fisher's exact test",
) -> pd.DataFrame:
    """One comparison: an effect with its interval, and the p value in its own cell."""
    return frame(
        [
            cell("new", "row", "difference", statistic, value, lower=lower, upper=upper, method=method),
            cell("new", "row", "difference", "p_value", p, p_value=p, method=test),
        ]
    )


def verdict(results: pd.DataFrame, check: str) -> list[int]:
    """[compared, failed]"""
    return audit.audit(results).set_index("check").loc[check, ["compared", "failed"]].tolist()


@pytest.mark.parametrize(
    ("numbers", "options", "compared_and_failed"),
    [
        # No effect in the middle of the interval: p may be 0.01, not less. At its edge (within a tenth of the width) p
        # may be anything.
        ((0.5, -9, 10, 0.0099), {}, [1, 1]),
        ((0.5, -9, 10, 0.01), {}, [1, 0]),
        ((9, -1, 19, 0.001), {}, [1, 0]),
        ((9, -2.3, 19, 0.001), {}, [1, 1]),
        # No effect far outside: p may be 0.2, not more; just outside it may be anything.
        ((10, 5, 15, 0.201), {}, [1, 1]),
        ((10, 5, 15, 0.2), {}, [1, 0]),
        ((10, 0.5, 20, 0.9), {}, [1, 0]),
        ((-10, -15, -5, 0.201), {}, [1, 1]),
        # Two of two against none of two: Newcombe 7.0 to 100, R: fisher.test(matrix(c(2, 0, 0, 2), 2))$p.value is
        # 0.3333
        ((100, 7.0, 100, 1 / 3), {}, [1, 0]),
        # A ratio without an upper limit, and one of no events
        ((3, 1.5, None, 0.5), {"statistic": "risk_ratio"}, [1, 1]),
        ((0, 0, 0.4, 0.5), {"statistic": "risk_ratio"}, [1, 1]),
        ((0.9, 0.5, 1.5, 0.001), {"statistic": "risk_ratio"}, [1, 1]),
        ((0.9, 0.5, 1.5, 0.5), {"statistic": "risk_ratio"}, [1, 0]),
        # 76 of 100 against 7 of 7, R: epitools riskratio.wald 0.68 to 0.85, fisher.test p 0.3453: not asked
        ((0.76, 0.68, 0.85, 0.345), {"statistic": "risk_ratio", "method": "95 % CI Wald on the log scale"}, [0, 0]),
        # A log-rank test asks about the whole curve: a hazard ratio too, a difference at one day not.
        ((5, 4, 6, 0.9), {"test": "p: log-rank test"}, [0, 0]),
        ((0.5, 0.3, 0.7, 0.9), {"statistic": "hazard_ratio", "test": "p: log-rank test"}, [1, 1]),
        ((-3, -4, -3, 1e-40), {"statistic": "median_difference", "test": "p: Mann-Whitney"}, [1, 0]),
        # All differences alike: an interval of one point has no inside.
        ((0, 0, 0, 0.001), {"statistic": "median_difference", "test": "p: Mann-Whitney"}, [0, 0]),
        ((5, None, None, 0.9), {}, [0, 0]),
    ],
)
def test_p_and_interval_of_different_families_contradict_each_other_only_when_far_apart(
    numbers, options, compared_and_failed
):
    assert verdict(comparison(*numbers, **options), "p_fits_interval") == compared_and_failed


@pytest.mark.parametrize(
    ("p", "lower", "failed"),
    [(0.03, 1.1, 0), (0.03, 0.9, 1), (0.07, 0.9, 0), (0.07, 1.1, 1), (0.05, 0.99, 0), (0.059, 1.01, 0)],
)
def test_p_and_interval_of_one_model_fall_on_the_same_side(p, lower, failed):
    results = frame(
        [cell("new", "row", "difference", "hazard_ratio", 2, lower=lower, upper=4, p_value=p, method="Cox regression")]
    )
    assert verdict(results, "p_fits_interval")[1] == failed


def test_conditional_and_bootstrap_limits_need_not_hold_the_estimate_but_must_be_in_order():
    def limits(method: str, lower: float, upper: float) -> list[int]:
        return verdict(
            frame([cell("new", "row", "all", "odds_ratio", 3, lower=lower, upper=upper, method=method)]),
            "interval_holds_value",
        )

    assert limits("odds ratio; 95 % CI conditional exact", 4, 5) == [1, 0]
    assert limits("odds ratio; bootstrap", 5, 4) == [1, 1]
    assert limits("odds ratio; 95 % CI unconditional", 4, 5) == [2, 1]


def test_tables_that_are_not_there_are_not_compared(tables):
    alone = audit.audit(tables[tables["table_id"] == "table6"]).set_index("check")
    assert (alone["failed"] == 0).all() and alone.loc["same_everywhere", "compared"] > 0
    assert alone.loc[["effect_of_groups", "as_published_is_source", "over_days"], "compared"].tolist() == [0, 0, 0]
    nothing = audit.audit(frame([]))
    assert (nothing[["compared", "failed"]] == 0).all().all()


def test_a_control_of_a_landmark_analysis_need_not_be_a_control(tables):
    more = frame([cell("table8", "landmark_day_3", "control", "count", 9, n=9, n_assessed=500, method="counted")])
    assert audit.contradictions(pd.concat([tables, more])) == []


def test_numbers_as_a_database_returns_them_are_the_same(tables):
    returned = tables.astype({"n": "float64", "n_assessed": "float64", "method": object, "caveat": object}).replace(
        {pd.NA: None}
    )
    assert audit.audit(returned).equals(audit.audit(tables))


def test_something_else_than_results_is_refused(tables):
    with pytest.raises(ValueError, match="no column n_assessed, caveat"):
        audit.audit(tables.drop(columns=["n_assessed", "caveat"]))
