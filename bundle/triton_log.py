"""Triton's own words for models that it gives up, from the lines of its log."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LIMIT = 2000
"""Longer words lose their middle: a traceback has its point at its end."""

# Lines of the level of an error. Triton tries no model twice.
_GIVEN_UP = re.compile(r"E\d{4} [^\]]*\] \"?(?P<words>(failed to load '|Poll failed for model directory ').*?)\"?")
_NOT_READ = "Poll failed for model directory "


def failed_loads(log: Iterable[str]) -> list[str]:
    """What Triton says of each model that it gave up, in one line each."""
    found = [match["words"] for line in log if (match := _GIVEN_UP.fullmatch(line.strip()))]
    texts = (" ".join(words.replace("\\n", " ").split()) for words in dict.fromkeys(found))
    return [text if len(text) <= _LIMIT else f"{text[: _LIMIT // 2]} ... {text[-_LIMIT // 2 :]}" for text in texts]


def failed_reads(log: Iterable[str]) -> list[str]:
    """Those of models whose configuration Triton refused when it read its repository: its index gives no reason."""
    return [words for words in failed_loads(log) if words.startswith(_NOT_READ)]
