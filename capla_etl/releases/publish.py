"""Publishing: what a run has built replaces, whole, what users see. Nothing is computed here.

A run writes only below ``warehouse/build``; a run that fails or is killed leaves the last published warehouse, tables and report as they were.
"""

import os
import shutil
from pathlib import Path

import duckdb

from capla_etl import paths
from capla_etl.releases.variant import PROTECTED, profile
from capla_etl.sql import quote


def staged(published: Path) -> Path:
    """Where a run builds what will be published as this file or folder."""
    return paths.warehouse() / "build" / "to_publish" / published.name


def publish() -> list[Path]:
    """Put the built warehouse, outputs, Data Docs and report in place.

    Everything is first copied beside its target and forced to disk; only then is each renamed over the old one. Whoever has the old
    warehouse open keeps reading it.

    Returns:
        What is published, the warehouse first.

    Raises:
        FileNotFoundError: something to publish has not been built; nothing is touched then.
    """
    sources = _sources()
    missing = [str(s) for s in sources.values() if not s.exists()]
    if missing:
        raise FileNotFoundError(f"not built yet, so nothing is published: {', '.join(missing)}")
    fresh = {target: _copy_beside(source, target) for target, source in sources.items()}
    for target, copy in fresh.items():
        _replace(target, copy)
    return list(sources)


def _sources() -> dict[Path, Path]:
    """What is published -> where it was built, the warehouse first; of the protected profile only what may leave the group."""
    if profile() == PROTECTED:
        protected = paths.outputs() / PROTECTED
        return {protected: staged(paths.outputs()) / protected.name}
    staged_paths = {
        p: staged(p)
        for p in (paths.outputs(), paths.data_docs(), paths.differences(), paths.dbt_docs(), paths.report())
    }
    return {paths.published_database(): paths.build_database(), **staged_paths}


def _copy_beside(source: Path, target: Path) -> Path:
    """A copy of a file or folder on the target's disk, forced to it."""
    copy = target.with_name(f".{target.name}.new")
    _remove(copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".duckdb":
        _copy_database(source, copy)
    elif source.is_dir():
        shutil.copytree(source, copy)
    else:
        shutil.copyfile(source, copy)
    for path in [copy, *copy.rglob("*")]:
        _force_to_disk(path)
    return copy


def _copy_database(source: Path, copy: Path) -> None:
    """A copy that holds what the tables hold now and nothing else: a file's freed blocks may still carry what earlier runs wrote."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {quote(str(source))} as built (read_only)")
        connection.execute(f"attach {quote(str(copy))} as published")
        connection.execute("copy from database built to published")
        connection.execute("checkpoint published")


def _replace(target: Path, copy: Path) -> None:
    """A file is replaced in one step; a folder by two renames, since a folder that is not empty cannot be replaced."""
    old = target.with_name(f".{target.name}.old")
    _remove(old)
    if target.is_dir():
        target.rename(old)
    os.replace(copy, target)
    _force_to_disk(target.parent)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
