"""Draft a centre's spec from its files alone: what they prove is written with its proof, guesses are marked, and what
they cannot show is left to decide; the spec is refused until it is decided.

What does not belong here: reading formats (reading/formats), and judging a submission by a finished spec (check.py).
"""

from capla_etl.centres.draft.drafting import Draft, draft_centre

__all__ = ["Draft", "draft_centre"]
