"""Holds what processes say until there is somebody to tell."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.run.goals import Reporter


class Relay:
    """Passes messages on to the reporter, once there is one: processes start before anybody knows what is secret."""

    def __init__(self) -> None:
        self._reporter: Future[Reporter] = Future()

    def attach(self, reporter: Reporter) -> None:
        """Name the reporter; what was said before is passed on now."""
        if not self._reporter.done():
            self._reporter.set_result(reporter)

    def close(self) -> None:
        """Drop what nobody was told."""
        self._reporter.cancel()

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Pass on a message."""
        with suppress(CancelledError):
            self._reporter.result().log(severity, message, urn)

    def status(self, message: str, urn: str) -> None:
        """Pass on a message that passes."""
        with suppress(CancelledError):
            self._reporter.result().status(message, urn)

    def line(self, text: str) -> None:
        """Pass on a line that a process wrote."""
        with suppress(CancelledError):
            self._reporter.result().line(text)
