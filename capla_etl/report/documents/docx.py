"""Study tables as one Word document: real tables that a journal can edit, with captions, notes, methods and figures.

What is printed does not belong here (``layout``, ``methods``), nor does the drawing of figures (``figures``).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime, time

from capla_etl.office import all_writable, saved
from capla_etl.report.layout import (
    PARAMETERS_HEADINGS,
    PARAMETERS_TITLE,
    Edition,
    Page,
    Panel,
    beneath,
    continued,
    laid_out,
    number_and_name,
    one_line,
    parameter_lines,
)
from capla_etl.report.printed_tables import Cell, PrintedTable
from capla_etl.tables.labels import about_the_data

TITLE = "Caplacizumab in immune-mediated TTP: study tables"
# Centimetres, A4.
_PAGE, _MARGIN = (21.0, 29.7), 1.8
_WIDTH = _PAGE[1] - 2 * _MARGIN
_ROOM = Page(_WIDTH, label=7.5, least_label=5.0, letter=0.16, bold=1.15, padding=0.5, least=1.8)
_FONT = "Arial"
_TEXT, _NOTE, _SMALL = "Table Text", "Table Note", "Table Small"


def docx_bytes(
    tables: list[PrintedTable], methods: list[str], edition: Edition, figures: Mapping[str, bytes] | None = None
) -> bytes:
    """The document: methods (portrait), then each table on its page, figures and the parameters as used (landscape).

    Args:
        tables: in the order of the document.
        methods: paragraphs of the statistical methods; none leaves the section out.
        edition: what all documents of the run have in common.
        figures: caption -> PNG.

    Returns:
        The file; the same input gives the same bytes.
    """
    from docx import Document

    tables, methods, edition, figures = all_writable((tables, methods, edition, dict(figures or {})))
    document = Document()
    _properties(document, edition)
    _styles(document)
    _page(document.sections[0], landscape=False)
    _header_and_footer(document.sections[0], edition)
    document.add_paragraph(TITLE, style="Title")
    document.add_paragraph(" ".join(text for text in (about_the_data(), edition.notice) if text))
    if methods:
        document.add_heading("Statistical methods", level=1)
        for paragraph in methods:
            document.add_paragraph(paragraph)
    _page(document.add_section(), landscape=True)
    for position, table in enumerate(tables):
        _table(document, table, edition, new_page=position > 0)
    for caption, png in (figures or {}).items():
        _figure(document, caption, png)
    if edition.parameters:
        _parameters(document, tables, edition)
    return saved(document, edition.data_cut_off)


def _properties(document, edition: Edition) -> None:
    properties = document.core_properties
    properties.title, properties.comments = TITLE, about_the_data()
    properties.author = properties.last_modified_by = "capla_etl"
    properties.created = properties.modified = datetime.combine(edition.data_cut_off, time())


def _styles(document) -> None:
    """Every size and distance once, as styles, so that an editor can change all tables in one place."""
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    styles = document.styles
    styles.element.find(qn("w:docDefaults")).find(".//" + qn("w:lang")).set(qn("w:val"), "en-GB")
    for name, size in (("Normal", 10), ("Title", 16), ("Heading 1", 13), ("Caption", 10)):
        style = styles[name]
        style.font.size, style.font.color.rgb, style.font.name = Pt(size), RGBColor(0, 0, 0), _FONT
        fonts = style.element.rPr.rFonts
        for theme in [key for key in fonts.attrib if key.endswith("Theme")]:
            del fonts.attrib[theme]
    styles["Caption"].paragraph_format.keep_with_next = True
    styles["Caption"].paragraph_format.space_after = Pt(4)
    for name, size, above in ((_TEXT, 8, 1), (_NOTE, 7.5, 2)):
        style = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = styles["Normal"]
        style.font.size = Pt(size)
        style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(above), Pt(1)
        style.paragraph_format.line_spacing = 1.0
    styles.add_style(_SMALL, WD_STYLE_TYPE.CHARACTER).font.size = Pt(7)


def _page(section, landscape: bool) -> None:
    from docx.enum.section import WD_ORIENT
    from docx.shared import Cm

    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (Cm(side) for side in (reversed(_PAGE) if landscape else _PAGE))
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(_MARGIN)
    section.header_distance = section.footer_distance = Cm(1)


def _header_and_footer(section, edition: Edition) -> None:
    """The header says on every page whether the data are synthetic; later sections inherit it."""
    section.header.paragraphs[0].text = about_the_data()
    section.header.paragraphs[0].style = section.footer.paragraphs[0].style = _NOTE
    footer = section.footer.paragraphs[0]
    footer.add_run(f"{edition.stated} Page ")
    _field(footer, "PAGE", "1")


def _field(paragraph, instruction: str, shown: str) -> None:
    """Add a Word field, with the text that it shows until Word computes it."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), instruction)
    run = paragraph.add_run(shown)._r
    run.addprevious(field)
    field.append(run)


def _caption(document, title: str, new_page: bool) -> None:
    """The caption above a table. Its number is a field of fixed value, so that Word can list and refer to tables."""
    number, name = number_and_name(title)
    caption = document.add_paragraph(style="Caption")
    if number is not None:
        caption.add_run("Table ")
        _field(caption, rf"SEQ Table \* ARABIC \r {number}", str(number))
        caption.add_run(". ")
    caption.add_run(name)
    caption.paragraph_format.page_break_before = new_page


def _table(document, table: PrintedTable, edition: Edition, new_page: bool) -> None:
    _caption(document, table.title, new_page)
    layout = laid_out(table, _ROOM)
    for position, panel in enumerate(layout.panels):
        if position:
            document.add_paragraph(continued(table.title), style=_NOTE).paragraph_format.keep_with_next = True
        _panel(document, table.title, panel, layout.stacked)
    for note in beneath(table, edition):
        paragraph = document.add_paragraph(style=_NOTE)
        for letter, text in note:
            if letter:
                paragraph.add_run(letter).font.superscript = True
            paragraph.add_run(f"\u00a0{text}" if letter else text)


def _panel(document, title: str, panel: Panel, stacked: bool) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    side = [WD_ALIGN_PARAGRAPH.LEFT if left else WD_ALIGN_PARAGRAPH.CENTER for left in panel.left]
    grid = _grid(document, panel.widths, title)
    if panel.has_over:
        cells = _add_row(grid, heading=True)[1:]
        for above, count in panel.over:
            if above:
                over = cells[0].merge(cells[count - 1])
                _fill(over, Cell(above), WD_ALIGN_PARAGRAPH.CENTER, bold=True)
                _rule_under([over])
            cells = cells[count:]
    head = _add_row(grid, heading=True)
    for place, heading, align in zip(head[1:], panel.headings, side, strict=True):
        _fill(place, heading, align, stacked=True, bold=True)
    _rule_under(head)
    for heading, rows in panel.sections:
        if heading:
            cells = _add_row(grid)
            paragraph = cells[0].merge(cells[-1]).paragraphs[0]
            paragraph.paragraph_format.keep_with_next = True
            paragraph.add_run(heading).bold = True
        for row in rows:
            cells = _add_row(grid)
            paragraph = cells[0].paragraphs[0]
            paragraph.paragraph_format.left_indent = Pt(10 if row.indented else 0)
            paragraph.add_run(row.label)
            paragraph.add_run(row.marks).font.superscript = True
            for place, cell, align in zip(cells[1:], row.cells, side, strict=True):
                _fill(place, cell, align, stacked)


def _grid(document, widths: list[float], title: str):
    """An empty table of fixed column widths (cm) with a rule above and one beneath."""
    from docx.oxml import OxmlElement, parse_xml
    from docx.oxml.ns import nsdecls, qn
    from docx.shared import Cm

    grid = document.add_table(rows=0, cols=len(widths))
    grid.autofit = False
    for column, width in zip(grid.columns, widths, strict=True):
        column.width = Cm(width)
    properties = grid._tbl.tblPr
    rules = "".join(f'<w:{edge} w:val="single" w:sz="8" w:space="0" w:color="000000"/>' for edge in ("top", "bottom"))
    properties.find(qn("w:tblLayout")).addprevious(parse_xml(f"<w:tblBorders {nsdecls('w')}>{rules}</w:tblBorders>"))
    described = OxmlElement("w:tblCaption")
    described.set(qn("w:val"), title)
    properties.append(described)
    return grid


def _add_row(grid, heading: bool = False) -> tuple:
    """Add a row that is not split over pages; a heading is repeated on each. Returns its empty cells."""
    from docx.oxml import OxmlElement

    row = grid.add_row()
    properties = row._tr.get_or_add_trPr()
    properties.append(OxmlElement("w:cantSplit"))
    if heading:
        properties.append(OxmlElement("w:tblHeader"))
    cells = row.cells
    for cell in cells:
        # By its id: a look-up by name takes most of the time of a long document.
        cell._tc.p_lst[0].style = _TEXT.replace(" ", "")
    return cells


def _rule_under(cells) -> None:
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    for cell in cells:
        rule = '<w:bottom w:val="single" w:sz="4" w:space="0" w:color="000000"/>'
        cell._tc.get_or_add_tcPr().append(parse_xml(f"<w:tcBorders {nsdecls('w')}>{rule}</w:tcBorders>"))


def _fill(place, cell: Cell, align=None, stacked: bool = False, bold: bool = False) -> None:
    """Write a number with its counts or interval: on the same line, or stacked in small print."""
    paragraph = place.paragraphs[0]
    paragraph.alignment = align
    main = paragraph.add_run(cell.main if stacked else one_line(cell))
    main.bold = bold or None
    if stacked and cell.sub:
        main.add_break()
        paragraph.add_run(cell.sub)._r.style = _SMALL.replace(" ", "")


def _figure(document, caption: str, png: bytes) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Cm

    paragraph = document.add_paragraph()
    paragraph.paragraph_format.page_break_before = paragraph.paragraph_format.keep_with_next = True
    shape = paragraph.add_run().add_picture(io.BytesIO(png), height=Cm(_PAGE[0] - 2 * _MARGIN - 3))
    if shape.width > (most := Cm(_WIDTH)):
        shape.height, shape.width = int(shape.height * most / shape.width), most
    shape._inline.find(qn("wp:docPr")).set("descr", caption)
    document.add_paragraph(caption, style="Caption").paragraph_format.keep_with_next = False
    document.add_paragraph(about_the_data(), style=_NOTE)


def _parameters(document, tables: list[PrintedTable], edition: Edition) -> None:
    _caption(document, PARAMETERS_TITLE, new_page=True)
    grid = _grid(document, [7.6, 2.8, 9.3, 6.0], PARAMETERS_TITLE)
    head = _add_row(grid, heading=True)
    for place, text in zip(head, PARAMETERS_HEADINGS, strict=True):
        _fill(place, Cell(text), bold=True)
    _rule_under(head)
    for line in parameter_lines(tables, edition):
        for place, text in zip(_add_row(grid), line, strict=True):
            _fill(place, Cell(text))
    document.add_paragraph(about_the_data(), style=_NOTE)
