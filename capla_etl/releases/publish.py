"""Publishing: make what a run has built the version that users see. Nothing is computed here.

A run writes only below ``warehouse/build``; if it fails or is killed, what was published stays as it was. A version is
complete and on disk before users see any of it, and one step shows all of it (``versions``).
"""

from datetime import date
from pathlib import Path

import duckdb

from capla_etl import paths
from capla_etl.releases import versions
from capla_etl.releases.variant import PROTECTED, profile
from capla_etl.sql import quote


def staged(published: Path) -> Path:
    """Where a run builds what will be published as this file or folder."""
    return paths.warehouse() / "build" / "to_publish" / published.name


def publish(state: str, data_cut_off: date) -> versions.Version:
    """Make a version of the built warehouse, outputs, Data Docs and report, and let users see it.

    Files that are as in the version before are linked to it. Clients that have a file of an earlier version open keep
    reading it. Old versions are removed first, so that they leave room.

    Args:
        state: name of the state of the study that was built (``study.version``).
        data_cut_off: date of the newest submission in it.

    Raises:
        FileNotFoundError: something to publish has not been built; nothing was touched.
        ValueError: ``CAPLA_VERSIONS_KEPT`` is not valid; nothing was touched.
    """
    sources = _sources()
    if missing := [str(source) for source in sources.values() if not source.exists()]:
        raise FileNotFoundError(f"not built yet, so nothing is published: {', '.join(missing)}")
    keep = versions.kept()
    inside = {target.relative_to(paths.warehouse()): source for target, source in sources.items()}
    versions.mend(sorted({paths.warehouse() / place.parts[0] for place in inside}))
    versions.prune(keep - 1)
    before = paths.current().resolve()
    with versions.new(state, data_cut_off) as folder:
        for place, source in inside.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".duckdb":
                _copy_database(source, folder / place)
            else:
                versions.copied(source, folder / place, before / place)
    made = versions.newest()
    versions.switch(made)
    return made


def _sources() -> dict[Path, Path]:
    """Published place -> where it was built, the warehouse first; of the protected profile only what may leave."""
    if profile() == PROTECTED:
        protected = paths.outputs() / PROTECTED
        return {protected: staged(paths.outputs()) / protected.name}
    built = {place: staged(place) for place in paths.published()}
    return built | {paths.published_database(): paths.build_database()}


def _copy_database(source: Path, copy: Path) -> None:
    """Copy the tables alone: a file's freed blocks may still hold what earlier runs wrote."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {quote(str(source))} as built (read_only)")
        connection.execute(f"attach {quote(str(copy))} as published")
        connection.execute("copy from database built to published")
        connection.execute("checkpoint published")
