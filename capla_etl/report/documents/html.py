"""A study table as an HTML page of its own, by great-tables: no network, no script, the same bytes for the same table.

What is printed does not belong here (``layout``), nor does the report page (``page``).
"""

from __future__ import annotations

from html import escape

from capla_etl.centres.submissions import kind_of_data
from capla_etl.office import all_writable
from capla_etl.report.layout import Edition, Page, beneath, laid_out
from capla_etl.report.printed_tables import Cell, PrintedTable, Row

_RULE = "#1c2a33"
_CSS = """
body { margin: 1.5rem; background: #fff; color: #1c2a33; }
table.gt_table { margin-left: 0; font-variant-numeric: tabular-nums; }
td.gt_row { white-space: nowrap; }
.sub { display: block; font-size: 85%; color: #5b6b76; }
sup { line-height: 0; font-size: 75%; }
"""


_UNRULED = (
    "heading_border_bottom",
    "table_border_top",
    "table_border_bottom",
    "table_body_hlines",
    "table_body_border_top",
    "stub_border",
    "row_group_border_top",
    "row_group_border_bottom",
)


def html_page(table: PrintedTable, edition: Edition) -> str:
    """The table as a whole page (UTF-8); its parts have ids that begin with the table's id."""
    import pandas as pd
    from great_tables import GT, html

    table, edition = all_writable((table, edition))
    (panel,) = laid_out(table, Page()).panels
    columns = [f"c{position}" for position in range(len(table.columns))]
    lines = [(heading, _label(row), *map(_cell, row.cells)) for heading, rows in panel.sections for row in rows]
    frame = pd.DataFrame(lines, columns=["section", "label", *columns])
    sectioned = frame["section"].ne("").any()
    great = (
        GT(
            frame if sectioned else frame.drop(columns="section"),
            rowname_col="label",
            groupname_col="section" if sectioned else None,
            id=table.table_id,
        )
        .tab_header(title=html(f"<strong>{escape(table.title)}</strong>"))
        # The cells are HTML already, each text in them escaped.
        .fmt_passthrough(columns=["label", *columns], escape=False)
        .cols_label({name: html(_cell(heading)) for name, heading in zip(columns, panel.headings, strict=True)})
        .cols_align("center", columns=columns)
        .cols_align("left", columns=[name for name, left in zip(columns, panel.left, strict=True) if left])
        .tab_options(
            # Three rules: above the headings, under them, under the rows.
            column_labels_border_top_color=_RULE,
            column_labels_border_bottom_color=_RULE,
            column_labels_border_bottom_width="1px",
            table_body_border_bottom_color=_RULE,
            **{f"{part}_style": "none" for part in _UNRULED},
            heading_align="left",
            column_labels_font_weight="bold",
            row_group_font_weight="bold",
            table_font_size="14px",
            source_notes_font_size="12px",
            data_row_padding="3px",
        )
    )
    first = 0
    for above, count in panel.over:
        if above:
            run = columns[first : first + count]
            great = great.tab_spanner(html(escape(above)), columns=run, id=f"{table.table_id}-over-{run[0]}")
        first += count
    for note in beneath(table, edition):
        texts = ((f"<sup>{letter}</sup>&nbsp;" if letter else "") + escape(text) for letter, text in note)
        great = great.tab_source_note(html("".join(texts)))
    great = great.tab_source_note(html(escape(edition.stated)))
    return _WHOLE.format(title=escape(table.title + kind_of_data.in_title()), css=_CSS, table=great.as_raw_html())


# A page that may load nothing.
_WHOLE = """<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
{table}
</body>
</html>
"""


def _cell(cell: Cell) -> str:
    return escape(cell.main) + (f'<span class="sub">{escape(cell.sub)}</span>' if cell.sub else "")


def _label(row: Row) -> str:
    label = escape(row.label) + (f"<sup>{escape(row.marks)}</sup>" if row.marks else "")
    return f'<span style="padding-left: 1.2em">{label}</span>' if row.indented else label
