"""The study's tables as journals take them: Word, Excel, LaTeX and HTML files from the same printed tables.

How each is written does not belong here (``docx``, ``xlsx``, ``latex``, ``html``), nor what is printed (``layout``,
``methods``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from capla_etl.report.documents.docx import docx_bytes
from capla_etl.report.documents.html import html_page
from capla_etl.report.documents.latex import latex_text
from capla_etl.report.documents.xlsx import xlsx_bytes
from capla_etl.report.layout import Edition
from capla_etl.report.printed_tables import PrintedTable


def write_documents(
    tables: list[PrintedTable],
    results: pd.DataFrame,
    methods: list[str],
    folder: Path,
    edition: Edition,
    figures: Mapping[str, bytes] | None = None,
) -> list[Path]:
    """Write ``tables.docx``, ``tables.xlsx``, ``tables.tex`` and ``html/<table_id>.html``.

    The same input gives the same bytes on every day.

    Args:
        tables: in the order in which they are printed.
        results: ``study.result``, as shown (a protecting profile applied, if any).
        methods: paragraphs of the statistical methods (``methods.methods_paragraphs``).
        folder: made when missing; files of the same name are replaced.
        edition: data cut-off, parameters as used, and the notice of the disclosure profile.
        figures: caption -> PNG, for the Word document.

    Returns:
        The paths written, in the order named above.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = folder / "html"
    pages.mkdir(exist_ok=True)
    contents = {
        folder / "tables.docx": docx_bytes(tables, methods, edition, figures),
        folder / "tables.xlsx": xlsx_bytes(tables, results, edition),
        folder / "tables.tex": latex_text(tables, methods, edition).encode(),
        **{pages / f"{table.table_id}.html": html_page(table, edition).encode() for table in tables},
    }
    for path, content in contents.items():
        path.write_bytes(content)
    return list(contents)
