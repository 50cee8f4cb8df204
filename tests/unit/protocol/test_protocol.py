"""docs/PROTOCOL.md has every section that is cited; models quote it word for word; each glossary term is used."""

import re

import pytest

from capla_etl import paths
from capla_etl.protocol.definitions import definitions

PROTOCOL = (paths.ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
GLOSSARY = (paths.ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
FOLDERS = (
    "capla_etl",
    "dbt_project/models",
    "dbt_project/macros",
    "dbt_project/tests",
    "expectations",
    "tests",
    "docs",
)
CITED = re.compile(r"PROTOCOL (\d+(?:\.\d+)?(?:(?:,| and| to| &) \d+(?:\.\d+)?)*)")


def texts(*endings: str) -> dict[str, str]:
    files = [file for folder in FOLDERS for file in (paths.ROOT / folder).rglob("*") if file.suffix in endings]
    files += [paths.ROOT / "README.md", paths.ROOT / "dbt_project" / "dbt_project.yml"]
    return {str(file.relative_to(paths.ROOT)): file.read_text(encoding="utf-8") for file in files}


def sections() -> set[str]:
    """ "3" for a heading, "3.1" for a numbered paragraph below it."""
    found, heading = set(), None
    for line in PROTOCOL.splitlines():
        if match := re.match(r"## (\d+)\. ", line):
            heading = match[1]
            found.add(heading)
        elif match := re.match(r"(\d+)\. \*\*", line):
            found.add(f"{heading}.{match[1]}")
    return found


def test_every_cited_section_exists():
    known = sections()
    assert {"1", "3.1", "3.18", "7"} <= known
    cited = {
        (file, number)
        for file, text in texts(".py", ".sql", ".yml", ".md", ".html").items()
        for match in CITED.finditer(text)
        for number in re.findall(r"\d+(?:\.\d+)?", match[1])
    }
    assert len({number for _, number in cited}) > 15
    assert sorted(one for one in cited if one[1] not in known) == []


@pytest.mark.parametrize("definition", definitions(), ids=lambda definition: definition.model)
def test_the_protocol_is_quoted_word_by_word(definition):
    plain = " ".join(re.sub(r"[*`]", "", PROTOCOL).split()).lower()
    for quoted in definition.criteria:
        for part in re.sub(r"`", "", quoted).lower().split("..."):
            assert part.strip(" ;.") in plain, quoted


def test_every_term_of_the_glossary_is_used():
    terms = re.findall(r"^\| (?!term|---)(.+?) \|", GLOSSARY, re.MULTILINE)
    assert len(terms) > 40 and [t.lower() for t in terms] == sorted({t.lower() for t in terms})
    tree = "\n".join(text for file, text in texts(".py", ".sql", ".yml", ".md").items() if "GLOSSARY" not in file)
    tree = " ".join(tree.lower().split())
    assert [term for term in terms if term.lower() not in tree] == []
