"""The shape of ``study.result``: every printed number once, one row each, with its counts, method and caveat.

Estimation does not belong here (``proportions``, ``baseline``, ``survival``, ``competing_risks``), nor do printed labels (``labels``).
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

COLUMNS = {
    "table_id": "string",
    "row": "string",
    "group": "string",
    "statistic": "string",
    "value": "float64",
    "n": "Int64",
    "n_assessed": "Int64",
    "lower": "float64",
    "upper": "float64",
    "p_value": "float64",
    "method": "string",
    "caveat": "string",
}
KEY = ["table_id", "row", "group", "statistic"]


def cell(
    table_id: str,
    row: str,
    group: str,
    statistic: str,
    value: float | None,
    *,
    method: str,
    n: int | None = None,
    n_assessed: int | None = None,
    lower: float | None = None,
    upper: float | None = None,
    p_value: float | None = None,
    caveat: str | None = None,
) -> dict:
    """One row of ``study.result``. A value of None or NaN needs a caveat that says why it cannot be estimated.

    Units follow from ``statistic`` (``labels.STATISTICS``): percent 0 to 100, risk differences in percentage points, times in days.

    Raises:
        ValueError: no method; or no value and no caveat beginning with "not estimable: ".
    """
    missing = value is None or pd.isna(value)
    if not method:
        raise ValueError(f"{table_id} {row} {group} {statistic}: a cell needs its method")
    if missing and not (caveat or "").startswith("not estimable: "):
        raise ValueError(f"{table_id} {row} {group} {statistic}: no value and no reason")
    return {
        "table_id": table_id,
        "row": row,
        "group": group,
        "statistic": statistic,
        "value": None if missing else float(value),
        "n": n,
        "n_assessed": n_assessed,
        "lower": lower,
        "upper": upper,
        "p_value": p_value,
        "method": method,
        "caveat": caveat,
    }


def frame(cells: Iterable[dict]) -> pd.DataFrame:
    """The cells as a typed data frame with the columns of ``study.result``, in the order given.

    Raises:
        ValueError: the same (table_id, row, group, statistic) twice.
    """
    lines = list(cells)
    results = pd.DataFrame(
        {name: pd.array([line[name] for line in lines], dtype=dtype) for name, dtype in COLUMNS.items()}
    )
    twice = results[results.duplicated(KEY)]
    if len(twice):
        raise ValueError(f"printed twice: {twice[KEY].to_dict('records')[:3]}")
    return results


def join_caveats(*caveats: str | None) -> str | None:
    """The caveats that are there, joined by a semicolon; None when there is none."""
    return "; ".join(caveat for caveat in caveats if caveat) or None
