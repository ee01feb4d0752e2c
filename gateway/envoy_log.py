"""Envoy's own log (its standard error), which gives Envoy's reasons."""

from __future__ import annotations

import re
from pathlib import Path

_REFUSAL = re.compile(r"Filesystem config update (?:rejected|failure): (.*)")
# Lines of a backtrace follow the reason of an assertion that failed, and say nothing to people.
_END = re.compile(r"\[critical\]\[(?!backtrace)\S* \[.*?\] (?:error `)?(.*?)(?:` initializing .*)?$", re.MULTILINE)


class Log:
    """Find reasons among the lines that Envoy writes to a file from now on, each once; the file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size if path.exists() else 0

    def refusal(self) -> str | None:
        """Return why Envoy refused a file the last time; None where it did not."""
        return self._last(_REFUSAL)

    def end(self) -> str | None:
        """Return why Envoy gave up; None where it did not."""
        return self._last(_END)

    def _last(self, pattern: re.Pattern[str]) -> str | None:
        if not self._path.exists():
            return None
        with self._path.open(errors="replace") as file:
            if self._path.stat().st_size >= self._start:  # otherwise the log was rotated
                file.seek(self._start)
            found = pattern.findall(file.read())
            if found:
                self._start = file.tell()
        # Protobuf varies the blanks in its messages.
        return " ".join(found[-1].split()) if found else None
