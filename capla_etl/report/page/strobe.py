"""The STROBE checklist of the study: each item, and where it is answered. The answers are in ``strobe.yml``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import yaml

CHECKLIST = Path(__file__).parent / "strobe.yml"
_SECTIONS = "flow survival response as-published quality definitions methods strobe consistency"
#: Sections of the report page that an item may point to.
ANCHORS = frozenset(f"#{name}" for name in (*_SECTIONS.split(), *(f"table{number}" for number in range(1, 9))))
MANUSCRIPT = "for the manuscript"
KEYS = ("item", "section", "recommendation", "where", "answer")
#: The items of the checklist for cohort studies (von Elm et al., Lancet 2007;370:1453), in order.
_PARTS = {1: "ab", 6: "ab", 12: "abcde", 13: "abc", 14: "abc", 16: "abc"}
ITEMS = tuple(f"{number}{part}" for number in range(1, 23) for part in _PARTS.get(number, [""]))


def strobe_items(anchors: Collection[str] = ANCHORS, path: Path = CHECKLIST) -> pd.DataFrame:
    """The checklist in the order of its items.

    Args:
        anchors: the sections that the report page has, each with its "#".
        path: the file with the answers.

    Returns:
        One row per item: item, section, recommendation, where (anchors or documents, separated by ", ", or "for the
        manuscript"), answer.

    Raises:
        ValueError: an unknown, missing or empty key, an item missing, unknown or out of order, or a place that does not
            exist; all problems at once.
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    problems = []
    for number, entry in enumerate(entries, start=1):
        name = f"item {entry.get('item', f'number {number}')}"
        problems += [f"{name}: unknown key {key!r}" for key in entry if key not in KEYS]
        problems += [
            f"{name}: {key} is missing or is not text"
            for key in KEYS
            if not isinstance(entry.get(key), str) or not entry[key].strip()
        ]
        places = str(entry.get("where", "")).split(", ")
        problems += [f"{name}: the place {place!r} does not exist" for place in places if not _exists(place, anchors)]
    if not problems and (found := tuple(entry["item"] for entry in entries)) != ITEMS:
        problems.append(f"the items are {', '.join(found)}; expected {', '.join(ITEMS)}")
    if problems:
        raise ValueError(f"{path.name}: {'; '.join(problems)}")
    return pd.DataFrame(entries, columns=list(KEYS))


def _exists(place: str, anchors: Collection[str]) -> bool:
    """Whether it is an anchor of the page, a document of the project, or the manuscript."""
    return place in anchors or place == MANUSCRIPT or (place.startswith("docs/") and place.endswith(".md"))
