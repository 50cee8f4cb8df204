"""Read, harmonise and judge a submission: accepted as a whole, or refused with its reason."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from capla_etl import fields, paths
from capla_etl.centres.errors import CentreRefused, listed, said_place
from capla_etl.centres.harmonising import corrections, own_dates
from capla_etl.centres.harmonising.columns import Reading
from capla_etl.centres.harmonising.harmonise import Harmoniser
from capla_etl.centres.harmonising.pseudonym import KeyRefused, patient_key
from capla_etl.centres.harmonising.synthetic import speaks_against
from capla_etl.centres.harmonising.values import STOPPING_RULE
from capla_etl.centres.reading.free_text import SCAN
from capla_etl.centres.reading.read import RawTable, content_hash
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Spec, naming_records
from capla_etl.centres.submissions.history import (
    CHANGE,
    WITHDRAWN,
    compare,
    distinct_submissions,
    history,
    read_current,
)

#: A file stops its centre if more than this share of its rows are refused, and at least this many. So does a column
#: by its values; and a short one if more than half of them are refused, and at least ``SPARED_VALUES``.
LARGEST_REFUSED_SHARE, SPARED_ROWS, SPARED_VALUES = 0.1, 20, 5
#: Rules that say nothing about how a column is read.
_OF_PATIENTS = {STOPPING_RULE, "no_reference_day", "long_before_first_exchange", own_dates.CONTRADICT}


@dataclass(frozen=True)
class HarmonisedCentre:
    """A centre's current submission, read, harmonised and judged; nothing of it is kept yet.

    ``previous``: date of the submission before, if there is one. ``tables``: ``schema.name`` -> table, all that a load
    holds; schema ``before`` has the harmonised tables of the submission before, where this spec can read it. ``key``:
    the key of its patient_ids. ``content_hash``: hash of its files, spec and corrections. ``identity``: the same, but
    for comments in the spec and what people confirmed there. ``readings``: what was read of each field, if asked for.
    ``notes``: file, sheet, and what the file says of itself.
    """

    spec: Spec
    submission: date
    previous: date | None
    tables: dict[str, pa.Table]
    key: bytes
    content_hash: str
    identity: str
    readings: list[Reading]
    notes: list[tuple[str, str, str]]


def judged(centre_id: str, keep_readings: bool = False) -> HarmonisedCentre:
    """Read, harmonise and judge a centre's current submission; nothing is written.

    Args:
        centre_id: the centre's code.
        keep_readings: whether to keep what was read of each field, for the people who check a spec.

    Raises:
        CentreRefused: the spec, a file, a column, a word or a declared correction is not as declared, or a file is
            refused in large part.
        OSError: a file cannot be reached.
    """
    folder = paths.data_raw() / centre_id
    spec = load_spec(folder / "centre.yml")
    sent = read_current(spec, folder, paths.as_of())
    *earlier, submission = distinct_submissions(folder, paths.as_of())
    cutoff = date.fromisoformat(submission.name)
    declared = corrections.corrections_in_force(folder, cutoff, paths.as_of())
    corrections.answers(folder)  # an unreadable entry refuses the centre here, and not the study in quality.query
    raws, corrected = corrections.apply_corrections(sent, declared, spec)
    try:
        key = patient_key()
    except KeyRefused as refused:
        raise CentreRefused(centre_id, [str(refused)]) from None
    harmonised = Harmoniser(spec, raws, cutoff, key, keep_readings).run()
    corrected = harmonised.corrections(corrected)
    ledger, quarantine = harmonised.ledger(), harmonised.quarantine()
    _check_most_is_read(spec, ledger, quarantine, harmonised.cells)
    tables = _harmonised_tables(harmonised, "harmonised")
    if tables["harmonised.patient"].num_rows == 0:
        where = f"{centre_id}/{submission.name}"
        raise CentreRefused(
            centre_id, [f"{where}: no patient found; is the key column of the patient table filled in?"]
        )
    for raw in raws:
        as_sent = corrections.as_sent(harmonised.raw_table(raw), corrected)
        tables[f"raw.{centre_id.lower()}__{raw.name}"] = as_sent
    lists = spec.lists.model_dump()
    tables |= {
        "harmonised.submission": pa.table({"centre_id": [centre_id], "submission": pa.array([cutoff], pa.date32())}),
        "harmonised.list_absence": pa.table(
            {"centre_id": [centre_id] * len(lists), "list_name": list(lists), "absence": list(lists.values())}
        ),
        "quality.quarantine": quarantine,
        "quality.ledger": ledger,
        "quality.correction": corrected,
        "quality.added_field": harmonised.added_fields(),
        "quality.free_text_scan": _free_text_scan(centre_id, cutoff, raws),
        "quality.submission_history": history(folder, spec, paths.as_of()),
    }
    previous = date.fromisoformat(earlier[-1].name) if earlier else None
    before = _sent_before(spec, folder, previous)
    tables |= _since_the_last(spec, previous, before, sent, cutoff)
    if before is not None:
        tables |= _harmonised_before(spec, folder, previous, before, key, tables["harmonised.patient"]["patient_id"])
    if counts_as_real := speaks_against(centre_id):
        raise CentreRefused(centre_id, [counts_as_real])
    read_by = spec.model_dump_json(exclude={"confirmed"}, exclude_defaults=True).encode()
    sha, identity = (
        corrections.content_hash_with(content_hash(submission, by), declared)
        for by in ((folder / "centre.yml").read_bytes(), read_by)
    )
    notes = [(raw.file, raw.sheet, note) for raw in raws for note in raw.notes]
    return HarmonisedCentre(spec, cutoff, previous, tables, key, sha, identity, harmonised.readings, notes)


def _check_most_is_read(
    spec: Spec, ledger: pa.Table, quarantine: pa.Table, cells: dict[tuple[str, str, str, str], Counter]
) -> None:
    """Refuse a centre with a largely refused file or column: it does not fit its spec, and would count as missing."""
    centre_id, problems = spec.centre.id, []
    for row in ledger.to_pylist():
        refused, received = row["rows_quarantined"], row["rows_received"]
        if refused >= SPARED_ROWS and refused > LARGEST_REFUSED_SHARE * received:
            place = (row["file"], row["sheet"])
            here = [q for q in quarantine.to_pylist() if (q["file"], q["sheet"]) == place and q["scope"] == "row"]
            rules, columns = (Counter(q[what] for q in here) for what in ("rule", "column_name"))
            why = ", ".join(f"{rule} {count}" for rule, count in rules.most_common(3))
            where = listed(repr(column) for column, _ in columns.most_common(3))
            naming = listed(f"{name}.{number}" for name, number in naming_records(spec))
            problems.append(
                f"{centre_id}/{row['submission']}/{said_place(*place)}: {refused} of {received} rows are refused "
                f"({why}); expected at most {LARGEST_REFUSED_SHARE:.0%}. Look at {where}: does the file fit the "
                f"spec, and does the record that names the patients ({naming}) name the same ones?"
            )
    where = f"{centre_id}/{ledger['submission'][0]}"
    for (file, sheet, column, field), counts in cells.items():
        rules = Counter({rule: n for rule, n in counts.items() if rule and rule not in _OF_PATIENTS})
        refused, filled = rules.total(), counts[""]
        many = refused >= SPARED_ROWS and refused > LARGEST_REFUSED_SHARE * filled
        if many or refused >= SPARED_VALUES and refused > filled / 2:
            why = ", ".join(f"{rule} {count}" for rule, count in rules.most_common(3))
            problems.append(
                f"{where}/{said_place(file, sheet)}, column {column!r}: {refused} of {filled} values are refused as "
                f"{field} ({why}); expected at most {LARGEST_REFUSED_SHARE:.0%}. Are format, unit and missing codes "
                "right in the spec?"
            )
    if problems:
        raise CentreRefused(centre_id, problems)


def _free_text_scan(centre_id: str, submission: date, raws: list[RawTable]) -> pa.Table:
    """What the scan found in the columns of free text."""
    head = {"centre_id": centre_id, "submission": submission}
    rows = [{**head, "file": raw.file, "sheet": raw.sheet, **counts} for raw in raws for counts in raw.free_text]
    return pa.Table.from_pylist(rows, schema=SCAN)


def _harmonised_tables(harmonised: Harmoniser, schema: str) -> dict[str, pa.Table]:
    return {f"{schema}.{name}": harmonised.table(name) for name in fields.tables()}


def _sent_before(spec: Spec, folder: Path, previous: date | None) -> list[RawTable] | None:
    """Read the submission before, if there is one that this spec can read; incremental files hold all earlier rows."""
    try:
        return read_current(spec, folder, previous) if previous else None
    except CentreRefused:  # the centre has changed its files since, and its spec with them
        return None


def _since_the_last(
    spec: Spec, previous: date | None, before: list[RawTable] | None, sent: list[RawTable], cutoff: date
) -> dict[str, pa.Table]:
    """Compare with the submission before, as ``_sent_before`` returns it."""
    changes, gone = pa.Table.from_pylist([], schema=CHANGE), pa.Table.from_pylist([], schema=WITHDRAWN)
    if before is not None:
        changes, gone = compare(spec, before, sent, (previous, cutoff))
    elif previous:
        unknown = dict.fromkeys(CHANGE.names, "") | {"centre_id": spec.centre.id, "change": "not_comparable"}
        days = {"submission": cutoff, "previous_submission": previous}
        changes = pa.Table.from_pylist([unknown | days], schema=CHANGE)
    return {"quality.submission_change": changes, "quality.withdrawn_patient": gone}


#: What is kept of a patient who left since the submission before.
_WHO_LEFT = ("patient_id", "centre_patient_id", "centre_id", "submission")


def _harmonised_before(
    spec: Spec, folder: Path, previous: date, before: list[RawTable], key: bytes, patients: pa.ChunkedArray
) -> dict[str, pa.Table]:
    """Harmonise the submission before, by the same spec; none where it cannot be read so.

    Of a patient who is not among ``patients``, those of the current submission, only the number is kept.
    """
    try:
        raws, _ = corrections.apply_corrections(
            before, corrections.corrections_in_force(folder, previous, paths.as_of()), spec
        )
        harmonised = Harmoniser(spec, raws, previous, key, False).run()
        _check_most_is_read(spec, harmonised.ledger(), harmonised.quarantine(), harmonised.cells)
    except CentreRefused:  # not comparable
        return {}
    tables = _harmonised_tables(harmonised, "before")
    return {name: of_who_stayed(table, patients, name == "before.patient") for name, table in tables.items()}


def of_who_stayed(table: pa.Table, patients: pa.ChunkedArray, keep_numbers: bool) -> pa.Table:
    """The rows of ``patients``; with ``keep_numbers`` also those of others, with nothing but their numbers."""
    stays = pc.is_in(table["patient_id"], value_set=patients.combine_chunks())
    left = [table.filter(pc.invert(stays)).select(_WHO_LEFT)] if keep_numbers else []
    return pa.concat_tables([table.filter(stays), *left], promote_options="default").cast(table.schema)
