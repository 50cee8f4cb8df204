"""How the study's tables add up: which counts are parts of which. The audit and the disclosure rules both read it here."""

from capla_etl.tables.labels import DEATH_CAUSES, EXCLUSIONS

# Which group a count of table flow counts: the same count has the same name wherever it is printed.
FLOW_GROUPS = {
    "eligible": "all",
    "caplacizumab": "caplacizumab",
    "control": "control",
    "early": "early",
    "delayed": "delayed",
    "timing_unknown": "unknown",
}
_LEDGER = ("loaded", "duplicate", "quarantined", "ignored")
FLOW_SUMS = {
    "rows_received": tuple(f"rows_{part}" for part in _LEDGER),
    "patient_records": ("excluded", "eligible"),
    "excluded": tuple(f"excluded_{reason}" for reason in EXCLUSIONS),
    "eligible": ("caplacizumab", "control", "group_unknown"),
    "caplacizumab": ("early", "delayed", "timing_unknown"),
    "delayed": ("rescue", "slow_response"),
}
# A row of the flow whose place in the sums is not known here is not shown.
FLOW_ROWS = {*FLOW_SUMS, *(part for parts in FLOW_SUMS.values() for part in parts), "values_quarantined"}
CAUSES = (*(f"cause_{cause.lower()}" for cause in DEATH_CAUSES), "cause_not_stated")
SCORES = tuple(f"french_severity_score_{score}" for score in range(5))
