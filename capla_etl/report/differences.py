"""The difference report: what changed since the earlier submissions, and what moved because of it, on one page.

Nothing is compared here (capla_etl.releases.compare does); layout is in ``differences.html``.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pandas as pd

from capla_etl.releases.compare import Differences
from capla_etl.report.numbers import short
from capla_etl.report.page.page import TEMPLATES, rendered
from capla_etl.report.printed_tables import row_label
from capla_etl.tables.labels import GROUPS, TABLES

#: Tables whose numbers are shown as they are printed; the rest of study.result repeats them or is a listing.
_SHOWN = [name for name in TABLES if name != "as_published"]


def write_differences(
    differences: Differences, changes: pd.DataFrame, withdrawn: pd.DataFrame, since: date, version: str, path: Path
) -> Path:
    """Write the page; the same inputs give the same bytes.

    Args:
        differences: the two states compared.
        changes: quality.submission_change.
        withdrawn: quality.withdrawn_patient.
        since: the day of the earlier state.
        version: name of the present state of the study.
        path: where the page goes.

    Returns:
        The path.
    """
    used = changes[(changes["change"] == "changed") & (changes["study_field"] != "")]
    outcomes = differences.outcomes.astype(object)
    return rendered(
        "differences.html",
        [Path(__file__).parent, TEMPLATES],
        path,
        since=since.isoformat(),
        version=version,
        submissions=[
            {"centre_id": r.centre_id, "before": _day(r.before), "after": _day(r.after)}
            for r in differences.submissions.itertuples()
        ],
        patients=differences.patients.to_dict("records"),
        withdrawn=withdrawn.assign(submission=withdrawn["submission"].map(_day)).to_dict("records"),
        sent=_sent(changes),
        cells=used.to_dict("records"),
        outcomes=outcomes.where(outcomes.notna(), "none").to_dict("records"),
        numbers=worded_numbers(differences.numbers, _SHOWN),
        numbers_in_all=len(differences.numbers),
    )


def _day(value) -> str:
    return "not sent" if pd.isna(value) else str(pd.Timestamp(value).date())


def _sent(changes: pd.DataFrame) -> list[dict]:
    """Rows and cells that differ, counted by file; ``unused``: cells of columns that are not study fields."""
    unused = (changes["change"] == "changed") & (changes["study_field"] == "")
    kinds = changes.assign(kind=changes["change"].mask(unused, "unused"))
    counts = kinds.groupby(["centre_id", "file", "sheet", "kind"]).size().unstack("kind", fill_value=0)
    counts = counts.reindex(columns=["added", "removed", "changed", "unused"], fill_value=0)
    return counts.reset_index().to_dict("records")


def worded_numbers(numbers: pd.DataFrame, tables: Iterable[str]) -> list[dict]:
    """Printed numbers of some tables that moved, worded as in the table.

    Args:
        numbers: ``Differences.numbers``.
        tables: their ``table_id``.

    Returns:
        Per number: table, row, group, statistic, before, after, n_before, n_after.
    """
    return [
        {
            "table": TABLES[line.table_id].title,
            "row": row_label(line.table_id, line.row),
            "group": GROUPS.get(line.group, line.group),
            "statistic": line.statistic.replace("_", " "),
            "before": _number(line.value_before),
            "after": _number(line.value_after),
            "n_before": _counts(line.n_before, line.n_assessed_before),
            "n_after": _counts(line.n_after, line.n_assessed_after),
        }
        for line in numbers[numbers["table_id"].isin(list(tables))].itertuples(index=False)
    ]


def _counts(n: float, total: float) -> str:
    return "/".join(str(int(number)) for number in (n, total) if not pd.isna(number)) if not pd.isna(n) else ""


def _number(value: float) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:.2g}" if 0 < abs(value) < 0.01 else short(value, 3)
