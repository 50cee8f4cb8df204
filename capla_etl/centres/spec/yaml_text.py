"""Read YAML that people write, within the limits of ``limits.py``: every scalar is text, a duplicate key is an error.

What does not belong here: what the keys mean (check.py, harmonising/corrections.py).
"""

import unicodedata
from pathlib import Path
from typing import Any

import yaml

from capla_etl.centres.files import problem_with
from capla_etl.centres.limits import MOST_DEPTH, MOST_SPEC_BYTES, MOST_YAML_NODES


class NotYaml(Exception):
    """A file that is no YAML, or has more in it than it may; the message says where, and what."""


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text (``NO`` stays NO, 01 stays 01); a duplicate key, or one that is no text, is an error.

    A node counts as often as an alias repeats it.
    """

    def __init__(self, stream: str):
        super().__init__(stream)
        self.level = self.nodes = 0
        self.sizes: dict[int, int] = {}

    def compose_node(self, parent, index):
        mark, before = self.peek_event().start_mark, self.nodes
        if is_alias := self.check_event(yaml.AliasEvent):
            self.nodes += self.sizes.get(id(self.anchors.get(self.peek_event().anchor)), 1)
        self.level += 1
        if self.level > MOST_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"found more than {MOST_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self.level -= 1
        self.nodes += not is_alias
        if self.nodes > MOST_YAML_NODES:
            raise yaml.composer.ComposerError(None, None, f"found more than {MOST_YAML_NODES:,} values", mark)
        self.sizes.setdefault(id(node), self.nodes - before)
        return node

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "found a key that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a file, letters in one form (NFC).

    Raises:
        NotYaml: it is none, or more than allowed.
        OSError: the file cannot be reached.
    """
    if problem := problem_with(path, MOST_SPEC_BYTES):
        raise NotYaml(f": {problem}")
    try:
        return yaml.load(unicodedata.normalize("NFC", path.read_text(encoding="utf-8")), Loader=_TextLoader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or (error if isinstance(error, UnicodeDecodeError) else "damaged")
        raise NotYaml(f"{at}: not readable as YAML: {why}.") from error
