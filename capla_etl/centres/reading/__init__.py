"""A centre's files as text tables, exactly as sent. What a text means is in ``harmonising``."""
