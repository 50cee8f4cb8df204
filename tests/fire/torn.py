"""Kills while the study is published, rolled back, or a centre's load is received and accepted; and readers meanwhile.

A process is killed before a chosen step on its way (every change of a name in the warehouse is one), or after a random
time, which also falls into the native code of DuckDB and Arrow. Then, before anything is mended, all that users see
must be of one state; and what comes next must go on as if nothing had happened. Everything follows from the number of
the kill, but for the random times.

    PYTHONPATH=tests/unit python -m tests.fire.torn --kills 200 --readers 20
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
from made_up_build import build_all

from capla_etl import paths
from capla_etl.centres.submissions import load, status
from capla_etl.releases import versions
from capla_etl.releases.publish import publish

#: Calls that change what is in a folder; each is a step before which a process can be killed.
STEPS = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"}
CENTRE, CUT_OFF = "DE01", date(2023, 6, 30)
_METHOD = multiprocessing.get_context("forkserver")
#: Imported once, in the process that those which are killed are copied from.
_METHOD.set_forkserver_preload(["capla_etl.centres.submissions.load", "capla_etl.releases.publish"])


# ---------------------------------------------------------------- what is done, and what users see of it


def _use(folder: Path) -> None:
    """Work in a folder. A kill loses nothing that was written, so nothing waits for the disk."""
    os.fsync = lambda _: None
    os.environ |= {"CAPLA_WAREHOUSE": str(folder / "warehouse"), "CAPLA_DATA_RAW": str(folder / "data_raw")}


def _publish(state: str) -> None:
    build_all(state)
    publish(state, CUT_OFF)


def _publish_new() -> None:
    publish("new", CUT_OFF)


def _roll_back() -> None:
    versions.show(versions.find("new"))


def _as_before_there_were_versions() -> None:
    _publish("old")
    shown = paths.current().resolve()
    for place in paths.published():
        place.unlink()
        (shown / place.name).rename(place)
    paths.current().unlink()
    shutil.rmtree(paths.versions())
    build_all("new")


def _published_once() -> None:
    _publish("old")
    build_all("new")


def _published_twice() -> None:
    _publish("new")
    _publish("old")


def _load(state: str) -> None:
    (paths.data_raw() / CENTRE).mkdir(parents=True, exist_ok=True)
    (paths.data_raw() / CENTRE / status.SPEC).write_text(state)
    tables = {f"harmonised.{name}": pa.table({"state": [state] * 1000}) for name in ("patient", "tpe_session", "lab")}
    receipt = status.receipt_of(CENTRE, state, CUT_OFF, None) | {"identity": state}
    load._put_aside(CENTRE, tables, receipt)


def _accept() -> None:
    load.accept(status.received_loads()[CENTRE])


def _load_and_accept() -> None:
    _load("new")
    _accept()


def _loaded_once() -> None:
    _load("old")
    _accept()


def _loaded_as_before_there_were_links() -> None:
    _loaded_once()
    link = paths.centre_loads() / CENTRE
    folder = link.resolve()
    link.unlink()
    folder.rename(link)


def _digest(path: Path) -> str:
    """The content of a file, without the name of its state."""
    if path.suffix != ".duckdb":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("select 'warehouse of ' || text from t").fetchone()[0]


def shown_set() -> dict[str, str]:
    """Every published file by the name that users know -> digest; a folder that is missing is missing here."""
    found = {}
    for place in paths.published():
        files = [place] if place.is_file() else sorted(p for p in place.glob("**/*") if p.is_file())
        found |= {path.relative_to(paths.warehouse()).as_posix(): _digest(path) for path in files}
    return found


def good_load() -> dict[str, str]:
    """Every file of the centre's last good load, as its users find it -> digest."""
    of = status.good_loads()
    return {path.name: _digest(path) for path in sorted(of[CENTRE].folder.iterdir())} if CENTRE in of else {}


#: What is killed -> (how it begins, what is killed, what users see).
SCENES: dict[str, tuple[Callable[[], None], Callable[[], None], Callable[[], dict[str, str]]]] = {
    "publish": (_published_once, _publish_new, shown_set),
    "publish for the first time": (partial(build_all, "new"), _publish_new, shown_set),
    "publish over plain files": (_as_before_there_were_versions, _publish_new, shown_set),
    "roll back": (_published_twice, _roll_back, shown_set),
    "load": (_loaded_once, _load_and_accept, good_load),
    "load for the first time": (lambda: None, _load_and_accept, good_load),
    "load over a plain folder": (_loaded_as_before_there_were_links, _load_and_accept, good_load),
}


# ---------------------------------------------------------------- kills


def _act(scene: str, folder: Path, last_step: int | None) -> None:
    """In a process of its own: do it and be killed before a step; None: do it whole and say how many it had."""
    _use(folder)
    steps = 0

    def audit(event: str, _) -> None:
        nonlocal steps
        if event in STEPS:
            steps += 1
            if steps == last_step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    SCENES[scene][1]()
    (folder / "steps").write_text(str(steps))


def _run(scene: str, folder: Path, last_step: int | None, seconds: float | None = None) -> bool:
    """Run it in a process of its own, to the end or to a kill. Whether it came to the end."""
    process = _METHOD.Process(target=_act, args=(scene, folder, last_step))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{scene}: exit status {process.exitcode}")
    return process.exitcode == 0


class Scene:
    """One of ``SCENES``, set up once in a folder and copied for each kill."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._begin, self._folder = name, folder / "begin", folder
        _use(self._begin)
        paths.warehouse().mkdir(parents=True)
        before, _, self._seen = SCENES[name]
        before()
        self.old = self._seen()
        whole = self._copy()
        began = time.monotonic()
        assert _run(name, whole, None)
        self._seconds = time.monotonic() - began
        self._steps = int((whole / "steps").read_text())
        _use(whole)
        self.new = self._seen()
        assert self.old != self.new

    def _copy(self) -> Path:
        copy = Path(tempfile.mkdtemp(dir=self._folder), "copy")
        shutil.copytree(self._begin, copy, symlinks=True)
        return copy

    def kill(self, number: int, of: int) -> str:
        """How one of several kills ends: "old" or "new" is seen at once, and "new" after the next run; else the fault.

        Even ones are spread over the steps, odd ones over the time.
        """
        chance = random.Random(f"{self.name} {number}")
        folder = self._copy()
        if number % 2:
            _run(self.name, folder, None, chance.uniform(0, self._seconds))
        else:
            _run(self.name, folder, number * self._steps // of + 1)
        _use(folder)
        seen = self._seen()
        if seen not in (self.old, self.new):
            return f"TORN by kill {number}: {seen}"
        try:
            SCENES[self.name][1]()
        except Exception as error:
            return f"NOT CONTINUED after kill {number}: {error!r}"
        if self._seen() != self.new:
            return f"NOT NEW after kill {number} and the next run: {self._seen()}"
        if left := [path.name for path in paths.warehouse().glob("**/.*")]:
            return f"LEFT after kill {number} and the next run: {left}"
        shutil.rmtree(folder)
        return "old" if seen == self.old else "new"


def kills(name: str, number: int, folder: Path) -> Counter:
    """How a number of kills of one scene end."""
    scene = Scene(name, folder)
    return Counter(scene.kill(kill, number) for kill in range(number))


# ---------------------------------------------------------------- readers


def _read_on(folder: Path, enough, answers) -> None:
    """Read all that is published again and again, from one version; count what was read, and the mixtures."""
    _use(folder)
    ends: Counter = Counter()
    while not enough.is_set():
        try:
            version = paths.current().resolve()  # once, so that all that follows is of one version
            state = version.name.partition("-")[2]
            texts = {path.read_text() for path in version.glob("**/*.html")}
            texts |= {path.stem for path in version.glob("*/*.txt")} - {"same"}
            with duckdb.connect(str(version / paths.published_database().name), read_only=True) as connection:
                texts |= set(connection.execute("select text from t").fetchone())
            with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
                connection.execute("from t").fetchall()
            paths.report().read_text()
            time.sleep(0.05)
            ends["one version" if texts == {state} else f"MIXTURE in {state}: {sorted(texts)}"] += 1
        except Exception as error:
            ends[f"ERROR {error!r}"] += 1
    answers.put(ends)


def readers(number: int, changes: int, folder: Path) -> Counter:
    """How the reads of a number of readers end while the version changes a number of times."""
    _use(folder)
    os.environ["CAPLA_VERSIONS_KEPT"] = "20"  # versions change faster here than any reader of a real study could wait
    _publish("state0")
    answers, enough = _METHOD.Queue(), _METHOD.Event()
    reading = [_METHOD.Process(target=_read_on, args=(folder, enough, answers)) for _ in range(number)]
    for reader in reading:
        reader.start()
    for change in range(changes):
        _publish(f"state{change + 1}")
    enough.set()
    ends = sum((answers.get(timeout=600) for _ in reading), Counter())
    for reader in reading:
        reader.join()
    del os.environ["CAPLA_VERSIONS_KEPT"]
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="kills a scene (default: 200)")
    parser.add_argument("--readers", type=int, default=20, help="readers while versions change (default: 20)")
    parser.add_argument("--changes", type=int, default=100, help="versions published meanwhile (default: 100)")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as own:
        for scene in SCENES:
            ended = kills(scene, options.kills, Path(own, scene))
            wrong += sum(count for end, count in ended.items() if end not in ("old", "new"))
            print(scene, dict(ended), flush=True)
        ended = readers(options.readers, options.changes, Path(own, "readers"))
        wrong += sum(count for end, count in ended.items() if end != "one version")
        print("readers", dict(ended), flush=True)
    sys.exit(bool(wrong))
