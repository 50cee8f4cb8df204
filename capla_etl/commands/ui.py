"""``capla ui``: Dagster in the browser, with the published report, tables and documentation that it links to.

All of it is served on this machine only (127.0.0.1) and stops together. ``--automation`` starts with the sensor, the
nightly and the weekly schedule on; otherwise switch them on in Dagster, under Automation. ``--read-only`` is for
viewers: nothing can be started or changed in the browser. For other machines see docs/SERVERS.md.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET
from socket import socket as new_socket

from capla_etl import paths, processes
from capla_etl.defs.build_lock import lock_of_run, lock_of_ui
from capla_etl.running.instance import dagster_home, end_dead_runs, instance_at_home, unfinished_runs

HOST = "127.0.0.1"
#: Settings that may be relative to the caller's folder, in which Dagster is not started.
_PLACES = ("CAPLA_DATA_RAW", "CAPLA_WAREHOUSE", "CAPLA_RELEASES", "CAPLA_PATIENT_KEY_FILE")
#: How long servers may take to end after they were asked to, before they are killed.
_SECONDS_TO_END = 10
#: How often runs are looked after.
_LOOK_EVERY_SECONDS = 5


class _Servers:
    """Dagster's servers as child processes: started one by one, ended together.

    ``dagster dev`` (superseded) and ``dg dev`` start the same three. ``dg`` would bring eighteen more packages, among
    them a client of Dagster's cloud service, and add nothing here.
    """

    def __init__(self, settings: dict[str, str], group: int) -> None:
        self._settings, self._started, self._group = settings, {}, group
        self._stop = threading.Event()
        # What a script starts in the background ignores SIGINT, and so would Dagster, unless a handler is set first.
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, lambda *_: self._stop.set())

    def start(self, name: str, *options: str | Path, module: str | None = None) -> None:
        """Start a command of Dagster, in the group that ends with this process; Ctrl+C reaches it through ``end``.

        It starts in DAGSTER_HOME: in the project's folder it would read .env, which overrules these settings.
        ``module``: the module of this package that runs in place of the command.
        """
        own = [sys.executable, "-m", module] if module else [Path(sysconfig.get_path("scripts")) / name]
        command = [*own, *map(str, options)]
        environment, home = os.environ | self._settings, self._settings["DAGSTER_HOME"]
        self._started[name] = subprocess.Popen(command, env=environment, cwd=home, process_group=self._group)

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

    @property
    def stopped(self) -> bool:
        """Whether a person stopped them."""
        return self._stop.is_set()

    def end(self) -> None:
        """Ask the servers to end that use the first; whatever is there after that ends with the group."""
        deadline = time.monotonic() + _SECONDS_TO_END
        users = list(self._started.values())[1:]
        for process in users:
            process.send_signal(signal.SIGINT)
        for process in users:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))


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


def _why_not(ports: dict[str, int], home: Path) -> str:
    """Take the place of ``capla ui`` in DAGSTER_HOME, before anything is started; say why it cannot start, if so."""
    place = lock_of_ui(home)
    if not processes.take(place, f"`capla ui` on port {ports['--port']}"):
        advice = "Use that one, or stop it first. Nothing was started."
        return f"{processes.holder(place)} already works on {home}. {advice}"
    for option, port in ports.items():
        try:
            with new_socket() as probe:
                probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the servers do
                probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            return f"Port {port} cannot be used ({why}). Choose another with {option}. Nothing was started."
    return ""


def _looks_after(instance) -> Callable[[], bool]:
    """What is done while the servers work: runs that died are ended, and their places given back."""
    from sqlalchemy.exc import OperationalError

    last = time.monotonic()

    def look() -> bool:
        nonlocal last
        if time.monotonic() - last >= _LOOK_EVERY_SECONDS:
            last = time.monotonic()
            with contextlib.suppress(OperationalError):  # another process has the history for long: look again later
                end_dead_runs(instance, ui_works=True)
        return False

    return look


def _end_runs(instance) -> None:
    """End the runs whose processes ended with the servers, and say so."""
    deadline = time.monotonic() + _SECONDS_TO_END
    own = [run.run_id for run in unfinished_runs(instance) if run.remote_job_origin]
    while any(processes.is_held(lock_of_run(instance, run)) for run in own) and time.monotonic() < deadline:
        time.sleep(0.1)
    for run in set(end_dead_runs(instance, ui_works=False)) & set(own):
        again = instance.get_run_by_id(run).tags.get("dagster/will_retry") == "true"
        what_next = "It starts again with the next `capla ui`." if again else "Start it again by hand if it is needed."
        print(f"Run {run[:8]} was stopped. {what_next}", file=sys.stderr)


def run(options: argparse.Namespace) -> int:
    """Dagster in the browser, with links to the published pages."""
    with processes.leading() as led:
        return _run(options, led)


def _run(options: argparse.Namespace, led: processes.Led) -> int:
    """Start the servers, wait for a person to stop them, and end them with their runs.

    Raises:
        KeyboardInterrupt: a person stopped them.
    """
    from capla_etl.commands.serving import PagesServer, allowed_names
    from capla_etl.dbt_runner import QUIET
    from capla_etl.running.closing import close_to_others

    pages_port = options.pages_port or options.port + 1
    dagster, pages = f"http://{HOST}:{options.port}", f"http://{HOST}:{pages_port}"
    if why_not := _why_not({"--port": options.port, "--pages-port": pages_port}, dagster_home()):
        print(why_not, file=sys.stderr)
        return 1
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
    settings |= led.environment
    close_to_others()
    print("Dagster is starting, which takes about ten seconds.", flush=True)
    with instance_at_home() as instance:
        end_dead_runs(instance, ui_works=False)  # after a crash: they would block every other run
        # One server has the definitions, for the UI and the daemon alike: when it reloads them, both see a new centre.
        socket, workspace = led.folder / "code", led.folder / "workspace.yaml"
        servers = _Servers(settings | {"CAPLA_CODE_SERVER": str(socket)}, led.group)
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
                servers.wait(_looks_after(instance))
        finally:
            servers.end()
            pages_server.shutdown()
            led.end()
            _end_runs(instance)
    if servers.stopped:
        raise KeyboardInterrupt
    return 1
