"""The courses of all patients as the report's search needs them: compact, and for the study group only.

It shows what the marts hold; nothing is derived here. The protected profile leaves it out.
"""

from collections import defaultdict

import pandas as pd


def courses(
    patient: pd.DataFrame,
    daily_series: pd.DataFrame,
    drug_course: pd.DataFrame,
    event: pd.DataFrame,
    thresholds: dict[str, float],
) -> dict:
    """Everything that the search shows.

    Args:
        patient: ``marts.patient``.
        daily_series: ``marts.daily_series``.
        drug_course: ``marts.drug_course``.
        event: rows of ``marts.event`` of one rule set.
        thresholds: ``platelets``, ``ldh`` (numbers) and ``adamts13`` (list), drawn as dashed lines.

    Returns:
        ``thresholds``, and ``patients`` in the order of centre and number. ``days``: by day
        "day,platelets,LDH,ADAMTS13,exchanges", joined by ";", exchanges empty for none and "?" for not known.
        ``capla``: [start, end] of each course, end null where not recorded. ``events``: [outcome, day, status,
        evidence].
    """
    days = _days(daily_series.sort_values("day", kind="stable"))
    capla = drug_course[(drug_course["drug"] == "caplacizumab") & drug_course["start_day"].notna()].sort_values(
        ["start_day", "course_number"]
    )
    of_drug, of_event = defaultdict(list), defaultdict(list)
    for r in capla.itertuples():
        of_drug[r.patient_id].append([int(r.start_day), _int(r.end_day)])
    for r in event.sort_values(["day", "event_type"], na_position="last", kind="stable").itertuples():
        of_event[r.patient_id].append([r.event_type.replace("_", " "), _int(r.day), r.status, _text(r.evidence)])
    listed = [
        {
            "id": p.patient_id,
            "centre": p.centre_id,
            "number": p.centre_patient_id,
            "group": p.treatment_group if isinstance(p.treatment_group, str) else "no group",
            "eligible": bool(p.eligible),
            "reason": "" if p.eligible else str(p.exclusion_reason).replace("_", " "),
            "last": _int(p.last_seen_day),
            "died": p.died,
            "death": _int(p.death_day),
            "days": days.get(p.patient_id, ""),
            "capla": of_drug.get(p.patient_id, []),
            "events": of_event.get(p.patient_id, []),
        }
        for p in patient.sort_values(["centre_id", "centre_patient_id"]).itertuples()
    ]
    return {"thresholds": thresholds, "patients": listed}


def _int(value) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def _text(value) -> str:
    return value if isinstance(value, str) else ""


def _number(value) -> str:
    return "" if pd.isna(value) else f"{value:.4g}"


_DAY = (
    "patient_id",
    "day",
    "platelets_10e9_per_l",
    "ldh_x_uln",
    "adamts13_comparator",
    "adamts13_percent",
    "tpe_sessions",
)


def _days(series: pd.DataFrame) -> dict[str, str]:
    """Every patient's days in order; one pass over all rows, since there are many."""
    found = defaultdict(list)
    columns = (series[column].tolist() for column in _DAY)
    for patient, day, platelets, ldh, sign, activity, sessions in zip(*columns, strict=True):
        measured = _number(activity)
        activity_text = _text(sign) + measured if measured else ""
        given = "?" if pd.isna(sessions) else str(int(sessions) or "")
        found[patient].append(f"{int(day)},{_number(platelets)},{_number(ldh)},{activity_text},{given}")
    return {patient: ";".join(rows) for patient, rows in found.items()}
