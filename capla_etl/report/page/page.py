"""The study report: one HTML page that needs nothing else, and no network. Its script adds values at the pointer and a
search, and no number.

Numbers come from ``study.result`` and the quality tables; nothing is estimated here. Layout is in ``report.html``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from capla_etl import paths
from capla_etl.centres.submissions import kind_of_data
from capla_etl.centres.submissions.status import STATUSES
from capla_etl.protocol.wording import worded
from capla_etl.quality.centre_quality import DAILY_SHARE
from capla_etl.quality.monitoring.signal import FAMILIES
from capla_etl.report.figures import monitoring_figures
from capla_etl.report.figures.study_figures import CAPTIONS
from capla_etl.report.monitoring import STATES, check_label, grid, listed_signals
from capla_etl.report.numbers import CONFIDENTIAL, fixed, interval, p_text, thousands, without_value
from capla_etl.report.printed_tables import PrintedTable, printed_tables
from capla_etl.report.sentences import immortal_time
from capla_etl.tables.labels import EFFECT_CAVEAT, EXCLUSIONS, GROUPS, TABLES, about_the_data

TEMPLATES = Path(__file__).parent


def _empty(*columns: str):
    return field(default_factory=lambda: pd.DataFrame(columns=list(columns)))


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the report shows. What is None or empty is left out.

    Attributes:
        results: ``study.result``.
        figures: SVG text of the study's figures by name (``figures.study_figures``); at least survival and
            response_incidence.
        ledger, quarantine: ``quality.ledger``, ``quality.quarantine``.
        submission: ``harmonised.submission``: centre_id, submission (data cut-off).
        parameters: one row per protocol parameter: name, value, comment.
        centres: one row per centre: centre_id, and optionally name, country.
        checks: one row per kind of check: source, passed, warned, failed (counts).
        audit, consistency: ``study.audit``, ``study.consistency``.
        methods: paragraphs of the statistical methods (``methods``).
        strobe: one row per STROBE item (``strobe``).
        deaths: the listing behind Table 6 (``tables.table6.deaths``).
        disagreements: the listing behind Table 7 (``study.disagreement``).
        notice: what a reader is told about the disclosure profile.
        centre_status: ``quality.centre_status``; centres whose newest submission is missing are named at the top.
        centre_quality: ``quality.centre_quality``.
        signal, monitored: ``quality.signal``, ``quality.monitored``; their figures are among ``figures`` and ``hover``.
        centre_pages: codes of the centres that have a page of their own beside the report (``centre_page``).
        definitions: the outcomes as their models define them (``protocol.definitions``).
        moved: what moved since earlier states, each with ``sentence`` (what was compared), ``counts``
            ((what, number) pairs) and ``numbers`` (as ``worded_numbers`` gives them).
        hover: values at the pointer by figure (``study_figures.hover_data``).
        courses: every patient's course (``courses``), for the study group only; its search goes with it.
        version: name of the state of the study (``study.version``); empty: not known.
    """

    results: pd.DataFrame
    figures: dict[str, str]
    ledger: pd.DataFrame
    quarantine: pd.DataFrame
    submission: pd.DataFrame
    parameters: pd.DataFrame
    centres: pd.DataFrame = _empty("centre_id")
    checks: pd.DataFrame = _empty("source", "passed", "warned", "failed")
    audit: pd.DataFrame | None = None
    consistency: pd.DataFrame | None = None
    methods: list[str] = field(default_factory=list)
    strobe: pd.DataFrame | None = None
    deaths: pd.DataFrame | None = None
    disagreements: pd.DataFrame | None = None
    notice: str = ""
    centre_status: pd.DataFrame = _empty("centre_id", "name", "status", "submission", "received_submission", "problem")
    centre_quality: pd.DataFrame | None = None
    signal: pd.DataFrame | None = None
    monitored: pd.DataFrame | None = None
    centre_pages: list[str] = field(default_factory=list)
    definitions: list = field(default_factory=list)
    moved: list[dict] | None = None
    hover: dict = field(default_factory=dict)
    courses: dict | None = None
    version: str = ""


def rendered(template: str, folders: list[Path], path: Path, **content) -> Path:
    """Write a page (UTF-8 HTML) from a template with the style of the report; the same content gives the same bytes.

    Returns:
        The path.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["worded"] = worded
    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    said = {"synthetic": about_the_data(), "kind": kind_of_data.short(), "title_end": kind_of_data.in_title()}
    said["nobody"] = "No record of a real person is in this report." if kind_of_data.synthetic() else ""
    page = environment.get_template(template).render(css=css, **said, **content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def write_report(inputs: ReportInputs, path: Path) -> Path:
    """Write the report to ``path`` (UTF-8 HTML); the same inputs give the same bytes.

    Returns:
        The path.
    """
    from capla_etl.report.page.flow_diagram import flow_svg

    columns = inputs.parameters[["name", "value", "comment"]].itertuples(index=False, name=None)
    parameters = {name: (str(value), comment) for name, value, comment in columns}
    tables = printed_tables(inputs.results)
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return rendered(
        "report.html",
        [TEMPLATES],
        path,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        behind=_behind(inputs.centre_status),
        completeness=_completeness(inputs.centre_quality),
        daily_share=DAILY_SHARE,
        monitoring=_monitoring(inputs),
        centre_pages={centre: f"{_CENTRE_PAGES}/{centre}" for centre in inputs.centre_pages},
        definitions=inputs.definitions,
        moved=inputs.moved,
        hover=_json(inputs.hover),
        courses=None if inputs.courses is None else _json(inputs.courses),
        notice=inputs.notice,
        effect_caveat=EFFECT_CAVEAT[0].upper() + EFFECT_CAVEAT[1:] + ".",
        cut_offs=_cut_offs(inputs.submission),
        version=inputs.version,
        cards=_cards(inputs),
        flow=flow_svg(inputs.results),
        tables=tables,
        parameters_of={
            table_id: [(name, *parameters[name]) for name in text.parameters if name in parameters]
            for table_id, text in TABLES.items()
        },
        figures=_figures(inputs, tables),
        survival_interval=_survival_interval(inputs.results),
        immortal_time=immortal_time(inputs.results) if "table8" in tables else [],
        **{
            name: None if (frame := getattr(inputs, name)) is None else frame.to_dict("records")
            for name in ("audit", "consistency", "strobe", "checks")
        },
        methods=inputs.methods,
        quality=_quality_by_centre(inputs),
        centre_flow=_flow_by_centre(inputs),
        rules=_top_rules(inputs.quarantine),
        deaths=_death_rows(inputs.deaths),
        disagreements=_disagreement_rows(inputs.disagreements),
        parameters=[(name, *rest) for name, rest in parameters.items()],
        exclusions=EXCLUSIONS,
    )


def _json(content) -> str:
    """JSON for a script element of the page: no text of it can end the element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _day(value) -> str:
    """A date; empty where there is none."""
    return "" if pd.isna(value) else str(pd.Timestamp(value).date())


def _number_of(value) -> str:
    """A whole number; empty where there is none."""
    return "" if pd.isna(value) else fixed(value, 0)


def _behind(status: pd.DataFrame) -> list[dict]:
    """Centres whose newest submission is not in the study."""
    return [
        {
            "centre": row.centre_id,
            "means": STATUSES[row.status],
            "submission": _day(row.submission),
            "received": _day(row.received_submission),
            "problem": row.problem,
        }
        for row in status[status["status"] != "current"].itertuples()
    ]


_COMPLETE = ("platelets_day0", "ldh_day0", "adamts13_presentation", "daily_counts", "outcome_known")


def _completeness(quality: pd.DataFrame | None) -> list[dict] | None:
    """One row per centre: how much of what the study asks for is known, and how timely it is."""
    if quality is None:
        return None

    def share(n: int, of: int) -> tuple[str, str]:
        return (f"{100 * n / of:.0f} %" if of else "", f"{n}/{of}")

    return [
        {
            "centre": row.centre_id,
            "shares": [
                *(share(getattr(row, f"{name}_n"), row.eligible) for name in _COMPLETE),
                share(row.adverse_events_assessed_n, row.caplacizumab),
            ],
            "work": [thousands(row.queries_open), thousands(row.queries_answered), thousands(row.corrections)],
            "time": [
                _day(row.data_cut_off),
                *(
                    "" if pd.isna(v) else thousands(v)
                    for v in (row.days_behind_newest_cut_off, row.days_from_last_record_to_cut_off)
                ),
            ],
        }
        for row in quality.itertuples()
    ]


#: Where the centres' pages are, from the report.
_CENTRE_PAGES = paths.centre_pages().relative_to(paths.report().parent).as_posix()


def _monitoring(inputs: ReportInputs) -> dict | None:
    """Central monitoring: what each check found in each centre, and the signals in words."""
    if inputs.monitored is None:
        return None
    found = grid(inputs.signal, inputs.monitored)
    signals = [
        one | {"letter": monitoring_figures.MARKS[one["state"]].letter, "severity": STATES[one["state"]]}
        for one in listed_signals(inputs.signal, inputs.monitored)
    ]
    checks = [
        {
            "family": FAMILIES[family],
            "check": check_label(check),
            "states": [STATES.get(cells[place].state, "") for cells in found.cells],
        }
        for place, (family, check) in enumerate(found.checks)
    ]
    captions = monitoring_figures.CAPTIONS
    return {"centres": found.centres, "checks": checks, "signals": signals, "captions": captions}


def _survival_interval(results: pd.DataFrame) -> str:
    """The scale of the survival band, from the method of the numbers that it goes with."""
    methods = results.loc[results["table_id"] == "survival", "method"]
    return next((method.partition("95 % CI ")[2] for method in methods if "95 % CI " in method), "")


def _figures(inputs: ReportInputs, tables: dict[str, PrintedTable]) -> dict[str, str]:
    """The figures as SVG for use inside the page, by name."""
    descriptions = {
        "survival": _survival_description(inputs.results),
        "forest": "A logarithmic axis that all rows share; the numbers are in the table beneath.",
        "balance": "Absolute standardised mean differences of the covariates, unweighted and with both weights.",
    } | {
        name: _incidence_description(inputs.results, name, event) if name in tables else ""
        for name, event in (("response_incidence", "response"), ("adamts13_incidence", "recovery"))
    }
    descriptions |= {
        "monitoring_grid": "Rows are centres, columns are checks by family. The same states are in the table beneath, "
        "the signals in words in the list of signals.",
        "monitoring_funnels": "One plot for each quantity with a signal or near a limit: patients of each centre, and "
        "its level beside that of the others, with the limits within which it is expected.",
    }
    captions = CAPTIONS | monitoring_figures.CAPTIONS
    return {name: _inline(name, svg, captions[name], descriptions[name]) for name, svg in inputs.figures.items()}


def _cut_offs(submission: pd.DataFrame) -> str:
    dates = sorted({_day(day) for day in submission["submission"]})
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else "none"


def _lines(results: pd.DataFrame, table_id: str) -> dict:
    own = results[results["table_id"] == table_id]
    return {(line.row, line.group, line.statistic): line for line in own.itertuples()}


def _percent(line) -> str:
    if pd.isna(line.value):
        return "not shown" if without_value(line) == CONFIDENTIAL else "not estimable"
    return f"{fixed(line.value, 1)}\u00a0%"


def _cards(inputs: ReportInputs) -> list[dict[str, str]]:
    """The first look: value, what it is, and what it is compared with."""
    flow, outcomes = _lines(inputs.results, "flow"), _lines(inputs.results, "table2")
    total = {row: float(line.value) for (row, group, _), line in flow.items() if group == "all"}
    count = {row: thousands(number) for row, number in total.items()}
    groups = ("caplacizumab", "control")
    survival, control_survival = (_percent(outcomes["survival_3_months", group, "percent"]) for group in groups)
    days, control_days = (outcomes["response_day", group, "median"].value for group in groups)
    p = outcomes["survival_3_months", "difference", "p_value"].value
    ratio = outcomes["failure", "difference", "risk_ratio"]
    centres = inputs.submission["centre_id"].nunique()
    cards = [
        (
            "Eligible patients",
            count["eligible"],
            f"{count['caplacizumab']} caplacizumab, {count['control']} control; of {count['patient_records']} records "
            f"from {centres} centre{'' if centres == 1 else 's'}",
        ),
        (
            worded("Survival at {follow_up_days:months}"),
            survival,
            f"against {control_survival} in controls" + ("" if pd.isna(p) else f"; log-rank p\u00a0{p_text(p)}"),
        ),
        (
            "Failure to respond, risk ratio",
            "–" if pd.isna(ratio.value) else fixed(ratio.value, 2),
            f"95 % CI {interval(ratio, 2)}" if interval(ratio, 2) else "no interval",
        ),
        (
            "Median time to response",
            "–" if pd.isna(days) else f"{fixed(days, 0)} days",
            "no control" if pd.isna(control_days) else f"against {fixed(control_days, 0)} days in controls",
        ),
        (
            "Quarantined",
            thousands(total["rows_quarantined"] + total["values_quarantined"]),
            f"{count['rows_quarantined']} rows, {count['values_quarantined']} single values of accepted rows; in "
            f"addition, {count['rows_duplicate']} duplicate rows",
        ),
    ]
    if len(inputs.checks):
        passed, warned, failed = (int(inputs.checks[name].sum()) for name in ("passed", "warned", "failed"))
        of = thousands(passed + warned + failed)
        cards.append(("Checks passed", f"{thousands(passed)} of {of}", f"{warned} with a warning, {failed} failed"))
    return [dict(zip(("label", "value", "detail"), card, strict=True)) for card in cards]


def _survival_description(results: pd.DataFrame) -> str:
    lines = _lines(results, "table2")
    parts = [
        f"{GROUPS[group]} {_percent(lines['survival_3_months', group, 'percent'])}"
        for group in ("caplacizumab", "control")
    ]
    return (
        f"Kaplan-Meier curves from day 0. Alive at the end of follow-up: {', '.join(parts)}. Numbers at risk beneath."
    )


def _incidence_description(results: pd.DataFrame, table_id: str, event: str) -> str:
    own = results[
        (results["table_id"] == table_id)
        & results["row"].str.startswith(f"{event}_by_day_")
        & (results["statistic"] == "percent")
    ]
    last = own.groupby("group", sort=False).last()
    parts = [f"{GROUPS[group]} {_percent(line)}" for group, line in last.iterrows()]
    return (
        f"Aalen-Johansen curves from day 0, death competing. Incidence of {event} by the end of follow-up: "
        f"{', '.join(parts)}."
    )


# The figures' colours, by the page's own, which follow light and dark.
_PAGE_COLOURS = {
    "#0b6e75": "var(--capla)",
    "#b4531a": "var(--control)",
    "#6a51a3": "var(--delayed)",
    "#1c2a33": "var(--ink)",
    "#5b6b76": "var(--muted)",
    "#cfd8dd": "var(--rule)",
    "#fefefe": "var(--surface)",
    "#f0f5f5": "var(--soft)",
    "#f9ebe1": "var(--control-soft)",
}


def _inline(name: str, svg: str, title: str, description: str) -> str:
    """A figure's SVG for use inside the page: own ids, the page's colours, no global style, title and description."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    body = body.replace("'DejaVu Sans', sans-serif", "inherit")
    for colour, variable in _PAGE_COLOURS.items():
        body = body.replace(colour, variable)
    head = f'<svg class="figure" role="img" aria-labelledby="{name}-title {name}-desc" '
    body = re.sub(
        r'<svg (.*?)width="[^"]*" height="[^"]*" ', lambda match: head + match.group(1), body, count=1, flags=re.DOTALL
    )
    texts = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return re.sub(r"(<svg[^>]*>)", lambda match: match.group(1) + texts, body, count=1)


def _by_centre(results: pd.DataFrame, columns: Iterable[str]) -> dict[str, dict]:
    """Counts of the flow of each centre, the sum ("all") last."""
    flow = _lines(results, "flow")
    return {
        group: {
            "centre": "All centres" if group == "all" else group,
            "numbers": [thousands(flow[column, group, "count"].value) for column in columns],
            "total": group == "all",
        }
        for group in (*sorted({group for _, group, _ in flow} - {"all"}), "all")
    }


_ROWS = ("received", "loaded", "duplicate", "quarantined", "ignored")


def _quality_by_centre(inputs: ReportInputs) -> list[dict]:
    """One row per centre, the sum last: rows of its files, and the most frequent reasons for refusal."""
    cut_off = {row.centre_id: _day(row.submission) for row in inputs.submission.itertuples()}
    about = inputs.centres.set_index("centre_id").to_dict("index")
    columns = (*(f"rows_{what}" for what in _ROWS), "values_quarantined", "patient_records")
    rows = []
    for group, row in _by_centre(inputs.results, columns).items():
        own = inputs.quarantine if row["total"] else inputs.quarantine[inputs.quarantine["centre_id"] == group]
        top = sorted(own["rule"].value_counts().items(), key=lambda item: (-item[1], item[0]))[:2]
        known = about.get(group, {})
        rows.append(
            row
            | {
                "about": ", ".join(str(known[key]) for key in ("name", "country") if key in known),
                "cut_off": cut_off.get(group, ""),
                "rules": ", ".join(f"{rule.replace('_', ' ')} ({number})" for rule, number in top),
            }
        )
    return rows


def _flow_by_centre(inputs: ReportInputs) -> list[dict]:
    """One row per centre, the sum last: records, each exclusion, groups."""
    excluded = (f"excluded_{reason}" for reason in EXCLUSIONS)
    columns = ("patient_records", *excluded, "eligible", "caplacizumab", "control")
    return list(_by_centre(inputs.results, columns).values())


def _top_rules(quarantine: pd.DataFrame) -> list[dict]:
    """Every rule that refused something, most frequent first: rows, single values and centres concerned."""
    if not len(quarantine):
        return []
    table = quarantine.assign(is_row=quarantine["scope"] == "row").groupby("rule", as_index=False)
    table = table.agg(
        total=("scope", "size"), rows=("is_row", "sum"), centres=("centre_id", lambda ids: ", ".join(sorted(set(ids))))
    )
    return [
        {
            "rule": row.rule.replace("_", " "),
            "rows": thousands(row.rows),
            "values": thousands(row.total - row.rows),
            "centres": row.centres,
        }
        for row in table.sort_values(["total", "rule"], ascending=[False, True]).itertuples()
    ]


def _death_rows(deaths: pd.DataFrame | None) -> list[list[str]] | None:
    if deaths is None:
        return None
    return [
        [
            row.patient_id,
            GROUPS[row.treatment_group],
            "" if pd.isna(row.timing) else GROUPS[row.timing],
            _number_of(row.death_day) + (" (month known)" if row.death_date_precision == "month" else ""),
            _number_of(row.days_from_first_dose),
            "not stated" if pd.isna(row.death_cause) else row.death_cause,
        ]
        for row in deaths.itertuples()
    ]


def _disagreement_rows(disagreements: pd.DataFrame | None) -> list[list[str]] | None:
    if disagreements is None:
        return None
    return [
        [
            *(row.patient_id, row.centre_id, GROUPS[row.treatment_group], row.outcome.replace("_", " ")),
            *(row.derived, row.reported, _number_of(row.derived_day), _number_of(row.days_difference)),
        ]
        for row in disagreements.itertuples()
    ]
