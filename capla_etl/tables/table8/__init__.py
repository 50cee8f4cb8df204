"""Table 8: every rule variant by every analysis."""
