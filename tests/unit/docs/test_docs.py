"""What the documentation points to is there: files, headings, commands, make targets."""

import re

import pytest

from capla_etl import cli
from capla_etl.paths import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "data_raw" / "README.md", *(ROOT / "docs").rglob("*.md")])


def _anchors(page) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked), target


def test_every_command_is_one_of_capla_and_every_target_one_of_make():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    commands = {
        word
        for line in re.findall(r"^(?:.*`)?capla .*$", text, re.MULTILINE)
        for word in re.findall(r"(?:^|`)capla ([a-z]+)", line)
    }
    assert {"study", "sql", "centre"} <= commands <= set(cli.COMMANDS)
    targets = set(re.findall(r"`make (\w+)`|^make (\w+)", text, re.MULTILINE))
    declared = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    assert {"study", "test"} <= {name for pair in targets for name in pair if name} <= set(declared)


def test_every_page_is_listed_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


@pytest.mark.parametrize(
    "variable",
    sorted(
        {
            name
            for path in (ROOT / "capla_etl").rglob("*.py")
            for name in re.findall(r'environ(?:\.get)?[\[(]"(CAPLA_\w+)"', path.read_text(encoding="utf-8"))
        }
    ),
)
def test_every_setting_is_documented(variable):
    set_by_the_program = {
        "CAPLA_AS_OF",
        "CAPLA_RULE_SET",
        "CAPLA_PROFILE",
        "CAPLA_CODE_SERVER",
        "CAPLA_MAKE_STARTED",
        "CAPLA_BUILD_DATABASE",
        "CAPLA_VERSION",
    }
    if variable not in set_by_the_program:
        assert f"`{variable}" in (ROOT / "docs" / "AUTOMATION.md").read_text(encoding="utf-8")
