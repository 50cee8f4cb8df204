"""Within patients: series and rows of values that two patients share.

Rises, falls and the change from one result to the next are quantities of each patient (fields/watched.yml).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.beside import Finding

#: Values at presentation that no two patients have all alike.
_PRESENTATION = ["hemoglobin", "creatinine", "troponin", "anti_adamts13", "volume"]
#: At least so many of them must be known.
_FEWEST_VALUES = 3


def shared(own: pd.DataFrame) -> Iterator[Finding]:
    """Patients with the same series of platelet counts, or the same values at presentation, as another one."""
    series = own["series"].notna() & own["series"].duplicated(keep=False)
    values = own[_PRESENTATION]
    enough = values.notna().sum(axis=1) >= _FEWEST_VALUES
    rows = values.round(9).apply(tuple, axis=1).astype(str)
    same = enough & rows.duplicated(keep=False) & (values.nunique() > 1).sum().__ge__(_FEWEST_VALUES)
    for name, mask, what, field in (
        ("same_series", series, "series of platelet counts", "platelets_10e9_per_l"),
        ("same_presentation", same, "values at presentation", "hemoglobin_g_per_dl"),
    ):
        count = int(mask.sum())
        yield Finding(
            family="within_patients",
            check_name=name,
            quantity=name,
            field=field,
            patients=len(own),
            found=f"{count} patients with the same {what} as another patient",
            expected_text="none",
            looks_like=f"The {what} of one patient were copied to another one, or a patient was sent twice.",
            p_look=0.0 if count else 1.0,
            matters=count > 0,
            places=tuple(np.flatnonzero(mask)),
        )
