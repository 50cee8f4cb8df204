"""The methods paragraph: it says the parameters used and the methods that were used, and nothing else."""

from importlib.metadata import version

import pandas as pd
import pytest

from capla_etl.protocol.parameters import parameters
from capla_etl.report.methods import methods_paragraphs
from capla_etl.stats.conventions import PROTOCOL, SAS, R
from capla_etl.tables.labels import SYNTHETIC, Analysis

MEDIAN = ("median", "median and quartiles (R type 7) of the values known")
SURVIVAL = ("percent", "Kaplan-Meier; 95 % CI log(-log)")
LOG_RANK = ("p_value", "p: log-rank test")
WILSON = ("percent", "n/N of the patients assessed (yes or no); 95 % CI Wilson")
FISHER = ("p_value", "p: Fisher's exact test")


def results(*cells: tuple[str, str], table8: tuple[str, ...] = ()) -> pd.DataFrame:
    """``study.result`` with cells of that (statistic, method), and counts in rows of Table 8."""
    lines = [
        {
            "table_id": "table2",
            "row": "r",
            "statistic": statistic,
            "method": method,
            "p_value": 0.5 if statistic == "p_value" else None,
        }
        for statistic, method in cells
    ]
    lines += [
        {
            "table_id": "table8",
            "row": row,
            "statistic": "count",
            "method": "patients with the outcome; N analysed",
            "p_value": None,
        }
        for row in table8
    ]
    return pd.DataFrame(lines, columns=["table_id", "row", "statistic", "method", "p_value"]).astype(
        {"p_value": "float64"}
    )


def text(found: pd.DataFrame, conventions=PROTOCOL, analyses=None, **changed) -> str:
    more = {} if analyses is None else {"analyses": analyses}
    return "\n".join(methods_paragraphs(dict(parameters()) | changed, conventions, found, **more))


def test_definitions_are_stated_with_the_thresholds_of_the_protocol():
    said = text(results())
    for sentence in (
        "Clinical response was the first day with a platelet count of at least 150 × 10⁹/L that the next count, at "
        "most 3 days later, confirmed",
        "below 1.5 times the upper limit of normal",
        "within 2 days after the 5th TPE day: platelets below 50 × 10⁹/L",
        "severe with platelets below 30 × 10⁹/L",
        "an ADAMTS13 activity of at least 20 % or after 30 days without a TPE or a caplacizumab course",
        "Exacerbation was a confirmed fall before remission and at most 30 days after the last day of TPE or "
        "caplacizumab",
        "below 10 % within 7 days either side",
        "death within 90 days of day 0",
        "aged 18 years or over",
        "controls only with day 0 from 1 January 2015 to 31 December 2018",
        "on day 3 or before, and delayed from day 4",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("response_platelets_from_10e9_per_l", 140, "at least 140 × 10⁹/L that the next count"),
        ("response_confirm_within_days", 1, "at most 1 day later"),
        ("early_start_by_day", 2, "on day 2 or before, and delayed from day 3"),
        ("refractory_after_tpe_days", 3, "after the 3rd TPE day"),
        ("follow_up_days", 60, "death within 60 days of day 0"),
        ("control_day0_from", "2014-02-03", "from 3 February 2014"),
    ],
)
def test_a_changed_parameter_changes_its_sentence(name, value, sentence):
    assert sentence not in text(results())
    assert sentence in text(results(), **{name: value})


def test_a_missing_parameter_is_an_error():
    for name in ("follow_up_days", "relapse_adamts13_within_days", "control_day0_to"):
        with pytest.raises(KeyError, match=name):
            methods_paragraphs({known: p for known, p in parameters().items() if known != name}, PROTOCOL, results())


@pytest.mark.parametrize(
    ("rule_set", "sentence"),
    [
        (
            "tpe2017",
            "Exacerbation was a confirmed fall at most 30 days after the last TPE, relapse the first later one.",
        ),
        ("no_response_after_5_tpe", "Refractory disease was no response by the 5th TPE day."),
        ("platelets_only", "lactate dehydrogenase (LDH) was not part of it"),
        ("adamts13_plasma_window", "within 7 days after a TPE was taken as the donor's"),
    ],
)
def test_the_outcomes_are_those_of_the_default_rule_set(rule_set, sentence):
    assert sentence not in text(results())
    assert sentence in text(results(), default_rule_set=rule_set)


def test_an_unknown_rule_set_is_an_error():
    with pytest.raises(KeyError, match="own_rules"):
        text(results(), default_rule_set="own_rules")


def test_a_method_is_named_if_and_only_if_a_number_was_computed_by_it():
    names = {
        SURVIVAL: "Kaplan-Meier",
        LOG_RANK: "log-rank",
        WILSON: "Wilson",
        FISHER: "Fisher",
        MEDIAN: "interquartile range",
    }
    for cell, name in names.items():
        said = text(results(cell))
        assert name in said
        assert not [other for other in names.values() if other != name and other in said]
    assert "two-sided" in text(results(FISHER)) and "two-sided" not in text(results(WILSON))


def test_a_method_that_no_sentence_knows_is_named_as_the_tables_name_it():
    assert "Further methods, as named beneath the tables: trend: a test of my own." in text(
        results(("p_value", "trend: a test of my own"))
    )
    assert "Further methods" not in text(results(MEDIAN, SURVIVAL, LOG_RANK, WILSON, FISHER))


def test_counts_and_published_figures_are_no_methods():
    assert "PROTOCOL section 5" not in text(
        results(("published", "PROTOCOL section 5 (abstract)"), ("count", "patients of a kind"))
    )


def test_competing_events_are_named_together():
    method = "Aalen-Johansen from day 0, death without {} competing; 95 % CI log(-log), infinitesimal-jackknife error"
    said = text(
        results(
            ("percent", method.format("response")),
            ("percent", method.format("recovery")),
            ("p_value", "p: Gray's test"),
        )
    )
    assert (
        "Cumulative incidence from day 0 of clinical response and of ADAMTS13 recovery, death without it competing"
        in said
        and "Gray's test" in said
    )


def test_the_conventions_are_those_of_the_results():
    assert "continuity correction" not in text(results(FISHER))
    mann_whitney = ("p_value", "p: Mann-Whitney, tie-corrected normal approximation, continuity correction")
    assert "with continuity correction" in text(results(mann_whitney), R)
    cox = ("hazard_ratio", "hazard ratio: Cox regression, Breslow's ties; 95 % CI Wald")
    assert "Breslow's method" in text(results(cox), SAS)
    with pytest.raises(ValueError, match="computed by log"):
        text(results(SURVIVAL), R)
    with pytest.raises(ValueError, match="computed by R type 7"):
        text(results(MEDIAN), SAS)


ANALYSES = {
    "as_published": Analysis("As published", "all patients"),
    "landmark_day": Analysis("Landmark day", "from a day"),
    "without": Analysis("Without one", "in turn"),
    "iptw": Analysis("Weighted", "by weights"),
}


def test_each_analysis_of_table_8_has_its_sentence_and_no_other_has():
    rows = (
        "death:any:as_published",
        "death:any:landmark_day_3",
        "death:any:landmark_day_4",
        "death:any:without_FR01",
        "refractory:tpe2017:as_published",
    )
    said = text(results(table8=rows), analyses=ANALYSES)
    assert (
        "As published: all patients." in said
        and "Landmark day (3 and 4): from a day." in said
        and "Without one: in turn." in said
    )
    assert "Weighted" not in said and said.count("Without one") == 1
    assert "for: Death within 3 months; Refractory." in said
    assert "by other rules: exacerbation as a fall at most 30 days after the last TPE" in said
    assert "Sensitivity" not in text(results())


def test_an_analysis_that_nobody_described_is_an_error():
    with pytest.raises(KeyError, match="my_own"):
        text(results(table8=("death:any:my_own",)), analyses=ANALYSES)


def test_versions_are_those_installed():
    said = text(results(FISHER))
    assert all(
        f"{name} {version(name)}" in said
        for name in ("lifelines", "statsmodels", "scipy", "numpy", "pandas", "duckdb", "dbt-duckdb")
    )
    assert f"capla_etl {version('capla-etl')}" in said
    assert said.endswith(SYNTHETIC)
