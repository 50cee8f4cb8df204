"""Level: unit, share, spread and outlying patients, on both sides of what matters and of what centres may differ by."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_centres import monitored, others, patients, signals

from capla_etl.quality.monitoring.beside import Beside, Finding
from capla_etl.quality.monitoring.between_columns import between_columns
from capla_etl.quality.monitoring.completeness import missing
from capla_etl.quality.monitoring.level import known_ratio, known_shift, level
from capla_etl.quality.monitoring.mixture import mixture
from capla_etl.quality.monitoring.shape import shape
from capla_etl.quality.monitoring.watched import watched


def test_a_centre_like_the_others_gives_no_signal():
    found = monitored(patients("XX01", 100, seed=2))
    assert signals(found) == {}


@pytest.mark.parametrize("factor", [0.1, 10, 88.4])
def test_a_column_in_another_unit_stops_the_centre(factor):
    found = monitored(patients("XX01", 100, seed=2, creatinine=factor))
    assert signals(found)["level", "creatinine"] == "stop"


def test_a_difference_that_centres_may_have_is_looked_at_and_stops_nothing():
    found = monitored(patients("XX01", 400, seed=2, creatinine=1.3))
    assert signals(found)["level", "creatinine"] == "look"
    assert found.stops == []


def test_natural_differences_of_the_others_widen_the_limits():
    factors = np.exp(np.linspace(-0.22, 0.22, 8))
    differing = [
        type(o)(o.centre_id, o.quantities.assign(creatinine=o.quantities["creatinine"] * factor))
        for o, factor in zip(others(), factors, strict=True)
    ]
    frame = patients("XX01", 400, seed=2, creatinine=1.25)
    assert ("level", "creatinine") in signals(monitored(frame))
    assert ("level", "creatinine") not in signals(monitored(frame, differing))


def test_codes_exchanged_stop_the_centre():
    found = monitored(patients("XX01", 150, seed=2, female=0.30))
    assert signals(found)["share", "female"] == "stop"
    assert "as if the two codes were exchanged" in found.signals[0].looks_like


def test_a_share_a_little_different_gives_no_signal():
    assert ("share", "female") not in signals(monitored(patients("XX01", 100, seed=2, female=0.72)))


def test_another_centre_that_is_wrong_itself_is_no_measure():
    beside = others()
    wrong = beside[0].quantities
    wrong["creatinine"] *= 88.4
    assert signals(monitored(patients("XX01", 100, seed=2), beside)) == {}
    assert signals(monitored(patients("XX01", 100, seed=2, creatinine=10), beside))["level", "creatinine"] == "stop"


def test_without_other_centres_the_typical_range_judges_and_the_rest_says_that_it_is_not_judged():
    found = monitored(patients("XX01", 100, seed=2, creatinine=10), [])
    assert signals(found)["typical", "creatinine"] == "stop"
    level = found.looked_at[(found.looked_at["check_name"] == "level") & (found.looked_at["quantity"] == "creatinine")]
    assert level["judged"].tolist() == ["no"]
    assert level["why_not"].tolist() == ["no other centre has it for enough patients"]


def test_a_centre_like_published_ones_gives_no_signal_alone():
    assert signals(monitored(patients("XX01", 100, seed=2), [])) == {}


def test_nine_patients_are_not_judged_and_ten_are():
    for n, judged in ((9, "no"), (10, "yes")):
        found = monitored(patients("XX01", n, seed=2)).looked_at
        assert found.loc[(found.check_name == "level") & (found.quantity == "creatinine"), "judged"].tolist() == [
            judged
        ]


def test_a_fifth_of_the_patients_in_another_unit_is_seen():
    frame = patients("XX01", 100, seed=2)
    rows = np.arange(0, 100, 5)
    frame.iloc[rows, frame.columns.get_loc("creatinine")] *= 10
    found = monitored(frame)
    signal = next(s for s in found.signals if (s.check_name, s.quantity) == ("outside", "creatinine"))
    assert signal.severity == "stop"
    assert set(signal.rows) <= {*range(2, 102)}


def test_two_patients_far_off_are_no_signal():
    frame = patients("XX01", 100, seed=2)
    frame.iloc[[3, 70], frame.columns.get_loc("creatinine")] *= 10
    assert ("outside", "creatinine") not in signals(monitored(frame))


@pytest.mark.parametrize(
    ("field", "ratio", "words"),
    [
        ("creatinine_umol_per_l", 1 / 88.4, "as if it were in mg/dL and read as umol/L"),
        ("creatinine_umol_per_l", 88.4, "as if it were in umol/L and read as mg/dL"),
        ("hemoglobin_g_per_dl", 0.62, "as if it were in mmol/L and read as g/dL"),
        ("platelets_10e9_per_l", 0.1, "about 1/10 (a power of ten)"),
        ("icu_days", 24, "about 24 times (hours for days)"),
        ("platelets_10e9_per_l", 24, ""),
        ("creatinine_umol_per_l", 1.4, ""),
    ],
)
def test_a_known_ratio_is_named(field, ratio, words):
    assert known_ratio(field, ratio) == words


def test_a_signal_holds_no_value_of_a_patient():
    frame = patients("XX01", 100, seed=2, creatinine=10)
    found = monitored(frame)
    said = " ".join(s.in_words for s in found.signals)
    assert not any(f"{value:g}" in said.replace(".", " ").split() for value in frame["creatinine"] if value > 300)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-30, "a month early"),
        (31, "a month late"),
        (-1, "a day early"),
        (1461, "four years (1904 for 1900) late"),
        (366, "a year late"),
        (-12, ""),
    ],
)
def test_a_known_shift_of_dates_is_named(days, words):
    assert known_shift(days) == words


def test_counts_a_month_before_the_first_exchange_stop_the_centre_in_words():
    def counted(frame, moved):
        return frame.assign(platelets_first_moved=moved)

    beside = [type(o)(o.centre_id, counted(o.quantities, 0.0)) for o in others()]
    found = monitored(counted(patients("XX01", 60, seed=2), -31.0), beside)
    signal = next(s for s in found.signals if (s.check_name, s.quantity) == ("level", "platelets_first_moved"))
    assert signal.severity == "stop"
    assert "as if these dates were a month early" in signal.looks_like


def test_two_other_centres_give_wider_limits_and_no_silence():
    two = others(2)
    assert signals(monitored(patients("XX01", 400, seed=2, creatinine=1.3), two)) == {}
    assert signals(monitored(patients("XX01", 100, seed=2, creatinine=10), two))["level", "creatinine"] == "stop"


def test_one_mistake_is_one_signal():
    found = monitored(patients("XX01", 100, seed=2, creatinine=10))
    assert [(s.check_name, s.quantity) for s in found.signals] == [("level", "creatinine")]
    assert "more findings in this column" in found.signals[0].looks_like
    told = found.looked_at[found.looked_at["severity"] != ""]
    assert {"level", "typical"} <= set(told["check_name"])


def test_a_share_of_a_small_first_centre_is_judged_exactly():
    # 0 of 10 women where at least 52 % are usual: 2 * 0.48^10 = 1.3e-3, and there are some fifty checks
    alone = monitored(patients("XX01", 10, seed=2, female=0.0), [])
    assert alone.stops == []
    p = alone.looked_at.set_index(["check_name", "quantity"]).loc[("typical", "female"), "p_value"]
    assert p == pytest.approx(2 * 0.48**10, rel=1e-6)


def test_few_patients_of_the_others_do_not_tell_where_outlying_begins():
    few, many = others(3, 30), others(8, 100)
    for beside, judged in ((few, "no"), (many, "yes")):
        looked_at = monitored(patients("XX01", 100, seed=2), beside).looked_at.set_index(["check_name", "quantity"])
        assert looked_at.loc[("outside", "creatinine"), "judged"] == judged


def test_the_figures_of_fewer_than_four_others_stay_out_of_a_signal():
    signal = monitored(patients("XX01", 100, seed=2, creatinine=10), others(3)).signals[0]
    assert signal.found.startswith("clearly more than the others")
    assert not any(character.isdigit() for character in signal.found)


def test_no_check_states_a_figure_of_fewer_than_four_others():
    compared = Finding("level", "level", "ldh", "ldh_u_per_l", 40, "1.7 times the others", "about 212", "Higher.", 0.0)
    assert compared.words == ("1.7 times the others", "about 212")  # beside a published range, say
    assert replace(compared, others=4).words == ("1.7 times the others", "about 212")
    few = replace(compared, others=3, found_of_few="clearly more than the others")
    assert few.words == ("clearly more than the others", "as in the 3 other centres")


def words_of_all_checks(own, beside):
    """(check, quantity) -> what is said of each finding that compares with others."""
    frames = {other.centre_id: other.quantities for other in beside}
    made = list(between_columns(watched(), own, frames))
    for quantity in watched().values():
        one = Beside(quantity, own, frames)
        made += [*level(one), *mixture(one), *missing(one, True), *shape(one)]
    return {(f.check_name, f.quantity): f.words for f in made if isinstance(f, Finding) and f.others is not None}


def test_a_centre_is_told_the_same_whatever_figures_three_others_have():
    own = patients("XX01", 200, seed=2, creatinine=10)
    own.loc[own["place"] % 3 == 0, "creatinine"] = np.nan
    own.loc[own["place"] % 2 == 0, "hemoglobin"] = 9.9
    one, other = (words_of_all_checks(own, others(3, 100 + add)) for add in (0, 40))
    assert one.keys() == other.keys()
    for key in ("level", "creatinine"), ("missing", "creatinine"), ("spike", "hemoglobin"), ("rounded", "hemoglobin"):
        assert one[key] == other[key]
    assert {key: words for key, words in one.items() if words[1] != "as in the 3 other centres"} == {}


def test_a_confirmed_column_shows_what_else_stops_it():
    moved = {"rituximab_day": 60.0, "caplacizumab_moved": 60.0}
    rng = np.random.default_rng(5)

    def with_days(frame, days):
        drawn = {name: days.get(name, 0.0) + rng.normal(5, 2, len(frame)) for name in moved}
        return frame.assign(**drawn)

    beside = [type(o)(o.centre_id, with_days(o.quantities, {})) for o in others()]
    one = monitored(with_days(patients("XX01", 60, seed=2), {"caplacizumab_moved": 60.0}), beside).signals[0]
    both = monitored(with_days(patients("XX01", 60, seed=2), moved), beside).signals[0]
    assert (one.field, both.field) == ("start_date", "start_date")
    assert one.found != both.found
    assert "rituximab_day" in both.found or "caplacizumab_moved" in both.found
