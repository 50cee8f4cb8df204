"""``capla``: the study in a terminal. Each command is a module of ``capla_etl.commands``; nothing is computed here.

``study`` and ``verify`` are the jobs of the same names in Dagster.
"""

import argparse
import importlib
import importlib.metadata
import os
import sys
import traceback

#: Commands in the order of the work, by their heading in the help. Each is imported only when it is called.
GROUPS = {
    "run": ("study", "freeze", "verify", "audit", "ui"),
    "centres and their data": ("centre", "queries"),
    "results": ("explain", "tables", "sql"),
    "this command": ("completion",),
}
COMMANDS = [name for names in GROUPS.values() for name in names]
ABOUT = "Capla 500+: centres' files to the study's tables. The data that ship with it are synthetic."
EPILOG = """exit status: 0 success; 1 a problem, which is printed (also a run without a centre's newest submission);
2 a wrong command line; 130 stopped by Ctrl-C. CAPLA_DEBUG=1 shows where an unexpected error came from.
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
    """Run a command; the exit status is 0 for success, 1 for a problem, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    try:
        return module_of(options.command).run(options)
    except BrokenPipeError:
        # The reader of the output has read enough (`capla explain ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nStopped. What is published is as it was.", file=sys.stderr)
        return 130
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


if __name__ == "__main__":
    sys.exit(main())
