"""Data collection, a batch: gathers documents, and writes them as files that never change, a folder for each day."""

from __future__ import annotations

import base64
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from serving.collection.file_format import Document, Form
from serving.collection.file_name import file_name
from serving.collection.store import DayIsFull, Store, shown
from serving.settings import SettingsError

logger = logging.getLogger("azmlinfsrv")

FILE_BYTES = 8 << 20

Redact = Callable[[Document], Document | None]


class Counts(Protocol):
    """Counts records: `collected`, `collection_dropped`, and `collection_held` until they are written."""

    def add(self, name: str, amount: float, /) -> None:
        """Add to a count."""

    def set(self, name: str, value: float, /) -> None:
        """Set a count."""


class Batch:
    """Gathers the documents of one day, and writes them to a store."""

    def __init__(self, store: Store, form: Form, redact: Redact, counts: Counts, service: str) -> None:
        """Begin the first batch.

        Args:
            store: where the files are written.
            form: what a file looks like.
            redact: changes each document, or drops it by None.
            counts: is told what becomes of the documents.
            service: the service's name, with which the files' names begin.
        """
        self._store = store
        self._form = form
        self._redact = redact
        self._counts = counts
        self._service = service
        self._held = 0
        self._day = ""
        self._number = 0
        self.bytes = 0
        """The size of what is held, in the words of `add`."""

    def add(self, document: Document, when: float, size: int) -> None:
        """Gather a document of the time `when`; it counts as so many bytes."""
        day = datetime.fromtimestamp(when, timezone.utc).date().isoformat()
        if day != self._day:
            self.write()
            self._day = day
        try:
            redacted: object = self._redact(document)
            if redacted is None:
                return
            if not isinstance(redacted, dict):
                raise TypeError(f"expected a dict or None from the hook, received {type(redacted).__name__}")
            self._form.add(redacted)
        except BaseException as error:  # a hook's sys.exit() must not end this process
            self._drop([error])
            return
        self._held += 1
        self._counts.set("collection_held", self._held)
        self.bytes += size

    def write(self) -> None:
        """Write what is held, if anything is; what cannot be written is counted, and dropped."""
        held, self._held, self.bytes = self._held, 0, 0
        if not held:
            return
        written = 0
        try:
            content, problems = self._form.take()
            self._drop(problems)
            held -= len(problems)
            if held:
                self._number += 1
                name = file_name(self._service, self._number, self._form.suffix)
                self._store.write(self._day, name, content)
            written = held
        except DayIsFull:
            logger.warning("COLLECT_MAX_DAY_BYTES is reached: records of %s are dropped", self._day)
        except Exception as error:
            url = self._store.url
            reason = f"{type(error).__name__}: {error}".replace(url, shown(url))
            logger.error("Data collection cannot write to %s: %s", shown(url), shown(reason))
        self._counts.add("collected", written)
        self._counts.add("collection_dropped", held - written)
        self._counts.set("collection_held", 0)

    def _drop(self, problems: Sequence[BaseException]) -> None:
        """Count records that the file's format cannot hold, or for which the hook failed."""
        for error in problems:
            logger.error("A record cannot be collected, and is dropped: %s: %s", type(error).__name__, error)
        self._counts.add("collection_dropped", len(problems))


def as_text(content: bytes, full_bytes: int) -> tuple[str, str]:
    """Write content as text.

    Args:
        content: the content, or its beginning.
        full_bytes: how many bytes the whole has.

    Returns:
        The text, and its encoding: `utf-8`, or `base64` where the content is no text.
    """
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if len(content) < full_bytes and error.start >= len(content) - 3:
            return content[: error.start].decode(), "utf-8"  # cut in the middle of a character
        return base64.b64encode(content).decode(), "base64"


def hook(name: str | None, app_root: Path) -> Redact:
    """Import the function `module:function` of AML_APP_ROOT; without a name, give one that changes nothing.

    Raises:
        SettingsError: there is no such function.
    """
    if name is None:
        return lambda document: document
    sys.path.append(str(app_root))
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except Exception as error:
        raise SettingsError([f"COLLECT_REDACT: cannot import {name!r}: {type(error).__name__}: {error}"]) from error
