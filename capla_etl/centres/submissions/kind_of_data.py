"""Whether the study's data are synthetic or of real patients, and how every output says so.

The sentence follows the data: it is said of what was synthetic when it was loaded (harmonising/synthetic.py), and of
nothing else; of centres that nobody declared so, it says that.
"""

import json

from capla_etl import paths
from capla_etl.centres.errors import listed
from capla_etl.centres.harmonising.pseudonym import DEMONSTRATION_KEY, fingerprint
from capla_etl.centres.harmonising.synthetic import DECLARED, REAL, UNDECLARED, is_marked
from capla_etl.centres.submissions.status import RECEIPT


def _kinds() -> dict[str, str]:
    """Centre -> what its load is."""
    folders = (paths.received_loads(), paths.centre_loads())
    return {
        path.parent.name: _kind(json.loads(path.read_text(encoding="utf-8")))
        for folder in folders
        for path in folder.glob(f"[!.]*/{RECEIPT}")
    }


def _kind(receipt: dict) -> str:
    """What a load is; one of an earlier version of this program says so by its key."""
    by_key = DECLARED if receipt.get("key_fingerprint") == fingerprint(DEMONSTRATION_KEY) else REAL
    return receipt.get("synthetic", by_key)


def synthetic() -> bool:
    """Whether no load is of real patients; before anything is loaded, whether the data folder says so."""
    kinds = _kinds()
    return REAL not in kinds.values() if kinds else is_marked()


def undeclared() -> list[str]:
    """Centres in a folder of synthetic data that the folder does not list."""
    return sorted(centre for centre, kind in _kinds().items() if kind == UNDECLARED)


def short() -> str:
    """A few words for a figure or a caption."""
    but = f" (but nothing says so of {listed(centres)})" if (centres := undeclared()) else ""
    return f"Synthetic data{but}" if synthetic() else "Data of real patients"


def sentence() -> str:
    """A sentence for the head or foot of a page."""
    return f"{short()}: no record of a real person." if synthetic() and not undeclared() else f"{short()}."


def in_title() -> str:
    """What a title of a page ends with: nothing for real data."""
    return " (synthetic data)" if synthetic() else ""
