"""A centre's files are read in a process of its own; whatever ends it refuses that centre, and nothing is left."""

import os
import resource
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.load import receive
from capla_etl.centres.submissions.status import status_of
from capla_etl.centres.worker import Died, apart, now_reading, read_apart


def _killed(by: int) -> None:
    now_reading("2020-12-31/labs.sav")
    os.kill(os.getpid(), by)


def _out_of_memory() -> None:
    now_reading("2020-12-31/labs.xlsx")
    bytearray(20_000_000_000)


def _refuses() -> None:
    raise CentreRefused("XX01", ["XX01: why"])


def _fails() -> None:
    raise RuntimeError("Secret Person")


def _own_folder() -> tuple[str, int, int]:
    with tempfile.NamedTemporaryFile() as copy:
        mode = stat.S_IMODE(os.stat(copy.name).st_mode)
        return str(Path(copy.name).parent), mode, resource.getrlimit(resource.RLIMIT_CORE)[0]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (signal.SIGSEGV, "crashed (SIGSEGV)"),
        (signal.SIGKILL, "ended by the system"),
        (signal.SIGXCPU, "900 seconds of"),
    ],
)
def test_a_process_that_dies_refuses_its_centre_and_names_file_and_limit(by, said):
    with pytest.raises(CentreRefused) as refusal:
        read_apart("XX01", _killed, by)
    assert "XX01/2020-12-31/labs.sav: the program that reads it" in str(refusal.value)
    assert said in str(refusal.value)


def test_too_much_memory_names_the_limit():
    with pytest.raises(Died, match=r"2020-12-31/labs.xlsx: .* more than 12,000 MB of memory, which is the limit"):
        apart(_out_of_memory).result()


def test_a_refusal_comes_back_as_it_is_and_any_other_error_without_its_text():
    with pytest.raises(CentreRefused) as refusal:
        read_apart("XX01", _refuses)
    assert refusal.value.problems == ["XX01: why"]
    with pytest.raises(CentreRefused) as refusal:
        read_apart("XX01", _fails)
    assert "RuntimeError" in str(refusal.value) and "Secret" not in str(refusal.value)


def test_temporary_files_are_the_owners_and_gone_with_the_process():
    folder, mode, core = apart(_own_folder).result()
    assert Path(folder).name.startswith("capla_worker_") and not Path(folder).exists()
    assert (mode, core) == (0o600, 0)


def test_a_file_that_kills_its_reader_is_a_recorded_refusal(centre, monkeypatch):
    centre.spec()
    receive("XX01")
    monkeypatch.setattr("capla_etl.centres.submissions.load.receive_here", _dies)
    with pytest.raises(CentreRefused, match="patients.csv: the program that reads it crashed"):
        receive("XX01")
    assert "patients.csv" in status_of("XX01").problems[0]
    assert not any(paths.received_loads().iterdir()) and not any(paths.loads().iterdir())


def _dies(centre_id: str) -> None:
    now_reading("2020-12-31/patients.csv")
    os.kill(os.getpid(), signal.SIGABRT)
