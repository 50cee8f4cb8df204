"""The command line: what every command has, and how it reports an unexpected error."""

import json
import signal
import subprocess
import sys

import duckdb
import pytest

from capla_etl import cli, paths


def test_every_command_says_in_its_help_what_it_does(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in cli.COMMANDS) and "exit status" in said


@pytest.mark.parametrize("command", [c for c in cli.COMMANDS if c not in ("ui", "completion")])
def test_machines_can_read_what_a_command_says(command, capsys):
    action = {"centre": "list", "queries": "export", "explain": "patient", "audit": "verify"}.get(command)
    options = [command, action] if action else [command]
    with pytest.raises(SystemExit):
        cli.main([*options, "--help"])
    assert "--json" in capsys.readouterr().out


def test_an_unexpected_error_gives_its_kind_and_not_its_text(monkeypatch, capsys):
    monkeypatch.delenv("CAPLA_DEBUG", raising=False)
    monkeypatch.setattr("capla_etl.commands.centre._list", lambda options: 1 / len("") if options else None)
    assert cli.main(["centre", "list"]) == 1
    said = capsys.readouterr().err
    assert "an unexpected ZeroDivisionError" in said and "division by zero" not in said and "CAPLA_DEBUG=1" in said


def test_a_wrong_command_line_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["centre", "check"])
    assert ended.value.code == 2


def test_help_imports_nothing_heavy():
    heavy = ("pandas", "dagster", "duckdb", "matplotlib")
    program = f"import sys; from capla_etl.cli import parser; parser(); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_the_commands(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "study" in said and "as-of" in said


def test_nothing_published_is_said_with_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    assert cli.main(["sql", "select 1"]) == 1
    assert "run `capla study` first" in capsys.readouterr().err
    assert cli.main(["verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verified"] is False


def _stops(monkeypatch, capsys, publishes=lambda: None) -> str:
    def stopped(options):
        publishes()
        raise KeyboardInterrupt

    monkeypatch.setattr("capla_etl.commands.centre._list", stopped)
    assert cli.main(["centre", "list"]) == 130
    return capsys.readouterr().err


def test_what_a_stopped_command_says_of_the_published_study_is_true(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    assert _stops(monkeypatch, capsys) == "\nStopped. Nothing was published yet.\n"
    variant = tmp_path / "variants" / "as-of-2020-01-01" / "capla.duckdb"
    variant.parent.mkdir(parents=True)
    for place in (tmp_path / "capla.duckdb", variant):
        place.write_text("one")
        assert _stops(monkeypatch, capsys) == "\nStopped. What is published is as it was.\n"

        def publishes(place=place) -> None:
            (tmp_path / "next").write_text("two")
            (tmp_path / "next").replace(place)

        left = "\nStopped. What is published is as the last complete run left it.\n"
        assert _stops(monkeypatch, capsys, publishes) == left


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_query_that_takes_long_is_stopped_at_once(stop, tmp_path, monkeypatch):
    """DuckDB itself does not answer while it computes."""
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path))
    with duckdb.connect(str(tmp_path / "capla.duckdb")) as connection:
        connection.execute("create table t as select 1 as n")
    endless = "select count(*) from range(1000000000) a, range(1000000000) b where (a.range * b.range) % 7 = 3"
    command = [sys.executable, "-m", "capla_etl.cli", "sql", endless]
    asked = subprocess.Popen(command, cwd=paths.ROOT, stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(3)
    asked.send_signal(stop)
    assert (asked.wait(20), asked.stderr.read()) == (130, "\nStopped. What is published is as it was.\n")


def test_a_command_that_the_system_killed_is_said_to_be(capsys):
    assert cli._said_if_killed("study", 137) == 137
    assert capsys.readouterr().err.startswith("capla study: ended by the system (SIGKILL)")
    assert (cli._said_if_killed("study", 1), cli._said_if_killed("study", 130)) == (1, 130)
    assert capsys.readouterr().err == ""
