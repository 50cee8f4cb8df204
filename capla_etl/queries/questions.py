"""Queries: every doubt about the data as a question to the centre that sent them. Its id survives resubmissions.

What is looked for, shown as found and asked is declared once, in ``kinds.yml``. Status and answers come from what the
centre answered (capla_etl.centres.harmonising.corrections). Nothing here changes data.

What does not belong here: the workbooks that centres answer in (workbook.py) and how corrections are applied
(centres/harmonising/corrections.py).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import yaml

from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.harmonising.corrections import Answered, answers
from capla_etl.centres.reading.read import RawTable, read_submission
from capla_etl.centres.reading.sent_files import fits, sent_in
from capla_etl.centres.spec.grammar import Spec, sheet_of, withheld_columns
from capla_etl.centres.submissions.history import distinct_submissions
from capla_etl.centres.submissions.status import Load
from capla_etl.centres.worker import read_apart
from capla_etl.protocol.wording import worded
from capla_etl.quality.monitoring.signal import Signal
from capla_etl.quality.monitoring.submissions import read_signals
from capla_etl.queries.answers import ACCEPTED, CORRECTED

#: We ask about reported and derived days of clinical response that are further apart than this.
RESPONSE_DAYS_APART = 2
#: Same sex and birth date, and first exchanges at most this many days apart: suspected to be the same patient.
SAME_PATIENT_DAYS_APART = 14
#: Row numbers that a query lists; the first of them is its ``row_number``.
LISTED_ROWS = 50

#: Columns of ``quality.query``.
COLUMNS = [
    *("query_id", "centre_id", "patient_id", "centre_patient_id", "category", "kind", "file", "sheet", "row_number"),
    *("row_numbers", "occurrences", "column_name", "found", "question", "status", "answer", "corrected_value"),
    *("answered_by", "answered_on", "reason", "first_seen"),
]
DATES = ("answered_on", "first_seen")
_ASKED = COLUMNS[: COLUMNS.index("status")]


@dataclass(frozen=True)
class Kind:
    """One kind of query, as ``kinds.yml`` explains; ``question`` ends with what "accepted as is" means."""

    category: str
    kind: str
    field: str
    where: str
    found: str
    question: str
    record: str = "patient"
    joins: str = ""
    value: str = ""


JOINS = {
    "sessions": """left join (select patient_id, min(session_date) as first_session from harmonised.tpe_session
        group by 1) s using (patient_id)""",
    "other_course": "join caplacizumab_course b using (patient_id)",
    "outcomes": """join marts.reported_outcome o using (patient_id)
        join outcomes.patient_outcome d using (patient_id)""",
    "assessed": """left join outcomes.refractory e on e.patient_id = r.patient_id
        and e.rule_set = (select rule_set from outcomes.rule_set where is_default = 'yes')""",
    "suspects": f"""join patient b on b.patient_id <> r.patient_id and b.sex = r.sex
        and b.birth_date_linkage = r.birth_date_linkage
        and abs(date_diff('day', b.day0_date, r.day0_date)) <= {SAME_PATIENT_DAYS_APART}
        and coalesce(r.transferred_from_patient_id, '') <> b.patient_id
        and coalesce(b.transferred_from_patient_id, '') <> r.patient_id""",
}


def _declared() -> dict:
    text = Path(__file__).with_name("kinds.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text.replace(":RESPONSE_DAYS_APART", str(RESPONSE_DAYS_APART)))


def _kinds(declared: dict) -> list[Kind]:
    means = declared.pop("accepted")
    kinds = []
    for category, group in declared.items():
        for name, kind in group["kinds"].items():
            accepted = means[kind.pop("accepted", group["accepted"])]
            asked = f"{kind.pop('question')} 'Accepted as is' means: {accepted}"
            joins = " ".join(JOINS[join] for join in kind.pop("joins", []))
            kinds.append(Kind(category, name, question=asked, joins=joins, **kind))
    return kinds


_DECLARED = _declared()
#: What is asked about a refused value: its questions by rule, and the rules that make one question a patient.
REFUSED = _DECLARED.pop("refused_value")
#: What is asked about a signal of central monitoring; it is about a column, not about one patient.
MONITORING = "monitoring"
SIGNAL = _DECLARED.pop(MONITORING)
KINDS = _kinds(_DECLARED)

_PATIENT = """select h.*, m.day0_date, m.age_years, m.presentation_adamts13_known from harmonised.patient h
    join (select patient_id, day0_date, age_years, presentation_adamts13_known from marts.patient) m
    using (patient_id)"""
_COURSE = """select c.*, p.day0_date from harmonised.drug_course c join patient p using (patient_id)
    where c.drug = 'caplacizumab'"""


def field_columns(specs: list[Spec]) -> pd.DataFrame:
    """Which column of which file a study field is read from.

    Returns:
        One row per centre, table of the spec, record and field: ``centre_id``, ``spec_table``, ``pattern`` (of the
        file's name), ``sheet``, ``record`` (harmonised table; caplacizumab_course for its courses), ``field``,
        ``column_name``; rows in the order of the spec.
    """
    rows = []
    for spec in specs:
        for name, table in spec.tables.items():
            sheet = sheet_of(table)
            for record in table.records:
                kind = record.table
                if kind == "drug_course" and record.fields["drug"].constant in (None, "caplacizumab"):
                    kind = "caplacizumab_course"
                rows += [
                    (spec.centre.id, name, table.file, sheet, kind, field, source.column)
                    for field, source in record.fields.items()
                    if source.column
                ]
    return pd.DataFrame(rows, columns=["centre_id", "spec_table", "pattern", "sheet", "record", "field", "column_name"])


def derive(con: duckdb.DuckDBPyConnection, columns: pd.DataFrame) -> pd.DataFrame:
    """Every question that the data of a warehouse raise now.

    Args:
        con: connection to a warehouse with schemas harmonised, marts, outcomes, quality (and raw, where a field has
            several columns).
        columns: as ``field_columns`` returns them.

    Returns:
        One row per question, the columns of ``quality.query`` up to ``question``, ordered; no status.
    """
    found = [
        frame
        for frame in (_refused(con), _signals(con), *(_of_kind(con, kind, columns) for kind in KINDS))
        if len(frame)
    ]
    if not found:
        return pd.DataFrame(columns=_ASKED)
    rows = pd.concat(found, ignore_index=True)
    texts = ["centre_patient_id", "file", "sheet", "column_name", "found", "value"]
    rows[texts] = rows[texts].astype(object).where(rows[texts].notna(), "")
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
    out["row_numbers"] = [
        ", ".join([str(n) for f, n in places[q] if f == file][:LISTED_ROWS])
        for q, file in zip(out["query_id"], out["file"], strict=True)
    ]
    several = out["kind"].isin(REFUSED["one_question_a_patient"]) & (out["occurrences"] > 1)
    counts = out.loc[several, "occurrences"].astype(str)
    out.loc[several, "found"] = counts + " rows, the first: " + out.loc[several, "found"]
    out["patient_id"] = out["patient_id"].astype(object).where(out["patient_id"].notna(), None)
    out["row_number"] = out["row_number"].astype("Int64")
    return out[_ASKED]


def _refused(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Refused values and rows; equal ones of a patient and column are one question."""
    rows = con.execute(
        """select q.centre_id, q.patient_id, p.centre_patient_id, 'refused_value' as category, q.rule as kind, q.file,
               q.sheet, q.row_number, q.column_name, q.raw_value as found, q.raw_value as value, q.message
        from quality.quarantine q
        left join (select patient_id, centre_patient_id from harmonised.patient) p using (patient_id)
        order by all"""
    ).df()
    rows.loc[rows["kind"].isin(REFUSED["one_question_a_patient"]), "value"] = ""
    again = rows["kind"].isin(REFUSED["one_question_of_all"]) & rows.duplicated(["patient_id", "kind"])
    rows = rows[~again].reset_index(drop=True)
    rows["question"] = [
        f"{message} {REFUSED['questions'].get(rule, REFUSED['otherwise'])} {REFUSED['accepted']}"
        for message, rule in zip(rows.pop("message"), rows["kind"], strict=True)
    ]
    return rows


def _signals(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The open signals of central monitoring, one row per row of the file that shows them.

    No single cell can be corrected, so no column is given; the words name it.
    """
    submissions = dict(con.execute("select signal_id, submission from quality.signal").fetchall())
    rows = [
        {
            "centre_id": signal.centre_id,
            "category": MONITORING,
            "kind": signal.check_name,
            "file": signal.file,
            "sheet": signal.sheet,
            "row_number": row,
            "found": signal.found,
            "value": signal.signal_id,
            "question": f"Submission of {submissions[signal.signal_id]}: {signal.in_words}{_who(signal)} "
            f"{SIGNAL['question']} {SIGNAL['accepted']}",
        }
        for signal in read_signals(con)
        if signal.status == "open"
        for row in signal.rows or [None]
    ]
    columns = ["centre_id", "patient_id", "centre_patient_id", "category", "kind", "file", "sheet", "row_number"]
    return pd.DataFrame(rows, columns=[*columns, "column_name", "found", "value", "question"])


def _who(signal: Signal) -> str:
    """The patients who show it, where no rows are named."""
    return f" Patients: {', '.join(signal.patient_numbers)}." if signal.patient_numbers and not signal.rows else ""


def _of_kind(con: duckdb.DuckDBPyConnection, kind: Kind, columns: pd.DataFrame) -> pd.DataFrame:
    """The questions of one declared kind, each with the column that would be corrected."""
    rows = con.execute(
        f"""with patient as ({_PATIENT}), caplacizumab_course as ({_COURSE})
        select r.centre_id, r.patient_id, r.centre_patient_id, r.source_file as file, r.source_sheet as sheet,
               r.source_row as row_number, {worded(kind.found)} as found, {kind.value or worded(kind.found)} as value
        from {kind.record} r {kind.joins} where {kind.where} order by all"""
    ).df()
    rows = rows.assign(category=kind.category, kind=kind.kind, question=worded(kind.question))
    rows["column_name"] = [_column(con, row, kind, columns) for row in rows.itertuples()]
    return rows


def _of_file(columns: pd.DataFrame, centre_id: str, file: str, sheet: str) -> pd.DataFrame:
    """The fields of one file or sheet; files of earlier submissions are named with their folder."""
    here = columns[(columns["centre_id"] == centre_id) & (columns["sheet"] == sheet)]
    name = sent_in(file)[1]
    return here[[fits(name, pattern) for pattern in here["pattern"]]]


def _column(con: duckdb.DuckDBPyConnection, row, kind: Kind, columns: pd.DataFrame) -> str:
    """The column that a field of this row is read from.

    Of several start columns, the only blank one whose end column is filled in; empty where no single column is meant.
    """
    here = _of_file(columns, row.centre_id, row.file, row.sheet)
    here = here[here["record"] == kind.record]
    starts, ends = (here.loc[here["field"] == field, "column_name"].unique() for field in (kind.field, "end_date"))
    if len(starts) == 1 and "{k}" not in starts[0]:
        return starts[0]
    if kind.field != "start_date" or len(starts) == 0:
        return ""
    table = f'raw."{row.centre_id.lower()}__{here["spec_table"].iloc[0]}"'
    place = f"select * from {table} where source_file = ? and source_row = ?"
    cells = con.execute(place, [row.file, row.row_number]).df().iloc[0]
    blank = {column for column in (*starts, *ends) if not str(cells[column] or "").strip()}
    open_courses = [s for s, e in zip(starts, ends, strict=False) if s in blank and e not in blank]
    return open_courses[0] if len(open_courses) == 1 else ""


def _query_id(row, columns: pd.DataFrame) -> str:
    """Hash of what identifies the question; the file enters as its table in the spec, as its name may carry a date."""
    if row.category == MONITORING:  # wherever the signal is seen
        return _hashed([row.centre_id, row.category, row.value])
    here = _of_file(columns, row.centre_id, row.file, row.sheet)
    table = here["spec_table"].iloc[0] if len(here) else row.file
    parts = [row.centre_id, row.category, row.kind, row.centre_patient_id, table, row.sheet, row.column_name, row.value]
    return _hashed(parts)


def _hashed(parts: list[str]) -> str:
    return "Q-" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def first_seen(
    derived: pd.DataFrame, columns: pd.DataFrame, spec: Spec, submissions: list[tuple[date, list[RawTable]]]
) -> dict[str, date]:
    """When each question of a centre could first be asked: the earliest submission with its row as it is now.

    Only the columns that the study reads are compared.

    Args:
        derived: the centre's rows, as ``derive`` returns them.
        columns: as ``field_columns`` returns them.
        spec: the centre's spec.
        submissions: date and tables as sent, the oldest first, the current one last. A row of an earlier submission is
            looked for from there back.
    """
    current = submissions[-1][0]
    seen = dict.fromkeys(derived["query_id"], current)
    contents: dict[tuple[date, str], tuple[list[int], list[tuple]]] = {}

    def rows_of(day: date, tables: list[RawTable], name: str) -> tuple[list[int], list[tuple]]:
        if (day, name) not in contents:
            contents[day, name] = [], []
            unused = {"source_row", *spec.tables[name].ignored, *spec.tables[name].free_text}
            for raw in [table for table in tables if table.name == name][:1]:
                cells = (raw.rows[c].to_pylist() for c in raw.rows.column_names if c not in unused)
                contents[day, name] = raw.rows["source_row"].to_pylist(), list(zip(*cells, strict=True))
        return contents[day, name]

    for query in derived.itertuples() if len(submissions) > 1 else ():
        here = _of_file(columns, query.centre_id, query.file, query.sheet)
        if here.empty or pd.isna(query.row_number):
            continue
        name = here["spec_table"].iloc[0]
        folder = sent_in(query.file)[0]
        sent = date.fromisoformat(folder) if folder else current
        upto = [(day, tables) for day, tables in submissions if day <= sent]
        if not upto or upto[-1][0] != sent:
            continue
        now = next((c for n, c in zip(*rows_of(*upto[-1], name), strict=True) if n == query.row_number), None)
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

    An answered query that the data no longer raise stays without what was found. It is left out if its patient has
    left, or if it names no patient, or a second one, since nothing says whose data it holds.

    Args:
        derived: as ``derive`` returns it.
        answered: centre -> its answered queries.
        patients: ``centre_id``, ``centre_patient_id``, ``patient_id`` of every patient of the current submissions.
        seen: query_id -> date of the first submission, for each derived query.
        applied: queries whose corrections are in force; they stay as asked: the source still shows what they found.

    Returns:
        One row per question, ordered by centre, status (open first), category, kind, patient and place.
    """
    ids = {(p.centre_id, p.centre_patient_id): p.patient_id for p in patients.itertuples()}
    nothing = dict.fromkeys(("answer", "corrected_value", "answered_by", "reason"), "")
    rows = {
        row["query_id"]: row | nothing | {"status": "open", "answered_on": None, "first_seen": seen[row["query_id"]]}
        for row in derived.to_dict("records")
    }
    for centre_id, a in ((centre_id, a) for centre_id, given in answered.items() for a in given):
        if a.status == "corrected" and a.query in rows:
            continue  # the correction is not in force (or did not help): asked again
        if a.category == MONITORING and a.query in rows and a.found != rows[a.query]["found"]:
            continue  # the finding has changed: asked again
        if a.patient and (centre_id, a.patient) not in ids:
            continue  # the patient has left
        if a.query not in rows and a.query not in applied:
            if a.category == "suspected_same_patient" or not a.patient:
                continue  # it may be about a patient who has left
            a = a.model_copy(update={"found": ""})
        rows[a.query] = rows.get(a.query, _as_asked(centre_id, a, ids)) | {
            "status": a.status,
            "answer": {"accepted": ACCEPTED, "corrected": CORRECTED}[a.status],
            "corrected_value": a.corrected,
            "answered_by": a.answered_by,
            "answered_on": a.answered_on,
            "reason": a.reason,
        }
    out = pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
    out = out.astype({"row_number": "Int64", "occurrences": "Int64"})
    for column in DATES:
        out[column] = pd.to_datetime(out[column])
    order = out.assign(place=out["status"].map({"open": 0, "accepted": 1, "corrected": 2}))
    by = ["centre_id", "place", "category", "kind", "centre_patient_id", "file", "sheet", "row_number", "query_id"]
    return order.sort_values(by, kind="stable").drop(columns=["place"]).reset_index(drop=True)


def _as_asked(centre_id: str, a: Answered, ids: dict) -> dict:
    """An answered query that the data no longer raise."""
    same = ("category", "kind", "file", "sheet", "occurrences", "found", "question", "first_seen")
    return {name: getattr(a, name) for name in same} | {
        "query_id": a.query,
        "centre_id": centre_id,
        "patient_id": ids.get((centre_id, a.patient)),
        "centre_patient_id": a.patient,
        "row_number": int(a.rows.split(",")[0]) if a.rows else None,
        "row_numbers": a.rows,
        "column_name": a.column,
    }


def query_table(
    con: duckdb.DuckDBPyConnection, loads: list[Load], as_of: date | None = None, held_back: Sequence[Load] = ()
) -> pd.DataFrame:
    """The table ``quality.query`` of a warehouse, with the answers that the loads were made with.

    Args:
        con: connection to a warehouse.
        loads: the centres' loads that the warehouse holds.
        as_of: date up to which submissions and answers count.
        held_back: newer loads that are held back; only their signals are asked about.
    """
    in_study = {load.centre_id for load in loads}
    loads = [*loads, *(load for load in held_back if load.centre_id not in in_study)]
    columns = field_columns([load.spec for load in loads])
    derived = derive(con, columns)
    seen: dict[str, date] = {}
    for load in loads:
        its_queries = derived[derived["centre_id"] == load.centre_id]
        seen |= first_seen(its_queries, columns, load.spec, _submissions(load))
    patients = con.execute("select centre_id, centre_patient_id, patient_id from harmonised.patient").df()
    applied = frozenset(q for (q,) in con.execute("select query_id from quality.correction").fetchall())
    answered = {load.centre_id: answers(load.folder, as_of) for load in [*loads, *held_back]}
    table = with_answers(derived, answered, patients, seen, applied)
    kept_nowhere = {
        (load.centre_id, column) for load in loads for t in load.spec.tables.values() for column in withheld_columns(t)
    }
    places = zip(table["centre_id"], table["column_name"], strict=True)
    withheld = pd.Series([place in kept_nowhere for place in places], dtype=bool)
    table.loc[withheld & (table["corrected_value"] != ""), "corrected_value"] = "(withheld)"
    return table


def _submissions(load: Load) -> list[tuple[date, list[RawTable]]]:
    """The submissions up to the load's own that its spec can read, the oldest first.

    Tables are read only where there are several submissions and the load's own still exists.
    """
    sent = distinct_submissions(load.sent_to, load.submission) if load.sent_to.is_dir() else []
    days = [date.fromisoformat(submission.name) for submission in sent]
    read: list[tuple[date, list[RawTable]]] = []
    if len(sent) > 1 and days[-1] == load.submission:
        for day, submission in zip(reversed(days), reversed(sent), strict=True):
            try:
                read.insert(0, (day, read_apart(load.centre_id, read_submission, load.spec, submission)))
            except CentreRefused:
                break
    return read or [(load.submission, [])]
