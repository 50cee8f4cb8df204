"""What the estimators share: two constants, and counts of patients with an event, checked.

Intervals and tests of counts are in ``proportions``, ``contingency`` and ``strata``.
"""

from __future__ import annotations

import numpy as np

NAN, INFINITE = float("nan"), float("inf")
Z_95 = 1.959963984540054  # half-width of a 95 % interval in standard errors: scipy.special.ndtri(0.975)


def whole_counts(events: int, patients: int) -> tuple[int, int]:
    """Return the counts as Python integers, which do not overflow.

    Raises:
        ValueError: events outside 0 to ``patients``, or counts that are not whole numbers.
    """
    if not 0 <= events <= patients:
        raise ValueError(f"events must lie between 0 and the number of patients, found {events} of {patients}")
    if events != int(events) or patients != int(patients):
        raise ValueError(f"patients are counted in whole numbers, found {events} of {patients}")
    return int(events), int(patients)


def two_groups(events_1: int, patients_1: int, events_0: int, patients_0: int) -> tuple[int, int, int, int] | None:
    """Return the counts of two groups, checked as ``whole_counts``; None when a group has no patients."""
    counts = *whole_counts(events_1, patients_1), *whole_counts(events_0, patients_0)
    return counts if counts[1] and counts[3] else None


def table_of_counts(groups) -> np.ndarray:
    """Return the counts of patients, or sums of weights, by group and level, without the levels that occur in no group.

    Raises:
        ValueError: a negative or missing count.
    """
    table = np.array(groups, dtype=float)
    if not (table >= 0).all():
        raise ValueError(
            f"counts must be 0 or more and not missing, found {', '.join(f'{n:g}' for n in table.ravel())}"
        )
    return table[:, table.sum(axis=0) > 0]
