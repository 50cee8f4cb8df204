"""A study table as an HTML page of its own, by great-tables: no network, no script, the same bytes for the same table.

What is printed does not belong here (``tables``, ``beneath``), nor does the report page (``html``).
"""

from __future__ import annotations

from html import escape

from capla_etl.report.layout import Edition, closing_notes, headings, is_text, neighbours, notes
from capla_etl.report.printed_tables import Cell, PrintedTable

_RULE = "#1c2a33"
_CSS = """
body { margin: 1.5rem; background: #fff; color: #1c2a33; }
table.gt_table { margin-left: 0; font-variant-numeric: tabular-nums; }
td.gt_row { white-space: nowrap; }
.sub { display: block; font-size: 85%; color: #5b6b76; }
sup { line-height: 0; font-size: 75%; }
"""


def html_page(table: PrintedTable, edition: Edition) -> str:
    """The table as a whole page (UTF-8); its parts have ids that begin with the table's id."""
    import pandas as pd
    from great_tables import GT, html

    sectioned = any(heading for heading, _ in table.sections)
    columns = [f"c{position}" for position in range(len(table.columns))]
    lines = [
        {
            "section": heading,
            "label": _label(row),
            **{name: _cell(cell) for name, cell in zip(columns, row.cells, strict=True)},
        }
        for heading, rows in table.sections
        for row in rows
    ]
    frame = pd.DataFrame(lines, columns=["section", "label", *columns])
    great = GT(
        frame if sectioned else frame.drop(columns="section"),
        rowname_col="label",
        groupname_col="section" if sectioned else None,
        id=table.table_id,
    )
    great = (
        great.tab_header(title=html(f"<strong>{escape(table.title)}</strong>"))
        # The cells are HTML already, each text in them escaped.
        .fmt_passthrough(columns=["label", *columns], escape=False)
        .cols_label({name: html(_cell(heading)) for name, (_, heading) in zip(columns, headings(table), strict=True)})
        .cols_align("center", columns=columns)
        .cols_align("left", columns=[name for name, text in zip(columns, is_text(table), strict=True) if text])
        .tab_options(
            # Three rules: above the headings, beneath them, beneath the rows.
            column_labels_border_top_color=_RULE,
            column_labels_border_bottom_color=_RULE,
            column_labels_border_bottom_width="1px",
            table_body_border_bottom_color=_RULE,
            **{
                f"{part}_style": "none"
                for part in (
                    "heading_border_bottom",
                    "table_border_top",
                    "table_border_bottom",
                    "table_body_hlines",
                    "table_body_border_top",
                    "stub_border",
                    "row_group_border_top",
                    "row_group_border_bottom",
                )
            },
            heading_align="left",
            column_labels_font_weight="bold",
            row_group_font_weight="bold",
            table_font_size="14px",
            source_notes_font_size="12px",
            data_row_padding="3px",
        )
    )
    for above, run in neighbours(table, list(range(len(columns)))):
        if above:
            great = great.tab_spanner(
                html(escape(above)),
                columns=[columns[column] for column in run],
                id=f"{table.table_id}-over-{columns[run[0]]}",
            )
    lettered = "; ".join(f"<sup>{letter}</sup>&nbsp;{escape(text)}" for letter, text in table.footnotes)
    for text in [
        *map(escape, notes(table)),
        *([f"{lettered}."] if lettered else []),
        *map(escape, closing_notes(table, edition)),
    ]:
        great = great.tab_source_note(html(text))
    return (
        '<!DOCTYPE html>\n<html lang="en-GB">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(table.title)} (synthetic data)</title>\n<style>{_CSS}</style>\n</head>\n<body>\n{great.as_raw_html()}\n</body>\n</html>\n"
    )


def _cell(cell: Cell) -> str:
    return escape(cell.main) + (f'<span class="sub">{escape(cell.sub)}</span>' if cell.sub else "")


def _label(row) -> str:
    marks = f"<sup>{escape(row.marks)}</sup>" if row.marks else ""
    label = f"{escape(row.label)}{marks}"
    return f'<span style="padding-left: 1.2em">{label}</span>' if row.indented else label
