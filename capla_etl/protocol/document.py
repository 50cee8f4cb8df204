"""docs/OUTCOMES.md: the clinical definitions as computed, for clinicians to sign. Run as a module, it writes the file (``make docs``).

Nothing is defined here; the text comes from ``outcome_definitions``, the layout from ``report/templates/outcomes.md``.
"""

import hashlib
from pathlib import Path

import jinja2

from capla_etl import paths
from capla_etl.protocol.definitions import OUTCOMES, definitions, model_descriptions, rule_sets

TEMPLATES = Path(__file__).parent


def document() -> str:
    """The whole file, from the models as they are now.

    Raises:
        DbtFailed: the dbt project cannot be parsed.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    listed = definitions()
    signed = [(one.model, one.sql, one.macros, [(p.name, p.value) for p in one.parameters]) for one in listed]
    return environment.get_template("outcomes.md").render(
        definitions=listed,
        rule_sets=rule_sets(),
        tables=sorted(
            (name, description) for name, description in model_descriptions().items() if name not in OUTCOMES
        ),
        version=hashlib.sha256(repr(signed).encode()).hexdigest()[:12],
    )


if __name__ == "__main__":
    (paths.ROOT / "docs" / "OUTCOMES.md").write_text(document(), encoding="utf-8")
