"""Envoy's own log (its standard error), where it gives its reasons."""

from __future__ import annotations

import re
from pathlib import Path

_REFUSAL = re.compile(r"Filesystem config update (?:rejected|failure): (.*)")
_END = re.compile(r"\[critical\]\S* \[.*?\] (?:error `)?(.*?)(?:` initializing .*)?$", re.MULTILINE)


class Log:
    """What Envoy writes to the log file `path` from now on, told once; the file need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0

    def refusal(self) -> str | None:
        """Why Envoy refused a file, the last time."""
        return self._last(_REFUSAL)

    def end(self) -> str | None:
        """Why Envoy gave up."""
        return self._last(_END)

    def _last(self, pattern: re.Pattern[str]) -> str | None:
        if not self._path.exists():
            return None
        with self._path.open(errors="replace") as file:
            if self._path.stat().st_size >= self._start:  # else it was rotated
                file.seek(self._start)
            found = pattern.findall(file.read())
            if found:
                self._start = file.tell()
        # Protobuf varies the blanks in its messages.
        return " ".join(found[-1].split()) if found else None
