"""How good each centre's data are for what the study asks of them: completeness, refusals, open questions, corrections, timeliness. Counts of patients and rows.

Timeliness has no clock: a centre is as late as its data cut-off lies behind the newest one, and as its last record lies before its own cut-off.
What does not belong here: which values are refused (centres/) and what is asked (queries.py).
"""

import duckdb
import pandas as pd

#: Column -> meaning. The counts of patients are of eligible ones; each ``_n`` is out of ``eligible`` unless it says otherwise.
MEANINGS = {
    "centre_id": "Code of the centre.",
    "status": "Whether the newest submission is in the study (see quality.centre_status).",
    "data_cut_off": "Date of the submission that the study holds.",
    "days_behind_newest_cut_off": "Days from this cut-off to the newest one of any centre.",
    "days_from_last_record_to_cut_off": "Days from the last dated result, exchange, drug, event or contact to the cut-off.",
    "patient_records": "Patient records received.",
    "eligible": "Eligible patients.",
    "platelets_day0_n": "Eligible patients with a platelet count on day 0.",
    "ldh_day0_n": "Eligible patients with an LDH on day 0.",
    "adamts13_presentation_n": "Eligible patients with an ADAMTS13 activity at presentation.",
    "daily_counts_n": "Eligible patients with a platelet count on at least 80 % of the days from day 0 to response (or to the last exchange without one).",
    "outcome_known_n": "Eligible patients seen on day 90 or dead before.",
    "caplacizumab": "Eligible patients under caplacizumab.",
    "adverse_events_assessed_n": "Of those under caplacizumab: patients in whom major bleeding was assessed.",
    "rows_received": "Rows received.",
    "rows_quarantined": "Rows refused.",
    "values_quarantined": "Single values refused of accepted rows.",
    "queries_open": "Questions to the centre that wait for an answer.",
    "queries_answered": "Questions answered.",
    "corrections": "Cells changed by a declared correction.",
}
#: A course is counted daily where this share of its days has a count.
DAILY_SHARE = 0.8


def centre_quality(con: duckdb.DuckDBPyConnection, follow_up_days: int) -> pd.DataFrame:
    """One row per centre in the study (columns of ``MEANINGS``).

    Args:
        con: connection to a warehouse with schemas harmonised, marts, outcomes and quality.
        follow_up_days: the day to which the primary outcome is followed.
    """
    return con.execute(
        f"""with eligible as (
            select p.*, o.response_day from marts.patient p left join outcomes.patient_outcome o using (patient_id) where p.eligible
        ), acute as (
            select e.patient_id, coalesce(e.response_day, (select max(s.day) from marts.tpe_session s where s.patient_id = e.patient_id)) as last_day from eligible e
        ), counted as (
            select a.patient_id, count(distinct d.day) filter (d.platelets_10e9_per_l is not null) / (a.last_day + 1) as share
            from acute a left join marts.daily_series d on d.patient_id = a.patient_id and d.day between 0 and a.last_day group by a.patient_id, a.last_day
        ), assessed as (
            select patient_id from marts.adverse_event_assessed where kind = 'major_bleeding' and assessed = 'yes'
        ), dated as (
            select centre_id, result_date as day from harmonised.lab_result union all select centre_id, session_date from harmonised.tpe_session
            union all select centre_id, coalesce(end_date, start_date) from harmonised.drug_course union all select centre_id, event_date from harmonised.adverse_event
            union all select centre_id, greatest(last_contact_date, death_date) from harmonised.patient
        )
        select s.centre_id, s.status, s.submission as data_cut_off,
               (select max(submission) from quality.centre_status) - s.submission as days_behind_newest_cut_off,
               s.submission - (select max(day) from dated d where d.centre_id = s.centre_id) as days_from_last_record_to_cut_off,
               (select count(*) from marts.patient p where p.centre_id = s.centre_id)::integer as patient_records,
               count(e.patient_id)::integer as eligible,
               count(e.platelets_10e9_per_l_day0)::integer as platelets_day0_n,
               count(e.ldh_x_uln_day0)::integer as ldh_day0_n,
               count(e.adamts13_percent)::integer as adamts13_presentation_n,
               count(*) filter (c.share >= {DAILY_SHARE})::integer as daily_counts_n,
               count(*) filter (e.death_day <= {follow_up_days} or e.last_seen_day >= {follow_up_days})::integer as outcome_known_n,
               count(*) filter (e.treatment_group = 'caplacizumab')::integer as caplacizumab,
               count(*) filter (e.treatment_group = 'caplacizumab' and e.patient_id in (select patient_id from assessed))::integer as adverse_events_assessed_n,
               (select coalesce(sum(rows_received), 0) from quality.ledger l where l.centre_id = s.centre_id)::integer as rows_received,
               (select coalesce(sum(rows_quarantined), 0) from quality.ledger l where l.centre_id = s.centre_id)::integer as rows_quarantined,
               (select coalesce(sum(cells_quarantined), 0) from quality.ledger l where l.centre_id = s.centre_id)::integer as values_quarantined,
               (select count(*) filter (status = 'open') from quality.query q where q.centre_id = s.centre_id)::integer as queries_open,
               (select count(*) filter (status <> 'open') from quality.query q where q.centre_id = s.centre_id)::integer as queries_answered,
               (select count(*) from quality.correction k where k.centre_id = s.centre_id)::integer as corrections
        from quality.centre_status s
        left join eligible e on e.centre_id = s.centre_id
        left join counted c on c.patient_id = e.patient_id
        where s.submission is not null
        group by s.centre_id, s.status, s.submission
        order by s.centre_id"""
    ).df()
