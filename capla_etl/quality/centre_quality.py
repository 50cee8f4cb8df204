"""How good each centre's data are for the study: completeness, refusals, open questions, corrections, timeliness.

All are counts of patients or rows. Timeliness needs no clock: a centre's delay is the distance of its data cut-off from
the newest one, and of its last record from its own cut-off. ``centres`` decides what is refused, ``queries`` what is
asked.
"""

import duckdb
import pandas as pd

#: A course is counted daily where this share of its days has a count.
DAILY_SHARE = 0.8


def centre_quality(con: duckdb.DuckDBPyConnection, follow_up_days: int) -> pd.DataFrame:
    """Describe each centre in the study; columns as in fields/meanings.yml.

    Args:
        con: connection to a warehouse with schemas harmonised, marts, outcomes and quality.
        follow_up_days: the day to which the primary outcome is followed.
    """

    def of_centre(what: str, table: str) -> str:
        return f"(select {what} from {table} t where t.centre_id = s.centre_id)"

    under_drug = "e.treatment_group = 'caplacizumab'"
    return con.execute(
        f"""with eligible as (
            select p.*, o.response_day
            from marts.patient p left join outcomes.patient_outcome o using (patient_id) where p.eligible
        ), last_session as (
            select patient_id, max(day) as day from marts.tpe_session group by patient_id
        ), acute as (
            select e.patient_id, coalesce(e.response_day, l.day) as last_day
            from eligible e left join last_session l using (patient_id)
        ), counted as (
            select a.patient_id,
                   count(distinct d.day) filter (d.platelets_10e9_per_l is not null) / (a.last_day + 1) as share
            from acute a
            left join marts.daily_series d on d.patient_id = a.patient_id and d.day between 0 and a.last_day
            group by a.patient_id, a.last_day
        ), assessed as (
            select patient_id from marts.adverse_event_assessed where kind = 'major_bleeding' and assessed = 'yes'
        ), dated as (
            select centre_id, result_date as day from harmonised.lab_result
            union all select centre_id, session_date from harmonised.tpe_session
            union all select centre_id, coalesce(end_date, start_date) from harmonised.drug_course
            union all select centre_id, event_date from harmonised.adverse_event
            union all select centre_id, greatest(last_contact_date, death_date) from harmonised.patient
        )
        select s.centre_id, s.status, s.submission as data_cut_off,
               (select max(submission) from quality.centre_status) - s.submission as days_behind_newest_cut_off,
               s.submission - {of_centre("max(day)", "dated")} as days_from_last_record_to_cut_off,
               {of_centre("count(*)", "marts.patient")}::integer as patient_records,
               count(e.patient_id)::integer as eligible,
               count(e.platelets_10e9_per_l_day0)::integer as platelets_day0_n,
               count(e.ldh_x_uln_day0)::integer as ldh_day0_n,
               count(e.adamts13_percent)::integer as adamts13_presentation_n,
               count(*) filter (c.share >= {DAILY_SHARE})::integer as daily_counts_n,
               count(*) filter (
                   e.death_day <= {follow_up_days} or e.last_seen_day >= {follow_up_days}
               )::integer as outcome_known_n,
               count(*) filter ({under_drug})::integer as caplacizumab,
               count(*) filter (
                   {under_drug} and e.patient_id in (select patient_id from assessed)
               )::integer as adverse_events_assessed_n,
               {of_centre("coalesce(sum(rows_received), 0)", "quality.ledger")}::integer as rows_received,
               {of_centre("coalesce(sum(rows_quarantined), 0)", "quality.ledger")}::integer as rows_quarantined,
               {of_centre("coalesce(sum(cells_quarantined), 0)", "quality.ledger")}::integer as values_quarantined,
               {of_centre("count(*) filter (status = 'open')", "quality.query")}::integer as queries_open,
               {of_centre("count(*) filter (status <> 'open')", "quality.query")}::integer as queries_answered,
               {of_centre("count(*)", "quality.correction")}::integer as corrections
        from quality.centre_status s
        left join eligible e on e.centre_id = s.centre_id
        left join counted c on c.patient_id = e.patient_id
        where s.submission is not null
        group by s.centre_id, s.status, s.submission
        order by s.centre_id"""
    ).df()
