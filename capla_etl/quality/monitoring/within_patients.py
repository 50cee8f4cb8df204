"""Within patients: series and rows of values that two patients share.

Rises, falls and the change from one result to the next are quantities of each patient (fields/watched.yml).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import Finding

#: Values at presentation; no two patients have so many of them alike.
_PRESENTATION, _ALIKE = ["hemoglobin", "creatinine", "troponin", "anti_adamts13", "volume"], 4


def copies(own: pd.DataFrame) -> pd.DataFrame:
    """Which patients have the series of platelet counts or of LDH, or the values at presentation, of another one.

    Returns:
        One row per patient: ``series``, ``presentation``, and ``again`` (a patient before this one has them).
    """
    series, presentation, again = (pd.Series(False, index=own.index) for _ in range(3))
    for name in ("platelet_series", "ldh_series"):
        series |= own[name].notna() & own[name].duplicated(keep=False)
        again |= own[name].notna() & own[name].duplicated()
    differing = [name for name in _PRESENTATION if own[name].nunique() > 1]
    for names in combinations(differing, _ALIKE):
        values = own[list(names)].dropna().round(9)
        presentation |= values.duplicated(keep=False).reindex(own.index, fill_value=False)
        again |= values.duplicated().reindex(own.index, fill_value=False)
    return pd.DataFrame({"series": series, "presentation": presentation, "again": again})


def shared(found: pd.DataFrame) -> Iterator[Finding]:
    """Patients with the same series of results, or the same values at presentation, as another one.

    ``found``: as ``copies`` returns it.
    """
    for name, mask, what in (
        ("same_series", found["series"], "series of platelet counts or LDH"),
        ("same_presentation", found["presentation"], "values at presentation"),
    ):
        count = int(mask.sum())
        yield Finding(
            family="within_patients",
            check_name=name,
            quantity=name,
            field="centre_patient_id",
            patients=len(found),
            found=f"{count} patients with the same {what} as another patient",
            expected_text="none",
            looks_like=f"The {what} of one patient were copied to another one, or a patient was sent twice.",
            p_look=0.0 if count else 1.0,
            matters=count > 0,
            places=tuple(np.flatnonzero(mask)),
        )
