"""A centre's spec: its grammar, its date formats, and the checks before it is used."""
