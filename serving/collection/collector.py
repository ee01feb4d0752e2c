"""Data collection, the collector process: writes the records that the workers offer, into files that never change.

    <COLLECT_URL>/date=2026-11-21/<service>-<host>-<time>-<number>.jsonl    or .parquet

A file holds the records of COLLECT_SECONDS, or 8 MiB, and appears when it is complete. Each record is

    time                 when the answer was ready, ISO 8601 in UTC
    service, version     SERVICE_NAME and SERVICE_VERSION
    check                whether the deployment sent the request, to prove itself (header `x-service-check`)
    requestId, clientRequestId, status, durationMs
    method, contentType  of the request, "" where it has no content type
    input, output        text; base64 where the content is no UTF-8
    inputEncoding, outputEncoding   "utf-8" or "base64"
    inputBytes, outputBytes         the full length; the text ends after half of COLLECT_MAX_RECORD_BYTES
"""

from __future__ import annotations

import base64
import importlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from serving.collection import file_format
from serving.collection.file_format import Document
from serving.collection.sampling import Record
from serving.collection.store import DayIsFull, Store, shown
from serving.front.scoreboard import Row
from serving.settings import Collection, Settings, SettingsError

logger = logging.getLogger("azmlinfsrv")

FILE_BYTES = 8 << 20
_MESSAGE_BYTES = 1 << 20

Redact = Callable[[Document], Document | None]


class Collector:
    """Writes records to a folder or an object store."""

    def __init__(self, settings: Settings, collection: Collection, source: socket.socket, row: Row) -> None:
        """Prepare; `run` opens the store, because clients of object stores survive no fork.

        Args:
            settings: the server's settings.
            collection: its settings of data collection.
            source: the end of the channel from which the records come, see `sampling.channel`.
            row: the collector's row of the scoreboard.

        Raises:
            SettingsError: COLLECT_URL, COLLECT_FORMAT or COLLECT_REDACT cannot be used.
        """
        self._settings = settings
        self._collection = collection
        self._source = source
        self._row = row
        self._store = Store(collection.url, collection.max_day_bytes)
        self._form = file_format.form(collection.format)
        self._redact = _hook(collection.redact, settings)
        self._held = 0
        self._buffered_bytes = 0
        self._day = ""
        self._number = 0

    def run(self) -> None:
        """Write until every worker and the master have closed their end of the channel."""
        # The workers end first, and may still send records.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._source.settimeout(1.0)
        # The collector before this one died with these records.
        self._row.add("collection_dropped", self._row.get("collection_held"))
        self._row.set("collection_held", 0)
        written = time.monotonic()
        while True:
            try:
                message = self._source.recv(_MESSAGE_BYTES)
            except TimeoutError:
                message = None
            if message:
                self._add(message)
            is_due = time.monotonic() - written >= self._collection.seconds
            if message == b"" or is_due or self._buffered_bytes >= FILE_BYTES:
                self._write()
                written = time.monotonic()
            if message == b"":
                return

    def _add(self, message: bytes) -> None:
        record = Record.unpack(message)
        day = datetime.fromtimestamp(record.time, timezone.utc).date().isoformat()
        if day != self._day:
            self._write()
            self._day = day
        try:
            document: object = self._redact(_document(record, self._settings))
            if document is None:
                return
            if not isinstance(document, dict):
                raise TypeError(f"expected a dict or None from the hook, received {type(document).__name__}")
            self._form.add(document)
        except BaseException as error:  # a hook's sys.exit() must not end this process
            self._drop([error])
            return
        self._held += 1
        self._row.set("collection_held", self._held)
        self._buffered_bytes += len(message)

    def _write(self) -> None:
        held, self._held, self._buffered_bytes = self._held, 0, 0
        if not held:
            return
        written = 0
        try:
            content, problems = self._form.take()
            self._drop(problems)
            held -= len(problems)
            if held:
                self._store.write(self._day, self._name(), content)
            written = held
        except DayIsFull:
            logger.warning("COLLECT_MAX_DAY_BYTES is reached: records of %s are dropped", self._day)
        except Exception as error:
            url = self._collection.url
            reason = f"{type(error).__name__}: {error}".replace(url, shown(url))
            logger.error("Data collection cannot write to %s: %s", shown(url), shown(reason))
        self._row.add("collected", written)
        self._row.add("collection_dropped", held - written)
        self._row.set("collection_held", 0)

    def _drop(self, problems: Sequence[BaseException]) -> None:
        """Count records that the file's format cannot hold, or for which the hook failed."""
        for error in problems:
            logger.error("A record cannot be collected, and is dropped: %s: %s", type(error).__name__, error)
        self._row.add("collection_dropped", len(problems))

    def _name(self) -> str:
        self._number += 1
        started = datetime.now(timezone.utc).strftime("%H%M%S%f")
        service = "".join(letter if letter.isalnum() else "-" for letter in self._settings.service_name)
        return f"{service}-{socket.gethostname()}-{started}-{self._number}.{self._form.suffix}"


def _document(record: Record, settings: Settings) -> Document:
    document: Document = {
        "time": datetime.fromtimestamp(record.time, timezone.utc).isoformat(timespec="microseconds"),
        "service": settings.service_name,
        "version": settings.service_version,
        "requestId": record.request_id,
        "clientRequestId": record.client_request_id,
        "check": record.check,
        "status": record.status,
        "durationMs": round(record.seconds * 1000, 3),
        "method": record.method,
        "contentType": record.content_type,
        "inputBytes": record.input_bytes,
        "outputBytes": record.output_bytes,
    }
    document["input"], document["inputEncoding"] = _text(record.input, record.input_bytes)
    document["output"], document["outputEncoding"] = _text(record.output, record.output_bytes)
    return document


def _text(content: bytes, full_bytes: int) -> tuple[str, str]:
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if len(content) < full_bytes and error.start >= len(content) - 3:
            return content[: error.start].decode(), "utf-8"  # cut in the middle of a character
        return base64.b64encode(content).decode(), "base64"


def _hook(name: str | None, settings: Settings) -> Redact:
    """Import the function `module:function` of AML_APP_ROOT; without a name, give one that changes nothing."""
    if name is None:
        return lambda document: document
    sys.path.append(str(settings.app_root))
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except Exception as error:
        raise SettingsError([f"COLLECT_REDACT: cannot import {name!r}: {type(error).__name__}: {error}"]) from error
