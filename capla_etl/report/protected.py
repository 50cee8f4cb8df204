"""The protected version of tables, figures and report (profile ``protected`` of ``capla_etl.disclosure``).

What may be shown is decided there. This module is given nothing about single patients or centres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from capla_etl.disclosure.profiles import profile
from capla_etl.disclosure.protect import apply
from capla_etl.disclosure.protected_results import Publication
from capla_etl.protocol.parameters import parameters
from capla_etl.report import files
from capla_etl.report.figures import study_figures
from capla_etl.report.page.page import ReportInputs, write_report
from capla_etl.tables.labels import about_the_data

PROFILE = "protected"


def write_protected(
    results: pd.DataFrame,
    curves: dict[str, pd.DataFrame],
    submission: pd.DataFrame,
    status: pd.DataFrame,
    checks: pd.DataFrame,
    folder: Path,
    earlier: Sequence[Publication] = (),
) -> list[Path]:
    """Tables (CSV, Parquet), figures and ``report_protected.html``.

    Args:
        results: ``study.result``, whole.
        curves: ``survival_curve`` and ``response_incidence_curve``.
        submission: ``harmonised.submission``; its dates are shown, without the centres.
        status: ``quality.centre_status``; centres whose newest submission is missing are named, without its problem.
        checks: as ``ReportInputs.checks``.
        folder: made when missing.
        earlier: what was shown before of this profile.

    Returns:
        The paths written.
    """
    results, curves = apply(PROFILE, results, curves, earlier)
    notice = profile(PROFILE).notice
    tables = {table_id: results[results["table_id"] == table_id] for table_id in profile(PROFILE).tables}
    written = files.write_tables({"result": results, **tables, **curves}, folder)
    readme = f"# Study tables and figures, protected version\n\n{about_the_data()}\n\n{notice}\n"
    written[0].write_text(readme, encoding="utf-8")
    drawn = files.write_figures(study_figures.study_figures(curves, {}, rounded=True), folder)
    without_limits = {name: curve.assign(lower=math.nan, upper=math.nan) for name, curve in curves.items()}
    page = ReportInputs(
        results=results,
        figures=files.svg_by_name(drawn),
        ledger=pd.DataFrame(),
        quarantine=pd.DataFrame(columns=["centre_id", "rule", "scope"]),
        submission=submission,
        parameters=pd.DataFrame(
            [(p.name, p.value, p.source) for p in parameters().values()], columns=["name", "value", "comment"]
        ),
        checks=checks,
        notice=notice,
        centre_status=status.assign(problem=""),
        hover=study_figures.hover_data(without_limits, {}),
    )
    return [*written, *drawn, write_report(page, folder / f"report_{PROFILE}.html")]
