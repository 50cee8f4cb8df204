"""Table 8: every rule variant beside every analysis."""
