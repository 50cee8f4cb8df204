"""Where files live: the only module that knows. Environment variables point elsewhere for real use.

``CAPLA_DATA_RAW``   folder with one sub-folder per centre (default: ``data_raw/`` of the repository)
``CAPLA_WAREHOUSE``  folder for everything the pipeline writes (default: ``warehouse/`` of the repository)
``CAPLA_PAGES``      address of the pages that ``capla ui`` serves, for links in Dagster (http://127.0.0.1:3001)
``CAPLA_AS_OF``      date (YYYY-MM-DD): only submissions up to it count, to rebuild an earlier state (default: all)

Read at every call, so that a test can point elsewhere. No study logic here.
"""

import os
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT = ROOT / "dbt_project"
EXPECTATIONS = ROOT / "expectations"


def _from_environment(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or ROOT / default).resolve()


def data_raw() -> Path:
    """Folder with one sub-folder per centre."""
    return _from_environment("CAPLA_DATA_RAW", "data_raw")


def warehouse() -> Path:
    """Folder for everything that the pipeline writes."""
    return _from_environment("CAPLA_WAREHOUSE", "warehouse")


def as_of() -> date | None:
    """The date up to which submissions count; none: all of them.

    Raises:
        ValueError: ``CAPLA_AS_OF`` is not a date.
    """
    text = os.environ.get("CAPLA_AS_OF")
    return date.fromisoformat(text) if text else None


def build_database() -> Path:
    """The DuckDB file that runs write. Its stem equals the published one's: dbt views have it baked in."""
    return warehouse() / "build" / "capla.duckdb"


def published_database() -> Path:
    """The DuckDB file that users open; only ever replaced whole."""
    return warehouse() / "capla.duckdb"


def centre_loads() -> Path:
    """One folder per centre: the Parquet files of its last good load."""
    return warehouse() / "build" / "centres"


def received_loads() -> Path:
    """One folder per centre: the Parquet files of a load that was received and is not in the study yet."""
    return warehouse() / "build" / "received"


def accepted() -> Path:
    """One line per submission that was accepted; a rebuild reads that of the study (``CAPLA_ACCEPTED``)."""
    return Path(os.environ.get("CAPLA_ACCEPTED") or warehouse() / "build" / "accepted.txt")


def outputs() -> Path:
    """Tables and figures of the study as CSV, Parquet, SVG and PNG."""
    return warehouse() / "outputs"


def centre_pages() -> Path:
    """One page per centre about its data, to send to it: ``<CENTRE>.html`` and ``<CENTRE>.pdf``."""
    return outputs() / "centres"


def report() -> Path:
    """The self-contained HTML report."""
    return warehouse() / "report.html"


def differences() -> Path:
    """What moved with the latest submission: a page and its tables."""
    return warehouse() / "differences"


def rebuilds() -> Path:
    """One folder per day as of which the study was rebuilt; like the build database never published."""
    return warehouse() / "build" / "as_of"


def releases() -> Path:
    """One folder per frozen release."""
    return Path(os.environ.get("CAPLA_RELEASES") or warehouse() / "releases")


def shown() -> Path:
    """One folder per protected version that was published; one record for the study and its variants.

    ``CAPLA_SHOWN`` points a variant to that of the study.
    """
    return Path(os.environ.get("CAPLA_SHOWN") or warehouse() / "shown")


def dbt_docs() -> Path:
    """dbt's documentation of every model, column and test: one self-contained page."""
    return warehouse() / "dbt_docs"


def pages() -> dict[str, Path]:
    """Published pages that ``capla ui`` serves, by the first part of their address; nothing else of the folder."""
    return {p.name: p for p in (report(), outputs(), data_docs(), differences(), dbt_docs())}


def pages_address() -> str:
    """Where ``capla ui`` serves them, on this machine only."""
    return os.environ.get("CAPLA_PAGES", "http://127.0.0.1:3001")


def data_docs() -> Path:
    """Great Expectations Data Docs (HTML)."""
    return warehouse() / "data_docs"
