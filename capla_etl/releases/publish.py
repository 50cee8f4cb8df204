"""Publishing: replace what users see, whole, by what a run has built. Nothing is computed here.

A run writes only below ``warehouse/build``; if it fails or is killed, what was published stays as it was.
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

    First copy everything next to its target and force it to disk, then rename each copy over the old one. Clients that
    have the old warehouse open keep reading it.

    Returns:
        What is published, the warehouse first.

    Raises:
        FileNotFoundError: something to publish has not been built; nothing was touched.
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
    """Published place -> where it was built, the warehouse first; of the protected profile only what may leave."""
    if profile() == PROTECTED:
        protected = paths.outputs() / PROTECTED
        return {protected: staged(paths.outputs()) / protected.name}
    staged_paths = {
        p: staged(p)
        for p in (paths.outputs(), paths.data_docs(), paths.differences(), paths.dbt_docs(), paths.report())
    }
    return {paths.published_database(): paths.build_database(), **staged_paths}


def _copy_beside(source: Path, target: Path) -> Path:
    """Copy a file or folder next to its target and force it to disk."""
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
    """Copy the tables alone: a file's freed blocks may still hold what earlier runs wrote."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {quote(str(source))} as built (read_only)")
        connection.execute(f"attach {quote(str(copy))} as published")
        connection.execute("copy from database built to published")
        connection.execute("checkpoint published")


def _replace(target: Path, copy: Path) -> None:
    """Replace a file in one step, a folder by two renames, because a folder that is not empty cannot be replaced."""
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
