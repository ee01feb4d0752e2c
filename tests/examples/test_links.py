"""Links between the pages lead somewhere: to a file of the repository, and to a heading in it."""

import re
from pathlib import Path

import pytest

from tests.e2e.project import SOURCE

LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?P<inline>[^)\s]+)\)|^\[[^\]]+\]: (?P<reference>\S+)$", re.MULTILINE)
ELSEWHERE = ("https://", "http://")


def pages() -> list[str]:
    """The repository's pages, without what lies in folders with a dot."""
    tops = [entry for entry in SOURCE.iterdir() if not entry.name.startswith(".")]
    found = [entry for entry in tops if entry.suffix == ".md"]
    found += [page for entry in tops if entry.is_dir() for page in entry.rglob("*.md")]
    return sorted(str(page.relative_to(SOURCE)) for page in found)


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"^```.*?^```|^    .*?$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", pages())
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    page = SOURCE / name
    for found in LINK.finditer(prose(page.read_text(encoding="utf-8"))):
        link = found["inline"] or found["reference"]
        if link.startswith(ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
