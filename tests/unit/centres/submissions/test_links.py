"""Links that lead out of the data folder are refused, whatever they are; links inside it are followed."""

import io
import shutil
import stat
import zipfile

import pytest
from tiny_centre import load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions.load import receive
from capla_etl.centres.submissions.status import status_of

LINK = "leads out of the data folder"


def _out(centre, tmp_path, path):
    """Move a file or folder out of the data folder and put a link in its place."""
    target = tmp_path / "elsewhere" / path.name
    target.parent.mkdir(exist_ok=True)
    shutil.move(path, target)
    path.symlink_to(target)


@pytest.mark.parametrize("what", ["file", "spec", "submission", "centre"])
def test_a_link_out_of_the_data_folder_is_refused(centre, tmp_path, what):
    centre.spec()
    path = {
        "file": centre.submission / "patients.csv",
        "spec": centre.folder / "centre.yml",
        "submission": centre.submission,
        "centre": centre.folder,
    }[what]
    _out(centre, tmp_path, path)
    with pytest.raises(CentreRefused, match=LINK) as refused:
        receive("XX01")
    assert "elsewhere" not in str(refused.value)
    assert status_of("XX01").status == "not_loaded"


@pytest.mark.parametrize("what", ["corrections.yml", "answers.yml"])
def test_a_link_beside_the_submissions_that_leads_out_is_refused(centre, tmp_path, what):
    centre.spec()
    (centre.folder / what).write_text("[]\n", encoding="utf-8")
    _out(centre, tmp_path, centre.folder / what)
    with pytest.raises(CentreRefused, match=LINK):
        receive("XX01")


@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_out_by_way_of_a_link_inside_is_refused(centre, tmp_path, absolute):
    centre.spec()
    _out(centre, tmp_path, centre.submission / "patients.csv")
    (centre.submission / "patients.csv").rename(centre.folder / "inner")
    target = centre.folder / "inner"
    (centre.submission / "patients.csv").symlink_to(target if absolute else "../inner")
    with pytest.raises(CentreRefused, match=LINK):
        receive("XX01")


def test_a_loop_of_links_is_refused(centre):
    centre.spec()
    (centre.submission / "patients.csv").unlink()
    (centre.submission / "patients.csv").symlink_to("patients.csv")
    with pytest.raises((CentreRefused, OSError)):
        receive("XX01")


@pytest.mark.parametrize("what", ["file", "submission", "spec"])
def test_a_link_inside_the_data_folder_is_followed(centre, what):
    centre.spec()
    path = {
        "file": centre.submission / "patients.csv",
        "submission": centre.submission,
        "spec": centre.folder / "centre.yml",
    }[what]
    kept = paths.data_raw() / ".kept"
    kept.mkdir()
    shutil.move(path, kept / path.name)
    path.symlink_to(kept / path.name)
    assert load_centre("XX01").rows["patient"] == 2


def test_a_member_of_an_archive_that_is_a_link_is_refused(centre):
    centre.spec()
    spec = (centre.folder / "centre.yml").read_text(encoding="utf-8")
    (centre.folder / "centre.yml").write_text(spec.replace("patients.csv", "sent.zip/patients.csv"), encoding="utf-8")
    (centre.submission / "patients.csv").unlink()
    member = zipfile.ZipInfo("patients.csv")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    centre.write("sent.zip", content.getvalue())
    with pytest.raises(CentreRefused, match="a link; expected the file itself"):
        receive("XX01")
