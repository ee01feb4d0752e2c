"""Hides secrets in what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

HIDDEN = "[secret]"


class Mask:
    """Replaces secrets by `[secret]`, as they are, escaped as in JSON or Python, and line by line.

    Those under three letters are left: hiding them would hide half of what is shown, and tell what they are.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for text in (secret, *secret.splitlines()) for form in _forms(text)}
        # A secret that is part of another must not break that one up.
        self._forms = sorted((form for form in forms if len(form) > 2), key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return the text with every secret in it hidden."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """Return the JSON value with every text in it masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value


def _forms(text: str) -> Iterable[str]:
    yield text
    yield text.strip()
    yield (once := json.dumps(text)[1:-1])
    yield json.dumps(once)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
