"""A printed number: its value, method and caveat, n and N, and the patients behind it with the reason why each counts.

Answers are plain dicts (also printed as JSON); ``as_text`` gives the same as text. Nothing is estimated here.
"""

from __future__ import annotations

from types import SimpleNamespace

import duckdb

from capla_etl.centres.submissions import kind_of_data
from capla_etl.explain.decisions import decisions, records
from capla_etl.explain.lookup import find_rule_set
from capla_etl.explain.words import number
from capla_etl.report.numbers import fixed, interval, p_text, short
from capla_etl.report.printed_tables import row_label
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.groups import ARMS_COMPARED, RITUXIMAB_COMPARED, TIMINGS_COMPARED
from capla_etl.tables.labels import ADVERSE_EVENTS, EXCLUSIONS, GROUPS, TABLES
from capla_etl.tables.table1 import TABLE_1_VALUES

#: The outcome whose facts say why a patient counts in a row of Tables 2 to 4, where the row is named otherwise.
_OUTCOME_OF_ROW = {
    "survival_3_months": "died_by_day_90",
    "restricted_mean_survival": "died_by_day_90",
    "severe_refractory": "refractory",
    "exacerbation_all_patients": "exacerbation",
    "exacerbation_responders": "exacerbation",
    "response_day": "response",
    "response_day_survivors": "response",
    "days_from_caplacizumab_to_response": "response",
    "tpe_days_to_response": "tpe_to_response",
    "tpe_sessions_to_response": "tpe_to_response",
    "adamts13_recovery_day": "adamts13_recovery",
    "relapse_confirmed": "relapse",
}
#: Decimals as printed, by statistic; others have two decimals at most.
_DECIMALS = dict.fromkeys(
    ("percent", "risk_difference", "median_difference", "restricted_mean", "restricted_mean_difference"), 1
) | dict.fromkeys(("risk_ratio", "odds_ratio", "hazard_ratio", "subdistribution_hazard_ratio", "smd"), 2)
_UNITS = {"percent": " %", "risk_difference": " percentage points"}
_STATISTICS = 'select * from study.result where table_id = ? and "row" = ? and "group" = ?'
_MEMBERS = """
select m.counted, p.* from study.result_patient m join marts.patient p using (patient_id)
where m.table_id = ? and m."row" = ? and m."group" = ?
order by m.counted, p.centre_id, p.centre_patient_id
"""
_EVENTS = """
select patient_id, kind, day, site from marts.adverse_event
where patient_id in (select unnest(?)) order by patient_id, adverse_event_number
"""


def explain_result(connection: duckdb.DuckDBPyConnection, table_id: str, row: str, group: str) -> dict:
    """A printed number with the patients behind it.

    Args:
        connection: a published warehouse.
        table_id, row, group: as in ``study.result``.

    Returns:
        ``name``, ``label``, ``printed`` (one entry a statistic, with method and caveat), ``n``, ``n_assessed``,
        ``patients`` (of the numerator or with a value: centre, number, ``why``), ``denominator`` (how many patients),
        and ``see`` (names of related numbers).
    """
    statistics = records(connection, _STATISTICS, [table_id, row, group])
    members = records(connection, _MEMBERS, [table_id, row, group])
    counted = [m for m in members if m["counted"] != "denominator"]
    return {
        "synthetic": kind_of_data.sentence(),
        "name": f"{table_id}.{row}.{group}",
        "label": f"{TABLES[table_id].title}: {row_label(table_id, row)}; {GROUPS.get(group, group)}",
        "printed": _printed(statistics),
        **{n: next((s[n] for s in statistics if s[n] is not None), None) for n in ("n", "n_assessed")},
        "counted_as": counted[0]["counted"] if counted else None,
        "patients": _with_reasons(connection, table_id, row, counted),
        "denominator": sum(m["counted"] == "denominator" for m in members),
        "see": _see(table_id, row, group),
    }


def _printed(statistics: list[dict]) -> list[dict]:
    """The statistics in words, rounded as in the report; the quartiles are given with their median."""
    values = {line["statistic"]: line["value"] for line in statistics}
    with_median = {"q1", "q3"} if "median" in values else set()
    return [
        {"statistic": line["statistic"], "value": line["value"], "words": _words(line, values)}
        | {"method": line["method"], "caveat": line["caveat"]}
        for line in statistics
        if line["statistic"] not in with_median
    ]


def _words(line: dict, values: dict[str, float]) -> str:
    value, statistic = line["value"], line["statistic"]
    if value is None:
        return "not estimable"
    if statistic == "median":
        return f"{short(value)} ({short(values['q1'])} to {short(values['q3'])})"
    if statistic == "p_value":
        return p_text(value)
    decimals = _DECIMALS.get(statistic)
    shown = (short(value, 2) if decimals is None else fixed(value, decimals)) + _UNITS.get(statistic, "")
    if line["lower"] is None or line["upper"] is None:
        return shown
    return f"{shown} (95 % CI {interval(SimpleNamespace(**line), decimals or 1)})"


def _see(table_id: str, row: str, group: str) -> list[str]:
    """Names of the numbers that this one is made from, or that explain it."""
    if table_id == "as_published":
        return [".".join(f.source[:3]) for f in FIGURES if (f.row, f.group) == (row, group)]
    if table_id == "table8":
        return []
    compared = ARMS_COMPARED | TIMINGS_COMPARED | RITUXIMAB_COMPARED | {"early_delayed": ("early", "delayed")}
    if group in compared:
        return [f"{table_id}.{row}.{one}" for one in compared[group]]
    if row in ("survival_3_months", "restricted_mean_survival"):
        return [f"{table_id}.died_by_day_90.{group}"]
    return []


def _with_reasons(connection: duckdb.DuckDBPyConnection, table_id: str, row: str, patients: list[dict]) -> list[dict]:
    """The patients with one line each: why they count."""
    if not patients:
        return []
    if table_id in _REASON:
        reasons = {p["patient_id"]: _REASON[table_id](row, p) for p in patients}
    elif row == "caplacizumab_start_day":
        reasons = {p["patient_id"]: f"first dose day {p[row]}" for p in patients}
    elif table_id in ("table2", "table3", "table4"):
        ids, outcome = [p["patient_id"] for p in patients], _OUTCOME_OF_ROW.get(row, row)
        told = decisions(connection, find_rule_set(connection, None), ids, (outcome,))
        reasons = {patient_id: " / ".join(decision.words for decision in own) for patient_id, own in told.items()}
    else:
        reasons = _adverse_events(connection, row, patients) if table_id == "table5" else {}
    names = ("centre_id", "centre_patient_id", "patient_id")
    return [{n: p[n] for n in names} | {"why": reasons.get(p["patient_id"], "")} for p in patients]


def _adverse_events(connection: duckdb.DuckDBPyConnection, row: str, patients: list[dict]) -> dict[str, str]:
    wanted = row if row in ADVERSE_EVENTS else "major_bleeding" if row.startswith("major_bleeding_") else None
    told: dict[str, list[str]] = {}
    for event in records(connection, _EVENTS, [[p["patient_id"] for p in patients]]):
        if wanted in (None, event["kind"]):
            where = f", {event['site']}" if event["site"] else ""
            when = f" day {event['day']}" if event["day"] is not None else ""
            told.setdefault(event["patient_id"], []).append(f"{ADVERSE_EVENTS[event['kind']].lower()}{when}{where}")
    return {patient_id: "; ".join(lines) for patient_id, lines in told.items()}


def _baseline(row: str, patient: dict) -> str:
    score = "french_severity_score"
    column = score if row.startswith(score) else TABLE_1_VALUES.get(row, "sex" if row == "female" else row)
    label = "Sex" if column == "sex" else TABLES["table1"].rows[row if row in TABLE_1_VALUES else column]
    value, comparator = patient[column], patient["adamts13_comparator"] if row == "adamts13_percent" else None
    return f"{label}: {comparator or ''}{value if isinstance(value, str) else number(value)}"


def _death(row: str, patient: dict) -> str:
    start, day = patient["caplacizumab_start_day"], patient["death_day"]
    after = start is not None and day is not None and day >= start
    dose = f", {day - start} days after the first dose" if after else ""
    return f"died day {day}{dose}; cause: {patient['death_cause'] or 'not stated'}"


def _flow(row: str, patient: dict) -> str:
    if patient["exclusion_reason"]:
        return EXCLUSIONS[patient["exclusion_reason"]]
    return ", ".join(patient[n] for n in ("treatment_group", "timing", "delay_reason") if patient[n])


_REASON = {"flow": _flow, "table1": _baseline, "table6": _death}


def as_text(answer: dict, most: int = 200) -> str:
    """The answer in lines; of more than ``most`` patients only the first are listed (JSON has all)."""
    lines = [answer["name"], answer["label"], kind_of_data.sentence(), ""]
    for printed in answer["printed"]:
        lines += [f"{printed['statistic']}: {printed['words']}", f"    {printed['method']}"]
        lines += [f"    caveat: {printed['caveat']}"] if printed["caveat"] else []
    counts = [f"{name} {answer[key]}" for name, key in (("n", "n"), ("N", "n_assessed")) if answer[key] is not None]
    lines += ["", " of ".join(counts)] if counts else []
    if answer["denominator"]:
        lines.append(f"{answer['denominator']} patients in the denominator (study.result_patient lists them)")
    if answer["patients"]:
        what = "with a value" if answer["counted_as"] == "value" else "counted"
        lines += ["", f"{len(answer['patients'])} patients {what}:"]
        lines += [f"  {p['centre_id']} {p['centre_patient_id']}: {p['why']}" for p in answer["patients"][:most]]
        if len(answer["patients"]) > most:
            lines.append(f"  and {len(answer['patients']) - most} more (--json lists all)")
    elif answer["n"] == 0:
        lines += ["", "No patient is counted."]
    elif not answer["see"]:
        lines += ["", "This number does not count single patients."]
    if answer["see"]:
        lines += ["", f"See: {', '.join(answer['see'])}"]
    return "\n".join(lines)
