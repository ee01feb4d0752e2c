"""The page `docs/troubleshooting.md`: what it quotes of each cause's error."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"


def quoted(error: object, target: str, section: int, examples: Mapping[str, object] | None = None) -> str:
    """Give what an error says, after a look for the quote of a target's numbered section in it.

    Args:
        error: what was raised or logged.
        target: the page's chapter.
        section: the number of the cause.
        examples: the page's examples (a port, a name) and what stands in the error in their place.
    """
    (chapter,) = re.findall(rf"^## Target {target}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    quotes = dict(re.findall(r"^### (\d+)\. .*\n\n    (.*)$", chapter, re.MULTILINE))
    assert list(quotes) == [str(number) for number in range(1, len(quotes) + 1)]
    said = str(error)
    for written, here in (examples or {}).items():
        said = said.replace(str(here), written)
    assert quotes[str(section)] in said
    return str(error)
