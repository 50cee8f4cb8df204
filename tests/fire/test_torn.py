"""A short run of ``python -m tests.fire.torn``: nothing that users see is torn by a kill, or mixed for a reader."""

import pytest

from .torn import SCENES, kills, readers


@pytest.fixture(autouse=True)
def own_folders(monkeypatch):
    """The folders that a scene sets are given back."""
    for name in ("CAPLA_WAREHOUSE", "CAPLA_DATA_RAW"):
        monkeypatch.setenv(name, "set by the scene")


@pytest.mark.parametrize("scene", SCENES)
def test_whatever_is_seen_after_a_kill_is_of_one_state_and_the_next_run_goes_on(scene, tmp_path):
    ended = kills(scene, 10, tmp_path / "scene")
    assert set(ended) <= {"old", "new"} and sum(ended.values()) == 10


def test_readers_that_resolve_current_once_never_see_a_mixture(tmp_path):
    ended = readers(4, 5, tmp_path)
    assert set(ended) == {"one version"} and ended["one version"] >= 4
