"""Where each centre stands: its last good load, what was received since, and why that is not in the study.

A submission that is refused or held back changes nothing in the study: the centre's last good load stays, with a copy
of the spec and the answers that it was made by. Wherever the centre is shown, it is said that the load is not the
newest submission.

What does not belong here: reading and judging a submission (load.py), and deciding when to load (arrivals.py).
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from capla_etl import fields, paths
from capla_etl.centres import switch
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.files import place, sha256
from capla_etl.centres.harmonising.corrections import ANSWERS, CORRECTIONS
from capla_etl.centres.reading.read import submissions
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import CODE, Centre, Spec
from capla_etl.centres.submissions.history import distinct_submissions, file_hashes
from capla_etl.fields import meanings

SPEC = "centre.yml"
RECEIPT = "load.json"
_DAYS = ("submission", "previous")
#: Files next to the dated folders that, with them, determine a load.
BESIDE = (SPEC, CORRECTIONS, ANSWERS)

#: What a centre can be, and what it means.
STATUSES = meanings.codes("quality.centre_status", "status")

#: Columns of ``quality.centre_status``.
COLUMNS = fields.arrow_schema("centre_id name country status submission:date received_submission:date problem")


@dataclass(frozen=True)
class Load:
    """A centre's last good load, or the one received since.

    ``folder`` holds its Parquet files, and the spec and answers that it was made by. ``received``: fingerprint of all
    its inputs. ``identity``: hash of its files, spec (but for what people confirmed) and corrections. ``previous``: the
    submission before, if there is one.
    """

    centre_id: str
    submission: date
    folder: Path
    received: str
    identity: str
    previous: date | None

    @property
    def sent_to(self) -> Path:
        """The centre's own folder with its submissions as sent; it may be missing."""
        return paths.data_raw() / self.centre_id

    @property
    def spec(self) -> Spec:
        """The spec that the load was made by."""
        return load_spec(self.folder / SPEC)


@dataclass(frozen=True)
class CentreStatus:
    """One centre; ``status``: of ``STATUSES``; ``received``: newest folder; ``submission``: the one in the study."""

    centre_id: str
    name: str | None
    country: str | None
    status: str
    submission: date | None
    received: date | None
    problems: list[str]
    submits_every_days: int | None


def centre_ids() -> list[str]:
    """Centres with a folder and a spec, by code; for an earlier state only those that had submitted by then."""
    return [f.name for f in _folders() if is_code(f.name) and _is_there(f) and _has_submitted(f)]


def is_code(name: str) -> bool:
    """Whether the name of a folder can be a centre's code; only such names can be those of tables and steps."""
    return re.fullmatch(CODE, name) is not None


def _folders() -> list[Path]:
    return sorted(p for p in paths.data_raw().glob("*") if p.is_dir() and not p.name.startswith("."))


def _is_there(folder: Path) -> bool:
    return (folder / SPEC).is_file() or (folder / SPEC).is_symlink()


def _has_submitted(folder: Path) -> bool:
    """Whether a centre had submitted by the day of an earlier state; a folder that cannot be read is refused later."""
    if paths.as_of() is None:
        return True
    try:
        return bool(submissions(folder, paths.as_of()))
    except (CentreRefused, OSError):
        return True


def received(folder: Path) -> str:
    """Fingerprint of a centre's inputs: its distinct submissions by date and content, spec, corrections, answers.

    File names do not count: the same content under another name is not new.

    Raises:
        OSError: a file went away while it was read.
    """
    digest = hashlib.sha256()
    try:
        dated = distinct_submissions(folder, paths.as_of())
    except CentreRefused as refused:  # a folder name that is no valid date: the same problem, the same fingerprint
        dated = []
        digest.update(str(refused).encode())
    for submission in dated:
        digest.update(" ".join([submission.name, *sorted(file_hashes(submission).values())]).encode())
    for name in BESIDE:
        path = folder / name
        digest.update(sha256(path).digest() if path.is_file() else b"-")
    return digest.hexdigest()


def newest_loads() -> dict[str, Load]:
    """Of every centre the load that was received, else the last good one, by code; none of another day."""
    return dict(sorted((_loads(paths.centre_loads())[0] | received_loads()).items()))


def good_loads() -> dict[str, Load]:
    """Every centre's last good load, by code; for an earlier state only of those that had submitted by then.

    Raises:
        CentreRefused: a load was made by an earlier version of this program or for another day, so that the loads do
            not describe one state of the study.
    """
    found, stale = _loads(paths.centre_loads())
    if stale:
        problem = "loaded by an earlier version or as of another day; load every centre again (`capla study`)."
        raise CentreRefused(", ".join(stale), [problem])
    return found


def received_loads() -> dict[str, Load]:
    """Every load that was received and is not in the study (yet), by code; none of a centre whose folder is gone."""
    found, _ = _loads(paths.received_loads())
    return {centre_id: load for centre_id, load in found.items() if centre_id in centre_ids()}


def _loads(folder: Path) -> tuple[dict[str, Load], list[str]]:
    """The loads in a folder, by code; and the centres whose load is of an earlier version or another day."""
    found, stale = {}, []
    for receipt in sorted(folder.glob(f"[!.]*/{RECEIPT}")):
        content = json.loads(receipt.read_text(encoding="utf-8"))
        centre_id = receipt.parent.name
        if "received" not in content or content["as_of"] != _as_of():
            stale.append(centre_id)
            continue
        submission, previous = (day and date.fromisoformat(day) for day in map(content.get, _DAYS))
        of = content["received"], content.get("identity", "")
        found[centre_id] = Load(centre_id, submission, receipt.parent.resolve(), *of, previous)
    return found, stale


def _as_of() -> str | None:
    return paths.as_of().isoformat() if paths.as_of() else None


def receipt_of(centre_id: str, received_: str, submission: date, previous: date | None) -> dict:
    """The inputs of a load, as its receipt states them."""
    days = {"submission": submission.isoformat(), "previous": previous and previous.isoformat()}
    return {"centre_id": centre_id, **days, "received": received_, "as_of": _as_of()}


def record_accepted(load: Load, confirmed_on: date | None) -> None:
    """Record that a load is accepted, for good, and the day of the confirmation that it needed, if any.

    What is accepted as of an earlier day is not recorded: it was judged beside fewer centres.
    """
    if paths.as_of() is None and not accepted_before(load):
        paths.accepted().parent.mkdir(parents=True, exist_ok=True)
        with paths.accepted().open("a+b") as file:
            file.seek(0)
            torn = not file.read().endswith(b"\n") and file.tell()  # by a full disk
            line = f"{load.centre_id} {load.submission} {load.identity} {confirmed_on or '-'}\n"
            file.write((b"\n" if torn else b"") + line.encode())
        switch.to_disk(paths.accepted())


def accepted_before(load: Load) -> bool:
    """Whether the same files, read in the same way with the same corrections, were accepted before.

    In an earlier state of the study what a later confirmation let in is not.
    """
    if not paths.accepted().is_file():
        return False
    same = [load.centre_id, str(load.submission), load.identity]
    lines = [line.split() for line in paths.accepted().read_text(encoding="utf-8").splitlines()]
    days = [line[-1] for line in lines if line[:-1] == same]
    return any(day == "-" or paths.as_of() is None or day <= paths.as_of().isoformat() for day in days)


def _refusal(centre_id: str) -> Path:
    return paths.centre_loads() / f"{centre_id}.refused.json"


def record_refusal(centre_id: str, received_: str, problems: list[str], held_back: bool = False) -> None:
    """Record that what was received last is refused or held back, and why; the last good load stays unchanged."""
    content = {"received": received_, "held_back": held_back, "problems": problems}
    switch.write(_refusal(centre_id), json.dumps(content, indent=1, ensure_ascii=False))


def forget_refusal(centre_id: str) -> None:
    """Remove the recorded refusal: what was received last is loaded."""
    _refusal(centre_id).unlink(missing_ok=True)


def _recorded_refusal(centre_id: str) -> dict | None:
    path = _refusal(centre_id)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def judged(centre_id: str) -> set[str]:
    """Fingerprints of what was already loaded, held back or refused; reading it again would give the same tables."""
    if refusal := _recorded_refusal(centre_id):
        return {refusal["received"]}
    receipt = paths.centre_loads() / centre_id / RECEIPT
    loaded = json.loads(receipt.read_text(encoding="utf-8")) if receipt.is_file() else {}
    return {loaded["received"]} if loaded.get("as_of") == _as_of() and "received" in loaded else set()


def record_published() -> None:
    """Record which loads the warehouse holds that has just been published."""
    loads = {centre_id: load.received for centre_id, load in good_loads().items()}
    switch.write(_record_of_published(), json.dumps({"file": _published_file(), "loads": loads}, indent=1))


def _record_of_published() -> Path:
    return paths.build_database().with_name("published.json")


def _published_file() -> list[int]:
    """Which file the published warehouse is now."""
    file = paths.published_database().stat()
    return [file.st_ino, file.st_mtime_ns]


def as_published(statuses: list[CentreStatus], published: dict[str, date | None]) -> list[CentreStatus]:
    """Where every centre stands, with the status ``loaded`` for a current load that is not in the published study.

    Args:
        statuses: where they stand by their loads.
        published: centre -> its submission in the published warehouse, as that says itself; {} if nothing is published.
    """
    place = _record_of_published()
    record = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {"file": None, "loads": {}}
    # after a rollback, or a kill between publishing and the record, dates are all there is to compare
    known = bool(published) and record["file"] == _published_file()
    loads = good_loads()

    def there(status: CentreStatus) -> bool:
        same_day = published.get(status.centre_id) == status.submission
        return same_day and (not known or record["loads"].get(status.centre_id) == loads[status.centre_id].received)

    return [replace(s, status="loaded") if s.status == "current" and not there(s) else s for s in statuses]


def centre_status() -> list[CentreStatus]:
    """Every centre that has a load, or a folder with a spec or submissions, by code.

    Raises:
        CentreRefused: loads do not belong together (see ``good_loads``).
    """
    loads = good_loads()
    return [_status(centre, loads.get(centre)) for centre in sorted({*centre_ids(), *loads, *_not_described()})]


def _not_described() -> list[str]:
    """Folders with submissions but no spec, or with a spec in a folder whose name is no code."""
    odd = [f for f in _folders() if not (is_code(f.name) and _is_there(f))]
    return [f.name for f in odd if _newest(f) or _is_there(f)]


def status_of(centre_id: str) -> CentreStatus:
    """Where one centre stands."""
    return _status(centre_id, good_loads().get(centre_id))


def refuse_unreachable(centre_id: str, error: OSError) -> CentreStatus:
    """Record that a centre's files cannot be reached, and return where it stands; its last good load stays."""
    folder = paths.data_raw() / centre_id
    if folder.is_dir():
        what = place(Path(error.filename), with_digest=False) if isinstance(error.filename, str) else "a file"
        why = error.strerror or type(error).__name__
        problem = f"{centre_id}: {what} cannot be read: {why}. Is it still being written, or is the drive disconnected?"
        record_refusal(centre_id, "", [problem])
    return status_of(centre_id)


def _status(centre_id: str, load: Load | None) -> CentreStatus:
    folder = paths.data_raw() / centre_id
    there = _is_there(folder) and is_code(centre_id)
    refusal = _recorded_refusal(centre_id) if there else None
    problems = refusal["problems"] if refusal else []
    if not there and load is None:
        status = "not_described"
        problems = [f"{folder}: files without a {SPEC}. Write one: capla centre draft {folder} --write"]
        if not is_code(centre_id):
            name = f"{place(folder)}: its name is no centre's code; expected two letters and two digits"
            problems = [f"{name}, such as HU01. Rename it, or move it out of the data folder."]
    elif not there:
        status, problems = "missing", [f"{folder}: folder or {SPEC} missing. Put it back, or withdraw the centre "]
        problems[0] += "(docs/AUTOMATION.md)."
    elif refusal and refusal.get("held_back"):
        status = "held_back"
    elif load is None:
        status = "not_loaded"
    elif refusal:
        status = "refused"
    else:
        status = "current" if load.received == _received_or_gone(folder) else "waiting"
    centre = _who(folder, load)
    return CentreStatus(
        centre_id=centre_id if is_code(centre_id) else place(folder),
        name=centre and centre.name,
        country=centre and centre.country,
        status=status,
        submission=load and load.submission,
        received=_newest(folder) if there or load is None else None,
        problems=problems,
        submits_every_days=centre and centre.submits_every_days,
    )


def _received_or_gone(folder: Path) -> str:
    try:
        return received(folder)
    except OSError:  # files are being added or removed now, so what is there was not judged
        return ""


def _who(folder: Path, load: Load | None) -> Centre | None:
    """The centre as the spec in force describes it, else as the new one does if it can be read."""
    try:
        return load.spec.centre if load else load_spec(folder / SPEC).centre
    except (CentreRefused, OSError):
        return None  # the refusal states its problems


def _newest(folder: Path) -> date | None:
    try:
        dated = submissions(folder, paths.as_of())
    except (CentreRefused, OSError):
        return None  # a folder name that is no valid date, or out of reach; the refusal says so
    return date.fromisoformat(dated[-1].name) if dated else None


def status_table(statuses: list[CentreStatus]) -> pa.Table:
    """``quality.centre_status``: one row per centre."""
    rows = [vars(s) | {"received_submission": s.received, "problem": "\n".join(s.problems)} for s in statuses]
    return pa.Table.from_pylist(rows, schema=COLUMNS)
