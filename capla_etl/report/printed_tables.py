"""From ``study.result`` to tables as printed: text only, no HTML and no estimation.

A table has one column per group, then the effects that it holds. A new study table needs an entry in
``capla_etl.tables.labels.TABLES`` and nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from capla_etl.report.numbers import (
    CONFIDENTIAL_CAVEATS,
    NONE,
    RANGE,
    fixed,
    interval,
    p_text,
    short,
    thousands,
    without_value,
)
from capla_etl.tables.as_published import FIGURES
from capla_etl.tables.labels import (
    ANALYSES,
    EFFECT_CAVEAT,
    GROUPS,
    RULE_SETS,
    SENSITIVITY_MEASURES,
    SENSITIVITY_OUTCOMES,
    TABLES,
)

# Caveats that are printed elsewhere: the effect caveat above the table, patients not assessed in the list under it.
_NOT_ASSESSED = "not assessed: "
# True of all groups alike: one footnote, without a group's name.
_OF_ALL_GROUPS = (
    "interval withheld: ",
    "followed for different lengths of time",
    "patients alive but last seen earlier",
    "N: all in whom it is known",
)
_ELSEWHERE = (EFFECT_CAVEAT, "unadjusted")
_COMPARISONS = {comparison for text in TABLES.values() for comparison in text.comparisons}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Cell:
    """What is printed in one cell: the number, and in small print its counts or interval."""

    main: str
    sub: str = ""


@dataclass(frozen=True)
class Row:
    """A row as printed; ``marks`` are the letters of its footnotes, ``row_id`` its row of ``study.result``."""

    label: str
    cells: list[Cell]
    marks: str = ""
    indented: bool = False
    row_id: str = ""


@dataclass(frozen=True)
class PrintedTable:
    """A table as printed. ``sections`` are (heading, rows); the heading is empty where there is only one."""

    table_id: str
    title: str
    note: str
    columns: list[Cell]
    sections: list[tuple[str, list[Row]]]
    footnotes: list[tuple[str, str]] = field(default_factory=list)
    not_assessed: list[str] = field(default_factory=list)
    effects: bool = False


_EFFECTS = {
    ("Difference", "95 % CI"): ("risk_difference", "restricted_mean_difference", "median_difference"),
    ("Ratio", "95 % CI"): ("risk_ratio", "hazard_ratio", "ratio_of_medians"),
    ("SMD", ""): ("smd",),
    ("p", ""): ("p_value",),
}
#: Printed with the name of the ratio, where most ratios of the column are others.
_NAMED_RATIOS = {"hazard_ratio": "HR", "ratio_of_medians": "medians"}


def _counts(line) -> str:
    if pd.isna(line.n) or pd.isna(line.n_assessed):
        return ""
    return f"{thousands(line.n)}/{thousands(line.n_assessed)}"


def _value(line, decimals: int, unit: str = "") -> str:
    return without_value(line) if pd.isna(line.value) else f"{fixed(line.value, decimals)}{unit}"


def _estimate(line, decimals: int) -> Cell:
    """A number with its interval."""
    return Cell(_value(line, decimals), interval(line, decimals))


def _group_cell(statistics: dict, with_interval: bool) -> Cell:
    """One group's cell from its statistics; ``with_interval`` adds the interval of a percentage to its counts."""
    if "percent" in statistics:
        line = statistics["percent"]
        counts, limits = _counts(line), interval(line, 1)
        small_print = [counts, limits if with_interval or not counts else ""]
        if "at_risk" in statistics:
            small_print.append(f"{thousands(statistics['at_risk'].value)} at risk")
        sub = "; ".join(text for text in small_print if text)
        return Cell(_value(line, 1, " %"), sub)
    if "median" in statistics:
        line = statistics["median"]
        if pd.isna(line.value):
            return Cell(without_value(line), "no value" if without_value(line) == NONE else "")
        values = [statistics[name].value for name in ("median", "q1", "q3")]
        decimals = 0 if all(short(value) == fixed(value, 0) for value in values) else 1
        median, q1, q3 = (fixed(value, decimals) for value in values)
        of = "" if line.n == line.n_assessed else f" of {thousands(line.n_assessed)}"
        return Cell(f"{median} ({q1}{RANGE}{q3})", f"n {thousands(line.n)}{of}")
    for name, decimals in (("restricted_mean", 1), ("kappa", 2)):
        if name in statistics:
            return _estimate(statistics[name], decimals)
    if "count" in statistics:
        line = statistics["count"]
        return Cell(_counts(line) if not pd.isna(line.n_assessed) and line.n_assessed else thousands(line.value))
    return Cell("")


def _effect_cell(statistics: dict, names: tuple[str, ...]) -> Cell:
    """One effect column's cell: the first of the named statistics that the row has."""
    for name in names:
        if name in statistics:
            line = statistics[name]
            if pd.isna(line.value):
                return Cell(without_value(line))
            if name in ("p_value", "p_homogeneity"):
                return Cell(p_text(line.value))
            decimals = 1 if name.endswith("_difference") else 2
            shown = _estimate(line, decimals)
            named = f"{_NAMED_RATIOS[name]} " if name in _NAMED_RATIOS else ""
            return Cell(f"{named}{shown.main}{' pp' if name == 'risk_difference' else ''}", shown.sub)
    return Cell("")


def _effect_columns(own: pd.DataFrame, comparisons: dict[str, str]) -> list[tuple[str, Cell, Callable[[dict], Cell]]]:
    """The columns of comparisons: (comparison, heading, what makes its cells).

    A single comparison has a column for each kind of effect; several have one column each.
    """
    printed_of = own.groupby("group")["statistic"].agg(set)
    if len(comparisons) > 1:
        return [
            (
                comparison,
                Cell(heading, "p of interaction" if printed_of[comparison] == {"p_homogeneity"} else "95 % CI; p"),
                _comparison_cell,
            )
            for comparison, heading in comparisons.items()
            if comparison in printed_of
        ]
    return [
        (comparison, Cell(*column), partial(_effect_cell, names=names))
        for comparison in comparisons
        for column, names in _EFFECTS.items()
        if printed_of.get(comparison, set()) & set(names)
    ]


def _comparison_cell(statistics: dict) -> Cell:
    """Effect, interval and p of one comparison in one cell."""
    if "p_homogeneity" in statistics:
        return _effect_cell(statistics, ("p_homogeneity",))
    effect = _effect_cell(statistics, (*_EFFECTS["Difference", "95 % CI"], *_EFFECTS["Ratio", "95 % CI"]))
    p = statistics.get("p_value")
    tested = "" if p is None or pd.isna(p.value) else p_text(p.value)
    return Cell(effect.main, "; ".join(part for part in (effect.sub, tested and f"p\u00a0{tested}") if part))


class _Footnotes:
    """Methods and caveats, each once, lettered in the order of first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def marks(self, lines: list, methods: bool = True) -> str:
        """The letters of the lines' methods and caveats, or of their caveats only."""
        found = []
        for line in lines:
            caveats = [] if pd.isna(line.caveat) else line.caveat.split("; ")
            group = "" if line.group in _COMPARISONS else f"{GROUPS.get(line.group, line.group)}: "
            found += [line.method] if methods else []
            found += [
                text if text.startswith(_OF_ALL_GROUPS) else group + text
                for text in caveats
                if text not in _ELSEWHERE and not text.startswith((_NOT_ASSESSED, *CONFIDENTIAL_CAVEATS))
            ]
        self.texts = list(dict.fromkeys([*self.texts, *found]))
        return ",".join(self.letter(text) for text in sorted(set(found), key=self.texts.index))

    def letter(self, text: str) -> str:
        position = self.texts.index(text)
        prefix = _LETTERS[position // 26 - 1] if position >= 26 else ""
        return prefix + _LETTERS[position % 26]

    def listed(self) -> list[tuple[str, str]]:
        return [(self.letter(text), text) for text in self.texts]


def row_label(table_id: str, row: str) -> str:
    """The printed label of a row; rows made from the data (a day, a site) are spelled from their id."""
    label = TABLES[table_id].rows.get(row)
    if label:
        return label
    if table_id == "table8":
        outcome, rule_set, analysis = sensitivity_row(row)
        return f"{sensitivity_heading(outcome, rule_set)}: {analysis_label(analysis)}"
    for prefix, text in _SPELLED.items():
        if row.startswith(prefix):
            words = text.format(row.removeprefix(prefix).replace("_", " "))
            return words[0].upper() + words[1:]
    return row.replace("_", " ")


_SPELLED = {
    "survival_day_": "Day {}",
    "response_by_day_": "Response by day {}",
    "death_without_response_by_day_": "Death without response by day {}",
    "recovery_by_day_": "ADAMTS13 recovery by day {}",
    "death_without_recovery_by_day_": "Death without recovery by day {}",
    "major_bleeding_": "{}",
}


def printed(results: pd.DataFrame, table_id: str) -> PrintedTable:
    """One study table as printed.

    Args:
        results: ``study.result``.
        table_id: a table of ``labels.TABLES`` with groups in columns.
    """
    text = TABLES[table_id]
    own = results[results["table_id"] == table_id]
    by_row: dict[str, dict[str, dict]] = {}
    for line in own.itertuples():
        by_row.setdefault(line.row, {}).setdefault(line.group, {})[line.statistic] = line
    # Rows made from the data (sites) follow the row that they belong to; the others have the order of the labels.
    order = [row for row in text.rows if row in by_row]
    for row in by_row:
        if row not in order:
            parents = [position for position, known in enumerate(order) if row.startswith(f"{known}_")]
            siblings = [position for position, known in enumerate(order) if known not in text.rows]
            order.insert(max([*parents, *siblings]) + 1 if parents else len(order), row)
    groups = [group for group in text.groups if group in set(own["group"])]
    flow = results[(results["table_id"] == "flow") & (results["group"] == "all")]
    # A group that the flow does not count is as large as its largest denominator.
    sizes = own.groupby("group")["n_assessed"].max().dropna().to_dict()
    sizes |= {row.removeprefix("timing_"): value for row, value in zip(flow["row"], flow["value"], strict=True)}
    columns = _effect_columns(own, text.comparisons)
    footnotes, rows, not_assessed = _Footnotes(), [], []
    for row in order:
        statistics = by_row[row]
        lines = [line for group in (*groups, *text.comparisons) for line in statistics.get(group, {}).values()]
        label = row_label(table_id, row)
        rows.append(
            Row(
                label=label,
                cells=[_group_cell(statistics.get(group, {}), with_interval=not columns) for group in groups]
                + [print_cell(statistics.get(comparison, {})) for comparison, _, print_cell in columns],
                marks=footnotes.marks(lines),
                indented=row in text.indented or (row not in text.rows and bool(text.rows)),
                row_id=row,
            )
        )
        missing = [
            f"{GROUPS[line.group]} {caveat.removeprefix(_NOT_ASSESSED).removesuffix(' patients')}"
            for line in lines
            if line.group in groups and not pd.isna(line.caveat)
            for caveat in [part for part in line.caveat.split("; ") if part.startswith(_NOT_ASSESSED)][:1]
        ]
        if missing:
            not_assessed.append(f"{label}: {', '.join(missing)}")
    return PrintedTable(
        table_id=table_id,
        title=text.title,
        note=text.note,
        columns=[Cell(GROUPS[group], f"N {thousands(sizes[group])}" if group in sizes else "") for group in groups]
        + [heading for _, heading, _ in columns],
        sections=[("", rows)],
        footnotes=footnotes.listed(),
        not_assessed=not_assessed,
        effects=text.effects,
    )


def sensitivity_row(row: str) -> tuple[str, str, str]:
    """Outcome, rule set and analysis of a row of Table 8, from its id."""
    outcome, rule_set, analysis = row.split(":", 2)
    return outcome, rule_set, analysis


def sensitivity_heading(outcome: str, rule_set: str) -> str:
    """The heading of a section of Table 8."""
    return f"{SENSITIVITY_OUTCOMES[outcome]}{RULE_SETS.get(rule_set, f', rule set {rule_set}')}"


def analysis_label(analysis: str) -> str:
    """The printed label of an analysis of Table 8; those by country or landmark day are spelled from their id."""
    for prefix, text in (("without_", "Without {}"), ("landmark_day_", "Landmark day {}")):
        if analysis.startswith(prefix):
            return text.format(analysis.removeprefix(prefix))
    return ANALYSES[analysis].label


def printed_sensitivity(results: pd.DataFrame) -> PrintedTable:
    """Table 8: one section for each outcome and rule set, one row for each analysis."""
    text = TABLES["table8"]
    own = results[results["table_id"] == "table8"]
    by_row: dict[str, dict[tuple[str, str], object]] = {}
    for line in own.itertuples():
        by_row.setdefault(line.row, {})[line.group, line.statistic] = line
    sections: dict[str, list[Row]] = {}
    footnotes = _Footnotes()
    for row, lines in by_row.items():
        outcome, rule_set, analysis = sensitivity_row(row)
        counts = [_counts(line) if (line := lines.get((arm, "count"))) else "" for arm in ("caplacizumab", "control")]
        effect = next(line for (group, name), line in lines.items() if group == "difference" and name != "p_value")
        p = lines.get(("difference", "p_value"))
        limit = lines.get(("difference", "e_value_of_limit"))
        if limit is not None:
            shown = Cell(_value(effect, 2), "" if pd.isna(limit.value) else f"of the limit {fixed(limit.value, 2)}")
        elif effect.statistic == "tipping_point":
            shown = Cell(f"none of {thousands(effect.n_assessed)}" if pd.isna(effect.value) else _counts(effect))
        else:
            shown = _estimate(effect, 2)
        sections.setdefault(sensitivity_heading(outcome, rule_set), []).append(
            Row(
                label=analysis_label(analysis),
                cells=[
                    *(Cell(count) for count in counts),
                    Cell(SENSITIVITY_MEASURES.get(effect.statistic, "")),
                    shown,
                    Cell(p_text(p.value) if p is not None and not pd.isna(p.value) else ""),
                ],
                marks=footnotes.marks([effect]),
                indented=analysis.startswith("without_"),
                row_id=row,
            )
        )
    columns = [
        Cell(GROUPS["caplacizumab"], "n/N"),
        Cell(GROUPS["control"], "n/N"),
        Cell("Effect", ""),
        Cell("Value", "95 % CI"),
        Cell("p"),
    ]
    return PrintedTable(
        table_id="table8",
        title=text.title,
        note=text.note,
        columns=columns,
        sections=list(sections.items()),
        footnotes=footnotes.listed(),
        effects=True,
    )


def printed_as_published(results: pd.DataFrame) -> PrintedTable:
    """Every published figure next to the computed one, in the sections of ``as_published.FIGURES``."""
    text = TABLES["as_published"]
    lines = {
        (line.row, line.group, line.statistic): line
        for line in results[results["table_id"] == "as_published"].itertuples()
    }
    sections: dict[str, list[Row]] = {}
    footnotes = _Footnotes()
    for figure in FIGURES:
        computed, difference = (lines[figure.row, figure.group, statistic] for statistic in ("computed", "difference"))
        # A published whole number of percent is computed to one decimal.
        decimals = max(figure.decimals, 1) if figure.unit == "%" else figure.decimals
        percent = " %" if figure.unit == "%" else ""
        qualifier = "<\u00a0" if figure.bound else "about " if figure.about else ""
        small_print = {"%": _counts(computed), "days": "", "ratio": interval(computed, 2)}.get(figure.unit, "")
        if figure.unit == "p" and not pd.isna(computed.value):
            value = p_text(computed.value)
        else:
            value = _value(computed, decimals, percent)
        cells = [
            Cell("Comparison" if figure.group == "difference" else GROUPS[figure.group]),
            Cell(f"{qualifier}{short(figure.value, 4)}{percent}"),
            Cell(value, small_print),
            Cell(_change_text(difference.value, figure.unit, decimals)),
        ]
        row = Row(figure.label, cells, marks=footnotes.marks([computed], methods=False))
        sections.setdefault(figure.section, []).append(row)
    return PrintedTable(
        table_id="as_published",
        title=text.title,
        note=text.note,
        columns=[Cell(name) for name in ("Group", "Published", "Computed", "Difference")],
        sections=list(sections.items()),
        footnotes=footnotes.listed(),
        effects=True,
    )


def _change_text(value: float, unit: str, decimals: int) -> str:
    """Computed minus published, with its sign; percentages differ by percentage points."""
    if pd.isna(value):
        return NONE
    text = fixed(value, decimals)
    sign = "+" if value > 0 and text.strip("0.") else ""
    return f"{sign}{text}{' pp' if unit == '%' else ''}"


def printed_tables(results: pd.DataFrame) -> dict[str, PrintedTable]:
    """Every study table in ``results`` except the flow, in the order of ``labels.TABLES``."""
    special = {"table8": printed_sensitivity, "as_published": printed_as_published}
    present = set(results["table_id"])
    return {
        table_id: special[table_id](results) if table_id in special else printed(results, table_id)
        for table_id in TABLES
        if table_id in present and table_id != "flow"
    }
