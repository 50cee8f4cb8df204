"""A number of the protocol in prose is its parameter's: moved, no question, method, caption or page text keeps it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import capla_etl.report
from capla_etl.protocol import parameters as declared
from capla_etl.protocol.parameters import parameters
from capla_etl.protocol.wording import worded
from capla_etl.queries.questions import KINDS
from capla_etl.report import methods, sentences
from capla_etl.report.figures.study_figures import CAPTIONS
from capla_etl.report.page import page
from capla_etl.tables.labels import EFFECT_CAVEAT

ROOM = Path(capla_etl.report.__file__).parent
PROSE = yaml.safe_load((ROOM / "methods.yml").read_text(encoding="utf-8"))
NAMES = sorted(name for name, p in parameters().items() if isinstance(p.value, int | float))
#: Numbers of questions that are none of the protocol's: days counted from 0, and how far apart is apart.
CONSTANT = {"0", "1", "2"}


def _leaves(tree) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    return [text for part in (tree.values() if isinstance(tree, dict) else tree) for text in _leaves(part)]


def _templates() -> dict[str, str]:
    """Every text with parameters in braces, by where it is: what it says before parameters are filled in."""
    found = {f"question {kind.kind}": kind.question for kind in KINDS}
    found |= {f"found {kind.kind}": kind.found for kind in KINDS}
    found |= {f"methods {number}": text for number, text in enumerate(_leaves(PROSE))}
    for module in (sentences, page):
        source = Path(module.__file__).read_text(encoding="utf-8")
        found |= {
            f"{module.__name__} {n}": text for n, text in enumerate(re.findall(r'worded\(\s*"(.+?)"\s*\)', source))
        }
    html = (ROOM / "page" / "report.html").read_text(encoding="utf-8")
    found |= {f"page {n}": text for n, text in enumerate(re.findall(r'worded\("(.+?)"\)', html))}
    return {place: text for place, text in found.items() if re.search(r"\{\w+", text)}


def _named(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", text)) & set(parameters())


def _shown(place: str, text: str) -> str:
    """A text as shown, by the function that shows it."""
    if not place.startswith("methods"):
        return worded(text)
    values = {name: methods._Value(p.value) for name, p in parameters().items()}
    words = dict.fromkeys(re.findall(r"\{(\w+)\}", text), "")
    return text.format(**words | values | {"effect_caveat": EFFECT_CAVEAT})


def _numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\d.])\d+(?:\.\d+)?", text)


@pytest.fixture
def move(monkeypatch):
    """Sets parameters of the protocol for the rest of the test."""

    def to(**values) -> None:
        now = parameters()
        changed = {name: replace(now[name], value=value) for name, value in values.items()}
        monkeypatch.setattr(declared, "_declared", lambda: now | changed)

    return to


@pytest.mark.parametrize("name", sorted({name for text in _templates().values() for name in _named(text)} & set(NAMES)))
def test_a_moved_parameter_leaves_no_old_value_in_a_text_that_names_it(name, move):
    texts = {place: text for place, text in _templates().items() if name in _named(text)}
    old = str(parameters()[name].value)
    others = {place: {str(parameters()[n].value) for n in _named(text) - {name}} for place, text in texts.items()}
    move(**{name: 7919})
    for place, text in texts.items():
        shown = _numbers(_shown(place, text))
        moved = {n for n in shown if n.startswith("79")}
        assert moved or ":month" in text, place
        literal = _numbers(re.sub(r"\{.+?\}", "", text))
        assert old not in shown or old in others[place] or old in literal, f"{place} still says {old}"


def test_no_question_types_a_number_of_the_protocol(move):
    """With every parameter moved, a question has only moved numbers and constants of its own."""
    move(**{name: 7001 + 2 * position for position, name in enumerate(NAMES)})
    for kind in KINDS:
        left = {n for n in _numbers(worded(kind.question).replace("ADAMTS13", "")) if not n.startswith("7")}
        assert left <= CONSTANT, f"{kind.kind}: {left}"


def test_the_question_about_refractory_disease_moves_with_the_protocol(move):
    question = next(kind.question for kind in KINDS if kind.kind == "refractory")
    assert "below 50," in worded(question) and "after the 5th exchange day" in worded(question)
    move(refractory_platelets_below_10e9_per_l=40, refractory_after_tpe_days=3)
    assert "below 40," in worded(question) and "after the 3rd exchange day" in worded(question)


def test_no_method_types_a_number_of_the_protocol():
    """Only percentages of intervals are typed in the prose of the methods, and day 0."""
    for text in _leaves({key: PROSE[key] for key in PROSE if key != "analysis"}):
        text = re.sub(r"\{.+?\}|ADAMTS13|10⁹", "", text)
        assert set(_numbers(text)) <= {"0"}, text
    for sentence in (one["sentence"] for listed in PROSE["analysis"].values() for one in listed):
        assert set(_numbers(re.sub(r"\{.+?\}", "", sentence))) <= {"95", "0"}, sentence


def test_captions_and_page_texts_type_no_number_of_the_protocol():
    assert not [caption for caption in CAPTIONS.values() if _numbers(re.sub(r"ADAMTS13|95 %|Table \d", "", caption))]
    html = (ROOM / "page" / "report.html").read_text(encoding="utf-8")
    written = re.sub(r"\{[{%#].*?[}%#]\}", "", html, flags=re.DOTALL)
    visible = re.sub(r"<[^>]*>|ADAMTS13|Capla 500\+|95 %|Tables 1 and 2", "", written)
    assert set(_numbers(visible)) <= {"0"}


def test_cards_name_the_months_of_follow_up(move):
    label = "Survival at {follow_up_days:months}"
    assert f'worded("{label}")' in Path(page.__file__).read_text(encoding="utf-8")
    assert worded(label) == "Survival at 3 months"
    move(follow_up_days=60)
    assert worded(label) == "Survival at 2 months"
