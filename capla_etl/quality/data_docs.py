"""Great Expectations' Data Docs as offline pages: what was expected of each table, what failed, who acts."""

import html
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capla_etl import paths
from capla_etl.centres.submissions import kind_of_data
from capla_etl.quality.suites import LISTED_ROWS, SuiteResult, suites

ASSETS = Path(__file__).resolve().parent / "data_docs_assets"


def write_page(folder: Path, result: SuiteResult, document: dict[str, Any], cut_off: str) -> None:
    """Write one suite as Great Expectations renders it, plus who acts on what failed; and a summary for the index."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    document = json.loads(json.dumps(document)) | {
        "meta": {"run_id": {"run_name": "data cut-off", "run_time": f"{cut_off}T00:00:00"}}
    }
    if cut_off == "not known":
        document["meta"] = {}
    page = DefaultJinjaPageView().render(
        ValidationResultsPageRenderer().render(ExpectationSuiteValidationResultSchema().load(document))
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.table}.html").write_text(_offline(page, result, cut_off), encoding="utf-8")
    (folder / f"{result.table}.json").write_text(
        json.dumps(asdict(result) | {"data_cut_off": cut_off}, indent=1), encoding="utf-8"
    )


def _head(title: str) -> str:
    return (
        '<head><meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1.0">'
        f"<title>{html.escape(title)}</title>"
        '<link rel="stylesheet" href="assets/bootstrap.min.css"><link rel="stylesheet" href="assets/data_docs.css">'
        '<script src="assets/data_docs.js" defer></script></head>'
    )


def _navigation(title: str, cut_off: str) -> str:
    return (
        f'<nav class="navbar sticky-top border-bottom docs-bar"><a class="navbar-brand" href="index.html">Data Docs</a>'
        f'<span class="mr-auto">{html.escape(title)}</span>'
        f'<span class="docs-note">Data cut-off {html.escape(cut_off)}. {kind_of_data.sentence()}</span></nav>'
    )


def _offline(page: str, result: SuiteResult, cut_off: str) -> str:
    """Replace everything that a browser would fetch from ten servers by our stylesheet and script."""
    body = page[page.index("<body>") + len("<body>") : page.index("</body>")]
    body = re.sub(r"<script.*?</script>|<footer.*?</footer>", "", body, flags=re.DOTALL)
    body = re.sub(
        r'^\s*<nav class="navbar navbar-expand-md.*?</nav>\s*</div>\s*</nav>', "", body, count=1, flags=re.DOTALL
    )
    # Links to pages that do not exist here; identifiers drawn at every rendering (equal data must give equal pages).
    body = re.sub(r'<a href="[^"#][^"]*" ?>(.*?)</a>', r"\1", body, flags=re.DOTALL)
    body = re.sub(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", body)
    body = re.sub(r"Data asset: None", f"Rows: {result.rows}", body)
    section = body.index('<div id="section-2"') if '<div id="section-2"' in body else len(body)
    body = body[:section] + _failures_section(result) + body[section:]
    return (
        f"<!DOCTYPE html>\n<html>{_head(result.table)}<body>{_navigation(result.table, cut_off)}{body}</body></html>\n"
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f" ({value:.1f} %)"


def _failures_section(result: SuiteResult) -> str:
    """What failed, why it matters, who acts, and the keys of the failing rows."""
    blocks = []
    for f in result.failures:
        columns = list(f["failing_rows"][0]) if f["failing_rows"] else []
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape('' if r[c] is None else str(r[c]))}</td>" for c in columns) + "</tr>"
            for r in f["failing_rows"]
        )
        more = f" (first {LISTED_ROWS})" if (f["failing_count"] or 0) > LISTED_ROWS else ""
        keys = (
            f"<details><summary>Failing rows{more}</summary><table class='table table-sm'><thead><tr>"
            + "".join(f"<th>{html.escape(c)}</th>" for c in columns)
            + f"</tr></thead><tbody>{rows}</tbody></table></details>"
            if rows
            else ""
        )
        count = (
            f"{f['failing_count']} rows{_percent(f['failing_percent'])}"
            if f["failing_count"] is not None
            else f"observed {f['observed']:.4g}"
        )
        blocks.append(
            f"<div class='docs-failure docs-{f['severity']}'><strong>{f['severity']}</strong> "
            f"<code>{html.escape(f['column'])}</code> "
            f"{html.escape(f['expectation'].removeprefix('expect_').replace('_', ' '))}"
            + (f" <span class='text-muted'>where {html.escape(f['where'])}</span>" if f["where"] else "")
            + f": {count}<br>{html.escape(f['why'])} <em>{html.escape(f['act'])}</em>{keys}</div>"
        )
    text = "".join(blocks) or "<p>Nothing failed.</p>"
    return (
        "<div class='ge-section container-fluid mb-3 pl-sm-3 px-0'>"
        f"<h5 class='alert alert-secondary'>What failed and who acts</h5>{text}</div>"
    )


def build_data_docs(docs_folder: Path | None = None, version: str = "") -> Path:
    """The Data Docs site of every suite that ``validate`` has written there: its index, stylesheet and script.

    Args:
        docs_folder: where they are; None: those that are published.
        version: name of the state of the study, for the index; empty: not known.

    Returns:
        The index page.
    """
    folder = docs_folder or paths.data_docs()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "assets").mkdir(exist_ok=True)
    for asset in ASSETS.iterdir():
        shutil.copyfile(asset, folder / "assets" / asset.name)
    declared = list(suites())
    for stale in [f for f in folder.glob("*.json") if f.stem not in declared]:
        stale.unlink()
        stale.with_suffix(".html").unlink(missing_ok=True)
    found = [
        json.loads(f.read_text(encoding="utf-8"))
        for f in (folder / f"{table}.json" for table in declared)
        if f.exists()
    ]
    lines = "".join(
        f"<tr class='docs-{'error' if r['failed_errors'] else 'warning' if r['failed_warnings'] else 'passed'}'>"
        f"<td><a href='{r['table']}.html'>{r['table']}</a></td><td>{r['rows']}</td><td>{r['expectations']}</td>"
        f"<td>{r['expectations'] - r['failed_errors'] - r['failed_warnings']}</td>"
        f"<td>{r['failed_errors']}</td><td>{r['failed_warnings']}</td></tr>"
        for r in found
    )
    cut_off = max((r["data_cut_off"] for r in found), default="not known")
    heads = "".join(
        f"<th>{h}</th>" for h in ("Table", "Rows", "Expectations", "Passed", "Failed errors (block)", "Failed warnings")
    )
    stated = f" Version {html.escape(version)}." if version else ""
    index = folder / "index.html"
    index.write_text(
        f"<!DOCTYPE html>\n<html>{_head('Data Docs')}<body>"
        f"{_navigation('Expectations about the data received', cut_off)}<div class='container pt-4'>"
        f"<p class='alert alert-warning'>{kind_of_data.sentence()}</p><p>Great Expectations suites of this "
        "warehouse. An error stops whatever it would make wrong; the data manager looks into a warning. Failing rows "
        f"are listed by their keys, never with values.{stated}</p>"
        f"<table class='table table-sm docs-index'><thead><tr>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div></body></html>\n",
        encoding="utf-8",
    )
    return index
