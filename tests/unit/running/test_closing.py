"""What holds patients is its owner's alone, also where an older version left it open."""

import stat

import pytest

from capla_etl import paths
from capla_etl.running.closing import close_to_others


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Folders as a version before left them: open to all."""
    for name in ("data_raw", "warehouse", "home", "releases"):
        monkeypatch.setenv({"home": "DAGSTER_HOME"}.get(name, f"CAPLA_{name.upper()}"), str(tmp_path / "study" / name))
        inside = tmp_path / "study" / name / "inside"
        inside.mkdir(parents=True)
        (inside / "file").write_text("of a patient")
        (inside / "file").chmod(0o644)
        for folder in (inside, inside.parent):
            folder.chmod(0o755)
    (tmp_path / "study").chmod(0o755)
    return tmp_path / "study"


def mode(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_existing_folders_and_files_are_closed_and_stay_what_they_are(old, capsys):
    (old / "releases" / "inside" / "file").chmod(0o444)
    close_to_others()
    for name in ("warehouse", "home", "releases"):
        assert (mode(old / name), mode(old / name / "inside")) == (0o700, 0o700)
    assert mode(old / "warehouse" / "inside" / "file") == 0o600
    assert mode(old / "releases" / "inside" / "file") == 0o400
    assert mode(old) == 0o755  # not the pipeline's


def test_what_a_link_leads_to_is_left_alone(old):
    elsewhere = old / "elsewhere"
    elsewhere.write_text("not of the study")
    elsewhere.chmod(0o644)
    (paths.warehouse() / "link").symlink_to(elsewhere)
    (paths.warehouse() / "gone").symlink_to(old / "nowhere")
    close_to_others()
    assert mode(elsewhere) == 0o644


@pytest.mark.parametrize("everybodys", [True, False])
def test_a_folder_for_everybodys_files_is_left_alone_and_that_is_said(old, monkeypatch, capsys, everybodys):
    if everybodys:
        paths.warehouse().chmod(0o1777)
    else:
        monkeypatch.setenv("HOME", str(paths.warehouse() / "inside"))
    close_to_others()
    assert mode(paths.warehouse() / "inside" / "file") == 0o644
    assert f"Other users of this machine may read {paths.warehouse()}" in capsys.readouterr().err


@pytest.mark.parametrize("refusal", [PermissionError, None])
def test_what_cannot_be_closed_is_said(old, monkeypatch, capsys, refusal):
    """A file of another user, or on a drive that knows no rights."""

    def chmod(*_):
        if refusal:
            raise refusal

    monkeypatch.setattr("pathlib.Path.chmod", chmod)
    close_to_others()
    said = capsys.readouterr().err
    assert "Other users of this machine may read" in said and "its owner should close it" in said


def test_open_files_of_the_centres_are_said_and_left_to_their_owner(old, capsys):
    close_to_others()
    assert f"chmod o-rwx {paths.data_raw()}" in capsys.readouterr().err
    assert mode(paths.data_raw()) == 0o755
    paths.data_raw().chmod(0o750)
    close_to_others()
    assert capsys.readouterr().err == ""
