"""Releases: lock a state of the study with everything that it was made from, and verify that it can be recomputed.

A release is a folder with the published warehouse, tables, report and Data Docs, the submissions that were accepted,
and a manifest: inputs by hash, code, parameters, digests of every table and file. Its date is that of its latest
submission, correction, answer or confirmation.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from capla_etl import paths
from capla_etl.centres.submissions import kind_of_data
from capla_etl.centres.submissions.status import centre_status
from capla_etl.protocol.parameters import parameters
from capla_etl.releases.fingerprints import REPRODUCIBLE, code_digest, inputs_of, last_day, table_digests
from capla_etl.releases.rebuild import NO_RELEASE, rebuild, release_compared_with
from capla_etl.releases.shown import beside_published

MANIFEST = "manifest.json"
#: A copy of ``paths.accepted``: what was in the study, whatever monitoring said later, is in it when recomputed.
ACCEPTED = "accepted.txt"
#: The versions beside which the protected one was made.
SHOWN = "shown"


class ReleaseRefused(Exception):
    """A release that cannot be made or found; the message says why and what to do."""


@dataclass(frozen=True)
class Verification:
    """The result of a recomputation: a line per difference; none: identical."""

    name: str
    differs: list[str]


def _published() -> list[Path]:
    """What a release keeps of the published study."""
    return [paths.published_database(), paths.outputs(), paths.data_docs(), paths.report()]


def _file_hashes(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _digests(database: Path) -> dict[str, str]:
    """Digest every table but ``quality.check_result``, whose order is that in which checks ran."""
    with duckdb.connect(str(database), read_only=True) as con:
        digests = table_digests(con, (*REPRODUCIBLE, "raw", "harmonised", "quality"))
    return {table: digest for table, digest in digests.items() if table != "quality.check_result"}


def release_folder(name: str) -> Path:
    """Where a release of this name is or will be.

    Raises:
        ReleaseRefused: the name is not valid.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ReleaseRefused(
            f"{name!r} cannot name a release: expected letters, digits, points, hyphens and underscores."
        )
    return paths.releases() / name


def check_free(name: str) -> Path:
    """The folder for a new release.

    Raises:
        ReleaseRefused: the name is taken or not valid.
    """
    folder = release_folder(name)
    if folder.exists():
        raise ReleaseRefused(f"the release {name!r} exists ({folder}) and is never changed. Choose another name.")
    return folder


def freeze(name: str, folder: Path) -> Path:
    """Lock the published study, which was just run from the current inputs with the current code, as a release.

    Args:
        name: the release's name.
        folder: where it will be, as ``check_free`` gave it.

    Returns:
        The release's folder.

    Raises:
        ReleaseRefused: nothing is published, or a centre's newest submission is missing: it could not be recomputed.
    """
    if behind := [s.centre_id for s in centre_status() if s.status != "current"]:
        raise ReleaseRefused(
            f"the newest submission of {', '.join(behind)} is not in the study, and a release needs all of them: "
            "see `capla centre list`."
        )
    if missing := [str(p) for p in _published() if not p.exists()]:
        raise ReleaseRefused(f"nothing to freeze: {', '.join(missing)} not published. Run the study first.")
    fresh = folder.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for published in _published():
        copy = shutil.copytree if published.is_dir() else shutil.copyfile
        copy(published, fresh / published.name)
    shutil.copyfile(paths.accepted(), fresh / ACCEPTED)
    for earlier in beside_published():
        shutil.copytree(earlier, fresh / SHOWN / earlier.name)
    as_of = last_day()
    before = release_compared_with()
    manifest = {
        "name": name,
        "compared_with": before.name if before else NO_RELEASE,
        "data": "synthetic" if kind_of_data.synthetic() else "real",
        "as_of": as_of.isoformat(),
        "code": code_digest(),
        "parameters": {p.name: str(p.value) for p in parameters().values()},
        "inputs": inputs_of(as_of),
        "tables": _digests(paths.published_database()),
        "files": _file_hashes(fresh),
    }
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in fresh.rglob("*"):
        if path.is_file():
            path.chmod(0o400)
    fresh.rename(folder)
    return folder


def release_names() -> list[str]:
    """Every frozen release, in order of their names."""
    return sorted(p.parent.name for p in paths.releases().glob(f"*/{MANIFEST}"))


def verify_published() -> Verification:
    """Recompute the published study from the inputs and compare every table.

    Raises:
        ReleaseRefused: nothing is published.
        RebuildFailed: the study cannot be recomputed; the message is what the run printed.
    """
    if not paths.published_database().exists():
        raise ReleaseRefused(f"nothing is published at {paths.published_database()}: run the study first.")
    before = _digests(paths.published_database())
    return Verification(
        "the published study", _compare("recomputed table", before, _digests(rebuild(last_day(), fresh=True)))
    )


def verify(name: str) -> Verification:
    """Recompute a release from the inputs and compare.

    Raises:
        ReleaseRefused: there is no such release.
        RebuildFailed: the study cannot be recomputed; the message is what the run printed.
    """
    folder = release_folder(name)
    if not (folder / MANIFEST).is_file():
        raise ReleaseRefused(f"there is no release {name!r}; releases: {', '.join(release_names()) or 'none yet'}.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        frozen_tables = _digests(folder / paths.published_database().name)
    except (json.JSONDecodeError, duckdb.Error) as error:
        return Verification(
            name, [f"the release itself is damaged: {type(error).__name__} on reading its manifest or warehouse"]
        )
    as_of = date.fromisoformat(manifest["as_of"])
    differs = _compare("frozen file", manifest["files"], _file_hashes(folder))
    differs += _compare("table of the frozen warehouse", manifest["tables"], frozen_tables)
    now = inputs_of(as_of)
    for centre in sorted({*manifest["inputs"], *now}):
        differs += _compare(f"input of {centre}", manifest["inputs"].get(centre, {}), now.get(centre, {}))
    if code_digest() != manifest["code"]:
        differs.append("the code is not that of the release")
    differs += _compare("parameter", manifest["parameters"], {p.name: str(p.value) for p in parameters().values()})
    compared_with = manifest.get("compared_with", NO_RELEASE)
    again = rebuild(as_of, fresh=True, compared_with=compared_with, accepted=folder / ACCEPTED, shown=folder / SHOWN)
    differs += _compare("recomputed table", manifest["tables"], _digests(again))
    not_made_again = (paths.published_database().name, ACCEPTED)
    files = {
        file: sha
        for file, sha in manifest["files"].items()
        if file not in not_made_again and not file.startswith(f"{SHOWN}/")
    }
    differs += _compare("recomputed file", files, _file_hashes_of_rebuild(again.parent))
    return Verification(name, differs)


def _file_hashes_of_rebuild(folder: Path) -> dict[str, str]:
    hashes = {}
    for published in _published():
        inside = folder / published.name
        if inside.is_dir():
            hashes |= {f"{published.name}/{name}": sha for name, sha in _file_hashes(inside).items()}
        elif inside.suffix != ".duckdb":
            hashes[published.name] = hashlib.sha256(inside.read_bytes()).hexdigest()
    return hashes


def _compare(what: str, before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Lines on what is missing, new or different."""
    lines = [f"{what} missing: {name}" for name in sorted(before.keys() - now.keys())]
    lines += [f"{what} not in the release: {name}" for name in sorted(now.keys() - before.keys())]
    return lines + [
        f"{what} differs: {name}" for name in sorted(before.keys() & now.keys()) if before[name] != now[name]
    ]
