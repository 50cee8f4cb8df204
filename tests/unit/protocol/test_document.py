"""docs/OUTCOMES.md is what clinicians sign: it must be what is computed, whole, and change when a definition does."""

import re

from capla_etl import paths
from capla_etl.protocol.definitions import OUTCOMES, definitions, model_descriptions, parameters
from capla_etl.protocol.document import document


def test_the_document_is_what_the_models_say_now():
    stale = "docs/OUTCOMES.md differs from the models: run `make docs`, read what changed, and have it signed again"
    assert (paths.ROOT / "docs" / "OUTCOMES.md").read_text(encoding="utf-8") == document(), stale


def test_every_model_of_an_outcome_has_its_section():
    made_from_them = {"outcome_evidence", "patient_outcome", "patient_outcome_by_rule_set"}
    assert set(model_descriptions()) == set(OUTCOMES) | made_from_them


def test_every_definition_says_what_it_derives_from_where_and_when_it_is_not_known():
    for one in definitions():
        assert one.definition and one.grain.startswith("one row per") and one.unknown, one.model
        assert "PROTOCOL" in one.source, one.model
        assert one.examples or one.model == "rule_set", one.model


def test_another_threshold_is_another_version(monkeypatch):
    def version(text):
        return re.search(r"Version `(\w{12})`", text)[1]

    before = document()
    declared = parameters()
    changed = type(declared["recovery_adamts13_from_percent"])("recovery_adamts13_from_percent", 25, "PROTOCOL 3.10")
    monkeypatch.setattr("capla_etl.protocol.definitions.parameters", lambda: declared | {changed.name: changed})
    after = document()
    assert "| `recovery_adamts13_from_percent` | 25 |" in after
    assert version(before) != version(after)
