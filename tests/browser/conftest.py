"""The workbench as its users have it: ``capla ui`` with automation on, a data folder and a published study.

Headless Chromium looks at both.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).resolve().parents[2]
#: Where Debian, and most others, put them; overridden where they are elsewhere.
CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
CHROMEDRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1600,1000"
)


@dataclass(frozen=True)
class Workbench:
    """A running ``capla ui``."""

    data_raw: Path
    warehouse: Path
    dagster: str
    pages: str


def wait_for(found: Callable, seconds: float, what: str):
    """The first true answer of ``found``; fails with ``what`` when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.5)
    pytest.fail(f"not within {seconds:.0f} s: {what() if callable(what) else what}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def workbench(run_study, tmp_path_factory):
    """``capla study`` in folders of its own, then ``capla ui --automation`` on them."""
    folder = tmp_path_factory.mktemp("workbench")
    data_raw, warehouse, home = folder / "data_raw", folder / "warehouse", folder / "dagster_home"
    shutil.copytree(ROOT / "data_raw", data_raw)
    home.mkdir()
    shutil.copy(ROOT / ".dagster_home" / "dagster.yaml", home)
    assert (run := run_study(data_raw, warehouse, home)).status == 0, run.output
    port, pages_port = _free_ports(2)
    relative = os.path.relpath(data_raw, ROOT)  # as somebody may write it who is in the project's folder
    environment = os.environ | {
        "CAPLA_DATA_RAW": relative,
        "CAPLA_WAREHOUSE": str(warehouse),
        "DAGSTER_HOME": str(home),
        "CAPLA_LOOK_EVERY_SECONDS": "5",
    }
    command = [
        sys.executable,
        "-m",
        "capla_etl.cli",
        "ui",
        "--automation",
        "--port",
        str(port),
        "--pages-port",
        str(pages_port),
    ]
    log = folder / "ui.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            started = Workbench(data_raw, warehouse, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{pages_port}")
            wait_for(
                lambda: _answers(f"{started.dagster}/server_info"), 90, lambda: f"Dagster answers\n{log.read_text()}"
            )
            yield started
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium that keeps what its console says."""
    assert CHROMIUM and CHROMEDRIVER, (
        "Chromium and its driver were not found. Install them (Debian, Ubuntu: apt install chromium chromium-driver), "
        "or set CHROMIUM and CHROMEDRIVER to their paths."
    )
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*QUIET.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    yield driver
    driver.quit()
