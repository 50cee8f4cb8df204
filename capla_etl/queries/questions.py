"""Queries: everything questionable as a question to the centre that sent it, with an id that stays the same across reruns and resubmissions.

Each kind of query is declared once: what is looked for, what is shown as found, what is asked. Status and answers come from what the centre
answered (capla_etl.centres.harmonising.corrections). Nothing here changes data.

What does not belong here: the workbooks that centres answer in (workbook.py) and how corrections are applied (centres/corrections.py).
"""

import fnmatch
import hashlib
from dataclasses import dataclass
from datetime import date

import duckdb
import pandas as pd

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import Answered, answers
from capla_etl.centres.reading.read import RawTable, read_submission
from capla_etl.centres.spec.grammar import JsonLines, Spec, Workbook, withheld_columns
from capla_etl.centres.submissions.history import distinct_submissions
from capla_etl.centres.submissions.status import GoodLoad

#: A reported and a derived day of clinical response that are further apart than this are asked about.
RESPONSE_DAYS_APART = 2
#: Same sex and birth date, and first exchanges at most so many days apart: suspected to be the same patient.
SAME_PATIENT_DAYS_APART = 14
#: Row numbers that a query lists; the first of them is its ``row_number``.
LISTED_ROWS = 50

#: Columns of ``quality.query`` and what they hold.
COLUMNS = [
    *("query_id", "centre_id", "patient_id", "centre_patient_id", "category", "kind", "file", "sheet", "row_number"),
    *("row_numbers", "occurrences", "column_name", "found", "question", "status", "answer", "corrected_value"),
    *("answered_by", "answered_on", "reason", "first_seen"),
]
DATES = ("answered_on", "first_seen")

#: What is asked about a refused value; the rule's own message says what was expected.
REFUSED = {
    "no_reference_day": "These results have only a study day, and the patient's first exchange has no date. What is the date of the first exchange?",
    "unknown_patient": "Whose row is this? Correct the patient number, or send the patient's record.",
    "missing_key": "Whose row is this?",
    "duplicate_patient": "Which of the two records is right?",
    "after_data_cutoff": "What is the right date?",
    "after_death": "Which date is right, this one or that of the death?",
    "before_birth": "Which date is right, this one or that of birth?",
    "not_a_date": "What is the right date?",
    "out_of_range": "Is it a typing error, another unit or a code? What is the right value?",
    "unit_not_accepted": "In which unit was it measured?",
    "wrong_number_of_cells": "Send the file again with these rows repaired.",
    "not_json": "Send the file again with these rows repaired.",
}
REFUSED_OTHERWISE = "What is the right value?"
REFUSED_ACCEPTED = "'Accepted as is' means: it stays out of the study."
#: Rules whose refused values are one question per patient whatever the value.
ONE_CAUSE = ("no_reference_day",)


@dataclass(frozen=True)
class Kind:
    """One kind of query.

    Attributes:
        field: study field whose column would be corrected; empty: none.
        where: SQL condition over record ``r`` (and ``joins``) that makes it questionable.
        found: SQL text of what was found.
        question: what is asked, in plain English.
        record: ``patient`` (with what was derived of them) or ``caplacizumab_course``.
        value: SQL text that, with the patient, makes the question this one (default: what was found).
    """

    category: str
    kind: str
    field: str
    where: str
    found: str
    question: str
    record: str = "patient"
    joins: str = ""
    value: str = ""


def _day(date_sql: str) -> str:
    return f"coalesce(cast({date_sql} as varchar), 'none')"


_SESSIONS = "left join (select patient_id, min(session_date) as first_session from harmonised.tpe_session group by 1) s using (patient_id)"
_OUTCOME = "join marts.reported_outcome o using (patient_id) join outcomes.patient_outcome d using (patient_id)"
_ASSESSED = "left join outcomes.refractory e on e.patient_id = r.patient_id and e.rule_set = (select rule_set from outcomes.rule_set where is_default = 'yes')"
_OTHERS = f"""join patient b on b.patient_id <> r.patient_id and b.sex = r.sex and b.birth_date_linkage = r.birth_date_linkage
    and abs(date_diff('day', b.day0_date, r.day0_date)) <= {SAME_PATIENT_DAYS_APART}
    and coalesce(r.transferred_from_patient_id, '') <> b.patient_id and coalesce(b.transferred_from_patient_id, '') <> r.patient_id"""

_KEEP = "'Accepted as is' means: it is right as sent."
_UNKNOWN = "'Accepted as is' means: it is not known and will not be."
_JUDGED = "'Accepted as is' means: your judgement stands; both are kept and shown side by side."

KINDS = [
    Kind(
        "contradiction", "died_without_date", "death_date", "r.died = 'yes' and r.death_date is null and r.death_month is null", "'died, no date of death'",
        f"When did the patient die (month and year if the day is not known)? {_UNKNOWN}",
    ),
    Kind(
        "contradiction", "death_date_but_alive", "died", "r.died = 'no' and coalesce(r.death_date, r.death_month) is not null",
        f"'died: no; date of death ' || {_day('coalesce(r.death_date, r.death_month)')}", f"Did the patient die? {_KEEP}",
    ),
    Kind(
        "contradiction", "death_cause_but_alive", "death_cause", "r.died = 'no' and r.death_cause is not null", "'died: no; cause of death ' || r.death_cause",
        f"Did the patient die? {_KEEP}",
    ),
    Kind(
        "contradiction", "discharge_before_day0", "discharge_date", "r.discharge_date < r.day0_date",
        f"'discharge ' || {_day('r.discharge_date')} || ', first exchange ' || {_day('r.day0_date')}",
        f"The discharge lies before the first exchange. What is the date of discharge after this episode? {_KEEP}",
    ),
    Kind(
        "contradiction", "last_contact_before_day0", "last_contact_date", "r.last_contact_date < r.day0_date",
        f"'last contact ' || {_day('r.last_contact_date')} || ', first exchange ' || {_day('r.day0_date')}",
        f"The last contact lies before the first exchange. When was the patient last seen? {_KEEP}",
    ),
    Kind(
        "contradiction", "icu_longer_than_stay", "icu_days", "r.icu_days > date_diff('day', r.day0_date, r.discharge_date) + 1",
        f"r.icu_days || ' days in intensive care; first exchange ' || {_day('r.day0_date')} || ', discharge ' || {_day('r.discharge_date')}",
        f"More days in intensive care than from the first exchange to discharge, both included. How many were they? {_KEEP} (intensive care began before)",
    ),
    Kind(
        "contradiction", "first_exchange_differs", "first_tpe_date", "r.first_tpe_date <> s.first_session",
        f"'stated ' || {_day('r.first_tpe_date')} || ', first session sent ' || {_day('s.first_session')}",
        f"The stated date of the first exchange is not that of the first session sent. Which is right, or which session is missing? {_KEEP}", joins=_SESSIONS,
    ),
    Kind(
        "contradiction", "first_exchange_without_session", "", "r.first_tpe_date is not null and s.first_session is null",
        f"'first exchange ' || {_day('r.first_tpe_date')} || ', no session sent'",
        f"A first exchange is stated but no session was sent. Send the sessions. {_KEEP}", joins=_SESSIONS,
    ),
    Kind(
        "contradiction", "coma_without_neurological_involvement", "neurological_involvement", "r.coma = 'yes' and r.neurological_involvement = 'no'",
        "'coma: yes; neurological involvement: no'", f"Was there neurological involvement? {_KEEP}",
    ),
    Kind(
        "contradiction", "reported_response_before_day0", "reported_response_date", "r.reported_response_date < r.day0_date",
        f"'response ' || {_day('r.reported_response_date')} || ', first exchange ' || {_day('r.day0_date')}",
        f"The clinical response lies before the first exchange. On which day was it? {_KEEP}",
    ),
    Kind(
        "contradiction", "caplacizumab_before_day0", "start_date", "r.start_date < r.day0_date",
        f"'caplacizumab from ' || {_day('r.start_date')} || ', first exchange ' || {_day('r.day0_date')}",
        f"Caplacizumab was started before the first exchange sent. Are both dates right? {_KEEP}", record="caplacizumab_course",
    ),
    Kind(
        "contradiction", "caplacizumab_courses_overlap", "start_date", "b.start_date > r.start_date and b.start_date <= r.end_date",
        f"'until ' || {_day('r.end_date')} || ', another course from ' || {_day('b.start_date')}", f"Two courses overlap. Which dates are right? {_KEEP}",
        record="caplacizumab_course", joins="join caplacizumab_course b using (patient_id)",
    ),
    Kind(
        "outcome_disagreement", "refractory", "reported_refractory", "o.refractory in ('yes', 'no') and d.refractory in ('yes', 'no') and o.refractory <> d.refractory",
        """'you: ' || o.refractory || '; by rule: ' || d.refractory || coalesce(' (5th exchange day ' || e.fifth_tpe_day || ', count of day ' ||
        e.refractory_assessment_day || ': ' || printf('%g', e.platelets_10e9_per_l) || coalesce(', LDH ' || printf('%.1f', e.ldh_x_uln) || ' x ULN', '') || ')', '')""",
        "By the study's rule (first count on the 1st or 2nd day after the 5th exchange day below 50, LDH above 1.5 x ULN) the patient is assessed otherwise than by you. "
        f"Is your judgement, or a count, date or LDH, to be corrected? {_JUDGED}",
        joins=f"{_OUTCOME} {_ASSESSED}", value="o.refractory || d.refractory",
    ),
    Kind(
        "outcome_disagreement", "exacerbation", "reported_exacerbation",
        "o.exacerbation in ('yes', 'no') and d.exacerbation in ('yes', 'no') and o.exacerbation <> d.exacerbation",
        """'you: ' || o.exacerbation || '; by rule: ' || d.exacerbation || coalesce(' (response day ' || d.response_day || ')', '') ||
        coalesce(', exacerbation day ' || d.exacerbation_day, '') || coalesce(', relapse day ' || d.relapse_day, '')""",
        "By the study's rule (a confirmed fall below 150 after a response, without remission before it, at most 30 days after exchanges or caplacizumab) the patient is assessed "
        f"otherwise than by you. Is your judgement, or a count or date, to be corrected? {_JUDGED}",
        joins=_OUTCOME, value="o.exacerbation || d.exacerbation",
    ),
    Kind(
        "outcome_disagreement", "response_day", "reported_response_date",
        f"o.response_day is not null and (d.response_day is null or abs(o.response_day - d.response_day) > {RESPONSE_DAYS_APART})",
        "'you: day ' || o.response_day || '; by rule: ' || coalesce('day ' || d.response_day, 'no response')",
        f"Your day of clinical response and that of the study's rule (count at least 150, held by the next, LDH below 1.5 x ULN) are more than {RESPONSE_DAYS_APART} days apart. "
        f"Is your date, or a count or LDH, to be corrected? {_JUDGED}",
        joins=_OUTCOME,
    ),
    Kind("missing_key_data", "day0", "first_tpe_date", "r.day0_date is null", "'no date of a first exchange'", f"What is the date of the first exchange? {_UNKNOWN}"),
    Kind(
        "missing_key_data", "caplacizumab_start", "start_date", "r.start_date is null", f"'caplacizumab, no start; end ' || {_day('r.end_date')}",
        f"When was caplacizumab started? {_UNKNOWN}", record="caplacizumab_course", value="cast(r.end_date as varchar)",
    ),
    Kind(
        "missing_key_data", "adamts13_at_presentation", "adamts13_percent", "r.presentation_adamts13_known <> 'yes'", "'no ADAMTS13 activity at presentation'",
        f"What was the ADAMTS13 activity at presentation? {_UNKNOWN}",
    ),
    Kind(
        "missing_key_data", "last_contact", "last_contact_date", "r.last_contact_date is null and r.died <> 'yes'", "'no date of last contact'",
        f"When was the patient last seen? {_UNKNOWN}",
    ),
    Kind("missing_key_data", "vital_status", "died", "r.died = 'unknown'", "'not known whether the patient died'", f"Did the patient die? {_UNKNOWN}"),
    Kind(
        "missing_key_data", "early_platelet_count", "",
        "r.day0_date is not null and not exists (select 1 from marts.daily_series c where c.patient_id = r.patient_id and c.day in (0, 1) and c.platelets_10e9_per_l is not null)",
        "'no platelet count on day 0 or 1'", f"What was the platelet count at the first exchange? Send it with the next submission. {_UNKNOWN}",
    ),
    Kind(
        "missing_key_data", "age", "birth_date", "r.age_years is null and r.day0_date is not null", "'no age at the first exchange'",
        f"How old was the patient at the first exchange? {_UNKNOWN}",
    ),
    Kind("missing_key_data", "sex", "sex", "r.sex is null", "'no sex'", f"What is the patient's sex? {_UNKNOWN}"),
    Kind(
        "suspected_same_patient", "same_patient", "transferred_from", "true",
        """case when b.centre_id = r.centre_id then 'your patient ' || b.centre_patient_id else 'a patient of centre ' || b.centre_id end ||
        ': same sex and date of birth, first exchange ' || abs(date_diff('day', b.day0_date, r.day0_date)) || ' day(s) apart'""",
        "Is it the same person (a transfer that was not stated, or a record sent twice)? 'Accepted as is' means: two different persons. "
        "If it is one person, state the transfer, or send the record only once with the next submission.",
        joins=_OTHERS, value="b.centre_id || b.centre_patient_id",
    ),
]  # fmt: skip

_PATIENT = """select h.*, m.day0_date, m.age_years, m.presentation_adamts13_known from harmonised.patient h
    join (select patient_id, day0_date, age_years, presentation_adamts13_known from marts.patient) m using (patient_id)"""
_COURSE = "select c.*, p.day0_date from harmonised.drug_course c join patient p using (patient_id) where c.drug = 'caplacizumab'"


def field_columns(specs: list[Spec]) -> pd.DataFrame:
    """Which column of which file a study field is read from.

    Returns:
        One row per centre, table of the spec, record and field: ``centre_id``, ``spec_table``, ``pattern`` (of the file's name), ``sheet``,
        ``record`` (harmonised table; caplacizumab_course for its courses), ``field``, ``column_name``; rows in the order of the spec.
    """
    rows = []
    for spec in specs:
        for name, table in spec.tables.items():
            sheet = (
                table.format.sheet
                if isinstance(table.format, Workbook)
                else (table.format.list or "")
                if isinstance(table.format, JsonLines)
                else ""
            )
            place = {"centre_id": spec.centre.id, "spec_table": name, "pattern": table.file, "sheet": sheet}
            for record in table.records:
                drug = record.fields.get("drug")
                if record.table == "drug_course" and drug.constant in (None, "caplacizumab"):
                    kind = "caplacizumab_course"
                else:
                    kind = record.table
                rows += [
                    place | {"record": kind, "field": field, "column_name": s.column}
                    for field, s in record.fields.items()
                    if s.column
                ]
    return pd.DataFrame(rows, columns=["centre_id", "spec_table", "pattern", "sheet", "record", "field", "column_name"])


def derive(con: duckdb.DuckDBPyConnection, columns: pd.DataFrame) -> pd.DataFrame:
    """Every question that the data of a warehouse raise now.

    Args:
        con: connection to a warehouse with schemas harmonised, marts, outcomes, quality (and raw, where a field has several columns).
        columns: as ``field_columns`` returns them.

    Returns:
        One row per question, the columns of ``quality.query`` up to ``question``, ordered; no status.
    """
    found = [_refused(con), *(_of_kind(con, kind, columns) for kind in KINDS)]
    rows = (
        pd.concat([f for f in found if len(f)], ignore_index=True)
        if any(len(f) for f in found)
        else found[0].assign(field="", record="")
    )
    texts = ["centre_patient_id", "file", "sheet", "column_name", "found", "value"]
    rows[texts] = rows[texts].astype(object).where(rows[texts].notna(), "")
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS[: COLUMNS.index("status")])
    rows["query_id"] = [_query_id(row, columns) for row in rows.itertuples()]
    rows = rows.sort_values(
        ["centre_id", "category", "kind", "centre_patient_id", "file", "sheet", "row_number", "found"], kind="stable"
    )
    grouped = rows.groupby("query_id", sort=False)
    out = grouped.first().reset_index()
    places = {
        q: sorted({(f, int(n)) for f, n in zip(g["file"], g["row_number"], strict=True) if pd.notna(n)})
        for q, g in grouped
    }
    out["occurrences"] = [max(1, len(places[q])) for q in out["query_id"]]
    in_file = [[n for f, n in places[q] if f == file] for q, file in zip(out["query_id"], out["file"], strict=True)]
    out["row_numbers"] = [", ".join(map(str, numbers[:LISTED_ROWS])) for numbers in in_file]
    several = out["kind"].isin(ONE_CAUSE) & (out["occurrences"] > 1)
    out.loc[several, "found"] = [
        f"{n} rows, the first: {v}"
        for n, v in zip(out.loc[several, "occurrences"], out.loc[several, "found"], strict=True)
    ]
    out["patient_id"] = out["patient_id"].astype(object).where(out["patient_id"].notna(), None)
    out["row_number"] = out["row_number"].astype("Int64")
    return out[COLUMNS[: COLUMNS.index("status")]]


def _refused(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Refused values and rows; equal ones of a patient and column are one question."""
    rows = con.execute(
        """select q.centre_id, q.patient_id, p.centre_patient_id, 'refused_value' as category, q.rule as kind, q.file, q.sheet, q.row_number, q.column_name,
               q.raw_value as found, q.raw_value as value, q.message
        from quality.quarantine q left join (select patient_id, centre_patient_id from harmonised.patient) p using (patient_id)
        order by all"""
    ).df()
    rows.loc[rows["kind"].isin(ONE_CAUSE), "value"] = ""
    rows["question"] = [
        f"{m} {REFUSED.get(rule, REFUSED_OTHERWISE)} {REFUSED_ACCEPTED}"
        for m, rule in zip(rows["message"], rows["kind"], strict=True)
    ]
    return rows.drop(columns=["message"])


def _of_kind(con: duckdb.DuckDBPyConnection, kind: Kind, columns: pd.DataFrame) -> pd.DataFrame:
    """The questions of one declared kind, each with the column that would be corrected."""
    rows = con.execute(
        f"""with patient as ({_PATIENT}), caplacizumab_course as ({_COURSE})
        select r.centre_id, r.patient_id, r.centre_patient_id, r.source_file as file, r.source_sheet as sheet, r.source_row as row_number,
               {kind.found} as found, {kind.value or kind.found} as value
        from {kind.record} r {kind.joins} where {kind.where} order by all"""
    ).df()
    rows = rows.assign(category=kind.category, kind=kind.kind, question=kind.question)
    rows["column_name"] = [_column(con, row, kind, columns) for row in rows.itertuples()]
    return rows


def _of_file(columns: pd.DataFrame, centre_id: str, file: str, sheet: str) -> pd.DataFrame:
    """The fields of one file or sheet; files of earlier submissions are named with their folder."""
    here = columns[(columns["centre_id"] == centre_id) & (columns["sheet"] == sheet)]
    name = file.rsplit("/", 1)[-1]
    return here[[fnmatch.fnmatchcase(name, pattern) for pattern in here["pattern"]]]


def _column(con: duckdb.DuckDBPyConnection, row, kind: Kind, columns: pd.DataFrame) -> str:
    """The column that a field of this row is read from; of several, the one that is blank beside an end that is filled in; else none."""
    here = _of_file(columns, row.centre_id, row.file, row.sheet)
    here = here[here["record"] == kind.record]
    starts = here.loc[here["field"] == kind.field, "column_name"].unique()
    if len(starts) == 1 and "{k}" not in starts[0]:
        return starts[0]
    if kind.field != "start_date" or len(starts) == 0:
        return ""
    ends = here.loc[here["field"] == "end_date", "column_name"].unique()
    table = f'raw."{row.centre_id.lower()}__{here["spec_table"].iloc[0]}"'
    cells = (
        con.execute(f"select * from {table} where source_file = ? and source_row = ?", [row.file, row.row_number])
        .df()
        .iloc[0]
    )
    open_courses = [
        s for s, e in zip(starts, ends, strict=False) if not str(cells[s] or "").strip() and str(cells[e] or "").strip()
    ]
    return open_courses[0] if len(open_courses) == 1 else ""


def _query_id(row, columns: pd.DataFrame) -> str:
    """Hash of what makes the question this one; of the file its table in the spec, since its name may carry a date."""
    here = _of_file(columns, row.centre_id, row.file, row.sheet)
    table = here["spec_table"].iloc[0] if len(here) else row.file
    parts = [row.centre_id, row.category, row.kind, row.centre_patient_id, table, row.sheet, row.column_name, row.value]
    return "Q-" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def first_seen(
    derived: pd.DataFrame, columns: pd.DataFrame, spec: Spec, submissions: list[tuple[date, list[RawTable]]]
) -> dict[str, date]:
    """When each question of a centre could first be asked: the earliest submission that holds its row as it is now, in what the study reads.

    Args:
        derived: the centre's rows, as ``derive`` returns them.
        columns: as ``field_columns`` returns them.
        spec: the centre's spec.
        submissions: date and tables as sent, the oldest first, the current one last. A row of an earlier one is looked for from there back.
    """
    current = submissions[-1][0]
    seen = dict.fromkeys(derived["query_id"], current)
    contents: dict[tuple[date, str], tuple[list[int], list[tuple]]] = {}

    def rows_of(day: date, tables: list[RawTable], name: str) -> tuple[list[int], list[tuple]]:
        if (day, name) not in contents:
            raw = next((r for r in tables if r.name == name), None)
            used = [
                c
                for c in (raw.rows.column_names if raw else [])
                if c != "source_row" and c not in {*spec.tables[name].ignored, *spec.tables[name].free_text}
            ]
            cells = list(zip(*(raw.rows[c].to_pylist() for c in used), strict=True)) if raw else []
            contents[day, name] = (raw.rows["source_row"].to_pylist() if raw else []), cells
        return contents[day, name]

    for query in derived.itertuples() if len(submissions) > 1 else ():
        here = _of_file(columns, query.centre_id, query.file, query.sheet)
        if here.empty or pd.isna(query.row_number):
            continue
        name = here["spec_table"].iloc[0]
        folder = query.file.rpartition("/")[0]
        sent = date.fromisoformat(folder) if folder else current
        upto = [(day, tables) for day, tables in submissions if day <= sent]
        if not upto or upto[-1][0] != sent:
            continue
        numbers, cells = rows_of(*upto[-1], name)
        now = next((c for n, c in zip(numbers, cells, strict=True) if n == query.row_number), None)
        for day, tables in reversed(upto):
            if now is None or now not in rows_of(day, tables, name)[1]:
                break
            seen[query.query_id] = day
    return seen


def with_answers(
    derived: pd.DataFrame,
    answered: dict[str, list[Answered]],
    patients: pd.DataFrame,
    seen: dict[str, date],
    applied: frozenset[str] = frozenset(),
) -> pd.DataFrame:
    """The table ``quality.query``: what is asked now, and what was answered.

    Args:
        derived: as ``derive`` returns it.
        answered: centre -> its answered queries. One that the data no longer raise stays without what was found, unless its patient has left; one
            that names no patient, or a second one, is left out, since nothing says whose data it holds. One in ``applied`` stays as it was asked.
        patients: ``centre_id``, ``centre_patient_id``, ``patient_id`` of every patient of the current submissions.
        seen: query_id -> date of the first submission, for each derived query.
        applied: queries whose corrections are in force: the source still shows what they found.

    Returns:
        One row per question, ordered by centre, status (open first), category, kind, patient and place.
    """
    ids = {(p.centre_id, p.centre_patient_id): p.patient_id for p in patients.itertuples()}
    open_answer = {
        "status": "open",
        "answer": "",
        "corrected_value": "",
        "answered_by": "",
        "answered_on": None,
        "reason": "",
    }
    rows = {
        row["query_id"]: row | open_answer | {"first_seen": seen[row["query_id"]]} for row in derived.to_dict("records")
    }
    for centre_id, its_answers in answered.items():
        for a in its_answers:
            if a.status == "corrected" and a.query in rows:
                continue  # the correction is not in force (or did not help): asked again
            if a.patient and (centre_id, a.patient) not in ids:
                continue  # the patient has left
            if a.query not in rows and a.query not in applied:
                if a.category == "suspected_same_patient" or not a.patient:
                    continue  # it may be about a patient who has left
                a = a.model_copy(update={"found": ""})
            answer = {"accepted": "accepted as is", "corrected": "corrected"}[a.status]
            given = {
                "status": a.status,
                "answer": answer,
                "corrected_value": a.corrected,
                "answered_by": a.answered_by,
                "answered_on": a.answered_on,
                "reason": a.reason,
            }
            rows[a.query] = rows.get(a.query, _as_asked(centre_id, a, ids)) | given
    out = pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
    out["row_number"] = out["row_number"].astype("Int64")
    out["occurrences"] = out["occurrences"].astype("Int64")
    for column in DATES:
        out[column] = pd.to_datetime(out[column])
    order = out.assign(place=out["status"].map({"open": 0, "accepted": 1, "corrected": 2}))
    by = ["centre_id", "place", "category", "kind", "centre_patient_id", "file", "sheet", "row_number", "query_id"]
    return order.sort_values(by, kind="stable").drop(columns=["place"]).reset_index(drop=True)


def _as_asked(centre_id: str, a: Answered, ids: dict) -> dict:
    """An answered query that the data no longer raise."""
    first_row = int(a.rows.split(",")[0]) if a.rows else None
    return {
        "query_id": a.query, "centre_id": centre_id, "patient_id": ids.get((centre_id, a.patient)), "centre_patient_id": a.patient,
        "category": a.category, "kind": a.kind, "file": a.file, "sheet": a.sheet, "row_number": first_row, "row_numbers": a.rows,
        "occurrences": a.occurrences, "column_name": a.column, "found": a.found, "question": a.question, "first_seen": a.first_seen,
    }  # fmt: skip


def query_table(con: duckdb.DuckDBPyConnection, loads: list[GoodLoad], as_of: date | None = None) -> pd.DataFrame:
    """The table ``quality.query`` of a warehouse, with the answers that the loads were made with.

    Args:
        con: connection to a warehouse.
        loads: the centres' loads that the warehouse holds.
        as_of: date up to which submissions and answers count.
    """
    specs = {load.centre_id: load.spec for load in loads}
    columns = field_columns(list(specs.values()))
    derived = derive(con, columns)
    seen: dict[str, date] = {}
    for load in loads:
        its_queries = derived[derived["centre_id"] == load.centre_id]
        spec = specs[load.centre_id]
        seen |= first_seen(its_queries, columns, spec, _submissions(spec, load))
    patients = con.execute("select centre_id, centre_patient_id, patient_id from harmonised.patient").df()
    applied = frozenset(q for (q,) in con.execute("select query_id from quality.correction").fetchall())
    table = with_answers(
        derived, {load.centre_id: answers(load.folder, as_of) for load in loads}, patients, seen, applied
    )
    kept_nowhere = {
        (code, column) for code, spec in specs.items() for t in spec.tables.values() for column in withheld_columns(t)
    }
    withheld = pd.Series(
        [place in kept_nowhere for place in zip(table["centre_id"], table["column_name"], strict=True)], dtype=bool
    )
    table.loc[withheld & (table["corrected_value"] != ""), "corrected_value"] = "(withheld)"
    return table


def _submissions(spec: Spec, load: GoodLoad) -> list[tuple[date, list[RawTable]]]:
    """The submissions up to the load's that its spec can read, the oldest first; tables only where there are several and the load's own is still there."""
    sent = distinct_submissions(load.sent_to, load.submission) if load.sent_to.is_dir() else []
    days = [date.fromisoformat(submission.name) for submission in sent]
    read: list[tuple[date, list[RawTable]]] = []
    for day, submission in reversed(
        list(zip(days, sent, strict=True)) if len(sent) > 1 and days[-1] == load.submission else []
    ):
        try:
            read.insert(0, (day, read_submission(spec, submission)))
        except CentreRefused:
            break
    return read or [(load.submission, [])]
