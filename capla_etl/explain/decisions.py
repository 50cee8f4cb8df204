"""Outcomes with the facts that decided them, read from a published warehouse, for one patient or many at once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import duckdb

from capla_etl.explain.words import OUTCOMES, decision_words

#: What was decided; also of patients who are not eligible, whom outcomes.patient_outcome_by_rule_set leaves out.
_STATUS = """
select s.*, refractory.refractory, refractory.severe_refractory, failure.failure, death.died_by_day_90,
       death.death_date_precision, tpe.tpe_days_to_response, tpe.tpe_sessions_to_response,
       timed.days_from_caplacizumab_to_response, recovery.day as adamts13_recovery_day
from intermediate.int_outcome_status s
left join outcomes.refractory refractory using (rule_set, patient_id)
left join outcomes.failure failure using (rule_set, patient_id)
left join outcomes.death death using (patient_id)
left join outcomes.tpe_to_response tpe using (rule_set, patient_id)
left join outcomes.time_to_response timed using (rule_set, patient_id)
left join outcomes.adamts13_recovery recovery using (rule_set, patient_id)
where s.rule_set = ? and s.patient_id in (select unnest(?))
"""
_FACTS = """
select * from outcomes.outcome_evidence
where rule_set = ? and patient_id in (select unnest(?)) and outcome in (select unnest(?))
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
        """The facts, then the outcome."""
        return decision_words(self.outcome, self.status, self.facts)


def records(connection: duckdb.DuckDBPyConnection, query: str, parameters: list | None = None) -> list[dict]:
    """Rows of a query as dicts with plain Python values; null is None."""
    found = connection.execute(query, parameters or [])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def decisions(
    connection: duckdb.DuckDBPyConnection,
    rule_set: str,
    patient_ids: list[str],
    outcomes: tuple[str, ...] = tuple(OUTCOMES),
) -> dict[str, list[Decision]]:
    """These outcomes of these patients under a rule set, in the order of ``outcomes``.

    Patients without a day 0 have none. An outcome that every patient has is told without facts too.
    """
    facts: dict[tuple[str, str], dict[int, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for fact in records(connection, _FACTS, [rule_set, patient_ids, list(outcomes)]):
        facts[fact["patient_id"], fact["outcome"]][fact["occurrence"]].append(fact)
    return {
        status["patient_id"]: [
            Decision(status["patient_id"], outcome, occurrence, status, decided_by)
            for outcome in outcomes
            for occurrence, decided_by in (
                facts.get((status["patient_id"], outcome)) or ({} if outcome in ONLY_WITH_FACTS else {1: []})
            ).items()
        ]
        for status in records(connection, _STATUS, [rule_set, patient_ids])
    }
