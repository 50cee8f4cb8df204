"""Facts and outcomes in the words of a clinician. Text only: what is said here was decided in dbt; thresholds are the protocol's parameters."""

from __future__ import annotations

from capla_etl.protocol.parameters import parameter

SYNTHETIC = "Synthetic data: no record of a real person."

#: Outcomes in the order in which a course is told.
OUTCOMES = {
    "response": "Clinical response",
    "tpe_to_response": "TPE to response",
    "days_from_caplacizumab_to_response": "First dose to response",
    "failure": "Failure to respond",
    "refractory": "Refractory",
    "exacerbation": "Exacerbation",
    "exacerbation_after_stop_undetectable": "Exacerbation after stop",
    "unclassified_fall": "Unclassified fall",
    "remission": "Remission",
    "relapse": "Relapse",
    "adamts13_recovery": "ADAMTS13 recovery",
    "died_by_day_90": "Death",
}


def number(value: float) -> str:
    """As a person writes it, to three decimals, so that a value beside a threshold shows its side: "160", "1.504"."""
    return f"{round(value, 3):.3f}".rstrip("0").rstrip(".")


def days(count: int) -> str:
    """ "1 day", "3 days"."""
    return f"{count} day{'' if count == 1 else 's'}"


def fact_words(fact: dict) -> str:
    """One fact: "5th TPE day 4", "first count after it day 5: 31 x 10^9/L", "LDH 2.4 x ULN (day 5)".

    Args:
        fact: role, kind, day, value, comparator of ``outcomes.outcome_evidence``.
    """
    role, kind, day, value = fact["role"], fact["kind"], fact["day"], fact["value"]
    if kind == "platelets":
        on_day = "" if role.endswith(f"day {day}") else f" day {day}"
        return f"{role}{on_day}: {number(value)} x 10^9/L"
    if kind == "ldh":
        return f"LDH {number(value)} x ULN (day {day})"
    if kind == "adamts13":
        activity = f"ADAMTS13 {fact['comparator'] or ''}{number(value)} % (day {day})"
        return activity if role in ("recovered ADAMTS13", "deficient ADAMTS13") else f"{role}: {activity}"
    if kind == "caplacizumab":
        said = {
            "first dose": f"first dose of caplacizumab day {day}",
            "end of the course before it": f"caplacizumab ended day {day}",
            "course without recorded end": "a course of caplacizumab has no recorded end",
        }
        return said.get(role, f"{role} {day} (caplacizumab)")
    if kind in ("death", "last_seen"):
        return f"{'died' if kind == 'death' else 'last seen'} day {day}"
    if role.endswith("without therapy"):
        return f"{role} complete on day {day}"
    if kind == "derived":
        return f"{role.removesuffix(' before it')} day {day}"
    return f"{role} {day}" if role.endswith("day") else f"{role} day {day}"


def decision_words(outcome: str, status: dict, facts: list[dict]) -> str:
    """The facts of one outcome and what they make it: "5th TPE day 4; first count ...; LDH ...: refractory, not severe".

    Args:
        outcome: as in ``outcomes.outcome_evidence``.
        status: what was decided for the patient (columns of ``outcomes.patient_outcome_by_rule_set``).
        facts: its rows of ``outcomes.outcome_evidence``, in order.
    """
    verdict = _VERDICTS[outcome](status, {fact["role"]: fact for fact in facts})
    if outcome == "tpe_to_response":
        said = f"TPE on {'day' if len(facts) == 1 else 'days'} {', '.join(str(fact['day']) for fact in facts)}"
    else:
        said = "; ".join(fact_words(fact) for fact in facts)
    return f"{said}: {verdict}" if said else verdict


def _response(status: dict, facts: dict) -> str:
    if status["response"] == "yes":
        ldh = "" if status["response_ldh_assessable"] == "yes" else ", LDH not assessable"
        return f"clinical response on day {status['response_day']}{ldh}"
    if status["response"] == "no":
        return "no clinical response: no day met the criteria"
    return f"response not evaluable: none seen, not followed to day {parameter('follow_up_days')}"


def _tpe_to_response(status: dict, facts: dict) -> str:
    return f"{days(status['tpe_days_to_response'])} of TPE to response, {status['tpe_sessions_to_response']} sessions"


def _from_first_dose(status: dict, facts: dict) -> str:
    return f"{days(status['days_from_caplacizumab_to_response'])} from the first dose to response"


def _failure(status: dict, facts: dict) -> str:
    return {
        "no": f"no failure, responded by day {parameter('follow_up_days')}",
        "yes": f"failure, no response by day {parameter('follow_up_days')}",
    }.get(status["failure"], "failure not evaluable, last seen before")


def _refractory(status: dict, facts: dict) -> str:
    count, ldh = (facts.get(role) for role in ("first count after it", "LDH in the window"))
    low = parameter("refractory_platelets_below_10e9_per_l")
    if status["refractory"] == "yes":
        severe = {"yes": ", severe", "no": ", not severe"}.get(status["severe_refractory"], "")
        return f"refractory{severe}"
    if status["refractory"] == "no":
        if count and "response" in facts and facts["response"]["day"] <= count["day"]:
            return "not refractory, had responded"
        if count and count["value"] >= low:
            return f"not refractory, {low} or more"
        if count and ldh and ldh["value"] <= parameter("refractory_ldh_above_x_uln"):
            return f"not refractory, LDH not above {parameter('refractory_ldh_above_x_uln')}"
        return (
            f"not refractory, responded with fewer than {parameter('refractory_after_tpe_days')} TPE days"
            if "last TPE day" in facts
            else "not refractory"
        )
    if "last TPE day" in facts:
        reason = f"fewer than {parameter('refractory_after_tpe_days')} TPE days, no response"
    elif count and not ldh:
        reason = f"below {low} without LDH in the {parameter('refractory_ldh_window_days')} days before"
    elif any(role.endswith("th TPE day") for role in facts):
        reason = f"no count in the {parameter('refractory_count_within_days')} days after it"
    else:
        reason = "counts or LDH missing"
    return f"refractory not evaluable: {reason}"


def _exacerbation(status: dict, facts: dict) -> str:
    fall, therapy = _fall(facts), facts.get("last therapy day")
    if fall:
        after = f", {days(fall['day'] - therapy['day'])} after therapy" if therapy else ""
        return f"exacerbation on day {fall['day']}{after}, no remission before it"
    if status["exacerbation"] == "no":
        return "no exacerbation before remission"
    return "exacerbation not evaluable: " + (
        "not followed to remission" if status["response"] == "yes" else "no response"
    )


def _fall(facts: dict) -> dict | None:
    return next((fact for role, fact in facts.items() if role.startswith("count below")), None)


def _unclassified_fall(status: dict, facts: dict) -> str:
    return f"unclassified fall on day {_fall(facts)['day']}: no remission before it, too long after therapy for an exacerbation"


def _after_stop(status: dict, facts: dict) -> str:
    activity, below = facts.get("latest activity by then"), parameter("undetectable_adamts13_below_percent")
    if activity and activity["comparator"] != "<" and activity["value"] >= below:
        return "exacerbation after stopping caplacizumab, ADAMTS13 detectable"
    decided = activity and (
        activity["value"] < below
        if activity["comparator"] is None
        else activity["comparator"] == "<" and activity["value"] <= below
    )
    if decided and "end of the course before it" in facts:
        return "exacerbation after stopping caplacizumab with ADAMTS13 undetectable"
    return "not known whether it came after stopping caplacizumab with ADAMTS13 undetectable"


def _remission(status: dict, facts: dict) -> str:
    if status["remission"] == "yes":
        return f"remission on day {status['remission_day']}"
    if status["response"] != "yes":
        return "remission not evaluable: no response"
    if status["remission"] == "no":
        return "no remission"
    return "remission not evaluable: " + (
        "end of treatment not recorded" if "course without recorded end" in facts else "not followed long enough"
    )


def _relapse(status: dict, facts: dict) -> str:
    if status["relapse"] == "yes":
        within = f"no deficient ADAMTS13 within {parameter('relapse_adamts13_within_days')} days"
        how = "confirmed by ADAMTS13" if status["relapse_status"] == "confirmed" else f"unconfirmed ({within})"
        return f"relapse on day {status['relapse_day']}, {how}"
    if status["relapse"] == "no":
        return "no relapse to the last sign of life"
    return "relapse not evaluable: " + ("no remission" if status["response"] == "yes" else "no response")


def _recovery(status: dict, facts: dict) -> str:
    at_least = parameter("recovery_adamts13_from_percent")
    if status["adamts13_recovery_day"] is not None:
        return f"ADAMTS13 recovered on day {status['adamts13_recovery_day']} (at least {at_least} %)"
    return f"not recovered to {at_least} % as far as measured" if facts else "no activity measured after day 0"


def _death(status: dict, facts: dict) -> str:
    follow_up = parameter("follow_up_days")
    placed = ", the day placed within the month that was sent" if status["death_date_precision"] == "month" else ""
    return {"yes": f"died within {follow_up} days{placed}", "no": f"alive at day {follow_up}"}.get(
        status["died_by_day_90"], f"not known whether alive at day {follow_up}, censored when last seen"
    )


_VERDICTS = {
    "response": _response,
    "tpe_to_response": _tpe_to_response,
    "days_from_caplacizumab_to_response": _from_first_dose,
    "failure": _failure,
    "refractory": _refractory,
    "exacerbation": _exacerbation,
    "exacerbation_after_stop_undetectable": _after_stop,
    "unclassified_fall": _unclassified_fall,
    "remission": _remission,
    "relapse": _relapse,
    "adamts13_recovery": _recovery,
    "died_by_day_90": _death,
}


def place_words(cells: list[dict], file: str, sheet: str | None, row: int) -> str:
    """Where something was read: "bilans.csv, row 30609: N° patient FR-0158 | Date 12/11/2018 | Résultat 274"."""
    where = f"{file}, sheet {sheet}, row {row}" if sheet else f"{file}, row {row}"
    texts = list(
        dict.fromkeys(
            f"{c['source_column']} {c['raw_text']}" + (f" ({c['declared']})" if c["declared"] else "") for c in cells
        )
    )
    return f"{where}: {' | '.join(texts)}" if texts else where
