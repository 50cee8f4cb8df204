"""What the figure of one patient's course shows. Drawing is in ``capla_etl.report.figures.course``."""

from __future__ import annotations

import duckdb

from capla_etl.explain.decisions import records
from capla_etl.protocol.parameters import parameter
from capla_etl.report.figures.course import Course

_PATIENT = "select centre_id, centre_patient_id, last_seen_day, death_day from marts.patient where patient_id = ?"
_SERIES = "select * from marts.daily_series where patient_id = ? order by day"
_DRUGS = """
select drug, start_day, end_day from marts.drug_course
where patient_id = ? and coalesce(end_day, start_day, 0) >= 0 order by all
"""
_EVENTS = """
select event_type, day, status from marts.event
where patient_id = ? and rule_set = ? and day is not null and (event_type <> 'refractory' or status = 'yes')
order by day, event_type
"""


def read_course(connection: duckdb.DuckDBPyConnection, patient_id: str, rule_set: str) -> Course:
    """The daily series, drugs and derived events of one patient under a rule set.

    A patient without a day 0 has an empty series.
    """
    patient = records(connection, _PATIENT, [patient_id])[0]
    return Course(
        title=f"{patient['centre_id']} {patient['centre_patient_id']}, rule set {rule_set}",
        daily_series=connection.execute(_SERIES, [patient_id]).df(),
        drug_course=connection.execute(_DRUGS, [patient_id]).df(),
        event=connection.execute(_EVENTS, [patient_id, rule_set]).df(),
        last_seen_day=patient["last_seen_day"],
        died=patient["death_day"] is not None,
        platelet_threshold=parameter("response_platelets_from_10e9_per_l"),
        ldh_threshold=parameter("response_ldh_below_x_uln"),
        adamts13_thresholds=(parameter("relapse_adamts13_below_percent"), parameter("recovery_adamts13_from_percent")),
    )
