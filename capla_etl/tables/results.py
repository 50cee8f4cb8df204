"""The shape of ``study.result``: every printed number once, one row each, with its counts, method and caveat.

Estimation does not belong here (``stats``), nor do printed labels (``labels``).
"""

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
NOT_ESTIMABLE = "not estimable: "


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

    Units follow from ``statistic`` (``labels.STATISTICS``): percent 0 to 100, risk differences in percentage points,
    times in days.

    Raises:
        ValueError: no method; or no value and no caveat beginning with "not estimable: ".
    """
    missing = pd.isna(value)
    if not method:
        raise ValueError(f"{table_id} {row} {group} {statistic}: a cell needs its method")
    if missing and not (caveat or "").startswith(NOT_ESTIMABLE):
        raise ValueError(f"{table_id} {row} {group} {statistic}: no value and no reason")
    value = None if missing else float(value)
    line = (table_id, row, group, statistic, value, n, n_assessed, lower, upper, p_value, method, caveat)
    return dict(zip(COLUMNS, line, strict=True))


def frame(cells: Iterable[dict]) -> pd.DataFrame:
    """The cells as a typed data frame with the columns of ``study.result``, in the order given.

    Raises:
        ValueError: duplicate (table_id, row, group, statistic).
    """
    lines = list(cells)
    results = pd.DataFrame(
        {name: pd.array([line[name] for line in lines], dtype=dtype) for name, dtype in COLUMNS.items()}
    )
    twice = results.loc[results.duplicated(KEY), KEY]
    if len(twice):
        listed = "; ".join(" ".join(key) for key in twice.itertuples(index=False, name=None))
        raise ValueError(f"printed twice: {listed}; a table has one cell for each row, group and statistic")
    return results


def join_caveats(*caveats: str | None) -> str | None:
    """The caveats given, joined by a semicolon; None when there is none."""
    return "; ".join(caveat for caveat in caveats if caveat) or None
