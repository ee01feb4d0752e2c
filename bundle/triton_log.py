"""Find in Triton's log its own words for models that it gives up."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LIMIT = 2000
"""Longer words lose their middle, because a traceback's last line matters most."""

_FAILED = re.compile(r"E\d{4} [^\]]*\] \"?(?P<words>(failed to load '|Poll failed for model directory ').*?)\"?")
# This file of Triton's core logs an error for a configuration or an ensemble that Triton does not even try to load.
_REFUSED = re.compile(r"E\d{4} [^\]]* model_repository_manager\.cc:\d+\] \"?(?P<words>.*?)\"?")


def failed_loads(log: Iterable[str]) -> list[str]:
    """Return Triton's words for each model that it gave up, a line each; it tries no model twice."""
    return _words(log, _FAILED, _REFUSED)


def refusals(log: Iterable[str]) -> list[str]:
    """Return Triton's words for each model that it refused while reading the repository: its index has no reason."""
    return _words(log, _REFUSED)


def _words(log: Iterable[str], *forms: re.Pattern[str]) -> list[str]:
    lines = (line.strip() for line in log)
    found = [
        match["words"] for line in lines if (match := next(filter(None, (f.fullmatch(line) for f in forms)), None))
    ]
    texts = (" ".join(words.replace("\\n", " ").split()) for words in dict.fromkeys(found))
    return [text if len(text) <= _LIMIT else f"{text[: _LIMIT // 2]} ... {text[-_LIMIT // 2 :]}" for text in texts]
