"""Faults of real life put into the ten centres' files as sent, and what central monitoring says of each.

``python -m tests.faults`` prints the tables of docs/MONITORING.md.

What does not belong here: how monitoring decides. It is used by ``centre_patients`` and ``monitor`` alone.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "golden"))  # the centres that are made there
