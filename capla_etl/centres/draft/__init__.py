"""A first draft of a centre's spec, from its files alone: what is proven is written with the proof, what is a guess is marked, what nobody can know is left
to decide and refused by the spec until it is decided.

What does not belong here: reading formats (centres/formats), and judging a submission by a finished spec (centres/check.py).
"""

from capla_etl.centres.draft.drafting import Draft, draft_centre

__all__ = ["Draft", "draft_centre"]
