"""The estimators against values from R 4.2.2; the R call stands next to each number.

data/lung.csv, data/mgus2.csv (R package survival) and data/pbc.csv (randomised patients) hold only the columns used
here.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import competing_risks, contingency, distributions, proportions, survival

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def lung():
    table = pd.read_csv(DATA / "lung.csv")
    return pd.DataFrame(
        {"group": table["sex"].astype(str), "time_days": table["time_days"], "event": table["died"] == 1}
    )


@pytest.fixture(scope="module")
def pbc():
    table = pd.read_csv(DATA / "pbc.csv")
    return table[table["trt"] == 1], table[table["trt"] == 2]


# survfit(Surv(time, status == 2) ~ sex, lung, conf.type = "log-log")
@pytest.mark.parametrize(
    ("sex", "day", "at_risk", "estimate", "lower", "upper"),
    [
        ("1", 90, 117, 0.847826086956522, 0.776227279161561, 0.898003817046761),
        ("1", 365, 35, 0.336087834639379, 0.252729143327973, 0.421302168222719),
        ("2", 90, 84, 0.933333333333333, 0.857620001474098, 0.969484427743881),
        ("2", 180, 71, 0.842401705587783, None, None),
    ],
)
def test_kaplan_meier_is_that_of_r(lung, sex, day, at_risk, estimate, lower, upper):
    curve = survival.survival_at(lung, [90, 180, 365]).set_index(["group", "day"]).loc[(sex, day)]
    assert curve["at_risk"] == at_risk
    assert curve["survival"] == pytest.approx(estimate, rel=1e-9)
    if lower:
        assert (curve["lower"], curve["upper"]) == (pytest.approx(lower, rel=1e-9), pytest.approx(upper, rel=1e-9))


def test_log_rank_is_that_of_r(lung):
    # survdiff(Surv(time, status == 2) ~ sex, lung)
    assert survival.log_rank(lung) == (
        pytest.approx(10.3267419548856, rel=1e-9),
        pytest.approx(0.00131116452035549, rel=1e-9),
    )


def courses(*rows):
    return pd.DataFrame(rows, columns=["group", "time_days", "event"])


def test_a_patient_seen_on_the_day_is_at_risk_that_day():
    at_risk = survival.survival_at(courses(("a", 89, False), ("a", 90, False), ("a", 90, True)), [0, 89, 90, 91])
    assert at_risk["at_risk"].tolist() == [3, 3, 2, 0]


def test_survival_is_not_extrapolated_and_has_no_limits_without_a_death():
    curve = survival.survival_at(courses(("a", 10, False), ("a", 20, False)), [0, 20, 21])
    assert curve["survival"].tolist()[:2] == [1.0, 1.0] and np.isnan(curve["survival"][2])
    assert curve[["lower", "upper"]].isna().all().all()


def test_the_curve_counts_deaths_and_censored():
    curve = survival.kaplan_meier(courses(("a", 1, True), ("a", 2, False), ("a", 3, False), ("b", 3, True)), 3)
    assert curve["deaths"].tolist() == [0, 1, 1, 1, 0, 0, 0, 1]
    assert curve["censored"].tolist() == [0, 0, 1, 2, 0, 0, 0, 0]


@pytest.mark.parametrize("row", [("a", -1, True), ("a", None, True), ("a", 3, None)])
def test_impossible_courses_are_refused(row):
    with pytest.raises(ValueError):
        survival.survival_at(courses(("a", 2, True), row), [1])


def test_log_rank_without_deaths_is_not_estimable():
    assert np.isnan(survival.log_rank(courses(("a", 1, False), ("b", 2, False)))).all()


# survfit(Surv(etime, event) ~ sex, mgus2): pstate and std.err
@pytest.mark.parametrize(
    ("sex", "month", "incidence", "error", "death"),
    [
        ("F", 60, 0.0397896215044053, 0.00779833408808593, 0.263965145457701),
        ("F", 240, 0.104940674186137, 0.0142629574344966, 0.695307803031983),
        ("M", 120, 0.0553102406481571, 0.00864431655219645, 0.575178488879491),
        ("M", 360, 0.104460229976652, 0.0158156196773295, None),
    ],
)
def test_cumulative_incidence_is_that_of_r(sex, month, incidence, error, death):
    table = pd.read_csv(DATA / "mgus2.csv").rename(columns={"sex": "group", "time_months": "time_days"})
    row = competing_risks.aalen_johansen(table, [60, 120, 240, 360]).set_index(["group", "day"]).loc[(sex, month)]
    assert row["incidence"] == pytest.approx(incidence, rel=1e-9)
    assert row["standard_error"] == pytest.approx(error, rel=1e-9)
    if death:
        assert row["competing_incidence"] == pytest.approx(death, rel=1e-9)


def test_without_censoring_incidence_is_the_plain_proportion():
    table = pd.DataFrame({"group": "a", "time_days": [1, 1, 2, 3], "cause": [1, 2, 1, 2]})
    curve = competing_risks.aalen_johansen(table, [0, 1, 2, 3, 4])
    assert curve["incidence"].tolist()[:4] == [0, 0.25, 0.5, 0.5] and np.isnan(curve["incidence"][4])
    assert curve["standard_error"][2] == pytest.approx(np.sqrt(0.5 * 0.5 / 4))


# Newcombe 1998 method 10; fisher.test
@pytest.mark.parametrize(
    ("table", "newcombe", "fisher"),
    [
        ((56, 70, 48, 80), (0.2, 0.0524314724023649, 0.333872654036906), 0.0125211297492092),
        ((9, 10, 3, 10), (0.6, 0.170522723934503, 0.809017973535488), 0.0197666110978804),
        ((13, 942, 33, 495), (13 / 942 - 33 / 495, -0.0789795160404094, -0.0317213900102239), 2.41082903327788e-07),
        ((0, 10, 0, 20), (0, -0.161125158052819, 0.277532799862889), 1),
        ((10, 10, 0, 20), (1, 0.679086037141915, 1), 3.32833916042312e-08),
    ],
)
def test_two_by_two_tables_are_those_of_r(table, newcombe, fisher):
    assert proportions.newcombe_difference(*table) == pytest.approx(newcombe, rel=1e-9, abs=1e-12)
    assert contingency.fisher(*table) == pytest.approx(fisher, rel=1e-9)


# prop.test(correct = FALSE)
@pytest.mark.parametrize(
    ("events", "patients", "lower", "upper"),
    [
        (929, 942, 0.976532380230381, 0.99191744976766),
        (0, 35, 0, 0.098900992324404),
        (19, 864, 0.0141227722053365, 0.0340904796454708),
    ],
)
def test_wilson_is_that_of_r(events, patients, lower, upper):
    assert proportions.wilson(events, patients) == pytest.approx((lower, upper), rel=1e-9, abs=1e-12)


def test_nobody_assessed_gives_no_interval_and_more_events_than_patients_are_refused():
    assert np.isnan(proportions.wilson(0, 0)).all()
    with pytest.raises(ValueError):
        proportions.wilson(3, 2)


# quantile(type = 7); kruskal.test; tableone::ExtractSmd
@pytest.mark.parametrize(
    ("column", "first", "second", "p_value", "smd"),
    [
        (
            "age",
            (51.9315537303217, 42.9801505817933, 58.9048596851472),
            (48.1108829568789, 41.4332648870637, 55.8042436687201),
            0.0196215503203841,
            0.270261925849016,
        ),
        ("bili", (1.4, 0.8, 3.2), (1.3, 0.725, 3.6), 0.841684600775689, 0.171090565133216),
        ("trig", (106, 84.5, 146), (113, 84.5, 155), 0.369804339352374, 0.0170615337260201),
    ],
)
def test_numbers_are_described_as_in_r(pbc, column, first, second, p_value, smd):
    one, two = (group[column] for group in pbc)
    assert distributions.median_iqr(one) == pytest.approx(first, rel=1e-9)
    assert distributions.median_iqr(two) == pytest.approx(second, rel=1e-9)
    assert distributions.mann_whitney(one, two) == pytest.approx(p_value, rel=1e-9)
    assert distributions.smd_continuous(one, two) == pytest.approx(smd, rel=1e-9)


# tableone::ExtractSmd; chisq.test(correct = FALSE)
@pytest.mark.parametrize(
    ("column", "smd", "p_value"),
    [
        ("sex", 0.111411611567387, None),
        ("hepato", 0.206994134978139, None),
        ("edema", 0.0581165880042839, 0.87681948921913),
        ("stage", 0.246008341004092, 0.201296291082872),
    ],
)
def test_levels_are_compared_as_in_r(pbc, column, smd, p_value):
    levels = sorted(pbc[0][column].unique())
    counts = [[int((group[column] == level).sum()) for level in levels] for group in pbc]
    assert distributions.smd_categorical(*counts) == pytest.approx(smd, rel=1e-9)
    if p_value:
        assert contingency.chi_squared(counts) == pytest.approx(p_value, rel=1e-9)


def test_hodges_lehmann_is_the_median_of_all_differences():
    one, two = np.array([3, 4, 4, 6, 9, 2]), np.array([5, 7, 8, 8, 12])
    differences = np.sort(np.subtract.outer(one, two).ravel())
    shift, lower, upper = distributions.hodges_lehmann(one, two)
    assert shift == np.median(differences)
    assert lower in differences and upper in differences and lower < shift < upper
    assert distributions.hodges_lehmann(two, one) == (-shift, -upper, -lower)


def test_missing_values_are_left_out_and_nothing_is_made_of_nothing():
    assert distributions.median_iqr([1, None, 3]) == (2, 1.5, 2.5)
    assert np.isnan(distributions.median_iqr([None])).all()
    assert np.isnan(distributions.mann_whitney([], [1]))
    assert np.isnan(distributions.hodges_lehmann([], [1])).all()
    assert np.isnan(distributions.smd_continuous([1], [1, 2]))
    assert np.isnan(distributions.smd_categorical([0, 0], [1, 2]))
