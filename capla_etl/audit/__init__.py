"""The printed numbers held against each other, and the published abstract held against itself."""
