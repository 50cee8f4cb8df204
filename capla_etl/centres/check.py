"""What a centre's current submission would bring, before anything of it is loaded: rows, coverage of the study's fields, refused values, courses, gaps.

Nothing is written. No outcome is derived here: for each, only what it needs is looked for (needs.yml).
What does not belong here: printing (capla_etl.commands.centre).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import yaml

from capla_etl import fields as study
from capla_etl import paths
from capla_etl.centres.spec.grammar import Spec, source_columns
from capla_etl.centres.submissions.judge import HarmonisedCentre, harmonise

#: So many rows of a refusal are named, the rest counted.
ROWS_NAMED = 10
#: So many patients and days of each are shown.
PATIENTS_SHOWN, DAYS_SHOWN = 3, 40


@dataclass(frozen=True)
class Check:
    """What a check found.

    ``ledger``: a row per file or sheet. ``coverage``: table_name, field, read_from, filled, records, percent, other_centres_percent (median; null: not known).
    ``refused``: file, sheet, column_name, rule, message, values_refused, rows. ``courses``: centre_patient_id, why, then the days.
    ``outcomes``: outcome, protocol, input, meaning, essential, patients_without, patients.
    """

    centre_id: str
    submission: str
    patients: int
    ledger: pd.DataFrame
    coverage: pd.DataFrame
    refused: pd.DataFrame
    courses: pd.DataFrame
    outcomes: pd.DataFrame


@cache
def needs() -> dict:
    """What each outcome needs, as declared in needs.yml."""
    return yaml.safe_load(Path(__file__).with_name("needs.yml").read_text(encoding="utf-8"))


def check_centre(centre_id: str) -> Check:
    """Read, harmonise and judge a centre's current submission and say what it would bring.

    Raises:
        CentreRefused: it cannot be loaded as it is; every problem is in the message.
        OSError: a file cannot be reached.
    """
    harmonised = harmonise(centre_id)
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
        _courses(con),
        _gaps(con),
    )


# ------------------------------------------------------------------ coverage


def _read_from(spec: Spec) -> dict[tuple[str, str], list[str]]:
    """(harmonised table, field) -> columns or constants that it is read from."""
    found: dict[tuple[str, str], list[str]] = {}
    declared = study.fields()
    for table in spec.tables.values():
        for record in table.records:
            for name, source in record.fields.items():
                analyte = declared[name].analyte if name in declared and record.table == "lab_result" else None
                field = f"value of {analyte}" if analyte else name
                said = source_columns(source) or [f"always {source.constant}"]
                found.setdefault((record.table, field), []).extend(
                    s for s in said if s not in found.get((record.table, field), [])
                )
    return found


def _asked() -> list[tuple[str, str]]:
    """Every field of the study that a spec can declare."""
    analytes = study.vocabularies()["analyte"]
    asked = []
    for name, table in study.tables().items():
        own = [
            c
            for c in (*table.withheld, *table.columns)
            if c not in table.derived
            and not c.startswith("transferred_from")
            and c not in ("adamts13_comparator", "comparator", "analyte", "death_month")
        ]
        for column in own:
            asked += (
                [(name, f"value of {analyte}") for analyte in analytes]
                if (name, column) == ("lab_result", "value")
                else [(name, column)]
            )
    return asked


def _coverage(con: duckdb.DuckDBPyConnection, spec: Spec, centre_id: str) -> pd.DataFrame:
    read_from, others = _read_from(spec), _others(centre_id)
    rows = []
    for table, field in _asked():
        filled, records = _filled(con, table, field) if field not in study.tables()[table].withheld else (None, None)
        percent = 100 * filled / records if records else None
        rows.append(
            (
                table,
                field,
                ", ".join(read_from.get((table, field), [])),
                filled,
                records,
                percent,
                others.get((table, field)),
            )
        )
    return pd.DataFrame(
        rows, columns=["table_name", "field", "read_from", "filled", "records", "percent", "other_centres_percent"]
    ).astype({"filled": "Int64", "records": "Int64"})


def _filled(con: duckdb.DuckDBPyConnection, table: str, field: str, where: str = "true") -> tuple[int, int]:
    """In how many of how many records a field is known; of an analyte, how many patients have it."""
    if field.startswith("value of "):
        having = f"select count(distinct patient_id) from lab_result where analyte = '{field.removeprefix('value of ')}' and {where}"
        return con.execute(having).fetchone()[0], con.execute(f"select count(*) from patient where {where}").fetchone()[
            0
        ]
    known = "<> 'unknown'" if study.fields()[field].type == "answer" else "is not null"
    if field == "death_date":
        return con.execute(
            f"select count(*) filter (coalesce(death_date, death_month) is not null), count(*) filter (died = 'yes') from {table} where {where}"
        ).fetchone()
    if field == "death_cause":
        return con.execute(
            f"select count(*) filter (death_cause is not null), count(*) filter (died = 'yes') from {table} where {where}"
        ).fetchone()
    return con.execute(f'select count(*) filter ("{field}" {known}), count(*) from {table} where {where}').fetchone()


def _others(centre_id: str) -> dict[tuple[str, str], float]:
    """The median of the other centres in the published warehouse, where there is one."""
    if not paths.published_database().exists():
        return {}
    with duckdb.connect(str(paths.published_database()), read_only=True) as con:
        con.execute("use harmonised")
        centres = [
            c
            for (c,) in con.execute(
                "select centre_id from submission where centre_id <> ? order by 1", [centre_id]
            ).fetchall()
        ]
        found = {}
        for table, field in _asked():
            if field in study.tables()[table].withheld:
                continue
            shares = [
                100 * filled / records
                for c in centres
                for filled, records in [_filled(con, table, field, f"centre_id = '{c}'")]
                if records
            ]
            if shares:
                found[table, field] = float(pd.Series(shares).median())
        return found


# ------------------------------------------------------------------ refused values, courses, gaps


def _refused(harmonised: HarmonisedCentre) -> pd.DataFrame:
    """Refused rows and values by place and rule, with the first rows; never a value."""
    frame = harmonised.tables["quality.quarantine"].to_pandas()
    by = ["file", "sheet", "column_name", "rule", "message"]
    grouped = frame.groupby(by, dropna=False)["row_number"]
    table = grouped.agg(
        values_refused="size", rows=lambda numbers: ", ".join(str(n) for n in sorted(set(numbers))[:ROWS_NAMED])
    ).reset_index()
    return table.sort_values("values_refused", ascending=False, kind="stable").reset_index(drop=True)


def _chosen(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Three patients worth looking at -> why: the most days with results, one who died or had an event, one in the middle."""
    days = con.execute(
        "select p.patient_id, count(distinct l.result_date) as days from patient p left join lab_result l using (patient_id) group by 1 order by days desc, 1"
    ).fetchall()
    marked = con.execute(
        "select patient_id from patient where died = 'yes' union select patient_id from adverse_event order by 1"
    ).fetchall()
    order = [(days[0][0], "most days with results")]
    order += [(p, "died, or had an adverse event") for (p,) in marked]
    order += [(p, "a middle one by days with results") for p, _ in days[len(days) // 2 :]]
    chosen: dict[str, str] = {}
    for patient, why in order:
        if patient not in chosen and why not in chosen.values():
            chosen[patient] = why
    return dict(list(chosen.items())[:PATIENTS_SHOWN])


def _courses(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Day by day what was sent of three patients: results in the study's units, exchanges, caplacizumab, events. No outcome."""
    chosen = _chosen(con)
    con.register(
        "chosen", pd.DataFrame({"patient_id": list(chosen), "why": list(chosen.values()), "place": range(len(chosen))})
    )
    return con.execute(
        f"""with day_0 as (
            select p.patient_id, coalesce(p.first_tpe_date, min(s.session_date)) as day_0 from patient p left join tpe_session s using (patient_id) group by p.patient_id, p.first_tpe_date
        ), sampled as (
            select distinct patient_id, result_date as date from lab_result union select distinct patient_id, session_date from tpe_session
        ), dated as (
            select patient_id, result_date as date, analyte as what, coalesce(comparator, '') || regexp_replace(round(value, 2)::varchar, '[.]0$', '') as said from lab_result
            union all select patient_id, session_date, 'tpe', count(*)::varchar from tpe_session group by 1, 2
            union all select distinct s.patient_id, s.date, 'caplacizumab', 'yes' from sampled s join drug_course u
                on u.patient_id = s.patient_id and u.drug = 'caplacizumab' and s.date between u.start_date and u.end_date
            union all select patient_id, start_date, 'events', drug || ' starts' from drug_course where start_date is not null
            union all select patient_id, end_date, 'events', drug || ' ends' from drug_course where end_date is not null
            union all select patient_id, event_date, 'events', kind || coalesce(' (' || site || ')', '') from adverse_event where event_date is not null
            union all select patient_id, death_date, 'events', 'died' from patient where death_date is not null
            union all select patient_id, last_contact_date, 'events', 'last contact' from patient where last_contact_date is not null
        )
        select * exclude (place) from (
        select p.centre_patient_id, c.why, c.place, date_diff('day', z.day_0, d.date) as day,
               string_agg(said, ' / ' order by said) filter (what = 'platelets') as platelets_10e9_per_l,
               string_agg(said, ' / ' order by said) filter (what = 'ldh') as ldh_x_uln,
               string_agg(said, ' / ' order by said) filter (what = 'adamts13') as adamts13_percent,
               string_agg(said, ' / ' order by said) filter (what = 'tpe') as tpe_sessions,
               string_agg(said, ' / ') filter (what = 'caplacizumab') as on_caplacizumab,
               string_agg(said, '; ' order by said) filter (what = 'events') as events
        from dated d join chosen c using (patient_id) join patient p using (patient_id) join day_0 z using (patient_id)
        group by all
        )
        qualify row_number() over (partition by centre_patient_id order by day) <= {DAYS_SHOWN}
        order by place, day"""
    ).df()


def _gaps(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """For each outcome and input: how many patients lack it."""
    patients = con.execute("select count(*) from patient").fetchone()[0]
    without = {
        name: patients
        - con.execute(f"select count(*) from patient where patient_id in ({declared['patients']})").fetchone()[0]
        for name, declared in needs()["inputs"].items()
    }
    rows = [
        (outcome, declared["protocol"], name, needs()["inputs"][name]["meaning"], essential, without[name], patients)
        for outcome, declared in needs()["outcomes"].items()
        for essential, names in ((True, declared["needs"]), (False, declared.get("better_with", [])))
        for name in names
    ]
    return pd.DataFrame(
        rows, columns=["outcome", "protocol", "input", "meaning", "essential", "patients_without", "patients"]
    )
