"""One whole run of the study for all tests that look at its results, and the order in which modules start."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Modules that take longest, longest first: each worker begins with a whole run, and short modules fill the end.
#: Only the time depends on this order.
LONGEST = (
    "golden/test_resubmission.py",
    "dagster/test_whole_run.py",
    "golden/test_random_faults.py",
    "golden/test_query_round_trip.py",
    "golden/test_worked_examples.py",
    "golden/test_explain.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest modules first; all other modules keep their order."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@dataclass(frozen=True)
class StudyRun:
    """A run of ``capla study`` in its own process: its exit status, what it printed, and its folders."""

    status: int
    output: str
    data_raw: Path
    warehouse: Path
    dagster_home: Path


def _run_study(data_raw: Path, warehouse: Path, dagster_home: Path) -> StudyRun:
    """Run ``capla study`` with these folders."""
    dagster_home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "CAPLA_DATA_RAW": str(data_raw),
        "CAPLA_WAREHOUSE": str(warehouse),
        "DAGSTER_HOME": str(dagster_home),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "capla_etl.cli", "study"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        umask=0,  # whatever the user's is, what the study writes is closed to others
    )
    return StudyRun(ran.returncode, ran.stdout, data_raw, warehouse, dagster_home)


@pytest.fixture(scope="session")
def run_study():
    """Start ``capla study`` with other folders: (data_raw, warehouse, dagster_home) -> StudyRun."""
    return _run_study


@pytest.fixture(scope="session")
def study_run(tmp_path_factory) -> StudyRun:
    """The whole study on ``data_raw/``, published in a temporary folder. Read only.

    The workers of pytest-xdist share one run: the first that needs it makes it, the others wait for it.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "study"
    folder.mkdir(exist_ok=True)
    receipt = folder / "run.json"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not receipt.exists():
            made = _run_study(ROOT / "data_raw", folder / "warehouse", folder / "dagster_home")
            receipt.write_text(json.dumps(asdict(made), default=str), encoding="utf-8")
    kept = json.loads(receipt.read_text(encoding="utf-8"))
    run = StudyRun(kept["status"], kept["output"], *(Path(kept[f]) for f in ("data_raw", "warehouse", "dagster_home")))
    assert run.status == 0, run.output
    return run


@pytest.fixture(scope="session")
def built_warehouse(study_run) -> Path:
    """The published DuckDB file of that run. Open it with ``read_only=True``."""
    return study_run.warehouse / "capla.duckdb"
