"""The dbt outcomes against a second derivation by plain loops, and that derivation against worked examples.

The worked examples run through the dbt models elsewhere; here they check the checker. All patients are made up.
"""

import duckdb
import pytest
from independent import (
    DEFAULT_RULE_SET,
    OUTCOME_COLUMNS,
    RULE_SETS,
    START_COLUMNS,
    Course,
    Day,
    Patient,
    compare,
    derive,
    patients_of,
)


def spread(text: str) -> dict[int, str]:
    """'0:12 4-6:200' to {0: '12', 4: '200', 5: '200', 6: '200'}."""
    values = {}
    for entry in text.split():
        days, value = entry.split(":")
        first, _, last = days.partition("-")
        for day in range(int(first), int(last or first) + 1):
            values[day] = value
    return values


def patient(
    platelets: str = "",
    ldh: str = "",
    tpe: str = "",
    caplacizumab: tuple[tuple[int | None, int | None], ...] = (),
    adamts13: str = "",
    last_seen: int = 200,
    death_day: int | None = None,
    died: bool = False,
) -> Patient:
    """A patient written as in the table of PROTOCOL section 7; ``tpe`` is '0-3 5' or, with sessions, '0:2'."""
    counts, ldhs, activities = spread(platelets), spread(ldh), spread(adamts13)
    sessions = spread(" ".join(entry if ":" in entry else f"{entry}:1" for entry in tpe.split()))
    days = []
    for day in sorted(counts.keys() | ldhs.keys() | activities.keys() | sessions.keys()):
        activity = activities.get(day)
        days.append(
            Day(
                day=day,
                platelets=float(counts[day]) if day in counts else None,
                ldh=float(ldhs[day]) if day in ldhs else None,
                adamts13=float(activity.lstrip("<>")) if activity else None,
                comparator=activity[0] if activity and activity[0] in "<>" else None,
                tpe_sessions=int(sessions.get(day, 0)),
            )
        )
    courses = tuple(Course(start, end) for start, end in caplacizumab)
    last_seen_day = last_seen if death_day is None else death_day
    return Patient(tuple(days), courses, died or death_day is not None, death_day, last_seen_day)


def gives(of: Patient, rule_set: str = DEFAULT_RULE_SET, **expected: object) -> None:
    outcome = derive(of, rule_set)
    assert {column: outcome[column] for column in expected} == expected


# PROTOCOL section 7, in its order

TWO_STRETCHES = "0:12 1:30 2:60 3:120 4-11:200 20:210 30:220 40:200 44:90 45:60 50:160 51:180"
STEADY = "0:12 1:30 2:60 3:100 4:140 5-11:200"
WORKED_EXAMPLES = {
    "day 3 is not held": (
        patient("0:12 1:30 2:60 3:155 4:148 5:160 6:170", "5:1.2", "0-6"),
        {
            "response_day": 5,
            "response": "yes",
            "response_ldh_assessable": "yes",
            "tpe_days_to_response": 6,
            "remission_day": 36,
            "remission": "yes",
            "exacerbation": "no",
            "exacerbation_count": 0,
            "relapse": "no",
            "failure": "no",
            "died_by_day_90": "no",
        },
    ),
    "LDH holds the response back": (
        patient("0:12 1:30 2:60 3:90 4:160 5:170 6:180 7:190", "4:1.9 5:1.7 6:1.4", "0-6"),
        {"response_day": 6, "tpe_days_to_response": 7},
    ),
    "the next count is four days later": (
        patient("0:12 1:30 2:60 4:160 8:170 9:180", "", "0-5"),
        {"response_day": 8, "response_ldh_assessable": "no", "remission_day": 38},
    ),
    "refractory, not severe": (
        patient("0:10 1:15 2:20 3:25 4:30 5:38 9:160 10:170", "4:2.1 9:1.1", "0-9"),
        {"refractory": "yes", "severe_refractory": "no", "response_day": 9},
    ),
    "refractory, severe; a day without exchange": (
        patient("0:10 3:25 6:29 9:160 10:170", "3:1.8 9:1.1", "0-3 5-8"),
        {"refractory": "yes", "severe_refractory": "yes", "response_day": 9, "tpe_days_to_response": 8},
    ),
    "exacerbation after caplacizumab": (
        patient(TWO_STRETCHES, "4:1.1 50:1.0", "0-5 45-47", ((0, 40),), "28:<5 35:<5"),
        {
            "exacerbation_day": 44,
            "exacerbation": "yes",
            "exacerbation_count": 1,
            "remission_day": 80,
            "relapse_day": None,
            "relapse": "no",
            "exacerbation_after_stop_undetectable": "yes",
        },
    ),
    "the same with ADAMTS13 recovered": (
        patient(TWO_STRETCHES, "4:1.1 50:1.0", "0-5 45-47", ((0, 40),), "28:25"),
        {
            "remission_day": 28,
            "relapse_day": 44,
            "relapse": "yes",
            "relapse_status": "unconfirmed",
            "exacerbation_day": None,
            "exacerbation": "no",
            "adamts13_recovery_day": 28,
            "exacerbation_after_stop_undetectable": "no",
        },
    ),
    "relapse": (
        patient(f"{STEADY} 20:210 35:200 40:100 41:90", "5:1.1", "0-6"),
        {"remission_day": 36, "relapse_day": 40, "relapse_status": "unconfirmed", "exacerbation": "no"},
    ),
    "a fall on the day of remission": (
        patient(f"{STEADY} 20:210 30:200 36:100 37:90", "5:1.1", "0-6"),
        {"exacerbation_day": 36, "remission_day": None, "remission": "no", "relapse": "not_evaluable"},
    ),
    "a fall that is not confirmed": (
        patient(f"{STEADY} 20:140 24:200 30:210", "5:1.1", "0-6"),
        {"exacerbation_day": None, "exacerbation": "no", "unclassified_fall_day": None, "remission_day": 36},
    ),
}


@pytest.mark.parametrize("name", WORKED_EXAMPLES)
def test_worked_examples_of_the_protocol(name: str) -> None:
    of, expected = WORKED_EXAMPLES[name]
    gives(of, **expected)


def test_the_exacerbation_after_caplacizumab_is_a_relapse_under_tpe2017() -> None:
    of, _ = WORKED_EXAMPLES["exacerbation after caplacizumab"]
    gives(
        of,
        "tpe2017",
        exacerbation_day=None,
        exacerbation="no",
        relapse_day=44,
        relapse="yes",
        relapse_status="unconfirmed",
        remission_day=35,
    )


# 3.1 clinical response


@pytest.mark.parametrize(
    ("platelets", "ldh", "response_day"),
    [
        ("0:12 5:150 6:150", "5:1.4", 5),  # 150 is enough
        ("0:12 5:149 6:150 7:160", "5:1.4", 6),  # 149 is not
        ("0:12 5:160 8:150", "5:1.4", 5),  # held on the 3rd day
        ("0:12 5:160 9:170", "5:1.4", None),  # the 4th day does not hold
        ("0:12 5:160", "5:1.4", None),  # no next count at all
        ("0:12 5:160 6:149 8:170", "5:1.4", None),  # the next count decides, not a later one
        ("0:12 5:160 6:170", "5:1.49", 5),
        ("0:12 5:160 6:170", "5:1.5", None),  # 1.5 is not below 1.5
        ("0:12 5:160 6:170", "2:1.5", None),  # the 3rd day before counts
        ("0:12 5:160 6:170", "1:1.5", 5),  # the 4th day before does not: not assessable, no block
        ("0:12 5:160 6:170", "4:1.4 3:3.0", 5),  # the latest, not the highest
        ("0:12 5:160 6:170", "6:1.2 4:1.6", None),  # LDH of the next day comes too late
        ("0:160 1:170", "", 0),  # day 0 can respond
    ],
)
def test_response(platelets: str, ldh: str, response_day: int | None) -> None:
    gives(patient(platelets, ldh, "0-4"), response_day=response_day)


def test_response_by_platelets_only() -> None:
    of = patient("0:12 5:160 6:170 7:180", "5:1.5 6:1.4", "0-4")
    gives(of, response_day=6)
    gives(of, "platelets_only", response_day=5)


@pytest.mark.parametrize(
    ("last_seen", "death_day", "died", "response", "failure", "died_by_day_90"),
    [
        (90, None, False, "no", "yes", "no"),
        (89, None, False, "not_evaluable", "not_evaluable", "unknown"),
        (89, 89, True, "no", "yes", "yes"),
        (90, 90, True, "no", "yes", "yes"),
        (91, 91, True, "no", "yes", "no"),
        (20, None, True, "no", "yes", "unknown"),  # died, nobody knows when
        (90, None, True, "no", "yes", "no"),  # died on an unknown day, seen on day 90
    ],
)
def test_no_response(
    last_seen: int, death_day: int | None, died: bool, response: str, failure: str, died_by_day_90: str
) -> None:
    of = patient("0:12 3:20", "", "0-3", last_seen=last_seen, death_day=death_day, died=died)
    gives(
        of,
        response=response,
        failure=failure,
        died_by_day_90=died_by_day_90,
        response_ldh_assessable=None,
        exacerbation="not_evaluable",
        remission="not_evaluable",
        relapse="not_evaluable",
        tpe_days_to_response=None,
    )


@pytest.mark.parametrize(("platelets", "failure"), [("0:12 90:160 91:170", "no"), ("0:12 91:160 92:170", "yes")])
def test_a_response_after_day_90_is_a_failure(platelets: str, failure: str) -> None:
    gives(patient(platelets, "", "0-3"), response="yes", failure=failure)


def test_a_response_before_being_lost_is_no_failure() -> None:
    gives(patient("0:12 5:160 6:170", "", "0-3", last_seen=10), failure="no", died_by_day_90="unknown")


def test_sessions_are_counted_beside_days() -> None:
    of = patient("0:12 3:160 4:170", "", "0:2 1 3:3 4")
    gives(of, tpe_days_to_response=3, tpe_sessions_to_response=6)


# 3.2 refractory


@pytest.mark.parametrize(
    ("platelets", "ldh", "refractory", "severe"),
    [
        ("0:10 5:49", "5:1.51", "yes", "no"),
        ("0:10 5:50", "5:1.6", "no", "no"),
        ("0:10 5:30", "5:1.6", "yes", "no"),
        ("0:10 5:29", "5:1.6", "yes", "yes"),
        ("0:10 5:29", "5:1.5", "no", "no"),  # 1.5 is not above 1.5
        ("0:10 5:29", "2:1.6", "yes", "yes"),  # 3 days before
        ("0:10 5:29", "1:1.6", "not_evaluable", "not_evaluable"),  # 4 days before
        ("0:10 5:29", "6:1.6", "not_evaluable", "not_evaluable"),  # the day after
        ("0:10 5:29", "4:3.0 5:1.2", "no", "no"),  # the latest decides
        ("0:10 6:29", "6:1.6", "yes", "yes"),  # the 2nd day after
        ("0:10 7:29", "6:1.6", "not_evaluable", "not_evaluable"),  # the 3rd day after
        ("0:10 5:60 6:29", "6:1.6", "no", "no"),  # the first count, not the worst
        ("0:10 4:29", "4:1.6", "not_evaluable", "not_evaluable"),  # the 5th TPE day itself is too early
        ("0:10 4:160 6:170", "4:1.2", "no", "no"),  # responded on the 5th TPE day
        ("0:10 4:160 7:170", "4:1.2", "no", "no"),  # and without a count on the two days
    ],
)
def test_refractory(platelets: str, ldh: str, refractory: str, severe: str) -> None:
    gives(patient(platelets, ldh, "0-4"), refractory=refractory, severe_refractory=severe)


@pytest.mark.parametrize(
    ("platelets", "tpe", "refractory"),
    [
        ("0:10 4:20", "0-3", "not_evaluable"),  # exchanges end before the 5th
        ("0:10 4:160 5:170", "0-3", "no"),
        ("0:10 4:160 5:170 30:20 31:20", "0-3 30", "no"),  # responded before a 5th TPE day
        ("0:10 5:20", "0:5", "not_evaluable"),  # five sessions on one day are one TPE day
    ],
)
def test_refractory_with_few_exchanges(platelets: str, tpe: str, refractory: str) -> None:
    gives(patient(platelets, "0-8:1.0", tpe), refractory=refractory)


@pytest.mark.parametrize(
    ("platelets", "tpe", "refractory"),
    [
        ("0:10 4:160 5:170", "0-5", "no"),  # by the 5th TPE day (4)
        ("0:10 5:160 6:170", "0-5", "yes"),
        ("0:10", "0-5", "yes"),
        ("0:10", "0-3", "not_evaluable"),
        ("0:10 20:160 21:170", "0-3", "no"),
    ],
)
def test_no_response_after_5_tpe(platelets: str, tpe: str, refractory: str) -> None:
    gives(patient(platelets, "", tpe), "no_response_after_5_tpe", refractory=refractory)


@pytest.mark.parametrize(
    ("platelets", "ldh", "refractory"),
    [
        ("0:10 4:19", "4:1.1", "yes"),
        ("0:10 4:20", "4:1.1", "no"),  # doubled
        ("0:10 4:19", "4:1.0", "no"),  # not above the limit of normal
        ("0:10 4:19", "1:1.1", "yes"),
        ("0:10 4:19", "0:1.1 5:1.1", "not_evaluable"),
        ("0:10 3:19 5:19", "4:1.1", "not_evaluable"),
        ("1:10 4:19", "4:1.1", "not_evaluable"),
        ("0:80 4:155 5:160", "4:1.2", "no"),  # responded by day 4, not doubled
    ],
)
def test_not_doubled_day_4(platelets: str, ldh: str, refractory: str) -> None:
    gives(patient(platelets, ldh, "0-4"), "not_doubled_day_4", refractory=refractory)


# 3.3 confirmed fall


@pytest.mark.parametrize(
    ("after", "tpe", "exacerbation_day"),
    [
        ("20:149 23:149", "0-6", 20),  # held on the 3rd day
        ("20:149 24:149 25:200", "0-6", None),  # day 20 by the 4th day: no; day 24 is not held either
        ("20:150 21:150", "0-6", None),  # 150 is no fall
        ("20:149 21:150", "0-6", None),
        ("20:149", "0-6", None),  # silence is no fall
        ("20:149 21:160", "0-6 20", 20),  # an exchange on that day
        ("20:149 21:160", "0-6 23", 20),  # on the 3rd day after
        ("20:149 21:160", "0-6 24", None),  # on the 4th
        ("20:149 21:160", "0-6 19", None),  # the day before
    ],
)
def test_confirmed_fall(after: str, tpe: str, exacerbation_day: int | None) -> None:
    gives(patient(f"{STEADY} {after}", "5:1.1", tpe), exacerbation_day=exacerbation_day)


def test_low_counts_before_a_response_are_no_falls() -> None:
    gives(patient("0:12 1:30 2:60", "", "0-6"), exacerbation_day=None, exacerbation_count=0, unclassified_fall_day=None)


# 3.4 clinical remission


@pytest.mark.parametrize(
    ("adamts13", "remission_day"),
    [
        ("10:20", 10),
        ("10:19.9", 36),
        ("10:>20", 10),
        ("10:>19", 36),  # cannot decide
        ("10:<25", 36),  # cannot decide
        ("10:<5", 36),
        ("5:60", 5),  # on the response day
        ("4:60", 36),  # before it
        ("36:60", 36),
        ("37:60", 36),
        ("8:<25 9:30", 9),
    ],
)
def test_remission_by_adamts13(adamts13: str, remission_day: int) -> None:
    gives(patient(STEADY, "5:1.1", "0-6", adamts13=adamts13), remission_day=remission_day)


@pytest.mark.parametrize(
    ("tpe", "courses", "last_seen", "remission_day", "remission"),
    [
        ("0-6", (), 36, 36, "yes"),
        ("0-6", (), 35, None, "not_evaluable"),
        ("0-6 36", (), 200, 66, "yes"),  # an exchange on the last of the 30 days
        ("0-6 37", (), 200, 36, "yes"),
        ("0-2", (), 200, 35, "yes"),  # from the response (day 5), not the last exchange (day 2)
        ("0-2 20", (), 200, 50, "yes"),
        ("0-6", ((1, 40),), 200, 70, "yes"),
        ("0-6", ((None, 40),), 200, 70, "yes"),  # an unrecorded start counts from day 0
        ("0-6", ((1, 10), (40, 50)), 200, 80, "yes"),  # 29 days between the courses
        ("0-6", ((1, 10), (41, 50)), 200, 40, "yes"),  # 30 days
        ("0-6", ((1, None),), 200, None, "not_evaluable"),
        ("0-6", ((1, 10), (20, None)), 200, None, "not_evaluable"),
    ],
)
def test_remission_by_days_without_therapy(tpe, courses, last_seen, remission_day, remission) -> None:
    gives(patient(STEADY, "5:1.1", tpe, courses, last_seen=last_seen), remission_day=remission_day, remission=remission)


def test_remission_not_found_is_no_only_when_followed_to_day_90() -> None:
    falling = f"{STEADY} 20:100 21:90"
    gives(patient(falling, "5:1.1", "0-6", last_seen=90), remission="no")
    gives(patient(falling, "5:1.1", "0-6", last_seen=89), remission="not_evaluable")


def test_unrecorded_end_leaves_remission_to_adamts13_and_does_not_touch_tpe2017() -> None:
    of = patient(STEADY, "5:1.1", "0-6", ((1, None),), "60:30")
    gives(of, remission_day=60)
    gives(of, "tpe2017", remission_day=36)


def test_a_response_that_has_fallen_remits_only_after_the_next_one() -> None:
    between = patient(f"{STEADY} 20:100 21:90 27:160 28:170", "5:1.1 27:1.1", "0-6", adamts13="20:30 23:30")
    gives(between, exacerbation_day=20, remission_day=57)
    on_the_next_response = patient(f"{STEADY} 20:100 21:90 27:160 28:170", "5:1.1 27:1.1", "0-6", adamts13="27:30")
    gives(on_the_next_response, exacerbation_day=20, remission_day=27)


# 3.5 exacerbation


@pytest.mark.parametrize(
    ("platelets", "tpe", "courses", "exacerbation_day", "unclassified_fall_day", "relapse_day"),
    [
        # response on day 5, therapy to day 6: day 36 is 30 days after, and remission would be met that very day
        (f"{STEADY} 36:100 37:90", "0-6", (), 36, None, None),
        (f"{STEADY} 37:100 38:90", "0-6", (), None, None, 37),
        # response on day 20, therapy to day 6
        ("0:12 20:160 21:170 36:100 37:90", "0-6", (), 36, None, None),
        ("0:12 20:160 21:170 37:100 38:90", "0-6", (), None, 37, None),
        ("0:12 20:160 21:170 50:100 51:90", "0-6", (), None, 50, None),
        ("0:12 20:160 21:170 51:100 52:90", "0-6", (), None, None, 51),
        # an exchange on the day of the fall is not therapy before it
        ("0:12 20:160 21:170 37:100 38:90", "0-6 37", (), None, 37, None),
        # caplacizumab to day 30 keeps the clock running
        ("0:12 20:160 21:170 60:100 61:90", "0-6", ((1, 30),), 60, None, None),
        ("0:12 20:160 21:170 61:100 62:90", "0-6", ((1, 30),), None, None, 61),
    ],
)
def test_exacerbation(platelets, tpe, courses, exacerbation_day, unclassified_fall_day, relapse_day) -> None:
    gives(
        patient(platelets, "", tpe, courses),
        exacerbation_day=exacerbation_day,
        unclassified_fall_day=unclassified_fall_day,
        relapse_day=relapse_day,
    )


def test_a_patient_can_have_several_exacerbations_and_then_a_relapse() -> None:
    of = patient(
        f"{STEADY} 15:100 16:90 20:160 21:170 30:100 31:90 35:160 36:170 90:100 91:80",
        "",
        "0-6 15-18 30-33",
        adamts13="97:<10",
    )
    gives(of, exacerbation_day=15, exacerbation_count=2, remission_day=65, relapse_day=90, relapse_status="confirmed")


def test_low_counts_of_one_fall_are_one_exacerbation() -> None:
    gives(patient(f"{STEADY} 15:100 16:90 17:80 18:70", "", "0-6"), exacerbation_day=15, exacerbation_count=1)


def test_exacerbation_not_found_without_remission_is_not_evaluable() -> None:
    gives(patient(STEADY, "", "0-6", last_seen=20), exacerbation="not_evaluable", relapse="not_evaluable")


def test_tpe2017_counts_from_the_last_exchange_whatever_remission_says() -> None:
    early_recovery = patient(f"{STEADY} 36:100 37:90", "", "0-6", adamts13="10:60")
    gives(early_recovery, exacerbation_day=None, relapse_day=36)
    gives(early_recovery, "tpe2017", exacerbation_day=36, relapse_day=None)
    late_response = patient("0:12 20:160 21:170 37:100 38:90", "", "0-6")
    gives(late_response, unclassified_fall_day=37)
    gives(late_response, "tpe2017", exacerbation_day=None, unclassified_fall_day=None, relapse_day=37)


# 3.6 relapse


@pytest.mark.parametrize(
    ("adamts13", "status"),
    [
        ("33:9.9", "confirmed"),  # 7 days before
        ("32:<5", "unconfirmed"),  # 8 days before
        ("47:<10", "confirmed"),  # 7 days after
        ("48:5", "unconfirmed"),
        ("40:10", "unconfirmed"),  # 10 is not below 10
        ("40:<20", "unconfirmed"),  # cannot decide
        ("40:>5", "unconfirmed"),
        ("", "unconfirmed"),
    ],
)
def test_relapse_status(adamts13: str, status: str) -> None:
    gives(patient(f"{STEADY} 35:200 40:100 41:90", "", "0-6", adamts13=adamts13), relapse_day=40, relapse_status=status)


# 3.9 time from the first dose, 1 timing


@pytest.mark.parametrize(
    ("courses", "timing", "days"),
    [
        (((3, 20),), "early", 2),
        (((4, 20),), "delayed", 1),
        (((5, 20),), "delayed", 0),
        (((None, 20),), "unknown", None),
        (((2, 10), (None, 20)), "early", None),
        (((5, 10), (None, 20)), "unknown", None),
        (((90, 120),), "delayed", None),  # no response on or after the dose
        (((91, 120),), None, None),  # not in the caplacizumab group
        ((), None, None),
    ],
)
def test_timing_and_days_from_first_dose(courses, timing, days) -> None:
    gives(patient(STEADY, "", "0-6", courses), timing=timing, days_from_caplacizumab_to_response=days)


@pytest.mark.parametrize(
    ("platelets", "ldh", "start", "delay_reason"),
    [
        ("0:10 5:38", "4:2.1", 5, "rescue"),  # assessed refractory on the day of the first dose
        ("0:10 5:38", "4:2.1", 4, "slow_response"),  # a day later
        ("0:10 5:38", "", 5, "slow_response"),  # not evaluable is not yes
        (f"{STEADY} 15:100 16:90", "", 15, "rescue"),  # exacerbation on the day of the first dose
        (f"{STEADY} 15:100 16:90", "", 14, "slow_response"),
        ("0:10 5:38", "4:2.1", 3, None),  # early
    ],
)
def test_delay_reason(platelets: str, ldh: str, start: int, delay_reason: str | None) -> None:
    gives(patient(platelets, ldh, "0-4", ((start, 40),)), delay_reason=delay_reason)


# 3.10 and 3.11 ADAMTS13


@pytest.mark.parametrize(
    ("adamts13", "day"), [("0:30 4:20", 4), ("0:30", None), ("3:19 4:<30 5:>20", 5), ("2:25 3:5", 2)]
)
def test_adamts13_recovery(adamts13: str, day: int | None) -> None:
    gives(patient(STEADY, "", "0-6", adamts13=adamts13), adamts13_recovery_day=day)


@pytest.mark.parametrize(
    ("activity_day", "recovery", "windowed"),
    [
        (6, 6, 6),
        (7, 7, None),
        (13, 13, None),
        (14, 14, 14),
    ],  # the day of the exchange itself, 1 day, 7 days, 8 days after it
)
def test_donor_plasma_is_not_counted_within_the_window(activity_day: int, recovery: int, windowed: int | None) -> None:
    of = patient(STEADY, "", "6", adamts13=f"{activity_day}:50")
    gives(of, adamts13_recovery_day=recovery)
    gives(of, "adamts13_plasma_window", adamts13_recovery_day=windowed)


@pytest.mark.parametrize(
    ("courses", "adamts13", "answer"),
    [
        (((1, 43),), "35:<5", "yes"),
        (((1, 44),), "35:<5", "no"),  # it had not ended before day 44
        (((1, 43),), "35:10", "no"),
        (((1, 43),), "35:<10", "yes"),
        (((1, 43),), "35:<20", "unknown"),
        (((1, 43),), "35:>5", "unknown"),
        (((1, 43),), "35:>10", "no"),
        (((1, 43),), "0:<5", "unknown"),  # none measured after day 0
        (((1, 43),), "45:<5", "unknown"),  # none measured by then
        (((1, 43),), "44:<5", "yes"),  # on the day
        (((1, 43),), "30:<5 40:12", "no"),  # the latest decides
        (((1, 30), (40, None)), "35:<5", "yes"),  # an earlier course had ended
        ((), "35:<5", "no"),  # no caplacizumab
    ],
)
def test_exacerbation_after_stop(courses, adamts13: str, answer: str) -> None:
    tpe = "0-5 45-47" if courses else "0-5 30 45-47"
    gives(
        patient(TWO_STRETCHES, "4:1.1 50:1.0", tpe, courses, adamts13),
        exacerbation_day=44,
        exacerbation_after_stop_undetectable=answer,
    )


def test_exacerbation_after_stop_with_an_unrecorded_end_is_unknown_unless_adamts13_says_no() -> None:
    fall = f"{STEADY} 20:100 21:90"
    gives(
        patient(fall, "", "0-6", ((1, None),), "15:<5"),
        exacerbation_day=20,
        exacerbation_after_stop_undetectable="unknown",
    )
    gives(
        patient(fall, "", "0-6", ((1, None),), "15:12"), exacerbation_day=20, exacerbation_after_stop_undetectable="no"
    )


def test_exacerbation_after_stop_is_unknown_when_exacerbation_is_in_caplacizumab_patients() -> None:
    gives(patient("0:12 3:20", "", "0-6", ((1, 5),)), exacerbation_after_stop_undetectable="unknown")
    gives(patient("0:12 3:20", "", "0-6"), exacerbation_after_stop_undetectable="no")


# the comparison itself


def warehouse_of(of: Patient) -> duckdb.DuckDBPyConnection:
    """An in-memory warehouse of one eligible and one excluded patient, with the outcomes that are derived here."""
    con = duckdb.connect()
    for schema in ("marts", "outcomes", "harmonised"):
        con.execute(f"create schema {schema}")
    con.execute(
        "create table marts.daily_series (patient_id varchar, day integer, platelets_10e9_per_l double, "
        "ldh_x_uln double, adamts13_percent double, adamts13_comparator varchar, tpe_sessions integer)"
    )
    for row in of.days:
        con.execute(
            "insert into marts.daily_series values (?, ?, ?, ?, ?, ?, ?)",
            ["p1", row.day, row.platelets, row.ldh, row.adamts13, row.comparator, row.tpe_sessions],
        )
    con.execute("create table marts.drug_course (patient_id varchar, drug varchar, start_day integer, end_day integer)")
    con.execute("insert into marts.drug_course values ('p1', 'rituximab', 3, 3)")
    for course in of.courses:
        con.execute(
            "insert into marts.drug_course values ('p1', 'caplacizumab', ?, ?)", [course.start_day, course.end_day]
        )
    con.execute("create table harmonised.patient (patient_id varchar, died varchar)")
    con.execute("insert into harmonised.patient values ('p1', 'no'), ('excluded', 'yes')")
    default = derive(of)
    con.execute(
        "create table marts.patient as select 'p1' as patient_id, true as eligible, null::integer as death_day, "
        "?::integer as last_seen_day, ?::varchar as timing, ?::varchar as delay_reason "
        "union all select 'excluded', false, 3, 3, null, null",
        [of.last_seen_day, *(default[column] for column in START_COLUMNS)],
    )
    types = [
        f"{column} {'integer' if column.endswith('_day') or 'count' in column or '_to_' in column else 'varchar'}"
        for column in OUTCOME_COLUMNS
    ]
    con.execute(
        f"create table outcomes.patient_outcome_by_rule_set (patient_id varchar, rule_set varchar, {', '.join(types)})"
    )
    places = ", ".join("?" for _ in OUTCOME_COLUMNS)
    for name in RULE_SETS:
        outcome = derive(of, name)
        con.execute(
            f"insert into outcomes.patient_outcome_by_rule_set values ('p1', '{name}', {places})",
            [outcome[column] for column in OUTCOME_COLUMNS],
        )
    con.execute(
        "create table outcomes.patient_outcome as "
        f"select * from outcomes.patient_outcome_by_rule_set where rule_set = '{DEFAULT_RULE_SET}'"
    )
    return con


def test_compare_is_silent_when_all_agree_and_names_what_does_not() -> None:
    of, _ = WORKED_EXAMPLES["exacerbation after caplacizumab"]
    con = warehouse_of(of)
    assert compare(con) == []
    con.execute("update outcomes.patient_outcome set exacerbation_day = 45")
    con.execute("update marts.patient set timing = null where eligible")
    con.execute("delete from outcomes.patient_outcome_by_rule_set where rule_set = 'tpe2017'")
    assert compare(con) == [
        "patient_outcome: patient p1: column exacerbation_day: expected 44, found 45",
        "patient_outcome_by_rule_set, tpe2017: patient p1: no row",
        "patient: patient p1: column timing: expected 'early', found None",
    ]


def test_the_built_warehouse_agrees_for_every_eligible_patient(built_warehouse) -> None:
    with duckdb.connect(str(built_warehouse), read_only=True) as con:
        assert patients_of(con), "no eligible patient in the warehouse: nothing was compared"
        found = compare(con)
    assert not found, f"{len(found)} differences, the first 10:\n" + "\n".join(found[:10])
