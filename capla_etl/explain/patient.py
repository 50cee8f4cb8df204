"""How one patient was judged: group, eligibility, each outcome with its facts and where each was read.

Answers are plain dicts (also printed as JSON); ``as_text`` gives the same as text.
"""

from __future__ import annotations

import duckdb

from capla_etl.centres.submissions import kind_of_data
from capla_etl.explain.decisions import decisions, records
from capla_etl.explain.words import OUTCOMES, fact_words, number, place_words
from capla_etl.protocol.wording import worded
from capla_etl.tables.labels import EXCLUSIONS

_PATIENT = "select * from marts.patient where patient_id = ?"
_CELLS = """
select kind, source_table, source_number, field, source_column, raw_text, declared
from outcomes.evidence_cell where patient_id = ? order by kind, source_table, source_number, cell_number
"""
_REPORTED = "select refractory, exacerbation, response_day from marts.reported_outcome where patient_id = ?"
_REFUSED = """
select file, sheet, row_number, column_name, raw_value, rule, message, scope
from quality.quarantine where patient_id = ? order by file, sheet, row_number, column_name
"""
#: Declared corrections of cells in rows that a record of the patient was read from.
_CORRECTED = """
select c.file, c.sheet, c.row_number, c.column_name, c.raw_value, c.corrected_value, c.reason, c.confirmed_by
from quality.correction c
where (c.centre_id, c.file, coalesce(c.sheet, ''), c.row_number) in (
    select (centre_id, source_file, coalesce(source_sheet, ''), source_row) from (
        select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.patient
        union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.lab_result
        union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.tpe_session
        union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.drug_course
        union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.adverse_event
    ) where patient_id = ?)
order by all
"""
_NUMBERS = 'select table_id, "row", "group", counted from study.result_patient where patient_id = ? order by all'
_SHOWN = (
    "centre_id centre_patient_id patient_id submission day0_date day0_source treatment_group timing delay_reason "
    "caplacizumab_start_day age_years adamts13_percent adamts13_comparator eligible exclusion_reason same_patient_as"
)


def explain_patient(connection: duckdb.DuckDBPyConnection, patient_id: str, rule_set: str) -> dict:
    """How one patient was judged under a rule set, down to the cells.

    Args:
        connection: a published warehouse.
        patient_id: of marts.patient.
        rule_set: of outcomes.rule_set.

    Returns:
        ``patient`` (group, timing, eligibility), ``outcomes`` (each with ``words`` and ``facts``, each fact with
        ``words`` and ``read_from``: file, sheet, row, cells), ``reported`` (what the centre judged), ``refused``,
        ``corrected`` and ``numbers`` (printed numbers that count the patient).
    """
    patient = records(connection, _PATIENT, [patient_id])[0]
    cells: dict[tuple, list[dict]] = {}
    for cell in records(connection, _CELLS, [patient_id]):
        cells.setdefault((cell.pop("kind"), cell.pop("source_table"), cell.pop("source_number")), []).append(cell)
    return {
        "synthetic": kind_of_data.sentence(),
        "rule_set": rule_set,
        "patient": _standing(connection, patient),
        "outcomes": [
            {
                "outcome": decision.outcome,
                "occurrence": decision.occurrence,
                "words": decision.words,
                "facts": [_fact(fact, cells) for fact in decision.facts],
            }
            for decision in decisions(connection, rule_set, [patient_id]).get(patient_id, [])
        ],
        "reported": records(connection, _REPORTED, [patient_id])[0],
        "refused": records(connection, _REFUSED, [patient_id]),
        "corrected": records(connection, _CORRECTED, [patient_id]),
        "numbers": _numbers(connection, patient_id),
    }


def _standing(connection: duckdb.DuckDBPyConnection, patient: dict) -> dict:
    """Group, timing and eligibility, with the reasons in words."""
    kept = {name: patient[name] for name in _SHOWN.split()}
    if patient["same_patient_as"]:
        other = records(connection, _PATIENT, [patient["same_patient_as"]])[0]
        kept["same_patient_as"] = f"{other['centre_id']} {other['centre_patient_id']}"
    return kept | {
        "day0_words": _day0_words(patient),
        "group_words": _group_words(patient),
        "eligible_words": _eligible_words(patient, kept["same_patient_as"]),
    }


def _day0_words(patient: dict) -> str:
    if patient["day0_date"] is None:
        return "none: no plasma exchange is known"
    source = "first TPE session" if patient["day0_source"] == "sessions" else "first TPE as stated; no session was sent"
    return f"{patient['day0_date']} ({source})"


def _group_words(patient: dict) -> str:
    group, timing, start = patient["treatment_group"], patient["timing"], patient["caplacizumab_start_day"]
    if group is None:
        return "not known: no drug was sent, and the centre's list is not complete"
    if group == "control":
        late = f" (first dose day {start})" if start is not None else ""
        return worded("control, no caplacizumab by day {caplacizumab_first_dose_by_day}") + late
    if timing == "unknown":
        return "caplacizumab, start not recorded"
    limit = worded(f"{'by' if timing == 'early' else 'after'} day {{early_start_by_day}}")
    reasons = {"rescue": ", rescue: refractory or exacerbated by then", "slow_response": ", slow response"}
    return f"caplacizumab, first dose day {start}: {timing} start ({limit}){reasons.get(patient['delay_reason'], '')}"


def _eligible_words(patient: dict, same_patient_as: str | None) -> str:
    if patient["eligible"]:
        flags = {
            "diagnosis_stated": "diagnosis not stated",
            "age_assessed": "age not known",
            "adamts13_assessed": "ADAMTS13 at presentation not known or undecided",
        }
        unknown = "; ".join(words for column, words in flags.items() if patient[column] == "no")
        return f"yes ({unknown}: counts as fulfilled)" if unknown else "yes"
    seen = {
        "under_18": f"{patient['age_years']} years",
        "adamts13_not_deficient": f"{patient['adamts13_comparator'] or ''}{number(patient['adamts13_percent'] or 0)} %",
        "control_out_of_window": f"day 0 {patient['day0_date']}, "
        + worded("window {control_day0_from} to {control_day0_to}"),
        "reported_twice": f"the record kept is {same_patient_as}",
    }.get(reason := patient["exclusion_reason"])
    return f"no: {EXCLUSIONS[reason]}" + (f" ({seen})" if seen else "")


def _fact(fact: dict, cells: dict[tuple, list[dict]]) -> dict:
    place = {
        "file": fact["source_file"],
        "sheet": fact["source_sheet"] or None,
        "row": fact["source_row"],
        "cells": cells.get((fact["kind"], fact["source_table"], fact["source_number"]), []),
    }
    return {name: fact[name] for name in ("role", "kind", "day", "value", "comparator")} | {
        "words": fact_words(fact),
        "read_from": None if fact["source_table"] is None else place,
    }


def _numbers(connection: duckdb.DuckDBPyConnection, patient_id: str) -> list[dict]:
    """By table and group, the printed rows whose ``n`` or ``median`` counts the patient, and those whose ``N`` does."""
    found: dict[tuple[str, str], dict] = {}
    for member in records(connection, _NUMBERS, [patient_id]):
        place = {"table_id": member["table_id"], "group": member["group"]}
        rows = found.setdefault(tuple(place.values()), place | {"n": [], "median": [], "N": []})
        rows[{"numerator": "n", "value": "median", "denominator": "N"}[member["counted"]]].append(member["row"])
    return list(found.values())


def as_text(answer: dict) -> str:
    """The answer in lines: what was decided, by what, and where that was read."""
    patient, reported = answer["patient"], answer["reported"]
    lines = [
        f"{patient['centre_id']} {patient['centre_patient_id']}   "
        f"(patient_id {patient['patient_id']}, submission of {patient['submission']})",
        kind_of_data.sentence(),
        "",
        f"Day 0       {patient['day0_words']}",
        f"Group       {patient['group_words']}",
        f"Eligible    {patient['eligible_words']}",
        f"Rule set    {answer['rule_set']}",
    ]
    for outcome in answer["outcomes"]:
        lines += ["", OUTCOMES[outcome["outcome"]], f"  {outcome['words']}"]
        lines += [f"    {line}" for line in _read_lines(outcome["facts"])]
    day = "unknown" if reported["response_day"] is None else f"day {reported['response_day']}"
    lines += [
        "",
        f"The centre itself judged: refractory {reported['refractory']}, exacerbation {reported['exacerbation']}, "
        f"response {day}.",
        "",
        "Refused values: " + ("" if answer["refused"] else "none."),
    ]
    for r in answer["refused"]:
        lines.append(f"  {_cell(r)} {r['raw_value'] or '(blank)'!r}: {r['message']}")
    if answer["corrected"]:
        lines += ["", "Corrected values:"]
    for c in answer["corrected"]:
        lines.append(f"  {_cell(c)}: {c['raw_value']!r} as sent, now {c['corrected_value']!r} ({c['reason']})")
    lines += ["", "Printed numbers that count this patient (`capla explain result NAME`):"]
    lines += [
        f"  {inside['table_id']}, {inside['group']}: {_counted_in(inside)}"
        for inside in answer["numbers"]
        if inside["group"] != patient["centre_id"]
    ]
    lines += [] if answer["numbers"] else ["  none"]
    return "\n".join(line.rstrip() for line in lines)


def _cell(place: dict) -> str:
    return f"{place_words([], place['file'], place['sheet'], place['row_number'])}, {place['column_name']}"


def _counted_in(inside: dict) -> str:
    parts = [
        f"in {what} of {', '.join(inside[key])}" for key, what in (("n", "n"), ("median", "the median")) if inside[key]
    ]
    if only := len(set(inside["N"]) - set(inside["n"]) - set(inside["median"])):
        parts.append(f"in N only of {only} row{'' if only == 1 else 's'}")
    return "; ".join(parts)


def _read_lines(facts: list[dict]) -> list[str]:
    """Where each fact was read; more than two exchanges are listed together, a line for each file."""
    read = [fact for fact in facts if fact["read_from"]]
    if len(read) > 2 and len(read) == len(facts) and all(fact["kind"] == "tpe" for fact in read):
        rows: dict[str, dict[str, None]] = {}
        for place in (fact["read_from"] for fact in read):
            where = f"{place['file']}, sheet {place['sheet']}" if place["sheet"] else place["file"]
            rows.setdefault(where, {})[str(place["row"])] = None
        return [f"{where}, row{'s' if len(own) > 1 else ''} {', '.join(own)}" for where, own in rows.items()]
    return [
        f"{fact['words']}   <- {place_words(p['cells'], p['file'], p['sheet'], p['row'])}"
        for fact in read
        for p in (fact["read_from"],)
    ]
