"""Write the centres' pages as HTML and PDF from a warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from capla_etl.office import all_writable
from capla_etl.report.centre_page.content import CentrePage, centre_page
from capla_etl.report.centre_page.pdf import dot_y, pdf_bytes
from capla_etl.report.page.page import TEMPLATES, rendered

if TYPE_CHECKING:
    import duckdb

#: What a page is made from: argument of ``centre_page`` -> table.
SOURCES = {
    "quality": "quality.centre_quality",
    "status": "quality.centre_status",
    "query": "quality.query",
    "signal": "quality.signal",
    "monitored": "quality.monitored",
}


def write_page(page: CentrePage, folder: Path) -> list[Path]:
    """Write ``<folder>/<CENTRE>.html`` and ``.pdf``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page = all_writable(page)
    html, pdf = (folder / f"{page.centre_id}.{kind}" for kind in ("html", "pdf"))
    rendered("centre_page.html", [Path(__file__).parent, TEMPLATES], html, page=page, dot_y=dot_y)
    pdf.write_bytes(pdf_bytes(page))
    return [html, pdf]


def write_centre_pages(con: duckdb.DuckDBPyConnection, centre_ids: list[str], folder: Path) -> list[Path]:
    """Write the pages of these centres.

    Args:
        con: connection to a warehouse with schema quality.
        centre_ids: their codes; empty: all with a submission in the study or looked at.
        folder: made when missing.

    Raises:
        KeyError: a centre is not in the warehouse.
    """
    frames = {name: con.execute(f"from {table}").df() for name, table in SOURCES.items()}
    frames["version"] = con.execute("select version from study.version").fetchone()[0]
    centres = centre_ids or sorted({*frames["quality"]["centre_id"], *frames["monitored"]["centre_id"]})
    return [path for centre in centres for path in write_page(centre_page(centre, **frames), folder)]
