"""``capla verify NAME``: recompute a release from the inputs and say that it is identical, or what differs."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``capla verify``."""
    parser.add_argument("name", help="name of the release")


def run(options: argparse.Namespace) -> int:
    """Recompute a release from the inputs: identical, or what differs."""
    from capla_etl.differences import RebuildFailed
    from capla_etl.releases import ReleaseRefused, verify

    try:
        found = verify(options.name)
    except (ReleaseRefused, RebuildFailed) as error:
        print(f"Not verified: {error}")
        return 1
    if found.differs:
        print(f"{found.name}: {len(found.differs)} difference(s)\n" + "\n".join(f"  - {line}" for line in found.differs))
        return 1
    print(f"{found.name}: identical. Inputs, code, parameters, every table and every file are as frozen, and come out again.")
    return 0
