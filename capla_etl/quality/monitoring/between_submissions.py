"""Between submissions: patients who are no longer who they were, and values that changed for many at once."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import Finding
from capla_etl.quality.monitoring.watched import LOG, SHARE, Quantity

#: What stays with a patient: sex, birth date (as linkage value), first exchange.
_STAYS = {
    "sex": ("sex", "sex"),
    "linkage": ("birth_date", "date of birth"),
    "day0": ("first_tpe_date", "first exchange"),
}
#: A share of the patients who changed that is looked at, and one that stops; at least so many patients.
_CHANGED, _CHANGED_STOPS, _FEWEST = 0.03, 0.10, 3
#: The same for patients who are gone, and for a value that is another one.
_GONE, _GONE_STOPS = 0.03, 0.25
_OTHER_VALUE, _OTHER_VALUE_STOPS = 0.10, 0.60
#: What cannot be taken back stops from this share on.
_TAKEN_BACK_STOPS = 0.10
#: A difference that is larger than this share of the value is another value.
_SAME = 0.005


def between_submissions(quantities: dict[str, Quantity], own: pd.DataFrame, before: pd.DataFrame) -> Iterator[Finding]:
    """Compare a centre's patients with the same ones of its last submission."""
    both = own.index.intersection(before.index)
    gone = len(before) - len(both)
    yield _finding(
        "gone",
        "centre_patient_id",
        gone,
        len(before),
        _GONE,
        _GONE_STOPS,
        "{n} of the patients of the last submission are gone",
        "Patients are missing, or have new numbers.",
        (),
    )
    now, then = own.loc[both], before.loc[both]
    places = own.index.get_indexer(both)
    for column, (field, what) in _STAYS.items():
        known = now[column].notna().to_numpy() & then[column].notna().to_numpy()
        changed = known & (now[column].to_numpy() != then[column].to_numpy())
        yield _finding(
            f"changed_{column}",
            field,
            int(changed.sum()),
            int(known.sum()),
            _CHANGED,
            _CHANGED_STOPS,
            "{n} of the patients of both submissions have another " + what,
            "The numbers may belong to other patients than before.",
            tuple(places[changed]),
        )
    for q in quantities.values():
        yield from _values(q, now, then, places)


def _values(q: Quantity, now: pd.DataFrame, then: pd.DataFrame, places: np.ndarray) -> Iterator[Finding]:
    """Values that are another one, and values that are no longer there.

    Longer follow-up adds results, contacts and events. Of what it can change, only less than before is a finding.
    """
    a, b = now[q.name].to_numpy(float), then[q.name].to_numpy(float)
    known = ~np.isnan(a) & ~np.isnan(b)
    room = _SAME * np.maximum(np.abs(b), 1e-9)
    if q.fixed:
        other = known & (np.abs(a - b) > room)
        yield _finding(
            "changed",
            q.field,
            int(other.sum()),
            int(known.sum()),
            _CHANGED if q.scale == SHARE else _OTHER_VALUE,
            _OTHER_VALUE_STOPS,
            "{n} of the patients of both submissions have another value",
            f"Changed for many at once: {q.meaning}.",
            tuple(places[other]),
            quantity=q.name,
        )
    elif q.family in ("completeness", "dates") and q.scale in (LOG, SHARE):
        less, had = known & (a < b - room), known & (b > 0)
        yield _finding(
            "less",
            q.field,
            int(less.sum()),
            int(had.sum()),
            _CHANGED if q.scale == SHARE else _OTHER_VALUE,
            _TAKEN_BACK_STOPS if q.never_less else None,
            "{n} of the patients who had it have less of it",
            f"Less than before for many at once: {q.meaning}.",
            tuple(places[less]),
            quantity=q.name,
        )
    lost = np.isnan(a) & ~np.isnan(b)
    yield _finding(
        "lost",
        q.field,
        int(lost.sum()),
        int((~np.isnan(b)).sum()),
        _CHANGED,
        None,
        "{n} of the patients who had it no longer have it",
        f"No longer sent for many: {q.meaning}.",
        tuple(places[lost]),
        quantity=q.name,
    )


def _finding(
    check: str,
    field: str,
    count: int,
    n: int,
    share: float,
    stops: float | None,
    found: str,
    looks_like: str,
    places: tuple[int, ...],
    quantity: str = "",
) -> Finding:
    """A count of patients, judged by its share alone: who changed is known, not estimated."""
    part = count / n if n else 0.0
    matters = count >= _FEWEST and part > share
    return Finding(
        family="between_submissions",
        check_name=check,
        quantity=quantity or check,
        field=field,
        patients=n,
        found=found.format(n=f"{100 * part:.0f} %"),
        expected_text=f"at most {100 * share:.0f} %",
        looks_like=looks_like,
        p_look=0.0 if matters else 1.0,
        p_stop=0.0 if matters and stops is not None and part > stops else 1.0,
        matters=matters,
        places=places,
    )
