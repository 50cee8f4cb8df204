"""Coverage-guided inputs for one reader or ``centre.yml``: what reaches new lines of our code is changed further.

    PYTHONPATH=tests/unit python -m tests.fire.guided xlsx -runs=10000 -seed=1

What follows the kind are options of libFuzzer. It ends with status 0, or at the first input that ends neither in values
nor in a message, and says which file holds it. What a native reader does with memory and time is tried apart from here
(fire.py), in a process with the limits of a centre's.
"""

import importlib
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .fire import ROOT, SPEC, ends_in, mutated, seed

#: Changed seeds that the search begins with.
_FIRST = 50


def search(kind: str, folder: str, options: list[str]) -> None:
    """Search from the inputs in a folder until the options say that it is enough; this ends the process."""
    import atheris

    from capla_etl.centres import reading, spec

    room = spec if kind == SPEC else reading
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        for function in vars(importlib.import_module(module.name)).values():
            if getattr(function, "__module__", "") == module.name and hasattr(function, "__code__"):
                atheris.instrument_func(function)

    def one(content: bytes) -> None:
        end = ends_in(kind, content)
        if end.startswith("unforeseen"):
            raise AssertionError(end)

    atheris.Setup([sys.argv[0], folder, *options], one)
    atheris.Fuzz()


def main(kind: str, options: list[str]) -> int:
    """Search in a process of its own, which leaves nothing behind however it ends."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate([seed(kind), *(mutated(kind, number) for number in range(_FIRST))]):
            Path(folder, str(number)).write_bytes(content)
        program = f"from tests.fire.guided import search; search({kind!r}, {folder!r}, {options!r})"
        return subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
