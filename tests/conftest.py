"""One whole run of the study for all tests that look at its results, started the way users start it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class StudyRun:
    """A run of ``capla study`` in its own process: exit status, what it printed, and its folders."""

    status: int
    output: str
    data_raw: Path
    warehouse: Path
    dagster_home: Path


def _run_study(data_raw: Path, warehouse: Path, dagster_home: Path) -> StudyRun:
    """``capla study`` with these folders."""
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
        timeout=400,
    )
    return StudyRun(ran.returncode, ran.stdout, data_raw, warehouse, dagster_home)


@pytest.fixture(scope="session")
def run_study():
    """Starts ``capla study`` with other folders: (data_raw, warehouse, dagster_home) -> StudyRun."""
    return _run_study


@pytest.fixture(scope="session")
def study_run(tmp_path_factory) -> StudyRun:
    """The whole study on ``data_raw/``, published in a temporary folder. Read only."""
    folder = tmp_path_factory.mktemp("study")
    run = _run_study(ROOT / "data_raw", folder / "warehouse", folder / "dagster_home")
    assert run.status == 0, run.output
    return run


@pytest.fixture(scope="session")
def built_warehouse(study_run) -> Path:
    """The published DuckDB file of that run. Open it with ``read_only=True``."""
    return study_run.warehouse / "capla.duckdb"
