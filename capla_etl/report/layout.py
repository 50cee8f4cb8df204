"""The layout of a printed table, computed once for all documents: its columns, widths, panels, headings and notes.

How a document writes them does not belong here (``documents``), nor do the numbers (``printed_tables``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby

from capla_etl.protocol.parameters import Parameter
from capla_etl.report.numbers import CONFIDENTIAL, NONE
from capla_etl.report.printed_tables import Cell, PrintedTable, Row
from capla_etl.tables.labels import EFFECT_CAVEAT, TABLES, about_the_data

#: Explained under a table that prints them.
ABBREVIATIONS = {
    "ADAMTS13": "a disintegrin and metalloproteinase with thrombospondin type 1 motif, member 13",
    "CI": "confidence interval",
    "HR": "hazard ratio",
    "IgG": "immunoglobulin G",
    "IQR": "interquartile range",
    "iTTP": "immune-mediated thrombotic thrombocytopenic purpura",
    "LDH": "lactate dehydrogenase",
    "OR": "odds ratio",
    "pp": "percentage points",
    "RMST": "restricted mean survival time",
    "RR": "risk ratio",
    "SMD": "standardised mean difference",
    "TPE": "therapeutic plasma exchange",
    "TTP": "thrombotic thrombocytopenic purpura",
    "ULN": "upper limit of normal",
    CONFIDENTIAL: "not shown, to protect single patients",
}
#: Title and headings of the table that lists the parameters.
PARAMETERS_TITLE = "Definitions and parameters as used"
PARAMETERS_HEADINGS = ("Parameter", "Value", "Rule and source", "Used in")


@dataclass(frozen=True)
class Edition:
    """What all documents of one study run have in common.

    Attributes:
        data_cut_off: last data cut-off of the centres; stands for the date of every document.
        parameters: the protocol's parameters as used, by name.
        notice: what a reader is told about the disclosure profile; empty for none.
        version: name of the state of the study (``study.version``); empty: not known.
    """

    data_cut_off: date
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    notice: str = ""
    version: str = ""

    @property
    def stated(self) -> str:
        """Which state of the study a document shows."""
        version = f" Version {self.version}." if self.version else ""
        return f"Data cut-off {self.data_cut_off.isoformat()}.{version}"


@dataclass(frozen=True)
class Page:
    """What a kind of document has room for. All lengths are in one unit of the document's choice.

    Attributes:
        width: of the page.
        label, least_label: preferred and least width of the labels of rows.
        letter: width of a letter; ``bold`` times as much in a heading.
        padding, least: of a column, added to its text and its least width.
        spread: whether a heading shared by columns must fit on one line.
    """

    width: float = float("inf")
    label: float = 0
    least_label: float = 0
    letter: float = 1
    bold: float = 1
    padding: float = 0
    least: float = 0
    spread: bool = False


@dataclass(frozen=True)
class Panel:
    """A part of a table that fits the page.

    Attributes:
        over: what stands above the headings, each with the number of its columns; empty text above a single column.
        headings: of the columns.
        left: per column, whether its cells are words, printed from the left; numbers are centred.
        widths: of the labels and of each column.
        sections: (heading, rows), each row with the cells of this panel only.
    """

    over: list[tuple[str, int]]
    headings: list[Cell]
    left: list[bool]
    widths: list[float]
    sections: list[tuple[str, list[Row]]]

    @property
    def has_over(self) -> bool:
        """Whether any columns share a heading."""
        return any(text for text, _ in self.over)


@dataclass(frozen=True)
class Layout:
    """A table laid out for one kind of page. ``stacked``: small print goes under its number, for want of room."""

    stacked: bool
    panels: list[Panel]


def laid_out(table: PrintedTable, page: Page) -> Layout:
    """The table in as few panels as fit the page, one under the other; columns that share a heading stay together."""
    beside = _widths(table, page, lambda cell: (one_line(cell),))
    stacked = sum(beside) > page.width - page.label
    if stacked:
        widths = _widths(table, page, lambda cell: (cell.main, cell.sub))
        parts = panels(table, widths, page.width - page.least_label)
        widest = max(sum(widths[column] for column in part) for part in parts)
        label = max(page.least_label, min(page.label, page.width - widest))
    else:
        widths, parts, label = beside, [list(range(len(beside)))], page.label
    names, left = _headings(table), is_text(table)
    return Layout(
        stacked,
        [
            Panel(
                [(above, len(run)) for above, run in _runs(table, part)],
                [names[column][1] for column in part],
                [left[column] for column in part],
                [label, *(widths[column] for column in part)],
                _sections(table, part),
            )
            for part in parts
        ],
    )


def _headings(table: PrintedTable) -> list[tuple[str, Cell]]:
    """Per column, its shared and own heading: "Early against control: p" is ("Early against control", "p")."""
    split = [column.main.rpartition(": ") for column in table.columns]
    return [(above, replace(column, main=name)) for (above, _, name), column in zip(split, table.columns, strict=True)]


def _runs(table: PrintedTable, columns: list[int]) -> list[tuple[str, list[int]]]:
    """Neighbouring columns that share a heading, with it; a column without one is a run of its own."""
    above = [over for over, _ in _headings(table)]
    runs = [list(run) for _, run in groupby(columns, key=lambda column: above[column] or column)]
    return [(above[run[0]], run) for run in runs]


def _widths(table: PrintedTable, page: Page, lines) -> list[float]:
    """Width of each column. ``lines``: what a cell prints, line by line."""
    names = _headings(table)
    shared = [above for above, _ in names]
    widths = []
    for position, (above, heading) in enumerate(names):
        cells = [row.cells[position] for _, rows in table.sections for row in rows]
        longest = max(
            page.bold * len(heading.main),
            len(heading.sub),
            *(len(line) for cell in cells for line in lines(cell)),
            len(above) / shared.count(above) - page.padding if page.spread else 0,
        )
        widths.append(min(page.width - page.least_label, max(page.least, page.padding + page.letter * longest)))
    return widths


def panels(table: PrintedTable, widths: list[float], room: float) -> list[list[int]]:
    """The columns of each panel, for columns of these widths in a panel of that width."""
    found: list[list[int]] = [[]]
    for _, run in _runs(table, list(range(len(table.columns)))):
        if found[-1] and sum(widths[column] for column in found[-1] + run) > room:
            found.append([])
        found[-1] += run
    return found


def _sections(table: PrintedTable, columns: list[int]) -> list[tuple[str, list[Row]]]:
    """The sections of a panel. One with only some of the columns has no rows that are empty in it."""
    sections = [
        (heading, [replace(row, cells=[row.cells[column] for column in columns]) for row in rows])
        for heading, rows in table.sections
    ]
    if len(columns) == len(table.columns):
        return sections
    kept = [(heading, [row for row in rows if any(cell.main for cell in row.cells)]) for heading, rows in sections]
    return [(heading, rows) for heading, rows in kept if rows]


def is_text(table: PrintedTable) -> list[bool]:
    """For each column, whether it holds words rather than numbers."""
    cells = [
        [row.cells[position].main for _, rows in table.sections for row in rows]
        for position in range(len(table.columns))
    ]
    return [
        any(column) and not any(re.search(r"\d", text) or text in (NONE, CONFIDENTIAL) for text in column)
        for column in cells
    ]


def number_and_name(title: str) -> tuple[int | None, str]:
    """Split a title: "Table 2. Outcomes" is (2, "Outcomes"); the number is None where there is none."""
    numbered = re.fullmatch(r"Table (\d+)\. (.+)", title)
    return (int(numbered[1]), numbered[2]) if numbered else (None, title)


def continued(title: str) -> str:
    """What stands above the second and later panels of a table."""
    number, name = number_and_name(title)
    return f"{name if number is None else f'Table {number}'}, continued"


def one_line(cell: Cell) -> str:
    """A cell on one line: its small print in brackets, or after a semicolon if the number has brackets already."""
    if not cell.sub:
        return cell.main
    return f"{cell.main}; {cell.sub}" if "(" in cell.main else f"{cell.main} ({cell.sub})"


def value_text(parameter: Parameter) -> str:
    """The value of a parameter as printed."""
    return ", ".join(map(str, parameter.value)) if isinstance(parameter.value, list) else str(parameter.value)


def abbreviations(table: PrintedTable) -> str:
    """The abbreviations that the table prints, explained in one line; empty if it prints none."""
    rows = [row for _, rows in table.sections for row in rows]
    cells = [*table.columns, *(cell for row in rows for cell in row.cells)]
    printed = "\n".join(
        [
            *(table.title, table.note, *table.not_assessed, *(text for _, text in table.footnotes)),
            *(row.label for row in rows),
            *(text for cell in cells for text in (cell.main, cell.sub)),
        ]
    )
    found = [short for short in ABBREVIATIONS if re.search(rf"(?<!\w){re.escape(short)}(?!\w)", printed)]
    explained = "; ".join(f"{short}: {ABBREVIATIONS[short]}" for short in sorted(found, key=str.casefold))
    return f"{explained}." if found else ""


def parameters_used(table: PrintedTable, edition: Edition) -> list[Parameter]:
    """The parameters that define what the table shows.

    Raises:
        KeyError: the table names a parameter that the edition does not have.
    """
    return [edition.parameters[name] for name in TABLES[table.table_id].parameters] if table.table_id in TABLES else []


def closing_notes(table: PrintedTable, edition: Edition) -> list[str]:
    """The last notes: patients not assessed, parameters, the caveat of effects, the kind of data, notice."""
    texts = []
    if table.not_assessed:
        texts.append(f"Not assessed: {'; '.join(table.not_assessed)}.")
    if used := parameters_used(table, edition):
        texts.append(f"Parameters as used: {'; '.join(f'{p.name} {value_text(p)}' for p in used)}.")
    if table.effects:
        texts.append(f"{EFFECT_CAVEAT[0].upper()}{EFFECT_CAVEAT[1:]}.")
    return [*texts, about_the_data(), *([edition.notice] if edition.notice else [])]


def beneath(table: PrintedTable, edition: Edition) -> Iterator[list[tuple[str, str]]]:
    """What is printed under a table, paragraph by paragraph.

    Yields:
        The (letter, text) pairs of a paragraph: the footnotes are one paragraph, and punctuated; any other paragraph is
        one text without a letter.
    """
    yield from ([("", text)] for text in (table.note, abbreviations(table)) if text)
    if table.footnotes:
        *others, (letter, last) = table.footnotes
        yield [*((mark, f"{text}; ") for mark, text in others), (letter, f"{last}.")]
    yield from ([("", text)] for text in closing_notes(table, edition))


def used_in(tables: list[PrintedTable], edition: Edition) -> list[tuple[Parameter, str]]:
    """Every parameter of the edition, with the tables that use it: "Table 2, Table 3"."""
    users = [(table.title.split(". ")[0], {p.name for p in parameters_used(table, edition)}) for table in tables]
    return [(p, ", ".join(name for name, used in users if p.name in used)) for p in edition.parameters.values()]


def parameter_lines(tables: list[PrintedTable], edition: Edition) -> list[tuple[str, str, str, str]]:
    """The table that lists the parameters, as ``PARAMETERS_HEADINGS``."""
    return [(p.name, value_text(p), p.source, users) for p, users in used_in(tables, edition)]
