"""Triton's own words for models that it gives up, from the lines of its log."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LIMIT = 2000
"""Longer words lose their middle: a traceback has its point at its end."""

_FAILED = re.compile(r"E\d{4} [^\]]*\] \"?(?P<words>(failed to load '|Poll failed for model directory ').*?)\"?")
# What this file of Triton's core logs as an error are configurations and ensembles that it does not even try to load.
_REFUSED = re.compile(r"E\d{4} [^\]]* model_repository_manager\.cc:\d+\] \"?(?P<words>.*?)\"?")


def failed_loads(log: Iterable[str]) -> list[str]:
    """What Triton says of each model that it gave up, in one line each; it tries no model twice."""
    return _words(log, _FAILED, _REFUSED)


def refusals(log: Iterable[str]) -> list[str]:
    """What it says of those that it refused when it read its repository: its index has no reason for them."""
    return _words(log, _REFUSED)


def _words(log: Iterable[str], *forms: re.Pattern[str]) -> list[str]:
    lines = (line.strip() for line in log)
    found = [
        match["words"] for line in lines if (match := next(filter(None, (f.fullmatch(line) for f in forms)), None))
    ]
    texts = (" ".join(words.replace("\\n", " ").split()) for words in dict.fromkeys(found))
    return [text if len(text) <= _LIMIT else f"{text[: _LIMIT // 2]} ... {text[-_LIMIT // 2 :]}" for text in texts]
