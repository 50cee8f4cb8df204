"""Monitor a centre: every family of checks over its patients, the others' and its last submission's.

What does not belong here: what a check computes (the families), and what becomes of the submission (``submissions``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
import pyarrow as pa

from capla_etl import fields
from capla_etl.centres.errors import listed
from capla_etl.centres.spec.grammar import Spec, sheet_of, source_columns
from capla_etl.quality.monitoring.beside import Beside, Finding, NotJudged
from capla_etl.quality.monitoring.between_columns import between_columns
from capla_etl.quality.monitoring.between_submissions import between_submissions
from capla_etl.quality.monitoring.completeness import cut, full_sheets, missing
from capla_etl.quality.monitoring.level import level
from capla_etl.quality.monitoring.mixture import mixture
from capla_etl.quality.monitoring.quantities import patient_quantities
from capla_etl.quality.monitoring.shape import shape
from capla_etl.quality.monitoring.signal import LOOK, MONITORED, ROWS_NAMED, STOP, Monitored, Signal
from capla_etl.quality.monitoring.watched import SHARE, SOURCES, Quantity, watched
from capla_etl.quality.monitoring.within_patients import copies, shared

#: How often a centre without faults may give a signal to look at, and one that stops it, over all its checks.
LOOK_CHANCE, STOP_CHANCE = 0.05, 0.001
#: Study columns that are computed -> the fields that a spec reads for them.
_READ_AS = {"age_years_at_first_tpe": ("birth_date", "birth_year", "age_years_reported")}
#: Checks in the order in which their findings explain a column: a change explains a level, a level outlying patients.
_SAYS_MOST = ["full_sheet", "cut", "changed_day0", "changed_linkage", "changed_sex", "gone", "changed", "less", "lost"]
_SAYS_MOST += ["change_in_time", "change_in_file", "repeated", "ordered", "spike", "level", "share", "missing"]
_SAYS_MOST += ["correlation", "rounded", "outside", "spread", "by_treatment", "typical"]
_SAYS_MOST += ["same_series", "same_presentation"]
#: Checks whose findings do not follow from a level or a change.
_APART = {"cut", "repeated", "ordered", "spike", "missing", "correlation"}


@dataclass(frozen=True)
class CentrePatients:
    """What monitoring knows of one centre's submission.

    ``quantities``: one row per patient, as ``patient_quantities`` returns it. ``before``: the same of the submission
    before, or None. ``places``: (table, field, drug or '') -> file, sheet and column. ``rows``: (file, sheet) -> number
    of its last row.
    """

    centre_id: str
    quantities: pd.DataFrame
    before: pd.DataFrame | None = None
    places: dict[tuple[str, str, str], tuple[str, str, str]] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)

    def place(self, field: str, quantity: str) -> tuple[str, str, str] | None:
        """File, sheet and column that a finding is about; None where the spec reads none."""
        q = watched().get(quantity.partition(" ~ ")[0])
        table = SOURCES[q.source] if q else "patient"
        drug = next((drug for drug in fields.vocabularies()["drug"] if quantity.startswith(drug)), "")
        for name in _READ_AS.get(field, (field,)):
            for key in ((table, name, drug), (table, name, ""), ("adverse_event_assessment", name, "")):
                if key in self.places:
                    return self.places[key]
        return None

    @cached_property
    def copies(self) -> pd.DataFrame:
        """Which patients are copies of another one."""
        return copies(self.quantities)

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """The patients without those whose values are another one's: a copy judges nothing."""
        return self.quantities[~self.copies["again"]]


def centre_patients(
    spec: Spec, tables: Mapping[str, pa.Table], before: Mapping[str, pa.Table] | None = None
) -> CentrePatients:
    """Make from a centre's harmonised tables (by name: ``patient``, ``lab_result``, ...) what monitoring looks at."""
    rows: dict[tuple[str, str], int] = {}
    for name in fields.tables():
        places = tables[name].select(fields.PLACE_COLUMNS).to_pandas()
        for place, last in places.groupby(["source_file", "source_sheet"])["source_row"].max().items():
            rows[place] = max(rows.get(place, 0), int(last))
    return CentrePatients(
        spec.centre.id,
        patient_quantities(tables),
        patient_quantities(before) if before else None,
        _places(spec, tables),
        rows,
    )


def _places(spec: Spec, tables: Mapping[str, pa.Table]) -> dict[tuple[str, str, str], tuple[str, str, str]]:
    """Where each field of the study is read from: (table, field, drug or '') -> file, sheet, column."""
    found: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    files: dict[str, tuple[str, str]] = {}
    for name in fields.tables():
        sources = tables[name].select(["source_record", "source_file", "source_sheet"]).to_pandas().drop_duplicates()
        for row in sources.itertuples(index=False):
            files.setdefault(str(row.source_record).rpartition(".")[0], (row.source_file, row.source_sheet))
    for name, table in spec.tables.items():
        file, sheet = files.get(name, (table.file, sheet_of(table)))
        for record in table.records:
            drug = record.fields["drug"].constant if "drug" in record.fields else ""
            for of, source in record.fields.items():
                if columns := source_columns(source):
                    found.setdefault((record.table, of, drug or ""), (file, sheet, columns[0]))
    return found


def monitor(centre: CentrePatients, others: list[CentrePatients]) -> Monitored:
    """Look at one centre beside the others.

    Args:
        centre: the centre.
        others: every other centre with data; none: only what is declared or lies in the centre itself is judged.
    """
    made = list(_checks(centre, {other.centre_id: other.distinct for other in others}))
    findings = [f for f in made if isinstance(f, Finding)]
    tests = max(1, len(findings))
    severities = [_severity(f, tests) for f in findings]
    told = [(f, severity) for f, severity in zip(findings, severities, strict=True) if severity]
    signals = [_signal(centre, group, tests) for group in _by_column(centre, told)]
    signals.sort(key=lambda s: (s.severity != STOP, s.p_value))
    by_finding = {id(f): severity for f, severity in told}
    return Monitored(centre.centre_id, signals, _looked_at(centre, made, by_finding))


def _checks(centre: CentrePatients, others: dict[str, pd.DataFrame]) -> Iterator[Finding | NotJudged]:
    quantities = watched()
    yield from _with_rows(centre.distinct, _of_patients(quantities, centre, others))
    yield from _with_rows(centre.quantities, shared(centre.copies))
    yield from full_sheets(centre.rows)
    if centre.before is None:
        why = "no earlier submission that can be compared"
        yield NotJudged("between_submissions", "changed", "patients", "centre_patient_id", why)
    else:
        compared = between_submissions(quantities, centre.quantities, centre.before)
        yield from _with_rows(centre.quantities, compared)


def _with_rows(frame: pd.DataFrame, made: Iterator[Finding | NotJudged]) -> Iterator[Finding | NotJudged]:
    """Name the patients whom a finding gives by their place in a frame: their rows of the file, and their numbers."""
    rows, numbers = frame["source_row"].tolist(), frame["centre_patient_id"].tolist()
    for one in made:
        if places := getattr(one, "places", ())[:ROWS_NAMED]:
            one = replace(
                one, rows=tuple(int(rows[i]) for i in places), patient_numbers=tuple(str(numbers[i]) for i in places)
            )
        yield one


def _of_patients(
    quantities: dict[str, Quantity], centre: CentrePatients, others: dict[str, pd.DataFrame]
) -> Iterator[Finding | NotJudged]:
    own = centre.distinct

    def reads(q: Quantity) -> bool:
        return centre.place(q.field, q.name) is not None

    for q in quantities.values():
        one = Beside(q, own, others)
        if own[q.name].notna().any() or q.complete:
            yield from level(one)
            if not q.calendar:
                yield from mixture(one)
            if q.complete:
                yield from missing(one, reads(q))
            if q.as_sent:
                yield from shape(one)
        else:
            yield NotJudged(q.family, "share" if q.scale == SHARE else "level", q.name, q.field, "no patient has it")
    yield from between_columns(quantities, own, others)
    lists = [q for q in quantities.values() if q.list]
    yield from cut(lists, own, reads)


def _severity(finding: Finding, tests: int) -> str:
    if not finding.matters:
        return ""
    if finding.p_stop * tests < STOP_CHANCE:
        return STOP
    return LOOK if finding.p_look * tests < LOOK_CHANCE else ""


def _by_column(centre: CentrePatients, told: list[tuple[Finding, str]]) -> Iterator[list[tuple[Finding, str]]]:
    """Findings of one column together, the one first that says most: one mistake is one signal.

    What changed since the last submission is another matter than the column itself.
    """
    groups: dict[tuple, list[tuple[Finding, str]]] = {}
    for finding, severity in told:
        column = centre.place(finding.field, finding.quantity) or finding.field
        groups.setdefault((column, finding.family == "between_submissions"), []).append((finding, severity))
    for group in groups.values():
        yield sorted(group, key=lambda one: (one[1] != STOP, _SAYS_MOST.index(one[0].check_name), one[0].p_look))


def _signal(centre: CentrePatients, group: list[tuple[Finding, str]], tests: int) -> Signal:
    (finding, severity), *more = group
    # what else stops the column is part of the finding, so that a confirmation of the one does not hide another
    apart = sorted({f.quantity for f, its in more if its == STOP and f.quantity != finding.quantity})
    apart += sorted({f.check_name for f, its in more if its == STOP and f.check_name in _APART} - {finding.check_name})
    also = f", also {listed(apart)}" if apart else ""
    others = f" {len(more)} more finding{'s' if len(more) > 1 else ''} in this column." if more else ""
    own = centre.quantities
    named_in = own["source_file"].iloc[0], own["source_sheet"].iloc[0]
    file, sheet, column = centre.place(finding.field, finding.quantity) or (*named_in, "")
    p = finding.p_stop if severity == STOP else finding.p_look
    found, expected = finding.words
    return Signal(
        centre.centre_id,
        severity,
        finding.family,
        finding.check_name,
        finding.quantity,
        finding.field,
        found + also,
        expected,
        finding.looks_like + others,
        float(min(1.0, p * tests)),
        finding.patients,
        file,
        sheet,
        column,
        list(finding.rows) if (file, sheet) == named_in else [],
        list(finding.patient_numbers),
    )


def _looked_at(centre: CentrePatients, made: list[Finding | NotJudged], severities: dict[int, str]) -> pd.DataFrame:
    rows = []
    for one in made:
        row = {
            "centre_id": centre.centre_id,
            "family": one.family,
            "check_name": one.check_name,
            "quantity": one.quantity,
            "field": one.field,
            "patients": one.patients,
            "judged": "no" if isinstance(one, NotJudged) else "yes",
            "why_not": one.why_not if isinstance(one, NotJudged) else "",
            "severity": severities.get(id(one), ""),
        }
        if isinstance(one, Finding):
            row |= {"scale": one.scale, "estimate": one.estimate, "standard_error": one.standard_error}
            row |= {"expected": one.expected, "look_below": one.look_below, "look_above": one.look_above}
            row |= {"p_value": one.p_look}
        rows.append(row)
    return pd.DataFrame(rows, columns=[n for n in MONITORED.names if n != "submission"])
