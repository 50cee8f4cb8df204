"""Which printed figures can be true together: rounding at its boundaries, published examples, the abstract by hand."""

import math
from dataclasses import replace

import pytest

from capla_etl.audit import abstract as consistency
from capla_etl.tables.as_published import FIGURES


@pytest.mark.parametrize(
    ("number", "decimals"), [(98.6, 1), (23, 0), (100.0, 0), (0.37, 2), (0.0001, 4), (0.00001, 5), (0, 0)]
)
def test_decimals_are_read_off_the_printed_number(number, decimals):
    assert consistency.printed_decimals(number) == decimals


def test_a_number_cannot_be_printed_with_fewer_decimals_than_it_has():
    with pytest.raises(ValueError, match="5.19 is not printed with 1 decimals"):
        consistency.printed_range(5.19, 1)


@pytest.mark.parametrize(
    ("percent", "decimals", "denominator", "numerators"),
    [
        # 0.5 % and 1.5 % of 200 are 1 and 3: half-up prints the first as 1 %, half-to-even the second as 2 %; both ends
        # are kept.
        (1, 0, 200, [1, 2, 3]),
        (50, 0, 3, []),
        (33, 0, 3, [1]),
        (33.3, 1, 3, [1]),
        (33.4, 1, 3, []),
        (0, 0, 3, [0]),
        (100, 0, 3, [3]),
        (100, 0, 400, [398, 399, 400]),
        (0, 0, 400, [0, 1, 2]),
    ],
)
def test_numerators_that_are_printed_as_a_percentage(percent, decimals, denominator, numerators):
    assert list(consistency.implied_numerators(percent, decimals, denominator)) == numerators


@pytest.mark.parametrize(
    ("events", "percent", "decimals", "at_most", "denominators"),
    [
        # 1900/2.25 = 844.4 and 1900/2.15 = 883.7
        (19, 2.2, 1, 942, range(845, 884)),
        # 1/40 = 2.5 % and 1/67 = 1.49 %, 1/66 = 1.52 %
        (1, 2, 0, 942, range(40, 67)),
        (1, 2, 0, 50, range(40, 51)),
        (1, 0, 0, 250, range(200, 251)),
        (3, 100, 0, 10, range(3, 4)),
        (0, 0, 0, 5, range(1, 6)),
        (0, 1, 0, 5, range(0)),
        (500, 50, 0, 400, range(0)),
    ],
)
def test_denominators_that_a_percentage_implies(events, percent, decimals, at_most, denominators):
    assert list(consistency.implied_denominators(events, percent, decimals, at_most)) == list(denominators)


def test_numerators_and_denominators_say_the_same():
    for denominator in range(1, 60):
        for events in range(denominator + 1):
            percent = round(100 * events / denominator, 1)
            assert events in consistency.implied_numerators(percent, 1, denominator)
            assert denominator in consistency.implied_denominators(events, percent, 1, 60)


@pytest.mark.parametrize(
    ("median", "count", "quartiles", "possible"),
    [
        (4.5, 13, None, False),
        (4.5, 12, None, True),
        (4, 13, None, True),
        (4, 12, None, True),
        (4.3, 12, None, False),
        (4.5, 12, (3, 5), True),
        (4.5, 12, (5, 5), False),
        (4.5, 12, (3, 4), False),
        # 13 values: quartiles are whole (R, SAS) or halves (SPSS); 12: also quarters
        (4, 13, (3.5, 5), True),
        (4, 13, (3.3, 5), False),
        (4, 12, (3.3, 5), True),
        (4, 12, (3.1, 5), False),
        (4, 1, (4, 4), True),
        (4, 1, (3, 4), False),
    ],
)
def test_a_median_of_whole_numbers(median, count, quartiles, possible):
    assert consistency.grim_median(median, count, quartiles=quartiles) is possible


def test_a_ratio_is_the_geometric_mean_of_its_wald_limits():
    assert consistency.ratio_interval_consistency(2, 1, 4)[::3] == (2, True)
    # sqrt(0.5 x 3.5) = 1.32 and sqrt(1.5 x 4.5) = 2.60 are what rounding allows: printed as 1 to 3
    assert [consistency.ratio_interval_consistency(ratio, 1, 4).consistent for ratio in (1.3, 1.2, 2.6, 2.7)] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("z", [0.5, 1, 2, 3])
def test_p_of_an_interval_is_near_the_formula_of_altman_and_bland(z):
    # BMJ 2011;343:d2304: SE = width / (2 x 1.96), P = exp(-0.717 z - 0.416 z^2)
    error = 0.2
    formula = math.exp(-0.717 * z - 0.416 * z**2)
    difference = consistency.p_from_interval(z * error, z * error - 1.96 * error, z * error + 1.96 * error, ratio=False)
    ratio = consistency.p_from_interval(
        *(math.exp(-x) for x in (z * error, z * error + 1.96 * error, z * error - 1.96 * error))
    )
    assert difference == pytest.approx(formula, rel=0.03) and ratio == pytest.approx(difference, rel=1e-9)


def test_p_is_0_05_where_a_limit_is_no_effect_and_1_without_effect():
    assert consistency.p_from_interval(2, 1, 4) == pytest.approx(0.05, abs=1e-12)
    assert consistency.p_from_interval(0, -1, 1, ratio=False) == 1


def test_events_that_a_ratio_with_its_limits_implies():
    # 10/100 against 20/100: log ratio -0.693, standard error sqrt(0.1 - 0.01 + 0.05 - 0.01) = 0.3606: 0.5 (0.247 to
    # 1.014)
    found = consistency.implied_events(0.5, 0.247, 1.014, 100, 100)
    assert found.to_numpy().tolist() == [[10, 20]]
    # odds ratio 0.444, standard error sqrt(1/10 + 1/90 + 1/20 + 1/80) = 0.4167: 0.196 to 1.006
    assert [10, 20] in consistency.implied_events(
        0.444, 0.196, 1.006, 100, 100, measure="odds_ratio"
    ).to_numpy().tolist()
    assert consistency.implied_events(0.5, 0.4999, 0.5001, 100, 100).empty


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: consistency.implied_numerators(101, 0, 10), "between 0 and 100, found 101"),
        (lambda: consistency.implied_numerators(10, 0, 0), "at least one patient"),
        (lambda: consistency.implied_denominators(-1, 10, 0, 10), "not be negative"),
        (lambda: consistency.grim_median(3, 0), "at least one value"),
        (lambda: consistency.ratio_interval_consistency(1, 2, 1), "in order"),
        (lambda: consistency.p_from_interval(0, 1, 2), "must be positive"),
        (lambda: consistency.p_from_interval(0, 1, 1, ratio=False), "in order"),
        (lambda: consistency.implied_events(1, 0.5, 2, 10, 10, measure="hazard_ratio"), "risk_ratio or odds_ratio"),
    ],
)
def test_impossible_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture(scope="module")
def abstract():
    return consistency.check_abstract()


@pytest.mark.parametrize(
    ("relation", "implied", "verdict"),
    [
        ("Early and delayed starters are", "715 + 218 = 933 of 942; 9 in neither", "needs an explanation"),
        ("Rescue and slow response are", "63 + 155 = 218 of 218", "consistent"),
        # 98.5 % and 99.5 % of 942 are 927.9 and 937.3; 92.5 % and 93.5 % of 495 are 457.9 and 462.8
        (
            "The percentages given corticosteroids",
            "caplacizumab: 928 to 937 of 942; control: 458 to 462 of 495",
            "consistent",
        ),
        # 91.5 % and 92.5 % of 942 are 861.9 and 871.4; 70.5 % and 71.5 % of 495 are 349.0 and 353.9
        (
            "The percentages given rituximab",
            "caplacizumab: 862 to 871 of 942; control: 349 to 353 of 495",
            "consistent",
        ),
        # 1.35 % and 1.45 % of 942 are 12.7 and 13.7; 6.65 % and 6.75 % of 495 are 32.9 and 33.4
        ("Survival under caplacizumab", "13 deaths of 942", "consistent"),
        ("Survival of controls", "33 deaths of 495", "consistent"),
        # R: fisher.test(matrix(c(13, 929, 33, 462), 2))$p.value is 2.410829e-07
        ("The p value of survival", "Fisher's p at most 2e-07", "consistent"),
        # 0.5 % and 1.5 % of 715 are 3.6 and 10.7
        ("Early starters who died", "4 to 10 of 715 early starters, of at most 13 deaths", "consistent"),
        (
            "The median day of death",
            "13 deaths; in whole days the median is possible for none of these numbers, but for 12",
            "needs an explanation",
        ),
        ("Days of death are counted", "", "cannot be checked"),
        # sqrt(0.1 x 0.37) = 0.192; sqrt(0.05 x 0.365) and sqrt(0.15 x 0.375)
        ("The ratio of failures lies", "limits imply 0.192; rounding allows 0.135 to 0.237", "consistent"),
        # ln 0.2 = -1.609, standard error ln(3.7) / 3.92 = 0.334, z = 4.82
        ("The p value of failures", "p 1e-06", "consistent"),
        # 1.05 % and 1.15 % of 715 are 7.5 and 8.2; 5.25 % and 5.35 % are 37.5 and 38.3
        ("The percentage of early starters with refractory", "8 of 715", "consistent"),
        ("The percentage of early starters with an exacerbation", "38 of 715", "consistent"),
        (
            "Exacerbations after stopping",
            "46 after stopping, at most 38 of them in early starters: at least 8 in the other 227 patients",
            "consistent",
        ),
        ("The p value of the times", "medians differ by 0 days", "consistent"),
        # 4 / 0.55 and 4 / 0.45
        (
            "Early starters' time to response is about half",
            "a median of 7.3 to 8.9 days in controls",
            "cannot be checked",
        ),
        ("The p value of ADAMTS13", "", "cannot be checked"),
        # 22000/23.5 = 936.2
        ("Any adverse event:", "of 937 to 942 patients", "consistent"),
        ("Major bleeding:", "of 845 to 883 patients", "needs an explanation"),
        # 3400/3.75 = 906.7 and 3400/3.65 = 931.5
        ("Clinically relevant non-major bleeding:", "of 907 to 931 patients", "needs an explanation"),
        # 11400/14.5 = 786.2 and 11400/13.5 = 844.4
        ("Minor bleeding:", "of 787 to 844 patients", "needs an explanation"),
        # 3500/4.55 = 769.2 and 3500/4.45 = 786.5
        ("Injection-site reaction:", "of 770 to 786 patients", "needs an explanation"),
        (
            "Patients with any adverse event",
            "19 + 34 + 114 + 35 = 202 for 220 patients; at least 18 with other events only",
            "needs an explanation",
        ),
        ("The sites of major bleeding", "8 + 2 + 2 + 2 = 14 of 19; at least 5 elsewhere", "needs an explanation"),
    ],
)
def test_the_abstract(abstract, relation, implied, verdict):
    found = abstract[abstract["relation"].str.startswith(relation)]
    assert len(found) == 1
    assert found.iloc[0][["implied", "verdict"]].tolist() == [implied, verdict]


def test_no_two_kinds_of_adverse_events_have_a_denominator_in_common(abstract):
    found = abstract[abstract["relation"].str.startswith("The kinds of adverse events")].iloc[0]
    assert (
        found["verdict"] == "needs an explanation"
        and len(found["implied"].removeprefix("no denominator in common: ").split(", ")) == 6
    )


def test_failures_leave_room_for_the_deaths(abstract):
    found = abstract[abstract["relation"].str.startswith("The ratio of failures leaves room")].iloc[0]
    assert found["verdict"] == "consistent"
    # 13/942 over 35/495: 0.195, standard error sqrt(1/13 - 1/942 + 1/35 - 1/495) = 0.320: 0.104 to 0.366; over 33/495
    # the upper limit is 0.391
    assert found["implied"].endswith("with 13 and 33 deaths among them: 13 to 25 against 35 to 56 failures")


def test_every_published_figure_is_looked_at_and_quoted_as_published(abstract):
    used = {tuple(key.split("/")) for keys in abstract["figures"] for key in keys.split("; ")}
    assert used == {(figure.row, figure.group) for figure in FIGURES}
    assert set(abstract["verdict"]) <= set(consistency.VERDICTS)
    assert (abstract[["relation", "printed", "explanation"]] != "").all().all()
    assert abstract["printed"].str.contains("Survival at 3 months, p < 0.0001", regex=False).any()
    assert abstract["printed"].str.contains("risk ratio about 0.2;", regex=False).any()


@pytest.mark.parametrize(
    ("row", "group", "value", "relation", "verdict"),
    [
        ("patients", "delayed", 228, "Early and delayed starters are", "not consistent"),
        ("patients", "delayed", 227, "Early and delayed starters are", "consistent"),
        ("patients", "rescue", 64, "Rescue and slow response are", "not consistent"),
        ("patients", "rescue", 62, "Rescue and slow response are", "needs an explanation"),
        ("survival_3_months", "caplacizumab", 98.5, "The median day of death", "consistent"),
        ("survival_3_months", "control", 98.6, "The p value of survival", "needs an explanation"),
        ("died_by_day_90", "early", 3, "Early starters who died", "needs an explanation"),
        ("refractory", "early", 1.2, "The percentage of early starters with refractory", "needs an explanation"),
        ("failure_risk_ratio", "difference", 0.3, "The ratio of failures lies", "needs an explanation"),
        ("failure_risk_ratio_upper", "difference", 1.5, "The p value of failures", "needs an explanation"),
        ("failure_risk_ratio_upper", "difference", 0.9, "The ratio of failures leaves room", "needs an explanation"),
        ("exacerbation_after_stop_undetectable", "caplacizumab", 266, "Exacerbations after stopping", "not consistent"),
        ("exacerbation_after_stop_undetectable", "caplacizumab", 265, "Exacerbations after stopping", "consistent"),
        ("response_day_q1", "early", 5, "The median and quartiles of the early", "needs an explanation"),
        ("response_day_median", "early", 5, "The p value of the times", "cannot be checked"),
        ("major_bleeding_percent", "caplacizumab", 1.9, "Major bleeding:", "not consistent"),
        ("major_bleeding_percent", "caplacizumab", 2, "Major bleeding:", "consistent"),
        ("any_adverse_event_patients", "caplacizumab", 113, "Patients with any adverse event", "not consistent"),
        ("any_adverse_event_patients", "caplacizumab", 202, "Patients with any adverse event", "consistent"),
        ("major_bleeding_intracranial", "caplacizumab", 20, "The sites of major bleeding", "not consistent"),
        ("major_bleeding_intracranial", "caplacizumab", 7, "The sites of major bleeding", "consistent"),
    ],
)
def test_another_figure_gives_another_verdict(row, group, value, relation, verdict):
    changed = tuple(
        replace(figure, value=value) if (figure.row, figure.group) == (row, group) else figure for figure in FIGURES
    )
    found = consistency.check_abstract(changed)
    assert found[found["relation"].str.startswith(relation)]["verdict"].tolist() == [verdict]
