"""The difference report: what changed since the submissions before, and what moved because of it, on one page.

Nothing is compared here (capla_etl.releases.compare does); layout is in ``templates/differences.html``.
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pandas as pd

from capla_etl.releases.compare import Differences
from capla_etl.report.numbers import short
from capla_etl.report.page.page import TEMPLATES
from capla_etl.report.printed_tables import row_label
from capla_etl.tables.labels import GROUPS, SYNTHETIC, TABLES

#: Tables whose numbers are shown as they are printed; the rest of study.result repeats them or is a listing.
_SHOWN = [name for name in TABLES if name != "as_published"]


def write_differences(
    differences: Differences, changes: pd.DataFrame, withdrawn: pd.DataFrame, since: date, path: Path
) -> Path:
    """Writes the page; the same inputs give the same bytes.

    Args:
        differences: the two states compared.
        changes: quality.submission_change.
        withdrawn: quality.withdrawn_patient.
        since: the day on which the study stood as before.
        path: where the page goes.

    Returns:
        The path.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("differences.html").render(
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        synthetic=SYNTHETIC,
        since=since.isoformat(),
        submissions=[(r.centre_id, _day(r.before), _day(r.after)) for r in differences.submissions.itertuples()],
        patients=differences.patients.to_dict("records"),
        withdrawn=withdrawn.assign(submission=withdrawn["submission"].map(_day)).to_dict("records"),
        sent=_sent(changes),
        cells=_cells(changes),
        outcomes=_blank(differences.outcomes).to_dict("records"),
        numbers=worded_numbers(differences.numbers, _SHOWN),
        numbers_in_all=len(differences.numbers),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _day(value) -> str:
    return "not sent" if pd.isna(value) else str(pd.Timestamp(value).date())


def _blank(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), "none")


def _sent(changes: pd.DataFrame) -> list[dict]:
    """Rows and cells that differ, counted by file; cells of columns that are no study field apart."""
    kinds = changes.assign(
        kind=changes["change"].where(
            (changes["change"] != "changed") | (changes["study_field"] != ""), "changed, not used"
        )
    )
    counts = kinds.groupby(["centre_id", "file", "sheet", "kind"]).size().unstack("kind", fill_value=0).reset_index()
    names = {"added": "added", "removed": "removed", "changed": "changed", "changed, not used": "unused"}
    for name in names:
        if name not in counts:
            counts[name] = 0
    return counts.rename(columns=names).to_dict("records")


def _cells(changes: pd.DataFrame) -> list[dict]:
    used = changes[(changes["change"] == "changed") & (changes["study_field"] != "")]
    return used.to_dict("records")


def worded_numbers(numbers: pd.DataFrame, tables: Iterable[str]) -> list[dict]:
    """Printed numbers of some tables that moved, worded as there: table, row, group, statistic, before, after, n_before, n_after.

    Args:
        numbers: ``Differences.numbers``.
        tables: their ``table_id``.
    """
    rows = []
    for line in numbers[numbers["table_id"].isin(list(tables))].itertuples(index=False):
        n_text = [
            "" if pd.isna(n) else f"{int(n)}" + ("" if pd.isna(total) else f"/{int(total)}")
            for n, total in ((line.n_before, line.n_assessed_before), (line.n_after, line.n_assessed_after))
        ]
        rows.append(
            {
                "table": TABLES[line.table_id].title,
                "row": row_label(line.table_id, line.row),
                "group": GROUPS.get(line.group, line.group),
                "statistic": line.statistic.replace("_", " "),
                "before": _number(line.value_before),
                "after": _number(line.value_after),
                "n_before": n_text[0],
                "n_after": n_text[1],
            }
        )
    return rows


def _number(value: float) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:.2g}" if 0 < abs(value) < 0.01 else short(value, 3)
