"""Everything that is known of how one patient was judged: group, eligibility, each outcome with its facts and where each was read.

Answers are plain dicts (also printed as JSON); ``as_text`` says the same in lines. Nothing is written.
"""

from __future__ import annotations

import duckdb

from capla_etl.explain.decisions import decisions, records
from capla_etl.explain.words import OUTCOMES, SYNTHETIC, fact_words, number, place_words
from capla_etl.protocol.parameters import parameter
from capla_etl.tables.labels import EXCLUSIONS

_PATIENT = "select * from marts.patient where patient_id = ?"
_CELLS = """
select kind, source_table, source_number, field, source_column, raw_text, declared
from outcomes.evidence_cell where patient_id = ? order by kind, source_table, source_number, cell_number
"""
#: Every row of a file that a record of the patient was read from.
_ROWS = """
select distinct centre_id, source_file, source_sheet, source_row from (
    select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.patient
    union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.lab_result
    union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.tpe_session
    union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.drug_course
    union all select patient_id, centre_id, source_file, source_sheet, source_row from harmonised.adverse_event
) where patient_id = ?
"""
_REFUSED = """
select file, sheet, row_number, column_name, raw_value, rule, message, scope
from quality.quarantine where patient_id = ? order by file, sheet, row_number, column_name
"""
_NUMBERS = """
select table_id, "row", "group", counted from study.result_patient where patient_id = ? order by all
"""


def explain_patient(connection: duckdb.DuckDBPyConnection, patient_id: str, rule_set: str) -> dict:
    """How one patient was judged under a rule set, down to the cells.

    Args:
        connection: a published warehouse.
        patient_id: of marts.patient.
        rule_set: of outcomes.rule_set.

    Returns:
        ``patient`` (group, timing, eligibility), ``outcomes`` (each with ``words`` and ``facts``, each fact with ``words`` and ``read_from``: file,
        sheet, row, cells), ``reported`` (what the centre judged), ``refused``, ``corrected`` and ``numbers`` (printed numbers that count the patient).
    """
    patient = records(connection, _PATIENT, [patient_id])[0]
    cells: dict[tuple, list[dict]] = {}
    for cell in records(connection, _CELLS, [patient_id]):
        cells.setdefault((cell.pop("kind"), cell.pop("source_table"), cell.pop("source_number")), []).append(cell)
    told = decisions(connection, rule_set, [patient_id]).get(patient_id, [])
    return {
        "synthetic": SYNTHETIC,
        "rule_set": rule_set,
        "patient": _standing(connection, patient),
        "outcomes": [
            {
                "outcome": decision.outcome,
                "occurrence": decision.occurrence,
                "words": decision.words,
                "facts": [_fact(fact, cells) for fact in decision.facts],
            }
            for decision in told
        ],
        "reported": records(
            connection,
            "select refractory, exacerbation, response_day from marts.reported_outcome where patient_id = ?",
            [patient_id],
        )[0],
        "refused": records(connection, _REFUSED, [patient_id]),
        "corrected": _corrections(connection, patient_id),
        "numbers": _numbers(connection, patient_id),
    }


def _standing(connection: duckdb.DuckDBPyConnection, patient: dict) -> dict:
    """Who the patient is to the study: group, timing, eligibility, with the reasons in words."""
    names = [
        "centre_id",
        "centre_patient_id",
        "patient_id",
        "submission",
        "day0_date",
        "day0_source",
        "treatment_group",
        "timing",
        "delay_reason",
        "caplacizumab_start_day",
        "age_years",
        "adamts13_percent",
        "adamts13_comparator",
        "eligible",
        "exclusion_reason",
        "same_patient_as",
    ]
    kept = {name: patient[name] for name in names}
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
        return f"control, no caplacizumab by day {parameter('caplacizumab_first_dose_by_day')}{late}"
    if timing == "unknown":
        return "caplacizumab, start not recorded"
    reason = {"rescue": ", rescue: refractory or exacerbated by then", "slow_response": ", slow response"}.get(
        patient["delay_reason"], ""
    )
    limit = parameter("early_start_by_day")
    return f"caplacizumab, first dose day {start}: {timing} start ({'by' if timing == 'early' else 'after'} day {limit}){reason}"


def _eligible_words(patient: dict, same_patient_as: str | None) -> str:
    if patient["eligible"]:
        flags = {
            "diagnosis_stated": "diagnosis not stated",
            "age_assessed": "age not known",
            "adamts13_assessed": "ADAMTS13 at presentation not known or undecided",
        }
        said = [words for column, words in flags.items() if patient[column] == "no"]
        return "yes" + (f" ({'; '.join(said)}: counts as fulfilled)" if said else "")
    reason = patient["exclusion_reason"]
    seen = {
        "under_18": f"{patient['age_years']} years",
        "adamts13_not_deficient": f"{patient['adamts13_comparator'] or ''}{number(patient['adamts13_percent'] or 0)} %",
        "control_out_of_window": f"day 0 {patient['day0_date']}, window {parameter('control_day0_from')} to {parameter('control_day0_to')}",
        "reported_twice": f"the record kept is {same_patient_as}",
    }
    return f"no: {EXCLUSIONS[reason]}" + (f" ({seen[reason]})" if reason in seen else "")


def _fact(fact: dict, cells: dict[tuple, list[dict]]) -> dict:
    said = {name: fact[name] for name in ("role", "kind", "day", "value", "comparator")} | {
        "words": fact_words(fact),
        "read_from": None,
    }
    if fact["source_table"] is not None:
        own = cells.get((fact["kind"], fact["source_table"], fact["source_number"]), [])
        said["read_from"] = {
            "file": fact["source_file"],
            "sheet": fact["source_sheet"] or None,
            "row": fact["source_row"],
            "cells": own,
        }
    return said


def _corrections(connection: duckdb.DuckDBPyConnection, patient_id: str) -> list[dict]:
    """Declared corrections of cells in rows of the patient."""
    corrected = """select c.file, c.sheet, c.row_number, c.column_name, c.raw_value, c.corrected_value, c.reason, c.confirmed_by
        from quality.correction c"""
    own = f"join ({_ROWS}) r on r.centre_id = c.centre_id and r.source_file = c.file and coalesce(r.source_sheet, '') = coalesce(c.sheet, '') and r.source_row = c.row_number"
    return records(connection, f"{corrected} {own} order by all", [patient_id])


def _numbers(connection: duckdb.DuckDBPyConnection, patient_id: str) -> list[dict]:
    """Printed numbers that the patient is in: by table and group the rows whose ``n`` or ``median`` counts the patient, and those whose ``N`` does."""
    found: dict[tuple[str, str], dict] = {}
    for member in records(connection, _NUMBERS, [patient_id]):
        place = (member["table_id"], member["group"])
        rows = found.setdefault(place, {"table_id": place[0], "group": place[1], "n": [], "median": [], "N": []})
        rows[{"numerator": "n", "value": "median", "denominator": "N"}[member["counted"]]].append(member["row"])
    return list(found.values())


def as_text(answer: dict) -> str:
    """The answer in lines: what was decided, by what, and where that was read."""
    patient = answer["patient"]
    lines = [
        f"{patient['centre_id']} {patient['centre_patient_id']}   (patient_id {patient['patient_id']}, submission of {patient['submission']})",
        SYNTHETIC,
        "",
        f"Day 0       {patient['day0_words']}",
        f"Group       {patient['group_words']}",
        f"Eligible    {patient['eligible_words']}",
        f"Rule set    {answer['rule_set']}",
    ]
    for outcome in answer["outcomes"]:
        lines += ["", f"{OUTCOMES[outcome['outcome']]}", f"  {outcome['words']}"]
        lines += [f"    {line}" for line in _read_lines(outcome["facts"])]
    reported = answer["reported"]
    day = "unknown" if reported["response_day"] is None else f"day {reported['response_day']}"
    lines += [
        "",
        f"The centre itself judged: refractory {reported['refractory']}, exacerbation {reported['exacerbation']}, response {day}.",
    ]
    lines += ["", "Refused values: " + ("none." if not answer["refused"] else "")]
    lines += [
        f"  {place_words([], r['file'], r['sheet'], r['row_number'])}, {r['column_name']} {r['raw_value'] or '(blank)'!r}: {r['message']}"
        for r in answer["refused"]
    ]
    if answer["corrected"]:
        lines += ["", "Corrected values:"]
        lines += [
            f"  {place_words([], c['file'], c['sheet'], c['row_number'])}, {c['column_name']}: {c['raw_value']!r} as sent, now {c['corrected_value']!r} ({c['reason']})"
            for c in answer["corrected"]
        ]
    lines += ["", "Printed numbers that count this patient (`capla explain result NAME`):"]
    lines += [
        f"  {inside['table_id']}, {inside['group']}: {_counted_in(inside)}"
        for inside in answer["numbers"]
        if inside["group"] != patient["centre_id"]
    ]
    lines += [] if answer["numbers"] else ["  none"]
    return "\n".join(line.rstrip() for line in lines)


def _counted_in(inside: dict) -> str:
    only_assessed = len(set(inside["N"]) - set(inside["n"]) - set(inside["median"]))
    parts = [
        f"{what} of {', '.join(inside[key])}"
        for key, what in (("n", "in n"), ("median", "in the median"))
        if inside[key]
    ]
    return "; ".join(
        parts + ([f"in N only of {only_assessed} row{'' if only_assessed == 1 else 's'}"] if only_assessed else [])
    )


def _read_lines(facts: list[dict]) -> list[str]:
    """Where each fact was read; exchanges of one file on one line."""
    lines, sessions = [], [fact for fact in facts if fact["kind"] == "tpe" and fact["read_from"]]
    if len(sessions) > 2 and len(sessions) == len(facts):
        for file, sheet in dict.fromkeys((s["read_from"]["file"], s["read_from"]["sheet"]) for s in sessions):
            own = [
                s["read_from"] for s in sessions if (s["read_from"]["file"], s["read_from"]["sheet"]) == (file, sheet)
            ]
            rows = dict.fromkeys(str(o["row"]) for o in own)
            where = f"{file}, sheet {sheet}" if sheet else file
            lines.append(f"{where}, row{'s' if len(rows) > 1 else ''} {', '.join(rows)}")
        return lines
    for fact in facts:
        if read := fact["read_from"]:
            lines.append(f"{fact['words']}   <- {place_words(read['cells'], read['file'], read['sheet'], read['row'])}")
    return lines
