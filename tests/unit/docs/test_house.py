"""How the code is arranged: its width, its rooms, and the direction in which the rooms import."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capla_etl.paths import ROOT

PACKAGE = ROOT / "capla_etl"
WIDTH = 120
WRITTEN = {".py", ".sql", ".yml", ".md", ".html", ".css", ".js", ".toml"}
#: Files of others: what centres sent, and a style sheet as its authors publish it.
NOT_OURS = ("data_raw/", "capla_etl/quality/data_docs_assets/bootstrap")
#: A room is a folder of the package with modules in it.
ROOMS = sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE})


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tracked() -> list[Path]:
    """Files that Git tracks; in a copy without Git, all files but hidden folders and what is built."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    built = {"warehouse", "target", "logs"}
    inside = (path for path in ROOT.rglob("*") if path.is_file())
    return [p for p in inside if not any(part in built or part[0] == "." for part in p.relative_to(ROOT).parts[:-1])]


def _written() -> list[Path]:
    """Text files that people write here."""
    texts = [path for path in _tracked() if path.suffix in WRITTEN or path.name == "Makefile"]
    return [path for path in texts if not _name(path).startswith(NOT_OURS) or path.name == "centre.yml"]


def test_no_line_is_wider_than_a_screen():
    wide = [
        f"{_name(path)}:{number}: {len(line)} characters"
        for path in _written()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > WIDTH
    ]
    assert not wide, f"{len(wide)} lines are longer than {WIDTH} characters:\n" + "\n".join(wide)


def test_few_modules_are_loose_at_the_top():
    loose = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(loose) <= 9, loose


@pytest.mark.parametrize("room", ROOMS, ids=_name)
def test_a_room_says_what_it_is_for(room):
    tree = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{_name(room)}/__init__.py has no docstring"


def test_unit_tests_are_in_the_rooms_of_what_they_test():
    """Every folder of unit tests is a folder of the package, except ``docs``: it tests what is written about it."""
    tests = ROOT / "tests" / "unit"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert {str(folder) for folder in folders if not (PACKAGE / folder / "__init__.py").is_file()} == {"docs"}
    assert Path() not in folders, "a unit test lies outside every room"


def _lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """The command of ``make test`` in another folder."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package and its contracts, in which a test may import wrongly."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(PACKAGE, folder / "capla_etl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    kept = _lint_imports(folder)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    return folder


@pytest.mark.parametrize(
    ("module", "wrong", "said"),
    [
        ("paths.py", "import capla_etl.report", "capla_etl.paths -> capla_etl.report"),
        ("sql.py", "def late():\n    import capla_etl.tables", "capla_etl.sql -> capla_etl.tables"),
        (
            "centres/errors.py",
            "import capla_etl.centres.reading",
            "capla_etl.centres.errors -> capla_etl.centres.reading",
        ),
        ("unplanned.py", '"""A module that no contract places."""', "unplanned"),
    ],
    ids=["upwards", "upwards inside a function", "backwards among the centres' rooms", "a module without a place"],
)
def test_a_wrong_import_breaks_a_contract(copy, module, wrong, said):
    changed = copy / "capla_etl" / module
    before = changed.read_text(encoding="utf-8") if changed.exists() else None
    changed.write_text(f"{before or ''}\n{wrong}\n", encoding="utf-8")
    try:
        broken = _lint_imports(copy)
    finally:
        if before is None:
            changed.unlink()
        else:
            changed.write_text(before, encoding="utf-8")
    assert broken.returncode != 0
    assert said in broken.stdout + broken.stderr
