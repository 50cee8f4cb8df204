"""Publishing: make what a run has built the version that users see. Nothing is computed here.

A run writes only below ``warehouse/build``; if it fails or is killed, what was published stays as it was. A version is
complete and on disk before users see any of it, and one step shows all of it (``versions``).
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from capla_etl import paths
from capla_etl.centres.errors import listed
from capla_etl.releases import versions
from capla_etl.releases.variant import JOURNAL, PROTECTED, profile
from capla_etl.sql import quote


def staged(published: Path) -> Path:
    """Where a run builds what will be published as this file or folder."""
    return paths.warehouse() / "build" / "to_publish" / published.name


def publish(state: str, data_cut_off: date, *, protected_stays: bool = False) -> versions.Version:
    """Make a version of the built warehouse, outputs, Data Docs and report, and let users see it.

    Files that are as in the version before are linked to it. Clients that have a file of an earlier version open keep
    reading it. Old versions are removed first, so that they leave room.

    Args:
        state: name of the state of the study that was built (``study.version``).
        data_cut_off: date of the newest submission in it.
        protected_stays: the protected page is one that was shown before (``shown``), and states its own version.

    Raises:
        FileNotFoundError: something to publish has not been built; nothing was touched.
        ValueError: a page is of another state, or ``CAPLA_VERSIONS_KEPT`` is not valid; nothing was touched.
    """
    sources = _sources()
    parts = [*sources.values(), *(staged(paths.outputs()) / part for part in _PARTS[profile()])]
    if missing := [part for part in parts if not part.exists()]:
        raise FileNotFoundError(f"not built yet, so nothing is published: {listed(missing)}")
    if others := [page for page in _pages(sources, protected_stays) if state not in page.read_text(encoding="utf-8")]:
        raise ValueError(
            f"found pages that do not state version {state} of the warehouse: {listed(others)}. Nothing is published. "
            "Materialize what they are made by too, or run the whole study."
        )
    keep = versions.kept()
    versions.remove_leftovers()
    versions.name_by_links(paths.warehouse() / place.parts[0] for place in sources)
    versions.prune(keep - 1)
    made = versions.make(state, data_cut_off, lambda folder: _fill(folder, sources, paths.current().resolve()))
    versions.show(made)
    return made


#: Folders of the outputs that steps of their own write.
_PARTS = {JOURNAL: (paths.centre_pages().name, "queries", PROTECTED), PROTECTED: ()}


def _sources() -> dict[Path, Path]:
    """Place in a version -> where it was built; of the protected profile only what may leave."""
    if profile() == PROTECTED:
        return {Path(paths.outputs().name, PROTECTED): staged(paths.outputs()) / PROTECTED}
    built = {Path(place.name): staged(place) for place in paths.published()}
    return built | {Path(paths.published_database().name): paths.build_database()}


def _pages(sources: dict[Path, Path], protected_stays: bool) -> Iterator[Path]:
    """The pages that state of which version they are: all but those of dbt and of single suites of expectations."""
    for place, source in sources.items():
        if place.name == paths.data_docs().name:
            yield source / "index.html"
        elif place.suffix == ".html":
            yield source
        elif place.name != paths.dbt_docs().name:
            stay = {PROTECTED} if protected_stays else set()
            yield from (page for page in source.rglob("*.html") if page.parent.name not in stay)


def _fill(folder: Path, sources: dict[Path, Path], before: Path) -> None:
    """Copy what was built into the folder of a version; what equals the version before is linked to it."""
    for place, source in sources.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".duckdb":
            _copy_database(source, folder / place)
        else:
            versions.copy(source, folder / place, before / place)


def _copy_database(source: Path, copy: Path) -> None:
    """Copy the tables alone: a file's freed blocks may still hold what earlier runs wrote."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {quote(str(source))} as built (read_only)")
        connection.execute(f"attach {quote(str(copy))} as published")
        connection.execute("copy from database built to published")
        connection.execute("checkpoint published")
