"""``make fire``: many damaged inputs for every reader and for centre.yml; the status is 1 if one is not foreseen."""

import argparse
import sys

from .fire import READERS, SPEC, burn

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs a kind (default: 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input; the others follow")
    parser.add_argument("--kinds", nargs="*", default=[*READERS, SPEC], help="kinds of files (default: all)")
    options = parser.parse_args()
    wrong = 0
    for kind, ends in burn(options.kinds, options.inputs, options.first):
        print(kind, dict(ends), flush=True)
        wrong += sum(count for end, count in ends.items() if end.startswith("unforeseen"))
    sys.exit(bool(wrong))
