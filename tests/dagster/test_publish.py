"""Publishing shows a whole version in one step, or touches nothing."""

import os
import shutil
from datetime import date

import dagster as dg
import duckdb
import pytest
from made_up_build import build_all

from capla_etl import paths
from capla_etl.defs.resources import Study
from capla_etl.releases import publish as publishing
from capla_etl.releases import versions
from capla_etl.releases.publish import staged


def publish(protected_stays: bool = False) -> versions.Version:
    """Publish what was built; its text is the name of its state."""
    state = staged(paths.report()).read_text()
    return publishing.publish(state, date(2023, 6, 30), protected_stays=protected_stays)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds all that is published, each holding one text."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    monkeypatch.delenv("CAPLA_VERSIONS_KEPT", raising=False)
    return build_all


def seen() -> set[str]:
    """Every text that is published, without those that are the same in every version."""
    with duckdb.connect(str(paths.published_database().resolve()), read_only=True) as connection:
        texts = {connection.execute("select text from t").fetchone()[0], paths.report().read_text()}
    folders = (paths.outputs(), paths.data_docs(), paths.differences(), paths.dbt_docs())
    texts |= {path.stem for folder in folders for path in folder.glob("*.txt")} - {"same"}
    return texts | {page.read_text() for page in (paths.data_docs() / "index.html", paths.centre_pages() / "DE01.html")}


def in_the_warehouse() -> list[str]:
    return sorted(path.name for path in paths.warehouse().iterdir())


NAMES = ["capla.duckdb", "data_docs", "dbt_docs", "differences", "outputs", "report.html"]


def test_everything_is_of_one_version_and_nothing_else_is_left(build):
    for text in ("one", "two"):
        build(text)
        publish()
        assert seen() == {text}
    assert in_the_warehouse() == sorted(["build", "current", "versions", *NAMES])
    assert all(path.is_symlink() for path in map(paths.warehouse().joinpath, ["current", *NAMES]))
    assert [version.name for version in versions.versions()] == ["00001-one", "00002-two"]


def test_the_folder_can_be_moved_and_copied(build, tmp_path, monkeypatch):
    build("one")
    publish()
    for copy in (True, False):
        moved = tmp_path.with_name(f"{tmp_path.name}_{copy}")
        shutil.copytree(tmp_path, moved, symlinks=copy)
        monkeypatch.setenv("CAPLA_WAREHOUSE", str(moved))
        assert seen() == {"one"}
        build("two")
        publish()
        assert seen() == {"two"}
        assert sorted(path.name for path in moved.iterdir()) == sorted(["build", "current", "versions", *NAMES])


def test_something_not_built_touches_nothing(build):
    build("one")
    publish()
    build("two")
    staged(paths.report()).unlink()
    with pytest.raises(FileNotFoundError, match="report.html"):
        publish()
    assert seen() == {"one"} and len(versions.versions()) == 1


def test_readers_of_an_earlier_version_keep_it(build):
    build("one")
    publish()
    resolved = paths.current().resolve()
    with open(paths.published_database(), "rb") as held:
        before = held.read()
        build("two")
        publish()
        held.seek(0)
        assert held.read() == before
    assert seen() == {"two"} and (resolved / "report.html").read_text() == "one"


def test_unchanged_files_take_no_room_and_no_file_can_be_written_by_others(build):
    for text in ("one", "two"):
        build(text)
        publish()
    first, second = (version.folder for version in versions.versions())
    assert (first / "outputs" / "same.txt").samefile(second / "outputs" / "same.txt")
    assert not (first / "report.html").samefile(second / "report.html")
    for path in paths.versions().rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o400), path


def test_a_file_of_the_same_length_is_not_the_same_file(build):
    build("one")
    publish()
    build("two")
    publish()
    assert paths.report().read_text() == "two"


def test_the_clock_decides_nothing(build, monkeypatch):
    """Versions of one second, and of a clock that is set back, are counted up."""

    class Clock(versions.datetime):
        today = 2

        @classmethod
        def now(cls, zone):
            return cls(2026, 1, cls.today, tzinfo=zone)

    monkeypatch.setattr(versions, "datetime", Clock)
    for day, text in ((2, "one"), (2, "two"), (1, "three")):
        Clock.today = day
        build(text)
        publish()
        assert seen() == {text}
    assert [(v.number, v.published_at.day, v.current) for v in versions.versions()] == [
        (1, 2, False),
        (2, 2, False),
        (3, 1, True),
    ]


def test_the_last_three_states_are_kept_however_often_one_is_published(build):
    for state in ("a", "b", "c", "d", "d", "d"):
        build(state)
        publish()
    assert [version.name for version in versions.versions()] == ["00003-c", "00005-d", "00006-d"]
    build("e")
    publish()
    assert [version.name for version in versions.versions()] == ["00003-c", "00006-d", "00007-e"]


def test_how_many_are_kept_is_a_setting(build, monkeypatch):
    monkeypatch.setenv("CAPLA_VERSIONS_KEPT", "2")
    for number in range(1, 5):
        build(f"build{number}")
        publish()
    assert [version.number for version in versions.versions()] == [3, 4]


@pytest.mark.parametrize("wrong", ["1", "-3", "many", "2.5"])
def test_a_wrong_number_to_keep_touches_nothing(build, monkeypatch, wrong):
    build("one")
    publish()
    monkeypatch.setenv("CAPLA_VERSIONS_KEPT", wrong)
    build("two")
    with pytest.raises(ValueError, match=f"{wrong!r}; expected a whole number, 2 or more"):
        publish()
    assert seen() == {"one"}


def as_before_there_were_versions() -> None:
    """Put plain files and folders where users look."""
    shown = paths.current().resolve()
    for name in NAMES:
        (paths.warehouse() / name).unlink()
        (shown / name).rename(paths.warehouse() / name)
    paths.current().unlink()
    shutil.rmtree(paths.versions())


@pytest.mark.parametrize("exchanges", [True, False], ids=["names are exchanged", "a system that cannot"])
def test_what_an_earlier_program_published_becomes_a_version(build, tmp_path, monkeypatch, exchanges):
    build("one")
    publish()
    as_before_there_were_versions()
    (tmp_path / ".outputs.new").mkdir()  # left by a full disk
    (tmp_path / ".capla.duckdb.new").write_text("half")
    if not exchanges:
        monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    build("two")
    with duckdb.connect(str(paths.published_database()), read_only=True) as held:
        publish()
        assert held.execute("select text from t").fetchone() == ("one",)
    assert seen() == {"two"}
    assert in_the_warehouse() == sorted(["build", "current", "versions", *NAMES])
    before = versions.before_current()
    assert before.name == "00001-taken-over"
    versions.show(before)
    assert seen() == {"one"}


def test_a_protected_page_that_stays_as_it_was_shown_states_its_own_version(build):
    """It is not renewed for fewer than ten patients; a new one must be of the version that is published."""
    build("one")
    page = staged(paths.outputs()) / "protected" / "report_protected.html"
    page.write_text("Version of last month")
    with pytest.raises(ValueError, match="do not state version"):
        publish()
    publish(protected_stays=True)
    with pytest.raises(ValueError, match="do not state version"):
        publish()


def test_leftovers_of_a_full_disk_are_removed_before_the_next_run_needs_room(build):
    build("one")
    publish()
    (paths.versions() / ".new" / "outputs").mkdir(parents=True)
    (paths.warehouse() / ".outputs.old").mkdir()
    (paths.warehouse() / ".mine.txt").touch()

    @dg.asset
    def anything(study: Study) -> None:
        pass

    dg.materialize([anything], resources={"study": Study()})
    assert in_the_warehouse() == sorted([".mine.txt", "audit_trail.jsonl", "build", "current", "versions", *NAMES])
    assert [path.name for path in paths.versions().iterdir()] == ["00001-one"]


def test_a_version_that_could_not_be_written_leaves_nothing(build, monkeypatch):
    build("one")
    publish()
    build("two")
    written = []

    def full(source, target):
        if len(written) == 3:
            raise OSError(28, os.strerror(28))
        written.append(target)
        target.write_bytes(source.read_bytes())

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            publish()
    assert seen() == {"one"}
    assert [path.name for path in paths.versions().iterdir()] == ["00001-one"]
    publish()
    assert seen() == {"two"}


def test_the_protected_profile_publishes_only_what_may_leave(build, monkeypatch):
    build("one")
    (staged(paths.outputs()) / "protected" / "result.csv").write_text("rounded")
    monkeypatch.setenv("CAPLA_PROFILE", "protected")
    publish()
    assert in_the_warehouse() == ["build", "current", "outputs", "versions"]
    files = {path.relative_to(paths.current()).as_posix() for path in paths.current().rglob("*") if path.is_file()}
    assert files == {"outputs/protected/result.csv", "outputs/protected/DE01.html", versions.ABOUT}


@pytest.mark.parametrize("page", ["report.html", "outputs/centres/DE01.html", "data_docs/index.html"])
def test_a_page_of_another_state_is_not_published(build, page):
    build("one")
    publish()
    build("two")
    (staged(paths.report()).parent / page).write_text("one")
    with pytest.raises(ValueError, match=f"do not state version two of the warehouse: .*{page}"):
        publishing.publish("two", date(2023, 6, 30))
    assert seen() == {"one"}


def test_outputs_without_what_other_steps_write_there_are_not_published(build):
    build("one")
    shutil.rmtree(staged(paths.outputs()) / "queries")
    with pytest.raises(FileNotFoundError, match="outputs/queries"):
        publish()
    assert not paths.current().exists()


def test_after_a_rollback_the_next_run_publishes_a_version_with_a_new_number(build):
    for state in ("one", "two", "three"):
        build(state)
        publish()
    versions.show(versions.find("1"))
    assert seen() == {"one"}
    build("four")
    publish()
    assert seen() == {"four"}
    assert [version.name for version in versions.versions()] == ["00001-one", "00002-two", "00003-three", "00004-four"]
    publish()
    assert [version.number for version in versions.versions()] == [3, 4, 5]
