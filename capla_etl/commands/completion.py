"""``capla completion``: what a shell needs to complete ``capla``'s commands and options.

bash   capla completion bash > ~/.local/share/bash-completion/completions/capla
zsh    capla completion zsh > a folder of $fpath/_capla
tcsh   capla completion tcsh >> ~/.cshrc
"""

import argparse

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``bash``, ``zsh`` or ``tcsh``."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(options: argparse.Namespace) -> int:
    """Print the completion of commands and options for a shell."""
    import shtab

    print(shtab.complete(options.whole(listed=True), shell=options.shell))
    return 0
