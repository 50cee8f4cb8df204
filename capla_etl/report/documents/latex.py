"""Study tables as LaTeX: one document that compiles as it is, each table a ``longtable`` with ``booktabs`` rules.

What is printed does not belong here (``layout``, ``methods``). Written by hand: great-tables writes no footnotes in
LaTeX.
"""

from __future__ import annotations

import re
import unicodedata

from capla_etl.office import all_writable
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

_NAMES = ("backslash", "asciitilde", "asciicircum", "less", "greater", "bar", "asciigrave", "quotedbl")
_SYMBOLS = ("pm", "times", "cdot", "geq", "leq", "approx", "neq", "rightarrow", "alpha", "beta", "kappa", "chi")
_SPECIAL = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{character: rf"{{{character}}}" for character in "[]"},
    **dict(zip("‘’“”–—", ["`", "'", "``", "''", "--", "---"], strict=True)),
    **{character: rf"\text{name}{{}}" for character, name in zip(
        '\\~^<>|`"',
        _NAMES,
        strict=True,
    )},
    **{character: rf"\ensuremath{{{name}}}" for character, name in zip(
        "\u2212±×·≥≤≈≠→αβκχ",
        ("-", *(rf"\{name}" for name in _SYMBOLS)),
        strict=True,
    )},
    **{high: rf"\textsuperscript{{{digit}}}" for high, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)},
    **{low: rf"\textsubscript{{{digit}}}" for low, digit in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)},
    "⁻": r"\textsuperscript{\ensuremath{-}}",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u2009": r"\,",
    "µ": r"\textmu{}",
    "μ": r"\textmu{}",
    "°": r"\textdegree{}",
    "…": r"\ldots{}",
    "§": r"\S{}",
}  # fmt: skip
#: Greek letters that LaTeX knows by these names, and capitals that look like Latin ones and have no name of their own.
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi"
_GREEK = {*_GREEK.split(), "omega"}
_GREEK_NAMES = {"LAMDA": "lambda"}
_LIKE_LATIN = dict(
    alpha="A", beta="B", epsilon="E", zeta="Z", eta="H", iota="I", kappa="K", mu="M", nu="N", omicron="O", rho="P",
    tau="T", chi="X",
)  # fmt: skip
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
# In characters of footnote size.
_ROOM = Page(175, label=46, least_label=46, padding=3)


def escaped(text: str) -> str:
    """The text as LaTeX that pdflatex sets as it stands; what its Latin fonts lack, as the letter's number: U+65E5."""
    # Adjacent hyphens would become a dash.
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(
        "{}-" if before == character == "-" else _latex(character)
        for before, character in zip(f" {text}", text, strict=False)
    )


def _latex(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    letter = "\u00c0" <= character <= "\u017f" and unicodedata.category(character).startswith("L")
    if letter or character == "\n" or (character.isascii() and character.isprintable()):
        return character
    return _greek(character) or rf"\texttt{{U+{ord(character):04X}}}"


def _greek(character: str) -> str | None:
    """A Greek letter in math mode, without its accents, which have no sign there."""
    plain = unicodedata.normalize("NFD", character)[0]
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (FINAL )?(\w+)", unicodedata.name(plain, ""))
    if not found:
        return None
    is_small, name = found[1] == "SMALL", _GREEK_NAMES.get(found[3], found[3].lower())
    latin = _LIKE_LATIN.get(name) if not is_small else "o" if name == "omicron" else None
    if latin:
        return latin
    if name not in _GREEK:
        return None
    return rf"\ensuremath{{\{'var' if found[2] else ''}{name if is_small else name.capitalize()}}}"


def latex_text(tables: list[PrintedTable], methods: list[str], edition: Edition) -> str:
    """The document: methods, then each table on its page, then the parameters as used.

    Args:
        tables: in the order of the document.
        methods: paragraphs of the statistical methods; none leaves the section out.
        edition: what all documents of the run have in common.
    """
    tables, methods, edition = all_writable((tables, methods, edition))
    parts = [
        _PREAMBLE,
        r"\begin{document}",
        rf"\textbf{{{escaped(' '.join(text for text in (about_the_data(), edition.notice) if text))}}}",
        "",
        escaped(edition.stated) + "\n",
    ]
    if methods:
        parts.append(r"\section*{Statistical methods}" + "\n")
        parts += [escaped(paragraph) + "\n\\par\\medskip\n" for paragraph in methods]
    for table in tables:
        parts += [r"\clearpage", _table(table, edition)]
    if edition.parameters:
        parts += [r"\clearpage", _parameters(tables, edition)]
    return "\n".join([*parts, r"\end{document}", ""])


def _longtable(columns: str, title: str, head: list[str], body: list[str], again: bool = False) -> str:
    """A table over as many pages as it needs. Its caption shows its own number, which ``\\ref`` gives, or none."""
    number, name = number_and_name(title)
    counter = []
    if again:
        caption = rf"\caption*{{{escaped(continued(title))}}}"
    elif number is None:
        caption = rf"\caption*{{\textbf{{{escaped(name)}}}}}"
    else:
        caption, counter = rf"\caption{{{escaped(name)}}}", [rf"\setcounter{{table}}{{{number - 1}}}"]
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
    layout = laid_out(table, _ROOM)
    grids = [
        _panel(table.title, panel, layout.stacked, again=position > 0) for position, panel in enumerate(layout.panels)
    ]
    notes = [
        "".join((rf"\textsuperscript{{{letter}}}~" if letter else "") + escaped(text) for letter, text in note)
        for note in beneath(table, edition)
    ]
    return "\n".join([*grids, *(rf"\notes{{{text}}}" for text in notes)])


def _panel(title: str, panel: Panel, stacked: bool, again: bool) -> str:
    def cell(content: Cell, under: bool) -> str:
        if under and content.sub:
            return rf"\under{{{escaped(content.main)}}}{{{escaped(content.sub)}}}"
        return escaped(one_line(content))

    head, over, rules, place = [], [""], [], 2
    for above, count in panel.over:
        over.append(rf"\multicolumn{{{count}}}{{c}}{{\bfseries {escaped(above)}}}" if above else "")
        if above:
            rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}")
        place += count
    if rules:
        head = [" & ".join(over) + r"\\", "".join(rules)]
    head.append(" & ".join(["", *(rf"\bfseries {cell(heading, True)}" for heading in panel.headings)]) + r"\\")
    body = []
    for heading, rows in panel.sections:
        if heading:
            body.append(rf"\multicolumn{{{len(panel.left) + 1}}}{{@{{}}l}}{{\bfseries {escaped(heading)}}}")
        for row in rows:
            indent, marks = (
                r"\hspace*{1em}" if row.indented else "",
                rf"\textsuperscript{{{row.marks}}}" if row.marks else "",
            )
            body.append(
                " & ".join([indent + escaped(row.label) + marks, *(cell(content, stacked) for content in row.cells)])
            )
    columns = r">{\raggedright\arraybackslash}p{0.29\linewidth}" + "".join("l" if left else "c" for left in panel.left)
    return _longtable(columns, title, head, body, again)


def _parameters(tables: list[PrintedTable], edition: Edition) -> str:
    columns = "".join(rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in (0.3, 0.1, 0.33, 0.2))
    head = [" & ".join(rf"\bfseries {name}" for name in PARAMETERS_HEADINGS) + r"\\"]
    body = [" & ".join(map(escaped, line)) for line in parameter_lines(tables, edition)]
    return _longtable(columns, PARAMETERS_TITLE, head, body) + "\n" + rf"\notes{{{escaped(about_the_data())}}}"
