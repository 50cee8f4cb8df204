"""The figures of the abstract (PROTOCOL section 5), each once, and where its computed counterpart stands.

Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from capla_etl.tables import cells
from capla_etl.tables.results import cell, frame, join_caveats


@dataclass(frozen=True)
class PublishedFigure:
    """One published figure.

    ``source`` is (table_id, row, group, statistic) of the computed cell, ``column`` which of its numbers is meant.
    ``bound`` marks a figure published only as an upper bound ("p < 0.0001"); ``about`` one published as approximate.
    """

    row: str
    group: str
    section: str
    label: str
    value: float
    unit: str
    source: tuple[str, str, str, str]
    column: str = "value"
    decimals: int = 0
    bound: bool = False
    about: bool = False


def _figures() -> tuple[PublishedFigure, ...]:
    figures: list[PublishedFigure] = []

    def add(section, row, group, label, value, unit, source, **more):
        figures.append(PublishedFigure(row, group, section, label, value, unit, source, **more))

    part = "Patients and treatment"
    add(part, "patients", "caplacizumab", "Patients", 942, "patients", ("flow", "caplacizumab", "all", "count"))
    add(part, "patients", "control", "Patients", 495, "patients", ("flow", "control", "all", "count"))
    for drug, label, values in (("corticosteroids", "Corticosteroids", (99, 93)), ("rituximab", "Rituximab", (92, 71))):
        for group, value in zip(("caplacizumab", "control"), values, strict=True):
            add(part, drug, group, label, value, "%", ("table1", drug, group, "percent"))
    add(part, "patients", "early", "Start within 3 days", 715, "patients", ("flow", "early", "all", "count"))
    add(part, "patients", "delayed", "Delayed start", 218, "patients", ("flow", "delayed", "all", "count"))
    add(part, "patients", "rescue", "Delayed start, rescue", 63, "patients", ("flow", "rescue", "all", "count"))
    add(
        part,
        "patients",
        "slow_response",
        "Delayed start, slow response",
        155,
        "patients",
        ("flow", "slow_response", "all", "count"),
    )

    part = "Survival and death"
    for group, value in (("caplacizumab", 98.6), ("control", 93.3)):
        add(
            part,
            "survival_3_months",
            group,
            "Survival at 3 months",
            value,
            "%",
            ("table2", "survival_3_months", group, "percent"),
            decimals=1,
        )
    add(
        part,
        "survival_3_months_p",
        "difference",
        "Survival at 3 months, p",
        0.0001,
        "p",
        ("table2", "survival_3_months", "difference", "p_value"),
        bound=True,
        decimals=4,
    )
    # The abstract does not say from which day it counts: both are set beside it.
    for row, label in (
        ("death_day", "Death, days from day 0"),
        ("days_from_first_dose", "Death, days from first dose"),
    ):
        for statistic, name, value, decimals in (
            ("median", "median", 4.5, 1),
            ("q1", "first quartile", 3, 1),
            ("q3", "third quartile", 5, 1),
        ):
            add(
                part,
                f"{row}_{statistic}",
                "caplacizumab",
                f"{label}, {name}",
                value,
                "days",
                ("table6", row, "caplacizumab", statistic),
                decimals=decimals,
            )

    part = "Response and disease course"
    source = ("table2", "failure", "difference", "risk_ratio")
    add(
        part,
        "failure_risk_ratio",
        "difference",
        "Failure to achieve response, risk ratio",
        0.2,
        "ratio",
        source,
        decimals=2,
        about=True,
    )
    add(
        part,
        "failure_risk_ratio_lower",
        "difference",
        "… lower 95 % limit",
        0.1,
        "ratio",
        source,
        column="lower",
        decimals=2,
    )
    add(
        part,
        "failure_risk_ratio_upper",
        "difference",
        "… upper 95 % limit",
        0.37,
        "ratio",
        source,
        column="upper",
        decimals=2,
    )
    add(
        part,
        "failure_p",
        "difference",
        "Failure to achieve response, p",
        0.0001,
        "p",
        ("table2", "failure", "difference", "p_value"),
        bound=True,
        decimals=4,
    )
    add(
        part,
        "exacerbation_after_stop_undetectable",
        "caplacizumab",
        "Exacerbation after stopping with ADAMTS13 undetectable",
        46,
        "patients",
        ("table2", "exacerbation_after_stop_undetectable", "caplacizumab", "percent"),
        column="n",
    )
    add(part, "died_by_day_90", "early", "Death", 1, "%", ("table3", "died_by_day_90", "early", "percent"), decimals=1)
    add(part, "refractory", "early", "Refractory", 1.1, "%", ("table3", "refractory", "early", "percent"), decimals=1)
    add(
        part,
        "exacerbation",
        "early",
        "Exacerbation",
        5.3,
        "%",
        ("table3", "exacerbation_all_patients", "early", "percent"),
        decimals=1,
    )
    for row, group, label, values in (
        ("response_day", "early", "Time to response from first TPE", (4, 3, 6)),
        ("days_from_caplacizumab_to_response", "delayed", "Time to response from first dose", (4, 2, 8)),
    ):
        for statistic, name, value in zip(
            ("median", "q1", "q3"), ("median", "first quartile", "third quartile"), values, strict=True
        ):
            add(
                part,
                f"{row}_{statistic}",
                group,
                f"{label}, {name}",
                value,
                "days",
                ("table3", row, group, statistic),
                decimals=1,
            )
    add(
        part,
        "time_to_response_p",
        "difference",
        "Time to response, early against delayed, p",
        0.8,
        "p",
        ("table3", "time_to_response", "early_delayed", "p_value"),
        decimals=2,
    )
    add(
        part,
        "time_to_response_ratio",
        "difference",
        "Time to response among survivors, early over control",
        0.5,
        "ratio",
        ("table3", "response_day_survivors", "early_control", "ratio_of_medians"),
        decimals=2,
        about=True,
    )
    add(
        part,
        "adamts13_recovery_p",
        "difference",
        "ADAMTS13 recovery earlier, p",
        0.01,
        "p",
        ("table2", "adamts13_recovery_day", "difference", "p_value"),
        decimals=3,
    )

    part = "Adverse events"
    for row, label, patients, percent, decimals in (
        ("any_adverse_event", "Any adverse event", 220, 23, 0),
        ("major_bleeding", "Major bleeding", 19, 2.2, 1),
        ("crnm_bleeding", "Clinically relevant non-major bleeding", 34, 3.7, 1),
        ("minor_bleeding", "Minor bleeding", 114, 14, 0),
        ("injection_site_reaction", "Injection-site reaction", 35, 4.5, 1),
    ):
        source = ("table5", row, "caplacizumab", "percent")
        add(part, f"{row}_patients", "caplacizumab", label, patients, "patients", source, column="n")
        add(part, f"{row}_percent", "caplacizumab", label, percent, "%", source, decimals=max(decimals, 1))
    for site, label, patients in (
        ("digestive_tract", "digestive", 8),
        ("intracranial", "intracranial", 2),
        ("catheter_insertion", "catheter", 2),
        ("metrorrhagia", "metrorrhagia", 2),
    ):
        add(
            part,
            f"major_bleeding_{site}",
            "caplacizumab",
            f"Major bleeding, {label}",
            patients,
            "patients",
            ("table5", f"major_bleeding_{site}", "caplacizumab", "count"),
        )
    return tuple(figures)


FIGURES = _figures()


def as_published(results: pd.DataFrame) -> pd.DataFrame:
    """Every figure of PROTOCOL section 5 beside the computed one.

    Args:
        results: the other study tables, concatenated (flow, table1, table2, table3, table5, table6).

    Returns:
        Rows of table ``as_published``: for each figure the statistics ``published``, ``computed`` and ``difference``
        (computed minus published; none where a bound was published).

    Raises:
        ValueError: a figure has no computed counterpart.
    """
    columns = [column for column in results.columns if column not in ("table_id", "row", "group", "statistic")]
    computed = {
        (line.table_id, line.row, line.group, line.statistic): {column: getattr(line, column) for column in columns}
        for line in results.itertuples()
    }
    rows = []
    for figure in FIGURES:
        if figure.source not in computed:
            raise ValueError(f"as published: nothing computed for {figure.row} ({figure.source})")
        source = computed[figure.source]
        value = cells.known(source[figure.column])
        counts = {name: None if pd.isna(source[name]) else int(source[name]) for name in ("n", "n_assessed")}
        limits = {
            name: cells.known(source[name]) if figure.column == "value" else None
            for name in ("lower", "upper", "p_value")
        }
        method = "PROTOCOL section 5 (abstract)"
        qualifier = (
            "published as an upper bound" if figure.bound else "published as approximate" if figure.about else None
        )
        caveat = None if pd.isna(source["caveat"]) else source["caveat"]
        key = ("as_published", figure.row, figure.group)
        rows.append(cell(*key, "published", figure.value, method=method, caveat=qualifier))
        if value is None and not (caveat or "").startswith("not estimable: "):
            caveat = join_caveats("not estimable: no interval", caveat)
        rows.append(cell(*key, "computed", value, **counts, **limits, method=source["method"], caveat=caveat))
        reason = "a bound was published" if figure.bound else "nothing computed" if value is None else None
        rows.append(
            cell(
                *key,
                "difference",
                None if reason else value - figure.value,
                method="computed minus published",
                caveat=f"not estimable: {reason}" if reason else qualifier,
            )
        )
    return frame(rows)
