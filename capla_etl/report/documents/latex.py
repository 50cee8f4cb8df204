"""Study tables as LaTeX: one document that compiles as it is, each table a ``longtable`` with the rules of ``booktabs``.

What is printed does not belong here (``tables``, ``beneath``, ``methods``). Written by hand: great-tables writes no LaTeX with footnotes.
"""

from __future__ import annotations

import unicodedata

from capla_etl.report.layout import (
    Edition,
    closing_notes,
    headings,
    is_text,
    neighbours,
    notes,
    number_and_name,
    one_line,
    panels,
    sections_of,
    used_in,
    value_text,
)
from capla_etl.report.printed_tables import PrintedTable
from capla_etl.tables.labels import SYNTHETIC

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u2009": r"\,",
    "\u2013": "--",
    "\u2014": "---",
    "\u2026": r"\ldots{}",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2212": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "\u2265": r"\ensuremath{\geq}",
    "\u2264": r"\ensuremath{\leq}",
    "\u2248": r"\ensuremath{\approx}",
    "\u2260": r"\ensuremath{\neq}",
    "\u2192": r"\ensuremath{\rightarrow}",
    "µ": r"\textmu{}",
    "μ": r"\textmu{}",
    "°": r"\textdegree{}",
    "§": r"\S{}",
    "α": r"\ensuremath{\alpha}",
    "β": r"\ensuremath{\beta}",
    "κ": r"\ensuremath{\kappa}",
    "χ": r"\ensuremath{\chi}",
    **{
        high: rf"\textsuperscript{{{digit}}}"
        for high, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", [*"0123456789", r"\ensuremath{-}"], strict=True)
    },
    **{low: rf"\textsubscript{{{digit}}}" for low, digit in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)},
}
_PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{textcomp}
\usepackage[landscape,margin=1.8cm]{geometry}
\usepackage{array,booktabs,longtable}
\usepackage[labelsep=period,labelfont=bf,singlelinecheck=false,justification=raggedright]{caption}
\setlength{\LTleft}{0pt}
\setlength{\parindent}{0pt}
\setlength{\emergencystretch}{3em}
\newcommand{\under}[2]{\begin{tabular}[t]{@{}c@{}}#1\\[-2pt]{\scriptsize #2}\end{tabular}}
\newcommand{\notes}[1]{{\footnotesize\raggedright #1\par}}
"""
# Characters of a row in footnote size that the page is wide, and of the label column.
_ROW, _LABEL = 175, 46


def escaped(text: str) -> str:
    """The text as LaTeX that pdflatex sets as it stands.

    Raises:
        ValueError: a character that LaTeX's Latin fonts do not have and that has no replacement here.
    """
    # Hyphens that follow each other would become a dash.
    return "".join(
        "{}-" if before == character == "-" else _latex(character, text)
        for before, character in zip(f" {text}", text, strict=False)
    )


def _latex(character: str, text: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    letter = "\u00c0" <= character <= "\u017f" and unicodedata.category(character).startswith("L")
    if letter or character == "\n" or (character.isascii() and character.isprintable()):
        return character
    raise ValueError(f"no LaTeX for {character!r} (U+{ord(character):04X}) in {text!r}")


def latex_text(tables: list[PrintedTable], methods: list[str], edition: Edition) -> str:
    """The document: methods, then each table on its page, then the parameters as used.

    Args:
        tables: in the order of the document.
        methods: paragraphs of the statistical methods; none leaves the section out.
        edition: what all documents of the run have in common.
    """
    parts = [
        _PREAMBLE,
        r"\begin{document}",
        rf"\textbf{{{escaped(' '.join(text for text in (SYNTHETIC, edition.notice) if text))}}}",
        "",
    ]
    parts.append(escaped(f"Data cut-off {edition.data_cut_off.isoformat()}.") + "\n")
    if methods:
        parts.append(r"\section*{Statistical methods}" + "\n")
        parts += [escaped(paragraph) + "\n\\par\\medskip\n" for paragraph in methods]
    for table in tables:
        parts += [r"\clearpage", _table(table, edition)]
    if edition.parameters:
        parts += [r"\clearpage", _parameters(tables, edition)]
    return "\n".join([*parts, r"\end{document}", ""])


def _longtable(columns: str, title: str, head: list[str], body: list[str], continued: bool = False) -> str:
    """A table over as many pages as it needs. Its caption has the table's own number, so that ``\\ref`` gives it; or none, as its title."""
    number, name = number_and_name(title)
    counter = [] if number is None or continued else [rf"\setcounter{{table}}{{{number - 1}}}"]
    if continued:
        caption = rf"\caption*{{{escaped(name if number is None else f'Table {number}')}, continued}}"
    else:
        caption = rf"\caption*{{\textbf{{{escaped(name)}}}}}" if number is None else rf"\caption{{{escaped(name)}}}"
    heading = [r"\toprule", *head, r"\midrule"]
    return "\n".join(
        [
            r"{\footnotesize",
            *counter,
            rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
            caption + r"\\",
            *heading,
            r"\endfirsthead",
            *heading,
            r"\endhead",
            r"\bottomrule",
            r"\endlastfoot",
            *(line + r"\\" for line in body),
            r"\end{longtable}",
            "}",
        ]
    )


def _table(table: PrintedTable, edition: Edition) -> str:
    def needed(lines) -> list[float]:
        widths = []
        for position, (_, heading) in enumerate(headings(table)):
            cells = [row.cells[position] for _, rows in table.sections for row in rows]
            widths.append(
                3 + max(len(heading.main), len(heading.sub), *(len(line) for cell in cells for line in lines(cell)), 0)
            )
        return widths

    beside = needed(lambda cell: (one_line(cell),))
    stacked = sum(beside) > _ROW - _LABEL
    parts = panels(table, needed(lambda cell: (cell.main, cell.sub)) if stacked else beside, _ROW - _LABEL)
    grids = [_panel(table, columns, stacked, continued=position > 0) for position, columns in enumerate(parts)]
    beneath = [escaped(text) for text in notes(table)]
    if table.footnotes:
        beneath.append(
            "; ".join(rf"\textsuperscript{{{letter}}}~{escaped(text)}" for letter, text in table.footnotes) + "."
        )
    beneath += [escaped(text) for text in closing_notes(table, edition)]
    return "\n".join([*grids, *(rf"\notes{{{text}}}" for text in beneath)])


def _panel(table: PrintedTable, columns: list[int], stacked: bool, continued: bool) -> str:
    """Those columns of the table, with the labels of its rows."""
    texts, names = is_text(table), headings(table)

    def cell(content, under: bool) -> str:
        if under and content.sub:
            return rf"\under{{{escaped(content.main)}}}{{{escaped(content.sub)}}}"
        return escaped(one_line(content))

    head, over, rules, place = [], [""], [], 2
    for above, run in neighbours(table, columns):
        over.append(rf"\multicolumn{{{len(run)}}}{{c}}{{\bfseries {escaped(above)}}}" if above else "")
        if above:
            rules.append(rf"\cmidrule(lr){{{place}-{place + len(run) - 1}}}")
        place += len(run)
    if rules:
        head = [" & ".join(over) + r"\\", "".join(rules)]
    head.append(" & ".join(["", *(rf"\bfseries {cell(names[column][1], True)}" for column in columns)]) + r"\\")
    body = []
    for heading, rows in sections_of(table, columns):
        if heading:
            body.append(rf"\multicolumn{{{len(columns) + 1}}}{{@{{}}l}}{{\bfseries {escaped(heading)}}}")
        for row in rows:
            label = (
                (r"\hspace*{1em}" if row.indented else "")
                + escaped(row.label)
                + (rf"\textsuperscript{{{row.marks}}}" if row.marks else "")
            )
            body.append(" & ".join([label, *(cell(row.cells[column], stacked) for column in columns)]))
    aligned = r">{\raggedright\arraybackslash}p{0.29\linewidth}" + "".join(
        "l" if texts[column] else "c" for column in columns
    )
    return _longtable(aligned, table.title, head, body, continued)


def _parameters(tables: list[PrintedTable], edition: Edition) -> str:
    columns = "".join(rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in (0.3, 0.1, 0.33, 0.2))
    head = [" & ".join(rf"\bfseries {name}" for name in ("Parameter", "Value", "Rule and source", "Used in")) + r"\\"]
    body = [
        " & ".join(escaped(text) for text in (p.name, value_text(p), p.source, users))
        for p, users in used_in(tables, edition)
    ]
    return (
        _longtable(columns, "Definitions and parameters as used", head, body)
        + "\n"
        + rf"\notes{{{escaped(SYNTHETIC)}}}"
    )
