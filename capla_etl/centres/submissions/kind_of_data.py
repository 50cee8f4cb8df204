"""Whether the study's data are synthetic or of real patients, and how every output says so.

The sentence follows the data: it is said of what was declared synthetic when it was loaded (harmonising/synthetic.py),
and of nothing else.
"""

import json

from capla_etl import paths
from capla_etl.centres.harmonising.synthetic import is_marked
from capla_etl.centres.submissions.status import RECEIPT

_NAMES = {True: "Synthetic data", False: "Data of real patients"}


def synthetic() -> bool:
    """Whether every load was declared synthetic; before anything is loaded, whether the data folder is."""
    folders = (paths.centre_loads(), paths.received_loads())
    receipts = [receipt for folder in folders for receipt in folder.glob(f"[!.]*/{RECEIPT}")]
    if not receipts:
        return is_marked()
    return all(json.loads(receipt.read_text(encoding="utf-8")).get("synthetic") for receipt in receipts)


def short() -> str:
    """Two or four words for a figure or a caption."""
    return _NAMES[synthetic()]


def sentence() -> str:
    """A sentence for the head or foot of a page."""
    return f"{short()}: no record of a real person." if synthetic() else f"{short()}."


def in_title() -> str:
    """What a title of a page ends with: nothing for real data."""
    return " (synthetic data)" if synthetic() else ""
