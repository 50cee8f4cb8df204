"""Find a patient by centre and number, or a printed number by its name; an unknown name is answered with close ones."""

from __future__ import annotations

import difflib

import duckdb


class NotFound(Exception):
    """The name is unknown; the message lists names that are close to it."""


def closest(name: str, known: list[str], number: int = 5) -> list[str]:
    """The known names that are spelled most like this one, ignoring case, best first."""
    by_lower = {k.lower(): k for k in known}
    return [by_lower[k] for k in difflib.get_close_matches(name.lower(), list(by_lower), n=number, cutoff=0.4)]


def find_patient(connection: duckdb.DuckDBPyConnection, centre: str, number: str) -> str:
    """The patient_id of a centre's patient.

    Raises:
        NotFound: no such centre, or it sent no patient with this number.
    """
    centres = [c for (c,) in connection.execute("select distinct centre_id from marts.patient order by 1").fetchall()]
    centre_id = next((c for c in centres if c.lower() == centre.lower()), None)
    if centre_id is None:
        raise NotFound(f"No centre {centre!r}. Centres: {', '.join(centres)}.")
    sent = "select centre_patient_id, patient_id from marts.patient where centre_id = ? order by 1"
    patients = dict(connection.execute(sent, [centre_id]).fetchall())
    found = next((n for n in patients if n.lower() == number.lower()), None)
    if found is None:
        near = closest(number, list(patients))
        raise NotFound(
            f"No patient {number!r} in the current data of {centre_id}, which has {len(patients)} patients."
            + (f" Closest: {', '.join(near)}." if near else "")
        )
    return patients[found]


def find_rule_set(connection: duckdb.DuckDBPyConnection, name: str | None) -> str:
    """The rule set of this name; without a name, the default one.

    Raises:
        NotFound: no such rule set.
    """
    rule_sets = dict(connection.execute("select rule_set, is_default from outcomes.rule_set order by 1").fetchall())
    if name is None:
        return next(r for r, default in rule_sets.items() if default == "yes")
    if name not in rule_sets:
        raise NotFound(f"No rule set {name!r}. Rule sets: {', '.join(rule_sets)}.")
    return name


def find_result(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[str, str, str]:
    """(table_id, row, group) of a printed number named TABLE.ROW.GROUP.

    Raises:
        NotFound: no number of this name.
    """
    printed = 'select distinct table_id, "row", "group" from study.result order by all'
    names = {".".join(parts): parts for parts in connection.execute(printed).fetchall()}
    if name in names:
        return names[name]
    near = closest(name, list(names), 8)
    tables = dict.fromkeys(parts[0] for parts in names.values())
    known = f"Closest: {', '.join(near)}." if near else f"Tables: {', '.join(tables)}."
    raise NotFound(f"No printed number {name!r}; a number is named TABLE.ROW.GROUP. {known}")
