"""Check a centre's current submission before it is loaded: signals, rows, how each field was read, refused values.

It is compared with the other centres' loads; where there is none, with their files. Nothing is written. No outcome is
derived: only the inputs of each are looked for (needs.yml).
What does not belong here: printing (capla_etl.commands.centre).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import fields as names_of
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import yaml

from capla_etl import fields, paths
from capla_etl.centres.harmonising.columns import Reading
from capla_etl.centres.spec.grammar import Spec, source_columns
from capla_etl.centres.submissions.judge import HarmonisedCentre, judged
from capla_etl.centres.submissions.status import SPEC
from capla_etl.centres.worker import read_apart
from capla_etl.protocol.wording import worded
from capla_etl.quality.monitoring.signal import Monitored
from capla_etl.quality.monitoring.submissions import look_at, to_remove

_READING = [field.name for field in names_of(Reading)]
#: The first rows of a refusal are named, the rest counted.
ROWS_NAMED = 10
#: Patients shown, and days of each.
PATIENTS_SHOWN, DAYS_SHOWN = 3, 40


@dataclass(frozen=True)
class Check:
    """What a check found.

    ``ledger``: a row per file or sheet. ``coverage``: table_name, field, read_from, filled, records, percent,
    other_centres_percent (median; null: not known). ``refused``: file, sheet, column_name, rule, message,
    values_refused, rows. ``readings``: table_name, field, file, sheet, column, how (unit, format, ...), filled,
    refused, samples (pairs of text as sent and value as read). ``notes``: file, sheet, note (hidden rows and the
    like). ``courses``: centre_patient_id, why, then the days. ``outcomes``: outcome, protocol, input,
    meaning, essential, patients_without, patients. ``monitored``: what central monitoring says.
    """

    centre_id: str
    submission: str
    patients: int
    ledger: pd.DataFrame
    coverage: pd.DataFrame
    refused: pd.DataFrame
    readings: pd.DataFrame
    notes: pd.DataFrame
    courses: pd.DataFrame
    outcomes: pd.DataFrame
    monitored: Monitored

    @property
    def status(self) -> str:
        """What becomes of the submission."""
        return "held back" if self.monitored.stops else "can be loaded"

    @property
    def not_judged(self) -> pd.DataFrame:
        """What monitoring could not judge: check, quantity, why."""
        left_out = self.monitored.looked_at.query("judged == 'no'")[["check_name", "quantity", "why_not"]]
        return left_out.set_axis(["check", "quantity", "why"], axis=1)

    @property
    def to_decide(self) -> int:
        """How many refused rows and values somebody must decide about."""
        return int(self.refused["values_refused"].sum())


@cache
def needs() -> dict:
    """What each outcome needs, as declared in needs.yml; parameters of the protocol in braces."""
    return yaml.safe_load(Path(__file__).with_name("needs.yml").read_text(encoding="utf-8"))


def check_centre(centre_id: str, say: Callable[[str], None] = lambda line: None) -> Check:
    """Read, harmonise and judge a centre's current submission, and say what it would bring.

    Args:
        centre_id: the centre's code.
        say: told which other centres must be read first to compare with, and which are left out.

    Raises:
        CentreRefused: it cannot be loaded; every problem is in the message.
        OSError: a file cannot be reached.
    """
    harmonised = read_apart(centre_id, judged, centre_id, True)
    monitored, declared = look_at(harmonised, say), harmonised.spec.confirmed
    con = duckdb.connect(config={"threads": 1})
    for name, table in harmonised.tables.items():
        if name.startswith("harmonised."):
            con.register(name.removeprefix("harmonised."), table)
    return Check(
        centre_id,
        harmonised.submission.isoformat(),
        harmonised.tables["harmonised.patient"].num_rows,
        harmonised.tables["quality.ledger"].to_pandas().drop(columns=["centre_id", "submission"]),
        _coverage(con, harmonised.spec, centre_id),
        _refused(harmonised),
        pd.DataFrame([asdict(reading) for reading in harmonised.readings], columns=_READING),
        pd.DataFrame(
            [*harmonised.notes, *_day_0(con), *((SPEC, "", said) for said in to_remove(monitored, declared))],
            columns=["file", "sheet", "note"],
        ),
        _courses(con),
        _gaps(con),
        monitored,
    )


# ------------------------------------------------------------------ coverage


def _read_from(spec: Spec) -> dict[tuple[str, str], list[str]]:
    """(harmonised table, field) -> columns or constants that it is read from."""
    found: dict[tuple[str, str], list[str]] = {}
    declared = fields.fields()
    for record in (record for table in spec.tables.values() for record in table.records):
        for name, source in record.fields.items():
            analyte = declared[name].analyte if name in declared and record.table == "lab_result" else None
            said = found.setdefault((record.table, f"value of {analyte}" if analyte else name), [])
            said += [s for s in source_columns(source) or [f"always {source.constant}"] if s not in said]
    return found


#: Columns that follow from another one, which is asked for.
_NOT_ASKED = ("adamts13_comparator", "comparator", "analyte", "death_month")


def _asked() -> list[tuple[str, str]]:
    """Every field of the study that a spec can declare."""
    asked = []
    for name, table in fields.tables().items():
        for column in (*table.withheld, *table.columns):
            if (name, column) == ("lab_result", "value"):
                asked += [(name, f"value of {analyte}") for analyte in fields.vocabularies()["analyte"]]
            elif column not in (*table.derived, *_NOT_ASKED) and not column.startswith("transferred_from"):
                asked.append((name, column))
    return asked


def _coverage(con: duckdb.DuckDBPyConnection, spec: Spec, centre_id: str) -> pd.DataFrame:
    read_from, others = _read_from(spec), _others(centre_id)
    rows = []
    for place in _asked():
        table, field = place
        filled, records = (None, None) if field in fields.tables()[table].withheld else _filled(con, table, field)
        percent = 100 * filled / records if records else None
        rows.append((*place, ", ".join(read_from.get(place, [])), filled, records, percent, others.get(place)))
    columns = ["table_name", "field", "read_from", "filled", "records", "percent", "other_centres_percent"]
    return pd.DataFrame(rows, columns=columns).astype({"filled": "Int64", "records": "Int64"})


def _filled(con: duckdb.DuckDBPyConnection, table: str, field: str, where: str = "true") -> tuple[int, int]:
    """In how many of how many records a field is known; for an analyte, how many patients have it."""
    if field.startswith("value of "):
        analyte, table = field.removeprefix("value of "), "patient"
        known = f"patient_id in (select patient_id from lab_result where analyte = '{analyte}')"
    elif field == "death_date":
        known = "coalesce(death_date, death_month) is not null"
    else:
        known = f'"{field}" ' + ("<> 'unknown'" if fields.fields()[field].type == "answer" else "is not null")
    of = "died = 'yes'" if field in ("death_date", "death_cause") else "true"
    counts = f"count(*) filter ({known}), count(*) filter ({of})"
    return con.execute(f"select {counts} from {table} where {where}").fetchone()


def _others(centre_id: str) -> dict[tuple[str, str], float]:
    """The median of the other centres in the published warehouse, if there is one."""
    if not paths.published_database().exists():
        return {}
    with duckdb.connect(str(paths.published_database().resolve()), read_only=True) as con:
        con.execute("use harmonised")
        centres = con.execute("select centre_id from submission where centre_id <> ?", [centre_id]).fetchall()
        found = {}
        for table, field in _asked():
            if field in fields.tables()[table].withheld:
                continue
            counts = [_filled(con, table, field, f"centre_id = '{c}'") for (c,) in centres]
            if shares := [100 * filled / records for filled, records in counts if records]:
                found[table, field] = float(pd.Series(shares).median())
        return found


# ------------------------------------------------------------------ refused values, courses, gaps


def _refused(harmonised: HarmonisedCentre) -> pd.DataFrame:
    """Refused rows and values by place and rule, with the first rows; never a value."""

    def first_rows(numbers: pd.Series) -> str:
        return ", ".join(map(str, sorted(set(numbers))[:ROWS_NAMED]))

    by = ["file", "sheet", "column_name", "rule", "message"]
    grouped = harmonised.tables["quality.quarantine"].to_pandas().groupby(by, dropna=False)["row_number"]
    table = grouped.agg(values_refused="size", rows=first_rows).reset_index()
    return table.sort_values("values_refused", ascending=False, kind="stable").reset_index(drop=True)


def _day_0(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Whether the stated first exchange is that of the exchanges sent as rows: day 0 depends on it."""
    stated, other = con.execute(
        """select count(*), count(*) filter (first_tpe_date <> first_session) from patient
        join (select patient_id, min(session_date) as first_session from tpe_session group by 1) using (patient_id)
        where first_tpe_date is not null"""
    ).fetchone()
    note = f"of {stated} patients, {other} have another day as stated first exchange than as first exchange sent."
    return [("day 0", "", note)] if other else []


def _chosen(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Choose three patients -> why: the most days with results, a death or adverse event, and a middle one."""
    days = con.execute(
        """select patient_id from patient left join lab_result using (patient_id)
        group by 1 order by count(distinct result_date) desc, 1"""
    ).fetchall()
    marked = "select patient_id from patient where died = 'yes' union select patient_id from adverse_event order by 1"
    order = [(*days[0], "most days with results")]
    order += [(p, "died, or had an adverse event") for (p,) in con.execute(marked).fetchall()]
    order += [(p, "a middle one by days with results") for (p,) in days[len(days) // 2 :]]
    chosen: dict[str, str] = {}
    for patient, why in order:
        if patient not in chosen and why not in chosen.values():
            chosen[patient] = why
    return dict(list(chosen.items())[:PATIENTS_SHOWN])


def _courses(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """What was sent of three patients, day by day: results in the study's units, exchanges, caplacizumab, events."""
    chosen = [(patient, why, place) for place, (patient, why) in enumerate(_chosen(con).items())]
    con.register("chosen", pd.DataFrame(chosen, columns=["patient_id", "why", "place"]))
    columns = {
        "platelets": "platelets_10e9_per_l",
        "ldh": "ldh_x_uln",
        "adamts13": "adamts13_percent",
        "tpe": "tpe_sessions",
        "caplacizumab": "on_caplacizumab",
    }
    said = ", ".join(
        f"string_agg(said, ' / ' order by said) filter (what = '{what}') as {column}"
        for what, column in columns.items()
    )
    return con.execute(
        f"""with day_0 as (
            select patient_id, coalesce(first_tpe_date, min(session_date)) as day_0
            from patient left join tpe_session using (patient_id) group by patient_id, first_tpe_date
        ), sampled as (
            select patient_id, result_date as date from lab_result
            union select patient_id, session_date from tpe_session
        ), dated as (
            select patient_id, result_date as date, analyte as what,
                coalesce(comparator, '') || regexp_replace(round(value, 2)::varchar, '[.]0$', '') as said from
                lab_result
            union all select patient_id, session_date, 'tpe', count(*)::varchar from tpe_session group by 1, 2
            union all select distinct s.patient_id, s.date, 'caplacizumab', 'yes' from sampled s join drug_course u
                using (patient_id) where drug = 'caplacizumab' and date between start_date and end_date
            union all select patient_id, start_date, 'events', drug || ' starts' from drug_course
            union all select patient_id, end_date, 'events', drug || ' ends' from drug_course
            union all select patient_id, event_date, 'events', concat(kind, ' (' || site || ')') from adverse_event
            union all select patient_id, death_date, 'events', 'died' from patient
            union all select patient_id, last_contact_date, 'events', 'last contact' from patient
        )
        select * exclude (place) from (
            select centre_patient_id, why, place, date_diff('day', day_0, date) as day, {said},
                string_agg(said, '; ' order by said) filter (what = 'events') as events
            from dated join chosen using (patient_id) join patient using (patient_id) join day_0 using (patient_id)
            where date is not null group by all
        )
        qualify row_number() over (partition by centre_patient_id order by day) <= {DAYS_SHOWN}
        order by place, day"""
    ).df()


def _gaps(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """For each outcome and input: how many patients lack it."""
    inputs = {}
    for name, declared in needs()["inputs"].items():
        known = f"count(*) filter (patient_id in ({worded(declared['patients'])}))"
        counts = con.execute(f"select count(*) - {known}, count(*) from patient").fetchone()
        inputs[name] = (worded(declared["meaning"]), *counts)
    rows = []
    for outcome, declared in needs()["outcomes"].items():
        needed = [(name, True) for name in declared["needs"]] + [(n, False) for n in declared.get("better_with", [])]
        for name, essential in needed:
            meaning, *counts = inputs[name]
            rows.append((worded(outcome), declared["protocol"], name, meaning, essential, *counts))
    columns = ["outcome", "protocol", "input", "meaning", "essential", "patients_without", "patients"]
    return pd.DataFrame(rows, columns=columns)
