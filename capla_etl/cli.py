"""``capla``: the study for people who live in a terminal. Each command is a module of ``capla_etl.commands``; nothing is computed here."""

import argparse
import os
import sys

from capla_etl.commands import centre, explain, freeze, queries, study, tables, ui, verify

COMMANDS = {"study": study, "centre": centre, "explain": explain, "tables": tables, "queries": queries, "freeze": freeze, "verify": verify, "ui": ui}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the ``capla`` command; the exit status is 0 when all went well, else 1 (2 for a wrong command line)."""
    about = "Capla 500+: ten centres' files to the study's tables. The data that ship with it are synthetic."
    parser = argparse.ArgumentParser(prog="capla", description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=module.run.__doc__.splitlines()[0], description=module.__doc__))
    options = parser.parse_args(arguments)
    try:
        return COMMANDS[options.command].run(options)
    except BrokenPipeError:
        # Whoever read the output has read enough (`capla explain ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
