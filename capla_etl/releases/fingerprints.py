"""What a state of the study was made from: every file that counts on a day, by its content.

Submissions, corrections and answers after that day do not count, nor do confirmations in a spec; specs and codebooks
are the current ones.
"""

import hashlib
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.files import place
from capla_etl.centres.harmonising.corrections import ANSWERS, CORRECTIONS, answers, corrections
from capla_etl.centres.reading.read import called, submissions
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.submissions.status import SPEC, centre_ids
from capla_etl.protocol.parameters import RULE_SET, parameter, parameters

#: Files beside the submissions that are known by name.
_OURS = (SPEC, CORRECTIONS, ANSWERS, "codebook.md")


def inputs_of(day: date) -> dict[str, dict[str, str]]:
    """Hash what counts on a day: centre -> what is read -> SHA-256.

    Submissions up to the day, specs, codebooks, corrections and answers in force.

    Args:
        day: the last day that counts.
    """
    found = {}
    for centre in centre_ids():
        folder = paths.data_raw() / centre
        if not submissions(folder, day):
            continue
        read = {
            name: path.read_bytes()
            for name, path in files_of(centre, day).items()
            if name not in (CORRECTIONS, ANSWERS)
        }
        in_force = [c for c in corrections(folder) if c.confirmed_on <= day] + answers(folder, day)
        if in_force:
            read["corrections and answers"] = "\n".join(entry.model_dump_json() for entry in in_force).encode()
        found[centre] = {name: hashlib.sha256(content).hexdigest() for name, content in read.items()}
    return found


def files_of(centre: str, day: date | None) -> dict[str, Path]:
    """The files of a centre up to a day: name in its folder -> file.

    A file that the spec does not declare has its place as its name, which may be a patient's.

    Raises:
        CentreRefused: the name of a folder looks like a date but is not valid.
    """
    folder = paths.data_raw() / centre
    try:
        spec = load_spec(folder / SPEC)
    except (CentreRefused, OSError):
        spec = None
    beside = {
        path.name if path.name in _OURS else place(path): path for path in sorted(folder.iterdir()) if path.is_file()
    }
    sent = [(s, path) for s in submissions(folder, day) for path in sorted(s.rglob("*")) if path.is_file()]
    return beside | {f"{s.name}/{called(spec, path) if spec else place(path)}": path for s, path in sent}


def last_day() -> date:
    """The latest day of anything that counts: submissions, corrections, answers, confirmations."""
    folders = [paths.data_raw() / centre for centre in centre_ids()]
    days = [date.fromisoformat(submissions(folder, paths.as_of())[-1].name) for folder in folders]
    days += [c.confirmed_on for folder in folders for c in corrections(folder)]
    days += [a.answered_on for folder in folders for a in answers(folder) if a.answered_on]
    days += [c.confirmed_on for folder in folders for c in load_spec(folder / SPEC).confirmed]
    return max(day for day in days if paths.as_of() is None or day <= paths.as_of())


#: What the numbers depend on: code, definitions, expectations, and the versions of every dependency.
_RUN = [
    "capla_etl",
    "dbt_project/models",
    "dbt_project/macros",
    "dbt_project/dbt_project.yml",
    "dbt_project/profiles.yml",
    "expectations",
    "requirements.lock",
]


_KINDS = {".py", ".sql", ".yml", ".lock", ".html", ".css", ".js", ".md"}


def code_digest() -> str:
    """SHA-256 over the names and contents of the files that a run uses."""
    digest = hashlib.sha256()
    for name in _RUN:
        root = paths.ROOT / name
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in _KINDS)
        for path in files:
            digest.update(path.relative_to(paths.ROOT).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


#: Schemas that the same inputs must reproduce byte for byte.
REPRODUCIBLE = ("marts", "outcomes", "study")


#: Rows that are in memory at a time.
_ROWS_AT_A_TIME = 50_000


def table_digests(con: duckdb.DuckDBPyConnection, schemas: tuple[str, ...] = REPRODUCIBLE) -> dict[str, str]:
    """Digest tables: ``schema.table`` -> SHA-256 over column names, types and every row as text, in stored order.

    Args:
        con: connection to a warehouse.
        schemas: the schemas to look at; their tables, no views.
    """
    tables = con.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name in (select unnest(?)) order by all",
        [list(schemas)],
    ).fetchall()
    digests = {}
    for schema, table in tables:
        relation = f'{schema}."{table}"'
        columns = con.execute(
            """select column_name || ' ' || data_type from duckdb_columns()
            where schema_name = ? and table_name = ? order by column_index""",
            [schema, table],
        )
        header = ", ".join(c for (c,) in columns.fetchall())
        digest, between = hashlib.sha256(header.encode()), b""
        rows = con.execute(f"select cast(t as varchar) from {relation} t order by rowid")
        while part := rows.fetchmany(_ROWS_AT_A_TIME):
            digest.update(between + "\n".join(text for (text,) in part).encode())
            between = b"\n"
        digests[f"{schema}.{table}"] = digest.hexdigest()
    return digests


def study_version(con: duckdb.DuckDBPyConnection, read: Iterable[str], compared_with: str | None) -> pd.DataFrame:
    """Name the state of the study in a warehouse, and say what it was made from.

    The name follows from content alone: the same inputs, code, parameters and release to compare with give it again, so
    that a study that is computed again has the same files, byte for byte. ``CAPLA_VERSION`` is set while a release is
    computed again: it gives the release's name.

    Args:
        con: connection to the warehouse.
        read: the tables (``schema.table``) that hold what was read from the centres.
        compared_with: name of the release that the report compares with.

    Returns:
        The row of ``study.version``.
    """
    cut_off = con.execute("select max(submission) from harmonised.submission").fetchone()[0]
    made_from = {
        "inputs_sha256": _sha256("\n".join(f"{table} {_content(con, table)}" for table in sorted(read))),
        "code_sha256": code_digest(),
        "parameters_sha256": _sha256("\n".join(f"{p.name} {p.value}" for p in parameters().values())),
        "rule_set": parameter(RULE_SET),
        "compared_with": compared_with,
    }
    name = f"{cut_off}-{_sha256(repr(made_from))[:10]}"
    row = {"version": os.environ.get("CAPLA_VERSION") or name, "data_cut_off": cut_off, **made_from}
    return pd.DataFrame([row]).astype({"compared_with": "string"})


def _content(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """SHA-256 over every row as text, in stored order."""
    rows = "string_agg(sha256(cast(t as varchar)), '' order by rowid)"
    return con.execute(f"select sha256(coalesce({rows}, '')) from {table} t").fetchone()[0]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
