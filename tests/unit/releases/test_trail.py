"""The audit trail: lines that were changed, removed, added or moved are found; a cut-off line ends nothing."""

import hashlib
import json
import multiprocessing
import os
import re

import pytest

from capla_etl import paths
from capla_etl.commands import audit
from capla_etl.releases import trail


@pytest.fixture(autouse=True)
def own_warehouse(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setenv("CAPLA_DATA_RAW", str(tmp_path / "data_raw"))
    monkeypatch.delenv("CAPLA_RELEASES", raising=False)
    (tmp_path / "data_raw").mkdir()


def _three() -> list[bytes]:
    for run in "abc":
        trail.append(trail.BEGAN, run=run, job="study", who={"user": "u", "by": "capla study"})
        trail.append(trail.ENDED, run=run, how="succeeded")
    return paths.audit_trail().read_bytes().splitlines(keepends=True)


def _write(lines: list[bytes]) -> None:
    paths.audit_trail().write_bytes(b"".join(lines))


def test_nothing_recorded_is_nothing_wrong():
    assert trail.check() == trail.Checked()


def test_a_whole_chain_is_right_and_its_head_is_the_hash_of_its_last_line():
    lines = _three()
    found = trail.check()
    assert (found.lines, found.problems, found.notes) == (6, [], [])
    last = json.loads(lines[-1])
    assert found.head == last["sha256"]
    canonical = json.dumps(last["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == found.head
    assert last["record"]["previous"] == json.loads(lines[-2])["sha256"]
    assert json.loads(lines[0])["record"]["previous"] == "0" * 64


@pytest.mark.parametrize("place", range(6))
def test_a_changed_line_is_found(place):
    lines = _three()
    lines[place] = lines[place].replace(b'"run":"', b'"run":"x')
    _write(lines)
    assert any(f"line {place + 1}: changed" in problem for problem in trail.check().problems)


@pytest.mark.parametrize("place", range(5))
def test_a_line_that_was_changed_together_with_its_hash_is_found_at_the_next_one(place):
    lines = _three()
    record = json.loads(lines[place])["record"] | {"run": "x"}
    lines[place] = trail._line(record)[0] + b"\n"
    _write(lines)
    assert trail.check().problems == [
        f"line {place + 2}: does not follow the line before it (changed, removed or moved)"
    ]


@pytest.mark.parametrize("place", range(5))
def test_a_removed_a_moved_and_an_added_line_are_found(place):
    lines = _three()
    _write([*lines[:place], *lines[place + 1 :]])
    assert trail.check().problems
    _write([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])
    assert trail.check().problems
    _write([*lines[: place + 1], *lines[place:]])
    assert trail.check().problems
    _write([*lines[:place], b"\n", *lines[place:]])
    assert trail.check().problems


def test_an_end_that_was_cut_off_shows_only_beside_a_head_noted_elsewhere(capsys):
    lines = _three()
    head = trail.check().head
    _write(lines[:4])
    assert trail.check().problems == []
    assert trail.check({"noted": head}).problems == [
        f"noted: its head {head[:16]} is none of the lines; lines were removed or replaced"
    ]
    assert trail.check({"noted": json.loads(lines[2])["sha256"]}).problems == []


@pytest.mark.parametrize("left", [1, 20, -2])
def test_a_line_cut_off_by_a_kill_is_named_and_the_next_run_goes_on(left):
    lines = _three()
    _write([*lines[:5], lines[5][:left]])
    found = trail.check()
    assert found.problems == [] and "line 6: cut off" in found.notes[0]
    trail.append(trail.BEGAN, run="d")
    trail.append(trail.ENDED, run="d", how="failed")
    found = trail.check()
    assert (found.problems, found.lines) == ([], 7)
    assert "line 6: cut off when its process was killed; the chain goes on after it" in found.notes
    whole = paths.audit_trail().read_bytes().splitlines(keepends=True)
    _write([*whole[:5], b"something else\n", *whole[6:]])
    assert trail.check().problems == ["line 6: changed, or damaged"]


def test_a_run_without_an_end_is_named():
    trail.append(trail.BEGAN, run="0123456789")
    assert "run 01234567" in trail.check().notes[0]


def test_lines_after_a_damaged_end_are_refused():
    _three()
    paths.audit_trail().write_bytes(b"x\ny\n")
    with pytest.raises(trail.TrailBroken, match="capla audit verify"):
        trail.append(trail.BEGAN, run="a")
    assert paths.audit_trail().read_bytes() == b"x\ny\n"


def _append_many(who: str) -> None:
    for number in range(20):
        trail.append(trail.BEGAN, run=f"{who}{number}")
        trail.append(trail.ENDED, run=f"{who}{number}", how="succeeded")


def test_two_processes_make_one_chain():
    others = [multiprocessing.get_context("fork").Process(target=_append_many, args=(who,)) for who in "ab"]
    for other in others:
        other.start()
    for other in others:
        other.join()
    found = trail.check()
    assert (found.lines, found.problems, found.notes) == (80, [], [])


def test_it_is_its_owners_alone():
    trail.append(trail.BEGAN, run="a")
    assert paths.audit_trail().stat().st_mode & 0o777 == 0o600


def test_a_run_says_who_with_what_from_which_files_and_no_undeclared_name(centre):
    centre.spec()
    (centre.submission / "Müller Anna 1953.xlsx").write_bytes(b"x")
    trail.begin("r", "study", "capla study", {"CAPLA_AS_OF": "2020-12-31"})
    trail.end("r", "failed")
    began, ended = trail.records()
    assert began["who"]["by"] == "capla study" and began["who"]["process"] == os.getpid()
    assert began["settings"] == {"CAPLA_AS_OF": "2020-12-31"} and len(began["code"]["digest"]) == 64
    patients = (centre.submission / "patients.csv").read_bytes()
    assert began["inputs"]["XX01"]["2020-12-31/patients.csv"] == hashlib.sha256(patients).hexdigest()
    assert began["parameters"]["follow_up_days"] == "90"
    assert (ended["how"], ended["published"]) == ("failed", {})
    text = paths.audit_trail().read_text(encoding="utf-8")
    assert "Müller" not in text and "file 1 of 2 (.xlsx" in text and "Secret" not in text


def test_the_command_says_what_is_wrong_and_ends_with_1(capsys):
    from capla_etl.cli import main

    lines = _three()
    head = trail.check().head
    assert main(["audit", "verify", "--head", head]) == 0
    assert head in capsys.readouterr().out
    assert main(["audit", "list"]) == 0 and capsys.readouterr().out.count("run ") == 6
    _write(lines[1:])
    assert main(["audit", "verify"]) == 1
    assert "WRONG  line 1" in capsys.readouterr().out


def test_an_audit_of_dependencies_without_its_service_is_not_green(capsys, monkeypatch):
    from capla_etl.releases import materials

    def no_answer(*_, **__):
        return type("Ran", (), {"stdout": "", "returncode": 1})

    monkeypatch.setattr(materials.subprocess, "run", no_answer)
    assert audit.run(type("Options", (), {"action": "dependencies"})) == 1
    assert "This says nothing of the dependencies" in capsys.readouterr().err
    unknown = json.dumps({"dependencies": [{"name": "pandas", "skip_reason": "not found"}]})
    monkeypatch.setattr(materials.subprocess, "run", lambda *_, **__: type("Ran", (), {"stdout": unknown}))
    assert audit.run(type("Options", (), {"action": "dependencies"})) == 1
    assert "1 of 1 packages" in capsys.readouterr().err
    flaw = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    known = json.dumps({"dependencies": [flaw]})
    monkeypatch.setattr(materials.subprocess, "run", lambda *_, **__: type("Ran", (), {"stdout": known}))
    assert audit.run(type("Options", (), {"action": "dependencies"})) == 1
    assert "x 1: PYSEC-1, mended in 2" in capsys.readouterr().out


def test_the_bill_of_materials_names_every_package_of_the_lock(tmp_path):
    from capla_etl.releases.materials import write_materials

    bom, notices = write_materials(tmp_path)
    content = json.loads(bom.read_text(encoding="utf-8"))
    lock = (paths.ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE))
    assert len(locked) > 150
    assert content["bomFormat"] == "CycloneDX"
    assert locked <= {component["name"] for component in content["components"]}
    assert "duckdb" in notices.read_text(encoding="utf-8")
