"""Publishing replaces everything whole, or touches nothing."""

import duckdb
import pytest

from capla_etl import paths
from capla_etl.releases.publish import publish, staged


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds all that is published, each holding one text."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))

    def write(text: str) -> None:
        paths.build_database().parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(paths.build_database())) as connection:
            connection.execute("create or replace table t as select ? as text", [text])
        for folder in (paths.outputs(), paths.data_docs(), paths.differences(), paths.dbt_docs()):
            staged(folder).mkdir(parents=True, exist_ok=True)
            (staged(folder) / f"{text}.txt").write_text(text)
        staged(paths.report()).write_text(text)

    return write


def _published() -> tuple:
    with duckdb.connect(str(paths.published_database()), read_only=True) as connection:
        text = connection.execute("select text from t").fetchone()[0]
    return (
        text,
        paths.report().read_text(),
        sorted(f.name for f in paths.outputs().iterdir()),
        sorted(f.name for f in paths.data_docs().iterdir()),
    )


def test_everything_is_replaced_and_nothing_else_is_left(build, tmp_path):
    build("one")
    publish()
    assert _published() == ("one", "one", ["one.txt"], ["one.txt"])
    (staged(paths.outputs()) / "one.txt").unlink()
    (staged(paths.data_docs()) / "one.txt").unlink()
    build("two")
    publish()
    assert _published() == ("two", "two", ["two.txt"], ["two.txt"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "build",
        "capla.duckdb",
        "data_docs",
        "dbt_docs",
        "differences",
        "outputs",
        "report.html",
    ]


def test_something_not_built_touches_nothing(build):
    build("one")
    publish()
    build("two")
    staged(paths.report()).unlink()
    with pytest.raises(FileNotFoundError, match="report.html"):
        publish()
    assert _published() == ("one", "one", ["one.txt"], ["one.txt"])


def test_a_killed_publication_is_mended_by_the_next(build, tmp_path):
    build("one")
    publish()
    paths.outputs().rename(tmp_path / ".outputs.old")
    (tmp_path / ".outputs.new").mkdir()
    publish()
    assert _published() == ("one", "one", ["one.txt"], ["one.txt"])


def test_whoever_has_the_old_warehouse_open_keeps_reading_it(build):
    build("one")
    publish()
    with open(paths.published_database(), "rb") as held:
        before = held.read()
        build("two")
        publish()
        held.seek(0)
        assert held.read() == before
    assert _published()[0] == "two"
