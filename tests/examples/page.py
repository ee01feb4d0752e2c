"""The code of a page in `docs/`: its fenced blocks, and the files that they are."""

import re
from pathlib import Path

from tests.e2e.project import SOURCE

FENCED = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (?P<path>\S+\.\w+)(?P<added>, added)?\n")


class Page:
    """A page of documentation, read for its code."""

    def __init__(self, name: str) -> None:
        self.text = (SOURCE / "docs" / name).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks in a language, in their order."""
        return [found["text"] for found in FENCED.finditer(self.text) if found["language"] == language]

    def write(self, folder: Path) -> None:
        """Write each block that names its file in its first line; an added one goes to that file's end."""
        for block in FENCED.finditer(self.text):
            named = NAMED.match(block["text"])
            if named is None:
                continue
            file = folder / named["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a" if named["added"] else "w", encoding="utf-8") as stream:
                stream.write(block["text"])
