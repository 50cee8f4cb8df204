"""Text tables to study fields by the centre's spec: every value accepted, or refused with its place and reason."""
