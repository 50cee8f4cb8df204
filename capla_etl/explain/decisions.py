"""Outcomes with the facts that decided them, read from a published warehouse, for one patient or many at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import duckdb

from capla_etl.explain.words import OUTCOMES, decision_words

#: What was decided, also for patients who are not eligible (outcomes.patient_outcome_by_rule_set has eligible ones only).
_STATUS = """
select s.rule_set, s.patient_id, s.response_day, s.response, s.response_ldh_assessable, s.exacerbation_day, s.exacerbation, s.exacerbation_count,
       s.unclassified_fall_day, s.remission_day, s.remission, s.relapse_day, s.relapse, s.relapse_status, refractory.refractory,
       refractory.severe_refractory, refractory.refractory_assessment_day, failure.failure, death.died_by_day_90, death.death_date_precision,
       tpe.tpe_days_to_response, tpe.tpe_sessions_to_response, response_time.days_from_caplacizumab_to_response,
       recovery.day as adamts13_recovery_day, after_stop.exacerbation_after_stop_undetectable
from intermediate.int_outcome_status s
left join outcomes.refractory refractory using (rule_set, patient_id)
left join outcomes.failure failure using (rule_set, patient_id)
left join outcomes.death death using (patient_id)
left join outcomes.tpe_to_response tpe using (rule_set, patient_id)
left join outcomes.time_to_response response_time using (rule_set, patient_id)
left join outcomes.adamts13_recovery recovery using (rule_set, patient_id)
left join outcomes.exacerbation_after_stop after_stop using (rule_set, patient_id)
where s.rule_set = ? and s.patient_id in (select unnest(?))
"""
_FACTS = """
select patient_id, outcome, occurrence, fact_number, role, kind, day, value, comparator, source_table, source_number, source_file, source_sheet, source_row
from outcomes.outcome_evidence where rule_set = ? and patient_id in (select unnest(?)) and outcome in (select unnest(?))
order by patient_id, outcome, occurrence, fact_number
"""

#: Outcomes that only some patients have.
ONLY_WITH_FACTS = {
    "tpe_to_response",
    "days_from_caplacizumab_to_response",
    "exacerbation_after_stop_undetectable",
    "unclassified_fall",
}


@dataclass(frozen=True)
class Decision:
    """One outcome of one patient: what was decided and by which facts; ``occurrence`` numbers several exacerbations."""

    patient_id: str
    outcome: str
    occurrence: int
    status: dict
    facts: list[dict]

    @property
    def words(self) -> str:
        """The facts, then what they make it."""
        return decision_words(self.outcome, self.status, self.facts)


def records(connection: duckdb.DuckDBPyConnection, query: str, parameters: list | None = None) -> list[dict]:
    """Rows of a query as dicts with plain Python values; None where there is nothing."""
    found = connection.execute(query, parameters or [])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def decisions(
    connection: duckdb.DuckDBPyConnection,
    rule_set: str,
    patient_ids: list[str],
    outcomes: tuple[str, ...] = tuple(OUTCOMES),
) -> dict[str, list[Decision]]:
    """These outcomes of these patients under a rule set, told in the order of ``outcomes``; patients without a day 0 have none."""
    statuses = {status["patient_id"]: status for status in records(connection, _STATUS, [rule_set, patient_ids])}
    facts: dict[str, dict[str, dict[int, list[dict]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for fact in records(connection, _FACTS, [rule_set, patient_ids, list(outcomes)]):
        facts[fact["patient_id"]][fact["outcome"]][fact["occurrence"]].append(fact)
    return {
        patient_id: [
            Decision(patient_id, outcome, occurrence, status, decided_by)
            for outcome in outcomes
            for occurrence, decided_by in (facts[patient_id][outcome] or _without_facts(outcome)).items()
        ]
        for patient_id, status in statuses.items()
    }


def _without_facts(outcome: str) -> dict[int, list[dict]]:
    """An outcome that everybody has is told without facts too; a time or a fall that there is none of is not."""
    return {} if outcome in ONLY_WITH_FACTS else {1: []}
