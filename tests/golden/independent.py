"""The outcomes of PROTOCOL section 3 for one patient, by plain loops over days: a second derivation of the models.

Read it next to the protocol. It shares nothing with the dbt models: no SQL, no data frames, no common parameters. The
thresholds below are the protocol's defaults, typed in again on purpose. Speed, eligibility, baseline and events do not
belong here.
"""

from dataclasses import dataclass

import duckdb

# PROTOCOL 1: groups and timing
FIRST_DOSE_BY_DAY = 90
EARLY_START_BY_DAY = 3
# PROTOCOL 3.1: clinical response
RESPONSE_PLATELETS_FROM = 150  # 10^9/L
RESPONSE_NEXT_COUNT_WITHIN_DAYS = 3
RESPONSE_LDH_BELOW = 1.5  # x ULN
RESPONSE_LDH_WINDOW_DAYS = 3
# PROTOCOL 3.2: refractory
REFRACTORY_TPE_DAYS = 5
REFRACTORY_COUNT_WITHIN_DAYS = 2
REFRACTORY_PLATELETS_BELOW = 50  # 10^9/L
SEVERE_PLATELETS_BELOW = 30  # 10^9/L
REFRACTORY_LDH_ABOVE = 1.5  # x ULN
REFRACTORY_LDH_WINDOW_DAYS = 3
# PROTOCOL 3, rule set not_doubled_day_4
NOT_DOUBLED_DAY = 4
NOT_DOUBLED_LDH_ABOVE = 1  # x ULN
# PROTOCOL 3.3: confirmed fall
FALL_PLATELETS_BELOW = 150  # 10^9/L
FALL_CONFIRMED_WITHIN_DAYS = 3
# PROTOCOL 3.4: clinical remission
REMISSION_ADAMTS13_FROM = 20  # %
REMISSION_DAYS_WITHOUT_THERAPY = 30
# PROTOCOL 3.5: exacerbation
EXACERBATION_WITHIN_DAYS_OF_THERAPY = 30
# PROTOCOL 3.6: relapse
RELAPSE_ADAMTS13_BELOW = 10  # %
RELAPSE_ADAMTS13_WITHIN_DAYS = 7
# PROTOCOL 3.4, 3.7, 3.8: followed to day 90
FOLLOW_UP_DAYS = 90
# PROTOCOL 3.10, 3.11: ADAMTS13
RECOVERY_ADAMTS13_FROM = 20  # %
UNDETECTABLE_ADAMTS13_BELOW = 10  # %
# PROTOCOL 3, rule set adamts13_plasma_window
PLASMA_WINDOW_DAYS = 7


@dataclass(frozen=True)
class RuleSet:
    """One row of switches; the defaults are the rule set iwg2021."""

    response_needs_ldh: bool = True
    refractory: str = "platelets_and_ldh"  # or 'no_response_after_5_tpe', 'not_doubled_day_4'
    tpe_is_the_only_therapy: bool = False
    plasma_window_days: int = 0


RULE_SETS = {
    "iwg2021": RuleSet(),
    "tpe2017": RuleSet(tpe_is_the_only_therapy=True),
    "no_response_after_5_tpe": RuleSet(refractory="no_response_after_5_tpe"),
    "not_doubled_day_4": RuleSet(refractory="not_doubled_day_4"),
    "platelets_only": RuleSet(response_needs_ldh=False),
    "adamts13_plasma_window": RuleSet(plasma_window_days=PLASMA_WINDOW_DAYS),
}
DEFAULT_RULE_SET = "iwg2021"

# columns of outcomes.patient_outcome and outcomes.patient_outcome_by_rule_set
OUTCOME_COLUMNS = (
    "response_day",
    "response",
    "response_ldh_assessable",
    "refractory",
    "severe_refractory",
    "exacerbation_day",
    "exacerbation",
    "exacerbation_count",
    "unclassified_fall_day",
    "remission_day",
    "remission",
    "relapse_day",
    "relapse",
    "relapse_status",
    "failure",
    "died_by_day_90",
    "tpe_days_to_response",
    "tpe_sessions_to_response",
    "days_from_caplacizumab_to_response",
    "adamts13_recovery_day",
    "exacerbation_after_stop_undetectable",
)
# columns of marts.patient that follow from the default rule set
START_COLUMNS = ("timing", "delay_reason")


@dataclass(frozen=True)
class Day:
    """One row of the daily series; None is not measured."""

    day: int
    platelets: float | None = None  # 10^9/L
    ldh: float | None = None  # x ULN
    adamts13: float | None = None  # %
    comparator: str | None = None  # '<', '>' or None, of ADAMTS13
    tpe_sessions: int | None = 0  # None: not known, since the list of exchanges is not complete


@dataclass(frozen=True)
class Course:
    """A caplacizumab course, both days inclusive; None is not recorded."""

    start_day: int | None
    end_day: int | None


@dataclass(frozen=True)
class Patient:
    """What the outcomes depend on. ``death_day`` is None when alive, and when died on a day that nobody knows."""

    days: tuple[Day, ...]
    courses: tuple[Course, ...] = ()
    died: bool = False
    death_day: int | None = None
    last_seen_day: int | None = None


def surely_below(value: float, comparator: str | None, threshold: float) -> bool:
    """PROTOCOL 2: "< 5" satisfies "< 10"; "< 20" and "> 5" cannot decide "< 10"."""
    if comparator == "<":
        return value <= threshold
    if comparator == ">":
        return False
    return value < threshold


def surely_at_least(value: float, comparator: str | None, threshold: float) -> bool:
    """PROTOCOL 2: "> 20" satisfies ">= 20"; "< 30" cannot decide it."""
    if comparator == ">":
        return value >= threshold
    if comparator == "<":
        return False
    return value >= threshold


def first_after(days: list[int], day: int) -> int | None:
    """The earliest of ``days`` (ascending) strictly after ``day``."""
    for candidate in days:
        if candidate > day:
            return candidate
    return None


def last_before(days: list[int], day: int) -> int | None:
    """The latest of ``days`` (ascending) strictly before ``day``."""
    found = None
    for candidate in days:
        if candidate < day:
            found = candidate
    return found


def latest_in(values: dict[int, float], first_day: int, last_day: int) -> float | None:
    """The value of the latest measured day from ``first_day`` to ``last_day``, both inclusive."""
    for day in range(last_day, first_day - 1, -1):
        if day in values:
            return values[day]
    return None


def therapy_days(tpe_days: list[int], courses: tuple[Course, ...]) -> list[int]:
    """PROTOCOL 2: TPE days and days within a caplacizumab course; an unrecorded start counts from day 0.

    Of a course without a recorded end only its first day is certain.
    """
    days = set(tpe_days)
    for course in courses:
        start = 0 if course.start_day is None else course.start_day
        end = start if course.end_day is None else course.end_day
        for day in range(max(start, 0), end + 1):
            days.add(day)
    return sorted(days)


def response_days(platelets: dict[int, float], ldh: dict[int, float], needs_ldh: bool) -> list[int]:
    """PROTOCOL 3.1: every day that meets the criterion of clinical response, ascending."""
    found = []
    counted_days = sorted(platelets)
    for day in counted_days:
        if platelets[day] < RESPONSE_PLATELETS_FROM:
            continue
        following = first_after(counted_days, day)
        if following is None or following - day > RESPONSE_NEXT_COUNT_WITHIN_DAYS:
            continue
        if platelets[following] < RESPONSE_PLATELETS_FROM:
            continue
        latest_ldh = latest_in(ldh, day - RESPONSE_LDH_WINDOW_DAYS, day)
        if needs_ldh and latest_ldh is not None and latest_ldh >= RESPONSE_LDH_BELOW:
            continue
        found.append(day)
    return found


def confirmed_fall_days(platelets: dict[int, float], tpe_days: list[int]) -> list[int]:
    """PROTOCOL 3.3: days with a count below 150 that the next count or a TPE confirms, ascending.

    Whether a day follows a response is decided elsewhere.
    """
    found = []
    counted_days = sorted(platelets)
    for day in counted_days:
        if platelets[day] >= FALL_PLATELETS_BELOW:
            continue
        following = first_after(counted_days, day)
        confirmed = (
            following is not None
            and following - day <= FALL_CONFIRMED_WITHIN_DAYS
            and platelets[following] < FALL_PLATELETS_BELOW
        )
        for tpe_day in tpe_days:
            if day <= tpe_day <= day + FALL_CONFIRMED_WITHIN_DAYS:
                confirmed = True
        if confirmed:
            found.append(day)
    return found


def response_to_fall(responses: list[int], falls: list[int]) -> list[tuple[int, int | None]]:
    """PROTOCOL 3.5, "the next response starts the clock again": each response and the first fall after it, if any."""
    stretches = []
    response = first_after(responses, -1)
    while response is not None:
        fall = first_after(falls, response)
        stretches.append((response, fall))
        response = None if fall is None else first_after(responses, fall)
    return stretches


def remission_after(
    response: int,
    fall: int | None,
    recovered_days: list[int],
    therapy: list[int],
    drug_free_evaluable: bool,
    last_seen_day: int | None,
) -> int | None:
    """PROTOCOL 3.4: the day of remission while the response holds; after a fall, only the next response can remit."""
    candidates = []
    # (a) the first ADAMTS13 activity >= 20 %, on or after the response day
    recovered = first_after(recovered_days, response - 1)
    if recovered is not None and (fall is None or recovered < fall):
        candidates.append(recovered)
    # (b) 30 days without therapy and without a fall, followed to the end
    if drug_free_evaluable and last_seen_day is not None:
        for therapy_day in therapy:
            if therapy_day + 1 in therapy:
                continue
            beginning = max(therapy_day, response)
            end = beginning + REMISSION_DAYS_WITHOUT_THERAPY
            treated = False
            for day in range(beginning + 1, end + 1):
                if day in therapy:
                    treated = True
            if not treated and (fall is None or fall > end) and last_seen_day >= end:
                candidates.append(end)
    return min(candidates) if candidates else None


def refractory_by_platelets_and_ldh(
    platelets: dict[int, float], ldh: dict[int, float], tpe_days: list[int], response_day: int | None
) -> tuple[str, str, int | None]:
    """PROTOCOL 3.2: refractory, severe refractory, and the day on which that was assessed."""
    if len(tpe_days) < REFRACTORY_TPE_DAYS:
        answer = "no" if response_day is not None else "not_evaluable"
        return answer, answer, None
    fifth = tpe_days[REFRACTORY_TPE_DAYS - 1]
    assessed = None
    for day in range(fifth + REFRACTORY_COUNT_WITHIN_DAYS, fifth, -1):
        if day in platelets:
            assessed = day
    latest_possible = fifth + REFRACTORY_COUNT_WITHIN_DAYS if assessed is None else assessed
    if response_day is not None and response_day <= latest_possible:
        return "no", "no", assessed
    if assessed is None:
        return "not_evaluable", "not_evaluable", None
    if platelets[assessed] >= REFRACTORY_PLATELETS_BELOW:
        return "no", "no", assessed
    latest_ldh = latest_in(ldh, assessed - REFRACTORY_LDH_WINDOW_DAYS, assessed)
    if latest_ldh is None:
        return "not_evaluable", "not_evaluable", assessed
    if latest_ldh <= REFRACTORY_LDH_ABOVE:
        return "no", "no", assessed
    return "yes", "yes" if platelets[assessed] < SEVERE_PLATELETS_BELOW else "no", assessed


def refractory_by_no_response(tpe_days: list[int], response_day: int | None) -> str:
    """PROTOCOL 3, rule set no_response_after_5_tpe: no response by the 5th TPE day."""
    if len(tpe_days) < REFRACTORY_TPE_DAYS:
        return "no" if response_day is not None else "not_evaluable"
    fifth = tpe_days[REFRACTORY_TPE_DAYS - 1]
    return "no" if response_day is not None and response_day <= fifth else "yes"


def refractory_by_not_doubled(platelets: dict[int, float], ldh: dict[int, float], response_day: int | None) -> str:
    """PROTOCOL 3, rule set not_doubled_day_4: platelets not doubled after 4 days, and LDH above normal."""
    if response_day is not None and response_day <= NOT_DOUBLED_DAY:
        return "no"
    if 0 not in platelets or NOT_DOUBLED_DAY not in platelets:
        return "not_evaluable"
    if platelets[NOT_DOUBLED_DAY] >= 2 * platelets[0]:
        return "no"
    latest_ldh = latest_in(ldh, 1, NOT_DOUBLED_DAY)
    if latest_ldh is None:
        return "not_evaluable"
    return "yes" if latest_ldh > NOT_DOUBLED_LDH_ABOVE else "no"


def caplacizumab_start(courses: tuple[Course, ...]) -> tuple[bool, int | None, str | None]:
    """PROTOCOL 1: whether in the caplacizumab group, the day of the first dose if known, and the timing."""
    recorded = [course.start_day for course in courses if course.start_day is not None]
    unrecorded = len(recorded) < len(courses)
    first = min(recorded) if recorded else None
    in_group = unrecorded or (first is not None and first <= FIRST_DOSE_BY_DAY)
    if not in_group:
        return False, first, None
    if first is not None and first <= EARLY_START_BY_DAY:
        timing = "early"
    elif unrecorded:
        timing = "unknown"
    else:
        timing = "delayed"
    return True, None if unrecorded else first, timing


def undetectable_at(
    exacerbation: int, courses: tuple[Course, ...], activities: dict[int, tuple[float, str | None]]
) -> str:
    """PROTOCOL 3.11 for one exacerbation: after a course had ended, with the latest activity after day 0 below 10 %."""
    stopped = "no"
    for course in courses:
        if course.end_day is not None and course.end_day < exacerbation:
            stopped = "yes"
    for course in courses:
        # nobody knows whether a course of unrecorded end had ended by then: "missing is never no" (PROTOCOL 2)
        begun = course.start_day is None or course.start_day < exacerbation
        if stopped == "no" and course.end_day is None and begun:
            stopped = "unknown"
    if stopped == "no":
        return "no"
    latest = latest_in(activities, 1, exacerbation)
    if latest is None:
        return "unknown"
    value, comparator = latest
    if surely_at_least(value, comparator, UNDETECTABLE_ADAMTS13_BELOW):
        return "no"
    if surely_below(value, comparator, UNDETECTABLE_ADAMTS13_BELOW):
        return stopped
    return "unknown"


def derive(patient: Patient, rule_set: str = DEFAULT_RULE_SET) -> dict[str, object]:
    """Every outcome of PROTOCOL section 3 for one patient under one rule set.

    Returns:
        Each of OUTCOME_COLUMNS and START_COLUMNS to its value: days from day 0 (int), statuses (str), or None.
    """
    rules = RULE_SETS[rule_set]
    platelets = {row.day: row.platelets for row in patient.days if row.platelets is not None}
    ldh = {row.day: row.ldh for row in patient.days if row.ldh is not None}
    sessions = {row.day: row.tpe_sessions for row in patient.days if row.tpe_sessions}
    exchanges_known = all(row.tpe_sessions is not None for row in patient.days) and len(patient.days) > 0
    tpe_days = sorted(sessions)
    activities = {row.day: (row.adamts13, row.comparator) for row in patient.days if row.adamts13 is not None}
    for tpe_day in tpe_days:
        for day in range(tpe_day + 1, tpe_day + rules.plasma_window_days + 1):
            activities.pop(day, None)
    therapy = tpe_days if rules.tpe_is_the_only_therapy else therapy_days(tpe_days, patient.courses)
    last_seen = patient.last_seen_day
    followed_to_day_90 = last_seen is not None and last_seen >= FOLLOW_UP_DAYS
    in_caplacizumab_group, first_dose, timing = caplacizumab_start(patient.courses)

    # 3.1 clinical response
    responses = response_days(platelets, ldh, rules.response_needs_ldh)
    response_day = responses[0] if responses else None
    response_ldh_assessable = None
    if response_day is not None:
        response = "yes"
        assessable = latest_in(ldh, response_day - RESPONSE_LDH_WINDOW_DAYS, response_day) is not None
        response_ldh_assessable = "yes" if assessable else "no"
    elif patient.died or (followed_to_day_90 and platelets):
        response = "no"
    else:
        response = "not_evaluable"

    # 3.2 refractory; severity and its assessment belong to the platelets and LDH criterion
    refractory, severe_refractory, refractory_assessed = refractory_by_platelets_and_ldh(
        platelets, ldh, tpe_days, response_day
    )
    if rules.refractory == "no_response_after_5_tpe":
        refractory, severe_refractory = refractory_by_no_response(tpe_days, response_day), None
    if not exchanges_known:
        # TPE days that are not all known cannot be counted
        refractory, severe_refractory = "not_evaluable", None if severe_refractory is None else "not_evaluable"
    if rules.refractory == "not_doubled_day_4":
        refractory, severe_refractory = refractory_by_not_doubled(platelets, ldh, response_day), None

    # 3.3 to 3.6 falls, remission, exacerbation, relapse
    recovered_days = []
    for day in sorted(activities):
        if surely_at_least(*activities[day], REMISSION_ADAMTS13_FROM):
            recovered_days.append(day)
    drug_free_evaluable = exchanges_known
    for course in patient.courses:
        if course.end_day is None and not rules.tpe_is_the_only_therapy:
            drug_free_evaluable = False
    remission_day = None
    relapse_day = None
    exacerbations = []
    unclassified = []
    for response_of_stretch, fall in response_to_fall(responses, confirmed_fall_days(platelets, tpe_days)):
        if remission_day is None:
            remission_day = remission_after(
                response_of_stretch, fall, recovered_days, therapy, drug_free_evaluable, last_seen
            )
        if fall is None:
            continue
        last_therapy = last_before(therapy, fall)
        soon = last_therapy is not None and fall - last_therapy <= EXACERBATION_WITHIN_DAYS_OF_THERAPY
        if rules.tpe_is_the_only_therapy:
            # tpe2017: the clock of the last TPE alone tells exacerbation from relapse
            if relapse_day is None and soon:
                exacerbations.append(fall)
            elif relapse_day is None:
                relapse_day = fall
        elif remission_day is not None:
            if relapse_day is None:
                relapse_day = fall
        elif soon:
            exacerbations.append(fall)
        else:
            unclassified.append(fall)

    if response_day is None:
        exacerbation = remission = relapse = "not_evaluable"
    else:
        exacerbation = "yes" if exacerbations else "no" if remission_day is not None else "not_evaluable"
        relapse = "yes" if relapse_day is not None else "no" if remission_day is not None else "not_evaluable"
        if remission_day is not None:
            remission = "yes"
        else:
            remission = "no" if followed_to_day_90 and drug_free_evaluable else "not_evaluable"

    relapse_status = None
    if relapse_day is not None:
        relapse_status = "unconfirmed"
        for day in range(relapse_day - RELAPSE_ADAMTS13_WITHIN_DAYS, relapse_day + RELAPSE_ADAMTS13_WITHIN_DAYS + 1):
            if day in activities and surely_below(*activities[day], RELAPSE_ADAMTS13_BELOW):
                relapse_status = "confirmed"

    # 3.7 death
    if patient.death_day is not None and patient.death_day <= FOLLOW_UP_DAYS:
        died_by_day_90 = "yes"
    elif followed_to_day_90:
        died_by_day_90 = "no"
    else:
        died_by_day_90 = "unknown"

    # 3.8 failure to achieve clinical response
    if response_day is not None and response_day <= FOLLOW_UP_DAYS:
        failure = "no"
    elif patient.died or (followed_to_day_90 and platelets):
        failure = "yes"
    else:
        failure = "not_evaluable"

    # 3.9 time and exchanges to response
    tpe_days_to_response = None
    tpe_sessions_to_response = None
    if response_day is not None and all(
        row.tpe_sessions is not None for row in patient.days if row.day <= response_day
    ):
        tpe_days_to_response = 0
        tpe_sessions_to_response = 0
        for day in tpe_days:
            if day <= response_day:
                tpe_days_to_response += 1
                tpe_sessions_to_response += sessions[day]
    days_from_caplacizumab_to_response = None
    if first_dose is not None:
        response_after_dose = first_after(responses, first_dose - 1)
        if response_after_dose is not None:
            days_from_caplacizumab_to_response = response_after_dose - first_dose

    # 3.10 ADAMTS13 recovery
    adamts13_recovery_day = None
    for day in sorted(activities):
        if day > 0 and adamts13_recovery_day is None and surely_at_least(*activities[day], RECOVERY_ADAMTS13_FROM):
            adamts13_recovery_day = day

    # 3.11 exacerbation after stopping caplacizumab with ADAMTS13 still undetectable
    answers = [undetectable_at(day, patient.courses, activities) for day in exacerbations]
    if "yes" in answers:
        after_stop = "yes"
    elif "unknown" in answers or (exacerbation == "not_evaluable" and in_caplacizumab_group):
        after_stop = "unknown"
    else:
        after_stop = "no"

    # 1. why a delayed start was delayed
    delay_reason = None
    if timing == "delayed":
        rescued = refractory == "yes" and refractory_assessed is not None and refractory_assessed <= first_dose
        for day in exacerbations:
            if day <= first_dose:
                rescued = True
        delay_reason = "rescue" if rescued else "slow_response"

    return {
        "response_day": response_day,
        "response": response,
        "response_ldh_assessable": response_ldh_assessable,
        "refractory": refractory,
        "severe_refractory": severe_refractory,
        "exacerbation_day": exacerbations[0] if exacerbations else None,
        "exacerbation": exacerbation,
        "exacerbation_count": len(exacerbations),
        "unclassified_fall_day": unclassified[0] if unclassified else None,
        "remission_day": remission_day,
        "remission": remission,
        "relapse_day": relapse_day,
        "relapse": relapse,
        "relapse_status": relapse_status,
        "failure": failure,
        "died_by_day_90": died_by_day_90,
        "tpe_days_to_response": tpe_days_to_response,
        "tpe_sessions_to_response": tpe_sessions_to_response,
        "days_from_caplacizumab_to_response": days_from_caplacizumab_to_response,
        "adamts13_recovery_day": adamts13_recovery_day,
        "exacerbation_after_stop_undetectable": after_stop,
        "timing": timing,
        "delay_reason": delay_reason,
    }


def patients_of(con: duckdb.DuckDBPyConnection) -> dict[str, Patient]:
    """Every eligible patient of a built warehouse, read from the marts that the outcomes are derived from."""
    days: dict[str, list[Day]] = {}
    for patient_id, *values in con.execute(
        "select patient_id, day, platelets_10e9_per_l, ldh_x_uln, adamts13_percent, adamts13_comparator, tpe_sessions "
        "from marts.daily_series"
    ).fetchall():
        day = Day(*values[:-1], tpe_sessions=values[-1])
        days.setdefault(patient_id, []).append(day)
    courses: dict[str, list[Course]] = {}
    for patient_id, drug, start_day, end_day in con.execute(
        "select patient_id, drug, start_day, end_day from marts.drug_course"
    ).fetchall():
        if drug == "caplacizumab":
            courses.setdefault(patient_id, []).append(Course(start_day, end_day))
    # that a patient died is known even where no date of death is
    died = {
        patient_id
        for patient_id, answer in con.execute("select patient_id, died from harmonised.patient").fetchall()
        if answer == "yes"
    }
    patients = {}
    for patient_id, eligible, death_day, last_seen_day in con.execute(
        "select patient_id, eligible, death_day, last_seen_day from marts.patient"
    ).fetchall():
        if eligible:
            patients[patient_id] = Patient(
                days=tuple(days.get(patient_id, ())),
                courses=tuple(courses.get(patient_id, ())),
                died=patient_id in died or death_day is not None,
                death_day=death_day,
                last_seen_day=last_seen_day,
            )
    return patients


def rows_of(con: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, object]]:
    """The rows of a table as dictionaries."""
    result = con.execute(f"select * from {table}")
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def differences(
    label: str, columns: tuple[str, ...], expected: dict[str, dict[str, object]], found: dict[str, dict[str, object]]
) -> list[str]:
    """One line per patient, or per value of a patient, in which a table differs from what is expected of it."""
    lines = []
    for patient_id in sorted(expected.keys() - found.keys()):
        lines.append(f"{label}: patient {patient_id}: no row")
    for patient_id in sorted(found.keys() - expected.keys()):
        lines.append(f"{label}: patient {patient_id}: a row of a patient who is not eligible")
    for patient_id in sorted(expected.keys() & found.keys()):
        for column in columns:
            value = expected[patient_id][column]
            if column not in found[patient_id]:
                lines.append(f"{label}: patient {patient_id}: column {column}: missing")
            elif found[patient_id][column] != value:
                difference = f"expected {value!r}, found {found[patient_id][column]!r}"
                lines.append(f"{label}: patient {patient_id}: column {column}: {difference}")
    return lines


def compare(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Every difference between the outcomes in a built warehouse and those derived here; empty when all agree.

    Args:
        con: a connection to a built warehouse (``marts``, ``outcomes`` and ``harmonised``); nothing is written.

    Returns:
        One line per difference: table and rule set, patient_id, column, expected (derived here), found (warehouse).
    """
    patients = patients_of(con)
    expected = {
        name: {patient_id: derive(patient, name) for patient_id, patient in patients.items()} for name in RULE_SETS
    }

    found: dict[str, dict[str, dict[str, object]]] = {name: {} for name in RULE_SETS}
    lines = []
    for row in rows_of(con, "outcomes.patient_outcome_by_rule_set"):
        if row["rule_set"] not in found:
            unknown = f"rule set {row['rule_set']} is not in the protocol"
            lines.append(f"patient_outcome_by_rule_set: patient {row['patient_id']}: {unknown}")
        elif row["patient_id"] in found[row["rule_set"]]:
            lines.append(
                f"patient_outcome_by_rule_set, {row['rule_set']}: patient {row['patient_id']}: more than one row"
            )
        else:
            found[row["rule_set"]][row["patient_id"]] = row
    default: dict[str, dict[str, object]] = {}
    for row in rows_of(con, "outcomes.patient_outcome"):
        if row["patient_id"] in default:
            lines.append(f"patient_outcome: patient {row['patient_id']}: more than one row")
        default[row["patient_id"]] = row

    lines += differences("patient_outcome", OUTCOME_COLUMNS, expected[DEFAULT_RULE_SET], default)
    for name in RULE_SETS:
        lines += differences(f"patient_outcome_by_rule_set, {name}", OUTCOME_COLUMNS, expected[name], found[name])
    marts_patient = {row["patient_id"]: row for row in rows_of(con, "marts.patient") if row["patient_id"] in patients}
    lines += differences("patient", START_COLUMNS, expected[DEFAULT_RULE_SET], marts_patient)
    return lines
