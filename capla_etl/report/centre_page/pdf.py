"""A centre's page as PDF: A4, fonts embedded, the same bytes for the same content. What stands on it: ``content``."""

from __future__ import annotations

import io
import re
from functools import cache
from html import escape
from pathlib import Path

from capla_etl.centres.submissions import kind_of_data
from capla_etl.office import all_writable
from capla_etl.report.centre_page.content import CentrePage, Listing, Strip

_INK, _MUTED, _RULE, _SOFT, _OWN, _STRONG = "#1c2a33", "#5b6b76", "#cfd8dd", "#e9efef", "#0b6e75", "#b4531a"
#: Names of files, sheets and columns may be in a script that the embedded font lacks: PDF readers bring these fonts.
_ASIAN = {"HeiseiKakuGo-W5": r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]+", "HYGothic-Medium": r"[\uac00-\ud7a3]+"}
#: Points: from the edge of the paper, and from there to the text (reportlab's frame).
_MARGIN, _PADDING = 36.0, 6.0


@cache
def _fonts() -> None:
    """Register the font (DejaVu Sans comes with matplotlib) and those of other scripts."""
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in ("DejaVuSans", "DejaVuSans-Bold"):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    for name in _ASIAN:
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def pdf_bytes(page: CentrePage) -> bytes:
    """The page as PDF, A4."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

    _fonts()
    page = all_writable(page)
    plain = ParagraphStyle("plain", fontName="DejaVuSans", fontSize=7.2, leading=9.2, textColor=_INK)
    styles = {
        "plain": plain,
        "right": ParagraphStyle("right", plain, alignment=2),
        "note": ParagraphStyle("note", plain, textColor=_MUTED, spaceAfter=2),
        "head": ParagraphStyle("head", plain, textColor=_MUTED, fontName="DejaVuSans-Bold"),
        "head_right": ParagraphStyle("head_right", plain, textColor=_MUTED, fontName="DejaVuSans-Bold", alignment=2),
        "group": ParagraphStyle("group", plain, textColor=_OWN, fontName="DejaVuSans-Bold", spaceBefore=3),
        "h1": ParagraphStyle("h1", plain, fontName="DejaVuSans-Bold", fontSize=13, leading=17, spaceAfter=3),
        "h2": ParagraphStyle(
            "h2",
            plain,
            fontName="DejaVuSans-Bold",
            fontSize=9.5,
            leading=12,
            spaceBefore=8,
            spaceAfter=2,
            keepWithNext=1,
        ),
    }
    content = io.BytesIO()
    document = SimpleDocTemplate(
        content,
        pagesize=A4,
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN),
        title=page.title + kind_of_data.in_title(),
        author="capla_etl",
        lang="en",
        invariant=1,
    )
    story = [Paragraph(_text(page.title), styles["h1"]), *(Paragraph(_text(t), styles["note"]) for t in page.lead)]
    for section in page.sections:
        story.append(Paragraph(_text(section.heading), styles["h2"]))
        story += [Paragraph(_text(section.note), styles["note"])] if section.note else []
        story.append(_table(section, styles) if section.rows else Paragraph(_text(section.empty), styles["plain"]))
    story += [Spacer(1, 8), Paragraph(_text(page.foot), styles["note"])]
    document.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return content.getvalue()


def _foot(canvas, document) -> None:
    canvas.setFont("DejaVuSans", 6.5)
    canvas.setFillColor(_MUTED)
    canvas.drawString(_MARGIN + _PADDING, 24, kind_of_data.sentence())
    canvas.drawRightString(document.pagesize[0] - _MARGIN - _PADDING, 24, f"page {document.page}")


def _text(text: str) -> str:
    """Text for a paragraph, each run of another script in its font."""
    text = escape(text, quote=False)
    for font, letters in _ASIAN.items():
        text = re.sub(letters, lambda run, font=font: f'<font name="{font}">{run[0]}</font>', text)
    return text


def _table(section: Listing, styles: dict):
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import Paragraph, Table

    width = A4[0] - 2 * (_MARGIN + _PADDING)
    widths = [column.share * width for column in section.columns]
    sides = ["_right" if column.right else "" for column in section.columns]
    head = [Paragraph(_text(c.heading), styles[f"head{s}"]) for c, s in zip(section.columns, sides, strict=True)]

    def cell(content: str | Strip, place: int):
        if isinstance(content, Strip):
            return _strip(content, widths[place] - 8)
        return Paragraph(_text(content), styles["right" if sides[place] else "plain"])

    groups = [number for number, row in enumerate(section.rows, start=1) if len(row) == 1]
    rows = [
        [Paragraph(_text(row[0]), styles["group"])] + [""] * (len(widths) - 1)
        if len(row) == 1
        else [cell(content, place) for place, content in enumerate(row)]
        for row in section.rows
    ]
    return Table(
        [head, *rows],
        colWidths=widths,
        repeatRows=1,
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 1.2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
            ("LINEBELOW", (0, 1), (-1, -1), 0.4, _RULE),
            *(("SPAN", (0, number), (-1, number)) for number in groups),
            *(("NOSPLIT", (0, number), (-1, number + 1)) for number in groups),
        ],
    )


def _strip(at: Strip, length: float):
    """Band, axis, dots and diamond, as ``centre_page.html`` draws them."""
    from reportlab.graphics.shapes import Circle, Drawing, Line, Polygon, Rect
    from reportlab.lib.colors import HexColor

    height, middle, inset = 10.0, 5.0, 4.0
    drawing = Drawing(length, height)
    drawing.translate(inset, 0)
    length -= 2 * inset
    band = {"fillColor": HexColor(_SOFT), "strokeColor": None}
    drawing.add(Rect(at.below * length, 0, (at.above - at.below) * length, height, **band))
    drawing.add(Line(0, middle, length, middle, strokeColor=HexColor(_RULE), strokeWidth=0.5))
    for place, dots in at.others:
        for n in range(dots):
            ring = {"fillColor": None, "strokeColor": HexColor(_MUTED), "strokeWidth": 0.6}
            drawing.add(Circle(place * length, dot_y(n, dots, middle, 2.2), 1.25, **ring))
    x, half = at.own * length, 3.2
    corners = [x - half, middle, x, middle + half, x + half, middle, x, middle - half]
    drawing.add(Polygon(corners, fillColor=HexColor(_STRONG if at.severity else _OWN), strokeColor=None))
    return drawing


def dot_y(n: int, dots: int, middle: float, apart: float = 3.6) -> float:
    """Height of the n-th of several dots at one place: around the axis; many are drawn closer."""
    closer = min(apart, 2 * (middle - 1.5) / max(dots - 1, 1))
    return round(middle + closer * (n - (dots - 1) / 2), 2)
