"""Facts and outcomes in the words of a clinician. Text only: dbt decided; thresholds are the protocol's parameters."""

from __future__ import annotations

from capla_etl.protocol.parameters import parameter
from capla_etl.protocol.wording import worded

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
    """A number to three decimals, so that a value close to a threshold shows its side: "160", "1.504"."""
    return f"{round(value, 3):.3f}".rstrip("0").rstrip(".")


def days(count: int) -> str:
    """ "1 day", "3 days"."""
    return f"{count} day{'' if count == 1 else 's'}"


_COURSE = {
    "first dose": "first dose of caplacizumab day {}",
    "end of the course before it": "caplacizumab ended day {}",
    "course without recorded end": "a course of caplacizumab has no recorded end",
}


def fact_words(fact: dict) -> str:
    """One fact: "5th TPE day 4", "first count after it day 5: 31 x 10^9/L", "LDH 2.4 x ULN (day 5)".

    Args:
        fact: role, kind, day, value, comparator of ``outcomes.outcome_evidence``.
    """
    role, kind, day, value = fact["role"], fact["kind"], fact["day"], fact["value"]
    match kind:
        case "platelets":
            on_day = "" if role.endswith(f"day {day}") else f" day {day}"
            return f"{role}{on_day}: {number(value)} x 10^9/L"
        case "ldh":
            return f"LDH {number(value)} x ULN (day {day})"
        case "adamts13":
            activity = f"ADAMTS13 {fact['comparator'] or ''}{number(value)} % (day {day})"
            return activity if role.endswith(" ADAMTS13") else f"{role}: {activity}"
        case "caplacizumab":
            return _COURSE.get(role, f"{role} {{}} (caplacizumab)").format(day)
        case "death" | "last_seen":
            return f"{'died' if kind == 'death' else 'last seen'} day {day}"
        case _ if role.endswith("without therapy"):
            return f"{role} complete on day {day}"
    return f"{role} {day}" if role.endswith("day") else f"{role.removesuffix(' before it')} day {day}"


def decision_words(outcome: str, status: dict, facts: list[dict]) -> str:
    """The facts of one outcome, then the outcome: "5th TPE day 4; first count ...; LDH ...: refractory, not severe".

    Args:
        outcome: as in ``outcomes.outcome_evidence``.
        status: what was decided for the patient (columns of ``outcomes.patient_outcome_by_rule_set``).
        facts: its rows of ``outcomes.outcome_evidence``, in order.
    """
    verdict = worded(_VERDICTS[outcome](status, {fact["role"]: fact for fact in facts}))
    if outcome == "tpe_to_response":
        told = f"TPE on {'day' if len(facts) == 1 else 'days'} {', '.join(str(fact['day']) for fact in facts)}"
    else:
        told = "; ".join(fact_words(fact) for fact in facts)
    return f"{told}: {verdict}" if told else verdict


# A verdict names its parameters in braces; ``decision_words`` fills them in.


def _response(status: dict, facts: dict) -> str:
    if status["response"] == "yes":
        ldh = "" if status["response_ldh_assessable"] == "yes" else ", LDH not assessable"
        return f"clinical response on day {status['response_day']}{ldh}"
    if status["response"] == "no":
        return "no clinical response: no day met the criteria"
    return "response not evaluable: none seen, not followed to day {follow_up_days}"


def _refractory(status: dict, facts: dict) -> str:
    count, ldh, too_few = (facts.get(r) for r in ("first count after it", "LDH in the window", "last TPE day"))
    if status["refractory"] == "yes":
        return "refractory" + {"yes": ", severe", "no": ", not severe"}.get(status["severe_refractory"], "")
    if status["refractory"] == "no":
        if count and "response" in facts and facts["response"]["day"] <= count["day"]:
            reason = ", had responded"
        elif count and count["value"] >= parameter("refractory_platelets_below_10e9_per_l"):
            reason = ", {refractory_platelets_below_10e9_per_l} or more"
        elif count and ldh and ldh["value"] <= parameter("refractory_ldh_above_x_uln"):
            reason = ", LDH not above {refractory_ldh_above_x_uln}"
        else:
            reason = ", responded with fewer than {refractory_after_tpe_days} TPE days" if too_few else ""
        return f"not refractory{reason}"
    if too_few:
        reason = "fewer than {refractory_after_tpe_days} TPE days, no response"
    elif count and not ldh:
        reason = (
            "below {refractory_platelets_below_10e9_per_l} without LDH in the {refractory_ldh_window_days} days before"
        )
    elif any(role.endswith(" TPE day") for role in facts):
        reason = "no count in the {refractory_count_within_days} days after it"
    else:
        reason = "counts or LDH missing"
    return f"refractory not evaluable: {reason}"


def _fall(facts: dict) -> dict | None:
    return next((fact for role, fact in facts.items() if role.startswith("count below")), None)


def _exacerbation(status: dict, facts: dict) -> str:
    fall, therapy = _fall(facts), facts.get("last therapy day")
    if fall:
        after = f", {days(fall['day'] - therapy['day'])} after therapy" if therapy else ""
        return f"exacerbation on day {fall['day']}{after}, no remission before it"
    if status["exacerbation"] == "no":
        return "no exacerbation before remission"
    missing = "not followed to remission" if status["response"] == "yes" else "no response"
    return f"exacerbation not evaluable: {missing}"


def _after_stop(status: dict, facts: dict) -> str:
    activity, limit = facts.get("latest activity by then"), parameter("undetectable_adamts13_below_percent")
    value, comparator = (activity["value"], activity["comparator"]) if activity else (None, None)
    if activity and comparator not in ("<", "<=") and value >= limit:
        return "exacerbation after stopping caplacizumab, ADAMTS13 detectable"
    below = activity and (value < limit or (comparator == "<" and value == limit)) and comparator not in (">", ">=")
    if below and "end of the course before it" in facts:
        return "exacerbation after stopping caplacizumab with ADAMTS13 undetectable"
    return "not known whether it came after stopping caplacizumab with ADAMTS13 undetectable"


def _remission(status: dict, facts: dict) -> str:
    if status["remission"] == "yes":
        return f"remission on day {status['remission_day']}"
    if status["response"] != "yes":
        return "remission not evaluable: no response"
    if status["remission"] == "no":
        return "no remission"
    unended = "course without recorded end" in facts
    return f"remission not evaluable: {'end of treatment not recorded' if unended else 'not followed long enough'}"


def _relapse(status: dict, facts: dict) -> str:
    if status["relapse"] == "yes":
        how = {"confirmed": "confirmed by ADAMTS13"}.get(
            status["relapse_status"], "unconfirmed (no deficient ADAMTS13 within {relapse_adamts13_within_days} days)"
        )
        return f"relapse on day {status['relapse_day']}, {how}"
    if status["relapse"] == "no":
        return "no relapse to the last sign of life"
    return f"relapse not evaluable: {'no remission' if status['response'] == 'yes' else 'no response'}"


def _recovery(status: dict, facts: dict) -> str:
    if status["adamts13_recovery_day"] is not None:
        day = status["adamts13_recovery_day"]
        return f"ADAMTS13 recovered on day {day} (at least {{recovery_adamts13_from_percent}} %)"
    if facts:
        return "not recovered to {recovery_adamts13_from_percent} % as far as measured"
    return "no activity measured after day 0"


def _death(status: dict, facts: dict) -> str:
    placed = ", the day placed within the month that was sent" if status["death_date_precision"] == "month" else ""
    return {"yes": "died within {follow_up_days} days" + placed, "no": "alive at day {follow_up_days}"}.get(
        status["died_by_day_90"], "not known whether alive at day {follow_up_days}, censored when last seen"
    )


_VERDICTS = {
    "response": _response,
    "tpe_to_response": lambda status, facts: (
        f"{days(status['tpe_days_to_response'])} of TPE to response, {status['tpe_sessions_to_response']} sessions"
    ),
    "days_from_caplacizumab_to_response": lambda status, facts: (
        f"{days(status['days_from_caplacizumab_to_response'])} from the first dose to response"
    ),
    "failure": lambda status, facts: {
        "no": "no failure, responded by day {follow_up_days}",
        "yes": "failure, no response by day {follow_up_days}",
    }.get(status["failure"], "failure not evaluable, last seen before"),
    "refractory": _refractory,
    "exacerbation": _exacerbation,
    "exacerbation_after_stop_undetectable": _after_stop,
    "unclassified_fall": lambda status, facts: (
        f"unclassified fall on day {_fall(facts)['day']}: no remission before it, "
        "too long after therapy for an exacerbation"
    ),
    "remission": _remission,
    "relapse": _relapse,
    "adamts13_recovery": _recovery,
    "died_by_day_90": _death,
}


def place_words(cells: list[dict], file: str, sheet: str | None, row: int) -> str:
    """Where something was read: "bilans.csv, row 30609: N° patient FR-0158 | Date 12/11/2018 | Résultat 274"."""
    where = f"{file}, sheet {sheet}, row {row}" if sheet else f"{file}, row {row}"
    texts = dict.fromkeys(
        f"{c['source_column']} {c['raw_text']}" + (f" ({c['declared']})" if c["declared"] else "") for c in cells
    )
    return f"{where}: {' | '.join(texts)}" if texts else where
