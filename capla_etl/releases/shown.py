"""What was shown outside the study group, kept: beside it, the next protected version must give nothing away.

Two versions that differ by one patient show that patient, however each is rounded. So a protected version is renewed
only when nobody, or enough patients, differ from every version that was shown, and its counts are suppressed for what
all of them together would reveal. ``paths.shown()`` holds what this needs, and never leaves the study group.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import pandas as pd

from capla_etl import paths
from capla_etl.disclosure.profiles import profile
from capla_etl.disclosure.protected_results import Publication, protect_results
from capla_etl.releases.publish import staged
from capla_etl.releases.variant import PROTECTED, Variant
from capla_etl.study_tables import study_tables
from capla_etl.tables.results import COLUMNS

#: So many of the latest versions does the search for what follows from all together take in; each costs its time again.
_LATEST = 3
#: Told where nothing new may be shown.
WHY_NOT = (
    "Fewer patients differ from a version that was shown before than may be told apart "
    f"({profile(PROTECTED).protection.suppress_below}): both together would show single patients."
)
#: Says of which variant a version is; written last, and only for one that is new.
_MADE = "made.json"
#: Says which of the versions the published one was made beside; a release keeps those, to be recomputed.
_BESIDE = "beside.json"


@dataclass(frozen=True)
class Shown:
    """One version that was shown.

    Attributes:
        folder: ``made.json`` (of which variant), ``result.parquet`` (``study.result`` as computed), ``patients.txt`` (a
            digest per patient, without the patient's number) and ``protected/`` (the files as shown).
    """

    folder: Path

    @property
    def variant(self) -> str:
        """The rule set and day that it was made by; empty: the study itself."""
        return json.loads((self.folder / _MADE).read_text(encoding="utf-8"))["variant"]

    @cached_property
    def results(self) -> pd.DataFrame:
        """``study.result`` of then."""
        return pd.read_parquet(self.folder / "result.parquet").astype(COLUMNS)

    @cached_property
    def protected(self) -> pd.DataFrame:
        """What was shown of it."""
        return pd.read_parquet(self.files / "result.parquet").astype(COLUMNS)

    @cached_property
    def patients(self) -> Counter[str]:
        """How many patients have a digest."""
        return Counter((self.folder / "patients.txt").read_text(encoding="utf-8").splitlines())

    @property
    def files(self) -> Path:
        """The files as shown."""
        return self.folder / PROTECTED


@dataclass(frozen=True)
class Plan:
    """What may be shown now.

    Attributes:
        near: a version from which fewer patients differ than may be told apart: nothing new may be shown.
        kept: the version of the same variant that stays shown then; none: nothing is.
        beside: the versions beside which a new one is protected.
        same: whether no patient differs, for each of ``beside``.
    """

    near: Shown | None
    kept: Shown | None
    beside: tuple[Shown, ...] = ()
    same: tuple[bool, ...] = ()

    @property
    def publications(self) -> list[Publication]:
        """The latest of ``beside`` as ``protect_results`` takes them."""
        latest = list(zip(self.beside, self.same, strict=True))[-_LATEST:]
        return [Publication(shown.results, shown.protected, same) for shown, same in latest]


#: Columns that name a patient or a submission, but say nothing of the patient.
_NAMES = ("patient_id", "centre_patient_id", "submission")


def patients_of(connection: duckdb.DuckDBPyConnection) -> Counter[str]:
    """Digest each patient over all rows that study tables are computed from; how many patients have each digest."""
    lines = []
    for relation in sorted(
        {r for table in study_tables() for r in table.inputs.values() if not r.startswith("study.")}
    ):
        columns = [name for name, *_ in connection.execute(f"describe {relation}").fetchall()]
        if "patient_id" in columns:
            values = ", ".join(f"{name} := {name}" for name in columns if name not in _NAMES)
            lines.append(f"select patient_id, '{relation} ' || to_json(struct_pack({values})) as line from {relation}")
    digests = connection.execute(
        f"select md5(string_agg(line, chr(10) order by line)) from ({' union all '.join(lines)}) group by patient_id"
    )
    return Counter(digest for (digest,) in digests.fetchall())


def earlier() -> list[Shown]:
    """Every version that was shown, in the order in which they were."""
    return [Shown(made.parent) for made in sorted(paths.shown().glob(f"[0-9]*/{_MADE}"))]


def differing(one: Counter[str], other: Counter[str]) -> int:
    """How many patients of one version are not in the other as they are, counted from the side that has more."""
    return max((one - other).total(), (other - one).total())


def plan(results: pd.DataFrame, patients: Counter[str], history: list[Shown]) -> Plan:
    """Decide what may be shown of these results.

    Args:
        results: ``study.result``, whole.
        patients: as ``patients_of``.
        history: as ``earlier``.

    Raises:
        OSError, ValueError: a version that was shown is damaged, so that nobody can say what it told.
    """
    chosen = profile(PROTECTED)
    changed = [differing(patients, shown.patients) for shown in history]
    near = [s for s, number in zip(history, changed, strict=True) if chosen.protection.counts.small(number)]
    if near:
        own = [shown for shown in history if shown.variant == _variant()]
        return Plan(near=near[-1], kept=own[-1] if own else None, beside=tuple(history))
    same = [not number for number in changed]
    whole = Plan(None, None, tuple(history), tuple(same))
    if not any(same):
        return whole
    # The same patients again: as they were shown the first time, beside what had been shown before that.
    first = same.index(True)
    again = Plan(None, None, tuple(history[:first]), tuple(same[:first]))
    unchanged = protect_results(results, chosen, again.publications).equals(history[first].protected)
    return again if unchanged else whole


def keep(decided: Plan, folder: Path) -> list[Path]:
    """Write the version that stays shown, or a README that says why there is none; return what is written."""
    shutil.rmtree(folder, ignore_errors=True)
    if decided.kept:
        shutil.copytree(decided.kept.files, folder)
    else:
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(f"# No protected version\n\n{WHY_NOT}\n", encoding="utf-8")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def stage(results: pd.DataFrame, patients: Counter[str], decided: Plan, files: Path) -> None:
    """Keep what ``record`` needs when this version is published.

    Args:
        results, patients: of the version.
        decided: the plan that it was made by.
        files: its folder of files.
    """
    fresh = _staged()
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if not decided.near:
        results.to_parquet(fresh / "result.parquet", index=False)
        (fresh / "patients.txt").write_text("\n".join(sorted(patients.elements())), encoding="utf-8")
        shutil.copytree(files, fresh / PROTECTED)
        (fresh / _MADE).write_text(json.dumps({"variant": _variant()}), encoding="utf-8")
    beside = [shown.folder.name for shown in decided.beside]
    (fresh / _BESIDE).write_text(json.dumps(beside), encoding="utf-8")


def record() -> None:
    """Remember the staged version as shown: called before it is published, so that nothing is shown unremembered."""
    fresh, history = _staged(), earlier()
    paths.shown().mkdir(parents=True, exist_ok=True)
    if not stays():
        new = Shown(fresh)
        known = (s for s in history if not differing(new.patients, s.patients) and s.protected.equals(new.protected))
        if next(known, None) is None:
            number = 1 + max((int(shown.folder.name) for shown in history), default=0)
            unfinished = paths.shown() / f".{number:04d}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(fresh, unfinished, ignore=shutil.ignore_patterns(_BESIDE))
            os.replace(unfinished, paths.shown() / f"{number:04d}")
    if not _variant():
        shutil.copyfile(fresh / _BESIDE, paths.shown() / _BESIDE)


def stays() -> bool:
    """Whether the staged version is one that was shown before, because nothing new may be shown."""
    return not (_staged() / _MADE).exists()


def beside_published() -> list[Path]:
    """The folders of the versions beside which the published one was protected."""
    written = paths.shown() / _BESIDE
    names = json.loads(written.read_text(encoding="utf-8")) if written.exists() else []
    return [paths.shown() / name for name in names]


def _staged() -> Path:
    return staged(paths.shown())


def _variant() -> str:
    """The day and rule set of this run, which make it another version than the study itself; empty: neither."""
    return Variant(paths.as_of(), os.environ.get("CAPLA_RULE_SET")).name
