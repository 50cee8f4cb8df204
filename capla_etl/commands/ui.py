"""``capla ui``: Dagster in the browser, and beside it the published report, tables and documentation, so that links from Dagster open.

Both are served on this machine only (127.0.0.1) and stop together. With ``--automation`` the sensor, the nightly and the weekly schedule are on from
the start; without it they are switched on in Dagster, under Automation.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from capla_etl import paths

HOST = "127.0.0.1"
#: Settings that may be relative to the folder that the command is called in, which Dagster is not started in.
_PLACES = ("CAPLA_DATA_RAW", "CAPLA_WAREHOUSE", "CAPLA_RELEASES", "CAPLA_PATIENT_KEY_FILE")


class _PublishedPages(SimpleHTTPRequestHandler):
    """Published pages and nothing else of the warehouse folder; found anew at every request, since they are replaced whole."""

    def do_GET(self) -> None:
        """A page; no icon, which browsers ask for at every address."""
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """The file of an address; below the published pages only."""
        found = super().translate_path(path)
        first = os.path.relpath(found, self.directory).split(os.sep)[0]
        return found if first in paths.pages() else os.path.join(self.directory, "not published")

    def log_message(self, format: str, *args) -> None:
        """Nothing is logged: addresses may name a centre."""


def serve_pages(port: int) -> ThreadingHTTPServer:
    """Serve the published pages in the background, on this machine only.

    Raises:
        OSError: the port is taken.
    """
    server = ThreadingHTTPServer((HOST, port), lambda *args: _PublishedPages(*args, directory=str(paths.warehouse())))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla ui``."""
    parser.add_argument("--port", type=int, default=3000, help="port of Dagster (default 3000)")
    parser.add_argument("--pages-port", type=int, help="port of the published pages (default: the next one)")
    parser.add_argument("--automation", action="store_true", help="sensor and schedules on from the start")


def run(options: argparse.Namespace) -> int:
    """Dagster in the browser, with the published pages beside it."""
    from capla_etl.dbt_runner import QUIET
    from capla_etl.running.instance import dagster_home, end_dead_runs, instance_at_home

    pages_port = options.pages_port or options.port + 1
    dagster, pages = f"http://{HOST}:{options.port}", f"http://{HOST}:{pages_port}"
    try:
        server = serve_pages(pages_port)
    except OSError as error:
        print(
            f"Port {pages_port} cannot be used for the published pages ({error.strerror}): choose another with --pages-port.",
            file=sys.stderr,
        )
        return 1
    settings = (
        QUIET
        | {"DAGSTER_HOME": str(dagster_home()), "CAPLA_DAGSTER": dagster, "CAPLA_PAGES": pages}
        | ({"CAPLA_AUTOMATION": "on"} if options.automation else {})
    )
    settings |= {name: str(Path(os.environ[name]).resolve()) for name in _PLACES if os.environ.get(name)}
    with instance_at_home() as instance:
        end_dead_runs(instance)  # of a machine that went down: they would keep every other run waiting
    print(f"Dagster {dagster}   report {pages}/report.html   (Ctrl+C stops both)", flush=True)
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "--host",
        HOST,
        "--port",
        str(options.port),
        "--workspace",
        str(paths.ROOT / "workspace.yaml"),
    ]
    # Started in its own folder: in the project's, Dagster would read .env, which is for those who call it by hand and would overrule what was set here.
    # A process group of its own: however this process is stopped (Ctrl+C, SIGINT or SIGTERM), Dagster is asked once, and stops its daemon and servers.
    # The handlers come first: what is started in the background of a script ignores SIGINT, and so would Dagster, which takes over what is set here.
    started: list[subprocess.Popen] = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: [process.send_signal(signal.SIGINT) for process in started])
    process = subprocess.Popen(command, env=os.environ | settings, cwd=settings["DAGSTER_HOME"], process_group=0)
    started.append(process)
    try:
        return process.wait()
    finally:
        server.shutdown()
