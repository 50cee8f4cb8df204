"""Central statistical monitoring: a centre whose every value is plausible, and whose file is wrong, looks different.

Pure functions over patients: a centre's, the other centres', and the centre's own of its last submission. What is
watched, and how large a difference matters, is declared in ``fields/watched.yml``.

What does not belong here: reading files, and what becomes of a submission that is held back (``submissions``).
"""
