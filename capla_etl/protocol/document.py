"""docs/OUTCOMES.md: the clinical definitions as computed, for clinicians to sign. Run as a module, it writes the file.

Nothing is defined here: the text comes from ``definitions``, the layout from ``outcomes.md``.
"""

import hashlib
import textwrap
from pathlib import Path

import jinja2

from capla_etl import paths
from capla_etl.protocol.definitions import OUTCOMES, definitions, model_descriptions, rule_sets


def document() -> str:
    """The whole file, from the models as they are now.

    Raises:
        DbtFailed: the dbt project cannot be parsed.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    listed = definitions()
    signed = [(one.model, one.sql, one.macros, [(p.name, p.value) for p in one.parameters]) for one in listed]
    text = environment.get_template("outcomes.md").render(
        definitions=listed,
        rule_sets=rule_sets(),
        tables=sorted(item for item in model_descriptions().items() if item[0] not in OUTCOMES),
        version=hashlib.sha256(repr(signed).encode()).hexdigest()[:12],
    )
    return "\n".join(line for long in text.split("\n") for line in _wrapped(long))


def _wrapped(line: str) -> list[str]:
    """Prose in lines of at most 120 characters; a row of a table stays one line."""
    if len(line) <= 120 or line.startswith("|"):
        return [line]
    indent = "  " if line.startswith("- ") else ""
    return textwrap.wrap(line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    (paths.ROOT / "docs" / "OUTCOMES.md").write_text(document(), encoding="utf-8")
