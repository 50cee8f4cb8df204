"""``capla``: the study in a terminal. Each command is a module of ``capla_etl.commands``; nothing is computed here.

``study`` and ``verify`` are the jobs of the same names in Dagster.
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import signal
import sys
import traceback
from pathlib import Path

from capla_etl import paths, processes

#: Commands in the order of the work, by their heading in the help. Each is imported only when it is called.
GROUPS = {
    "run": ("study", "versions", "rollback", "freeze", "verify", "audit", "ui"),
    "centres and their data": ("centre", "queries"),
    "results": ("explain", "tables", "sql"),
    "this command": ("completion",),
}
COMMANDS = [name for names in GROUPS.values() for name in names]
#: Exit status of a command that a person stopped.
STOPPED = 130
ABOUT = "Capla 500+: centres' files to the study's tables. The data that ship with it are synthetic."
EPILOG = """exit status: 0 success; 1 a problem, which is printed (also a run without a centre's newest submission);
2 a wrong command line; 130 stopped by Ctrl+C or SIGTERM. CAPLA_DEBUG=1 shows where an unexpected error came from.
`capla COMMAND --help` lists the options of a command."""


def module_of(command: str):
    """The module of a command."""
    return importlib.import_module(f"capla_etl.commands.{command}")


def parser(listed: bool = False) -> argparse.ArgumentParser:
    """Make the command line; ``listed``: with each command's sentence, for completion (the help has them by group)."""
    top = argparse.ArgumentParser(
        prog="capla",
        description=f"{ABOUT}\n\n{_overview()}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"capla_etl {importlib.metadata.version('capla-etl')}")
    top.set_defaults(whole=parser)  # for completion, which is about every command
    chosen = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="capla", help="one of those above"
    )
    for name in COMMANDS:
        module = module_of(name)
        sentence = {"help": module.run.__doc__.splitlines()[0]} if listed else {}
        module.add_arguments(
            chosen.add_parser(
                name, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, **sentence
            )
        )
    return top


def _overview() -> str:
    """List every command by group, with the first sentence of its ``run``."""
    lines = []
    for heading, names in GROUPS.items():
        lines += [f"{heading}:", *(f"  {name:<11} {module_of(name).run.__doc__.splitlines()[0]}" for name in names)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 0 for success, 1 for a problem, 2 for a wrong command line, 130 if stopped.

    A command line runs in a process apart, which can be stopped at any moment.
    """
    from_shell = arguments is None
    os.umask(0o077)  # what a command writes may hold patients, and is for its owner alone
    before = None
    try:
        if from_shell:
            processes.stop_by_interrupt()
        before = _published()
        options = parser().parse_args(arguments)
        if from_shell and not _has_the_terminal(options):
            status = processes.run_apart(stopped=lambda: _stopped(before))
            if status is not None:
                return _said_if_killed(options.command, status)
        return module_of(options.command).run(options)
    except BrokenPipeError:
        # The reader of the output has read enough (`capla explain ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _stopped(before)
    except Exception as error:
        if os.environ.get("CAPLA_DEBUG"):
            traceback.print_exc()
        # The error's own text may hold a patient's value, so only its kind is printed.
        print(
            f"capla {options.command}: an unexpected {type(error).__name__}. Run it again with CAPLA_DEBUG=1 and "
            "report the output to the maintainers.",
            file=sys.stderr,
        )
        return 1


def _has_the_terminal(options: argparse.Namespace) -> bool:
    """Whether a command talks with a person, or has processes of its own that it stops itself."""
    asks = options.command == "sql" and sys.stdin.isatty() and not (options.query or options.file)
    return asks or options.command == "ui"


def _published() -> dict[Path, tuple[int, int]]:
    """What is published, of the study and of its variants: each place, and which file is there."""
    warehouse = paths.warehouse()
    names = [paths.published_database().name, paths.report().name, f"{paths.outputs().name}/protected"]
    found = {}
    for place in (place for name in names for place in (warehouse / name, *warehouse.glob(f"variants/*/{name}"))):
        with contextlib.suppress(FileNotFoundError):
            found[place] = (place.stat().st_ino, place.stat().st_mtime_ns)
    return found


def _stopped(before: dict[Path, tuple[int, int]] | None) -> int:
    """Say that a person stopped the command, and what that means for what is published (``before``: at its start)."""
    now = _published()
    published = "What is published is as it was." if now else "Nothing was published yet."
    if before is not None and now != before:
        published = "What is published is as the last complete run left it."
    print(f"\nStopped. {published}", file=sys.stderr)
    return STOPPED


def _said_if_killed(command: str, status: int) -> int:
    """The exit status of the process apart; if it was killed or crashed, say so."""
    if status > 128 and status != STOPPED:
        name = signal.Signals(status - 128).name
        print(f"capla {command}: ended by the system ({name}), as happens when memory runs out.", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
