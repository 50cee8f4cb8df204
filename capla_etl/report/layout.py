"""What stands around the numbers of a printed table in every document: its number, headings, notes and the parameters it used.

How a document looks does not belong here (``docx``, ``xlsx``, ``latex``, ``html_table``), nor do the numbers (``tables``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from capla_etl.protocol.parameters import Parameter
from capla_etl.report.numbers import CONFIDENTIAL, NONE
from capla_etl.report.printed_tables import Cell, PrintedTable, Row
from capla_etl.tables.labels import EFFECT_CAVEAT, SYNTHETIC, TABLES

#: Explained beneath a table that prints them.
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


@dataclass(frozen=True)
class Edition:
    """What all documents of one study run have in common.

    Attributes:
        data_cut_off: last data cut-off of the centres; stands for the date of every document.
        parameters: the protocol's parameters as used, by name.
        notice: what a reader is told about the disclosure profile; empty for none.
    """

    data_cut_off: date
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    notice: str = ""


def number_and_name(title: str) -> tuple[int | None, str]:
    """The number of a table, None where its title gives none, and its title without it: "Table 2. Outcomes" is (2, "Outcomes")."""
    numbered = re.fullmatch(r"Table (\d+)\. (.+)", title)
    return (int(numbered[1]), numbered[2]) if numbered else (None, title)


def headings(table: PrintedTable) -> list[tuple[str, Cell]]:
    """For each column what stands above it and its neighbours together, and its own heading: "Early against control: p" is ("Early against control", "p")."""
    split = [column.main.rpartition(": ") for column in table.columns]
    return [(above, Cell(name, column.sub)) for (above, _, name), column in zip(split, table.columns, strict=True)]


def neighbours(table: PrintedTable, columns: list[int]) -> list[tuple[str, list[int]]]:
    """The columns in runs that share what stands above them; a column with nothing above is a run of its own."""
    above = [over for over, _ in headings(table)]
    runs: list[tuple[str, list[int]]] = []
    for column in columns:
        if above[column] and runs and runs[-1][0] == above[column]:
            runs[-1][1].append(column)
        else:
            runs.append((above[column], [column]))
    return runs


def panels(table: PrintedTable, widths: list[float], room: float) -> list[list[int]]:
    """The columns in as few panels, one beneath the other, as fit the room; columns that share a heading stay together.

    Args:
        table: the table.
        widths: width of each column.
        room: width of a panel, in the same unit.
    """
    found: list[list[int]] = [[]]
    for _, run in neighbours(table, list(range(len(table.columns)))):
        if found[-1] and sum(widths[column] for column in found[-1] + run) > room:
            found.append([])
        found[-1] += run
    return found


def sections_of(table: PrintedTable, columns: list[int]) -> list[tuple[str, list[Row]]]:
    """The sections of a panel: where it has only some of the columns, without rows that have nothing in them."""
    if len(columns) == len(table.columns):
        return table.sections
    kept = [
        (heading, [row for row in rows if any(row.cells[column].main for column in columns)])
        for heading, rows in table.sections
    ]
    return [(heading, rows) for heading, rows in kept if rows]


def is_text(table: PrintedTable) -> list[bool]:
    """For each column whether it holds words: they are printed from the left, numbers are centred."""
    cells = [
        [row.cells[position].main for _, rows in table.sections for row in rows]
        for position in range(len(table.columns))
    ]
    return [
        bool(any(column)) and not any(re.search(r"\d", text) or text in (NONE, CONFIDENTIAL) for text in column)
        for column in cells
    ]


def one_line(cell: Cell) -> str:
    """A cell on one line: the number and its small print in brackets, or after a semicolon where it has brackets already."""
    if not cell.sub:
        return cell.main
    return f"{cell.main}; {cell.sub}" if "(" in cell.main else f"{cell.main} ({cell.sub})"


def value_text(parameter: Parameter) -> str:
    """The value of a parameter as printed."""
    return ", ".join(map(str, parameter.value)) if isinstance(parameter.value, list) else str(parameter.value)


def abbreviations(table: PrintedTable) -> str:
    """The abbreviations that the table prints, each explained, in one line; empty without any."""
    texts = [table.title, table.note, *table.not_assessed, *(text for _, text in table.footnotes)]
    for _, rows in table.sections:
        texts += [row.label for row in rows]
        texts += [part for row in rows for cell in row.cells for part in (cell.main, cell.sub)]
    texts += [part for column in table.columns for part in (column.main, column.sub)]
    printed = "\n".join(texts)
    found = [short for short in ABBREVIATIONS if re.search(rf"(?<!\w){re.escape(short)}(?!\w)", printed)]
    return (
        "; ".join(f"{short}: {ABBREVIATIONS[short]}" for short in sorted(found, key=str.casefold)) + "."
        if found
        else ""
    )


def notes(table: PrintedTable) -> list[str]:
    """What is printed under a table before its lettered footnotes: its note and its abbreviations."""
    return [text for text in (table.note, abbreviations(table)) if text]


def parameters_used(table: PrintedTable, edition: Edition) -> list[Parameter]:
    """The parameters that define what the table shows.

    Raises:
        KeyError: the table names a parameter that the edition does not have.
    """
    return [edition.parameters[name] for name in TABLES[table.table_id].parameters] if table.table_id in TABLES else []


def closing_notes(table: PrintedTable, edition: Edition) -> list[str]:
    """What is printed under a table after its footnotes: who was not assessed, parameters, the caveat of effects, what the data are."""
    texts = []
    if table.not_assessed:
        texts.append(f"Not assessed: {'; '.join(table.not_assessed)}.")
    if used := parameters_used(table, edition):
        texts.append(f"Parameters as used: {'; '.join(f'{p.name} {value_text(p)}' for p in used)}.")
    if table.effects:
        texts.append(f"{EFFECT_CAVEAT[0].upper()}{EFFECT_CAVEAT[1:]}.")
    return [*texts, SYNTHETIC, *([edition.notice] if edition.notice else [])]


def used_in(tables: list[PrintedTable], edition: Edition) -> list[tuple[Parameter, str]]:
    """Every parameter of the edition and the titles' short form of the tables that use it."""
    names = {table.table_id: table.title.split(". ")[0] for table in tables}
    users = {table.table_id: {p.name for p in parameters_used(table, edition)} for table in tables}
    return [
        (p, ", ".join(names[table_id] for table_id in names if p.name in users[table_id]))
        for p in edition.parameters.values()
    ]
