"""Estimators without study names: pure functions over data frames or counts. docs/STATISTICS.md names their sources."""
