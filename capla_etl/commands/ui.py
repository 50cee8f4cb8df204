"""``capla ui``: Dagster in the browser, with the published report, tables and documentation that it links to.

All of it is served on this machine only (127.0.0.1) and stops together. ``--automation`` starts with the sensor, the
nightly and the weekly schedule on; otherwise switch them on in Dagster, under Automation. ``--read-only`` is for
viewers: nothing can be started or changed in the browser. For other machines see docs/SERVERS.md.
"""

import argparse
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from capla_etl import paths

HOST = "127.0.0.1"
#: Settings that may be relative to the caller's folder, in which Dagster is not started.
_PLACES = ("CAPLA_DATA_RAW", "CAPLA_WAREHOUSE", "CAPLA_RELEASES", "CAPLA_PATIENT_KEY_FILE")
#: How long a server may take to end after it was asked to, before it is killed.
_SECONDS_TO_END = 60


class _Servers:
    """Dagster's servers as child processes: started one by one, ended together.

    ``dagster dev`` (superseded) and ``dg dev`` start the same three. ``dg`` would bring eighteen more packages, among
    them a client of Dagster's cloud service, and add nothing here.
    """

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings, self._started = settings, {}
        self._stop = threading.Event()
        # What a script starts in the background ignores SIGINT, and so would Dagster, unless a handler is set first.
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: self._stop.set())

    def start(self, name: str, *options: str | Path, module: str | None = None) -> None:
        """Start a command of Dagster, in a process group of its own so that Ctrl+C reaches it once, through ``end``.

        It starts in DAGSTER_HOME: in the project's folder it would read .env, which overrules these settings.
        ``module``: the module of this package that runs in place of the command.
        """
        own = [sys.executable, "-m", module] if module else [Path(sysconfig.get_path("scripts")) / name]
        command = [*own, *map(str, options)]
        environment, home = os.environ | self._settings, self._settings["DAGSTER_HOME"]
        self._started[name] = subprocess.Popen(command, env=environment, cwd=home, process_group=0)

    def wait(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait until something holds. False: a server ended, which is printed, or a person stopped them."""
        while not self._stop.is_set():
            for name, process in self._started.items():
                if process.poll() is not None:
                    print(f"{name} ended with status {process.returncode}: see its last lines above.", file=sys.stderr)
                    return False
            if until():
                return True
            self._stop.wait(0.2)
        return False

    def end(self) -> int:
        """End all servers, first those that use the first; return the exit status of the command."""
        deadline = time.monotonic() + _SECONDS_TO_END
        started = list(self._started.values())
        for group in (started[1:], started[:1]):
            for process in group:
                process.send_signal(signal.SIGINT)
            for process in group:
                try:
                    process.wait(max(0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
        return 0 if self._stop.is_set() else 1


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla ui``."""
    parser.add_argument("--port", type=int, default=3000, help="port of Dagster (default 3000)")
    parser.add_argument("--pages-port", type=int, help="port of the published pages (default: the next one)")
    parser.add_argument("--automation", action="store_true", help="sensor and schedules on from the start")
    parser.add_argument("--read-only", action="store_true", help="for viewers: nothing can be started or changed")


def run(options: argparse.Namespace) -> int:
    """Dagster in the browser, with links to the published pages."""
    from capla_etl.commands.serving import PagesServer, allowed_names
    from capla_etl.dbt_runner import QUIET
    from capla_etl.running.closing import close_to_others
    from capla_etl.running.instance import dagster_home, end_dead_runs, instance_at_home

    pages_port = options.pages_port or options.port + 1
    dagster, pages = f"http://{HOST}:{options.port}", f"http://{HOST}:{pages_port}"
    try:
        allowed_names()
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    try:
        pages_server = PagesServer(pages_port)
    except OSError as error:
        print(
            f"Port {pages_port} cannot serve the published pages ({error.strerror}): choose another with --pages-port.",
            file=sys.stderr,
        )
        return 1
    settings = QUIET | {"DAGSTER_HOME": str(dagster_home())}
    settings |= {"CAPLA_PAGES": os.environ.get("CAPLA_PAGES") or pages}  # set where a reverse proxy serves them
    settings |= {"PYTHONPATH": os.pathsep.join(filter(None, (str(paths.ROOT), os.environ.get("PYTHONPATH"))))}
    settings |= {"CAPLA_AUTOMATION": "on"} if options.automation else {}
    settings |= {name: str(Path(os.environ[name]).resolve()) for name in _PLACES if os.environ.get(name)}
    close_to_others()
    with instance_at_home() as instance:
        end_dead_runs(instance)  # after a crash of the machine: they would block every other run
    print("Dagster is starting, which takes about ten seconds.", flush=True)
    with tempfile.TemporaryDirectory(prefix="capla-") as folder:
        # One server has the definitions, for the UI and the daemon alike: when it reloads them, both see a new centre.
        socket, workspace = Path(folder, "code"), Path(folder, "workspace.yaml")
        servers = _Servers(settings | {"CAPLA_CODE_SERVER": str(socket)})
        workspace.write_text(f"load_from: [{{grpc_server: {{socket: {socket}, location_name: capla_etl}}}}]\n")
        try:
            code = ("-m", "capla_etl.definitions", "-d", paths.ROOT, "--location-name", "capla_etl")
            servers.start("dagster", "code-server", "start", "-s", socket, "--log-level", "warning", *code)
            if servers.wait(socket.exists):
                web = ("-h", HOST, "-p", options.port, "-w", workspace, *(["--read-only"] if options.read_only else []))
                servers.start("dagster-webserver", *web, module="capla_etl.commands.webserver")
                servers.start("dagster-daemon", "run", "-w", workspace)
            if servers.wait(lambda: _answers(dagster)):
                print(f"Dagster {dagster}   report {pages}/report.html   (Ctrl+C stops both)", flush=True)
                servers.wait()
        finally:
            status = servers.end()
            pages_server.shutdown()
    return status
